#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "imagecache/cache.h"
#include "sys/files.h"

/* Entries beyond this many are ignored by one pass: a bound on memory, not on the cache. */
enum { ENTRIES_FIRST = 64, ENTRIES_MAX = 1 << 20 };

struct listing {
    struct arena *arena;
    struct image_cache_entry *entries;
    uint32_t count;
    uint32_t cap;
};

static bool ends_with(const char *name, const char *suffix, size_t *ret_stem_len)
{
    size_t len = strlen(name), more = strlen(suffix);
    if (len <= more || len - more >= IMAGE_KEY_MAX || strcmp(name + len - more, suffix) != 0) {
        return false;
    }
    *ret_stem_len = len - more;
    return true;
}

static status_t listing_add(struct listing *l, const char *name, size_t len, const struct stat *st)
{
    if (l->count == ENTRIES_MAX) {
        return ST_OK;
    }
    if (l->count == l->cap) {
        uint32_t cap = l->cap == 0 ? ENTRIES_FIRST : l->cap * 2;
        struct image_cache_entry *entries = arena_alloc(l->arena, cap, sizeof *entries);
        if (entries == NULL) {
            return ST_NOMEM;
        }
        if (l->count > 0) {
            memcpy(entries, l->entries, l->count * sizeof *entries);
        }
        l->entries = entries;
        l->cap = cap;
    }
    struct image_cache_entry *e = &l->entries[l->count++];
    memcpy(e->name, name, len);
    e->name[len] = '\0';
    e->bytes = (uint64_t)st->st_size;
    e->used_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
    return ST_OK;
}

static int by_use(const void *a, const void *b)
{
    const struct image_cache_entry *x = a, *y = b;
    if (x->used_ns != y->used_ns) {
        return x->used_ns > y->used_ns ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

/* All files of the folder with this suffix, those used last first. */
static status_t list_files(const struct image_cache *c, const char *suffix, struct listing *l,
                           struct error *err)
{
    DIR *d = opendir(c->dir);
    if (d == NULL) {
        return errno == ENOENT ? ST_OK : error_set_errno(err, errno, "%s", c->dir);
    }
    status_t code = ST_OK;
    for (struct dirent *e; code == ST_OK && (e = readdir(d)) != NULL;) {
        size_t len;
        struct stat st;
        if (ends_with(e->d_name, suffix, &len) &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            code = listing_add(l, e->d_name, len, &st);
        }
    }
    closedir(d);
    if (code != ST_OK) {
        return error_set(err, code, ERROR_NO_OFFSET, "%s: out of memory", c->dir);
    }
    if (l->count > 0) {
        qsort(l->entries, l->count, sizeof *l->entries, by_use);
    }
    return ST_OK;
}

status_t image_cache_list(const struct image_cache *c, struct arena *a,
                          struct image_cache_entry **ret_entries, uint32_t *ret_count,
                          struct error *err)
{
    struct listing l = {.arena = a};
    status_t code = list_files(c, ".cell", &l, err);
    if (code == ST_OK) {
        *ret_entries = l.entries;
        *ret_count = l.count;
    }
    return code;
}

static bool path_of(const struct image_cache *c, const char *name, const char *suffix,
                    char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s%s", c->dir, name, suffix);
    return len > 0 && len < PATH_MAX;
}

/* Remove one file of a key while nobody is making that key's image. */
static bool remove_unless_busy(const struct image_cache *c, const char *key, const char *suffix)
{
    char lock_path[PATH_MAX], path[PATH_MAX];
    int lock = -1;
    if (!path_of(c, key, ".lock", lock_path) || !path_of(c, key, suffix, path) ||
        file_lock(lock_path, false, &lock, NULL) != ST_OK) {
        return false;
    }
    bool removed = unlink(path) == 0;
    file_lock_release(lock, lock_path);
    return removed;
}

/* Names whose images are gone. */
static void remove_names(const struct image_cache *c, struct arena *a)
{
    char path[PATH_MAX];
    struct listing names = {.arena = a};
    if (list_files(c, ".name", &names, NULL) != ST_OK) {
        return;
    }
    for (uint32_t i = 0; i < names.count; i++) {
        const char *key = names.entries[i].name;
        if (path_of(c, key, ".cell", path) && access(path, F_OK) != 0) {
            remove_unless_busy(c, key, ".name");
        }
    }
}

/* What interrupted compiles left behind. */
static void remove_leftovers(const struct image_cache *c, struct arena *a)
{
    struct listing parts = {.arena = a};
    remove_names(c, a);
    if (list_files(c, ".part", &parts, NULL) == ST_OK) {
        for (uint32_t i = 0; i < parts.count; i++) {
            remove_unless_busy(c, parts.entries[i].name, ".part");
        }
    }
}

static void trim_entries(const struct image_cache *c, const struct listing *l, uint64_t limit_bytes,
                         const char *keep, struct image_cache_removed *removed)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        total += l->entries[i].bytes;
    }
    for (uint32_t i = l->count; i > 0 && total > limit_bytes; i--) {
        const struct image_cache_entry *e = &l->entries[i - 1];
        if (keep != NULL && strcmp(e->name, keep) == 0) {
            continue;
        }
        if (remove_unless_busy(c, e->name, ".cell")) {
            remove_unless_busy(c, e->name, ".name");
            remove_unless_busy(c, e->name, ".failed");
            total -= e->bytes;
            removed->count++;
            removed->bytes += e->bytes;
        }
    }
}

status_t image_cache_trim(const struct image_cache *c, uint64_t limit_bytes, const char *keep,
                          struct image_cache_removed *ret_removed, struct error *err)
{
    struct image_cache_removed removed = {0};
    struct arena arena = {0};
    struct listing l = {.arena = &arena};
    status_t code = list_files(c, ".cell", &l, err);
    if (code == ST_OK) {
        trim_entries(c, &l, limit_bytes, keep, &removed);
        remove_leftovers(c, &arena);
        *ret_removed = removed;
    }
    arena_done(&arena);
    return code;
}

void image_cache_module_path(const struct image_cache *c, const char *name, char ret_path[PATH_MAX])
{
    char path[PATH_MAX];
    struct buf text = {0};
    ret_path[0] = '\0';
    if (path_of(c, name, ".name", path) && file_read(path, PATH_MAX - 1, &text, NULL) == ST_OK) {
        snprintf(ret_path, PATH_MAX, "%.*s", (int)text.len, (const char *)text.data);
    }
    buf_done(&text);
}

status_t image_cache_find_any(const struct image_cache *c, const struct image_key *key,
                              char ret_path[PATH_MAX], struct error *err)
{
    char text[IMAGE_KEY_MAX];
    image_key_text(key, text);
    size_t prefix = (size_t)(strrchr(text, '.') - text) + 1;
    struct arena arena = {0};
    struct listing l = {.arena = &arena};
    status_t code = list_files(c, ".cell", &l, err);
    bool found = false;
    for (uint32_t i = 0; code == ST_OK && !found && i < l.count; i++) {
        found = strncmp(l.entries[i].name, text, prefix) == 0 &&
                path_of(c, l.entries[i].name, ".cell", ret_path);
    }
    arena_done(&arena);
    if (code == ST_OK && !found) {
        code = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no image of this module in %s",
                         c->dir);
    }
    return code;
}
