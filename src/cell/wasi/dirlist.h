#ifndef CELL_WASI_DIRLIST_H
#define CELL_WASI_DIRLIST_H

#include "base/buf.h"

/* The entries of a directory as they were when a snapshot was made, for a guest that has read only some of them.
 * Cookies are positions of one file system; in a snapshot they are only names: a cookie says at which entry of this
 * list to go on. So a half-done reading ends as it began, also where the directory has another order.
 * Zeroed memory is a valid empty list. Not safe for several threads. */

enum {
    DIRLIST_ENTRIES_MAX = 1 << 20,
    DIRLIST_MARKS = 2 /* where the last read began and ended */
};
#define DIRLIST_NONE UINT32_MAX

struct dirlist_entry {
    uint64_t next; /* the guest's cookie behind this entry */
    uint64_t ino;  /* as the guest sees it; 0: not known */
    size_t name_off;
};

/* A cookie of an entry that is gone: programs remove what they have read. */
struct dirlist_mark {
    uint64_t cookie;
    uint32_t index; /* of the entry to go on with; count: the end */
};

struct dirlist {
    struct dirlist_entry *entries;
    uint32_t count;
    uint32_t cap;
    uint32_t hint; /* the entry found last */
    uint32_t mark_count;
    struct dirlist_mark marks[DIRLIST_MARKS];
    struct buf names;
};

/* False when it is full or memory ran out; then nothing is added. name: no NUL inside. */
bool dirlist_add(struct dirlist *l, uint64_t next, uint64_t ino, const char *name, size_t len);
/* The index of the entry behind cookie, which may be count, or DIRLIST_NONE. */
uint32_t dirlist_find(struct dirlist *l, uint64_t cookie);
/* Belongs to l, until the next dirlist_add. */
const char *dirlist_name(const struct dirlist *l, uint32_t index);
/* For lists from calloc. NULL is fine. */
void dirlist_free(struct dirlist *l);

#endif
