#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "objects.h"
#include "sys/clock.h"

static const char help_text[] =
    "Usage: cloudskin tier [--json] [-w [SECONDS]]\n"
    "       cloudskin tier [--spill watermark|eager|never] [--encrypt on|off] [--replicas N]\n"
    "                      [--memory on|off] geds://BUCKET\n"
    "       cloudskin tier --leave NODE | --forget NODE\n"
    "\n"
    "Show where the bytes of the store are - on local disk, in the tier behind it - what waits to "
    "be\n"
    "moved, how fast it moves, how often reads were served from the cache, whether the tier "
    "answers,\n"
    "and what the comparison of local files with their checksums in the background has found.\n"
    "`cloudskin up --tier` gives a store its tier, `cloudskin node` gives it nodes, which have\n"
    "copies. With a bucket: show or set its rules.\n"
    "\n"
    "  -w, --watch[=SECONDS]  again and again, every so many seconds (default 1), until Ctrl-C\n"
    "      --json             as JSON on standard output\n"
    "      --spill RULE       of a bucket: watermark, its bytes go to the tier when local disk is\n"
    "                         full; eager, they are copied there at once as well; never, they "
    "stay\n"
    "      --encrypt on|off   of a bucket: encrypt what is written into it from now on, on local "
    "disk\n"
    "                         and in the tier; what is there stays as it is\n"
    "      --replicas N       of a bucket: what is in it has N copies, 1 to 8: one here, the "
    "others\n"
    "                         on nodes. A write is answered when they are made; where nodes are\n"
    "                         missing, it is answered, and they are made later. With fewer than\n"
    "                         before, those that are too many are removed in the background\n"
    "      --memory on|off    of a bucket: what is written into it or read from now on is kept in\n"
    "                         memory as well, as far as `cloudskin up --memory` lets it\n"
    "      --leave NODE       have a node leave: it goes when what it has is somewhere else\n"
    "      --forget NODE      a node that is away does not come back\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the store is gone; 127 no such bucket or node, or\n"
    "nothing is up.\n"
    "\n"
    "Examples:\n"
    "  cloudskin tier -w\n"
    "  cloudskin tier --spill eager geds://results\n"
    "  cloudskin tier --replicas 2 geds://results\n"
    "  cloudskin tier --memory on geds://models\n";

static const char *const node_states[] = {[GEDS_NODE_UP] = "up",
                                          [GEDS_NODE_AWAY] = "away",
                                          [GEDS_NODE_LOST] = "lost",
                                          [GEDS_NODE_LEAVING] = "leaving"};

