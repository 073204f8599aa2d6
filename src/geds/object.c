#include "object.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"
#include "keys.h"
#include "place.h"
#include "sharing.h"
#include "use.h"

/* The file of one extent with its checksums. Counted under store_object.lock. */
struct handle {
    unsigned refs;
    int fd; /* -1: there are no local bytes */
    struct store *store;
    struct store_extent extent;
    struct sealed_key key; /* of an encrypted one, and so are: */
    struct buf tags;
};

struct store_object {
    struct store *store; /* immutable, and so is the rest but handle */
    struct arena arena;
    struct store_info info;
    struct store_attributes attributes;
    struct layout layout;
    struct buf parts; /* encoded */
    uint64_t *starts; /* of each piece in the object */
    size_t pinned;    /* pieces whose extents are pinned */
    struct buf inline_bytes;
    bool is_inline;
    uint64_t memory; /* the bucket, if its rule wants extents in memory; else 0 */
    struct error
        locked; /* why inline_bytes, which are encrypted, cannot be read; code ST_OK: they can */
    pthread_mutex_t lock;
    struct handle *handle; /* the last one used; guarded by lock */
};

static void unpin(struct store_object *o)
{
    for (size_t i = 0; i < o->pinned; i++) {
        if (pins_remove(&o->store->pins, o->layout.pieces[i].extent)) {
            store_extent_gone(o->store, o->layout.pieces[i].extent);
        }
    }
}

static void handle_free(struct handle *h)
{
    if (h->fd >= 0) {
        close(h->fd);
    }
    buf_done(&h->extent.sums);
    buf_done(&h->tags);
    sealed_key_wipe(&h->key);
    free(h);
}

static void handle_unref(struct store_object *o, struct handle *h)
{
    pthread_mutex_lock(&o->lock);
    bool last = --h->refs == 0;
    pthread_mutex_unlock(&o->lock);
    if (last) {
        handle_free(h);
    }
}

void store_object_close(struct store_object *o)
{
    if (o == NULL) {
        return;
    }
    atomic_fetch_sub(&o->store->open_objects, 1);
    if (o->handle != NULL) {
        handle_unref(o, o->handle);
    }
    unpin(o);
    pthread_mutex_destroy(&o->lock);
    buf_done(&o->inline_bytes);
    buf_done(&o->parts);
    arena_done(&o->arena);
    free(o);
}

const struct store_info *store_object_info(const struct store_object *o)
{
    return &o->info;
}

const struct store_attributes *store_object_attributes(const struct store_object *o)
{
    return &o->attributes;
}

status_t store_object_parts(const struct store_object *o, struct store_part **ret_parts,
                            size_t *ret_count, struct error *err)
{
    return parts_decode(o->parts.data, o->parts.len, o->info.size, ret_parts, ret_count, err);
}

const struct layout *object_layout(const struct store_object *o)
{
    return &o->layout;
}

bool object_is_inline(const struct store_object *o)
{
    return o->is_inline;
}

/* The row of an extent: its sums, and its bytes when they are in the row. */
static status_t get_extent(struct db *db, const struct piece *piece, struct buf *sums,
                           struct buf *data, bool *ret_inline, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, SQL_EXTENT_GET, &statement, err, "i", piece->extent);
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && (!row || db_u64(statement, 0) != piece->bytes ||
                        (db_u64(statement, 5) != 0) != piece->sealed)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "extent %016llx is not what it was",
                       (unsigned long long)piece->extent);
    }
    if (st == ST_OK) {
        *ret_inline = sqlite3_column_type(statement, 2) != SQLITE_NULL;
        if (!column_blob(statement, 1, sums) || (*ret_inline && !column_blob(statement, 2, data))) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    return st;
}

/* The bytes of a small object are ciphertext. */
static status_t open_inline(struct store_object *o, struct db *db, struct error *err)
{
    const struct piece *piece = &o->layout.pieces[0];
    struct sealed_key key = {0};
    struct buf tags = {0};
    struct seal *seal = NULL;
    status_t st = keys_get(o->store, db, piece->extent, piece->bytes, &key, &tags, err);
    if (st == ST_OK && (st = seal_new(&seal, err)) == ST_OK) {
        st = seal_use(seal, piece->extent, key.key, false, err);
    }
    if (st == ST_OK) {
        st = keys_open_blocks(seal, &tags, piece->extent, 0, o->inline_bytes.data,
                              o->inline_bytes.len, err);
    }
    seal_free(seal);
    sealed_key_wipe(&key);
    buf_done(&tags);
    return st;
}

