#include "storetest.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 16, ROUNDS = 40, PATIENCE_S = 60 };

/* Stands in for libc's: while `held` is true the removal of a file takes until removal_goes_on. */
static _Atomic bool held;
static sem_t removal_began, removal_goes_on;

__attribute__((visibility("default"))) int unlinkat(int fd, const char *name, int flags)
{
    if (atomic_load(&held)) {
        sem_post(&removal_began);
        while (sem_wait(&removal_goes_on) != 0) {
        }
    }
    return (int)syscall(SYS_unlinkat, fd, name, flags);
}

static pthread_barrier_t barrier;

static void together(void *(*work)(void *arg), size_t count, void *results[])
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i), 0);
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], results != NULL ? &results[i] : NULL);
    }
    pthread_barrier_destroy(&barrier);
}

/* Bit i of the result: this thread made object i. */
static void *create_all(void *arg)
{
    struct store_condition none = {.if_none = true};
    uint64_t won = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[16], data[16];
        snprintf(key, sizeof key, "%u", i);
        snprintf(data, sizeof data, "%u", (unsigned)(uintptr_t)arg);
        pthread_barrier_wait(&barrier);
        status_t st = put_if("box", key, data, strlen(data), &none, NULL);
        if (st == ST_OK) {
            won |= 1ULL << i;
        } else if (st != ST_EXIST) {
            return (void *)UINTPTR_MAX;
        }
    }
    return (void *)(uintptr_t)won;
}

static void of_two_who_create_exactly_one_wins(void)
{
    void *results[2];
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    together(create_all, 2, results);
    uint64_t first = (uintptr_t)results[0], second = (uintptr_t)results[1];
    CHECK_EQ(first & second, 0);
    CHECK_EQ(first | second, (1ULL << ROUNDS) - 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        CHECK(holds("box", key, (first >> i & 1) != 0 ? "0" : "1", 1));
    }
    store_remove();
}

static void *replace_seen(void *arg)
{
    uint64_t done = 0;
    (void)arg;
    for (unsigned i = 0; i < 50; i++) {
        size_t len = 0;
        struct store_object *o = NULL;
        unsigned number = 0;
        if (store_object_open(store, "box", "count", &o, NULL) != ST_OK ||
            store_object_read(o, &number, sizeof number, 0, &len, NULL) != ST_OK) {
            return (void *)UINTPTR_MAX;
        }
        number++;
        struct store_condition seen = {.if_match = store_object_info(o)->etag};
        status_t st = put_if("box", "count", &number, sizeof number, &seen, NULL);
        store_object_close(o);
        if (st != ST_OK && st != ST_CHANGED) {
            return (void *)UINTPTR_MAX;
        }
        done += st == ST_OK;
    }
    return (void *)(uintptr_t)done;
}

static void a_replacement_of_what_was_seen_loses_no_other(void)
{
    void *results[4];
    unsigned number = 0, sum = 0;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put("box", "count", &number, sizeof number), ST_OK);
    together(replace_seen, 4, results);
    for (size_t i = 0; i < 4; i++) {
        sum += (unsigned)(uintptr_t)results[i];
    }
    CHECK(sum > 0);
    CHECK(holds("box", "count", &sum, sizeof sum));
    store_remove();
}

static void *put_many(void *arg)
{
    char key[32], data[4096];
    fill((uint8_t *)data, sizeof data, (uintptr_t)arg);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(key, sizeof key, "%u/%u", (unsigned)(uintptr_t)arg, i);
        if (put("box", key, data, sizeof data) != ST_OK) {
            return (void *)1;
        }
    }
    return NULL;
}

static void changes_of_many_threads_share_transactions(void)
{
    struct store_counters before, after;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    MUST(store_counters(store, &before, &err));
    together(put_many, THREADS, NULL);
    MUST(store_counters(store, &after, &err));
    CHECK_EQ(after.objects, THREADS * 30);
    CHECK_EQ(after.changes - before.changes, THREADS * 30);
    CHECK(after.batches - before.batches < THREADS * 30 / 2);
    check_sound();
    store_remove();
}

enum { VERSION_BYTES = 200000 };

/* Threads 0 and 1 write, copy and delete, the others read: every version is of one number only. */
static void *read_or_write(void *arg)
{
    uint8_t *data = malloc(VERSION_BYTES);
    struct store_name name = {"box", "k"}, other = {"box", "copy"};
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < 100; i++) {
        struct store_object *o = NULL;
        size_t len = 0, size = i % 3 == 0 ? 3000 : VERSION_BYTES;
        if ((uintptr_t)arg < 2) {
            memset(data, (int)(i + 100 * (uintptr_t)arg), size);
            wrong += put("box", "k", data, size) != ST_OK;
            status_t st = i % 5 == 0
                              ? store_copy(store, &name, &other, NULL, NULL, NULL, NULL, NULL)
                          : i % 7 == 0 ? store_delete(store, "box", "k", NULL, NULL)
                                       : ST_OK;
            wrong += st != ST_OK && st != ST_NOTFOUND;
            continue;
        }
        status_t st = store_object_open(store, "box", i % 4 == 0 ? "copy" : "k", &o, NULL);
        if (st == ST_OK) {
            wrong += store_object_read(o, data, VERSION_BYTES, 0, &len, NULL) != ST_OK;
            wrong += len != store_object_info(o)->size;
            wrong += len > 0 && memcmp(data, data + 1, len - 1) != 0;
        }
        wrong += st != ST_OK && st != ST_NOTFOUND;
        store_object_close(o);
    }
    free(data);
    return (void *)wrong;
}

