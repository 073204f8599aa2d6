#ifndef CELL_AOT_LINK_PARTS_H
#define CELL_AOT_LINK_PARTS_H

#include "link.h"

/* What the files of the linker share. Offsets are 64 bits wide while they are computed; the blob ends
 * below LINK_BLOB_MAX, so that every place in it fits 31 bits. */

#define LINK_BLOB_MAX (1ull << 31)
enum {
    LINK_CONST_ALIGN =
        65536, /* of the constants, and the largest alignment that a section may ask for */
    LINK_SECTIONS_MAX = 1 << 24,
};

enum link_kind {
    LINK_KIND_NONE, /* not in the blob, not read */
    LINK_KIND_HOT,
    LINK_KIND_COLD,
    LINK_KIND_CONST,
    LINK_KIND_UNWIND, /* .eh_frame */
    LINK_KIND_LINES,  /* .debug_line */
    LINK_KIND_MAPS,   /* .llvm_stackmaps */
};

struct link_section {
    const char *name; /* in the object */
    uint32_t type;
    uint64_t flags;
    const uint8_t *bytes; /* NULL when it has none in the file */
    uint64_t len;
    uint64_t align;
    uint32_t link;
    uint32_t info;
    const uint8_t *relocs; /* array of ELF64 Rela */
    uint64_t reloc_count;
    enum link_kind kind;
    uint64_t blob_off; /* HOT, COLD, CONST */
};

struct link_elf_symbol {
    const char *name; /* in the object; empty for sections */
    uint64_t value;
    uint64_t len;
    uint32_t section; /* index, or one of the LINK_SECTION_ values */
    uint8_t bind;
    uint8_t type;
};
#define LINK_SECTION_UNDEFINED 0u
#define LINK_SECTION_ABSOLUTE UINT32_MAX
#define LINK_SECTION_COMMON (UINT32_MAX - 1)

struct link_elf {
    struct link_section *sections;
    uint32_t section_count;
    struct link_elf_symbol *symbols;
    uint64_t symbol_count;
};

struct link_reloc {
    uint64_t off;
    uint32_t type;
    uint32_t symbol;
    int64_t addend;
};

/* Read the tables of one relocatable object and check every bound in them.
 * Sections and symbols borrow from the object and belong to *a. kind and blob_off stay zero.
 * ST_CORRUPT malformed or of another architecture; ST_NOMEM. */
CHECKED status_t link_elf_read(uint32_t arch, const struct link_object *object, struct arena *a,
                               struct link_elf *ret_elf, struct error *err);
/* i < s->reloc_count. The values in it are not checked. */
struct link_reloc link_elf_reloc(const struct link_section *s, uint64_t i);

/* One place to patch. */
struct link_patch {
    uint8_t *section; /* writable bytes of the section */
    uint64_t len;     /* of the section */
    uint64_t off;     /* of the place in the section */
    uint64_t place;   /* address of the place */
    uint64_t target;  /* address of the symbol */
    int64_t addend;
    uint32_t type;
    bool debug; /* absolute addresses are fine: only the linker reads them */
};

/* Resolve one relocation; what: the symbol's name for messages.
 * ST_LINK a type that would need the loader, or out of range; ST_CORRUPT outside the section. */
CHECKED status_t link_reloc_apply(uint32_t arch, const struct link_patch *p, const char *what,
                                  struct error *err);

/* Collects the rows of all objects. Zeroed memory is a valid empty one. */
struct link_unwind_set {
    struct buf rows;   /* struct image_unwind */
    struct buf ranges; /* one per function; private */
};

/* Interpret one relocated .eh_frame whose own address counts as 0.
 * ST_CORRUPT malformed; ST_LINK call frame instructions that LLVM does not emit; ST_NOMEM. */
CHECKED status_t link_unwind_add(struct link_unwind_set *set, uint32_t arch, const uint8_t *bytes,
                                 size_t len, uint64_t blob_len, struct error *err);
/* All rows in ascending order, code outside every function marked as unknown. Memory belongs to *a.
 * ST_CORRUPT functions overlap; ST_LIMIT too many rows; ST_NOMEM. */
CHECKED status_t link_unwind_finish(struct link_unwind_set *set, struct arena *a,
                                    struct image_unwind **ret_rows, uint32_t *ret_count,
                                    struct error *err);
void link_unwind_done(struct link_unwind_set *set);

/* The same for line rows. */
struct link_line_set {
    struct buf rows; /* private */
    uint32_t order;
};

/* Run the line programs of one relocated .debug_line. ST_CORRUPT malformed; ST_NOMEM. */
CHECKED status_t link_lines_add(struct link_line_set *set, const uint8_t *bytes, size_t len,
                                uint64_t blob_len, struct error *err);
/* All rows in ascending order. Memory belongs to *a. ST_LIMIT too many rows; ST_NOMEM. */
CHECKED status_t link_lines_finish(struct link_line_set *set, struct arena *a,
                                   struct image_site **ret_sites, uint32_t *ret_count,
                                   struct error *err);
void link_lines_done(struct link_line_set *set);

/* The same for the values of frames. */
struct link_map_set {
    struct buf rows; /* struct image_map_row */
    struct buf bytes;
};

/* Translate one relocated .llvm_stackmaps. ST_CORRUPT malformed; ST_LINK a place that a map cannot name; ST_NOMEM. */
CHECKED status_t link_maps_add(struct link_map_set *set, uint32_t arch, const uint8_t *bytes,
                               size_t len, uint64_t blob_len, struct error *err);
/* Rows in ascending order. Memory belongs to *a. ST_CORRUPT two rows for a place; ST_LIMIT; ST_NOMEM. */
CHECKED status_t link_maps_finish(struct link_map_set *set, struct arena *a,
                                  struct link_output *out, struct error *err);
void link_maps_done(struct link_map_set *set);

#endif
