#include <sys/socket.h>

#include "cell/wasi/describe.h"
#include "double.h"

/* Saving and restoring. The guest `w` has the folder "grant" as descriptor 3; `other` is restored from it. */

static struct wasi *w;
static struct wasi *other;
static struct buf blob;
static struct error err;
static struct wasi_grant grant;
static struct wasi_config config;

static void begin(void)
{
    static const char *const args[] = {"prog", "", "x y"};
    static const char *const env[] = {"A=1"};
    g_reset();
    scratch_make();
    mkdir(in_scratch("grant"), 0755);
    grant = (struct wasi_grant){strdup(in_scratch("grant")), "/data", false, NULL};
    config = (struct wasi_config){.args = args,
                                  .arg_count = 3,
                                  .env = env,
                                  .env_count = 1,
                                  .grants = &grant,
                                  .grant_count = 1,
                                  .stdio = {0, 1, 2}};
    w = wasi_make(&config);
    other = NULL;
    blob = (struct buf){0};
    err = (struct error){0};
}

static void end(void)
{
    wasi_free(w);
    wasi_free(other);
    buf_done(&blob);
    free((void *)(uintptr_t)grant.host_path);
    scratch_remove();
}

static void save(void)
{
    blob.len = 0;
    status_t st = wasi_save(w, &blob, &err);
    CHECK_EQ(st, ST_OK);
    if (st != ST_OK) {
        fprintf(stderr, "wasi_save: %s\n", err.text);
    }
}

static status_t restore(bool stale_files)
{
    wasi_free(other);
    other = NULL;
    /* Of the exact size, so that a sanitizer sees a read behind the end. */
    uint8_t *copy = malloc(blob.len + 1);
    memcpy(copy, blob.data, blob.len);
    status_t st = wasi_restore(&config, copy, blob.len, stale_files, &other, &err);
    free(copy);
    CHECK_EQ(other != NULL, st == ST_OK);
    return st;
}

static status_t restore_outside(void)
{
    status_t st = restore(false);
    return st == ST_OK ? wasi_restore_outside(other, &err) : st;
}

static void travel(void)
{
    save();
    status_t st = restore(false);
    CHECK_EQ(st, ST_OK);
    if (st != ST_OK) {
        fprintf(stderr, "wasi_restore: %s\n", err.text);
        exit(1);
    }
}

static void check_refused(status_t st, status_t want, const char *text)
{
    CHECK_EQ(st, want);
    if (strstr(err.text, text) == NULL) {
        CHECK_STR(err.text, text);
    }
}

static uint32_t open_file(const char *name, uint32_t oflags, uint64_t rights, uint32_t fdflags)
{
    uint32_t fd;
    CHECK_EQ(g_open(w, 3, 0, name, oflags, rights, fdflags, &fd), WASI_OK);
    return fd;
}

static void read_some(struct wasi *guest, uint32_t fd, uint32_t len, char *text)
{
    uint32_t out = g_alloc(4), data = g_alloc(len);
    CHECK_EQ(wasi_fd_read(NULL, guest, fd, g_iov(data, len), 1, out), WASI_OK);
    uint32_t n = g_u32(out);
    memcpy(text, double_mem + data, n);
    text[n] = '\0';
}

static void host_read_file(const char *path, char text[256])
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, 255);
    CHECK(n >= 0);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

static uint64_t guest_clock(struct wasi *guest, uint32_t id)
{
    uint32_t out = g_alloc(8);
    CHECK_EQ(wasi_clock_time_get(NULL, guest, id, 0, out), WASI_OK);
    return g_u64(out);
}

static int is_open(struct wasi *guest, uint32_t fd)
{
    return wasi_fd_fdstat_get(NULL, guest, fd, g_alloc(FDSTAT_BYTES)) == WASI_OK;
}

/* ---- what travels ---- */

static void arguments_and_environment_are_the_saved_ones(void)
{
    static const char *const args[] = {"another"};
    begin();
    save();
    config.args = args;
    config.arg_count = 1;
    config.cwd = "/elsewhere";
    CHECK_EQ(restore(false), ST_OK);
    CHECK_EQ(other->args.count, 3);
    CHECK_EQ(other->args.bytes, 5 + 1 + 4);
    CHECK_STR(other->args.items[0], "prog");
    CHECK_STR(other->args.items[1], "");
    CHECK_STR(other->args.items[2], "x y");
    CHECK_EQ(other->env.count, 2);
    CHECK_STR(other->env.items[0], "A=1");
    CHECK_STR(other->env.items[1], "PWD=/data");
    end();
}

static void files_go_on_at_their_offsets(void)
{
    char text[256];
    uint32_t n;
    begin();
    host_write_file(in_scratch("grant/in"), "abcdefgh");
    uint32_t in = open_file("in", 0, READ_RIGHTS, 0);
    uint32_t out = open_file("out", OFLAG_CREAT, FILE_RW, 0);
    read_some(w, in, 3, text);
    CHECK_EQ(g_write(w, out, "123456", &n), WASI_OK);
    CHECK_EQ(wasi_fd_seek(NULL, w, out, 2, WHENCE_SET, g_alloc(8)), WASI_OK);
    travel();
    CHECK_EQ(g_read(other, in, text), WASI_OK);
    CHECK_STR(text, "defgh");
    CHECK_EQ(g_write(other, out, "xy", &n), WASI_OK);
    host_read_file(in_scratch("grant/out"), text);
    CHECK_STR(text, "12xy56");
    CHECK_EQ(g_write(other, in, "x", &n), WASI_BADF);
    end();
}

