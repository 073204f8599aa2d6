#ifndef IMAGECACHE_COMPILE_H
#define IMAGECACHE_COMPILE_H

#include "imagecache/cache.h"

/* Starting cloudskin-aot, which alone links LLVM. */

struct compiler {
    char path[PATH_MAX];
    char version[IMAGE_VERSION_BYTES];
};

/* Find cloudskin-aot beside this program or in PATH. Its version is asked for once and remembered in the cache's
 * folder until the program file changes. ST_NOTFOUND; ST_IO when it does not run. */
CHECKED status_t compiler_find(const struct image_cache *c, struct compiler *ret_compiler,
                               struct error *err);

/* Compile the module file to an image file at out_path and wait. title: shown with progress on standard error once it
 * takes more than a second; NULL: never. What the compiler says about the module goes to standard error.
 * ST_INVALID: it refused the module and has said so, err is without text; ST_LIMIT: it could not write the image, or
 * had no memory, and has said so; ST_IO: it crashed or was killed; ST_UNSUPPORTED: no code is made for a CPU like this
 * one. */
CHECKED status_t compiler_run(const struct compiler *compiler, const char *module_path,
                              const struct image_options *options, const char *out_path,
                              const char *title, struct error *err);

/* An image in a file without a name. */
struct compiled {
    int fd;        /* -1: none */
    bool begun;    /* the compiler was started, so that doing so again is of no use */
    char path[32]; /* for opening it in this process */
};
/* Close what is open; zeroed memory with fd -1 is fine. */
void compiled_done(struct compiled *compiled);

/* compiler_run into such a file, which needs no folder. ret_compiled is set in any case, on errors without a file. Its
 * errors, and those of anonymous files. */
CHECKED status_t compile_anonymous(const struct compiler *compiler,
                                   const struct image_options *options, const char *module_path,
                                   const char *title, struct compiled *ret_compiled,
                                   struct error *err);

/* compile_cached, where the image is not lost when the cache cannot take it, because the disk is full, say.
 * ret_compiled: fd -1 before; set once the compiler is started, and stays so when that was not needed. */
CHECKED status_t compile_kept(const struct image_cache *c, const struct compiler *compiler,
                              const struct image_key *key, const char *module_path,
                              const char *title, struct compiled *ret_compiled, struct error *err);

/* Compile into the cache: image_cache_fill with compiler_run. The file at module_path must have key's hash. */
CHECKED status_t compile_cached(const struct image_cache *c, const struct compiler *compiler,
                                const struct image_key *key, const char *module_path, bool wait,
                                const char *title, struct error *err);

/* Let a detached process do the same at low priority. Nothing happens when one is at it already, or when the
 * compiler refused the module before. */
void compile_in_background(const struct image_cache *c, const struct image_key *key,
                           const char *module_path);

#endif
