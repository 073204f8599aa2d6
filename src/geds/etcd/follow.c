#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/parse.h"
#include "geds/s3/checksum.h"
#include "impl.h"
#include "sys/clock.h"

/* A controller that does not lead: it applies what comes, and tries to lead when nobody does. */

enum { ENTRIES_AT_ONCE = 8, PARTS_AT_ONCE = 8, NOTE_AT = 64, NOTE_NS = NS_PER_S, PATIENCE = 30 };

struct following {
    struct etcd *e;
    struct replica *r;
    struct shared_state state;
    bool compared;  /* its last entry, with that of the log */
    bool away;      /* etcd did not answer the last time */
    uint64_t noted; /* what the others know that it has */
    uint64_t noted_ns;
};

/* What is in etcd, at one revision. */
struct view {
    struct arena arena;
    struct etcd_answer a;
    const struct etcd_range *id, *leader, *head_kv, *entries;
    uint64_t head;
    bool is_new; /* nobody has put an entry yet */
};

static void note_state(struct following *f)
{
    atomic_store(&f->e->seen_applied, f->state.applied);
    atomic_store(&f->e->seen_term, f->state.term);
}

/* Entries may be many bytes, and the line slow. */
static status_t read_much(struct etcd *e, const struct etcd_txn *t, struct arena *arena,
                          struct etcd_answer *ret_answer, struct error *err)
{
    e->follow.patience = PATIENCE;
    status_t st = line_txn(&e->follow, t, CALL_MS, arena, ret_answer, err);
    e->follow.patience = 0;
    return st;
}

/* It is told to people and to clients, and is asked for a copy. */
static bool is_address(const struct etcd_kv *kv)
{
    bool good = kv->len > 0 && kv->len <= SHARED_ADDRESS_MAX;
    for (size_t i = 0; i < kv->len && good; i++) {
        good = kv->value[i] > ' ' && kv->value[i] <= '~';
    }
    return good;
}

static status_t look(struct following *f, uint64_t from, struct view *v, struct error *err)
{
    struct etcd *e = f->e;
    char keys[5][KEY_BYTES];
    etcd_key(e, keys[0], "id");
    etcd_key(e, keys[1], "leader");
    etcd_key(e, keys[2], "head");
    etcd_entry_key(e, keys[3], from);
    etcd_key(e, keys[4], "log0"); /* behind log/ */
    const struct etcd_op ops[] = {
        {.kind = ETCD_RANGE, .key = keys[0]},
        {.kind = ETCD_RANGE, .key = keys[1]},
        {.kind = ETCD_RANGE, .key = keys[2]},
        {.kind = ETCD_RANGE, .key = keys[3], .end = keys[4], .limit = ENTRIES_AT_ONCE}};
    const struct etcd_txn t = {.then = ops, .then_count = 4};
    status_t st = read_much(e, &t, &v->arena, &v->a, err);
    if (st != ST_OK) {
        return st;
    }
    v->id = &v->a.ranges[0];
    v->leader = &v->a.ranges[1];
    v->head_kv = &v->a.ranges[2];
    v->entries = &v->a.ranges[3];
    if (v->a.count != 4 || !etcd_head_of(v->head_kv, &v->head) ||
        (v->id->count == 1 && v->id->kvs[0].len != SHARED_ID_BYTES - 1) ||
        (v->leader->count == 1 && !is_address(&v->leader->kvs[0]))) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "what is in etcd below %s is no log",
                         e->prefix);
    }
    v->is_new = v->id->count == 0 || v->head == 0;
    atomic_store(&e->seen_head, v->head);
    snprintf(e->log_id, sizeof e->log_id, "%s",
             v->id->count == 1 ? (const char *)v->id->kvs[0].value : "");
    if (v->leader->count == 1) {
        etcd_set_leader(e, (const char *)v->leader->kvs[0].value, v->leader->kvs[0].len);
    } else {
        etcd_set_leader(e, "", 0);
    }
    return ST_OK;
}

