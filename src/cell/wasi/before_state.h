#ifndef CELL_WASI_BEFORE_STATE_H
#define CELL_WASI_BEFORE_STATE_H

#include <pthread.h>
#include <sys/stat.h>

#include "before.h"
#include "journal.h"

/* What before.c and before_names.c share. */

enum { BEFORE_BUCKETS = 1024, BEFORE_GRANULE_BYTES = 1 << 16 };

/* A file that was changed or made since the checkpoint. */
struct before_file {
    dev_t dev;
    ino_t ino;
    bool made;      /* since the checkpoint: it has no former state */
    bool recorded;  /* its size is in the journal */
    uint64_t size;  /* when recorded; bytes behind it need no image */
    uint8_t *saved; /* a bit for each granule of it */
    uint32_t kept;  /* number of the hard link that keeps it, or 0 */
    char *output;   /* standard output: its place's path, as of the checkpoint */
    bool other;     /* a name of it was removed that is to be a link to another one again */
    struct before_file *next;
};

struct before {
    pthread_mutex_t lock;
    int folder_fd; /* locked */
    dev_t folder_dev;
    int journal_fd; /* -1: given up */
    uint32_t number;
    uint32_t kept_count;
    uint64_t end; /* of what is in the journal */
    bool unsynced;
    bool has_output; /* standard output is a plain file, of these numbers */
    dev_t output_dev;
    ino_t output_ino;
    struct before_file *files[BEFORE_BUCKETS];
    char lost[JOURNAL_LOST_MAX];
};

/* All with the lock held. */

struct before_file *before_find(struct before *b, const struct stat *st);
/* NULL: no memory, and given up. */
struct before_file *before_add(struct before *b, const struct stat *st);
/* Append; false when it was given up. before_sync has to follow before anything is changed. */
bool before_put(struct before *b, const struct journal_record *r);
bool before_sync(struct before *b);
/* what: "the guest's name of a file" and why. errnum 0: none. */
void before_lose(struct before *b, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A name beneath a grant, as it is now: text has WASI_PATH_BYTES_MAX + 1 bytes. False: given up. */
bool before_name(struct before *b, const struct wasi *w, uint32_t grant, int parent_fd,
                 const char *name, char *text, struct journal_place *ret_place);
/* A name of the file beneath the grant that is not `known`, which has an empty path if any will do; text as above.
 * False: none was found. */
bool before_other_name(const struct wasi *w, uint32_t grant, const struct stat *st,
                       const struct journal_place *known, char *text,
                       struct journal_place *ret_place);

#endif
