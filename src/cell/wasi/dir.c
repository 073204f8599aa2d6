#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

enum { DIR_CHUNK_BYTES = 8192 };

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

/* Read what follows cookie: 0 for the start, else the next_cookie of an entry of this directory. Cookies stand
 * for the file system's own positions, so they stay good while entries come and go. Any thread. */
static enum wasi_errno chunk_read(struct file *f, uint64_t cookie, struct dir_chunk *ret_chunk)
{
    if (cookie > INT64_MAX) {
        return WASI_INVAL;
    }
    ssize_t n = -1;
    pthread_mutex_lock(&f->dir_lock);
    off_t position = (off_t)cookies_position(&f->cookies, cookie);
    if (lseek(f->host_fd, position, SEEK_SET) >= 0) {
        n = getdents64(f->host_fd, ret_chunk->data, sizeof(ret_chunk->data));
    }
    int errnum = errno;
    name_positions(f, ret_chunk, n);
    pthread_mutex_unlock(&f->dir_lock);
    if (n < 0 && errnum != ENOENT) {
        return wasi_errno_from_host(errnum);
    }
    ret_chunk->len = n < 0 ? 0
                           : (size_t)n; /* ENOENT: the directory has been removed and is empty */
    ret_chunk->pos = 0;
    return WASI_OK;
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

/* The parent of a grant is none of the guest's business: ".." there is the grant itself. */
static uint64_t ino_of(const struct file *f, const struct dirent64 *d)
{
    struct stat st;
    if (f->path != NULL && f->path[0] == '\0' && strcmp(d->d_name, "..") == 0 &&
        fstat(f->host_fd, &st) == 0) {
        return st.st_ino;
    }
    return d->d_ino;
}

/* Take the next entry; false at the end of the chunk. */
static bool chunk_next(const struct file *f, struct dir_chunk *c, struct dir_entry *ret_entry)
{
    if (c->pos >= c->len) {
        return false;
    }
    const struct dirent64 *d = entry_at(c, c->pos);
    *ret_entry = (struct dir_entry){
        .next_cookie = (uint64_t)d->d_off,
        .ino = ino_of(f, d),
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

/* The buffer is filled to its last byte, with a part of an entry if need be, until the directory ends: that is
 * how a guest tells the end. */
static enum wasi_errno fill(void *ctx, struct file *f, uint64_t cookie, uint8_t *buf, uint32_t cap,
                            uint32_t *ret_used)
{
    struct dir_chunk chunk;
    struct dir_entry entry;
    uint32_t used = 0;
    while (used < cap) {
        enum wasi_errno e = chunk_read(f, cookie, &chunk);
        if (e != WASI_OK) {
            return e;
        }
        if (chunk.len == 0) {
            break;
        }
        while (used < cap && chunk_next(f, &chunk, &entry)) {
            used = append_entry(buf, cap, used, &entry);
            cookie = entry.next_cookie;
        }
        if (!host_poll(ctx)) {
            break;
        }
    }
    *ret_used = used;
    return WASI_OK;
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
    e = fill(ctx, u.file, cookie, dst, buf_len, &used);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out, used);
    }
    return (int32_t)e;
}
