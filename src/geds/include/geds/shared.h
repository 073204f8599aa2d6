#ifndef GEDS_SHARED_H
#define GEDS_SHARED_H

#include "base/buf.h"
#include "geds/store.h"

/* A store whose metadata several controllers share through a log (docs/internals/geds-etcd.md). One of them leads at a
 * time: it has the store open, and each of its transactions is an entry of the log before it is committed. The others
 * have a replica: the same database, to which they apply the entries. */

enum {
    SHARED_ID_BYTES = 33,     /* hexadecimal, with NUL */
    SHARED_CHAIN_BYTES = 32,  /* of a SHA-256 */
    SHARED_ADDRESS_MAX = 255, /* bytes of a controller's address */
    SHARED_TERM_MAX = 1 << 22,
    SHARED_PATCH_MAX = 128 * 1024 * 1024, /* bytes of what one transaction changed */
};

/* What a store needs of the log while its process leads. All are functions of the engine. */
struct store_log {
    /* Have an entry there, as number index, behind the one before, as long as this process leads. The writer's thread;
     * it waits. ST_OK: it is in the log for good. ST_IO: the log does not answer, and nobody knows whether the entry is
     * in it. Else it is not, and never will be: ST_MOVED: another one leads; ST_AGAIN: the log cannot be reached, and
     * nothing was sent, or it refused; ST_LIMIT: there is no room. */
    status_t (*append)(void *arg, uint64_t index, const void *entry, size_t len, struct error *err);
    /* Is it certain that no other one leads at this moment? Any thread; quick. */
    bool (*leads)(void *arg);
    /* The store has to be opened again, by this process or another one: a commit failed whose entry is in the log, or
     * append answered ST_IO or ST_MOVED. Any thread; quick. */
    void (*failed)(void *arg);
    /* Who leads, for an error's text; "" when nobody knows. */
    void (*leader)(void *arg, char ret_address[SHARED_ADDRESS_MAX + 1]);
    void *arg;
    uint64_t change_max; /* bytes of what one transaction may change; 0: SHARED_PATCH_MAX */
};

struct shared_state {
    char log[SHARED_ID_BYTES]; /* ""; it belongs to none */
    uint64_t applied;          /* number of the last entry that is in it */
    uint64_t term;             /* of that */
    uint8_t chain[SHARED_CHAIN_BYTES];
    bool empty; /* it has no bucket: nobody would miss it */
};

/* A store's folder of a controller that does not lead. One thread at a time. */
struct replica;

/* Open it, making it when it is not there, and end the leases of who had it open. Errors as store_open. */
CHECKED status_t replica_open(const char *path, const struct store_options *options,
                              struct replica **ret_replica, struct error *err);
void replica_close(struct replica *r); /* takes NULL */
CHECKED status_t replica_state(struct replica *r, struct shared_state *ret_state,
                               struct error *err);
/* Begin a log with what it has: nothing is applied yet, and its terms are behind those that are in numbers of extents.
 * log: hexadecimal digits. ST_EXIST: it belongs to one of which something is applied. */
CHECKED status_t replica_begin(struct replica *r, const char *log, struct error *err);
/* The bytes of the entry with which a controller begins to lead, behind what is applied; address: its own. */
CHECKED status_t replica_term(struct replica *r, const char *address, struct buf *ret_entry,
                              struct error *err);
/* Apply entries in order, in one transaction, and remove local files of what they remove. Those that are applied are
 * left out. ST_FORMAT, ST_CORRUPT: an entry is malformed, or of another history than this database: nothing of them is
 * applied. ST_UNSUPPORTED: of another version. */
struct shared_bytes {
    const void *data;
    size_t len;
};
CHECKED status_t replica_apply(struct replica *r, const struct shared_bytes *entries, size_t count,
                               struct error *err);
/* Is this the entry that was applied last? Also one of a former format of the store, which the program that applied it
 * knew. ST_CORRUPT: it is another one: the database has another history. */
CHECKED status_t replica_compare(struct replica *r, const void *entry, size_t len,
                                 struct error *err);

/* What another controller sent of its store (store_copy_state), in a file `copy` of the folder `path`, becomes the
 * database of that folder, unless somebody would miss what it has: ST_EXIST. log: what it must belong to. The file is
 * gone then. ST_CORRUPT, ST_FORMAT: it is none. ST_AGAIN: another process has it open. */
CHECKED status_t replica_replace(const char *path, const char *copy, const char *log,
                                 struct error *err);
/* It belongs to no log any more, and can be opened as a store of its own again, in a new term. ST_NOTFOUND: it belongs
 * to none. */
CHECKED status_t replica_leave(const char *path, struct error *err);

/* Write the whole database as it is now, at a moment between two changes, to a file, which is a new one, unless its
 * disk would be nearly full then. The next one may be made when the file is gone: store_copied. ST_AGAIN: there is one.
 * ST_LIMIT: no space. ST_IO. */
CHECKED status_t store_copy_state(struct store *s, const char *to, struct error *err);
/* After a copy that was made. Any thread. */
void store_copied(struct store *s);
/* The log of a store that is shared, and where it is. ST_NOTFOUND: it is not. */
CHECKED status_t store_shared_state(struct store *s, struct shared_state *ret_state,
                                    struct error *err);

#endif
