#ifndef GEDS_MASTER_H
#define GEDS_MASTER_H

#include <limits.h>

#include "geds/crypt.h"
#include "seal.h"

/* Master keys, the newest last: what is in their file, in memory that is locked and in no core dump. Who has it guards
 * it. */
struct masters {
    uint64_t ids[STORE_MASTER_KEYS_MAX];
    size_t count;
    uint8_t (*keys)[SEAL_KEY_BYTES]; /* STORE_MASTER_KEYS_MAX; NULL before masters_init */
};
enum { MASTERS_TEXT_MAX = 16 * 1024 };

CHECKED status_t masters_init(struct masters *m, struct error *err);
void masters_done(struct masters *m); /* takes zeroed ones */

/* The text of a file. m: empty. ST_FORMAT: a line is no `ID KEY`, an id is not that of its key, or twice. */
CHECKED status_t masters_parse(struct masters *m, const char *text, size_t len, struct error *err);
/* ST_NOTFOUND, ST_PERM: others may read it, ST_FORMAT. m has no keys then. */
CHECKED status_t masters_read(struct masters *m, const char *path, struct error *err);
/* On return it survives a crash of the machine. path: of masters_lock. */
CHECKED status_t masters_write(const struct masters *m, const char *path, struct error *err);

/* A file that this process alone changes: other stores may have the same one. */
struct masters_lock {
    char path[PATH_MAX]; /* what the given path leads to: links stay links */
    char lock[PATH_MAX]; /* `.NAME.lock` beside it */
    int fd;
};
/* Waits, and removes what was left of writes that did not end. ST_NOTFOUND: a link that leads nowhere, or no folder. */
CHECKED status_t masters_lock(const char *path, struct masters_lock *ret_lock, struct error *err);
void masters_unlock(struct masters_lock *l);
/* Remove what was left of writes that did not end, if that is possible. */
void masters_tidy(const char *path);

/* A random one at the end. ST_LIMIT: there are STORE_MASTER_KEYS_MAX. */
CHECKED status_t masters_add(struct masters *m, struct error *err);
/* NULL: not there. */
const uint8_t *masters_find(const struct masters *m, uint64_t id);
void masters_remove(struct masters *m, uint64_t id);
/* One more at the end; the first one goes where there are STORE_MASTER_KEYS_MAX. */
void masters_keep(struct masters *m, uint64_t id, const uint8_t key[SEAL_KEY_BYTES]);
void masters_copy(struct masters *to, const struct masters *from);
/* Take in the keys of others that are not there, but for `without` (0: none), as older ones: the newest stays.
 * ST_LIMIT: there would be more than STORE_MASTER_KEYS_MAX. */
CHECKED status_t masters_join(struct masters *m, const struct masters *others, uint64_t without,
                              struct error *err);

#endif
