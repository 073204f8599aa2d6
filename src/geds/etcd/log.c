#include <string.h>

#include "impl.h"

/* Entries in keys. An entry of more than CHUNK_BYTES is in several: those behind the first are put before, where nobody
 * looks until the first one is there, with which the entry is. */

static status_t away(bool sent, struct error *err)
{
    return sent ? error_set(err, ST_IO, ERROR_NO_OFFSET,
                            "etcd does not answer: whether the change is made is not known")
                : error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                            "etcd does not answer: no changes until it does");
}

struct putting {
    struct etcd *e;
    const struct etcd_op *ops; /* what is put; the last one is of the entry's own key */
    size_t count;
    bool is_part;      /* of an entry: it may be put twice */
    unsigned sent;     /* how often it may have left, tries of curl's own as well */
    uint64_t revision; /* of the head */
};

static status_t lost(struct putting *p, struct error *err)
{
    atomic_store(&p->e->lost, true);
    return error_set(err, ST_MOVED, ERROR_NO_OFFSET, "this controller does not lead any more");
}

static bool is_own(const struct putting *p, const struct etcd_range *entry)
{
    const struct etcd_op *own = &p->ops[p->count - 1];
    return entry->count == 1 && entry->kvs[0].len == own->len &&
           memcmp(entry->kvs[0].value, own->value, own->len) == 0;
}

/* The comparison did not hold, and never will again: an earlier try was made, or another one leads. */
static status_t look_why(struct putting *p, const struct etcd_range *entry,
                         const struct etcd_range *head, struct error *err)
{
    uint64_t index = 0;
    if (p->is_part) {
        return lost(p, err);
    }
    if (is_own(p, entry) && head->count == 1) {
        p->revision = head->kvs[0].changed;
        return ST_OK;
    }
    /* another one's entry is there, or none behind the last; else others went on from it, and trimmed it */
    bool is_not = entry->count == 1 ||
                  (head->count == 1 && etcd_head_of(head, &index) && index <= p->e->head);
    return is_not ? lost(p, err) : away(true, err);
}

/* Is an entry there that etcd says it has not taken? Ranges are answered while it has no room. */
static status_t look_whether(struct putting *p, const char *head_key, bool *ret_made,
                             struct error *err)
{
    struct etcd *e = p->e;
    const struct etcd_op ops[] = {{.kind = ETCD_RANGE, .key = head_key},
                                  {.kind = ETCD_RANGE, .key = p->ops[p->count - 1].key}};
    while (e->log.leads(e)) {
        struct arena arena = {0};
        struct etcd_range head = {0}, entry = {0};
        status_t st = line_alone(&e->append, &ops[0], CALL_MS, &arena, &head, NULL);
        bool same = st == ST_OK && head.count == 1 && head.kvs[0].changed == e->head_revision;
        if (st == ST_OK && !same) { /* something was put */
            st = line_alone(&e->append, &ops[1], CALL_MS, &arena, &entry, NULL);
        }
        bool judged = st == ST_OK;
        *ret_made = judged && !same;
        if (*ret_made) {
            st = look_why(p, &entry, &head, err);
        }
        arena_done(&arena);
        if (judged) {
            return st;
        }
        if (st != ST_AGAIN || !etcd_wait(e, RETRY_MS)) {
            break;
        }
    }
    return away(true, err);
}

/* etcd says that it has not taken it. Of what took the last room it says so though it has made it; and an earlier try
 * may be made still. */
static status_t refused(struct putting *p, status_t said, const struct error *why,
                        const char *head_key, struct error *err)
{
    bool made = false;
    status_t st = p->sent > 0 && !p->is_part ? look_whether(p, head_key, &made, err) : ST_OK;
    if (st != ST_OK || made) {
        return st;
    }
    bool room = said == ST_LIMIT || said == ST_INVAL;
    return p->sent > 1
               ? away(true, err)
               : error_set(err, room ? ST_LIMIT : ST_AGAIN, ERROR_NO_OFFSET, "%s", why->text);
}

/* As long as this process leads: again and again. ST_AGAIN, ST_LIMIT: it is not there, and nothing that may make it is
 * on its way. */
