#ifndef NET_RPC_SERVER_H
#define NET_RPC_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "net/rpc/frame.h"

/* A server of requests in frames. It knows no operation: those are the handler's. */

enum {
    RPC_CONNECTIONS_MAX = 256,
    RPC_CONNECTIONS_OF_ONE_MAX = 128,   /* over TCP with one token, or certificate's name */
    RPC_REQUESTS_MAX = 64,              /* admitted, of one connection */
    RPC_ADMITTED_MAX = 8 * 1024 * 1024, /* bytes of these with room for their answers */
    RPC_STALL_MS = 60 * 1000,           /* a half frame or answer may stand still for so long */
    RPC_WORKERS_MAX = 64,
    RPC_PASSED_MAX = 16, /* descriptors with one answer */
    RPC_GREET_MS = 10 *
                   1000, /* over TCP: from the connection to the end of a hello that is accepted */
    RPC_STRANGERS_MAX = 64,      /* connections of TCP before that, of each event thread */
    RPC_RECEIVE_MIN = 16 * 1024, /* bytes of room that a transport gets */
};

/* Who is at the other side. */
enum { RPC_PEER_NAME_MAX = 64, RPC_PEER_ROLE_MAX = 15 };
struct rpc_peer {
    bool local;                       /* a process of this user, on this machine */
    char name[RPC_PEER_NAME_MAX + 1]; /* of its certificate; "": it has shown none, or is local */
    char role[RPC_PEER_ROLE_MAX + 1]; /* as the certificate says; "": nothing */
    int64_t ends_s;                   /* when the certificate is over, since the epoch */
    const char *token;                /* of its hello, for the time of session_new; NULL: none */
};

/* What is between the frames and a socket of TCP, as TLS. A link is used by one thread at a time. receive and send are
 * as recv and send of a socket that does not block: EAGAIN when they have to wait for it. */
struct rpc_transport {
    void *(*open)(void *ctx, int fd); /* borrows fd. NULL: no memory */
    void (*close)(void *link);
    /* Before anything is received or sent. ST_AGAIN: once more when the socket has bytes, or room if *ret_room.
     * ST_OK: ret_peer has name and role. Else the connection is to be ended; *err is for a log. */
    status_t (*shake)(void *link, bool *ret_room, struct rpc_peer *ret_peer, struct error *err);
    /* len: RPC_RECEIVE_MIN at least; what came from the socket is all in the caller's hands then. *ret_room: it waits
     * for room, not for bytes. */
    ssize_t (*receive)(void *link, void *data, size_t len, bool *ret_room);
    /* After EAGAIN it is called with the same bytes again. */
    ssize_t (*send)(void *link, const void *data, size_t len);
};

/* All of it belongs to the server; data may be written to. */
struct rpc_request {
    uint32_t lane;
    uint32_t room; /* bytes */
    uint16_t kind;
    const uint8_t *args; /* their checksum was right */
    size_t args_bytes;
    uint8_t *data;
    size_t data_bytes;
    bool quick;        /* is_quick said so: other requests wait for it */
    uint32_t data_crc; /* as the client says: compare by rpc_request_intact */
};
/* Are the data still those that the client sent? */
bool rpc_request_intact(const struct rpc_request *r);

/* Zeroed at first; what is in there is freed, and passed is closed, by the server. */
struct rpc_answer {
    struct buf args; /* begins with rpc_result_encode */
    struct buf data; /* at most the request's room */
    int passed[RPC_PASSED_MAX];
    unsigned passed_count;
    bool
        later; /* of a quick request: it would take long after all. It is run once more, by a worker; the rest of
                 * this is dropped. */
};
/* Send one answer of several, and go on. The answer is empty then. Only inside run, one thread. */
struct rpc_reply;
CHECKED status_t rpc_reply_more(struct rpc_reply *reply, struct rpc_answer *answer);
/* False: the client is gone, or the server is to stop, so a request that takes long should end. Only inside run. */
bool rpc_reply_is_wanted(const struct rpc_reply *reply);

struct rpc_handler {
    /* For each connection, after its hello. NULL: it is not let in, and told *err. */
    void *(*session_new)(void *ctx, const struct rpc_peer *peer, struct error *err);
    /* No request of it is being run any more. */
    void (*session_free)(void *session);
    /* Is this one done in no time, as a rule? Then it takes no thread of its own. */
    bool (*is_quick)(void *session, const struct rpc_request *r);
    /* Run a request. Any thread, many at a time; those of one lane one after the other. */
    void (*run)(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                struct rpc_answer *answer);
};

struct rpc_tcp {
    int listen_fd;                         /* as above, of TCP */
    const struct rpc_transport *transport; /* NULL: bytes as they are */
    void *ctx;
    /* A connection that was not let in, for a log. May be NULL. Any thread. */
    void (*refused)(void *refused_ctx, const char *address, const struct error *err);
    void *refused_ctx;
    unsigned greet_ms; /* 0: RPC_GREET_MS */
};

struct rpc_server_options {
    int listen_fd;             /* a listening Unix socket that does not block; borrowed. -1: none */
    const struct rpc_tcp *tcp; /* NULL: none; borrowed until the server is stopped */
    const struct rpc_handler *handler;
    void *ctx;
    unsigned event_threads; /* 0: 2 */
    unsigned stall_ms;      /* 0: RPC_STALL_MS */
};

struct rpc_server;
/* ST_NOMEM, ST_IO. */
CHECKED status_t rpc_server_start(const struct rpc_server_options *o,
                                  struct rpc_server **ret_server, struct error *err);
/* Reads no more, finishes what was admitted, ends all connections. Takes NULL. */
void rpc_server_stop(struct rpc_server *s);

struct rpc_server_counters {
    unsigned connections; /* now */
    unsigned strangers;   /* of these: over TCP and not let in yet */
    unsigned admitted;    /* requests now */
    uint64_t requests;    /* since the start */
};
void rpc_server_counters(struct rpc_server *s, struct rpc_server_counters *ret_counters);

#endif
