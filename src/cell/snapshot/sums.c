#include "sums.h"

#include "base/hash.h"
#include "sys/thread.h"

/* Less does not pay for a thread. */
#define THREAD_FROM_BYTES ((uint64_t)8 << 20)

/* The oldest piece that has no sum yet; NULL. Called with the lock held. */
static struct sums_piece *next_piece(struct sums *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct sums_piece *p = &s->pieces[(s->first + i) % SUMS_DEPTH];
        if (!p->done)
            return p;
    }
    return NULL;
}

static void *work(void *arg)
{
    struct sums *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct sums_piece *p = next_piece(s);
        if (!p && s->ends)
            break;
        if (!p) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        uint64_t sum = hash_xxh3(p->data, p->len);
        pthread_mutex_lock(&s->lock);
        p->sum = sum;
        p->done = true;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Without a thread it goes on in this one. */
static void start_thread(struct sums *s)
{
    s->tried = true;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->threaded = thread_start(&s->thread, work, s) == 0;
}

void sums_put(struct sums *s, const void *data, size_t len)
{
    s->total_bytes += len;
    if (!s->tried && s->total_bytes > THREAD_FROM_BYTES)
        start_thread(s);
    struct sums_piece p = {.data = data, .len = len};
    if (s->threaded)
        pthread_mutex_lock(&s->lock);
    else
        p = (struct sums_piece){.sum = hash_xxh3(data, len), .done = true};
    s->pieces[(s->first + s->count++) % SUMS_DEPTH] = p;
    if (s->threaded) {
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
}

uint64_t sums_take(struct sums *s)
{
    struct sums_piece *p = &s->pieces[s->first];
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        while (!p->done)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    uint64_t sum = p->sum;
    s->first = (s->first + 1) % SUMS_DEPTH;
    s->count--;
    if (s->threaded)
        pthread_mutex_unlock(&s->lock);
    return sum;
}

void sums_done(struct sums *s)
{
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        s->ends = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->tried) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
    }
    *s = (struct sums){.count = 0};
}
