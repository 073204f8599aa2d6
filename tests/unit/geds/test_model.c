#include "storetest.h"

#include <time.h>

#include "base/parse.h"
#include "geds/crypt.h"

/* Random calls of the whole interface, compared with what a simple list of objects says, once without and once with
 * encryption, which is turned on and off while master keys change. The seed is printed and can be given as the
 * argument, the count of calls as the second. */

enum { KEYS = 24, BUCKETS = 2, PARTS = 4, UPLOADS = 3, DATA_MAX = 300000 };

static uint64_t random_state;
static uint64_t pick(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

struct model_object {
    bool there;
    uint8_t *data;
    size_t len;
    char etag[STORE_ETAG_BYTES];
    char type[16];
};
struct model_part {
    bool there;
    uint8_t *data;
    size_t len;
    char etag[STORE_ETAG_BYTES];
};
struct model_upload {
    bool there;
    size_t bucket, key;
    uint64_t id;
    struct model_part parts[PARTS];
};
static const char *const bucket_names[BUCKETS] = {"one", "two"};
static char key_names[KEYS][32];
static struct model_object objects[BUCKETS][KEYS];
static struct model_upload uploads[UPLOADS];
static uint8_t source[2 * DATA_MAX];
static bool encrypts;
static char key_file[80];
static const struct store_options options = {.sync = STORE_SYNC_OFF};

static size_t random_len(void)
{
    static const size_t near[] = {0, STORE_INLINE_MAX, STORE_BLOCK_BYTES, 2 * STORE_BLOCK_BYTES};
    if (pick(3) == 0) {
        return near[pick(4)] + (size_t)pick(3);
    }
    return (size_t)pick(pick(4) == 0 ? DATA_MAX : 3000);
}

static void model_set(struct model_object *o, const void *data, size_t len,
                      const struct store_info *info, const char *type)
{
    uint8_t *copy = malloc(len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    free(o->data);
    *o = (struct model_object){.there = true, .data = copy, .len = len};
    snprintf(o->etag, sizeof o->etag, "%s", info->etag);
    snprintf(o->type, sizeof o->type, "%s", type);
    CHECK_EQ(info->size, len);
}

static void model_clear(struct model_object *o)
{
    free(o->data);
    *o = (struct model_object){0};
}

/* A condition, and what it must give for o. */
static status_t random_condition(const struct model_object *o,
                                 struct store_condition *ret_condition)
{
    *ret_condition = (struct store_condition){0};
    switch (pick(6)) {
    case 0:
        ret_condition->if_none = true;
        return o->there ? ST_EXIST : ST_OK;
    case 1:
        ret_condition->if_match = "*";
        return o->there ? ST_OK : ST_NOTFOUND;
    case 2:
        ret_condition->if_match = "0123";
        return o->there ? ST_CHANGED : ST_NOTFOUND;
    case 3:
        if (o->there) {
            ret_condition->if_match = o->etag;
        }
        return ST_OK;
    default:
        return ST_OK;
    }
}

static void do_put(void)
{
    size_t bucket = (size_t)pick(BUCKETS), key = (size_t)pick(KEYS), len = random_len(), at = 0;
    struct model_object *o = &objects[bucket][key];
    const uint8_t *data = source + pick(DATA_MAX);
    char type[16];
    snprintf(type, sizeof type, "t/%u", (unsigned)pick(100));
    struct store_attributes a = {.content_type = type};
    struct store_put *p = NULL;
    struct store_condition condition;
    struct store_info info;
    status_t expected = random_condition(o, &condition);
    MUST(store_put_begin(store, bucket_names[bucket], key_names[key], &a, &p, &err));
    while (at < len) {
        size_t piece = 1 + (size_t)pick(len - at < 100000 ? len - at : 100000);
        MUST(store_put_write(p, data + at, piece, &err));
        at += piece;
    }
    if (pick(10) == 0) {
        store_put_abort(p);
        return;
    }
    CHECK_EQ(store_put_commit(p, &condition, &info, NULL), expected);
    if (expected == ST_OK) {
        model_set(o, data, len, &info, type);
    }
}

static void do_append(void)
{
    size_t bucket = (size_t)pick(BUCKETS), key = (size_t)pick(KEYS), len = random_len();
    struct model_object *o = &objects[bucket][key];
    const uint8_t *data = source + pick(DATA_MAX);
    struct store_condition condition;
    struct store_info info;
    status_t expected = random_condition(o, &condition);
    CHECK_EQ(store_append(store, bucket_names[bucket], key_names[key], data, len, &condition, &info,
                          NULL),
             expected);
    if (expected == ST_OK) {
        uint8_t *whole = malloc(o->len + len + 1);
        if (o->len > 0) {
            memcpy(whole, o->data, o->len);
        }
        memcpy(whole + o->len, data, len);
        char type[16];
        snprintf(type, sizeof type, "%s", o->there ? o->type : "");
        model_set(o, whole, o->len + len, &info, type);
        free(whole);
    }
}

static void do_delete(void)
{
    size_t bucket = (size_t)pick(BUCKETS), key = (size_t)pick(KEYS);
    struct model_object *o = &objects[bucket][key];
    struct store_condition condition;
    status_t expected = random_condition(o, &condition);
    expected = expected == ST_OK && !o->there ? ST_NOTFOUND : expected;
    CHECK_EQ(store_delete(store, bucket_names[bucket], key_names[key], &condition, NULL), expected);
    if (expected == ST_OK) {
        model_clear(o);
    }
}

static void do_copy_or_rename(void)
{
    size_t from_bucket = (size_t)pick(BUCKETS), from_key = (size_t)pick(KEYS);
    size_t to_bucket = (size_t)pick(BUCKETS), to_key = (size_t)pick(KEYS);
    struct model_object *from = &objects[from_bucket][from_key], *to = &objects[to_bucket][to_key];
    struct store_name from_name = {bucket_names[from_bucket], key_names[from_key]};
    struct store_name to_name = {bucket_names[to_bucket], key_names[to_key]};
    struct store_condition condition;
    struct store_info info;
    status_t expected = random_condition(to, &condition);
    expected = from->there ? expected : ST_NOTFOUND;
    if (pick(2) == 0) {
        struct store_attributes a = {.content_type = "copied"};
        bool replace = pick(2) == 0;
        CHECK_EQ(store_copy(store, &from_name, &to_name, replace ? &a : NULL, NULL, &condition,
                            &info, NULL),
                 expected);
        if (expected == ST_OK) {
            char type[16];
            snprintf(type, sizeof type, "%s", replace ? a.content_type : from->type);
            model_set(to, from->data, from->len, &info, type);
        }
    } else {
        CHECK_EQ(store_rename(store, &from_name, &to_name, &condition, NULL), expected);
        if (expected == ST_OK && from != to) {
            free(to->data);
            *to = *from;
            *from = (struct model_object){0};
        }
    }
}

/* Keys are a/00 ... a/11 and b/00 ... b/11, so a prefix moves from one half to the other. */
static void do_rename_prefix(void)
{
    size_t bucket = (size_t)pick(BUCKETS), from = pick(2) * (KEYS / 2), to = KEYS / 2 - from;
    struct model_object *o = objects[bucket];
    status_t expected = ST_NOTFOUND;
    uint64_t count = 0, real = 0;
    for (size_t i = 0; i < KEYS / 2; i++) {
        real += o[from + i].there;
    }
    expected = real > 0 ? ST_OK : ST_NOTFOUND;
    for (size_t i = 0; i < KEYS / 2; i++) {
        expected = o[from + i].there && o[to + i].there ? ST_EXIST : expected;
    }
    CHECK_EQ(store_rename_prefix(store, bucket_names[bucket], from == 0 ? "a/" : "b/",
                                 from == 0 ? "b/" : "a/", &count, NULL),
             expected);
    for (size_t i = 0; i < KEYS / 2 && expected == ST_OK; i++) {
        if (o[from + i].there) {
            o[to + i] = o[from + i];
            o[from + i] = (struct model_object){0};
        }
    }
    CHECK_EQ(count, expected == ST_OK ? real : 0);
}

static void compare_object(size_t bucket, size_t key)
{
    const struct model_object *m = &objects[bucket][key];
    struct store_object *o = NULL;
    status_t st = store_object_open(store, bucket_names[bucket], key_names[key], &o, NULL);
    CHECK_EQ(st, m->there ? ST_OK : ST_NOTFOUND);
    if (st != ST_OK || !m->there) {
        store_object_close(o);
        return;
    }
    static uint8_t data[4 * 1024 * 1024];
    size_t got = 0, off = (size_t)pick(m->len + 10), len = (size_t)pick(m->len + 10);
    size_t left = off < m->len ? m->len - off : 0;
    CHECK_STR(store_object_info(o)->etag, m->etag);
    CHECK_EQ(store_object_info(o)->size, m->len);
    const char *type = store_object_attributes(o)->content_type;
    CHECK_STR(type != NULL ? type : "", m->type);
    if (len > sizeof data) {
        len = sizeof data;
    }
    CHECK_EQ(store_object_read(o, data, len, off, &got, NULL), ST_OK);
    CHECK_EQ(got, len < left ? len : left);
    CHECK(got == 0 || memcmp(data, m->data + off, got) == 0);
    store_object_close(o);
}

static void do_list(void)
{
    size_t bucket = (size_t)pick(BUCKETS), at = (size_t)pick(KEYS), max = 1 + (size_t)pick(5);
    struct store_list_query q = {.prefix = pick(2) == 0 ? "b/" : "", .max = max};
    q.start_after = pick(2) == 0 ? key_names[at] : NULL;
    struct store_page *page = NULL;
    MUST(store_list(store, bucket_names[bucket], &q, &page, &err));
    size_t seen = 0;
    bool more = false;
    for (size_t i = 0; i < KEYS; i++) {
        if (!objects[bucket][i].there || strncmp(key_names[i], q.prefix, strlen(q.prefix)) != 0 ||
            (q.start_after != NULL && i <= at)) {
            continue;
        }
        if (seen == max) {
            more = true;
            break;
        }
        CHECK(seen < page->count);
        if (seen < page->count) {
            CHECK_STR(page->entries[seen].key, key_names[i]);
            CHECK_STR(page->entries[seen].info.etag, objects[bucket][i].etag);
        }
        seen++;
    }
    CHECK_EQ(page->count, seen);
    CHECK_EQ(page->more, more);
    store_page_free(page);
}

static void upload_clear(struct model_upload *u)
{
    for (size_t i = 0; i < PARTS; i++) {
        free(u->parts[i].data);
    }
    *u = (struct model_upload){0};
}

static void upload_part(struct model_upload *u)
{
    size_t number = (size_t)pick(PARTS), len = random_len();
    const uint8_t *data = source + pick(DATA_MAX);
    struct store_put *p = NULL;
    struct store_info info;
    struct model_part *part = &u->parts[number];
    MUST(store_upload_put_begin(store, bucket_names[u->bucket], key_names[u->key], u->id,
                                (unsigned)number + 1, &p, &err));
    MUST(store_put_write(p, data, len, &err));
    MUST(store_put_commit(p, NULL, &info, &err));
    free(part->data);
    *part = (struct model_part){.there = true, .data = malloc(len + 1), .len = len};
    memcpy(part->data, data, len);
    snprintf(part->etag, sizeof part->etag, "%s", info.etag);
}

static void upload_complete(struct model_upload *u)
{
    struct store_part parts[PARTS];
    struct store_info info;
    size_t count = 0, len = 0;
    uint8_t *whole = malloc(4 * (DATA_MAX + 4));
    for (unsigned i = 0; i < PARTS; i++) {
        const struct model_part *part = &u->parts[i];
        if (part->there && pick(5) > 0) {
            parts[count].number = i + 1;
            snprintf(parts[count++].info.etag, STORE_ETAG_BYTES, "%s", part->etag);
            memcpy(whole + len, part->data, part->len);
            len += part->len;
        }
    }
    status_t st = store_upload_complete(store, bucket_names[u->bucket], key_names[u->key], u->id,
                                        parts, count, NULL, NULL, &info, NULL);
    CHECK_EQ(st, count > 0 ? ST_OK : ST_INVAL);
    if (count > 0) {
        model_set(&objects[u->bucket][u->key], whole, len, &info, "up");
        upload_clear(u);
    }
    free(whole);
}

static void do_upload(void)
{
    struct model_upload *u = &uploads[pick(UPLOADS)];
    struct store_attributes a = {.content_type = "up"};
    if (!u->there) {
        *u = (struct model_upload){
            .there = true, .bucket = (size_t)pick(BUCKETS), .key = (size_t)pick(KEYS)};
        MUST(store_upload_begin(store, bucket_names[u->bucket], key_names[u->key], &a, &u->id,
                                &err));
        return;
    }
    switch (pick(6)) {
    case 0:
        MUST(store_upload_abort(store, bucket_names[u->bucket], key_names[u->key], u->id, &err));
        upload_clear(u);
        break;
    case 1:
        upload_complete(u);
        break;
    default:
        upload_part(u);
    }
}

static void compare_all(void)
{
    struct store_counters c;
    uint64_t count = 0, bytes = 0, open_uploads = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (size_t j = 0; j < KEYS; j++) {
            compare_object(i, j);
            count += objects[i][j].there;
            bytes += objects[i][j].len;
        }
    }
    for (size_t i = 0; i < UPLOADS; i++) {
        open_uploads += uploads[i].there;
    }
    MUST(store_counters(store, &c, &err));
    CHECK_EQ(c.objects, count);
    CHECK_EQ(c.bytes, bytes);
    CHECK_EQ(c.uploads, open_uploads);
    check_sound();
}

static void open_keys(void)
{
    const struct store_keys_options keys = {.path = key_file};
    if (encrypts) {
        MUST(store_set_keys(store, &keys, &err));
    }
}

/* What nothing needs any more goes. */
static void drop_keys(void)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    MUST(store_keys(store, &keys, &count, &err));
    for (size_t i = 0; i < count; i++) {
        CHECK(keys[i].is_there);
        const status_t dropped = store_keys_drop(store, keys[i].id, NULL);
        if (keys[i].is_newest || keys[i].extents == 0) {
            CHECK_EQ(dropped, keys[i].is_newest ? ST_EXIST : ST_OK);
        } else if (dropped == ST_OK) {
            check_sound(); /* they had no use any more, and went in between */
        } else {
            CHECK_EQ(dropped, ST_EXIST);
        }
    }
    free(keys);
}