static void flags_and_rights_travel(void)
{
    char text[256];
    uint32_t n, stat = g_alloc(FDSTAT_BYTES);
    begin();
    uint32_t fd = open_file("log", OFLAG_CREAT, RIGHT_FD_WRITE | RIGHT_FD_TELL, FDFLAG_APPEND);
    CHECK_EQ(g_write(w, fd, "one ", &n), WASI_OK);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, w, 0, FDFLAG_NONBLOCK), WASI_OK);
    travel();
    host_write_file(in_scratch("grant/log"), "one and more ");
    CHECK_EQ(g_write(other, fd, "two", &n), WASI_OK);
    host_read_file(in_scratch("grant/log"), text);
    CHECK_STR(text, "one and more two");
    CHECK_EQ(wasi_fd_fdstat_get(NULL, other, fd, stat), WASI_OK);
    CHECK_EQ(get_le16(double_mem + stat + 2), FDFLAG_APPEND);
    CHECK_EQ(g_u64(stat + 8), RIGHT_FD_WRITE | RIGHT_FD_TELL);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, other, 0, stat), WASI_OK);
    CHECK_EQ(get_le16(double_mem + stat + 2), FDFLAG_NONBLOCK);
    CHECK_EQ(wasi_fd_fdstat_set_rights(NULL, other, fd, RIGHTS_REGULAR, 0), WASI_NOTCAPABLE);
    end();
}

