#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "sys/files.h"
#include "use.h"

enum { WRITE_OUT_BYTES = 8 * 1024 * 1024 };

status_t stream_init(struct stream *w, struct store *s, struct error *err)
{
    *w = (struct stream){.store = s, .fd = -1};
    w->block = malloc(STORE_BLOCK_BYTES);
    md5_init(&w->md5);
    return w->block != NULL ? ST_OK : no_memory(err);
}

status_t stream_encrypt(struct stream *w, struct error *err)
{
    status_t st = w->seal == NULL ? keys_ready(w->store, err) : ST_OK;
    return st == ST_OK && w->seal == NULL ? seal_new(&w->seal, err) : st;
}

/* A number for an extent, and a key if it is encrypted. */
static status_t new_id(struct stream *w, uint64_t *ret_id, struct error *err)
{
    uint64_t id = atomic_fetch_add(&w->store->last_extent, 1) + 1;
    status_t st = ST_OK;
    if (w->seal != NULL) {
        w->key.extent = id;
        st = seal_random_key(w->key.key, err);
        if (st == ST_OK) {
            st = seal_use(w->seal, id, w->key.key, true, err);
        }
    }
    *ret_id = id;
    return st;
}

static status_t open_extent(struct stream *w, struct error *err)
{
    struct store *s = w->store;
    char name[EXTENT_NAME_BYTES];
    uint64_t id = 0;
    status_t st = new_id(w, &id, err);
    if (st == ST_OK) {
        st = extent_make_way(s, id, err);
    }
    if (st != ST_OK) {
        return st;
    }
    extent_new_name(id, name);
    int fd = openat(s->new_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "new extent");
    }
    w->fd = fd;
    w->piece = (struct piece){.extent = id, .sealed = w->seal != NULL};
    w->unsynced = 0;
    return ST_OK;
}

