#include <string.h>
#include <sys/socket.h>

#include "impl.h"
#include "sys/clock.h"

/* One try of a request: what curl calls for it. */

static void heard(struct transfer *t)
{
    t->heard = true;
    t->heard_ns = clock_monotonic_ns();
}

static void progress(struct transfer *t, uint64_t more, uint64_t less)
{
    struct call *c = t->call;
    c->bytes += more - less;
    if (more != less && c->how.progress)
        c->how.progress(c->how.arg, c->bytes);
}

static bool is_good(const struct transfer *t)
{
    return t->head.status >= 200 && t->head.status < 300;
}

static status_t refuse(struct transfer *t, const char *what)
{
    return error_set(&t->own, ST_FORMAT, ERROR_NO_OFFSET, "%s", what);
}

/* The header is complete: does it give the range that was asked for, of the same object? */
static status_t check_range(struct transfer *t)
{
    const struct answer_head *h = &t->head;
    uint64_t first = t->want_off + t->got;
    if (!t->ranged && t->got == 0) {
        if (h->status != 200)
            return refuse(t, "the answer is a part, but the whole was asked for");
        if (h->length != UINT64_MAX)
            t->want_len = h->length;
        return ST_OK;
    }
    if (h->status != 206 || !h->has_range || h->range_first != first)
        return refuse(t, "the answer is not the range that was asked for");
    uint64_t end = t->want_off + t->want_len;
    if (end > h->range_total)
        end = h->range_total;
    if (h->range_last + 1 != end)
        return refuse(t, "the answer is not the range that was asked for");
    t->want_len = end - t->want_off;
    return ST_OK;
}

/* true: go on. */
static bool head_is_complete(struct transfer *t)
{
    if (t->head.status < 200)
        return true;
    t->headed = true;
    if (!t->sink || !is_good(t))
        return true;
    t->own_st = check_range(t);
    if (t->own_st == ST_OK && t->if_match && strcmp(t->if_match, "*") != 0 &&
        strcmp(t->head.etag, t->if_match) != 0)
        t->own_st = error_set(&t->own, ST_CHANGED, ERROR_NO_OFFSET,
                              "the object is another than before");
    t->to_sink = true;
    return t->own_st == ST_OK;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;
    const char *name, *value;
    heard(t);
    t->header_bytes += len;
    if (t->header_bytes > HEADER_BYTES_MAX) {
        t->own_st = error_set(&t->own, ST_LIMIT, ERROR_NO_OFFSET,
                              "the answer's header is longer than %d bytes", HEADER_BYTES_MAX);
        return 0;
    }
    if (t->headed) /* trailing ones */
        return len;
    if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
        return head_is_complete(t) ? len : 0;
    if (answer_line(&t->head, data, len, t->line, &name, &value) && t->header && is_good(t))
        t->header(t->header_arg, name, value);
    return len;
}

static size_t give_to_sink(struct transfer *t, const char *data, size_t len)
{
    if (!t->ranged && t->got == 0 && t->head.length == UINT64_MAX)
        t->want_len = UINT64_MAX; /* its end shows where it is */
    if (len > t->want_len - t->got) {
        t->own_st = refuse(t, "there are more bytes than the header says");
        return 0;
    }
    t->own_st = t->sink->write(t->sink->arg, t->sink_off + t->got, data, len, &t->own);
    if (t->own_st != ST_OK)
        return 0;
    t->crc32c = hash_crc32c(t->crc32c, data, len);
    if (t->with_md5)
        md5_update(&t->md5, data, len);
    t->got += len;
    progress(t, len, 0);
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;
    heard(t);
    if (len == 0)
        return 0;
    if (t->to_sink)
        return give_to_sink(t, data, len);
    size_t max = is_good(t) ? t->body_max : ERROR_BODY_MAX;
    if (len > max - t->body.len) {
        if (is_good(t))
            t->own_st = error_set(&t->own, ST_LIMIT, ERROR_NO_OFFSET,
                                  "the answer is longer than %zu bytes", max);
        return 0; /* of an error, the status tells enough */
    }
    buf_bytes(&t->body, data, len);
    if (t->body.failed) {
        t->own_st = error_set(&t->own, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an answer");
        return 0;
    }
    return len;
}

static size_t on_read(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;
    heard(t);
    if (len > t->source_len - t->sent)
        len = (size_t)(t->source_len - t->sent);
    if (len == 0)
        return 0;
    t->own_st = t->source->read(t->source->arg, t->source_off + t->sent, data, len, &t->own);
    if (t->own_st != ST_OK)
        return CURL_READFUNC_ABORT;
    t->sent += len;
    progress(t, len, 0);
    return len;
}

/* There is a connection, and the request goes out. When a connection that was kept turns out to be
 * closed, curl sends it again on another; nobody knows then whether the server took the first. */
static int on_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct transfer *t = arg;
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    heard(t);
    if (++t->sends > 1)
        t->unknown = true;
    return CURL_PREREQFUNC_OK;
}

