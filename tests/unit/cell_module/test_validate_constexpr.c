#include "cell/module/constexpr.h"
#include "check.h"

/* Globals: 0 is an imported immutable i32, 1 imported and mutable, 2 the module's own. Functions: 2. */
static struct module_global globals[] = {
    {.type = VT_I32, .imported = true},
    {.type = VT_I32, .imported = true, .mutable_ = true},
    {.type = VT_I32},
};
static struct module_func funcs[2];
static struct module module;
static struct const_expr expr;
static struct error error;
static uint8_t
    kept[64]; /* expr borrows the bytes, and a literal ends with the statement around it */

static status_t validate(feature_set_t features, valtype_t expected, const uint8_t *bytes,
                         size_t len)
{
    struct cursor c;
    if (len <= sizeof kept)
        bytes = memcpy(kept, bytes, len);
    memset(funcs, 0, sizeof(funcs));
    module = (struct module){.features = features,
                             .globals = globals,
                             .global_count = 3,
                             .global_import_count = 2,
                             .funcs = funcs,
                             .func_count = 2};
    error = (struct error){0};
    expr = (struct const_expr){0};
    cursor_init(&c, bytes, len, 50);
    return constexpr_validate(&module, &c, expected, 2, &expr, &error);
}

#define VALIDATE(features, expected, ...) \
    validate(features, expected, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static void a_constant_of_the_type_is_taken_with_its_end(void)
{
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0x0b, 0xff), ST_OK);
    CHECK_EQ(expr.len, 3);
    CHECK_EQ(expr.off, 50);
    CHECK_EQ(VALIDATE(0, VT_I64, 0x42, 5, 0x0b), ST_OK);
    CHECK_EQ(VALIDATE(0, VT_F32, 0x43, 0, 0, 0, 0, 0x0b), ST_OK);
    CHECK_EQ(VALIDATE(0, VT_EXTERNREF, 0xd0, 0x6f, 0x0b), ST_OK);
}

static void another_type_or_number_of_values_is_a_mismatch(void)
{
    CHECK_EQ(VALIDATE(0, VT_I64, 0x41, 5, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "type mismatch: constant expression expected i64, found i32");
    CHECK_EQ(VALIDATE(0, VT_I64, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "type mismatch: constant expression has 0 values, expected one i64");
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0x41, 5, 0x0b), ST_INVALID);
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0x42, 5, 0x0b), ST_INVALID);
    CHECK_EQ(expr.len, 0);
}

static void only_imported_immutable_globals_are_constant(void)
{
    CHECK_EQ(VALIDATE(0, VT_I32, 0x23, 0, 0x0b), ST_OK);
    CHECK_EQ(VALIDATE(0, VT_I32, 0x23, 1, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "constant expression required: global 1 is mutable");
    CHECK_EQ(VALIDATE(0, VT_I32, 0x23, 2, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "unknown global 2 in a constant expression");
}

static void a_function_named_by_ref_func_counts_as_declared(void)
{
    CHECK_EQ(VALIDATE(0, VT_FUNCREF, 0xd2, 1, 0x0b), ST_OK);
    CHECK(!funcs[0].ref_declared && funcs[1].ref_declared);
    CHECK_EQ(VALIDATE(0, VT_FUNCREF, 0xd2, 2, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "unknown function 2 in a constant expression");
}

static void other_instructions_are_not_constant(void)
{
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0x01, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "constant expression required: found nop");
    CHECK_EQ(error.offset, 52);
    CHECK_EQ(VALIDATE(FEATURE_ALL, VT_I32, 0x41, 5, 0x67, 0x0b), ST_INVALID);
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0xff), ST_FORMAT);
    CHECK_STR(error.text, "illegal opcode");
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5), ST_FORMAT);
    CHECK_STR(error.text, "unexpected end");
}

static void arithmetic_needs_extended_constants(void)
{
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 5, 0x23, 0, 0x6a, 0x0b), ST_INVALID);
    CHECK_STR(error.text, "constant expression required: found i32.add");
    CHECK_EQ(VALIDATE(FEATURE_EXTENDED_CONST, VT_I32, 0x41, 5, 0x23, 0, 0x6a, 0x0b), ST_OK);
    CHECK_EQ(module.features_used, FEATURE_EXTENDED_CONST);
    CHECK_EQ(VALIDATE(FEATURE_EXTENDED_CONST, VT_I64, 0x42, 5, 0x42, 0, 0x7e, 0x0b), ST_OK);
    CHECK_EQ(VALIDATE(FEATURE_EXTENDED_CONST, VT_I32, 0x41, 5, 0x6a, 0x0b), ST_INVALID);
    CHECK_EQ(VALIDATE(FEATURE_EXTENDED_CONST, VT_I64, 0x42, 5, 0x42, 0, 0x6a, 0x0b), ST_INVALID);
}

static void the_depth_has_a_limit(void)
{
    uint8_t bytes[2 * MODULE_CONST_DEPTH_MAX + 2];
    for (size_t k = 0; k + 1 < sizeof(bytes); k += 2) {
        bytes[k] = 0x41;
        bytes[k + 1] = 0;
    }
    CHECK_EQ(validate(FEATURE_EXTENDED_CONST, VT_I32, bytes, sizeof(bytes)), ST_LIMIT);
}

static void a_plain_i32_constant_is_told_from_other_expressions(void)
{
    uint32_t value = 77;
    CHECK_EQ(VALIDATE(0, VT_I32, 0x41, 0x7f, 0x0b), ST_OK);
    CHECK(module_const_i32(&module, &expr, &value));
    CHECK_EQ(value, UINT32_MAX);
    CHECK_EQ(VALIDATE(0, VT_I32, 0x23, 0, 0x0b), ST_OK);
    CHECK(!module_const_i32(&module, &expr, &value));
    CHECK_EQ(VALIDATE(0, VT_I64, 0x42, 5, 0x0b), ST_OK);
    CHECK(!module_const_i32(&module, &expr, &value));
    CHECK_EQ(VALIDATE(FEATURE_EXTENDED_CONST, VT_I32, 0x41, 1, 0x41, 2, 0x6a, 0x0b), ST_OK);
    CHECK(!module_const_i32(&module, &expr, &value));
    CHECK_EQ(value, UINT32_MAX);
}

int main(void)
{
    RUN(a_constant_of_the_type_is_taken_with_its_end);
    RUN(another_type_or_number_of_values_is_a_mismatch);
    RUN(only_imported_immutable_globals_are_constant);
    RUN(a_function_named_by_ref_func_counts_as_declared);
    RUN(other_instructions_are_not_constant);
    RUN(arithmetic_needs_extended_constants);
    RUN(the_depth_has_a_limit);
    RUN(a_plain_i32_constant_is_told_from_other_expressions);
    return CHECK_DONE();
}
