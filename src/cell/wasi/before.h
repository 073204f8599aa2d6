#ifndef CELL_WASI_BEFORE_H
#define CELL_WASI_BEFORE_H

#include <sys/stat.h>

#include "state.h"

/* The writing side of journals: what the functions of the ABI call in front of each change of a file or name, when
 * before_is_on. What could not be kept spoils the journal, never the guest's call. docs/internals/checkpoint.md.
 *
 * Any thread: a lock of the journal's own is held while it is written, never while guest memory is touched. */

struct before;

/* The one test that a write costs when there is no checkpoint. */
static inline bool before_is_on(const struct wasi *w)
{
    return w->before != NULL;
}

/* Bytes [offset, offset + len) of a plain file are about to be written; IO_AT_OFFSET: where its offset is, or at its
 * end with FDFLAG_APPEND. */
void before_write(struct wasi *w, const struct file_use *u, uint64_t offset, size_t len);
/* A file is about to get this size. It may take long, so it looks for requests: WASI_INTR, to be handed to
 * guest_waited; nothing has changed then. */
enum wasi_errno before_resize(void *ctx, struct wasi *w, const struct file *f, uint64_t size);
/* The same for an open descriptor that is not yet the guest's. */
enum wasi_errno before_resize_fd(void *ctx, struct wasi *w, uint32_t grant, int host_fd,
                                 uint64_t size);
/* Its times are about to be set; host_fd may be of O_PATH. */
void before_touch(struct wasi *w, uint32_t grant, int host_fd);

/* Names in directories: parent_fd and name as in struct path_parent. */
/* Something is about to be made there; without effect when something has the name. */
void before_create(struct wasi *w, uint32_t grant, int parent_fd, const char *name, bool directory);
/* A new file or directory was made there. */
void before_created(struct wasi *w, int parent_fd, const char *name);
void before_remove(struct wasi *w, uint32_t grant, int parent_fd, const char *name);
void before_rename(struct wasi *w, uint32_t from_grant, int from_fd, const char *from,
                   uint32_t to_grant, int to_fd, const char *to);

/* Take from the number of a file's links those that keep it: they are none of the guest's. */
void before_hide_links(const struct wasi *w, struct stat *st);

/* NULL is fine. */
void before_free(struct before *b);

#endif