/* The number at the end of an entry's key. */
static bool index_of(const struct etcd_kv *kv, uint64_t *ret_index)
{
    size_t len = strlen(kv->key);
    return len > 16 && parse_hex(kv->key + len - 16, INT64_MAX, ret_index) == ST_OK;
}

/* Bytes of the parts behind the first, appended. */
static status_t read_parts(struct following *f, uint64_t index, const struct etcd_frame *frame,
                           struct buf *out, struct error *err)
{
    status_t st = ST_OK;
    for (unsigned next = 1; next < frame->chunks && st == ST_OK;) {
        char from[KEY_BYTES], end[KEY_BYTES];
        struct arena arena = {0};
        struct etcd_answer a = {0};
        etcd_part_key(f->e, from, index, next);
        etcd_part_key(f->e, end, index, frame->chunks);
        const struct etcd_op op = {
            .kind = ETCD_RANGE, .key = from, .end = end, .limit = PARTS_AT_ONCE};
        const struct etcd_txn t = {.then = &op, .then_count = 1};
        st = read_much(f->e, &t, &arena, &a, err);
        if (st == ST_OK && (a.count != 1 || a.ranges[0].count == 0)) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "parts of entry %llu are not there",
                           (unsigned long long)index);
        }
        for (size_t i = 0; st == ST_OK && i < a.ranges[0].count; i++, next++) {
            buf_bytes(out, a.ranges[0].kvs[i].value, a.ranges[0].kvs[i].len);
        }
        arena_done(&arena);
    }
    return st;
}

static status_t whole(struct following *f, const struct etcd_kv *kv, uint64_t index,
                      struct buf *out, struct error *err)
{
    struct etcd_frame frame;
    status_t st = etcd_frame_decode(kv->value, kv->len, &frame, err);
    if (st == ST_OK) {
        buf_bytes(out, frame.first, frame.first_len);
        st = read_parts(f, index, &frame, out, err);
    }
    if (st == ST_OK && out->failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an entry");
    }
    return st == ST_OK && out->len != frame.bytes
               ? error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "entry %llu has %zu bytes, not %llu",
                           (unsigned long long)index, out->len, (unsigned long long)frame.bytes)
               : st;
}

/* Entries that are taken at once. */
struct taken {
    struct buf entries[ENTRIES_AT_ONCE];
    struct shared_bytes list[ENTRIES_AT_ONCE];
    size_t count;
    uint64_t bytes;
};

static status_t apply_taken(struct following *f, struct taken *t, struct error *err)
{
    status_t st = replica_apply(f->r, t->list, t->count, err);
    if (st == ST_OK) {
        atomic_fetch_add(&f->e->batches, 1);
        st = replica_state(f->r, &f->state, err);
        note_state(f);
    }
    return st;
}

/* Is there room for this one beside those that are taken? The others are looked at again, then. */
static bool fits(const struct following *f, const struct taken *t, const struct etcd_kv *kv)
{
    struct etcd_frame frame;
    return t->count == 0 || etcd_frame_decode(kv->value, kv->len, &frame, NULL) != ST_OK ||
           t->bytes + frame.bytes <= f->e->o.batch_bytes;
}

