#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"

static status_t no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

/* The buffer of an OPEN has room for much more than most objects have. */
static uint8_t *shrink(uint8_t *data, size_t len)
{
    uint8_t *smaller = realloc(data, len + 1);
    return smaller != NULL ? smaller : data;
}

status_t content_new(const char *bucket, const char *key, struct pending *opened,
                     const struct geds_answer *a, struct arena *arena, struct content **ret_content,
                     struct error *err)
{
    struct content *c = calloc(1, sizeof *c);
    if (c == NULL || pthread_mutex_init(&c->m, NULL) != 0) {
        free(c);
        return no_memory(err);
    }
    atomic_init(&c->refs, 1);
    c->bucket = strdup(bucket);
    c->key = strdup(key);
    c->pairs = calloc(a->attributes.count + 1, sizeof *c->pairs);
    if (c->bucket == NULL || c->key == NULL || c->pairs == NULL) {
        content_unref(c);
        return no_memory(err);
    }
    for (size_t i = 0; i < a->attributes.count; i++) {
        const struct geds_wire_pair *from = &a->attributes.pairs[i];
        c->pairs[i] = (struct geds_attribute){from->name, from->value};
    }
    c->attributes = (struct geds_attributes){.content_type = a->attributes.content_type,
                                             .pairs = c->pairs,
                                             .count = a->attributes.count};
    give_info(&a->info, &c->info);
    c->args = opened->args;
    opened->args = (struct buf){0};
    c->arena = *arena;
    *arena = (struct arena){0};
    c->first_bytes = opened->data_len;
    c->first = shrink(opened->data, c->first_bytes);
    opened->data = NULL;
    *ret_content = c;
    return ST_OK;
}

struct content *content_ref(struct content *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void drop_extents(struct content *c)
{
    while (c->extent_count > 0) {
        close(c->extents[--c->extent_count].fd);
    }
    free(c->sums);
    c->sums = NULL;
}

void content_unref(struct content *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) != 1) {
        return;
    }
    drop_extents(c);
    buf_done(&c->args);
    arena_done(&c->arena);
    pthread_mutex_destroy(&c->m);
    free(c->bucket);
    free(c->key);
    free(c->pairs);
    free(c->first);
    free(c->block);
    free(c);
}

bool content_is_whole(const struct content *c)
{
    return c->first_bytes == c->info.size || c->extent_count > 0;
}

size_t content_bytes(const struct content *c)
{
    size_t bytes = sizeof *c + c->first_bytes + 2 * c->args.len;
    for (unsigned i = 0; i < c->extent_count; i++) {
        bytes += 4 * c->extents[i].sum_count;
    }
    return bytes + (c->extent_count > 0 ? CONTENT_BLOCK_BYTES : 0);
}

uint64_t content_file_bytes(const struct content *c)
{
    return c->extent_count > 0 ? c->info.size : 0;
}

/* One piece of the answer becomes the next extent. */
static bool add_extent(struct content *c, const struct geds_wire_piece *p, struct pending *from)
{
    uint64_t start = 0, blocks = p->bytes / CONTENT_BLOCK_BYTES;
    blocks += p->bytes % CONTENT_BLOCK_BYTES != 0;
    if (c->extent_count > 0) {
        const struct extent *last = &c->extents[c->extent_count - 1];
        start = last->start + last->bytes;
    }
    if (c->extent_count >= from->passed_count || p->bytes == 0 || blocks != p->sum_count ||
        p->bytes > c->info.size - start) {
        return false;
    }
    unsigned i = c->extent_count++;
    c->extents[i] = (struct extent){.start = start,
                                    .bytes = p->bytes,
                                    .fd = from->passed[i],
                                    .sums = p->sums,
                                    .sum_count = p->sum_count};
    from->passed[i] = -1; /* it is the content's now */
    return true;
}

static bool take_extents(struct content *c, struct pending *p)
{
    struct cursor cur;
    struct geds_wire_piece piece;
    bool good = true;
    cursor_init(&cur, p->data, p->data_len, 0);
    while (good && cursor_left(&cur) > 0) {
        good = geds_sums_decode(&cur, &piece) && add_extent(c, &piece, p);
    }
    const struct extent *last = c->extent_count > 0 ? &c->extents[c->extent_count - 1] : NULL;
    return good && last != NULL && last->start + last->bytes == c->info.size;
}

