#include "link_parts.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_FILL_X86_64 = 0xcc /* int3 */, TEXT_FILL_AARCH64 = 0 /* udf */ };

/* A defined global symbol; name NULL: a free slot of the table. */
struct global {
    const char *name;
    const struct link_section *section;
    uint64_t value;
};

struct linker {
    uint32_t arch;
    struct link_elf *objects;
    uint32_t object_count;
    struct global *globals; /* open addressing */
    uint64_t global_mask;
    struct arena scratch;
    struct link_output *out;
    struct error *err;
};

static status_t no_memory(struct linker *l)
{
    return error_set(l->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static bool name_is(const char *name, const char *stem)
{
    size_t len = strlen(stem);
    return strncmp(name, stem, len) == 0 && (name[len] == 0 || name[len] == '.');
}

static bool in_blob(const struct link_section *s)
{
    return s->kind == LINK_KIND_HOT || s->kind == LINK_KIND_COLD || s->kind == LINK_KIND_CONST;
}

static status_t classify(struct linker *l, struct link_section *s)
{
    s->kind = LINK_KIND_NONE;
    if (strcmp(s->name, ".eh_frame") == 0) {
        s->kind = LINK_KIND_UNWIND;
    } else if (strcmp(s->name, ".debug_line") == 0) {
        s->kind = LINK_KIND_LINES;
    } else if (strcmp(s->name, ".llvm_stackmaps") == 0) {
        s->kind = LINK_KIND_MAPS;
    } else if (!(s->flags & SHF_ALLOC) || s->type == SHT_NOTE) {
        return ST_OK;
    } else if (s->flags & (SHF_WRITE | SHF_TLS) || s->type != SHT_PROGBITS) {
        if (s->len == 0)
            return ST_OK;
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET,
                         "section %s: an image has no writable data", s->name);
    } else if (!(s->flags & SHF_EXECINSTR)) {
        s->kind = LINK_KIND_CONST;
    } else {
        bool cold = name_is(s->name, ".text.unlikely") || name_is(s->name, ".text.cold") ||
                    name_is(s->name, ".text.split");
        s->kind = cold ? LINK_KIND_COLD : LINK_KIND_HOT;
    }
    if (in_blob(s) && s->align > LINK_CONST_ALIGN)
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET, "section %s: alignment %llu", s->name,
                         (unsigned long long)s->align);
    if (s->type == SHT_NOBITS)
        s->len = 0;
    return ST_OK;
}

static uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

/* Give all sections of one kind their place from *end on. */
static status_t place(struct linker *l, enum link_kind kind, uint64_t *end)
{
    for (uint32_t i = 0; i < l->object_count; i++) {
        for (uint32_t k = 0; k < l->objects[i].section_count; k++) {
            struct link_section *s = &l->objects[i].sections[k];
            if (s->kind != kind)
                continue;
            s->blob_off = align_up(*end, s->align);
            *end = s->blob_off + s->len;
            if (*end >= LINK_BLOB_MAX)
                return error_set(l->err, ST_LIMIT, ERROR_NO_OFFSET, "more than 2 GiB of code");
        }
    }
    return ST_OK;
}

static status_t place_all(struct linker *l)
{
    for (uint32_t i = 0; i < l->object_count; i++) {
        for (uint32_t k = 0; k < l->objects[i].section_count; k++) {
            status_t st = classify(l, &l->objects[i].sections[k]);
            if (st != ST_OK)
                return st;
        }
    }
    uint64_t end = 0;
    status_t st = place(l, LINK_KIND_HOT, &end);
    if (st == ST_OK)
        st = place(l, LINK_KIND_COLD, &end);
    if (st != ST_OK)
        return st;
    uint64_t const_off = align_up(end, LINK_CONST_ALIGN);
    end = const_off;
    st = place(l, LINK_KIND_CONST, &end);
    if (st != ST_OK)
        return st;
    l->out->const_off = (uint32_t)const_off;
    struct buf *code = &l->out->code;
    buf_fill(code, l->arch == ARCH_AARCH64 ? TEXT_FILL_AARCH64 : TEXT_FILL_X86_64,
             (size_t)const_off);
    buf_fill(code, 0, (size_t)(end - const_off));
    if (code->failed)
        return no_memory(l);
    for (uint32_t i = 0; i < l->object_count; i++) {
        for (uint32_t k = 0; k < l->objects[i].section_count; k++) {
            const struct link_section *s = &l->objects[i].sections[k];
            if (in_blob(s) && s->len > 0)
                memcpy(code->data + s->blob_off, s->bytes, (size_t)s->len);
        }
    }
    return ST_OK;
}

/* The slot of a name: its symbol's or a free one. */
static struct global *global_slot(struct linker *l, const char *name)
{
    uint64_t i = hash_xxh3(name, strlen(name)) & l->global_mask;
    while (l->globals[i].name && strcmp(l->globals[i].name, name) != 0)
        i = (i + 1) & l->global_mask;
    return &l->globals[i];
}

static bool is_global(const struct link_elf_symbol *s)
{
    return s->bind != STB_LOCAL && s->section != LINK_SECTION_UNDEFINED;
}

