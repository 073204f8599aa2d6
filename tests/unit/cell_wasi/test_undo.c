#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/hash.h"
#include "cell/wasi/undo.h"
#include "double.h"
#include "journal.h"
#include "sys/files.h"

/* Before-images: whatever a guest does to the folder "grant" after a checkpoint in "points" is undone. */

static struct wasi *w;
static struct error err;
static struct wasi_grant grant;
static struct wasi_config config;
static int points_fd;
static uint64_t seed;
static bool far; /* "points" is on another file system, where there is one */
static char far_dir[32];

static void make_points(void)
{
    memcpy(far_dir, "/dev/shm/cell-wasi-XXXXXX", sizeof "/dev/shm/cell-wasi-XXXXXX");
    if (!far || mkdtemp(far_dir) == NULL) {
        far_dir[0] = '\0';
        mkdir(in_scratch("points"), 0700);
    } else {
        CHECK_EQ(symlink(far_dir, in_scratch("points")), 0);
    }
}

static void begin(void)
{
    g_reset();
    scratch_make();
    mkdir(in_scratch("grant"), 0755);
    make_points();
    grant = (struct wasi_grant){strdup(in_scratch("grant")), "/data", false, NULL};
    config = (struct wasi_config){.grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}};
    points_fd = open(in_scratch("points"), O_RDONLY | O_DIRECTORY);
    err = (struct error){0};
    seed = 1;
    w = wasi_make(&config);
}

