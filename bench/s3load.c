/* Load on an S3 server, the same for each of them:
 *     s3load HOST:PORT BUCKET make                                the bucket
 *     s3load HOST:PORT BUCKET fill BYTES CLIENTS OBJECTS          objects o/NNNNNNNN
 *     s3load HOST:PORT BUCKET put BYTES CLIENTS OBJECTS SECONDS   replace them one after the other
 *     s3load HOST:PORT BUCKET get BYTES CLIENTS OBJECTS SECONDS   any of them, whole
 *     s3load HOST:PORT BUCKET list PAGE CLIENTS OBJECTS SECONDS   pages of keys that begin at any of them
 * The key is that of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Each client is a thread with a connection that is kept.
 * All requests are signed, those with a body with its SHA-256, as clients do over plain HTTP; it is computed once, since all
 * objects have the same bytes. Prints lines KEY N: ops, ns, and latencies. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "net/http_date.h"
#include "net/sigv4.h"

enum { HEAD_MAX = 16 * 1024, ROOM = 1 << 20 };

struct setting {
    const char *host;
    char bucket[64];
    struct sockaddr_in address;
    struct sigv4_identity who;
    uint64_t bytes, objects;
    uint8_t *data;
    char hash[SHA256_HEX_BYTES], empty_hash[SHA256_HEX_BYTES];
};

struct connection {
    int fd;
    uint8_t *room;
    size_t at, end;
    struct buf line, signature;
};

static void dial(struct client *c)
{
    const struct setting *s = c->load->arg;
    struct connection *o = c->own;
    int on = 1;
    o->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (o->fd < 0 || connect(o->fd, (const struct sockaddr *)&s->address, sizeof s->address) != 0) {
        fail(s->host, strerror(errno));
    }
    setsockopt(o->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    o->at = o->end = 0;
}

static void start(struct client *c)
{
    struct connection *o = calloc(1, sizeof *o);
    if (o == NULL || (o->room = malloc(ROOM)) == NULL) {
        fail("s3load", "no memory");
    }
    c->own = o;
    dial(c);
}

static void send_all(struct connection *o, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    while (len > 0) {
        ssize_t n = send(o->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            fail("s3load: send", strerror(errno));
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

/* More bytes behind those that are there. */
static void receive(struct connection *o)
{
    ssize_t n;
    if (o->at == o->end) {
        o->at = o->end = 0;
    }
    do {
        n = recv(o->fd, o->room + o->end, ROOM - o->end, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        fail("s3load: receive", n < 0 ? strerror(errno) : "the server has closed the connection");
    }
    o->end += (size_t)n;
}

/* A line without its end; valid until the next call. */
static char *read_line(struct connection *o)
{
    for (;;) {
        uint8_t *found = memchr(o->room + o->at, '\n', o->end - o->at);
        if (found != NULL) {
            char *line = (char *)o->room + o->at;
            o->at = (size_t)(found - o->room) + 1;
            *found = '\0';
            if (found > (uint8_t *)line && found[-1] == '\r') {
                found[-1] = '\0';
            }
            return line;
        }
        if (o->at > 0) {
            memmove(o->room, o->room + o->at, o->end - o->at);
            o->end -= o->at;
            o->at = 0;
        }
        if (o->end > HEAD_MAX) {
            fail("s3load", "a line without end");
        }
        receive(o);
    }
}

static void skip(struct connection *o, uint64_t bytes)
{
    while (bytes > 0) {
        if (o->at == o->end) {
            receive(o);
        }
        uint64_t n = o->end - o->at < bytes ? o->end - o->at : bytes;
        o->at += n;
        bytes -= n;
    }
}

static uint64_t skip_chunks(struct connection *o)
{
    uint64_t total = 0, bytes = 0;
    do {
        char *line = read_line(o);
        line[strcspn(line, ";")] = '\0';
        if (parse_hex(line, UINT32_MAX, &bytes) != ST_OK) {
            fail("s3load", "a chunk without its length");
        }
        skip(o, bytes);
        total += bytes;
        while (*read_line(o) != '\0' && bytes == 0) {
        }
    } while (bytes > 0);
    return total;
}

/* Returns the bytes of the body; the status must be a good one. */
static uint64_t read_answer(struct connection *o)
{
    char status[128];
    uint64_t length = 0;
    bool chunks = false;
    snprintf(status, sizeof status, "%s", read_line(o));
    for (char *line; *(line = read_line(o)) != '\0';) {
        if (strncasecmp(line, "content-length:", 15) == 0) {
            length = number(line + 15 + strspn(line + 15, " "), "content-length");
        } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
            chunks = true;
        }
    }
    if (strncmp(status, "HTTP/1.1 2", 10) != 0) {
        if (o->end == o->at) {
            receive(o);
        }
        fprintf(stderr, "s3load: %s: %.*s\n", status, (int)(o->end - o->at), o->room + o->at);
        exit(1);
    }
    if (chunks) {
        return skip_chunks(o);
    }
    skip(o, length);
    return length;
}

