#include "draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "object.h"
#include "sys/files.h"
#include "use.h"

enum { FIRST_BLOCKS = 16 };

/* Of a block: how often it was written, and this if its bytes are zeros since it was cut off. Counts never go back:
 * a key and a count make a nonce. */
#define CUT (UINT32_C(1) << 31)

/* Some bytes of the draft, one behind the other: an extent, or zeros without a file. */
struct span {
    uint64_t start, bytes;
    uint64_t extent; /* 0: no file, all of it is zeros */
    bool shared;     /* an extent of the source */
    bool repeats;    /* of a finished draft: the same extent as an earlier span, all zeros */
    bool sealed;
    uint32_t *writes; /* of each block, and so are: */
    uint8_t *sums;
    uint8_t *tags;
    size_t cap; /* blocks that there is room for */
    struct sealed_key key;
};

struct draft_file {
    int fd; /* -1: none */
    uint64_t extent;
    uint64_t used; /* when, by draft.clock */
    bool dirty;    /* not synced */
};

struct draft {
    struct store *store;
    bool encrypt;
    struct store_object *source; /* or NULL */
    struct span *spans;
    size_t count, cap;
    struct draft_file files[DRAFT_FILES_OPEN];
    uint64_t clock;
    bool
        unsynced; /* bytes of a file that was closed did not reach the disk: the kernel says so once */
    /* The block that was written in part last, and is not in its file yet. */
    uint8_t *block; /* STORE_BLOCK_BYTES */
    bool has_block;
    size_t block_span, block_len;
    uint64_t block_number;
    uint32_t block_sum;    /* of block, taken when bytes came into it */
    uint8_t *scratch;      /* STORE_BLOCK_BYTES */
    struct seal *seals[2]; /* that decrypts, that encrypts */
    uint64_t sealing[2];   /* extents they are of */
    uint64_t table_bytes;
};

status_t draft_new(struct store *s, bool encrypt, struct draft **ret_draft, struct error *err)
{
    status_t st = encrypt ? keys_ready(s, err) : ST_OK;
    struct draft *d = st == ST_OK ? calloc(1, sizeof *d) : NULL;
    if (d == NULL) {
        return st == ST_OK ? no_memory(err) : st;
    }
    *d = (struct draft){.store = s, .encrypt = encrypt};
    for (size_t i = 0; i < DRAFT_FILES_OPEN; i++) {
        d->files[i].fd = -1;
    }
    d->block = malloc(STORE_BLOCK_BYTES);
    d->scratch = malloc(STORE_BLOCK_BYTES);
    for (int i = 0; i < 2 && encrypt && st == ST_OK; i++) {
        st = seal_new(&d->seals[i], err);
    }
    if (st != ST_OK || d->block == NULL || d->scratch == NULL) {
        draft_free(d, false);
        return st == ST_OK ? no_memory(err) : st;
    }
    *ret_draft = d;
    return ST_OK;
}

uint64_t draft_size(const struct draft *d)
{
    return d->count > 0 ? d->spans[d->count - 1].start + d->spans[d->count - 1].bytes : 0;
}

bool draft_encrypts(const struct draft *d)
{
    return d->encrypt;
}

struct store *draft_store(const struct draft *d)
{
    return d->store;
}

/* Tables of a span. */

static size_t row_bytes(const struct span *s)
{
    return sizeof s->writes[0] + 4 + (s->sealed ? SEAL_TAG_BYTES : 0);
}

static void tables_done(struct draft *d, struct span *s)
{
    uint64_t bytes = s->cap * row_bytes(s);
    d->table_bytes -= bytes;
    atomic_fetch_sub(&d->store->draft_bytes, bytes);
    free(s->writes);
    free(s->sums);
    free(s->tags);
    s->writes = NULL;
    s->sums = s->tags = NULL;
    s->cap = 0;
}

