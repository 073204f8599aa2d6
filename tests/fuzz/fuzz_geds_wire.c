#include <string.h>

#include "fuzz.h"
#include "net/rpc/frame.h"
#include "proto/geds.h"
#include "proto/lease.h"

/* What both sides of the store's protocol read: a header, a hello, a request, an answer, entries of a list. What is
 * accepted is written again the same. */

static void check_same(const struct buf *again, const uint8_t *data, size_t len)
{
    FUZZ_CHECK(again->failed ||
               (again->len == len && (len == 0 || memcmp(again->data, data, len) == 0)));
}

static void frame(const uint8_t *data, size_t len)
{
    struct rpc_frame f;
    uint8_t again[RPC_HEADER_BYTES];
    uint16_t lowest, highest;
    struct error err;
    struct cursor c;
    if (len >= RPC_HEADER_BYTES && rpc_frame_decode(data, &f, &err) == ST_OK) {
        rpc_frame_encode(&f, again);
        FUZZ_CHECK(memcmp(again, data, RPC_HEADER_BYTES) == 0);
        FUZZ_CHECK(f.args_bytes <= RPC_ARGS_MAX && f.data_bytes <= RPC_DATA_MAX);
    }
    status_t st = rpc_hello_decode(data, len, &lowest, &highest, &err);
    (void)st;
    const char *token = NULL;
    if (rpc_hello_token(data, len, &token, &err) == ST_OK && token != NULL) {
        FUZZ_CHECK(strlen(token) <= RPC_TOKEN_MAX);
    }
    cursor_init(&c, data, len, 0);
    st = rpc_result_decode(&c, &err);
    (void)st;
}

static void request(unsigned op, const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct geds_request r;
    struct buf again = {0};
    struct error err;
    if (geds_request_decode(op, data, len, &arena, &r, &err) == ST_OK) {
        geds_request_encode((enum geds_op)op, &r, &again);
        check_same(&again, data, len);
    }
    buf_done(&again);
    arena_done(&arena);
}

static void answer(unsigned op, const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct geds_answer a;
    struct buf again = {0};
    struct cursor c;
    if (!geds_op_is_known(op)) {
        return;
    }
    cursor_init(&c, data, len, 0);
    if (geds_answer_decode((enum geds_op)op, &c, &arena, &a, NULL) == ST_OK) {
        geds_answer_encode((enum geds_op)op, &a, &again);
        check_same(&again, data, len);
    }
    buf_done(&again);
    arena_done(&arena);
}

/* A later version may send more numbers: what is known of them comes back. */
static void data_of_tier(const uint8_t *data, size_t len)
{
    struct cursor c;
    struct geds_wire_tier t = {0}, back = {0};
    struct buf out = {0}, again = {0};
    cursor_init(&c, data, len, 0);
    if (geds_tier_decode(&c, &t)) {
        geds_tier_encode(&t, &out);
        cursor_init(&c, out.data, out.len, 0);
        if (!out.failed && !geds_tier_decode(&c, &back)) {
            abort();
        }
        geds_tier_encode(&back, &again);
        check_same(&again, out.data, out.len);
    }
    buf_done(&out);
    buf_done(&again);
}

/* So with the numbers of a node. */
static void data_of_node(const uint8_t *data, size_t len)
{
    struct cursor c;
    struct geds_wire_node n = {0}, back = {0};
    uint64_t report[GEDS_R_COUNT];
    struct buf out = {0}, again = {0};
    cursor_init(&c, data, len, 0);
    if (geds_node_decode(&c, &n)) {
        geds_node_encode(&n, &out);
        cursor_init(&c, out.data, out.len, 0);
        if (!out.failed && !geds_node_decode(&c, &back)) {
            abort();
        }
        geds_node_encode(&back, &again);
        check_same(&again, out.data, out.len);
    }
    buf_done(&out);
    buf_done(&again);
    out = (struct buf){0};
    cursor_init(&c, data, len, 0);
    if (geds_report_decode(&c, report)) {
        geds_report_encode(report, &out);
        cursor_init(&c, out.data, out.len, 0);
        FUZZ_CHECK(out.failed || geds_report_decode(&c, report));
    }
    buf_done(&out);
}

static void data_of_lists(unsigned which, const uint8_t *data, size_t len)
{
    struct cursor c;
    struct geds_wire_entry e;
    struct geds_wire_bucket b;
    struct geds_wire_finding f;
    struct geds_wire_piece p;
    struct geds_wire_event event;
    struct geds_wire_copy copy;
    uint64_t bytes;
    struct buf again = {0};
    if (which % 9 == 6) {
        data_of_tier(data, len);
        return;
    }
    if (which % 9 == 8) {
        data_of_node(data, len);
        return;
    }
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) > 0 && !c.failed) {
        if (which % 9 == 0 && geds_entry_decode(&c, &e)) {
            geds_entry_encode(&e, &again);
        } else if (which % 9 == 1 && geds_bucket_decode(&c, &b)) {
            geds_bucket_encode(&b, &again);
        } else if (which % 9 == 2 && geds_finding_decode(&c, &f)) {
            geds_finding_encode(&f, &again);
        } else if (which % 9 == 3 && geds_piece_decode(&c, &bytes)) {
            geds_piece_encode(bytes, &again);
        } else if (which % 9 == 4 && geds_sums_decode(&c, &p)) {
            geds_sums_encode(&p, &again);
        } else if (which % 9 == 5 && geds_event_decode(&c, &event)) {
            geds_event_encode(&event, &again);
        } else if (which % 9 == 7 && geds_copy_decode(&c, &copy)) {
            geds_copy_encode(&copy, &again);
        }
    }
    if (!c.failed) {
        check_same(&again, data, len);
    }
    buf_done(&again);
}

/* Memory that the store shares: the first half of the words is the table. */
static void leases(unsigned slots, const uint8_t *data, size_t len)
{
    static uint64_t table[LEASE_T_FIRST + 256], page[LEASE_PAGE_BYTES / sizeof(uint64_t)];
    size_t half = len / 2, count = 0;
    struct error err;
    memset(table, 0, sizeof table);
    memset(page, 0, sizeof page);
    memcpy(table, data, half < sizeof table ? half : sizeof table);
    memcpy(page, data + half, half < sizeof page ? half : sizeof page);
    size_t bytes = lease_table_bytes(slots);
    if (lease_check((const lease_word *)table, bytes, (const lease_word *)page, sizeof page, &count,
                    &err) == ST_OK) {
        FUZZ_CHECK(count == slots && lease_table_bytes(count) == bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) {
        return 0;
    }
    unsigned what = data[0], op = data[1];
    data += 2;
    len -= 2;
    switch (what % 5) {
    case 0:
        frame(data, len);
        break;
    case 1:
        request(op, data, len);
        break;
    case 2:
        answer(op, data, len);
        break;
    case 3:
        data_of_lists(op, data, len);
        break;
    default:
        leases(op, data, len);
        break;
    }
    return 0;
}
