#include "engine.h"

struct engine *engine_new(const struct spec_options *opt)
{
    (void)opt;
    return NULL;
}

void engine_free(struct engine *e)
{
    (void)e;
}

status_t engine_instantiate(struct engine *e, const void *wasm, size_t len,
                            struct engine_instance **ret_inst, struct error *err)
{
    (void)e, (void)wasm, (void)len, (void)ret_inst;
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "nothing is executed here");
}

status_t engine_register(struct engine *e, const char *name, size_t name_len,
                         struct engine_instance *inst)
{
    (void)e, (void)name, (void)name_len, (void)inst;
    return ST_UNSUPPORTED;
}

status_t engine_find_func(struct engine_instance *inst, const char *name, size_t name_len,
                          struct engine_func *ret_func)
{
    (void)inst, (void)name, (void)name_len, (void)ret_func;
    return ST_UNSUPPORTED;
}

status_t engine_call(struct engine *e, const struct engine_func *f, union cell_value *io,
                     struct error *err)
{
    (void)e, (void)f, (void)io, (void)err;
    return ST_UNSUPPORTED;
}

status_t engine_get_global(struct engine_instance *inst, const char *name, size_t name_len,
                           valtype_t *ret_type, union cell_value *ret_value)
{
    (void)inst, (void)name, (void)name_len, (void)ret_type, (void)ret_value;
    return ST_UNSUPPORTED;
}
