#include <stdlib.h>
#include <string.h>

#include "conn.h"

/* Buckets, names, lists. */

enum geds_code geds_connect(const char *address, struct geds **ret_store, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    return give_error(client_open(address, ret_store, &inner), &inner, err);
}

void geds_disconnect(struct geds *store)
{
    client_close(store);
}

/* A call whose answer has nothing but its code. */
static enum geds_code call(struct geds *g, enum geds_op op, const struct geds_request *r,
                           struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(r->bucket, r->key, &inner);
    if (st == ST_OK && r->to_bucket != NULL) {
        st = check_names(r->to_bucket, r->to_key, &inner);
    }
    if (st == ST_OK) {
        st = client_call(g, &p, op, r, NULL, &arena, NULL, &inner);
        pending_done(&p);
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_status(struct geds *g, struct geds_status *ret_status, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = client_call(g, &p, GEDS_STATUS, &(struct geds_request){0}, NULL, &arena, &a,
                              &inner);
    if (st == ST_OK) {
        *ret_status = (struct geds_status){.buckets = a.numbers[GEDS_N_BUCKETS],
                                           .objects = a.numbers[GEDS_N_OBJECTS],
                                           .bytes = a.numbers[GEDS_N_BYTES],
                                           .process = (long)a.numbers[GEDS_N_PROCESS]};
        snprintf(ret_status->version, sizeof ret_status->version, "%s", a.texts[0]);
        snprintf(ret_status->state, sizeof ret_status->state, "%s", a.texts[1]);
        snprintf(ret_status->s3, sizeof ret_status->s3, "%s", a.texts[2]);
        snprintf(ret_status->metrics, sizeof ret_status->metrics, "%s", a.texts[3]);
    }
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_bucket_create(struct geds *g, const char *bucket, struct geds_error *err)
{
    return call(g, GEDS_BUCKET_CREATE, &(struct geds_request){.bucket = bucket}, err);
}

enum geds_code geds_bucket_delete(struct geds *g, const char *bucket, struct geds_error *err)
{
    return call(g, GEDS_BUCKET_DELETE, &(struct geds_request){.bucket = bucket}, err);
}

enum geds_code geds_bucket_status(struct geds *g, const char *bucket,
                                  struct geds_bucket *ret_bucket, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, NULL, &inner);
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_BUCKET_STAT, &(struct geds_request){.bucket = bucket}, NULL,
                         &arena, &a, &inner);
        pending_done(&p);
    }
    if (st == ST_OK) {
        *ret_bucket = (struct geds_bucket){.created_ns = a.numbers[GEDS_N_CREATED],
                                           .objects = a.numbers[GEDS_N_IN_BUCKET],
                                           .bytes = a.numbers[GEDS_N_BUCKET_BYTES]};
        snprintf(ret_bucket->name, sizeof ret_bucket->name, "%s", bucket);
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

struct buckets {
    struct geds_bucket *of;
    size_t count, cap;
};

static status_t add_buckets(struct buckets *b, const uint8_t *data, size_t len, struct error *err)
{
    struct cursor c;
    struct geds_wire_bucket from;
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) > 0 && geds_bucket_decode(&c, &from)) {
        if (b->count == b->cap) {
            size_t cap = b->cap != 0 ? 2 * b->cap : 16;
            struct geds_bucket *grown = realloc(b->of, cap * sizeof *grown);
            if (grown == NULL) {
                return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
            }
            b->of = grown;
            b->cap = cap;
        }
        struct geds_bucket *to = &b->of[b->count++];
        *to = (struct geds_bucket){
            .created_ns = from.created_ns, .objects = from.objects, .bytes = from.bytes};
        snprintf(to->name, sizeof to->name, "%s", from.name);
    }
    return cursor_status(&c, ST_CORRUPT, err);
}

enum geds_code geds_bucket_list(struct geds *g, struct geds_bucket **ret_buckets, size_t *ret_count,
                                struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct buckets b = {0};
    struct arena arena = {0};
    struct geds_answer a = {.more = true};
    uint8_t *data = malloc(RPC_DATA_MAX);
    status_t st = data != NULL ? ST_OK
                               : error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    while (st == ST_OK && a.more) {
        size_t before = b.count;
        struct pending p = {.data = data, .room = RPC_DATA_MAX};
        const struct geds_request r = {.after = before > 0 ? b.of[before - 1].name : NULL};
        st = client_call(g, &p, GEDS_BUCKET_LIST, &r, NULL, &arena, &a, &inner);
        if (st == ST_OK) {
            st = add_buckets(&b, data, p.data_len, &inner);
        }
        if (st == ST_OK && a.more && b.count == before) {
            st = error_set(&inner, ST_CORRUPT, ERROR_NO_OFFSET, "a list that does not go on");
        }
        pending_done(&p);
    }
    free(data);
    arena_done(&arena);
    if (st == ST_OK) {
        *ret_buckets = b.of;
        *ret_count = b.count;
    } else {
        free(b.of);
    }
    return give_error(st, &inner, err);
}