static status_t error_copy(status_t st, const struct error *from, struct error *err)
{
    if (st != ST_OK && err != NULL) {
        *err = *from;
    }
    return st;
}

/* The bytes of a small object are read with its name; the extents of others are kept from being
 * removed. */
static status_t hold_bytes(struct store_object *o, struct db *db, struct error *err)
{
    status_t st = ST_OK;
    if (o->layout.count == 1 && o->info.size <= STORE_INLINE_MAX) {
        struct buf sums = {0};
        const struct piece *piece = &o->layout.pieces[0];
        st = get_extent(db, piece, &sums, &o->inline_bytes, &o->is_inline, err);
        if (st == ST_OK && o->is_inline && o->inline_bytes.len != piece->bytes) {
            st = error_set(err, ST_CORRUPT, 0, "extent %016llx has %zu bytes, not %llu",
                           (unsigned long long)piece->extent, o->inline_bytes.len,
                           (unsigned long long)piece->bytes);
        }
        if (st == ST_OK && o->is_inline) {
            st = extent_verify(sums.data, sums.len, piece->extent, 0, o->inline_bytes.data,
                               o->inline_bytes.len, err);
        }
        if (st == ST_OK && o->is_inline && piece->sealed) {
            st = open_inline(o, db, &o->locked);
            st = st == ST_PERM ? ST_OK : error_copy(st, &o->locked, err);
        }
        buf_done(&sums);
    }
    for (size_t i = 0; i < o->layout.count && st == ST_OK && !o->is_inline; i++) {
        if (!pins_add(&o->store->pins, o->layout.pieces[i].extent)) {
            return no_memory(err);
        }
        o->pinned++;
        place_used(o->store, o->layout.pieces[i].extent);
    }
    return st;
}

static status_t decode(struct store_object *o, struct row *row, struct error *err)
{
    o->info = row->info;
    o->parts = row->parts;
    row->parts = (struct buf){0};
    status_t st = layout_decode(&o->arena, row->layout.data, row->layout.len, row->info.size,
                                &o->layout, err);
    if (st == ST_OK) {
        st = attributes_decode(&o->arena, row->attributes.data, row->attributes.len, &o->attributes,
                               err);
    }
    if (st == ST_OK &&
        (o->starts = arena_alloc(&o->arena, o->layout.count, sizeof o->starts[0])) == NULL) {
        st = no_memory(err);
    }
    uint64_t start = 0;
    for (size_t i = 0; i < o->layout.count && st == ST_OK; i++) {
        o->starts[i] = start;
        start += o->layout.pieces[i].bytes;
    }
    return st;
}

/* ref, row: zeroed; row for row_done whatever the result is. ST_NOTFOUND: no such bucket or key. */
static status_t find_row(struct db *db, const char *bucket, const char *key, uint64_t version,
                         struct bucket_ref *ref, struct row *row, struct error *err)
{
    bool current = false;
    status_t st = bucket_find(db, bucket, ref, err);
    if (st == ST_OK) {
        st = row_find_version(db, ref, key, version, row, &current, err);
    }
    if (st == ST_OK && !row->found) {
        st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object %s/%.100s", bucket, key);
    }
    return st;
}

static status_t find(struct store_object *o, struct db *db, const char *bucket, const char *key,
                     uint64_t version, struct error *err)
{
    struct row row = {0};
    struct bucket_ref ref = {0};
    status_t st = db_do(db, SQL_BEGIN_READ, err, "");
    if (st != ST_OK) {
        return st;
    }
    st = find_row(db, bucket, key, version, &ref, &row, err);
    o->memory = uses_bucket(&ref);
    if (st == ST_OK) {
        st = decode(o, &row, err);
    }
    if (st == ST_OK) {
        st = hold_bytes(o, db, err);
    }
    row_done(&row);
    status_t ended = db_do(db, SQL_COMMIT, st == ST_OK ? err : NULL, "");
    return st == ST_OK ? ended : st;
}

status_t store_object_open(struct store *s, const char *bucket, const char *key,
                           struct store_object **ret_object, struct error *err)
{
    return store_version_open(s, bucket, key, STORE_VERSION_CURRENT, ret_object, err);
}

