#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "exitcode/exit_code.h"
#include "net/rpc/frame.h"
#include "objects.h"

static const char help_text[] =
    "Usage: cloudskin rm [OPTIONS] geds://BUCKET/KEY...\n"
    "\n"
    "Remove objects. Who has one open reads on to its end.\n"
    "\n"
    "  -r, --recursive        each KEY and all that is beneath KEY/; with a bucket alone all "
    "objects\n"
    "                         of it (the bucket itself: cloudskin rb)\n"
    "  -f, --force            what is not there is no error\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the store is gone; 127 no such object or bucket, or "
    "nothing\n"
    "is up; 130 Ctrl-C.\n"
    "\n"
    "Examples:\n"
    "  cloudskin rm geds://scenes/big.tif\n"
    "  cloudskin rm -r geds://scenes/2025\n";

enum { AT_ONCE = 500 };

struct rm {
    const struct verb *verb;
    struct geds *store;
    const char *controller;
    bool recursive, force;
    const char *bucket;
    char *keys[AT_ONCE];
    size_t count;
    uint64_t removed;
};

static int remove_gathered(struct rm *r)
{
    enum geds_code codes[AT_ONCE];
    struct geds_error err;
    enum geds_code code = GEDS_OK;
    if (r->count > 0) {
        code = geds_delete_many(r->store, r->bucket, (const char *const *)r->keys, r->count, codes,
                                &err);
    }
    int result = code == GEDS_OK ? 0 : fail(r->verb, r->bucket, &err);
    for (size_t i = 0; i < r->count; i++) {
        if (code == GEDS_OK && codes[i] == GEDS_OK) {
            r->removed++;
        } else if (code == GEDS_OK && codes[i] != GEDS_NOTFOUND) { /* else another removed it */
            say(r->verb, "geds://%s/%s: was not removed: %s", r->bucket, r->keys[i],
                status_name(rpc_status_of((uint16_t)codes[i])));
            result = exit_of(codes[i]);
        }
        free(r->keys[i]);
    }
    r->count = 0;
    return result;
}

static int gather(void *arg, const struct geds_entry *e)
{
    struct rm *r = arg;
    if (stopped_by() != 0) {
        return 128 + stopped_by();
    }
    char *key = strdup(e->key);
    if (key == NULL) {
        say(r->verb, "out of memory");
        return EXIT_SYSTEM;
    }
    r->keys[r->count++] = key;
    return r->count == AT_ONCE ? remove_gathered(r) : 0;
}

static int remove_tree(struct rm *r, struct place *p)
{
    struct geds_error err;
    struct place folder = *p;
    uint64_t before = r->removed;
    int code = place_to_folder(r->verb, &folder);
    if (code == 0 && !place_is_folder(p)) {
        enum geds_code one = geds_delete(r->store, p->bucket, p->key, NULL, &err);
        r->removed += one == GEDS_OK;
        code = one == GEDS_OK || one == GEDS_NOTFOUND ? 0 : fail_at(r->verb, r->store, p, &err);
    }
    r->bucket = p->bucket;
    if (code == 0) {
        code = each_object(r->verb, r->store, p->bucket, folder.key, gather, r);
    }
    int last = remove_gathered(r);
    code = code != 0 ? code : last;
    if (code == 0 && r->removed == before && p->key[0] != '\0' && !r->force) {
        say(r->verb, "geds://%s/%s: nothing is there", p->bucket, p->key);
        return EXIT_MISSING;
    }
    return code;
}

static int remove_one(struct rm *r, const char *text)
{
    struct place p;
    struct geds_error err;
    int code = place_parse(r->verb, text, &p);
    if (code != 0) {
        return code;
    }
    if (r->recursive) {
        return remove_tree(r, &p);
    }
    if (p.key[0] == '\0') {
        return usage(r->verb, "%s is a bucket: -r removes what is in it, cloudskin rb the bucket",
                     text);
    }
    enum geds_code one = geds_delete(r->store, p.bucket, p.key, NULL, &err);
    return one == GEDS_OK || (one == GEDS_NOTFOUND && r->force)
               ? 0
               : fail_at(r->verb, r->store, &p, &err);
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option long_options[] = {{"recursive", no_argument, NULL, 'r'},
                                                 {"force", no_argument, NULL, 'f'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {0}};
    struct rm r = {.verb = v};
    for (int c; (c = getopt_long(argc, argv, "rf", long_options, NULL)) != -1;) {
        if (c == 'r') {
            r.recursive = true;
        } else if (c == 'f') {
            r.force = true;
        } else if (c == 'c') {
            r.controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin rm --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        return usage(v, "give geds://BUCKET/KEY");
    }
    struct place ignored;
    int code = 0, worst = 0;
    for (int i = optind; i < argc && code == 0;
         i++) { /* nothing is removed before all is understood */
        code = place_parse(v, argv[i], &ignored);
    }
    if (code == 0) {
        code = connect_store(v, r.controller, &r.store);
    }
    catch_signals();
    for (int i = optind; i < argc && code == 0; i++) {
        int one = remove_one(&r, argv[i]);
        worst = worst != 0 ? worst : one;
        code = one == EXIT_MISSING || one == EXIT_USAGE ? 0 : one;
    }
    geds_disconnect(r.store);
    return code != 0 ? code : worst;
}

const struct verb rm_verb = {"rm", help_text, run};
