#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "lease.h"
#include "seek.h"

enum {
    MOVED_TRIES = 3,
    /* where there are several controllers: who waits for so long asks the others whether one of them leads by now, and
     * again after twice the time */
    PATIENCE_MS = 3000,
    PATIENCE_MAX_MS = 24 * 1000,
};

static const char lost_text[] = "the connection to the store is lost";
static const char still_text[] =
    "the controller stands still and another one leads: whether the change is made is not known";
static void go_on(struct geds *g);

/* Caller holds m, and reads, or nobody does. Every call fails: those that are not answered with this, later ones as on
 * any lost connection. */
static void break_locked(struct geds *g, const struct error *why)
{
    if (!g->broken) {
        g->broken = true;
        atomic_store(&g->lost, true);
        g->why = *why;
        shutdown(g->fd, SHUT_RDWR); /* who reads sees it */
    }
    for (struct pending *p = g->pendings; p != NULL; p = p->next) {
        p->done = true;
        p->status = g->why.code;
        p->err = g->why;
        pthread_cond_signal(&p->changed);
    }
    g->pendings = NULL;
}

status_t client_break(struct geds *g, status_t st, const char *text)
{
    struct error err;
    error_set(&err, st, ERROR_NO_OFFSET, "%s", text);
    pthread_mutex_lock(&g->m);
    break_locked(g, &err);
    pthread_mutex_unlock(&g->m);
    return st;
}

static status_t lost(struct geds *g)
{
    return client_break(g, ST_IO, lost_text);
}

bool client_look(struct geds *g)
{
    uint8_t ignored;
    ssize_t n = recv(g->fd, &ignored, sizeof ignored, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        return true;
    }
    struct error err;
    error_set(&err, ST_IO, ERROR_NO_OFFSET, "%s", lost_text);
    pthread_mutex_lock(&g->m);
    if (g->reading && !g->broken) {
        /* who reads may have an answer in hand, whose call must not end before: he finds the end himself */
        atomic_store(&g->lost, true);
        shutdown(g->fd, SHUT_RDWR);
    } else {
        break_locked(g, &err);
    }
    pthread_mutex_unlock(&g->m);
    return false;
}

/* Reading: by one thread at a time, which has set `reading`. */

/* false: there is no room, since nobody asked for so many. */
static bool keep_one(struct geds *g, int fd)
{
    if (g->passed_count == sizeof g->passed / sizeof g->passed[0]) {
        return false;
    }
    g->passed[g->passed_count++] = fd;
    return true;
}

static void keep_passed(struct geds *g, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (!keep_one(g, fd)) {
                close(fd);
            }
        }
    }
}

/* Somebody else than the controller of this connection leads; then this one is broken off. What it has not put into the
 * log by now it never will, so that the next leader has what there is to know. */
static bool leads_no_more(struct geds *g)
{
    size_t other = 0;
    pthread_mutex_lock(&g->m);
    size_t at = g->at;
    pthread_mutex_unlock(&g->m);
    if (!seek_other(&g->list, at, g->fd, &other)) {
        return false;
    }
    pthread_mutex_lock(&g->m);
    g->at = other;
    pthread_mutex_unlock(&g->m);
    status_t ignored = client_break(g, ST_IO, still_text);
    (void)ignored;
    return true;
}

/* As poll of the connection without an end. A controller that stands still ends no connection, so where there are
 * others these are asked. 0: another one leads. */
static int poll_patiently(struct geds *g, struct pollfd *p)
{
    bool several = g->list.count > 1;
    int n, ms = several ? PATIENCE_MS : -1;
    for (;;) {
        n = poll(p, 1, ms);
        if (n > 0 || (n < 0 && errno != EINTR) || (n == 0 && leads_no_more(g))) {
            return n;
        }
        ms = several && n == 0 && ms < PATIENCE_MAX_MS ? 2 * ms : ms;
    }
}

