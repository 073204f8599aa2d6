#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "exitcode/exit_code.h"
#include "objects.h"

static const char help_text[] =
    "Usage: cloudskin stat [--json] [geds://BUCKET[/KEY]]\n"
    "\n"
    "Show size, time of change, etag, content type and metadata of an object, and whether it is\n"
    "encrypted; what is in a bucket, and whether its rule encrypts what comes; or, without a\n"
    "place, where the store is and what is in it.\n"
    "\n"
    "      --json             as JSON on standard output\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the store is gone; 127 no such object or bucket, or "
    "nothing\n"
    "is up.\n"
    "\n"
    "Example:\n"
    "  cloudskin stat geds://scenes/big.tif\n";

/* One line, or one member of JSON. */
struct shown {
    bool json;
    struct buf out;
    struct json j;
};

static void show_text(struct shown *s, const char *key, const char *name, const char *text)
{
    if (s->json) {
        json_text(&s->j, key, text);
    } else {
        printf("%-10s ", name);
        print_text(text);
        putchar('\n');
    }
}

static void show_number(struct shown *s, const char *key, const char *name, uint64_t n)
{
    if (s->json) {
        json_u64(&s->j, key, n);
    } else {
        printf("%-10s %" PRIu64 "\n", name, n);
    }
}

static void show_flag(struct shown *s, const char *key, const char *name, bool is)
{
    if (s->json) {
        json_bool(&s->j, key, is);
    } else {
        printf("%-10s %s\n", name, is ? "yes" : "no");
    }
}

static void show_time(struct shown *s, const char *key, const char *name, uint64_t ns)
{
    char text[TIME_BYTES];
    format_time(ns, text);
    show_text(s, key, name, text);
}

static void show_metadata(struct shown *s, const struct geds_attributes *a)
{
    if (s->json) {
        json_open(&s->j, "metadata", '{');
    }
    for (size_t i = 0; i < a->count; i++) {
        if (s->json) {
            json_text(&s->j, a->pairs[i].name, a->pairs[i].value);
        } else {
            printf("%-10s ", "metadata");
            print_text(a->pairs[i].name);
            fputs(": ", stdout);
            print_text(a->pairs[i].value);
            putchar('\n');
        }
    }
    if (s->json) {
        json_close(&s->j, '}');
    }
}

static int show_object(const struct verb *v, struct geds *store, const struct place *p,
                       struct shown *s)
{
    struct geds_object *o = NULL;
    struct geds_error err;
    if (geds_open(store, p->bucket, p->key, &o, &err) != GEDS_OK) {
        return fail_at(v, store, p, &err);
    }
    const struct geds_info *i = geds_object_info(o);
    const struct geds_attributes *a = geds_object_attributes(o);
    show_text(s, "bucket", "bucket", p->bucket);
    show_text(s, "key", "key", p->key);
    show_number(s, "size", "size", i->size);
    show_time(s, "modified", "modified", i->modified_ns);
    show_text(s, "etag", "etag", i->etag);
    show_flag(s, "encrypted", "encrypted", i->encrypted);
    if (a->content_type != NULL) {
        show_text(s, "type", "type", a->content_type);
    }
    show_metadata(s, a);
    geds_close(o);
    return 0;
}

static int show_bucket(const struct verb *v, struct geds *store, const struct place *p,
                       struct shown *s)
{
    struct geds_bucket b;
    struct geds_error err;
    if (geds_bucket_status(store, p->bucket, &b, &err) != GEDS_OK) {
        return fail_at(v, store, p, &err);
    }
    bool encrypt = false;
    if (geds_bucket_encrypt(store, p->bucket, &encrypt, &err) != GEDS_OK) {
        return fail_at(v, store, p, &err);
    }
    show_text(s, "bucket", "bucket", b.name);
    show_time(s, "created", "created", b.created_ns);
    show_number(s, "objects", "objects", b.objects);
    show_number(s, "bytes", "bytes", b.bytes);
    show_flag(s, "encrypts", "encrypts", encrypt);
    return 0;
}

static int show_store(const struct verb *v, struct geds *store, struct shown *s)
{
    struct geds_status n;
    struct geds_error err;
    if (geds_status(store, &n, &err) != GEDS_OK) {
        return fail(v, "", &err);
    }
    show_text(s, "version", "version", n.version);
    show_number(s, "process", "process", (uint64_t)n.process);
    show_text(s, "state", "state", n.state);
    show_text(s, "s3", "S3", n.s3);
    show_text(s, "metrics", "metrics", n.metrics[0] != '\0' || s->json ? n.metrics : "none");
    show_number(s, "buckets", "buckets", n.buckets);
    show_number(s, "objects", "objects", n.objects);
    show_number(s, "bytes", "bytes", n.bytes);
    return 0;
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'}, {"controller", required_argument, NULL, 'c'}, {0}};
    const char *controller = NULL;
    struct shown s = {0};
    struct place p = {.key = ""};
    struct geds *store = NULL;
    s.j.out = &s.out;
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (c == 'j') {
            s.json = true;
        } else if (c == 'c') {
            controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin stat --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (argc - optind > 1) {
        return usage(v, "one place at a time");
    }
    bool given = argc - optind == 1;
    int code = given ? place_parse(v, argv[optind], &p) : 0;
    if (code == 0) {
        code = connect_store(v, controller, &store);
    }
    if (code != 0) {
        return code;
    }
    if (s.json) {
        json_open(&s.j, NULL, '{');
    }
    code = !given             ? show_store(v, store, &s)
           : p.key[0] != '\0' ? show_object(v, store, &p, &s)
                              : show_bucket(v, store, &p, &s);
    geds_disconnect(store);
    if (s.json && code == 0) {
        json_close(&s.j, '}');
        fwrite(s.out.data, 1, s.out.len, stdout);
    }
    buf_done(&s.out);
    int output = exit_after_output("cloudskin stat");
    return code != 0 ? code : output;
}

const struct verb stat_verb = {"stat", help_text, run};
