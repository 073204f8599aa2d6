#include "check.h"
#include "net/rpc/frame.h"

static struct rpc_frame sample(void)
{
    return (struct rpc_frame){.args_bytes = 65536,
                              .data_bytes = 1048576,
                              .id = 0x01020304,
                              .lane = 0xfffffffe,
                              .room = 77,
                              .kind = 0x1234,
                              .flags = RPC_ANSWER | RPC_MORE,
                              .args_crc = 0xdeadbeef,
                              .data_crc = 0xcafebabe};
}

static void a_frame_comes_back_as_it_was(void)
{
    uint8_t head[RPC_HEADER_BYTES];
    const struct rpc_frame f = sample();
    struct rpc_frame back = {0};
    rpc_frame_encode(&f, head);
    CHECK_EQ(rpc_frame_decode(head, &back, NULL), ST_OK);
    CHECK(memcmp(&f, &back, sizeof f) == 0);
}

static void each_flipped_bit_of_a_header_is_seen(void)
{
    uint8_t head[RPC_HEADER_BYTES];
    const struct rpc_frame f = sample();
    rpc_frame_encode(&f, head);
    for (unsigned i = 0; i < 8 * RPC_HEADER_BYTES; i++) {
        struct rpc_frame back = {.id = 5};
        head[i / 8] = (uint8_t)(head[i / 8] ^ (1U << i % 8));
        CHECK_EQ(rpc_frame_decode(head, &back, NULL), ST_CORRUPT);
        CHECK_EQ(back.id, 5);
        head[i / 8] = (uint8_t)(head[i / 8] ^ (1U << i % 8));
    }
}

static void lengths_above_the_limits_are_refused(void)
{
    uint8_t head[RPC_HEADER_BYTES];
    struct rpc_frame f[4] = {sample(), sample(), sample(), sample()}, back;
    f[0].args_bytes++;
    f[1].data_bytes++;
    f[2].room = RPC_DATA_MAX + 1;
    f[3].flags = 4;
    for (int i = 0; i < 4; i++) {
        struct error err = {0};
        rpc_frame_encode(&f[i], head);
        CHECK_EQ(rpc_frame_decode(head, &back, &err), ST_INVALID);
        CHECK(err.text[0] != '\0');
    }
}

static void a_hello_says_which_versions(void)
{
    struct buf b = {0};
    uint16_t lowest = 0, highest = 0;
    rpc_hello_encode(3, 9, &b);
    CHECK_EQ(rpc_hello_decode(b.data, b.len, &lowest, &highest, NULL), ST_OK);
    CHECK_EQ(lowest, 3);
    CHECK_EQ(highest, 9);
    for (size_t len = 0; len < b.len; len++) {
        CHECK_EQ(rpc_hello_decode(b.data, len, &lowest, &highest, NULL), ST_FORMAT);
    }
    b.data[0] ^= 1;
    CHECK_EQ(rpc_hello_decode(b.data, b.len, &lowest, &highest, NULL), ST_FORMAT);
    buf_done(&b);
}

static void codes_are_what_they_always_were(void)
{
    static const status_t order[] = {ST_OK,       ST_INVAL,       ST_NOMEM, ST_LIMIT,   ST_IO,
                                     ST_NOTFOUND, ST_EXIST,       ST_PERM,  ST_CORRUPT, ST_FORMAT,
                                     ST_INVALID,  ST_UNSUPPORTED, ST_AGAIN, ST_CHANGED, ST_STOPPED};
    for (uint16_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        CHECK_EQ(rpc_code_of(order[i]), i);
        CHECK_EQ(rpc_status_of(i), order[i]);
    }
    CHECK_EQ(rpc_status_of(999), ST_IO);
    CHECK_EQ(rpc_status_of(rpc_code_of(ST_TRAP)), ST_IO);
}

static void an_error_comes_back_with_its_place_and_text(void)
{
    struct buf b = {0};
    struct error err, back = {0};
    struct cursor c;
    error_set(&err, ST_CHANGED, 4711, "it is another one");
    rpc_result_encode(ST_CHANGED, &err, &b);
    cursor_init(&c, b.data, b.len, 0);
    CHECK_EQ(rpc_result_decode(&c, &back), ST_CHANGED);
    CHECK_EQ(back.offset, 4711);
    CHECK_STR(back.text, "it is another one");
    for (size_t len = 0; len < b.len; len++) {
        cursor_init(&c, b.data, len, 0);
        CHECK_EQ(rpc_result_decode(&c, &back), ST_CORRUPT);
    }
    buf_done(&b);
}

int main(void)
{
    RUN(a_frame_comes_back_as_it_was);
    RUN(each_flipped_bit_of_a_header_is_seen);
    RUN(lengths_above_the_limits_are_refused);
    RUN(a_hello_says_which_versions);
    RUN(codes_are_what_they_always_were);
    RUN(an_error_comes_back_with_its_place_and_text);
    return CHECK_DONE();
}
