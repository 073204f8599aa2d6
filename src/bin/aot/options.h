#ifndef BIN_AOT_OPTIONS_H
#define BIN_AOT_OPTIONS_H

#include <limits.h>

#include "cell/aot/aot.h"

enum progress_mode { PROGRESS_TERMINAL, PROGRESS_ALWAYS };

struct options {
    const char *input;
    const char *name; /* how messages call it */
    char output[PATH_MAX];
    struct aot_options aot;
    bool json;
    enum progress_mode progress;
    int progress_fd; /* -1: none */
};

/* Read the command line. False: the program ends with *ret_exit, which is written only then; what there is to say
 * was said. */
bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_exit);

#endif