static void do_keys(void)
{
    struct store_rewrap n;
    uint64_t id = 0;
    if (!encrypts) {
        return;
    }
    switch (pick(4)) {
    case 0:
        MUST(store_keys_rotate(store, &id, &err));
        break;
    case 1:
        MUST(store_keys_rewrap(store, NULL, NULL, &n, &err));
        CHECK_EQ(n.missing, 0);
        break;
    case 2:
        drop_keys();
        break;
    default:
        MUST(store_bucket_set_encrypt(store, bucket_names[pick(BUCKETS)], pick(3) > 0, &err));
    }
}

static uint64_t calls;

static void random_calls_do_what_the_model_does(void)
{
    store_make(&options);
    snprintf(key_file, sizeof key_file, "%s/master.key", scratch);
    open_keys();
    for (size_t i = 0; i < BUCKETS; i++) {
        MUST(store_bucket_create(store, bucket_names[i], "", &err));
    }
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(key_names[i], sizeof key_names[i], "%c/%02zu", i < KEYS / 2 ? 'a' : 'b',
                 i % (KEYS / 2));
    }
    for (uint64_t i = 0; i < calls && check_failures == 0; i++) {
        switch (pick(13)) {
        case 0:
        case 1:
        case 2:
            do_put();
            break;
        case 3:
            do_append();
            break;
        case 4:
            do_delete();
            break;
        case 5:
        case 6:
            do_copy_or_rename();
            break;
        case 7:
            do_rename_prefix();
            break;
        case 8:
            do_list();
            break;
        case 9:
        case 10:
            do_upload();
            break;
        case 11:
            do_keys();
            break;
        default:
            compare_object((size_t)pick(BUCKETS), (size_t)pick(KEYS));
        }
        if (pick(100) == 0) {
            compare_all();
            store_again(&options);
            open_keys();
        }
    }
    compare_all();
    for (size_t i = 0; i < BUCKETS * KEYS; i++) {
        model_clear(&objects[i / KEYS][i % KEYS]);
    }
    for (size_t i = 0; i < UPLOADS; i++) {
        upload_clear(&uploads[i]);
    }
    store_remove();
}

static void so_they_do_with_encryption(void)
{
    encrypts = true;
    random_calls_do_what_the_model_does();
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    calls = 3000;
    if ((argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) ||
        (argc > 2 && parse_u64(argv[2], UINT64_MAX, &calls) != ST_OK)) {
        fprintf(stderr, "usage: %s [SEED [CALLS]]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    random_state = seed | 1;
    fill(source, sizeof source, seed);
    RUN(random_calls_do_what_the_model_does);
    RUN(so_they_do_with_encryption);
    return CHECK_DONE();
}