/* Descriptors come with the first byte of the answer that they belong to, so they are here before it is whole. */
static ssize_t receive(struct geds *g, void *data, size_t len)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * PASSED_MAX)];
        struct cmsghdr align;
    } room;
    struct iovec part = {.iov_base = data, .iov_len = len};
    struct pollfd there = {.fd = g->fd, .events = POLLIN};
    struct msghdr m;
    ssize_t n;
    if (g->list.count > 1 && poll_patiently(g, &there) == 0) {
        return 0;
    }
    do {
        m = (struct msghdr){.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = room.bytes,
                            .msg_controllen = sizeof room.bytes};
        n = recvmsg(g->fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        keep_passed(g, &m);
        if ((m.msg_flags & MSG_CTRUNC) != 0 && !keep_one(g, PASSED_CUT)) {
            g->passed_lost = true;
        }
    }
    return n;
}

/* The first ones of those that are there. An answer that has to have more than came before a cut is the one that was
 * cut: the kernel ends what it gives at once behind a part with descriptors. */
static void take_passed(struct geds *g, struct pending *p, unsigned count)
{
    unsigned used = 0;
    while (p->passed_count < count && used < g->passed_count && !p->passed_cut) {
        int fd = g->passed[used++];
        if (fd == PASSED_CUT) {
            p->passed_cut = true;
        } else {
            p->passed[p->passed_count++] = fd;
        }
    }
    g->passed_count -= used;
    memmove(g->passed, g->passed + used, g->passed_count * sizeof g->passed[0]);
}

static void drop_passed(struct geds *g)
{
    while (g->passed_count > 0) {
        int fd = g->passed[--g->passed_count];
        if (fd != PASSED_CUT) {
            close(fd);
        }
    }
}

static bool read_bytes(struct geds *g, void *data, size_t len)
{
    uint8_t *to = data;
    while (len > 0) {
        size_t there = g->input_end - g->input_at;
        if (there == 0 && len >= INPUT_BYTES) {
            ssize_t n = receive(g, to, len);
            if (n <= 0) {
                return false;
            }
            to += n;
            len -= (size_t)n;
            continue;
        }
        if (there == 0) {
            ssize_t n = receive(g, g->input, INPUT_BYTES);
            if (n <= 0) {
                return false;
            }
            g->input_at = 0;
            g->input_end = there = (size_t)n;
        }
        size_t n = len < there ? len : there;
        memcpy(to, g->input + g->input_at, n);
        g->input_at += n;
        to += n;
        len -= n;
    }
    return true;
}

static struct pending *find(struct geds *g, uint32_t id)
{
    pthread_mutex_lock(&g->m);
    struct pending *p = g->pendings;
    while (p != NULL && p->id != id) {
        p = p->next;
    }
    pthread_mutex_unlock(&g->m);
    return p;
}

/* Caller holds m. */
static void finish_locked(struct geds *g, struct pending *p)
{
    struct pending **at = &g->pendings;
    while (*at != NULL && *at != p) {
        at = &(*at)->next;
    }
    if (*at == p) {
        *at = p->next;
        p->done = true;
        pthread_cond_signal(&p->changed);
    }
}

/* The server gives a reason and ends the connection. */
static status_t told_off(struct geds *g, const struct rpc_frame *f)
{
    uint8_t args[ERROR_TEXT_MAX + 32];
    struct error why = {.offset = ERROR_NO_OFFSET};
    struct cursor c;
    if (f->args_bytes > sizeof args || !read_bytes(g, args, f->args_bytes)) {
        return lost(g);
    }
    cursor_init(&c, args, f->args_bytes, 0);
    status_t st = rpc_result_decode(&c, &why);
    return st == ST_OK ? lost(g) : client_break(g, st, why.text);
}

/* How many descriptors an answer has, as its data say. When these are malformed nobody knows which ones are of the next
 * answer. */