static void readers_see_one_version(void)
{
    void *results[6];
    struct store_options options = {.sync = STORE_SYNC_OFF};
    store_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    together(read_or_write, 6, results);
    for (size_t i = 0; i < 6; i++) {
        CHECK_EQ((uintptr_t)results[i], 0);
    }
    check_sound();
    store_again(&options);
    check_sound();
    CHECK(files_in("data") <= 2);
    store_remove();
}

static void *check_or_work(void *arg)
{
    uintptr_t wrong = 0;
    if ((uintptr_t)arg < 5) {
        return read_or_write(arg);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct store_fsck totals = {0};
        wrong += store_fsck(store, i % 2 == 0, print_finding, NULL, NULL, &totals, NULL) != ST_OK;
        wrong += totals.findings > 0;
    }
    return (void *)wrong;
}

static void a_check_finds_nothing_while_others_work(void)
{
    void *results[6];
    struct store_options options = {.sync = STORE_SYNC_OFF};
    store_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    together(check_or_work, 6, results);
    for (size_t i = 0; i < 6; i++) {
        CHECK_EQ((uintptr_t)results[i], 0);
    }
    store_remove();
}

static void *append_many(void *arg)
{
    char line[32];
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < 25; i++) {
        snprintf(line, sizeof line, "%03u %03u\n", (unsigned)(uintptr_t)arg, i);
        wrong += store_append(store, "box", "log", line, 8, NULL, NULL, NULL) != ST_OK;
    }
    return (void *)wrong;
}

static void appends_of_many_threads_are_whole_and_in_the_order_of_each(void)
{
    void *results[8];
    unsigned next[8] = {0};
    uint8_t *data = NULL;
    size_t len = 0;
    struct store_options options = {.sync = STORE_SYNC_OFF};
    store_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    together(append_many, 8, results);
    MUST(get("box", "log", &data, &len, &err));
    CHECK_EQ(len, 8 * 25 * 8);
    for (size_t i = 0; i + 8 <= len; i += 8) {
        unsigned thread = 0, number = 0;
        data[i + 7] = '\0';
        CHECK_EQ(sscanf((const char *)data + i, "%u %u", &thread, &number), 2);
        CHECK(thread < 8 && number == next[thread % 8]++);
    }
    for (size_t i = 0; i < 8; i++) {
        CHECK_EQ((uintptr_t)results[i], 0);
    }
    free(data);
    store_remove();
}

struct change {
    bool deletes;
    _Atomic bool answered;
    status_t status;
    sem_t over;
};

static void *change_one(void *arg)
{
    struct change *c = arg;
    c->status = c->deletes ? store_delete(store, "box", "large", NULL, NULL)
                           : put_if("box", "small", "x", 1, NULL, NULL);
    atomic_store(&c->answered, true);
    sem_post(&c->over);
    return NULL;
}

/* Files of 1 GiB take long to remove. */
static void nobody_waits_for_the_removal_of_files_of_others(void)
{
    static uint8_t large[1000000];
    struct change removal = {.deletes = true}, other = {.deletes = false};
    pthread_t threads[2];
    struct timespec end;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    MUST(put("box", "large", large, sizeof large));
    sem_init(&removal_began, 0, 0);
    sem_init(&removal_goes_on, 0, 0);
    sem_init(&removal.over, 0, 0);
    sem_init(&other.over, 0, 0);
    atomic_store(&held, true);
    CHECK_EQ(pthread_create(&threads[0], NULL, change_one, &removal), 0);
    while (sem_wait(&removal_began) != 0) {
    }
    CHECK_EQ(pthread_create(&threads[1], NULL, change_one, &other), 0);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    CHECK_EQ(sem_timedwait(&other.over, &end), 0);
    CHECK(!atomic_load(&removal.answered)); /* who removes has the space when he is answered */
    atomic_store(&held, false);
    sem_post(&removal_goes_on);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK_EQ(removal.status, ST_OK);
    CHECK_EQ(other.status, ST_OK);
    CHECK(holds("box", "small", "x", 1));
    store_remove();
}

int main(void)
{
    RUN(of_two_who_create_exactly_one_wins);
    RUN(a_replacement_of_what_was_seen_loses_no_other);
    RUN(changes_of_many_threads_share_transactions);
    RUN(readers_see_one_version);
    RUN(a_check_finds_nothing_while_others_work);
    RUN(appends_of_many_threads_are_whole_and_in_the_order_of_each);
    RUN(nobody_waits_for_the_removal_of_files_of_others);
    return CHECK_DONE();
}
