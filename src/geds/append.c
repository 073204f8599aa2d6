#include <stdlib.h>

#include "base/hash.h"
#include "base/parse.h"
#include "copy.h"
#include "object.h"
#include "place.h"
#include "stream.h"
#include "use.h"

/* Appends of less than this are joined with what is at the object's end, so that many small ones
 * do not make an object of many extents. */
enum { JOIN_BYTES = 256 * 1024, TRIES_MAX = 16 };

struct append_task {
    struct task task;
    const char *bucket;
    const char *key;
    const struct store_condition *condition;
    struct stream *stream; /* what comes instead of the last piece (joined), or behind it */
    uint64_t added_bytes;
    uint8_t md5[MD5_BYTES]; /* of what is added */
    const char *seen_etag;  /* the object's when its end was looked at; "": there was none */
    struct piece seen_last; /* its last piece then; zeroed: there was none */
    uint64_t joined_bytes;
    bool raced;       /* it is another object now; nothing was done */
    uint64_t *copied; /* extents that are to have copies */
    size_t copied_count;
    struct store_info info;
};

static status_t append_etag(const struct row *old, const uint8_t md5[MD5_BYTES],
                            char ret_etag[STORE_ETAG_BYTES], struct error *err)
{
    uint8_t sum[MD5_BYTES];
    uint64_t parts = 1;
    const char *dash = strchr(old->info.etag, '-');
    if (dash != NULL && parse_u64(dash + 1, UINT32_MAX, &parts) != ST_OK) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "an etag %s", old->info.etag);
    }
    struct md5 both;
    md5_init(&both);
    md5_update(&both, old->info.etag, strlen(old->info.etag));
    md5_update(&both, md5, MD5_BYTES);
    md5_final(&both, sum);
    etag_make(sum, parts + 1, ret_etag);
    return ST_OK;
}

/* The new object: the old one's pieces, without the last one when that was joined, and the
 * stream's. The old one's extents lose a use when its row goes, so those that stay get one
 * before. */
static status_t make_layout(struct batch *b, struct append_task *t, const struct row *old,
                            struct buf *ret_layout, struct error *err)
{
    struct layout added = {.pieces = calloc(t->stream->count + 1, sizeof *added.pieces)};
    if (added.pieces == NULL) {
        return no_memory(err);
    }
    size_t kept = old->layout.len;
    if (t->joined_bytes > 0 && kept >= PIECE_BYTES) {
        kept -= PIECE_BYTES;
    }
    buf_bytes(ret_layout, old->layout.data, kept);
    status_t st = ret_layout->failed ? no_memory(err) : layout_use(b, ret_layout, err);
    if (st == ST_OK) {
        st = stream_place(t->stream, b, added.pieces, &added.count, err);
    }
    if (st == ST_OK) {
        layout_encode(&added, ret_layout);
        st = ret_layout->failed ? no_memory(err) : ST_OK;
    }
    free(added.pieces);
    return st;
}

static status_t check_append(const struct append_task *t, const struct row *old, struct error *err)
{
    status_t st = row_check(old, t->key, t->condition, err);
    size_t pieces = old->layout.len / PIECE_BYTES + t->stream->count + (t->stream->fill > 0);
    if (st == ST_OK && (pieces > STORE_PIECES_MAX + (size_t)(t->joined_bytes > 0) ||
                        t->added_bytes > STORE_OBJECT_MAX - old->info.size)) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "%.100s would have %zu extents: at most %d, and %llu bytes", t->key, pieces,
                       STORE_PIECES_MAX, (unsigned long long)STORE_OBJECT_MAX);
    }
    return st;
}

/* The same etag is not enough: objects of the same bytes, made by the same appends, have it, and may be of other
 * pieces, since what is away is joined with nothing. */
static bool is_another(const struct append_task *t, const struct row *old)
{
    struct piece last = layout_last(&old->layout);
    return strcmp(old->info.etag, t->seen_etag) != 0 || last.extent != t->seen_last.extent ||
           last.bytes != t->seen_last.bytes;
}

static status_t append(struct batch *b, struct task *task, struct error *err)
{
    struct append_task *t = (struct append_task *)task;
    struct bucket_ref bucket = {0};
    struct row old = {0};
    struct row row = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    if (st == ST_OK) {
        st = row_find(b->db, &bucket, t->key, &old, err);
    }
    t->raced = st == ST_OK && is_another(t, &old);
    if (st == ST_OK && !t->raced) {
        st = check_append(t, &old, err);
    }
    if (st == ST_OK && !t->raced) {
        if (!old.found) {
            st = attributes_encode(NULL, &old.attributes, err);
        }
        row.attributes = old.attributes;
        row.info = (struct store_info){.size = old.info.size + t->added_bytes,
                                       .modified_ns = b->now_ns};
        if (st == ST_OK && old.found) {
            st = append_etag(&old, t->md5, row.info.etag, err);
        } else if (st == ST_OK) {
            etag_make(t->md5, 0, row.info.etag);
        }
        if (st == ST_OK) {
            t->stream->keep = bucket.spill;
            t->stream->wants = bucket.replicas - 1;
            t->stream->memory = uses_bucket(&bucket);
            st = make_layout(b, t, &old, &row.layout, err);
        }
        if (st == ST_OK) {
            st = row_set(b, &bucket, t->key, &row, &old, err);
        }
        if (st == ST_OK && old.found) {
            changes_last(b)->kind = STORE_APPENDED;
        }
    }
    t->info = row.info;
    buf_done(&row.layout);
    row_done(&old);
    return st;
}

