#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"

/* The entries of a folder in a bucket: read as a whole when its reading begins, and from then on a list, as that of a
 * folder that was half read at a freeze. Cookies are places in it. What an entry is, its inode number says. */

enum { PAGES_MAX = DIRLIST_ENTRIES_MAX }; /* a store that says "more" for ever is not believed */

struct listing {
    const struct file *dir;
    struct dirlist *raw; /* as the store gives them, in its order: folders with '/' at their end */
    size_t prefix_len;
    char last[WASI_KEY_BYTES_MAX + 2];
    int errnum;
};

/* A part that a path can have. */
static bool is_name(const char *name, size_t len)
{
    bool dots = (len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0);
    return len > 0 && len <= WASI_NAME_BYTES_MAX && !dots;
}

static bool collect(void *arg, const char *key, bool folder, const struct wasi_object_info *info)
{
    struct listing *l = arg;
    (void)info;
    const char *name = key + l->prefix_len;
    size_t len = strlen(name);
    snprintf(l->last, sizeof(l->last), "%s", key);
    if (!is_name(name, folder ? len - 1 : len)) {
        return true; /* the folder's own marker, or what no path leads to */
    }
    if (!dirlist_add(l->raw, 0, 0, name, len)) {
        l->errnum = l->raw->count == DIRLIST_ENTRIES_MAX ? EOVERFLOW : ENOMEM;
    }
    return l->errnum == 0;
}

static int collect_all(struct listing *l)
{
    const struct wasi_bucket *b = l->dir->object->bucket;
    char prefix[WASI_KEY_BYTES_MAX + 2];
    bool more = true;
    if (!object_key(b, l->dir->path, true, prefix)) {
        return ENAMETOOLONG;
    }
    l->prefix_len = strlen(prefix);
    for (uint32_t i = 0; more && i < PAGES_MAX; i++) {
        char after[WASI_KEY_BYTES_MAX + 2];
        memcpy(after, l->last, sizeof(after));
        const struct wasi_object_query q = {prefix, after, 0, collect, l};
        more = false;
        int errnum = b->ops->list(b->bucket, &q, &more);
        if (errnum != 0 || l->errnum != 0) {
            return errnum != 0 ? errnum : l->errnum;
        }
    }
    return 0;
}

/* Is there a file with the name of this folder (len without its '/')? The names are in the order of bytes. */
static bool has_file(const struct dirlist *raw, const char *folder, size_t len)
{
    uint32_t low = 0, high = raw->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *name = dirlist_name(raw, middle);
        int order = strncmp(name, folder, len);
        if (order == 0 && name[len] == '\0') {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle; /* what begins with it comes behind it */
        }
    }
    return false;
}

static bool put(struct dirlist *out, const char *name, size_t len, uint64_t ino)
{
    return dirlist_add(out, (uint64_t)out->count + 1, ino, name, len);
}

static uint64_t inode_in(const struct file *dir, const char *name, size_t len, bool folder)
{
    char path[WASI_KEY_BYTES_MAX + WASI_NAME_BYTES_MAX + 2];
    snprintf(path, sizeof(path), "%s%s%.*s", dir->path, dir->path[0] != '\0' ? "/" : "", (int)len,
             name);
    return object_inode(dir->object->bucket, path, folder);
}

static bool build(const struct file *dir, const struct dirlist *raw, struct dirlist *out)
{
    const struct wasi_bucket *b = dir->object->bucket;
    char parent[WASI_KEY_BYTES_MAX + 1];
    const char *slash = strrchr(dir->path, '/');
    snprintf(parent, sizeof(parent), "%.*s", slash != NULL ? (int)(slash - dir->path) : 0,
             dir->path);
    bool ok = put(out, ".", 1, object_inode(b, dir->path, true)) &&
              put(out, "..", 2, object_inode(b, parent, true));
    for (uint32_t i = 0; ok && i < raw->count; i++) {
        const char *name = dirlist_name(raw, i);
        size_t len = strlen(name);
        bool folder = name[len - 1] == '/';
        len -= folder ? 1 : 0;
        if (!folder || !has_file(raw, name, len)) {
            ok = put(out, name, len, inode_in(dir, name, len, folder));
        }
    }
    return ok;
}

enum wasi_errno object_list(const struct file *dir, struct dirlist **ret_list)
{
    struct listing l = {.dir = dir, .raw = calloc(1, sizeof(*l.raw))};
    struct dirlist *out = calloc(1, sizeof(*out));
    int errnum = l.raw == NULL || out == NULL ? ENOMEM : collect_all(&l);
    if (errnum == 0 && !build(dir, l.raw, out)) {
        errnum = out->count == DIRLIST_ENTRIES_MAX ? EOVERFLOW : ENOMEM;
    }
    dirlist_free(l.raw);
    if (errnum != 0) {
        dirlist_free(out);
        return wasi_errno_from_host(errnum);
    }
    *ret_list = out;
    return WASI_OK;
}
