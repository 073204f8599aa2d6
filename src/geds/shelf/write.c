#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "impl.h"
#include "sys/files.h"

/* Copies that come. */

/* Under the lock. */
static struct incoming **find(struct shelf *s, const struct shelf_name *name)
{
    struct incoming **at = &s->incoming;
    while (*at != NULL && name_compare(&(*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    return at;
}

/* It is out of the list. Under the lock; removed: its file goes. */
static void drop(struct shelf *s, struct incoming *in, bool removed)
{
    char text[NAME_BYTES];
    new_name_text(&in->name, text);
    if (removed) {
        int ignored = unlinkat(s->new_fd, text, 0); /* the next start finds it */
        (void)ignored;
    }
    close(in->fd);
    s->promised -= file_bytes(in->size);
    s->incoming_count--;
    free(in->sums);
    free(in);
}

static void take_out(struct shelf *s, struct incoming *in)
{
    struct incoming **at = find(s, &in->name);
    *at = in->next;
}

/* It failed, or is not wanted: it goes when nobody writes to it. Under the lock. */
static void give_up(struct shelf *s, struct incoming *in)
{
    in->failed = true;
    if (in->users == 0) {
        take_out(s, in);
        drop(s, in, true);
    }
}

static status_t make(struct shelf *s, const struct shelf_name *name, uint64_t size,
                     struct incoming **ret_in, struct error *err)
{
    char text[NAME_BYTES];
    if (s->incoming_count == SHELF_OPEN_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%d copies are being written already",
                         SHELF_OPEN_MAX);
    }
    status_t st = index_check_room(s, file_bytes(size), err);
    if (st != ST_OK) {
        return st;
    }
    struct incoming *in = calloc(1, sizeof *in);
    uint8_t *sums = malloc(sums_bytes(size));
    if (in == NULL || sums == NULL) {
        free(in);
        free(sums);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    new_name_text(name, text);
    int fd = openat(s->new_fd, text, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        st = error_set_errno(err, errno, "new copy %s", text);
        free(in);
        free(sums);
        return st;
    }
    *in = (struct incoming){
        .next = s->incoming, .name = *name, .size = size, .fd = fd, .sums = sums};
    s->incoming = in;
    s->incoming_count++;
    s->promised += file_bytes(size);
    *ret_in = in;
    return ST_OK;
}

/* The one of this name, with one user more. Under the lock. */
static status_t enter(struct shelf *s, const struct shelf_name *name, uint64_t size,
                      struct incoming **ret_in, struct error *err)
{
    struct incoming *in = *find(s, name);
    status_t st = ST_OK;
    if (index_find(s, name) != NULL) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "the copy is there");
    }
    if (in == NULL) {
        st = make(s, name, size, &in, err);
    } else if (in->size != size || in->failed) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the copy was begun with another size");
    }
    if (st == ST_OK) {
        in->users++;
        *ret_in = in;
    }
    return st;
}

static void sum_blocks(struct incoming *in, uint64_t off, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len; at += SHELF_BLOCK_BYTES) {
        size_t n = len - at < SHELF_BLOCK_BYTES ? len - at : SHELF_BLOCK_BYTES;
        uint32_t crc = hash_crc32c(0, data + at, n);
        uint8_t *sum = in->sums + (off + at) / SHELF_BLOCK_BYTES * 4;
        for (size_t i = 0; i < 4; i++) {
            sum[i] = (uint8_t)(crc >> 8 * i);
        }
    }
}

