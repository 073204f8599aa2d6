#include "check.h"
#include "proto/geds.h"

static const struct geds_wire_pair pairs[] = {{"x-amz-meta-a", "1"}, {"tags", ""}};
static const char *const keys[] = {"one", "two/three", "\xff\x01"};

/* Every field set; those that an operation does not have are not sent. */
static struct geds_request full(void)
{
    return (struct geds_request){
        .bucket = "bucket",
        .key = "key",
        .to_bucket = "other",
        .to_key = "to/key",
        .prefix = "prefix",
        .to_prefix = "",
        .delimiter = "/",
        .after = "after",
        .attributes = {.given = true, .content_type = "image/tiff", .pairs = pairs, .count = 2},
        .condition = {.if_none = true, .if_match = "etag"},
        .from_condition = {.if_match = "*"},
        .handle = 0xfedcba98,
        .max = 17,
        .flags = GEDS_FSCK_REPAIR,
        .offset = UINT64_MAX,
        .keys = keys,
        .key_count = 3};
}

static void every_request_comes_back_as_it_was(void)
{
    const struct geds_request r = full(), empty = {.bucket = "",
                                                   .key = "",
                                                   .to_bucket = "",
                                                   .to_key = "",
                                                   .to_prefix = ""};
    for (unsigned op = 1; op < GEDS_OP_END; op++) {
        if (!geds_op_is_known(op)) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            struct buf out = {0}, again = {0};
            struct arena arena = {0};
            struct geds_request back = {0};
            geds_request_encode((enum geds_op)op, i == 0 ? &r : &empty, &out);
            CHECK(!out.failed);
            CHECK_EQ(geds_request_decode(op, out.data, out.len, &arena, &back, NULL), ST_OK);
            geds_request_encode((enum geds_op)op, &back, &again);
            CHECK(out.len == again.len &&
                  (out.len == 0 || memcmp(out.data, again.data, out.len) == 0));
            buf_done(&out);
            buf_done(&again);
            arena_done(&arena);
        }
    }
}

static void fields_arrive_where_they_belong(void)
{
    const struct geds_request r = full();
    struct buf out = {0};
    struct arena arena = {0};
    struct geds_request back = {0};
    geds_request_encode(GEDS_COPY, &r, &out);
    CHECK_EQ(geds_request_decode(GEDS_COPY, out.data, out.len, &arena, &back, NULL), ST_OK);
    CHECK_STR(back.bucket, "bucket");
    CHECK_STR(back.key, "key");
    CHECK_STR(back.to_bucket, "other");
    CHECK_STR(back.to_key, "to/key");
    CHECK(back.condition.if_none && !back.from_condition.if_none);
    CHECK_STR(back.condition.if_match, "etag");
    CHECK_STR(back.from_condition.if_match, "*");
    CHECK_EQ(back.attributes.count, 2);
    CHECK_STR(back.attributes.pairs[0].name, "x-amz-meta-a");
    CHECK_STR(back.attributes.pairs[1].value, "");
    CHECK(back.prefix == NULL && back.handle == 0);
    buf_done(&out);
    arena_done(&arena);
}

static void a_request_that_is_cut_or_longer_is_refused(void)
{
    const struct geds_request r = full();
    for (unsigned op = 1; op < GEDS_OP_END; op++) {
        if (!geds_op_is_known(op)) {
            continue;
        }
        struct buf out = {0};
        struct arena arena = {0};
        struct geds_request back = {.handle = 5};
        geds_request_encode((enum geds_op)op, &r, &out);
        for (size_t len = 0; len < out.len; len++) {
            CHECK_EQ(geds_request_decode(op, out.data, len, &arena, &back, NULL), ST_FORMAT);
        }
        buf_u8(&out, 0);
        CHECK_EQ(geds_request_decode(op, out.data, out.len, &arena, &back, NULL), ST_FORMAT);
        CHECK_EQ(back.handle, 5);
        buf_done(&out);
        arena_done(&arena);
    }
}

