#include "cell/wasi/describe.h"
#include "double.h"
#include "memory_bucket.h"
#include "object.h"
#include "staged.h"

/* Files and folders beneath a bucket that is in memory; the guest has it as descriptor 3. */

static struct memory_bucket *bucket;
static struct wasi *w;
static struct wasi_grant grant;
static struct wasi_config config;
static struct error err;

static void begin_in(const char *prefix, bool read_only)
{
    g_reset();
    scratch_make();
    bucket = memory_bucket_new(prefix, "geds://memory/");
    grant = (struct wasi_grant){"geds://memory", "/b", read_only, &bucket->face};
    config = (struct wasi_config){
        .grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}, .staging = scratch_dir};
    err = (struct error){0};
    w = wasi_make(&config);
}

static void begin(void)
{
    begin_in("", false);
}

static void end(void)
{
    wasi_free(w);
    CHECK_EQ(memory_bucket_free(bucket), 0);
    CHECK_EQ(rmdir(scratch_dir), 0); /* no temporary file has a name */
    scratch_remove();
}

static void put(const char *key, const char *text)
{
    memory_put(bucket, key, text, strlen(text));
}

/* The text of an object; "(none)" when it is not there. */
static const char *get(const char *key)
{
    static char text[4096];
    const struct memory_bytes *m = memory_get(bucket, key);
    if (m == NULL) {
        return "(none)";
    }
    snprintf(text, sizeof(text), "%.*s", (int)m->len, (const char *)m->data);
    return text;
}

static int open_as(const char *path, uint32_t oflags, uint64_t rights, uint32_t *ret_fd)
{
    return g_open(w, 3, 0, path, oflags, rights, 0, ret_fd);
}

static uint32_t open_ok(const char *path, uint32_t oflags, uint64_t rights)
{
    uint32_t fd = 0;
    CHECK_EQ(open_as(path, oflags, rights, &fd), WASI_OK);
    return fd;
}

static int stat_of(const char *path, uint8_t *ret_type, uint64_t *ret_size)
{
    uint32_t out = g_alloc(FILESTAT_BYTES);
    int e = wasi_path_filestat_get(NULL, w, 3, 0, G_PATH(path), out);
    *ret_type = double_mem[out + 16];
    *ret_size = g_u64(out + 32);
    return e;
}

static int path_error(const char *path)
{
    uint8_t type;
    uint64_t size;
    return stat_of(path, &type, &size);
}

static void write_text(uint32_t fd, const char *text)
{
    uint32_t n;
    CHECK_EQ(g_write(w, fd, text, &n), WASI_OK);
    CHECK_EQ(n, strlen(text));
}

static void check_read(uint32_t fd, const char *want)
{
    char text[256];
    CHECK_EQ(g_read(w, fd, text), WASI_OK);
    CHECK_STR(text, want);
}

/* ---- names ---- */

