/* Headers of line programs: directories and files, in the two formats they have had. */
#include <stdlib.h>
#include <string.h>

#include "dwarf.h"

enum {
    FORM_DATA2 = 0x05,
    FORM_DATA4 = 0x06,
    FORM_DATA8 = 0x07,
    FORM_STRING = 0x08,
    FORM_BLOCK = 0x09,
    FORM_BLOCK1 = 0x0a,
    FORM_DATA1 = 0x0b,
    FORM_STRP = 0x0e,
    FORM_UDATA = 0x0f,
    FORM_DATA16 = 0x1e,
    FORM_LINE_STRP = 0x1f,
};

enum { CONTENT_PATH = 1, CONTENT_DIRECTORY = 2 };

struct text {
    const char *bytes;
    uint32_t len;
};

/* A value of whichever form: text, or a number. */
struct form_value {
    struct text text;
    uint64_t number;
};

struct entry_format {
    uint64_t content;
    uint64_t form;
};

static uint32_t cut_len(size_t len)
{
    return len < DWARF_PATH_BYTES_MAX ? (uint32_t)len : DWARF_PATH_BYTES_MAX;
}

static struct text read_cstring(struct cursor *c)
{
    const uint8_t *nul = memchr(c->pos, 0, cursor_left(c));

    if (!nul) {
        cursor_fail(c, "string without end");
        return (struct text){"", 0};
    }
    size_t len = (size_t)(nul - c->pos);
    const uint8_t *bytes = cursor_bytes(c, len + 1);
    return (struct text){(const char *)bytes, cut_len(len)};
}

/* Only as much is looked at as will be used: many entries may point into one long string. */
static struct text string_at(const struct cursor *section, uint64_t off, struct cursor *c)
{
    if (off >= cursor_left(section)) {
        cursor_fail(c, "string offset out of bounds");
        return (struct text){"", 0};
    }
    const char *bytes = (const char *)section->start + off;
    return (struct text){bytes, (uint32_t)strnlen(bytes, cut_len(cursor_left(section) - off))};
}

static uint64_t read_offset(struct cursor *c, bool is_64)
{
    return is_64 ? cursor_le64(c) : cursor_le32(c);
}

static void skip_bytes(struct cursor *c, uint64_t len)
{
    if (len > cursor_left(c))
        cursor_fail(c, "unexpected end");
    else
        (void)cursor_bytes(c, (size_t)len);
}

static struct form_value read_form(struct dwarf_lines *d, struct cursor *c, uint64_t form)
{
    struct form_value v = {{"", 0}, 0};

    switch (form) {
    case FORM_STRING:
        v.text = read_cstring(c);
        break;
    case FORM_LINE_STRP:
        v.text = string_at(&d->line_str, read_offset(c, d->unit.is_64), c);
        break;
    case FORM_STRP:
        v.text = string_at(&d->str, read_offset(c, d->unit.is_64), c);
        break;
    case FORM_DATA1:
        v.number = cursor_u8(c);
        break;
    case FORM_DATA2:
        v.number = cursor_le16(c);
        break;
    case FORM_DATA4:
        v.number = cursor_le32(c);
        break;
    case FORM_DATA8:
        v.number = cursor_le64(c);
        break;
    case FORM_UDATA:
        v.number = cursor_leb_u64(c);
        break;
    case FORM_DATA16:
        skip_bytes(c, 16);
        break;
    case FORM_BLOCK:
        skip_bytes(c, cursor_leb_u64(c));
        break;
    case FORM_BLOCK1:
        skip_bytes(c, cursor_u8(c));
        break;
    default:
        cursor_fail(c, "unknown form");
        break;
    }
    return v;
}

static status_t add_entry(struct dwarf_entries *e, struct text name, uint64_t dir)
{
    if (e->count == e->cap) {
        uint32_t cap = e->cap == 0 ? 16 : e->cap * 2;
        if (cap > DWARF_UNIT_ENTRIES_MAX)
            return ST_LIMIT;
        struct dwarf_entry *items = realloc(e->items, cap * sizeof(*items));
        if (!items)
            return ST_NOMEM;
        e->items = items;
        e->cap = cap;
    }
    e->items[e->count++] = (struct dwarf_entry){name.bytes, name.len, 0, dir};
    return ST_OK;
}

