#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"
#include "draft.h"
#include "object.h"
#include "row.h"
#include "use.h"

/* An object that is being written, or (upload not 0) a part of an upload. */
struct store_put {
    struct stream stream;
    struct draft *draft; /* instead of stream, which is empty then; or NULL */
    size_t draft_count;  /* of a finished draft: extents */
    struct buf from;     /* layout of the object that it begins with, and may replace */
    char from_etag[STORE_ETAG_BYTES]; /* "": there is none */
    char *bucket;
    char *key;
    uint64_t upload;
    unsigned number;
    bool failed; /* a write did; what is there is not whole */
    uint8_t sum[STORE_PART_SUM_MAX];
    size_t sum_len;
    struct buf attributes;
};

struct put_task {
    struct task task;
    struct store_put *put;
    const struct store_condition *condition;
    uint8_t md5[MD5_BYTES];
    struct store_info info;
};

static status_t put_new(struct store *s, const char *bucket, const char *key, bool encrypt,
                        struct store_put **ret_put, struct error *err)
{
    struct store_put *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return no_memory(err);
    }
    status_t st = stream_init(&p->stream, s, err);
    p->bucket = strdup(bucket);
    p->key = strdup(key);
    if (st == ST_OK && (p->bucket == NULL || p->key == NULL)) {
        st = no_memory(err);
    }
    if (st == ST_OK && encrypt) {
        st = stream_encrypt(&p->stream, err);
    }
    if (st != ST_OK) {
        store_put_abort(p);
        return st;
    }
    *ret_put = p;
    return ST_OK;
}

static void put_free(struct store_put *p, bool kept)
{
    stream_done(&p->stream, kept);
    draft_free(p->draft, kept);
    buf_done(&p->from);
    buf_done(&p->attributes);
    free(p->bucket);
    free(p->key);
    free(p);
}

/* The bucket is looked for again at the commit; now, so that a large object is not sent for
 * nothing. *ret_encrypt: as the rules are now. */
static status_t check_name(struct store *s, const char *bucket, const char *key, uint64_t upload,
                           bool *ret_encrypt, struct error *err)
{
    struct db *db = NULL;
    struct bucket_ref ref = {0};
    struct buf ignored = {0};
    bool asked = false;
    status_t st = check_bucket(bucket, err);
    if (st == ST_OK && (st = check_key(key, err)) == ST_OK) {
        st = store_reader(s, &db, err);
    }
    if (st != ST_OK) {
        return st;
    }
    st = bucket_find(db, bucket, &ref, err);
    if (st == ST_OK && upload != 0) {
        st = upload_find(db, &ref, key, upload, &ignored, &asked, err);
    }
    buf_done(&ignored);
    store_reader_back(s, db);
    *ret_encrypt = asked || ref.encrypt || keys_encrypt_all(s);
    return st;
}

status_t store_put_begin(struct store *s, const char *bucket, const char *key,
                         const struct store_attributes *attributes, struct store_put **ret_put,
                         struct error *err)
{
    struct store_put *p = NULL;
    bool encrypt = false;
    status_t st = check_name(s, bucket, key, 0, &encrypt, err);
    if (st == ST_OK) {
        st = put_new(s, bucket, key, encrypt, &p, err);
    }
    if (st == ST_OK && (st = attributes_encode(attributes, &p->attributes, err)) != ST_OK) {
        store_put_abort(p);
    }
    if (st == ST_OK) {
        *ret_put = p;
    }
    return st;
}

status_t store_upload_put_begin(struct store *s, const char *bucket, const char *key, uint64_t id,
                                unsigned number, struct store_put **ret_put, struct error *err)
{
    if (number < 1 || number > STORE_PART_NUMBER_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "part %u: 1 to %d are part numbers",
                         number, STORE_PART_NUMBER_MAX);
    }
    if (id == 0 || id > INT64_MAX) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no such upload");
    }
    struct store_put *p = NULL;
    bool encrypt = false;
    status_t st = check_name(s, bucket, key, id, &encrypt, err);
    if (st == ST_OK) {
        st = put_new(s, bucket, key, encrypt, &p, err);
    }
    if (st == ST_OK) {
        p->upload = id;
        p->number = number;
        *ret_put = p;
    }
    return st;
}

status_t store_put_encrypt(struct store_put *p, struct error *err)
{
    return p->stream.size == 0 && p->draft == NULL && p->from_etag[0] == '\0'
               ? stream_encrypt(&p->stream, err)
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "bytes of it were written already");
}