static void directories_open_and_resolve_beneath_themselves(void)
{
    uint32_t fd, sub;
    begin();
    mkdir(in_scratch("grant/sub"), 0755);
    host_write_file(in_scratch("grant/sub/f"), "f");
    host_write_file(in_scratch("grant/g"), "g");
    CHECK_EQ(g_open(w, 3, 0, "sub", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &sub), WASI_OK);
    travel();
    CHECK_EQ(g_open(other, sub, 0, "f", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    CHECK_EQ(g_open(other, sub, 0, "../g", 0, READ_RIGHTS, 0, &fd), WASI_NOTCAPABLE);
    CHECK_EQ(g_open(other, 3, 0, "sub/f", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    uint32_t prestat = g_alloc(PRESTAT_BYTES);
    CHECK_EQ(wasi_fd_prestat_get(NULL, other, 3, prestat), WASI_OK);
    CHECK_EQ(g_u32(prestat + 4), 5);
    CHECK_EQ(wasi_fd_prestat_get(NULL, other, sub, prestat), WASI_BADF);
    end();
}

static void numbers_stay_also_renumbered_and_closed_ones(void)
{
    char text[256];
    uint32_t fd, n;
    int ends[2];
    begin();
    CHECK_EQ(pipe(ends), 0);
    config.stdio[1] = ends[1];
    host_write_file(in_scratch("grant/in"), "abc");
    for (uint32_t i = 4; i < 40; i++) {
        CHECK_EQ(open_file("in", 0, READ_RIGHTS, 0), i);
    }
    CHECK_EQ(wasi_fd_renumber(NULL, w, 1, 30), WASI_OK);
    CHECK_EQ(wasi_fd_renumber(NULL, w, 3, 20), WASI_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, 0), WASI_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, 10), WASI_OK);
    travel();
    for (uint32_t i = 0; i < 42; i++) {
        CHECK_EQ(is_open(other, i), is_open(w, i));
    }
    CHECK_EQ(g_write(other, 30, "out", &n), WASI_OK);
    CHECK_EQ(read(ends[0], text, sizeof(text)), 3);
    uint32_t want[] = {0, 1, 3, 10, 40, 41};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        CHECK_EQ(g_open(other, 20, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_OK);
        CHECK_EQ(fd, want[i]);
    }
    CHECK_EQ(other->files.open_count, w->files.open_count + 6);
    close(ends[0]);
    close(ends[1]);
    end();
}

static void output_so_far_counts_against_the_limit(void)
{
    uint32_t n;
    int ends[2];
    begin();
    CHECK_EQ(pipe(ends), 0);
    config.stdio[1] = ends[1];
    config.output_bytes_max = 10;
    wasi_free(w);
    w = wasi_make(&config);
    CHECK_EQ(g_write(w, 1, "1234567", &n), WASI_OK);
    travel();
    CHECK_EQ(g_write(other, 1, "1234567", &n), WASI_OK);
    CHECK_EQ(n, 3);
    close(ends[0]);
    close(ends[1]);
    end();
}

static void standard_input_goes_on_where_a_file_was_read_to(void)
{
    char text[256];
    begin();
    host_write_file(in_scratch("input"), "abcdefgh");
    config.stdio[0] = open(in_scratch("input"), O_RDONLY);
    wasi_free(w);
    w = wasi_make(&config);
    read_some(w, 0, 3, text);
    save();
    close(config.stdio[0]);
    config.stdio[0] = open(in_scratch("input"), O_RDONLY);
    CHECK_EQ(restore_outside(), ST_OK);
    CHECK_EQ(g_read(other, 0, text), WASI_OK);
    CHECK_STR(text, "defgh");
    close(config.stdio[0]);
    end();
}

static void a_state_that_was_restored_is_saved_alike(void)
{
    struct buf first;
    char text[256];
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    read_some(w, open_file("in", 0, READ_RIGHTS, 0), 2, text);
    travel();
    first = blob;
    blob = (struct buf){0};
    CHECK_EQ(wasi_save(other, &blob, &err), ST_OK);
    CHECK_EQ(blob.len, first.len);
    /* All but the clocks in the head. */
    CHECK(memcmp(blob.data + 48, first.data + 48, first.len - 48) == 0);
    buf_done(&first);
    end();
}

static void a_renamed_file_is_found_under_its_new_name(void)
{
    char text[256];
    begin();
    host_write_file(in_scratch("grant/new"), "abc");
    uint32_t fd = open_file("new", 0, READ_RIGHTS, 0);
    CHECK_EQ(rename(in_scratch("grant/new"), in_scratch("grant/final")), 0);
    host_write_file(in_scratch("grant/new"), "another");
    travel();
    CHECK_EQ(g_read(other, fd, text), WASI_OK);
    CHECK_STR(text, "abc");
    end();
}

/* ---- directories ---- */

enum { FILES = 500 };

static void make_files(const char *dir, int from, int to, int step)
{
    for (int i = from; i != to; i += step) {
        char name[64];
        snprintf(name, sizeof(name), "%s/file-%d", dir, i);
        host_write_file(in_scratch(name), "");
    }
}

/* Read entries once; counts each file in seen. *cookie moves behind the last whole one. False at the end. */
static bool read_dir(struct wasi *guest, uint32_t fd, uint32_t cap, uint64_t *cookie,
                     uint8_t seen[FILES])
{
    uint32_t brk = double_brk, pos = 0;
    uint32_t buf = g_alloc(cap), out = g_alloc(4);
    CHECK_EQ(wasi_fd_readdir(NULL, guest, fd, buf, cap, *cookie, out), WASI_OK);
    uint32_t used = g_u32(out);
    while (used - pos >= DIRENT_BYTES && used - pos - DIRENT_BYTES >= g_u32(buf + pos + 16)) {
        char name[256] = {0};
        int number;
        memcpy(name, double_mem + buf + pos + DIRENT_BYTES, g_u32(buf + pos + 16));
        if (sscanf(name, "file-%d", &number) == 1 && number < FILES) {
            seen[number]++;
        }
        *cookie = g_u64(buf + pos);
        pos += DIRENT_BYTES + g_u32(buf + pos + 16);
    }
    double_brk = brk;
    return used == cap;
}

static void read_to_the_end(struct wasi *guest, uint64_t cookie, uint8_t seen[FILES])
{
    while (read_dir(guest, 3, 400, &cookie, seen)) {
    }
}

static void check_seen(const uint8_t seen[FILES], int from)
{
    for (int i = from; i < FILES; i++) {
        CHECK_EQ(seen[i], 1);
    }
}

static void a_half_read_directory_is_read_to_its_end_once(void)
{
    uint8_t seen[FILES] = {0};
    uint64_t cookie = 0;
    begin();
    make_files("grant", 0, FILES, 1);
    for (int i = 0; i < 20; i++) {
        read_dir(w, 3, 300, &cookie, seen);
    }
    travel();
    read_to_the_end(other, cookie, seen);
    check_seen(seen, 0);
    end();
}

static void so_it_is_where_the_directory_has_another_order(void)
{
    uint8_t seen[FILES] = {0};
    uint64_t cookie = 0;
    begin();
    make_files("grant", 0, FILES, 1);
    mkdir(in_scratch("copy"), 0755);
    make_files("copy", FILES - 1, -1, -1);
    for (int i = 0; i < 20; i++) {
        read_dir(w, 3, 300, &cookie, seen);
    }
    save();
    free((void *)(uintptr_t)grant.host_path);
    grant.host_path = strdup(in_scratch("copy"));
    CHECK_EQ(restore(false), ST_OK);
    read_dir(other, 3, 300, &cookie, seen);
    /* Once more, in the middle of what was restored. */
    CHECK_EQ(wasi_save(other, (blob.len = 0, &blob), &err), ST_OK);
    CHECK_EQ(restore(false), ST_OK);
    read_to_the_end(other, cookie, seen);
    check_seen(seen, 0);
    end();
}

static void remove_seen(const uint8_t seen[FILES])
{
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof(name), "grant/file-%d", i);
        if (seen[i] != 0) {
            unlink(in_scratch(name));
        }
    }
}

