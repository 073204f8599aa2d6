#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cell/wasi/undo_files.h"
#include "controlpath/control.h"
#include "exitcode/exit_code.h"
#include "nameobject.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/runtime.h"
#include "sys/thread.h"

enum {
    CLIENT_SECONDS_MAX = 10, /* that a client may let the cell wait */
    CLIENTS_MAX = 16,        /* at the same time */
};
#define REFUSED_LOOK_NS 20000000 /* between looks whether the cell has dropped a request */
enum {
    NO_ROOM_NAP_MS = 50
}; /* before the next look at a connection that there are no descriptors for */

/* A request on its way from its client's thread to the cell's and back. Only one that waits can be dropped. */
enum request_state { REQUEST_NONE, REQUEST_WAITS, REQUEST_TAKEN, REQUEST_SERVED, REQUEST_DECIDED };

/* A connection and the thread that serves it, so that one which waits for the cell does not keep the others waiting. */
struct client {
    struct control *control;
    pthread_t thread;
    int fd;       /* -1: the thread is done with it */
    bool started; /* and not yet joined */
};

struct control {
    uint64_t started_ns;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int listener;
    int wake[2]; /* closed at one end: the thread leaves */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Guarded by lock. */
    const char *program;
    struct cell *cell; /* NULL: not yet made */
    bool movable;
    enum request_state state;
    bool ended;
    bool freezes; /* the cell does not go on, once the client has the snapshot in place */
    struct control_request request;
    const struct control_saver
        *saver; /* from REQUEST_TAKEN on: of the cell's thread, which waits */
    status_t code;
    char text[ERROR_TEXT_MAX];
    struct client clients[CLIENTS_MAX];
};

static void answer(int fd, const char *verdict, const char *text)
{
    char line[CONTROL_LINE_MAX];
    struct error err = {.offset = ERROR_NO_OFFSET};
    /* Names of functions and files are the guest's choice. They must not end the line, and the client prints them. */
    int len = snprintf(line, sizeof line - 1, "%s %.*s", verdict, CONTROL_LINE_MAX - 32, text);
    text_hide_controls(line);
    memcpy(line + len, "\n", 2);
    status_t sent = control_send(fd, line, -1, &err);
    (void)sent; /* a client that is gone has no use for it */
}

static void serve_info(struct control *k, int fd)
{
    struct cell_stats stats = {0};
    char text[CONTROL_LINE_MAX];
    pthread_mutex_lock(&k->lock);
    if (k->cell != NULL) {
        cell_stats(k->cell, &stats);
    }
    const char *program = k->program;
    pthread_mutex_unlock(&k->lock);
    snprintf(text, sizeof text, "%ld %llu %llu %llu %.*s", (long)getpid(),
             (unsigned long long)k->started_ns, (unsigned long long)clock_process_cpu_ns(),
             (unsigned long long)stats.memory_bytes, CONTROL_LINE_MAX / 2, program);
    answer(fd, "ok", text);
}

/* Wait until the state is one of those behind `before`, or the cell has ended. Called with the lock held. */
static void wait_beyond(struct control *k, enum request_state before)
{
    while (k->state <= before && !k->ended) {
        pthread_cond_wait(&k->changed, &k->lock);
    }
}

static uint64_t refusals(struct control *k)
{
    struct cell_stats stats;
    cell_stats(k->cell, &stats);
    return stats.captures_refused;
}

/* Wait until the cell has served the request, has ended, or (true) has dropped it for want of memory. Called with the
 * lock held. */
static bool wait_served(struct control *k, uint64_t refused_before)
{
    bool refused = false;
    while (k->state <= REQUEST_TAKEN && !k->ended && !refused) {
        uint64_t at = clock_realtime_ns() + REFUSED_LOOK_NS;
        struct timespec until = {(time_t)(at / 1000000000), (long)(at % 1000000000)};
        pthread_cond_timedwait(&k->changed, &k->lock, &until);
        refused = k->state == REQUEST_WAITS && !k->ended && refusals(k) != refused_before;
    }
    return refused;
}