static void nodes_json(const struct geds_nodes *n, struct json *j)
{
    json_u64(j, "lacking_files", n->lacking_count);
    json_u64(j, "lacking_bytes", n->lacking_bytes);
    json_u64(j, "node_copied_bytes", n->copied_bytes);
    json_u64(j, "node_read_bytes", n->read_bytes);
    json_u64(j, "node_repaired", n->repaired);
    json_u64(j, "node_removed", n->removed);
    json_u64(j, "node_late_writes", n->late);
    json_u64(j, "node_errors", n->errors);
    json_open(j, "nodes", '[');
    for (size_t i = 0; i < n->count; i++) {
        const struct geds_node *node = &n->nodes[i];
        json_open(j, NULL, '{');
        json_text(j, "name", node->name);
        json_text(j, "state", node_states[node->state]);
        json_u64(j, "seen_ns", node->seen_ns);
        json_u64(j, "left", node->left);
        json_u64(j, "copies", node->copies);
        json_u64(j, "bytes", node->bytes);
        json_u64(j, "limit_bytes", node->limit_bytes);
        json_u64(j, "free_bytes", node->free_bytes);
        json_u64(j, "bad", node->bad);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static const char *const limits[] = {
    [GEDS_NOT_LIMITED] = "",
    [GEDS_LOCK_LIMIT] =
        "RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK= of systemd) lets the store lock no more",
    [GEDS_NO_FREE_MEMORY] = "the system had no more memory to lock"};

static void memory_json(const struct geds_memory *m, struct json *j)
{
    json_u64(j, "memory_budget_bytes", m->budget_bytes);
    json_u64(j, "memory_limit_bytes", m->limit_bytes);
    json_text(j, "memory_limit", limits[m->limit]);
    json_u64(j, "memory_files", m->count);
    json_u64(j, "memory_bytes", m->bytes);
    json_u64(j, "memory_waiting", m->waiting);
    json_u64(j, "memory_promoted", m->promoted_count);
    json_u64(j, "memory_promoted_bytes", m->promoted_bytes);
    json_u64(j, "memory_evicted", m->evicted_count);
    json_u64(j, "memory_evicted_bytes", m->evicted_bytes);
    json_u64(j, "memory_left", m->left_count);
    json_u64(j, "memory_reads", m->memory_reads);
    json_u64(j, "disk_reads", m->disk_reads);
}

static void scrub_json(const struct geds_scrub *s, struct json *j)
{
    json_u64(j, "scrub_rate", s->bytes_per_s);
    json_u64(j, "scrub_began_ns", s->began_ns);
    json_u64(j, "scrub_ended_ns", s->ended_ns);
    json_u64(j, "scrub_passes", s->passes);
    json_u64(j, "scrub_files", s->count);
    json_u64(j, "scrub_bytes", s->bytes);
    json_u64(j, "scrub_damaged", s->damaged);
    json_u64(j, "scrub_without_copy", s->without_copy);
}

/* All that is shown. */
struct shown {
    struct geds_status status;
    struct geds_tier tier;
    struct geds_memory memory;
    struct geds_scrub scrub;
    struct geds_nodes nodes;
};

static void show_json(const struct shown *shown, struct json *j)
{
    const struct geds_status *s = &shown->status;
    const struct geds_tier *t = &shown->tier;
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"objects", s->objects},
                   {"bytes", s->bytes},
                   {"local_files", t->local_count},
                   {"local_bytes", t->local_bytes},
                   {"copied_files", t->copied_count},
                   {"copied_bytes", t->copied_bytes},
                   {"tier_files", t->away_count},
                   {"tier_bytes", t->away_bytes},
                   {"doomed_files", t->doomed_count},
                   {"doomed_bytes", t->doomed_bytes},
                   {"pinned_files", t->pinned_count},
                   {"pinned_bytes", t->pinned_bytes},
                   {"eager_bytes", t->eager_bytes},
                   {"high_bytes", t->high_bytes},
                   {"low_bytes", t->low_bytes},
                   {"backlog_bytes", t->backlog_bytes},
                   {"cache_bytes", t->cache_bytes},
                   {"cache_max_bytes", t->cache_max_bytes},
                   {"local_reads", t->local_reads},
                   {"tier_reads", t->tier_reads},
                   {"cache_hits", t->cache_hits},
                   {"fetched_bytes", t->fetched_bytes},
                   {"recalled_files", t->recalled_count},
                   {"recalled_bytes", t->recalled_bytes},
                   {"spilled_files", t->spilled_count},
                   {"spilled_bytes", t->spilled_bytes},
                   {"dropped_files", t->dropped_count},
                   {"dropped_bytes", t->dropped_bytes},
                   {"deleted_copies", t->deleted_count},
                   {"damaged", t->damaged},
                   {"repaired", t->repaired},
                   {"bad", t->bad},
                   {"errors", t->errors},
                   {"spill_rate", t->spill_rate},
                   {"read_rate", t->read_rate},
                   {"away_since_ns", t->away_since_ns}};
    json_open(j, NULL, '{');
    json_text(j, "tier", t->name);
    json_text(j, "endpoint", t->endpoint);
    json_bool(j, "away", t->away_since_ns != 0);
    json_text(j, "error", t->error);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        json_u64(j, numbers[i].key, numbers[i].value);
    }
    memory_json(&shown->memory, j);
    scrub_json(&shown->scrub, j);
    nodes_json(&shown->nodes, j);
    json_close(j, '}');
}

static void line(const char *name, uint64_t files, uint64_t bytes, const char *more)
{
    char text[HUMAN_TEXT_BYTES];
    human_bytes(bytes, text);
    printf("%-10s %12s  %9" PRIu64 " files%s\n", name, text, files, more);
}

