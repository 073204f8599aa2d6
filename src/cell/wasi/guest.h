#ifndef CELL_WASI_GUEST_H
#define CELL_WASI_GUEST_H

#include <sys/uio.h>

#include "state.h"

/* What the functions of the ABI share: guest memory, vectors, prototypes.
 *
 * Guest memory is checked at each use and read once: other threads of the guest may change it between a
 * check and its use. A touch of it may end the call by a trap (pages that the guest protected itself), so
 * no lock, no heap block and no bare host descriptor is held meanwhile. */

#define WASI_FUNCTION(name, sig, ...) \
    int32_t wasi_##name(void *ctx, void *env __VA_OPT__(, ) __VA_ARGS__);
#define WASI_PREVIEW1_ONLY(name, sig, ...) WASI_FUNCTION(name, sig, __VA_ARGS__)
#define WASI_VARIANT(name, sig, ...)      \
    WASI_FUNCTION(name, sig, __VA_ARGS__) \
    WASI_FUNCTION(unstable_##name, sig, __VA_ARGS__)
#define WASI_VOID_FUNCTION(name, sig, ...) void wasi_##name(void *ctx, void *env, __VA_ARGS__);
#include "functions.def"
#undef WASI_FUNCTION
#undef WASI_PREVIEW1_ONLY
#undef WASI_VARIANT
#undef WASI_VOID_FUNCTION

/* Copy a path to path[WASI_PATH_BYTES_MAX + 1] and end it with a NUL.
 * WASI_FAULT; WASI_NAMETOOLONG; WASI_ILSEQ for a NUL inside. */
enum wasi_errno guest_path(void *ctx, uint32_t addr, uint32_t len, char *path);

/* The vectors of one call: copied and checked at its start, then used up in pieces. */
struct guest_iovs {
    uint8_t raw[WASI_IOVS_MAX * IOVEC_BYTES];
    uint32_t count;
    uint32_t index; /* the first that is not used up */
    uint32_t used;  /* bytes used of that one */
    uint64_t left;  /* bytes not used up of all together */
};

enum { PIECE_IOVS_MAX = 64 };

struct piece {
    struct iovec iovs[PIECE_IOVS_MAX];
    int count;
    size_t bytes;
};

/* WASI_INVAL above WASI_IOVS_MAX vectors or 4 GiB together; WASI_FAULT. */
enum wasi_errno guest_iovs_load(void *ctx, uint32_t addr, uint32_t count,
                                struct guest_iovs *ret_iovs);
/* The next bytes_max bytes at most, without using them up. WASI_FAULT. */
enum wasi_errno guest_iovs_piece(void *ctx, const struct guest_iovs *g, size_t bytes_max,
                                 struct piece *ret_piece);
void guest_iovs_advance(struct guest_iovs *g, size_t bytes);

/* Wait until one of events (poll.h) is there. WASI_INTR when the guest has to unwind. */
enum wasi_errno io_wait(void *ctx, int host_fd, short events);

#define IO_AT_OFFSET UINT64_MAX /* at the file's own offset, which moves */

struct io_request {
    uint64_t offset; /* IO_AT_OFFSET, or a place in the file */
    int recv_flags;  /* MSG_* for sockets */
    bool truncated;  /* out: a datagram was longer */
};

/* Read into or write from the vectors in pieces. *ret_bytes is what was moved before an error or a request;
 * an error is given only when nothing was moved. WASI_INTR as well when the cell is captured meanwhile: w then knows
 * how much was moved, and the call goes on behind that when it is made again. */
enum wasi_errno io_read(void *ctx, struct wasi *w, const struct file_use *u, struct guest_iovs *g,
                        struct io_request *req, uint32_t *ret_bytes);
enum wasi_errno io_write(void *ctx, struct wasi *w, const struct file_use *u, struct guest_iovs *g,
                         struct io_request *req, uint32_t *ret_bytes);

/* The result of a function that did nothing but wait: the call is made again when the cell was captured meanwhile. */
static inline enum wasi_errno guest_waited(void *ctx, enum wasi_errno e)
{
    if (e == WASI_INTR) {
        (void)host_wait_again(ctx);
    }
    return e;
}

/* The host's clock for a WASI clock id that has one. */
bool clock_host_id(uint32_t id, int *ret_host_id);
/* Nanoseconds of a host clock. */
uint64_t clock_now_ns(int host_id);
/* The guest's monotonic time now: the host's, moved so that it went on at a restore. Any thread. */
uint64_t clock_guest_ns(const struct wasi *w);
/* The host's monotonic time at the guest's monotonic time guest_ns: 0 when that lies in front of it, UINT64_MAX when
 * there is none. Any thread. */
uint64_t clock_host_deadline_ns(const struct wasi *w, uint64_t guest_ns);

#endif