static bool grow_table(void *table, size_t have, size_t want, size_t each)
{
    void **at = table;
    uint8_t *grown = realloc(*at, want * each);
    if (grown == NULL) {
        return false;
    }
    memset(grown + have * each, 0, (want - have) * each);
    *at = grown;
    return true;
}

/* Room for so many blocks. */
static status_t tables_grow(struct draft *d, struct span *s, size_t blocks, struct error *err)
{
    size_t cap = s->cap != 0 ? s->cap : FIRST_BLOCKS;
    while (cap < blocks) {
        cap *= 2;
    }
    if (cap == s->cap) {
        return ST_OK;
    }
    uint64_t bytes = (cap - s->cap) * row_bytes(s);
    if (atomic_fetch_add(&d->store->draft_bytes, bytes) + bytes > DRAFT_TABLES_MAX) {
        atomic_fetch_sub(&d->store->draft_bytes, bytes);
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "what is written out of order has more than %llu bytes of checksums",
                         (unsigned long long)DRAFT_TABLES_MAX);
    }
    d->table_bytes += bytes;
    size_t have = s->cap;
    s->cap = cap; /* counted, whatever comes */
    bool good = grow_table(&s->writes, have, cap, sizeof s->writes[0]) &&
                grow_table(&s->sums, have, cap, 4) &&
                (!s->sealed || grow_table(&s->tags, have, cap, SEAL_TAG_BYTES));
    return good ? ST_OK : no_memory(err);
}

static void put_sum(uint8_t to[4], uint32_t sum)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(sum >> 8 * i);
    }
}

static size_t block_len(const struct span *s, uint64_t number)
{
    uint64_t left = s->bytes - number * STORE_BLOCK_BYTES;
    return left < STORE_BLOCK_BYTES ? (size_t)left : STORE_BLOCK_BYTES;
}

static size_t block_count(const struct span *s)
{
    return (size_t)((s->bytes + STORE_BLOCK_BYTES - 1) / STORE_BLOCK_BYTES);
}

static bool is_zeros(const struct span *s, uint64_t number)
{
    return s->extent == 0 || number >= s->cap || s->writes[number] == 0 ||
           (s->writes[number] & CUT) != 0;
}

/* Files. */

static status_t file_close(struct draft *d, struct draft_file *f, struct error *err)
{
    status_t st = ST_OK;
    if (f->fd >= 0 && f->dirty && store_sync_extent(d->store, f->fd) != 0) {
        st = error_set_errno(err, errno, "sync of an extent");
        d->unsynced = true;
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    *f = (struct draft_file){.fd = -1};
    return st;
}

/* The file of a span, which has one. What is closed for it was synced, since the kernel may forget that writing it out
 * failed. */
static status_t file_of(struct draft *d, uint64_t extent, int flags, struct draft_file **ret_file,
                        struct error *err)
{
    struct draft_file *oldest = &d->files[0];
    char name[EXTENT_NAME_BYTES];
    for (size_t i = 0; i < DRAFT_FILES_OPEN; i++) {
        struct draft_file *f = &d->files[i];
        if (f->fd >= 0 && f->extent == extent) {
            f->used = ++d->clock;
            *ret_file = f;
            return ST_OK;
        }
        oldest = f->used < oldest->used ? f : oldest;
    }
    status_t st = file_close(d, oldest, err);
    if (st != ST_OK) {
        return st;
    }
    extent_new_name(extent, name);
    int fd = openat(d->store->new_fd, name, O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "extent %016llx", (unsigned long long)extent);
    }
    *oldest = (struct draft_file){.fd = fd, .extent = extent, .used = ++d->clock};
    *ret_file = oldest;
    return ST_OK;
}

/* It goes, unsynced. */
static void remove_file(struct draft *d, uint64_t extent)
{
    for (size_t i = 0; i < DRAFT_FILES_OPEN; i++) {
        if (d->files[i].fd >= 0 && d->files[i].extent == extent) {
            d->files[i].dirty = false;
            status_t ignored = file_close(d, &d->files[i], NULL);
            (void)ignored;
        }
    }
    status_t ignored = extent_remove(d->store, extent, NULL);
    (void)ignored; /* the next start finds it */
}

