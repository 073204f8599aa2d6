#include "master.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/parse.h"
#include "cloudskin/geds.h"
#include "exitcode/exit_code.h"

static int fail(const struct geds_error *err)
{
    fprintf(stderr, "cloudskin keys: %s\n", err->text);
    switch (err->code) {
    case GEDS_NOTFOUND:
        return EXIT_MISSING;
    case GEDS_CORRUPT:
    case GEDS_FORMAT:
    case GEDS_UNSUPPORTED:
        return EXIT_REFUSED;
    case GEDS_INVAL:
        return EXIT_USAGE;
    case GEDS_OK:
    case GEDS_NOMEM:
    case GEDS_LIMIT:
    case GEDS_IO:
    case GEDS_EXIST:
    case GEDS_PERM:
    case GEDS_INVALID:
    case GEDS_AGAIN:
    case GEDS_CHANGED:
    case GEDS_STOPPED:
    case GEDS_MOVED:
        break;
    }
    return EXIT_SYSTEM;
}

static const char *state_of(const struct geds_key *k)
{
    return k->is_newest ? "newest" : k->is_there ? k->extents > 0 ? "needed" : "unused" : "missing";
}

static void list_json(const struct geds_key *keys, size_t count)
{
    struct buf out = {0};
    struct json j = {.out = &out};
    json_open(&j, NULL, '[');
    for (size_t i = 0; i < count; i++) {
        char id[20];
        snprintf(id, sizeof id, "%016" PRIx64, keys[i].id);
        json_open(&j, NULL, '{');
        json_text(&j, "id", id);
        json_text(&j, "state", state_of(&keys[i]));
        json_u64(&j, "extents", keys[i].extents);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    fwrite(out.data, 1, out.len, stdout);
    buf_done(&out);
}

static int list(struct geds *store, bool json)
{
    struct geds_error err;
    struct geds_key *keys = NULL;
    size_t count = 0;
    bool missing = false;
    if (geds_keys(store, &keys, &count, &err) != GEDS_OK) {
        return fail(&err);
    }
    for (size_t i = 0; i < count; i++) {
        missing |= !keys[i].is_there;
        if (!json) {
            printf("%016" PRIx64 "  %-7s  %" PRIu64 " extents\n", keys[i].id, state_of(&keys[i]),
                   keys[i].extents);
        }
    }
    if (json) {
        list_json(keys, count);
    }
    free(keys);
    return missing ? EXIT_REFUSED : 0;
}

static void show_progress(void *arg, uint64_t rewrapped)
{
    (void)arg;
    fprintf(stderr, "\r%" PRIu64 " extents", rewrapped);
}

static int rotate(struct geds *store)
{
    bool shows = isatty(STDERR_FILENO) == 1;
    struct geds_rotation r;
    struct geds_error err;
    enum geds_code code = geds_keys_rotate(store, shows ? show_progress : NULL, NULL, &r, &err);
    if (shows) {
        fputs("\r\033[K", stderr);
    }
    if (code != GEDS_OK) {
        return fail(&err);
    }
    printf("%016" PRIx64 "  newest; %" PRIu64 " extents need it instead of others\n", r.id,
           r.rewrapped);
    if (r.missing > 0) {
        fprintf(stderr,
                "cloudskin keys: %" PRIu64 " extents need keys that are missing (cloudskin keys "
                "master), and stay as they are\n",
                r.missing);
        return EXIT_REFUSED;
    }
    return 0;
}

static int drop(struct geds *store, const char *text)
{
    struct geds_error err;
    uint64_t id = 0;
    if (strlen(text) != 16 || parse_hex(text, INT64_MAX, &id) != ST_OK) {
        fprintf(stderr, "cloudskin keys: \"%.40s\" is no id of a master key\n", text);
        return EXIT_USAGE;
    }
    return geds_key_drop(store, id, &err) == GEDS_OK ? 0 : fail(&err);
}

bool keys_master(struct master_wanted *w, int argc, char **argv)
{
    struct geds *store = NULL;
    struct geds_error err;
    bool lists = strcmp(argv[0], "master") == 0 && argc == 1;
    bool rotates = strcmp(argv[0], "rotate") == 0 && argc == 1 && !w->json;
    if (!lists && !rotates && (strcmp(argv[0], "drop") != 0 || argc != 2 || w->json)) {
        return false;
    }
    if (geds_connect(w->controller, &store, &err) != GEDS_OK) {
        w->code = fail(&err);
        return true;
    }
    w->code = lists ? list(store, w->json) : rotates ? rotate(store) : drop(store, argv[1]);
    geds_disconnect(store);
    return true;
}
