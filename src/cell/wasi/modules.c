#include "guest.h"

/* The import tables, made from functions.def. */

#define WASI_FUNCTION(fname, fsig, ...) {.name = #fname, .sig = fsig, .fn = (void *)wasi_##fname},
#define WASI_VOID_FUNCTION(fname, fsig, ...) WASI_FUNCTION(fname, fsig)
#define WASI_VARIANT(fname, fsig, ...) WASI_FUNCTION(fname, fsig)
#define WASI_PREVIEW1_ONLY(fname, fsig, ...) WASI_FUNCTION(fname, fsig)
const struct host_func wasi_preview1_funcs[] = {
#include "functions.def"
    {0}};

#undef WASI_VARIANT
#undef WASI_PREVIEW1_ONLY
#define WASI_VARIANT(fname, fsig, ...) \
    {.name = #fname, .sig = fsig, .fn = (void *)wasi_unstable_##fname},
#define WASI_PREVIEW1_ONLY(fname, fsig, ...)
const struct host_func wasi_unstable_funcs[] = {
#include "functions.def"
    {0}};

_Static_assert(sizeof(wasi_preview1_funcs) / sizeof(wasi_preview1_funcs[0]) ==
                   WASI_FUNCTION_COUNT + 1,
               "all of preview 1");
