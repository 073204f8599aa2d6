#include "link_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/* DWARF call frame information, as far as it says where a frame ends and its caller's frame pointer and
 * return address are. */

enum dwarf_cfa {
    CFA_NOP = 0x00,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_NEGATE_RA_STATE = 0x2d,
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_ADVANCE_LOC = 0x40, /* the operand stands in the low six bits from here on */
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
};

enum {
    POINTER_ABSOLUTE8 = 0x04, /* DW_EH_PE_udata8 */
    POINTER_SIGNED4 = 0x0b,
    POINTER_SIGNED8 = 0x0c,
    POINTER_PC_RELATIVE = 0x10,
    REMEMBER_MAX = 64,
    RETURN_AT = -8, /* x86-64: the return address, from the canonical frame address */
    REG_UNKNOWN = 2,
};

enum rule_kind { RULE_SAME, RULE_AT, RULE_UNKNOWN };

struct rule {
    enum rule_kind kind;
    int64_t at; /* from the canonical frame address */
};

struct frame {
    bool known; /* the canonical frame address is a register plus a number */
    uint64_t reg;
    int64_t add;
    struct rule ra;
    struct rule fp;
};

/* Register numbers of an architecture. */
struct registers {
    uint64_t sp, fp, ra;
};

struct cie {
    uint64_t off;
    uint64_t code_factor;
    int64_t data_factor;
    uint8_t encoding;
    bool augmented; /* entries of functions have augmentation data */
    struct cursor program;
    struct frame initial;
};

struct range {
    uint64_t start;
    uint64_t end;
    uint64_t first_row;
    uint64_t row_count;
};

struct unwinder {
    struct link_unwind_set *set;
    uint32_t arch;
    struct registers regs;
    uint64_t code_len;
    struct cie cie; /* the last one read */
    bool has_cie;
    struct frame frame;
    struct frame remembered[REMEMBER_MAX];
    uint32_t remember_count;
    uint64_t at;
    uint64_t end;
    struct error *err;
};

static status_t corrupt(struct unwinder *u, const char *what)
{
    return error_set(u->err, ST_CORRUPT, ERROR_NO_OFFSET, "object file: .eh_frame: %s", what);
}

static bool fits_row(int64_t v)
{
    return v > INT32_MIN && v <= INT32_MAX;
}

/* -1: cannot be told. */
static int row_register(const struct unwinder *u, uint64_t reg)
{
    if (reg == u->regs.sp)
        return 0;
    return reg == u->regs.fp ? 1 : -1;
}

static struct image_unwind row_of(const struct unwinder *u)
{
    const struct frame *f = &u->frame;
    int reg = row_register(u, f->reg);
    struct image_unwind row = {
        .code_off = (uint32_t)u->at,
        .cfa_add = (int32_t)f->add,
        .ra_add = f->ra.kind == RULE_AT ? (int32_t)f->ra.at : IMAGE_REG_SAME,
        .fp_add = f->fp.kind == RULE_AT ? (int32_t)f->fp.at : IMAGE_REG_SAME,
        .cfa_reg = (uint32_t)reg,
    };
    bool ra_known = f->ra.kind != RULE_UNKNOWN;
    if (u->arch == ARCH_X86_64)
        ra_known = f->ra.kind == RULE_AT && f->ra.at == RETURN_AT;
    if (!f->known || reg < 0 || !ra_known || f->fp.kind == RULE_UNKNOWN || !fits_row(f->add) ||
        !fits_row(f->ra.at) || !fits_row(f->fp.at))
        row = (struct image_unwind){.code_off = (uint32_t)u->at, .cfa_reg = REG_UNKNOWN};
    return row;
}

static void push_row(struct unwinder *u)
{
    struct image_unwind row = row_of(u);
    buf_bytes(&u->set->rows, &row, sizeof row);
}

static struct rule *rule_of(struct unwinder *u, struct frame *f, uint64_t reg)
{
    if (reg == u->regs.ra)
        return &f->ra;
    return reg == u->regs.fp ? &f->fp : NULL;
}

static void set_rule(struct unwinder *u, uint64_t reg, enum rule_kind kind, int64_t at)
{
    struct rule *r = rule_of(u, &u->frame, reg);
    if (r)
        *r = (struct rule){kind, kind == RULE_AT ? at : 0};
}

static void restore_rule(struct unwinder *u, uint64_t reg)
{
    struct rule *r = rule_of(u, &u->frame, reg);
    if (r)
        *r = *rule_of(u, &u->cie.initial, reg);
}

