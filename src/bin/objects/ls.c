#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "exitcode/exit_code.h"
#include "objects.h"

static const char help_text[] =
    "Usage: cloudskin ls [OPTIONS] [geds://BUCKET[/KEY]]\n"
    "\n"
    "List buckets, or the objects of one: those directly beneath KEY/, and KEY itself. What is\n"
    "deeper is shown as one line for each folder, with / at its end. 'KEY*', in quotes, lists all\n"
    "that begins with KEY.\n"
    "\n"
    "  -l, --long             size in bytes, time of change (UTC), etag, encrypted or -\n"
    "  -r, --recursive        everything beneath, no folders\n"
    "      --json             as JSON on standard output\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Control characters in keys are printed as \\xNN, but in JSON.\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 71 the store is gone; 127 nothing is there, or nothing is up.\n"
    "\n"
    "Examples:\n"
    "  cloudskin ls\n"
    "  cloudskin ls -l geds://scenes\n"
    "  cloudskin ls -r --json geds://scenes/2026\n";

enum { BUFFERED_BYTES = 64 * 1024 };

struct ls {
    const struct verb *verb;
    struct geds *store;
    const char *controller;
    bool is_long, recursive, json;
    struct buf out;
    struct json j;
    uint64_t count;
};

static void print_entry(struct ls *l, const struct geds_entry *e)
{
    char time[TIME_BYTES] = "";
    l->count++;
    if (!e->is_prefix) {
        format_time(e->info.modified_ns, time);
    }
    if (l->json) {
        json_open(&l->j, NULL, '{');
        json_text(&l->j, e->is_prefix ? "prefix" : "key", e->key);
        if (!e->is_prefix) {
            json_u64(&l->j, "size", e->info.size);
            json_text(&l->j, "modified", time);
            json_text(&l->j, "etag", e->info.etag);
            json_bool(&l->j, "encrypted", e->info.encrypted);
        }
        json_close(&l->j, '}');
        if (l->out.len > BUFFERED_BYTES) {
            fwrite(l->out.data, 1, l->out.len, stdout);
            l->out.len = 0;
        }
        return;
    }
    if (l->is_long && e->is_prefix) {
        printf("%16s  %20s  %-35s  %-9s  ", "-", "-", "-", "-");
    } else if (l->is_long) {
        printf("%16" PRIu64 "  %20s  %-35s  %-9s  ", e->info.size, time, e->info.etag,
               e->info.encrypted ? "encrypted" : "-");
    }
    print_text(e->key);
    putchar('\n');
}

static int list_buckets(struct ls *l)
{
    struct geds_bucket *buckets = NULL;
    struct geds_error err;
    size_t count = 0;
    if (geds_bucket_list(l->store, &buckets, &count, &err) != GEDS_OK) {
        return fail(l->verb, "", &err);
    }
    for (size_t i = 0; i < count; i++) {
        char time[TIME_BYTES];
        format_time(buckets[i].created_ns, time);
        if (l->json) {
            json_open(&l->j, NULL, '{');
            json_text(&l->j, "bucket", buckets[i].name);
            json_text(&l->j, "created", time);
            json_u64(&l->j, "objects", buckets[i].objects);
            json_u64(&l->j, "bytes", buckets[i].bytes);
            json_close(&l->j, '}');
        } else if (l->is_long) {
            printf("%16" PRIu64 "  %20s  %10" PRIu64 " objects  geds://%s\n", buckets[i].bytes,
                   time, buckets[i].objects, buckets[i].name);
        } else {
            printf("geds://%s\n", buckets[i].name);
        }
    }
    free(buckets);
    return 0;
}

static int list_objects(struct ls *l, const struct place *p, const char *prefix)
{
    char after[GEDS_KEY_MAX + 1] = "";
    for (bool more = true; more;) {
        struct geds_page *page = NULL;
        struct geds_error err;
        const struct geds_query q = {
            .prefix = prefix, .delimiter = l->recursive ? NULL : "/", .start_after = after};
        if (geds_list(l->store, p->bucket, &q, &page, &err) != GEDS_OK) {
            return fail_at(l->verb, l->store, p, &err);
        }
        for (size_t i = 0; i < page->count; i++) {
            print_entry(l, &page->entries[i]);
        }
        more = page->more && page->count > 0;
        if (more) {
            snprintf(after, sizeof after, "%s", page->entries[page->count - 1].key);
        }
        geds_page_free(page);
    }
    return 0;
}

static int list_place(struct ls *l, const char *text)
{
    struct place p;
    struct geds_entry itself = {0};
    size_t len = strlen(text);
    int code = place_parse(l->verb, text, &p);
    if (code != 0) {
        return code;
    }
    if (len > 0 && text[len - 1] == '*' && p.key[0] != '\0') {
        p.key[strlen(p.key) - 1] = '\0';
        code = list_objects(l, &p, p.key);
    } else {
        if (!place_is_folder(&p) &&
            geds_stat(l->store, p.bucket, p.key, &itself.info, NULL) == GEDS_OK) {
            itself.key = p.key;
            print_entry(l, &itself);
        }
        struct place folder = p;
        /* nothing can be beneath the longest keys */
        bool fits = place_is_folder(&p) || strlen(p.key) < GEDS_KEY_MAX;
        code = fits ? place_to_folder(l->verb, &folder) : 0;
        if (code == 0 && fits) {
            code = list_objects(l, &p, folder.key);
        }
    }
    if (code == 0 && l->count == 0 && p.key[0] != '\0') {
        say(&ls_verb, "%s: nothing is there", text);
        return EXIT_MISSING;
    }
    return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
    static const struct option long_options[] = {{"long", no_argument, NULL, 'l'},
                                                 {"recursive", no_argument, NULL, 'r'},
                                                 {"json", no_argument, NULL, 'j'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {0}};
    struct ls l = {.verb = v};
    l.j.out = &l.out;
    for (int c; (c = getopt_long(argc, argv, "lr", long_options, NULL)) != -1;) {
        if (c == 'l') {
            l.is_long = true;
        } else if (c == 'r') {
            l.recursive = true;
        } else if (c == 'j') {
            l.json = true;
        } else if (c == 'c') {
            l.controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin ls --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (argc - optind > 1) {
        return usage(v, "one place at a time");
    }
    int code = connect_store(v, l.controller, &l.store);
    if (code != 0) {
        return code;
    }
    if (l.json) {
        json_open(&l.j, NULL, '[');
    }
    code = argc - optind == 1 ? list_place(&l, argv[optind]) : list_buckets(&l);
    geds_disconnect(l.store);
    if (l.json && code == 0) {
        json_close(&l.j, ']');
        fwrite(l.out.data, 1, l.out.len, stdout);
    }
    buf_done(&l.out);
    int output = exit_after_output("cloudskin ls");
    return code != 0 ? code : output;
}

const struct verb ls_verb = {"ls", help_text, run};