/* *ret_gap: the log begins behind what comes next. */
static status_t apply(struct following *f, const struct view *v, bool *ret_gap, struct error *err)
{
    struct taken t = {.count = 0};
    status_t st = ST_OK;
    *ret_gap = false;
    for (size_t i = 0; i < v->entries->count && i < ENTRIES_AT_ONCE && st == ST_OK; i++) {
        uint64_t index = 0;
        if (!index_of(&v->entries->kvs[i], &index)) {
            st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "no key of an entry");
        } else if (index > f->state.applied + t.count + 1) {
            *ret_gap = true;
            break;
        } else if (!fits(f, &t, &v->entries->kvs[i])) {
            break;
        } else if ((st = whole(f, &v->entries->kvs[i], index, &t.entries[i], err)) == ST_OK) {
            etcd_has_bytes(f->e, index, t.entries[i].len);
            if (index <= f->state.applied) {
                st = replica_compare(f->r, t.entries[i].data, t.entries[i].len, err);
                buf_done(&t.entries[i]);
            } else {
                t.list[t.count++] = (struct shared_bytes){t.entries[i].data, t.entries[i].len};
                t.bytes += t.entries[i].len;
            }
        }
    }
    if (st == ST_OK && t.count > 0) {
        st = apply_taken(f, &t, err);
    }
    for (size_t i = 0; i < ENTRIES_AT_ONCE; i++) {
        buf_done(&t.entries[i]);
    }
    f->compared = f->compared || st == ST_OK;
    return st;
}

static bool has_changed(const struct buf *answer)
{
    return memmem(answer->data, answer->len, "\"events\"", 8) != NULL ||
           memmem(answer->data, answer->len, "\"canceled\"", 10) != NULL ||
           memmem(answer->data, answer->len, "\"error\"", 7) != NULL;
}

/* Until something may be different. What it is is looked at anew. */
static status_t watch(struct following *f, uint64_t revision, struct error *err)
{
    struct etcd *e = f->e;
    struct buf body = {0};
    char from[KEY_BYTES], end[KEY_BYTES], text[2][(KEY_BYTES + 2) / 3 * 4 + 1];
    etcd_key(
        e, from,
        "head"); /* id, leader and log/ are behind it in order; member/ and part/ are not wanted */
    etcd_key(e, end, "log0");
    base64_encode(from, strlen(from), text[0]);
    base64_encode(end, strlen(end), text[1]);
    buf_printf(&body,
               "{\"create_request\":{\"key\":\"%s\",\"range_end\":\"%s\",\"start_revision\":"
               "\"%llu\"}}",
               text[0], text[1], (unsigned long long)revision + 1);
    status_t st = line_post(&e->follow, "/v3/watch", &body, e->o.ttl_s * 1000, has_changed, err);
    buf_done(&body);
    return st;
}

static status_t new_id(char ret_id[SHARED_ID_BYTES], struct error *err)
{
    uint8_t random[(SHARED_ID_BYTES - 1) / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return error_set_errno(err, errno, "random number");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(ret_id + 2 * i, 3, "%02x", random[i]);
    }
    return ST_OK;
}

/* The key `leader`, if nobody has it and nothing was put since it was looked at. *ret_won. Of one whose answer did not
 * come nobody knows; its lease is given back then. */
static status_t take_lead(struct following *f, const struct view *v, const char *id, bool *ret_won,
                          struct error *err)
{
    struct etcd *e = f->e;
    char leader[KEY_BYTES], head[KEY_BYTES], id_key[KEY_BYTES];
    struct arena arena = {0};
    struct etcd_answer a = {0};
    uint64_t head_revision = v->head_kv->count == 1 ? v->head_kv->kvs[0].changed : 0;
    etcd_key(e, leader, "leader");
    etcd_key(e, head, "head");
    etcd_key(e, id_key, "id");
    const struct etcd_compare compares[] = {{leader, false, 0}, {head, true, head_revision}};
    const struct etcd_op ops[] = {{.kind = ETCD_PUT,
                                   .key = leader,
                                   .value = e->o.address,
                                   .len = strlen(e->o.address),
                                   .lease = e->lease},
                                  {.kind = ETCD_PUT, .key = id_key, .value = id, .len = strlen(id)},
                                  {.kind = ETCD_PUT, .key = head, .value = "0", .len = 1}};
    const struct etcd_txn t = {
        .compares = compares, .compare_count = 2, .then = ops, .then_count = v->is_new ? 3 : 1};
    status_t st = line_txn(&e->follow, &t, CALL_MS, &arena, &a, err);
    arena_done(&arena);
    *ret_won = st == ST_OK && a.succeeded;
    if (*ret_won) {
        e->revision = a.revision;
        e->head = v->head;
        e->head_revision = v->is_new ? a.revision : head_revision;
    }
    return st;
}