enum geds_code geds_delete(struct geds *g, const char *bucket, const char *key,
                           const struct geds_condition *condition, struct geds_error *err)
{
    const struct geds_request r = {
        .bucket = bucket, .key = key, .condition = take_condition(condition)};
    return call(g, GEDS_DELETE, &r, err);
}

/* As many keys as one request can have. */
static size_t how_many(const char *const *keys, size_t count)
{
    size_t bytes = GEDS_BUCKET_MAX + 64, n = 0;
    while (n < count && n < GEDS_WIRE_KEYS_MAX) {
        bytes += strlen(keys[n]) + 3;
        if (bytes > RPC_ARGS_MAX) {
            break;
        }
        n++;
    }
    return n;
}

enum geds_code geds_delete_many(struct geds *g, const char *bucket, const char *const *keys,
                                size_t count, enum geds_code *ret_codes, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, NULL, &inner);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = check_names(bucket, keys[i], &inner);
    }
    for (size_t done = 0; done < count && st == ST_OK;) {
        struct pending p = {0};
        struct arena arena = {0};
        struct geds_answer a;
        size_t n = how_many(keys + done, count - done);
        const struct geds_request r = {.bucket = bucket, .keys = keys + done, .key_count = n};
        st = client_call(g, &p, GEDS_DELETE_MANY, &r, NULL, &arena, &a, &inner);
        if (st == ST_OK && a.code_count != n) {
            st = error_set(&inner, ST_CORRUPT, ERROR_NO_OFFSET, "results are missing");
        }
        for (size_t i = 0; i < n && st == ST_OK; i++) {
            ret_codes[done + i] = (enum geds_code)(a.codes[2 * i] | a.codes[2 * i + 1] << 8);
        }
        done += n;
        pending_done(&p);
        arena_done(&arena);
    }
    return give_error(st, &inner, err);
}

enum geds_code geds_rename(struct geds *g, const char *bucket, const char *key,
                           const char *to_bucket, const char *to_key,
                           const struct geds_condition *condition, struct geds_error *err)
{
    const struct geds_request r = {.bucket = bucket,
                                   .key = key,
                                   .to_bucket = to_bucket,
                                   .to_key = to_key,
                                   .condition = take_condition(condition)};
    return call(g, GEDS_RENAME, &r, err);
}

