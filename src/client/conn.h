#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <pthread.h>

#include "cloudskin/geds.h"
#include "net/rpc/list.h"
#include "proto/geds.h"

/* The connection: calls of many threads over one socket. */

enum { INPUT_BYTES = 32 * 1024, PASSED_MAX = 16 /* with one answer */, PASSED_CUT = -1 };

/* A part of an answer before the last. */
struct answer_part {
    struct answer_part *next;
    size_t len;
    uint8_t data[];
};

/* A call that is not answered yet; of the thread that made it. Zeroed, then room and data set. */
struct pending {
    struct pending *next; /* guarded by geds.m, and so is: */
    bool done;
    bool waiting; /* its thread is, for changed */
    status_t status;
    struct error err;
    struct answer_part *parts, **last_part;
    pthread_cond_t changed;

    uint32_t id;
    uint8_t *data; /* where data go: room bytes */
    uint32_t room;
    size_t data_len;
    struct buf args;        /* of the answer */
    int passed[PASSED_MAX]; /* descriptors that came along, for pending_done to close */
    unsigned passed_count;
    bool passed_cut; /* it had more, for which this process has too many files open */
};

struct geds {
    int fd;                    /* immutable: another controller's socket gets the same number */
    struct rpc_list list;      /* immutable: where controllers are */
    size_t at;                 /* guarded by m: the one in the list that led */
    bool local;                /* immutable: descriptors can be passed, by all of them */
    pthread_mutex_t send_lock; /* before m: held while a frame is sent */
    pthread_mutex_t m;         /* guards the rest */
    bool reading;              /* a thread is; input is its own then */
    bool sender_waits; /* for room, while another reads: wake_fd tells it that nobody does */
    int wake_fd;       /* eventfd */
    bool broken;
    bool seeking; /* somebody connects anew */
    pthread_cond_t sought;
    struct error why;
    struct pending *pendings;
    uint32_t last_id;
    uint32_t last_handle;
    uint8_t input[INPUT_BYTES];
    size_t input_at, input_end;
    int passed[2 * PASSED_MAX +
               2]; /* in the order of the answers that they belong to, of two at most;
                                     * PASSED_CUT: the kernel dropped those that came next */
    unsigned passed_count;
    bool passed_lost;      /* nobody knows any more whose they are */
    _Atomic bool lost;     /* broken, or it will be by who reads; without m */
    struct leases *leases; /* lease.h; guards itself */
};

CHECKED status_t client_open(const char *address, struct geds **ret_store, struct error *err);
void client_close(struct geds *g);
/* Every call fails with this, those that are on their way as well. Returns st. */
status_t client_break(struct geds *g, status_t st, const char *text);
uint32_t client_new_handle(struct geds *g);
/* Without a request: does the connection stand? When it does not, it is broken, if need be by who reads. Any thread. */
bool client_look(struct geds *g);

/* What is sent along with a request. */
struct outgoing {
    uint32_t lane;
    const void *data;
    size_t len;
};
/* Send a request. p is the connection's until client_wait, which must follow whatever the result is; what went wrong is
 * told there. */
void client_send(struct geds *g, struct pending *p, enum geds_op op, const struct geds_request *r,
                 const struct outgoing *o);
/* token "": none. As client_send. */
void client_send_hello(struct geds *g, struct pending *p, const char *token);
/* Wait for the answer. part (may be NULL) gets the data of each answer but the last. p->args: the answer's, for
 * pending_done. */
CHECKED status_t client_wait(struct geds *g, struct pending *p,
                             void (*part)(void *arg, const struct answer_part *part), void *arg,
                             struct error *err);
/* Decode what was waited for; what is in *ret_answer is borrowed from p and the arena. */
CHECKED status_t pending_decode(struct pending *p, enum geds_op op, struct arena *arena,
                                struct geds_answer *ret_answer, struct error *err);
void pending_done(struct pending *p);

/* All of these in one. ret_answer may be NULL when there is nothing in it. */
CHECKED status_t client_call(struct geds *g, struct pending *p, enum geds_op op,
                             const struct geds_request *r, const struct outgoing *o,
                             struct arena *arena, struct geds_answer *ret_answer,
                             struct error *err);

/* The public form of an error. */
enum geds_code give_error(status_t st, const struct error *from, struct geds_error *to);
void give_info(const struct geds_wire_info *from, struct geds_info *to);
struct geds_wire_condition take_condition(const struct geds_condition *c);
/* ST_INVAL: too many. pairs: GEDS_WIRE_ATTRIBUTES_MAX. */
CHECKED status_t take_attributes(const struct geds_attributes *a, struct geds_wire_pair *pairs,
                                 struct geds_wire_attributes *ret_attributes, struct error *err);
/* Texts against their limits: ST_INVAL names it. */
CHECKED status_t check_names(const char *bucket, const char *key, struct error *err);

/* Ask for a bucket's rule, or change it, by an operation whose flags say what and whose answer is one number. */
enum geds_code client_rule(struct geds *g, enum geds_op op, const char *bucket, uint32_t what,
                           uint64_t *ret_rule, struct geds_error *err);

#endif
