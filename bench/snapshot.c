/* Snapshots of a running cell: snapshot DIRTIED.cell precopy MIB PAGES_PER_SECOND
 *                             snapshot DIRTIED.cell incremental MIB DIRTY_PAGES FOLDER
 * precopy: the cell is sent to a child process through a socket while it runs; prints "pause_ns N" (from the request to
 * stop until the child goes on with it), "rounds N", "bytes N", and "plain_pause_ns N" of the same cell sent without
 * rounds. incremental: prints "full_ns N", "full_bytes N", "increment_ns N", "increment_bytes N" of files in FOLDER. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell/snapshot/precopy.h"
#include "cell/wasi/wasi.h"
#include "embed.h"
#include "sys/files.h"

enum { TEXT_MAX = 32, NAP_US = 300000 };

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
    const struct snapshot_source source = {get, &fd};
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
    const struct snapshot_sink sink = {put, &both[0]};
    const struct precopy_options options = {.stop_bytes = rounds ? 0 : UINT64_MAX,
                                            .progress = count_rounds,
                                            .arg = &sent.rounds};
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
    const struct snapshot_sink sink = {put, &fd};
    const struct snapshot_options options = {.base_id = base ? base->id : NULL, .pages = &pages};
    embed_check(track_harvest(t, &pages, &err), "harvest", &err);
    embed_check(wasi_save(g->wasi, &state, &err), "wasi", &err);
    embed_check(snapshot_write_with(g->cell, &w.info, &options, state.data, state.len, &sink,
                                    &sizes, &err),
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
    fprintf(stderr, "usage: snapshot DIRTIED.cell precopy MIB PAGES_PER_SECOND\n"
                    "       snapshot DIRTIED.cell incremental MIB DIRTY_PAGES FOLDER\n");
    return 64;
}
