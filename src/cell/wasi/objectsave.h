#ifndef CELL_WASI_OBJECTSAVE_H
#define CELL_WASI_OBJECTSAVE_H

#include "object.h"
#include "saved.h"

/* Files beneath buckets in a saved state; docs/internals/geds-dir.md has the format. */

enum {
    STAGED_DIRTY = 1,
    STAGED_ONLY_NEW = 2,
    STAGED_ONLY_SAME = 4,
    STAGED_NAMELESS = 8,
    STAGED_BITS_KNOWN = 15,
    STAGED_FILE_BYTES_MIN = 25,
};

/* A staged file of a state. */
struct saved_staged {
    uint32_t grant; /* of the state */
    uint8_t bits;
    char path[WASI_KEY_BYTES_MAX + 1];
    struct wasi_object_info info;
    const uint8_t *data; /* with DIRTY or NAMELESS: all bytes, borrowed from the state */
    struct staged *made; /* once one of its descriptors was restored: counted */
};

/* All of w. ST_UNSUPPORTED: they are too many bytes; ST_NOMEM, ST_IO. */
CHECKED status_t saved_put_staged(struct wasi *w, struct buf *out, struct error *err);
/* Will a thaw find what descriptor fd is of? ST_OK also when the store does not say. ST_UNSUPPORTED: it is not there
 * under its name any more. */
CHECKED status_t saved_check_object(const struct file *f, uint32_t fd, struct error *err);
/* The number of one in what saved_put_staged wrote, from 1. */
uint32_t saved_staged_number(struct wasi *w, const struct staged *s);
/* Into an array of the arena. False when memory ran out. */
bool saved_take_staged(struct cursor *c, struct arena *arena, uint32_t grant_count,
                       struct saved_staged **ret_list, uint32_t *ret_count);

/* Make descriptors of a saved one: of a folder, of a file that is only read, of a staged one. grant: of w. stale: take
 * the object as it is now. ENOENT: nothing is there; ESTALE: another object is; or what else went wrong. */
int object_restore_folder(struct wasi *w, uint32_t grant, const char *path, struct file **ret_f);
int object_restore_reader(struct wasi *w, uint32_t grant, const struct saved_file *s, bool stale,
                          struct file **ret_f);
int object_restore_staged(struct wasi *w, uint32_t grant, const struct saved_file *s,
                          struct saved_staged *staged, bool stale, struct file **ret_f);

#endif
