/* A job that computes on objects of the store through libcloudskin, as one that analyses data does:
 *     job fill BUCKET PREFIX COUNT BYTES                  objects PREFIX/N, no two of the same bytes
 *     job run BUCKET INPUT COUNT OUTPUT WORKERS STEPS BYTES PASSES
 * Each of WORKERS threads does STEPS times: read one of the COUNT objects INPUT/N, compute PASSES times on each of its
 * bytes, write an object OUTPUT/WORKER/STEP of as many bytes. That is the same work each time.
 * Prints lines KEY N: ops (steps), ns, and latencies of a step. */

#include <string.h>

#include "cloudskin/geds.h"
#include "load.h"

enum { CHUNK_WORDS = 2048 }; /* is computed on in the first cache of a CPU */

struct setting {
    const char *bucket, *input, *output;
    uint64_t count, bytes, passes;
};

struct worker {
    struct geds *store;
    uint64_t *words;
};

static void check(enum geds_code code, const struct geds_error *err)
{
    if (code != GEDS_OK) {
        fail("geds", err->text);
    }
}

static struct worker *new_worker(uint64_t bytes)
{
    struct worker *w = calloc(1, sizeof *w);
    struct geds_error err;
    if (w == NULL || (w->words = calloc(bytes / sizeof *w->words + CHUNK_WORDS, sizeof *w->words)) == NULL) {
        fail("job", "no memory");
    }
    check(geds_connect(NULL, &w->store, &err), &err);
    return w;
}

static void start(struct client *c)
{
    const struct setting *s = c->load->arg;
    c->own = new_worker(s->bytes);
}

static void read_input(const struct worker *w, const struct setting *s, uint64_t n)
{
    struct geds_object *o = NULL;
    struct geds_error err;
    char key[128];
    size_t len = 0;
    snprintf(key, sizeof key, "%s/%llu", s->input, (unsigned long long)(n % s->count));
    check(geds_open(w->store, s->bucket, key, &o, &err), &err);
    check(geds_pread(o, w->words, s->bytes, 0, &len, &err), &err);
    geds_close(o);
    if (len != s->bytes) {
        fail(key, "has not as many bytes as the output is to have");
    }
}

static void compute(uint64_t *words, uint64_t count, uint64_t passes)
{
    for (uint64_t at = 0; at < count; at += CHUNK_WORDS) {
        uint64_t *chunk = words + at, carry = at;
        for (uint64_t pass = 0; pass < passes; pass++) {
            for (unsigned i = 0; i < CHUNK_WORDS; i++) {
                carry = (carry ^ chunk[i]) * 0x9e3779b97f4a7c15u;
                chunk[i] += carry >> 29;
            }
        }
    }
}

static void step(struct client *c, uint64_t n)
{
    const struct setting *s = c->load->arg;
    struct worker *w = c->own;
    struct geds_error err;
    char key[128];
    read_input(w, s, n * c->load->clients + c->index);
    compute(w->words, s->bytes / sizeof *w->words, s->passes);
    snprintf(key, sizeof key, "%s/%u/%llu", s->output, c->index, (unsigned long long)n);
    check(geds_put(w->store, s->bucket, key, NULL, NULL, w->words, s->bytes, NULL, &err), &err);
}

static void fill(const struct setting *s)
{
    struct worker *w = new_worker(s->bytes);
    struct geds_error err;
    uint64_t x = 88172645463325252u;
    for (uint64_t n = 0; n < s->count; n++) {
        char key[128];
        for (uint64_t i = 0; i < s->bytes / sizeof *w->words; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            w->words[i] = x;
        }
        snprintf(key, sizeof key, "%s/%llu", s->input, (unsigned long long)n);
        check(geds_put(w->store, s->bucket, key, NULL, NULL, w->words, s->bytes, NULL, &err), &err);
    }
}

int main(int argc, char **argv)
{
    struct setting s = {0};
    struct load l = {.arg = &s, .start = start, .operation = step};
    const char *verb = argc > 1 ? argv[1] : "";
    if ((strcmp(verb, "fill") != 0 || argc != 6) && (strcmp(verb, "run") != 0 || argc != 10)) {
        fail("job", "wrong usage");
    }
    s.bucket = argv[2];
    s.input = argv[3];
    s.count = number(argv[4], "COUNT");
    s.bytes = number(argv[argc == 6 ? 5 : 8], "BYTES");
    if (argc == 6) {
        fill(&s);
        return 0;
    }
    s.output = argv[5];
    l.clients = (unsigned)number(argv[6], "WORKERS");
    l.count = number(argv[7], "STEPS");
    s.passes = number(argv[9], "PASSES");
    load_run(&l);
    return 0;
}
