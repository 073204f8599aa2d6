#include "geds/tier/tier.h"
#include "geds/memory/memory.h"
#include "geds/scrub/scrub.h"

#include "task.h"

/* The tier behind local disk. */

static void take_places(const struct store_places *p, uint64_t *n)
{
    n[GEDS_T_LOCAL_COUNT] = p->local_count;
    n[GEDS_T_LOCAL_BYTES] = p->local_bytes;
    n[GEDS_T_SENT_COUNT] = p->sent_count;
    n[GEDS_T_SENT_BYTES] = p->sent_bytes;
    n[GEDS_T_AWAY_COUNT] = p->away_count;
    n[GEDS_T_AWAY_BYTES] = p->away_bytes;
    n[GEDS_T_GONE_COUNT] = p->gone_count;
    n[GEDS_T_GONE_BYTES] = p->gone_bytes;
    n[GEDS_T_KEPT_COUNT] = p->kept_count;
    n[GEDS_T_KEPT_BYTES] = p->kept_bytes;
    n[GEDS_T_EAGER_COUNT] = p->eager_count;
    n[GEDS_T_EAGER_BYTES] = p->eager_bytes;
    n[GEDS_T_LOCAL_READS] = p->local_reads;
    n[GEDS_T_REMOTE_READS] = p->remote_reads;
    n[GEDS_T_CACHE_HITS] = p->cache_hits;
    n[GEDS_T_CACHE_BYTES] = p->cache_bytes;
    n[GEDS_T_FETCHED_BYTES] = p->fetched_bytes;
    n[GEDS_T_RECALLED_COUNT] = p->recalled_count;
    n[GEDS_T_RECALLED_BYTES] = p->recalled_bytes;
    n[GEDS_T_DAMAGED] = p->damaged;
}

static void take_status(const struct tier_status *s, uint64_t *n)
{
    take_places(&s->places, n);
    n[GEDS_T_CACHE_MAX] = s->cache_max_bytes;
    n[GEDS_T_SPILLED_COUNT] = s->sent_count;
    n[GEDS_T_SPILLED_BYTES] = s->sent_bytes;
    n[GEDS_T_DROPPED_COUNT] = s->dropped_count;
    n[GEDS_T_DROPPED_BYTES] = s->dropped_bytes;
    n[GEDS_T_DELETED_COUNT] = s->deleted_count;
    n[GEDS_T_REPAIRED] = s->repaired_count;
    n[GEDS_T_BAD] = s->bad_count;
    n[GEDS_T_ERRORS] = s->errors;
    n[GEDS_T_HIGH_BYTES] = s->high_bytes;
    n[GEDS_T_LOW_BYTES] = s->low_bytes;
    n[GEDS_T_BACKLOG_BYTES] = s->backlog_bytes;
    n[GEDS_T_SPILL_RATE] = s->send_rate;
    n[GEDS_T_READ_RATE] = s->read_rate;
    n[GEDS_T_AWAY_SINCE_NS] = s->away_since_ns;
}

static void take_memory(struct memory *memory, uint64_t *n)
{
    static const uint64_t limits[] = {[MEMORY_NOT_LIMITED] = GEDS_MEMORY_NOT_LIMITED,
                                      [MEMORY_LOCK_LIMIT] = GEDS_MEMORY_LOCK_LIMIT,
                                      [MEMORY_NONE_FREE] = GEDS_MEMORY_NONE_FREE};
    struct memory_status s = {0};
    if (memory != NULL) {
        memory_status(memory, &s);
    }
    n[GEDS_T_MEMORY_BUDGET] = s.budget_bytes;
    n[GEDS_T_MEMORY_LIMIT_BYTES] = s.limit_bytes;
    n[GEDS_T_MEMORY_LIMIT] = limits[s.limit];
    n[GEDS_T_MEMORY_COUNT] = s.extents;
    n[GEDS_T_MEMORY_BYTES] = s.bytes;
    n[GEDS_T_MEMORY_WAITING] = s.waiting;
    n[GEDS_T_MEMORY_PROMOTED] = s.promoted;
    n[GEDS_T_MEMORY_PROMOTED_BYTES] = s.promoted_bytes;
    n[GEDS_T_MEMORY_EVICTED] = s.evicted;
    n[GEDS_T_MEMORY_EVICTED_BYTES] = s.evicted_bytes;
    n[GEDS_T_MEMORY_LEFT] = s.left;
    n[GEDS_T_MEMORY_READS] = s.memory_reads;
    n[GEDS_T_DISK_READS] = s.disk_reads;
}

