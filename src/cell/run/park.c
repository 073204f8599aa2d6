#include "park.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void run_park_init(struct run_park *p)
{
    for (int i = 0; i < PARK_BUCKETS; i++) {
        p->buckets[i].head = NULL;
        p->buckets[i].tail = &p->buckets[i].head;
        pthread_mutex_init(&p->buckets[i].lock, NULL);
    }
}

void run_park_done(struct run_park *p)
{
    for (int i = 0; i < PARK_BUCKETS; i++)
        pthread_mutex_destroy(&p->buckets[i].lock);
}

static struct run_park_bucket *bucket_of(struct run_park *p, const void *addr)
{
    uint64_t h = (uint64_t)(uintptr_t)addr * 0x9e3779b97f4a7c15u;
    return &p->buckets[h >> 58];
}
_Static_assert(PARK_BUCKETS == 64, "bucket_of takes six bits");

static void bucket_remove(struct run_park_bucket *b, struct run_park_waiter **at)
{
    struct run_park_waiter *w = *at;
    *at = w->next;
    if (b->tail == &w->next)
        b->tail = at;
}

/* Out of the queue when no notify took the waiter out before; false: it was woken. */
static bool waiter_withdraw(struct run_park_bucket *b, struct run_park_waiter *w)
{
    bool waiting = false;
    pthread_mutex_lock(&b->lock);
    for (struct run_park_waiter **at = &b->head; *at; at = &(*at)->next) {
        if (*at == w) {
            bucket_remove(b, at);
            waiting = true;
            break;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return waiting;
}

static struct timespec deadline_after(int64_t timeout_ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t seconds = timeout_ns / 1000000000, rest = timeout_ns % 1000000000 + t.tv_nsec;
    t.tv_sec += seconds + rest / 1000000000;
    t.tv_nsec = rest % 1000000000;
    return t;
}

/* Until woken, the deadline or a stop. */
static enum run_park_result waiter_sleep(struct run_park_waiter *w, const struct timespec *deadline,
                                         const struct run_park_guard *guard)
{
    enum run_park_result result = PARK_WOKEN;
    while (result == PARK_WOKEN && atomic_load_explicit(&w->woken, memory_order_acquire) == 0) {
        if (!guard->begin(guard->arg))
            return PARK_STOPPED;
        long r = syscall(SYS_futex, &w->woken, FUTEX_WAIT_BITSET_PRIVATE, 0, deadline, NULL,
                         FUTEX_BITSET_MATCH_ANY);
        if (r != 0 && errno == ETIMEDOUT)
            result = PARK_TIMED_OUT;
        guard->end(guard->arg);
    }
    return result;
}

enum run_park_result run_park_wait(struct run_park *p, const void *addr, uint32_t width_bytes,
                                   uint64_t expected, int64_t timeout_ns,
                                   const struct run_park_guard *guard)
{
    struct run_park_bucket *b = bucket_of(p, addr);
    struct run_park_waiter w = {.addr = addr};
    struct timespec deadline = {0};
    if (timeout_ns >= 0)
        deadline = deadline_after(timeout_ns);
    pthread_mutex_lock(&b->lock);
    uint64_t now = width_bytes == 8 ? __atomic_load_n((const uint64_t *)addr, __ATOMIC_SEQ_CST)
                                    : __atomic_load_n((const uint32_t *)addr, __ATOMIC_SEQ_CST);
    if (now == expected) {
        *b->tail = &w;
        b->tail = &w.next;
    }
    pthread_mutex_unlock(&b->lock);
    if (now != expected)
        return PARK_NOT_EQUAL;
    enum run_park_result result = waiter_sleep(&w, timeout_ns >= 0 ? &deadline : NULL, guard);
    /* A wake that was counted is the result, whatever ended the sleep. */
    if (result != PARK_WOKEN && !waiter_withdraw(b, &w))
        result = PARK_WOKEN;
    /* The waker stores the word under the lock: it has let go of the waiter once the lock was free. */
    if (result == PARK_WOKEN) {
        pthread_mutex_lock(&b->lock);
        pthread_mutex_unlock(&b->lock);
    }
    return result;
}

uint32_t run_park_notify(struct run_park *p, const void *addr, uint32_t count)
{
    struct run_park_bucket *b = bucket_of(p, addr);
    uint32_t woken = 0;
    pthread_mutex_lock(&b->lock);
    struct run_park_waiter **at = &b->head;
    while (*at && woken < count) {
        struct run_park_waiter *w = *at;
        if (w->addr != addr) {
            at = &w->next;
            continue;
        }
        bucket_remove(b, at);
        atomic_store_explicit(&w->woken, 1, memory_order_release);
        syscall(SYS_futex, &w->woken, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        woken++;
    }
    pthread_mutex_unlock(&b->lock);
    return woken;
}
