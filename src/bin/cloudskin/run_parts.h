#ifndef CLOUDSKIN_RUN_PARTS_H
#define CLOUDSKIN_RUN_PARTS_H

#include <limits.h>

#include "buckets.h"
#include "cell/snapshot/snapshot.h"
#include "checkpoint.h"
#include "control.h"
#include "embedded.h"
#include "options.h"
#include "upgrade.h"

/* What run.c (a program from its start), captured.c (what a captured one is asked for) and thaw.c (one that goes on)
 * share. All of the cell's thread. Errors that are printed become the exit code of the process. */

/* How the program ended; what was not closed is written to buckets when it did so by itself. */
enum run_end { RUN_NOT_ENDED, RUN_ENDED, RUN_FROZEN };

/* All that one run holds; ended by run_done, however far it got. */
struct run {
    struct run_options options;
    struct runtime *rt;
    struct program *program;
    struct wasi *wasi;
    struct cell *cell;
    struct instance *instance;
    int *listen_fds;
    uint32_t listen_count;
    struct control *control; /* NULL: the cell has no name */
    char better[PATH_MAX];   /* the image that is being made; "": none */
    struct upgrade *upgrade; /* NULL: the program stays in its image */
    struct checkpointer checkpoints;
    struct buckets *buckets; /* NULL: none is granted */
    enum run_end end;
    bool output_named;       /* standard output is a file that was there before: --output of thaw */
    bool output_made;        /* by us, for it */
    bool output_newer;       /* made after what is thawed was saved */
    uint64_t output_born_ns; /* since the epoch; 0: not known */
    bool output_late;        /* to be made by run_make_output */
    char output_path[PATH_MAX]; /* of the file that was or is to be made, behind all links */
    bool prepares; /* the start function or _initialize runs, and --invoke is still to come */
    char program_path[SNAPSHOT_TEXT_MAX]; /* where the program was when it was first run */
    int embedded_fd; /* the module that the snapshot had, or that is an object; 0: none */
    char embedded_path[EMBEDDED_PATH_BYTES];
};

/* The parser's complaint, with where help is. */
int run_usage(const char *verb, const struct error *err);
/* Print an error, in front of it the program unless the text begins with it. Returns exit_code. */
int run_fail(const char *program, const struct error *err, int exit_code);

/* The steps of a start. */
CHECKED status_t run_runtime(struct run *r, struct error *err);
/* Its name, if it is to have one. ST_INVAL, ST_EXIST, ST_IO. */
CHECKED status_t run_start_control(struct run *r, struct error *err);
/* What --output names in place of standard output, and --listen. thaws: what the file holds stays, for now, and one
 * that is not there is left to run_make_output. */
CHECKED status_t run_open_outside(struct run *r, bool thaws, struct error *err);
/* Make the file of --output, if that is still to be done. Whoever is killed before leaves none. */
CHECKED status_t run_make_output(struct run *r, struct error *err);
/* Copy a program from geds://BUCKET/KEY to where an embedded module would be. */
CHECKED status_t run_fetch_program(struct run *r, const char *place, struct error *err);
/* Connect the buckets that --dir names. ST_NOTFOUND: nothing is up, or no such bucket; ST_INVAL, ST_IO. */
CHECKED status_t run_open_buckets(struct run *r, struct error *err);
/* Behind the end of the program: what it has written to buckets and not closed is written there, or named if it did not
 * end by itself. Returns exit_code, or another one when that failed. */
int run_publish(struct run *r, int exit_code);
/* No program goes on in the end: a file that --output made is removed again. */
void run_drop_output(struct run *r);
struct wasi_config run_wasi_config(const struct run *r);
/* A new cell of r->program with r->wasi, which signals stop from here on. */
CHECKED status_t run_make_cell(struct run *r, struct error *err);
/* Signals have no cell to stop any more. */
void run_remove_signals(void);
/* The cell is made: whoever knows its name can reach it, and a better image may come. */
void run_attach(struct run *r);
/* The module's start function, then the program. */
int run_start_program(struct run *r);
/* A command has _start; a library (a reactor) may have _initialize, which comes before what --invoke names. */
int run_call_program(struct run *r);
/* How a call ended, as an exit code and, where it is not the guest's own, a line on standard error. */
int run_ended(struct run *r, status_t code, const struct error *err);
/* Print what a function returned, one value a line. */
int run_print_results(const struct functype *type, const union cell_value *io);
/* However far it got. */
void run_done(struct run *r);

/* As long as calls end by a capture: serve who asked for it, then go on (captured.c). code: of the call before.
 * ST_CAPTURED: it was frozen, which has been said; others as cell_resume. */
CHECKED status_t run_go_on(struct run *r, status_t code, union cell_value *io, struct error *err);

#endif