static void end(void)
{
    wasi_free(w);
    w = NULL;
    close(points_fd);
    free((void *)(uintptr_t)grant.host_path);
    scratch_remove();
    if (far_dir[0] != '\0') {
        nftw(far_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

/* An open file without a name is refused when a cell is saved. */
static void close_what_cannot_travel(void)
{
    struct buf out = {0};
    if (wasi_save(w, &out, NULL) != ST_OK) {
        for (uint32_t fd = 4; fd < 64; fd++) {
            (void)wasi_fd_close(NULL, w, fd);
        }
    }
    buf_done(&out);
}

static void checkpoint(uint32_t number)
{
    close_what_cannot_travel();
    status_t st = wasi_undo_begin(w, points_fd, number, &err);
    CHECK_EQ(st, ST_OK);
    if (st != ST_OK) {
        fprintf(stderr, "wasi_undo_begin: %s\n", err.text);
    }
}

static status_t go_back(uint32_t number)
{
    struct wasi_undo_report report;
    bool output = false;
    int fd = -1;
    wasi_free(w);
    w = NULL;
    err = (struct error){0};
    status_t st = wasi_undo_lock(in_scratch("points"), &fd, &err);
    st = st == ST_OK ? wasi_undo_check(&config, fd, number, &output, &err) : st;
    st = st == ST_OK ? wasi_undo_restore(&config, fd, number, output, &report, &err) : st;
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

static void check_back(uint32_t number)
{
    status_t st = go_back(number);
    CHECK_EQ(st, ST_OK);
    if (st != ST_OK) {
        fprintf(stderr, "wasi_undo_restore: %s\n", err.text);
    }
}

/* ---- what a folder holds, as text ---- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static void describe(const char *path, struct buf *out);

/* Names of files that have several: the first one that was met stands for the file. */
static struct {
    ino_t ino;
    char path[256];
} several[64];
static unsigned several_count;

static const char *first_name(const char *path, const struct stat *st)
{
    unsigned i = 0;
    while (i < several_count && several[i].ino != st->st_ino) {
        i++;
    }
    if (i == several_count && several_count < sizeof several / sizeof several[0]) {
        several[several_count++].ino = st->st_ino;
        snprintf(several[i].path, sizeof several[i].path, "%s", path);
    }
    return several[i].path;
}

static void describe_folder(const char *path, struct buf *out)
{
    struct dirent **list = NULL;
    char sub[4096];
    int n = scandir(path, &list, no_dots, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(sub, sizeof sub, "%s/%s", path, list[i]->d_name);
        describe(sub, out);
        free(list[i]);
    }
    free(list);
}

static void describe(const char *path, struct buf *out)
{
    struct stat st;
    char link[4096];
    struct buf content = {0};
    CHECK_EQ(lstat(path, &st), 0);
    buf_printf(out, "%s %o", path, st.st_mode);
    if (!S_ISDIR(st.st_mode)) {
        buf_printf(out, " %s", first_name(path, &st));
    }
    if (S_ISREG(st.st_mode)) {
        CHECK_EQ(file_read(path, 1 << 30, &content, NULL), ST_OK);
        buf_printf(out, " %zu %llx %lld.%ld", content.len,
                   (unsigned long long)hash_xxh3(content.data, content.len),
                   (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    } else if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(path, link, sizeof link - 1);
        buf_printf(out, " -> %.*s", n < 0 ? 0 : (int)n, link);
    }
    buf_printf(out, "\n");
    buf_done(&content);
    if (S_ISDIR(st.st_mode)) {
        describe_folder(path, out);
    }
}

static char *describe_grant(void)
{
    struct buf out = {0};
    several_count = 0;
    describe(grant.host_path, &out);
    buf_u8(&out, 0);
    return (char *)out.data;
}

static void check_same(char *before)
{
    char *now = describe_grant();
    CHECK_EQ(strcmp(before, now), 0);
    if (strcmp(before, now) != 0) {
        fprintf(stderr, "seed %llu, was:\n%sis:\n%s", (unsigned long long)seed, before, now);
    }
    free(now);
}

/* ---- a guest at random ---- */

static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static const char *any_name(void)
{
    static const char *const names[] = {"a",   "b",   "c",     "d",    "d/a",    "d/b", "e",
                                        "e/a", "e/f", "e/f/a", "link", "d/../a", "b/",  "e/f/../b"};
    return names[any(sizeof names / sizeof names[0])];
}

static void any_bytes(uint32_t fd)
{
    static char text[300001];
    uint32_t n, len = any(4) == 0 ? any(300000) : any(100);
    memset(text, 'a' + (int)any(26), len);
    text[len] = '\0';
    uint32_t data = g_put(text, len);
    if (any(2) == 0) {
        (void)wasi_fd_seek(NULL, w, fd, any(400000), WHENCE_SET, g_alloc(8));
    }
    if (any(3) == 0) {
        n = g_alloc(4);
        (void)wasi_fd_pwrite(NULL, w, fd, g_iov(data, len), 1, any(300000), n);
    } else {
        n = g_alloc(4);
        (void)wasi_fd_write(NULL, w, fd, g_iov(data, len), 1, n);
    }
}

static void any_file_change(uint32_t fd)
{
    for (uint32_t i = any(4); i > 0; i--) {
        switch (any(6)) {
        case 0:
            (void)wasi_fd_filestat_set_size(NULL, w, fd, any(400000));
            break;
        case 1:
            (void)wasi_fd_allocate(NULL, w, fd, any(200000), any(200000));
            break;
        case 2:
            (void)wasi_fd_filestat_set_times(NULL, w, fd, 0, 12345678900 + any(100), 4);
            break;
        default:
            any_bytes(fd);
            break;
        }
    }
}

static void any_change(void)
{
    uint32_t fd;
    double_brk = DOUBLE_HEAP;
    const char *name = any_name(), *other = any_name();
    switch (any(12)) {
    case 0:
        (void)wasi_path_create_directory(NULL, w, 3, G_PATH(name));
        break;
    case 1:
        (void)wasi_path_remove_directory(NULL, w, 3, G_PATH(name));
        break;
    case 2:
        (void)wasi_path_unlink_file(NULL, w, 3, G_PATH(name));
        break;
    case 3:
    case 4:
        (void)wasi_path_rename(NULL, w, 3, G_PATH(name), 3, G_PATH(other));
        break;
    case 5:
        (void)wasi_path_link(NULL, w, 3, 0, G_PATH(name), 3, G_PATH(other));
        break;
    case 6:
        (void)wasi_path_symlink(NULL, w, G_PATH(name), 3, G_PATH(other));
        break;
    case 7: /* stays open */
        if (fdtable_use(&w->files, 40, 0, &(struct file_use){0}) != WASI_OK) {
            (void)g_open(w, 3, 0, name, OFLAG_CREAT, FILE_RW, 0, &fd);
        }
        break;
    case 8: {
        uint32_t fds = 4 + any(8);
        any_file_change(fds);
        if (any(3) == 0) {
            (void)wasi_fd_close(NULL, w, fds);
        }
        break;
    }
    default:
        if (g_open(w, 3, any(2), name,
                   (uint16_t)(any(2) * OFLAG_CREAT | any(3) / 2 * OFLAG_TRUNC |
                              any(5) / 4 * OFLAG_EXCL),
                   any(2) ? FILE_RW : FILE_RW & ~RIGHT_FD_READ, (uint16_t)(any(2) * FDFLAG_APPEND),
                   &fd) == WASI_OK) {
            any_file_change(fd);
            (void)wasi_fd_close(NULL, w, fd);
        }
        break;
    }
}

static void any_changes(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        any_change();
    }
}

/* ---- facts ---- */

static void write_text(const char *name, uint16_t oflags, const char *text)
{
    uint32_t fd, n;
    CHECK_EQ(g_open(w, 3, 0, name, oflags, FILE_RW, 0, &fd), WASI_OK);
    CHECK_EQ(g_write(w, fd, text, &n), WASI_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
}

static void overwritten_and_appended_bytes_are_undone(void)
{
    uint32_t fd, n;
    write_text("f", OFLAG_CREAT, "hello world");
    checkpoint(1);
    char *was = describe_grant();
    CHECK_EQ(g_open(w, 3, 0, "f", 0, FILE_RW, 0, &fd), WASI_OK);
    CHECK_EQ(g_write(w, fd, "HELLO", &n), WASI_OK);
    CHECK_EQ(g_write(w, fd, " and much more", &n), WASI_OK);
    check_back(1);
    check_same(was);
    free(was);
}

static void whatever_a_guest_does_is_undone_to_any_checkpoint(void)
{
    for (uint64_t round = 1; round <= 60; round++) {
        char *was[4];
        end();
        begin();
        seed = round;
        any_changes(30);
        for (uint32_t i = 1; i <= 3; i++) {
            was[i] = describe_grant();
            checkpoint(i);
            any_changes(40);
            CHECK(wasi_undo_lost(w) == NULL);
        }
        uint32_t first = 1 + any(3);
        check_back(first);
        check_same(was[first]);
        if (first >
            1) { /* further back from there, and the checkpoint gone back to is good again */
            w = wasi_make(&config);
            CHECK_EQ(wasi_undo_resume(w, dup(points_fd), first, &err), ST_OK);
            any_changes(20);
            CHECK_EQ(go_back(first), ST_OK);
            check_same(was[first]);
            check_back(first - 1);
            check_same(was[first - 1]);
        }
        for (uint32_t i = 1; i <= 3; i++) {
            free(was[i]);
        }
    }
}

/* Killed at its nth system call, once more with more of them, until it gets through. */
static bool restore_killed_after(uint32_t number, unsigned calls)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(go_back(number) == ST_OK ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL);
    for (unsigned i = 0; i < calls; i++) {
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
        if (waitpid(pid, &status, 0) != pid || WIFEXITED(status)) {
            CHECK_EQ(WEXITSTATUS(status), 0);
            return true;
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return false;
}

static void a_restore_that_is_killed_at_any_call_goes_on(void)
{
    for (uint64_t round = 1; round <= (far ? 2 : 6); round++) {
        end();
        begin();
        seed = 1000 + round;
        any_changes(30);
        char *was = describe_grant();
        checkpoint(1);
        any_changes(40);
        checkpoint(2);
        any_changes(40);
        wasi_free(w);
        w = NULL;
        unsigned calls = 1;
        while (!restore_killed_after(1, calls) && calls < 100000) {
            calls += 7;
        }
        check_same(was);
        free(was);
    }
}

static uint64_t links_of(const char *name)
{
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_path_filestat_get(NULL, w, 3, 0, G_PATH(name), out), WASI_OK);
    return g_u64(out + 24);
}

static void links_that_keep_a_file_are_not_seen(void)
{
    uint32_t fd, out = g_alloc(FILESTAT_BYTES);
    write_text("a", OFLAG_CREAT, "one");
    write_text("b", OFLAG_CREAT, "two");
    CHECK_EQ(wasi_path_link(NULL, w, 3, 0, G_PATH("b"), 3, G_PATH("c")), WASI_OK);
    checkpoint(1);
    CHECK_EQ(g_open(w, 3, 0, "a", 0, FILE_RW | RIGHT_FD_FILESTAT_GET, 0, &fd), WASI_OK);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("a")), WASI_OK);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out + 24), 0);
    CHECK_EQ(links_of("b"), 2);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("c")), WASI_OK);
    CHECK_EQ(links_of("b"), 1);
    checkpoint(2);
    CHECK_EQ(links_of("b"), 1);
}