static status_t make_file(struct draft *d, struct span *s, struct error *err)
{
    struct draft_file *f = NULL;
    uint64_t id = atomic_fetch_add(&d->store->last_extent, 1) + 1;
    status_t st = ST_OK;
    if (s->sealed) {
        s->key.extent = id;
        st = seal_random_key(s->key.key, err);
    }
    if (st == ST_OK) {
        st = extent_make_way(d->store, id, err);
    }
    if (st == ST_OK) {
        st = file_of(d, id, O_CREAT | O_EXCL, &f, err);
    }
    if (st == ST_OK) {
        s->extent = id;
    }
    return st;
}

/* Blocks. */

static status_t use_seal(struct draft *d, const struct span *s, bool encrypts, struct error *err)
{
    if (d->sealing[encrypts] == s->extent) {
        return ST_OK;
    }
    status_t st = seal_use(d->seals[encrypts], s->extent, s->key.key, encrypts, err);
    d->sealing[encrypts] = st == ST_OK ? s->extent : 0;
    return st;
}

/* A whole block of a span that is not shared. data may be d->scratch. */
static status_t write_block(struct draft *d, struct span *s, uint64_t number, const uint8_t *data,
                            struct error *err)
{
    size_t len = block_len(s, number);
    struct draft_file *f = NULL;
    status_t st = s->extent == 0 ? make_file(d, s, err) : ST_OK;
    if (st == ST_OK) {
        st = tables_grow(d, s, (size_t)number + 1, err);
    }
    if (st == ST_OK) {
        st = file_of(d, s->extent, 0, &f, err);
    }
    if (st != ST_OK) {
        return st;
    }
    uint32_t before = s->writes[number] & ~CUT;
    if (before == CUT - 1) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "a block was written %u times", before);
    }
    if (s->sealed) {
        st = use_seal(d, s, true, err);
        if (st == ST_OK) {
            seal_set_generation(d->seals[true], before);
            st = seal_block(d->seals[true], number, data, len, d->scratch,
                            s->tags + number * SEAL_TAG_BYTES, err);
            data = d->scratch;
        }
    }
    if (st != ST_OK) {
        return st;
    }
    put_sum(s->sums + 4 * number, hash_crc32c(0, data, len));
    f->dirty = true;
    if (file_write_all_at(f->fd, data, len, number * STORE_BLOCK_BYTES) != 0) {
        st = error_set_errno(err, errno, "write to an extent");
        store_note_space(d->store, st);
        return st;
    }
    s->writes[number] = before + 1;
    metrics_add(d->store->meter.written_bytes, len);
    return ST_OK;
}

/* A whole block of any span, compared and in the clear. */
static status_t read_block(struct draft *d, const struct span *s, uint64_t number, uint8_t *data,
                           struct error *err)
{
    size_t len = block_len(s, number), got = 0;
    uint64_t off = number * STORE_BLOCK_BYTES;
    struct draft_file *f = NULL;
    if (s->shared) {
        status_t st = store_object_read(d->source, data, len, s->start + off, &got, err);
        return st == ST_OK && got != len
                   ? error_set(err, ST_CORRUPT, s->start + off, "an object is shorter than it was")
                   : st;
    }
    if (is_zeros(s, number)) {
        memset(data, 0, len);
        return ST_OK;
    }
    status_t st = file_of(d, s->extent, 0, &f, err);
    while (st == ST_OK && got < len) {
        ssize_t n = pread(f->fd, data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno != EINTR) {
            st = error_set_errno(err, errno, "read of extent %016llx",
                                 (unsigned long long)s->extent);
        } else if (n == 0) {
            st = error_set(err, ST_CORRUPT, s->start + off, "extent %016llx is too short",
                           (unsigned long long)s->extent);
        }
        got += n > 0 ? (size_t)n : 0;
    }
    struct error inner = {.offset = ERROR_NO_OFFSET};
    if (st == ST_OK) {
        st = extent_verify(s->sums, 4 * s->cap, s->extent, off, data, len, &inner);
        if (st == ST_OK && s->sealed && (st = use_seal(d, s, false, &inner)) == ST_OK) {
            seal_set_generation(d->seals[false], s->writes[number] - 1);
            st = seal_open(d->seals[false], number, data, len, s->tags + number * SEAL_TAG_BYTES,
                           &inner);
        }
        if (st != ST_OK) {
            error_set(err, st, s->start + off, "%s", inner.text);
        }
    }
    return st;
}