static void set_state(struct control *k, enum request_state state)
{
    k->state = state;
    pthread_cond_broadcast(&k->changed);
}

/* Who reads a pipe waits for its end, and a client that has one in front of its file cannot ask for a name before. A
 * file stays open: what becomes of its bytes is told to who wrote them. */
static void close_stream(int *out)
{
    struct stat st;
    if (fstat(*out, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*out);
        *out = -1;
    }
}

/* Say what is about to have the name: by "" where that has no path, which only matters to a journal. */
static status_t leave(const struct control_saver *saver, int folder, const char *part,
                      const char *name, struct error *err)
{
    struct stat st;
    char link[64], path[PATH_MAX];
    if (fstatat(folder, part, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return error_set_errno(err, errno, "%s", name);
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t len = readlink(link, path, sizeof path);
    size_t room = sizeof path - (size_t)(len > 0 ? len : 0);
    int name_len = len > 0 ? snprintf(path + len, room, "/%s", name) : -1;
    if (name_len < 0 || (size_t)name_len >= room) {
        path[0] = '\0';
    }
    return saver->leave(saver->arg, path, st.st_ino, err);
}

/* Give the snapshot its name. Done here and not by the client, so that whoever is killed at whatever moment, there is
 * never both a snapshot with its name and a cell that goes on. out: PART, or -1 when the client has written it from a
 * pipe, and has made it durable. names: PART/NAME, in the folder. saver: NULL when the cell goes on. */
static status_t place(const struct control_saver *saver, int out, int folder, char *names,
                      struct error *err)
{
    char *name = strchr(names, '/');
    if (name == NULL || name[1] == '\0' || strchr(name + 1, '/') != NULL || folder < 0) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no name for the snapshot");
    }
    *name++ = '\0';
    if (out >= 0 && file_sync(out) != 0) {
        return error_set_errno(err, errno, "%s", name);
    }
    status_t code = saver != NULL ? leave(saver, folder, names, name, err) : ST_OK;
    if (code == ST_OK && renameat(folder, names, folder, name) != 0) {
        code = error_set_errno(err, errno, "%s", name);
        if (saver != NULL) {
            saver->leave_not(saver->arg);
        }
    }
    if (code != ST_OK) {
        return code;
    }
    int synced = file_sync(folder);
    (void)synced; /* not every file system can; the name stands */
    return ST_OK;
}

/* The same with an object of the store, whose name has no path that a journal could look for. names: BUCKET PART
 * ADDRESS KEY. */
static status_t place_object(const struct control_saver *saver, char *names, struct error *err)
{
    char *bucket = strsep(&names, " "), *part = strsep(&names, " "), *address = strsep(&names, " ");
    if (address == NULL || names == NULL || names[0] == '\0') {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no name for the snapshot");
    }
    status_t code = saver != NULL ? saver->leave(saver->arg, "", 0, err) : ST_OK;
    if (code != ST_OK) {
        return code;
    }
    code = name_object(strcmp(address, "-") == 0 ? NULL : address, bucket, part, names, err);
    if (code != ST_OK && saver != NULL) {
        saver->leave_not(saver->arg);
    }
    return code;
}

/* The client's last word: it may take its time until the snapshot is durable. */
static status_t receive_decision(int fd, char line[CONTROL_LINE_MAX], int *ret_folder,
                                 struct error *err)
{
    status_t code = ST_OK;
    for (int i = 0; i <= CONTROL_WAITS_MAX; i++) {
        code = control_receive(fd, line, ret_folder, err);
        if (code != ST_OK || strcmp(line, "wait") != 0) {
            break;
        }
    }
    return code;
}

/* The client has what it needs, or not: the cell goes on unless the snapshot is in its place. */
static void decide(struct control *k, int fd, int out, bool keep)
{
    static const char place_verb[] = "place ", object_verb[] = "object ";
    char line[CONTROL_LINE_MAX];
    int folder = -1;
    struct error err = {.offset = ERROR_NO_OFFSET};
    const struct control_saver *saver = keep ? NULL : k->saver; /* its thread waits for us */
    status_t code = receive_decision(fd, line, &folder, &err);
    if (code == ST_OK && strncmp(line, place_verb, sizeof place_verb - 1) == 0) {
        code = place(saver, out, folder, line + sizeof place_verb - 1, &err);
    } else if (code == ST_OK && strncmp(line, object_verb, sizeof object_verb - 1) == 0) {
        code = place_object(saver, line + sizeof object_verb - 1, &err);
    } else if (code == ST_OK && strcmp(line, "commit") != 0) {
        code = error_set(&err, ST_INVAL, ERROR_NO_OFFSET, "unknown request");
    }
    if (folder >= 0) {
        close(folder);
    }
    if (code == ST_OK && saver != NULL) {
        saver->leave_end(saver->arg);
    }
    pthread_mutex_lock(&k->lock);
    k->freezes = code == ST_OK && !keep;
    set_state(k, REQUEST_DECIDED);
    pthread_mutex_unlock(&k->lock);
    answer(fd, code == ST_OK ? "done" : "error", err.text);
}

/* Make the request when no other one is on its way, and wait until the cell has served it. Called with the lock held.
 * Verdict and text are what the client is told. */
static const char *request(struct control *k, const struct control_request *q,
                           char ret_text[ERROR_TEXT_MAX])
{
    while ((k->cell == NULL || k->state != REQUEST_NONE) && !k->ended) {
        pthread_cond_wait(&k->changed, &k->lock);
    }
    ret_text[0] = '\0';
    if (!k->ended && !k->movable) {
        snprintf(ret_text, ERROR_TEXT_MAX,
                 "it cannot be frozen: its image was made without --movable (cloudskin-aot "
                 "--movable; `cloudskin run --name` of the .wasm does it by itself)");
        return "refused";
    }
    bool refused = false;
    if (!k->ended) {
        uint64_t before = refusals(k);
        k->request = *q;
        k->freezes = false;
        set_state(k, REQUEST_WAITS);
        cell_stop(k->cell, STOP_CAPTURE);
        refused = wait_served(k, before);
    }
    if (k->state != REQUEST_SERVED) {
        if (!refused) {
            return "ended";
        }
        set_state(k, REQUEST_NONE);
        snprintf(ret_text, ERROR_TEXT_MAX, "no memory to save the call stack");
        return "error";
    }
    snprintf(ret_text, ERROR_TEXT_MAX, "%s", k->text);
    bool good = k->code == ST_OK;
    if (!good || q->checkpoint) { /* nothing is left to decide */
        set_state(k, q->checkpoint ? REQUEST_NONE : REQUEST_DECIDED);
    }
    if (good) {
        return "ok";
    }
    return exit_code_of(k->code) == EXIT_REFUSED ? "refused" : "error";
}

/* Let the cell stop and save itself. What to answer. */
static const char *serve_capture(struct control *k, const struct control_request *q,
                                 char ret_text[ERROR_TEXT_MAX])
{
    pthread_mutex_lock(&k->lock);
    const char *verdict = request(k, q, ret_text);
    pthread_mutex_unlock(&k->lock);
    return verdict;
}

static void serve_freeze(struct control *k, int fd, int *out, bool keep, bool embed)
{
    const struct control_request q = {.fd = *out, .embed = embed};
    char text[ERROR_TEXT_MAX];
    const char *verdict = serve_capture(k, &q, text);
    close_stream(out);
    answer(fd, verdict, text);
    if (strcmp(verdict, "ok") == 0) {
        decide(k, fd, *out, keep);
    }
}

/* The cell goes on at once: a checkpoint that does not get its name is nothing but a file. */
static void serve_checkpoint(struct control *k, int fd, int folder, const char *numbers)
{
    char text[ERROR_TEXT_MAX];
    uint64_t number = control_number(&numbers), base = control_number(&numbers);
    if (number == 0 || number > UNDO_NUMBER_MAX || base >= number || *numbers != '\0') {
        answer(fd, "error", "no number for a checkpoint");
        return;
    }
    const struct control_request q = {
        .checkpoint = true, .fd = folder, .number = (uint32_t)number, .base = (uint32_t)base};
    const char *verdict = serve_capture(k, &q, text);
    answer(fd, verdict, text);
}

/* "freeze" or "keep", with " embed" or without. */
static bool is_freeze(const char *line, bool *ret_keep, bool *ret_embed)
{
    static const char freeze[] = "freeze", keep[] = "keep";
    *ret_keep = strncmp(line, keep, sizeof keep - 1) == 0;
    if (!*ret_keep && strncmp(line, freeze, sizeof freeze - 1) != 0) {
        return false;
    }
    const char *rest = line + (*ret_keep ? sizeof keep : sizeof freeze) - 1;
    *ret_embed = strcmp(rest, " embed") == 0;
    return *ret_embed || *rest == '\0';
}

static void serve(struct control *k, int fd)
{
    const struct timeval patience = {.tv_sec = CLIENT_SECONDS_MAX};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char line[CONTROL_LINE_MAX];
    int out = -1;
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (control_receive(fd, line, &out, &err) != ST_OK) {
        return;
    }
    bool keep, embed;
    if (strcmp(line, "info") == 0) {
        serve_info(k, fd);
    } else if (is_freeze(line, &keep, &embed) && out >= 0) {
        serve_freeze(k, fd, &out, keep, embed);
    } else if (strncmp(line, "checkpoint ", 11) == 0 && out >= 0) {
        serve_checkpoint(k, fd, out, line + 11);
    } else {
        answer(fd, "error", "unknown request");
    }
    if (out >= 0) {
        close(out);
    }
}

static void *client_thread(void *arg)
{
    struct client *c = arg;
    serve(c->control, c->fd);
    pthread_mutex_lock(&c->control->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&c->control->lock);
    return NULL;
}

/* A place for one more, whose thread has ended; NULL: there are too many. Called with the lock held. */
static struct client *free_client(struct control *k)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &k->clients[i];
        if (c->started && c->fd < 0) {
            pthread_join(c->thread, NULL); /* it has let go of the lock, and does nothing else */
            c->started = false;
        }
        if (!c->started) {
            return c;
        }
    }
    return NULL;
}