static void skip_block(struct cursor *c)
{
    uint64_t len = cursor_leb_u64(c);
    if (len > cursor_left(c))
        cursor_fail(c, "unexpected end");
    else
        cursor_bytes(c, (size_t)len);
}

/* Numbers in frames are small; what is not becomes a value that no row can hold. */
static int64_t scaled(uint64_t v, int64_t factor)
{
    int64_t product = 0;
    return __builtin_mul_overflow((int64_t)v, factor, &product) ? INT64_MAX : product;
}

static int64_t unscaled(uint64_t v)
{
    return scaled(v, 1);
}

static status_t advance(struct unwinder *u, uint64_t units)
{
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(units, u->cie.code_factor, &bytes) || bytes > u->end - u->at)
        return corrupt(u, "row behind the end of its function");
    if (bytes > 0)
        push_row(u);
    u->at += bytes;
    return ST_OK;
}

static status_t remember(struct unwinder *u)
{
    if (u->remember_count == REMEMBER_MAX)
        return corrupt(u, "too many remembered states");
    u->remembered[u->remember_count++] = u->frame;
    return ST_OK;
}

static status_t recall(struct unwinder *u)
{
    if (u->remember_count == 0)
        return corrupt(u, "no remembered state");
    u->frame = u->remembered[--u->remember_count];
    return ST_OK;
}

/* Instructions that say where the canonical frame address is; false: not one of them. */
static bool step_cfa(struct unwinder *u, struct cursor *c, uint8_t op)
{
    struct frame *f = &u->frame;
    switch (op) {
    case CFA_DEF_CFA:
        f->reg = cursor_leb_u64(c);
        f->add = unscaled(cursor_leb_u64(c));
        f->known = true;
        return true;
    case CFA_DEF_CFA_SF:
        f->reg = cursor_leb_u64(c);
        f->add = scaled((uint64_t)cursor_leb_s64(c), u->cie.data_factor);
        f->known = true;
        return true;
    case CFA_DEF_CFA_REGISTER:
        f->reg = cursor_leb_u64(c);
        return true;
    case CFA_DEF_CFA_OFFSET:
        f->add = unscaled(cursor_leb_u64(c));
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        f->add = scaled((uint64_t)cursor_leb_s64(c), u->cie.data_factor);
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        skip_block(c);
        f->known = false;
        return true;
    default:
        return false;
    }
}

/* Instructions about one saved register; false: not one of them. */
static bool step_register(struct unwinder *u, struct cursor *c, uint8_t op)
{
    uint64_t reg = 0;
    switch (op) {
    case CFA_OFFSET_EXTENDED:
        reg = cursor_leb_u64(c);
        set_rule(u, reg, RULE_AT, scaled(cursor_leb_u64(c), u->cie.data_factor));
        return true;
    case CFA_OFFSET_EXTENDED_SF:
        reg = cursor_leb_u64(c);
        set_rule(u, reg, RULE_AT, scaled((uint64_t)cursor_leb_s64(c), u->cie.data_factor));
        return true;
    case CFA_RESTORE_EXTENDED:
        restore_rule(u, cursor_leb_u64(c));
        return true;
    case CFA_SAME_VALUE:
        set_rule(u, cursor_leb_u64(c), RULE_SAME, 0);
        return true;
    case CFA_UNDEFINED:
        set_rule(u, cursor_leb_u64(c), RULE_UNKNOWN, 0);
        return true;
    case CFA_REGISTER:
    case CFA_VAL_OFFSET:
    case CFA_VAL_OFFSET_SF:
        reg = cursor_leb_u64(c);
        if (op == CFA_VAL_OFFSET_SF)
            cursor_leb_s64(c);
        else
            cursor_leb_u64(c);
        set_rule(u, reg, RULE_UNKNOWN, 0);
        return true;
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
        set_rule(u, cursor_leb_u64(c), RULE_UNKNOWN, 0);
        skip_block(c);
        return true;
    default:
        return false;
    }
}

static status_t step(struct unwinder *u, struct cursor *c)
{
    uint8_t op = cursor_u8(c);
    uint8_t low = op & 0x3f;
    switch (op & 0xc0) {
    case CFA_ADVANCE_LOC:
        return advance(u, low);
    case CFA_OFFSET:
        set_rule(u, low, RULE_AT, scaled(cursor_leb_u64(c), u->cie.data_factor));
        return ST_OK;
    case CFA_RESTORE:
        restore_rule(u, low);
        return ST_OK;
    default:
        break;
    }
    if (step_cfa(u, c, op) || step_register(u, c, op))
        return ST_OK;
    switch (op) {
    case CFA_NOP:
    case CFA_NEGATE_RA_STATE:
        return ST_OK;
    case CFA_ADVANCE_LOC1:
        return advance(u, cursor_u8(c));
    case CFA_ADVANCE_LOC2:
        return advance(u, cursor_le16(c));
    case CFA_ADVANCE_LOC4:
        return advance(u, cursor_le32(c));
    case CFA_REMEMBER_STATE:
        return remember(u);
    case CFA_RESTORE_STATE:
        return recall(u);
    case CFA_GNU_ARGS_SIZE:
        cursor_leb_u64(c);
        return ST_OK;
    default:
        return error_set(u->err, ST_LINK, ERROR_NO_OFFSET,
                         "call frame instruction 0x%02x is not supported", op);
    }
}

