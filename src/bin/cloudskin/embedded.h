#ifndef CLOUDSKIN_EMBEDDED_H
#define CLOUDSKIN_EMBEDDED_H

#include "base/hash.h"
#include "sys/files.h"

/* The module of a program beside its image: out of a snapshot that embeds it, and into one. */

/* Room for the path of a module that is kept in memory. */
enum { EMBEDDED_PATH_BYTES = 32 };

/* Make a file in memory of a module, which the compiler, as a child process, can open by ret_path, now or later. It is
 * there as long as one of them has it open: ret_fd, to be closed. Borrows data. ST_IO, ST_NOMEM. */
CHECKED status_t embedded_open(const void *data, size_t len, int *ret_fd,
                               char ret_path[EMBEDDED_PATH_BYTES], struct error *err);

/* Map the first of the files that is the module with this hash. paths: count of them, NULL ones are skipped.
 * ST_UNSUPPORTED: none is; the text names the last one. The caller unmaps. */
CHECKED status_t embedded_find(const char *const *paths, size_t count,
                               const uint8_t hash[SHA256_BYTES], struct file_map *ret_map,
                               struct error *err);

#endif