static void paths_are_resolved_as_text_beneath_their_descriptor(void)
{
    begin();
    put("a/b/c", "text");
    uint32_t sub = open_ok("a/b", OFLAG_DIRECTORY, READ_RIGHTS), fd;
    CHECK_EQ(path_error("a/b/c"), WASI_OK);
    CHECK_EQ(path_error("./a//b/./c"), WASI_OK);
    CHECK_EQ(path_error("a/x/../b/c"), WASI_OK);
    CHECK_EQ(path_error(".."), WASI_NOTCAPABLE);
    CHECK_EQ(path_error("a/../.."), WASI_NOTCAPABLE);
    CHECK_EQ(path_error("/a"), WASI_NOTCAPABLE);
    CHECK_EQ(path_error(""), WASI_NOENT);
    CHECK_EQ(path_error("a/b/c/"), WASI_NOTDIR);
    CHECK_EQ(g_open(w, sub, 0, "../c", 0, READ_RIGHTS, 0, &fd), WASI_NOTCAPABLE);
    CHECK_EQ(g_open(w, sub, 0, "c", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    CHECK_EQ(g_open(w, sub, 0, "x/../c", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    end();
}

static void a_prefix_is_all_that_there_is(void)
{
    begin_in("in/side/", false);
    put("in/side/x", "inner");
    put("in/other", "outer");
    CHECK_EQ(path_error("x"), WASI_OK);
    CHECK_EQ(path_error("../other"), WASI_NOTCAPABLE);
    uint32_t fd = open_ok("y", OFLAG_CREAT, FILE_RW);
    write_text(fd, "new");
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("in/side/y"), "new");
    end();
}

static void names_have_limits(void)
{
    char path[WASI_KEY_BYTES_MAX + 3];
    begin_in("prefix/", false);
    memset(path, 'n', sizeof(path));
    path[WASI_NAME_BYTES_MAX + 1] = '\0';
    CHECK_EQ(path_error(path), WASI_NAMETOOLONG);
    path[WASI_NAME_BYTES_MAX] = '\0';
    CHECK_EQ(path_error(path), WASI_NOENT);
    for (size_t i = 0; i < sizeof(path) - 1; i++) {
        path[i] = i % 100 == 99 ? '/' : 'n';
    }
    path[WASI_KEY_BYTES_MAX - 7] = '\0'; /* with its prefix as long as a key can be */
    CHECK_EQ(path_error(path), WASI_NOENT);
    uint32_t fd = open_ok(path, OFLAG_CREAT, FILE_RW);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_EQ(bucket->count, 1);
    path[WASI_KEY_BYTES_MAX - 7] = 'n';
    path[WASI_KEY_BYTES_MAX - 6] = '\0';
    CHECK_EQ(path_error(path), WASI_NAMETOOLONG);
    end();
}

/* The names of a folder, each with its type, as "NAME:TYPE ". */
static void check_entries(uint32_t fd, const char *want)
{
    static char got[8192];
    uint32_t buf = g_alloc(65536), out = g_alloc(4);
    size_t len = 0;
    got[0] = '\0';
    CHECK_EQ(wasi_fd_readdir(NULL, w, fd, buf, 65536, 0, out), WASI_OK);
    for (uint32_t at = 0, used = g_u32(out); at < used;) {
        uint32_t name_len = g_u32(buf + at + 16);
        if (double_mem[buf + at + DIRENT_BYTES] != '.') {
            len += (size_t)snprintf(got + len, sizeof(got) - len, "%.*s:%u ", (int)name_len,
                                    (const char *)double_mem + buf + at + DIRENT_BYTES,
                                    double_mem[buf + at + 20]);
        }
        at += DIRENT_BYTES + name_len;
    }
    CHECK_STR(got, want);
}

static void lists_leave_out_what_no_path_leads_to(void)
{
    char long_key[300];
    begin();
    memset(long_key, 'n', sizeof(long_key));
    long_key[sizeof(long_key) - 1] = '\0';
    const char *keys[] = {"b",   "b!", "b/x",   "c/y", "c/z/1", "d/",     "/slash",
                          "e//", ".",  "../up", "f/.", "g",     long_key, "h/i"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        put(keys[i], "1");
    }
    check_entries(3, "b:4 b!:4 c:3 d:3 e:3 f:3 g:4 h:3 ");
    check_entries(open_ok("c", OFLAG_DIRECTORY, READ_RIGHTS), "y:4 z:3 ");
    check_entries(open_ok("d", OFLAG_DIRECTORY, READ_RIGHTS), "");
    check_entries(open_ok("e", OFLAG_DIRECTORY, READ_RIGHTS), "");
    check_entries(open_ok("f", OFLAG_DIRECTORY, READ_RIGHTS), "");
    end();
}

static void a_list_lasts_until_it_is_begun_anew(void)
{
    begin();
    put("a", "1");
    put("b", "2");
    uint32_t buf = g_alloc(4096), out = g_alloc(4);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 4096, 0, out), WASI_OK);
    uint64_t third = 0;
    uint32_t at = 0;
    for (int i = 0; i < 3; i++) {
        third = g_u64(buf + at);
        at += DIRENT_BYTES + g_u32(buf + at + 16);
    }
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("a")), WASI_OK);
    put("c", "3");
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 4096, third, out), WASI_OK);
    CHECK_EQ(double_mem[buf + DIRENT_BYTES], 'b');
    CHECK_EQ(g_u32(out), DIRENT_BYTES + 1);
    check_entries(3, "b:4 c:4 ");
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 4096, 77, out), WASI_INVAL);
    end();
}

/* ---- writing ---- */

static void nothing_has_the_name_before_the_close(void)
{
    uint8_t type;
    uint64_t size;
    begin();
    uint32_t fd = open_ok("f", OFLAG_CREAT | OFLAG_TRUNC, FILE_RW);
    write_text(fd, "text");
    CHECK_STR(get("f"), "(none)");
    CHECK_EQ(stat_of("f", &type, &size), WASI_OK);
    CHECK_EQ(size, 4);
    uint32_t again = open_ok("f", 0, READ_RIGHTS);
    check_read(again, "text");
    CHECK_EQ(wasi_fd_close(NULL, w, again), WASI_OK);
    CHECK_STR(get("f"), "(none)"); /* who cannot write publishes nothing */
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("f"), "text");
    end();
}

static void a_failed_sync_can_be_made_again(void)
{
    begin();
    put("f", "before");
    uint32_t fd = open_ok("f", OFLAG_TRUNC, FILE_RW);
    write_text(fd, "behind");
    bucket->fails_with = EIO;
    CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_IO);
    CHECK_STR(get("f"), "before");
    bucket->fails_with = ENOSPC;
    CHECK_EQ(wasi_fd_datasync(NULL, w, fd), WASI_NOSPC);
    bucket->fails_with = 0;
    CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_OK);
    CHECK_STR(get("f"), "behind");
    unsigned calls = bucket->calls;
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK); /* nothing is left to be done */
    CHECK_EQ(bucket->calls, calls);
    end();
}

