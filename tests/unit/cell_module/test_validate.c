#include "base/buf.h"
#include "cell/module/module.h"
#include "check.h"

/* A module around one function body. Type 0 is the function's; the others are:
 *   1: [] -> []          2: [i32] -> []        3: [] -> [i32]
 *   4: [i32 i64] -> [i64 i32]                  5: [] -> [i32 exnref] or, without exceptions, [i32]
 * Function 0 is the one under test, 1 is declared by an elem segment, 2 is not, with types 1 and 1.
 * Memory 0: 1 page. Table 0: funcref, 1: externref. Global 0: i32, mutable; 1: i64, immutable.
 * Tag 0: type 1, tag 1: type 2. Elem segment 0: functions. Data segment 0: empty, passive. */
struct shape {
    const char *params; /* letters as in instr.def, and r x for funcref and externref */
    const char *results;
    const char *locals;
    feature_set_t features;
};

static struct error error;

static uint8_t code_of(char letter)
{
    static const char letters[] = "iIfFvrx";
    static const uint8_t codes[] = {VT_I32,  VT_I64,     VT_F32,      VT_F64,
                                    VT_V128, VT_FUNCREF, VT_EXTERNREF};
    return codes[strchr(letters, letter) - letters];
}

static void put_types(struct buf *b, const char *letters)
{
    buf_leb_u32(b, (uint32_t)strlen(letters));
    for (; *letters; letters++)
        buf_u8(b, code_of(*letters));
}

static void put_type(struct buf *b, const char *params, const char *results)
{
    buf_u8(b, 0x60);
    put_types(b, params);
    put_types(b, results);
}

/* Append content as a section and empty it. */
static void put_section(struct buf *b, uint8_t id, struct buf *content)
{
    buf_u8(b, id);
    buf_leb_u32(b, (uint32_t)content->len);
    buf_bytes(b, content->data, content->len);
    content->len = 0;
}

#define PUT(b, ...) buf_bytes(b, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void put_code(struct buf *s, const char *locals, const uint8_t *body, size_t len)
{
    struct buf f = {0};
    buf_leb_u32(&f, (uint32_t)strlen(locals));
    for (; *locals; locals++)
        PUT(&f, 1, code_of(*locals));
    buf_bytes(&f, body, len);
    PUT(s, 3);
    buf_leb_u32(s, (uint32_t)f.len);
    buf_bytes(s, f.data, f.len);
    PUT(s, 2, 0, 0x0b, 2, 0, 0x0b);
    buf_done(&f);
}

static void make_module(struct buf *b, const struct shape *shape, const uint8_t *body, size_t len)
{
    struct buf s = {0};
    bool tags = shape->features & (FEATURE_EXCEPTIONS | FEATURE_LEGACY_EXCEPTIONS);
    bool exnref = shape->features & FEATURE_EXCEPTIONS;
    PUT(b, 0, 'a', 's', 'm', 1, 0, 0, 0);
    PUT(&s, 6);
    put_type(&s, shape->params, shape->results);
    put_type(&s, "", "");
    put_type(&s, "i", "");
    put_type(&s, "", "i");
    put_type(&s, "iI", "Ii");
    if (exnref)
        PUT(&s, 0x60, 0, 2, VT_I32, VT_EXNREF);
    else
        put_type(&s, "", "i");
    put_section(b, 1, &s);
    PUT(&s, 3, 0, 1, 1);
    put_section(b, 3, &s);
    PUT(&s, 2, VT_FUNCREF, 0, 1, VT_EXTERNREF, 0, 1);
    put_section(b, 4, &s);
    PUT(&s, 1, 0, 1);
    put_section(b, 5, &s);
    if (tags) {
        PUT(&s, 2, 0, 1, 0, 2);
        put_section(b, 13, &s);
    }
    PUT(&s, 2, VT_I32, 1, 0x41, 0, 0x0b, VT_I64, 0, 0x42, 0, 0x0b);
    put_section(b, 6, &s);
    PUT(&s, 1, 1, 0, 1, 1);
    put_section(b, 9, &s);
    PUT(&s, 1);
    put_section(b, 12, &s);
    put_code(&s, shape->locals, body, len);
    put_section(b, 10, &s);
    PUT(&s, 1, 1, 0);
    put_section(b, 11, &s);
    buf_done(&s);
}