status_t shelf_write(struct shelf *s, const struct shelf_name *name, uint64_t size, uint64_t off,
                     const void *data, size_t len, struct error *err)
{
    struct incoming *in = NULL;
    uint64_t left = off < size ? size - off : 0;
    if (size == 0 || size > SHELF_COPY_MAX || off % SHELF_PIECE_BYTES != 0 || left == 0 ||
        len != (left < SHELF_PIECE_BYTES ? left : SHELF_PIECE_BYTES) || name->nonce > INT64_MAX ||
        name->extent > INT64_MAX) {
        return error_set(err, ST_INVAL, off, "%zu bytes are no piece of a copy", len);
    }
    pthread_mutex_lock(&s->lock);
    status_t st = enter(s, name, size, &in, err);
    pthread_mutex_unlock(&s->lock);
    if (st != ST_OK) {
        return st;
    }
    if (file_write_all_at(in->fd, data, len, off) != 0) {
        st = error_set_errno(err, errno, "write to a copy");
    }
    pthread_mutex_lock(&s->lock);
    size_t piece = (size_t)(off / SHELF_PIECE_BYTES);
    if (st == ST_OK) {
        sum_blocks(in, off, data, len);
        in->pieces += (in->have[piece / 8] >> piece % 8 & 1) == 0;
        in->have[piece / 8] |= (uint8_t)(1 << piece % 8);
    }
    in->users--;
    if (st != ST_OK || in->failed) {
        give_up(s, in);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* What is behind its bytes, and all of it on the disk. */
static status_t finish(struct shelf *s, const struct incoming *in, uint32_t sum, struct error *err)
{
    uint8_t tail[TAIL_BYTES];
    char from[NAME_BYTES], to[NAME_BYTES], folder[4];
    size_t sums = sums_bytes(in->size);
    const struct tail t = {.extent = in->name.extent, .bytes = in->size, .sums_crc = sum};
    tail_encode(&t, tail);
    if (file_write_all_at(in->fd, in->sums, sums, in->size) != 0 ||
        file_write_all_at(in->fd, tail, sizeof tail, in->size + sums) != 0 ||
        file_sync(in->fd) != 0) {
        return error_set_errno(err, errno, "end of a copy");
    }
    new_name_text(&in->name, from);
    name_text(&in->name, to);
    snprintf(folder, sizeof folder, "%02x", (unsigned)(in->name.extent & 0xff));
    int fd = openat(s->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status_t st = fd < 0 || renameat(s->new_fd, from, s->fd, to) != 0
                      ? error_set_errno(err, errno, "copy %s", to)
                      : ST_OK;
    if (st == ST_OK && file_sync(fd) != 0) {
        st = error_set_errno(err, errno, "sync of a folder");
        int ignored = unlinkat(s->fd, to, 0);
        (void)ignored;
    }
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

static status_t check(const struct incoming *in, uint64_t size, uint32_t sum, struct error *err)
{
    size_t pieces = (size_t)((size + SHELF_PIECE_BYTES - 1) / SHELF_PIECE_BYTES);
    if (in->size != size || in->pieces != pieces) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "%zu of %zu pieces came", in->pieces,
                         pieces);
    }
    uint32_t real = hash_crc32c(0, in->sums, sums_bytes(size));
    return real == sum ? ST_OK
                       : error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                                   "the checksums of its blocks give %08x, not %08x", real, sum);
}

status_t shelf_end(struct shelf *s, const struct shelf_name *name, uint64_t size, uint32_t sum,
                   struct error *err)
{
    pthread_mutex_lock(&s->lock);
    struct incoming *in = *find(s, name);
    status_t st = in == NULL || in->users > 0 || in->failed
                      ? error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no such copy was begun")
                      : ST_OK;
    if (st == ST_OK) {
        take_out(s, in);
    }
    pthread_mutex_unlock(&s->lock);
    if (st != ST_OK) {
        return st;
    }
    st = check(in, size, sum, err);
    bool there = st == ST_OK && (st = finish(s, in, sum, err)) == ST_OK;
    const struct shelf_copy copy = {.name = *name, .bytes = size};
    pthread_mutex_lock(&s->lock);
    if (there) {
        st = index_add(s, &copy, err);
    }
    drop(s, in, !there);
    pthread_mutex_unlock(&s->lock);
    return st;
}

status_t shelf_remove(struct shelf *s, const struct shelf_name *name, struct error *err)
{
    char text[NAME_BYTES];
    name_text(name, text);
    pthread_mutex_lock(&s->lock);
    struct incoming *in = *find(s, name);
    if (in != NULL) {
        give_up(s, in);
    }
    pthread_mutex_unlock(&s->lock);
    if (unlinkat(s->fd, text, 0) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "remove copy %s", text);
    }
    pthread_mutex_lock(&s->lock);
    index_take(s, name);
    pthread_mutex_unlock(&s->lock);
    return ST_OK;
}

void shelf_forget_writes(struct shelf *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct incoming *in = s->incoming, *next; in != NULL; in = next) {
        next = in->next;
        give_up(s, in);
    }
    pthread_mutex_unlock(&s->lock);
}
