#ifndef TESTS_SPEC_ENGINE_H
#define TESTS_SPEC_ENGINE_H

#include "cell/module/abi.h"
#include "spec.h"

/* What executes modules. engine_none.c stands in where only decoding and validation are tested. */
struct engine;
struct engine_instance;

struct engine_func {
    const struct functype *type;
    void *func;
};

/* NULL: this program executes nothing. Ends the program when it cannot be set up. */
struct engine *engine_new(const struct spec_options *opt);
void engine_free(struct engine *e);

/* Compile, link and start. ST_OK; ST_LINK; ST_TRAP (err: the trap's text); else it could not be compiled.
 * The instance lives as long as the engine, even where starting it failed. */
CHECKED status_t engine_instantiate(struct engine *e, const void *wasm, size_t len,
                                    struct engine_instance **ret_inst, struct error *err);
/* Make the exports importable under a name. */
CHECKED status_t engine_register(struct engine *e, const char *name, size_t name_len,
                                 struct engine_instance *inst);
CHECKED status_t engine_find_func(struct engine_instance *inst, const char *name, size_t name_len,
                                  struct engine_func *ret_func);
/* ST_OK, ST_EXCEPTION, ST_TRAP (err: the trap's text) or another failure. */
CHECKED status_t engine_call(struct engine *e, const struct engine_func *f, union cell_value *io,
                             struct error *err);
CHECKED status_t engine_get_global(struct engine_instance *inst, const char *name, size_t name_len,
                                   valtype_t *ret_type, union cell_value *ret_value);

#endif
