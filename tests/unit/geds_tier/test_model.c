/* Random calls of a store whose extents move to a tier that fails, lies, cuts and comes back; compared with a list. */
#include <time.h>

#include "base/parse.h"
#include "faketier.h"

enum { KEYS = 16, DATA_MAX = 400000 };

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
};
static struct model_object objects[KEYS];
static uint8_t source[3 * DATA_MAX];
static uint64_t calls;
static bool misbehaves;

static const char *key_of(size_t i)
{
    static char names[KEYS][8];
    snprintf(names[i], sizeof names[i], "%c/%02zu", i < KEYS / 2 ? 'a' : 'b', i);
    return names[i];
}

static void model_set(struct model_object *o, const void *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    free(o->data);
    *o = (struct model_object){.there = true, .data = copy, .len = len};
}

static size_t random_len(void)
{
    return pick(4) == 0 ? (size_t)pick(STORE_INLINE_MAX)
                        : STORE_INLINE_MAX + 1 + (size_t)pick(DATA_MAX - STORE_INLINE_MAX - 1);
}

static void do_put(size_t key)
{
    size_t len = random_len();
    const uint8_t *data = source + pick(DATA_MAX);
    CHECK_EQ(put("box", key_of(key), data, len), ST_OK);
    model_set(&objects[key], data, len);
}

/* One to an object that is away goes on, too. */
static void do_append(size_t key)
{
    struct model_object *o = &objects[key];
    size_t len = 1 + (size_t)pick(50000);
    const uint8_t *data = source + pick(DATA_MAX);
    status_t st = store_append(store, "box", key_of(key), data, len, NULL, NULL, NULL);
    if (st != ST_OK) {
        CHECK(misbehaves && st == ST_CORRUPT); /* it lies about what has just been moved */
        return;
    }
    uint8_t *whole = malloc(o->len + len);
    if (o->len > 0) {
        memcpy(whole, o->data, o->len);
    }
    memcpy(whole + o->len, data, len);
    model_set(o, whole, o->len + len);
    free(whole);
}

static void do_copy_or_rename(size_t from, size_t to)
{
    struct store_name a = {"box", key_of(from)}, b = {"box", key_of(to)};
    struct store_info info;
    bool copies = pick(2) == 0;
    status_t expected = objects[from].there ? ST_OK : ST_NOTFOUND;
    if (copies) {
        CHECK_EQ(store_copy(store, &a, &b, NULL, NULL, NULL, &info, NULL), expected);
    } else {
        CHECK_EQ(store_rename(store, &a, &b, NULL, NULL), expected);
    }
    if (expected != ST_OK || from == to) {
        return;
    }
    model_set(&objects[to], objects[from].data, objects[from].len);
    if (!copies) {
        free(objects[from].data);
        objects[from] = (struct model_object){0};
    }
}

static void do_delete(size_t key)
{
    CHECK_EQ(store_delete(store, "box", key_of(key), NULL, NULL),
             objects[key].there ? ST_OK : ST_NOTFOUND);
    free(objects[key].data);
    objects[key] = (struct model_object){0};
}

static void do_move(size_t key)
{
    struct tier_moved moved;
    enum tier_move what = (enum tier_move)pick(4);
    bool is_prefix = pick(3) == 0;
    status_t st = tier_move(tier, what, "box", is_prefix ? (pick(2) ? "a/" : "") : key_of(key),
                            is_prefix, NULL, NULL, &moved, NULL);
    if (!is_prefix && !objects[key].there) {
        CHECK_EQ(st, ST_NOTFOUND);
    } else if (!misbehaves) {
        CHECK_EQ(st, ST_OK);
    }
}

/* While the tier misbehaves a read may fail, but never gives other bytes. */
static void compare_object(size_t key)
{
    const struct model_object *m = &objects[key];
    uint8_t *got = NULL;
    size_t len = 0;
    struct error err = {0};
    status_t st = get("box", key_of(key), &got, &len, &err);
    if (!m->there) {
        CHECK_EQ(st, ST_NOTFOUND);
        return;
    }
    if (st != ST_OK) {
        if (!misbehaves || (st != ST_AGAIN && st != ST_CORRUPT)) {
            fprintf(stderr, "%s: %s\n", key_of(key), err.text);
        }
        CHECK(misbehaves && (st == ST_AGAIN || st == ST_CORRUPT));
        return;
    }
    CHECK_EQ(len, m->len);
    CHECK(len != m->len || len == 0 || memcmp(got, m->data, len) == 0);
    free(got);
}

static void behave(void)
{
    atomic_store(&fake_down, false);
    atomic_store(&fake_lies, false);
    atomic_store(&fake_cuts, false);
    atomic_store(&fake_fails, 0);
    misbehaves = false;
    /* readers fail at once for a while after one failed */
    uint64_t until = clock_monotonic_ns() + 15ULL * 1000000;
    while (clock_monotonic_ns() < until) {
        sched_yield();
    }
}

static void misbehave(void)
{
    misbehaves = true;
    switch (pick(4)) {
    case 0:
        atomic_store(&fake_down, true);
        break;
    case 1:
        atomic_store(&fake_lies, true);
        break;
    case 2:
        atomic_store(&fake_cuts, true);
        break;
    default:
        atomic_store(&fake_fails, 2 + (unsigned)pick(5));
    }
}

static void compare_all(void)
{
    for (size_t i = 0; i < KEYS; i++) {
        compare_object(i);
    }
    check_sound();
}

static void step(void)
{
    size_t key = (size_t)pick(KEYS);
    switch (pick(10)) {
    case 0:
    case 1:
    case 2:
        do_put(key);
        break;
    case 3:
        do_append(key);
        break;
    case 4:
        do_copy_or_rename(key, (size_t)pick(KEYS));
        break;
    case 5:
        do_delete(key);
        break;
    case 6:
    case 7:
        do_move(key);
        break;
    default:
        compare_object(key);
    }
}

static bool nothing_is_left(void)
{
    tier_wake(tier);
    return tier_files() == 0;
}

static bool all_is_drained(void)
{
    struct tier_status n = status_now();
    tier_wake(tier);
    return n.backlog_bytes == 0 && n.places.gone_count == 0;
}

static void random_calls_do_what_the_model_does(void)
{
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    tier_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    for (uint64_t i = 0; i < calls && check_failures == 0; i++) {
        step();
        if (pick(80) == 0) {
            if (misbehaves) {
                behave();
            } else {
                misbehave();
            }
        }
        if (pick(100) == 0) {
            tier_again(&options);
        }
        if (pick(100) == 0) {
            compare_all();
        }
    }
    behave();
    compare_all();
    MUST(tier_move(tier, TIER_UNPIN, "box", "", true, NULL, NULL, &(struct tier_moved){0}, &err));
    EVENTUALLY(all_is_drained());
    tier_again(&options);
    compare_all();
    struct tier_check n;
    MUST(tier_check(tier, false, print_finding, NULL, NULL, &n, &err));
    /* a copy that was cut when it was sent is replaced, so all that rows say is true */
    CHECK_EQ(n.findings, 0);
    for (size_t i = 0; i < KEYS; i++) {
        if (objects[i].there) {
            do_delete(i);
        }
    }
    EVENTUALLY(nothing_is_left());
    check_sound();
    CHECK_EQ(files_in("data"), 0);
    tier_unmake();
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    calls = 2000;
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
    return CHECK_DONE();
}