/* "" when the module is valid, else the reason; error keeps the rest. */
static const char *check_body(const struct shape *given, const uint8_t *body, size_t len)
{
    struct shape shape = *given;
    struct module *m = NULL;
    struct buf b = {0};
    shape.params = shape.params ? shape.params : "";
    shape.results = shape.results ? shape.results : "";
    shape.locals = shape.locals ? shape.locals : "";
    make_module(&b, &shape, body, len);
    error = (struct error){0};
    status_t st = module_decode(b.data, b.len, shape.features, &m, &error);
    if (st == ST_OK)
        st = module_validate(m, &error);
    CHECK_EQ(st, error.code);
    module_free(m);
    buf_done(&b);
    return st == ST_OK ? "" : error.text;
}

#define BODY(shape, ...) \
    check_body(shape, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))
#define VALID(shape, ...) CHECK_STR(BODY(shape, __VA_ARGS__), "")
#define REFUSED(shape, reason, ...) CHECK_STR(BODY(shape, __VA_ARGS__), reason)

enum {
    UNREACHABLE = 0x00,
    BLOCK = 0x02,
    LOOP = 0x03,
    IF = 0x04,
    ELSE = 0x05,
    TRY = 0x06,
    CATCH = 0x07,
    THROW = 0x08,
    RETHROW = 0x09,
    THROW_REF = 0x0a,
    END = 0x0b,
    BR = 0x0c,
    BR_IF = 0x0d,
    BR_TABLE = 0x0e,
    RETURN = 0x0f,
    CALL = 0x10,
    CALL_INDIRECT = 0x11,
    RETURN_CALL = 0x12,
    RETURN_CALL_INDIRECT = 0x13,
    DELEGATE = 0x18,
    CATCH_ALL_ = 0x19,
    DROP = 0x1a,
    SELECT = 0x1b,
    SELECT_T = 0x1c,
    TRY_TABLE = 0x1f,
    LOCAL_GET = 0x20,
    LOCAL_SET = 0x21,
    GLOBAL_GET = 0x23,
    GLOBAL_SET = 0x24,
    TABLE_GET = 0x25,
    I32_LOAD = 0x28,
    I32_CONST = 0x41,
    I64_CONST = 0x42,
    I32_ADD = 0x6a,
    REF_NULL = 0xd0,
    REF_IS_NULL = 0xd1,
    REF_FUNC = 0xd2,
    EMPTY = 0x40,
};

static const struct shape plain = {0};
static const struct shape to_i32 = {.results = "i"};
static const struct shape exceptions = {.features = FEATURE_EXCEPTIONS};
static const struct shape legacy = {.features = FEATURE_LEGACY_EXCEPTIONS};

