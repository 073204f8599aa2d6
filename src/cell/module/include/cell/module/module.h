#ifndef CELL_MODULE_MODULE_H
#define CELL_MODULE_MODULE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "cell/module/types.h"

/* One decoded module. Everything is reached through indexes as in the binary format; imports come
 * first in each index space. Immutable after module_decode; any thread may read it. */

enum extern_kind { EXTERN_FUNC, EXTERN_TABLE, EXTERN_MEM, EXTERN_GLOBAL, EXTERN_TAG };

/* Borrowed bytes that are valid UTF-8 and may hold NUL. */
struct name {
    const char *bytes;
    uint32_t len;
};

/* A constant expression: its bytes up to and with the final `end`, and the offset of its first byte. */
struct const_expr {
    const uint8_t *bytes;
    uint32_t len;
    uint64_t off;
};

struct module_import {
    struct name module;
    struct name field;
    enum extern_kind kind;
    uint32_t index; /* in the index space of kind */
};

struct module_export {
    struct name field;
    enum extern_kind kind;
    uint32_t index;
};

struct module_func {
    uint32_t type; /* index into types */
    bool imported; /* no body then */
    bool exported;
    bool ref_declared;   /* may be named by ref.func: stands in an elem, export or global */
    const uint8_t *body; /* the instructions, behind the local declarations, with the final `end` */
    uint32_t body_len;
    uint64_t body_off;       /* module offset of body[0] */
    const valtype_t *locals; /* declared locals, without parameters */
    uint32_t local_count;
};

struct module_table {
    valtype_t type;
    struct limits limits;
    bool imported;
    bool exported;
};

struct module_mem {
    struct limits limits; /* in pages */
    bool imported;
    bool exported;
};

struct module_global {
    valtype_t type;
    bool mutable_;
    bool imported;
    bool exported;
    struct const_expr init; /* empty when imported */
};

struct module_tag {
    uint32_t type; /* results are empty */
    bool imported;
    bool exported;
};

enum segment_mode { SEGMENT_ACTIVE, SEGMENT_PASSIVE, SEGMENT_DECLARED };

struct module_elem {
    enum segment_mode mode;
    valtype_t type;
    uint32_t table;
    struct const_expr offset; /* active only */
    const uint32_t *funcs;    /* function indexes, or NULL when exprs is set */
    const struct const_expr *exprs;
    uint32_t count;
};

struct module_data {
    enum segment_mode mode;
    uint32_t mem;
    struct const_expr offset; /* active only */
    const uint8_t *bytes;
    uint32_t len;
};

struct module_custom {
    struct name name;
    const uint8_t *bytes;
    uint32_t len;
};

struct module {
    const uint8_t *bytes; /* borrowed from the caller for the module's life */
    size_t len;
    feature_set_t features;      /* what was allowed */
    feature_set_t features_used; /* what the decoder and validator met */
    struct functype *types;
    uint32_t type_count;
    struct module_import *imports;
    uint32_t import_count;
    struct module_func *funcs;
    uint32_t func_count;
    uint32_t func_import_count;
    struct module_table *tables;
    uint32_t table_count;
    uint32_t table_import_count;
    struct module_mem *mems;
    uint32_t mem_count;
    uint32_t mem_import_count;
    struct module_global *globals;
    uint32_t global_count;
    uint32_t global_import_count;
    struct module_tag *tags;
    uint32_t tag_count;
    uint32_t tag_import_count;
    struct module_export *exports;
    uint32_t export_count;
    struct module_elem *elems;
    uint32_t elem_count;
    struct module_data *datas;
    uint32_t data_count;
    struct module_custom *customs;
    uint32_t custom_count;
    bool has_data_count;
    bool has_start;
    uint32_t start;
    uint64_t
        code_off; /* module offset of the code section's content: DWARF addresses count from it */
    struct arena arena; /* owns all the arrays */
};

/* Decode and check everything but function bodies.
 * data: borrowed until module_free. features: which proposals are allowed.
 * Any thread. ST_FORMAT malformed; ST_INVALID breaks a rule of validation; ST_LIMIT over a limit above;
 * ST_NOMEM. err gets the module offset and the reason in the words of the specification's tests. */
CHECKED status_t module_decode(const void *data, size_t len, feature_set_t features,
                               struct module **ret_module, struct error *err);

/* Validate every function body. Adds to m->features_used, so one thread at a time.
 * ST_FORMAT, ST_INVALID and ST_NOMEM as above; ST_LIMIT for too many operands or blocks at once. err gets the module
 * offset, the function and the instruction. */
CHECKED status_t module_validate(struct module *m, struct error *err);

/* NULL is fine. */
void module_free(struct module *m);

/* The value of a constant expression of a valid module when that is a plain i32.const. False: it is another one, for
 * instance the value of a global. */
bool module_const_i32(const struct module *m, const struct const_expr *e, uint32_t *ret_value);

static inline const struct functype *module_func_type(const struct module *m, uint32_t func)
{
    return &m->types[m->funcs[func].type];
}

/* The first custom section of that name, NUL-terminated; NULL when there is none. Lives as long as m. */
const struct module_custom *module_custom_find(const struct module *m, const char *name);

#endif
