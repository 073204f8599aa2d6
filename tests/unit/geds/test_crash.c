#include "storetest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/parse.h"
#include "sys/clock.h"

/* A child changes a store with several threads, and tells through a pipe what was acknowledged;
 * it is killed at a random moment. Then all that was acknowledged must be there and whole, and
 * of what was not, all or nothing. */

enum { THREADS = 4, SLOTS = 5, LEN_MAX = 150000, APPENDED_MAX = 2000000 };

struct slot {
    bool there;
    uint8_t *data;
    size_t len;
};
struct state {
    struct slot slots[SLOTS];
};
static uint64_t seed;
static struct state states[THREADS]; /* what is in the store for certain */
static bool versions;                /* the bucket keeps them */
static size_t version_counts[THREADS];
static uint64_t steps[THREADS]; /* changes of each thread that led there */

struct step {
    unsigned kind; /* 0 to 3: put, 4: append, 5: delete, 6: copy, 7: rename, 8: upload */
    size_t from, to, len;
    uint64_t data_seed;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ x >> 33;
}

static struct step step_of(size_t thread, uint64_t number)
{
    uint64_t r = mix(seed + mix(thread * 1000003 + number));
    struct step s = {.kind = (unsigned)(r % 9),
                     .from = (size_t)(r >> 8) % SLOTS,
                     .to = (size_t)(r >> 16) % SLOTS,
                     .data_seed = r};
    s.len = (r >> 24) % 3 == 0 ? (size_t)(r >> 32) % LEN_MAX : (size_t)(r >> 32) % 5000;
    return s;
}

static void slot_set(struct slot *slot, const void *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    free(slot->data);
    *slot = (struct slot){.there = true, .data = copy, .len = len};
}

static void slot_clear(struct slot *slot)
{
    free(slot->data);
    *slot = (struct slot){0};
}

/* What a step does to the model. */
static void apply(struct state *state, const struct step *s)
{
    static uint8_t data[APPENDED_MAX + LEN_MAX];
    struct slot *from = &state->slots[s->from], *to = &state->slots[s->to];
    fill(data, s->len, s->data_seed);
    if (s->kind <= 3 || s->kind == 8) {
        slot_set(to, data, s->len);
    } else if (s->kind == 4 && to->len < APPENDED_MAX) {
        size_t before = to->len;
        memmove(data + before, data, s->len);
        if (before > 0) {
            memcpy(data, to->data, before);
        }
        slot_set(to, data, before + s->len);
    } else if (s->kind == 5) {
        slot_clear(to);
    } else if (s->kind == 6 && from->there && from != to) {
        slot_set(to, from->data, from->len);
    } else if (s->kind == 7 && from->there && from != to) {
        free(to->data);
        *to = *from;
        *from = (struct slot){0};
    }
}

static void name_slot(size_t thread, size_t slot, char ret_key[16])
{
    snprintf(ret_key, 16, "t%zu/%zu", thread, slot);
}

static void upload(const char *key, const void *data, size_t len)
{
    uint64_t id = 0;
    struct store_put *p = NULL;
    struct store_part part = {.number = 1};
    MUST(store_upload_begin(store, "box", key, NULL, &id, &err));
    MUST(store_upload_put_begin(store, "box", key, id, 1, &p, &err));
    MUST(store_put_write(p, data, len, &err));
    MUST(store_put_commit(p, NULL, &part.info, &err));
    MUST(store_upload_complete(store, "box", key, id, &part, 1, NULL, NULL, NULL, &err));
}

/* The same in the store. */
static void perform(size_t thread, const struct step *s, uint8_t *data)
{
    char from[16], to[16];
    name_slot(thread, s->from, from);
    name_slot(thread, s->to, to);
    struct store_name from_name = {"box", from}, to_name = {"box", to};
    struct store_info info = {0};
    fill(data, s->len, s->data_seed);
    status_t st = ST_OK;
    if (s->kind <= 3) {
        st = put("box", to, data, s->len);
    } else if (s->kind == 4) {
        st = store_stat(store, "box", to, &info, NULL);
        if (info.size < APPENDED_MAX) {
            st = store_append(store, "box", to, data, s->len, NULL, NULL, NULL);
        }
    } else if (s->kind == 5) {
        st = store_delete(store, "box", to, NULL, NULL);
    } else if (s->kind == 6) {
        st = store_copy(store, &from_name, &to_name, NULL, NULL, NULL, NULL, NULL);
    } else if (s->kind == 7) {
        st = store_rename(store, &from_name, &to_name, NULL, NULL);
    } else {
        upload(to, data, s->len);
    }
    if (st != ST_OK && st != ST_NOTFOUND) {
        fprintf(stderr, "step %u: %s\n", s->kind, status_name(st));
        _exit(1);
    }
}

static int acks;
static void *work(void *arg)
{
    size_t thread = (size_t)(uintptr_t)arg;
    uint8_t *data = malloc(LEN_MAX);
    for (uint64_t i = steps[thread];; i++) {
        struct step s = step_of(thread, i);
        perform(thread, &s, data);
        uint8_t ack = (uint8_t)thread;
        if (write(acks, &ack, 1) != 1) {
            break;
        }
    }
    free(data);
    return NULL;
}

static void child(const struct store_options *options)
{
    pthread_t threads[THREADS];
    MUST(store_open(scratch, options, &store, &err));
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) != 0) {
            _exit(1);
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    _exit(1);
}

/* What was current is a version now, so that the counts of names tell whether one was lost. */
static size_t count_versions(size_t thread)
{
    char prefix[16];
    struct store_versions *page = NULL;
    snprintf(prefix, sizeof prefix, "t%zu/", thread);
    struct store_version_query q = {.prefix = prefix, .max = STORE_LIST_MAX};
    MUST(store_version_list(store, "box", &q, &page, &err));
    size_t count = page->count;
    CHECK(!page->more);
    store_versions_free(page);
    return count;
}