/* The block in memory. */

static status_t flush(struct draft *d, struct error *err)
{
    if (!d->has_block) {
        return ST_OK;
    }
    struct span *s = &d->spans[d->block_span];
    if (hash_crc32c(0, d->block, d->block_len) != d->block_sum) {
        return error_set(err, ST_CORRUPT, s->start + d->block_number * STORE_BLOCK_BYTES,
                         "bytes in memory are not those that were written");
    }
    d->has_block = false;
    return write_block(d, s, d->block_number, d->block, err);
}

static bool is_held(const struct draft *d, size_t i, uint64_t number)
{
    return d->has_block && d->block_span == i && d->block_number == number;
}

static status_t hold(struct draft *d, size_t i, uint64_t number, struct error *err)
{
    if (is_held(d, i, number)) {
        return ST_OK;
    }
    status_t st = flush(d, err);
    if (st == ST_OK) {
        st = read_block(d, &d->spans[i], number, d->block, err);
    }
    if (st == ST_OK) {
        d->has_block = true;
        d->block_span = i;
        d->block_number = number;
        d->block_len = block_len(&d->spans[i], number);
        d->block_sum = hash_crc32c(0, d->block, d->block_len);
    }
    return st;
}

/* The block that is held gets another length; what is new are zeros. */
static void set_held_len(struct draft *d, size_t len)
{
    if (len > d->block_len) {
        memset(d->block + d->block_len, 0, len - d->block_len);
    }
    d->block_len = len;
    d->block_sum = hash_crc32c(0, d->block, len);
}

/* Spans. */

static status_t add_span(struct draft *d, struct span span, struct error *err)
{
    if (d->count == STORE_PIECES_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "it would have more than %d extents",
                         STORE_PIECES_MAX);
    }
    if (d->count == d->cap) {
        size_t cap = d->cap != 0 ? 2 * d->cap : 4;
        struct span *grown = calloc(cap, sizeof *grown); /* realloc would leave keys behind */
        if (grown == NULL) {
            return no_memory(err);
        }
        if (d->count > 0) {
            memcpy(grown, d->spans, d->count * sizeof *grown);
            explicit_bzero(d->spans, d->count * sizeof *grown);
        }
        free(d->spans);
        d->spans = grown;
        d->cap = cap;
    }
    d->spans[d->count++] = span;
    return ST_OK;
}

static void span_done(struct draft *d, struct span *s, bool kept)
{
    if (s->extent != 0 && !s->shared && !s->repeats && !kept) {
        remove_file(d, s->extent);
    }
    tables_done(d, s);
    sealed_key_wipe(&s->key);
    s->extent = 0;
}

