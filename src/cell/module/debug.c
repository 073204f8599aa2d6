#include "cell/module/debug.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "dwarf.h"
#include "utf8.h"

enum { NAME_SUBSECTION_FUNCS = 1 };

/* Ends quietly at the first fault. */
static void read_func_names(const struct module *m, struct cursor *c, struct name *names)
{
    uint32_t count = cursor_leb_u32(c);

    for (uint32_t i = 0; i < count && !c->failed; i++) {
        uint32_t index = cursor_leb_u32(c);
        uint32_t len = cursor_leb_u32(c);
        const uint8_t *bytes = cursor_bytes(c, len);

        if (c->failed || !utf8_valid(bytes, len))
            return;
        if (index < m->func_count)
            names[index] = (struct name){(const char *)bytes, len};
    }
}

static void read_name_section(const struct module *m, struct name *names)
{
    const struct module_custom *custom = module_custom_find(m, "name");
    struct cursor c;

    if (!custom)
        return;
    cursor_init(&c, custom->bytes, custom->len, 0);
    while (cursor_left(&c) > 0) {
        uint8_t id = cursor_u8(&c);
        uint32_t len = cursor_leb_u32(&c);
        struct cursor sub = cursor_sub(&c, len);

        if (!c.failed && id == NAME_SUBSECTION_FUNCS)
            read_func_names(m, &sub, names);
    }
}

/* "module.field", as an error message would name the import. */
static status_t name_import(const struct module_import *imp, struct arena *a, struct name *ret_name)
{
    size_t len = (size_t)imp->module.len + 1 + imp->field.len;
    char *text = arena_alloc(a, len, 1);

    if (!text)
        return ST_NOMEM;
    memcpy(text, imp->module.bytes, imp->module.len);
    text[imp->module.len] = '.';
    memcpy(text + imp->module.len + 1, imp->field.bytes, imp->field.len);
    *ret_name = (struct name){text, (uint32_t)len};
    return ST_OK;
}

status_t module_func_names(const struct module *m, struct arena *a, struct name **ret_names)
{
    struct name *names = arena_alloc(a, m->func_count, sizeof(*names));

    if (!names)
        return ST_NOMEM;
    for (uint32_t i = 0; i < m->func_count; i++)
        names[i].bytes = "";
    read_name_section(m, names);
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *e = &m->exports[i];

        if (e->kind == EXTERN_FUNC && names[e->index].len == 0)
            names[e->index] = e->field;
    }
    for (uint32_t i = 0; i < m->import_count; i++) {
        const struct module_import *imp = &m->imports[i];

        if (imp->kind == EXTERN_FUNC && names[imp->index].len == 0 &&
            name_import(imp, a, &names[imp->index]) != ST_OK)
            return ST_NOMEM;
    }
    *ret_names = names;
    return ST_OK;
}

/* ---- lines ---- */

/* Bytes of the code section, as far as function bodies go. */
static uint64_t code_bytes(const struct module *m)
{
    if (m->func_count == m->func_import_count)
        return 0;
    const struct module_func *last = &m->funcs[m->func_count - 1];
    return last->body_off + last->body_len - m->code_off;
}

static struct cursor section_cursor(const struct module *m, const char *name)
{
    const struct module_custom *custom = module_custom_find(m, name);
    struct cursor c;

    cursor_init(&c, custom ? custom->bytes : NULL, custom ? custom->len : 0, 0);
    return c;
}

static int compare_sequences(const void *a, const void *b)
{
    const struct dwarf_sequence *x = a, *y = b;

    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    /* Of two at one address the first in the section counts; qsort itself keeps no order. */
    return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

/* Append a sequence's rows. Of several rows at one address the last one has the code; rows that say the
 * same as the one before (they differ in the column) are left out. */
static void take_sequence(const struct dwarf_lines *d, const struct dwarf_sequence *s,
                          uint64_t code_off, struct line_table *t)
{
    for (uint32_t i = 0; i < s->row_count; i++) {
        struct line_row row = d->rows[s->first_row + i];

        row.off += code_off;
        if (t->row_count > 0 && t->rows[t->row_count - 1].off == row.off)
            t->row_count--;
        const struct line_row *last = t->row_count > 0 ? &t->rows[t->row_count - 1] : NULL;
        if (!last || last->file != row.file || last->line != row.line)
            t->rows[t->row_count++] = row;
    }
}

static status_t make_table(const struct module *m, const struct dwarf_lines *d, struct arena *a,
                           struct line_table *t)
{
    uint64_t code_len = code_bytes(m);
    uint64_t end = 0;

    t->rows = arena_alloc(a, d->row_count, sizeof(*t->rows));
    t->files = arena_alloc(a, d->file_count, sizeof(*t->files));
    if (!t->rows || !t->files)
        return ST_NOMEM;
    if (d->file_count > 0)
        memcpy(t->files, d->files, d->file_count * sizeof(*t->files));
    t->file_count = d->file_count;
    if (d->sequence_count > 0)
        qsort(d->sequences, d->sequence_count, sizeof(*d->sequences), compare_sequences);
    for (uint32_t i = 0; i < d->sequence_count; i++) {
        const struct dwarf_sequence *s = &d->sequences[i];

        /* Linkers leave the lines of functions that they removed, at address 0 or the highest ones. */
        if (s->low == 0 || s->high > code_len || s->low < end)
            continue;
        take_sequence(d, s, m->code_off, t);
        end = s->high;
    }
    return ST_OK;
}

status_t module_line_table(const struct module *m, struct arena *a, struct line_table *ret_table)
{
    struct dwarf_lines d = {.arena = a};
    struct line_table t = {0};

    d.line = section_cursor(m, ".debug_line");
    d.line_str = section_cursor(m, ".debug_line_str");
    d.str = section_cursor(m, ".debug_str");
    status_t st = dwarf_lines_read(&d);
    if (st == ST_OK)
        st = make_table(m, &d, a, &t);
    dwarf_lines_done(&d);
    if (st == ST_NOMEM)
        return st;
    *ret_table = st == ST_OK ? t : (struct line_table){0};
    return ST_OK;
}
