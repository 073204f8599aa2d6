#include <string.h>

#include "base/parse.h"
#include "impl.h"
#include "sys/thread.h"

/* Which entries are not needed any more. Until the disks of two controllers have one, etcd is what keeps it from being
 * lost with one of them; where there is one controller only, its disk is enough, as it is without etcd. Beyond that
 * some stay, so that who is a little behind, or just copies the leader's database, needs no new copy. */

enum {
    MEMBERS_MAX = 64,
    KEEP_BYTES = 128 * 1024 * 1024,
    TRIMS = 3 /* looks while a lease lasts */
};

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

/* Up to which entry may they go? */
static uint64_t needless(const struct etcd *e, const struct etcd_range *members, uint64_t own)
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
    uint64_t both = others && best < own ? best : own;
    uint64_t entries = atomic_load(&e->entries), bytes = atomic_load(&e->bytes);
    uint64_t stay = e->o.trim_at;
    if (entries > 0 && KEEP_BYTES / (bytes / entries + 1) < stay) {
        stay = KEEP_BYTES / (bytes / entries + 1);
    }
    return both > stay ? both - stay : 0;
}

static status_t compact(struct line *l, uint64_t revision, struct error *err)
{
    struct buf body = {0};
    buf_printf(&body, "{\"revision\":\"%llu\"}", (unsigned long long)revision);
    status_t st = line_post(l, "/v3/kv/compaction", &body, CALL_MS, NULL, err);
    buf_done(&body);
    return st;
}

static status_t cut(struct etcd *e, struct line *l, uint64_t to, struct error *err)
{
    char leader[KEY_BYTES], keys[4][KEY_BYTES];
    struct arena arena = {0};
    struct etcd_answer a;
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
    if (st == ST_OK && a.succeeded) {
        e->trimmed = to;
        st = compact(l, a.revision, err);
    }
    return st;
}

static status_t trim(struct etcd *e, struct line *l, struct error *err)
{
    char from[KEY_BYTES], end[KEY_BYTES];
    struct arena arena = {0};
    struct etcd_answer a;
    uint64_t own = atomic_load(&e->kept), to = 0;
    if (own <= e->trimmed + e->o.trim_at) {
        return ST_OK;
    }
    status_t st = etcd_note_applied(e, l, own, err);
    etcd_key(e, from, "member/");
    etcd_key(e, end, "member0"); /* the character behind the slash */
    const struct etcd_op op = {.kind = ETCD_RANGE, .key = from, .end = end, .limit = MEMBERS_MAX};
    const struct etcd_txn t = {.then = &op, .then_count = 1};
    if (st == ST_OK) {
        st = line_txn(l, &t, CALL_MS, &arena, &a, err);
    }
    if (st == ST_OK && a.count == 1) {
        to = needless(e, &a.ranges[0], own);
    }
    arena_done(&arena);
    return st == ST_OK && to >= e->trimmed + e->o.trim_at ? cut(e, l, to, err) : st;
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