static void every_failure_of_the_store_is_an_error_and_loses_nothing(void)
{
    begin();
    put("f", "before");
    for (unsigned n = 0; n < 40; n++) {
        uint32_t fd = 0;
        bucket->fails_with = ENOSPC;
        bucket->fails_after = n;
        int e = open_as("f", OFLAG_CREAT, FILE_RW, &fd);
        if (e == WASI_OK) {
            uint32_t count;
            e = g_write(w, fd, "behind", &count);
            int closed = wasi_fd_close(NULL, w, fd);
            e = e == WASI_OK ? closed : e;
        }
        bool failed = bucket->fails_after == 0;
        bucket->fails_with = 0;
        CHECK_EQ(e == WASI_OK, !failed || strcmp(get("f"), "behind") == 0);
        CHECK_STR(get("f"), e == WASI_OK ? "behind" : "before");
        put("f", "before");
    }
    CHECK_EQ(bucket->count, 1);
    end();
}

static void a_freeze_in_the_middle_repeats_the_close(void)
{
    begin();
    uint32_t fd = open_ok("f", OFLAG_CREAT, FILE_RW);
    write_text(fd, "text");
    atomic_store(&double_stop, STOP_CAPTURE);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_INTR);
    CHECK_STR(get("f"), "(none)");
    atomic_store(&double_stop, STOP_NONE);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("f"), "text");
    end();
}

static void a_renumbered_descriptor_is_published(void)
{
    begin();
    uint32_t first = open_ok("one", OFLAG_CREAT, FILE_RW);
    uint32_t second = open_ok("two", OFLAG_CREAT, FILE_RW);
    write_text(second, "2");
    CHECK_EQ(wasi_fd_renumber(NULL, w, first, second), WASI_OK);
    CHECK_STR(get("two"), "2");
    CHECK_STR(get("one"), "(none)");
    CHECK_EQ(wasi_fd_close(NULL, w, second), WASI_OK);
    CHECK_STR(get("one"), "");
    CHECK_EQ(wasi_fd_close(NULL, w, first), WASI_BADF);
    CHECK_EQ(wasi_fd_renumber(NULL, w, 3, 77), WASI_BADF);
    end();
}

static void a_file_can_be_made_without_the_right_to_write(void)
{
    begin();
    put("f", "text");
    uint32_t fd = open_ok("new", OFLAG_CREAT, READ_RIGHTS);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("new"), "");
    fd = open_ok("f", OFLAG_TRUNC, READ_RIGHTS);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("f"), "");
    fd = open_ok("f", OFLAG_CREAT, READ_RIGHTS);
    unsigned changes = bucket->changes;
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_EQ(bucket->changes, changes);
    end();
}

static void to_be_made_alone_asks_for_nothing_alone(void)
{
    uint32_t missing;
    begin();
    put("f", "text");
    uint32_t fd = open_ok("f", OFLAG_EXCL, FILE_RW);
    write_text(fd, "T");
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("f"), "Text");
    fd = open_ok("f", OFLAG_EXCL, READ_RIGHTS);
    check_read(fd, "Text");
    CHECK_EQ(open_as("new", OFLAG_EXCL, FILE_RW, &missing), WASI_NOENT);
    CHECK_EQ(open_as("f", OFLAG_EXCL | OFLAG_CREAT, FILE_RW, &missing), WASI_EXIST);
    end();
}

static void renames_carry_open_files_along(void)
{
    begin();
    put("a/f", "text");
    put("a/g", "more");
    uint32_t one = open_ok("a/f", 0, FILE_RW), two = open_ok("a/new", OFLAG_CREAT, FILE_RW);
    write_text(one, "T");
    write_text(two, "new");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("a"), 3, G_PATH("b")), WASI_OK);
    CHECK_EQ(path_error("a"), WASI_NOENT);
    CHECK_EQ(wasi_fd_sync(NULL, w, one), WASI_OK);
    CHECK_STR(get("b/f"), "Text");
    CHECK_EQ(wasi_fd_close(NULL, w, two), WASI_OK);
    CHECK_STR(get("b/new"), "new");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("b/f"), 3, G_PATH("b/g")), WASI_OK);
    write_text(one, "E");
    CHECK_EQ(wasi_fd_close(NULL, w, one), WASI_OK);
    CHECK_STR(get("b/g"), "TExt");
    CHECK_EQ(bucket->count, 2);
    end();
}

static void a_replaced_file_does_not_come_back(void)
{
    begin();
    put("old", "old");
    uint32_t fd = open_ok("old", 0, FILE_RW);
    write_text(fd, "OLD");
    put("new", "new");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("new"), 3, G_PATH("old")), WASI_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_STR(get("old"), "new");
    end();
}

