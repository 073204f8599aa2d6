#ifndef CELL_AOT_AOT_H
#define CELL_AOT_AOT_H

#include "base/buf.h"
#include "cell/module/image.h"

/* wasm -> native image, on LLVM. The same bytes, options and compiler version give the same image, whatever
 * the machine and its number of CPUs. */

struct aot_options {
    struct image_options image;
    feature_set_t features; /* allowed; FEATURE_ALL as a rule */
    uint32_t threads;       /* of the compiler, at most 64; 0: one per CPU */
    bool verify_ir;         /* testing: LLVM checks the IR of each part before the passes */
    const char *keep_ir;    /* debugging: folder that gets the LLVM IR of each part, or NULL */
    /* Called as parts are done, from any of the compiler's threads, one call at a time and done ascending; may be
     * NULL. */
    void (*progress)(void *arg, uint32_t done, uint32_t total);
    void *progress_arg;
};

/* The compiler's version as it stands in images: a new one for every change of generated code. */
const char *aot_version(void);

/* Decode, validate and compile wasm into an image file appended to *out.
 * Any thread. After an error *out may hold a part of one. Errors of module_decode and module_validate; ST_LIMIT,
 * ST_NOMEM; ST_UNSUPPORTED for a level this LLVM lacks; ST_LINK when code generation leaves an undefined symbol. */
CHECKED status_t aot_compile(const void *wasm, size_t len, const struct aot_options *opt,
                             struct buf *out, struct error *err);

#endif
