#include "cell/module/types.h"

#include <string.h>

const char *valtype_name(valtype_t t)
{
    switch ((enum valtype)t) {
    case VT_I32:
        return "i32";
    case VT_I64:
        return "i64";
    case VT_F32:
        return "f32";
    case VT_F64:
        return "f64";
    case VT_V128:
        return "v128";
    case VT_FUNCREF:
        return "funcref";
    case VT_EXTERNREF:
        return "externref";
    case VT_EXNREF:
        return "exnref";
    }
    return "?";
}

bool valtype_allowed(uint8_t code, feature_set_t features)
{
    switch ((enum valtype)code) {
    case VT_I32:
    case VT_I64:
    case VT_F32:
    case VT_F64:
    case VT_V128:
    case VT_FUNCREF:
    case VT_EXTERNREF:
        return true;
    case VT_EXNREF:
        return (features & FEATURE_EXCEPTIONS) != 0;
    }
    return false;
}

const char *feature_name(enum feature f)
{
    switch (f) {
    case FEATURE_THREADS:
        return "threads";
    case FEATURE_RELAXED_SIMD:
        return "relaxed-simd";
    case FEATURE_EXTENDED_CONST:
        return "extended-const";
    case FEATURE_TAIL_CALL:
        return "tail-call";
    case FEATURE_MULTI_MEMORY:
        return "multi-memory";
    case FEATURE_EXCEPTIONS:
        return "exceptions";
    case FEATURE_LEGACY_EXCEPTIONS:
        return "legacy-exceptions";
    case FEATURE_ALL:
        break;
    }
    return NULL;
}

bool functype_equal(const struct functype *a, const struct functype *b)
{
    if (a->param_count != b->param_count || a->result_count != b->result_count)
        return false;
    /* An empty list may be NULL, which memcmp must not see. */
    return (a->param_count == 0 || memcmp(a->params, b->params, a->param_count) == 0) &&
           (a->result_count == 0 || memcmp(a->results, b->results, a->result_count) == 0);
}