static void show_text(const struct geds_status *s, const struct geds_tier *t)
{
    char a[HUMAN_TEXT_BYTES], b[HUMAN_TEXT_BYTES], more[96];
    if (t->name[0] == '\0') {
        printf("tier       none (`cloudskin up --tier` gives the store one)\n");
    } else {
        printf("tier       ");
        print_text(t->name);
        fputs(" at ", stdout);
        print_text(t->endpoint);
        putchar('\n');
        if (t->away_since_ns != 0) {
            char time[TIME_BYTES];
            format_time(t->away_since_ns, time);
            printf("away since %s: ", time);
            print_text(t->error);
            putchar('\n');
        }
    }
    human_bytes(s->bytes, a);
    printf("%-10s %12s  %9" PRIu64 " objects\n", "names", a, s->objects);
    human_bytes(t->high_bytes, a);
    more[0] = '\0';
    if (t->name[0] != '\0')
        snprintf(more, sizeof more, ", moved above %s", a);
    line("local", t->local_count, t->local_bytes, more);
    line(" copied", t->copied_count, t->copied_bytes, "");
    line(" pinned", t->pinned_count, t->pinned_bytes, "");
    line("in tier", t->away_count, t->away_bytes, "");
    line("to delete", t->doomed_count, t->doomed_bytes, "");
    if (t->name[0] == '\0') {
        return;
    }
    human_bytes(t->backlog_bytes, a);
    printf("%-10s %12s  waiting to be moved\n", "backlog", a);
    human_bytes(t->spill_rate, a);
    human_bytes(t->spilled_bytes, b);
    printf("%-10s %10s/s  %s since the start\n", "spill", a, b);
    human_bytes(t->read_rate, a);
    human_bytes(t->fetched_bytes + t->recalled_bytes, b);
    printf("%-10s %10s/s  %s since the start\n", "fetch", a, b);
    human_bytes(t->cache_bytes, a);
    human_bytes(t->cache_max_bytes, b);
    printf("%-10s %12s  of %s; %.1f %% of %" PRIu64 " reads were in it\n", "cache", a, b,
           t->tier_reads > 0 ? 100.0 * (double)t->cache_hits / (double)t->tier_reads : 0.0,
           t->tier_reads);
    printf("%-10s %12" PRIu64 "  %" PRIu64 " damaged files, %" PRIu64 " repaired, %" PRIu64
           " cannot be\n",
           "errors", t->errors, t->damaged, t->repaired, t->bad);
}

static void show_memory(const struct geds_memory *m)
{
    char a[HUMAN_TEXT_BYTES], b[HUMAN_TEXT_BYTES], more[64];
    uint64_t reads = m->memory_reads + m->disk_reads;
    if (m->budget_bytes == 0) {
        return;
    }
    human_bytes(m->budget_bytes, a);
    snprintf(more, sizeof more, " of %s, %" PRIu64 " waiting", a, m->waiting);
    line("memory", m->count, m->bytes, more);
    human_bytes(m->promoted_bytes, a);
    human_bytes(m->evicted_bytes, b);
    printf("%-10s %12s  %9" PRIu64 " files came, %" PRIu64 " (%s) left for others, %" PRIu64
           " were removed; %.1f %% of %" PRIu64 " local reads were in it\n",
           "", a, m->promoted_count, m->evicted_count, b, m->left_count,
           reads > 0 ? 100.0 * (double)m->memory_reads / (double)reads : 0.0, reads);
    if (m->limit != GEDS_NOT_LIMITED) {
        human_bytes(m->limit_bytes, a);
        printf("%-10s %12s  at most: %s\n", "", a, limits[m->limit]);
    }
}

static void show_scrub(const struct geds_scrub *s)
{
    char bytes[HUMAN_TEXT_BYTES], time[TIME_BYTES];
    if (s->bytes_per_s == 0) {
        return;
    }
    human_bytes(s->bytes, bytes);
    printf("%-10s %12s  %9" PRIu64 " files compared since the start, %" PRIu64 " damaged (%" PRIu64
           " without a copy)",
           "scrub", bytes, s->count, s->damaged, s->without_copy);
    if (s->began_ns > s->ended_ns) {
        format_time(s->began_ns, time);
        printf("; a pass began %s", time);
    }
    if (s->ended_ns != 0) {
        format_time(s->ended_ns, time);
        printf("; the last pass ended %s", time);
    }
    putchar('\n');
}