static bool passed_with(unsigned kind, const uint8_t *data, size_t len, unsigned *ret_count)
{
    struct cursor c;
    struct geds_wire_piece ignored;
    *ret_count = 0;
    cursor_init(&c, data, len, 0);
    if ((kind == GEDS_MAP || kind == GEDS_LEASE) && len <= 8 * PASSED_MAX) {
        *ret_count = (unsigned)(len / 8);
    }
    while (kind == GEDS_PIECES && cursor_left(&c) > 0 && geds_sums_decode(&c, &ignored)) {
        ++*ret_count;
    }
    return !c.failed && *ret_count <= PASSED_MAX;
}

static status_t read_part(struct geds *g, struct pending *p, const struct rpc_frame *f)
{
    struct answer_part *part = malloc(sizeof *part + f->data_bytes);
    if (part == NULL) {
        return client_break(g, ST_NOMEM, "out of memory");
    }
    part->next = NULL;
    part->len = f->data_bytes;
    if (!read_bytes(g, part->data, part->len)) {
        free(part);
        return lost(g);
    }
    bool intact = hash_crc32c(0, part->data, part->len) == f->data_crc;
    pthread_mutex_lock(&g->m);
    *p->last_part = part;
    p->last_part = &part->next;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&g->m);
    return intact ? ST_OK : client_break(g, ST_CORRUPT, "an answer has a wrong checksum");
}

/* Whose answer it is waits for it, so p stays. */
static status_t read_answer(struct geds *g, struct pending *p, const struct rpc_frame *f)
{
    uint8_t *args = malloc((size_t)f->args_bytes + 1);
    if (args == NULL) {
        return client_break(g, ST_NOMEM, "out of memory");
    }
    if (!read_bytes(g, args, f->args_bytes) || hash_crc32c(0, args, f->args_bytes) != f->args_crc) {
        free(args);
        return lost(g);
    }
    if ((f->flags & RPC_MORE) != 0) {
        free(args);
        return read_part(g, p, f);
    }
    p->args = (struct buf){.data = args, .len = f->args_bytes, .cap = (size_t)f->args_bytes + 1};
    if (f->data_bytes > p->room) {
        return client_break(g, ST_FORMAT, "the store sent more than was asked for");
    }
    if (!read_bytes(g, p->data, f->data_bytes)) {
        return lost(g);
    }
    p->data_len = f->data_bytes;
    if (g->passed_lost) { /* whose they were is not known, so none can be given out any more */
        return client_break(g, ST_FORMAT, "the store sent more than was asked for");
    }
    unsigned passed = 0;
    if (!passed_with(f->kind, p->data, p->data_len, &passed)) {
        return client_break(g, ST_FORMAT, "an answer that is malformed");
    }
    take_passed(g, p, passed);
    bool intact = hash_crc32c(0, p->data, f->data_bytes) == f->data_crc;
    pthread_mutex_lock(&g->m);
    p->status = intact ? ST_OK
                       : error_set(&p->err, ST_CORRUPT, ERROR_NO_OFFSET,
                                   "bytes were changed between the store and here");
    finish_locked(g, p);
    pthread_mutex_unlock(&g->m);
    return ST_OK;
}

/* Read one frame and give it to whom it belongs. */
static status_t read_one(struct geds *g)
{
    uint8_t head[RPC_HEADER_BYTES];
    struct rpc_frame f;
    struct error err;
    if (!read_bytes(g, head, sizeof head)) {
        return lost(g);
    }
    status_t st = rpc_frame_decode(head, &f, &err);
    if (st != ST_OK) {
        return client_break(g, st, err.text);
    }
    if (f.id == 0) {
        return told_off(g, &f);
    }
    struct pending *p = find(g, f.id);
    return p == NULL || (f.flags & RPC_ANSWER) == 0
               ? client_break(g, ST_FORMAT, "an answer that nobody asked for")
               : read_answer(g, p, &f);
}

/* Caller holds m. Somebody else goes on reading: who waits for an answer, or else who waits for room
 * to send. All others may be waiting to send behind that one. */