static void folders_stay_when_they_are_emptied(void)
{
    begin();
    put("d/f", "1");
    put("d/e/g", "2");
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("d/e/g")), WASI_OK);
    CHECK_STR(get("d/e/"), "");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("d/f"), 3, G_PATH("f")), WASI_OK);
    CHECK_STR(get("d/"), "(none)"); /* the folder in it keeps it */
    CHECK_EQ(wasi_path_remove_directory(NULL, w, 3, G_PATH("d")), WASI_NOTEMPTY);
    CHECK_EQ(wasi_path_remove_directory(NULL, w, 3, G_PATH("d/e/")), WASI_OK);
    CHECK_STR(get("d/"), "");
    CHECK_EQ(wasi_path_remove_directory(NULL, w, 3, G_PATH("d")), WASI_OK);
    CHECK_EQ(wasi_path_remove_directory(NULL, w, 3, G_PATH("f")), WASI_NOTDIR);
    CHECK_EQ(wasi_path_remove_directory(NULL, w, 3, G_PATH(".")), WASI_BUSY);
    CHECK_EQ(wasi_path_create_directory(NULL, w, 3, G_PATH("x/y/")), WASI_OK);
    CHECK_STR(get("x/y/"), "");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("f"), 3, G_PATH("x")), WASI_ISDIR);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("x"), 3, G_PATH("f")), WASI_NOTDIR);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("x"), 3, G_PATH("x/y/z")), WASI_INVAL);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("nothing"), 3, G_PATH("z")), WASI_NOENT);
    CHECK_EQ(wasi_path_create_directory(NULL, w, 3, G_PATH("z")), WASI_OK);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("x"), 3, G_PATH("z")), WASI_OK);
    CHECK_STR(get("z/y/"), "");
    end();
}

static void a_read_only_bucket_is_not_changed(void)
{
    uint32_t fd;
    begin_in("", true);
    put("f", "1");
    CHECK_EQ(open_as("f", 0, FILE_RW, &fd), WASI_ROFS);
    CHECK_EQ(open_as("f", OFLAG_TRUNC, READ_RIGHTS, &fd), WASI_ROFS);
    CHECK_EQ(open_as("g", OFLAG_CREAT, READ_RIGHTS, &fd), WASI_ROFS);
    CHECK_EQ(open_as("f", OFLAG_CREAT | OFLAG_EXCL, READ_RIGHTS, &fd), WASI_EXIST);
    CHECK_EQ(open_as("f", OFLAG_CREAT, READ_RIGHTS, &fd), WASI_OK);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("f")), WASI_ROFS);
    CHECK_EQ(wasi_path_create_directory(NULL, w, 3, G_PATH("d")), WASI_ROFS);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("f"), 3, G_PATH("g")), WASI_ROFS);
    CHECK_EQ(bucket->count, 1);
    CHECK_EQ(bucket->changes, 1);
    end();
}

static void see_lost(void *arg, const char *place, uint64_t size)
{
    snprintf(arg, 200, "%s %llu", place, (unsigned long long)size);
}

static void the_end_of_a_program_publishes_or_names_it(void)
{
    char lost[200] = "";
    begin();
    uint32_t fd = open_ok("f", OFLAG_CREAT, FILE_RW);
    write_text(fd, "text");
    wasi_unpublished(w, see_lost, lost);
    CHECK_STR(lost, "geds://memory/f 4");
    bucket->fails_with = EIO;
    CHECK_EQ(wasi_publish(w, &err), ST_IO);
    CHECK(strstr(err.text, "geds://memory/f") != NULL);
    bucket->fails_with = 0;
    CHECK_EQ(wasi_publish(w, &err), ST_OK);
    CHECK_STR(get("f"), "text");
    lost[0] = '\0';
    wasi_unpublished(w, see_lost, lost);
    CHECK_STR(lost, "");
    end();
}

static void times_and_links_are_not_supported(void)
{
    begin();
    put("f", "1");
    uint32_t fd = open_ok("f", 0, READ_RIGHTS), out = g_alloc(4), buf = g_alloc(16);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 0, FST_MTIM_NOW), WASI_NOTSUP);
    CHECK_EQ(wasi_path_filestat_set_times(NULL, w, 3, 0, G_PATH("f"), 0, 0, FST_MTIM_NOW),
             WASI_NOTSUP);
    CHECK_EQ(wasi_path_filestat_set_times(NULL, w, 3, 0, G_PATH("g"), 0, 0, FST_MTIM_NOW),
             WASI_NOENT);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("f"), buf, 16, out), WASI_INVAL);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("g"), buf, 16, out), WASI_NOENT);
    CHECK_EQ(wasi_path_symlink(NULL, w, G_PATH("f"), 3, G_PATH("g")), WASI_NOTSUP);
    CHECK_EQ(wasi_path_link(NULL, w, 3, 0, G_PATH("f"), 3, G_PATH("g")), WASI_NOTSUP);
    end();
}

/* ---- against a file in memory ---- */

enum { MODEL_MAX = 3 * STAGED_GRANULE_BYTES, MODEL_STEPS = 400 };