/* Continue the last span, if that can be, then with others, all zeros. */
static status_t grow(struct draft *d, uint64_t size, struct error *err)
{
    struct span *last = d->count > 0 ? &d->spans[d->count - 1] : NULL;
    if (last != NULL && !last->shared && last->bytes < EXTENT_BYTES_MAX) {
        uint64_t number = last->bytes / STORE_BLOCK_BYTES;
        bool held = false;
        if (last->bytes % STORE_BLOCK_BYTES != 0 &&
            (is_held(d, d->count - 1, number) || !is_zeros(last, number))) {
            status_t st = hold(d, d->count - 1, number, err);
            if (st != ST_OK) {
                return st;
            }
            held = true;
        }
        uint64_t room = EXTENT_BYTES_MAX - last->bytes, wanted = size - draft_size(d);
        last->bytes += wanted < room ? wanted : room;
        if (held) {
            set_held_len(d, block_len(last, number));
        }
    }
    status_t st = ST_OK;
    for (uint64_t at = draft_size(d); st == ST_OK && at < size; at = draft_size(d)) {
        uint64_t n = size - at < EXTENT_BYTES_MAX ? size - at : EXTENT_BYTES_MAX;
        st = add_span(d, (struct span){.start = at, .bytes = n, .sealed = d->encrypt}, err);
    }
    return st;
}

/* The first `bytes` of a span become a file of the draft's own, in which blocks are written once. */
static status_t make_own(struct draft *d, size_t i, uint64_t bytes, struct error *err)
{
    struct span from = d->spans[i];
    struct span to = {.start = from.start, .bytes = bytes, .sealed = d->encrypt};
    uint8_t *data = malloc(STORE_BLOCK_BYTES);
    status_t st = data != NULL ? ST_OK : no_memory(err);
    for (uint64_t number = 0; st == ST_OK && number * STORE_BLOCK_BYTES < bytes; number++) {
        st = read_block(d, &from, number, data, err);
        if (st == ST_OK) {
            st = write_block(d, &to, number, data, err);
        }
    }
    free(data);
    sealed_key_wipe(&from.key);
    if (st != ST_OK) {
        span_done(d, &to, false);
        return st;
    }
    span_done(d, &d->spans[i], false);
    d->spans[i] = to;
    sealed_key_wipe(&to.key);
    return ST_OK;
}

static size_t span_at(const struct draft *d, uint64_t off)
{
    size_t low = 0, high = d->count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (d->spans[mid].start <= off) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Within one block. */
static status_t write_part(struct draft *d, size_t i, uint64_t inside, const uint8_t *data,
                           size_t len, struct error *err)
{
    struct span *s = &d->spans[i];
    uint64_t number = inside / STORE_BLOCK_BYTES;
    size_t at = (size_t)(inside % STORE_BLOCK_BYTES);
    if (at == 0 && len == block_len(s, number)) {
        d->has_block = d->has_block && !is_held(d, i, number);
        return write_block(d, s, number, data, err);
    }
    status_t st = hold(d, i, number, err);
    if (st == ST_OK) {
        memcpy(d->block + at, data, len);
        d->block_sum = hash_crc32c(0, d->block, d->block_len);
    }
    return st;
}

static status_t check_end(uint64_t off, uint64_t len, struct error *err)
{
    return off <= STORE_OBJECT_MAX && len <= STORE_OBJECT_MAX - off
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "an object has at most %llu bytes",
                           (unsigned long long)STORE_OBJECT_MAX);
}

status_t draft_write(struct draft *d, const void *data, size_t len, uint64_t off, struct error *err)
{
    const uint8_t *bytes = data;
    status_t st = check_end(off, len, err);
    if (st == ST_OK && len > 0 && off + len > draft_size(d)) {
        st = grow(d, off + len, err);
    }
    while (st == ST_OK && len > 0) {
        size_t i = span_at(d, off);
        struct span *s = &d->spans[i];
        if (s->shared && (st = make_own(d, i, s->bytes, err)) != ST_OK) {
            break;
        }
        uint64_t inside = off - s->start, number = inside / STORE_BLOCK_BYTES;
        size_t room = block_len(s, number) - (size_t)(inside % STORE_BLOCK_BYTES);
        size_t n = room < len ? room : len;
        st = write_part(d, i, inside, bytes, n, err);
        bytes += n;
        off += n;
        len -= n;
    }
    return st;
}