bool store_put_is_encrypted(const struct store_put *p)
{
    return p->stream.seal != NULL || (p->draft != NULL && draft_encrypts(p->draft));
}

static status_t check_failed(const struct store_put *p, struct error *err)
{
    return p->failed ? error_set(err, ST_IO, ERROR_NO_OFFSET, "an earlier write failed") : ST_OK;
}

uint64_t store_put_size(const struct store_put *p)
{
    return p->draft != NULL ? draft_size(p->draft) : p->stream.size;
}

status_t store_put_write(struct store_put *p, const void *data, size_t len, struct error *err)
{
    status_t st = check_failed(p, err);
    if (st == ST_OK) {
        st = p->draft != NULL ? draft_write(p->draft, data, len, draft_size(p->draft), err)
                              : stream_write(&p->stream, data, len, err);
    }
    p->failed = st != ST_OK;
    return st;
}

/* From now on any place may be written. */
static status_t make_draft(struct store_put *p, struct error *err)
{
    struct draft *d = NULL;
    if (p->draft != NULL) {
        return ST_OK;
    }
    status_t st = draft_new(p->stream.store, p->stream.seal != NULL, &d, err);
    if (st == ST_OK) {
        p->draft = d;
        st = draft_take_stream(d, &p->stream, err);
    }
    return st;
}

/* Makes it a draft, if it may be one. */
static status_t begin_change(struct store_put *p, struct error *err)
{
    status_t st = check_failed(p, err);
    if (st == ST_OK && p->upload != 0) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a part is written from its beginning on");
    }
    if (st == ST_OK) {
        st = make_draft(p, err);
        p->failed = st != ST_OK;
    }
    return st;
}

status_t store_put_write_at(struct store_put *p, const void *data, size_t len, uint64_t off,
                            struct error *err)
{
    status_t st = begin_change(p, err);
    if (st == ST_OK) {
        st = draft_write(p->draft, data, len, off, err);
        p->failed = st != ST_OK;
    }
    return st;
}

status_t store_put_set_size(struct store_put *p, uint64_t size, struct error *err)
{
    status_t st = begin_change(p, err);
    if (st == ST_OK) {
        st = draft_set_size(p->draft, size, err);
        p->failed = st != ST_OK;
    }
    return st;
}

status_t store_put_read(struct store_put *p, void *data, size_t len, uint64_t off, size_t *ret_len,
                        struct error *err)
{
    status_t st = begin_change(p, err);
    return st == ST_OK ? draft_read(p->draft, data, len, off, ret_len, err) : st;
}

/* A small object is in a row, so its bytes are written anew. */
static status_t take_bytes(struct store_put *p, struct store_object *o, struct error *err)
{
    size_t len = (size_t)store_object_info(o)->size, got = 0;
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    status_t st = bytes != NULL ? store_object_read(o, bytes, len, 0, &got, err) : no_memory(err);
    if (st == ST_OK) {
        st = stream_write(&p->stream, bytes, got, err);
    }
    free(bytes);
    return st;
}

/* *ret_object is the draft's then, and so NULL. */
static status_t take_object(struct store_put *p, struct store_object **object, struct error *err)
{
    struct store_object *o = *object;
    const struct layout *layout = object_layout(o);
    bool sealed = p->stream.seal != NULL;
    layout_encode(layout, &p->from);
    snprintf(p->from_etag, sizeof p->from_etag, "%s", store_object_info(o)->etag);
    status_t st = attributes_encode(store_object_attributes(o), &p->attributes, err);
    for (size_t i = 0; i < layout->count; i++) {
        sealed |= layout->pieces[i].sealed;
    }
    if (st == ST_OK && p->from.failed) {
        st = no_memory(err);
    }
    if (st == ST_OK && sealed) {
        st = stream_encrypt(&p->stream, err);
    }
    if (st == ST_OK && (object_is_inline(o) || layout->count == 0)) {
        return take_bytes(p, o, err);
    }
    if (st == ST_OK) {
        st = make_draft(p, err);
    }
    if (st == ST_OK) {
        *object = NULL;
        st = draft_take_object(p->draft, o, err);
    }
    return st;
}