static void stop_reading(struct geds *g)
{
    g->reading = false;
    struct pending *p = g->pendings;
    while (p != NULL && !p->waiting) {
        p = p->next;
    }
    if (p != NULL) {
        pthread_cond_signal(&p->changed);
    } else if (g->sender_waits) {
        const uint64_t one = 1;
        ssize_t ignored = write(g->wake_fd, &one, sizeof one);
        (void)ignored;
    }
}

/* Sending. */

/* Until the socket takes something again, or reading is free to be taken. */
static bool wait_while_read_for(struct geds *g)
{
    uint64_t ignored;
    struct pollfd p[2] = {{.fd = g->fd, .events = POLLOUT}, {.fd = g->wake_fd, .events = POLLIN}};
    int n = poll(p, 2, -1);
    bool good = n >= 0 || errno == EINTR;
    pthread_mutex_lock(&g->m);
    g->sender_waits = false;
    pthread_mutex_unlock(&g->m);
    if (read(g->wake_fd, &ignored, sizeof ignored) < 0 && errno != EAGAIN) {
        good = false;
    }
    return good && (n <= 0 || (p[0].revents & POLLERR) == 0);
}

/* Until the socket takes something again, or sooner. Meanwhile answers are read, so that the other side is not kept
 * waiting. */
static bool wait_for_room(struct geds *g)
{
    pthread_mutex_lock(&g->m);
    bool mine = !g->reading && !g->broken;
    g->reading |= mine;
    g->sender_waits = !mine;
    pthread_mutex_unlock(&g->m);
    if (!mine) {
        return wait_while_read_for(g);
    }
    struct pollfd p = {.fd = g->fd, .events = POLLOUT | POLLIN};
    bool there = g->input_at < g->input_end; /* an answer that was read along with another */
    int n = there ? 0 : poll_patiently(g, &p);
    bool good = there || n > 0;
    if (there || (n > 0 && (p.revents & POLLOUT) == 0)) {
        good = read_one(g) == ST_OK;
    }
    pthread_mutex_lock(&g->m);
    stop_reading(g);
    pthread_mutex_unlock(&g->m);
    return good && (p.revents & POLLERR) == 0;
}

