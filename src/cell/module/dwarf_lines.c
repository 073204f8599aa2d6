/* Line programs: the state machine of DWARF section 6.2. */
#include <stdlib.h>
#include <string.h>

#include "dwarf.h"

enum {
    LNS_COPY = 1,
    LNS_ADVANCE_PC,
    LNS_ADVANCE_LINE,
    LNS_SET_FILE,
    LNS_SET_COLUMN,
    LNS_NEGATE_STMT,
    LNS_SET_BASIC_BLOCK,
    LNS_CONST_ADD_PC,
    LNS_FIXED_ADVANCE_PC,
};
enum { LNE_END_SEQUENCE = 1, LNE_SET_ADDRESS, LNE_DEFINE_FILE };

struct machine {
    uint64_t address;
    uint64_t file;
    uint32_t line;
    uint32_t first_row; /* of the sequence */
    bool backwards;     /* an address went down: the sequence is of no use */
};

static void machine_reset(struct machine *s, const struct dwarf_lines *d)
{
    *s = (struct machine){.file = 1, .line = 1, .first_row = d->row_count};
}

static status_t add_row(struct dwarf_lines *d, struct machine *s, uint32_t file, uint32_t line)
{
    if (d->row_count == d->row_cap) {
        uint32_t cap = d->row_cap == 0 ? 1024 : d->row_cap * 2;
        if (cap > DWARF_ROWS_MAX)
            return ST_LIMIT;
        struct line_row *rows = realloc(d->rows, cap * sizeof(*rows));
        if (!rows)
            return ST_NOMEM;
        d->rows = rows;
        d->row_cap = cap;
    }
    if (d->row_count > s->first_row && d->rows[d->row_count - 1].off > s->address)
        s->backwards = true;
    d->rows[d->row_count++] = (struct line_row){s->address, file, line};
    return ST_OK;
}

static status_t emit_row(struct dwarf_lines *d, struct machine *s)
{
    uint32_t file = 0;
    status_t st = dwarf_file_find(d, s->file, &file);

    if (st == ST_NOTFOUND)
        return add_row(d, s, 0, 0);
    return st == ST_OK ? add_row(d, s, file, s->line) : st;
}

static status_t end_sequence(struct dwarf_lines *d, struct machine *s)
{
    status_t st = add_row(d, s, 0, 0);

    if (st != ST_OK)
        return st;
    if (s->backwards) {
        d->row_count = s->first_row;
        machine_reset(s, d);
        return ST_OK;
    }
    if (d->sequence_count == d->sequence_cap) {
        uint32_t cap = d->sequence_cap == 0 ? 64 : d->sequence_cap * 2;
        struct dwarf_sequence *sequences = realloc(d->sequences, cap * sizeof(*sequences));
        if (!sequences)
            return ST_NOMEM;
        d->sequences = sequences;
        d->sequence_cap = cap;
    }
    d->sequences[d->sequence_count++] = (struct dwarf_sequence){
        .low = d->rows[s->first_row].off,
        .high = s->address,
        .first_row = s->first_row,
        .row_count = d->row_count - s->first_row,
    };
    machine_reset(s, d);
    return ST_OK;
}

static status_t run_extended(struct dwarf_lines *d, struct machine *s, struct cursor *c)
{
    uint64_t len = cursor_leb_u64(c);
    bool end;

    if (c->failed || len == 0 || len > cursor_left(c))
        return ST_FORMAT;
    struct cursor op = cursor_sub(c, (size_t)len);
    switch (cursor_u8(&op)) {
    case LNE_END_SEQUENCE:
        return end_sequence(d, s);
    case LNE_SET_ADDRESS:
        if (cursor_left(&op) == 4)
            s->address = cursor_le32(&op);
        else if (cursor_left(&op) == 8)
            s->address = cursor_le64(&op);
        else
            return ST_FORMAT;
        return ST_OK;
    case LNE_DEFINE_FILE:
        return dwarf_file_read_v4(&d->unit, &op, &end);
    default:
        return ST_OK; /* discriminators and others' extensions */
    }
}

static void advance_special(const struct dwarf_unit *u, struct machine *s, uint8_t op, bool line)
{
    uint8_t adjusted = (uint8_t)(op - u->opcode_base);

    s->address += (uint64_t)(adjusted / u->line_range) * u->min_inst_bytes;
    if (line)
        s->line += (uint32_t)(u->line_base + adjusted % u->line_range);
}

static status_t run_standard(struct dwarf_lines *d, struct machine *s, uint8_t op, struct cursor *c)
{
    switch (op) {
    case LNS_COPY:
        return emit_row(d, s);
    case LNS_ADVANCE_PC:
        s->address += cursor_leb_u64(c) * d->unit.min_inst_bytes;
        break;
    case LNS_ADVANCE_LINE:
        s->line += (uint32_t)cursor_leb_s64(c);
        break;
    case LNS_SET_FILE:
        s->file = cursor_leb_u64(c);
        break;
    case LNS_CONST_ADD_PC:
        advance_special(&d->unit, s, 255, false);
        break;
    case LNS_FIXED_ADVANCE_PC:
        s->address += cursor_le16(c);
        break;
    default: /* columns, marks and what later versions add */
        for (uint8_t i = 0; i < d->unit.opcode_args[op]; i++)
            (void)cursor_leb_u64(c);
        break;
    }
    return ST_OK;
}

static status_t run_program(struct dwarf_lines *d, struct cursor *c)
{
    struct machine s;
    status_t st = ST_OK;

    machine_reset(&s, d);
    while (st == ST_OK && cursor_left(c) > 0) {
        uint8_t op = cursor_u8(c);

        if (op >= d->unit.opcode_base) {
            advance_special(&d->unit, &s, op, true);
            st = emit_row(d, &s);
        } else if (op == 0) {
            st = run_extended(d, &s, c);
        } else {
            st = run_standard(d, &s, op, c);
        }
    }
    if (st == ST_OK && c->failed)
        return ST_FORMAT;
    d->row_count = s.first_row; /* rows that no end_sequence closed */
    return st;
}

static status_t read_unit(struct dwarf_lines *d, struct cursor *c)
{
    uint64_t len = cursor_le32(c);

    d->unit.is_64 = len == UINT32_MAX;
    if (d->unit.is_64)
        len = cursor_le64(c);
    if (c->failed || len > cursor_left(c))
        return ST_FORMAT;
    struct cursor unit = cursor_sub(c, (size_t)len);
    d->unit.version = cursor_le16(&unit);
    if (unit.failed)
        return ST_FORMAT;
    if (d->unit.version < 2 || d->unit.version > 5)
        return ST_OK; /* its length is all that is known of it */
    status_t st = dwarf_header_read(d, &unit);
    return st == ST_OK ? run_program(d, &unit) : st;
}

status_t dwarf_lines_read(struct dwarf_lines *d)
{
    status_t st = ST_OK;

    while (st == ST_OK && cursor_left(&d->line) > 0)
        st = read_unit(d, &d->line);
    return st;
}

void dwarf_lines_done(struct dwarf_lines *d)
{
    free(d->unit.dirs.items);
    free(d->unit.files.items);
    free(d->rows);
    free(d->sequences);
    free(d->files);
    free(d->file_slots);
    d->unit.dirs = d->unit.files = (struct dwarf_entries){0};
    d->rows = NULL;
    d->sequences = NULL;
    d->files = NULL;
    d->file_slots = NULL;
}
