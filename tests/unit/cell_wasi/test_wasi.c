#include "double.h"

/* Configuration, import tables, arguments, environment, clocks, random bytes, ends. */

static void the_tables_hold_every_function_once_with_its_signature(void)
{
    struct wasi_config config = {.stdio = {0, 1, 2}};
    struct wasi *w = wasi_make(&config);
    uint32_t count;
    const struct host_module *modules = wasi_host_modules(w, &count);
    CHECK_EQ(count, 2);
    CHECK_STR(modules[0].name, "wasi_snapshot_preview1");
    CHECK_STR(modules[1].name, "wasi_unstable");
    for (uint32_t m = 0; m < count; m++) {
        uint32_t n = 0;
        CHECK(modules[m].env == w);
        for (const struct host_func *f = modules[m].funcs; f->name != NULL; f++, n++) {
            CHECK(f->fn != NULL);
            CHECK(strspn(f->sig, "iI") == strcspn(f->sig, ":"));
            CHECK(strcmp(strchr(f->sig, ':'), strcmp(f->name, "proc_exit") == 0 ? ":" : ":i") == 0);
            for (const struct host_func *g = modules[m].funcs; g != f; g++) {
                CHECK(strcmp(f->name, g->name) != 0);
            }
        }
        CHECK_EQ(n, m == 0 ? WASI_FUNCTION_COUNT : WASI_FUNCTION_COUNT - 1);
    }
    wasi_free(w);
}

static void arguments_arrive_with_their_sizes(void)
{
    static const char *const args[] = {"prog", "", "third argument"};
    struct wasi_config config = {.args = args, .arg_count = 3, .stdio = {0, 1, 2}};
    g_reset();
    struct wasi *w = wasi_make(&config);
    uint32_t sizes = g_alloc(8), ptrs = g_alloc(12), buf = g_alloc(64);
    CHECK_EQ(wasi_args_sizes_get(NULL, w, sizes, sizes + 4), WASI_OK);
    CHECK_EQ(g_u32(sizes), 3);
    CHECK_EQ(g_u32(sizes + 4), 5 + 1 + 15);
    CHECK_EQ(wasi_args_get(NULL, w, ptrs, buf), WASI_OK);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_STR((const char *)double_mem + g_u32(ptrs + i * 4), args[i]);
    }
    CHECK_EQ(wasi_args_get(NULL, w, DOUBLE_MEM_BYTES - 8, buf), WASI_FAULT);
    CHECK_EQ(wasi_args_get(NULL, w, ptrs, DOUBLE_MEM_BYTES - 8), WASI_FAULT);
    CHECK_EQ(wasi_args_sizes_get(NULL, w, UINT32_MAX, sizes), WASI_FAULT);
    wasi_free(w);
}

/* The value of name in the environment of a guest, "(none)", or "(twice)". */
static const char *env_value(struct wasi *w, const char *name)
{
    const char *found = NULL;
    uint32_t sizes = g_alloc(8);
    CHECK_EQ(wasi_environ_sizes_get(NULL, w, sizes, sizes + 4), WASI_OK);
    uint32_t count = g_u32(sizes);
    uint32_t ptrs = g_alloc(count * 4), buf = g_alloc(g_u32(sizes + 4));
    CHECK_EQ(wasi_environ_get(NULL, w, ptrs, buf), WASI_OK);
    for (uint32_t i = 0; i < count; i++) {
        const char *text = (const char *)double_mem + g_u32(ptrs + i * 4);
        size_t len = strlen(name);
        if (strncmp(text, name, len) == 0 && text[len] == '=') {
            if (found != NULL) {
                return "(twice)";
            }
            found = text + len + 1;
        }
    }
    return found == NULL ? "(none)" : found;
}

