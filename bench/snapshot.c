/* Snapshots of a running cell: snapshot DIRTIED.cell precopy MIB PAGES_PER_SECOND
 *                             snapshot DIRTIED.cell incremental MIB DIRTY_PAGES FOLDER
 *                             snapshot TOUCHED.cell handover MIB ROUNDS FILE prepared|new
 * precopy: the cell is sent to a child process through a socket while it runs; prints "pause_ns N" (from the request to
 * stop until the child goes on with it), "rounds N", "bytes N", and "plain_pause_ns N" of the same cell sent without
 * rounds. incremental: prints "full_ns N", "full_bytes N", "increment_ns N", "increment_bytes N" of files in FOLDER.
 * handover: the cell goes through FILE, which is created and removed, to a process that is up and has an instance ready;
 * prepared: its memory was made present, to the size of the cell's, before the cell is stopped.
 * Prints per round "pause_ns N" (from the request to stop until the guest's first host call there) and its parts
 * "stop_ns N", "write_ns N", "read_ns N", "call_ns N"; "file_bytes N"; and "memcpy_ns N" of as many bytes into memory
 * that was not touched before. A round before the first is not printed: it makes the file's pages. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell/snapshot/precopy.h"
#include "cell/wasi/wasi.h"
#include "embed.h"
#include "sys/files.h"

enum { TEXT_MAX = 32, NAP_US = 300000, SHORT_NAP_US = 20000, ROUNDS_MAX = 1000 };

/* A cell on its own thread, with pipes for its input and output. */
struct guest {
    struct program *prog;
    struct wasi *wasi;
    struct cell *cell;
    struct instance *inst;
    int in[2], out[2];
    union cell_value io[1];
    pthread_t thread;
    status_t st;
    bool resumes;
};

static bool put(void *arg, const void *data, size_t len)
{
    return file_write_all(*(const int *)arg, data, len) == 0;
}

static bool get(void *arg, void *data, size_t len)
{
    return file_read_all(*(const int *)arg, data, len) == 0;
}

/* Of a file that is whole, or is to be written. */
static int range(void *arg, size_t len, uint64_t *ret_off)
{
    int fd = *(int *)arg;
    off_t end = lseek(fd, (off_t)len, SEEK_CUR);
    *ret_off = (uint64_t)end - len;
    return end < 0 ? -1 : fd;
}

