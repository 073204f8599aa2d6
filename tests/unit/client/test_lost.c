#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/rpc/frame.h"
#include "proto/geds.h"
#include "served.h"

/* The connection is lost while one thread has the answer to another's call in hand. */

enum { SIZE = 100000, AT = 50000, LEN = 20000, WAIT_MS = 20000 };

static struct served s;
static struct geds *g;
static _Atomic bool receiving, armed, held, go_on, over;
static _Atomic size_t held_bytes;

static bool wait_for(_Atomic bool *what, int ms)
{
    for (int i = 0; i < ms && !atomic_load(what); i++) {
        poll(NULL, 0, 1);
    }
    return atomic_load(what);
}

/* The library's, instead of that of libc: who has received the whole answer is held before he looks at it. */
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    atomic_store(&receiving, true);
    ssize_t n = syscall(SYS_recvmsg, fd, m, flags);
    if (n > 0 && atomic_load(&armed) &&
        atomic_fetch_add(&held_bytes, (size_t)n) + (size_t)n >= LEN + RPC_HEADER_BYTES) {
        atomic_store(&armed, false);
        atomic_store(&held, true);
        wait_for(&go_on, WAIT_MS);
    }
    return n;
}

/* A rename is never answered. */
static void slow_run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                     struct rpc_answer *answer)
{
    if (r->kind == GEDS_RENAME) {
        for (;;) {
            pause();
        }
    }
    serve_handler()->run(session, r, reply, answer);
}

static pid_t serve_elsewhere(void)
{
    int ready[2];
    char byte = 0;
    CHECK_EQ(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rpc_handler handler = *serve_handler();
        handler.run = slow_run;
        close(ready[0]);
        served_open(&s, &handler);
        if (write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void *rename_slowly(void *arg)
{
    struct geds_error why;
    (void)arg;
    CHECK_EQ(geds_rename(g, "bucket", "k", "bucket", "k2", NULL, &why), GEDS_IO);
    return NULL;
}

static void *read_part(void *arg)
{
    struct geds_object *o = arg;
    struct geds_error why = {0};
    size_t got = 0;
    uint8_t *bytes = calloc(1, LEN), *want = pattern(SIZE, 1);
    CHECK_EQ(geds_pread(o, bytes, LEN, AT, &got, &why), GEDS_OK);
    atomic_store(&over, true);
    CHECK(got == LEN && memcmp(bytes, want + AT, LEN) == 0);
    free(bytes);
    free(want);
    return NULL;
}

static void a_call_does_not_end_while_its_answer_is_read(void)
{
    struct geds_object *o = NULL;
    struct geds_subscription *w = NULL;
    const struct geds_watched what = {.bucket = "bucket"};
    struct geds_event e;
    pthread_t slow, reader;
    served_names(&s);
    pid_t pid = serve_elsewhere();
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
    uint8_t *bytes = pattern(SIZE, 1);
    OK(geds_put(g, "bucket", "k", NULL, NULL, bytes, SIZE, NULL, &err));
    free(bytes);
    OK(geds_open(g, "bucket", "k", &o, &err));
    OK(geds_subscribe(g, &what, &w, &err));
    atomic_store(&receiving, false);
    pthread_create(&slow, NULL, rename_slowly, NULL);
    CHECK(wait_for(&receiving, WAIT_MS)); /* from now on it reads for all */
    atomic_store(&armed, true);
    pthread_create(&reader, NULL, read_part, o);
    CHECK(wait_for(&held, WAIT_MS));
    kill(pid, SIGKILL);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK_EQ(geds_next_event(w, 0, &e, &err), GEDS_IO);
    CHECK(!wait_for(&over, 100));
    atomic_store(&go_on, true);
    pthread_join(reader, NULL);
    pthread_join(slow, NULL);
    geds_unsubscribe(w);
    geds_close(o);
    geds_disconnect(g);
    served_remove(&s);
}

int main(void)
{
    RUN(a_call_does_not_end_while_its_answer_is_read);
    return CHECK_DONE();
}
