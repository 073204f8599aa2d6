#include "net/metrics_http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

struct metrics_http {
    struct metrics_http_options o;
    struct http_server *server;
};

static const char openmetrics_type[] = "application/openmetrics-text";
static const char text_type[] = "text/plain";

enum { WHOLE = 1000 }; /* of a weight, which has at most three digits behind the point */

/* 0..WHOLE of "0.5"; what is no weight is none. */
static unsigned weight_of(const char *text, size_t len)
{
    if (len == 0 || len > 5 || (text[0] != '0' && text[0] != '1') || (len > 1 && text[1] != '.')) {
        return 0;
    }
    unsigned weight = text[0] == '1' ? WHOLE : 0, digit = WHOLE;
    for (size_t i = 2; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        weight += (unsigned)(text[i] - '0') * (digit /= 10);
    }
    return weight < WHOLE ? weight : WHOLE;
}

static const char blanks[] = " \t";

/* One of the list: its type is (text, *ret_len), its weight what is returned. */
static unsigned entry_weight(const char *text, size_t len, size_t *ret_len)
{
    unsigned weight = WHOLE;
    size_t at = 0;
    *ret_len = len;
    while (at < len && text[at] != ';') {
        at++;
    }
    for (*ret_len = at; *ret_len > 0 && strchr(blanks, text[*ret_len - 1]) != NULL;) {
        --*ret_len;
    }
    while (at < len) {
        size_t from = at + 1 + strspn(text + at + 1, blanks);
        size_t end = from < len ? from : len;
        while (end < len && text[end] != ';') {
            end++;
        }
        size_t stop = end;
        while (stop > from && strchr(blanks, text[stop - 1]) != NULL) {
            stop--;
        }
        if (stop >= from + 2 && (text[from] == 'q' || text[from] == 'Q') && text[from + 1] == '=') {
            weight = weight_of(text + from + 2, stop - from - 2);
        }
        at = end;
    }
    return weight;
}

static bool is_type(const char *text, size_t len, const char *type)
{
    return len == strlen(type) && strncasecmp(text, type, len) == 0;
}

enum metrics_format metrics_http_format(const char *accept)
{
    unsigned open = 0, text = 0;
    while (accept != NULL && *accept != '\0') {
        accept += strspn(accept, " \t,");
        size_t len = strcspn(accept, ","), type_len = 0;
        unsigned weight = entry_weight(accept, len, &type_len);
        if (is_type(accept, type_len, openmetrics_type)) {
            open = weight > open ? weight : open;
        } else if (is_type(accept, type_len, text_type)) {
            text = weight > text ? weight : text;
        }
        accept += len;
    }
    return open > 0 && open >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}

static bool is_path(const struct http_request *rq, const char *path)
{
    const char *target = http_target(rq);
    size_t len = strcspn(target, "?");
    return len == strlen(path) && strncmp(target, path, len) == 0;
}

static void reply(struct http_request *rq, unsigned code, const char *type, struct buf *body)
{
    http_reply_header(rq, "Content-Type", type);
    http_reply_header(rq, "Cache-Control", "no-store");
    if (strcmp(http_method(rq), "HEAD") == 0 && !body->failed) {
        http_reply_length(rq, code, body->len);
        buf_done(body);
    } else {
        http_reply(rq, code, body);
    }
}

static void reply_line(struct http_request *rq, unsigned code, const char *line)
{
    struct buf body = {0};
    buf_printf(&body, "%s\n", line);
    reply(rq, code, "text/plain; charset=utf-8", &body);
}

static void on_begin(void *ctx, struct http_request *rq)
{
    (void)ctx;
    const char *method = http_method(rq);
    if (!is_path(rq, "/metrics") && !is_path(rq, "/healthz")) {
        reply_line(rq, 404, "here are /metrics and /healthz");
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        http_reply_header(rq, "Allow", "GET, HEAD");
        reply_line(rq, 405, "this can be read only");
    } else {
        http_end_in_worker(rq); /* the one there is: it may wait for a disk */
    }
}

static void on_body(void *ctx, struct http_request *rq, const uint8_t *data, size_t len)
{
    (void)ctx, (void)rq, (void)data, (void)len;
}

static void on_end(void *ctx, struct http_request *rq)
{
    const struct metrics_http *s = ctx;
    struct error why = {.offset = ERROR_NO_OFFSET};
    if (is_path(rq, "/healthz")) {
        bool healthy = s->o.healthy(s->o.ctx, &why);
        reply_line(rq, healthy ? 200 : 503, healthy ? "ok" : why.text);
        return;
    }
    struct buf body = {0};
    enum metrics_format format = metrics_http_format(http_header(rq, "Accept"));
    metrics_render(s->o.metrics, format, &body);
    http_reply_header(rq, "Vary", "Accept");
    reply(rq, 200,
          format == METRICS_OPENMETRICS
              ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
              : "text/plain; version=0.0.4; charset=utf-8",
          &body);
}

static void on_done(void *ctx, struct http_request *rq)
{
    (void)ctx, (void)rq;
}

status_t metrics_http_start(const struct metrics_http_options *o, struct metrics_http **ret_server,
                            struct error *err)
{
    static const struct http_handler handler = {
        .begin = on_begin, .body = on_body, .end = on_end, .done = on_done};
    struct http_options http;
    struct metrics_http *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    s->o = *o;
    http_options_default(&http);
    http.address = o->address;
    http.event_threads = 1;
    http.workers = 1;
    http.connections_max = METRICS_HTTP_CONNECTIONS_MAX;
    http.idle_ms = METRICS_HTTP_IDLE_MS;
    http.handler = &handler;
    http.ctx = s;
    status_t st = http_server_start(&http, &s->server, err);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    *ret_server = s;
    return ST_OK;
}

void metrics_http_stop(struct metrics_http *s)
{
    if (s != NULL) {
        http_server_stop(s->server);
        free(s);
    }
}

unsigned metrics_http_port(const struct metrics_http *s)
{
    return http_server_port(s->server);
}
