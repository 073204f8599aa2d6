#include "decode.h"

#include <string.h>

#include "constexpr.h"
#include "utf8.h"

status_t decode_fail(const struct decoder *d, const struct cursor *c)
{
    const char *reason = c->reason;

    /* The readers cannot know that the end they met is the section's. */
    if (strcmp(reason, "unexpected end") == 0)
        reason = "unexpected end of section or function";
    return error_set(d->err, ST_FORMAT, c->fail_off, "%s", reason);
}

status_t decode_malformed(const struct decoder *d, const struct cursor *c, const char *reason)
{
    return error_set(d->err, ST_FORMAT, cursor_offset(c), "%s", reason);
}

status_t decode_count(const struct decoder *d, struct cursor *c, uint32_t max, const char *what,
                      uint32_t item_bytes, uint32_t *ret_count)
{
    uint64_t off = cursor_offset(c);
    uint32_t count = cursor_leb_u32(c);

    if (c->failed)
        return decode_fail(d, c);
    if (count > cursor_left(c) / item_bytes)
        return error_set(d->err, ST_FORMAT, off,
                         "unexpected end of section or function: %u %s in %zu bytes", count, what,
                         cursor_left(c));
    if (count > max)
        return error_set(d->err, ST_LIMIT, off, "too many %s: %u, at most %u", what, count, max);
    *ret_count = count;
    return ST_OK;
}

status_t decode_name(const struct decoder *d, struct cursor *c, struct name *ret_name)
{
    uint64_t off = cursor_offset(c);
    uint32_t len = cursor_leb_u32(c);

    if (c->failed)
        return decode_fail(d, c);
    if (len > cursor_left(c))
        return error_set(d->err, ST_FORMAT, off, "length out of bounds");
    if (len > MODULE_NAME_BYTES_MAX)
        return error_set(d->err, ST_LIMIT, off, "name of %u bytes, at most %d", len,
                         MODULE_NAME_BYTES_MAX);
    const uint8_t *bytes = cursor_bytes(c, len);
    if (!utf8_valid(bytes, len))
        return error_set(d->err, ST_FORMAT, off, "malformed UTF-8 encoding");
    *ret_name = (struct name){(const char *)bytes, len};
    return ST_OK;
}

static status_t read_type(const struct decoder *d, struct cursor *c, bool ref_only,
                          const char *reason, valtype_t *ret_type)
{
    uint64_t off = cursor_offset(c);
    uint8_t code = cursor_u8(c);

    if (c->failed)
        return decode_fail(d, c);
    /* Type codes are one-byte LEB128 numbers. */
    if (code & 0x80)
        return error_set(d->err, ST_FORMAT, off, "integer representation too long");
    if (!valtype_allowed(code, d->m->features) || (ref_only && !valtype_is_ref(code)))
        return error_set(d->err, ST_FORMAT, off, "%s", reason);
    if (code == VT_EXNREF)
        d->m->features_used |= FEATURE_EXCEPTIONS;
    *ret_type = code;
    return ST_OK;
}

status_t decode_valtype(const struct decoder *d, struct cursor *c, valtype_t *ret_type)
{
    return read_type(d, c, false, "malformed value type", ret_type);
}

status_t decode_reftype(const struct decoder *d, struct cursor *c, valtype_t *ret_type)
{
    return read_type(d, c, true, "malformed reference type", ret_type);
}

status_t decode_index(const struct decoder *d, struct cursor *c, uint32_t count, const char *what,
                      uint32_t *ret_index)
{
    uint64_t off = cursor_offset(c);
    uint32_t index = cursor_leb_u32(c);

    if (c->failed)
        return decode_fail(d, c);
    if (index >= count)
        return error_set(d->err, ST_INVALID, off, "unknown %s %u", what, index);
    *ret_index = index;
    return ST_OK;
}

status_t decode_const_expr(const struct decoder *d, struct cursor *c, valtype_t expected,
                           struct const_expr *ret_expr)
{
    /* WebAssembly 2.0 lets constant expressions see imported globals only. */
    return constexpr_validate(d->m, c, expected, d->m->global_import_count, ret_expr, d->err);
}

void *decode_grow(const struct decoder *d, const void *old, uint32_t old_count, uint32_t new_count,
                  size_t item_bytes)
{
    void *items = arena_alloc(&d->m->arena, new_count, item_bytes);

    if (!items) {
        (void)error_set(d->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        return NULL;
    }
    if (old_count > 0)
        memcpy(items, old, old_count * item_bytes);
    return items;
}