static void an_operation_that_is_none_is_refused(void)
{
    struct arena arena = {0};
    struct geds_request back;
    CHECK_EQ(geds_request_decode(0, "", 0, &arena, &back, NULL), ST_UNSUPPORTED);
    CHECK_EQ(geds_request_decode(GEDS_OP_END, "", 0, &arena, &back, NULL), ST_UNSUPPORTED);
    CHECK_EQ(geds_request_decode(65535, "", 0, &arena, &back, NULL), ST_UNSUPPORTED);
    arena_done(&arena);
}

static void texts_above_their_limits_are_refused(void)
{
    char longer[GEDS_WIRE_KEY_MAX + 2];
    struct buf out = {0};
    struct arena arena = {0};
    struct geds_request back;
    memset(longer, 'k', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    geds_request_encode(GEDS_STAT, &(struct geds_request){.bucket = "b", .key = longer}, &out);
    CHECK(out.failed);
    out.failed = false;
    out.len = 0;
    buf_text(&out, "b");
    buf_text(&out, longer);
    CHECK_EQ(geds_request_decode(GEDS_STAT, out.data, out.len, &arena, &back, NULL), ST_FORMAT);
    buf_done(&out);
    arena_done(&arena);
}

static void every_answer_comes_back_as_it_was(void)
{
    static const uint8_t codes[] = {0, 0, 5, 0};
    const struct geds_answer a = {.info = {.size = 7, .modified_ns = 8, .etag = "etag"},
                                  .attributes = {.given = true, .pairs = pairs, .count = 2},
                                  .texts = {"0.1", "/state", "127.0.0.1:9000", "127.0.0.1:9464"},
                                  .numbers = {1, 2, 3, 4, 5, 6, 7, UINT64_MAX},
                                  .more = true,
                                  .codes = codes,
                                  .code_count = 2};
    for (unsigned op = 1; op < GEDS_OP_END; op++) {
        if (!geds_op_is_known(op)) {
            continue;
        }
        struct buf out = {0}, again = {0};
        struct arena arena = {0};
        struct geds_answer back = {0};
        struct cursor c;
        geds_answer_encode((enum geds_op)op, &a, &out);
        cursor_init(&c, out.data, out.len, 0);
        CHECK_EQ(geds_answer_decode((enum geds_op)op, &c, &arena, &back, NULL), ST_OK);
        geds_answer_encode((enum geds_op)op, &back, &again);
        CHECK(out.len == again.len && (out.len == 0 || memcmp(out.data, again.data, out.len) == 0));
        for (size_t len = 0; len < out.len; len++) {
            cursor_init(&c, out.data, len, 0);
            CHECK_EQ(geds_answer_decode((enum geds_op)op, &c, &arena, &back, NULL), ST_CORRUPT);
        }
        buf_done(&out);
        buf_done(&again);
        arena_done(&arena);
    }
}

static void numbers_of_operations_stay(void)
{
    CHECK_EQ(GEDS_STATUS, 1);
    CHECK_EQ(GEDS_PUT, 6);
    CHECK_EQ(GEDS_APPEND, 11);
    CHECK_EQ(GEDS_READ, 14);
    CHECK_EQ(GEDS_DELETE_MANY, 17);
    CHECK_EQ(GEDS_LIST, 21);
    CHECK_EQ(GEDS_FSCK, 22);
    CHECK_EQ(GEDS_MAP, 23);
    CHECK_EQ(GEDS_TIER_STATUS, 64);
    CHECK_EQ(GEDS_TIER_MOVE, 65);
    CHECK_EQ(GEDS_MOVE_UNPIN, 3);
    CHECK_EQ(GEDS_MOVE_LOCAL, 4);
    CHECK_EQ(GEDS_MOVE_MEMORY, 5);
    CHECK_EQ(GEDS_MOVE_NODES | GEDS_MOVE_PREFIX | 2 << GEDS_MOVE_COPIES_SHIFT, 6 + 16 + 512);
    CHECK_EQ(GEDS_TIER_KEEP, 66);
    CHECK_EQ(GEDS_KEYS_LIST, 104);
    CHECK_EQ(GEDS_KEYS_CHANGE, 105);
    CHECK_EQ(GEDS_BUCKET_ENCRYPT, 106);
    CHECK_EQ(GEDS_TIER_REPLICAS, 67);
    CHECK_EQ(GEDS_TIER_MEMORY, 68);
    CHECK_EQ(GEDS_T_MEMORY_BUDGET, 35);
    CHECK_EQ(GEDS_NODE_JOIN, 112);
    CHECK_EQ(GEDS_NODE_CHANGE, 116);
    CHECK_EQ(GEDS_STATE_COPY, 120);
    CHECK_EQ(GEDS_ORDER_BYE, 7);
}

static void entries_buckets_and_findings_come_back(void)
{
    struct buf out = {0};
    struct cursor c;
    struct geds_wire_entry e = {.key = "a/", .is_prefix = true, .info = {.etag = ""}}, e_back;
    struct geds_wire_bucket b = {.name = "bucket", .created_ns = 1, .objects = 2, .bytes = 3},
                            b_back;
    struct geds_wire_finding f = {.kind = 1, .extent = 2, .offset = 3, .text = "lost"}, f_back;
    geds_entry_encode(&e, &out);
    geds_bucket_encode(&b, &out);
    geds_finding_encode(&f, &out);
    cursor_init(&c, out.data, out.len, 0);
    CHECK(geds_entry_decode(&c, &e_back) && geds_bucket_decode(&c, &b_back) &&
          geds_finding_decode(&c, &f_back));
    CHECK_STR(e_back.key, "a/");
    CHECK(e_back.is_prefix);
    CHECK_STR(b_back.name, "bucket");
    CHECK_EQ(b_back.bytes, 3);
    CHECK_STR(f_back.text, "lost");
    CHECK_EQ(f_back.offset, 3);
    CHECK_EQ(cursor_left(&c), 0);
    CHECK(!geds_entry_decode(&c, &e_back));
    buf_done(&out);
}

static void the_state_of_a_tier_comes_back(void)
{
    struct geds_wire_tier t = {.name = "s3://b/p", .endpoint = "http://h", .error = NULL}, back;
    struct buf out = {0};
    struct cursor c;
    for (uint64_t i = 0; i < GEDS_T_COUNT; i++) {
        t.numbers[i] = i * i + 1;
    }
    geds_tier_encode(&t, &out);
    cursor_init(&c, out.data, out.len, 0);
    CHECK(geds_tier_decode(&c, &back));
    CHECK_STR(back.name, "s3://b/p");
    CHECK(back.error == NULL);
    CHECK(memcmp(t.numbers, back.numbers, sizeof t.numbers) == 0);
    for (size_t len = 0; len < out.len; len++) {
        cursor_init(&c, out.data, len, 0);
        CHECK(!geds_tier_decode(&c, &back));
    }
    /* of a later version, with a number more */
    size_t at = out.len - 8 * GEDS_T_COUNT - 2;
    out.data[at]++;
    buf_le64(&out, 7);
    cursor_init(&c, out.data, out.len, 0);
    CHECK(geds_tier_decode(&c, &back));
    CHECK(memcmp(t.numbers, back.numbers, sizeof t.numbers) == 0);
    buf_done(&out);
}

int main(void)
{
    RUN(every_request_comes_back_as_it_was);
    RUN(fields_arrive_where_they_belong);
    RUN(a_request_that_is_cut_or_longer_is_refused);
    RUN(an_operation_that_is_none_is_refused);
    RUN(texts_above_their_limits_are_refused);
    RUN(every_answer_comes_back_as_it_was);
    RUN(numbers_of_operations_stay);
    RUN(entries_buckets_and_findings_come_back);
    RUN(the_state_of_a_tier_comes_back);
    return CHECK_DONE();
}
