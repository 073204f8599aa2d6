#ifndef BIN_OBJECTS_H
#define BIN_OBJECTS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"
#include "cloudskin/geds.h"

/* The verbs that work on objects: put, get, ls, rm, mv, cp, stat, mb, rb, watch, pin, spill, relocate, tier. One
 * program, by its argv[0]. */

struct verb {
    const char *name;
    const char *help;
    int (*run)(const struct verb *v, int argc, char **argv);
};
extern const struct verb put_verb, get_verb, ls_verb, rm_verb, mv_verb, cp_verb, stat_verb, mb_verb,
    rb_verb, pin_verb, spill_verb, relocate_verb, tier_verb, watch_verb;

/* A path geds://BUCKET/KEY. */
struct place {
    char bucket[GEDS_BUCKET_MAX + 1];
    char key[GEDS_KEY_MAX + 1]; /* may be "" */
};
/* Exit code 0, or EXIT_USAGE after a message. */
int place_parse(const struct verb *v, const char *text, struct place *ret_place);
bool is_place(const char *text);
/* Is it a bucket, or does the key end with '/': a name of its own comes behind it? */
bool place_is_folder(const struct place *p);
/* Add the last component of path to the key. EXIT_USAGE: it has none, or the key becomes too long. */
int place_add_name(const struct verb *v, struct place *p, const char *path);
/* The key as what is beneath it: with '/' at its end, unless it is "". EXIT_USAGE: too long. */
int place_to_folder(const struct verb *v, struct place *p);

/* A message "cloudskin VERB: ..." to standard error, a line without control characters: keys and names of files are
 * chosen by anybody. */
void say(const struct verb *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Such messages too. They return the exit code. */
int usage(const struct verb *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int fail(const struct verb *v, const char *what, const struct geds_error *err);
int exit_of(enum geds_code code);
/* fail() of an operation on an object or bucket, which says what to do when the bucket is not there. */
int fail_at(const struct verb *v, struct geds *store, const struct place *p,
            const struct geds_error *err);

/* Connect to controller (NULL: the default). 0 or an exit code after a message. */
int connect_store(const struct verb *v, const char *controller, struct geds **ret_store);

/* Call f for each object whose key begins with prefix, page by page; f may delete or rename it. Stops at the first
 * that is not 0, which is returned. */
int each_object(const struct verb *v, struct geds *store, const char *bucket, const char *prefix,
                int (*f)(void *arg, const struct geds_entry *e), void *arg);

/* Progress on standard error when that is a terminal and it takes more than a second. */
enum { PROGRESS_NAME_BYTES = 128 };
struct progress {
    char name[PROGRESS_NAME_BYTES]; /* its beginning */
    uint64_t total;                 /* bytes; UINT64_MAX: not known */
    uint64_t done;
    uint64_t started_ns, shown_ns;
    bool on;
    bool shown;
};
void progress_start(struct progress *p, const char *name, uint64_t total, bool quiet);
void progress_add(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p);

/* The number of the signal that asked to stop, or 0; catch_signals makes it known. */
void catch_signals(void);
int stopped_by(void);

/* Text with its control characters as \xNN. */
void print_text(const char *text);
/* Seconds since the epoch as 2026-01-31T12:00:00Z. */
enum { TIME_BYTES = 32 };
void format_time(uint64_t ns, char ret_text[TIME_BYTES]);

#endif