status_t store_put_begin_from(struct store *s, const char *bucket, const char *key,
                              struct store_put **ret_put, struct store_info *ret_info,
                              struct error *err)
{
    struct store_put *p = NULL;
    struct store_object *o = NULL;
    bool encrypt = false;
    status_t st = check_name(s, bucket, key, 0, &encrypt, err);
    if (st == ST_OK) {
        st = store_object_open(s, bucket, key, &o, err);
    }
    if (st == ST_OK) {
        st = put_new(s, bucket, key, encrypt, &p, err);
    }
    if (st == ST_OK) {
        struct store_info info = *store_object_info(o);
        st = take_object(p, &o, err);
        if (st == ST_OK) {
            *ret_info = info;
            *ret_put = p;
        } else {
            store_put_abort(p);
        }
    }
    store_object_close(o);
    return st;
}

void store_put_md5(const struct store_put *p, uint8_t ret_md5[16])
{
    struct md5 copy = p->stream.md5;
    md5_final(&copy, ret_md5);
}

status_t store_put_set_attributes(struct store_put *p, const struct store_attributes *attributes,
                                  struct error *err)
{
    struct buf encoded = {0};
    status_t st = attributes_encode(attributes, &encoded, err);
    if (st != ST_OK) {
        buf_done(&encoded);
        return st;
    }
    buf_done(&p->attributes);
    p->attributes = encoded;
    return ST_OK;
}

status_t store_put_set_sum(struct store_put *p, const void *sum, size_t len, struct error *err)
{
    if (len > sizeof p->sum || p->upload == 0) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%zu bytes kept with a part: at most %d",
                         len, STORE_PART_SUM_MAX);
    }
    memcpy(p->sum, sum, len);
    p->sum_len = len;
    return ST_OK;
}

void store_put_abort(struct store_put *p)
{
    if (p != NULL) {
        put_free(p, false);
    }
}

/* Add the stream's extents and encode them. */
static status_t place(struct stream *w, struct batch *b, struct buf *out, struct error *err)
{
    struct layout layout = {.pieces = calloc(w->count + 1, sizeof *layout.pieces)};
    if (layout.pieces == NULL) {
        return no_memory(err);
    }
    status_t st = stream_place(w, b, layout.pieces, &layout.count, err);
    if (st == ST_OK) {
        layout_encode(&layout, out);
        st = out->failed ? no_memory(err) : ST_OK;
    }
    free(layout.pieces);
    return st;
}

/* Its extents are shared, and those are sure to be there as long as the object is. */
static status_t check_source(const struct store_put *p, const struct row *old, struct error *err)
{
    const struct store_condition same = {.if_match = p->from_etag};
    status_t st = row_check(old, p->key, &same, err);
    if (st == ST_OK &&
        (old->layout.len != p->from.len ||
         (p->from.len > 0 && memcmp(old->layout.data, p->from.data, p->from.len) != 0))) {
        st = error_set(err, ST_CHANGED, ERROR_NO_OFFSET,
                       "%.100s is not the object that was opened for writing", p->key);
    }
    return st;
}

static status_t put_object(struct batch *b, struct task *task, struct error *err)
{
    struct put_task *t = (struct put_task *)task;
    struct store_put *p = t->put;
    struct bucket_ref bucket = {0};
    struct row old = {0};
    struct row row = {.info = {.size = store_put_size(p), .modified_ns = b->now_ns},
                      .attributes = p->attributes};
    status_t st = bucket_find(b->db, p->bucket, &bucket, err);
    if (st == ST_OK) {
        st = row_find(b->db, &bucket, p->key, &old, err);
    }
    if (st == ST_OK) {
        st = row_check(&old, p->key, t->condition, err);
    }
    if (st == ST_OK && p->from_etag[0] != '\0') {
        st = check_source(p, &old, err);
    }
    if (st == ST_OK) {
        p->stream.keep = bucket.spill;
        p->stream.wants = bucket.replicas - 1;
        p->stream.memory = uses_bucket(&bucket);
        st = p->draft != NULL ? draft_place(p->draft, b, &bucket, &row.layout, err)
                              : place(&p->stream, b, &row.layout, err);
    }
    if (st == ST_OK) {
        etag_make(t->md5, p->draft_count, row.info.etag);
        st = row_set(b, &bucket, p->key, &row, &old, err);
    }
    t->info = row.info;
    buf_done(&row.layout);
    row_done(&old);
    return st;
}