/* Where no link can keep it and no other name is found, a copy would be another file. */
static void a_file_with_a_name_elsewhere_is_not_copied(void)
{
    write_text("a", OFLAG_CREAT, "one");
    CHECK_EQ(link(in_scratch("grant/a"), in_scratch("elsewhere")), 0);
    checkpoint(1);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("a")), WASI_OK);
    struct stat grants, points;
    CHECK(fstat(points_fd, &points) == 0 && stat(grant.host_path, &grants) == 0);
    if (points.st_dev != grants.st_dev) {
        CHECK_EQ(go_back(1), ST_INVAL);
        CHECK(strstr(err.text, "a has names elsewhere") != NULL);
    } else {
        check_back(1);
    }
}

static void a_checkpoint_of_an_earlier_run_is_refused(void)
{
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    wasi_free(w);
    w = wasi_make(&config);
    write_text("f", 0, "two");
    checkpoint(2);
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK(strstr(err.text, "earlier run") != NULL);
    check_back(2);
}

static void before_images_that_cannot_be_written_spoil_the_checkpoint_not_the_program(void)
{
    struct rlimit no = {8192, RLIM_INFINITY}, any_size;
    uint32_t fd, n;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, former;
    char *text = calloc(1, 100001);
    memset(text, 'x', 100000);
    write_text("f", OFLAG_CREAT, text);
    checkpoint(1);
    getrlimit(RLIMIT_FSIZE, &any_size);
    no.rlim_max = any_size.rlim_max;
    sigaction(SIGXFSZ, &ignore, &former);
    setrlimit(RLIMIT_FSIZE, &no);
    CHECK_EQ(g_open(w, 3, 0, "f", 0, FILE_RW, 0, &fd), WASI_OK);
    CHECK_EQ(g_write(w, fd, "over", &n), WASI_OK);
    CHECK_EQ(n, 4);
    setrlimit(RLIMIT_FSIZE, &any_size);
    sigaction(SIGXFSZ, &former, NULL);
    CHECK(wasi_undo_lost(w) != NULL && strstr(wasi_undo_lost(w), "f") != NULL);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    checkpoint(2);
    write_text("f", 0, "again");
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK(strstr(err.text, "File too large") != NULL);
    check_back(2);
    free(text);
}