/* Not by realloc, which would leave keys behind. */
static bool grow(struct stream *w)
{
    size_t cap = w->cap != 0 ? 2 * w->cap : 4;
    struct new_extent *grown = calloc(cap, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    if (w->count > 0) {
        memcpy(grown, w->extents, w->count * sizeof *grown);
        explicit_bzero(w->extents, w->count * sizeof *grown);
    }
    free(w->extents);
    w->extents = grown;
    w->cap = cap;
    return true;
}

static status_t close_extent(struct stream *w, struct error *err)
{
    if (store_sync_extent(w->store, w->fd) != 0) {
        return error_set_errno(err, errno, "sync of an extent");
    }
    if (w->count == w->cap && !grow(w)) {
        return no_memory(err);
    }
    w->key.bytes = w->piece.bytes;
    w->extents[w->count++] = (struct new_extent){
        .piece = w->piece, .sums = w->sums, .tags = w->tags, .key = w->key};
    w->sums = (struct buf){0};
    w->tags = (struct buf){0};
    close(w->fd);
    w->fd = -1;
    return ST_OK;
}

/* Blocks of the extent from number on become ciphertext, in place where they are the stream's own. */
static status_t seal_blocks(struct stream *w, const uint8_t *data, size_t len, uint64_t number,
                            const uint8_t **ret_data, struct error *err)
{
    uint8_t *to = data == w->block ? w->block : w->sealed;
    status_t st = ST_OK;
    if (to == NULL && (to = w->sealed = malloc(STREAM_UNIT_BYTES)) == NULL) {
        return no_memory(err);
    }
    for (size_t off = 0; off < len && st == ST_OK; off += STORE_BLOCK_BYTES) {
        size_t n = len - off < STORE_BLOCK_BYTES ? len - off : STORE_BLOCK_BYTES;
        uint8_t tag[SEAL_TAG_BYTES];
        st = seal_block(w->seal, number++, data + off, n, to + off, tag, err);
        if (st == ST_OK) {
            buf_bytes(&w->tags, tag, sizeof tag);
        }
    }
    *ret_data = to;
    return st == ST_OK && w->tags.failed ? no_memory(err) : st;
}

/* len bytes, whole blocks except at the end of the stream, that do not go beyond the end of an
 * extent; at most STREAM_UNIT_BYTES. */
static status_t write_blocks(struct stream *w, const uint8_t *data, size_t len, struct error *err)
{
    status_t st = w->fd < 0 ? open_extent(w, err) : ST_OK;
    if (st == ST_OK && w->seal != NULL) {
        st = seal_blocks(w, data, len, w->piece.bytes / STORE_BLOCK_BYTES, &data, err);
    }
    if (st != ST_OK) {
        return st;
    }
    for (size_t off = 0; off < len; off += STORE_BLOCK_BYTES) {
        size_t n = len - off < STORE_BLOCK_BYTES ? len - off : STORE_BLOCK_BYTES;
        buf_le32(&w->sums, hash_crc32c(0, data + off, n));
    }
    if (w->sums.failed) {
        return no_memory(err);
    }
    if (file_write_all_at(w->fd, data, len, w->piece.bytes) != 0) {
        status_t st_write = error_set_errno(err, errno, "write to an extent");
        store_note_space(w->store, st_write);
        return st_write;
    }
    metrics_add(w->store->meter.written_bytes, len);
    w->piece.bytes += len;
    w->unsynced += len;
    if (w->unsynced >= WRITE_OUT_BYTES && w->store->options.sync == STORE_SYNC_FULL) {
        /* only so that the sync at the end is short; that one tells of errors */
        int ignored = sync_file_range(w->fd, (off_t)(w->piece.bytes - w->unsynced),
                                      (off_t)w->unsynced, SYNC_FILE_RANGE_WRITE);
        (void)ignored;
        w->unsynced = 0;
    }
    return w->piece.bytes == EXTENT_BYTES_MAX ? close_extent(w, err) : ST_OK;
}

/* A larger block from now on; where too many have one, or there is no memory, what comes is written as before. */
static void begin_units(struct stream *w)
{
    if (atomic_fetch_add(&w->store->streams_in_units, 1) < STREAM_UNITS_MAX) {
        uint8_t *unit = malloc(STREAM_UNIT_BYTES);
        if (unit != NULL) {
            memcpy(unit, w->block, w->fill);
            free(w->block);
            w->block = unit;
            w->in_units = true;
            return;
        }
    }
    atomic_fetch_sub(&w->store->streams_in_units, 1);
}

/* The bytes that are written at once, whole blocks all: to the end of the unit, or so many of len. */
static size_t next_write(struct stream *w, size_t len)
{
    uint64_t at = w->fd < 0 ? 0 : w->piece.bytes;
    size_t whole = len / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES;
    size_t unit = STREAM_UNIT_BYTES - (size_t)(at % STREAM_UNIT_BYTES);
    if (!w->in_units && at >= STREAM_UNITS_FROM) {
        begin_units(w);
    }
    if (w->in_units) {
        return unit;
    }
    return whole < STORE_BLOCK_BYTES ? STORE_BLOCK_BYTES : whole < unit ? whole : unit;
}

status_t stream_write(struct stream *w, const void *data, size_t len, struct error *err)
{
    const uint8_t *bytes = data;
    if (len > STORE_OBJECT_MAX - w->size) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "an object has at most %llu bytes",
                         (unsigned long long)STORE_OBJECT_MAX);
    }
    md5_update(&w->md5, bytes, len);
    w->size += len;
    while (len > 0) {
        size_t n = next_write(w, w->fill > 0 ? 0 : len);
        status_t st = ST_OK;
        if (w->fill == 0 && len >= n) {
            st = write_blocks(w, bytes, n, err);
        } else if (w->fill == n) {
            /* when more comes, so the last bytes are there at the end */
            st = write_blocks(w, w->block, n, err);
            w->fill = 0;
            n = 0;
        } else {
            n = n - w->fill < len ? n - w->fill : len;
            memcpy(w->block + w->fill, bytes, n);
            w->fill += n;
        }
        if (st != ST_OK) {
            return st;
        }
        bytes += n;
        len -= n;
    }
    return ST_OK;
}

/* Here, and not in the transaction, which may be run again: a key encrypts once. */
static status_t seal_inline(struct stream *w, struct error *err)
{
    const uint8_t *ignored = NULL;
    w->piece = (struct piece){.bytes = w->fill, .sealed = true};
    status_t st = new_id(w, &w->piece.extent, err);
    w->key.bytes = w->fill;
    return st == ST_OK ? seal_blocks(w, w->block, w->fill, 0, &ignored, err) : st;
}

status_t stream_finish(struct stream *w, bool may_inline, uint8_t *ret_md5, struct error *err)
{
    status_t st = ST_OK;
    bool is_inline = may_inline && w->size <= STORE_INLINE_MAX;
    if (w->fill > 0 && !is_inline) {
        st = write_blocks(w, w->block, w->fill, err);
        w->fill = 0;
    }
    if (st == ST_OK && w->fd >= 0) {
        st = close_extent(w, err);
    }
    if (st == ST_OK && w->fill > 0 && w->seal != NULL) {
        st = seal_inline(w, err);
    }
    if (st == ST_OK) {
        md5_final(&w->md5, ret_md5);
    }
    return st;
}

