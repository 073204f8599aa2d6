#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "exitcode/exit_code.h"
#include "objects.h"

/* pin and spill: which bytes are on local disk. */

static const char pin_help[] =
    "Usage: cloudskin pin [--off] [-q] geds://BUCKET[/KEY]...\n"
    "\n"
    "Keep the bytes of objects on local disk, whatever the tier's rules say; those that are in "
    "the\n"
    "tier only are fetched. A bucket, or a key that ends with /, stands for all beneath it. A pin "
    "is\n"
    "of the bytes that are there now: what replaces them is not pinned, and copies share it.\n"
    "\n"
    "      --off              let them go again when space is wanted\n"
    "  -q, --quiet            no progress, no result\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the tier is away, or the store is gone; 127 no such object "
    "or\n"
    "bucket, or nothing is up.\n"
    "\n"
    "Example:\n"
    "  cloudskin pin geds://models/\n";

static const char spill_help[] =
    "Usage: cloudskin spill [--recall] [-q] geds://BUCKET[/KEY]...\n"
    "\n"
    "Move the bytes of objects to the tier behind local disk, now; or back. A bucket, or a key "
    "that\n"
    "ends with /, stands for all beneath it. What is pinned or open stays, and so do objects of "
    "at\n"
    "most 16 KiB. Objects can be read as before; what is read is fetched in pieces.\n"
    "\n"
    "      --recall           fetch them back to local disk\n"
    "  -q, --quiet            no progress, no result\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the tier is away, or the store is gone; 127 no such object "
    "or\n"
    "bucket, or nothing is up.\n"
    "\n"
    "Examples:\n"
    "  cloudskin spill geds://archive/2025/\n"
    "  cloudskin spill --recall geds://archive/2025/06.tar\n";

static void show_progress(void *arg, const struct geds_moved *m)
{
    struct progress *p = arg;
    progress_add(p, m->bytes > p->done ? m->bytes - p->done : 0);
}

static void print_moved(const struct verb *v, const char *place, bool other,
                        const struct geds_moved *m)
{
    char text[HUMAN_TEXT_BYTES];
    human_bytes(m->bytes, text);
    print_text(place);
    if (v == &pin_verb) {
        printf(": %" PRIu64 " objects %s", m->objects, other ? "may go" : "stay");
    } else {
        printf(": %" PRIu64 " objects", m->objects);
    }
    if (v == &pin_verb && other) {
        putchar('\n');
        return;
    }
    printf(", %s %s", text, v == &spill_verb && !other ? "moved to the tier" : "fetched");
    if (m->kept > 0) {
        printf(", %" PRIu64 " files are pinned or open and stay", m->kept);
    }
    putchar('\n');
}

static int move_place(const struct verb *v, struct geds *store, const char *text, bool other,
                      bool quiet)
{
    struct place p;
    struct progress progress;
    struct geds_moved moved = {0};
    struct geds_error err;
    int code = place_parse(v, text, &p);
    if (code != 0) {
        return code;
    }
    bool all = place_is_folder(&p);
    progress_start(&progress, text, UINT64_MAX, quiet);
    enum geds_code result =
        v == &pin_verb
            ? geds_pin(store, p.bucket, p.key, all, !other, show_progress, &progress, &moved, &err)
        : other ? geds_recall(store, p.bucket, p.key, all, show_progress, &progress, &moved, &err)
                : geds_spill(store, p.bucket, p.key, all, show_progress, &progress, &moved, &err);
    progress_end(&progress);
    if (result != GEDS_OK) {
        return fail_at(v, store, &p, &err);
    }
    if (!quiet) {
        print_moved(v, text, other, &moved);
    }
    return 0;
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option pin_options[] = {{"off", no_argument, NULL, 'o'},
                                                {"quiet", no_argument, NULL, 'q'},
                                                {"controller", required_argument, NULL, 'c'},
                                                {0}};
    static const struct option spill_options[] = {{"recall", no_argument, NULL, 'o'},
                                                  {"quiet", no_argument, NULL, 'q'},
                                                  {"controller", required_argument, NULL, 'c'},
                                                  {0}};
    const char *controller = NULL;
    struct geds *store = NULL;
    struct place ignored;
    bool other = false, quiet = false;
    for (int c; (c = getopt_long(argc, argv, "q", v == &pin_verb ? pin_options : spill_options,
                                 NULL)) != -1;) {
        if (c == 'o') {
            other = true;
        } else if (c == 'q') {
            quiet = true;
        } else if (c == 'c') {
            controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin %s --help'.\n", v->name);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        return usage(v, "give geds://BUCKET or geds://BUCKET/KEY");
    }
    int code = 0, worst = 0;
    for (int i = optind; i < argc && code == 0; i++) {
        code = place_parse(v, argv[i], &ignored);
    }
    if (code == 0) {
        code = connect_store(v, controller, &store);
    }
    for (int i = optind; i < argc && code == 0; i++) {
        int one = move_place(v, store, argv[i], other, quiet);
        worst = worst != 0 ? worst : one;
    }
    geds_disconnect(store);
    int output = exit_after_output("cloudskin");
    return code != 0 ? code : worst != 0 ? worst : output;
}

const struct verb pin_verb = {"pin", pin_help, run};
const struct verb spill_verb = {"spill", spill_help, run};