status_t store_version_open(struct store *s, const char *bucket, const char *key, uint64_t version,
                            struct store_object **ret_object, struct error *err)
{
    struct db *db = NULL;
    struct store_object *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return no_memory(err);
    }
    o->store = s;
    int code = pthread_mutex_init(&o->lock, NULL);
    if (code != 0) {
        free(o);
        return error_set_errno(err, code, "mutex");
    }
    atomic_fetch_add(&s->open_objects, 1);
    status_t st = check_key(key, err);
    if (st == ST_OK) {
        st = store_reader(s, &db, err);
    }
    if (st == ST_OK) {
        pthread_rwlock_rdlock(&s->names_lock);
        st = find(o, db, bucket, key, version, err);
        pthread_rwlock_unlock(&s->names_lock);
        store_reader_back(s, db);
    }
    if (st != ST_OK) {
        store_object_close(o);
        return st;
    }
    *ret_object = o;
    return ST_OK;
}

status_t store_stat(struct store *s, const char *bucket, const char *key,
                    struct store_info *ret_info, struct error *err)
{
    struct db *db = NULL;
    struct row row = {0};
    struct bucket_ref ref = {0};
    status_t st = check_key(key, err);
    if (st == ST_OK) {
        st = store_reader(s, &db, err);
    }
    if (st != ST_OK) {
        return st;
    }
    st = find_row(db, bucket, key, STORE_VERSION_CURRENT, &ref, &row, err);
    store_reader_back(s, db);
    if (st == ST_OK) {
        *ret_info = row.info;
    }
    row_done(&row);
    return st;
}

/* Local bytes do not match, or are missing: who repairs them is told. */
static void note_damage(const struct handle *h)
{
    uses_gone(h->store, h->extent.id, true);
    if ((h->extent.place & STORE_PLACE_REMOTE) != 0 && h->store->placing != NULL) {
        place_damaged(h->store, h->extent.id);
    } else {
        copies_damaged(h->store, h->extent.id);
    }
}

/* A file that is not there has been dropped since the row was read; else it is lost, and read from its copy. */
static status_t open_bytes(struct handle *h, struct error *err)
{
    struct store *s = h->store;
    if (h->extent.place & STORE_PLACE_AWAY) {
        return ST_OK;
    }
    status_t st = extent_open(s, h->extent.id, &h->fd, err);
    if (st != ST_CORRUPT) {
        return st;
    }
    struct store_extent now = {0};
    if (store_extent_get(s, h->extent.id, &now, NULL) != ST_OK) {
        return st;
    }
    h->extent.place = now.place;
    h->extent.nonce = now.nonce;
    buf_done(&now.sums);
    if (now.place & STORE_PLACE_AWAY) {
        return ST_OK;
    }
    if (extent_open_here(s, h->extent.id, &h->fd, NULL) == ST_OK) {
        return ST_OK; /* it was recalled since */
    }
    if (((now.place & STORE_PLACE_REMOTE) == 0 || s->placing == NULL) &&
        !copies_have(s, h->extent.id)) {
        const char *elsewhere = shared_elsewhere(s, h->extent.id);
        return elsewhere == NULL
                   ? st
                   : error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                               "its bytes are on the disk of the controller %s only", elsewhere);
    }
    note_damage(h);
    h->extent.place |= STORE_PLACE_AWAY;
    return ST_OK;
}

static status_t get_key(struct handle *h, struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(h->store, &db, err);
    if (st == ST_OK) {
        st = keys_get(h->store, db, h->extent.id, h->extent.bytes, &h->key, &h->tags, err);
        store_reader_back(h->store, db);
    }
    return st;
}

static status_t handle_new(struct store_object *o, const struct piece *piece,
                           struct handle **ret_handle, struct error *err)
{
    struct handle *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return no_memory(err);
    }
    *h = (struct handle){.refs = 1, .fd = -1, .store = o->store};
    status_t st = store_extent_get(o->store, piece->extent, &h->extent, err);
    if (st == ST_NOTFOUND || (st == ST_OK && (h->extent.bytes != piece->bytes ||
                                              h->extent.encrypted != piece->sealed))) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "extent %016llx is not what it was",
                       (unsigned long long)piece->extent);
    }
    if (st == ST_OK && h->extent.is_inline) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "extent %016llx is not a file",
                       (unsigned long long)piece->extent);
    }
    if (st == ST_OK && piece->sealed) {
        st = get_key(h, err);
    }
    if (st == ST_OK) {
        st = open_bytes(h, err);
    }
    if (st != ST_OK) {
        handle_free(h);
        return st;
    }
    *ret_handle = h;
    return ST_OK;
}

