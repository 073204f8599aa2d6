#ifndef CELL_RUN_TABLE_H
#define CELL_RUN_TABLE_H

#include "cell/run/run.h"

/* A table behind an abi_table. Belongs to the thread of its cell. */
struct run_table {
    struct abi_table abi;   /* first: externs point here */
    uint64_t *used_entries; /* of the cell, and its limit */
    uint64_t used_max;
    void *map; /* own mapping; NULL: part of an area */
    size_t map_bytes;
    valtype_t type;
    struct limits declared;
};

/* Entries that a table of limits l can ever have. */
uint64_t run_table_reserve(struct limits l, uint64_t used_max);

/* Initialise *t with l.min null entries. entries: room for run_table_reserve of them, zeroed, or NULL for a mapping
 * of its own. used_entries: borrowed. ST_LIMIT, ST_NOMEM. */
CHECKED status_t run_table_init(struct run_table *t, valtype_t type, struct limits l,
                                struct abi_entry *entries, uint64_t *used_entries,
                                uint64_t used_max, struct error *err);
void run_table_done(struct run_table *t);

/* Store ref with what a call needs beside it. i < count. */
void run_table_set(struct run_table *t, uint64_t i, void *ref);
/* The former count, or UINT32_MAX when a limit does not allow it. The new entries are null. */
uint32_t run_table_grow(struct run_table *t, uint32_t n);

static inline struct run_table *run_table_of(struct abi_table *t)
{
    return (struct run_table *)t;
}

#endif