/* Its own term is the first entry that it puts; before, the replica must have all others. */
static status_t begin_term(struct following *f, struct error *err)
{
    struct buf entry = {0};
    status_t st = replica_term(f->r, f->e->o.address, &entry, err);
    if (st == ST_OK) {
        st = etcd_append(f->e, f->e->head + 1, entry.data, entry.len, err);
    }
    if (st == ST_OK) {
        const struct shared_bytes one = {entry.data, entry.len};
        st = replica_apply(f->r, &one, 1, err);
    }
    if (st == ST_OK) {
        st = replica_state(f->r, &f->state, err);
        note_state(f);
    }
    buf_done(&entry);
    if (st == ST_OK) {
        atomic_store(&f->e->kept, f->e->head);
    }
    return st;
}

/* *ret_leads: this process does. */
static status_t campaign(struct following *f, const struct view *v, bool *ret_leads,
                         struct error *err)
{
    struct etcd *e = f->e;
    char id[SHARED_ID_BYTES];
    bool won = false;
    status_t st = v->is_new ? new_id(id, err) : ST_OK;
    *ret_leads = false;
    if (st == ST_OK) {
        st = etcd_grant(e, err);
    }
    if (st == ST_OK) {
        st = take_lead(f, v, v->is_new ? id : "", &won, err);
    }
    if (won && v->is_new) {
        snprintf(e->log_id, sizeof e->log_id, "%s", id);
        st = replica_begin(f->r, id, err);
    }
    if (won && st == ST_OK) {
        atomic_store(&e->again, false);
        atomic_store(&e->lost, false);
        e->told = false;
        atomic_store(&e->kept, v->head); /* it has applied all */
        e->trimmed = e->uncompacted = e->noted = 0;
        etcd_set_leader(e, e->o.address, strlen(e->o.address));
        st = etcd_keep(e, err);
    }
    if (won && st == ST_OK) {
        st = begin_term(f, err);
        *ret_leads = st == ST_OK;
    }
    return st;
}

/* What this process led before is over: nothing of it may come to the log behind what is read from now on. */
static status_t end_former(struct etcd *e, struct error *err)
{
    etcd_keep_no_more(e);
    atomic_store(&e->lost, true);
    return e->lease == 0 ? ST_OK : etcd_revoke(e, CALL_MS, err);
}

/* May this store be in this log? *ret_copy: only with a copy of the leader's. */
static status_t belongs(const struct following *f, const struct view *v, bool *ret_copy,
                        struct error *err)
{
    const struct shared_state *s = &f->state;
    *ret_copy = false;
    if (s->applied > 0 && (v->is_new || strcmp(s->log, f->e->log_id) != 0)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         v->is_new ? "etcd has lost the log of this store (--etcd none makes it "
                                     "one of its own)"
                                   : "in etcd is the log of another store than this one");
    }
    if (s->applied > v->head) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "this store has %llu changes, and the log in etcd %llu: it is older",
                         (unsigned long long)s->applied, (unsigned long long)v->head);
    }
    *ret_copy = !v->is_new && s->applied == 0 && strcmp(s->log, f->e->log_id) != 0;
    return *ret_copy && !s->empty
               ? error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "this store has buckets that are not of the one which the controllers "
                           "share: start with an empty state folder")
               : ST_OK;
}

static bool is_leader(const struct etcd *e, const struct view *v)
{
    return v->leader->count == 1 &&
           strcmp((const char *)v->leader->kvs[0].value, e->o.address) != 0;
}

