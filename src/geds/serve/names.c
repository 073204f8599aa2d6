#include <stdlib.h>
#include <string.h>

#include "geds/tier/tier.h"
#include "task.h"

/* Buckets, names, lists, checking. */

enum {
    ENTRY_BYTES_MAX = 2 + STORE_KEY_MAX + 1 + 1 + 16 + 2 + STORE_ETAG_BYTES,
    BUCKET_BYTES_MAX = 2 + STORE_BUCKET_MAX + 1 + 24,
    FINDINGS_BYTES = 16 * 1024, /* that are sent together */
};

status_t serve_bucket_create(struct task *t)
{
    return store_bucket_create(t->store, t->request.bucket, "", &t->err);
}

status_t serve_bucket_delete(struct task *t)
{
    return store_bucket_delete(t->store, t->request.bucket, &t->err);
}

status_t serve_bucket_stat(struct task *t)
{
    struct store_bucket b;
    status_t st = store_bucket_stat(t->store, t->request.bucket, &b, NULL, &t->err);
    if (st == ST_OK) {
        t->answer.numbers[GEDS_N_CREATED] = b.created_ns;
        t->answer.numbers[GEDS_N_IN_BUCKET] = b.objects;
        t->answer.numbers[GEDS_N_BUCKET_BYTES] = b.bytes;
    }
    return st;
}

status_t serve_bucket_list(struct task *t)
{
    struct store_bucket *buckets = NULL;
    size_t count = 0;
    status_t st = store_bucket_list(t->store, &buckets, &count, &t->err);
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        if (!task_has_bucket(t->session, buckets[i].name) ||
            (t->request.after != NULL && strcmp(buckets[i].name, t->request.after) <= 0)) {
            continue;
        }
        if (t->out->data.len + BUCKET_BYTES_MAX > t->rpc->room) {
            t->answer.more = true;
            break;
        }
        const struct geds_wire_bucket b = {.name = buckets[i].name,
                                           .created_ns = buckets[i].created_ns,
                                           .objects = buckets[i].objects,
                                           .bytes = buckets[i].bytes};
        geds_bucket_encode(&b, &t->out->data);
    }
    free(buckets);
    return st;
}

status_t serve_delete(struct task *t)
{
    const struct store_condition condition = task_condition(&t->request.condition);
    return store_delete(t->store, t->request.bucket, t->request.key, &condition, &t->err);
}

status_t serve_delete_many(struct task *t)
{
    size_t count = t->request.key_count;
    status_t *results = arena_alloc(&t->arena, count, sizeof *results);
    uint8_t *codes = arena_alloc(&t->arena, count, 2);
    if (results == NULL || codes == NULL) {
        return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = store_delete_many(t->store, t->request.bucket, t->request.keys, count, results,
                                    &t->err);
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        uint16_t code = rpc_code_of(results[i]);
        codes[2 * i] = (uint8_t)code;
        codes[2 * i + 1] = (uint8_t)(code >> 8);
    }
    t->answer.codes = codes;
    t->answer.code_count = count;
    return st;
}

status_t serve_rename(struct task *t)
{
    const struct geds_request *r = &t->request;
    const struct store_condition condition = task_condition(&r->condition);
    status_t st = task_check_new_key(t, r->to_key);
    return st == ST_OK
               ? store_rename(t->store, &(struct store_name){r->bucket, r->key},
                              &(struct store_name){r->to_bucket, r->to_key}, &condition, &t->err)
               : st;
}

status_t serve_rename_prefix(struct task *t)
{
    const char *from = t->request.prefix;
    status_t st = task_check_new_key(t, t->request.to_prefix);
    return st == ST_OK ? store_rename_prefix(t->store, t->request.bucket, from != NULL ? from : "",
                                             t->request.to_prefix, &t->answer.numbers[GEDS_N_COUNT],
                                             &t->err)
                       : st;
}

status_t serve_copy(struct task *t)
{
    const struct geds_request *r = &t->request;
    const struct store_condition from = task_condition(&r->from_condition);
    const struct store_condition to = task_condition(&r->condition);
    const struct store_attributes *attributes = NULL;
    struct store_info info;
    status_t st = task_check_new_key(t, r->to_key);
    if (st == ST_OK && r->attributes.given) {
        st = task_attributes(t, &attributes);
    }
    if (st != ST_OK) {
        return st;
    }
    st = store_copy(t->store, &(struct store_name){r->bucket, r->key},
                    &(struct store_name){r->to_bucket, r->to_key}, attributes, &from, &to, &info,
                    &t->err);
    if (st == ST_OK) {
        task_info(t, &info);
    }
    return st;
}