static uint32_t seed;
static uint32_t random_below(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)(seed >> 8) * limit) >> 24);
}

struct model {
    uint8_t bytes[MODEL_MAX];
    size_t size;
};

static void model_write(struct model *m, uint32_t fd, uint32_t data)
{
    uint32_t out = g_alloc(4), at = random_below(MODEL_MAX), len = random_below(1 << 17);
    len = len < MODEL_MAX - at ? len : MODEL_MAX - at;
    for (uint32_t i = 0; i < len; i++) {
        double_mem[data + i] = (uint8_t)random_below(256);
    }
    CHECK_EQ(wasi_fd_pwrite(NULL, w, fd, g_iov(data, len), 1, at, out), WASI_OK);
    CHECK_EQ(g_u32(out), len);
    if (len > 0 && at > m->size) {
        memset(m->bytes + m->size, 0, at - m->size);
    }
    memcpy(m->bytes + at, double_mem + data, len);
    m->size = len > 0 && at + len > m->size ? at + len : m->size;
}

static void model_cut(struct model *m, uint32_t fd)
{
    uint32_t size = random_below(MODEL_MAX);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, fd, size), WASI_OK);
    if (size > m->size) {
        memset(m->bytes + m->size, 0, size - m->size);
    }
    m->size = size;
}

static void model_read(const struct model *m, uint32_t fd, uint32_t data)
{
    uint32_t out = g_alloc(4), at = random_below(MODEL_MAX), len = random_below(1 << 17);
    uint32_t left = at < m->size ? (uint32_t)m->size - at : 0;
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, g_iov(data, len), 1, at, out), WASI_OK);
    CHECK_EQ(g_u32(out), len < left ? len : left);
    CHECK(memcmp(double_mem + data, m->bytes + at, g_u32(out)) == 0);
}

static void check_published(const struct model *m)
{
    const struct memory_bytes *o = memory_get(bucket, "f");
    CHECK_EQ(o->len, m->size);
    CHECK(o->len == m->size && memcmp(o->data, m->bytes, m->size) == 0);
}

/* Save and restore in between: w is another one then. */
static void move(void)
{
    struct buf state = {0};
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    struct wasi *other = NULL;
    CHECK_EQ(wasi_restore(&config, state.data, state.len, false, &other, &err), ST_OK);
    if (other != NULL) {
        wasi_free(w);
        w = other;
    } else {
        fprintf(stderr, "wasi_restore: %s\n", err.text);
    }
    buf_done(&state);
}

static void written_files_are_as_files_in_memory(void)
{
    struct model *m = calloc(1, sizeof(*m));
    for (uint32_t round = 1; round <= 6; round++) {
        begin();
        seed = round;
        m->size = random_below(MODEL_MAX);
        for (size_t i = 0; i < m->size; i++) {
            m->bytes[i] = (uint8_t)random_below(256);
        }
        memory_put(bucket, "f", m->bytes, m->size);
        uint32_t fd = open_ok("f", 0, FILE_RW), data = g_alloc(1 << 17), heap = double_brk;
        for (int step = 0; step < MODEL_STEPS; step++) {
            uint32_t what = random_below(20);
            double_brk = heap;
            if (what < 8) {
                model_write(m, fd, data);
            } else if (what < 16) {
                model_read(m, fd, data);
            } else if (what < 17) {
                model_cut(m, fd);
            } else if (what < 18) {
                move();
            } else if (what < 19) {
                CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_OK);
                check_published(m);
            } else {
                CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
                check_published(m);
                fd = open_ok("f", 0, FILE_RW);
            }
        }
        end();
    }
    free(m);
}

/* As when the store was away meanwhile: an object is read on only if it still has its name. */
static void what_is_not_filled_is_found_behind_a_sync(void)
{
    static uint8_t bytes[4 * STAGED_GRANULE_BYTES];
    begin();
    memset(bytes, 'x', sizeof(bytes));
    memory_put(bucket, "f", bytes, sizeof(bytes));
    uint32_t fd = open_ok("f", 0, FILE_RW), data = g_alloc(16), out = g_alloc(4);
    bucket->stale = true;
    for (uint64_t at = 0; at < 3; at++) {
        write_text(fd, "y");
        CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_OK);
        if (at == 1) {
            CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("f"), 3, G_PATH("g")), WASI_OK);
        }
        CHECK_EQ(
            wasi_fd_pread(NULL, w, fd, g_iov(data, 8), 1, (at + 1) * STAGED_GRANULE_BYTES, out),
            WASI_OK);
        CHECK(g_u32(out) == 8 && memcmp(double_mem + data, "xxxxxxxx", 8) == 0);
    }
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    const struct memory_bytes *m = memory_get(bucket, "g");
    CHECK_EQ(m->len, sizeof(bytes));
    CHECK(memcmp(m->data, "yyyx", 4) == 0);
    end();
}

