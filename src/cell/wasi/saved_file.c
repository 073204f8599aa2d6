#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "saved.h"

/* Head and descriptors of a saved state, which are read to restore it and to describe it. */

bool saved_version_known(uint32_t version)
{
    return version > 0 && version <= SAVED_VERSION;
}

void saved_take_head(struct cursor *c, struct saved_head *ret_head)
{
    struct saved_head head = {0};
    if (cursor_le32(c) != SAVED_MAGIC) {
        cursor_fail(c, "not a WASI state");
    }
    head.version = cursor_le32(c);
    if (saved_version_known(head.version)) {
        (void)cursor_le64(c); /* the time of day */
        head.monotonic_ns = saved_take_i63(c, "monotonic time too large");
        head.cpu_ns = saved_take_i63(c, "CPU time too large");
        head.output_bytes = cursor_le64(c);
        head.progress = saved_take_i63(c, "progress too large");
    }
    *ret_head = head;
}

static void check(struct cursor *c, uint32_t version, uint32_t grant_count,
                  const struct saved_file *f)
{
    const char *wrong = NULL;
    if (f->fd >= WASI_OPEN_FILES_MAX) {
        wrong = "too large a descriptor";
    } else if (f->origin >= SAVED_ORIGIN_COUNT || f->kind > FILE_LISTENER ||
               f->filetype > FILETYPE_SYMBOLIC_LINK || (f->bits & ~SAVED_BITS_KNOWN) != 0) {
        wrong = "an unknown kind of descriptor";
    } else if ((f->flags & ~FDFLAGS_KNOWN) != 0) {
        wrong = "unknown flags of a descriptor";
    } else if (((f->rights_base | f->rights_inheriting) & ~RIGHTS_KNOWN) != 0) {
        wrong = "unknown rights of a descriptor";
    } else if (f->origin == SAVED_ORIGIN_BUCKET &&
               (version < SAVED_VERSION_BUCKETS || strlen(f->path) > WASI_KEY_BYTES_MAX ||
                (f->kind != FILE_PLAIN && f->kind != FILE_DIRECTORY))) {
        wrong = "a descriptor that no bucket has";
    } else if ((f->origin == SAVED_ORIGIN_PATH || f->origin == SAVED_ORIGIN_BUCKET) &&
               f->index >= grant_count) {
        wrong = "a descriptor beneath an unknown grant";
    } else if (f->origin == SAVED_ORIGIN_LISTEN && f->index >= WASI_OPEN_FILES_MAX) {
        wrong = "too many listening sockets";
    } else if (f->origin == SAVED_ORIGIN_STDIO && f->index >= WASI_STDIO_COUNT) {
        wrong = "an unknown standard descriptor";
    }
    if (wrong != NULL) {
        cursor_fail(c, wrong);
    }
}

static void take_object(struct cursor *c, struct saved_file *f)
{
    size_t len;
    const char *etag = saved_take_text(c, WASI_ETAG_BYTES - 1, "too long an etag", &len);
    if (etag != NULL) {
        memcpy(f->etag, etag, len);
    }
    f->staged = cursor_le32(c);
}

static bool take_details(struct cursor *c, uint32_t version, struct saved_file *f)
{
    if (f->kind == FILE_PLAIN) {
        f->offset = saved_take_i63(c, "an offset too large");
        f->size = saved_take_i63(c, "a size too large");
        f->mtime_ns = cursor_le64(c);
        if (f->origin == SAVED_ORIGIN_BUCKET) {
            take_object(c, f);
        }
    } else if (f->kind == FILE_DIRECTORY) {
        f->list = calloc(1, sizeof(*f->list));
        if (f->list == NULL || !saved_take_list(c, version, f->list)) {
            return false;
        }
        if (f->list->count == 0 && f->list->mark_count == 0) {
            dirlist_free(f->list);
            f->list = NULL;
        }
    }
    return true;
}

bool saved_take_file(struct cursor *c, uint32_t version, uint32_t grant_count, uint32_t from,
                     struct saved_file *f)
{
    size_t len;
    f->fd = cursor_le32(c);
    if (f->fd < from) {
        cursor_fail(c, "descriptors out of order");
    }
    f->origin = cursor_u8(c);
    f->kind = cursor_u8(c);
    f->filetype = cursor_u8(c);
    f->bits = cursor_u8(c);
    f->flags = cursor_le16(c);
    f->rights_base = cursor_le64(c);
    f->rights_inheriting = cursor_le64(c);
    f->index = cursor_le32(c);
    const char *path = saved_take_text(c, WASI_PATH_BYTES_MAX, "too long a path", &len);
    if (version >= SAVED_VERSION_IDS) {
        f->id = saved_take_key(c);
    }
    if (path != NULL) {
        memcpy(f->path, path, len);
        f->path[len] = '\0';
    }
    check(c, version, grant_count, f);
    if (c->failed) {
        return true;
    }
    return take_details(c, version, f);
}
