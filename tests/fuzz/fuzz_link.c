/* Object files from anywhere, for the compiler's linker. Offsets tie all parts of an object together, so that few
 * random changes get past its tables: beside one plain file (first byte 0, or 1 for aarch64) inputs are a compact form
 * that is made into objects with tables that are right. First byte 2 or 3, the number of objects less one u8, then for
 * each object
 *     the sections of `contents`: length u16, alignment u8 (log2), number of relocations u8, the bytes, and for each
 *     relocation offset u16, type u16, symbol u8, addend s16;
 *     number of symbols u8, and for each name u8, info u8, section u8, value u16, length u16. */
#include <elf.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "link.h"

enum { OBJECTS_MAX = 3, PLAIN_BYTES_MAX = 1 << 20, LETTERS = 16 };

struct content {
    const char *name;
    uint32_t type;
    uint64_t flags;
};

static const struct content contents[] = {
    {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    {".text.unlikely.", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR},
    {".rodata", SHT_PROGBITS, SHF_ALLOC},
    {".eh_frame", SHT_X86_64_UNWIND, SHF_ALLOC},
    {".debug_line", SHT_PROGBITS, 0},
    {".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE},
};

enum {
    CONTENT_COUNT = sizeof contents / sizeof contents[0],
    FIRST_RELA = 1 + CONTENT_COUNT, /* section 0 is none */
    SYMBOLS = FIRST_RELA + CONTENT_COUNT,
    STRINGS,
    NAMES,
    SECTION_COUNT,
};

struct maker {
    struct cursor in;
    struct buf file;
    struct buf names;
    Elf64_Shdr sections[SECTION_COUNT];
};

static uint32_t add_name(struct maker *m, const char *name)
{
    uint32_t off = (uint32_t)m->names.len;
    buf_bytes(&m->names, name, strlen(name) + 1);
    return off;
}

/* The section holds what the file got since off. */
static void end_section(struct maker *m, uint32_t index, uint32_t type, uint64_t off)
{
    m->sections[index].sh_type = type;
    m->sections[index].sh_offset = off;
    m->sections[index].sh_size = m->file.len - off;
}

static void put_relocs(struct maker *m, uint32_t content, uint8_t count)
{
    uint64_t off = m->file.len;
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Rela r = {.r_offset = cursor_le16(&m->in)};
        uint32_t type = cursor_le16(&m->in);
        r.r_info = ELF64_R_INFO((uint64_t)cursor_u8(&m->in), type);
        r.r_addend = (int16_t)cursor_le16(&m->in);
        buf_bytes(&m->file, &r, sizeof r);
    }
    if (count == 0)
        return;
    end_section(m, FIRST_RELA + content, SHT_RELA, off);
    m->sections[FIRST_RELA + content].sh_info = 1 + content;
    m->sections[FIRST_RELA + content].sh_link = SYMBOLS;
}

static void put_content(struct maker *m, uint32_t content)
{
    const struct content *c = &contents[content];
    Elf64_Shdr *s = &m->sections[1 + content];
    size_t len = cursor_le16(&m->in);
    s->sh_addralign = (uint64_t)1 << (cursor_u8(&m->in) % 20);
    uint8_t relocs = cursor_u8(&m->in);
    size_t left = cursor_left(&m->in);
    uint64_t off = m->file.len;
    len = len < left ? len : left;
    if (c->type != SHT_NOBITS)
        buf_bytes(&m->file, cursor_bytes(&m->in, len), len);
    end_section(m, 1 + content, c->type, off);
    if (c->type == SHT_NOBITS)
        s->sh_size = len;
    s->sh_flags = c->flags;
    s->sh_name = add_name(m, c->name);
    put_relocs(m, content, relocs);
}

static void put_symbols(struct maker *m)
{
    uint64_t off = m->file.len;
    uint32_t count = cursor_u8(&m->in);
    for (uint32_t i = 0; i < count; i++) {
        Elf64_Sym s = {.st_name = cursor_u8(&m->in) % (2 * LETTERS)};
        s.st_info = cursor_u8(&m->in);
        s.st_shndx = cursor_u8(&m->in);
        s.st_value = cursor_le16(&m->in);
        s.st_size = cursor_le16(&m->in);
        if (s.st_shndx == 0xff) /* else no symbol could be absolute */
            s.st_shndx = SHN_ABS;
        buf_bytes(&m->file, &s, sizeof s);
    }
    end_section(m, SYMBOLS, SHT_SYMTAB, off);
    m->sections[SYMBOLS].sh_link = STRINGS;
    off = m->file.len;
    for (uint8_t i = 0; i < LETTERS;
         i++) { /* names of a letter at odd offsets, empty ones between */
        buf_u8(&m->file, 0);
        buf_u8(&m->file, (uint8_t)('a' + i));
    }
    buf_u8(&m->file, 0);
    end_section(m, STRINGS, SHT_STRTAB, off);
}

static void put_header(struct maker *m, uint32_t arch)
{
    Elf64_Ehdr h = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = arch == ARCH_AARCH64 ? EM_AARCH64 : EM_X86_64,
        .e_shoff = m->file.len,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = SECTION_COUNT,
        .e_shstrndx = NAMES,
    };
    buf_bytes(&m->file, m->sections, sizeof m->sections);
    if (!m->file.failed)
        memcpy(m->file.data, &h, sizeof h);
}

