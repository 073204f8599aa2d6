/* A store whose tier is our own server behind a line that breaks each connection somewhere. */
#include "../geds_remote/badline.h"

#include <sched.h>
#include <signal.h>

#include "geds/tier/s3/s3.h"
#include "geds/tier/tier.h"

enum { KEYS = 6, STEPS = 150, LEN_MAX = 200000, PART = 32 << 10 };

static char near_folder[64];
static struct store *near_store; /* `store` is the server's */
static struct tier *tier;
static struct tier_s3 *s3;
static struct tier_remote remote;
static struct {
    bool there;
    uint64_t seed;
    size_t len;
} model[KEYS];
static uint64_t state = 77;
static unsigned away;

static uint64_t draw(uint64_t below)
{
    state = mix(state + 1);
    return state % below;
}

static void fill(uint8_t *to, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)mix(seed + i / 7);
    }
}

static void start(void)
{
    char endpoint[64];
    struct remote_options o;
    struct remote_credentials c = {.access_key = "KEY", .secret = SECRET};
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.prefix = "p/";
    o.credentials = &c;
    o.part_bytes = PART;
    o.backoff_ms = 1;
    MUST(store_open(near_folder, &(struct store_options){.sync = STORE_SYNC_OFF}, &near_store,
                    &err));
    MUST(tier_s3_open(&o, &s3, &remote, &err));
    const struct tier_options to = {.store = near_store,
                                    .remote = &remote,
                                    .high_bytes = 400000,
                                    .low_bytes = 200000,
                                    .cache_bytes = STORE_CACHE_MIN,
                                    .idle_ms = 10,
                                    .retry_ms = 2,
                                    .retry_max_ms = 10};
    MUST(tier_open(&to, &tier, &err));
    MUST(tier_start(tier, &err));
}

static void stop(void)
{
    tier_stop(tier);
    store_close(near_store);
    tier_close(tier);
    tier_s3_close(s3);
}

static void name_key(size_t key, char ret_name[8])
{
    snprintf(ret_name, 8, "k%zu", key);
}

static void put_key(size_t key, uint8_t *data)
{
    char name[8];
    struct store_put *p = NULL;
    uint64_t seed = draw(UINT64_MAX);
    size_t len = 20000 + (size_t)draw(LEN_MAX - 20000);
    name_key(key, name);
    fill(data, len, seed);
    MUST(store_put_begin(near_store, "box", name, NULL, &p, &err));
    MUST(store_put_write(p, data, len, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    model[key].there = true;
    model[key].seed = seed;
    model[key].len = len;
}

/* false: the line is bad just now. */
static bool compare_key(size_t key, uint8_t *data)
{
    char name[8];
    static uint8_t back[LEN_MAX];
    struct store_object *o = NULL;
    struct error err = {0};
    size_t len = 0;
    name_key(key, name);
    status_t st = store_object_open(near_store, "box", name, &o, &err);
    CHECK_EQ(st, model[key].there ? ST_OK : ST_NOTFOUND);
    if (st == ST_OK) {
        st = store_object_read(o, back, sizeof back, 0, &len, &err);
        store_object_close(o);
        if (st == ST_AGAIN) {
            away++;
            return false;
        }
        fill(data, model[key].len, model[key].seed);
        if (st != ST_OK) {
            fprintf(stderr, "%s: %s\n", name, err.text);
        }
        CHECK_EQ(st, ST_OK);
        CHECK(len == model[key].len && memcmp(back, data, len) == 0);
    }
    return true;
}

static void move_key(size_t key)
{
    char name[8];
    struct tier_moved moved;
    static const enum tier_move moves[] = {TIER_SPILL, TIER_SPILL, TIER_RECALL};
    name_key(key, name);
    status_t st = tier_move(tier, moves[draw(3)], "box", name, false, NULL, NULL, &moved, NULL);
    CHECK(st == ST_OK || st == ST_AGAIN || (st == ST_NOTFOUND && !model[key].there));
    away += st == ST_AGAIN;
}

static void step(uint8_t *data)
{
    size_t key = (size_t)draw(KEYS);
    char name[8];
    switch (draw(6)) {
    case 0:
    case 1:
        put_key(key, data);
        break;
    case 2:
        name_key(key, name);
        CHECK_EQ(store_delete(near_store, "box", name, NULL, NULL),
                 model[key].there ? ST_OK : ST_NOTFOUND);
        model[key].there = false;
        break;
    case 3:
        move_key(key);
        break;
    default:
        compare_key(key, data);
    }
}

/* In time, and in spite of the line. */
static bool soon(bool (*f)(size_t key, uint8_t *data), size_t key, uint8_t *data)
{
    for (uint64_t until = clock_monotonic_ns() + 60000000000ULL; clock_monotonic_ns() < until;) {
        if (f(key, data)) {
            return true;
        }
        sched_yield();
    }
    return false;
}

static bool is_sound(size_t key, uint8_t *data)
{
    (void)key, (void)data;
    struct tier_check n = {.findings = 1};
    return tier_check(tier, false, NULL, NULL, NULL, &n, NULL) == ST_OK && n.findings == 0;
}

static bool is_empty(size_t key, uint8_t *data)
{
    (void)key, (void)data;
    struct store_bucket b;
    tier_wake(tier);
    MUST(store_bucket_stat(store, "tier", &b, NULL, &err));
    return b.objects == 0;
}

static void nothing_is_lost_over_a_bad_line(void)
{
    static uint8_t data[LEN_MAX];
    pthread_t accepter;
    size_t lines = 0;
    uint64_t one = 1;
    char name[8];
    snprintf(near_folder, sizeof near_folder, "/tmp/geds-near-XXXXXX");
    CHECK(mkdtemp(near_folder) != NULL);
    open_line();
    CHECK(pthread_create(&accepter, NULL, accept_lines, &lines) == 0);
    start();
    MUST(store_bucket_create(near_store, "box", "", &err));
    for (int i = 0; i < STEPS && check_failures == 0; i++) {
        step(data);
        if (i % 50 == 49) {
            stop();
            start();
        }
    }
    for (size_t i = 0; i < KEYS; i++) {
        CHECK(soon(compare_key, i, data));
    }
    CHECK(soon(is_sound, 0, data));
    for (size_t i = 0; i < KEYS; i++) {
        name_key(i, name);
        status_t ignored = store_delete(near_store, "box", name, NULL, NULL);
        (void)ignored;
    }
    CHECK(soon(is_empty, 0, data));
    stop();
    CHECK(write(stopping, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(accepter, NULL);
    for (size_t i = 0; i < lines; i++) {
        pthread_join(line_threads[i], NULL);
    }
    printf("     %zu connections, %u cut, %u refused; %u calls gave up\n", lines, cut_count,
           refused_count, away);
    CHECK(cut_count > 20);
    close(listener);
    close(stopping);
    nftw(near_folder, ours_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    ours_start();
    RUN(nothing_is_lost_over_a_bad_line);
    ours_stop();
    return CHECK_DONE();
}