static void a_second_program_does_not_get_the_folder(void)
{
    int fd;
    struct wasi *other = wasi_make(&config);
    checkpoint(1);
    CHECK_EQ(wasi_undo_begin(other, points_fd, 2, &err), ST_AGAIN);
    CHECK_EQ(wasi_undo_lock(in_scratch("points"), &fd, &err), ST_AGAIN);
    CHECK_EQ(wasi_undo_begin(w, points_fd, 1, &err), ST_EXIST);
    wasi_free(other);
}

static void a_missing_kept_file_and_a_folder_that_is_not_granted_are_refused_by_name(void)
{
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("f")), WASI_OK);
    grant.guest_path = "/elsewhere";
    CHECK_EQ(go_back(1), ST_NOTFOUND);
    CHECK(strstr(err.text, "f changed since, and its folder is not granted") != NULL);
    grant.guest_path = "/data";
    grant.read_only = true;
    CHECK_EQ(go_back(1), ST_PERM);
    grant.read_only = false;
    CHECK_EQ(unlink(in_scratch("points/000001.1.kept")), 0);
    CHECK_EQ(go_back(1), ST_NOTFOUND);
    CHECK(strstr(err.text, "f was removed since") != NULL);
}

static void a_slash_behind_the_name_of_a_grant_in_a_journal_is_none_of_it(void)
{
    wasi_free(w);
    grant.guest_path = "/data/";
    w = wasi_make(&config);
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, 3, G_PATH("f")), WASI_OK);
    grant.guest_path = "/data";
    CHECK_EQ(go_back(1), ST_OK);
    CHECK_EQ(access(in_scratch("grant/f"), F_OK), 0);
}

