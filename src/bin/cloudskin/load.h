#ifndef CLOUDSKIN_LOAD_H
#define CLOUDSKIN_LOAD_H

#include <limits.h>

#include "options.h"

/* Make the program of the options ready: an image file as it is, a module through the image cache, compiling on
 * a miss. name: how messages call it. ret_better: path of a better image that is being made and that the cell can go
 * over to; empty: none.
 * ST_NOTFOUND no such file or no compiler; ST_INVAL, ST_FORMAT, ST_INVALID, ST_UNSUPPORTED, ST_CORRUPT refused;
 * ST_IO, ST_NOMEM, ST_LIMIT, ST_PERM. */
CHECKED status_t load_program(struct runtime *rt, const struct run_options *o, const char *name,
                              struct program **ret_program, char ret_better[PATH_MAX],
                              struct error *err);

/* The same for a program that is known by its module's hash. o->module is a file that has to be it, a module or an
 * image; without one the module is needed only when the cache has no image of it: it is the file that guess names, if
 * that has the hash. name: how messages call that one, NULL: guess.
 * ST_NOTFOUND: nothing there, names hash and level; ST_UNSUPPORTED: there is another program. */
CHECKED status_t load_program_by_hash(struct runtime *rt, const struct run_options *o,
                                      const uint8_t module_hash[SHA256_BYTES], const char *guess,
                                      const char *name, struct program **ret_program,
                                      char ret_better[PATH_MAX], struct error *err);

#endif