/* The caller's reference ends with handle_unref. */
static status_t handle_of(struct store_object *o, const struct piece *piece,
                          struct handle **ret_handle, struct error *err)
{
    struct handle *h = NULL, *old = NULL;
    pthread_mutex_lock(&o->lock);
    if (o->handle != NULL && o->handle->extent.id == piece->extent) {
        h = o->handle;
        h->refs++;
    }
    pthread_mutex_unlock(&o->lock);
    if (h == NULL) {
        status_t st = handle_new(o, piece, &h, err);
        if (st != ST_OK) {
            return st;
        }
        pthread_mutex_lock(&o->lock);
        old = o->handle;
        o->handle = h;
        h->refs++;
        pthread_mutex_unlock(&o->lock);
    }
    if (old != NULL) {
        handle_unref(o, old);
    }
    *ret_handle = h;
    return ST_OK;
}

static status_t read_local(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                           struct error *err)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(h->fd, data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(err, errno, "read of extent %016llx",
                                   (unsigned long long)h->extent.id);
        }
        if (n == 0) {
            return error_set(err, ST_CORRUPT, off + got, "extent %016llx ends at byte %llu of %llu",
                             (unsigned long long)h->extent.id, (unsigned long long)(off + got),
                             (unsigned long long)h->extent.bytes);
        }
        got += (size_t)n;
    }
    return store_extent_compare(&h->extent, off, data, len, err);
}

/* One call of a reader. */
struct reading {
    uint8_t *scratch;  /* STORE_BLOCK_BYTES, made when it is needed, and so is: */
    struct seal *seal; /* with the key of: */
    const struct handle *sealed;
    bool *waits;     /* NULL: it may wait for a tier. Else set to true where it would have to. */
    uint64_t memory; /* as of the object */
};

/* What was read of an extent, if it is encrypted. ST_CORRUPT: a tag; data is wiped. */
static status_t unseal(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                       struct reading *r, struct error *err)
{
    status_t st = ST_OK;
    if (!h->extent.encrypted) {
        return ST_OK;
    }
    if (r->seal == NULL) {
        st = seal_new(&r->seal, err);
    }
    if (st == ST_OK && r->sealed != h) {
        st = seal_use(r->seal, h->extent.id, h->key.key, false, err);
        r->sealed = h;
    }
    return st == ST_OK ? keys_open_blocks(r->seal, &h->tags, h->extent.id, off, data, len, err)
                       : st;
}

/* From the tier, or from a node if that gives nothing. */
static status_t read_elsewhere(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                               struct reading *r, struct error *err)
{
    bool on_nodes = copies_have(h->store, h->extent.id);
    status_t st = ST_AGAIN;
    if ((h->extent.place & STORE_PLACE_REMOTE) != 0 || !on_nodes) {
        st = place_read(h->store, &h->extent, off, data, len, r->waits, err);
    }
    bool waits = r->waits != NULL && *r->waits;
    return st != ST_OK && !waits && on_nodes
               ? copies_read(h->store, &h->extent, off, data, len, r->waits, err)
               : st;
}

/* From a copy. ret_tag_failed (may be NULL): it is what was written, but does not match its tag. */
static status_t read_copy(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                          struct reading *r, bool *ret_tag_failed, struct error *err)
{
    status_t st = read_elsewhere(h, data, len, off, r, err);
    if (st == ST_OK) {
        st = unseal(h, data, len, off, r, err);
        if (ret_tag_failed != NULL) {
            *ret_tag_failed = st == ST_CORRUPT;
        }
    }
    return st;
}

