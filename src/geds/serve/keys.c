#include "geds/crypt.h"

#include <stdlib.h>

#include "sys/clock.h"
#include "task.h"

/* Master keys, and what is encrypted. */

#define TELL_EVERY_NS 200000000ULL

status_t serve_keys_list(struct task *t)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    status_t st = store_keys(t->store, &keys, &count, &t->err);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < count; i++) {
        const struct geds_wire_key k = {
            .id = keys[i].id,
            .extents = keys[i].extents,
            .flags = (uint8_t)((keys[i].is_there ? GEDS_KEY_THERE : 0) |
                               (keys[i].is_newest ? GEDS_KEY_NEWEST : 0))};
        geds_key_encode(&k, &t->out->data);
    }
    free(keys);
    return t->out->data.len <= t->rpc->room
               ? ST_OK
               : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "needs room for %zu bytes",
                           t->out->data.len);
}

/* Who rotates is told now and then how far it is. That he is gone does not end it. */
struct telling {
    struct task *task;
    uint64_t told_ns;
};

static bool tell(void *arg, const struct store_rewrap *so_far)
{
    struct telling *l = arg;
    struct rpc_answer answer = {0};
    const struct geds_answer none = {0};
    uint64_t now = clock_monotonic_ns();
    if (now - l->told_ns < TELL_EVERY_NS || !rpc_reply_is_wanted(l->task->reply)) {
        return true;
    }
    l->told_ns = now;
    rpc_result_encode(ST_OK, NULL, &answer.args);
    geds_answer_encode(GEDS_KEYS_CHANGE, &none, &answer.args);
    buf_le64(&answer.data, so_far->done);
    buf_le64(&answer.data, so_far->missing);
    if (task_reply_more(l->task, &answer) != ST_OK) {
        buf_done(&answer.args);
        buf_done(&answer.data);
    }
    return true;
}

status_t serve_keys_change(struct task *t)
{
    struct telling l = {.task = t, .told_ns = clock_monotonic_ns()};
    struct store_rewrap n = {0};
    uint64_t id = 0;
    if (t->request.flags == GEDS_KEYS_DROP) {
        return store_keys_drop(t->store, t->request.offset, &t->err);
    }
    if (t->request.flags != GEDS_KEYS_ROTATE) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such change of keys: %u",
                         t->request.flags);
    }
    status_t st = store_keys_rotate(t->store, &id, &t->err);
    if (st == ST_OK) {
        st = store_keys_rewrap(t->store, tell, &l, &n, &t->err);
    }
    t->answer.numbers[GEDS_N_KEY] = id;
    t->answer.numbers[GEDS_N_REWRAPPED] = n.done;
    t->answer.numbers[GEDS_N_KEYLESS] = n.missing;
    return st;
}

status_t serve_bucket_encrypt(struct task *t)
{
    bool encrypt = false;
    uint32_t what = t->request.flags;
    status_t st = ST_OK;
    if (what > GEDS_ENCRYPT_ASK) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such rule: %u", what);
    }
    if (what != GEDS_ENCRYPT_ASK) {
        st = store_bucket_set_encrypt(t->store, t->request.bucket, what == GEDS_ENCRYPT_ON,
                                      &t->err);
    }
    if (st == ST_OK) {
        st = store_bucket_encrypt(t->store, t->request.bucket, &encrypt, &t->err);
    }
    t->answer.numbers[GEDS_N_COUNT] = encrypt;
    return st;
}