static bool send_all(struct geds *g, struct iovec *parts, size_t count)
{
    while (count > 0) {
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t n = sendmsg(g->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            if (!wait_for_room(g)) {
                return false;
            }
            continue;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        size_t left = n > 0 ? (size_t)n : 0;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return true;
}

static status_t pending_add(struct geds *g, struct pending *p)
{
    pthread_mutex_lock(&g->m);
    if (g->broken) {
        p->done = true;
        bool why = g->why.code != ST_IO; /* else it is the same text */
        p->status = error_set(&p->err, ST_IO, ERROR_NO_OFFSET, "%s%s%s", lost_text, why ? ": " : "",
                              why ? g->why.text : "");
    } else {
        do {
            g->last_id++;
        } while (g->last_id == 0);
        p->id = g->last_id;
        p->next = g->pendings;
        g->pendings = p;
    }
    status_t st = p->status;
    pthread_mutex_unlock(&g->m);
    return st;
}

static void send_frame(struct geds *g, struct pending *p, uint16_t kind, const struct buf *args,
                       const struct outgoing *o)
{
    uint8_t head[RPC_HEADER_BYTES];
    p->last_part = &p->parts;
    pthread_cond_init(&p->changed, NULL);
    if (args->failed || args->len > RPC_ARGS_MAX || o->len > RPC_DATA_MAX) {
        p->done = true;
        p->status = error_set(&p->err, args->failed ? ST_NOMEM : ST_INVAL, ERROR_NO_OFFSET,
                              args->failed ? "out of memory, or a name is too long"
                                           : "more than a request can have");
        return;
    }
    if (pending_add(g, p) != ST_OK) {
        return;
    }
    const struct rpc_frame f = {.args_bytes = (uint32_t)args->len,
                                .data_bytes = (uint32_t)o->len,
                                .id = p->id,
                                .lane = o->lane,
                                .room = p->room,
                                .kind = kind,
                                .args_crc = hash_crc32c(0, args->data, args->len),
                                .data_crc = hash_crc32c(0, o->data, o->len)};
    rpc_frame_encode(&f, head);
    struct iovec parts[3] = {
        {head, sizeof head}, {args->data, args->len}, {(void *)(uintptr_t)o->data, o->len}};
    pthread_mutex_lock(&g->send_lock);
    bool good = send_all(g, parts, 3);
    pthread_mutex_unlock(&g->send_lock);
    if (!good) {
        /* the reason may be there to be read: client_wait does, and finds the end otherwise */
        shutdown(g->fd, SHUT_WR);
    }
}

void client_send_hello(struct geds *g, struct pending *p, const char *token)
{
    struct buf args = {0};
    rpc_hello_encode(RPC_VERSION, RPC_VERSION, &args);
    if (token[0] != '\0') {
        buf_text(&args, token);
    }
    send_frame(g, p, RPC_HELLO, &args, &(struct outgoing){0});
    buf_done(&args);
}

void client_send(struct geds *g, struct pending *p, enum geds_op op, const struct geds_request *r,
                 const struct outgoing *o)
{
    static const struct outgoing none;
    struct buf args = {0};
    go_on(g);
    geds_request_encode(op, r, &args);
    send_frame(g, p, (uint16_t)op, &args, o != NULL ? o : &none);
    buf_done(&args);
}

status_t client_wait(struct geds *g, struct pending *p,
                     void (*part)(void *arg, const struct answer_part *part), void *arg,
                     struct error *err)
{
    pthread_mutex_lock(&g->m);
    while (!p->done || p->parts != NULL) {
        struct answer_part *first = p->parts;
        if (first != NULL) {
            if ((p->parts = first->next) == NULL) {
                p->last_part = &p->parts;
            }
            pthread_mutex_unlock(&g->m);
            if (part != NULL) {
                part(arg, first);
            }
            free(first);
            pthread_mutex_lock(&g->m);
        } else if (g->reading) {
            p->waiting = true;
            pthread_cond_wait(&p->changed, &g->m);
            p->waiting = false;
        } else {
            g->reading = true;
            pthread_mutex_unlock(&g->m);
            status_t ignored = read_one(g); /* a failure ends p as well */
            (void)ignored;
            pthread_mutex_lock(&g->m);
            stop_reading(g);
        }
    }
    status_t st = p->status;
    pthread_mutex_unlock(&g->m);
    if (st != ST_OK && err != NULL) {
        *err = p->err;
    }
    return st;
}

status_t pending_decode(struct pending *p, enum geds_op op, struct arena *arena,
                        struct geds_answer *ret_answer, struct error *err)
{
    struct cursor c;
    cursor_init(&c, p->args.data, p->args.len, 0);
    status_t st = rpc_result_decode(&c, err);
    return st == ST_OK ? geds_answer_decode(op, &c, arena, ret_answer, err) : st;
}

void pending_done(struct pending *p)
{
    pthread_cond_destroy(&p->changed);
    buf_done(&p->args);
    while (p->passed_count > 0) {
        int fd = p->passed[--p->passed_count];
        if (fd >= 0) { /* it was not taken */
            close(fd);
        }
    }
    while (p->parts != NULL) {
        struct answer_part *next = p->parts->next;
        free(p->parts);
        p->parts = next;
    }
}

/* What changes nothing may be asked twice. */
static bool only_reads(enum geds_op op)
{
    static const bool reads[GEDS_OP_END] = {
        [GEDS_STATUS] = true,      [GEDS_BUCKET_STAT] = true, [GEDS_BUCKET_LIST] = true,
        [GEDS_STAT] = true,        [GEDS_OPEN] = true,        [GEDS_LIST] = true,
        [GEDS_TIER_STATUS] = true, [GEDS_EVENTS] = true,      [GEDS_KEYS_LIST] = true,
        [GEDS_NODE_LIST] = true};
    return reads[op];
}

/* Who leads no more has done nothing of it, so it is asked of the next one, unless it is about what was open there. So
 * is a read that was not answered at all. */
static bool ask_again(struct geds *g, struct pending *p, enum geds_op op, bool open_there,
                      status_t st, bool answered, unsigned tries)
{
    bool again = st == ST_MOVED || (st == ST_IO && !answered && only_reads(op));
    if (!again || g->list.count < 2 || open_there || tries > MOVED_TRIES) {
        return false;
    }
    status_t ignored = lost(g);
    (void)ignored;
    pending_done(p);
    *p = (struct pending){.data = p->data, .room = p->room};
    return true;
}

status_t client_call(struct geds *g, struct pending *p, enum geds_op op,
                     const struct geds_request *r, const struct outgoing *o, struct arena *arena,
                     struct geds_answer *ret_answer, struct error *err)
{
    struct geds_answer ignored;
    status_t st;
    bool answered, open_there = r->handle != 0 && op != GEDS_OPEN; /* which opens it anew */
    unsigned tries = 0;
    do {
        client_send(g, p, op, r, o);
        st = client_wait(g, p, NULL, NULL, err);
        answered = st == ST_OK;
        if (answered) {
            st = pending_decode(p, op, arena, ret_answer != NULL ? ret_answer : &ignored, err);
        }
    } while (ask_again(g, p, op, open_there, st, answered, ++tries));
    return st;
}

uint32_t client_new_handle(struct geds *g)
{
    pthread_mutex_lock(&g->m);
    do {
        g->last_handle++;
    } while (g->last_handle == 0);
    uint32_t handle = g->last_handle;
    pthread_mutex_unlock(&g->m);
    return handle;
}

/* Where there are several controllers, a lost connection is the end of what was open on it only. The new one takes the
 * former one's place; nobody uses that: no call is on its way, and no thread reads. */
static void go_on(struct geds *g)
{
    struct geds *fresh = NULL;
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (g->list.count < 2 || (!atomic_load(&g->lost) && client_look(g))) {
        return; /* it stands: else a change on its way to nobody would be one of unknown fate */
    }
    pthread_mutex_lock(&g->m);
    while (g->seeking) {
        pthread_cond_wait(&g->sought, &g->m);
    }
    bool mine = g->broken && g->pendings == NULL && !g->reading;
    g->seeking = mine;
    size_t from = g->at;
    pthread_mutex_unlock(&g->m);
    if (!mine) {
        return;
    }
    status_t st = seek_leading(&g->list, from, &fresh, &err);
    pthread_mutex_lock(&g->send_lock);
    pthread_mutex_lock(&g->m);
    if (st == ST_OK && dup3(fresh->fd, g->fd, O_CLOEXEC) >= 0) {
        drop_passed(g);
        g->passed_lost = false;
        g->input_at = g->input_end = 0;
        g->at = fresh->at;
        g->broken = false;
        atomic_store(&g->lost, false);
    } else if (st != ST_OK) {
        g->why = err;
    }
    g->seeking = false;
    pthread_cond_broadcast(&g->sought);
    pthread_mutex_unlock(&g->m);
    pthread_mutex_unlock(&g->send_lock);
    client_close(fresh);
}

void client_close(struct geds *g)
{
    if (g == NULL) {
        return;
    }
    if (g->leases != NULL) {
        leases_done(g->leases);
        free(g->leases);
    }
    if (g->fd >= 0) {
        close(g->fd);
    }
    if (g->wake_fd >= 0) {
        close(g->wake_fd);
    }
    drop_passed(g);
    pthread_cond_destroy(&g->sought);
    pthread_mutex_destroy(&g->send_lock);
    pthread_mutex_destroy(&g->m);
    free(g);
}
