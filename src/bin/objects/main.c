#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "exitcode/exit_code.h"
#include "net/rpc/frame.h"
#include "objects.h"
#include "sys/process.h"
#include "sys/signals.h"

static const struct verb *const verbs[] = {
    &put_verb, &get_verb, &ls_verb,  &rm_verb,    &mv_verb,       &cp_verb,   &stat_verb,
    &mb_verb,  &rb_verb,  &pin_verb, &spill_verb, &relocate_verb, &tier_verb, &watch_verb};

static void say_list(const struct verb *v, const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0) {
        fprintf(stderr, "cloudskin %s: out of memory\n", v->name);
        return;
    }
    text_hide_controls(text);
    fprintf(stderr, "cloudskin %s: %s\n", v->name, text);
    free(text);
}

void say(const struct verb *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_list(v, fmt, args);
    va_end(args);
}

int usage(const struct verb *v, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_list(v, fmt, args);
    va_end(args);
    fprintf(stderr, "Try 'cloudskin %s --help'.\n", v->name);
    return EXIT_USAGE;
}

int exit_of(enum geds_code code)
{
    return code == GEDS_INVAL ? EXIT_USAGE : exit_code_of(rpc_status_of((uint16_t)code));
}

int fail(const struct verb *v, const char *what, const struct geds_error *err)
{
    say(v, "%s%s%s", what, what[0] != '\0' ? ": " : "", err->text);
    return exit_of(err->code);
}

int fail_at(const struct verb *v, struct geds *store, const struct place *p,
            const struct geds_error *err)
{
    struct geds_bucket ignored;
    char what[GEDS_BUCKET_MAX + GEDS_KEY_MAX + 16];
    snprintf(what, sizeof what, "geds://%s%s%s", p->bucket, p->key[0] != '\0' ? "/" : "", p->key);
    if (err->code == GEDS_NOTFOUND &&
        geds_bucket_status(store, p->bucket, &ignored, NULL) == GEDS_NOTFOUND) {
        say(v,
            "no bucket \"%s\" (`cloudskin mb geds://%s` makes it, `cloudskin ls` lists those that "
            "are there)",
            p->bucket, p->bucket);
        return EXIT_MISSING;
    }
    if (err->code == GEDS_NOTFOUND) {
        say(v, "%s: no such object", what);
        return EXIT_MISSING;
    }
    return fail(v, what, err);
}

static const char scheme[] = "geds://";

bool is_place(const char *text)
{
    return strncmp(text, scheme, sizeof scheme - 1) == 0;
}

int place_parse(const struct verb *v, const char *text, struct place *ret_place)
{
    if (!is_place(text)) {
        return usage(v, "\"%s\" is not geds://BUCKET/KEY", text);
    }
    const char *bucket = text + sizeof scheme - 1, *slash = strchr(bucket, '/');
    size_t len = slash != NULL ? (size_t)(slash - bucket) : strlen(bucket);
    const char *key = slash != NULL ? slash + 1 : "";
    if (len == 0 || len > GEDS_BUCKET_MAX || strlen(key) > GEDS_KEY_MAX) {
        return usage(v, "\"%s\": a bucket has 3 to %d bytes, a key at most %d", text,
                     GEDS_BUCKET_MAX, GEDS_KEY_MAX);
    }
    memcpy(ret_place->bucket, bucket, len);
    ret_place->bucket[len] = '\0';
    memcpy(ret_place->key, key, strlen(key) + 1);
    return 0;
}

bool place_is_folder(const struct place *p)
{
    size_t len = strlen(p->key);
    return len == 0 || p->key[len - 1] == '/';
}

int place_add_name(const struct verb *v, struct place *p, const char *path)
{
    size_t len = strlen(path), at = strlen(p->key);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    size_t start = len;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    if (start == len || (len - start == 1 && path[start] == '.') ||
        (len - start == 2 && strncmp(path + start, "..", 2) == 0)) {
        return usage(v, "\"%s\" has no name of its own: give the whole key", path);
    }
    if (at + len - start > GEDS_KEY_MAX) {
        return usage(v, "a key has at most %d bytes", GEDS_KEY_MAX);
    }
    memcpy(p->key + at, path + start, len - start);
    p->key[at + len - start] = '\0';
    return 0;
}

int place_to_folder(const struct verb *v, struct place *p)
{
    size_t len = strlen(p->key);
    if (place_is_folder(p)) {
        return 0;
    }
    if (len + 1 > GEDS_KEY_MAX) {
        return usage(v, "a key has at most %d bytes", GEDS_KEY_MAX);
    }
    memcpy(p->key + len, "/", 2);
    return 0;
}

int connect_store(const struct verb *v, const char *controller, struct geds **ret_store)
{
    struct geds_error err;
    return geds_connect(controller, ret_store, &err) == GEDS_OK ? 0 : fail(v, "", &err);
}

int each_object(const struct verb *v, struct geds *store, const char *bucket, const char *prefix,
                int (*f)(void *arg, const struct geds_entry *e), void *arg)
{
    char after[GEDS_KEY_MAX + 1] = "";
    bool more = true;
    int code = 0;
    while (more && code == 0) {
        struct geds_page *page = NULL;
        struct geds_error err;
        const struct geds_query q = {.prefix = prefix, .start_after = after};
        if (geds_list(store, bucket, &q, &page, &err) != GEDS_OK) {
            struct place at = {.key = ""};
            snprintf(at.bucket, sizeof at.bucket, "%s", bucket);
            return fail_at(v, store, &at, &err);
        }
        for (size_t i = 0; i < page->count && code == 0; i++) {
            code = f(arg, &page->entries[i]);
        }
        more = page->more && page->count > 0;
        if (more) {
            snprintf(after, sizeof after, "%s", page->entries[page->count - 1].key);
        }
        geds_page_free(page);
    }
    return code;
}

static volatile sig_atomic_t signal_seen;

static void see(int number)
{
    signal_seen = number;
}

void catch_signals(void)
{
    signal_catch_once(SIGINT, see);
    signal_catch_once(SIGTERM, see);
}

int stopped_by(void)
{
    return signal_seen;
}

int main(int argc, char **argv)
{
    process_open_stdio();
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 0 ? argv[0] : "", *slash = strrchr(name, '/');
    name = slash != NULL ? slash + 1 : name;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const struct verb *v = verbs[i];
        if (strcmp(v->name, name) != 0) {
            continue;
        }
        for (int k = 1; k < argc && strcmp(argv[k], "--") != 0; k++) {
            if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
                fputs(v->help, stdout);
                return exit_after_output("cloudskin");
            }
        }
        return v->run(v, argc, argv);
    }
    fprintf(stderr, "cloudskin: %s: no such verb\n", name);
    return EXIT_USAGE;
}
