#ifndef CELL_MODULE_TYPES_H
#define CELL_MODULE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* Value types, with their codes in the binary format. */
enum valtype {
    VT_I32 = 0x7f,
    VT_I64 = 0x7e,
    VT_F32 = 0x7d,
    VT_F64 = 0x7c,
    VT_V128 = 0x7b,
    VT_FUNCREF = 0x70,
    VT_EXTERNREF = 0x6f,
    VT_EXNREF = 0x69,
};
typedef uint8_t valtype_t; /* an enum valtype */

static inline bool valtype_is_ref(valtype_t t)
{
    return t == VT_FUNCREF || t == VT_EXTERNREF || t == VT_EXNREF;
}

/* "i32", "v128", ...; "?" for anything else. */
const char *valtype_name(valtype_t t);

/* WebAssembly 2.0 (with SIMD, bulk memory, multi-value, reference types) is always on; these are the
 * proposals beyond it. A module that uses one which is off is refused as if it did not exist. */
enum feature {
    FEATURE_THREADS = 1u << 0, /* shared memories and atomics */
    FEATURE_RELAXED_SIMD = 1u << 1,
    FEATURE_EXTENDED_CONST = 1u << 2,
    FEATURE_TAIL_CALL = 1u << 3,
    FEATURE_MULTI_MEMORY = 1u << 4,
    FEATURE_EXCEPTIONS = 1u << 5,        /* try_table, throw_ref, exnref */
    FEATURE_LEGACY_EXCEPTIONS = 1u << 6, /* try, catch, delegate, rethrow */
    FEATURE_ALL = (1u << 7) - 1,
};
typedef uint32_t feature_set_t; /* of enum feature */

/* Whether code is that of a value type which modules with these proposals may use. */
bool valtype_allowed(uint8_t code, feature_set_t features);

/* "threads", "relaxed-simd", ...; NULL for no single known feature. */
const char *feature_name(enum feature f);

struct functype {
    const valtype_t *params;
    const valtype_t *results;
    uint32_t param_count;
    uint32_t result_count;
};

bool functype_equal(const struct functype *a, const struct functype *b);

struct limits {
    uint64_t min;
    uint64_t max; /* meaningless unless has_max */
    bool has_max;
    bool shared;
};

/* Limits of this implementation, which stand beside those of the JavaScript embedding. */
enum module_limit {
    MODULE_TYPES_MAX = 1000000,
    MODULE_FUNCS_MAX = 1000000,
    MODULE_IMPORTS_MAX = 100000,
    MODULE_EXPORTS_MAX = 100000,
    MODULE_GLOBALS_MAX = 1000000,
    MODULE_TABLES_MAX = 100,
    MODULE_MEMS_MAX = 16,
    MODULE_TAGS_MAX = 1000000,
    MODULE_ELEMS_MAX = 100000,
    MODULE_DATAS_MAX = 100000,
    MODULE_PARAMS_MAX = 1000,
    MODULE_RESULTS_MAX = 1000,
    MODULE_LOCALS_MAX = 50000,
    MODULE_FUNC_BYTES_MAX = 7654321,
    MODULE_TABLE_ENTRIES_MAX = 10000000,
    MODULE_BR_TABLE_MAX = 65520,
    MODULE_NESTING_MAX = 65536,
    MODULE_NAME_BYTES_MAX = 100000,
    MODULE_CONST_DEPTH_MAX = 128, /* operands that wait on the stack of a constant expression */
    WASM_PAGE_BYTES = 65536,
    WASM_PAGES_MAX = 65536,
    WASM_PAGES_CAP =
        65535, /* where a memory that starts smaller stops growing: wide addresses need room */
};
#define MODULE_BYTES_MAX (1ull << 30)

#endif
