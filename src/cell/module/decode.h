#ifndef CELL_MODULE_DECODE_H
#define CELL_MODULE_DECODE_H

#include "base/cursor.h"
#include "cell/module/module.h"

/* Private to the decoder: its state and what its files share. */

enum section_id {
    SECTION_CUSTOM,
    SECTION_TYPE,
    SECTION_IMPORT,
    SECTION_FUNC,
    SECTION_TABLE,
    SECTION_MEM,
    SECTION_GLOBAL,
    SECTION_EXPORT,
    SECTION_START,
    SECTION_ELEM,
    SECTION_CODE,
    SECTION_DATA,
    SECTION_DATA_COUNT,
    SECTION_TAG,
    SECTION_COUNT
};

/* Sums over a whole module, so that many items within their own limits cannot use up memory. */
enum decode_limit {
    DECODE_CUSTOMS_MAX = 10000,
    DECODE_LOCALS_SUM_MAX = 1 << 26,
    DECODE_ELEM_ENTRIES_SUM_MAX = MODULE_TABLE_ENTRIES_MAX,
};

struct decoder {
    struct module *m;
    struct error *err;
    bool head; /* functions have no bodies */
    bool present[SECTION_COUNT];
    struct cursor sections[SECTION_COUNT]; /* contents, where present */
    uint32_t space_cap[EXTERN_TAG + 1];    /* slots of the index spaces' arrays */
    uint32_t custom_cap;
    uint32_t data_count; /* of the data count section */
    uint64_t locals_sum;
    uint64_t elem_entries_sum;
};

/* ---- decode_read.c: pieces of sections ---- */

/* Turn the failure of c, which reads inside a section, into ST_FORMAT. */
CHECKED status_t decode_fail(const struct decoder *d, const struct cursor *c);
/* The same for a reason found at the present offset. */
CHECKED status_t decode_malformed(const struct decoder *d, const struct cursor *c,
                                  const char *reason);

/* Read the number of items of a vector.
 * max: its limit, what: plural for the message, item_bytes: least size of an item, so that the count
 * is bounded by the bytes left. ST_FORMAT, ST_LIMIT. */
CHECKED status_t decode_count(const struct decoder *d, struct cursor *c, uint32_t max,
                              const char *what, uint32_t item_bytes, uint32_t *ret_count);
/* UTF-8 text with its length. Borrows. */
CHECKED status_t decode_name(const struct decoder *d, struct cursor *c, struct name *ret_name);
CHECKED status_t decode_valtype(const struct decoder *d, struct cursor *c, valtype_t *ret_type);
CHECKED status_t decode_reftype(const struct decoder *d, struct cursor *c, valtype_t *ret_type);
/* An index below count; else ST_INVALID "unknown <what> <index>". */
CHECKED status_t decode_index(const struct decoder *d, struct cursor *c, uint32_t count,
                              const char *what, uint32_t *ret_index);
/* A constant expression of one value; notes in the module what it declares and uses. */
CHECKED status_t decode_const_expr(const struct decoder *d, struct cursor *c, valtype_t expected,
                                   struct const_expr *ret_expr);
/* A zeroed array of new_count items that starts with the old_count old ones; NULL: out of memory,
 * and the error is set. */
void *decode_grow(const struct decoder *d, const void *old, uint32_t old_count, uint32_t new_count,
                  size_t item_bytes);

/* ---- one function per section; c is at its content and may be left anywhere before its end ---- */

CHECKED status_t decode_types(struct decoder *d, struct cursor *c);
CHECKED status_t decode_imports(struct decoder *d, struct cursor *c);
CHECKED status_t decode_funcs(struct decoder *d, struct cursor *c);
CHECKED status_t decode_tables(struct decoder *d, struct cursor *c);
CHECKED status_t decode_mems(struct decoder *d, struct cursor *c);
CHECKED status_t decode_tags(struct decoder *d, struct cursor *c);
CHECKED status_t decode_globals(struct decoder *d, struct cursor *c);
CHECKED status_t decode_exports(struct decoder *d, struct cursor *c);
CHECKED status_t decode_start(struct decoder *d, struct cursor *c);
CHECKED status_t decode_elems(struct decoder *d, struct cursor *c);
CHECKED status_t decode_data_count(struct decoder *d, struct cursor *c);
CHECKED status_t decode_code(struct decoder *d, struct cursor *c);
CHECKED status_t decode_datas(struct decoder *d, struct cursor *c);
/* One of possibly many: appends to the module's list. */
CHECKED status_t decode_custom(struct decoder *d, struct cursor *c);

#endif