bool content_get_extents(struct geds *g, uint32_t handle, struct content *c)
{
    size_t room = c->info.size / CONTENT_BLOCK_BYTES * 4 +
                  (size_t)CONTENT_EXTENTS_MAX * (GEDS_WIRE_PIECE_HEAD + 4);
    if (c->info.size / CONTENT_BLOCK_BYTES > CONTENT_SUMS_MAX / 4 ||
        (c->sums = malloc(room)) == NULL) {
        return false;
    }
    struct geds_answer a;
    struct arena arena = {0};
    struct pending p = {.room = (uint32_t)room, .data = c->sums};
    const struct geds_request r = {.handle = handle};
    bool told = client_call(g, &p, GEDS_PIECES, &r, NULL, &arena, &a, NULL) == ST_OK;
    bool good = told && take_extents(c, &p);
    /* else they may be there later, from a tier or when there is room for them */
    c->no_files = told && !good && !p.passed_cut;
    if (!good) {
        drop_extents(c);
    }
    pending_done(&p);
    arena_done(&arena);
    return good;
}

static status_t read_file(const struct extent *e, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(e->fd, data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(err, errno, "read of an object's file");
        }
        if (n == 0) {
            return error_set(err, ST_CORRUPT, e->start + off + got,
                             "the object's file ends before the object");
        }
        got += (size_t)n;
    }
    return ST_OK;
}

/* Whole blocks of an extent, at off in it. */
static status_t read_blocks(const struct extent *e, uint8_t *data, size_t len, uint64_t off,
                            struct error *err)
{
    status_t st = read_file(e, data, len, off, err);
    for (size_t at = 0; st == ST_OK && at < len; at += CONTENT_BLOCK_BYTES) {
        size_t n = len - at < CONTENT_BLOCK_BYTES ? len - at : CONTENT_BLOCK_BYTES;
        struct cursor c;
        cursor_init(&c, e->sums, 4 * e->sum_count, 0);
        cursor_bytes(&c, (size_t)((off + at) / CONTENT_BLOCK_BYTES) * 4);
        if (hash_crc32c(0, data + at, n) != cursor_le32(&c)) {
            st = error_set(err, ST_CORRUPT, e->start + off + at,
                           "a block does not match its checksum");
        }
    }
    return st;
}

static bool read_kept(struct content *c, uint8_t *data, size_t len, uint64_t at)
{
    pthread_mutex_lock(&c->m);
    bool there = c->block != NULL && at >= c->block_at && at - c->block_at + len <= c->block_bytes;
    if (there) {
        memcpy(data, c->block + (at - c->block_at), len);
    }
    pthread_mutex_unlock(&c->m);
    return there;
}

/* A part of one block: the whole is read, since its sum is that of the whole, and kept. */
static status_t read_part(struct content *c, const struct extent *e, uint8_t *data, size_t len,
                          uint64_t off, struct error *err)
{
    if (read_kept(c, data, len, e->start + off)) {
        return ST_OK;
    }
    uint64_t block = off - off % CONTENT_BLOCK_BYTES, left = e->bytes - block;
    size_t whole = left < CONTENT_BLOCK_BYTES ? (size_t)left : CONTENT_BLOCK_BYTES;
    uint8_t *bytes = malloc(whole);
    if (bytes == NULL) {
        return no_memory(err);
    }
    status_t st = read_blocks(e, bytes, whole, block, err);
    if (st == ST_OK) {
        memcpy(data, bytes + (off - block), len);
        pthread_mutex_lock(&c->m);
        uint8_t *former = c->block;
        c->block = bytes;
        c->block_at = e->start + block;
        c->block_bytes = whole;
        pthread_mutex_unlock(&c->m);
        bytes = former;
    }
    free(bytes);
    return st;
}

static status_t read_extent(struct content *c, const struct extent *e, uint8_t *data, size_t len,
                            uint64_t off, struct error *err)
{
    status_t st = ST_OK;
    while (len > 0 && st == ST_OK) {
        size_t inside = (size_t)(off % CONTENT_BLOCK_BYTES), n;
        bool to_end = off + len == e->bytes;
        if (inside == 0 && (len >= CONTENT_BLOCK_BYTES || to_end)) {
            n = to_end ? len : len / CONTENT_BLOCK_BYTES * CONTENT_BLOCK_BYTES;
            n = n < RPC_DATA_MAX ? n : RPC_DATA_MAX; /* while it is in the processor's cache */
            st = read_blocks(e, data, n, off, err);
        } else {
            n = CONTENT_BLOCK_BYTES - inside < len ? CONTENT_BLOCK_BYTES - inside : len;
            st = read_part(c, e, data, n, off, err);
        }
        data += n;
        off += n;
        len -= n;
    }
    return st;
}

status_t content_read(struct content *c, uint8_t *data, size_t len, uint64_t off, struct error *err)
{
    status_t st = ST_OK;
    for (unsigned i = 0; i < c->extent_count && len > 0 && st == ST_OK; i++) {
        const struct extent *e = &c->extents[i];
        if (off >= e->start + e->bytes) {
            continue;
        }
        uint64_t left = e->start + e->bytes - off;
        size_t n = left < len ? (size_t)left : len;
        st = read_extent(c, e, data, n, off - e->start, err);
        data += n;
        off += n;
        len -= n;
    }
    return st;
}