/* The body from another place on: for the request that is sent again. */
static int on_seek(void *arg, curl_off_t off, int origin)
{
    struct transfer *t = arg;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > t->source_len)
        return CURL_SEEKFUNC_FAIL;
    progress(t, (uint64_t)off, t->sent);
    t->sent = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

static status_t hash_source(struct transfer *t, struct error *err)
{
    struct call *c = t->call;
    struct sha256 sha;
    struct md5 md5;
    uint8_t digest[SHA256_BYTES];
    uint8_t *piece = session_piece(c->s);
    bool with_md5 = t->send_md5 || c->r->o.check_tags;
    if (!piece)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    sha256_init(&sha);
    md5_init(&md5);
    t->sent_crc32c = 0;
    for (uint64_t done = 0; done < t->source_len;) {
        uint64_t left = t->source_len - done;
        size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        if (call_cancelled(c))
            return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "cancelled");
        status_t st = t->source->read(t->source->arg, t->source_off + done, piece, n, err);
        if (st != ST_OK)
            return st;
        if (c->r->signs)
            sha256_update(&sha, piece, n);
        if (with_md5)
            md5_update(&md5, piece, n);
        t->sent_crc32c = hash_crc32c(t->sent_crc32c, piece, n);
        done += n;
    }
    sha256_final(&sha, digest);
    sha256_hex(digest, t->payload);
    md5_final(&md5, t->sent_md5);
    t->hashed = true;
    return ST_OK;
}

/* A program that is started meanwhile does not get it. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)arg, (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static void set_limits(CURL *e, const struct remote_options *o)
{
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, o->proxy ? o->proxy : "");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (o->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, o->ca_file);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)PIECE_BYTES);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)PIECE_BYTES);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "cloudskin/" CLOUDSKIN_VERSION);
}

static void set_method(CURL *e, const struct transfer *t)
{
    if (strcmp(t->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    } else if (t->source || strcmp(t->method, "PUT") == 0 || strcmp(t->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->source_len);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, t->method);
    } else {
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, t->method);
    }
}

status_t transfer_prepare(struct transfer *t, struct call *c, struct error *err)
{
    t->call = c;
    if (t->source && !t->hashed) {
        status_t st = hash_source(t, err);
        if (st != ST_OK)
            return st;
    }
    if (!t->easy)
        t->easy = curl_easy_init();
    if (!t->line)
        t->line = malloc(HEADER_BYTES_MAX + 1);
    if (!t->easy || !t->line)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    status_t st = request_build(t, c->r, clock_realtime_ns() / NS_PER_S, err);
    if (st != ST_OK)
        return st;
    progress(t, 0, t->sent);
    memset(&t->head, 0, sizeof t->head);
    memset(&t->error, 0, sizeof t->error);
    t->body.len = 0;
    t->header_bytes = 0;
    t->headed = t->to_sink = t->heard = false;
    t->sent = 0;
    t->sends = 0;
    t->own_st = ST_OK;
    t->curl_text[0] = '\0';
    t->heard_ns = clock_monotonic_ns();
    if (t->got == 0) {
        t->crc32c = 0;
        md5_init(&t->md5);
    }
    CURL *e = t->easy;
    curl_easy_reset(e);
    set_limits(e, &c->r->o);
    set_method(e, t);
    curl_easy_setopt(e, CURLOPT_URL, (const char *)t->url.data);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->lines);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->curl_text);
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, t);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
    return ST_OK;
}

void transfer_done(struct transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->lines);
    free(t->line);
    buf_done(&t->body);
    buf_done(&t->url);
}