/* Local bytes that cannot be read or do not match are read from the copy, if there is one. */
static status_t read_verified(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                              struct reading *r, struct error *err)
{
    struct placing *p = h->store->placing;
    if (h->fd < 0) {
        return read_copy(h, data, len, off, r, NULL, err);
    }
    uses_note(h->store, r->memory, h->extent.id, true);
    status_t st = read_local(h, data, len, off, err);
    if (st == ST_OK) {
        st = unseal(h, data, len, off, r, err);
    }
    if (p != NULL) {
        atomic_fetch_add_explicit(&p->local_reads, 1, memory_order_relaxed);
    }
    if (st == ST_CORRUPT || st == ST_IO) { /* the disk may have better ones than memory */
        uses_gone(h->store, h->extent.id, true);
    }
    bool in_tier = p != NULL && (h->extent.place & STORE_PLACE_REMOTE) != 0;
    if ((st != ST_CORRUPT && st != ST_IO) || (!in_tier && !copies_have(h->store, h->extent.id))) {
        return st;
    }
    bool tag_failed = false;
    status_t copy = read_copy(h, data, len, off, r, &tag_failed, NULL);
    bool waits = r->waits != NULL && *r->waits; /* who may wait reads it again, and knows more */
    if (!waits && !tag_failed) {                /* else the copy mends nothing */
        note_damage(h);
    }
    return copy == ST_OK || waits ? copy : st;
}

enum { READ_BYTES = 1024 * 1024 };

/* A part of a block is read by way of scratch, since the sum is that of the whole block. */
static status_t read_piece(const struct handle *h, uint8_t *data, size_t len, uint64_t off,
                           struct reading *r, struct error *err)
{
    while (len > 0) {
        size_t inside = (size_t)(off % STORE_BLOCK_BYTES), n;
        uint64_t block = off - inside, left = h->extent.bytes - block;
        size_t whole = left < STORE_BLOCK_BYTES ? (size_t)left : STORE_BLOCK_BYTES;
        status_t st = ST_OK;
        if (inside == 0 && len >= whole) {
            n = len < READ_BYTES ? len : READ_BYTES;
            n = n == left ? n : n / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES;
            st = read_verified(h, data, n, off, r, err);
        } else {
            if (r->scratch == NULL && (r->scratch = malloc(STORE_BLOCK_BYTES)) == NULL) {
                return no_memory(err);
            }
            n = whole - inside < len ? whole - inside : len;
            st = read_verified(h, r->scratch, whole, block, r, err);
            if (st == ST_OK) {
                memcpy(data, r->scratch + inside, n);
            }
        }
        if (st != ST_OK) {
            return st;
        }
        data += n;
        off += n;
        len -= n;
    }
    return ST_OK;
}

/* The piece that has byte off, which is in the object. */
static size_t piece_at(const struct store_object *o, uint64_t off)
{
    size_t low = 0, high = o->layout.count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (o->starts[mid] <= off) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low;
}

static status_t read_pieces(struct store_object *o, uint8_t *data, size_t len, uint64_t off,
                            struct reading *r, struct error *err)
{
    for (size_t i = len > 0 ? piece_at(o, off) : 0; len > 0; i++) {
        const struct piece *piece = &o->layout.pieces[i];
        uint64_t inside = off - o->starts[i];
        size_t n = piece->bytes - inside < len ? (size_t)(piece->bytes - inside) : len;
        struct handle *h = NULL;
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t st = handle_of(o, piece, &h, &inner);
        if (st == ST_OK) {
            st = read_piece(h, data, n, inside, r, &inner);
            r->sealed = NULL; /* another one may get its address */
            handle_unref(o, h);
        }
        if (st != ST_OK) {
            uint64_t at = inner.offset == ERROR_NO_OFFSET ? off : o->starts[i] + inner.offset;
            return error_set(err, st, at, "%s", inner.text);
        }
        data += n;
        off += n;
        len -= n;
    }
    return ST_OK;
}

static status_t read_object(struct store_object *o, void *data, size_t len, uint64_t off,
                            size_t *ret_len, bool *waits, struct error *err)
{
    uint64_t left = off < o->info.size ? o->info.size - off : 0;
    size_t n = len < left ? len : (size_t)left;
    status_t st = ST_OK;
    if (o->is_inline) {
        if (o->locked.code != ST_OK) {
            return error_copy(o->locked.code, &o->locked, err);
        }
        if (n > 0) {
            memcpy(data, o->inline_bytes.data + off, n);
        }
    } else {
        struct reading r = {.waits = waits, .memory = o->memory};
        st = read_pieces(o, data, n, off, &r, err);
        free(r.scratch);
        seal_free(r.seal);
    }
    if (st == ST_OK) {
        *ret_len = n;
    }
    return st;
}