enum geds_code geds_rename_prefix(struct geds *g, const char *bucket, const char *from,
                                  const char *to, uint64_t *ret_count, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct geds_request r = {.bucket = bucket, .prefix = from, .to_prefix = to};
    status_t st = check_names(bucket, NULL, &inner);
    if (st == ST_OK && (strlen(from) > GEDS_KEY_MAX || strlen(to) > GEDS_KEY_MAX)) {
        st = error_set(&inner, ST_INVAL, ERROR_NO_OFFSET, "a prefix has at most %d bytes",
                       GEDS_KEY_MAX);
    }
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_RENAME_PREFIX, &r, NULL, &arena, &a, &inner);
        pending_done(&p);
    }
    if (st == ST_OK) {
        *ret_count = a.numbers[GEDS_N_COUNT];
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_copy(struct geds *g, const char *bucket, const char *key, const char *to_bucket,
                         const char *to_key, const struct geds_attributes *attributes,
                         const struct geds_condition *condition, struct geds_info *ret_info,
                         struct geds_error *err)
{
    struct geds_wire_pair pairs[GEDS_WIRE_ATTRIBUTES_MAX];
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_request r = {.bucket = bucket,
                             .key = key,
                             .to_bucket = to_bucket,
                             .to_key = to_key,
                             .condition = take_condition(condition)};
    status_t st = check_names(bucket, key, &inner);
    if (st == ST_OK && (st = check_names(to_bucket, to_key, &inner)) == ST_OK) {
        st = take_attributes(attributes, pairs, &r.attributes, &inner);
    }
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_COPY, &r, NULL, &arena, &a, &inner);
        if (st == ST_OK) {
            give_info(&a.info, ret_info);
        }
        pending_done(&p);
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

struct page {
    struct geds_page page; /* first, so that a pointer to it is one to the whole */
    uint8_t *data;         /* keys are in there */
};

void geds_page_free(struct geds_page *page)
{
    if (page != NULL) {
        struct page *p = (struct page *)page;
        free(p->data);
        free(p->page.entries);
        free(p);
    }
}

static status_t decode_page(struct page *page, size_t len, size_t max, struct error *err)
{
    struct cursor c;
    struct geds_wire_entry from;
    cursor_init(&c, page->data, len, 0);
    page->page.entries = calloc(max, sizeof page->page.entries[0]);
    if (page->page.entries == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    while (cursor_left(&c) > 0 && geds_entry_decode(&c, &from)) {
        if (page->page.count == max) {
            cursor_fail(&c, "more entries than were asked for");
            break;
        }
        struct geds_entry *to = &page->page.entries[page->page.count++];
        *to = (struct geds_entry){.key = from.key, .is_prefix = from.is_prefix};
        give_info(&from.info, &to->info);
    }
    return cursor_status(&c, ST_CORRUPT, err);
}

enum geds_code geds_list(struct geds *g, const char *bucket, const struct geds_query *query,
                         struct geds_page **ret_page, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct arena arena = {0};
    struct geds_answer a;
    unsigned max = query->max > 0 && query->max < GEDS_LIST_MAX ? query->max : GEDS_LIST_MAX;
    struct page *page = calloc(1, sizeof *page);
    struct pending p = {.room = RPC_DATA_MAX};
    const struct geds_request r = {.bucket = bucket,
                                   .prefix = query->prefix,
                                   .delimiter = query->delimiter,
                                   .after = query->start_after,
                                   .max = max};
    status_t st = check_names(bucket, NULL, &inner);
    if (st == ST_OK && (page == NULL || (page->data = p.data = malloc(p.room)) == NULL)) {
        st = error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_LIST, &r, NULL, &arena, &a, &inner);
        if (st == ST_OK) {
            st = decode_page(page, p.data_len, max, &inner);
        }
        pending_done(&p);
    }
    arena_done(&arena);
    if (st == ST_OK) {
        page->page.more = a.more;
        *ret_page = &page->page;
    } else if (page != NULL) {
        geds_page_free(&page->page);
    }
    return give_error(st, &inner, err);
}

struct listener {
    void (*found)(void *arg, const struct geds_finding *finding);
    void *arg;
};

static void hear(void *arg, const struct answer_part *part)
{
    const struct listener *l = arg;
    struct cursor c;
    struct geds_wire_finding from;
    cursor_init(&c, part->data, part->len, 0);
    while (l->found != NULL && cursor_left(&c) > 0 && geds_finding_decode(&c, &from)) {
        l->found(l->arg, &(struct geds_finding){from.extent, from.offset, from.text});
    }
}

static enum geds_code fsck(struct geds *g, uint32_t flags,
                           void (*found)(void *arg, const struct geds_finding *finding), void *arg,
                           struct geds_check *ret_check, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct listener l = {.found = found, .arg = arg};
    struct error inner = {.offset = ERROR_NO_OFFSET};
    client_send(g, &p, GEDS_FSCK, &(struct geds_request){.flags = flags}, NULL);
    status_t st = client_wait(g, &p, hear, &l, &inner);
    if (st == ST_OK) {
        st = pending_decode(&p, GEDS_FSCK, &arena, &a, &inner);
    }
    if (st == ST_OK) {
        *ret_check = (struct geds_check){.objects = a.numbers[GEDS_N_SEEN],
                                         .extents = a.numbers[GEDS_N_EXTENTS],
                                         .bytes = a.numbers[GEDS_N_READ],
                                         .findings = a.numbers[GEDS_N_FINDINGS],
                                         .repaired = a.numbers[GEDS_N_REPAIRED]};
    }
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_fsck(struct geds *g, bool repair,
                         void (*found)(void *arg, const struct geds_finding *finding), void *arg,
                         struct geds_check *ret_check, struct geds_error *err)
{
    return fsck(g, repair ? GEDS_FSCK_REPAIR : 0, found, arg, ret_check, err);
}

enum geds_code geds_fsck_all(struct geds *g, bool repair,
                             void (*found)(void *arg, const struct geds_finding *finding),
                             void *arg, struct geds_check *ret_check, struct geds_error *err)
{
    return fsck(g, GEDS_FSCK_TIER | (repair ? GEDS_FSCK_REPAIR : 0), found, arg, ret_check, err);
}
