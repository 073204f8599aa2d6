#include "line.h"

#include <string.h>

#include "net/rpc/tcp.h"
#include "sys/clock.h"

enum { CONNECT_MS = 2000, NS_PER_MS = 1000000 };

status_t line_servers(const char *endpoints, bool tls, struct line_options *o, struct error *err)
{
    o->server_count = 0;
    for (const char *at = endpoints; at != NULL;) {
        char host[RPC_HOST_MAX + 1], text[RPC_HOST_MAX + 16];
        const char *comma = strchr(at, ',');
        size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        uint16_t port = 0;
        if (len >= sizeof text || o->server_count == LINE_SERVERS_MAX) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "at most %d servers of etcd, of %d characters each", LINE_SERVERS_MAX,
                             (int)sizeof text - 1);
        }
        memcpy(text, at, len);
        text[len] = '\0';
        status_t st = rpc_tcp_split(text, host, &port, err);
        if (st != ST_OK || port == 0 ||
            strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_[]") != len) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "servers of etcd are HOST:PORT[,HOST:PORT...], not \"%.100s\"",
                             endpoints);
        }
        snprintf(o->servers[o->server_count++], LINE_SERVER_BYTES, "%s://%s",
                 tls ? "https" : "http", text);
        at = comma != NULL ? comma + 1 : NULL;
    }
    return ST_OK;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
    struct line *l = arg;
    (void)one;
    if (l->answer.len + len > ETCD_ANSWER_MAX) {
        return 0;
    }
    buf_bytes(&l->answer, data, len);
    return l->answer.failed ? 0 : len;
}

/* There is a connection, and the request goes out next. curl comes here again when one that it had kept ends before an
 * answer: it sends the request another time then, and what it says at last is of that one only. */
static int on_request(void *arg, char *ip, char *own_ip, int port, int own_port)
{
    struct line *l = arg;
    (void)ip, (void)own_ip, (void)port, (void)own_port;
    l->sent++;
    return CURL_PREREQFUNC_OK;
}

/* Is it that one side's certificate, or a file with one, is not what it should be? */
static bool is_of_certificate(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
           code == CURLE_SSL_CACERT_BADFILE;
}

/* A certificate that was never right is a mistake that waiting does not mend: ST_PERM. */
static status_t failed(struct line *l, CURLcode code, struct error *err)
{
    bool certificate = is_of_certificate(code) && l->sent == 0;
    bool ended = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
    bool maybe = ended && !l->answered && strncmp(l->o->servers[l->server], "https", 5) == 0;
    l->refused += certificate ? 1 : 0;
    return error_set(
        err, certificate && !l->answered && l->refused >= l->o->server_count ? ST_PERM : ST_AGAIN,
        ERROR_NO_OFFSET, "etcd at %.120s: %.100s%s", l->o->servers[l->server],
        l->why[0] != '\0' ? l->why : curl_easy_strerror(code),
        certificate ? " (--etcd-ca FILE: whom to believe; --etcd-cert, --etcd-key)"
        : maybe     ? "; it may want another certificate (--etcd-cert, --etcd-key)"
                    : "");
}

static void set_options(struct line *l)
{
    CURL *e = l->easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "cloudskin/" CLOUDSKIN_VERSION);
    if (l->o->ca_file != NULL) {
        curl_easy_setopt(e, CURLOPT_CAINFO, l->o->ca_file);
    }
    if (l->o->cert != NULL) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, l->o->cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, l->o->key);
    }
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, l->headers);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, l->why);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, l);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, l);
}

status_t line_open(const struct line_options *o, struct line *ret_line, struct error *err)
{
    struct line *l = ret_line;
    *l = (struct line){.o = o, .multi = curl_multi_init(), .easy = curl_easy_init()};
    l->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = l->headers != NULL ? curl_slist_append(l->headers, "Expect:") : NULL;
    if (l->multi == NULL || l->easy == NULL || more == NULL) {
        line_close(l);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a connection to etcd");
    }
    return ST_OK;
}

void line_close(struct line *l)
{
    curl_easy_cleanup(l->easy);
    if (l->multi != NULL) {
        curl_multi_cleanup(l->multi);
    }
    curl_slist_free_all(l->headers);
    buf_done(&l->answer);
    *l = (struct line){0};
}

void line_stop(struct line *l)
{
    atomic_store(&l->stop, true);
    if (l->multi != NULL) {
        curl_multi_wakeup(l->multi);
    }
}