static status_t run(struct unwinder *u, struct cursor program)
{
    while (cursor_left(&program) > 0) {
        status_t st = step(u, &program);
        if (st != ST_OK)
            return st;
        if (program.failed)
            return corrupt(u, program.reason);
    }
    return ST_OK;
}

/* The data of a common entry's augmentation string: the encoding of code addresses is what counts. */
static status_t read_augmentation(struct unwinder *u, struct cursor *c, const char *string)
{
    u->cie.encoding = POINTER_ABSOLUTE8;
    u->cie.augmented = string[0] == 'z';
    if (string[0] == 0)
        return ST_OK;
    if (!u->cie.augmented)
        return corrupt(u, "unknown augmentation");
    uint64_t len = cursor_leb_u64(c);
    if (len > cursor_left(c))
        return corrupt(u, "unexpected end");
    struct cursor data = cursor_sub(c, (size_t)len);
    for (const char *s = string + 1; *s; s++) {
        if (*s == 'R')
            u->cie.encoding = cursor_u8(&data);
        else if (*s != 'S' && *s != 'B' && *s != 'G')
            return error_set(u->err, ST_LINK, ERROR_NO_OFFSET,
                             ".eh_frame: augmentation '%c' is not supported", *s);
    }
    return data.failed ? corrupt(u, data.reason) : ST_OK;
}

/* c: the section, to be read from byte off on. */
static status_t read_cie(struct unwinder *u, const struct cursor *section, uint64_t off)
{
    if (u->has_cie && u->cie.off == off)
        return ST_OK;
    struct cursor c = *section;
    c.pos = c.start + off;
    uint32_t len = cursor_le32(&c);
    if (c.failed || len == UINT32_MAX || len > cursor_left(&c))
        return corrupt(u, "entry behind the end");
    struct cursor entry = cursor_sub(&c, len);
    if (cursor_le32(&entry) != 0)
        return corrupt(u, "no common entry where one should be");
    uint8_t version = cursor_u8(&entry);
    const char *string = (const char *)entry.pos;
    if (!memchr(entry.pos, 0, cursor_left(&entry)))
        return corrupt(u, "unexpected end");
    cursor_bytes(&entry, strlen(string) + 1);
    u->cie = (struct cie){.off = off};
    u->has_cie = false;
    u->cie.code_factor = cursor_leb_u64(&entry);
    u->cie.data_factor = cursor_leb_s64(&entry);
    uint64_t ra = version == 1 ? cursor_u8(&entry) : cursor_leb_u64(&entry);
    if (entry.failed || (version != 1 && version != 3) || ra != u->regs.ra)
        return corrupt(u, "unknown kind of common entry");
    status_t st = read_augmentation(u, &entry, string);
    if (st != ST_OK)
        return st;
    /* Its program must not advance: it is run with no code at all. */
    u->frame = (struct frame){0};
    u->at = u->end = 0;
    u->remember_count = 0;
    st = run(u, entry);
    u->cie.initial = u->frame;
    u->has_cie = st == ST_OK;
    return st;
}

static uint64_t read_address(struct cursor *c, uint8_t encoding)
{
    uint64_t place = cursor_offset(c);
    uint64_t v = 0;
    switch (encoding & 0x0f) {
    case 0x00: /* as wide as a pointer */
    case POINTER_ABSOLUTE8:
    case POINTER_SIGNED8:
        v = cursor_le64(c);
        break;
    case 0x03:
        v = cursor_le32(c);
        break;
    case POINTER_SIGNED4:
        v = (uint64_t)(int64_t)(int32_t)cursor_le32(c);
        break;
    default:
        cursor_fail(c, "unknown encoding of addresses");
        return 0;
    }
    if ((encoding & 0xf0) == POINTER_PC_RELATIVE)
        v += place;
    else if ((encoding & 0xf0) != 0)
        cursor_fail(c, "unknown encoding of addresses");
    return v;
}

