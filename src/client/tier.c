#include <stdlib.h>
#include <string.h>

#include "conn.h"

/* The tier behind the store's local disk. */

enum { STATUS_ROOM = 64 * 1024 };

struct watcher {
    void (*progress)(void *arg, const struct geds_moved *moved);
    void *arg;
};

static void hear(void *arg, const struct answer_part *part)
{
    const struct watcher *w = arg;
    struct cursor c;
    struct geds_moved m;
    cursor_init(&c, part->data, part->len, 0);
    m.objects = cursor_le64(&c);
    m.extents = cursor_le64(&c);
    m.bytes = cursor_le64(&c);
    m.kept = cursor_le64(&c);
    if (w->progress != NULL && !c.failed) {
        w->progress(w->arg, &m);
    }
}

static enum geds_code move(struct geds *g, uint32_t what, const char *bucket, const char *key,
                           bool is_prefix, struct watcher w, struct geds_moved *ret_moved,
                           struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct geds_request r = {.bucket = bucket,
                                   .prefix = key,
                                   .flags = what | (is_prefix ? (uint32_t)GEDS_MOVE_PREFIX : 0)};
    status_t st = check_names(bucket, is_prefix ? NULL : key, &inner);
    if (st == ST_OK && is_prefix && strlen(key) > GEDS_KEY_MAX) {
        st = error_set(&inner, ST_INVAL, ERROR_NO_OFFSET, "a prefix of more than %d bytes",
                       GEDS_KEY_MAX);
    }
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    client_send(g, &p, GEDS_TIER_MOVE, &r, NULL);
    st = client_wait(g, &p, hear, &w, &inner);
    if (st == ST_OK) {
        st = pending_decode(&p, GEDS_TIER_MOVE, &arena, &a, &inner);
    }
    if (st == ST_OK && ret_moved != NULL) {
        *ret_moved = (struct geds_moved){.objects = a.numbers[GEDS_N_MOVED_OBJECTS],
                                         .extents = a.numbers[GEDS_N_MOVED_EXTENTS],
                                         .bytes = a.numbers[GEDS_N_MOVED_BYTES],
                                         .kept = a.numbers[GEDS_N_MOVED_KEPT]};
    }
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_pin(struct geds *g, const char *bucket, const char *key, bool is_prefix,
                        bool on, void (*progress)(void *arg, const struct geds_moved *moved),
                        void *arg, struct geds_moved *ret_moved, struct geds_error *err)
{
    return move(g, on ? GEDS_MOVE_PIN : GEDS_MOVE_UNPIN, bucket, key, is_prefix,
                (struct watcher){progress, arg}, ret_moved, err);
}

enum geds_code geds_spill(struct geds *g, const char *bucket, const char *key, bool is_prefix,
                          void (*progress)(void *arg, const struct geds_moved *moved), void *arg,
                          struct geds_moved *ret_moved, struct geds_error *err)
{
    return move(g, GEDS_MOVE_SPILL, bucket, key, is_prefix, (struct watcher){progress, arg},
                ret_moved, err);
}

enum geds_code geds_recall(struct geds *g, const char *bucket, const char *key, bool is_prefix,
                           void (*progress)(void *arg, const struct geds_moved *moved), void *arg,
                           struct geds_moved *ret_moved, struct geds_error *err)
{
    return move(g, GEDS_MOVE_RECALL, bucket, key, is_prefix, (struct watcher){progress, arg},
                ret_moved, err);
}

/* The flags of a place; UINT32_MAX: it is none. */
static uint32_t move_to(const struct geds_location *where)
{
    bool copies = where != NULL && where->copies > 0 && where->copies <= GEDS_REPLICAS_MAX;
    if (where == NULL || copies != (where->where == GEDS_ON_NODES) ||
        (!copies && where->copies != 0)) {
        return UINT32_MAX;
    }
    switch (where->where) {
    case GEDS_IN_MEMORY:
        return GEDS_MOVE_MEMORY;
    case GEDS_ON_DISK:
        return GEDS_MOVE_LOCAL;
    case GEDS_ON_NODES:
        return GEDS_MOVE_NODES | where->copies << GEDS_MOVE_COPIES_SHIFT;
    case GEDS_IN_TIER:
        return GEDS_MOVE_SPILL;
    }
    return UINT32_MAX;
}

enum geds_code geds_relocate(struct geds *g, const char *bucket, const char *key, bool is_prefix,
                             const struct geds_location *where,
                             void (*progress)(void *arg, const struct geds_moved *moved), void *arg,
                             struct geds_moved *ret_moved, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint32_t what = move_to(where);
    if (what == UINT32_MAX) {
        return give_error(error_set(&inner, ST_INVAL, ERROR_NO_OFFSET,
                                    "not a place: one of them, with 1 to %d copies on nodes only",
                                    GEDS_REPLICAS_MAX),
                          &inner, err);
    }
    return move(g, what, bucket, key, is_prefix, (struct watcher){progress, arg}, ret_moved, err);
}

enum geds_code client_rule(struct geds *g, enum geds_op op, const char *bucket, uint32_t what,
                           uint64_t *ret_rule, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, NULL, &inner);
    if (st == ST_OK) {
        st = client_call(g, &p, op, &(struct geds_request){.bucket = bucket, .flags = what}, NULL,
                         &arena, &a, &inner);
        pending_done(&p);
    }
    if (st == ST_OK) {
        *ret_rule = a.numbers[GEDS_N_COUNT];
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

static enum geds_code keep(struct geds *g, const char *bucket, uint32_t what,
                           enum geds_spill_rule *ret_rule, struct geds_error *err)
{
    uint64_t rule = 0;
    enum geds_code code = client_rule(g, GEDS_TIER_KEEP, bucket, what, &rule, err);
    if (code == GEDS_OK && rule >= GEDS_KEEP_ASK) {
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t st = error_set(&inner, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                                "a rule of a later version");
        return give_error(st, &inner, err);
    }
    if (code == GEDS_OK && ret_rule != NULL) {
        *ret_rule = (enum geds_spill_rule)rule;
    }
    return code;
}

enum geds_code geds_bucket_set_spill(struct geds *g, const char *bucket, enum geds_spill_rule rule,
                                     struct geds_error *err)
{
    return keep(g, bucket, (uint32_t)rule, NULL, err);
}

enum geds_code geds_bucket_spill(struct geds *g, const char *bucket, enum geds_spill_rule *ret_rule,
                                 struct geds_error *err)
{
    return keep(g, bucket, GEDS_KEEP_ASK, ret_rule, err);
}

static void give_text(const char *from, char *to, size_t size)
{
    snprintf(to, size, "%s", from != NULL ? from : "");
}

static void give_tier(const struct geds_wire_tier *w, void *to)
{
    struct geds_tier *t = to;
    const uint64_t *n = w->numbers;
    *t = (struct geds_tier){.away_since_ns = n[GEDS_T_AWAY_SINCE_NS],
                            .local_count = n[GEDS_T_LOCAL_COUNT],
                            .local_bytes = n[GEDS_T_LOCAL_BYTES],
                            .copied_count = n[GEDS_T_SENT_COUNT],
                            .copied_bytes = n[GEDS_T_SENT_BYTES],
                            .away_count = n[GEDS_T_AWAY_COUNT],
                            .away_bytes = n[GEDS_T_AWAY_BYTES],
                            .doomed_count = n[GEDS_T_GONE_COUNT],
                            .doomed_bytes = n[GEDS_T_GONE_BYTES],
                            .pinned_count = n[GEDS_T_KEPT_COUNT],
                            .pinned_bytes = n[GEDS_T_KEPT_BYTES],
                            .eager_count = n[GEDS_T_EAGER_COUNT],
                            .eager_bytes = n[GEDS_T_EAGER_BYTES],
                            .high_bytes = n[GEDS_T_HIGH_BYTES],
                            .low_bytes = n[GEDS_T_LOW_BYTES],
                            .backlog_bytes = n[GEDS_T_BACKLOG_BYTES],
                            .cache_bytes = n[GEDS_T_CACHE_BYTES],
                            .cache_max_bytes = n[GEDS_T_CACHE_MAX],
                            .local_reads = n[GEDS_T_LOCAL_READS],
                            .tier_reads = n[GEDS_T_REMOTE_READS],
                            .cache_hits = n[GEDS_T_CACHE_HITS],
                            .fetched_bytes = n[GEDS_T_FETCHED_BYTES],
                            .recalled_count = n[GEDS_T_RECALLED_COUNT],
                            .recalled_bytes = n[GEDS_T_RECALLED_BYTES],
                            .spilled_count = n[GEDS_T_SPILLED_COUNT],
                            .spilled_bytes = n[GEDS_T_SPILLED_BYTES],
                            .dropped_count = n[GEDS_T_DROPPED_COUNT],
                            .dropped_bytes = n[GEDS_T_DROPPED_BYTES],
                            .deleted_count = n[GEDS_T_DELETED_COUNT],
                            .damaged = n[GEDS_T_DAMAGED],
                            .repaired = n[GEDS_T_REPAIRED],
                            .bad = n[GEDS_T_BAD],
                            .errors = n[GEDS_T_ERRORS],
                            .spill_rate = n[GEDS_T_SPILL_RATE],
                            .read_rate = n[GEDS_T_READ_RATE]};
    give_text(w->name, t->name, sizeof t->name);
    give_text(w->endpoint, t->endpoint, sizeof t->endpoint);
    give_text(w->error, t->error, sizeof t->error);
}

/* give gets what the store says. */
static enum geds_code ask(struct geds *g, void (*give)(const struct geds_wire_tier *w, void *to),
                          void *to, struct geds_error *err)
{
    struct pending p = {.room = STATUS_ROOM};
    struct arena arena = {0};
    struct cursor c;
    struct geds_wire_tier w;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    p.data = malloc(STATUS_ROOM);
    if (p.data == NULL) {
        return give_error(error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory"), &inner,
                          err);
    }
    uint8_t *data = p.data;
    status_t st = client_call(g, &p, GEDS_TIER_STATUS, &(struct geds_request){0}, NULL, &arena,
                              NULL, &inner);
    if (st == ST_OK) {
        cursor_init(&c, data, p.data_len, 0);
        if (geds_tier_decode(&c, &w)) {
            give(&w, to);
        }
        st = cursor_status(&c, ST_CORRUPT, &inner);
    }
    pending_done(&p);
    arena_done(&arena);
    free(data);
    return give_error(st, &inner, err);
}

enum geds_code geds_tier_status(struct geds *g, struct geds_tier *ret_tier, struct geds_error *err)
{
    return ask(g, give_tier, ret_tier, err);
}

static void give_memory(const struct geds_wire_tier *w, void *to)
{
    const uint64_t *n = w->numbers;
    struct geds_memory *m = to;
    *m = (struct geds_memory){.budget_bytes = n[GEDS_T_MEMORY_BUDGET],
                              .limit_bytes = n[GEDS_T_MEMORY_LIMIT_BYTES],
                              .count = n[GEDS_T_MEMORY_COUNT],
                              .bytes = n[GEDS_T_MEMORY_BYTES],
                              .waiting = n[GEDS_T_MEMORY_WAITING],
                              .promoted_count = n[GEDS_T_MEMORY_PROMOTED],
                              .promoted_bytes = n[GEDS_T_MEMORY_PROMOTED_BYTES],
                              .evicted_count = n[GEDS_T_MEMORY_EVICTED],
                              .evicted_bytes = n[GEDS_T_MEMORY_EVICTED_BYTES],
                              .left_count = n[GEDS_T_MEMORY_LEFT],
                              .memory_reads = n[GEDS_T_MEMORY_READS],
                              .disk_reads = n[GEDS_T_DISK_READS]};
    m->limit = n[GEDS_T_MEMORY_LIMIT] == GEDS_MEMORY_LOCK_LIMIT  ? GEDS_LOCK_LIMIT
               : n[GEDS_T_MEMORY_LIMIT] == GEDS_MEMORY_NONE_FREE ? GEDS_NO_FREE_MEMORY
                                                                 : GEDS_NOT_LIMITED;
}

enum geds_code geds_memory_status(struct geds *g, struct geds_memory *ret_memory,
                                  struct geds_error *err)
{
    return ask(g, give_memory, ret_memory, err);
}

static void give_scrub(const struct geds_wire_tier *w, void *to)
{
    const uint64_t *n = w->numbers;
    struct geds_scrub *s = to;
    *s = (struct geds_scrub){.bytes_per_s = n[GEDS_T_SCRUB_RATE],
                             .began_ns = n[GEDS_T_SCRUB_BEGAN_NS],
                             .ended_ns = n[GEDS_T_SCRUB_ENDED_NS],
                             .passes = n[GEDS_T_SCRUB_PASSES],
                             .count = n[GEDS_T_SCRUB_COUNT],
                             .bytes = n[GEDS_T_SCRUB_BYTES],
                             .damaged = n[GEDS_T_SCRUB_DAMAGED],
                             .without_copy = n[GEDS_T_SCRUB_WITHOUT_COPY]};
}

enum geds_code geds_scrub_status(struct geds *g, struct geds_scrub *ret_scrub,
                                 struct geds_error *err)
{
    return ask(g, give_scrub, ret_scrub, err);
}

enum geds_code geds_bucket_set_memory(struct geds *g, const char *bucket, bool on,
                                      struct geds_error *err)
{
    uint64_t unused;
    return client_rule(g, GEDS_TIER_MEMORY, bucket, on ? GEDS_MEMORY_ON : GEDS_MEMORY_OFF, &unused,
                       err);
}

enum geds_code geds_bucket_memory(struct geds *g, const char *bucket, bool *ret_memory,
                                  struct geds_error *err)
{
    uint64_t rule = 0;
    enum geds_code code = client_rule(g, GEDS_TIER_MEMORY, bucket, GEDS_MEMORY_ASK, &rule, err);
    if (code == GEDS_OK) {
        *ret_memory = rule != 0;
    }
    return code;
}
