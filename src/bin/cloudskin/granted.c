#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "exitcode/exit_code.h"
#include "gedsfile/place.h"
#include "run_parts.h"

/* What is in the object store: buckets that are granted as folders, and the program. */

status_t run_fetch_program(struct run *r, const char *place, struct error *err)
{
    int fd = -1;
    status_t code = geds_place_fetch(place, true, &fd, err);
    if (code == ST_OK) {
        r->embedded_fd = fd;
        snprintf(r->embedded_path, sizeof r->embedded_path, "/proc/self/fd/%d", fd);
    }
    return code;
}

status_t run_open_buckets(struct run *r, struct error *err)
{
    struct run_options *o = &r->options;
    status_t code = ST_OK;
    for (uint32_t i = 0; code == ST_OK && i < o->grant_count; i++) {
        struct wasi_grant *g = &o->grants[i];
        if (!geds_place_told(g->host_path)) {
            continue;
        }
        code = r->buckets == NULL ? buckets_open(&r->buckets, err) : ST_OK;
        code = code == ST_OK ? buckets_add(r->buckets, g->host_path, &g->bucket, err) : code;
    }
    return code;
}

static void say_lost(void *arg, const char *place, uint64_t size)
{
    char text[2 * WASI_KEY_BYTES_MAX];
    (void)arg;
    snprintf(text, sizeof text, "%s", place);
    text_hide_controls(text);
    fprintf(stderr, "cloudskin: %s: not written: the program did not close it (%llu bytes)\n", text,
            (unsigned long long)size);
}

int run_publish(struct run *r, int exit_code)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (r->buckets == NULL || r->wasi == NULL || r->end == RUN_FROZEN) {
        return exit_code;
    }
    if (r->end != RUN_ENDED) {
        wasi_unpublished(r->wasi, say_lost, NULL);
        return exit_code;
    }
    if (wasi_publish(r->wasi, &err) != ST_OK) {
        run_fail(NULL, &err, EXIT_SYSTEM);
        return exit_code != 0 ? exit_code : EXIT_SYSTEM;
    }
    return exit_code;
}
