#include "invoke.h"

#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/parse.h"

static status_t expected(struct error *err, const char *text, valtype_t t)
{
    return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "'%s' is not an %s", text, valtype_name(t));
}

/* A number of `bits` bits in two's complement; both ways of reading the highest bit are accepted. */
static status_t parse_integer(const char *text, unsigned bits, valtype_t t, uint64_t *ret_value,
                              struct error *err)
{
    bool negative = text[0] == '-';
    const char *digits = negative ? text + 1 : text;
    uint64_t top = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    uint64_t max = negative ? (uint64_t)1 << (bits - 1) : top;
    uint64_t value;
    bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    status_t code = hex ? parse_hex(digits + 2, max, &value) : parse_u64(digits, max, &value);
    if (code != ST_OK) {
        return expected(err, text, t);
    }
    *ret_value = negative ? 0 - value : value;
    return ST_OK;
}

static status_t parse_argument(const char *text, valtype_t t, union cell_value *ret_value,
                               struct error *err)
{
    union cell_value v = {0};
    uint64_t integer = 0;
    status_t code;
    switch (t) {
    case VT_I32:
        code = parse_integer(text, 32, t, &integer, err);
        v.u32 = (uint32_t)integer;
        break;
    case VT_I64:
        code = parse_integer(text, 64, t, &integer, err);
        v.u64 = integer;
        break;
    case VT_F32:
        code = parse_f32(text, &v.f32) == ST_OK ? ST_OK : expected(err, text, t);
        break;
    case VT_F64:
        code = parse_f64(text, &v.f64) == ST_OK ? ST_OK : expected(err, text, t);
        break;
    default:
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "an argument of type %s",
                         valtype_name(t));
    }
    if (code == ST_OK) {
        *ret_value = v;
    }
    return code;
}

/* The fewest digits that read back as the same number: 9 always do for f32, 17 for f64. */
static void print_float(struct buf *out, double v, bool single)
{
    char text[64];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        float f = 0;
        double d = 0;
        bool same = single ? parse_f32(text, &f) == ST_OK && f == (float)v
                           : parse_f64(text, &d) == ST_OK && d == v;
        if (same) {
            break;
        }
    }
    buf_printf(out, "%s\n", text);
}

static void print_vector(struct buf *out, const uint8_t bytes[16])
{
    buf_printf(out, "0x");
    for (int i = 15; i >= 0; i--) {
        buf_printf(out, "%02x", bytes[i]);
    }
    buf_printf(out, "\n");
}

void invoke_print(struct buf *out, valtype_t t, const union cell_value *v)
{
    switch (t) {
    case VT_I32:
        buf_printf(out, "%d\n", v->i32);
        break;
    case VT_I64:
        buf_printf(out, "%lld\n", (long long)v->i64);
        break;
    case VT_F32:
        print_float(out, (double)v->f32, true);
        break;
    case VT_F64:
        print_float(out, v->f64, false);
        break;
    case VT_V128:
        print_vector(out, v->v128);
        break;
    default:
        buf_printf(out, "%s\n", v->ref == NULL ? "null" : valtype_name(t));
        break;
    }
}

status_t invoke_arguments(const char *func, const struct functype *type, const char *const *texts,
                          uint32_t count, union cell_value **ret_io, struct error *err)
{
    if (count != type->param_count) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s takes %u argument%s, not %u", func,
                         type->param_count, type->param_count == 1 ? "" : "s", count);
    }
    uint32_t slots = count > type->result_count ? count : type->result_count;
    union cell_value *io = aligned_alloc(_Alignof(union cell_value), (slots + 1) * sizeof *io);
    if (io == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    memset(io, 0, (slots + 1) * sizeof *io);
    for (uint32_t i = 0; i < count; i++) {
        status_t code = parse_argument(texts[i], type->params[i], &io[i], err);
        if (code != ST_OK) {
            free(io);
            return code;
        }
    }
    *ret_io = io;
    return ST_OK;
}

/* Names of exported functions, as many as a message has room for. *ret_any: there is one. */
static void put_functions(const struct module *m, struct buf *out, bool *ret_any)
{
    enum { NAMES_BYTES = 140 };
    *ret_any = false;
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *e = &m->exports[i];
        if (e->kind != EXTERN_FUNC) {
            continue;
        }
        if (out->len + e->field.len > NAMES_BYTES) {
            buf_printf(out, "%s...", *ret_any ? ", " : "");
            *ret_any = true;
            break;
        }
        buf_printf(out, "%s", *ret_any ? ", " : "");
        human_put_text(out, e->field.bytes, e->field.len);
        *ret_any = true;
    }
}

status_t invoke_no_function(const struct module *m, const char *name, struct error *err)
{
    struct buf names = {0};
    bool any;
    put_functions(m, &names, &any);
    int len = names.failed ? 0 : (int)names.len;
    error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no exported function '%.60s'%s%.*s", name,
              any ? "; --invoke can call " : ", nor any other", len,
              len > 0 ? (const char *)names.data : "");
    buf_done(&names);
    return ST_NOTFOUND;
}
