#ifndef GEDS_SHARING_H
#define GEDS_SHARING_H

#include "entry.h"
#include "impl.h"

/* The store's side of a log that several controllers share. All calls are the writer's, or of a start before it runs,
 * unless they say otherwise; without a log they do nothing. */

/* Load where the log is, and see that the store and its options agree about it. Extents get numbers of this term, which
 * no other controller gives; behind a log that is left, of the term that replica_leave took. ST_INVAL. */
CHECKED status_t shared_open(struct store *s, struct error *err);
void shared_close(struct store *s);

/* Around a transaction: before it begins; behind its last change, before its commit; and when it is over, also after a
 * rollback. After an error of shared_append the transaction has to be given up. */
CHECKED status_t shared_begin(struct store *s, struct error *err);
CHECKED status_t shared_append(struct store *s, struct error *err);
void shared_end(struct store *s, bool committed);
/* A commit failed: is its entry in the log, or may it be? Then no transaction may follow, and somebody opens the store
 * again. */
bool shared_is_ahead(const struct store *s);
/* Is a change that has so many bytes of metadata at least too large for the log? ST_LIMIT. */
CHECKED status_t shared_check_size(struct store *s, uint64_t bytes, struct error *err);
/* Was a transaction too large for the log? There is nothing that would make room for it. */
bool shared_is_too_much(const struct store *s);
/* This process's store takes no changes any more: another one should lead. */
void shared_failed(const struct store *s);

/* May this process answer what its database has? ST_MOVED names who leads. Any thread. */
CHECKED status_t shared_leads(const struct store *s, struct error *err);

/* What extents of a term have in their numbers (db_sql.c has it, too). */
enum { SHARED_TERM_SHIFT = 40 };
/* The address of another controller whose disk an extent was written to, which may be why it has no file here. NULL: it
 * was written here, or nobody knows. Any thread; until the store is closed. */
const char *shared_elsewhere(const struct store *s, uint64_t extent);

/* Rows of a database: where it is in its log. ST_NOTFOUND: it belongs to none. Any thread with its own db. */
CHECKED status_t shared_load(struct db *db, struct shared_state *ret_state, struct error *err);
CHECKED status_t shared_save(struct db *db, const struct entry *e, struct error *err);

#endif