static void make_object(struct maker *m, uint32_t arch)
{
    m->file = (struct buf){0};
    m->names = (struct buf){0};
    memset(m->sections, 0, sizeof m->sections);
    add_name(m, "");
    buf_fill(&m->file, 0, sizeof(Elf64_Ehdr));
    for (uint32_t i = 0; i < CONTENT_COUNT; i++)
        put_content(m, i);
    put_symbols(m);
    uint64_t off = m->file.len;
    buf_bytes(&m->file, m->names.data, m->names.len);
    end_section(m, NAMES, SHT_STRTAB, off);
    put_header(m, arch);
    FUZZ_CHECK(!m->file.failed && !m->names.failed);
    buf_done(&m->names);
}

static void check_symbols(const struct link_output *out)
{
    for (uint32_t i = 0; i < out->symbol_count; i++) {
        const struct link_symbol *s = &out->symbols[i];
        FUZZ_CHECK(s->name != NULL && s->code_off <= out->const_off);
        FUZZ_CHECK(s->len <= out->const_off - s->code_off);
        FUZZ_CHECK(i == 0 || s[-1].code_off <= s->code_off);
    }
}

static void check_tables(const struct link_output *out)
{
    for (uint32_t i = 0; i < out->unwind_count; i++) {
        FUZZ_CHECK(out->unwinds[i].code_off <= out->const_off);
        FUZZ_CHECK(i == 0 || out->unwinds[i - 1].code_off < out->unwinds[i].code_off);
        FUZZ_CHECK(out->unwinds[i].cfa_reg <= 2);
    }
    for (uint32_t i = 0; i < out->site_count; i++) {
        FUZZ_CHECK(out->sites[i].code_off <= out->const_off);
        FUZZ_CHECK(i == 0 || out->sites[i - 1].code_off < out->sites[i].code_off);
        FUZZ_CHECK(i == 0 || out->sites[i - 1].wasm_off != out->sites[i].wasm_off);
    }
}

static void check_link(uint32_t arch, const struct link_object *objects, uint32_t count)
{
    struct link_output out = {0}, untouched = {0};
    struct error err = {0};
    if (link_objects(arch, objects, count, &out, &err) != ST_OK) {
        FUZZ_CHECK(err.code != ST_OK && err.text[0] != '\0');
        FUZZ_CHECK(memcmp(&out, &untouched, sizeof out) == 0);
        return;
    }
    FUZZ_CHECK(out.const_off % WASM_PAGE_BYTES == 0 && out.const_off <= out.code.len);
    check_symbols(&out);
    check_tables(&out);
    link_output_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2 || len > PLAIN_BYTES_MAX)
        return 0;
    uint32_t arch = data[0] & 1 ? ARCH_AARCH64 : ARCH_X86_64;
    struct link_object objects[OBJECTS_MAX] = {{data + 1, len - 1}};
    struct maker m = {0};
    uint32_t count = 1;
    if (data[0] & 2) {
        count = 1 + data[1] % OBJECTS_MAX;
        cursor_init(&m.in, data + 2, len - 2, 0);
        for (uint32_t i = 0; i < count; i++) {
            make_object(&m, arch);
            objects[i] = (struct link_object){m.file.data, m.file.len};
        }
    }
    check_link(arch, objects, count);
    for (uint32_t i = 0; i < count && data[0] & 2; i++)
        free((void *)(uintptr_t)objects[i].bytes);
    return 0;
}
