/* The store through libcloudskin, and the disk alone:
 *     geds put BUCKET PREFIX BYTES CLIENTS SECONDS [shared]   new objects; shared: all over one connection
 *     geds fill BUCKET BYTES CLIENTS COUNT                    COUNT objects o/NNNNNNNN
 *     geds stat BUCKET COUNT CLIENTS SECONDS                  of any of those
 *     geds list BUCKET COUNT PAGE CLIENTS SECONDS             pages that begin at any of those
 *     geds read BUCKET KEY                                    a whole object into memory that is there, once
 *     geds fsync FILE BYTES SECONDS                           append and fdatasync, one after the other
 * Prints lines KEY N: ops, ns, and latencies. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cloudskin/geds.h"
#include "load.h"

struct setting {
    const char *bucket, *prefix;
    uint64_t bytes, count;
    unsigned page;
    bool shared;
    struct geds *store; /* where it is shared */
    uint8_t *data;
};

static void check(enum geds_code code, const struct geds_error *err)
{
    if (code != GEDS_OK) {
        fail("geds", err->text);
    }
}

static struct geds *connect_one(void)
{
    struct geds *store = NULL;
    struct geds_error err;
    check(geds_connect(NULL, &store, &err), &err);
    return store;
}

static void start(struct client *c)
{
    const struct setting *s = c->load->arg;
    c->own = s->shared ? s->store : connect_one();
}

static void put(struct client *c, const char *key)
{
    const struct setting *s = c->load->arg;
    struct geds_error err;
    check(geds_put(c->own, s->bucket, key, NULL, NULL, s->data, s->bytes, NULL, &err), &err);
}

static void op_put(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    char key[128];
    snprintf(key, sizeof key, "%s/%u/%llu", s->prefix, c->index, (unsigned long long)n);
    put(c, key);
}

static void key_of(char key[32], uint64_t n)
{
    snprintf(key, 32, "o/%08llu", (unsigned long long)n);
}

static void op_fill(struct client *c, uint64_t n)
{
    char key[32];
    key_of(key, n * c->load->clients + c->index);
    put(c, key);
}

static void op_stat(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    struct geds_info info;
    struct geds_error err;
    char key[32];
    (void)n;
    key_of(key, next_random(c) % s->count);
    check(geds_stat(c->own, s->bucket, key, &info, &err), &err);
}

static void op_list(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    struct geds_page *page = NULL;
    struct geds_error err;
    char key[32];
    (void)n;
    key_of(key, next_random(c) % (s->count > s->page + 1 ? s->count - s->page - 1 : 1));
    const struct geds_query query = {.prefix = "o/", .start_after = key, .max = s->page};
    check(geds_list(c->own, s->bucket, &query, &page, &err), &err);
    if (page->count != s->page) {
        fail("geds list", "a page is not full");
    }
    geds_page_free(page);
}

/* What no store can pass: each write is on the disk before the next one begins. */
static void append_and_sync(const char *path, uint64_t bytes, uint64_t seconds)
{
    uint8_t *data = calloc(1, bytes);
    uint64_t *took = NULL, count = 0, room = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || data == NULL) {
        fail(path, strerror(errno));
    }
    uint64_t begin = now_ns(), before = begin;
    while (before < begin + seconds * 1000000000u) {
        if (write(fd, data, bytes) != (ssize_t)bytes || fdatasync(fd) != 0) {
            fail(path, strerror(errno));
        }
        if (count == room) {
            room = room > 0 ? room * 2 : 4096;
            took = realloc(took, room * sizeof *took);
            if (took == NULL) {
                fail(path, "no memory");
            }
        }
        uint64_t after = now_ns();
        took[count++] = after - before;
        before = after;
    }
    printf("ops %llu\nns %llu\n", (unsigned long long)count, (unsigned long long)(before - begin));
    print_latencies(took, count);
    free(took);
    free(data);
    close(fd);
    unlink(path);
}

static void make_data(struct setting *s)
{
    s->data = malloc(s->bytes + 1);
    if (s->data == NULL) {
        fail("geds", "no memory");
    }
    for (uint64_t i = 0, x = 88172645463325252u; i < s->bytes; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        s->data[i] = (uint8_t)x;
    }
}

/* Open, read, close, over a connection that stands: one operation. */
static void read_whole(const char *bucket, const char *key)
{
    struct geds *store = connect_one();
    struct geds_object *o = NULL;
    struct geds_info info;
    struct geds_error err;
    size_t got = 0;
    check(geds_stat(store, bucket, key, &info, &err), &err);
    uint8_t *data = malloc(info.size + 1);
    if (data == NULL) {
        fail("geds", "no memory");
    }
    memset(data, 1, info.size + 1); /* its pages are there */
    uint64_t begin = now_ns();
    check(geds_open(store, bucket, key, &o, &err), &err);
    check(geds_pread(o, data, info.size, 0, &got, &err), &err);
    geds_close(o);
    printf("ops 1\nns %llu\nbytes %llu\n", (unsigned long long)(now_ns() - begin),
           (unsigned long long)got);
    free(data);
    geds_disconnect(store);
}

int main(int argc, char **argv)
{
    struct setting s = {0};
    struct load l = {.arg = &s, .start = start, .warm_up = 1};
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "fsync") == 0 && argc == 5) {
        append_and_sync(argv[2], number(argv[3], "BYTES"), number(argv[4], "SECONDS"));
        return 0;
    }
    if (strcmp(verb, "read") == 0 && argc == 4) {
        read_whole(argv[2], argv[3]);
        return 0;
    }
    s.bucket = argv[2];
    if (strcmp(verb, "put") == 0 && argc >= 7) {
        s.prefix = argv[3];
        s.bytes = number(argv[4], "BYTES");
        s.shared = argc > 7 && strcmp(argv[7], "shared") == 0;
        l.operation = op_put;
    } else if (strcmp(verb, "fill") == 0 && argc == 6) {
        s.bytes = number(argv[3], "BYTES");
        l.operation = op_fill;
        l.warm_up = 0;
    } else if (strcmp(verb, "stat") == 0 && argc == 6) {
        s.count = number(argv[3], "COUNT");
        l.operation = op_stat;
    } else if (strcmp(verb, "list") == 0 && argc == 7) {
        s.count = number(argv[3], "COUNT");
        s.page = (unsigned)number(argv[4], "PAGE");
        l.operation = op_list;
    } else {
        fail("geds", "wrong usage");
    }
    int at = strcmp(verb, "list") == 0 || strcmp(verb, "put") == 0 ? 5 : 4;
    l.clients = (unsigned)number(argv[at], "CLIENTS");
    uint64_t last = number(argv[at + 1], "SECONDS");
    l.for_ns = l.operation == op_fill ? 0 : last * 1000000000u;
    l.count = l.operation == op_fill ? (last + l.clients - 1) / l.clients : 0;
    s.store = s.shared ? connect_one() : NULL;
    make_data(&s);
    load_run(&l);
    return 0;
}