static void small_reads_of_a_large_object_are_few_calls(void)
{
    static uint8_t bytes[1000000];
    begin();
    seed = 7;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)random_below(256);
    }
    memory_put(bucket, "f", bytes, sizeof(bytes));
    uint32_t fd = open_ok("f", 0, READ_RIGHTS), data = g_alloc(1024), out = g_alloc(4);
    uint32_t iov = g_iov(data, 1000);
    unsigned calls = bucket->calls;
    for (size_t at = 0; at < sizeof(bytes); at += 1000) {
        CHECK_EQ(wasi_fd_read(NULL, w, fd, iov, 1, out), WASI_OK);
        CHECK(g_u32(out) == 1000 && memcmp(double_mem + data, bytes + at, 1000) == 0);
    }
    CHECK_EQ(wasi_fd_read(NULL, w, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), 0);
    CHECK(bucket->calls - calls < 15);
    bucket->fails_with = EIO;
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, iov, 1, 10, out), WASI_IO);
    end();
}

static void many_readers_share_the_memory_that_there_is(void)
{
    enum { READERS = 40, BYTES = 3 << 20 };
    uint8_t *bytes = malloc(BYTES);
    uint32_t fds[READERS];
    begin();
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 7 >> 3);
    }
    memory_put(bucket, "f", bytes, BYTES);
    uint32_t data = g_alloc(1 << 20), out = g_alloc(4), iov = g_iov(data, 1 << 20);
    for (int i = 0; i < READERS; i++) {
        fds[i] = open_ok("f", 0, READ_RIGHTS);
        for (uint32_t at = 0; at < BYTES; at += 1 << 20) {
            CHECK_EQ(wasi_fd_read(NULL, w, fds[i], iov, 1, out), WASI_OK);
            CHECK(g_u32(out) == 1 << 20 && memcmp(double_mem + data, bytes + at, 1 << 20) == 0);
        }
        CHECK(atomic_load(&w->window_bytes) <= READ_WINDOWS_BYTES_MAX + READERS * READ_WINDOW_MIN);
    }
    for (int i = 0; i < READERS; i++) {
        CHECK_EQ(wasi_fd_close(NULL, w, fds[i]), WASI_OK);
    }
    CHECK_EQ(atomic_load(&w->window_bytes), 0);
    free(bytes);
    end();
}

/* ---- in snapshots ---- */

static status_t restore(const struct buf *state, bool stale_files)
{
    struct wasi *other = NULL;
    status_t st = wasi_restore(&config, state->data, state->len, stale_files, &other, &err);
    if (st == ST_OK) {
        wasi_free(w);
        w = other;
    }
    return st;
}

static void a_read_file_is_found_by_its_etag(void)
{
    struct buf state = {0};
    begin();
    put("f", "one two");
    uint32_t fd = open_ok("f", 0, READ_RIGHTS);
    char text[256];
    CHECK_EQ(g_read(w, fd, text), WASI_OK);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, 4, WHENCE_SET, g_alloc(8)), WASI_OK);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(restore(&state, false), ST_OK);
    check_read(fd, "two");
    put("f", "one TWO");
    CHECK_EQ(restore(&state, false), ST_NOTFOUND);
    CHECK(strstr(err.text, "/b/f changed since it was saved") != NULL);
    CHECK_EQ(restore(&state, true), ST_OK);
    check_read(fd, "TWO");
    memory_remove(bucket, "f");
    CHECK_EQ(restore(&state, false), ST_NOTFOUND);
    CHECK(strstr(err.text, "/b/f is not there") != NULL);
    CHECK_EQ(restore(&state, true), ST_OK);
    CHECK_EQ(g_read(w, fd, text), WASI_BADF);
    bucket->fails_with = EIO;
    CHECK_EQ(restore(&state, true), ST_IO);
    bucket->fails_with = 0;
    buf_done(&state);
    end();
}

static void what_is_read_goes_along_with_its_name(void)
{
    struct buf state = {0};
    begin();
    put("a/one", "one");
    put("a/two", "two");
    put("a/two2", "other");
    uint32_t one = open_ok("a/one", 0, READ_RIGHTS), two = open_ok("a/two", 0, READ_RIGHTS);
    uint32_t other = open_ok("a/two2", 0, READ_RIGHTS), out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("a/two"), 3, G_PATH("a/three")), WASI_OK);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("a"), 3, G_PATH("b")), WASI_OK);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("b/one"), 3, G_PATH("c")), WASI_OK);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, one, out), WASI_OK);
    uint64_t inode = g_u64(out + 8);
    CHECK_EQ(wasi_path_filestat_get(NULL, w, 3, 0, G_PATH("c"), out), WASI_OK);
    CHECK_EQ(g_u64(out + 8), inode);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(restore(&state, false), ST_OK);
    check_read(one, "one");
    check_read(two, "two");
    check_read(other, "other");
    buf_done(&state);
    end();
}

