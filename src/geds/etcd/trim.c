#include <string.h>

#include "base/parse.h"
#include "impl.h"
#include "sys/thread.h"

/* Which entries are not needed any more. Until the disks of two controllers have one, etcd is what keeps it from being
 * lost with one of them; where there is one controller only, its disk is enough, as it is without etcd. Beyond that
 * some stay, so that who is a little behind needs no new copy; not when etcd is full. etcd's file never gets smaller by
 * itself, so what has to go goes soon. */

enum {
    MEMBERS_MAX = 64,
    TRIMS = 3, /* looks while a lease lasts */
    FULL_STAY = 16,
    UNKNOWN_BYTES = 1024 * 1024, /* of an entry that was there before this process */
    JOINING_TTL_S = 3600,        /* the longest copy */
    JOINING_PARTS = 4,           /* for who gets one, times what may stay for others */
    STEPS = 4                    /* a quarter of the bytes that may stay is worth a removal */
};

void etcd_has_bytes(struct etcd *e, uint64_t index, size_t bytes)
{
    atomic_store(&e->sizes[index % SIZES], index << 32 | (uint32_t)bytes);
}

static uint64_t bytes_of(struct etcd *e, uint64_t index)
{
    uint64_t known = atomic_load(&e->sizes[index % SIZES]);
    return known >> 32 == (uint32_t)index ? (uint32_t)known : UNKNOWN_BYTES;
}

/* The entry behind which those up to `from` are at most so many, of so many bytes. */
static uint64_t behind(struct etcd *e, uint64_t from, uint64_t bytes, uint64_t count)
{
    uint64_t at = from;
    for (uint64_t sum = 0; at > 0 && from - at < count; at--) {
        sum += bytes_of(e, at);
        if (sum > bytes) {
            break;
        }
    }
    return at;
}

void etcd_note_joining(struct etcd *e, uint64_t applied)
{
    char key[KEY_BYTES], name[SHARED_ADDRESS_MAX + 16], number[24];
    struct arena arena = {0};
    struct etcd_answer a;
    uint64_t ttl_s = 0;
    status_t st = e->joining == 0 ? etcd_lease(e, JOINING_TTL_S, &e->joining, &ttl_s, NULL) : ST_OK;
    snprintf(name, sizeof name, "joining/%s", e->o.address);
    etcd_key(e, key, name);
    snprintf(number, sizeof number, "%llu", (unsigned long long)applied);
    const struct etcd_op op = {
        .kind = ETCD_PUT, .key = key, .value = number, .len = strlen(number), .lease = e->joining};
    const struct etcd_txn t = {.then = &op, .then_count = 1};
    if (st == ST_OK) {
        st = line_txn(&e->follow, &t, CALL_MS, &arena, &a, NULL);
    }
    if (st == ST_NOTFOUND) {
        e->joining = 0;
    }
    arena_done(&arena);
}

void etcd_note_joined(struct etcd *e)
{
    if (e->joining != 0 && etcd_lease_end(e, e->joining, CALL_MS, NULL) == ST_OK) {
        e->joining = 0;
    }
}

/* Up to which entry may they go, if two disks have those up to `both`? */
static uint64_t stays(struct etcd *e, uint64_t both)
{
    bool full = atomic_load(&e->full);
    uint64_t count = full && e->o.trim_at > FULL_STAY ? FULL_STAY : e->o.trim_at;
    return behind(e, both, e->o.keep_bytes, count);
}

static bool is_worth(struct etcd *e, uint64_t to)
{
    if (to <= e->trimmed) {
        return false;
    }
    uint64_t step = e->o.trim_at < SIZES ? e->o.trim_at : SIZES;
    return atomic_load(&e->full) || behind(e, to, e->o.keep_bytes / STEPS, step) > e->trimmed ||
           to - e->trimmed >= step;
}

status_t etcd_note_applied(struct etcd *e, struct line *l, uint64_t applied, struct error *err)
{
    char key[KEY_BYTES], name[SHARED_ADDRESS_MAX + 16], number[24];
    struct arena arena = {0};
    struct etcd_answer a;
    snprintf(name, sizeof name, "member/%s", e->o.address);
    etcd_key(e, key, name);
    snprintf(number, sizeof number, "%llu", (unsigned long long)applied);
    const struct etcd_op op = {
        .kind = ETCD_PUT, .key = key, .value = number, .len = strlen(number)};
    const struct etcd_txn t = {.then = &op, .then_count = 1};
    status_t st = line_txn(l, &t, CALL_MS, &arena, &a, err);
    arena_done(&arena);
    return st;
}

/* And for those who get a copy? Within a limit: who takes longer gets another one. */
static uint64_t stays_for(struct etcd *e, const struct etcd_range *joining, uint64_t own,
                          uint64_t to)
{
    uint64_t most = behind(e, own, e->o.keep_bytes * JOINING_PARTS, SIZES);
    for (size_t i = 0; i < joining->count && !atomic_load(&e->full); i++) {
        uint64_t applied = 0;
        if (parse_u64((const char *)joining->kvs[i].value, INT64_MAX, &applied) == ST_OK) {
            applied = applied > most ? applied : most;
            to = applied < to ? applied : to;
        }
    }
    return to;
}

