#include <stdlib.h>

#include "geds/memory/memory.h"
#include "geds/peer/peers.h"
#include "geds/tier/tier.h"
#include "sys/clock.h"
#include "task.h"

/* Bytes of objects that go from one place to another because somebody asked for it. */

#define TELL_EVERY_NS 200000000ULL

/* Who moves much is told now and then how much. */
struct telling {
    struct task *task;
    uint64_t told_ns;
};

static bool tell(void *arg, const struct tier_moved *moved)
{
    struct telling *l = arg;
    struct rpc_answer answer = {0};
    const struct geds_answer none = {0};
    uint64_t now = clock_monotonic_ns();
    if (!rpc_reply_is_wanted(l->task->reply)) {
        return false;
    }
    if (now - l->told_ns < TELL_EVERY_NS) {
        return true;
    }
    l->told_ns = now;
    rpc_result_encode(ST_OK, NULL, &answer.args);
    geds_answer_encode(GEDS_TIER_MOVE, &none, &answer.args);
    buf_le64(&answer.data, moved->objects);
    buf_le64(&answer.data, moved->extents);
    buf_le64(&answer.data, moved->bytes);
    buf_le64(&answer.data, moved->kept);
    if (task_reply_more(l->task, &answer) != ST_OK) {
        buf_done(&answer.args);
        buf_done(&answer.data);
        return false;
    }
    return true;
}

/* A move to a place that is no tier. */
struct relocation {
    struct task *task;
    uint32_t what; /* GEDS_MOVE_LOCAL, ... */
    const char *bucket;
    uint64_t number; /* of the bucket */
    struct memory_wish wish;
    struct telling telling;
    struct tier_moved moved;
};

static status_t look_for_end(struct relocation *r, struct error *err)
{
    return tell(&r->telling, &r->moved) ? ST_OK
                                        : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
}

static bool is_wanted(void *arg)
{
    const struct relocation *r = arg;
    return rpc_reply_is_wanted(r->task->reply);
}

/* It may be gone, or have gone to the tier again before it was mapped. */
static status_t warm(struct relocation *r, const struct store_extent *x, bool *ret_came,
                     struct error *err)
{
    struct memory *memory = r->task->session->context->memory;
    struct store_extent after = {0};
    status_t st = memory_bring(memory, &r->wish, r->number, x->id, x->bytes, ret_came, err);
    if (st == ST_NOTFOUND && store_extent_get(r->task->store, x->id, &after, NULL) == ST_OK) {
        buf_done(&after.sums);
        st = after.uses > 0 ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                                        "extent %016llx went away again while it came to memory",
                                        (unsigned long long)x->id)
                            : st;
    }
    return st;
}

/* At all places that this is about, its bytes are local. ST_NOTFOUND: the extent is gone. */
static status_t place_extent(struct relocation *r, uint64_t id, struct error *err)
{
    const struct serve_context *c = r->task->session->context;
    struct store_extent x = {0};
    bool moved = false, more = false;
    status_t st = store_extent_get(r->task->store, id, &x, err);
    buf_done(&x.sums);
    if (st == ST_OK && (x.place & STORE_PLACE_AWAY) != 0) {
        st = store_extent_recall(r->task->store, id, err);
        moved = st == ST_OK;
    }
    if (st == ST_OK && r->what == GEDS_MOVE_NODES) {
        st = peers_make(c->peers, id, is_wanted, r, &more, err);
    } else if (st == ST_OK && r->what == GEDS_MOVE_MEMORY) {
        st = warm(r, &x, &more, err);
    } else if (st == ST_OK && c->memory != NULL) {
        memory_send_away(c->memory, id);
    }
    r->moved.extents += moved || more;
    r->moved.bytes += moved || more ? x.bytes : 0;
    return st;
}

static status_t place_object(void *arg, const char *key, struct error *err)
{
    struct relocation *r = arg;
    uint64_t *ids = NULL;
    size_t count = 0;
    status_t st = store_object_extents(r->task->store, r->bucket, key, &ids, &count, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = place_extent(r, ids[i], err);
        st = st == ST_NOTFOUND ? ST_OK : st; /* the object was replaced */
        if (st == ST_OK) {
            st = look_for_end(r, err);
        }
    }
    free(ids);
    r->moved.objects += st == ST_OK;
    return st;
}

