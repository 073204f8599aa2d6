#include "tier.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "sys/files.h"

enum { CONF_BYTES_MAX = 16 * 1024, CACHE_DEFAULT_PARTS = 10, FREE_PARTS = 20 };
#define CACHE_DEFAULT_MAX (1ULL << 30)
#define BYTES_MAX (1ULL << 60)

struct conf {
    char place[TIER_PLACE_BYTES]; /* "": no tier */
    char endpoint[TIER_ENDPOINT_BYTES];
    char region[TIER_REGION_BYTES];
    char ca_file[PATH_MAX];
    char style[16];
    char local_bytes[24], cache_bytes[24]; /* "": the defaults */
};

/* Lines `NAME VALUE`. */
static const struct {
    const char *name;
    size_t at, size;
} fields[] = {
    {"tier", offsetof(struct conf, place), sizeof((struct conf *)0)->place},
    {"endpoint", offsetof(struct conf, endpoint), sizeof((struct conf *)0)->endpoint},
    {"region", offsetof(struct conf, region), sizeof((struct conf *)0)->region},
    {"ca-file", offsetof(struct conf, ca_file), sizeof((struct conf *)0)->ca_file},
    {"style", offsetof(struct conf, style), sizeof((struct conf *)0)->style},
    {"local-bytes", offsetof(struct conf, local_bytes), sizeof((struct conf *)0)->local_bytes},
    {"cache-bytes", offsetof(struct conf, cache_bytes), sizeof((struct conf *)0)->cache_bytes},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static status_t path_in(const char *state, const char *name, char ret_path[PATH_MAX],
                        struct error *err)
{
    return snprintf(ret_path, PATH_MAX, "%s/%s", state, name) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
}

static status_t set_field(struct conf *c, const char *name, const char *value, struct error *err)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(fields[i].name, name) != 0) {
            continue;
        }
        if (strchr(value, '\n') != NULL ||
            (size_t)snprintf((char *)c + fields[i].at, fields[i].size, "%s", value) >=
                fields[i].size) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "tier: %s is too long", name);
        }
        return ST_OK;
    }
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "tier.conf: no setting \"%.40s\"", name);
}

static status_t load(const char *path, struct conf *c, struct error *err)
{
    struct buf text = {0};
    status_t st = file_read(path, CONF_BYTES_MAX, &text, err);
    if (st == ST_NOTFOUND) {
        return ST_OK;
    }
    buf_u8(&text, 0);
    if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    char *rest = NULL;
    for (char *line = st == ST_OK ? (char *)text.data : NULL;
         line != NULL && *line != '\0' && st == ST_OK; line = rest) {
        char *end = strchr(line, '\n'), *blank = strchr(line, ' ');
        if (end == NULL || blank == NULL || blank > end) {
            st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: a line is not `NAME VALUE`", path);
            break;
        }
        *end = *blank = '\0';
        rest = end + 1;
        st = set_field(c, line, blank + 1, err);
    }
    buf_done(&text);
    return st;
}

static status_t save(const char *path, const struct conf *c, struct error *err)
{
    struct buf text = {0};
    for (size_t i = 0; i < FIELDS; i++) {
        const char *value = (const char *)c + fields[i].at;
        if (*value != '\0') {
            buf_printf(&text, "%s %s\n", fields[i].name, value);
        }
    }
    status_t st = text.failed
                      ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory")
                      : file_write_atomic(path, text.data != NULL ? (const void *)text.data : "",
                                          text.len, 0600, FILE_SYNC, err);
    buf_done(&text);
    return st;
}

/* A later start may be made from another folder. */
static status_t absolute(const char *path, char ret_path[PATH_MAX], struct error *err)
{
    return realpath(path, ret_path) != NULL
               ? ST_OK
               : error_set_errno(err, errno, "--tier-ca-file: %s", path);
}

static status_t take_given(const struct tier_given *g, struct conf *c, struct error *err)
{
    char text[24], ca_file[PATH_MAX];
    const struct {
        const char *name, *value;
    } given[] = {{"endpoint", g->endpoint},
                 {"region", g->region},
                 {"ca-file", g->ca_file != NULL ? ca_file : NULL},
                 {"style", g->style},
                 {"tier", g->place}};
    status_t st = g->ca_file != NULL ? absolute(g->ca_file, ca_file, err) : ST_OK;
    for (size_t i = 0; i < sizeof given / sizeof given[0] && st == ST_OK; i++) {
        if (given[i].value != NULL) {
            st = set_field(c, given[i].name, given[i].value, err);
        }
    }
    if (st == ST_OK && g->local_bytes != 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)g->local_bytes);
        st = set_field(c, "local-bytes", text, err);
    }
    if (st == ST_OK && g->cache_bytes != 0) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)g->cache_bytes);
        st = set_field(c, "cache-bytes", text, err);
    }
    if (strcmp(c->place, "none") == 0) {
        c->place[0] = '\0';
    }
    return st;
}