static void the_stack_must_hold_the_results_and_nothing_else(void)
{
    VALID(&plain, END);
    VALID(&to_i32, I32_CONST, 0, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found an empty stack: function 0, end", END);
    REFUSED(&to_i32, "type mismatch: expected i32, found i64: function 0, end", I64_CONST, 0, END);
    REFUSED(
        &plain,
        "type mismatch: 2 values too many at the end of the block, the last i64: function 0, end",
        I32_CONST, 0, I64_CONST, 0, END);
    CHECK_EQ(error.code, ST_INVALID);
}

static void an_error_has_the_offset_of_its_instruction(void)
{
    const char *reason = "type mismatch: expected i32, found an empty stack: function 0, i32.add";
    REFUSED(&to_i32, reason, I32_ADD, END);
    uint64_t first = error.offset;
    REFUSED(&to_i32, reason, I32_CONST, 0, I32_ADD, END);
    CHECK_EQ(error.offset, first + 2);
}

static void operands_below_a_block_are_out_of_its_reach(void)
{
    REFUSED(&to_i32, "type mismatch: expected any type, found an empty stack: function 0, drop",
            I32_CONST, 0, BLOCK, EMPTY, DROP, END, END);
    VALID(&to_i32, I32_CONST, 0, BLOCK, EMPTY, END, END);
}

static void dead_code_has_operands_of_any_type_but_checks_those_that_are_there(void)
{
    VALID(&to_i32, UNREACHABLE, I32_ADD, END);
    VALID(&to_i32, UNREACHABLE, SELECT, END);
    VALID(&plain, UNREACHABLE, SELECT, REF_IS_NULL, DROP, END);
    VALID(&to_i32, UNREACHABLE, I64_CONST, 0, 0xa7, I32_ADD, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found i64: function 0, i32.add", UNREACHABLE,
            I64_CONST, 0, I32_ADD, END);
    REFUSED(
        &plain,
        "type mismatch: 1 values too many at the end of the block, the last i32: function 0, end",
        UNREACHABLE, I32_CONST, 0, END);
    /* what select left is any type in dead code, and it is a value */
    REFUSED(&plain,
            "type mismatch: 1 values too many at the end of the block, the last any type: function "
            "0, end",
            UNREACHABLE, SELECT, END);
}

static void a_block_is_live_again_behind_dead_code(void)
{
    VALID(&to_i32, BLOCK, VT_I32, UNREACHABLE, END, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found an empty stack: function 0, end", BLOCK,
            EMPTY, UNREACHABLE, END, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found an empty stack: function 0, end", BLOCK,
            VT_I32, I32_CONST, 0, IF, EMPTY, UNREACHABLE, ELSE, END, END, END);
}

static void blocks_take_parameters_and_give_several_results(void)
{
    VALID(&plain, I32_CONST, 0, I64_CONST, 0, BLOCK, 4, DROP, DROP, I64_CONST, 0, I32_CONST, 0, END,
          DROP, DROP, END);
    REFUSED(&plain, "type mismatch: expected i64, found i32: function 0, block", I64_CONST, 0,
            I32_CONST, 0, BLOCK, 4, END, END);
    REFUSED(&plain, "unknown type 6: function 0, block", BLOCK, 6, END, END);
}

static void an_if_without_else_gives_back_its_parameters(void)
{
    VALID(&plain, I32_CONST, 0, IF, EMPTY, END, END);
    REFUSED(&to_i32,
            "type mismatch: an if without else must give back its parameters: function 0, end",
            I32_CONST, 0, IF, VT_I32, I32_CONST, 0, END, END);
    VALID(&to_i32, I32_CONST, 0, IF, VT_I32, I32_CONST, 0, ELSE, I32_CONST, 0, END, END);
    REFUSED(&plain, "END opcode expected: else outside of an if: function 0, else", BLOCK, EMPTY,
            ELSE, END, END);
    REFUSED(&plain, "END opcode expected: else outside of an if: function 0, else", I32_CONST, 0,
            IF, EMPTY, ELSE, ELSE, END, END);
    CHECK_EQ(error.code, ST_FORMAT);
}

static void a_branch_to_a_loop_takes_its_parameters_and_to_a_block_its_results(void)
{
    VALID(&to_i32, LOOP, VT_I32, BR, 0, END, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found an empty stack: function 0, br", BLOCK,
            VT_I32, BR, 0, END, END);
    VALID(&to_i32, I32_CONST, 0, BR, 0, END);
    REFUSED(&plain, "unknown label 1: function 0, br", BR, 1, END);
    REFUSED(&to_i32, "type mismatch: expected i32, found an empty stack: function 0, br_if",
            I32_CONST, 0, BR_IF, 0, END);
}

static void the_labels_of_a_br_table_have_the_same_number_of_values(void)
{
    VALID(&to_i32, BLOCK, VT_I32, I32_CONST, 1, I32_CONST, 0, BR_TABLE, 2, 0, 1, 0, END, END);
    REFUSED(&to_i32, "type mismatch: labels of 1 and of 0 values: function 0, br_table", BLOCK,
            EMPTY, I32_CONST, 1, I32_CONST, 0, BR_TABLE, 1, 1, 0, END, I32_CONST, 0, END);
    REFUSED(&plain, "unknown label 7: function 0, br_table", I32_CONST, 0, BR_TABLE, 1, 0, 7, END);
    /* in dead code their types may differ, their number may not */
    VALID(&to_i32, BLOCK, VT_I64, UNREACHABLE, BR_TABLE, 1, 0, 1, END, DROP, I32_CONST, 0, END);
    REFUSED(&to_i32, "type mismatch: labels of 1 and of 0 values: function 0, br_table", BLOCK,
            EMPTY, UNREACHABLE, BR_TABLE, 1, 1, 0, END, I32_CONST, 0, END);
}

static void select_without_a_type_refuses_references_and_mixed_operands(void)
{
    VALID(&to_i32, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, SELECT, END);
    REFUSED(&to_i32, "type mismatch: operands are i32 and i64: function 0, select", I32_CONST, 0,
            I64_CONST, 0, I32_CONST, 0, SELECT, END);
    REFUSED(&plain, "type mismatch: select of references needs their type: function 0, select",
            REF_NULL, VT_FUNCREF, REF_NULL, VT_FUNCREF, I32_CONST, 0, SELECT, DROP, END);
    VALID(&plain, REF_NULL, VT_FUNCREF, REF_NULL, VT_FUNCREF, I32_CONST, 0, SELECT_T, 1, VT_FUNCREF,
          DROP, END);
    REFUSED(&plain, "invalid result arity: 0 types: function 0, select", SELECT_T, 0, END);
    REFUSED(&plain, "invalid result arity: 2 types: function 0, select", SELECT_T, 2, VT_I32,
            VT_I32, END);
}

static void locals_follow_the_parameters(void)
{
    static const struct shape shape = {.params = "I", .locals = "fv"};
    VALID(&shape, LOCAL_GET, 0, LOCAL_SET, 0, LOCAL_GET, 1, LOCAL_SET, 1, LOCAL_GET, 2, DROP, END);
    REFUSED(&shape, "unknown local 3: function 0, local.get", LOCAL_GET, 3, END);
    REFUSED(&shape, "type mismatch: expected f32, found i64: function 0, local.set", LOCAL_GET, 0,
            LOCAL_SET, 1, END);
}

static void globals_have_a_type_and_may_be_immutable(void)
{
    VALID(&plain, GLOBAL_GET, 0, GLOBAL_SET, 0, END);
    REFUSED(&plain, "global is immutable: global 1: function 0, global.set", GLOBAL_GET, 1,
            GLOBAL_SET, 1, END);
    REFUSED(&plain, "unknown global 2: function 0, global.get", GLOBAL_GET, 2, END);
}

static void calls_take_and_give_what_their_type_says(void)
{
    static const struct shape shape = {.params = "iI", .results = "f"};
    VALID(&shape, I32_CONST, 0, I64_CONST, 0, CALL, 0, END);
    REFUSED(&shape, "type mismatch: expected i64, found i32: function 0, call", I64_CONST, 0,
            I32_CONST, 0, CALL, 0, END);
    REFUSED(&shape, "unknown function 3: function 0, call", CALL, 3, END);
    VALID(&shape, I32_CONST, 0, I64_CONST, 0, I32_CONST, 0, CALL_INDIRECT, 0, 0, END);
    REFUSED(&shape, "type mismatch: table 1 does not hold functions: function 0, call_indirect",
            CALL_INDIRECT, 0, 1, END);
    REFUSED(&shape, "unknown table 2: function 0, call_indirect", CALL_INDIRECT, 0, 2, END);
    REFUSED(&shape, "unknown type 9: function 0, call_indirect", CALL_INDIRECT, 9, 0, END);
}

static void a_tail_call_gives_the_results_of_the_function(void)
{
    static const struct shape shape = {.results = "i", .features = FEATURE_TAIL_CALL};
    VALID(&shape, RETURN_CALL, 0, END);
    VALID(&shape, I32_CONST, 0, RETURN_CALL_INDIRECT, 3, 0, END);
    REFUSED(&shape,
            "type mismatch: the callee's results are not those of the function: function 0, "
            "return_call",
            RETURN_CALL, 1, END);
    REFUSED(&to_i32, "illegal opcode", RETURN_CALL, 0, END);
}

static void a_function_reference_needs_a_declaration(void)
{
    VALID(&plain, REF_FUNC, 1, DROP, END);
    REFUSED(&plain, "undeclared function reference 2: function 0, ref.func", REF_FUNC, 2, DROP,
            END);
    REFUSED(&plain, "unknown function 3: function 0, ref.func", REF_FUNC, 3, DROP, END);
    REFUSED(&to_i32, "type mismatch: expected a reference, found i32: function 0, ref.is_null",
            I32_CONST, 0, REF_IS_NULL, END);
}

static void an_alignment_is_at_most_natural_and_exactly_so_for_atomics(void)
{
    static const struct shape shape = {.results = "i", .features = FEATURE_THREADS};
    VALID(&to_i32, I32_CONST, 0, I32_LOAD, 2, 0, END);
    REFUSED(&to_i32,
            "alignment must not be larger than natural: 2^3, natural is 2^2: function 0, i32.load",
            I32_CONST, 0, I32_LOAD, 3, 0, END);
    VALID(&shape, I32_CONST, 0, 0xfe, 0x10, 2, 0, END);
    REFUSED(&shape,
            "atomic alignment must be natural: 2^1, natural is 2^2: function 0, i32.atomic.load",
            I32_CONST, 0, 0xfe, 0x10, 1, 0, END);
}

static void a_memory_index_must_exist(void)
{
    static const struct shape shape = {.features = FEATURE_MULTI_MEMORY};
    VALID(&shape, 0x3f, 0, DROP, END);
    REFUSED(&shape, "unknown memory 1: function 0, memory.size", 0x3f, 1, DROP, END);
    REFUSED(&shape, "unknown memory 1: function 0, i32.load", I32_CONST, 0, I32_LOAD, 0x42, 1, 0,
            DROP, END);
    REFUSED(&shape, "unknown memory 1: function 0, memory.copy", 0xfc, 0x0a, 0, 1, END);
}

static void lanes_are_below_the_number_of_lanes(void)
{
    static const struct shape shape = {.params = "v"};
    VALID(&shape, LOCAL_GET, 0, 0xfd, 0x15, 15, DROP, END);
    REFUSED(&shape, "invalid lane index 16, there are 16 lanes: function 0, i8x16.extract_lane_s",
            LOCAL_GET, 0, 0xfd, 0x15, 16, DROP, END);
    REFUSED(&shape, "invalid lane index 2, there are 2 lanes: function 0, f64x2.extract_lane",
            LOCAL_GET, 0, 0xfd, 0x21, 2, DROP, END);
    REFUSED(&shape, "invalid lane index 4, there are 4 lanes: function 0, v128.load32_lane",
            I32_CONST, 0, LOCAL_GET, 0, 0xfd, 0x56, 0, 0, 4, DROP, END);
    REFUSED(&shape, "invalid lane index 32, there are 32 lanes: function 0, i8x16.shuffle",
            LOCAL_GET, 0, LOCAL_GET, 0, 0xfd, 0x0d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
            14, 32, DROP, END);
}

static void tables_and_segments_have_matching_types(void)
{
    VALID(&plain, I32_CONST, 0, TABLE_GET, 1, DROP, END);
    REFUSED(&plain, "unknown table 2: function 0, table.get", I32_CONST, 0, TABLE_GET, 2, END);
    REFUSED(&plain, "type mismatch: table 1 holds externref, not funcref: function 0, table.init",
            I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 0x0c, 0, 1, END);
    REFUSED(&plain, "type mismatch: table 0 holds funcref, not externref: function 0, table.copy",
            I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 0x0e, 0, 1, END);
    REFUSED(&plain, "unknown elem segment 1: function 0, elem.drop", 0xfc, 0x0d, 1, END);
    REFUSED(&plain, "unknown data segment 1: function 0, data.drop", 0xfc, 0x09, 1, END);
    VALID(&plain, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 0x08, 0, 0, END);
}

static void a_catch_clause_fits_its_label(void)
{
    VALID(&exceptions, BLOCK, EMPTY, TRY_TABLE, EMPTY, 2, 0, 0, 0, 2, 0, END, END, END);
    VALID(&exceptions, BLOCK, VT_I32, TRY_TABLE, EMPTY, 1, 0, 1, 0, END, I32_CONST, 0, END, DROP,
          END);
    VALID(&exceptions, BLOCK, 5, TRY_TABLE, EMPTY, 1, 1, 1, 0, END, UNREACHABLE, END, THROW_REF,
          END);
    REFUSED(&exceptions,
            "type mismatch: the label of a catch clause has other values: function 0, try_table",
            BLOCK, EMPTY, TRY_TABLE, EMPTY, 1, 0, 1, 0, END, END, END);
    REFUSED(&exceptions,
            "type mismatch: the label of a catch clause has other values: function 0, try_table",
            BLOCK, VT_I32, TRY_TABLE, EMPTY, 1, 3, 0, END, I32_CONST, 0, END, DROP, END);
    REFUSED(&exceptions, "unknown tag 2: function 0, try_table", TRY_TABLE, EMPTY, 1, 0, 2, 0, END,
            END);
    /* labels count from outside of the try_table */
    REFUSED(&exceptions, "unknown label 1: function 0, try_table", TRY_TABLE, EMPTY, 1, 2, 1, END,
            END);
}

static void throw_takes_the_values_of_its_tag(void)
{
    VALID(&exceptions, I32_CONST, 0, THROW, 1, END);
    VALID(&legacy, I32_CONST, 0, THROW, 1, END);
    REFUSED(&exceptions, "type mismatch: expected i32, found an empty stack: function 0, throw",
            THROW, 1, END);
    REFUSED(&exceptions, "unknown tag 2: function 0, throw", THROW, 2, END);
    REFUSED(&exceptions,
            "type mismatch: expected exnref, found an empty stack: function 0, throw_ref",
            THROW_REF, END);
}

static void the_older_try_has_catches_or_a_delegate(void)
{
    VALID(&legacy, TRY, EMPTY, CATCH, 0, CATCH, 1, DROP, CATCH_ALL_, END, END);
    VALID(&legacy, TRY, EMPTY, END, END);
    VALID(&legacy, TRY, EMPTY, DELEGATE, 0, END);
    VALID(&legacy, TRY, EMPTY, TRY, EMPTY, DELEGATE, 1, CATCH_ALL_, END, END);
    REFUSED(&legacy, "unknown label 1: function 0, delegate", TRY, EMPTY, DELEGATE, 1, END);
    REFUSED(&legacy, "END opcode expected: delegate outside of a try: function 0, delegate", TRY,
            EMPTY, CATCH_ALL_, DELEGATE, 0, END);
    REFUSED(&legacy, "END opcode expected: catch outside of a try: function 0, catch", TRY, EMPTY,
            CATCH_ALL_, CATCH, 0, END, END);
    REFUSED(&legacy, "END opcode expected: catch_all outside of a try: function 0, catch_all",
            BLOCK, EMPTY, CATCH_ALL_, END, END);
}

static void rethrow_names_a_catch(void)
{
    VALID(&legacy, TRY, EMPTY, CATCH, 0, RETHROW, 0, END, END);
    VALID(&legacy, TRY, EMPTY, CATCH_ALL_, BLOCK, EMPTY, RETHROW, 1, END, END, END);
    REFUSED(&legacy, "invalid rethrow label: label 0 is not a catch: function 0, rethrow", TRY,
            EMPTY, RETHROW, 0, CATCH_ALL_, END, END);
    REFUSED(&legacy, "unknown label 1: function 0, rethrow", RETHROW, 1, END);
}

static void a_body_ends_with_its_last_end(void)
{
    CHECK(BODY(&plain, BLOCK, EMPTY, END)[0] != '\0');
    CHECK_EQ(error.code, ST_FORMAT);
    CHECK(BODY(&plain, END, END)[0] != '\0');
    CHECK_EQ(error.code, ST_FORMAT);
    CHECK(BODY(&plain, I32_CONST)[0] != '\0');
    CHECK_EQ(error.code, ST_FORMAT);
}

static void used_features_are_noted(void)
{
    static const struct shape shape = {.features = FEATURE_ALL};
    static const uint8_t body[] = {RETURN_CALL, 0, END};
    struct module *m = NULL;
    struct buf b = {0};
    make_module(&b, &(struct shape){"", "", "", shape.features}, body, sizeof(body));
    CHECK_EQ(module_decode(b.data, b.len, FEATURE_ALL, &m, &error), ST_OK);
    CHECK(!(m->features_used & FEATURE_TAIL_CALL));
    CHECK_EQ(module_validate(m, &error), ST_OK);
    CHECK(m->features_used & FEATURE_TAIL_CALL);
    CHECK(!(m->features_used & FEATURE_THREADS));
    module_free(m);
    buf_done(&b);
}

/* depth blocks around nothing; the function's own frame is one more. */
static const char *nested(uint32_t depth)
{
    struct buf b = {0};
    for (uint32_t k = 0; k < depth; k++)
        PUT(&b, BLOCK, EMPTY);
    buf_fill(&b, END, depth + 1);
    const char *reason = check_body(&plain, b.data, b.len);
    buf_done(&b);
    return reason;
}

static void nesting_has_a_limit(void)
{
    CHECK_STR(nested(MODULE_NESTING_MAX - 1), "");
    CHECK(nested(MODULE_NESTING_MAX)[0] != '\0');
    CHECK_EQ(error.code, ST_LIMIT);
}

static void the_operand_stack_has_a_limit(void)
{
    struct buf b = {0};
    for (uint32_t k = 0; k <= 1 << 20; k++)
        PUT(&b, I32_CONST, 0);
    PUT(&b, UNREACHABLE, END);
    CHECK(check_body(&plain, b.data, b.len)[0] != '\0');
    CHECK_EQ(error.code, ST_LIMIT);
    buf_done(&b);
}

int main(void)
{
    RUN(the_stack_must_hold_the_results_and_nothing_else);
    RUN(an_error_has_the_offset_of_its_instruction);
    RUN(operands_below_a_block_are_out_of_its_reach);
    RUN(dead_code_has_operands_of_any_type_but_checks_those_that_are_there);
    RUN(a_block_is_live_again_behind_dead_code);
    RUN(blocks_take_parameters_and_give_several_results);
    RUN(an_if_without_else_gives_back_its_parameters);
    RUN(a_branch_to_a_loop_takes_its_parameters_and_to_a_block_its_results);
    RUN(the_labels_of_a_br_table_have_the_same_number_of_values);
    RUN(select_without_a_type_refuses_references_and_mixed_operands);
    RUN(locals_follow_the_parameters);
    RUN(globals_have_a_type_and_may_be_immutable);
    RUN(calls_take_and_give_what_their_type_says);
    RUN(a_tail_call_gives_the_results_of_the_function);
    RUN(a_function_reference_needs_a_declaration);
    RUN(an_alignment_is_at_most_natural_and_exactly_so_for_atomics);
    RUN(a_memory_index_must_exist);
    RUN(lanes_are_below_the_number_of_lanes);
    RUN(tables_and_segments_have_matching_types);
    RUN(a_catch_clause_fits_its_label);
    RUN(throw_takes_the_values_of_its_tag);
    RUN(the_older_try_has_catches_or_a_delegate);
    RUN(rethrow_names_a_catch);
    RUN(a_body_ends_with_its_last_end);
    RUN(used_features_are_noted);
    RUN(nesting_has_a_limit);
    RUN(the_operand_stack_has_a_limit);
    return CHECK_DONE();
}
