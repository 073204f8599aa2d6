#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "reader.h"

/* What a snapshot says without a cell to put it into. */

static size_t value_bytes(uint8_t type)
{
    switch ((enum valtype)type) {
    case VT_I32:
    case VT_F32:
        return 4;
    case VT_V128:
        return 16;
    case VT_I64:
    case VT_F64:
    case VT_FUNCREF:
    case VT_EXTERNREF:
    case VT_EXNREF:
        break;
    }
    return 8;
}

/* One frame of STATE, see docs/internals/snapshot-format.md. */
static struct snapshot_frame describe_frame(struct cursor *c)
{
    struct snapshot_frame f = {.func = cursor_le32(c)};
    f.wasm_off = cursor_le32(c);
    f.kind = cursor_le32(c);
    cursor_le32(c); /* locals */
    uint64_t live = cursor_le32(c), values = live + cursor_le32(c);
    cursor_le32(c); /* results */
    cursor_bytes(c, (size_t)live * 4);
    const uint8_t *types = cursor_bytes(c, (size_t)values);
    for (uint64_t i = 0; types && i < values; i++)
        cursor_bytes(c, value_bytes(types[i]));
    f.values = (uint32_t)values;
    return f;
}

static status_t describe_state(struct snapshot_reader *r, struct snapshot_summary *sum,
                               struct error *err)
{
    struct buf state = {0};
    struct cursor c;
    status_t st = reader_expect(r, PART_STATE, &state, err);
    cursor_init(&c, state.data, state.len, 0);
    cursor_le32(&c); /* version */
    cursor_le32(&c); /* the function called */
    uint32_t n = cursor_le32(&c);
    if (st == ST_OK && (c.failed || n > cursor_left(&c)))
        st = reader_corrupt(PART_STATE, "number of frames", err);
    if (st == ST_OK && !(sum->frames = calloc((size_t)n + 1, sizeof(*sum->frames))))
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for %u frames", n);
    for (uint32_t i = 0; st == ST_OK && i < n && !c.failed; i++)
        sum->frames[n - 1 - i] = describe_frame(&c);
    uint32_t memories = cursor_le32(&c);
    r->memory_count = 0; /* of former rounds */
    for (uint32_t i = 0; st == ST_OK && i < memories && !c.failed; i++) {
        uint64_t bytes = cursor_le64(&c);
        sum->memory_bytes += bytes;
        if (!c.failed && !reader_knows_memory(r, i, bytes))
            cursor_fail(&c, "too many memories");
    }
    if (st == ST_OK && c.failed)
        st = reader_corrupt(PART_STATE, c.reason, err);
    sum->frame_count = n;
    r->sizes.state_bytes = state.len;
    r->sizes.frames = n;
    buf_done(&state);
    return st;
}

static status_t read_rounds(struct snapshot_reader *r, struct error *err)
{
    status_t st = ST_OK;
    uint32_t round;
    struct part p = r->next;
    while (st == ST_OK && p.id == PART_ROUND) {
        st = reader_round(r, NULL, &p, &round, err);
        st = st == ST_OK ? reader_all_pages(r, NULL, &p, err) : st;
    }
    if (st == ST_OK)
        st = reader_host(r, &p, err);
    r->live = st != ST_OK;
    return st;
}

status_t snapshot_describe(struct snapshot_reader *r, struct snapshot_summary *ret_summary,
                           struct error *err)
{
    struct snapshot_summary sum = {0};
    struct part p = {0};
    status_t st = r->live ? read_rounds(r, err) : ST_OK;
    if (st == ST_OK)
        st = describe_state(r, &sum, err);
    if (st == ST_OK)
        st = reader_all_pages(r, NULL, &p, err);
    if (st == ST_OK)
        st = p.id == PART_END ? reader_end(r, &p, err)
                              : reader_corrupt(p.id, "not where it belongs", err);
    sum.sizes = r->sizes;
    if (st == ST_OK)
        *ret_summary = sum;
    else
        free(sum.frames);
    return st;
}
