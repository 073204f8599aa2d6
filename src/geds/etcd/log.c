#include <string.h>

#include "base/cursor.h"
#include "base/parse.h"
#include "impl.h"

/* Entries in keys. An entry of more than CHUNK_BYTES is in several: those behind the first are put before, where nobody
 * looks until the first one is there, with which the entry is. */

static unsigned chunks_of(size_t len)
{
    return len == 0 ? 1 : (unsigned)((len - 1) / CHUNK_BYTES + 1);
}

status_t etcd_frame_decode(const void *value, size_t len, struct etcd_frame *ret_frame,
                           struct error *err)
{
    struct cursor c;
    cursor_init(&c, value, len, 0);
    struct etcd_frame f = {.bytes = cursor_le64(&c), .chunks = cursor_le32(&c)};
    f.first_len = cursor_left(&c);
    f.first = cursor_bytes(&c, f.first_len);
    if (c.failed || f.chunks == 0 || f.chunks > CHUNKS_MAX ||
        f.bytes > (uint64_t)f.chunks * CHUNK_BYTES || chunks_of((size_t)f.bytes) != f.chunks ||
        f.first_len != (f.bytes < CHUNK_BYTES ? f.bytes : CHUNK_BYTES)) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "a malformed entry in etcd");
    }
    *ret_frame = f;
    return ST_OK;
}

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
    bool sent;         /* a try that may have been made */
    uint64_t revision; /* of the head */
};

static status_t lost(struct putting *p, struct error *err)
{
    atomic_store(&p->e->lost, true);
    return error_set(err, ST_MOVED, ERROR_NO_OFFSET, "this controller does not lead any more");
}

/* The comparison did not hold: an earlier try was made (of curl's own as well, over a connection that it had kept), or
 * another one leads. */
static status_t look_why(struct putting *p, const struct etcd_answer *a, struct error *err)
{
    const struct etcd_op *last = &p->ops[p->count - 1];
    const struct etcd_range *entry = &a->ranges[0], *head = &a->ranges[1];
    uint64_t index = 0;
    if (p->is_part) {
        return lost(p, err);
    }
    if (entry->count == 1 && head->count == 1 && entry->kvs[0].len == last->len &&
        memcmp(entry->kvs[0].value, last->value, last->len) == 0) {
        p->revision = head->kvs[0].changed;
        return ST_OK;
    }
    /* others may have gone on from it, and trimmed it */
    bool trimmed = entry->count == 0 && etcd_head_of(head, &index) && index > p->e->head;
    return trimmed ? away(true, err) : lost(p, err);
}

bool etcd_head_of(const struct etcd_range *head, uint64_t *ret_index)
{
    *ret_index = 0;
    return head->count == 0 ||
           parse_u64((const char *)head->kvs[0].value, INT64_MAX, ret_index) == ST_OK;
}

/* As long as this process leads: again and again. */
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
        if (st == ST_OK && a.succeeded) {
            p->revision = a.revision;
        } else if (st == ST_OK) {
            st = a.count == 2 ? look_why(p, &a, err) : away(true, err);
        }
        arena_done(&arena);
        if (st == ST_OK || st == ST_MOVED || judged) {
            return st;
        }
        p->sent = p->sent || (st == ST_AGAIN && e->append.sent);
        if (st != ST_AGAIN) {
            bool room = st == ST_LIMIT || st == ST_INVAL;
            return p->sent ? away(true, err)
                           : error_set(err, room ? ST_LIMIT : ST_AGAIN, ERROR_NO_OFFSET, "%s",
                                       inner.text);
        }
        if (!etcd_wait(e, RETRY_MS)) {
            break;
        }
    }
    return atomic_load(&e->lost) && !p->sent ? lost(p, err) : away(p->sent, err);
}

static status_t put_parts(struct etcd *e, uint64_t index, const uint8_t *entry, size_t len,
                          struct error *err)
{
    status_t st = ST_OK;
    for (unsigned i = 1; i < chunks_of(len) && st == ST_OK; i++) {
        char key[KEY_BYTES];
        size_t at = (size_t)i * CHUNK_BYTES, n = len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES;
        etcd_part_key(e, key, index, i);
        const struct etcd_op op = {.kind = ETCD_PUT, .key = key, .value = entry + at, .len = n};
        struct putting p = {.e = e, .ops = &op, .count = 1, .is_part = true};
        st = put_fenced(&p, err);
        st = st == ST_IO ? away(false, err) : st; /* nobody has looked at it */
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
    status_t st = put_parts(e, index, entry, len, err);
    buf_le64(&first, len);
    buf_le32(&first, chunks_of(len));
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
            e->entries++;
            e->bytes += len;
            e->head_revision = p.revision;
        }
    }
    buf_done(&first);
    return st;
}