static void check_pwd(const char *cwd, bool with_grant, const char *want)
{
    static const char *const env[] = {"A=1", "PWD=/host", "PWDX=2"};
    struct wasi_grant grant = {"/", "/guest", true, NULL};
    struct wasi_config config = {.env = env,
                                 .env_count = 3,
                                 .grants = &grant,
                                 .cwd = cwd,
                                 .grant_count = with_grant ? 1 : 0,
                                 .stdio = {0, 1, 2}};
    g_reset();
    struct wasi *w = wasi_make(&config);
    CHECK_STR(env_value(w, "PWD"), want);
    CHECK_STR(env_value(w, "A"), "1");
    CHECK_STR(env_value(w, "PWDX"), "2");
    wasi_free(w);
}

static void pwd_is_where_the_guest_starts(void)
{
    check_pwd("/guest/dev", true, "/guest/dev");
    check_pwd("guest/./dev/", true, "guest/./dev/");
    check_pwd("/guest/nowhere/../dev", true, "/guest/nowhere/../dev");
    check_pwd("/", true, "/");
    check_pwd(NULL, true, "/guest");
    check_pwd(NULL, false, "/host");
    check_pwd("/", false, "/");
}

static void a_guest_starts_where_something_is(void)
{
    struct wasi_grant grants[] = {{"/dev", "/a/b/", true, NULL}, {"/", "/a/b/top", true, NULL}};
    static const struct {
        const char *cwd;
        status_t code;
    } cases[] = {{"/a/b", ST_OK},
                 {"/a", ST_OK},
                 {"/a/b/top/dev", ST_OK},
                 {"/a/b/top/null", ST_NOTFOUND},
                 {"/a/c", ST_INVAL},
                 {"/a/bc", ST_INVAL},
                 {"/a/b/null", ST_NOTFOUND},
                 {"/a/b/../c", ST_INVAL},
                 {"nope", ST_INVAL},
                 {"/a/b/nope", ST_NOTFOUND}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wasi_config config = {
            .grants = grants, .grant_count = 2, .cwd = cases[i].cwd, .stdio = {0, 1, 2}};
        struct error err = {.offset = ERROR_NO_OFFSET};
        struct wasi *w = NULL;
        CHECK_EQ(wasi_new(&config, &w, &err), cases[i].code);
        CHECK(cases[i].code == ST_OK || strstr(err.text, cases[i].cwd) != NULL);
        wasi_free(w);
    }
}

static void clocks_are_those_of_the_host(void)
{
    struct wasi_config config = {.stdio = {0, 1, 2}};
    g_reset();
    struct wasi *w = wasi_make(&config);
    uint32_t out = g_alloc(8);
    for (uint32_t id = WASI_CLOCK_REALTIME; id <= WASI_CLOCK_THREAD; id++) {
        CHECK_EQ(wasi_clock_res_get(NULL, w, id, out), WASI_OK);
        CHECK(g_u64(out) > 0 && g_u64(out) < 1000000000);
        CHECK_EQ(wasi_clock_time_get(NULL, w, id, 0, out), WASI_OK);
        uint64_t first = g_u64(out);
        CHECK_EQ(wasi_clock_time_get(NULL, w, id, 0, out), WASI_OK);
        CHECK(g_u64(out) >= first);
    }
    CHECK_EQ(wasi_clock_time_get(NULL, w, 4, 0, out), WASI_INVAL);
    CHECK_EQ(wasi_clock_res_get(NULL, w, UINT32_MAX, out), WASI_INVAL);
    CHECK_EQ(wasi_clock_time_get(NULL, w, 0, 0, DOUBLE_MEM_BYTES - 7), WASI_FAULT);
    wasi_free(w);
}

