#ifndef TESTS_SPEC_SPEC_H
#define TESTS_SPEC_SPEC_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"
#include "cell/module/types.h"

/* What became of the commands of one script or folder. */
struct spec_counts {
    uint32_t passed;
    uint32_t failed;
    uint32_t text;     /* modules in the text format, which have no binary */
    uint32_t not_run;  /* executing commands, in the program that only validates */
    uint32_t wording;  /* refused as expected, with other words than the specification's */
    uint32_t outdated; /* refusals that WebAssembly 2.0 has lifted; listed in script.c */
    uint32_t files;
};

struct spec_options {
    const char *folder;      /* "core" */
    const char *folder_path; /* of the unpacked suite */
    const char *cache_path;  /* compiled images; NULL: none */
    feature_set_t features;
    uint32_t opt_level;
    const char *level; /* CPU level of the images; NULL: this machine's */
    bool wording;      /* list refusals in other words */
    bool captured;     /* each call is captured at its first polls, and resumed */
};

/* Run one script and add to *counts. name: file in the folder, "i32.json". Prints failures. */
void spec_script_run(const struct spec_options *opt, const char *name, struct spec_counts *counts);

/* How many commands of the folder's scripts are listed as outdated: all of them must be met. */
uint32_t spec_outdated_count(const char *folder);

/* Unpack the archive below work_path unless that was done before; ret_path gets the suite's folder.
 * ST_NOTFOUND when there is no archive. Several processes may do it at once. */
CHECKED status_t spec_unpack(const char *archive_path, const char *work_path, char **ret_path,
                             struct error *err);

/* The content of a file, to be freed. NULL when it cannot be read. */
void *spec_read_file(const char *path, size_t *ret_len);

/* A formatted string to be freed; ends the program when memory is out. */
char *spec_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