/* Nodes that copies can be on, be they away for the moment. */
static status_t count_nodes(struct task *t, size_t *ret_count)
{
    struct peers_status *s = arena_alloc(&t->arena, 1, sizeof *s);
    if (s == NULL) {
        return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = peers_status(t->session->context->peers, s, &t->err);
    for (size_t i = 0; i < s->count && st == ST_OK; i++) {
        *ret_count += s->nodes[i].state == PEER_UP || s->nodes[i].state == PEER_AWAY;
    }
    return st;
}

static status_t check_copies(struct task *t, uint32_t copies)
{
    size_t count = 0;
    if (t->session->context->peers == NULL) {
        return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "this store takes no nodes");
    }
    if (copies < 1 || copies > STORE_REPLICAS_MAX) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%u copies: 1 to %d can be", copies,
                         STORE_REPLICAS_MAX);
    }
    status_t st = count_nodes(t, &count);
    if (st == ST_OK && copies > 1 && count == 0) {
        return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "the store has no nodes (`cloudskin node` is one)");
    }
    return st == ST_OK && copies > count + 1
               ? error_set(&t->err, ST_AGAIN, ERROR_NO_OFFSET,
                           "%u copies need %u nodes beside the store: it has %zu", copies,
                           copies - 1, count)
               : st;
}

/* What is wanted is in the rows before the first copy is made: what does not come to its end here is gone on with as
 * other missing copies are. */
static status_t relocate(struct relocation *r, const char *key, bool is_prefix, uint32_t copies)
{
    struct task *t = r->task;
    struct peers *peers = t->session->context->peers;
    status_t st = ST_OK;
    if (r->what == GEDS_MOVE_MEMORY && t->session->context->memory == NULL) {
        return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "the store keeps nothing in memory (`cloudskin up --memory`)");
    }
    if (r->what == GEDS_MOVE_MEMORY) {
        st = store_bucket_number(t->store, r->bucket, &r->number, &t->err);
    }
    if (r->what == GEDS_MOVE_NODES) {
        st = check_copies(t, copies);
        if (st == ST_OK) {
            st = store_objects_set_replicas(t->store, r->bucket, key, is_prefix, copies, is_wanted,
                                            r, &t->err);
        }
    }
    if (st == ST_OK) {
        st = is_prefix ? store_each(t->store, r->bucket, key, place_object, r, &t->err)
                       : place_object(r, key, &t->err);
    }
    if (r->what == GEDS_MOVE_NODES && peers != NULL) {
        peers_wake(peers);
    }
    return st;
}

/* Spill, recall, pin. */
static status_t move(struct task *t, uint32_t what, const char *key, bool is_prefix,
                     struct tier_moved *ret_moved)
{
    static const enum tier_move moves[] = {[GEDS_MOVE_SPILL] = TIER_SPILL,
                                           [GEDS_MOVE_RECALL] = TIER_RECALL,
                                           [GEDS_MOVE_PIN] = TIER_PIN,
                                           [GEDS_MOVE_UNPIN] = TIER_UNPIN};
    struct tier *tier = t->session->context->tier;
    struct telling l = {.task = t, .told_ns = clock_monotonic_ns()};
    return tier != NULL ? tier_move(tier, moves[what], t->request.bucket, key, is_prefix, tell, &l,
                                    ret_moved, &t->err)
                        : tier_move_without(t->store, moves[what], t->request.bucket, key,
                                            is_prefix, tell, &l, ret_moved, &t->err);
}

status_t serve_tier_move(struct task *t)
{
    struct relocation r = {.task = t,
                           .what = t->request.flags & GEDS_MOVE_WHAT,
                           .bucket = t->request.bucket,
                           .wish = {.goes_on = is_wanted, .arg = &r},
                           .telling = {.task = t, .told_ns = clock_monotonic_ns()}};
    uint32_t copies = t->request.flags >> GEDS_MOVE_COPIES_SHIFT;
    bool is_prefix = (t->request.flags & GEDS_MOVE_PREFIX) != 0;
    const char *key = t->request.prefix != NULL ? t->request.prefix : "";
    if (r.what > GEDS_MOVE_NODES || (copies != 0 && r.what != GEDS_MOVE_NODES)) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such move: %u", t->request.flags);
    }
    status_t st = store_wait_begin(t->store, &t->err);
    if (st == ST_OK) {
        st = r.what < GEDS_MOVE_LOCAL ? move(t, r.what, key, is_prefix, &r.moved)
                                      : relocate(&r, key, is_prefix, copies);
        store_wait_end(t->store);
    }
    t->answer.numbers[GEDS_N_MOVED_OBJECTS] = r.moved.objects;
    t->answer.numbers[GEDS_N_MOVED_EXTENTS] = r.moved.extents;
    t->answer.numbers[GEDS_N_MOVED_BYTES] = r.moved.bytes;
    t->answer.numbers[GEDS_N_MOVED_KEPT] = r.moved.kept;
    return st;
}
