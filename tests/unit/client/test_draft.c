#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/parse.h"
#include "served.h"

/* Objects that are written at any place, through a connection. */

enum { BYTES_MAX = 5 << 20, WRITE_MAX = 2500000 };

static struct served s;
static struct geds *g;
static uint8_t model[BYTES_MAX], sealed[BYTES_MAX], got[BYTES_MAX], *source;
static size_t model_size, sealed_size;
static uint64_t random_state;

static size_t pick(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % below;
}

static void start(void)
{
    served_names(&s);
    served_open(&s, serve_handler());
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "box", &err));
}

static void stop(void)
{
    geds_disconnect(g);
    served_close(&s);
    served_remove(&s);
}

static void model_resize(size_t size)
{
    if (size > model_size) {
        memset(model + model_size, 0, size - model_size);
    }
    model_size = size;
}

static size_t pick_len(size_t most)
{
    size_t scale = pick(4);
    return pick(scale == 0 ? 10 : scale == 1 ? 3000 : scale == 2 && most > 200000 ? 200000 : most);
}

static void write_somewhere(struct geds_writer *w, size_t most)
{
    size_t at = pick(2) == 0 ? model_size : pick_len(most), len = pick_len(most);
    at = at < most ? at : 0;
    len = len < most - at ? len : most - at;
    if (at == model_size && pick(2) == 0) {
        OK(geds_write(w, source + at, len, &err));
    } else {
        OK(geds_pwrite(w, source + (at + 1), len, at, &err));
        memcpy(got, source + (at + 1), len);
        if (len > 0 && at + len > model_size) {
            model_resize(at + len);
        }
        memcpy(model + at, got, len);
        return;
    }
    memcpy(model + at, source + at, len);
    model_size += len;
}

static void change(struct geds_writer *w, size_t calls, size_t most)
{
    for (size_t i = 0; i < calls; i++) {
        size_t what = pick(12);
        if (what == 0) {
            size_t size = pick_len(most);
            OK(geds_truncate(w, size, &err));
            model_resize(size);
        } else if (what <= 2) {
            size_t at = pick_len(most), len = pick_len(most), n = 0;
            size_t left = at < model_size ? model_size - at : 0;
            OK(geds_writer_pread(w, got, len, at, &n, &err));
            CHECK_EQ(n, len < left ? len : left);
            CHECK(memcmp(got, model + at, n) == 0);
        } else {
            write_somewhere(w, most);
        }
        CHECK_EQ(geds_writer_size(w), model_size);
    }
}

static void check_sealed(void)
{
    struct geds_object *o = NULL;
    size_t n = 0;
    OK(geds_open(g, "box", "k", &o, &err));
    CHECK_EQ(geds_object_info(o)->size, sealed_size);
    OK(geds_pread(o, got, BYTES_MAX, 0, &n, &err));
    CHECK(n == sealed_size && memcmp(got, sealed, n) == 0);
    geds_close(o);
}

static void random_calls_do_what_memory_does(void)
{
    start();
    OK(geds_put(g, "box", "k", NULL, NULL, "", 0, NULL, &err));
    sealed_size = 0;
    for (int i = 0; i < 150 && check_failures == 0; i++) {
        struct geds_writer *w = NULL;
        struct geds_info info = {0};
        size_t most = pick(2) == 0 ? 100000 : WRITE_MAX;
        if (pick(2) == 0) {
            OK(geds_create(g, "box", "k", NULL, &w, &err));
            model_size = 0;
        } else {
            OK(geds_edit(g, "box", "k", &w, &info, &err));
            CHECK_EQ(info.size, sealed_size);
            memcpy(model, sealed, sealed_size);
            model_size = sealed_size;
        }
        change(w, pick(20), most);
        check_sealed();
        if (pick(4) == 0) {
            geds_abort(w);
        } else {
            OK(geds_seal(w, NULL, &info, &err));
            CHECK_EQ(info.size, model_size);
            memcpy(sealed, model, model_size);
            sealed_size = model_size;
        }
        check_sealed();
    }
    stop();
}