/* Read the object's last piece into the stream when it is to be joined. One in a tier is left there: writes do not
 * wait for that. */
static status_t join(struct store *s, struct store_object *o, struct append_task *t,
                     struct error *err)
{
    const struct layout *layout = object_layout(o);
    const struct piece *last = layout->count > 0 ? &layout->pieces[layout->count - 1] : NULL;
    /* bytes in a row cannot be a piece among others */
    if (last == NULL || (!object_is_inline(o) && last->bytes + t->added_bytes > JOIN_BYTES)) {
        return ST_OK;
    }
    if (!object_is_inline(o) && place_is_away(s, last->extent)) {
        return ST_OK;
    }
    size_t len = (size_t)last->bytes, got = 0;
    uint8_t *bytes = malloc(len);
    if (bytes == NULL) {
        return no_memory(err);
    }
    status_t st = store_object_read(o, bytes, len, store_object_info(o)->size - len, &got, err);
    bool joins = st != ST_AGAIN; /* else it has just gone to a tier that is away */
    if (st == ST_OK) {
        st = stream_write(t->stream, bytes, got, err);
    }
    free(bytes);
    t->joined_bytes = joins ? len : 0;
    return joins ? st : ST_OK;
}

/* Is any piece? The last one may be joined, and then it may not be written in the clear. */
static bool has_sealed(const struct store_object *o)
{
    const struct layout *layout = object_layout(o);
    bool sealed = false;
    for (size_t i = 0; i < layout->count && !sealed; i++) {
        sealed = layout->pieces[i].sealed;
    }
    return sealed;
}

/* As the rules are now; what is appended to an object that is encrypted, or a part of it, is encrypted. */
static status_t encrypt(struct store *s, const struct store_object *o, struct append_task *t,
                        struct error *err)
{
    bool wanted = o != NULL && has_sealed(o);
    status_t st = wanted ? ST_OK : store_bucket_encrypt(s, t->bucket, &wanted, err);
    if (st == ST_NOTFOUND) { /* the change finds out */
        return ST_OK;
    }
    return st == ST_OK && wanted ? stream_encrypt(t->stream, err) : st;
}

/* What is joined was read before the change takes place; when another change came between, it is
 * done again. */
static status_t try_append(struct store *s, struct append_task *t, const void *data, size_t len,
                           struct error *err)
{
    struct store_object *o = NULL;
    struct stream stream;
    uint8_t ignored[MD5_BYTES];
    bool whole = true;
    status_t st = stream_init(&stream, s, err);
    t->stream = &stream;
    t->seen_etag = "";
    t->seen_last = (struct piece){0};
    t->joined_bytes = 0;
    if (st == ST_OK) {
        st = store_object_open(s, t->bucket, t->key, &o, err);
        st = st == ST_NOTFOUND ? ST_OK : st; /* of a bucket: the change finds out */
    }
    if (st == ST_OK) {
        st = encrypt(s, o, t, err);
    }
    /* only an object that is wholly in its row may be again */
    whole = o == NULL || object_is_inline(o) || store_object_info(o)->size == 0;
    if (st == ST_OK && o != NULL) {
        const struct layout *layout = object_layout(o);
        t->seen_etag = store_object_info(o)->etag;
        if (layout->count > 0) {
            t->seen_last = layout->pieces[layout->count - 1];
        }
        st = join(s, o, t, err);
    }
    if (st == ST_OK) {
        st = stream_write(&stream, data, len, err);
    }
    if (st == ST_OK) {
        st = stream_finish(&stream, whole, ignored, err);
    }
    if (st == ST_OK) {
        st = store_change(s, &t->task, err);
    }
    store_object_close(o);
    if (st == ST_OK && !t->raced) {
        t->copied = stream_copied(&stream, &t->copied_count);
    }
    stream_done(&stream, (st == ST_OK && !t->raced) || atomic_load(&s->broken));
    return st;
}

status_t store_append(struct store *s, const char *bucket, const char *key, const void *data,
                      size_t len, const struct store_condition *condition,
                      struct store_info *ret_info, struct error *err)
{
    struct append_task t = {.task = {.run = append},
                            .bucket = bucket,
                            .key = key,
                            .condition = condition,
                            .added_bytes = len,
                            .raced = true};
    status_t st = check_key(key, err);
    md5_bytes(data, len, t.md5);
    /* appends of one object do not race with each other, only with puts */
    pthread_mutex_t *lock = &s->append_locks[hash_xxh3(key, strlen(key)) % APPEND_LOCKS];
    pthread_mutex_lock(lock);
    for (unsigned i = 0; i < TRIES_MAX && st == ST_OK && t.raced; i++) {
        st = try_append(s, &t, data, len, err);
    }
    pthread_mutex_unlock(lock);
    copies_written(s, t.copied, t.copied_count);
    free(t.copied);
    if (st == ST_OK && t.raced) {
        st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "%.100s changes all the time", key);
    }
    if (st == ST_OK && ret_info != NULL) {
        *ret_info = t.info;
    }
    return st;
}
