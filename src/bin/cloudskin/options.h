#ifndef CLOUDSKIN_OPTIONS_H
#define CLOUDSKIN_OPTIONS_H

#include "base/arena.h"
#include "cell/run/run.h"
#include "cell/wasi/wasi.h"

enum { OPT_LEVEL_AUTO = 4 };

/* The command line of `cloudskin run`. Strings belong to the command line, the environment or the arena. */
struct run_options {
    const char *module_path; /* thaw: NULL when the checkpoints of `name` are meant */
    const char *const *args; /* args[0]: module_path */
    uint32_t arg_count;
    const char *invoke; /* NULL: run the program's _start */
    struct wasi_grant *grants;
    uint32_t grant_count;
    const char **env; /* "K=V" */
    uint32_t env_count;
    const char **listen; /* ADDR:PORT */
    uint32_t listen_count;
    const char *cwd;
    const char *name;           /* NULL: no control socket */
    const char *module;         /* thaw: where the program is; NULL: not said */
    const char *output;         /* NULL: standard output is the caller's */
    uint32_t at;                /* thaw: number of a checkpoint; 0: the newest */
    bool stale_files;           /* thaw: files may have changed */
    struct image_options image; /* opt_level: 0..3 or OPT_LEVEL_AUTO */
    bool says_level, says_nan;  /* they were given, so an image has to be made with them */
    struct cell_limits limits;
    uint32_t open_files;
    uint64_t output_bytes;
    bool help;
    bool thaws;
    struct arena arena;
};

/* Read argv[1..] of `run` or, with thaws, of `thaw`, whose module_path is the snapshot and which takes no arguments of
 * a program. environment: where OMP_* and the values of `--env K` come from.
 * ST_INVAL with a text that says what is wrong; ST_NOMEM. */
CHECKED status_t run_options_parse(int argc, char **argv, bool thaws, char *const *environment,
                                   struct run_options *ret_options, struct error *err);
void run_options_done(struct run_options *o);

#endif
