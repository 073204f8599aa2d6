#ifndef TESTS_SPEC_CACHE_H
#define TESTS_SPEC_CACHE_H

#include "base/buf.h"
#include "spec.h"

/* Images of earlier runs. Each build of the test program has a folder of its own in base_path, named by
 * the program's hash, since the compiler is part of it; folders of other builds are deleted. */
CHECKED status_t cache_open(const char *base_path, char **ret_path, struct error *err);

/* The file for these wasm bytes and options, to be freed. */
char *cache_file(const struct spec_options *opt, const void *wasm, size_t len);

/* Write a file so that it appears as a whole. */
CHECKED status_t cache_write(const char *path, const struct buf *image, struct error *err);

#endif
