#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "geds/shared.h"
#include "task.h"

/* The database of a store that controllers share, for one that joins them (docs/internals/geds-etcd.md). */

/* A file without a name, but for the moment in which it is made. */
static status_t make_copy(struct task *t, int *ret_fd)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/copy", t->session->context->state);
    status_t st = store_copy_state(t->store, path, &t->err);
    if (st != ST_OK) {
        return st;
    }
    if ((*ret_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        st = error_set_errno(&t->err, errno, "%s", path);
    }
    int ignored = unlink(path);
    (void)ignored;
    if (st != ST_OK) { /* from now on the next one may make a file of that name */
        store_copied(t->store);
    }
    return st;
}

static status_t send_piece(struct task *t, int fd, uint64_t off, uint32_t *crc, size_t *ret_len)
{
    struct rpc_answer answer = {0};
    uint8_t *piece = malloc(RPC_DATA_MAX);
    ssize_t n = piece != NULL ? pread(fd, piece, RPC_DATA_MAX, (off_t)off) : 0;
    status_t st = piece == NULL ? error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory")
                  : n < 0       ? error_set_errno(&t->err, errno, "copy of the database")
                                : ST_OK;
    *ret_len = n > 0 ? (size_t)n : 0;
    if (st == ST_OK && n > 0) {
        *crc = hash_crc32c(*crc, piece, (size_t)n);
        rpc_result_encode(ST_OK, NULL, &answer.args);
        geds_answer_encode(GEDS_STATE_COPY, &t->answer, &answer.args);
        buf_bytes(&answer.data, piece, (size_t)n);
        st = task_reply_more(t, &answer);
        if (st != ST_OK) {
            error_set(&t->err, st, ERROR_NO_OFFSET, "the connection is lost");
            buf_done(&answer.args);
            buf_done(&answer.data);
        }
    }
    free(piece);
    return st;
}

/* Data of each answer but the last, and then how many bytes they are and their checksum. */
status_t serve_state_copy(struct task *t)
{
    struct shared_state state;
    uint64_t off = 0;
    uint32_t crc = 0;
    size_t len = 1;
    int fd = -1;
    status_t st = store_shared_state(t->store, &state, &t->err);
    if (st == ST_NOTFOUND) {
        return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "this store is not shared with other controllers");
    }
    if (st == ST_OK) {
        st = make_copy(t, &fd);
    }
    while (st == ST_OK && len > 0) {
        st = rpc_reply_is_wanted(t->reply)
                 ? send_piece(t, fd, off, &crc, &len)
                 : error_set(&t->err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
        off += len;
    }
    if (fd >= 0) {
        close(fd);
        store_copied(t->store);
    }
    t->answer.numbers[GEDS_N_STATE_BYTES] = off;
    t->answer.numbers[GEDS_N_STATE_CRC] = crc;
    return st;
}
