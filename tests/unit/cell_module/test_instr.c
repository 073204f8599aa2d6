#include "cell/module/instr.h"
#include "check.h"

static const struct {
    uint32_t op;
    const char *text;
    enum instr_imm imm;
} all[] = {
#define INSTR(name, code, text, imm, sig, feature, align) {code, text, imm},
#include "cell/module/instr.def"
#undef INSTR
};
enum { ALL_COUNT = sizeof(all) / sizeof(all[0]) };

#define READ(features, ret, ...) \
    read_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), features, ret)

/* Keeps the bytes of the last call for the lists that borrow them. */
static const char *read_bytes(const uint8_t *bytes, size_t len, feature_set_t features,
                              struct instr *ret)
{
    static uint8_t kept[64];
    static struct cursor c;
    memcpy(kept, bytes, len);
    cursor_init(&c, kept, len, 100);
    if (instr_read(&c, features, ret))
        return c.pos == c.end ? "" : "bytes are left";
    return c.reason;
}

/* An encoding of the opcode with small immediates. */
static size_t encode(uint32_t op, enum instr_imm imm, uint8_t out[40])
{
    static const uint8_t sizes[] = {
        [IMM_NONE] = 0,      [IMM_BLOCK] = 1,         [IMM_LABEL] = 1,      [IMM_BR_TABLE] = 2,
        [IMM_FUNC] = 1,      [IMM_CALL_INDIRECT] = 2, [IMM_LOCAL] = 1,      [IMM_GLOBAL] = 1,
        [IMM_TABLE] = 1,     [IMM_TABLE_TABLE] = 2,   [IMM_ELEM_TABLE] = 2, [IMM_ELEM] = 1,
        [IMM_MEM] = 1,       [IMM_MEM_MEM] = 2,       [IMM_DATA_MEM] = 2,   [IMM_DATA] = 1,
        [IMM_MEMARG] = 2,    [IMM_MEMARG_LANE] = 3,   [IMM_LANE] = 1,       [IMM_LANES16] = 16,
        [IMM_I32] = 1,       [IMM_I64] = 1,           [IMM_F32] = 4,        [IMM_F64] = 8,
        [IMM_V128] = 16,     [IMM_REF_TYPE] = 1,      [IMM_SELECT_T] = 2,   [IMM_TAG] = 1,
        [IMM_TRY_TABLE] = 4, [IMM_FENCE] = 1,
    };
    size_t n = 0;
    if (op >= 0x100) {
        uint32_t number = op & 0xffff;
        out[n++] = (uint8_t)(op >> 16);
        if (number >= 0x80) {
            out[n++] = (uint8_t)(number | 0x80);
            number >>= 7;
        }
        out[n++] = (uint8_t)number;
    } else {
        out[n++] = (uint8_t)op;
    }
    memset(out + n, 0, sizes[imm]);
    if (imm == IMM_BLOCK)
        out[n] = 0x40;
    if (imm == IMM_REF_TYPE)
        out[n] = VT_FUNCREF;
    if (imm == IMM_SELECT_T)
        memcpy(out + n, "\x01\x7f", 2);
    if (imm == IMM_TRY_TABLE)
        memcpy(out + n, "\x40\x01\x02\x00", 4);
    return n + sizes[imm];
}

static void every_instruction_is_found_and_read_and_fails_at_every_cut(void)
{
    uint8_t bytes[40];
    struct instr in;
    for (size_t k = 0; k < ALL_COUNT; k++) {
        const struct instr_info *info = instr_info_find(all[k].op);
        size_t len = encode(all[k].op, all[k].imm, bytes);
        CHECK(info != NULL);
        CHECK_STR(info->text, all[k].text);
        CHECK_STR(read_bytes(bytes, len, FEATURE_ALL, &in), "");
        CHECK_EQ(in.op, all[k].op);
        CHECK_EQ(in.off, 100);
        for (size_t cut = 0; cut < len; cut++)
            CHECK_STR(read_bytes(bytes, cut, FEATURE_ALL, &in), "unexpected end");
    }
    CHECK_EQ(ALL_COUNT, 534);
}