static void need(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void guest_make(struct guest *g, struct runtime *rt, const char *image, const char *mib,
                       const char *rate)
{
    const char *const args[] = {"dirtied", mib, rate};
    struct error err = {0};
    uint32_t hosts;
    need(pipe2(g->in, O_CLOEXEC) == 0 && pipe2(g->out, O_CLOEXEC) == 0, "pipe");
    const struct wasi_config config = {
        .args = args, .arg_count = rate ? 3 : 2, .stdio = {g->in[0], g->out[1], 2}};
    embed_check(program_open(rt, image, &g->prog, &err), image, &err);
    embed_check(wasi_new(&config, &g->wasi, &err), "wasi", &err);
    const struct host_module *host = wasi_host_modules(g->wasi, &hosts);
    embed_check(cell_new(rt, NULL, &g->cell, &err), "cell", &err);
    embed_check(cell_instantiate(g->cell, g->prog, host, hosts, NULL, &g->inst, &err),
                "instantiate", &err);
}

static void *guest_run(void *arg)
{
    struct guest *g = arg;
    struct error err = {0};
    g->st = g->resumes ? cell_resume(g->cell, g->io, &err)
                       : cell_call(g->cell, embed_func(g->inst, "_start"), g->io, &err);
    return NULL;
}

static void guest_go(struct guest *g, bool resumes)
{
    g->resumes = resumes;
    need(pthread_create(&g->thread, NULL, guest_run, g) == 0, "thread");
}

/* Stop it where it is. */
static void guest_capture(struct guest *g)
{
    cell_stop(g->cell, STOP_CAPTURE);
    pthread_join(g->thread, NULL);
    need(g->st == ST_CAPTURED, "the cell was not captured");
}

/* Read a line of the guest's. */
static void guest_says(struct guest *g, const char *line)
{
    char text[TEXT_MAX] = {0};
    need(file_read_all(g->out[0], text, strlen(line)) == 0 && strcmp(text, line) == 0, line);
}

static void guest_done(struct guest *g)
{
    cell_free(g->cell);
    wasi_free(g->wasi);
    program_unref(g->prog);
    for (int i = 0; i < 2; i++) {
        close(g->in[i]);
        close(g->out[i]);
    }
}

/* ---- precopy ---- */

/* The child: takes the cell, and answers with the time when it is about to go on. */
static int receive(const char *image, int fd)
{
    struct runtime *rt;
    struct guest g = {0};
    struct error err = {0};
    struct snapshot_reader *r;
    struct snapshot_sizes sizes;
    struct wasi *restored;
    size_t len;
    uint32_t hosts;
    const struct snapshot_source source = {.read = get, .arg = &fd};
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    guest_make(&g, rt, image, "1", NULL);
    embed_check(snapshot_open(&source, &r, &err), "open", &err);
    if (snapshot_reader_is_live(r)) {
        embed_check(snapshot_receive(r, g.cell, NULL, NULL, &err), "receive", &err);
    }
    const struct wasi_config config = {.stdio = {g.in[0], g.out[1], 2}};
    const void *state = snapshot_host_state(r, &len);
    embed_check(wasi_restore(&config, state, len, false, &restored, &err), "wasi", &err);
    const struct host_module *host = wasi_host_modules(restored, &hosts);
    embed_check(cell_rebind(g.cell, host, hosts, &err), "rebind", &err);
    embed_check(snapshot_read(r, g.cell, &sizes, &err), "read", &err);
    uint64_t now = now_ns();
    need(put(&fd, &now, sizeof now), "answer");
    snapshot_close(r);
    guest_go(&g, true);
    usleep(NAP_US / 10);
    guest_capture(&g); /* it did go on: a cell that is not running is not captured */
    guest_done(&g);
    wasi_free(restored);
    runtime_free(rt);
    return 0;
}

struct sent {
    uint64_t pause_ns, rounds, bytes;
};

static bool count_rounds(void *arg, const struct precopy_progress *p)
{
    *(uint64_t *)arg = p->round;
    return true;
}

static struct sent send_cell(struct guest *g, const char *image, bool rounds)
{
    struct sent sent = {0};
    struct error err = {0};
    struct precopy *p;
    struct snapshot_info info = {.program = "dirtied"};
    struct snapshot_sizes sizes;
    struct buf state = {0};
    int both[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0, "socketpair");
    fflush(stdout);
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        close(both[0]);
        char fd[TEXT_MAX];
        snprintf(fd, sizeof fd, "%d", both[1]);
        fcntl(both[1], F_SETFD, 0);
        execl("/proc/self/exe", "snapshot", image, "receive", fd, (char *)NULL);
        _exit(127);
    }
    close(both[1]);
    const struct snapshot_sink sink = {.write = put, .arg = &both[0]};
    const struct precopy_options options = {
        .stop_bytes = rounds ? 0 : UINT64_MAX, .progress = count_rounds, .arg = &sent.rounds};
    embed_check(precopy_start(g->cell, &info, &options, &sink, &p, &err), "start", &err);
    embed_check(precopy_rounds(p, &err), "rounds", &err);
    uint64_t asked = now_ns(), went_on;
    guest_capture(g);
    embed_check(wasi_save(g->wasi, &state, &err), "wasi", &err);
    embed_check(precopy_finish(p, state.data, state.len, &sizes, &err), "finish", &err);
    need(get(&both[0], &went_on, sizeof went_on), "the other side");
    int status;
    need(waitpid(child, &status, 0) == child && status == 0, "the other side failed");
    precopy_free(p);
    close(both[0]);
    buf_done(&state);
    sent.pause_ns = went_on - asked;
    sent.bytes = sizes.total_bytes;
    return sent;
}

static int precopy(const char *image, const char *mib, const char *rate)
{
    struct runtime *rt;
    struct guest g = {0};
    struct error err = {0};
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    guest_make(&g, rt, image, mib, rate);
    guest_go(&g, false);
    guest_says(&g, "touched\n");
    usleep(NAP_US);
    struct sent moved = send_cell(&g, image, true);
    guest_go(&g, true);
    usleep(NAP_US);
    struct sent plain = send_cell(&g, image, false);
    printf("pause_ns %llu\nrounds %llu\nbytes %llu\nplain_pause_ns %llu\n",
           (unsigned long long)moved.pause_ns, (unsigned long long)moved.rounds,
           (unsigned long long)moved.bytes, (unsigned long long)plain.pause_ns);
    guest_done(&g);
    runtime_free(rt);
    return 0;
}

/* ---- incremental ---- */

struct written {
    uint64_t ns, bytes;
    struct snapshot_info info;
};