static void a_changed_byte_of_a_journal_is_refused_and_nothing_is_changed(void)
{
    write_text("f", OFLAG_CREAT, "one two three");
    checkpoint(1);
    write_text("f", 0, "ONE");
    CHECK_EQ(wasi_path_rename(NULL, w, 3, G_PATH("f"), 3, G_PATH("g")), WASI_OK);
    char *was = describe_grant();
    struct buf journal = {0};
    CHECK_EQ(file_read(in_scratch("points/000001.undo"), 1 << 20, &journal, NULL), ST_OK);
    for (size_t i = 8; i < journal.len; i++) {
        if (i >= 32 && i < 4096) {
            continue; /* room for a reason */
        }
        journal.data[i] ^= 1;
        CHECK_EQ(file_write_atomic(in_scratch("points/000001.undo"), journal.data, journal.len,
                                   0600, FILE_NO_SYNC, NULL),
                 ST_OK);
        status_t st = go_back(1);
        CHECK(st == ST_CORRUPT || st == ST_UNSUPPORTED);
        journal.data[i] ^= 1;
        check_same(was);
    }
    buf_done(&journal);
    free(was);
}

static void a_disowned_folder_is_refused(void)
{
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    wasi_free(w);
    w = NULL;
    CHECK_EQ(wasi_undo_disown(points_fd, "files went their own way", &err), ST_OK);
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK(strstr(err.text, "files went their own way") != NULL);
}