static status_t put_fenced(struct putting *p, struct error *err)
{
    struct etcd *e = p->e;
    char leader[KEY_BYTES], head[KEY_BYTES];
    etcd_key(e, leader, "leader");
    etcd_key(e, head, "head");
    const struct etcd_compare compares[] = {{leader, false, e->revision},
                                            {head, true, e->head_revision}};
    const struct etcd_op looks[] = {{.kind = ETCD_RANGE, .key = p->ops[p->count - 1].key},
                                    {.kind = ETCD_RANGE, .key = head}};
    const struct etcd_txn t = {compares, 2, p->ops, looks, p->count, 2};
    while (e->log.leads(e)) {
        struct arena arena = {0};
        struct etcd_answer a = {0};
        struct error inner = {0};
        status_t st = line_txn(&e->append, &t, CALL_MS, &arena, &a, &inner);
        bool judged = st == ST_OK;
        p->sent += e->append.sent;
        if (st == ST_OK && a.succeeded) {
            p->revision = a.revision;
        } else if (st == ST_OK) {
            st = a.count == 2 ? look_why(p, &a.ranges[0], &a.ranges[1], err) : away(true, err);
        }
        arena_done(&arena);
        if (judged) {
            return st;
        }
        if (st != ST_AGAIN) {
            return refused(p, st, &inner, head, err);
        }
        if (!etcd_wait(e, RETRY_MS)) {
            break;
        }
    }
    return atomic_load(&e->lost) && p->sent == 0 ? lost(p, err) : away(p->sent > 0, err);
}

/* *ret_doubtful: of one of them a try may be made late. It would be that of another entry, were this one refused. */
static status_t put_parts(struct etcd *e, uint64_t index, const uint8_t *entry, size_t len,
                          bool *ret_doubtful, struct error *err)
{
    status_t st = ST_OK;
    *ret_doubtful = false;
    for (unsigned i = 1; i < etcd_chunks_of(len) && st == ST_OK; i++) {
        char key[KEY_BYTES];
        size_t at = (size_t)i * CHUNK_BYTES, n = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
        etcd_part_key(e, key, index, i);
        const struct etcd_op op = {.kind = ETCD_PUT, .key = key, .value = entry + at, .len = n};
        struct putting p = {.e = e, .ops = &op, .count = 1, .is_part = true};
        st = put_fenced(&p, err);
        *ret_doubtful = *ret_doubtful || p.sent > 1;
    }
    return st;
}

status_t etcd_append(void *arg, uint64_t index, const void *entry, size_t len, struct error *err)
{
    struct etcd *e = arg;
    char key[KEY_BYTES], head[KEY_BYTES], number[24];
    struct buf first = {0};
    if (atomic_load(&e->lost) || index != e->head + 1) {
        return error_set(err, ST_MOVED, ERROR_NO_OFFSET, "this controller does not lead any more");
    }
    atomic_store(&e->kept, e->head); /* who puts the next one has committed that */
    atomic_store(&e->seen_applied, e->head);
    bool doubtful = false;
    status_t st = put_parts(e, index, entry, len, &doubtful, err);
    buf_le64(&first, len);
    buf_le32(&first, etcd_chunks_of(len));
    buf_bytes(&first, entry, len < CHUNK_BYTES ? len : CHUNK_BYTES);
    if (st == ST_OK && first.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an entry");
    }
    if (st == ST_OK) {
        etcd_entry_key(e, key, index);
        etcd_key(e, head, "head");
        snprintf(number, sizeof number, "%llu", (unsigned long long)index);
        const struct etcd_op ops[] = {
            {.kind = ETCD_PUT, .key = head, .value = number, .len = strlen(number)},
            {.kind = ETCD_PUT, .key = key, .value = first.data, .len = first.len}};
        struct putting p = {.e = e, .ops = ops, .count = 2};
        st = put_fenced(&p, err);
        if (st == ST_OK) {
            e->head = index;
            atomic_store(&e->seen_head, index);
            e->head_revision = p.revision;
            etcd_has_bytes(e, index, len);
        }
    }
    atomic_store(&e->full, st == ST_LIMIT);
    buf_done(&first);
    if (doubtful && st != ST_OK && st != ST_MOVED) { /* the next entry must not have its number */
        return away(true, err);
    }
    return st;
}
