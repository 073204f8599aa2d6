#ifndef CELL_RUN_PARK_H
#define CELL_RUN_PARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/status.h"

/* Threads that wait on an address (memory.atomic.wait). Each bucket has its own lock; no lock is held
 * while a thread sleeps. Waiters are woken in the order they came, and a wake that was counted is never lost. */

enum { PARK_BUCKETS = 64 };

struct run_park_waiter {
    struct run_park_waiter *next;
    const void *addr;
    atomic_uint woken; /* futex word */
};

struct run_park_bucket {
    pthread_mutex_t lock;
    struct run_park_waiter *head;
    struct run_park_waiter **tail;
};

struct run_park {
    struct run_park_bucket buckets[PARK_BUCKETS];
};

void run_park_init(struct run_park *p);
void run_park_done(struct run_park *p);

enum run_park_result { PARK_WOKEN = 0, PARK_NOT_EQUAL = 1, PARK_TIMED_OUT = 2, PARK_STOPPED = 3 };

/* Called around each sleep: begin gives false when the wait has to end with PARK_STOPPED. */
struct run_park_guard {
    bool (*begin)(void *arg);
    void (*end)(void *arg);
    void *arg;
};

/* Wait until run_park_notify on addr, when the width_bytes (4, 8) at addr equal expected.
 * timeout_ns: negative waits for ever. Any thread. */
enum run_park_result run_park_wait(struct run_park *p, const void *addr, uint32_t width_bytes,
                                   uint64_t expected, int64_t timeout_ns,
                                   const struct run_park_guard *guard);
/* Wake up to count waiters of addr; the number woken. Any thread. */
uint32_t run_park_notify(struct run_park *p, const void *addr, uint32_t count);

#endif