/* Blocks behind the new end are zeros again, should it grow: their counts stay. */
static status_t cut_span(struct draft *d, size_t i, uint64_t bytes, struct error *err)
{
    struct span *s = &d->spans[i];
    uint64_t number = bytes / STORE_BLOCK_BYTES;
    size_t rest = (size_t)(bytes % STORE_BLOCK_BYTES);
    struct draft_file *f = NULL;
    status_t st = ST_OK;
    if (d->has_block && d->block_span == i && d->block_number >= number + (rest != 0)) {
        d->has_block = false;
    }
    if (rest != 0 && (is_held(d, i, number) || !is_zeros(s, number)) &&
        (st = hold(d, i, number, err)) == ST_OK) {
        set_held_len(d, rest);
    }
    if (st == ST_OK && s->extent != 0) {
        st = file_of(d, s->extent, 0, &f, err);
        if (st == ST_OK && file_cut(f->fd, number * STORE_BLOCK_BYTES) != 0) {
            st = error_set_errno(err, errno, "cut of an extent");
        }
    }
    for (size_t n = (size_t)number + (rest != 0); n < s->cap; n++) {
        s->writes[n] |= s->writes[n] != 0 ? CUT : 0;
    }
    s->bytes = bytes;
    return st;
}

status_t draft_set_size(struct draft *d, uint64_t size, struct error *err)
{
    status_t st = check_end(size, 0, err);
    if (st != ST_OK || size == draft_size(d)) {
        return st;
    }
    if (size > draft_size(d)) {
        return grow(d, size, err);
    }
    while (d->count > 0 && d->spans[d->count - 1].start >= size) {
        d->count--;
        d->has_block = d->has_block && d->block_span != d->count;
        span_done(d, &d->spans[d->count], false);
    }
    if (size == draft_size(d)) {
        return ST_OK;
    }
    struct span *last = &d->spans[d->count - 1];
    return last->shared ? make_own(d, d->count - 1, size - last->start, err)
                        : cut_span(d, d->count - 1, size - last->start, err);
}

status_t draft_read(struct draft *d, void *data, size_t len, uint64_t off, size_t *ret_len,
                    struct error *err)
{
    uint8_t *to = data;
    uint64_t size = draft_size(d), left = off < size ? size - off : 0;
    size_t want = len < left ? len : (size_t)left, got = 0;
    status_t st = ST_OK;
    while (st == ST_OK && got < want) {
        size_t i = span_at(d, off + got);
        uint64_t inside = off + got - d->spans[i].start, number = inside / STORE_BLOCK_BYTES;
        size_t at = (size_t)(inside % STORE_BLOCK_BYTES);
        size_t room = block_len(&d->spans[i], number) - at;
        size_t n = room < want - got ? room : want - got;
        const uint8_t *from = d->block;
        if (!is_held(d, i, number)) {
            st = read_block(d, &d->spans[i], number, d->scratch, err);
            from = d->scratch;
        }
        if (st == ST_OK) {
            memcpy(to + got, from + at, n);
            got += n;
        }
    }
    if (st == ST_OK) {
        *ret_len = got;
    }
    return st;
}

/* What it begins with. */

static status_t take_extent(struct draft *d, const struct new_extent *e, struct error *err)
{
    struct span s = {.start = draft_size(d), .bytes = e->piece.bytes, .sealed = d->encrypt};
    size_t blocks = block_count(&s);
    status_t st = tables_grow(d, &s, blocks, err);
    if (st == ST_OK) {
        s.extent = e->piece.extent;
        s.key = e->key;
        memcpy(s.sums, e->sums.data, 4 * blocks);
        if (s.sealed) {
            memcpy(s.tags, e->tags.data, blocks * SEAL_TAG_BYTES);
        }
        for (size_t i = 0; i < blocks; i++) {
            s.writes[i] = 1;
        }
        st = add_span(d, s, err);
    }
    if (st != ST_OK) {
        tables_done(d, &s);
    }
    sealed_key_wipe(&s.key);
    return st;
}

