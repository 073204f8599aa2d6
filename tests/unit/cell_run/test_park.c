#include "park.h"

#include <sched.h>

#include "check.h"

enum { WAITERS = 8, ROUNDS = 2000 };

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void nothing(void *arg)
{
    (void)arg;
}

static const struct run_park_guard go_on = {always, nothing, NULL};
static const struct run_park_guard stopped = {never, nothing, NULL};

static void another_value_is_not_waited_for(void)
{
    struct run_park p;
    uint64_t word = 0x100000005;
    run_park_init(&p);
    CHECK_EQ(run_park_wait(&p, &word, 8, 5, -1, &go_on), PARK_NOT_EQUAL);
    CHECK_EQ(run_park_wait(&p, &word, 4, 6, -1, &go_on), PARK_NOT_EQUAL);
    CHECK_EQ(run_park_wait(&p, &word, 4, 5, 0, &go_on), PARK_TIMED_OUT);
    CHECK_EQ(run_park_notify(&p, &word, 100), 0);
    run_park_done(&p);
}

static void a_wait_ends_at_its_deadline(void)
{
    struct run_park p;
    uint32_t word = 1;
    run_park_init(&p);
    CHECK_EQ(run_park_wait(&p, &word, 4, 1, 2000000, &go_on), PARK_TIMED_OUT);
    CHECK_EQ(run_park_wait(&p, &word, 4, 1, INT64_MAX, &stopped), PARK_STOPPED);
    CHECK_EQ(run_park_notify(&p, &word, 1), 0);
    run_park_done(&p);
}

struct shared {
    struct run_park park;
    uint32_t word;
    atomic_uint began;
    atomic_uint woken;
};

static bool count_began(void *arg)
{
    struct shared *s = arg;
    atomic_fetch_add(&s->began, 1);
    return true;
}

static void *wait_once(void *arg)
{
    struct shared *s = arg;
    struct run_park_guard guard = {count_began, nothing, s};
    if (run_park_wait(&s->park, &s->word, 4, 0, -1, &guard) == PARK_WOKEN)
        atomic_fetch_add(&s->woken, 1);
    return NULL;
}

static void notify_wakes_exactly_as_many_as_it_says(void)
{
    struct shared s = {.word = 0};
    pthread_t threads[WAITERS];
    run_park_init(&s.park);
    for (int i = 0; i < WAITERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, wait_once, &s), 0);
    /* A waiter is in the queue before it begins to sleep. */
    while (atomic_load(&s.began) < WAITERS)
        sched_yield();
    CHECK_EQ(run_park_notify(&s.park, &s.word, 3), 3);
    CHECK_EQ(run_park_notify(&s.park, &s.park, UINT32_MAX), 0);
    CHECK_EQ(run_park_notify(&s.park, &s.word, UINT32_MAX), WAITERS - 3);
    CHECK_EQ(run_park_notify(&s.park, &s.word, UINT32_MAX), 0);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(s.woken, WAITERS);
    run_park_done(&s.park);
}

struct race {
    struct run_park park;
    uint32_t word;
    atomic_uint done;
    uint32_t woken;
    uint32_t timed_out;
};

static void *wait_shortly(void *arg)
{
    struct race *r = arg;
    for (int i = 0; i < ROUNDS; i++) {
        enum run_park_result got = run_park_wait(&r->park, &r->word, 4, 0, 20000, &go_on);
        r->woken += got == PARK_WOKEN;
        r->timed_out += got == PARK_TIMED_OUT;
    }
    atomic_store(&r->done, 1);
    return NULL;
}

static void a_counted_wake_is_never_lost_to_a_timeout(void)
{
    struct race r = {.word = 0};
    pthread_t thread;
    uint32_t counted = 0;
    run_park_init(&r.park);
    CHECK_EQ(pthread_create(&thread, NULL, wait_shortly, &r), 0);
    while (!atomic_load(&r.done)) {
        counted += run_park_notify(&r.park, &r.word, 1);
        sched_yield();
    }
    pthread_join(thread, NULL);
    CHECK_EQ(r.woken, counted);
    CHECK_EQ(r.woken + r.timed_out, ROUNDS);
    run_park_done(&r.park);
}

int main(void)
{
    RUN(another_value_is_not_waited_for);
    RUN(a_wait_ends_at_its_deadline);
    RUN(notify_wakes_exactly_as_many_as_it_says);
    RUN(a_counted_wake_is_never_lost_to_a_timeout);
    return CHECK_DONE();
}
