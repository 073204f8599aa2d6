/* From the request to stop a running cell until it has stopped: stop MOVABLE.cell COUNT SEED
 * The program is asked to stop at COUNT random moments, and goes on each time from where it was; when it ends before, it
 * is started again. Prints "seed S", "stop_ns N" per stop, and "starts N". */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "cell/wasi/wasi.h"
#include "embed.h"

enum { COUNT_MAX = 1000 * 1000, STARTS_MAX = 1000 * 1000, NS_PER_US = 1000 };
/* The program runs for a random time up to this before it is asked. */
static const uint64_t run_ns_max = 4u * 1000 * 1000;

/* The cell, which the runner thread uses between go and left. */
struct stop_bench {
    struct runtime *rt;
    struct program *prog;
    struct wasi *wasi;
    struct cell *cell;
    struct instance *inst;
    const char *name;
    int null_fd;
    sem_t go, left;
    atomic_bool entered; /* since the last go */
    bool ends, resumes;
    status_t st;
    uint64_t left_ns;
};

static void need(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void wait_for(sem_t *s)
{
    while (sem_wait(s) != 0)
        need(errno == EINTR, "sem_wait");
}

static void *run(void *arg)
{
    struct stop_bench *b = arg;
    for (wait_for(&b->go); !b->ends; wait_for(&b->go)) {
        struct error err = {0};
        union cell_value io[1];
        const struct abi_func *f = embed_func(b->inst, "_start");
        atomic_store(&b->entered, true);
        b->st = b->resumes ? cell_resume(b->cell, io, &err) : cell_call(b->cell, f, io, &err);
        b->left_ns = clock_monotonic_ns();
        if (b->st != ST_OK && b->st != ST_EXIT && b->st != ST_CAPTURED)
            embed_check(b->st, "run", &err);
        sem_post(&b->left);
    }
    return NULL;
}

static void start_program(struct stop_bench *b)
{
    struct error err = {0};
    uint32_t hosts;
    const struct wasi_config config = {
        .args = &b->name, .arg_count = 1, .stdio = {b->null_fd, b->null_fd, b->null_fd}};
    embed_check(wasi_new(&config, &b->wasi, &err), "wasi", &err);
    const struct host_module *host = wasi_host_modules(b->wasi, &hosts);
    embed_check(cell_new(b->rt, NULL, &b->cell, &err), "cell", &err);
    embed_check(cell_instantiate(b->cell, b->prog, host, hosts, NULL, &b->inst, &err),
                "instantiate", &err);
    b->resumes = false;
}

static void drop_program(struct stop_bench *b)
{
    cell_free(b->cell);
    wasi_free(b->wasi);
}

/* xorshift64*; state is not 0. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Let it run for a random time, then stop it. False: it ended before it was asked. */
static bool stop_once(struct stop_bench *b, uint64_t *random, uint64_t *ret_ns)
{
    struct timespec nap = {.tv_nsec = (long)(next_random(random) % run_ns_max)};
    atomic_store(&b->entered, false);
    sem_post(&b->go);
    while (!atomic_load(&b->entered))
        usleep(NS_PER_US / 100);
    nanosleep(&nap, NULL);
    uint64_t asked_ns = clock_monotonic_ns();
    cell_stop(b->cell, STOP_CAPTURE);
    wait_for(&b->left);
    *ret_ns = b->left_ns > asked_ns ? b->left_ns - asked_ns : 0;
    b->resumes = b->st == ST_CAPTURED;
    return b->resumes;
}

static void measure(struct stop_bench *b, uint64_t count, uint64_t *random)
{
    uint64_t starts = 1, ns;
    start_program(b);
    for (uint64_t stops = 0; stops < count && starts < STARTS_MAX;) {
        if (stop_once(b, random, &ns)) {
            printf("stop_ns %llu\n", (unsigned long long)ns);
            stops++;
        } else {
            drop_program(b);
            start_program(b);
            starts++;
        }
    }
    drop_program(b);
    printf("starts %llu\n", (unsigned long long)starts);
}

int main(int argc, char **argv)
{
    uint64_t count, random;
    if (argc != 4 || parse_u64(argv[2], COUNT_MAX, &count) != ST_OK || count == 0 ||
        parse_u64(argv[3], UINT64_MAX, &random) != ST_OK || random == 0) {
        fprintf(stderr, "usage: stop MOVABLE.cell COUNT SEED\n");
        return 64;
    }
    struct stop_bench b = {.name = argv[1]};
    struct error err = {0};
    pthread_t thread;
    embed_check(runtime_new(NULL, &b.rt, &err), "runtime", &err);
    embed_check(program_open(b.rt, argv[1], &b.prog, &err), argv[1], &err);
    b.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    need(b.null_fd >= 0, "/dev/null");
    need(sem_init(&b.go, 0, 0) == 0 && sem_init(&b.left, 0, 0) == 0, "semaphores");
    need(pthread_create(&thread, NULL, run, &b) == 0, "thread");
    printf("seed %llu\n", (unsigned long long)random);
    measure(&b, count, &random);
    b.ends = true;
    sem_post(&b.go);
    pthread_join(thread, NULL);
    close(b.null_fd);
    program_unref(b.prog);
    runtime_free(b.rt);
    return 0;
}
