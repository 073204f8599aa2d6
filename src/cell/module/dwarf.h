#ifndef CELL_MODULE_DWARF_H
#define CELL_MODULE_DWARF_H

#include "base/cursor.h"
#include "cell/module/debug.h"

/* Private: the line programs of .debug_line, versions 2 to 5. The bytes are hostile until proven
 * otherwise, so everything they can multiply has a limit. */

enum dwarf_limit {
    DWARF_ROWS_MAX = 1 << 24,
    DWARF_FILES_MAX = 1 << 20,        /* distinct ones of all units */
    DWARF_UNIT_ENTRIES_MAX = 1 << 20, /* directories, or files, of one unit */
    DWARF_PATH_BYTES_MAX = 4096,      /* longer parts are cut */
    DWARF_PATHS_SUM_BYTES_MAX = 1 << 26,
};

/* Rows that one end_sequence closed; addresses ascend within. */
struct dwarf_sequence {
    uint64_t low;
    uint64_t high;
    uint32_t first_row;
    uint32_t row_count; /* the last one has line 0, at high */
};

/* A directory or file of a unit's header. */
struct dwarf_entry {
    const char *name; /* borrowed, no NUL */
    uint32_t name_len;
    uint32_t file; /* files: 1 + the index in dwarf_lines.files, 0 until a row asks */
    uint64_t dir;
};

struct dwarf_entries {
    struct dwarf_entry *items;
    uint32_t count;
    uint32_t cap;
};

/* The header of a unit; its arrays are used again for the next one. */
struct dwarf_unit {
    uint16_t version;
    bool is_64;
    uint8_t min_inst_bytes;
    int8_t line_base;
    uint8_t line_range;
    uint8_t opcode_base;
    uint8_t opcode_args[256];
    struct dwarf_entries dirs;
    struct dwarf_entries files;
};

/* All units. The caller sets arena and the sections; the rest is the result. */
struct dwarf_lines {
    struct arena *arena; /* paths of files */
    struct cursor line;
    struct cursor line_str;
    struct cursor str;
    struct dwarf_unit unit;
    struct line_row *rows; /* off: address in the code section */
    uint32_t row_count;
    uint32_t row_cap;
    struct dwarf_sequence *sequences;
    uint32_t sequence_count;
    uint32_t sequence_cap;
    struct name *files;
    uint32_t file_count;
    uint32_t file_cap;
    uint32_t *file_slots; /* hash table: 1 + index of a file, or 0 */
    uint32_t file_slot_count;
    size_t path_bytes;
};

/* Run all line programs. ST_NOMEM; ST_FORMAT malformed, ST_LIMIT: then nothing can be used. */
CHECKED status_t dwarf_lines_read(struct dwarf_lines *d);
void dwarf_lines_done(struct dwarf_lines *d);

/* Read the header of a unit, c being behind the version, into d->unit. Steps over it. */
CHECKED status_t dwarf_header_read(struct dwarf_lines *d, struct cursor *c);
/* Add a file as the header has them before version 5; *ret_end: it was the end of their list. */
CHECKED status_t dwarf_file_read_v4(struct dwarf_unit *u, struct cursor *c, bool *ret_end);
/* The index in d->files of file number `number` of the unit; ST_NOTFOUND when it has none. */
CHECKED status_t dwarf_file_find(struct dwarf_lines *d, uint64_t number, uint32_t *ret_file);

#endif
