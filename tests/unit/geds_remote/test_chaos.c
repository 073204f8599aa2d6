/* The client against our own server behind a line that breaks each connection somewhere: what it
 * says must be true. */
#include "badline.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { THREADS = 3, STEPS = 240, KEYS = 4, RACES = 24, PART = 16 << 10, VALUE_MAX = 4 * PART };

/* The work: each thread has keys of its own, and all race for some. */

struct worker {
    unsigned number;
    uint64_t random;
    unsigned away, wrong;
    struct {
        bool there;
        bool unknown; /* whether a change took place */
        uint32_t seed;
        size_t len;
    } model[KEYS];
    uint8_t value[VALUE_MAX], back[VALUE_MAX];
};
static struct remote *client;
static atomic_uint winners[RACES], maybes[RACES];

static void fill(uint8_t *to, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)mix(seed + i / 7);
}

static uint64_t draw(struct worker *w)
{
    return w->random = mix(w->random + 1);
}

static void wrong(struct worker *w, const char *what, status_t st, const struct error *err)
{
    w->wrong++;
    fprintf(stderr, "thread %u: %s: %s: %s\n", w->number, what, status_name(st), err->text);
}

static void put_key(struct worker *w, unsigned k, const char *key)
{
    uint32_t seed = (uint32_t)draw(w);
    size_t len = draw(w) % 3 == 0 ? draw(w) % VALUE_MAX : draw(w) % 3000;
    const struct remote_put_options o = {.if_none = draw(w) % 3 == 0};
    const struct remote_source source = remote_source_memory(w->value, len);
    struct error err = {0};
    fill(w->value, len, seed);
    status_t st = remote_put(client, key, &source, &o, NULL, NULL, &err);
    if (st == ST_AGAIN) {
        w->away++;
        w->model[k].unknown = true;
    } else if (o.if_none && st == ST_EXIST) {
        if (!w->model[k].there && !w->model[k].unknown)
            wrong(w, "it was not there", st, &err);
    } else if (st == ST_OK) {
        if (o.if_none && w->model[k].there && !w->model[k].unknown)
            wrong(w, "it was there", st, &err);
        w->model[k].there = true;
        w->model[k].unknown = false;
        w->model[k].seed = seed;
        w->model[k].len = len;
    } else {
        wrong(w, "put", st, &err);
    }
}

static void get_key(struct worker *w, unsigned k, const char *key)
{
    struct remote_buffer b = {w->back, VALUE_MAX, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    struct error err = {0};
    status_t st = remote_get(client, key, &sink, NULL, NULL, NULL, &err);
    if (st == ST_AGAIN) {
        w->away++;
    } else if (st != ST_OK && st != ST_NOTFOUND) {
        wrong(w, "get", st, &err);
    } else if (!w->model[k].unknown) {
        fill(w->value, w->model[k].len, w->model[k].seed);
        bool same = (st == ST_OK) == w->model[k].there &&
                    (st != ST_OK ||
                     (b.len == w->model[k].len && memcmp(w->back, w->value, b.len) == 0));
        if (!same)
            wrong(w, "it is another", st, &err);
    }
}

static void delete_key(struct worker *w, unsigned k, const char *key)
{
    struct error err = {0};
    status_t st = remote_delete(client, key, NULL, &err);
    if (st == ST_AGAIN) {
        w->away++;
        w->model[k].unknown = true;
    } else if (st == ST_OK) {
        w->model[k].there = w->model[k].unknown = false;
    } else {
        wrong(w, "delete", st, &err);
    }
}

static void race(struct worker *w, unsigned n)
{
    const struct remote_put_options o = {.if_none = true};
    const struct remote_source source = remote_source_memory("same", 4);
    struct error err = {0};
    char key[32];
    snprintf(key, sizeof key, "race/%u", n);
    status_t st = remote_put(client, key, &source, &o, NULL, NULL, &err);
    if (st == ST_OK)
        winners[n]++;
    else if (st == ST_AGAIN)
        maybes[n]++;
    else if (st != ST_EXIST)
        wrong(w, "race", st, &err);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned k = (unsigned)(draw(w) % KEYS), what = (unsigned)(draw(w) % 8);
        char key[32];
        snprintf(key, sizeof key, "%u/%u", w->number, k);
        if (what < 4)
            put_key(w, k, key);
        else if (what < 6)
            get_key(w, k, key);
        else
            delete_key(w, k, key);
        if (i % (STEPS / RACES) == 0)
            race(w, i / (STEPS / RACES));
    }
    return NULL;
}

static struct remote *open_client(void)
{
    struct remote_options o;
    struct remote_credentials c = {.access_key = "KEY", .secret = SECRET};
    struct remote *r = NULL;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.credentials = &c;
    o.part_bytes = PART;
    o.parallel = 3;
    o.tries_max = 12;
    o.backoff_ms = 1;
    o.backoff_max_ms = 4;
    MUST(remote_open(&o, &r, &err));
    return r;
}

static void what_is_said_over_a_bad_line_is_true(void)
{
    static struct worker workers[THREADS];
    pthread_t accepter, threads[THREADS];
    size_t lines = 0;
    uint64_t one = 1;
    unsigned away = 0;
    open_line();
    CHECK(pthread_create(&accepter, NULL, accept_lines, &lines) == 0);
    client = open_client();
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].random = i;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(workers[i].wrong, 0);
        away += workers[i].away;
    }
    remote_close(client);
    CHECK(write(stopping, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(accepter, NULL);
    for (size_t i = 0; i < lines; i++)
        pthread_join(line_threads[i], NULL);
    for (unsigned i = 0; i < RACES; i++)
        CHECK(winners[i] == 1 || (winners[i] == 0 && maybes[i] > 0));
    printf("     %zu connections, %u cut, %u refused; %u of %u calls gave up\n", lines, cut_count,
           refused_count, away, THREADS * STEPS);
    CHECK(cut_count > 50 && refused_count > 3 && away < THREADS * STEPS / 4);
    close(listener);
    close(stopping);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    ours_start();
    RUN(what_is_said_over_a_bad_line_is_true);
    ours_stop();
    return CHECK_DONE();
}