/* The cell is stopped; what is written is on its way to the disk as far as the folder has one. */
static struct written write_file(struct guest *g, struct track *t, const char *folder,
                                 const char *name, const struct snapshot_info *base)
{
    struct written w = {.info = {.program = "dirtied"}};
    struct error err = {0};
    struct page_set pages = {.count = 0};
    struct snapshot_sizes sizes;
    struct buf state = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    uint64_t start = now_ns();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(fd >= 0, path);
    const struct snapshot_sink sink = {.write = put, .arg = &fd};
    const struct snapshot_options options = {.base_id = base ? base->id : NULL, .pages = &pages};
    embed_check(track_harvest(t, &pages, &err), "harvest", &err);
    embed_check(wasi_save(g->wasi, &state, &err), "wasi", &err);
    embed_check(
        snapshot_write_with(g->cell, &w.info, &options, state.data, state.len, &sink, &sizes, &err),
        path, &err);
    need(fsync(fd) == 0 && close(fd) == 0, path);
    w.ns = now_ns() - start;
    w.bytes = sizes.total_bytes;
    page_set_done(&pages);
    buf_done(&state);
    need(unlink(path) == 0, path);
    return w;
}

static int incremental(const char *image, const char *mib, const char *dirty, const char *folder)
{
    struct runtime *rt;
    struct guest g = {0};
    struct error err = {0};
    struct track *t;
    char line[TEXT_MAX];
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    guest_make(&g, rt, image, mib, NULL);
    guest_go(&g, false);
    guest_says(&g, "touched\n");
    guest_capture(&g);
    embed_check(track_start(g.cell, &t, &err), "track", &err);
    struct written full = write_file(&g, t, folder, "full", NULL);
    guest_go(&g, true);
    int len = snprintf(line, sizeof line, "%s\n", dirty);
    need(file_write_all(g.in[1], line, (size_t)len) == 0, "the guest's input");
    guest_says(&g, "done\n");
    guest_capture(&g);
    struct written increment = write_file(&g, t, folder, "increment", &full.info);
    printf("full_ns %llu\nfull_bytes %llu\nincrement_ns %llu\nincrement_bytes %llu\n",
           (unsigned long long)full.ns, (unsigned long long)full.bytes,
           (unsigned long long)increment.ns, (unsigned long long)increment.bytes);
    track_stop(t);
    guest_done(&g);
    runtime_free(rt);
    return 0;
}

/* ---- handover ---- */

/* When the guest first asked for the time, since this was 0; what the call is passed on to. */
static atomic_ullong first_call_ns;
static uint32_t (*clock_time_get)(void *ctx, void *env, uint32_t id, uint64_t precision,
                                  uint32_t at);

static uint32_t timed_clock(void *ctx, void *env, uint32_t id, uint64_t precision, uint32_t at)
{
    if (atomic_load_explicit(&first_call_ns, memory_order_relaxed) == 0) {
        atomic_store(&first_call_ns, now_ns());
    }
    return clock_time_get(ctx, env, id, precision, at);
}

enum { HOST_FUNCS_MAX = 128, HOST_MODULES_MAX = 4 };

/* The modules of WASI with timed_clock for its clock. */
struct timed_host {
    struct host_module modules[HOST_MODULES_MAX];
    struct host_func funcs[HOST_MODULES_MAX][HOST_FUNCS_MAX];
};

static void timed_host_make(struct timed_host *t, const struct host_module *host, uint32_t count)
{
    need(count <= HOST_MODULES_MAX, "WASI has too many modules");
    for (uint32_t m = 0; m < count; m++) {
        t->modules[m] = host[m];
        t->modules[m].funcs = t->funcs[m];
        for (uint32_t i = 0; host[m].funcs[i].name != NULL; i++) {
            need(i + 1 < HOST_FUNCS_MAX, "WASI has too many functions");
            t->funcs[m][i] = host[m].funcs[i];
            if (strcmp(host[m].funcs[i].name, "clock_time_get") == 0) {
                memcpy(&clock_time_get, &host[m].funcs[i].fn, sizeof clock_time_get);
                uint32_t (*mine)(void *, void *, uint32_t, uint64_t, uint32_t) = timed_clock;
                memcpy(&t->funcs[m][i].fn, &mine, sizeof mine);
            }
        }
    }
}

struct taken {
    uint64_t read_ns, first_call_ns;
};

