#include "link_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/* LLVM's stack maps, version 3, as the maps of an image: https://llvm.org/docs/StackMaps.html */

enum {
    STACK_MAP_VERSION = 3,
    LIVE_OUT_BYTES = 4,
    META_LOCATIONS = 3, /* of a statepoint: convention, flags, number of values */
};

enum location_kind {
    IN_REGISTER = 1,
    IS_ADDRESS = 2, /* register + offset itself */
    IN_MEMORY = 3,
    IS_CONSTANT = 4,
    IN_POOL = 5, /* of constants of 64 bits */
};

struct location {
    uint32_t kind;
    uint32_t reg; /* DWARF */
    int32_t off;
};

/* DWARF numbers of an architecture. */
struct registers {
    uint32_t general_count; /* from 0 */
    uint32_t sp, fp;
    uint32_t vector, vector_count;
    uint32_t upper, upper_count; /* vector registers behind these */
};

static const struct registers x86_64 = {16, 7, 6, 17, 16, 67, 16};
static const struct registers aarch64 = {31, 31, 29, 64, 32, 0, 0};

struct map_reader {
    struct link_map_set *set;
    const struct registers *regs;
    struct cursor in;
    uint64_t blob_len;
    const uint8_t *pool;
    uint32_t pool_count;
    struct error *err;
};

static status_t corrupt(struct map_reader *r)
{
    return error_set(r->err, ST_CORRUPT, ERROR_NO_OFFSET, "object file: malformed stack map");
}

static void put_number(struct buf *b, int64_t v)
{
    for (;;) {
        uint8_t low = (uint8_t)v & 0x7f;
        v >>= 7;
        bool is_last = (v == 0 && !(low & 0x40)) || (v == -1 && (low & 0x40));
        buf_u8(b, is_last ? low : low | 0x80);
        if (is_last)
            return;
    }
}

static bool put_register(struct map_reader *r, uint32_t reg)
{
    const struct registers *k = r->regs;
    uint32_t place;
    if (reg < k->general_count && reg != k->sp)
        place = IMAGE_IN_GENERAL + reg;
    else if (reg >= k->vector && reg - k->vector < k->vector_count)
        place = IMAGE_IN_VECTOR + reg - k->vector;
    else if (reg >= k->upper && reg - k->upper < k->upper_count)
        place = IMAGE_IN_VECTOR + k->vector_count + reg - k->upper;
    else
        return false;
    buf_u8(&r->set->bytes, (uint8_t)place);
    return true;
}

static bool put_memory(struct map_reader *r, const struct location *l)
{
    if (l->reg != r->regs->sp && l->reg != r->regs->fp)
        return false;
    buf_u8(&r->set->bytes, l->reg == r->regs->sp ? IMAGE_AT_STACK : IMAGE_AT_FRAME);
    put_number(&r->set->bytes, l->off);
    return true;
}

static bool put_constant(struct map_reader *r, const struct location *l)
{
    int64_t v = l->off;
    if (l->kind == IN_POOL) {
        struct cursor c;
        if (l->off < 0 || (uint32_t)l->off >= r->pool_count)
            return false;
        cursor_init(&c, r->pool + (size_t)l->off * 8, 8, 0);
        v = (int64_t)cursor_le64(&c);
    }
    buf_u8(&r->set->bytes, IMAGE_IS_NUMBER);
    put_number(&r->set->bytes, v);
    return true;
}

static status_t put_location(struct map_reader *r, const struct location *l)
{
    bool ok = l->kind == IN_REGISTER                         ? put_register(r, l->reg)
              : l->kind == IN_MEMORY                         ? put_memory(r, l)
              : l->kind == IS_CONSTANT || l->kind == IN_POOL ? put_constant(r, l)
                                                             : false;
    return ok ? ST_OK
              : error_set(r->err, ST_LINK, ERROR_NO_OFFSET,
                          "a value of a frame at a place of kind %u, register %u", l->kind, l->reg);
}

static struct location read_location(struct cursor *c)
{
    struct location l = {.kind = cursor_u8(c)};
    cursor_u8(c);
    cursor_le16(c); /* size: the value's type is known */
    l.reg = cursor_le16(c);
    cursor_le16(c);
    l.off = (int32_t)cursor_le32(c);
    return l;
}