status_t draft_take_stream(struct draft *d, struct stream *w, struct error *err)
{
    size_t taken = 0;
    struct draft_file *f = NULL;
    status_t st = ST_OK;
    while (taken < w->count && (st = take_extent(d, &w->extents[taken], err)) == ST_OK) {
        taken++;
    }
    if (st == ST_OK && w->fd >= 0) { /* its errors are told to who opens it before it is closed */
        struct new_extent now = {
            .piece = w->piece, .sums = w->sums, .tags = w->tags, .key = w->key};
        st = file_of(d, w->piece.extent, 0, &f, err);
        if (st == ST_OK && (st = take_extent(d, &now, err)) == ST_OK) {
            f->dirty = true;
            close(w->fd);
            w->fd = -1;
        }
        sealed_key_wipe(&now.key);
    }
    if (st == ST_OK && w->fill > 0) {
        st = draft_write(d, w->block, w->fill, draft_size(d), err);
    }
    for (size_t i = 0; i < taken; i++) { /* their files are the draft's */
        buf_done(&w->extents[i].sums);
        buf_done(&w->extents[i].tags);
        sealed_key_wipe(&w->extents[i].key);
    }
    if (taken > 0) {
        memmove(w->extents, w->extents + taken, (w->count - taken) * sizeof w->extents[0]);
        w->count -= taken;
    }
    stream_done(w, false);
    return st;
}

status_t draft_take_object(struct draft *d, struct store_object *source, struct error *err)
{
    const struct layout *layout = object_layout(source);
    status_t st = ST_OK;
    d->source = source;
    for (size_t i = 0; i < layout->count && st == ST_OK; i++) {
        const struct piece *p = &layout->pieces[i];
        st = add_span(d,
                      (struct span){.start = draft_size(d),
                                    .bytes = p->bytes,
                                    .extent = p->extent,
                                    .shared = true,
                                    .sealed = p->sealed},
                      err);
    }
    return st;
}

/* The end. */

/* A block that was written again has a nonce that no row knows of. */
static bool must_reseal(const struct span *s)
{
    bool must = false;
    for (size_t i = 0; s->sealed && !must && i < s->cap && i < block_count(s); i++) {
        must = s->writes[i] > 1;
    }
    return must;
}

/* What was never written: zeros in the file already, but for what is encrypted. */
static status_t fill_zeros(struct draft *d, struct span *s, uint32_t zeros_sum, struct error *err)
{
    size_t blocks = block_count(s);
    status_t st = tables_grow(d, s, blocks, err);
    uint8_t *zeros = s->sealed ? calloc(1, STORE_BLOCK_BYTES) : NULL;
    if (st == ST_OK && s->sealed && zeros == NULL) {
        st = no_memory(err);
    }
    for (size_t i = 0; i < blocks && st == ST_OK; i++) {
        if (!is_zeros(s, i)) {
            continue;
        }
        if (s->sealed) {
            st = write_block(d, s, i, zeros, err);
        } else {
            size_t len = block_len(s, i);
            memset(d->scratch, 0, len);
            put_sum(s->sums + 4 * i,
                    len == STORE_BLOCK_BYTES ? zeros_sum : hash_crc32c(0, d->scratch, len));
        }
    }
    free(zeros);
    return st;
}

static status_t finish_span(struct draft *d, size_t i, uint32_t zeros_sum, struct error *err)
{
    struct draft_file *f = NULL;
    status_t st = must_reseal(&d->spans[i]) ? make_own(d, i, d->spans[i].bytes, err) : ST_OK;
    struct span *s = &d->spans[i];
    if (st == ST_OK && s->extent == 0) {
        st = make_file(d, s, err);
    }
    if (st == ST_OK) {
        st = fill_zeros(d, s, zeros_sum, err);
    }
    if (st == ST_OK) {
        st = file_of(d, s->extent, 0, &f, err);
    }
    if (st == ST_OK && file_cut(f->fd, s->bytes) != 0) {
        st = error_set_errno(err, errno, "size of an extent");
    }
    if (st == ST_OK) {
        f->dirty = true;
        st = file_close(d, f, err);
    }
    s->key.bytes = s->bytes;
    return st;
}

