#ifndef CELL_MODULE_CONSTEXPR_H
#define CELL_MODULE_CONSTEXPR_H

#include "base/cursor.h"
#include "cell/module/module.h"

/* Read and validate one constant expression up to and with its `end`, where the cursor then stands.
 * m: types, imports, functions and the imported globals must be known already. Marks the functions it
 * names with ref.func as declared, and adds to m->features_used.
 * globals_visible: the expression may read immutable globals below this index; WebAssembly 2.0 has it
 * see the imported ones only, so callers pass m->global_import_count.
 * Borrows the cursor's bytes in *ret. One thread per module.
 * ST_FORMAT malformed; ST_INVALID breaks a rule; ST_LIMIT deeper than MODULE_CONST_DEPTH_MAX. */
CHECKED status_t constexpr_validate(struct module *m, struct cursor *c, valtype_t expected,
                                    uint32_t globals_visible, struct const_expr *ret,
                                    struct error *err);

#endif
