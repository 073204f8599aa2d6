#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "exitcode/exit_code.h"
#include "objects.h"

static const char mv_help[] =
    "Usage: cloudskin mv [OPTIONS] geds://BUCKET/KEY geds://BUCKET[/KEY]\n"
    "\n"
    "Give an object another name, in one step, whatever its size. When the second key is left out "
    "or\n"
    "ends with /, the last part of the first is added to it. An object of the new name is "
    "replaced.\n"
    "\n"
    "  -r, --recursive        KEY/ of all keys beneath it becomes the second KEY/, of the same "
    "bucket,\n"
    "                         all at once or not at all; refused where the bucket has versions\n"
    "  -n, --no-clobber       refuse to replace an object\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 refused: a new name is taken, or the store is gone; 127 no\n"
    "such object or bucket, or nothing is up.\n"
    "\n"
    "Examples:\n"
    "  cloudskin mv geds://scenes/new.tif geds://scenes/2026/\n"
    "  cloudskin mv -r geds://scenes/draft geds://scenes/final\n";

static const char cp_help[] =
    "Usage: cloudskin cp [OPTIONS] geds://BUCKET/KEY geds://BUCKET[/KEY]\n"
    "\n"
    "Copy an object with its metadata. The copy shares the bytes: it is made in one step, whatever "
    "the\n"
    "size, and takes no space. When the second key is left out or ends with /, the last part of "
    "the\n"
    "first is added to it. Files are written and read by cloudskin put and get.\n"
    "\n"
    "  -r, --recursive        all that is beneath KEY/, one after the other\n"
    "  -n, --no-clobber       refuse to replace an object\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 refused: -n, or the store is gone; 127 no such object or\n"
    "bucket, or nothing is up.\n"
    "\n"
    "Example:\n"
    "  cloudskin cp geds://scenes/big.tif geds://archive/\n";

struct move {
    const struct verb *verb;
    struct geds *store;
    const char *controller;
    bool copy, recursive;
    struct geds_condition condition;
    struct place from, to;
    uint64_t count;
};

static int move_one(struct move *m)
{
    struct geds_error err;
    const struct place *f = &m->from, *t = &m->to;
    enum geds_code code = m->copy ? geds_copy(m->store, f->bucket, f->key, t->bucket, t->key, NULL,
                                              &m->condition, NULL, &err)
                                  : geds_rename(m->store, f->bucket, f->key, t->bucket, t->key,
                                                &m->condition, &err);
    struct geds_bucket ignored;
    if (code == GEDS_NOTFOUND &&
        geds_bucket_status(m->store, f->bucket, &ignored, NULL) == GEDS_OK &&
        geds_bucket_status(m->store, t->bucket, &ignored, NULL) == GEDS_NOTFOUND) {
        return fail_at(m->verb, m->store, t, &err);
    }
    return code == GEDS_OK                            ? 0
           : code == GEDS_EXIST || code == GEDS_INVAL ? fail_at(m->verb, m->store, t, &err)
                                                      : fail_at(m->verb, m->store, f, &err);
}

static int copy_entry(void *arg, const struct geds_entry *e)
{
    struct move *m = arg;
    struct move one = *m;
    size_t skip = strlen(m->from.key);
    if (stopped_by() != 0) {
        return 128 + stopped_by();
    }
    if (strlen(m->to.key) + strlen(e->key) - skip > GEDS_KEY_MAX) {
        return usage(m->verb, "a key has at most %d bytes", GEDS_KEY_MAX);
    }
    snprintf(one.from.key, sizeof one.from.key, "%s", e->key);
    size_t len = strlen(one.to.key);
    snprintf(one.to.key + len, sizeof one.to.key - len, "%s", e->key + skip);
    m->count++;
    return move_one(&one);
}

static int missing(const struct move *m)
{
    say(m->verb, "nothing is beneath geds://%s/%s", m->from.bucket, m->from.key);
    return EXIT_MISSING;
}

static int move_tree(struct move *m)
{
    struct geds_error err;
    int code = place_to_folder(m->verb, &m->from);
    if (code == 0) {
        code = place_to_folder(m->verb, &m->to);
    }
    if (code != 0) {
        return code;
    }
    if (m->copy) {
        if (strcmp(m->from.bucket, m->to.bucket) == 0 &&
            strncmp(m->to.key, m->from.key, strlen(m->from.key)) == 0) {
            return usage(m->verb, "a folder cannot be copied into itself");
        }
        catch_signals();
        code = each_object(m->verb, m->store, m->from.bucket, m->from.key, copy_entry, m);
        return code == 0 && m->count == 0 ? missing(m) : code;
    }
    if (strcmp(m->from.bucket, m->to.bucket) != 0) {
        return usage(m->verb, "-r between two buckets is not one step: use cp -r, then rm -r");
    }
    switch (geds_rename_prefix(m->store, m->from.bucket, m->from.key, m->to.key, &m->count, &err)) {
    case GEDS_OK:
        return 0;
    case GEDS_NOTFOUND: {
        struct geds_bucket ignored;
        return geds_bucket_status(m->store, m->from.bucket, &ignored, NULL) == GEDS_OK
                   ? missing(m)
                   : fail_at(m->verb, m->store, &m->from, &err);
    }
    case GEDS_INVAL:
    case GEDS_NOMEM:
    case GEDS_LIMIT:
    case GEDS_IO:
    case GEDS_EXIST:
    case GEDS_PERM:
    case GEDS_CORRUPT:
    case GEDS_FORMAT:
    case GEDS_INVALID:
    case GEDS_UNSUPPORTED:
    case GEDS_AGAIN:
    case GEDS_CHANGED:
    case GEDS_STOPPED:
    case GEDS_MOVED:
        break;
    }
    return fail_at(m->verb, m->store, &m->to, &err);
}

static int places(struct move *m, const char *from, const char *to)
{
    const char *other = !is_place(from) ? "put" : !is_place(to) ? "get" : NULL;
    if (other != NULL) {
        return usage(m->verb, "\"%s\" is not geds://BUCKET/KEY (files: cloudskin %s)",
                     is_place(from) ? to : from, other);
    }
    int code = place_parse(m->verb, from, &m->from);
    if (code == 0) {
        code = place_parse(m->verb, to, &m->to);
    }
    if (code == 0 && !m->recursive && place_is_folder(&m->from)) {
        code = usage(m->verb, "give a key, or -r for all that is beneath");
    }
    if (code == 0 && !m->recursive && place_is_folder(&m->to)) {
        code = place_add_name(m->verb, &m->to, m->from.key);
    }
    return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option long_options[] = {{"recursive", no_argument, NULL, 'r'},
                                                 {"no-clobber", no_argument, NULL, 'n'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {0}};
    struct move m = {.verb = v, .copy = v == &cp_verb};
    for (int c; (c = getopt_long(argc, argv, "rn", long_options, NULL)) != -1;) {
        if (c == 'r') {
            m.recursive = true;
        } else if (c == 'n') {
            m.condition.if_none = true;
        } else if (c == 'c') {
            m.controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin %s --help'.\n", v->name);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 2) {
        return usage(v, "give two places geds://BUCKET/KEY");
    }
    int code = places(&m, argv[optind], argv[optind + 1]);
    if (code == 0) {
        code = connect_store(v, m.controller, &m.store);
    }
    if (code == 0) {
        code = m.recursive ? move_tree(&m) : move_one(&m);
    }
    geds_disconnect(m.store);
    return code;
}

const struct verb mv_verb = {"mv", mv_help, run};
const struct verb cp_verb = {"cp", cp_help, run};