/* How many of them a step adds to the state before it. */
static size_t versions_of(const struct state *state, const struct step *s)
{
    const struct slot *from = &state->slots[s->from], *to = &state->slots[s->to];
    if (s->kind == 7) {
        return from->there && from != to ? 2 : 0;
    }
    if (s->kind == 6) {
        return from->there;
    }
    return s->kind == 4 ? to->len < APPENDED_MAX : 1;
}

static bool is_state(size_t thread, const struct state *state)
{
    for (size_t i = 0; i < SLOTS; i++) {
        char key[16];
        const struct slot *slot = &state->slots[i];
        struct store_info info;
        name_slot(thread, i, key);
        if (slot->there ? !holds("box", key, slot->data, slot->len)
                        : store_stat(store, "box", key, &info, NULL) != ST_NOTFOUND) {
            return false;
        }
    }
    return true;
}

/* The store has what the acknowledged steps led to, or that and the one step more that was under
 * way. */
static void check_thread(size_t thread, uint64_t acknowledged)
{
    for (uint64_t i = 0; i < acknowledged; i++) {
        struct step s = step_of(thread, steps[thread] + i);
        version_counts[thread] += versions_of(&states[thread], &s);
        apply(&states[thread], &s);
    }
    steps[thread] += acknowledged;
    size_t found = versions ? count_versions(thread) : 0;
    bool same = !versions || found == version_counts[thread];
    if (same && is_state(thread, &states[thread])) {
        return; /* a step that does nothing here is done again */
    }
    struct step s = step_of(thread, steps[thread]);
    version_counts[thread] += versions_of(&states[thread], &s);
    apply(&states[thread], &s);
    steps[thread]++;
    CHECK(is_state(thread, &states[thread]));
    CHECK(!versions || found == version_counts[thread]);
}

static void check_store(const struct store_options *options, const uint64_t acknowledged[THREADS])
{
    MUST(store_open(scratch, options, &store, &err));
    CHECK_EQ(files_in("new"), 0);
    for (size_t i = 0; i < THREADS; i++) {
        check_thread(i, acknowledged[i]);
    }
    struct store_fsck totals;
    MUST(store_fsck(store, false, print_finding, NULL, NULL, &totals, &err));
    CHECK_EQ(totals.findings, 0);
    store_close(store);
    store = NULL;
}

static void kill_once(const struct store_options *options, uint64_t round)
{
    int ends[2];
    uint64_t acknowledged[THREADS] = {0}, r = mix(seed + round), count = r % 60;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        acks = ends[1];
        child(options);
    }
    close(ends[1]);
    uint8_t ack = 0;
    for (uint64_t i = 0; i < count && read(ends[0], &ack, 1) == 1; i++) {
        acknowledged[ack % THREADS]++;
    }
    uint64_t until = clock_monotonic_ns() + (r >> 20) % 3000000;
    while (clock_monotonic_ns() < until) { /* so that it is not always just behind an answer */
    }
    kill(pid, SIGKILL);
    while (read(ends[0], &ack, 1) == 1) {
        acknowledged[ack % THREADS]++;
    }
    close(ends[0]);
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    check_store(options, acknowledged);
}

static uint64_t rounds;

static void what_was_acknowledged_survives_kill(void)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned sync = kind & 1;
        struct store_options options = {.sync = sync ? STORE_SYNC_FULL : STORE_SYNC_OFF};
        memset(steps, 0, sizeof steps);
        memset(version_counts, 0, sizeof version_counts);
        store_make(&options);
        MUST(store_bucket_create(store, "box", "", &err));
        versions = kind >= 2;
        if (versions) {
            MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
        }
        store_close(store);
        store = NULL;
        for (uint64_t i = 0; i < (versions ? rounds / 2 : rounds) && check_failures == 0; i++) {
            kill_once(&options, 4 * i + kind);
        }
        for (size_t i = 0; i < THREADS * SLOTS; i++) {
            slot_clear(&states[i / SLOTS].slots[i % SLOTS]);
        }
        if (check_failures == 0) {
            remove_tree(scratch);
        } else {
            fprintf(stderr, "kept: %s\n", scratch);
        }
    }
}

/* A crash while the store is made leaves a folder that can be opened. */
static void a_store_is_made_whole_or_again(void)
{
    for (uint64_t i = 0; i < rounds; i++) {
        snprintf(scratch, sizeof scratch, "/tmp/geds-test-XXXXXX");
        CHECK(mkdtemp(scratch) != NULL);
        int ends[2];
        CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            if (write(ends[1], "", 1) == 1) {
                MUST(store_open(scratch, NULL, &store, &err));
            }
            _exit(0);
        }
        char byte;
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        uint64_t until = clock_monotonic_ns() + mix(seed + i) % 20000000;
        while (clock_monotonic_ns() < until) {
        }
        kill(pid, SIGKILL);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
        close(ends[0]);
        close(ends[1]);
        MUST(store_open(scratch, NULL, &store, &err));
        MUST(store_bucket_create(store, "box", "", &err));
        CHECK_EQ(put("box", "k", "x", 1), ST_OK);
        check_sound();
        store_remove();
    }
}

int main(int argc, char **argv)
{
    seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    rounds = 15;
    if ((argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) ||
        (argc > 2 && parse_u64(argv[2], UINT64_MAX, &rounds) != ST_OK)) {
        fprintf(stderr, "usage: %s [SEED [ROUNDS]]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    RUN(what_was_acknowledged_survives_kill);
    RUN(a_store_is_made_whole_or_again);
    return CHECK_DONE();
}