/* One look, and what follows from it. */
static status_t step(struct following *f, struct view *v, bool *ret_leads, struct error *err)
{
    struct etcd *e = f->e;
    bool copy = false, gap = false;
    status_t st = end_former(e, err);
    if (st == ST_OK) {
        st = look(f, f->state.applied + (f->compared || f->state.applied == 0), v, err);
    }
    if (st == ST_OK) {
        st = belongs(f, v, &copy, err);
    }
    if (st == ST_OK && !copy && !v->is_new) {
        st = apply(f, v, &gap, err);
        gap = gap || (st == ST_OK && v->entries->count == 0 && f->state.applied < v->head);
    }
    if (st != ST_OK) {
        return st;
    }
    if ((copy || gap) && is_leader(e, v)) {
        /* the leader commits the last one now, at the latest */
        etcd_note_joining(e, v->head > 0 ? v->head - 1 : 0);
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "it needs a copy of the leader's store");
    }
    if (copy || gap) {
        return watch(f, v->a.revision, err);
    }
    if (f->state.applied < v->head) {
        return ST_OK;
    }
    etcd_note_joined(e);
    uint64_t now = clock_monotonic_ns();
    if (f->state.applied != f->noted &&
        (f->state.applied > f->noted + NOTE_AT || now - f->noted_ns > NOTE_NS)) {
        st = etcd_note_applied(e, &e->follow, f->state.applied, err);
        f->noted = f->state.applied;
        f->noted_ns = now;
        return st;
    }
    return v->leader->count == 0 ? campaign(f, v, ret_leads, err) : watch(f, v->a.revision, err);
}

static bool may_help_later(status_t st)
{
    return st == ST_AGAIN || st == ST_MOVED || st == ST_IO || st == ST_LIMIT || st == ST_NOTFOUND;
}

status_t etcd_follow(struct etcd *e, struct replica *r, struct error *err)
{
    struct following f = {.e = e, .r = r};
    char leader[SHARED_ADDRESS_MAX + 1] = "", told[SHARED_ADDRESS_MAX + 1] = "";
    bool leads = false;
    status_t st = replica_state(r, &f.state, err);
    note_state(&f);
    while (st == ST_OK && !leads) {
        struct view v = {0};
        struct error inner = {0};
        st = step(&f, &v, &leads, &inner);
        arena_done(&v.arena);
        etcd_leader(e, leader);
        if (!leads && leader[0] != '\0' && strcmp(leader, told) != 0) {
            etcd_tell(e, "etcd.follows", leader);
            memcpy(told, leader, sizeof told);
        }
        bool needs_copy = st == ST_NOTFOUND && leader[0] != '\0' && e->lease == 0;
        if (st != ST_OK && !needs_copy && may_help_later(st)) {
            if (!f.away) {
                etcd_tell(e, "etcd.away", inner.text);
            }
            f.away = true;
            st = etcd_wait(e, RETRY_MS) ? replica_state(r, &f.state, &inner) : ST_STOPPED;
        } else {
            f.away = false;
        }
        if (st != ST_OK && err != NULL) {
            *err = inner;
        }
    }
    if (leads) {
        atomic_fetch_add(&e->elections, 1);
        etcd_tell(e, "etcd.leads", e->o.address);
    }
    return st;
}

status_t etcd_look(struct etcd *e, struct error *err)
{
    char key[KEY_BYTES];
    struct arena arena = {0};
    struct etcd_answer a = {0};
    etcd_key(e, key, "leader");
    const struct etcd_op op = {.kind = ETCD_RANGE, .key = key};
    const struct etcd_txn t = {.then = &op, .then_count = 1};
    status_t st = line_txn(&e->follow, &t, CALL_MS, &arena, &a, err);
    if (st == ST_OK && a.count == 1 && a.ranges[0].count == 1 && is_address(a.ranges[0].kvs)) {
        etcd_set_leader(e, (const char *)a.ranges[0].kvs[0].value, a.ranges[0].kvs[0].len);
    } else if (st == ST_OK) {
        etcd_set_leader(e, "", 0);
    }
    arena_done(&arena);
    return st;
}