/* Run it until its end, or until enough of the answer is there. *ret_cut: the latter. */
static CURLcode run(struct line *l, unsigned ms, bool *ret_cut)
{
    uint64_t begin = clock_monotonic_ns(), wait_ns = (uint64_t)ms * NS_PER_MS;
    uint64_t end = begin + wait_ns;
    size_t seen = 0;
    int running = 1, left = 0;
    *ret_cut = false;
    while (running > 0) {
        if (curl_multi_perform(l->multi, &running) != CURLM_OK) {
            return CURLE_OUT_OF_MEMORY;
        }
        uint64_t now = clock_monotonic_ns();
        if (l->patience > 0 && l->answer.len > seen) {
            uint64_t last = begin + wait_ns * l->patience;
            seen = l->answer.len;
            end = now + wait_ns < last ? now + wait_ns : last;
        }
        *ret_cut = running > 0 && l->enough != NULL && (l->enough(&l->answer) || now >= end);
        if (*ret_cut || atomic_load(&l->stop)) {
            return CURLE_ABORTED_BY_CALLBACK;
        }
        if (running > 0 && now >= end) {
            snprintf(l->why, sizeof l->why, "no answer within %u ms", ms);
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (running > 0) {
            curl_multi_poll(l->multi, NULL, 0, (int)((end - now) / NS_PER_MS + 1), NULL);
        }
    }
    CURLMsg *m = curl_multi_info_read(l->multi, &left);
    return m != NULL && m->msg == CURLMSG_DONE ? m->data.result : CURLE_RECV_ERROR;
}

static void count(struct line *l, uint64_t from_ns, bool good)
{
    if (atomic_load(&l->stop)) {
        return;
    }
    atomic_fetch_add(&l->errors, good ? 0 : 1);
    if (l->enough == NULL) {
        atomic_fetch_add(&l->requests, 1);
        atomic_fetch_add(&l->ns, clock_monotonic_ns() - from_ns);
    }
}

status_t line_post(struct line *l, const char *path, const struct buf *body, unsigned ms,
                   bool (*enough)(const struct buf *answer), struct error *err)
{
    char url[LINE_SERVER_BYTES + 64];
    long http_status = 0;
    bool cut = false;
    l->sent = 0;
    if (body->failed) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request to etcd");
    }
    if (atomic_load(&l->stop)) {
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
    }
    snprintf(url, sizeof url, "%s%s", l->o->servers[l->server], path);
    l->answer.len = 0;
    l->enough = enough;
    l->why[0] = '\0';
    curl_easy_reset(l->easy);
    set_options(l);
    curl_easy_setopt(l->easy, CURLOPT_URL, url);
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, (const char *)body->data);
    if (curl_multi_add_handle(l->multi, l->easy) != CURLM_OK) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request to etcd");
    }
    uint64_t from = clock_monotonic_ns();
    CURLcode code = run(l, ms, &cut);
    curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &http_status);
    curl_multi_remove_handle(l->multi, l->easy);
    count(l, from, cut || (code == CURLE_OK && http_status == 200));
    if (atomic_load(&l->stop)) {
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
    }
    if (cut) {
        return ST_OK;
    }
    l->answered = l->answered || code == CURLE_OK;
    if (code == CURLE_OK && http_status == 200) {
        return ST_OK;
    }
    status_t st = ST_AGAIN;
    if (code == CURLE_OK) {
        st = etcd_error_decode((unsigned)http_status, l->answer.data, l->answer.len, err);
    } else {
        st = failed(l, code, err);
    }
    if (st == ST_AGAIN) { /* the next time another one */
        l->server = (l->server + 1) % l->o->server_count;
    }
    return st;
}

status_t line_alone(struct line *l, const struct etcd_op *op, unsigned ms, struct arena *arena,
                    struct etcd_range *ret_range, struct error *err)
{
    struct buf body = {0};
    const char *path = op->kind == ETCD_RANGE ? "/v3/kv/range" : "/v3/kv/deleterange";
    etcd_op_encode(op, &body);
    status_t st = line_post(l, path, &body, ms, NULL, err);
    buf_done(&body);
    if (st != ST_OK) {
        return st;
    }
    st = etcd_range_decode(l->answer.data, l->answer.len, arena, ret_range, err);
    if (st == ST_FORMAT) {
        l->server = (l->server + 1) % l->o->server_count;
        st = ST_AGAIN;
    }
    return st;
}

status_t line_txn(struct line *l, const struct etcd_txn *t, unsigned ms, struct arena *arena,
                  struct etcd_answer *ret_answer, struct error *err)
{
    struct buf body = {0};
    etcd_txn_encode(t, &body);
    status_t st = line_post(l, "/v3/kv/txn", &body, ms, NULL, err);
    buf_done(&body);
    if (st != ST_OK) {
        return st;
    }
    st = etcd_txn_decode(l->answer.data, l->answer.len, arena, ret_answer, err);
    if (st == ST_FORMAT) { /* cut short, or no etcd: what it did is not known */
        l->server = (l->server + 1) % l->o->server_count;
        st = ST_AGAIN;
    }
    return st;
}