static void random_bytes_fill_the_buffer(void)
{
    struct wasi_config config = {.stdio = {0, 1, 2}};
    g_reset();
    struct wasi *w = wasi_make(&config);
    uint32_t len = 2 * WASI_PIECE_BYTES_MAX + 5;
    uint32_t buf = g_alloc(len);
    uint32_t zeros = 0;
    memset(double_mem + buf, 0, len);
    CHECK_EQ(wasi_random_get(NULL, w, buf, len), WASI_OK);
    for (uint32_t i = 0; i < len; i++) {
        zeros += double_mem[buf + i] == 0;
    }
    CHECK(zeros < len / 128);
    CHECK_EQ(wasi_random_get(NULL, w, buf, 0), WASI_OK);
    CHECK_EQ(wasi_random_get(NULL, w, DOUBLE_MEM_BYTES, 0), WASI_OK);
    CHECK_EQ(wasi_random_get(NULL, w, DOUBLE_MEM_BYTES - 1, 2), WASI_FAULT);
    wasi_free(w);
}

static void exiting_and_fatal_signals_end_the_program(void)
{
    double_exited = false;
    wasi_proc_exit(NULL, NULL, 42);
    CHECK(double_exited);
    CHECK_EQ(double_exit_code, 42);
    double_exited = false;
    CHECK_EQ(wasi_proc_raise(NULL, NULL, 16), WASI_OK);     /* CHLD is ignored */
    CHECK_EQ(wasi_proc_raise(NULL, NULL, 18), WASI_NOTSUP); /* STOP */
    CHECK_EQ(wasi_proc_raise(NULL, NULL, 31), WASI_INVAL);
    CHECK(!double_exited);
    CHECK_EQ(wasi_proc_raise(NULL, NULL, 6), WASI_OK);
    CHECK(double_exited);
    CHECK_EQ(double_exit_code, 134);
    CHECK_EQ(wasi_sched_yield(NULL, NULL), WASI_OK);
}

static void grants_that_cannot_be_opened_are_named(void)
{
    struct wasi_grant grant = {"/nonexistent-grant", "/g", false, NULL};
    struct wasi_config config = {.grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}};
    struct wasi *w = NULL;
    struct error err = {0};
    CHECK_EQ(wasi_new(&config, &w, &err), ST_NOTFOUND);
    CHECK(w == NULL);
    CHECK(strstr(err.text, "/nonexistent-grant") != NULL);
    grant.host_path = "/dev/null";
    CHECK(wasi_new(&config, &w, &err) != ST_OK);
    CHECK(strstr(err.text, "/dev/null") != NULL);
}

static void limits_of_the_configuration_are_checked(void)
{
    struct wasi_grant grant = {"/", "/", true, NULL};
    struct wasi_config config = {
        .grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}, .open_files_max = 3};
    struct wasi *w = NULL;
    struct error err = {0};
    CHECK_EQ(wasi_new(&config, &w, &err), ST_LIMIT);
    config.open_files_max = WASI_OPEN_FILES_MAX + 1;
    CHECK_EQ(wasi_new(&config, &w, &err), ST_LIMIT);
    CHECK(w == NULL);
}

static void scratch_memory_is_found_again_by_the_end(void)
{
    struct wasi_config config = {.stdio = {0, 1, 2}};
    struct wasi *w = wasi_make(&config);
    void *a = wasi_scratch_new(w, 100);
    void *b = wasi_scratch_new(w, 100);
    void *c = wasi_scratch_new(w, 100);
    wasi_scratch_free(w, b);
    wasi_scratch_free(w, a);
    wasi_scratch_free(w, NULL);
    CHECK(c != NULL);
    wasi_free(w); /* the leak checker sees c otherwise */
    wasi_free(NULL);
}

int main(void)
{
    RUN(the_tables_hold_every_function_once_with_its_signature);
    RUN(arguments_arrive_with_their_sizes);
    RUN(pwd_is_where_the_guest_starts);
    RUN(a_guest_starts_where_something_is);
    RUN(clocks_are_those_of_the_host);
    RUN(random_bytes_fill_the_buffer);
    RUN(exiting_and_fatal_signals_end_the_program);
    RUN(grants_that_cannot_be_opened_are_named);
    RUN(limits_of_the_configuration_are_checked);
    RUN(scratch_memory_is_found_again_by_the_end);
    return CHECK_DONE();
}
