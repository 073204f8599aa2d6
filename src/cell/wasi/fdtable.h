#ifndef CELL_WASI_FDTABLE_H
#define CELL_WASI_FDTABLE_H

#include <pthread.h>
#include <stdbool.h>

#include "cookies.h"
#include "dirlist.h"
#include "preview1.h"

/* The guest's descriptors. A number stands for one open file; numbers are given lowest first.
 *
 * A thread that works on a file holds a counted reference, never the lock: the lock covers look-ups and
 * changes of the table only, so nothing that blocks, touches guest memory or ends the cell happens
 * under it. A file closed meanwhile lives until its last user lets go; one whose user never came back
 * is closed with the table. */

enum file_kind { FILE_PLAIN, FILE_DIRECTORY, FILE_STREAM, FILE_SOCKET, FILE_LISTENER };

/* An open file: what a snapshot has to know, too. The offset of plain files is the host descriptor's. */
struct file {
    /* Immutable while open. */
    enum file_kind kind;
    uint8_t filetype; /* FILETYPE_* */
    int host_fd;
    bool borrowed;      /* the host descriptor belongs to the embedder */
    bool read_only;     /* beneath a read-only grant */
    bool counts_output; /* standard output or error */
    uint32_t handed; /* by the embedder: standard descriptor, FILE_HANDED_LISTEN + n; or FILE_* */
    uint32_t grant;  /* index of the grant, or FILE_NO_GRANT */
    char *
        path; /* beneath the grant, without "." parts; "": the grant itself; NULL: none, or too long to keep */
    char *preopen; /* the guest's name of a grant's first descriptor, else NULL */
    pthread_mutex_t
        dir_lock; /* of directories: the host's offset during one read of entries, and what follows */
    struct cookies cookies;
    uint64_t
        dir_marks[DIRLIST_MARKS]; /* cookies with which the guest may go on; both 0: not begun */
    struct dirlist *list;         /* begun before a restore: what is still to be read, else NULL */
    struct object *object;        /* it is beneath a bucket: object.h; NULL: a file of the host */
    /* Guarded by the table's lock. */
    uint64_t rights_base;
    uint64_t rights_inheriting;
    uint16_t flags; /* FDFLAG_* */
    uint32_t refs;
    struct file *prev, *next;
};

#define FILE_NO_GRANT UINT32_MAX
#define FILE_HANDED_LISTEN UINT32_C(3)
#define FILE_NOT_HANDED UINT32_MAX
#define FILE_LOST (UINT32_MAX - 1) /* not found at a restore: a number without rights */

/* A file in use, with its changeable parts as they were when it was looked up. */
struct file_use {
    struct file *file;
    uint64_t rights_base;
    uint64_t rights_inheriting;
    uint16_t flags;
};

struct fdtable {
    pthread_mutex_t lock;
    struct file **slots; /* slot_cap entries, NULL: free */
    uint32_t slot_cap;
    uint32_t lowest_free; /* no free slot below it */
    uint32_t open_count;
    uint32_t open_max;
    struct file *all; /* open or still in use */
};

/* open_max: descriptors at most, 1..WASI_OPEN_FILES_MAX. One thread. */
void fdtable_init(struct fdtable *t, uint32_t open_max);
/* Close everything, also what is marked as in use: no thread may be inside a call. */
void fdtable_done(struct fdtable *t);

/* A file that belongs to no number yet: takes over host_fd unless borrowed. Type, kind, flags and the largest
 * sensible rights are read from the descriptor; the rest is for the caller to fill in (path and preopen
 * malloc'd). NULL with *ret_errnum set on failure; then host_fd stays the caller's. */
struct file *file_new(int host_fd, bool borrowed, int *ret_errnum);
/* Undo file_new for a file that was never added. */
void file_free(struct file *f);

/* The path of a file opened as name in a directory opened as dir_path: malloc'd; NULL when dir_path is NULL,
 * the result would be longer than WASI_PATH_BYTES_MAX, or memory ran out. */
char *file_path_join(const char *dir_path, const char *name);

/* Give f the lowest free number. WASI_MFILE at the limit, WASI_NOMEM: f stays the caller's. Any thread. */
enum wasi_errno fdtable_add(struct fdtable *t, struct file *f, uint32_t *ret_fd);
/* Give f a number of the caller's choice. WASI_EXIST when it is taken; WASI_BADF from WASI_OPEN_FILES_MAX on; else as
 * fdtable_add. Any thread. */
enum wasi_errno fdtable_add_at(struct fdtable *t, struct file *f, uint32_t fd);
/* True when fdtable_add would fail now: asked before an open that creates or truncates. Any thread. */
bool fdtable_is_full(struct fdtable *t);

/* Look up fd and require rights. Ends with file_put. Any thread.
 * WASI_BADF; for a missing right WASI_ISDIR, WASI_NOTDIR or WASI_NOTSOCK when no file of this type has it, else
 * WASI_NOTCAPABLE; WASI_ROFS when it would change a read-only grant. */
enum wasi_errno fdtable_use(struct fdtable *t, uint32_t fd, uint64_t rights,
                            struct file_use *ret_use);
void file_put(struct fdtable *t, struct file_use *u);

/* Every file that is open or in use, with the table's lock held. Any thread. */
void fdtable_each(struct fdtable *t, void (*each)(void *arg, struct file *f), void *arg);

/* Any thread. WASI_BADF. */
enum wasi_errno fdtable_close(struct fdtable *t, uint32_t fd);
/* Close `to` and let it stand for from's file; from becomes free. Both must be open (WASI_BADF). Any thread. */
enum wasi_errno fdtable_renumber(struct fdtable *t, uint32_t from, uint32_t to);
/* WASI_BADF; WASI_NOTCAPABLE when a right would be added. Any thread. */
enum wasi_errno fdtable_set_rights(struct fdtable *t, uint32_t fd, uint64_t base,
                                   uint64_t inheriting);
/* Needs RIGHT_FD_FDSTAT_SET_FLAGS; errors of fdtable_use, WASI_INVAL for an unknown flag. Any thread. */
enum wasi_errno fdtable_set_flags(struct fdtable *t, uint32_t fd, uint16_t flags);

/* FILETYPE_* of a mode as stat gives it. Pipes count as stream sockets: preview 1 has no type for them and the
 * C library's S_ISFIFO and S_ISSOCK are the same test. */
uint8_t filetype_from_mode(uint32_t mode);

#endif