static void skip_padding(struct cursor *c, const uint8_t *start)
{
    while (!c->failed && (size_t)(c->pos - start) % 8 != 0)
        cursor_u8(c);
}

static status_t read_record(struct map_reader *r, const uint8_t *start, uint64_t func)
{
    struct cursor *c = &r->in;
    cursor_le64(c); /* id */
    uint64_t code_off = func + cursor_le32(c);
    cursor_le16(c);
    uint32_t count = cursor_le16(c);
    if (c->failed || code_off > r->blob_len || count < META_LOCATIONS)
        return corrupt(r);
    struct image_map_row row = {(uint32_t)code_off, (uint32_t)r->set->bytes.len};
    buf_bytes(&r->set->rows, &row, sizeof row);
    for (uint32_t i = 0; i < count; i++) {
        struct location l = read_location(c);
        status_t st = c->failed ? corrupt(r) : i < META_LOCATIONS ? ST_OK : put_location(r, &l);
        if (st != ST_OK)
            return st;
    }
    skip_padding(c, start);
    cursor_le16(c);
    cursor_bytes(c, (size_t)cursor_le16(c) * LIVE_OUT_BYTES);
    skip_padding(c, start);
    return c->failed ? corrupt(r) : ST_OK;
}

static status_t read_map(struct map_reader *r, const uint8_t *start)
{
    struct cursor *c = &r->in;
    uint32_t version = cursor_u8(c);
    cursor_bytes(c, 3);
    uint32_t func_count = cursor_le32(c);
    r->pool_count = cursor_le32(c);
    uint32_t record_count = cursor_le32(c);
    const uint8_t *funcs = cursor_bytes(c, (size_t)func_count * 24);
    r->pool = cursor_bytes(c, (size_t)r->pool_count * 8);
    if (c->failed || version != STACK_MAP_VERSION)
        return corrupt(r);
    struct cursor f;
    cursor_init(&f, funcs, (size_t)func_count * 24, 0);
    for (uint32_t i = 0; i < func_count; i++) {
        uint64_t func = cursor_le64(&f);
        cursor_le64(&f); /* size of the frame */
        uint64_t n = cursor_le64(&f);
        if (n > record_count)
            return corrupt(r);
        record_count -= (uint32_t)n;
        for (uint64_t k = 0; k < n; k++) {
            status_t st = read_record(r, start, func);
            if (st != ST_OK)
                return st;
        }
    }
    return record_count ? corrupt(r) : ST_OK;
}

status_t link_maps_add(struct link_map_set *set, uint32_t arch, const uint8_t *bytes, size_t len,
                       uint64_t blob_len, struct error *err)
{
    struct map_reader r = {.set = set,
                           .regs = arch == ARCH_AARCH64 ? &aarch64 : &x86_64,
                           .blob_len = blob_len,
                           .err = err};
    cursor_init(&r.in, bytes, len, 0);
    return read_map(&r, bytes);
}

static int row_order(const void *a, const void *b)
{
    const struct image_map_row *x = a, *y = b;
    return (x->code_off > y->code_off) - (x->code_off < y->code_off);
}

status_t link_maps_finish(struct link_map_set *set, struct arena *a, struct link_output *out,
                          struct error *err)
{
    size_t count = set->rows.len / sizeof *out->maps;
    if (set->rows.failed || set->bytes.failed)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (count > UINT32_MAX || set->bytes.len > UINT32_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than 4 GiB of maps");
    out->maps = arena_alloc(a, count, sizeof *out->maps);
    out->map_bytes = arena_alloc(a, set->bytes.len, 1);
    if (!out->maps || !out->map_bytes)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (count) {
        memcpy(out->maps, set->rows.data, set->rows.len);
        memcpy(out->map_bytes, set->bytes.data, set->bytes.len);
    }
    out->map_count = (uint32_t)count;
    out->map_len = set->bytes.len;
    qsort(out->maps, count, sizeof *out->maps, row_order);
    for (size_t i = 1; i < count; i++)
        if (out->maps[i - 1].code_off == out->maps[i].code_off)
            return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                             "object file: two stack maps for a place");
    return ST_OK;
}

void link_maps_done(struct link_map_set *set)
{
    buf_done(&set->rows);
    buf_done(&set->bytes);
}
