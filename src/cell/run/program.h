#ifndef CELL_RUN_PROGRAM_H
#define CELL_RUN_PROGRAM_H

#include <stdatomic.h>

#include "cell/run/run.h"

/* A function whose abi_func stands in the instance block. */
struct program_func {
    uint32_t index;
    int32_t off; /* from B */
};

/* Immutable after it was made, but for the count. */
struct program {
    atomic_uint refs;
    struct runtime *rt;
    uint64_t serial; /* unique in the process's life */
    int fd;
    const uint8_t *file; /* whole file, read-only */
    size_t file_bytes;
    uint8_t *code_map;
    size_t code_map_bytes;
    const uint8_t *code; /* executable text, then constants */
    struct image *image;
    const struct module *module;
    struct abi_layout layout;
    const uint64_t *sigs;             /* per type, never 0 */
    const struct program_func *funcs; /* defined functions with an abi_func */
    uint32_t func_count;
    uint64_t
        *table_entries;  /* per defined table: entries reserved in the area; 0: its own mapping */
    uint32_t area_bytes; /* page-aligned: block, results, small tables */
    uint64_t mem0_bytes; /* initial size of an inline memory 0, else 0 */
    struct arena arena;
};

/* Tables that need no more than this stand in the area. */
enum { PROGRAM_SMALL_TABLE_BYTES = 32 << 10 };

/* Is pc in the text? */
static inline bool program_has_pc(const struct program *p, uintptr_t pc)
{
    return pc - (uintptr_t)p->code < p->image->const_off;
}

/* Map the initial content of memory mem over base, privately. The range is committed already. ST_NOMEM. */
CHECKED status_t program_map_runs(const struct program *p, uint32_t mem, uint8_t *base);

#endif