/* One cell out of the file, once the other side says that it is there. */
static struct taken take_cell(struct guest *g, int file, int fd)
{
    char ready = 1;
    struct error err = {0};
    struct snapshot_reader *r;
    struct snapshot_sizes sizes;
    struct wasi *restored;
    struct timed_host timed = {0};
    struct taken taken = {0};
    size_t len;
    uint32_t hosts;
    need(put(&fd, &ready, 1) && get(&fd, &ready, 1), "the other side");
    need(lseek(file, 0, SEEK_SET) == 0, "seek");
    const struct snapshot_source source = {.read = get, .arg = &file, .range = range};
    embed_check(snapshot_open(&source, &r, &err), "open", &err);
    const struct wasi_config config = {.stdio = {g->in[0], g->out[1], 2}};
    const void *state = snapshot_host_state(r, &len);
    embed_check(wasi_restore(&config, state, len, false, &restored, &err), "wasi", &err);
    const struct host_module *host = wasi_host_modules(restored, &hosts);
    timed_host_make(&timed, host, hosts);
    embed_check(cell_rebind(g->cell, timed.modules, hosts, &err), "rebind", &err);
    embed_check(snapshot_read(r, g->cell, &sizes, &err), "read", &err);
    taken.read_ns = now_ns();
    atomic_store(&first_call_ns, 0);
    guest_go(g, true);
    while ((taken.first_call_ns = atomic_load(&first_call_ns)) == 0) {
        usleep(100);
    }
    guest_capture(g);
    snapshot_close(r);
    guest_done(g);
    wasi_free(restored);
    return taken;
}

/* The child: has an instance ready before each round. */
static int take_cells(const char *image, const char *path, int fd, uint64_t rounds)
{
    uint64_t prepared; /* bytes; 0: nothing */
    struct runtime *rt;
    struct error err = {0};
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    need(file >= 0, path);
    need(get(&fd, &prepared, sizeof prepared), "the other side");
    for (uint64_t i = 0; i <= rounds; i++) {
        struct guest g = {0};
        guest_make(&g, rt, image, "1", NULL);
        need(prepared == 0 || cell_memory_prepare(g.cell, 0, prepared) == ST_OK, "prepare");
        struct taken taken = take_cell(&g, file, fd);
        need(put(&fd, &taken, sizeof taken), "answer");
    }
    close(file);
    runtime_free(rt);
    return 0;
}

static pid_t start_taker(const char *image, const char *path, const char *rounds, int *ret_fd)
{
    int both[2];
    char fd[TEXT_MAX];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0, "socketpair");
    snprintf(fd, sizeof fd, "%d", both[1]);
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        fcntl(both[1], F_SETFD, 0);
        execl("/proc/self/exe", "snapshot", image, "take", path, fd, rounds, (char *)NULL);
        _exit(127);
    }
    close(both[1]);
    *ret_fd = both[0];
    return child;
}

