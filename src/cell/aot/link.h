#ifndef CELL_AOT_LINK_H
#define CELL_AOT_LINK_H

#include "cell/module/image.h"

/* A linker for the few relocations that LLVM emits for position-independent, hidden-visibility code:
 * ELF relocatable objects in, one blob (text, then constants 64 KiB aligned) out, all references resolved.
 * No load-time relocation remains; anything that would need one is an error. */

struct link_object {
    const uint8_t *bytes; /* borrowed */
    size_t len;
};

/* A defined global function symbol: its final place in the blob. */
struct link_symbol {
    const char *name;
    uint32_t code_off;
    uint32_t len;
};

struct link_output {
    struct buf code;
    uint32_t const_off;
    struct link_symbol *symbols; /* ascending code_off */
    uint32_t symbol_count;
    struct image_unwind *unwinds; /* from .eh_frame, ascending code_off */
    uint32_t unwind_count;
    struct image_site *sites; /* from .debug_line: the line number is the wasm offset */
    uint32_t site_count;
    struct image_map_row *maps; /* from .llvm_stackmaps, ascending code_off */
    uint32_t map_count;
    uint8_t *map_bytes;
    size_t map_len;
    struct arena arena; /* owns the arrays */
};

/* Link objects in the given order. Duplicate symbols, undefined symbols (err names the first),
 * writable data and unknown relocations are ST_LINK; malformed ELF ST_CORRUPT; more than
 * 2 GiB, or more rows than 32 bits count, ST_LIMIT; ST_NOMEM. */
CHECKED status_t link_objects(uint32_t arch, const struct link_object *objects, uint32_t count,
                              struct link_output *ret_out, struct error *err);
void link_output_done(struct link_output *out);

#endif