static void show_nodes(const struct geds_nodes *n)
{
    char a[HUMAN_TEXT_BYTES], b[HUMAN_TEXT_BYTES], time[TIME_BYTES];
    if (n->count == 0 && n->lacking_count == 0) {
        return;
    }
    line("lacking", n->lacking_count, n->lacking_bytes, " with fewer copies than are wanted");
    human_bytes(n->copied_bytes, a);
    printf("%-10s %12s  to nodes since the start; %" PRIu64 " files repaired from them, %" PRIu64
           " writes without, %" PRIu64 " errors\n",
           "copied", a, n->repaired, n->late, n->errors);
    for (size_t i = 0; i < n->count; i++) {
        const struct geds_node *node = &n->nodes[i];
        human_bytes(node->bytes, a);
        human_bytes(node->free_bytes, b);
        printf("%-10s %12s  %9" PRIu64 " copies, %s free, %s", "node", a, node->copies, b,
               node_states[node->state]);
        if (node->state == GEDS_NODE_LEAVING) {
            printf(" (%" PRIu64 " to look at)", node->left);
        } else if (node->state != GEDS_NODE_UP) {
            format_time(node->seen_ns, time);
            printf(" since %s", time);
        }
        printf(": %s\n", node->name);
    }
}

/* Until the time is over, or a signal comes. */
static void wait_ms(uint64_t ms)
{
    uint64_t until = clock_monotonic_ns() + ms * 1000000;
    for (uint64_t now; stopped_by() == 0 && (now = clock_monotonic_ns()) < until;) {
        uint64_t left = (until - now) / 1000000 + 1;
        poll(NULL, 0, left < 200 ? (int)left : 200); /* a signal between the look and the wait */
    }
}

static int show(const struct verb *v, struct geds *store, bool json, uint64_t watch_ns)
{
    bool is_terminal = isatty(STDOUT_FILENO) == 1;
    static struct shown s;
    for (;;) {
        struct geds_error err;
        struct buf out = {0};
        struct json j = {.out = &out};
        if (geds_status(store, &s.status, &err) != GEDS_OK ||
            geds_tier_status(store, &s.tier, &err) != GEDS_OK ||
            geds_memory_status(store, &s.memory, &err) != GEDS_OK ||
            geds_scrub_status(store, &s.scrub, &err) != GEDS_OK ||
            (geds_nodes(store, &s.nodes, &err) != GEDS_OK && err.code != GEDS_UNSUPPORTED)) {
            return fail(v, "", &err);
        }
        if (json) {
            show_json(&s, &j);
            fwrite(out.data, 1, out.len, stdout);
        } else {
            if (watch_ns != 0 && is_terminal) {
                fputs("\033[H\033[2J", stdout);
            }
            show_text(&s.status, &s.tier);
            show_memory(&s.memory);
            show_scrub(&s.scrub);
            show_nodes(&s.nodes);
        }
        buf_done(&out);
        fflush(stdout);
        if (watch_ns == 0 || stopped_by() != 0 || ferror(stdout)) {
            return 0;
        }
        wait_ms(watch_ns / 1000000);
        if (stopped_by() != 0) {
            return 0;
        }
        if (!json && !is_terminal) {
            putchar('\n');
        }
    }
}

static const char *const rules[] = {[GEDS_SPILL_WATERMARK] = "watermark",
                                    [GEDS_SPILL_NEVER] = "never",
                                    [GEDS_SPILL_EAGER] = "eager"};

