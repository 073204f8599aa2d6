#include "upgrade.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/thread.h"

enum { LOOK_EVERY_MS = 200, LOOKS_MAX = 5 * 3600 }; /* an hour */

struct upgrade {
    struct runtime *rt;
    struct cell *cell;
    char path[PATH_MAX];
    int wake[2]; /* closed at one end: the thread leaves */
    pthread_t thread;
    struct program *_Atomic ready;
};

/* It appears by a rename, whole. One that does not open is as good as none. */
static void *wait_for_image(void *arg)
{
    struct upgrade *u = arg;
    struct program *program = NULL;
    for (int i = 0; i < LOOKS_MAX && access(u->path, R_OK) != 0; i++) {
        struct pollfd woken = {.fd = u->wake[0], .events = POLLIN};
        if (poll(&woken, 1, LOOK_EVERY_MS) > 0) {
            return NULL;
        }
    }
    if (program_open(u->rt, u->path, &program, NULL) == ST_OK) {
        atomic_store(&u->ready, program);
        cell_stop(u->cell, STOP_CAPTURE);
    }
    return NULL;
}

struct upgrade *upgrade_start(struct runtime *rt, const char *path, struct cell *c)
{
    struct upgrade *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return NULL;
    }
    *u = (struct upgrade){.rt = rt, .cell = c};
    int len = snprintf(u->path, sizeof u->path, "%s", path);
    if (len < 0 || (size_t)len >= sizeof u->path || pipe2(u->wake, O_CLOEXEC) != 0) {
        free(u);
        return NULL;
    }
    if (thread_start(&u->thread, wait_for_image, u) != 0) {
        close(u->wake[0]);
        close(u->wake[1]);
        free(u);
        return NULL;
    }
    return u;
}

struct program *upgrade_take(struct upgrade *u)
{
    return u != NULL ? atomic_exchange(&u->ready, NULL) : NULL;
}

void upgrade_end(struct upgrade *u)
{
    if (u == NULL) {
        return;
    }
    close(u->wake[1]);
    pthread_join(u->thread, NULL);
    close(u->wake[0]);
    program_unref(upgrade_take(u));
    free(u);
}
