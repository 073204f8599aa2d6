#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "objects.h"

static const char help_text[] =
    "Usage: cloudskin watch [OPTIONS] geds://BUCKET[/PREFIX]\n"
    "\n"
    "Print a line for each change of the objects whose keys begin with PREFIX, as it happens,\n"
    "until Ctrl-C: when, the event's number, what, and which object, with its size. Each change\n"
    "that was committed is printed once, in order, whoever made it. When the store is restarted,\n"
    "watch connects again.\n"
    "\n"
    "A line \"gap\" says that changes may be missing before it: list what is watched, and go on.\n"
    "\n"
    "      --json             a line of JSON for each\n"
    "      --from NUMBER      begin with the event of this number: one more than the last one "
    "seen\n"
    "  -n, --count COUNT      end after so many events, gaps not counted\n"
    "  -x, --exact            only the object whose key is PREFIX\n"
    "  -q, --quiet            do not say on standard error that it begins, or waits for the store\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0 after COUNT events; 64 wrong usage; 71 refused; 127 no such bucket, or nothing\n"
    "is up; 130 Ctrl-C; 143 SIGTERM.\n"
    "\n"
    "Examples:\n"
    "  cloudskin watch geds://scenes\n"
    "  cloudskin watch -x -n 1 geds://jobs/17/done\n"
    "  cloudskin watch --json geds://scenes/2026/ | while read -r line; do echo \"$line\"; done\n";

enum { WAIT_MS = 500, AGAIN_MS = 200 };

struct watching {
    const struct verb *verb;
    const char *controller;
    struct place place;
    bool json, exact, quiet;
    uint64_t from, count; /* 0: without end */
    uint64_t seen;
};

static const char *kind_name(enum geds_event_kind kind)
{
    static const char *const names[] = {[GEDS_CREATED] = "created",
                                        [GEDS_OVERWRITTEN] = "overwritten",
                                        [GEDS_APPENDED] = "appended",
                                        [GEDS_DELETED] = "deleted",
                                        [GEDS_RENAMED] = "renamed",
                                        [GEDS_RENAMED_PREFIX] = "renamed-prefix",
                                        [GEDS_ATTRIBUTES] = "attributes",
                                        [GEDS_EXPIRED] = "expired",
                                        [GEDS_GAP] = "gap"};
    return names[kind];
}

static bool has_info(const struct geds_event *e)
{
    return e->kind != GEDS_DELETED && e->kind != GEDS_EXPIRED && e->kind != GEDS_RENAMED_PREFIX &&
           e->kind != GEDS_GAP;
}

static void print_place(const char *bucket, const char *key)
{
    printf("geds://%s/", bucket);
    print_text(key);
}

static void print_line(const struct geds_event *e)
{
    char time[TIME_BYTES] = "-";
    if (e->kind != GEDS_GAP) {
        format_time(e->time_ns, time);
    }
    printf("%-20s %" PRIu64 " %-14s ", time, e->number, kind_name(e->kind));
    if (e->from_key != NULL) {
        print_place(e->from_bucket, e->from_key);
        fputs(" -> ", stdout);
    }
    print_place(e->bucket, e->key);
    if (has_info(e)) {
        printf(" %" PRIu64, e->info.size);
    }
    putchar('\n');
}

/* Texts have no line breaks of their own in JSON. */
static void print_in_one_line(const struct buf *text)
{
    bool begins = false;
    for (size_t i = 0; i < text->len; i++) {
        char c = (char)text->data[i];
        begins = c == '\n' || (begins && c == ' ');
        if (!begins) {
            putchar(c);
        }
    }
    putchar('\n');
}

static bool print_json(const struct geds_event *e)
{
    struct buf out = {0};
    struct json j = {.out = &out};
    char time[TIME_BYTES];
    json_open(&j, NULL, '{');
    json_u64(&j, "number", e->number);
    json_text(&j, "event", kind_name(e->kind));
    if (e->kind != GEDS_GAP) {
        format_time(e->time_ns, time);
        json_text(&j, "time", time);
    }
    json_text(&j, "bucket", e->bucket);
    json_text(&j, "key", e->key);
    if (e->from_key != NULL) {
        json_text(&j, "from_bucket", e->from_bucket);
        json_text(&j, "from_key", e->from_key);
    }
    if (has_info(e)) {
        format_time(e->info.modified_ns, time);
        json_u64(&j, "size", e->info.size);
        json_text(&j, "modified", time);
        json_text(&j, "etag", e->info.etag);
        json_bool(&j, "encrypted", e->info.encrypted);
    }
    json_close(&j, '}');
    bool good = !out.failed;
    if (good) {
        print_in_one_line(&out);
    }
    buf_done(&out);
    return good;
}

