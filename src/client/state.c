#include "client/state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "conn.h"

struct copying {
    int fd;
    uint64_t bytes;
    uint32_t crc;
    int errnum;
};

static void take_part(void *arg, const struct answer_part *part)
{
    struct copying *c = arg;
    c->bytes += part->len;
    c->crc = hash_crc32c(c->crc, part->data, part->len);
    for (size_t done = 0; done < part->len && c->errnum == 0;) {
        ssize_t n = write(c->fd, part->data + done, part->len - done);
        if (n < 0 && errno != EINTR) {
            c->errnum = errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

status_t client_state_copy(const char *address, int fd, struct error *err)
{
    struct geds *g = NULL;
    struct copying c = {.fd = fd};
    struct arena arena = {0};
    struct geds_answer a;
    status_t st = client_open(address, &g, err);
    if (st != ST_OK) {
        return st;
    }
    struct pending p = {.data = malloc(RPC_DATA_MAX), .room = RPC_DATA_MAX};
    if (p.data == NULL) {
        client_close(g);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    client_send(g, &p, GEDS_STATE_COPY, &(struct geds_request){0}, NULL);
    st = client_wait(g, &p, take_part, &c, err);
    if (st == ST_OK) {
        st = pending_decode(&p, GEDS_STATE_COPY, &arena, &a, err);
    }
    if (st == ST_OK && c.errnum != 0) {
        st = error_set_errno(err, c.errnum, "copy of the database");
    }
    if (st == ST_OK &&
        (a.numbers[GEDS_N_STATE_BYTES] != c.bytes || a.numbers[GEDS_N_STATE_CRC] != c.crc)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                       "the copy of the database was damaged on its way");
    }
    pending_done(&p);
    free(p.data);
    arena_done(&arena);
    client_close(g);
    return st;
}