static void so_it_is_when_what_was_read_is_removed_and_what_follows_it(void)
{
    uint8_t seen[FILES] = {0}, next[FILES] = {0};
    uint64_t cookie = 0;
    begin();
    make_files("grant", 0, FILES, 1);
    for (int i = 0; i < 20; i++) {
        read_dir(w, 3, 300, &cookie, seen);
    }
    /* The place itself is of no entry any more. */
    uint64_t ahead = cookie;
    read_dir(w, 3, 200, &ahead, next);
    remove_seen(seen);
    remove_seen(next);
    travel();
    read_to_the_end(other, cookie, seen);
    for (int i = 0; i < FILES; i++) {
        CHECK_EQ(seen[i] + next[i], 1);
    }
    end();
}

static void what_is_removed_meanwhile_is_not_listed_and_a_new_start_lists_what_is_there(void)
{
    uint8_t seen[FILES] = {0}, again[FILES] = {0};
    uint64_t cookie = 0;
    begin();
    make_files("grant", 1, FILES, 1);
    while (seen[2] == 0) {
        read_dir(w, 3, 300, &cookie, seen);
    }
    travel();
    for (int i = 3; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof(name), "grant/file-%d", i);
        if (seen[i] == 0) {
            unlink(in_scratch(name));
        }
    }
    make_files("grant", 0, 1, 1);
    memset(seen, 0, sizeof(seen));
    read_to_the_end(other, cookie, seen);
    CHECK_EQ(memchr(seen + 3, 1, FILES - 3) != NULL, 0);
    read_to_the_end(other, 0, again);
    CHECK_EQ(again[0], 1);
    CHECK_EQ(again[2], 1);
    end();
}

/* ---- what does not travel ---- */

static void a_file_that_was_removed_is_refused_by_name(void)
{
    begin();
    buf_bytes(&blob, "before", 6);
    host_write_file(in_scratch("grant/gone"), "abc");
    CHECK_EQ(open_file("gone", 0, READ_RIGHTS, 0), 4);
    unlink(in_scratch("grant/gone"));
    check_refused(wasi_save(w, &blob, &err), ST_UNSUPPORTED,
                  "descriptor 4: /data/gone has no name any more");
    CHECK_EQ(blob.len, 6);
    CHECK_EQ(wasi_fd_close(NULL, w, 4), WASI_OK);
    travel();
    end();
}

static void pipes_and_connections_are_refused_by_name(void)
{
    int pair[2];
    int errnum;
    uint32_t fd;
    begin();
    CHECK_EQ(mkfifo(in_scratch("grant/fifo"), 0644), 0);
    int keep = open(in_scratch("grant/fifo"), O_RDWR);
    CHECK_EQ(open_file("fifo", 0, READ_RIGHTS, 0), 4);
    check_refused(wasi_save(w, &blob, &err), ST_UNSUPPORTED,
                  "descriptor 4: a named pipe cannot travel");
    CHECK_EQ(wasi_fd_close(NULL, w, 4), WASI_OK);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(fdtable_add(&w->files, file_new(pair[0], false, &errnum), &fd), WASI_OK);
    check_refused(wasi_save(w, &blob, &err), ST_UNSUPPORTED,
                  "descriptor 4: a connected socket cannot travel");
    close(pair[1]);
    close(keep);
    end();
}

static int make_listener(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(listen(fd, 1), 0);
    return fd;
}

static void listening_sockets_are_those_that_are_handed_in(void)
{
    int errnum;
    uint32_t fd;
    int listeners[2];
    begin();
    listeners[0] = make_listener();
    listeners[1] = make_listener();
    config.listen = listeners;
    config.listen_count = 2;
    wasi_free(w);
    w = wasi_make(&config);
    CHECK_EQ(wasi_fd_close(NULL, w, 4), WASI_OK);
    travel();
    CHECK(!is_open(other, 4));
    struct file_use u;
    CHECK_EQ(fdtable_use(&other->files, 5, RIGHT_SOCK_ACCEPT, &u), WASI_OK);
    CHECK_EQ(u.file->host_fd, listeners[1]);
    file_put(&other->files, &u);
    config.listen_count = 1;
    check_refused(restore(true), ST_UNSUPPORTED, "descriptor 5: listening socket 2 is not given");
    CHECK_EQ(fdtable_add(&w->files, file_new(make_listener(), false, &errnum), &fd), WASI_OK);
    check_refused(wasi_save(w, &blob, &err), ST_UNSUPPORTED, "descriptor 4: a listening socket");
    close(listeners[0]);
    close(listeners[1]);
    end();
}

