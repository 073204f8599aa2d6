#include <stdlib.h>

#include "copy.h"
#include "names.h"
#include "row.h"

/* How many copies buckets and objects want. */

enum { OBJECTS_PER_CHANGE = 256 };

/* The rule of a bucket, or what objects of a range of its keys want. */
struct want_task {
    struct task task;
    const char *bucket;
    unsigned replicas;
    bool sets_rule;
    struct buf from;             /* keys from here on */
    struct buf next;             /* from, of the next change: this one may run again */
    char end[STORE_KEY_MAX + 1]; /* and below here */
    size_t end_len;
    bool more;
};

static status_t want_layout(struct batch *b, const struct buf *layout, uint64_t size,
                            uint64_t wants, struct error *err)
{
    struct arena arena = {0};
    struct layout l = {0};
    status_t st = layout_decode(&arena, layout->data, layout->len, size, &l, err);
    for (size_t i = 0; i < l.count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_COPY_WANT, err, "ii", l.pieces[i].extent, wants);
        if (st == ST_OK && sqlite3_changes64(b->db->handle) > 0) {
            st = db_do(b->db, SQL_COPY_COUNT, err, "i", l.pieces[i].extent);
        }
    }
    arena_done(&arena);
    return st;
}

/* Some objects of the range. */
static status_t want_some(struct batch *b, struct want_task *t, uint64_t bucket, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    struct buf last = {0};
    bool row = true;
    size_t count = 0;
    status_t st = db_start(b->db, SQL_COPY_LAYOUTS, &statement, err, "ibbi", bucket, t->from.data,
                           t->from.len, t->end, t->end_len, (uint64_t)OBJECTS_PER_CHANGE);
    while (st == ST_OK && count < OBJECTS_PER_CHANGE &&
           (st = db_next(b->db, statement, &row, err)) == ST_OK && row) {
        struct buf layout = {0};
        count++;
        last.len = 0;
        st = column_blob(statement, 0, &last) && column_blob(statement, 1, &layout)
                 ? want_layout(b, &layout, db_u64(statement, 2), t->replicas - 1, err)
                 : no_memory(err);
        buf_done(&layout);
    }
    db_end(statement);
    t->more = st == ST_OK && count == OBJECTS_PER_CHANGE;
    buf_u8(&last, 0); /* the next key in the order of bytes */
    if (st == ST_OK && last.failed) {
        st = no_memory(err);
    }
    buf_done(&t->next);
    t->next = last;
    return st;
}

static status_t want(struct batch *b, struct task *task, struct error *err)
{
    struct want_task *t = (struct want_task *)task;
    struct bucket_ref bucket = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    if (st == ST_OK && t->sets_rule) {
        return db_do(b->db, SQL_BUCKET_REPLICAS, err, "ii", bucket.id, (uint64_t)t->replicas);
    }
    return st == ST_OK ? want_some(b, t, bucket.id, err) : st;
}

static status_t want_all(struct store *s, struct want_task *t, bool (*goes_on)(void *arg),
                         void *arg, struct error *err)
{
    status_t st = ST_OK;
    t->more = true;
    while (st == ST_OK && t->more) {
        st = store_change(s, &t->task, err);
        buf_done(&t->from);
        t->from = t->next;
        t->next = (struct buf){0};
        if (st == ST_OK && t->more && goes_on != NULL && !goes_on(arg)) {
            st = error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
        }
    }
    return st;
}

/* All keys that begin so, or the one that is so. */
static status_t set_range(struct want_task *t, const char *key, bool is_prefix, struct error *err)
{
    size_t len = strlen(key);
    buf_bytes(&t->from, key, len);
    if (!is_prefix) {
        memcpy(t->end, key, len + 1);
        t->end_len = len + 1;
    } else if (!prefix_end(key, t->end, &t->end_len)) {
        memset(t->end, 0xff, sizeof t->end); /* longer than a key can be */
        t->end_len = sizeof t->end;
    }
    return t->from.failed ? no_memory(err) : ST_OK;
}

static status_t check_count(unsigned replicas, struct error *err)
{
    return replicas >= 1 && replicas <= STORE_REPLICAS_MAX
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%u copies: 1 to %d can be", replicas,
                           STORE_REPLICAS_MAX);
}

status_t store_objects_set_replicas(struct store *s, const char *bucket, const char *key,
                                    bool is_prefix, unsigned replicas, bool (*goes_on)(void *arg),
                                    void *arg, struct error *err)
{
    struct want_task t = {.task = {.run = want}, .bucket = bucket, .replicas = replicas};
    status_t st = check_count(replicas, err);
    if (st == ST_OK && strlen(key) > STORE_KEY_MAX) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key of more than %d bytes",
                       STORE_KEY_MAX);
    }
    if (st == ST_OK) {
        st = set_range(&t, key, is_prefix, err);
    }
    if (st == ST_OK) {
        st = want_all(s, &t, goes_on, arg, err);
    }
    buf_done(&t.from);
    return st;
}

status_t store_bucket_set_replicas(struct store *s, const char *bucket, unsigned replicas,
                                   bool (*goes_on)(void *arg), void *arg, struct error *err)
{
    struct want_task t = {
        .task = {.run = want}, .bucket = bucket, .replicas = replicas, .sets_rule = true};
    status_t st = check_count(replicas, err);
    if (st == ST_OK) {
        st = store_change(s, &t.task, err);
    }
    return st == ST_OK
               ? store_objects_set_replicas(s, bucket, "", true, replicas, goes_on, arg, err)
               : st;
}

status_t store_bucket_replicas(struct store *s, const char *bucket, unsigned *ret_replicas,
                               struct error *err)
{
    struct bucket_ref ref = {0};
    status_t st = bucket_look(s, bucket, &ref, err);
    if (st == ST_OK) {
        *ret_replicas = ref.replicas;
    }
    return st;
}