static void admit(struct control *k, int fd)
{
    pthread_mutex_lock(&k->lock);
    struct client *c = free_client(k);
    if (c != NULL) {
        c->control = k;
        c->fd = fd;
        c->started = thread_start(&c->thread, client_thread, c) == 0;
    }
    bool admitted = c != NULL && c->started;
    pthread_mutex_unlock(&k->lock);
    if (!admitted) {
        answer(fd, "error", "too many requests at the same time");
        close(fd);
    }
}

static void *listen_thread(void *arg)
{
    struct control *k = arg;
    for (;;) {
        struct pollfd both[2] = {{.fd = k->wake[0], .events = POLLIN},
                                 {.fd = k->listener, .events = POLLIN}};
        if (poll(both, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (both[0].revents != 0) {
            return NULL;
        }
        int fd = both[1].revents != 0 ? accept4(k->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd >= 0) {
            admit(k, fd);
        } else if (both[1].revents != 0) {
            poll(both, 1, NO_ROOM_NAP_MS); /* the program has all descriptors, for now */
        }
    }
}

/* Called once the listening thread has ended. A client that has not said what it wants gets no longer waited for; what
 * is under way is answered. */
static void end_clients(struct control *k)
{
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (k->clients[i].started && k->clients[i].fd >= 0) {
            shutdown(k->clients[i].fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&k->lock);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (k->clients[i].started) {
            pthread_join(k->clients[i].thread, NULL);
        }
    }
}

/* Called with the lock of the folder held. A socket that nobody listens on any more is a left-over. */
static status_t bind_locked(struct control *k, const char *name, const struct sockaddr_un *at,
                            struct error *err)
{
    int other;
    status_t code = control_connect(name, &other, err);
    if (code == ST_OK) {
        close(other);
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "a cell named '%s' is running (cloudskin ps lists them)", name);
    }
    if (code != ST_NOTFOUND) {
        return code;
    }
    unlink(at->sun_path);
    k->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (k->listener < 0 || bind(k->listener, (const struct sockaddr *)at, sizeof *at) != 0 ||
        listen(k->listener, CLIENTS_MAX) != 0) {
        return error_set_errno(err, errno, "%s", at->sun_path);
    }
    memcpy(k->path, at->sun_path, sizeof k->path);
    *err = (struct error){.offset = ERROR_NO_OFFSET};
    return ST_OK;
}

/* The lock keeps two cells that start at once from taking each other's socket for a left-over. */
static status_t bind_name(struct control *k, const char *name, struct error *err)
{
    char folder[PATH_MAX], lock_path[PATH_MAX];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int lock;
    status_t code = control_name_check(name, err);
    code = code != ST_OK ? code : runtime_folder(true, folder, err);
    if (code != ST_OK) {
        return code;
    }
    int len = snprintf(at.sun_path, sizeof at.sun_path, "%s/%s.sock", folder, name);
    int lock_len = snprintf(lock_path, sizeof lock_path, "%s/.lock", folder);
    if (len < 0 || (size_t)len >= sizeof at.sun_path || lock_len < 0 || lock_len >= PATH_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "path of the control socket is too long");
    }
    code = file_lock(lock_path, true, &lock, err);
    if (code == ST_OK) {
        code = bind_locked(k, name, &at, err);
        file_lock_release(lock, NULL);
    }
    return code;
}