/* s3://BUCKET[/PREFIX]. prefix: with '/' at its end, or "". */
static status_t split_place(const char *place, char bucket[TIER_PLACE_BYTES],
                            char prefix[TIER_PLACE_BYTES + 1], struct error *err)
{
    static const char scheme[] = "s3://";
    const char *name = place + sizeof scheme - 1;
    if (strncmp(place, scheme, sizeof scheme - 1) != 0 || *name == '\0' || *name == '/') {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--tier: \"%.100s\" is not s3://BUCKET[/PREFIX]", place);
    }
    const char *slash = strchr(name, '/');
    size_t len = slash != NULL ? (size_t)(slash - name) : strlen(name);
    memcpy(bucket, name, len);
    bucket[len] = '\0';
    const char *rest = slash != NULL ? slash + 1 : "";
    size_t rest_len = strlen(rest);
    snprintf(prefix, TIER_PLACE_BYTES + 1, "%s%s", rest,
             rest_len > 0 && rest[rest_len - 1] != '/' ? "/" : "");
    return ST_OK;
}

/* Bytes at the former place would be looked for at the new one. Copies of what is local are made again when they are
 * needed. */
static status_t check_change(const char *was, const char *is, struct store *store,
                             struct error *err)
{
    struct store_places p;
    if (strcmp(was, is) == 0 || was[0] == '\0') {
        return ST_OK;
    }
    status_t st = store_places(store, &p, err);
    if (st == ST_OK && p.away_count > 0) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "--tier: %llu files are in %.80s and nowhere else; fetch them first "
                         "(cloudskin spill --recall geds://BUCKET)",
                         (unsigned long long)p.away_count, was);
    }
    if (st == ST_OK && p.gone_count > 0 && is[0] != '\0') {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "--tier: %llu files in %.80s are still to be deleted; wait for that "
                         "(cloudskin tier), or leave them there by --tier none first",
                         (unsigned long long)p.gone_count, was);
    }
    return st;
}

static status_t note_any(void *arg, const char *name, uint64_t size, struct error *err)
{
    (void)name, (void)size;
    *(bool *)arg = true;
    return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "one is enough");
}

/* Another server of the same place has what was sent to the former one, or bytes are lost: what is there only would be
 * looked for, and what is to be deleted be taken for deleted. */
static status_t check_endpoint(const struct conf *was, const struct conf *is, struct store *store,
                               const struct tier_remote *remote, struct error *err)
{
    struct store_places p;
    char id[STORE_ID_BYTES], prefix[STORE_ID_BYTES + 16];
    bool any = false;
    if (was->place[0] == '\0' || strcmp(was->endpoint, is->endpoint) == 0) {
        return ST_OK;
    }
    status_t st = store_places(store, &p, err);
    if (st != ST_OK || p.away_count + p.gone_count == 0) {
        return st;
    }
    st = store_id(store, id, err);
    if (st == ST_OK) {
        snprintf(prefix, sizeof prefix, "%s/extents/", id);
        st = remote->list(remote->arg, prefix, note_any, &any, err);
    }
    if (any || st != ST_OK) {
        return any ? ST_OK : st;
    }
    return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                     "--tier-endpoint: %llu files of this store are at %.80s, and none of them at "
                     "%.80s",
                     (unsigned long long)(p.away_count + p.gone_count), was->endpoint,
                     is->endpoint);
}

/* A copy of the file, so that a later start needs nothing but the state folder. */
static status_t keep_credentials(const char *from, const char *path, struct error *err)
{
    struct remote_credentials c = {0};
    char line[sizeof c + 8];
    status_t st = remote_credentials_load(from, &c, err);
    if (st == ST_OK) {
        int len = snprintf(line, sizeof line, "%s %s%s%s\n", c.access_key, c.secret,
                           c.token[0] != '\0' ? " " : "", c.token);
        st = file_write_atomic(path, line, (size_t)len, 0600, FILE_SYNC, err);
    }
    explicit_bzero(line, sizeof line);
    remote_credentials_done(&c);
    return st;
}

static void log_tier_event(void *arg, const char *event, uint64_t extent, const char *text)
{
    char number[24];
    (void)arg;
    snprintf(number, sizeof number, "%016llx", (unsigned long long)extent);
    if (extent == 0) {
        log_warn(event, "why", text);
    } else {
        log_warn(event, "extent", number, "why", text);
    }
}

