#include "link_parts.h"

#include <elf.h>
#include <string.h>

#include "base/cursor.h"

struct elf_reader {
    const uint8_t *bytes;
    size_t len;
    struct arena *arena;
    struct link_elf *elf;
    uint64_t table_off;
    uint32_t names; /* section index of the section names */
    struct error *err;
};

static status_t corrupt(struct elf_reader *r, const char *what)
{
    return error_set(r->err, ST_CORRUPT, ERROR_NO_OFFSET, "object file: %s", what);
}

static struct cursor reader_at(const struct elf_reader *r, uint64_t off)
{
    struct cursor c;
    cursor_init(&c, r->bytes, r->len, 0);
    if (off > r->len)
        cursor_fail(&c, "offset behind the end");
    else
        c.pos += off;
    return c;
}

/* A NUL-terminated string inside a string table, or NULL. */
static const char *string_at(const struct link_section *table, uint64_t off)
{
    if (!table->bytes || off >= table->len)
        return NULL;
    const uint8_t *s = table->bytes + off;
    return memchr(s, 0, (size_t)(table->len - off)) ? (const char *)s : NULL;
}

static status_t read_header(uint32_t arch, struct elf_reader *r, uint32_t *ret_count)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
    uint32_t machine = arch == ARCH_AARCH64 ? EM_AARCH64 : EM_X86_64;
    struct cursor c = reader_at(r, 0);
    const uint8_t *id = cursor_bytes(&c, EI_NIDENT);
    if (!id || memcmp(id, ident, sizeof ident) != 0)
        return corrupt(r, "not ELF64 little-endian");
    uint32_t type = cursor_le16(&c);
    uint32_t found = cursor_le16(&c);
    cursor_le32(&c); /* version */
    cursor_le64(&c); /* entry */
    cursor_le64(&c); /* program headers */
    r->table_off = cursor_le64(&c);
    cursor_bytes(&c, 10); /* flags, sizes and number of program headers */
    uint32_t entry_bytes = cursor_le16(&c);
    uint32_t count = cursor_le16(&c);
    r->names = cursor_le16(&c);
    if (c.failed || type != ET_REL || entry_bytes != sizeof(Elf64_Shdr))
        return corrupt(r, "not a relocatable object");
    if (found != machine)
        return corrupt(r, "made for another architecture");
    /* Numbers that do not fit 16 bits stand in section 0. */
    c = reader_at(r, r->table_off);
    cursor_bytes(&c, offsetof(Elf64_Shdr, sh_size));
    uint64_t wide_count = cursor_le64(&c);
    uint32_t wide_names = cursor_le32(&c);
    if (c.failed)
        return corrupt(r, "section table behind the end");
    if (count == 0)
        count = wide_count > LINK_SECTIONS_MAX ? LINK_SECTIONS_MAX + 1u : (uint32_t)wide_count;
    if (r->names == SHN_XINDEX)
        r->names = wide_names;
    if (count > LINK_SECTIONS_MAX || r->names >= count ||
        count > (r->len - r->table_off) / sizeof(Elf64_Shdr))
        return corrupt(r, "section table behind the end");
    *ret_count = count;
    return ST_OK;
}

static status_t read_section(struct elf_reader *r, struct cursor *c, struct link_section *s,
                             uint32_t *ret_name)
{
    *ret_name = cursor_le32(c);
    s->type = cursor_le32(c);
    s->flags = cursor_le64(c);
    cursor_le64(c); /* address */
    uint64_t off = cursor_le64(c);
    s->len = cursor_le64(c);
    s->link = cursor_le32(c);
    s->info = cursor_le32(c);
    s->align = cursor_le64(c);
    cursor_le64(c); /* entry size: fixed by type */
    if (c->failed)
        return corrupt(r, "section table behind the end");
    if (s->align == 0)
        s->align = 1;
    if (s->type == SHT_NULL) {
        s->len = 0;
        return ST_OK;
    }
    if (s->type == SHT_NOBITS)
        return ST_OK;
    if (off > r->len || s->len > r->len - off)
        return corrupt(r, "section behind the end");
    s->bytes = r->bytes + off;
    return ST_OK;
}