static void numbers_without_an_instruction_are_not_found(void)
{
    static const uint32_t unknown[] = {0x14,     0x17,      0x1d,      0x1e,     0x27,     0xc5,
                                       0xd3,     0xfb,      0xfc,      0xff,     0xfc0012, 0xfc0020,
                                       0xfd009a, 0xfd0114,  0xfd0200,  0xfe0004, 0xfe004f, 0xfe0080,
                                       0xff0000, 0x1000000, UINT32_MAX};
    for (size_t k = 0; k < sizeof(unknown) / sizeof(unknown[0]); k++)
        CHECK(instr_info_find(unknown[k]) == NULL);
    struct instr in;
    CHECK_STR(READ(FEATURE_ALL, &in, 0xff), "illegal opcode");
    CHECK_STR(READ(FEATURE_ALL, &in, 0xfc, 0x12), "illegal opcode");
    CHECK_STR(READ(FEATURE_ALL, &in, 0xfd, 0x80, 0x80, 0x04), "illegal opcode");
    CHECK_STR(READ(FEATURE_ALL, &in, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x80, 0),
              "integer representation too long");
}

static void an_instruction_whose_feature_is_off_is_illegal(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x12, 0), "illegal opcode");
    CHECK_STR(READ(FEATURE_TAIL_CALL, &in, 0x12, 0), "");
    CHECK_STR(READ(FEATURE_ALL & ~(feature_set_t)FEATURE_THREADS, &in, 0xfe, 0x03, 0),
              "illegal opcode");
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0x06, 0x40), "illegal opcode");
    CHECK_STR(READ(FEATURE_LEGACY_EXCEPTIONS, &in, 0x0a), "illegal opcode");
}

static void throw_is_legal_with_either_encoding_of_exceptions(void)
{
    struct instr in;
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0x08, 3), "");
    CHECK_STR(READ(FEATURE_LEGACY_EXCEPTIONS, &in, 0x08, 3), "");
    CHECK_EQ(in.index, 3);
    CHECK_STR(READ(0, &in, 0x08, 3), "illegal opcode");
}

static void a_failed_read_leaves_its_output_untouched(void)
{
    struct instr in = {.op = 12345};
    CHECK_STR(READ(FEATURE_ALL, &in, 0x28, 2), "unexpected end");
    CHECK_EQ(in.op, 12345);
}

static void block_types_are_empty_values_or_indexes(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x02, 0x40), "");
    CHECK_EQ(in.block.kind, BLOCK_EMPTY);
    CHECK_STR(READ(0, &in, 0x02, 0x7e), "");
    CHECK_EQ(in.block.kind, BLOCK_VALUE);
    CHECK_EQ(in.block.value, VT_I64);
    CHECK_STR(READ(0, &in, 0x02, 0x80, 0x01), "");
    CHECK_EQ(in.block.kind, BLOCK_TYPE);
    CHECK_EQ(in.block.type, 128);
    CHECK_STR(READ(0, &in, 0x02, 0xff, 0xff, 0xff, 0xff, 0x0f), "");
    CHECK_EQ(in.block.type, UINT32_MAX);
    CHECK_STR(READ(0, &in, 0x02, 0x41), "malformed block type");
    CHECK_STR(READ(0, &in, 0x02, 0x69), "malformed block type");
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0x02, 0x69), "");
    CHECK_STR(READ(0, &in, 0x02, 0xff, 0x7f), "malformed block type");
}

static void a_memory_index_needs_the_multi_memory_feature(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x28, 2, 0x80, 0x01), "");
    CHECK_EQ(in.align_log2, 2);
    CHECK_EQ(in.offset, 128);
    CHECK_STR(READ(0, &in, 0x28, 0x42, 1, 5), "malformed memop flags");
    CHECK_STR(READ(0, &in, 0x28, 0x20, 0), "malformed memop flags");
    CHECK_STR(READ(FEATURE_MULTI_MEMORY, &in, 0x28, 0x42, 1, 5), "");
    CHECK_EQ(in.align_log2, 2);
    CHECK_EQ(in.mem, 1);
    CHECK_EQ(in.offset, 5);
    CHECK_STR(READ(FEATURE_MULTI_MEMORY, &in, 0x28, 0x80, 0x01, 5), "malformed memop flags");
    CHECK_STR(READ(0, &in, 0x3f, 1), "zero byte expected");
    CHECK_STR(READ(FEATURE_MULTI_MEMORY, &in, 0x3f, 1), "");
    CHECK_EQ(in.index, 1);
    CHECK_STR(READ(0, &in, 0x28, 2, 0x80, 0x80, 0x80, 0x80, 0x10), "integer too large");
}