/* Memory with pages as those that a cell has at that size; bytes is a multiple of huge pages above huge_from. */
static uint8_t *like_cell_memory(size_t bytes)
{
    static const size_t huge_from = (size_t)16 << 20, huge = (size_t)2 << 20;
    uint8_t *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(p != MAP_FAILED, "mmap");
    uint8_t *at = (uint8_t *)(((uintptr_t)p + huge - 1) / huge * huge);
    need(at == p || munmap(p, (size_t)(at - p)) == 0, "munmap");
    need(munmap(at + bytes, huge - (size_t)(at - p)) == 0, "munmap");
    (void)!madvise(at, bytes, bytes >= huge_from ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return at;
}

static uint64_t memcpy_ns(const uint8_t *from, size_t bytes)
{
    uint8_t *to = like_cell_memory(bytes);
    uint64_t start = now_ns();
    memcpy(to, from, bytes);
    uint64_t end = now_ns();
    need(memcmp(to + bytes - TEXT_MAX, from + bytes - TEXT_MAX, TEXT_MAX) == 0, "memcpy");
    need(munmap(to, bytes) == 0, "munmap");
    return end - start;
}

/* What the guest wrote so far, so that it does not wait for a reader. */
static void drain(struct guest *g)
{
    char text[4096];
    while (read(g->out[0], text, sizeof text) > 0) {
    }
}

/* Stop the cell, and let the other side go on with it; here it goes on afterwards, too. */
static void hand_over(struct guest *g, int file, int fd, const uint8_t *copied, size_t bytes,
                      bool prints)
{
    char ready;
    struct error err = {0};
    struct snapshot_info info = {.program = "touched"};
    struct snapshot_sizes sizes;
    struct buf state = {0};
    struct taken taken;
    const struct snapshot_sink sink = {.write = put, .arg = &file, .range = range};
    uint64_t copy_ns = memcpy_ns(copied, bytes);
    need(get(&fd, &ready, 1), "the other side");
    need(lseek(file, 0, SEEK_SET) == 0, "seek");
    usleep(SHORT_NAP_US);
    uint64_t asked = now_ns();
    guest_capture(g);
    uint64_t stopped = now_ns();
    embed_check(wasi_save(g->wasi, &state, &err), "wasi", &err);
    embed_check(snapshot_write(g->cell, &info, state.data, state.len, &sink, &sizes, &err), "write",
                &err);
    uint64_t written = now_ns();
    need(put(&fd, &ready, 1) && get(&fd, &taken, sizeof taken), "the other side");
    buf_done(&state);
    drain(g);
    guest_go(g, true);
    if (prints) {
        printf("pause_ns %llu\nstop_ns %llu\nwrite_ns %llu\nread_ns %llu\ncall_ns %llu\n"
               "file_bytes %llu\nmemcpy_ns %llu\n",
               (unsigned long long)(taken.first_call_ns - asked),
               (unsigned long long)(stopped - asked), (unsigned long long)(written - stopped),
               (unsigned long long)(taken.read_ns - written),
               (unsigned long long)(taken.first_call_ns - taken.read_ns),
               (unsigned long long)sizes.total_bytes, (unsigned long long)copy_ns);
    }
}

/* The size of the cell's memory, which it has from its first line on. */
static uint64_t memory_bytes(struct guest *g)
{
    struct cell_memory m;
    guest_capture(g);
    need(cell_memory(g->cell, 0, &m) == ST_OK, "the cell has no memory");
    guest_go(g, true);
    return m.bytes;
}

static int handover(const char *image, const char *mib, const char *count, const char *path,
                    bool prepared)
{
    struct runtime *rt;
    struct guest g = {0};
    struct error err = {0};
    uint64_t rounds, size;
    int fd, status;
    embed_check(parse_u64(count, ROUNDS_MAX, &rounds), count, &err);
    embed_check(parse_u64(mib, 2048, &size), mib, &err);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    need(file >= 0, path);
    pid_t child = start_taker(image, path, count, &fd);
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    size_t bytes = (size_t)size << 20;
    uint8_t *copied = like_cell_memory(bytes);
    memset(copied, 0x5a, bytes);
    guest_make(&g, rt, image, mib, NULL);
    guest_go(&g, false);
    guest_says(&g, "touched\n");
    need(fcntl(g.out[0], F_SETFL, O_NONBLOCK) == 0, "fcntl");
    uint64_t there = prepared ? memory_bytes(&g) : 0;
    need(put(&fd, &there, sizeof there), "the other side");
    for (uint64_t i = 0; i <= rounds; i++) {
        hand_over(&g, file, fd, copied, bytes, i > 0);
    }
    need(waitpid(child, &status, 0) == child && status == 0, "the other side failed");
    guest_capture(&g);
    guest_done(&g);
    munmap(copied, bytes);
    close(file);
    close(fd);
    need(unlink(path) == 0, path);
    runtime_free(rt);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t fd;
    if (argc == 5 && strcmp(argv[2], "precopy") == 0) {
        return precopy(argv[1], argv[3], argv[4]);
    }
    if (argc == 6 && strcmp(argv[2], "incremental") == 0) {
        return incremental(argv[1], argv[3], argv[4], argv[5]);
    }
    if (argc == 4 && strcmp(argv[2], "receive") == 0 && parse_u64(argv[3], 1024, &fd) == ST_OK) {
        return receive(argv[1], (int)fd);
    }
    if (argc == 7 && strcmp(argv[2], "handover") == 0) {
        return handover(argv[1], argv[3], argv[4], argv[5], strcmp(argv[6], "prepared") == 0);
    }
    uint64_t rounds;
    if (argc == 6 && strcmp(argv[2], "take") == 0 && parse_u64(argv[4], 1024, &fd) == ST_OK &&
        parse_u64(argv[5], ROUNDS_MAX, &rounds) == ST_OK) {
        return take_cells(argv[1], argv[3], (int)fd, rounds);
    }
    fprintf(stderr, "usage: snapshot DIRTIED.cell precopy MIB PAGES_PER_SECOND\n"
                    "       snapshot DIRTIED.cell incremental MIB DIRTY_PAGES FOLDER\n"
                    "       snapshot TOUCHED.cell handover MIB ROUNDS FILE prepared|new\n");
    return 64;
}
