#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir.h"
#include "guest.h"
#include "object.h"
#include "stat.h"

enum { DIR_CHUNK_BYTES = 8192, LIST_TRIES = 8 };

/* Some entries of a directory, in the file system's order. */
struct dir_chunk {
    size_t len; /* 0: the end */
    size_t pos;
    _Alignas(8) char data[DIR_CHUNK_BYTES];
};

struct dir_entry {
    uint64_t next_cookie;
    uint64_t ino;
    uint8_t type;     /* FILETYPE_* */
    const char *name; /* points into the chunk */
    uint32_t name_len;
};

static struct dirent64 *entry_at(struct dir_chunk *c, size_t pos)
{
    return (struct dirent64 *)(void *)(c->data + pos);
}

/* Put cookies in the place of the file system's positions. */
static void name_positions(struct file *f, struct dir_chunk *c, ssize_t len)
{
    for (ssize_t pos = 0; pos < len; pos += entry_at(c, (size_t)pos)->d_reclen) {
        struct dirent64 *d = entry_at(c, (size_t)pos);
        d->d_off = (off64_t)cookies_name(&f->cookies, (uint64_t)d->d_off);
    }
}

/* Append an entry of f's list as the file system would give it; one that is gone meanwhile is left out.
 * False when the chunk is full. */
