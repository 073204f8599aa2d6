#include "progress.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcode/exit_code.h"
#include "sys/clock.h"

#define QUIET_NS 1000000000ull   /* shorter compiles say nothing */
#define TERMINAL_NS 100000000ull /* between two updates of the line */
#define LINE_NS 2000000000ull    /* between two lines in a log */
#define NS_PER_S 1e9

void progress_init(struct progress *p, const struct options *o)
{
    *p = (struct progress){
        .options = o, .start_ns = clock_monotonic_ns(), .terminal = isatty(STDERR_FILENO) == 1};
    pthread_mutex_init(&p->lock, NULL);
}

static void show(struct progress *p, uint32_t done, uint32_t total)
{
    uint64_t now = clock_monotonic_ns();
    if (p->options->progress_fd >= 0 || (!p->terminal && p->options->progress != PROGRESS_ALWAYS))
        return;
    if (now - p->start_ns < QUIET_NS ||
        (p->shown_ns != 0 && now - p->shown_ns < (p->terminal ? TERMINAL_NS : LINE_NS)))
        return;
    p->shown_ns = now;
    fprintf(stderr, "%s%s: compiling, %u of %u parts, %.0f s%s", p->terminal ? "\r" : "",
            p->options->input, done, total, (double)(now - p->start_ns) / NS_PER_S,
            p->terminal ? "" : "\n");
    fflush(stderr);
}

static void tell(const struct progress *p, uint32_t done, uint32_t total)
{
    if (p->options->progress_fd < 0)
        return;
    char line[32];
    int len = snprintf(line, sizeof line, "%u %u\n", done, total);
    ssize_t ignored = write(p->options->progress_fd, line, (size_t)len);
    (void)ignored;
}

void progress_report(void *arg, uint32_t done, uint32_t total)
{
    struct progress *p = arg;
    pthread_mutex_lock(&p->lock);
    if (done >= p->done) { /* threads may overtake each other on their way here */
        p->done = done;
        show(p, done, total);
        tell(p, done, total);
    }
    pthread_mutex_unlock(&p->lock);
}

/* Whoever waited for the image by reading its progress has gone or was killed: nobody will take it. */
static void *watch_reader(void *arg)
{
    struct pollfd reader = {.fd = *(const int *)arg};
    while (poll(&reader, 1, -1) < 0 && errno == EINTR) {
    }
    if (reader.revents & POLLERR)
        _exit(EXIT_SYSTEM);
    return NULL;
}

void progress_watch(const struct options *o)
{
    struct stat st;
    pthread_t thread;
    if (o->progress_fd < 0 || fstat(o->progress_fd, &st) != 0 ||
        !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        return;
    if (pthread_create(&thread, NULL, watch_reader, (void *)(uintptr_t)&o->progress_fd) == 0)
        pthread_detach(thread);
}

double progress_done(struct progress *p)
{
    if (p->shown_ns != 0 && p->terminal)
        fprintf(stderr, "\r\033[K");
    pthread_mutex_destroy(&p->lock);
    return (double)(clock_monotonic_ns() - p->start_ns) / NS_PER_S;
}