/* What is there gets the rule too. */
static int set_rule(const struct verb *v, struct geds *store, const struct place *p,
                    const char *text)
{
    struct geds_error err;
    unsigned rule = 0;
    while (rule < sizeof rules / sizeof rules[0] && strcmp(rules[rule], text) != 0) {
        rule++;
    }
    if (rule == sizeof rules / sizeof rules[0]) {
        return usage(v, "--spill: \"%s\" is not watermark, eager or never", text);
    }
    if (geds_bucket_set_spill(store, p->bucket, (enum geds_spill_rule)rule, &err) != GEDS_OK) {
        return fail_at(v, store, p, &err);
    }
    enum geds_code code = geds_pin(store, p->bucket, "", true, false, NULL, NULL, NULL, &err);
    return code == GEDS_OK || code == GEDS_UNSUPPORTED ? 0 : fail_at(v, store, p, &err);
}

static int set_encrypt(const struct verb *v, struct geds *store, const struct place *p,
                       const char *text)
{
    struct geds_error err;
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0) {
        return usage(v, "--encrypt: \"%s\" is not on or off", text);
    }
    return geds_bucket_set_encrypt(store, p->bucket, on, &err) == GEDS_OK
               ? 0
               : fail_at(v, store, p, &err);
}

static int set_memory(const struct verb *v, struct geds *store, const struct place *p,
                      const char *text)
{
    struct geds_error err;
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0) {
        return usage(v, "--memory: \"%s\" is not on or off", text);
    }
    return geds_bucket_set_memory(store, p->bucket, on, &err) == GEDS_OK
               ? 0
               : fail_at(v, store, p, &err);
}

static int set_replicas(const struct verb *v, struct geds *store, const struct place *p,
                        const char *text)
{
    struct geds_error err;
    uint64_t count = 0;
    if (parse_u64(text, GEDS_REPLICAS_MAX, &count) != ST_OK || count == 0) {
        return usage(v, "--replicas: \"%s\" is not 1 to 8", text);
    }
    return geds_bucket_set_replicas(store, p->bucket, (unsigned)count, &err) == GEDS_OK
               ? 0
               : fail_at(v, store, p, &err);
}

static int show_rule(const struct verb *v, struct geds *store, const struct place *p, bool json)
{
    enum geds_spill_rule rule = GEDS_SPILL_WATERMARK;
    bool encrypt = false, memory = false;
    unsigned replicas = 1;
    char copies[32] = "";
    struct geds_error err;
    struct buf out = {0};
    struct json j = {.out = &out};
    if (geds_bucket_spill(store, p->bucket, &rule, &err) != GEDS_OK ||
        geds_bucket_encrypt(store, p->bucket, &encrypt, &err) != GEDS_OK ||
        geds_bucket_replicas(store, p->bucket, &replicas, &err) != GEDS_OK ||
        geds_bucket_memory(store, p->bucket, &memory, &err) != GEDS_OK) {
        return fail_at(v, store, p, &err);
    }
    if (json) {
        json_open(&j, NULL, '{');
        json_text(&j, "bucket", p->bucket);
        json_text(&j, "spill", rules[rule]);
        json_bool(&j, "encrypt", encrypt);
        json_u64(&j, "replicas", replicas);
        json_bool(&j, "memory", memory);
        json_close(&j, '}');
        fwrite(out.data, 1, out.len, stdout);
    } else {
        if (replicas > 1)
            snprintf(copies, sizeof copies, ", %u copies", replicas);
        printf("geds://%s: %s%s%s%s\n", p->bucket, rules[rule], encrypt ? ", encrypted" : "",
               copies, memory ? ", in memory" : "");
    }
    buf_done(&out);
    return 0;
}

enum { WATCH_S_MAX = 86400 };

struct wanted {
    bool json;
    uint64_t watch_ns;
    const char *rule, *encrypt, *replicas, *memory, *controller, *place;
    const char *leave, *forget; /* a node's name */
};