static bool put_listed(const struct file *f, uint32_t index, struct dir_chunk *c)
{
    struct stat st;
    const char *name = dirlist_name(f->list, index);
    size_t name_len = strlen(name) + 1;
    size_t len = (offsetof(struct dirent64, d_name) + name_len + 7) & ~(size_t)7;
    if (len > sizeof(c->data) - c->len) {
        return false;
    }
    if (f->object != NULL) {
        st.st_ino = f->list->entries[index].ino;
        st.st_mode = object_inode_is_folder(st.st_ino) ? S_IFDIR : S_IFREG;
    } else if (fstatat(f->host_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return true;
    }
    struct dirent64 *d = entry_at(c, c->len);
    memset(d, 0, len);
    d->d_ino = st.st_ino;
    d->d_off = (off64_t)f->list->entries[index].next;
    d->d_reclen = (uint16_t)len;
    d->d_type = (uint8_t)IFTODT(st.st_mode);
    memcpy(d->d_name, name, name_len);
    c->len += len;
    f->list->hint = index;
    return true;
}

static enum wasi_errno read_listed(struct file *f, uint64_t cookie, struct dir_chunk *c)
{
    uint32_t i = dirlist_find(f->list, cookie);
    if (i == DIRLIST_NONE) {
        return WASI_INVAL;
    }
    while (i < f->list->count && put_listed(f, i, c)) {
        i++;
    }
    return WASI_OK;
}

static enum wasi_errno read_live(struct file *f, uint64_t cookie, struct dir_chunk *c)
{
    ssize_t n = -1;
    off_t position = (off_t)cookies_position(&f->cookies, cookie);
    if (lseek(f->host_fd, position, SEEK_SET) >= 0) {
        n = getdents64(f->host_fd, c->data, sizeof(c->data));
    }
    if (n < 0) {
        /* ENOENT: the directory has been removed and is empty. */
        return errno == ENOENT ? WASI_OK : wasi_errno_from_host(errno);
    }
    name_positions(f, c, n);
    c->len = (size_t)n;
    return WASI_OK;
}

/* Read what follows cookie: 0 for the start, else the next_cookie of an entry of this directory. Cookies stand
 * for the file system's own positions, so they stay good while entries come and go. What was begun before a restore
 * goes on in its list, until it is begun anew. Any thread. */
static enum wasi_errno chunk_read(struct file *f, uint64_t cookie, struct dir_chunk *ret_chunk)
{
    if (cookie > INT64_MAX) {
        return WASI_INVAL;
    }
    ret_chunk->len = 0;
    ret_chunk->pos = 0;
    pthread_mutex_lock(&f->dir_lock);
    if (cookie == 0) {
        dirlist_free(f->list);
        f->list = NULL;
    }
    if (f->object != NULL && f->list == NULL) {
        enum wasi_errno listed = object_list(f, &f->list);
        if (listed != WASI_OK) {
            pthread_mutex_unlock(&f->dir_lock);
            return listed;
        }
    }
    enum wasi_errno e = f->list != NULL ? read_listed(f, cookie, ret_chunk)
                                        : read_live(f, cookie, ret_chunk);
    pthread_mutex_unlock(&f->dir_lock);
    return e;
}

static uint8_t type_of(const struct file *f, const struct dirent64 *d)
{
    if (d->d_type != DT_UNKNOWN) {
        return filetype_from_mode((uint32_t)DTTOIF(d->d_type));
    }
    struct stat st;
    return fstatat(f->host_fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
               ? filetype_from_mode(st.st_mode)
               : FILETYPE_UNKNOWN;
}

/* The number as the guest knows it. The parent of a grant is none of the guest's business: ".." there is the grant
 * itself. */
static uint64_t ino_of(const struct ids *ids, const struct file *f, const struct dirent64 *d)
{
    struct stat st;
    if (f->object != NULL) {
        return d->d_ino;
    }
    bool above = f->path != NULL && f->path[0] == '\0' && strcmp(d->d_name, "..") == 0;
    if ((!above && ids_are_native(ids)) || fstat(f->host_fd, &st) != 0) {
        return d->d_ino;
    }
    st.st_ino = above ? st.st_ino : d->d_ino;
    return stat_shown(ids, &st).ino;
}

/* Take the next entry; false at the end of the chunk. */
static bool chunk_next(const struct ids *ids, const struct file *f, struct dir_chunk *c,
                       struct dir_entry *ret_entry)
{
    if (c->pos >= c->len) {
        return false;
    }
    const struct dirent64 *d = entry_at(c, c->pos);
    *ret_entry = (struct dir_entry){
        .next_cookie = (uint64_t)d->d_off,
        .ino = ino_of(ids, f, d),
        .type = type_of(f, d),
        .name = d->d_name,
        .name_len = (uint32_t)strlen(d->d_name),
    };
    c->pos += d->d_reclen;
    return true;
}

/* Append what fits. */
static uint32_t append(uint8_t *buf, uint32_t cap, uint32_t used, const void *data, uint32_t len)
{
    uint32_t n = len < cap - used ? len : cap - used;
    memcpy(buf + used, data, n);
    return used + n;
}

static uint32_t append_entry(uint8_t *buf, uint32_t cap, uint32_t used,
                             const struct dir_entry *entry)
{
    uint8_t head[DIRENT_BYTES] = {0};
    put_le64(head, entry->next_cookie);
    put_le64(head + 8, entry->ino);
    put_le32(head + 16, entry->name_len);
    head[20] = entry->type;
    used = append(buf, cap, used, head, sizeof(head));
    return append(buf, cap, used, entry->name, entry->name_len);
}

static void set_marks(struct file *f, uint64_t from, uint64_t to)
{
    pthread_mutex_lock(&f->dir_lock);
    f->dir_marks[0] = from;
    f->dir_marks[1] = to;
    pthread_mutex_unlock(&f->dir_lock);
}

/* The buffer is filled to its last byte, with a part of an entry if need be, until the directory ends: that is
 * how a guest tells the end. */
static enum wasi_errno fill(void *ctx, const struct ids *ids, struct file *f, uint64_t from,
                            uint8_t *buf, uint32_t cap, uint32_t *ret_used)
{
    struct dir_chunk chunk;
    struct dir_entry entry;
    uint64_t cookie = from,
             whole = from; /* behind the last entry, and the last one without a cut */
    uint32_t used = 0;
    while (used < cap) {
        enum wasi_errno e = chunk_read(f, cookie, &chunk);
        if (e != WASI_OK) {
            return e;
        }
        if (chunk.len == 0) {
            break;
        }
        while (used < cap && chunk_next(ids, f, &chunk, &entry)) {
            bool fits = cap - used >= DIRENT_BYTES + entry.name_len;
            used = append_entry(buf, cap, used, &entry);
            cookie = entry.next_cookie;
            whole = fits ? cookie : whole;
        }
        if (!host_poll(ctx)) {
            break;
        }
    }
    set_marks(f, from, whole);
    *ret_used = used;
    return WASI_OK;
}

/* ---- for snapshots ---- */

static enum wasi_errno list_entries(const struct ids *ids, struct file *f, struct dirlist *l)
{
    struct dir_chunk chunk;
    struct dir_entry entry;
    uint64_t cookie = 0;
    for (;;) {
        enum wasi_errno e = chunk_read(f, cookie, &chunk);
        if (e != WASI_OK || chunk.len == 0) {
            return e;
        }
        while (chunk_next(ids, f, &chunk, &entry)) {
            cookie = entry.next_cookie;
            if (!dirlist_add(l, cookie, entry.ino, entry.name, entry.name_len)) {
                return l->count == DIRLIST_ENTRIES_MAX ? WASI_OVERFLOW : WASI_NOMEM;
            }
        }
    }
}

/* Find where the guest goes on with a cookie: the file system knows it also when the entry is gone. */
static enum wasi_errno list_mark(const struct ids *ids, struct file *f, struct dirlist *l,
                                 uint64_t cookie)
{
    struct dir_chunk chunk;
    struct dir_entry entry;
    uint32_t index = l->count;
    enum wasi_errno e = chunk_read(f, cookie, &chunk);
    if (e != WASI_OK) {
        return e;
    }
    if (chunk_next(ids, f, &chunk, &entry)) {
        uint32_t behind = dirlist_find(l, entry.next_cookie);
        if (behind == DIRLIST_NONE || behind == 0) {
            return WASI_AGAIN;
        }
        index = behind - 1;
    }
    l->marks[l->mark_count++] = (struct dirlist_mark){cookie, index};
    return WASI_OK;
}

static enum wasi_errno list_all(const struct ids *ids, struct file *f, struct dirlist *l)
{
    enum wasi_errno e = list_entries(ids, f, l);
    for (int i = 0; e == WASI_OK && i < DIRLIST_MARKS; i++) {
        if (f->dir_marks[i] != 0) {
            e = list_mark(ids, f, l, f->dir_marks[i]);
        }
    }
    return e;
}

enum wasi_errno dir_list(const struct ids *ids, struct file *f, struct dirlist **ret_list)
{
    enum wasi_errno e = WASI_AGAIN;
    *ret_list = NULL;
    if (f->list != NULL || (f->dir_marks[0] == 0 && f->dir_marks[1] == 0)) {
        return WASI_OK;
    }
    for (int tries = 0; e == WASI_AGAIN && tries < LIST_TRIES; tries++) {
        struct dirlist *l = calloc(1, sizeof(*l));
        e = l == NULL ? WASI_NOMEM : list_all(ids, f, l);
        if (e == WASI_OK) {
            *ret_list = l;
            return WASI_OK;
        }
        dirlist_free(l);
    }
    return e;
}

int32_t wasi_fd_readdir(void *ctx, void *env, uint32_t fd, uint32_t buf, uint32_t buf_len,
                        uint64_t cookie, uint32_t ret_used)
{
    struct wasi *w = env;
    struct file_use u;
    uint32_t used = 0;
    uint8_t *out = host_range(ctx, ret_used, 4);
    uint8_t *dst = host_range(ctx, buf, buf_len);
    if (out == NULL || dst == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, RIGHT_FD_READDIR, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = fill(ctx, &w->ids, u.file, cookie, dst, buf_len, &used);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out, used);
    }
    return (int32_t)e;
}
