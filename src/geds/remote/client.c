#include <string.h>

#include "base/parse.h"
#include "impl.h"

/* Options become a client. */

static status_t wrong(struct error *err, const char *what)
{
    return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s", what);
}

static bool only(const char *s, size_t min, size_t max, const char *more)
{
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
        if (!letter && !(s[i] >= '0' && s[i] <= '9') && !strchr(more, s[i]))
            return false;
    }
    return len >= min && len <= max;
}

static bool has_control(const char *s)
{
    while (*s != '\0' && (uint8_t)*s >= ' ' && *s != 127)
        s++;
    return *s != '\0';
}

static status_t check(const struct remote_options *o, struct error *err)
{
    if (!o->endpoint || !o->region || !o->bucket || !o->prefix)
        return wrong(err, "endpoint, region, bucket or prefix is missing");
    if (!only(o->region, 1, 63, "-_"))
        return wrong(err, "the region is empty, too long or has other than letters, digits and -");
    if (!only(o->bucket, 1, 255, ".-_") || o->bucket[0] == '.')
        return wrong(err, "the bucket is no name of a bucket");
    if (o->addressing == REMOTE_VIRTUAL_HOST && !only(o->bucket, 3, 63, ".-"))
        return wrong(err, "the bucket cannot be a part of a host's name");
    if (strlen(o->prefix) > REMOTE_KEY_MAX / 2 || has_control(o->prefix))
        return wrong(err, "the prefix is too long or has control characters");
    if (o->part_bytes == 0 || o->part_bytes > UINT64_C(5) << 30)
        return wrong(err, "part_bytes is not in 1..5 GiB");
    if (o->parallel == 0 || o->parallel > REMOTE_PARALLEL_MAX)
        return wrong(err, "parallel is not in 1..64");
    if (o->connect_ms == 0 || o->stall_ms == 0 || o->tries_max == 0 || o->deadline_ms == 0)
        return wrong(err, "a time or the number of tries is 0");
    return ST_OK;
}

static char *copy(struct remote *r, const char *s)
{
    return s ? arena_strndup(&r->arena, s, strlen(s)) : NULL;
}

/* What curl says of a part of the endpoint's address, in the arena; NULL: it has none. */
static const char *part(struct remote *r, CURLU *u, CURLUPart which)
{
    char *text = NULL;
    const char *mine = NULL;
    if (curl_url_get(u, which, &text, 0) == CURLUE_OK)
        mine = copy(r, text);
    curl_free(text);
    return mine;
}

static status_t join(struct remote *r, const char **ret_text, const char *const parts[4])
{
    struct buf b = {0};
    for (int i = 0; i < 4; i++)
        buf_bytes(&b, parts[i], strlen(parts[i]));
    *ret_text = b.failed ? NULL : arena_strndup(&r->arena, (const char *)b.data, b.len);
    buf_done(&b);
    return *ret_text ? ST_OK : ST_NOMEM;
}

static status_t read_endpoint(struct remote *r, struct error *err)
{
    static const char form[] = "the endpoint is not http://HOST[:PORT] or https://HOST[:PORT]";
    CURLU *u = curl_url();
    if (!u)
        return ST_NOMEM;
    bool ok = curl_url_set(u, CURLUPART_URL, r->o.endpoint, 0) == CURLUE_OK;
    const char *scheme = ok ? part(r, u, CURLUPART_SCHEME) : NULL;
    const char *host = ok ? part(r, u, CURLUPART_HOST) : NULL;
    const char *port = ok ? part(r, u, CURLUPART_PORT) : NULL;
    const char *path = ok ? part(r, u, CURLUPART_PATH) : NULL;
    bool more = part(r, u, CURLUPART_USER) || part(r, u, CURLUPART_QUERY) ||
                part(r, u, CURLUPART_FRAGMENT) || (path && strcmp(path, "/") != 0);
    curl_url_cleanup(u);
    if (!scheme || !host || more || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return wrong(err, form);
    bool usual = port && strcmp(port, strcmp(scheme, "http") == 0 ? "80" : "443") == 0;
    bool with = port && !usual, in_host = r->o.addressing == REMOTE_VIRTUAL_HOST;
    const char *bucket = in_host ? r->o.bucket : "", *dot = in_host ? "." : "";
    const char *tail = host;
    status_t st = ST_OK;
    if (with)
        st = join(r, &tail, (const char *const[]){host, ":", port, ""});
    if (st == ST_OK)
        st = join(r, &r->host, (const char *const[]){bucket, dot, tail, ""});
    if (st == ST_OK)
        st = join(r, &r->origin, (const char *const[]){scheme, "://", r->host, ""});
    if (st == ST_OK)
        st = join(r, &r->base,
                  (const char *const[]){in_host ? "" : "/", in_host ? "" : r->o.bucket, "", ""});
    return st;
}

static status_t fill(struct remote *r, struct error *err)
{
    struct remote_options *o = &r->o;
    o->endpoint = copy(r, o->endpoint);
    o->region = copy(r, o->region);
    o->bucket = copy(r, o->bucket);
    o->prefix = copy(r, o->prefix);
    bool ok = o->endpoint && o->region && o->bucket && o->prefix;
    if (o->ca_file)
        ok = (o->ca_file = copy(r, o->ca_file)) && ok;
    if (o->proxy)
        ok = (o->proxy = copy(r, o->proxy)) && ok;
    if (o->credentials) {
        r->credentials = *o->credentials;
        r->signs = true;
        o->credentials = NULL;
    }
    status_t st = ok ? read_endpoint(r, err) : ST_NOMEM;
    return st == ST_NOMEM ? error_set(err, st, ERROR_NO_OFFSET, "no memory for a client") : st;
}

status_t remote_open(const struct remote_options *options, struct remote **ret_remote,
                     struct error *err)
{
    status_t st = check(options, err);
    if (st != ST_OK)
        return st;
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a client");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(r);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "libcurl cannot be set up");
    }
    pthread_mutex_init(&r->lock, NULL);
    r->o = *options;
    st = fill(r, err);
    if (st == ST_OK)
        *ret_remote = r;
    else
        remote_close(r);
    return st;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    while (r->idle) {
        struct session *s = r->idle;
        r->idle = s->next;
        session_free(s);
    }
    pthread_mutex_destroy(&r->lock);
    remote_credentials_done(&r->credentials);
    arena_done(&r->arena);
    curl_global_cleanup();
    free(r);
}