static uint64_t request(struct client *c, const char *method, const char *key, const struct query *query, bool body)
{
    const struct setting *s = c->load->arg;
    struct connection *o = c->own;
    char path[160], date[AMZ_DATE_BYTES], target[512];
    const char *hash = body ? s->hash : s->empty_hash;
    snprintf(path, sizeof path, "/%s%s%s", s->bucket, key != NULL ? "/" : "", key != NULL ? key : "");
    amz_date_format((uint64_t)time(NULL), date);
    const struct http_header headers[] = {
        {"host", s->host}, {"x-amz-date", date}, {"x-amz-content-sha256", hash}};
    const struct sigv4_request rq = {method, path, query, headers, 3, NULL};
    o->signature.len = 0;
    if (sigv4_sign(&rq, &s->who, hash, &o->signature) != ST_OK || o->signature.failed) {
        fail("s3load", "no signature");
    }
    size_t n = (size_t)snprintf(target, sizeof target, "%s", path);
    for (size_t i = 0; i < query->count; i++) {
        n += (size_t)snprintf(target + n, sizeof target - n, "%c%s=%s", i == 0 ? '?' : '&', query->pairs[i].name,
                              query->pairs[i].value);
    }
    o->line.len = 0;
    buf_printf(&o->line,
               "%s %s HTTP/1.1\r\nHost: %s\r\nx-amz-date: %s\r\nx-amz-content-sha256: %s\r\nAuthorization: %.*s\r\n"
               "Content-Length: %llu\r\n\r\n",
               method, target, s->host, date, hash, (int)o->signature.len, (const char *)o->signature.data,
               (unsigned long long)(body ? s->bytes : 0));
    if (o->line.failed) {
        fail("s3load", "no memory");
    }
    if (body && s->bytes <= 64 * 1024) { /* one packet where it can be one */
        buf_bytes(&o->line, s->data, s->bytes);
        body = false;
    }
    send_all(o, o->line.data, o->line.len);
    if (body) {
        send_all(o, s->data, s->bytes);
    }
    return read_answer(o);
}

static const struct query no_query;

static void key_of(char key[32], uint64_t n)
{
    snprintf(key, 32, "o/%08llu", (unsigned long long)n);
}

static void op_put(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    char key[32];
    key_of(key, (n * c->load->clients + c->index) % s->objects);
    request(c, "PUT", key, &no_query, true);
}

static void op_get(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    char key[32];
    (void)n;
    key_of(key, next_random(c) % s->objects);
    if (request(c, "GET", key, &no_query, false) != s->bytes) {
        fail("s3load get", "an object of another size");
    }
}

static void op_list(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    static char list_type[] = "list-type", two[] = "2", max_keys[] = "max-keys", start_after[] = "start-after";
    char page[16], key[32];
    (void)n;
    snprintf(page, sizeof page, "%llu", (unsigned long long)s->bytes);
    key_of(key, next_random(c) % (s->objects > s->bytes ? s->objects - s->bytes : 1));
    struct query q = {.pairs = {{list_type, two}, {max_keys, page}, {start_after, key}}, .count = 3};
    if (request(c, "GET", NULL, &q, false) < s->bytes * 50) {
        fail("s3load list", "a page is not full");
    }
}

static void op_make(struct client *c, uint64_t n)
{
    (void)n;
    request(c, "PUT", NULL, &no_query, false);
}

static void set_up(struct setting *s, char *host, const char *bucket)
{
    const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    char ip[64];
    const char *colon = strrchr(host, ':');
    if (access == NULL || secret == NULL || colon == NULL) {
        fail("s3load", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and HOST:PORT are needed");
    }
    snprintf(ip, sizeof ip, "%.*s", (int)(colon - host), host);
    s->host = host;
    snprintf(s->bucket, sizeof s->bucket, "%s", bucket);
    s->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number(colon + 1, "PORT"))};
    if (inet_pton(AF_INET, ip, &s->address.sin_addr) != 1) {
        fail(host, "not an address");
    }
    s->who = (struct sigv4_identity){access, secret, "us-east-1", "s3"};
}

static void make_data(struct setting *s)
{
    uint8_t digest[SHA256_BYTES];
    s->data = malloc(s->bytes + 1);
    if (s->data == NULL) {
        fail("s3load", "no memory");
    }
    for (uint64_t i = 0, x = 88172645463325252u; i < s->bytes; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        s->data[i] = (uint8_t)x; /* nothing can make it smaller */
    }
    sha256_bytes(s->data, s->bytes, digest);
    sha256_hex(digest, s->hash);
    sha256_bytes("", 0, digest);
    sha256_hex(digest, s->empty_hash);
}

int main(int argc, char **argv)
{
    static struct setting s;
    struct load l = {.arg = &s, .start = start, .clients = 1, .count = 1};
    const char *verb = argc > 3 ? argv[3] : "";
    if (strcmp(verb, "make") != 0 && argc < 7) {
        fail("s3load", "wrong usage");
    }
    set_up(&s, argv[1], argv[2]);
    if (argc >= 7) {
        s.bytes = number(argv[4], "BYTES");
        l.clients = (unsigned)number(argv[5], "CLIENTS");
        s.objects = number(argv[6], "OBJECTS");
        l.count = (s.objects + l.clients - 1) / l.clients;
    }
    if (argc == 8) {
        l.for_ns = number(argv[7], "SECONDS") * 1000000000u;
        l.warm_up = s.bytes <= 1 << 20 ? 1 : 0;
    }
    l.operation = strcmp(verb, "make") == 0                              ? op_make
                  : strcmp(verb, "put") == 0 || strcmp(verb, "fill") == 0 ? op_put
                  : strcmp(verb, "get") == 0                             ? op_get
                  : strcmp(verb, "list") == 0                            ? op_list
                                                                         : NULL;
    if (l.operation == NULL) {
        fail("s3load", "wrong usage");
    }
    make_data(&s);
    load_run(&l);
    return 0;
}