static void set_mtime(const char *path, time_t s)
{
    struct timespec times[2] = {{.tv_sec = s}, {.tv_sec = s}};
    CHECK_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_changed_file_is_refused_unless_stale_files_are_taken(void)
{
    char text[256];
    begin();
    host_write_file(in_scratch("grant/in"), "abcdef");
    set_mtime(in_scratch("grant/in"), 1000);
    uint32_t fd = open_file("in", 0, READ_RIGHTS, 0);
    read_some(w, fd, 2, text);
    save();
    set_mtime(in_scratch("grant/in"), 1001);
    check_refused(restore(false), ST_NOTFOUND, "descriptor 4: /data/in changed");
    host_write_file(in_scratch("grant/in"), "ABCDEFG");
    set_mtime(in_scratch("grant/in"), 1000);
    check_refused(restore(false), ST_NOTFOUND, "descriptor 4: /data/in changed");
    CHECK_EQ(restore(true), ST_OK);
    CHECK_EQ(g_read(other, fd, text), WASI_OK);
    CHECK_STR(text, "CDEFG");
    end();
}

static void a_file_only_written_may_have_grown_but_not_shrunk(void)
{
    char text[256];
    uint32_t n;
    begin();
    uint32_t fd = open_file("out", OFLAG_CREAT, RIGHTS_REGULAR & ~RIGHT_FD_READ, 0);
    CHECK_EQ(g_write(w, fd, "123", &n), WASI_OK);
    save();
    host_write_file(in_scratch("grant/out"), "abcdef");
    CHECK_EQ(restore(false), ST_OK);
    CHECK_EQ(g_write(other, fd, "45", &n), WASI_OK);
    host_read_file(in_scratch("grant/out"), text);
    CHECK_STR(text, "abc45f");
    host_write_file(in_scratch("grant/out"), "ab");
    check_refused(restore(false), ST_NOTFOUND, "descriptor 4: /data/out changed");
    end();
}

/* What thaw --output does. */
static void standard_output_is_cut_when_nothing_else_can_fail(void)
{
    char text[256];
    uint32_t n;
    begin();
    host_write_file(in_scratch("output"), "");
    wasi_free(w);
    config.stdio[1] = open(in_scratch("output"), O_WRONLY | O_CLOEXEC);
    w = wasi_make(&config);
    CHECK_EQ(g_write(w, 1, "then", &n), WASI_OK);
    save();
    CHECK_EQ(g_write(w, 1, " and on", &n), WASI_OK);
    close(config.stdio[1]);
    config.stdio[1] = open(in_scratch("output"), O_WRONLY | O_CLOEXEC);
    config.output_named = true;
    CHECK_EQ(restore(false), ST_OK);
    host_read_file(in_scratch("output"), text);
    CHECK_STR(text, "then and on");
    CHECK_EQ(lseek(config.stdio[1], 0, SEEK_CUR), 0);
    CHECK_EQ(wasi_restore_outside(other, &err), ST_OK);
    host_read_file(in_scratch("output"), text);
    CHECK_STR(text, "then");
    CHECK_EQ(g_write(other, 1, " again", &n), WASI_OK);
    host_read_file(in_scratch("output"), text);
    CHECK_STR(text, "then again");
    host_write_file(in_scratch("output"), "the");
    check_refused(restore(false), ST_NOTFOUND, "standard output has 3 bytes, and had 4");
    close(config.stdio[1]);
    end();
}

/* Of a copy nothing has to be cut, and a new file is empty. */
static void another_file_is_not_cut(void)
{
    char text[256];
    uint32_t n;
    begin();
    host_write_file(in_scratch("output"), "");
    host_write_file(in_scratch("precious"), "precious");
    host_write_file(in_scratch("copy"), "then");
    wasi_free(w);
    config.stdio[1] = open(in_scratch("output"), O_WRONLY | O_CLOEXEC);
    w = wasi_make(&config);
    CHECK_EQ(g_write(w, 1, "then", &n), WASI_OK);
    save();
    close(config.stdio[1]);
    config.output_named = true;
    config.stdio[1] = open(in_scratch("precious"), O_WRONLY | O_CLOEXEC);
    CHECK_EQ(wasi_restore_check(&config, blob.data, blob.len, false, false, &err), ST_INVALID);
    CHECK_EQ(wasi_restore_check(&config, blob.data, blob.len, false, true, &err), ST_OK);
    check_refused(restore(false), ST_INVALID, "is not the file that it went to");
    host_read_file(in_scratch("precious"), text);
    CHECK_STR(text, "precious");
    CHECK_EQ(restore(true), ST_OK);
    CHECK_EQ(wasi_restore_outside(other, &err), ST_OK);
    host_read_file(in_scratch("precious"), text);
    CHECK_STR(text, "prec");
    close(config.stdio[1]);
    config.stdio[1] = open(in_scratch("copy"), O_WRONLY | O_CLOEXEC);
    CHECK_EQ(restore(false), ST_OK);
    close(config.stdio[1]);
    end();
}

static void a_missing_file_is_refused_or_becomes_a_number_without_rights(void)
{
    char text[256];
    uint32_t fd;
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    CHECK_EQ(open_file("in", 0, READ_RIGHTS, 0), 4);
    save();
    unlink(in_scratch("grant/in"));
    check_refused(restore(false), ST_NOTFOUND, "descriptor 4: /data/in is not there");
    mkdir(in_scratch("grant/in"), 0755);
    check_refused(restore(false), ST_NOTFOUND, "descriptor 4: /data/in is another type of file");
    CHECK_EQ(restore(true), ST_OK);
    CHECK_EQ(g_read(other, 4, text), WASI_BADF);
    CHECK_EQ(g_open(other, 3, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    CHECK_EQ(fd, 5);
    CHECK_EQ(wasi_save(other, (blob.len = 0, &blob), &err), ST_OK);
    CHECK_EQ(restore(false), ST_OK);
    CHECK_EQ(g_read(other, 4, text), WASI_BADF);
    CHECK_EQ(wasi_fd_close(NULL, other, 4), WASI_OK);
    end();
}

static status_t check(bool stale_files)
{
    return wasi_restore_check(&config, blob.data, blob.len, stale_files, false, &err);
}

/* Of a checkpoint, before its files are brought back. */
static void a_check_looks_at_all_but_the_files(void)
{
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    CHECK_EQ(open_file("in", 0, READ_RIGHTS, 0), 4);
    save();
    host_write_file(in_scratch("grant/in"), "changed");
    CHECK_EQ(check(false), ST_OK);
    unlink(in_scratch("grant/in"));
    CHECK_EQ(check(false), ST_OK);
    config.open_files_max = 4;
    check_refused(check(false), ST_LIMIT, "more open files than allowed");
    config.open_files_max = 5;
    grant.guest_path = "/elsewhere";
    check_refused(check(false), ST_NOTFOUND, "descriptor 3: /data is not granted");
    CHECK_EQ(check(true), ST_OK);
    blob.len--;
    check_refused(check(true), ST_CORRUPT, "WASI state");
    end();
}

static void a_missing_grant_is_refused_or_lost(void)
{
    uint32_t fd;
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    CHECK_EQ(open_file("in", 0, READ_RIGHTS, 0), 4);
    save();
    grant.guest_path = "/elsewhere";
    check_refused(restore(false), ST_NOTFOUND, "descriptor 3: /data is not granted");
    CHECK_EQ(restore(true), ST_OK);
    CHECK_EQ(g_open(other, 3, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_NOTDIR);
    CHECK(is_open(other, 4));
    uint32_t prestat = g_alloc(PRESTAT_BYTES);
    CHECK_EQ(wasi_fd_prestat_get(NULL, other, 3, prestat), WASI_OK);
    end();
}

static void grants_are_matched_by_guest_path(void)
{
    char text[256];
    begin();
    mkdir(in_scratch("second"), 0755);
    host_write_file(in_scratch("second/in"), "abc");
    struct wasi_grant second = {in_scratch("second"), "/second", false, NULL};
    struct wasi_grant forth[] = {grant, second}, back[] = {second, grant};
    config.grants = forth;
    config.grant_count = 2;
    wasi_free(w);
    w = wasi_make(&config);
    uint32_t fd;
    CHECK_EQ(g_open(w, 4, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    config.grants = back;
    travel();
    CHECK_EQ(g_read(other, fd, text), WASI_OK);
    CHECK_STR(text, "abc");
    CHECK_EQ(g_open(other, 4, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    end();
}

static void a_slash_behind_the_name_of_a_saved_grant_is_none_of_it(void)
{
    uint32_t fd;
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    grant.guest_path = "/data/";
    wasi_free(w);
    w = wasi_make(&config);
    save();
    grant.guest_path = "/data";
    CHECK_EQ(restore(false), ST_OK);
    CHECK_EQ(g_open(other, 3, 0, "in", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    end();
}

static void two_grants_of_one_name_are_matched_by_number(void)
{
    char text[256];
    uint32_t first, second;
    begin();
    mkdir(in_scratch("second"), 0755);
    host_write_file(in_scratch("grant/in"), "abc");
    host_write_file(in_scratch("second/in"), "xyz");
    struct wasi_grant twins[] = {grant, {in_scratch("second"), "/data", false, NULL}, grant};
    twins[2].guest_path = "/third";
    config.grants = twins;
    config.grant_count = 3;
    wasi_free(w);
    w = wasi_make(&config);
    CHECK_EQ(g_open(w, 3, 0, "in", 0, READ_RIGHTS, 0, &first), WASI_OK);
    CHECK_EQ(g_open(w, 4, 0, "in", 0, READ_RIGHTS, 0, &second), WASI_OK);
    travel();
    CHECK_EQ(g_read(other, second, text), WASI_OK);
    CHECK_STR(text, "xyz");
    CHECK_EQ(g_read(other, first, text), WASI_OK);
    CHECK_STR(text, "abc");
    twins[1].guest_path = "/third";
    twins[2].guest_path = "/data";
    check_refused(restore(true), ST_INVAL, "would both be '/data'");
    twins[1].guest_path = "/second";
    twins[2].guest_path = "/second";
    check_refused(restore(true), ST_INVAL, "would both be '/second'");
    end();
}

static void a_folder_that_is_read_only_here_refuses_files_open_for_writing(void)
{
    uint32_t fd;
    begin();
    CHECK_EQ(open_file("out", OFLAG_CREAT, FILE_RW, 0), 4);
    save();
    grant.read_only = true;
    check_refused(restore(true), ST_PERM, "descriptor 4: /data/out was open for writing");
    CHECK_EQ(wasi_fd_close(NULL, w, 4), WASI_OK);
    travel();
    CHECK_EQ(g_open(other, 3, 0, "out", 0, FILE_RW, 0, &fd), WASI_ROFS);
    end();
}

static void what_was_read_only_stays_so(void)
{
    uint32_t fd;
    begin();
    grant.read_only = true;
    wasi_free(w);
    w = wasi_make(&config);
    save();
    grant.read_only = false;
    CHECK_EQ(restore(false), ST_OK);
    CHECK_EQ(g_open(other, 3, 0, "new", OFLAG_CREAT, FILE_RW, 0, &fd), WASI_ROFS);
    end();
}

static void the_limits_of_this_guest_hold(void)
{
    begin();
    host_write_file(in_scratch("grant/in"), "abc");
    CHECK_EQ(open_file("in", 0, READ_RIGHTS, 0), 4);
    save();
    config.open_files_max = 4;
    check_refused(restore(false), ST_LIMIT, "more open files than allowed");
    end();
}

/* ---- clocks ---- */

static void monotonic_and_cpu_time_go_on_and_never_back(void)
{
    begin();
    w->monotonic_shift_ns = UINT64_C(1) << 60; /* a host that has been up for longer */
    w->cpu_shift_ns = UINT64_C(1) << 50;
    uint64_t before = guest_clock(w, WASI_CLOCK_MONOTONIC);
    uint64_t cpu = guest_clock(w, WASI_CLOCK_PROCESS);
    travel();
    uint64_t after = guest_clock(other, WASI_CLOCK_MONOTONIC);
    CHECK(after >= before && after - before < UINT64_C(10000000000));
    CHECK(guest_clock(other, WASI_CLOCK_PROCESS) >= cpu);
    CHECK(guest_clock(other, WASI_CLOCK_THREAD) >= cpu);
    /* A host that has been up for a shorter time. */
    w->monotonic_shift_ns = 0 - (guest_clock(w, WASI_CLOCK_MONOTONIC) - w->monotonic_shift_ns - 5);
    travel();
    CHECK(guest_clock(other, WASI_CLOCK_MONOTONIC) < UINT64_C(10000000000));
    end();
}

static void absolute_waits_are_on_the_guests_clock(void)
{
    struct wasi guest = {.monotonic_shift_ns = 1000};
    CHECK_EQ(clock_host_deadline_ns(&guest, 5000), 4000);
    CHECK_EQ(clock_host_deadline_ns(&guest, 500), 0);
    CHECK_EQ(clock_host_deadline_ns(&guest, 1000), 0);
    guest.monotonic_shift_ns = 0 - UINT64_C(1000);
    CHECK_EQ(clock_host_deadline_ns(&guest, 5000), 6000);
    CHECK_EQ(clock_host_deadline_ns(&guest, UINT64_MAX - 10), (int64_t)UINT64_MAX);
}

static void a_wait_until_a_time_ends_at_that_time_also_behind_a_restore(void)
{
    begin();
    w->monotonic_shift_ns = UINT64_C(1) << 60;
    travel();
    uint32_t sub = g_alloc(SUBSCRIPTION_BYTES), event = g_alloc(EVENT_BYTES), out = g_alloc(4);
    uint64_t until = guest_clock(other, WASI_CLOCK_MONOTONIC) + 20000000;
    memset(double_mem + sub, 0, SUBSCRIPTION_BYTES);
    put_le32(double_mem + sub + 16, WASI_CLOCK_MONOTONIC);
    put_le64(double_mem + sub + 24, until);
    put_le16(double_mem + sub + 40, SUBCLOCK_ABSTIME);
    CHECK_EQ(wasi_poll_oneoff(NULL, other, sub, event, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), 1);
    CHECK(guest_clock(other, WASI_CLOCK_MONOTONIC) >= until);
    end();
}

/* ---- bytes from anywhere ---- */

/* A guest with one of everything. */
static void make_all(void)
{
    uint64_t cookie = 0;
    uint8_t seen[FILES];
    uint32_t fd;
    begin();
    make_files("grant", 0, 6, 1);
    mkdir(in_scratch("grant/sub"), 0755);
    CHECK_EQ(g_open(w, 3, 0, "sub", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &fd), WASI_OK);
    open_file("file-1", 0, READ_RIGHTS, 0);
    open_file("file-2", 0, FILE_RW, FDFLAG_APPEND);
    read_dir(w, 3, 100, &cookie, seen);
    save();
}

static void a_state_describes_arguments_folders_and_files(void)
{
    struct wasi_saved d = {0};
    make_all();
    CHECK_EQ(wasi_describe(blob.data, blob.len, &d, &err), ST_OK);
    CHECK_EQ(d.arg_count, 3);
    CHECK_STR(d.args[2], "x y");
    CHECK_EQ(d.env_count, 2);
    CHECK_STR(d.env[0], "A=1");
    CHECK_EQ(d.grant_count, 1);
    CHECK_STR(d.grants[0].guest_path, "/data");
    CHECK(d.grants[0].needed && !d.grants[0].read_only);
    CHECK_EQ(d.listen_needed, 0);
    CHECK_EQ(d.file_count, 7);
    CHECK(d.files[3].is_grant && d.files[3].kind == WASI_SAVED_FOLDER);
    CHECK_STR(d.files[4].path, "/data/sub");
    CHECK_STR(d.files[6].path, "/data/file-2");
    CHECK(d.files[6].appends && d.files[6].reads && d.files[6].writes && !d.files[5].writes);
    CHECK_EQ(d.files[6].fd, 6);
    wasi_saved_done(&d);
    end();
}

static void every_shorter_state_is_not_described(void)
{
    make_all();
    for (size_t cut = 0; cut < blob.len; cut++) {
        struct wasi_saved d = {.arg_count = 77};
        CHECK_EQ(wasi_describe(blob.data, cut, &d, &err), ST_CORRUPT);
        CHECK_EQ(d.arg_count, 77);
    }
    struct wasi_saved d;
    blob.data[4] = 0x7f; /* its version */
    CHECK_EQ(wasi_describe(blob.data, blob.len, &d, &err), ST_UNSUPPORTED);
    end();
}

static void every_shorter_and_longer_state_is_refused(void)
{
    make_all();
    size_t len = blob.len;
    for (size_t cut = 0; cut < len; cut++) {
        blob.len = cut;
        CHECK_EQ(restore(true), ST_CORRUPT);
        CHECK(strncmp(err.text, "WASI state: ", 12) == 0);
    }
    blob.len = len;
    buf_u8(&blob, 0);
    check_refused(restore(true), ST_CORRUPT, "more bytes than expected");
    blob.len = len;
    CHECK_EQ(restore(true), ST_OK);
    end();
}

static void try_changed(size_t at, uint8_t change)
{
    uint32_t fd;
    blob.data[at] ^= change;
    err = (struct error){0};
    double_brk = DOUBLE_HEAP;
    if (restore((change & 1) != 0) == ST_OK) {
        /* It has no more than was granted. */
        CHECK(g_open(other, 3, 1, "../secret", 0, READ_RIGHTS, 0, &fd) != WASI_OK);
        uint64_t cookie = 0;
        uint8_t seen[FILES];
        if (wasi_fd_readdir(NULL, other, 3, g_alloc(64), 64, 0, g_alloc(4)) == WASI_OK) {
            read_dir(other, 3, 100, &cookie, seen);
        }
    } else {
        CHECK(err.code != ST_OK && err.text[0] != '\0');
    }
    blob.data[at] ^= change;
}

static void every_changed_byte_is_refused_or_harmless(void)
{
    make_all();
    host_write_file(in_scratch("secret"), "secret");
    for (size_t at = 0; at < blob.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            try_changed(at, (uint8_t)(1U << bit));
        }
        try_changed(at, 0xff);
    }
    struct stat st;
    CHECK_EQ(stat(in_scratch("secret"), &st), 0);
    CHECK_EQ(st.st_size, 6);
    end();
}

int main(void)
{
    RUN(arguments_and_environment_are_the_saved_ones);
    RUN(files_go_on_at_their_offsets);
    RUN(flags_and_rights_travel);
    RUN(directories_open_and_resolve_beneath_themselves);
    RUN(numbers_stay_also_renumbered_and_closed_ones);
    RUN(output_so_far_counts_against_the_limit);
    RUN(standard_input_goes_on_where_a_file_was_read_to);
    RUN(a_state_that_was_restored_is_saved_alike);
    RUN(a_renamed_file_is_found_under_its_new_name);
    RUN(a_half_read_directory_is_read_to_its_end_once);
    RUN(so_it_is_where_the_directory_has_another_order);
    RUN(so_it_is_when_what_was_read_is_removed_and_what_follows_it);
    RUN(what_is_removed_meanwhile_is_not_listed_and_a_new_start_lists_what_is_there);
    RUN(a_file_that_was_removed_is_refused_by_name);
    RUN(pipes_and_connections_are_refused_by_name);
    RUN(listening_sockets_are_those_that_are_handed_in);
    RUN(a_changed_file_is_refused_unless_stale_files_are_taken);
    RUN(a_file_only_written_may_have_grown_but_not_shrunk);
    RUN(standard_output_is_cut_when_nothing_else_can_fail);
    RUN(another_file_is_not_cut);
    RUN(a_missing_file_is_refused_or_becomes_a_number_without_rights);
    RUN(a_check_looks_at_all_but_the_files);
    RUN(a_missing_grant_is_refused_or_lost);
    RUN(grants_are_matched_by_guest_path);
    RUN(a_slash_behind_the_name_of_a_saved_grant_is_none_of_it);
    RUN(two_grants_of_one_name_are_matched_by_number);
    RUN(a_folder_that_is_read_only_here_refuses_files_open_for_writing);
    RUN(what_was_read_only_stays_so);
    RUN(the_limits_of_this_guest_hold);
    RUN(monotonic_and_cpu_time_go_on_and_never_back);
    RUN(absolute_waits_are_on_the_guests_clock);
    RUN(a_wait_until_a_time_ends_at_that_time_also_behind_a_restore);
    RUN(a_state_describes_arguments_folders_and_files);
    RUN(every_shorter_state_is_not_described);
    RUN(every_shorter_and_longer_state_is_refused);
    RUN(every_changed_byte_is_refused_or_harmless);
    return CHECK_DONE();
}