status_t draft_finish(struct draft *d, size_t *ret_count, struct error *err)
{
    const struct span *zeros = NULL; /* of a whole extent */
    status_t st = d->unsynced ? error_set(err, ST_IO, ERROR_NO_OFFSET,
                                          "bytes of the object did not reach the disk")
                              : flush(d, err);
    memset(d->scratch, 0, STORE_BLOCK_BYTES);
    uint32_t zeros_sum = hash_crc32c(0, d->scratch, STORE_BLOCK_BYTES);
    for (size_t i = 0; i < d->count && st == ST_OK; i++) {
        struct span *s = &d->spans[i];
        bool whole = s->extent == 0 && s->bytes == EXTENT_BYTES_MAX;
        if (whole && zeros != NULL) {
            s->extent = zeros->extent;
            s->repeats = true;
        } else if (!s->shared) {
            st = finish_span(d, i, zeros_sum, err);
            zeros = whole ? s : zeros;
        }
    }
    *ret_count = d->count;
    return st;
}

static status_t place_span(const struct span *s, struct batch *b, const struct bucket_ref *bucket,
                           struct buf *layout, struct error *err)
{
    struct piece piece = {.extent = s->extent, .bytes = s->bytes, .sealed = s->sealed};
    size_t at = layout->len;
    layout_encode(&(struct layout){.pieces = &piece, .count = 1}, layout);
    if (layout->failed) {
        return no_memory(err);
    }
    if (s->shared || s->repeats) {
        const struct buf own = {.data = layout->data + at, .len = PIECE_BYTES};
        return layout_use(b, &own, err);
    }
    const struct new_extent e = {
        .piece = piece,
        .sums = {.data = s->sums, .len = 4 * block_count(s)},
        .tags = {.data = s->tags, .len = s->sealed ? block_count(s) * SEAL_TAG_BYTES : 0},
        .key = s->key};
    status_t st = stream_add_row(b, &e, NULL, bucket->spill, bucket->replicas - 1, err);
    uses_add(b, uses_bucket(bucket), s->extent);
    return st == ST_OK && !ids_add(&b->placed, s->extent) ? no_memory(err) : st;
}

status_t draft_place(struct draft *d, struct batch *b, const struct bucket_ref *bucket,
                     struct buf *layout, struct error *err)
{
    status_t st = ST_OK;
    for (size_t i = 0; i < d->count && st == ST_OK; i++) {
        st = place_span(&d->spans[i], b, bucket, layout, err);
    }
    return st;
}

uint64_t *draft_copied(const struct draft *d, size_t *ret_count)
{
    uint64_t *ids = d->count > 0 ? malloc(d->count * sizeof *ids) : NULL;
    size_t count = 0;
    for (size_t i = 0; i < d->count && ids != NULL; i++) {
        if (!d->spans[i].shared && !d->spans[i].repeats) {
            ids[count++] = d->spans[i].extent;
        }
    }
    *ret_count = count;
    return ids;
}

void draft_free(struct draft *d, bool kept)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < d->count; i++) {
        span_done(d, &d->spans[i], kept);
    }
    for (size_t i = 0; i < DRAFT_FILES_OPEN; i++) {
        d->files[i].dirty = false;
        status_t ignored = file_close(d, &d->files[i], NULL);
        (void)ignored;
    }
    seal_free(d->seals[0]);
    seal_free(d->seals[1]);
    store_object_close(d->source);
    free(d->spans);
    free(d->block);
    free(d->scratch);
    free(d);
}