/* ---- version 5 ---- */

/* Every form has at least one byte, so the number of entries is bounded by the bytes, if only an
 * entry has a form. */
static status_t read_entries_v5(struct dwarf_lines *d, struct cursor *c, struct dwarf_entries *e)
{
    struct entry_format formats[255];
    uint8_t format_count = cursor_u8(c);

    for (uint8_t i = 0; i < format_count; i++) {
        formats[i].content = cursor_leb_u64(c);
        formats[i].form = cursor_leb_u64(c);
    }
    uint64_t count = cursor_leb_u64(c);
    if (c->failed || (format_count == 0 && count > 0))
        return ST_FORMAT;
    for (uint64_t i = 0; i < count; i++) {
        struct text name = {"", 0};
        uint64_t dir = 0;

        for (uint8_t k = 0; k < format_count; k++) {
            struct form_value v = read_form(d, c, formats[k].form);

            if (formats[k].content == CONTENT_PATH)
                name = v.text;
            if (formats[k].content == CONTENT_DIRECTORY)
                dir = v.number;
        }
        if (c->failed)
            return ST_FORMAT;
        status_t st = add_entry(e, name, dir);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static status_t read_tables_v5(struct dwarf_lines *d, struct cursor *c)
{
    status_t st = read_entries_v5(d, c, &d->unit.dirs);

    return st == ST_OK ? read_entries_v5(d, c, &d->unit.files) : st;
}

/* ---- versions 2 to 4 ---- */

status_t dwarf_file_read_v4(struct dwarf_unit *u, struct cursor *c, bool *ret_end)
{
    struct text name = read_cstring(c);

    if (c->failed)
        return ST_FORMAT;
    if (name.len == 0) {
        *ret_end = true;
        return ST_OK;
    }
    uint64_t dir = cursor_leb_u64(c);
    (void)cursor_leb_u64(c); /* time */
    (void)cursor_leb_u64(c); /* length */
    status_t st = c->failed ? ST_FORMAT : add_entry(&u->files, name, dir);
    if (st == ST_OK)
        *ret_end = false;
    return st;
}

/* Numbers start at 1 here, so entry 0 is put before: the compiler's directory, which stands
 * elsewhere, and no file. */
static status_t read_tables_v4(struct dwarf_unit *u, struct cursor *c)
{
    bool end = false;
    status_t st = add_entry(&u->dirs, (struct text){"", 0}, 0);

    while (st == ST_OK) {
        struct text name = read_cstring(c);

        if (c->failed)
            return ST_FORMAT;
        if (name.len == 0)
            break;
        st = add_entry(&u->dirs, name, 0);
    }
    if (st == ST_OK)
        st = add_entry(&u->files, (struct text){"", 0}, 0);
    while (st == ST_OK && !end)
        st = dwarf_file_read_v4(u, c, &end);
    return st;
}

status_t dwarf_header_read(struct dwarf_lines *d, struct cursor *c)
{
    struct dwarf_unit *u = &d->unit;

    u->dirs.count = u->files.count = 0;
    if (u->version >= 5)
        skip_bytes(c, 2); /* sizes of an address, which set_address has itself, and of a segment */
    uint64_t header_len = read_offset(c, u->is_64);
    if (c->failed || header_len > cursor_left(c))
        return ST_FORMAT;
    struct cursor h = cursor_sub(c, (size_t)header_len);
    u->min_inst_bytes = cursor_u8(&h);
    uint8_t ops_per_inst = u->version >= 4 ? cursor_u8(&h) : 1;
    (void)cursor_u8(&h); /* default_is_stmt */
    u->line_base = (int8_t)cursor_u8(&h);
    u->line_range = cursor_u8(&h);
    u->opcode_base = cursor_u8(&h);
    for (uint32_t i = 1; i < u->opcode_base; i++)
        u->opcode_args[i] = cursor_u8(&h);
    if (h.failed || u->line_range == 0 || u->opcode_base == 0 || ops_per_inst > 1)
        return ST_FORMAT;
    return u->version >= 5 ? read_tables_v5(d, &h) : read_tables_v4(u, &h);
}