static status_t find_part(struct batch *b, const struct store_put *p, struct buf *ret_layout,
                          struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(b->db, SQL_PART_FIND, &statement, err, "ii", p->upload,
                           (uint64_t)p->number);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK && row && !column_blob(statement, 2, ret_layout)) {
        st = no_memory(err);
    }
    db_end(statement);
    return st;
}

static status_t put_part(struct batch *b, struct task *task, struct error *err)
{
    struct put_task *t = (struct put_task *)task;
    struct store_put *p = t->put;
    struct bucket_ref bucket = {0};
    struct buf old = {0}, layout = {0};
    struct buf attributes = {0};
    status_t st = bucket_find(b->db, p->bucket, &bucket, err);
    if (st == ST_OK) {
        st = upload_find(b->db, &bucket, p->key, p->upload, &attributes, NULL, err);
    }
    if (st == ST_OK) {
        st = find_part(b, p, &old, err);
    }
    if (st == ST_OK) {
        p->stream.keep = bucket.spill;
        p->stream.wants = bucket.replicas - 1;
        p->stream.memory = uses_bucket(&bucket);
        st = place(&p->stream, b, &layout, err);
    }
    if (st == ST_OK) {
        st = layout_drop(b, old.data, old.len, err);
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_PART_SET, err, "iiiibbb", p->upload, (uint64_t)p->number,
                   p->stream.size, b->now_ns, t->md5, sizeof t->md5, layout.data, layout.len,
                   p->sum, p->sum_len);
    }
    t->info = (struct store_info){
        .size = p->stream.size, .modified_ns = b->now_ns, .encrypted = layout_is_sealed(&layout)};
    etag_make(t->md5, 0, t->info.etag);
    buf_done(&attributes);
    buf_done(&old);
    buf_done(&layout);
    return st;
}

/* A small draft becomes a stream again, so that it is like an object that was written in order. */
static status_t restream(struct store_put *p, struct error *err)
{
    struct draft *d = p->draft;
    size_t len = (size_t)draft_size(d), got = 0;
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    status_t st = bytes != NULL ? draft_read(d, bytes, len, 0, &got, err) : no_memory(err);
    if (st == ST_OK) {
        st = stream_init(&p->stream, draft_store(d), err);
    }
    if (st == ST_OK && draft_encrypts(d)) {
        st = stream_encrypt(&p->stream, err);
    }
    if (st == ST_OK) {
        st = stream_write(&p->stream, bytes, got, err);
    }
    if (st == ST_OK) {
        draft_free(d, false);
        p->draft = NULL;
    }
    free(bytes);
    return st;
}

/* All bytes are where they stay. */
static status_t finish(struct store_put *p, uint8_t *ret_md5, struct error *err)
{
    status_t st = check_failed(p, err);
    if (st == ST_OK && p->draft != NULL && draft_size(p->draft) <= DRAFT_RESTREAM_BYTES) {
        st = restream(p, err);
    }
    if (st != ST_OK) {
        return st;
    }
    if (p->draft == NULL) {
        return stream_finish(&p->stream, p->upload == 0, ret_md5, err);
    }
    uint8_t random[SEAL_KEY_BYTES]; /* an MD5 of the bytes would take reading all of them */
    st = seal_random_key(random, err);
    md5_bytes(random, sizeof random, ret_md5);
    return st == ST_OK ? draft_finish(p->draft, &p->draft_count, err) : st;
}

status_t store_put_commit(struct store_put *p, const struct store_condition *condition,
                          struct store_info *ret_info, struct error *err)
{
    struct store *s = p->draft != NULL ? draft_store(p->draft) : p->stream.store;
    struct put_task t = {.put = p, .condition = condition};
    t.task.run = p->upload != 0 ? put_part : put_object;
    status_t st = finish(p, t.md5, err);
    if (st == ST_OK) {
        st = store_change(s, &t.task, err);
    }
    uint64_t *ids = NULL;
    size_t count = 0;
    if (st == ST_OK && p->draft == NULL) {
        ids = stream_copied(&p->stream, &count);
    } else if (st == ST_OK && p->stream.wants > 0) {
        ids = draft_copied(p->draft, &count);
    }
    /* after a failed sync the rows may be on the disk */
    put_free(p, st == ST_OK || atomic_load(&s->broken));
    copies_written(s, ids, count);
    free(ids);
    if (st == ST_OK && ret_info != NULL) {
        *ret_info = t.info;
    }
    return st;
}