static void check_not_saved(const char *why)
{
    struct buf state = {0};
    CHECK_EQ(wasi_save(w, &state, &err), ST_UNSUPPORTED);
    CHECK(strstr(err.text, why) != NULL);
    CHECK_EQ(state.len, 0);
    buf_done(&state);
}

static void what_would_not_be_found_is_not_saved(void)
{
    struct buf state = {0};
    begin();
    put("f", "text");
    put("d/f", "text");
    uint32_t fd = open_ok("f", 0, READ_RIGHTS);
    memory_remove(bucket, "f");
    check_not_saved("geds://memory/f was removed or renamed");
    put("f", "TEXT");
    check_not_saved("geds://memory/f was replaced since it was opened");
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    uint32_t folder = open_ok("d", OFLAG_DIRECTORY, READ_RIGHTS);
    memory_remove(bucket, "d/f");
    check_not_saved("geds://memory/d was removed or renamed");
    CHECK_EQ(wasi_fd_close(NULL, w, folder), WASI_OK);
    fd = open_ok("f", 0, FILE_RW); /* not changed so far: only its etag would travel */
    put("f", "more");
    check_not_saved("geds://memory/f was replaced");
    write_text(fd, "t");
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(restore(&state, false), ST_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_STALE);
    buf_done(&state);
    end();
}

static void what_has_no_name_yet_is_in_the_state(void)
{
    struct buf state = {0};
    begin();
    put("edit", "edited");
    uint32_t made = open_ok("made", OFLAG_CREAT | OFLAG_EXCL, FILE_RW);
    uint32_t edit = open_ok("edit", 0, FILE_RW);
    uint32_t gone = open_ok("gone", OFLAG_CREAT, FILE_RW);
    write_text(made, "new");
    write_text(edit, "E");
    write_text(gone, "deep");
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("gone")), WASI_OK);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(bucket->count, 1);
    CHECK_EQ(restore(&state, false), ST_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, made), WASI_OK);
    CHECK_STR(get("made"), "new");
    CHECK_EQ(wasi_fd_close(NULL, w, edit), WASI_OK);
    CHECK_STR(get("edit"), "Edited");
    CHECK_EQ(wasi_fd_close(NULL, w, gone), WASI_OK);
    CHECK_STR(get("gone"), "(none)");
    /* A second time all of it is there already, by others as far as this one knows. */
    CHECK_EQ(restore(&state, false), ST_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, made), WASI_EXIST);
    CHECK_EQ(wasi_fd_close(NULL, w, edit), WASI_STALE);
    buf_done(&state);
    end();
}

static void one_file_of_two_grants_travels(void)
{
    struct buf state = {0};
    begin();
    struct memory_bucket inner = {.face = bucket->face};
    inner.face.prefix = "in/";
    struct wasi_grant grants[] = {{"geds://memory", "/b", false, &bucket->face},
                                  {"geds://memory/in", "/i", false, &inner.face},
                                  {"geds://memory/in", "/r", true, &inner.face}};
    config.grants = grants;
    config.grant_count = 3;
    wasi_free(w);
    w = wasi_make(&config);
    uint32_t first = open_ok("in/new", OFLAG_CREAT, FILE_RW), second = 0, third = 0;
    CHECK_EQ(g_open(w, 4, 0, "new", 0, FILE_RW, 0, &second), WASI_OK);
    CHECK_EQ(g_open(w, 5, 0, "new", 0, READ_RIGHTS, 0, &third), WASI_OK);
    write_text(second, "text");
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(restore(&state, false), ST_OK);
    check_read(first, "text");
    check_read(third, "text");
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, third, 0), WASI_ROFS);
    CHECK_EQ(wasi_fd_close(NULL, w, second), WASI_OK);
    CHECK_STR(get("in/new"), "text");
    buf_done(&state);
    end();
}

static void nothing_of_a_state_is_written_to_a_read_only_bucket(void)
{
    struct buf state = {0};
    begin();
    uint32_t fd = open_ok("new", OFLAG_CREAT | OFLAG_TRUNC, READ_RIGHTS);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    grant.read_only = true;
    CHECK_EQ(restore(&state, false), ST_PERM);
    CHECK(strstr(err.text, "/b/new was not written yet") != NULL);
    CHECK_EQ(restore(&state, true), ST_PERM);
    CHECK_EQ(wasi_restore_check(&config, state.data, state.len, true, false, &err), ST_PERM);
    CHECK_EQ(bucket->count, 0);
    grant.read_only = false;
    CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_OK);
    state.len = 0;
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    unsigned changes = bucket->changes;
    grant.read_only = true;
    CHECK_EQ(restore(&state, false), ST_OK); /* what it has has its name */
    check_read(fd, "");
    struct file_use use;
    CHECK_EQ(fdtable_use(&w->files, fd, 0, &use), WASI_OK);
    CHECK(use.file->object->staged == NULL);
    file_put(&w->files, &use);
    CHECK_EQ(wasi_publish(w, &err), ST_OK);
    CHECK_EQ(bucket->changes, changes);
    buf_done(&state);
    end();
}