status_t control_start(const char *name, const char *program, struct control **ret_control,
                       struct error *err)
{
    struct control *k = calloc(1, sizeof *k);
    if (k == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    *k = (struct control){.program = program,
                          .started_ns = clock_realtime_ns(),
                          .listener = -1,
                          .wake = {-1, -1},
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER};
    status_t code = bind_name(k, name, err);
    /* A compiler that goes on in the background must not keep the other end open. */
    if (code == ST_OK && (pipe2(k->wake, O_CLOEXEC) != 0 ||
                          (errno = thread_start(&k->thread, listen_thread, k)) != 0)) {
        code = error_set_errno(err, errno, "control socket");
        unlink(k->path);
    }
    if (code == ST_OK) {
        *ret_control = k;
        return ST_OK;
    }
    const int fds[] = {k->listener, k->wake[0], k->wake[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    free(k);
    return code;
}

void control_attach(struct control *k, struct cell *c, const char *program, bool movable)
{
    if (k == NULL) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->cell = c;
    k->program = program;
    k->movable = movable;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* A pipe whose reader has gone away is an error of the request: it must not end the cell by SIGPIPE. */
static status_t save_quietly(const struct control_request *q, const struct control_saver *saver,
                             struct error *err)
{
    const struct timespec at_once = {0};
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    status_t code = saver->save(saver->arg, q, err);
    if (!sigismember(&pending, SIGPIPE)) {
        while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

status_t control_captured(struct control *k, const struct control_saver *saver)
{
    if (k == NULL) {
        return ST_OK;
    }
    pthread_mutex_lock(&k->lock);
    status_t code = ST_OK;
    if (k->state == REQUEST_WAITS) {
        struct error err = {.offset = ERROR_NO_OFFSET};
        bool checkpoint = k->request.checkpoint;
        k->saver = saver;
        set_state(k, REQUEST_TAKEN);
        pthread_mutex_unlock(&k->lock); /* in this state nobody else changes anything */
        status_t saved = save_quietly(&k->request, saver, &err);
        pthread_mutex_lock(&k->lock);
        k->code = saved;
        snprintf(k->text, sizeof k->text, "%s", err.text);
        set_state(k, REQUEST_SERVED);
        if (!checkpoint) {
            wait_beyond(k, REQUEST_SERVED);
            code = k->freezes ? ST_CAPTURED : ST_OK;
            set_state(k, REQUEST_NONE);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return code;
}

void control_end(struct control *k)
{
    if (k == NULL) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->ended = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    unlink(k->path);
    close(k->wake[1]);
    pthread_join(k->thread, NULL);
    end_clients(k);
    close(k->wake[0]);
    close(k->listener);
    free(k);
}