static status_t read_sections(struct elf_reader *r, uint32_t count)
{
    struct link_elf *elf = r->elf;
    elf->sections = arena_alloc(r->arena, count, sizeof *elf->sections);
    uint32_t *names = arena_alloc(r->arena, count, sizeof *names);
    if (!elf->sections || !names)
        return error_set(r->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    elf->section_count = count;
    struct cursor c = reader_at(r, r->table_off);
    for (uint32_t i = 0; i < count; i++) {
        status_t st = read_section(r, &c, &elf->sections[i], &names[i]);
        if (st != ST_OK)
            return st;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct link_section *s = &elf->sections[i];
        s->name = s->type == SHT_NULL ? "" : string_at(&elf->sections[r->names], names[i]);
        if (!s->name)
            return corrupt(r, "section name behind the end");
        if ((s->align & (s->align - 1)) != 0)
            return corrupt(r, "section alignment is no power of two");
    }
    return ST_OK;
}

static status_t read_relocs(struct elf_reader *r)
{
    struct link_elf *elf = r->elf;
    for (uint32_t i = 0; i < elf->section_count; i++) {
        const struct link_section *s = &elf->sections[i];
        if (s->type != SHT_RELA && s->type != SHT_REL)
            continue;
        if (s->type == SHT_REL)
            return corrupt(r, "relocations without addends");
        if (s->info >= elf->section_count || s->len % sizeof(Elf64_Rela) != 0)
            return corrupt(r, "relocations of no section");
        struct link_section *target = &elf->sections[s->info];
        if (target->relocs)
            return corrupt(r, "two relocation tables for a section");
        target->relocs = s->bytes;
        target->reloc_count = s->len / sizeof(Elf64_Rela);
    }
    return ST_OK;
}

static const struct link_section *section_of_type(const struct link_elf *elf, uint32_t type)
{
    for (uint32_t i = 0; i < elf->section_count; i++) {
        if (elf->sections[i].type == type)
            return &elf->sections[i];
    }
    return NULL;
}

static status_t symbol_section(struct elf_reader *r, uint32_t index,
                               const struct link_section *wide, uint64_t symbol,
                               uint32_t *ret_section)
{
    if (index == SHN_ABS || index == SHN_COMMON) {
        *ret_section = index == SHN_ABS ? LINK_SECTION_ABSOLUTE : LINK_SECTION_COMMON;
        return ST_OK;
    }
    if (index == SHN_XINDEX) {
        if (!wide || !wide->bytes || wide->len / 4 <= symbol)
            return corrupt(r, "symbol in no section");
        struct cursor c;
        cursor_init(&c, wide->bytes + symbol * 4, 4, 0);
        index = cursor_le32(&c);
    }
    if (index >= r->elf->section_count)
        return corrupt(r, "symbol in no section");
    *ret_section = index;
    return ST_OK;
}

static status_t read_symbols(struct elf_reader *r)
{
    struct link_elf *elf = r->elf;
    const struct link_section *table = section_of_type(elf, SHT_SYMTAB);
    const struct link_section *wide = section_of_type(elf, SHT_SYMTAB_SHNDX);
    if (!table)
        return ST_OK;
    if (table->link >= elf->section_count || table->len % sizeof(Elf64_Sym) != 0)
        return corrupt(r, "malformed symbol table");
    const struct link_section *strings = &elf->sections[table->link];
    uint64_t count = table->len / sizeof(Elf64_Sym);
    elf->symbols = arena_alloc(r->arena, (size_t)count, sizeof *elf->symbols);
    if (!elf->symbols)
        return error_set(r->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    elf->symbol_count = count;
    struct cursor c;
    cursor_init(&c, table->bytes, (size_t)table->len, 0);
    for (uint64_t i = 0; i < count; i++) {
        struct link_elf_symbol *s = &elf->symbols[i];
        uint32_t name = cursor_le32(&c);
        uint8_t info = cursor_u8(&c);
        cursor_u8(&c); /* visibility: all objects end in one blob */
        uint32_t section = cursor_le16(&c);
        s->value = cursor_le64(&c);
        s->len = cursor_le64(&c);
        s->bind = info >> 4;
        s->type = info & 15;
        s->name = name == 0 ? "" : string_at(strings, name);
        if (!s->name)
            return corrupt(r, "symbol name behind the end");
        status_t st = symbol_section(r, section, wide, i, &s->section);
        if (st != ST_OK)
            return st;
        bool inside = s->section != LINK_SECTION_UNDEFINED && s->section < elf->section_count;
        if (inside && s->value > elf->sections[s->section].len)
            return corrupt(r, "symbol behind the end of its section");
    }
    return ST_OK;
}

status_t link_elf_read(uint32_t arch, const struct link_object *object, struct arena *a,
                       struct link_elf *ret_elf, struct error *err)
{
    struct link_elf elf = {0};
    struct elf_reader r = {
        .bytes = object->bytes, .len = object->len, .arena = a, .elf = &elf, .err = err};
    uint32_t count = 0;
    status_t st = read_header(arch, &r, &count);
    if (st == ST_OK)
        st = read_sections(&r, count);
    if (st == ST_OK)
        st = read_relocs(&r);
    if (st == ST_OK)
        st = read_symbols(&r);
    if (st == ST_OK)
        *ret_elf = elf;
    return st;
}

struct link_reloc link_elf_reloc(const struct link_section *s, uint64_t i)
{
    struct cursor c;
    cursor_init(&c, s->relocs + i * sizeof(Elf64_Rela), sizeof(Elf64_Rela), 0);
    struct link_reloc r = {.off = cursor_le64(&c)};
    uint64_t info = cursor_le64(&c);
    r.type = (uint32_t)ELF64_R_TYPE(info);
    r.symbol = (uint32_t)ELF64_R_SYM(info);
    r.addend = (int64_t)cursor_le64(&c);
    return r;
}