/* What a full disk leaves where even the room in a journal's head cannot be written to. */
/* A file by that name, and the number that it has. */
static uint64_t make_snapshot(char ret_path[600])
{
    struct stat st;
    snprintf(ret_path, 600, "%s", in_scratch("left.snap"));
    CHECK_EQ(file_write_atomic(ret_path, "x", 1, 0600, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(stat(ret_path, &st), 0);
    return st.st_ino;
}

/* A restore looks at what has the name, and not at how far the program got. */
static void a_program_that_left_does_not_go_back(void)
{
    char path[600];
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    char *was = describe_grant();
    write_text("f", 0, "two");
    CHECK_EQ(wasi_undo_leaving(w, path, make_snapshot(path), &err), ST_OK);
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK(strstr(err.text, "frozen after it") != NULL && strstr(err.text, path) != NULL);
    CHECK_EQ(link(path, in_scratch("kept.snap")), 0); /* its number is not given to another one */
    make_snapshot(path);
    check_back(1);
    check_same(was);
    free(was);
}

static void one_that_stays_goes_back(void)
{
    char path[600], long_path[2000];
    CHECK_EQ(wasi_undo_leaving(w, "/without/checkpoints", 1, &err), ST_OK);
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    char *was = describe_grant();
    write_text("f", 0, "two");
    uint64_t inode = make_snapshot(path);
    CHECK_EQ(wasi_undo_leaving(w, path, inode, &err), ST_OK);
    wasi_undo_stays(w);
    memset(long_path, '/', sizeof long_path);
    snprintf(long_path + sizeof long_path - 601, 601, "%s", path);
    CHECK_EQ(wasi_undo_leaving(w, long_path, inode, &err), ST_OK); /* no room for it */
    check_back(1);
    check_same(was);
    free(was);
}

static void a_journal_that_was_emptied_or_is_gone_is_not_passed_over(void)
{
    write_text("f", OFLAG_CREAT, "one");
    checkpoint(1);
    write_text("f", 0, "two");
    checkpoint(2);
    write_text("f", 0, "six");
    char *was = describe_grant();
    CHECK_EQ(truncate(in_scratch("points/000002.undo"), 0), 0);
    CHECK_EQ(go_back(2), ST_INVAL);
    CHECK(strstr(err.text, "checkpoint 2: its before-images could not be kept") != NULL);
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK_EQ(wasi_undo_disown(points_fd, "files went their own way", &err), ST_OK);
    CHECK_EQ(unlink(in_scratch("points/000002.undo")), 0);
    CHECK_EQ(file_write_atomic(in_scratch("points/000002.snap"), "x", 1, 0600, FILE_NO_SYNC, NULL),
             ST_OK);
    CHECK_EQ(go_back(2), ST_NOTFOUND);
    CHECK_EQ(go_back(1), ST_INVAL);
    CHECK(strstr(err.text, "the before-images of checkpoint 2 are not there") != NULL);
    check_same(was);
    free(was);
}

#define FACT(test) \
    do {           \
        begin();   \
        RUN(test); \
        end();     \
    } while (0)

static void messages_tell_standard_error_from_standard_output(void)
{
    struct journal_place p = {.origin = JOURNAL_AT_OUTPUT, .index = 1, .path = ""};
    int len;
    CHECK_STR(journal_place_shown(&p, 100, &len), "standard output");
    p.index = 2;
    CHECK_STR(journal_place_shown(&p, 100, &len), "standard error");
    CHECK_EQ(len, (int)strlen("standard error"));
}

int main(void)
{
    FACT(overwritten_and_appended_bytes_are_undone);
    FACT(whatever_a_guest_does_is_undone_to_any_checkpoint);
    FACT(a_restore_that_is_killed_at_any_call_goes_on);
    FACT(links_that_keep_a_file_are_not_seen);
    far = true;
    FACT(whatever_a_guest_does_is_undone_to_any_checkpoint);
    FACT(a_restore_that_is_killed_at_any_call_goes_on);
    FACT(links_that_keep_a_file_are_not_seen);
    FACT(a_file_with_a_name_elsewhere_is_not_copied);
    far = false;
    FACT(a_checkpoint_of_an_earlier_run_is_refused);
    FACT(before_images_that_cannot_be_written_spoil_the_checkpoint_not_the_program);
    FACT(a_second_program_does_not_get_the_folder);
    FACT(a_missing_kept_file_and_a_folder_that_is_not_granted_are_refused_by_name);
    FACT(a_slash_behind_the_name_of_a_grant_in_a_journal_is_none_of_it);
    FACT(a_changed_byte_of_a_journal_is_refused_and_nothing_is_changed);
    FACT(a_disowned_folder_is_refused);
    FACT(a_program_that_left_does_not_go_back);
    FACT(one_that_stays_goes_back);
    FACT(a_journal_that_was_emptied_or_is_gone_is_not_passed_over);
    RUN(messages_tell_standard_error_from_standard_output);
    return CHECK_DONE();
}
