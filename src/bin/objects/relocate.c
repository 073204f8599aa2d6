#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "objects.h"

/* relocate: where the bytes of objects are to be. */

static const char help_text[] =
    "Usage: cloudskin relocate --to memory|disk|nodes|tier [--copies N] [--json] [-q]\n"
    "                          geds://BUCKET[/KEY]...\n"
    "\n"
    "Have the bytes of objects at one place; when this ends with 0, they are there. A bucket, or a "
    "key\n"
    "that ends with /, stands for all beneath it. It is about the bytes that are there now: what is\n"
    "written later goes where the rules of its bucket say (`cloudskin tier`), and what copies "
    "share is\n"
    "at one place for all. Objects of at most 16 KiB are in the store's database in any case. What "
    "had\n"
    "moved before an error or Ctrl-C stays moved, and the same command goes on with the rest.\n"
    "\n"
    "      --to PLACE         memory: local disk, and locked in memory until others that are used\n"
    "                         later need the room; disk: local disk, and not in memory; nodes: "
    "local\n"
    "                         disk, and copies on nodes; tier: the tier only, but for what is "
    "pinned\n"
    "                         or open\n"
    "      --copies N         with --to nodes: 1 to 8, the store's own among them (default 2)\n"
    "      --json             the results as JSON on standard output, a list with one for each place\n"
    "  -q, --quiet            no progress, no result\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 65 the store has no tier, no nodes or no memory for it; 71 "
    "there is\n"
    "no room, the tier or nodes are away, or the store is gone; 127 no such object or bucket, or\n"
    "nothing is up.\n"
    "\n"
    "Examples:\n"
    "  cloudskin relocate --to memory geds://models/\n"
    "  cloudskin relocate --to nodes --copies 3 geds://results/2026/\n"
    "  cloudskin relocate --to tier geds://archive/2025/06.tar\n";

struct wanted {
    struct geds_location where;
    const char *to; /* as it was given */
    const char *controller;
    bool json, quiet;
};

static const struct {
    const char *name;
    enum geds_where where;
    const char *text;
} places[] = {{"memory", GEDS_IN_MEMORY, "in memory"},
              {"disk", GEDS_ON_DISK, "on local disk"},
              {"nodes", GEDS_ON_NODES, "on nodes"},
              {"tier", GEDS_IN_TIER, "in the tier"}};
enum { PLACES = sizeof places / sizeof places[0], COPIES_DEFAULT = 2 };

static const char *text_of(enum geds_where where)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i].where == where) {
            return places[i].text;
        }
    }
    return "";
}

static bool read_place(const char *text, enum geds_where *ret_where)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (strcmp(places[i].name, text) == 0) {
            *ret_where = places[i].where;
            return true;
        }
    }
    return false;
}

static void show_progress(void *arg, const struct geds_moved *m)
{
    struct progress *p = arg;
    progress_add(p, m->bytes > p->done ? m->bytes - p->done : 0);
}

static void add_json(struct json *j, const char *place, const struct wanted *w,
                     const struct geds_moved *m)
{
    json_open(j, NULL, '{');
    json_text(j, "place", place);
    json_text(j, "to", w->to);
    if (w->where.where == GEDS_ON_NODES) {
        json_u64(j, "copies", w->where.copies);
    }
    json_u64(j, "objects", m->objects);
    json_u64(j, "moved_files", m->extents);
    json_u64(j, "moved_bytes", m->bytes);
    json_u64(j, "kept_files", m->kept);
    json_close(j, '}');
}

static void print_moved(const char *place, const struct wanted *w, const struct geds_moved *m)
{
    char text[HUMAN_TEXT_BYTES];
    human_bytes(m->bytes, text);
    print_text(place);
    printf(": %" PRIu64 " objects %s", m->objects, text_of(w->where.where));
    if (w->where.where == GEDS_ON_NODES) {
        printf(", %u copies", w->where.copies);
    }
    printf(", %s came there", text);
    if (m->kept > 0) {
        printf(", %" PRIu64 " files are pinned or open and stay", m->kept);
    }
    putchar('\n');
}

static int relocate(const struct verb *v, struct geds *store, const char *text,
                    const struct wanted *w, struct json *j)
{
    struct place p;
    struct progress progress;
    struct geds_moved moved = {0};
    struct geds_error err;
    int code = place_parse(v, text, &p);
    if (code != 0) {
        return code;
    }
    progress_start(&progress, text, UINT64_MAX, w->quiet);
    enum geds_code result = geds_relocate(store, p.bucket, p.key, place_is_folder(&p), &w->where,
                                          show_progress, &progress, &moved, &err);
    progress_end(&progress);
    if (result != GEDS_OK) {
        return fail_at(v, store, &p, &err);
    }
    if (w->json) {
        add_json(j, text, w, &moved);
    } else if (!w->quiet) {
        print_moved(text, w, &moved);
    }
    return 0;
}

static int parse(const struct verb *v, int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {{"to", required_argument, NULL, 't'},
                                            {"copies", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"controller", required_argument, NULL, 'c'},
                                            {0}};
    uint64_t copies = 0;
    for (int c; (c = getopt_long(argc, argv, "q", options, NULL)) != -1;) {
        if (c == 't') {
            w->to = optarg;
        } else if (c == 'n' &&
                   (parse_u64(optarg, GEDS_REPLICAS_MAX, &copies) != ST_OK || copies < 1)) {
            return usage(v, "--copies: \"%s\" is no number of 1 to %d", optarg, GEDS_REPLICAS_MAX);
        } else if (c == 'j') {
            w->json = true;
        } else if (c == 'q') {
            w->quiet = true;
        } else if (c == 'c') {
            w->controller = optarg;
        } else if (c != 'n') {
            fprintf(stderr, "Try 'cloudskin %s --help'.\n", v->name);
            return EXIT_USAGE;
        }
    }
    if (w->to == NULL) {
        return usage(v, "give --to memory, disk, nodes or tier");
    }
    if (!read_place(w->to, &w->where.where)) {
        return usage(v, "--to: \"%s\" is none of memory, disk, nodes, tier", w->to);
    }
    if (copies != 0 && w->where.where != GEDS_ON_NODES) {
        return usage(v, "--copies is for --to nodes");
    }
    if (w->where.where == GEDS_ON_NODES) {
        w->where.copies = copies != 0 ? (unsigned)copies : COPIES_DEFAULT;
    }
    return optind < argc ? 0 : usage(v, "give geds://BUCKET or geds://BUCKET/KEY");
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct wanted w = {0};
    struct geds *store = NULL;
    struct place ignored;
    struct buf out = {0};
    struct json j = {.out = &out};
    int worst = 0, code = parse(v, argc, argv, &w);
    for (int i = optind; i < argc && code == 0; i++) {
        code = place_parse(v, argv[i], &ignored);
    }
    if (code == 0) {
        code = connect_store(v, w.controller, &store);
    }
    json_open(&j, NULL, '[');
    for (int i = optind; i < argc && code == 0; i++) {
        int one = relocate(v, store, argv[i], &w, &j);
        worst = worst != 0 ? worst : one;
    }
    json_close(&j, ']');
    geds_disconnect(store);
    if (w.json && code == 0) {
        fwrite(out.data, 1, out.len, stdout);
    }
    buf_done(&out);
    int output = exit_after_output("cloudskin relocate");
    return code != 0 ? code : worst != 0 ? worst : output;
}

const struct verb relocate_verb = {"relocate", help_text, run};