static void a_staged_file_of_a_read_only_grant_is_not_published(void)
{
    begin();
    uint32_t fd = open_ok("f", OFLAG_CREAT, FILE_RW);
    write_text(fd, "text");
    w->grants[0].read_only = true;
    CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_ROFS);
    CHECK_EQ(wasi_publish(w, &err), ST_IO);
    CHECK_EQ(bucket->count, 0);
    end();
}

static void a_cut_or_changed_state_is_refused(void)
{
    struct buf state = {0};
    struct wasi_saved saved = {0};
    begin();
    put("r", "read");
    (void)open_ok("r", 0, READ_RIGHTS);
    (void)open_ok("w", OFLAG_CREAT, FILE_RW);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(wasi_describe(state.data, state.len, &saved, &err), ST_OK);
    CHECK_EQ(saved.grant_count, 1);
    CHECK_STR(saved.grants[0].place, "geds://memory/");
    CHECK_EQ(saved.file_count, 6);
    CHECK_STR(saved.files[4].path, "/b/r");
    wasi_saved_done(&saved);
    for (size_t len = 0; len < state.len; len++) {
        struct wasi *other = NULL;
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, state.data, len);
        CHECK_EQ(wasi_restore(&config, copy, len, false, &other, &err), ST_CORRUPT);
        CHECK_EQ(wasi_describe(copy, len, &saved, &err), ST_CORRUPT);
        free(copy);
    }
    for (size_t i = 0; i < state.len; i++) {
        uint8_t bit = (uint8_t)(1U << i % 8); /* all others are the fuzzer's */
        state.data[i] ^= bit;
        (void)restore(&state, true);
        if (wasi_describe(state.data, state.len, &saved, &err) == ST_OK) {
            wasi_saved_done(&saved);
        }
        state.data[i] ^= bit;
    }
    buf_done(&state);
    end();
}

static void a_folder_and_a_bucket_are_not_each_other(void)
{
    struct buf state = {0};
    begin();
    put("r", "read");
    uint32_t fd = open_ok("r", 0, READ_RIGHTS);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    mkdir(in_scratch("folder"), 0755);
    host_write_file(in_scratch("folder/r"), "host");
    grant = (struct wasi_grant){in_scratch("folder"), "/b", false, NULL};
    CHECK_EQ(restore(&state, false), ST_NOTFOUND);
    CHECK(strstr(err.text, "was in a bucket") != NULL);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    state.len = 0;
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(restore(&state, false), ST_OK); /* nothing was open but the folder itself */
    fd = open_ok("r", 0, READ_RIGHTS);
    check_read(fd, "host");
    state.len = 0;
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(get_le32(state.data + 4), 2); /* no bucket: the version that others read */
    grant = (struct wasi_grant){"geds://memory", "/b", false, &bucket->face};
    CHECK_EQ(restore(&state, false), ST_NOTFOUND);
    unlink(in_scratch("folder/r"));
    rmdir(in_scratch("folder"));
    buf_done(&state);
    end();
}

int main(void)
{
    RUN(paths_are_resolved_as_text_beneath_their_descriptor);
    RUN(a_prefix_is_all_that_there_is);
    RUN(names_have_limits);
    RUN(lists_leave_out_what_no_path_leads_to);
    RUN(a_list_lasts_until_it_is_begun_anew);
    RUN(nothing_has_the_name_before_the_close);
    RUN(a_failed_sync_can_be_made_again);
    RUN(every_failure_of_the_store_is_an_error_and_loses_nothing);
    RUN(a_freeze_in_the_middle_repeats_the_close);
    RUN(a_renumbered_descriptor_is_published);
    RUN(a_file_can_be_made_without_the_right_to_write);
    RUN(to_be_made_alone_asks_for_nothing_alone);
    RUN(renames_carry_open_files_along);
    RUN(a_replaced_file_does_not_come_back);
    RUN(folders_stay_when_they_are_emptied);
    RUN(a_read_only_bucket_is_not_changed);
    RUN(the_end_of_a_program_publishes_or_names_it);
    RUN(times_and_links_are_not_supported);
    RUN(written_files_are_as_files_in_memory);
    RUN(what_is_not_filled_is_found_behind_a_sync);
    RUN(small_reads_of_a_large_object_are_few_calls);
    RUN(many_readers_share_the_memory_that_there_is);
    RUN(a_read_file_is_found_by_its_etag);
    RUN(what_is_read_goes_along_with_its_name);
    RUN(what_would_not_be_found_is_not_saved);
    RUN(what_has_no_name_yet_is_in_the_state);
    RUN(one_file_of_two_grants_travels);
    RUN(nothing_of_a_state_is_written_to_a_read_only_bucket);
    RUN(a_staged_file_of_a_read_only_grant_is_not_published);
    RUN(a_cut_or_changed_state_is_refused);
    RUN(a_folder_and_a_bucket_are_not_each_other);
    return CHECK_DONE();
}