status_t stream_add_row(struct batch *b, const struct new_extent *e, const void *data,
                        uint64_t keep, uint64_t copies, struct error *err)
{
    size_t len = data != NULL ? (size_t)e->piece.bytes : 0;
    uint64_t wants = data == NULL ? copies : 0;
    status_t st;
    if (e->piece.sealed) {
        st = data != NULL
                 ? db_do(b->db, SQL_EXTENT_ADD, err, "iibbibi", e->piece.extent, e->piece.bytes,
                         e->sums.data, e->sums.len, data, len, keep, e->tags.data, e->tags.len,
                         wants)
                 : db_do(b->db, SQL_EXTENT_ADD, err, "iibnibi", e->piece.extent, e->piece.bytes,
                         e->sums.data, e->sums.len, keep, e->tags.data, e->tags.len, wants);
        return st == ST_OK ? keys_put(b, &e->key, err) : st;
    }
    return data != NULL ? db_do(b->db, SQL_EXTENT_ADD, err, "iibbini", e->piece.extent,
                                e->piece.bytes, e->sums.data, e->sums.len, data, len, keep, wants)
                        : db_do(b->db, SQL_EXTENT_ADD, err, "iibnini", e->piece.extent,
                                e->piece.bytes, e->sums.data, e->sums.len, keep, wants);
}

static status_t add_inline(struct stream *w, struct batch *b, struct piece *ret_piece,
                           struct error *err)
{
    uint32_t crc = hash_crc32c(0, w->block, w->fill);
    uint8_t sum[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                      (uint8_t)(crc >> 24)};
    struct new_extent e = {.piece = w->piece,
                           .sums = {.data = sum, .len = sizeof sum},
                           .tags = w->tags,
                           .key = w->key};
    if (w->seal == NULL) {
        e.piece = (struct piece){.extent = atomic_fetch_add(&w->store->last_extent, 1) + 1,
                                 .bytes = w->fill};
    }
    status_t st = stream_add_row(b, &e, w->block, w->keep, w->wants, err);
    sealed_key_wipe(&e.key);
    if (st == ST_OK) {
        *ret_piece = e.piece;
    }
    return st;
}

status_t stream_place(struct stream *w, struct batch *b, struct piece *ret_pieces,
                      size_t *ret_count, struct error *err)
{
    size_t count = 0;
    for (; count < w->count; count++) {
        const struct new_extent *e = &w->extents[count];
        status_t st = stream_add_row(b, e, NULL, w->keep, w->wants, err);
        if (st != ST_OK) {
            return st;
        }
        if (!ids_add(&b->placed, e->piece.extent)) {
            return no_memory(err);
        }
        uses_add(b, w->memory, e->piece.extent);
        ret_pieces[count] = e->piece;
    }
    if (w->fill > 0) {
        status_t st = add_inline(w, b, &ret_pieces[count], err);
        if (st != ST_OK) {
            return st;
        }
        count++;
    }
    *ret_count = count;
    return ST_OK;
}

uint64_t *stream_copied(const struct stream *w, size_t *ret_count)
{
    uint64_t *ids = w->wants > 0 && w->count > 0 ? malloc(w->count * sizeof *ids) : NULL;
    for (size_t i = 0; i < w->count && ids != NULL; i++) {
        ids[i] = w->extents[i].piece.extent;
    }
    *ret_count = ids != NULL ? w->count : 0; /* without memory they are copied later */
    return ids;
}

void stream_done(struct stream *w, bool kept)
{
    if (w->fd >= 0) {
        close(w->fd);
        status_t ignored = extent_remove(w->store, w->piece.extent, NULL);
        (void)ignored; /* the next start finds it */
    }
    for (size_t i = 0; i < w->count; i++) {
        if (!kept) {
            status_t ignored = extent_remove(w->store, w->extents[i].piece.extent, NULL);
            (void)ignored;
        }
        buf_done(&w->extents[i].sums);
        buf_done(&w->extents[i].tags);
        sealed_key_wipe(&w->extents[i].key);
    }
    buf_done(&w->sums);
    buf_done(&w->tags);
    sealed_key_wipe(&w->key);
    seal_free(w->seal);
    free(w->sealed);
    free(w->extents);
    free(w->block);
    if (w->in_units) {
        atomic_fetch_sub(&w->store->streams_in_units, 1);
    }
    *w = (struct stream){.fd = -1};
}