static void an_edit_keeps_attributes_and_asks_for_the_same_object(void)
{
    struct geds_writer *w = NULL;
    struct geds_object *o = NULL;
    const struct geds_attribute pair = {"x-amz-meta-a", "1"};
    const struct geds_attributes a = {.content_type = "text/x", .pairs = &pair, .count = 1};
    start();
    OK(geds_put(g, "box", "k", &a, NULL, "hello", 5, NULL, &err));
    OK(geds_edit(g, "box", "k", &w, NULL, &err));
    OK(geds_pwrite(w, "J", 1, 0, &err));
    OK(geds_seal(w, NULL, NULL, &err));
    OK(geds_open(g, "box", "k", &o, &err));
    CHECK_STR(geds_object_attributes(o)->content_type, "text/x");
    CHECK_EQ(geds_object_attributes(o)->count, 1);
    geds_close(o);
    OK(geds_edit(g, "box", "k", &w, NULL, &err));
    OK(geds_put(g, "box", "k", NULL, NULL, "other", 5, NULL, &err));
    OK(geds_pwrite(w, "J", 1, 0, &err));
    CHECK_EQ(geds_seal(w, NULL, NULL, &err), GEDS_CHANGED);
    CHECK_EQ(geds_edit(g, "box", "none", &w, NULL, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_edit(g, "none", "k", &w, NULL, &err), GEDS_NOTFOUND);
    stop();
}

static void what_is_beyond_an_object_is_refused_and_the_writer_goes_on(void)
{
    struct geds_writer *w = NULL;
    size_t n = 1;
    start();
    OK(geds_create(g, "box", "k", NULL, &w, &err));
    CHECK_EQ(geds_pwrite(w, "x", 1, GEDS_OBJECT_MAX, &err), GEDS_INVAL);
    CHECK_EQ(geds_pwrite(w, "x", 1, UINT64_MAX, &err), GEDS_INVAL);
    CHECK_EQ(geds_truncate(w, GEDS_OBJECT_MAX + 1, &err), GEDS_INVAL);
    OK(geds_pwrite(w, "", 0, 100, &err));
    CHECK_EQ(geds_writer_size(w), 0);
    OK(geds_writer_pread(w, got, 10, 5, &n, &err));
    CHECK_EQ(n, 0);
    OK(geds_pwrite(w, "x", 1, (5ULL << 30) + 1, &err));
    OK(geds_writer_pread(w, got, 10, 5ULL << 30, &n, &err));
    CHECK(n == 2 && memcmp(got, "\0x", 2) == 0);
    OK(geds_truncate(w, 3, &err));
    OK(geds_seal(w, NULL, NULL, &err));
    stop();
}

static void a_store_that_dies_is_told_to_who_writes(void)
{
    struct geds_writer *w = NULL;
    struct geds_info info;
    enum geds_code code = GEDS_OK;
    int ends[2];
    char ready = 0;
    served_names(&s);
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        served_open(&s, serve_handler());
        CHECK_EQ(write(ends[1], "r", 1), 1);
        pause();
        _exit(0);
    }
    CHECK_EQ(read(ends[0], &ready, 1), 1);
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "box", &err));
    OK(geds_create(g, "box", "k", NULL, &w, &err));
    OK(geds_pwrite(w, source, 1 << 20, 3 << 20, &err));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 20 && code == GEDS_OK; i++) {
        code = geds_pwrite(w, source, 1 << 20, 0, &err);
    }
    CHECK_EQ(code, GEDS_IO);
    CHECK(geds_seal(w, NULL, NULL, &err) == GEDS_IO && err.text[0] != '\0');
    geds_disconnect(g);
    close(ends[0]);
    close(ends[1]);
    unlink(s.path);
    served_open(&s, serve_handler());
    OK(geds_connect(s.address, &g, &err));
    CHECK_EQ(geds_stat(g, "box", "k", &info, &err), GEDS_NOTFOUND);
    stop();
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if (argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) {
        fprintf(stderr, "usage: %s [SEED]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    random_state = seed | 1;
    source = pattern(BYTES_MAX + 1, (unsigned)seed);
    RUN(random_calls_do_what_memory_does);
    RUN(an_edit_keeps_attributes_and_asks_for_the_same_object);
    RUN(what_is_beyond_an_object_is_refused_and_the_writer_goes_on);
    RUN(a_store_that_dies_is_told_to_who_writes);
    free(source);
    return CHECK_DONE();
}