static void memory_copy_reads_destination_before_source(void)
{
    struct instr in;
    CHECK_STR(READ(FEATURE_MULTI_MEMORY, &in, 0xfc, 0x0a, 1, 2), "");
    CHECK_EQ(in.index, 1);
    CHECK_EQ(in.index2, 2);
    CHECK_STR(READ(0, &in, 0xfc, 0x0a, 0, 1), "zero byte expected");
}

static void constants_keep_their_bits(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x41, 0x7f), "");
    CHECK_EQ(in.value, UINT32_MAX);
    CHECK_STR(READ(0, &in, 0x42, 0x7f), "");
    CHECK_EQ(in.value, UINT64_MAX);
    CHECK_STR(READ(0, &in, 0x43, 1, 0, 0xa0, 0x7f), "");
    CHECK_EQ(in.value, 0x7fa00001);
    CHECK_STR(READ(0, &in, 0x44, 1, 2, 3, 4, 5, 6, 7, 8), "");
    CHECK_EQ(in.value, 0x0807060504030201);
    CHECK_STR(READ(0, &in, 0xfd, 0x0c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), "");
    CHECK_EQ(in.bytes[15], 16);
}

static void a_br_table_lists_its_labels_and_then_the_default(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x0e, 2, 5, 0x80, 0x01, 7), "");
    CHECK_EQ(in.count, 2);
    CHECK_EQ(cursor_offset(&in.list), 102);
    CHECK_EQ(cursor_leb_u32(&in.list), 5);
    CHECK_EQ(cursor_leb_u32(&in.list), 128);
    CHECK_EQ(cursor_leb_u32(&in.list), 7);
    CHECK_EQ(cursor_left(&in.list), 0);
    CHECK_STR(READ(0, &in, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0), "unexpected end");
}

static void the_catch_clauses_of_a_try_table_are_stepped_through(void)
{
    struct instr in;
    struct instr_catch clause;
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0x1f, 0x40, 3, 0, 9, 1, 2, 4, 3, 5), "");
    CHECK_EQ(in.count, 3);
    CHECK(instr_read_catch(&in.list, &clause));
    CHECK(clause.kind == CATCH_TAG && clause.tag == 9 && clause.label == 1);
    CHECK(instr_read_catch(&in.list, &clause));
    CHECK(clause.kind == CATCH_ALL && clause.label == 4);
    CHECK(instr_read_catch(&in.list, &clause));
    CHECK(clause.kind == CATCH_ALL_REF && clause.label == 5);
    CHECK(!instr_read_catch(&in.list, &clause));
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0x1f, 0x40, 1, 4, 0), "malformed catch clause");
}

static void select_lists_value_types(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0x1c, 2, 0x7f, 0x70), "");
    CHECK_EQ(in.count, 2);
    CHECK_EQ(in.list.pos[1], VT_FUNCREF);
    CHECK_STR(READ(0, &in, 0x1c, 1, 0x40), "malformed value type");
    CHECK_STR(READ(0, &in, 0x1c, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f), "unexpected end");
}

static void ref_null_takes_reference_types_only(void)
{
    struct instr in;
    CHECK_STR(READ(0, &in, 0xd0, 0x6f), "");
    CHECK_EQ(in.type, VT_EXTERNREF);
    CHECK_STR(READ(0, &in, 0xd0, 0x7f), "malformed reference type");
    CHECK_STR(READ(0, &in, 0xd0, 0x69), "malformed reference type");
    CHECK_STR(READ(FEATURE_EXCEPTIONS, &in, 0xd0, 0x69), "");
}

int main(void)
{
    RUN(every_instruction_is_found_and_read_and_fails_at_every_cut);
    RUN(numbers_without_an_instruction_are_not_found);
    RUN(an_instruction_whose_feature_is_off_is_illegal);
    RUN(throw_is_legal_with_either_encoding_of_exceptions);
    RUN(a_failed_read_leaves_its_output_untouched);
    RUN(block_types_are_empty_values_or_indexes);
    RUN(a_memory_index_needs_the_multi_memory_feature);
    RUN(memory_copy_reads_destination_before_source);
    RUN(constants_keep_their_bits);
    RUN(a_br_table_lists_its_labels_and_then_the_default);
    RUN(the_catch_clauses_of_a_try_table_are_stepped_through);
    RUN(select_lists_value_types);
    RUN(ref_null_takes_reference_types_only);
    return CHECK_DONE();
}