static status_t add_global(struct linker *l, const struct link_elf *elf,
                           const struct link_elf_symbol *s)
{
    if (s->section == LINK_SECTION_COMMON)
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET,
                         "symbol %s: an image has no writable data", s->name);
    if (s->section == LINK_SECTION_ABSOLUTE)
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET, "symbol %s is absolute", s->name);
    struct global *g = global_slot(l, s->name);
    if (g->name)
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET, "symbol %s is defined twice", s->name);
    *g = (struct global){s->name, &elf->sections[s->section], s->value};
    return ST_OK;
}

static status_t collect_globals(struct linker *l)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < l->object_count; i++) {
        for (uint64_t k = 0; k < l->objects[i].symbol_count; k++)
            count += is_global(&l->objects[i].symbols[k]);
    }
    uint64_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    l->globals = arena_alloc(&l->scratch, (size_t)slots, sizeof *l->globals);
    l->global_mask = slots - 1;
    if (!l->globals)
        return no_memory(l);
    for (uint32_t i = 0; i < l->object_count; i++) {
        const struct link_elf *elf = &l->objects[i];
        for (uint64_t k = 0; k < elf->symbol_count; k++) {
            if (!is_global(&elf->symbols[k]))
                continue;
            status_t st = add_global(l, elf, &elf->symbols[k]);
            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

/* Address of the symbol that a relocation names; ret_name: what to call it in messages. */
static status_t resolve(struct linker *l, const struct link_elf *elf, uint32_t index,
                        uint64_t *ret_address, const char **ret_name)
{
    if (index >= elf->symbol_count)
        return error_set(l->err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "object file: relocation of no symbol");
    const struct link_elf_symbol *s = &elf->symbols[index];
    const struct link_section *section = NULL;
    uint64_t value = s->value;
    *ret_name = s->name;
    if (s->section == LINK_SECTION_UNDEFINED) {
        const struct global *g = global_slot(l, s->name);
        if (!g->name)
            return error_set(l->err, ST_LINK, ERROR_NO_OFFSET, "undefined symbol %s", s->name);
        section = g->section;
        value = g->value;
    } else if (s->section < elf->section_count) {
        section = &elf->sections[s->section];
    }
    if (section && s->name[0] == 0)
        *ret_name = section->name;
    if (!section || !in_blob(section))
        return error_set(l->err, ST_LINK, ERROR_NO_OFFSET,
                         "reference to %s, which is not part of the image", *ret_name);
    *ret_address = section->blob_off + value;
    return ST_OK;
}

/* The absolute reference from a line table to a string of another debug section, which nobody reads. */
static bool skipped(const struct link_section *s, uint32_t type, uint32_t arch)
{
    return s->kind == LINK_KIND_LINES &&
           type == (arch == ARCH_AARCH64 ? R_AARCH64_ABS32 : R_X86_64_32);
}

/* Resolve the references of one section, whose bytes stand at `bytes` and whose address is `base`. */
static status_t relocate(struct linker *l, const struct link_elf *elf, const struct link_section *s,
                         uint8_t *bytes, uint64_t base)
{
    for (uint64_t i = 0; i < s->reloc_count; i++) {
        struct link_reloc r = link_elf_reloc(s, i);
        if (skipped(s, r.type, l->arch))
            continue;
        struct link_patch p = {
            .section = bytes,
            .len = s->len,
            .off = r.off,
            .place = base + r.off,
            .addend = r.addend,
            .type = r.type,
            .debug = !in_blob(s),
        };
        const char *name = "";
        status_t st = resolve(l, elf, r.symbol, &p.target, &name);
        if (st == ST_OK)
            st = link_reloc_apply(l->arch, &p, name, l->err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static status_t relocate_blob(struct linker *l)
{
    for (uint32_t i = 0; i < l->object_count; i++) {
        const struct link_elf *elf = &l->objects[i];
        for (uint32_t k = 0; k < elf->section_count; k++) {
            const struct link_section *s = &elf->sections[k];
            if (!in_blob(s) || s->len == 0)
                continue;
            status_t st = relocate(l, elf, s, l->out->code.data + s->blob_off, s->blob_off);
            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

/* What the tables about code come to. */
struct tables {
    struct link_unwind_set unwinds;
    struct link_line_set lines;
    struct link_map_set maps;
};

static status_t read_table(struct linker *l, enum link_kind kind, const uint8_t *bytes, size_t len,
                           struct tables *t)
{
    if (kind == LINK_KIND_UNWIND)
        return link_unwind_add(&t->unwinds, l->arch, bytes, len, l->out->const_off, l->err);
    if (kind == LINK_KIND_LINES)
        return link_lines_add(&t->lines, bytes, len, l->out->const_off, l->err);
    return link_maps_add(&t->maps, l->arch, bytes, len, l->out->const_off, l->err);
}

static bool is_table(const struct link_section *s)
{
    return s->kind == LINK_KIND_UNWIND || s->kind == LINK_KIND_LINES || s->kind == LINK_KIND_MAPS;
}

/* Read the tables about code: copies are relocated as if they stood at address 0. */
static status_t read_tables(struct linker *l, struct tables *t)
{
    for (uint32_t i = 0; i < l->object_count; i++) {
        const struct link_elf *elf = &l->objects[i];
        for (uint32_t k = 0; k < elf->section_count; k++) {
            const struct link_section *s = &elf->sections[k];
            if (!is_table(s) || s->len == 0)
                continue;
            uint8_t *copy = arena_alloc(&l->scratch, (size_t)s->len, 1);
            if (!copy)
                return no_memory(l);
            memcpy(copy, s->bytes, (size_t)s->len);
            status_t st = relocate(l, elf, s, copy, 0);
            if (st == ST_OK)
                st = read_table(l, s->kind, copy, (size_t)s->len, t);
            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

static status_t make_tables(struct linker *l)
{
    struct tables t = {0};
    struct link_output *out = l->out;
    status_t st = read_tables(l, &t);
    if (st == ST_OK)
        st = link_unwind_finish(&t.unwinds, &out->arena, &out->unwinds, &out->unwind_count, l->err);
    if (st == ST_OK)
        st = link_lines_finish(&t.lines, &out->arena, &out->sites, &out->site_count, l->err);
    if (st == ST_OK)
        st = link_maps_finish(&t.maps, &out->arena, out, l->err);
    link_unwind_done(&t.unwinds);
    link_lines_done(&t.lines);
    link_maps_done(&t.maps);
    return st;
}

static int symbol_order(const void *a, const void *b)
{
    const struct link_symbol *x = a, *y = b;
    if (x->code_off != y->code_off)
        return x->code_off < y->code_off ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool is_function(const struct link_elf *elf, const struct link_elf_symbol *s)
{
    return is_global(s) && s->type == STT_FUNC && s->section < elf->section_count;
}

static status_t add_symbol(struct linker *l, const struct link_elf *elf,
                           const struct link_elf_symbol *s, struct link_symbol *ret_symbol)
{
    const struct link_section *section = &elf->sections[s->section];
    if (section->kind != LINK_KIND_HOT && section->kind != LINK_KIND_COLD)
        return error_set(l->err, ST_CORRUPT, ERROR_NO_OFFSET, "object file: function %s in %s",
                         s->name, section->name);
    if (s->len > section->len - s->value)
        return error_set(l->err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "object file: function %s behind the end of its section", s->name);
    char *name = arena_strndup(&l->out->arena, s->name, strlen(s->name));
    if (!name)
        return no_memory(l);
    *ret_symbol = (struct link_symbol){name, (uint32_t)(section->blob_off + s->value),
                                       (uint32_t)s->len};
    return ST_OK;
}

static status_t list_symbols(struct linker *l)
{
    struct link_output *out = l->out;
    size_t count = 0;
    for (uint32_t i = 0; i < l->object_count; i++) {
        for (uint64_t k = 0; k < l->objects[i].symbol_count; k++)
            count += is_function(&l->objects[i], &l->objects[i].symbols[k]);
    }
    out->symbols = arena_alloc(&out->arena, count, sizeof *out->symbols);
    if (!out->symbols)
        return no_memory(l);
    for (uint32_t i = 0; i < l->object_count; i++) {
        const struct link_elf *elf = &l->objects[i];
        for (uint64_t k = 0; k < elf->symbol_count; k++) {
            if (!is_function(elf, &elf->symbols[k]))
                continue;
            status_t st = add_symbol(l, elf, &elf->symbols[k], &out->symbols[out->symbol_count]);
            if (st != ST_OK)
                return st;
            out->symbol_count++;
        }
    }
    qsort(out->symbols, out->symbol_count, sizeof *out->symbols, symbol_order);
    return ST_OK;
}

static status_t read_objects(struct linker *l, const struct link_object *objects, uint32_t count)
{
    l->objects = arena_alloc(&l->scratch, count, sizeof *l->objects);
    if (!l->objects)
        return no_memory(l);
    l->object_count = count;
    for (uint32_t i = 0; i < count; i++) {
        status_t st = link_elf_read(l->arch, &objects[i], &l->scratch, &l->objects[i], l->err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

status_t link_objects(uint32_t arch, const struct link_object *objects, uint32_t count,
                      struct link_output *ret_out, struct error *err)
{
    struct link_output out = {0};
    struct linker l = {.arch = arch, .out = &out, .err = err};
    status_t st = read_objects(&l, objects, count);
    if (st == ST_OK)
        st = place_all(&l);
    if (st == ST_OK)
        st = collect_globals(&l);
    if (st == ST_OK)
        st = relocate_blob(&l);
    if (st == ST_OK)
        st = make_tables(&l);
    if (st == ST_OK)
        st = list_symbols(&l);
    if (st == ST_OK)
        *ret_out = out;
    else
        link_output_done(&out);
    arena_done(&l.scratch);
    return st;
}

void link_output_done(struct link_output *out)
{
    if (!out)
        return;
    buf_done(&out->code);
    arena_done(&out->arena);
    *out = (struct link_output){0};
}
