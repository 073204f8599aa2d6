/* A child changes a store whose extents move to a tier all the time, and tells what was acknowledged; it is killed at a
 * random moment. All that was acknowledged must be there and whole afterwards. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/parse.h"
#include "faketier.h"

enum { SLOTS = 8, LEN_MAX = 200000 };

struct slot {
    uint64_t seed;
    size_t len;
    bool there;
};
static struct slot slots[SLOTS];
static uint64_t seed, steps, rounds;

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ x >> 33;
}

struct step {
    unsigned kind; /* below 5: put, 5: delete, 6: rename, 7: spill, 8: recall, 9: pin or not */
    size_t from, to, len;
    uint64_t seed;
};

static struct step step_of(uint64_t number)
{
    uint64_t r = mix(seed + mix(number + 1));
    return (struct step){.kind = (unsigned)(r % 10),
                         .from = (size_t)(r >> 8) % SLOTS,
                         .to = (size_t)(r >> 16) % SLOTS,
                         .len = 17000 + (size_t)(r >> 32) % (LEN_MAX - 17000),
                         .seed = r};
}

static const char *key_of(size_t slot)
{
    static const char *const keys[SLOTS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    return keys[slot];
}

static void apply(const struct step *s)
{
    if (s->kind < 5) {
        slots[s->to] = (struct slot){.seed = s->seed, .len = s->len, .there = true};
    } else if (s->kind == 5) {
        slots[s->to].there = false;
    } else if (s->kind == 6 && s->from != s->to && slots[s->from].there) {
        slots[s->to] = slots[s->from];
        slots[s->from].there = false;
    }
}

static void perform(const struct step *s, uint8_t *data)
{
    struct tier_moved moved;
    struct store_name from = {"box", key_of(s->from)}, to = {"box", key_of(s->to)};
    status_t st = ST_OK;
    if (s->kind < 5) {
        fill(data, s->len, s->seed);
        st = put("box", to.key, data, s->len);
    } else if (s->kind == 5) {
        st = store_delete(store, "box", to.key, NULL, NULL);
    } else if (s->kind == 6) {
        st = store_rename(store, &from, &to, NULL, NULL);
    } else {
        enum tier_move what = s->kind == 7   ? TIER_SPILL
                              : s->kind == 8 ? TIER_RECALL
                              : s->seed & 1  ? TIER_PIN
                                             : TIER_UNPIN;
        st = tier_move(tier, what, "box", to.key, false, NULL, NULL, &moved, NULL);
    }
    if (st != ST_OK && st != ST_NOTFOUND) {
        fprintf(stderr, "step %u: %s\n", s->kind, status_name(st));
        _exit(1);
    }
}

static void child(const struct store_options *options, int acks)
{
    uint8_t *data = malloc(LEN_MAX);
    MUST(store_open(scratch, options, &store, &err));
    if (tier_up() != ST_OK) {
        _exit(1);
    }
    for (uint64_t i = steps;; i++) {
        struct step s = step_of(i);
        perform(&s, data);
        if (write(acks, "a", 1) != 1) {
            _exit(1);
        }
    }
}

static bool is_state(void)
{
    static uint8_t data[LEN_MAX];
    bool same = true;
    for (size_t i = 0; i < SLOTS && same; i++) {
        struct store_info info;
        const struct slot *s = &slots[i];
        if (s->there) {
            fill(data, s->len, s->seed);
        }
        same = s->there ? holds("box", key_of(i), data, s->len)
                        : store_stat(store, "box", key_of(i), &info, NULL) == ST_NOTFOUND;
    }
    return same;
}

static void check_store(const struct store_options *options, uint64_t acknowledged)
{
    MUST(store_open(scratch, options, &store, &err));
    CHECK_EQ(files_in("new"), 0);
    CHECK_EQ(tier_up(), ST_OK);
    for (uint64_t i = 0; i < acknowledged; i++) {
        struct step s = step_of(steps++);
        apply(&s);
    }
    if (!is_state()) { /* the one that was under way was made */
        struct step s = step_of(steps++);
        apply(&s);
        CHECK(is_state());
    }
    check_sound();
    struct tier_check n;
    MUST(tier_check(tier, false, print_finding, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 0);
    tier_down();
}

static void kill_once(const struct store_options *options, uint64_t round)
{
    int ends[2];
    uint64_t r = mix(seed + round), count = r % 40, acknowledged = 0;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(options, ends[1]);
    }
    close(ends[1]);
    char byte;
    while (acknowledged < count && read(ends[0], &byte, 1) == 1) {
        acknowledged++;
    }
    uint64_t until = clock_monotonic_ns() + (r >> 20) % 5000000;
    while (clock_monotonic_ns() < until) { /* so that it is not always just behind an answer */
    }
    kill(pid, SIGKILL);
    while (read(ends[0], &byte, 1) == 1) {
        acknowledged++;
    }
    close(ends[0]);
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    check_store(options, acknowledged);
}

static void nothing_acknowledged_is_lost(void)
{
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    tier_high = 300000;
    tier_low = 100000;
    tier_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    tier_down();
    for (uint64_t i = 0; i < rounds && check_failures == 0; i++) {
        kill_once(&options, i);
    }
    if (check_failures == 0) {
        remove_tree(scratch);
        remove_tree(tier_folder);
    } else {
        fprintf(stderr, "kept: %s %s\n", scratch, tier_folder);
    }
}

int main(int argc, char **argv)
{
    seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    rounds = 40;
    if ((argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) ||
        (argc > 2 && parse_u64(argv[2], UINT64_MAX, &rounds) != ST_OK)) {
        fprintf(stderr, "usage: %s [SEED [ROUNDS]]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    RUN(nothing_acknowledged_is_lost);
    return CHECK_DONE();
}