status_t store_object_read(struct store_object *o, void *data, size_t len, uint64_t off,
                           size_t *ret_len, struct error *err)
{
    return read_object(o, data, len, off, ret_len, NULL, err);
}

status_t store_object_read_now(struct store_object *o, void *data, size_t len, uint64_t off,
                               size_t *ret_len, bool *ret_waits, struct error *err)
{
    *ret_waits = false;
    return read_object(o, data, len, off, ret_len, ret_waits, err);
}

enum { KEYS_LOOKED_AT_MAX = 64 };

status_t store_object_unlock(struct store_object *o, struct error *err)
{
    struct db *db = NULL;
    if (o->is_inline) {
        return error_copy(o->locked.code, &o->locked, err);
    }
    size_t count = o->layout.count < KEYS_LOOKED_AT_MAX ? o->layout.count : KEYS_LOOKED_AT_MAX;
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        const struct piece *piece = &o->layout.pieces[i];
        struct sealed_key key = {0};
        if (piece->sealed && db == NULL) {
            st = store_reader(o->store, &db, err);
        }
        if (piece->sealed && st == ST_OK) {
            st = keys_get(o->store, db, piece->extent, piece->bytes, &key, NULL, err);
            sealed_key_wipe(&key);
        }
    }
    if (db != NULL) {
        store_reader_back(o->store, db);
    }
    return st;
}

enum { RECALLS_MAX = 4 };

/* A drop that had looked for readers before this object was opened may take the file away in between; it cannot come
 * twice. */
static status_t recall_and_open(struct store *s, uint64_t id, int *ret_fd, struct error *err)
{
    status_t st = ST_CORRUPT;
    for (int i = 0; i < RECALLS_MAX && st == ST_CORRUPT; i++) {
        st = store_extent_recall(s, id, err);
        if (st != ST_OK) {
            return st;
        }
        st = extent_open_here(s, id, ret_fd, err);
    }
    return st;
}

status_t store_object_piece(struct store_object *o, size_t index, int *ret_fd, uint64_t *ret_bytes,
                            struct error *err)
{
    if (o->is_inline) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "a small object has no file");
    }
    if (index >= o->layout.count) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no such piece");
    }
    if (o->layout.pieces[index].sealed) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "it is encrypted: its file is of no use to others");
    }
    uint64_t id = o->layout.pieces[index].extent;
    status_t st = recall_and_open(o->store, id, ret_fd, err);
    if (st == ST_CORRUPT && copies_have(o->store, id) && /* its file is lost */
        (st = store_extent_restore(o->store, id, err)) == ST_OK) {
        st = extent_open_here(o->store, id, ret_fd, err);
    }
    if (st == ST_NOTFOUND) { /* that would say that there are no more pieces */
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                       "it was deleted while its bytes were in a tier, so they have no file");
    }
    if (st == ST_OK) {
        *ret_bytes = o->layout.pieces[index].bytes;
        uses_note(o->store, o->memory, id, false);
    }
    return st;
}

status_t store_object_sums(struct store_object *o, size_t index, struct buf *out, struct error *err)
{
    struct db *db = NULL;
    struct buf no_data = {0};
    bool is_inline = false;
    if (index >= o->layout.count) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no such piece");
    }
    if (o->layout.pieces[index].sealed) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "it is encrypted: these are no checksums of its bytes");
    }
    status_t st = store_reader(o->store, &db, err);
    if (st == ST_OK) {
        st = get_extent(db, &o->layout.pieces[index], out, &no_data, &is_inline, err);
        store_reader_back(o->store, db);
    }
    buf_done(&no_data);
    return st == ST_OK && is_inline
               ? error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "a small object has no file")
               : st;
}

enum { LOOKED_AT_MAX = 64 };

bool store_object_is_away(struct store_object *o)
{
    const struct placing *p = o->store->placing;
    if (p == NULL || o->is_inline || !atomic_load(&p->any_away)) {
        return false;
    }
    if (o->layout.count > LOOKED_AT_MAX) {
        return true; /* it may be */
    }
    for (size_t i = 0; i < o->layout.count; i++) {
        if (place_is_away(o->store, o->layout.pieces[i].extent)) {
            return true;
        }
    }
    return false;
}