static int parse(const struct verb *v, int argc, char **argv, struct wanted *w)
{
    static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
                                                 {"watch", optional_argument, NULL, 'w'},
                                                 {"spill", required_argument, NULL, 's'},
                                                 {"encrypt", required_argument, NULL, 'e'},
                                                 {"replicas", required_argument, NULL, 'r'},
                                                 {"memory", required_argument, NULL, 'm'},
                                                 {"leave", required_argument, NULL, 'l'},
                                                 {"forget", required_argument, NULL, 'f'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {0}};
    for (int c; (c = getopt_long(argc, argv, "w::", long_options, NULL)) != -1;) {
        if (c == 'j') {
            w->json = true;
        } else if (c == 's') {
            w->rule = optarg;
        } else if (c == 'e') {
            w->encrypt = optarg;
        } else if (c == 'r') {
            w->replicas = optarg;
        } else if (c == 'm') {
            w->memory = optarg;
        } else if (c == 'l') {
            w->leave = optarg;
        } else if (c == 'f') {
            w->forget = optarg;
        } else if (c == 'c') {
            w->controller = optarg;
        } else if (c != 'w') {
            fprintf(stderr, "Try 'cloudskin tier --help'.\n");
            return EXIT_USAGE;
        } else if (parse_duration(optarg != NULL ? optarg : "1", WATCH_S_MAX * UINT64_C(1000000000),
                                  &w->watch_ns) != ST_OK ||
                   w->watch_ns < 100000000) {
            return usage(v, "--watch: \"%s\" is no time of 0.1 s or more",
                         optarg != NULL ? optarg : "");
        }
    }
    uint64_t ns = 0;
    if (w->watch_ns != 0 && optind < argc && !is_place(argv[optind]) &&
        parse_duration(argv[optind], WATCH_S_MAX * UINT64_C(1000000000), &ns) == ST_OK &&
        ns >= 100000000) { /* -w 5 */
        w->watch_ns = ns;
        optind++;
    }
    bool sets = w->rule != NULL || w->encrypt != NULL || w->replicas != NULL || w->memory != NULL;
    bool about_node = w->leave != NULL || w->forget != NULL;
    if (about_node && (sets || w->watch_ns != 0 || optind < argc || w->json ||
                       (w->leave != NULL && w->forget != NULL))) {
        return usage(v, "--leave and --forget are about one node and nothing else");
    }
    if (argc - optind > 1 || (sets && argc == optind) || (w->watch_ns != 0 && optind < argc)) {
        return usage(v, w->rule != NULL       ? "--spill is about one geds://BUCKET"
                        : w->encrypt != NULL  ? "--encrypt is about one geds://BUCKET"
                        : w->replicas != NULL ? "--replicas is about one geds://BUCKET"
                        : w->memory != NULL   ? "--memory is about one geds://BUCKET"
                                              : "unexpected argument");
    }
    w->place = optind < argc ? argv[optind] : NULL;
    return 0;
}

static int change_node(const struct verb *v, struct geds *store, const struct wanted *w)
{
    struct geds_error err;
    enum geds_code code = w->leave != NULL ? geds_node_leave(store, w->leave, &err)
                                           : geds_node_forget(store, w->forget, &err);
    return code == GEDS_OK ? 0 : fail(v, "", &err);
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct wanted w = {0};
    struct place p = {.key = ""};
    struct geds *store = NULL;
    int code = parse(v, argc, argv, &w);
    if (code == 0 && w.place != NULL) {
        code = place_parse(v, w.place, &p);
        if (code == 0 && p.key[0] != '\0') {
            code = usage(v, "a rule is of a whole bucket: geds://%s", p.bucket);
        }
    }
    if (code == 0) {
        code = connect_store(v, w.controller, &store);
    }
    if (code != 0) {
        return code;
    }
    catch_signals();
    if (w.leave != NULL || w.forget != NULL) {
        code = change_node(v, store, &w);
    } else if (w.place == NULL) {
        code = show(v, store, w.json, w.watch_ns);
    } else {
        code = w.rule != NULL ? set_rule(v, store, &p, w.rule) : 0;
        code = code == 0 && w.encrypt != NULL ? set_encrypt(v, store, &p, w.encrypt) : code;
        code = code == 0 && w.replicas != NULL ? set_replicas(v, store, &p, w.replicas) : code;
        code = code == 0 && w.memory != NULL ? set_memory(v, store, &p, w.memory) : code;
        code = code == 0 ? show_rule(v, store, &p, w.json) : code;
    }
    geds_disconnect(store);
    int output = exit_after_output("cloudskin tier");
    return code != 0 ? code : output;
}

const struct verb tier_verb = {"tier", help_text, run};
