#ifndef CELL_MODULE_DECODE_TYPES_H
#define CELL_MODULE_DECODE_TYPES_H

#include "decode.h"

/* Types that stand both in imports and in definitions; each fills what it reads of *ret. */
CHECKED status_t decode_table_type(const struct decoder *d, struct cursor *c,
                                   struct module_table *ret_table);
CHECKED status_t decode_mem_type(const struct decoder *d, struct cursor *c,
                                 struct module_mem *ret_mem);
CHECKED status_t decode_global_type(const struct decoder *d, struct cursor *c,
                                    struct module_global *ret_global);
CHECKED status_t decode_tag_type(const struct decoder *d, struct cursor *c,
                                 struct module_tag *ret_tag);

/* The module has tags: both exception proposals have them, and instructions tell which one is meant. */
void decode_note_tags(struct module *m);

/* Are the tables or memories of the module too many by now? */
CHECKED status_t decode_tables_check(const struct decoder *d, const struct cursor *c);
CHECKED status_t decode_mems_check(const struct decoder *d, const struct cursor *c);

#endif