static bool is_over(const struct watching *w)
{
    return (w->count != 0 && w->seen >= w->count) || stopped_by() != 0 || ferror(stdout) != 0;
}

/* Until the connection is lost (0, *ret_lost), it is over (0), or fails. */
static int print_events(struct watching *w, struct geds *store, struct geds_subscription *s,
                        bool *ret_lost)
{
    struct geds_error err;
    struct geds_event e;
    while (!is_over(w)) {
        enum geds_code code = geds_next_event(s, WAIT_MS, &e, &err);
        if (code == GEDS_AGAIN) {
            continue;
        }
        if (code == GEDS_IO) {
            *ret_lost = true;
            return 0;
        }
        if (code != GEDS_OK) {
            return fail_at(w->verb, store, &w->place, &err);
        }
        w->from = geds_subscription_next(s);
        w->seen += e.kind != GEDS_GAP;
        if (w->json && !print_json(&e)) {
            say(w->verb, "out of memory");
            return EXIT_SYSTEM;
        }
        if (!w->json) {
            print_line(&e);
        }
        fflush(stdout);
    }
    return 0;
}

/* One connection. */
static int watch_once(struct watching *w, struct geds *store, bool *ret_lost)
{
    struct geds_subscription *s = NULL;
    struct geds_error err;
    const struct geds_watched what = {w->place.bucket, w->place.key, w->exact, w->from};
    bool first = w->from == 0;
    enum geds_code code = geds_subscribe(store, &what, &s, &err);
    if (code != GEDS_OK) {
        *ret_lost = code == GEDS_IO;
        return *ret_lost ? 0 : fail_at(w->verb, store, &w->place, &err);
    }
    if (first) {
        w->from = geds_subscription_next(s);
    }
    if (!w->quiet) {
        say(w->verb, "geds://%s/%s from %" PRIu64, w->place.bucket, w->place.key, w->from);
    }
    int exit_code = print_events(w, store, s, ret_lost);
    geds_unsubscribe(s);
    return exit_code;
}

/* Until the store is up again. NULL: it is over. */
static struct geds *connect_again(const struct watching *w)
{
    struct geds *store = NULL;
    if (!w->quiet) {
        say(w->verb, "the store is gone; waiting for it");
    }
    while (!is_over(w) && geds_connect(w->controller, &store, NULL) != GEDS_OK) {
        poll(NULL, 0, AGAIN_MS);
    }
    return store;
}

static int watch(struct watching *w)
{
    struct geds *store = NULL;
    int code = connect_store(w->verb, w->controller, &store);
    while (store != NULL && code == 0) {
        bool lost = false;
        code = watch_once(w, store, &lost);
        geds_disconnect(store);
        store = lost && code == 0 ? connect_again(w) : NULL;
    }
    geds_disconnect(store);
    return code == 0 && stopped_by() != 0 ? 128 + stopped_by() : code;
}

static bool parse_options(struct watching *w, int argc, char **argv)
{
    static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
                                                 {"from", required_argument, NULL, 'f'},
                                                 {"count", required_argument, NULL, 'n'},
                                                 {"exact", no_argument, NULL, 'x'},
                                                 {"quiet", no_argument, NULL, 'q'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {0}};
    for (int c; (c = getopt_long(argc, argv, "n:xq", long_options, NULL)) != -1;) {
        if (c == 'j') {
            w->json = true;
        } else if (c == 'x') {
            w->exact = true;
        } else if (c == 'q') {
            w->quiet = true;
        } else if (c == 'c') {
            w->controller = optarg;
        } else if (c == 'f' || c == 'n') {
            uint64_t *number = c == 'f' ? &w->from : &w->count;
            if (parse_u64(optarg, INT64_MAX, number) != ST_OK || *number == 0) {
                int ignored = usage(w->verb, "\"%s\": expected a number from 1 on", optarg);
                (void)ignored;
                return false;
            }
        } else {
            fprintf(stderr, "Try 'cloudskin watch --help'.\n");
            return false;
        }
    }
    return true;
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct watching w = {.verb = v};
    if (!parse_options(&w, argc, argv)) {
        return EXIT_USAGE;
    }
    if (argc - optind != 1) {
        return usage(v, "expected one place geds://BUCKET[/PREFIX]");
    }
    int code = place_parse(v, argv[optind], &w.place);
    if (code == 0 && w.exact && w.place.key[0] == '\0') {
        return usage(v, "--exact needs a key");
    }
    if (code == 0) {
        catch_signals();
        code = watch(&w);
    }
    int output = exit_after_output("cloudskin watch");
    return code != 0 ? code : output;
}

const struct verb watch_verb = {"watch", help_text, run};
