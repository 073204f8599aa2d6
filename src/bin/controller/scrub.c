#include "scrub.h"

#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "base/parse.h"

#define RATE_DEFAULT (8ULL << 20)
#define RATE_MAX (1ULL << 40)
#define NS_PER_S 1000000000ULL
#define EVERY_DEFAULT_NS (7 * 86400 * NS_PER_S)
#define EVERY_MAX_NS (366 * 86400 * NS_PER_S)
enum { EVERY_MIN_NS = 1000000 };

static void log_damage(void *arg, uint64_t extent, uint64_t offset, bool has_copy, const char *text)
{
    char number[24], at[24];
    (void)arg;
    snprintf(number, sizeof number, "%016llx", (unsigned long long)extent);
    if (offset == UINT64_MAX) {
        snprintf(at, sizeof at, "none");
    } else {
        snprintf(at, sizeof at, "%llu", (unsigned long long)offset);
    }
    log_warn("scrub.damaged", "extent", number, "offset", at, "why", text, "copy",
             has_copy ? "yes" : "no");
}

static status_t take_options(const struct scrub_given *g, struct scrub_options *o,
                             struct error *err)
{
    if (g->rate != NULL && parse_size(g->rate, RATE_MAX, &o->bytes_per_s) != ST_OK) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--scrub: \"%s\" is not a number of bytes a second (0: none)", g->rate);
    }
    if (g->every != NULL && (parse_duration(g->every, EVERY_MAX_NS, &o->every_ns) != ST_OK ||
                             o->every_ns < EVERY_MIN_NS)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--scrub-every: \"%s\" is no time (1ms to 8784h)", g->every);
    }
    return ST_OK;
}

status_t controller_scrub_start(const struct scrub_given *g, const char *state, struct store *store,
                                struct scrub **ret_scrub, struct error *err)
{
    char path[PATH_MAX];
    struct scrub_options o = {.store = store,
                              .path = path,
                              .bytes_per_s = RATE_DEFAULT,
                              .every_ns = EVERY_DEFAULT_NS,
                              .damaged = log_damage};
    status_t st = take_options(g, &o, err);
    *ret_scrub = NULL;
    if (st != ST_OK || o.bytes_per_s == 0) {
        return st;
    }
    if (snprintf(path, sizeof path, "%s/scrub", state) >= (int)sizeof path) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
    }
    return scrub_start(&o, ret_scrub, err);
}