static status_t read_function(struct unwinder *u, struct cursor *entry)
{
    uint64_t start = read_address(entry, u->cie.encoding);
    uint64_t len = read_address(entry, u->cie.encoding & 0x0f);
    if (u->cie.augmented)
        skip_block(entry);
    if (entry->failed)
        return corrupt(u, entry->reason);
    if (start > u->code_len || len > u->code_len - start)
        return corrupt(u, "function outside the code");
    if (len == 0)
        return ST_OK;
    struct range r = {.start = start,
                      .end = start + len,
                      .first_row = u->set->rows.len / sizeof(struct image_unwind)};
    u->frame = u->cie.initial;
    u->at = r.start;
    u->end = r.end;
    u->remember_count = 0;
    status_t st = run(u, *entry);
    if (st != ST_OK)
        return st;
    if (u->at < u->end)
        push_row(u);
    r.row_count = u->set->rows.len / sizeof(struct image_unwind) - r.first_row;
    buf_bytes(&u->set->ranges, &r, sizeof r);
    return ST_OK;
}

status_t link_unwind_add(struct link_unwind_set *set, uint32_t arch, const uint8_t *bytes,
                         size_t len, uint64_t blob_len, struct error *err)
{
    struct unwinder u = {
        .set = set,
        .arch = arch,
        .regs = arch == ARCH_AARCH64 ? (struct registers){31, 29, 30}
                                     : (struct registers){7, 6, 16},
        .code_len = blob_len,
        .err = err,
    };
    struct cursor section;
    cursor_init(&section, bytes, len, 0);
    struct cursor c = section;
    while (cursor_left(&c) > 0) {
        uint32_t entry_len = cursor_le32(&c);
        if (!c.failed && entry_len == 0)
            continue; /* a terminator */
        if (c.failed || entry_len == UINT32_MAX || entry_len > cursor_left(&c) || entry_len < 4)
            return corrupt(&u, "entry behind the end");
        uint64_t id_off = cursor_offset(&c);
        struct cursor entry = cursor_sub(&c, entry_len);
        uint32_t back = cursor_le32(&entry);
        if (back == 0)
            continue; /* common entries are read when a function names them */
        if (back > id_off)
            return corrupt(&u, "no common entry where one should be");
        status_t st = read_cie(&u, &section, id_off - back);
        if (st == ST_OK)
            st = read_function(&u, &entry);
        if (st != ST_OK)
            return st;
    }
    if (set->rows.failed || set->ranges.failed)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    return ST_OK;
}

static int range_order(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return 0;
}

struct row_writer {
    struct image_unwind *rows;
    uint32_t count;
};

/* Append unless it says the same as the row before. */
static void write_row(struct row_writer *w, struct image_unwind row)
{
    if (w->count > 0) {
        const struct image_unwind *last = &w->rows[w->count - 1];
        if (last->cfa_reg == row.cfa_reg && last->cfa_add == row.cfa_add &&
            last->ra_add == row.ra_add && last->fp_add == row.fp_add)
            return;
    }
    w->rows[w->count++] = row;
}

status_t link_unwind_finish(struct link_unwind_set *set, struct arena *a,
                            struct image_unwind **ret_rows, uint32_t *ret_count, struct error *err)
{
    struct range *ranges = (struct range *)(void *)set->ranges.data;
    const struct image_unwind *rows = (const struct image_unwind *)(const void *)set->rows.data;
    size_t range_count = set->ranges.len / sizeof *ranges;
    size_t row_count = set->rows.len / sizeof *rows;
    struct row_writer w = {0};
    if (row_count + range_count > UINT32_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "too many unwind rows");
    w.rows = arena_alloc(a, row_count + range_count, sizeof *rows);
    if (!w.rows)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (range_count > 1)
        qsort(ranges, range_count, sizeof *ranges, range_order);
    for (size_t i = 0; i < range_count; i++) {
        const struct range *r = &ranges[i];
        bool last = i + 1 == range_count;
        if (!last && ranges[i + 1].start < r->end)
            return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                             "object file: .eh_frame: functions overlap");
        for (uint64_t k = 0; k < r->row_count; k++)
            write_row(&w, rows[r->first_row + k]);
        if (last || ranges[i + 1].start > r->end)
            write_row(&w,
                      (struct image_unwind){.code_off = (uint32_t)r->end, .cfa_reg = REG_UNKNOWN});
    }
    *ret_rows = w.rows;
    *ret_count = w.count;
    return ST_OK;
}

void link_unwind_done(struct link_unwind_set *set)
{
    buf_done(&set->rows);
    buf_done(&set->ranges);
}