static status_t open_remote(const struct conf *c, const char *key_file, struct tier_running *r,
                            struct error *err)
{
    char bucket[TIER_PLACE_BYTES], prefix[TIER_PLACE_BYTES + 1];
    struct remote_credentials credentials = {0};
    struct remote_options o;
    remote_options_default(&o);
    status_t st = split_place(c->place, bucket, prefix, err);
    if (st == ST_OK && c->endpoint[0] == '\0') {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--tier needs --tier-endpoint URL");
    }
    if (st == ST_OK && c->style[0] != '\0' && strcmp(c->style, "path") != 0 &&
        strcmp(c->style, "virtual-host") != 0) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--tier-style: path or virtual-host");
    }
    if (st == ST_OK) {
        st = remote_credentials_load(key_file, &credentials, err);
        if (st == ST_NOTFOUND) {
            st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--tier needs --tier-credentials FILE");
        }
    }
    o.endpoint = c->endpoint;
    o.bucket = bucket;
    o.prefix = prefix;
    o.credentials = &credentials;
    o.region = c->region[0] != '\0' ? c->region : o.region;
    o.ca_file = c->ca_file[0] != '\0' ? c->ca_file : NULL;
    o.addressing = strcmp(c->style, "virtual-host") == 0 ? REMOTE_VIRTUAL_HOST : REMOTE_PATH_STYLE;
    if (st == ST_OK) {
        st = tier_s3_open(&o, &r->s3, &r->remote, err);
    }
    remote_credentials_done(&credentials);
    return st;
}

static status_t open_tier(const struct conf *c, const char *state, struct store *store,
                          struct tier_running *r, struct error *err)
{
    struct statvfs fs;
    struct tier_options o = {
        .store = store, .remote = &r->remote, .path = state, .event = log_tier_event};
    uint64_t local = 0, cache = 0;
    if (statvfs(state, &fs) != 0) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: its file system says nothing", state);
    }
    uint64_t whole = (uint64_t)fs.f_blocks * fs.f_frsize;
    if (c->local_bytes[0] != '\0' && parse_u64(c->local_bytes, BYTES_MAX, &local) != ST_OK) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "tier.conf: local-bytes is no number");
    }
    if (c->cache_bytes[0] != '\0' && parse_u64(c->cache_bytes, BYTES_MAX, &cache) != ST_OK) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "tier.conf: cache-bytes is no number");
    }
    o.high_bytes = local != 0 ? local : whole / 10 * 8;
    o.low_bytes = o.high_bytes - o.high_bytes / 10 - (o.high_bytes < 10);
    o.free_bytes = whole / FREE_PARTS;
    o.cache_bytes = cache;
    if (cache == 0) {
        cache = o.high_bytes / CACHE_DEFAULT_PARTS;
        cache = cache < CACHE_DEFAULT_MAX ? cache : CACHE_DEFAULT_MAX;
        o.cache_bytes = cache > STORE_CACHE_MIN ? cache : STORE_CACHE_MIN;
    }
    status_t st = tier_open(&o, &r->tier, err);
    if (st == ST_OK) {
        snprintf(r->place, sizeof r->place, "%s", c->place);
        snprintf(r->endpoint, sizeof r->endpoint, "%s", c->endpoint);
    }
    return st;
}

status_t controller_tier_open(const struct tier_given *given, const char *state,
                              struct store *store, struct tier_running *ret_running,
                              struct error *err)
{
    char conf_path[PATH_MAX], key_path[PATH_MAX];
    struct conf *was = calloc(2, sizeof *was);
    *ret_running = (struct tier_running){0};
    if (was == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    struct conf *c = was + 1;
    status_t st = path_in(state, "tier.conf", conf_path, err);
    if (st == ST_OK && (st = path_in(state, "tier.key", key_path, err)) == ST_OK) {
        st = load(conf_path, was, err);
    }
    *c = *was;
    if (st == ST_OK) {
        st = take_given(given, c, err);
    }
    if (st == ST_OK) {
        st = check_change(was->place, c->place, store, err);
    }
    if (st == ST_OK && c->place[0] != '\0') {
        st = open_remote(c, given->credentials != NULL ? given->credentials : key_path, ret_running,
                         err);
        if (st == ST_OK) {
            st = check_endpoint(was, c, store, &ret_running->remote, err);
        }
        if (st == ST_OK) {
            st = open_tier(c, state, store, ret_running, err);
        }
    }
    /* after a start that is refused, the former ones are there */
    if (st == ST_OK && given->credentials != NULL) {
        st = keep_credentials(given->credentials, key_path, err);
    }
    if (st == ST_OK && memcmp(was, c, sizeof *c) != 0) {
        st = save(conf_path, c, err);
    }
    free(was);
    return st;
}

void controller_tier_close(struct tier_running *r)
{
    tier_close(r->tier);
    tier_s3_close(r->s3);
    *r = (struct tier_running){0};
}
