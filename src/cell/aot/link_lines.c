#include "link_parts.h"

#include <stdlib.h>

#include "base/cursor.h"

/* DWARF 4 and 5 line programs whose line numbers are wasm module offsets. Files and columns mean nothing. */

enum {
    LNS_EXTENDED = 0,
    LNS_COPY = 1,
    LNS_ADVANCE_PC = 2,
    LNS_ADVANCE_LINE = 3,
    LNS_CONST_ADD_PC = 8,
    LNS_FIXED_ADVANCE_PC = 9,
    LNE_END_SEQUENCE = 1,
    LNE_SET_ADDRESS = 2,
    ADDRESS_BYTES = 8,
};

/* Rows at the same place sort by order: an end first, as other code may begin where a sequence ends,
 * and of several lines the last one holds. */
struct row {
    uint32_t code_off;
    uint32_t wasm_off;
    uint32_t order;
    bool end;
};

struct program {
    struct link_line_set *set;
    uint64_t code_len;
    uint8_t min_insn_bytes;
    int8_t line_base;
    uint8_t line_range;
    uint8_t opcode_base;
    const uint8_t *operand_counts; /* of opcodes 1.. */
    uint64_t address;
    uint64_t line;
    struct error *err;
};

static status_t corrupt(struct program *p, const char *what)
{
    return error_set(p->err, ST_CORRUPT, ERROR_NO_OFFSET, "object file: .debug_line: %s", what);
}

static status_t emit(struct program *p, bool end)
{
    if (p->address > p->code_len)
        return corrupt(p, "row behind the end of the code");
    struct row row = {
        .code_off = (uint32_t)p->address,
        .wasm_off = end ? 0 : (uint32_t)p->line,
        .order = p->set->order++,
        .end = end,
    };
    buf_bytes(&p->set->rows, &row, sizeof row);
    return ST_OK;
}

static void reset(struct program *p)
{
    p->address = 0;
    p->line = 1;
}

static status_t run_extended(struct program *p, struct cursor *c)
{
    uint64_t len = cursor_leb_u64(c);
    if (c->failed || len == 0 || len > cursor_left(c))
        return corrupt(p, "malformed instruction");
    struct cursor body = cursor_sub(c, (size_t)len);
    switch (cursor_u8(&body)) {
    case LNE_END_SEQUENCE: {
        status_t st = emit(p, true);
        reset(p);
        return st;
    }
    case LNE_SET_ADDRESS:
        p->address = cursor_le64(&body);
        return body.failed ? corrupt(p, "malformed instruction") : ST_OK;
    default:
        return ST_OK;
    }
}

static void skip_operands(struct program *p, struct cursor *c, uint8_t op)
{
    for (uint8_t i = 0; i < p->operand_counts[op - 1]; i++)
        cursor_leb_u64(c);
}

static status_t run_instruction(struct program *p, struct cursor *c)
{
    uint8_t op = cursor_u8(c);
    if (op >= p->opcode_base) {
        uint8_t special = (uint8_t)(op - p->opcode_base);
        p->address += (uint64_t)(special / p->line_range) * p->min_insn_bytes;
        p->line += (uint64_t)(int64_t)(p->line_base + special % p->line_range);
        return emit(p, false);
    }
    switch (op) {
    case LNS_EXTENDED:
        return run_extended(p, c);
    case LNS_COPY:
        return emit(p, false);
    case LNS_ADVANCE_PC:
        p->address += cursor_leb_u64(c) * p->min_insn_bytes;
        return ST_OK;
    case LNS_ADVANCE_LINE:
        p->line += (uint64_t)cursor_leb_s64(c);
        return ST_OK;
    case LNS_CONST_ADD_PC:
        p->address += (uint64_t)((255 - p->opcode_base) / p->line_range) * p->min_insn_bytes;
        return ST_OK;
    case LNS_FIXED_ADVANCE_PC:
        p->address += cursor_le16(c);
        return ST_OK;
    default:
        skip_operands(p, c, op);
        return ST_OK;
    }
}

/* The header up to the program, which *c holds afterwards. */
static status_t read_header(struct program *p, struct cursor *c)
{
    uint16_t version = cursor_le16(c);
    if (version != 4 && version != 5)
        return corrupt(p, "unknown version");
    if (version == 5) {
        uint8_t address_bytes = cursor_u8(c);
        cursor_u8(c); /* segment selector */
        if (address_bytes != ADDRESS_BYTES)
            return corrupt(p, "addresses are not 64 bits wide");
    }
    uint32_t header_len = cursor_le32(c);
    if (c->failed || header_len > cursor_left(c))
        return corrupt(p, "unexpected end");
    struct cursor h = cursor_sub(c, header_len);
    p->min_insn_bytes = cursor_u8(&h);
    cursor_u8(&h); /* operations per instruction */
    cursor_u8(&h); /* default of is_stmt */
    p->line_base = (int8_t)cursor_u8(&h);
    p->line_range = cursor_u8(&h);
    p->opcode_base = cursor_u8(&h);
    if (h.failed || p->line_range == 0 || p->opcode_base == 0)
        return corrupt(p, "malformed header");
    p->operand_counts = cursor_bytes(&h, p->opcode_base - 1u);
    return h.failed ? corrupt(p, "malformed header") : ST_OK;
}

static status_t run_unit(struct program *p, struct cursor *unit)
{
    status_t st = read_header(p, unit);
    reset(p);
    while (st == ST_OK && cursor_left(unit) > 0) {
        st = run_instruction(p, unit);
        if (st == ST_OK && unit->failed)
            st = corrupt(p, unit->reason);
    }
    return st;
}

status_t link_lines_add(struct link_line_set *set, const uint8_t *bytes, size_t len,
                        uint64_t blob_len, struct error *err)
{
    struct program p = {.set = set, .code_len = blob_len, .err = err};
    struct cursor c;
    cursor_init(&c, bytes, len, 0);
    while (cursor_left(&c) > 0) {
        uint32_t unit_len = cursor_le32(&c);
        if (c.failed || unit_len > cursor_left(&c))
            return corrupt(&p, "unit behind the end");
        struct cursor unit = cursor_sub(&c, unit_len);
        status_t st = run_unit(&p, &unit);
        if (st != ST_OK)
            return st;
    }
    if (set->rows.failed)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    return ST_OK;
}

static int row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->code_off != y->code_off)
        return x->code_off < y->code_off ? -1 : 1;
    if (x->end != y->end)
        return x->end ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

status_t link_lines_finish(struct link_line_set *set, struct arena *a,
                           struct image_site **ret_sites, uint32_t *ret_count, struct error *err)
{
    struct row *rows = (struct row *)(void *)set->rows.data;
    size_t count = set->rows.len / sizeof *rows;
    if (count > UINT32_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "too many line rows");
    struct image_site *sites = arena_alloc(a, count, sizeof *sites);
    if (!sites)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (count > 1)
        qsort(rows, count, sizeof *rows, row_order);
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && rows[i + 1].code_off == rows[i].code_off)
            continue;
        if (used > 0 && sites[used - 1].wasm_off == rows[i].wasm_off)
            continue;
        sites[used++] = (struct image_site){rows[i].code_off, rows[i].wasm_off};
    }
    *ret_sites = sites;
    *ret_count = used;
    return ST_OK;
}

void link_lines_done(struct link_line_set *set)
{
    buf_done(&set->rows);
}