static void take_scrub(struct scrub *scrub, uint64_t *n)
{
    struct scrub_status s = {0};
    if (scrub != NULL) {
        scrub_status(scrub, &s);
    }
    n[GEDS_T_SCRUB_RATE] = s.bytes_per_s;
    n[GEDS_T_SCRUB_COUNT] = s.extents;
    n[GEDS_T_SCRUB_BYTES] = s.bytes;
    n[GEDS_T_SCRUB_DAMAGED] = s.damaged;
    n[GEDS_T_SCRUB_WITHOUT_COPY] = s.without_copy;
    n[GEDS_T_SCRUB_PASSES] = s.passes;
    n[GEDS_T_SCRUB_BEGAN_NS] = s.began_ns;
    n[GEDS_T_SCRUB_ENDED_NS] = s.ended_ns;
}

status_t serve_tier_status(struct task *t)
{
    const struct serve_context *c = t->session->context;
    struct geds_wire_tier w = {.name = c->tier_name, .endpoint = c->tier_endpoint};
    struct tier_status s = {0};
    status_t st = c->tier != NULL ? tier_status(c->tier, &s, &t->err)
                                  : store_places(t->store, &s.places, &t->err);
    if (st != ST_OK) {
        return st;
    }
    take_status(&s, w.numbers);
    take_memory(c->memory, w.numbers);
    take_scrub(c->scrub, w.numbers);
    w.error = s.last_error[0] != '\0' ? s.last_error : NULL;
    geds_tier_encode(&w, &t->out->data);
    return t->out->data.len <= t->rpc->room
               ? ST_OK
               : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "needs room for %zu bytes",
                           t->out->data.len);
}

status_t serve_tier_keep(struct task *t)
{
    static const enum store_keep keeps[] = {[GEDS_KEEP_WATERMARK] = STORE_KEEP_UNTIL_FULL,
                                            [GEDS_KEEP_NEVER] = STORE_KEEP_HERE,
                                            [GEDS_KEEP_EAGER] = STORE_KEEP_BOTH};
    enum store_keep keep = STORE_KEEP_UNTIL_FULL;
    uint32_t what = t->request.flags;
    status_t st = ST_OK;
    if (what > GEDS_KEEP_ASK) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such rule: %u", what);
    }
    if (what != GEDS_KEEP_ASK) {
        st = store_bucket_set_keep(t->store, t->request.bucket, keeps[what], &t->err);
    }
    if (st == ST_OK) {
        st = store_bucket_keep(t->store, t->request.bucket, &keep, &t->err);
    }
    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
        t->answer.numbers[GEDS_N_COUNT] = keeps[i] == keep ? i : t->answer.numbers[GEDS_N_COUNT];
    }
    return st;
}

status_t serve_tier_memory(struct task *t)
{
    bool memory = false;
    uint32_t what = t->request.flags;
    status_t st = ST_OK;
    if (what > GEDS_MEMORY_ASK) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such rule: %u", what);
    }
    if (what != GEDS_MEMORY_ASK) {
        st = store_bucket_set_memory(t->store, t->request.bucket, what == GEDS_MEMORY_ON, &t->err);
    }
    if (st == ST_OK) {
        st = store_bucket_memory(t->store, t->request.bucket, &memory, &t->err);
    }
    t->answer.numbers[GEDS_N_COUNT] = memory;
    return st;
}
