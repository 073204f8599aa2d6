#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

/* A send that takes no CPU time from who uses the store. Its bytes are read, compared and sent by a thread that gives
 * way to all others. Since that may stand still for long while all CPUs are busy, it holds no lock that anybody else
 * wants: what changes the store is done by the thread that waits for it. And when space becomes scarce meanwhile,
 * that one sends itself. */

enum { PRESSED_PARTS = 10, LOOK_PAUSE = 20 };
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* Both threads', by the lock, but what is atomic and what does not change. */
struct errand {
    struct tier *t;
    const char *name;
    const struct tier_source *source;
    const char *upload;
    const struct tier_begun *begun;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool gave_up; /* space became scarce */
    const char *asked;    /* the id of an upload that was begun; NULL: none is to be noted */
    bool done;
    status_t answer;
    struct error err;
    struct error answer_err;
};

static status_t read_unless_pressed(void *arg, uint64_t off, void *data, size_t len,
                                    struct error *err)
{
    struct errand *e = arg;
    if (atomic_load(&e->t->pressed)) {
        atomic_store(&e->gave_up, true);
        return error_set(err, ST_STOPPED, off, "it is sent without giving way");
    }
    return e->source->read(e->source->arg, off, data, len, err);
}

/* An upload was begun: the other thread notes it. */
static status_t ask(void *arg, const char *upload, struct error *err)
{
    struct errand *e = arg;
    pthread_mutex_lock(&e->lock);
    e->asked = upload;
    pthread_cond_broadcast(&e->changed);
    while (e->asked != NULL) {
        pthread_cond_wait(&e->changed, &e->lock);
    }
    status_t st = e->answer;
    if (st != ST_OK && err != NULL) {
        *err = e->answer_err;
    }
    pthread_mutex_unlock(&e->lock);
    return st;
}

static void *run(void *arg)
{
    struct errand *e = arg;
    const struct tier_source source = {
        .size = e->source->size, .read = read_unless_pressed, .arg = e};
    struct error err = {.offset = ERROR_NO_OFFSET};
    thread_give_way();
    status_t st = e->t->remote.send(e->t->remote.arg, e->name, &source, e->upload, ask, e, &err);
    pthread_mutex_lock(&e->lock);
    e->answer = st;
    e->err = err;
    e->done = true;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

bool tier_is_pressed(struct tier *t)
{
    struct store_places p;
    struct statvfs fs;
    struct error err;
    if (clock_monotonic_ns() < atomic_load(&t->pressed_until)) {
        return atomic_load(&t->pressed);
    }
    uint64_t began = clock_thread_cpu_ns(), high = t->o.high_bytes;
    bool is = store_places(t->o.store, &p, &err) == ST_OK &&
              p.local_bytes > high + high / PRESSED_PARTS;
    is |= t->o.free_bytes != 0 && statvfs(t->o.path, &fs) == 0 &&
          (uint64_t)fs.f_bavail * fs.f_frsize < t->o.free_bytes;
    uint64_t pause = LOOK_PAUSE * (clock_thread_cpu_ns() - began);
    uint64_t idle = t->o.idle_ms * NS_PER_MS;
    atomic_store(&t->pressed, is);
    atomic_store(&t->pressed_until, clock_monotonic_ns() + (pause > idle ? pause : idle));
    return is;
}

/* The end of the errand; what it asks for meanwhile is done. */
static void wait_for(struct errand *e)
{
    pthread_mutex_lock(&e->lock);
    while (!e->done) {
        uint64_t until = clock_monotonic_ns() + e->t->o.idle_ms * NS_PER_MS;
        const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S),
                                    .tv_nsec = (long)(until % NS_PER_S)};
        if (e->asked != NULL) {
            pthread_mutex_unlock(&e->lock);
            status_t st = e->begun->note(e->begun->arg, e->asked, &e->answer_err);
            pthread_mutex_lock(&e->lock);
            e->answer = st;
            e->asked = NULL;
            pthread_cond_broadcast(&e->changed);
        } else if (pthread_cond_timedwait(&e->changed, &e->lock, &at) == ETIMEDOUT) {
            pthread_mutex_unlock(&e->lock);
            bool noted = tier_is_pressed(e->t); /* where the reads see it */
            (void)noted;
            pthread_mutex_lock(&e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
}

static bool init_errand(struct errand *e)
{
    if (pthread_mutex_init(&e->lock, NULL) != 0) {
        return false;
    }
    int code = thread_cond_init(&e->changed);
    if (code != 0) {
        pthread_mutex_destroy(&e->lock);
    }
    return code == 0;
}

bool tier_send_gently(struct tier *t, const char *name, const struct tier_source *source,
                      const char *upload, const struct tier_begun *begun, status_t *ret_status,
                      struct error *err)
{
    struct errand e = {
        .t = t, .name = name, .source = source, .upload = upload, .begun = begun, .answer = ST_OK};
    pthread_t thread;
    if (!init_errand(&e)) {
        return false;
    }
    bool runs = thread_start(&thread, run, &e) == 0;
    if (runs) {
        wait_for(&e);
        pthread_join(thread, NULL);
    }
    pthread_cond_destroy(&e.changed);
    pthread_mutex_destroy(&e.lock);
    if (!runs || (e.answer != ST_OK && atomic_load(&e.gave_up))) {
        return false;
    }
    *ret_status = e.answer;
    if (e.answer != ST_OK && err != NULL) {
        *err = e.err;
    }
    return true;
}