/* Up to which entry have two disks all? */
static uint64_t on_two(const struct etcd *e, const struct etcd_range *members, uint64_t own)
{
    char name[SHARED_ADDRESS_MAX + 16], key[KEY_BYTES];
    uint64_t best = 0;
    bool others = false;
    snprintf(name, sizeof name, "member/%s", e->o.address);
    etcd_key(e, key, name);
    for (size_t i = 0; i < members->count; i++) {
        uint64_t applied = 0;
        if (strcmp(members->kvs[i].key, key) == 0 ||
            parse_u64((const char *)members->kvs[i].value, INT64_MAX, &applied) != ST_OK) {
            continue;
        }
        others = true;
        best = applied > best ? applied : best;
    }
    return others && best < own ? best : own;
}

static status_t compact(struct etcd *e, struct line *l, struct error *err)
{
    struct buf body = {0};
    struct error why = {0};
    buf_printf(&body, "{\"revision\":\"%llu\"}", (unsigned long long)e->uncompacted);
    status_t st = line_post(l, "/v3/kv/compaction", &body, CALL_MS, NULL, &why);
    buf_done(&body);
    if (st == ST_OK || strstr(why.text, "has been compacted") != NULL) {
        e->uncompacted = 0;
        return ST_OK;
    }
    return error_set(err, st, ERROR_NO_OFFSET, "%s", why.text);
}

/* One after the other. A former leader's may come late: what two disks had then they have still. */
static status_t remove_alone(struct etcd *e, struct line *l, const struct etcd_op ops[2],
                             struct error *err)
{
    status_t st = e->log.leads(e) ? ST_OK : ST_MOVED;
    for (size_t i = 0; i < 2 && st == ST_OK; i++) {
        struct arena arena = {0};
        struct etcd_range answer = {0};
        st = line_alone(l, &ops[i], CALL_MS, &arena, &answer, err);
        e->uncompacted = st == ST_OK ? answer.revision : e->uncompacted;
        arena_done(&arena);
    }
    return st;
}

static status_t cut(struct etcd *e, struct line *l, uint64_t to, struct error *err)
{
    char leader[KEY_BYTES], keys[4][KEY_BYTES];
    struct arena arena = {0};
    struct etcd_answer a = {0};
    etcd_key(e, leader, "leader");
    etcd_entry_key(e, keys[0], 0);
    etcd_entry_key(e, keys[1], to + 1);
    etcd_part_key(e, keys[2], 0, 0);
    etcd_part_key(e, keys[3], to + 1, 0);
    const struct etcd_compare compare = {leader, false, e->revision};
    const struct etcd_op ops[] = {{.kind = ETCD_DELETE, .key = keys[0], .end = keys[1]},
                                  {.kind = ETCD_DELETE, .key = keys[2], .end = keys[3]}};
    const struct etcd_txn t = {
        .compares = &compare, .compare_count = 1, .then = ops, .then_count = 2};
    status_t st = line_txn(l, &t, CALL_MS, &arena, &a, err);
    arena_done(&arena);
    if (st == ST_OK && !a.succeeded) {
        return error_set(err, ST_MOVED, ERROR_NO_OFFSET, "another one leads");
    }
    if (st == ST_OK) {
        e->uncompacted = a.revision;
    } else if (st == ST_LIMIT) { /* etcd 3.4 takes no transaction then, whatever is in it */
        st = remove_alone(e, l, ops, err);
    }
    if (st == ST_OK) {
        e->trimmed = to;
        st = compact(e, l, err);
    }
    return st;
}

/* What is below NAME/. */
static status_t list(struct etcd *e, struct line *l, const char *name, struct arena *arena,
                     struct etcd_range *ret_range, struct error *err)
{
    char from[KEY_BYTES], end[KEY_BYTES], text[32];
    snprintf(text, sizeof text, "%s/", name);
    etcd_key(e, from, text);
    snprintf(text, sizeof text, "%s0", name); /* the character behind the slash */
    etcd_key(e, end, text);
    const struct etcd_op op = {.kind = ETCD_RANGE, .key = from, .end = end, .limit = MEMBERS_MAX};
    return line_alone(l, &op, CALL_MS, arena, ret_range, err);
}

static status_t trim(struct etcd *e, struct line *l, struct error *err)
{
    struct arena arena = {0};
    struct etcd_range members = {0}, joining = {0};
    uint64_t own = atomic_load(&e->kept), to = 0;
    status_t st = e->uncompacted != 0 ? compact(e, l, err) : ST_OK;
    if (st != ST_OK || !is_worth(e, stays(e, own))) {
        return st;
    }
    st = list(e, l, "member", &arena, &members, err);
    if (st == ST_OK) {
        st = list(e, l, "joining", &arena, &joining, err);
    }
    if (st == ST_OK) {
        to = stays_for(e, &joining, own, stays(e, on_two(e, &members, own)));
    }
    arena_done(&arena);
    if (st == ST_OK && is_worth(e, to)) {
        st = cut(e, l, to, err);
    }
    if (st == ST_OK && own != e->noted) { /* last: it needs room */
        st = etcd_note_applied(e, l, own, err);
        e->noted = own;
    }
    return st;
}

static void *trim_thread(void *arg)
{
    struct etcd *e = arg;
    while (etcd_pause(e, (uint64_t)e->o.ttl_s * 1000 / TRIMS)) {
        status_t ignored = trim(e, &e->trim, NULL); /* the next time, then */
        (void)ignored;
    }
    return NULL;
}

status_t etcd_trim_start(struct etcd *e, struct error *err)
{
    atomic_store(&e->trim.stop, false);
    int code = thread_start(&e->trimmer, trim_thread, e);
    e->trimmer_runs = code == 0;
    return code == 0 ? ST_OK : error_set_errno(err, code, "thread");
}