/* As many entries as are sure to fit. */
status_t serve_list(struct task *t)
{
    const struct geds_request *r = &t->request;
    struct store_page *page = NULL;
    size_t fit = t->rpc->room / ENTRY_BYTES_MAX;
    struct store_list_query query = {.prefix = r->prefix,
                                     .delimiter = r->delimiter,
                                     .start_after = r->after,
                                     .max = r->max < fit ? r->max : fit};
    if (fit == 0) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                         "a list needs room for %d bytes at least", ENTRY_BYTES_MAX);
    }
    status_t st = store_list(t->store, r->bucket, &query, &page, &t->err);
    for (size_t i = 0; st == ST_OK && i < page->count; i++) {
        const struct store_entry *from = &page->entries[i];
        const struct geds_wire_entry e = {.key = from->key,
                                          .is_prefix = from->is_prefix,
                                          .info = {.size = from->info.size,
                                                   .modified_ns = from->info.modified_ns,
                                                   .etag = from->info.etag,
                                                   .encrypted = from->info.encrypted}};
        geds_entry_encode(&e, &t->out->data);
    }
    t->answer.more = st == ST_OK && page->more;
    store_page_free(page);
    return st;
}

struct findings {
    struct task *task;
    struct buf data;
    bool gone; /* nobody is there to hear them */
};

static void send_findings(struct findings *f)
{
    struct rpc_answer answer = {.data = f->data};
    const struct geds_answer none = {0};
    f->data = (struct buf){0};
    rpc_result_encode(ST_OK, NULL, &answer.args);
    geds_answer_encode(GEDS_FSCK, &none, &answer.args);
    f->gone = task_reply_more(f->task, &answer) != ST_OK;
    if (f->gone) {
        buf_done(&answer.args);
        buf_done(&answer.data);
    }
}

static bool goes_on(void *arg)
{
    const struct findings *f = arg;
    return !f->gone && rpc_reply_is_wanted(f->task->reply);
}

static void found(void *arg, const struct store_finding *finding)
{
    struct findings *f = arg;
    char text[GEDS_WIRE_TEXT_MAX + 1];
    snprintf(text, sizeof text, "%s", finding->text);
    const struct geds_wire_finding w = {.kind = (uint32_t)finding->kind,
                                        .extent = finding->extent,
                                        .offset = finding->offset,
                                        .text = text};
    if (!f->gone) {
        geds_finding_encode(&w, &f->data);
        if (f->data.len >= FINDINGS_BYTES) {
            send_findings(f);
        }
    }
}

static status_t check_tier(struct task *t, struct findings *f, struct store_fsck *n)
{
    struct tier_check more = {0};
    struct tier *tier = t->session->context->tier;
    if (tier == NULL) {
        return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "the store has no tier");
    }
    status_t st = tier_check(tier, (t->request.flags & GEDS_FSCK_REPAIR) != 0, found, goes_on, f,
                             &more, &t->err);
    n->findings += more.findings;
    n->repaired += more.repaired;
    return st;
}

status_t serve_fsck(struct task *t)
{
    struct findings f = {.task = t};
    struct store_fsck n = {0};
    status_t st = store_fsck(t->store, (t->request.flags & GEDS_FSCK_REPAIR) != 0, found, goes_on,
                             &f, &n, &t->err);
    if (st == ST_OK && (t->request.flags & GEDS_FSCK_TIER) != 0) {
        st = check_tier(t, &f, &n);
    }
    if (st == ST_OK && f.data.len > 0) {
        send_findings(&f);
    }
    buf_done(&f.data);
    t->answer.numbers[GEDS_N_SEEN] = n.objects;
    t->answer.numbers[GEDS_N_EXTENTS] = n.extents;
    t->answer.numbers[GEDS_N_READ] = n.bytes;
    t->answer.numbers[GEDS_N_FINDINGS] = n.findings;
    t->answer.numbers[GEDS_N_REPAIRED] = n.repaired;
    return st;
}
