#include <getopt.h>
#include <string.h>

#include "exitcode/exit_code.h"
#include "objects.h"

static const char mb_help[] =
    "Usage: cloudskin mb [-f] geds://BUCKET...\n"
    "\n"
    "Make buckets. Names have 3 to 63 of a-z 0-9 - and ., and begin and end with a letter or "
    "digit.\n"
    "\n"
    "  -f, --force            one that is there already is no error\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage, or not a name of a bucket; 71 it is there already, or the "
    "store\n"
    "is gone; 127 nothing is up.\n"
    "\n"
    "Example:\n"
    "  cloudskin mb geds://scenes\n";

static const char rb_help[] =
    "Usage: cloudskin rb [-f] geds://BUCKET...\n"
    "\n"
    "Remove buckets that are empty; cloudskin rm -r empties one.\n"
    "\n"
    "  -f, --force            one that is not there is no error\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 objects are in it, or the store is gone; 127 no such "
    "bucket,\n"
    "or nothing is up.\n"
    "\n"
    "Example:\n"
    "  cloudskin rm -r geds://scenes && cloudskin rb geds://scenes\n";

static int change(const struct verb *v, struct geds *store, const struct place *p, bool force)
{
    struct geds_error err;
    bool make = v == &mb_verb;
    enum geds_code code = make ? geds_bucket_create(store, p->bucket, &err)
                               : geds_bucket_delete(store, p->bucket, &err);
    if (code == GEDS_OK || (force && code == (make ? GEDS_EXIST : GEDS_NOTFOUND))) {
        return 0;
    }
    if (!make && code == GEDS_EXIST) {
        say(v, "geds://%s is not empty (`cloudskin rm -r geds://%s` empties it)", p->bucket,
            p->bucket);
        return EXIT_SYSTEM;
    }
    return make ? fail(v, p->bucket, &err) : fail_at(v, store, p, &err);
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"force", no_argument, NULL, 'f'}, {"controller", required_argument, NULL, 'c'}, {0}};
    const char *controller = NULL;
    bool force = false;
    struct geds *store = NULL;
    for (int c; (c = getopt_long(argc, argv, "f", long_options, NULL)) != -1;) {
        if (c == 'f') {
            force = true;
        } else if (c == 'c') {
            controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin %s --help'.\n", v->name);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        return usage(v, "give geds://BUCKET");
    }
    struct place p;
    int code = 0, worst = 0;
    for (int i = optind; i < argc && code == 0; i++) {
        code = place_parse(v, argv[i], &p);
        if (code == 0 && p.key[0] != '\0') {
            code = usage(v, "%s is not a bucket alone", argv[i]);
        }
    }
    if (code == 0) {
        code = connect_store(v, controller, &store);
    }
    for (int i = optind; i < argc && code == 0; i++) {
        code = place_parse(v, argv[i], &p);
        int one = code == 0 ? change(v, store, &p, force) : 0;
        worst = worst != 0 ? worst : one;
    }
    geds_disconnect(store);
    return code != 0 ? code : worst;
}

const struct verb mb_verb = {"mb", mb_help, run};
const struct verb rb_verb = {"rb", rb_help, run};
