#ifndef NET_RPC_IMPL_H
#define NET_RPC_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "net/rpc/server.h"

/* Lock order: conn.m, then server.m. No lock is held while a request is run. */

/* A request on its way. */
struct call {
    struct conn *conn; /* holds a reference */
    struct call *next; /* of its queue: held, a lane, or the workers */
    struct rpc_frame frame;
    struct rpc_request request;
    size_t charged_bytes; /* to conn.admitted_bytes, until its last answer is sent */
    uint8_t *bytes;       /* args and data */
};

/* An answer that the socket has not taken wholly. */
struct out {
    struct out *next;
    uint8_t head[RPC_HEADER_BYTES];
    struct rpc_answer answer;
    size_t sent_bytes;
    size_t charged_bytes; /* given back when it is sent */
    bool ends_call;       /* else nothing is given back */
};

struct calls {
    struct call *first;
    struct call **last;
};

/* A lane in which something runs. */
struct lane {
    struct lane *next;
    uint32_t number;
    struct calls waiting;
};

/* Connections of one client, of those over TCP. Guarded by server.m. */
struct seat {
    uint8_t who[SHA256_BYTES];
    unsigned count; /* 0: nobody's */
};

struct conn {
    struct rpc_server *server;
    struct loop *loop;
    struct conn *next, **at; /* loop-owned list */
    int fd;                  /* closed with the last reference */
    _Atomic unsigned refs;
    void *session; /* NULL before hello; set by the loop before the first request */
    bool tcp;
    bool let_in;       /* counted in server.tcp_sessions */
    struct seat *seat; /* loop-owned, NULL: none */
    void *link;        /* of the transport, NULL: none; guarded by m */
    uint64_t origin;   /* over TCP: the address it comes from */
    bool evicted;      /* loop-owned: it is over, as its next event will find */
    bool shaken;       /* loop-owned: the transport's handshake is over */
    uint64_t opened_ns;
    struct rpc_peer peer; /* loop-owned */

    /* loop-owned: what is being read */
    uint8_t head[RPC_HEADER_BYTES];
    size_t head_got;
    struct call *reading;
    size_t body_got;

    pthread_mutex_t m; /* guards the rest */
    struct calls held; /* read, not admitted: nothing more is read */
    unsigned admitted;
    size_t admitted_bytes;
    struct lane *lanes;
    struct out *out, **out_last;
    bool failed;          /* its loop is to end it */
    bool ended;           /* no longer in epoll */
    bool reads_need_room; /* of the transport */
    uint32_t waits_for;   /* epoll events */
    uint64_t read_ns;     /* when reading last came on */
    uint64_t sent_ns;
};

struct loop {
    struct rpc_server *server;
    pthread_t thread;
    bool started;
    int epoll_fd;
    int wake_fd;
    bool listens; /* for connections */
    struct conn *conns;
    uint64_t swept_ns;
};

struct rpc_server {
    struct rpc_server_options o; /* immutable */
    unsigned greet_ms;           /* immutable */
    struct loop *loops;
    unsigned loop_count;
    _Atomic unsigned conn_count;
    _Atomic unsigned tcp_count;    /* connections of TCP, and these are not in conn_count */
    _Atomic unsigned tcp_sessions; /* that were let in */
    _Atomic uint64_t requests;
    _Atomic unsigned running; /* admitted and not answered */
    _Atomic bool draining;    /* nothing more is read */
    _Atomic bool stopping;    /* loops end */

    pthread_mutex_t m; /* guards the rest */
    pthread_cond_t work;
    pthread_cond_t idle; /* running became 0 */
    struct calls queue;
    unsigned queued;
    pthread_t workers[RPC_WORKERS_MAX];
    unsigned worker_count, waiting_workers;
    bool no_more_work;
    struct seat seats[RPC_CONNECTIONS_MAX];
};

static inline void calls_init(struct calls *q)
{
    q->first = NULL;
    q->last = &q->first;
}
void calls_add(struct calls *q, struct call *c);
struct call *calls_take(struct calls *q); /* NULL: none */
void call_free(struct call *c);

/* conn.c */
struct conn *conn_new(struct rpc_server *s, struct loop *loop, int fd, bool tcp);
/* Go on with the handshake. False: it is to be ended. Its loop only. */
bool conn_shake(struct conn *c);
void conn_unref(struct conn *c);
/* Read and run what is there. False: it is to be ended. Its loop only. */
bool conn_read(struct conn *c);
/* Send what is waiting. Any thread. */
void conn_flush(struct conn *c);
/* Run what may be run by now, as far as it is quick; the rest goes to workers. Any thread. */
void conn_pump(struct conn *c);
/* Tell who it was that is not let in. Its loop only. */
void conn_tell_refused(struct conn *c, const struct error *err);
/* Let epoll wait for what there is to wait for. Caller holds m. */
void conn_wait(struct conn *c);
/* Take it out of epoll, drop what was not begun. Its loop only. */
void conn_end(struct conn *c);

/* Run a request and send its answer. Any thread. */
void call_run(struct call *c);

/* seats.c: count one more connection of this client, which has a token or a name. False: it has as many as one may
 * have. Any thread. */
bool seat_take(struct rpc_server *s, const struct rpc_peer *peer, struct seat **ret_seat);
void seat_give_back(struct rpc_server *s, struct seat *seat); /* takes NULL */

/* workers.c: give a request to a thread. */
void server_enqueue(struct rpc_server *s, struct call *c);
void server_done_one(struct rpc_server *s);

/* loop.c: arg struct loop. */
void *loop_main(void *arg);

#endif
