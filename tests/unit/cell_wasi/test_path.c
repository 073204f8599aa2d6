#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "double.h"

/* Every test runs with both ways of resolution. */
static enum path_method method;
static int root = -1;

static enum wasi_errno open_path(const char *path, int flags, int *ret_fd)
{
    return path_open_beneath(method, root, path, flags, 0644, ret_fd);
}

/* What opening path for reading gives. */
static enum wasi_errno try_open(const char *path, int flags)
{
    int fd = -1;
    enum wasi_errno e = open_path(path, flags, &fd);
    if (e == WASI_OK) {
        close(fd);
    }
    return e;
}

static void read_path(const char *path, char text[64])
{
    int fd = -1;
    text[0] = '\0';
    if (open_path(path, O_RDONLY, &fd) == WASI_OK) {
        ssize_t n = read(fd, text, 63);
        text[n > 0 ? n : 0] = '\0';
        close(fd);
    }
}

/* grant/{a/b/file, a/up -> .., top -> a/b/file, dir -> a}, and a secret beside the grant. */
static void tree_make(void)
{
    scratch_make();
    mkdir(in_scratch("grant"), 0755);
    mkdir(in_scratch("grant/a"), 0755);
    mkdir(in_scratch("grant/a/b"), 0755);
    host_write_file(in_scratch("grant/a/b/file"), "inside");
    host_write_file(in_scratch("secret"), "secret");
    CHECK_EQ(symlink("..", in_scratch("grant/a/up")), 0);
    CHECK_EQ(symlink("a/b/file", in_scratch("grant/top")), 0);
    CHECK_EQ(symlink("a", in_scratch("grant/dir")), 0);
    CHECK_EQ(symlink("../secret", in_scratch("grant/out")), 0);
    CHECK_EQ(symlink("../../secret", in_scratch("grant/a/out")), 0);
    CHECK_EQ(symlink("..", in_scratch("grant/outdir")), 0);
    CHECK_EQ(symlink(in_scratch("secret"), in_scratch("grant/abs")), 0);
    CHECK_EQ(symlink("/", in_scratch("grant/slash")), 0);
    CHECK_EQ(symlink("/proc/self/root", in_scratch("grant/magic")), 0);
    CHECK_EQ(symlink("loop2", in_scratch("grant/loop1")), 0);
    CHECK_EQ(symlink("loop1", in_scratch("grant/loop2")), 0);
    CHECK_EQ(symlink("missing", in_scratch("grant/dangling")), 0);
    root = open(in_scratch("grant"), O_RDONLY | O_DIRECTORY);
    CHECK(root >= 0);
}

static void tree_remove(void)
{
    close(root);
    scratch_remove();
}

static void paths_beneath_are_found(void)
{
    static const char *const paths[] = {
        "a/b/file",   "./a/./b//file", "a/../a/b/file",     "a/b/../b/file",      "top",
        "dir/b/file", "a/up/a/b/file", "dir/up/dir/b/file", "a/b/../../a/b/file",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char text[64];
        read_path(paths[i], text);
        CHECK_STR(text, "inside");
    }
    CHECK_EQ(try_open(".", O_RDONLY | O_DIRECTORY), WASI_OK);
    CHECK_EQ(try_open("a/..", O_RDONLY | O_DIRECTORY), WASI_OK);
    CHECK_EQ(try_open("dir", O_RDONLY | O_DIRECTORY), WASI_OK);
    CHECK_EQ(try_open("dir/", O_RDONLY), WASI_OK);
    CHECK_EQ(try_open("a///", O_RDONLY), WASI_OK);
}

static void nothing_leads_outside(void)
{
    static const char *const paths[] = {
        "..",
        "../secret",
        "../grant/top",
        "a/../../secret",
        "a/b/../../../secret",
        "/",
        "/etc/passwd",
        "out",
        "a/out",
        "dir/out",
        "outdir",
        "outdir/secret",
        "abs",
        "slash",
        "slash/etc",
        "magic",
        "a/up/../secret",
        "./..",
        "dir/../../secret",
        "outdir/grant/top",
        "../",
        "a/../..",
        "outdir/",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        enum wasi_errno e = try_open(paths[i], O_RDONLY);
        if (e != WASI_NOTCAPABLE) {
            fprintf(stderr, "%s gives %d\n", paths[i], (int)e);
        }
        CHECK_EQ(e, WASI_NOTCAPABLE);
        CHECK(try_open(paths[i], O_PATH) != WASI_OK);
        CHECK(try_open(paths[i], O_WRONLY | O_CREAT) != WASI_OK);
    }
    CHECK_EQ(access(in_scratch("missing"), F_OK), -1);
}

static void usual_errors_are_given(void)
{
    CHECK_EQ(try_open("", O_RDONLY), WASI_NOENT);
    CHECK_EQ(try_open("nothing", O_RDONLY), WASI_NOENT);
    CHECK_EQ(try_open("nothing/x", O_RDONLY), WASI_NOENT);
    CHECK_EQ(try_open("dangling", O_RDONLY), WASI_NOENT);
    CHECK_EQ(try_open("loop1", O_RDONLY), WASI_LOOP);
    CHECK_EQ(try_open("loop1/x", O_RDONLY), WASI_LOOP);
    CHECK_EQ(try_open("a/b/file/", O_RDONLY), WASI_NOTDIR);
    CHECK_EQ(try_open("a/b/file/x", O_RDONLY), WASI_NOTDIR);
    CHECK_EQ(try_open("a/b/file/..", O_RDONLY), WASI_NOTDIR);
    CHECK_EQ(try_open("top/", O_RDONLY), WASI_NOTDIR);
    CHECK_EQ(try_open("a", O_RDWR), WASI_ISDIR);
    CHECK_EQ(try_open("top", O_RDONLY | O_DIRECTORY), WASI_NOTDIR);
    CHECK_EQ(try_open("new/", O_WRONLY | O_CREAT), WASI_ISDIR);
    CHECK_EQ(try_open(".", O_WRONLY | O_CREAT), WASI_ISDIR);
}

static void long_names_and_paths_are_refused(void)
{
    char path[6000];
    memset(path, 'x', sizeof(path));
    path[256] = '\0';
    CHECK_EQ(try_open(path, O_RDONLY), WASI_NAMETOOLONG);
    path[256] = 'x';
    for (size_t i = 0; i + 1 < sizeof(path); i += 2) {
        path[i] = '.';
        path[i + 1] = '/';
    }
    path[5001] = '\0';
    CHECK_EQ(try_open(path, O_RDONLY), WASI_NAMETOOLONG);
    path[4000] = '\0';
    CHECK_EQ(try_open(path, O_RDONLY), WASI_OK);
}

static void the_last_link_is_followed_only_if_asked(void)
{
    CHECK_EQ(try_open("top", O_RDONLY | O_NOFOLLOW), WASI_LOOP);
    CHECK_EQ(try_open("abs", O_RDONLY | O_NOFOLLOW), WASI_LOOP);
    int fd = -1;
    struct stat st;
    CHECK_EQ(open_path("abs", O_PATH | O_NOFOLLOW, &fd), WASI_OK);
    CHECK(fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
    close(fd);
    CHECK_EQ(open_path("top", O_PATH, &fd), WASI_OK);
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
    close(fd);
    CHECK_EQ(open_path("dir/", O_PATH | O_NOFOLLOW, &fd), WASI_OK);
    CHECK(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode));
    close(fd);
    CHECK_EQ(try_open("outdir/", O_PATH | O_NOFOLLOW), WASI_NOTCAPABLE);
}

static void creating_works_beneath_only(void)
{
    CHECK_EQ(try_open("a/new", O_WRONLY | O_CREAT | O_EXCL), WASI_OK);
    CHECK_EQ(try_open("a/new", O_WRONLY | O_CREAT | O_EXCL), WASI_EXIST);
    CHECK_EQ(try_open("dangling", O_WRONLY | O_CREAT | O_EXCL), WASI_EXIST);
    CHECK_EQ(try_open("out", O_WRONLY | O_CREAT | O_EXCL), WASI_EXIST);
    CHECK_EQ(try_open("dangling", O_WRONLY | O_CREAT), WASI_OK);
    CHECK_EQ(access(in_scratch("grant/missing"), F_OK), 0);
    unlink(in_scratch("grant/missing"));
    unlink(in_scratch("grant/a/new"));
}

static void parent_of(const char *text, enum wasi_errno want, const char *want_name)
{
    char path[64];
    struct path_parent p = {0};
    snprintf(path, sizeof(path), "%s", text);
    enum wasi_errno e = path_parent_open(method, root, path, &p);
    CHECK_EQ(e, want);
    if (e == WASI_OK) {
        CHECK_STR(p.name, want_name);
        path_parent_close(&p);
    }
}

static void the_directory_of_a_name_is_resolved_beneath(void)
{
    parent_of("x", WASI_OK, "x");
    parent_of("x/", WASI_OK, "x/");
    parent_of("x///", WASI_OK, "x/");
    parent_of("a/b/x", WASI_OK, "x");
    parent_of("dir/x", WASI_OK, "x");
    parent_of("out", WASI_OK, "out");
    parent_of(".", WASI_OK, ".");
    parent_of("../x", WASI_NOTCAPABLE, "");
    parent_of("outdir/x", WASI_NOTCAPABLE, "");
    parent_of("slash/x", WASI_NOTCAPABLE, "");
    parent_of("/x", WASI_NOTCAPABLE, "");
    parent_of("/", WASI_NOTCAPABLE, "");
    parent_of("", WASI_NOENT, "");
    parent_of("nothing/x", WASI_NOENT, "");
    parent_of("a/b/file/x", WASI_NOTDIR, "");
}

static void the_last_link_of_a_name_can_be_followed_beneath(void)
{
    struct path_parent p = {0};
    CHECK_EQ(path_parent_open_follow(root, "top", &p), WASI_OK);
    CHECK_STR(p.name, "file");
    path_parent_close(&p);
    CHECK_EQ(path_parent_open_follow(root, "dangling", &p), WASI_OK);
    CHECK_STR(p.name, "missing");
    path_parent_close(&p);
    CHECK_EQ(path_parent_open_follow(root, "out", &p), WASI_NOTCAPABLE);
    CHECK_EQ(path_parent_open_follow(root, "abs", &p), WASI_NOTCAPABLE);
    CHECK_EQ(path_parent_open_follow(root, "loop1", &p), WASI_LOOP);
}

static void many_steps_up_and_down_end(void)
{
    char path[WASI_PATH_BYTES_MAX + 1];
    size_t len = 0;
    while (len + 16 < sizeof(path)) {
        memcpy(path + len, "a/b/../../", 10);
        len += 10;
    }
    memcpy(path + len, "top", 4);
    CHECK_EQ(try_open(path, O_RDONLY), WASI_OK);
}

/* ---- races: another thread swaps what a name stands for ---- */

enum { RACE_TRIES = 2000, RACE_TRIES_MAX = 50 * RACE_TRIES };

struct race {
    const char *first; /* moved onto spot in turn with second */
    const char *second;
    const char *spot;
    _Atomic bool stop;
    _Atomic unsigned swaps;
};

static void *race_thread(void *arg)
{
    struct race *r = arg;
    while (!atomic_load(&r->stop)) {
        (void)renameat2(root, r->first, root, r->spot, RENAME_EXCHANGE);
        (void)renameat2(root, r->second, root, r->spot, RENAME_EXCHANGE);
        atomic_fetch_add(&r->swaps, 1);
    }
    return NULL;
}

static void race_run(struct race *r, const char *path)
{
    pthread_t thread;
    unsigned inside = 0;
    CHECK_EQ(pthread_create(&thread, NULL, race_thread, r), 0);
    for (int i = 0; i < RACE_TRIES || (atomic_load(&r->swaps) < RACE_TRIES && i < RACE_TRIES_MAX);
         i++) {
        char text[64];
        read_path(path, text);
        CHECK(text[0] == '\0' || strcmp(text, "inside") == 0);
        inside += text[0] != '\0';
        if (i % 16 == 0) {
            sched_yield();
        }
    }
    atomic_store(&r->stop, true);
    pthread_join(thread, NULL);
    printf("     %u opened, %u swaps\n", inside, atomic_load(&r->swaps));
}

static void a_file_swapped_for_a_link_outside_is_never_followed(void)
{
    CHECK_EQ(symlink("../secret", in_scratch("grant/swap1")), 0);
    host_write_file(in_scratch("grant/swap2"), "inside");
    host_write_file(in_scratch("grant/spot"), "inside");
    struct race r = {.first = "swap1", .second = "swap2", .spot = "spot"};
    race_run(&r, "spot");
    unlinkat(root, "swap1", 0);
    unlinkat(root, "swap2", 0);
    unlinkat(root, "spot", 0);
}

static void a_directory_swapped_for_a_link_outside_is_never_entered(void)
{
    mkdir(in_scratch("other"), 0755);
    host_write_file(in_scratch("other/file"), "secret");
    CHECK_EQ(symlink("../other", in_scratch("grant/swap1")), 0);
    CHECK_EQ(symlink("a/b", in_scratch("grant/swap2")), 0);
    mkdir(in_scratch("grant/spot"), 0755);
    host_write_file(in_scratch("grant/spot/file"), "inside");
    struct race r = {.first = "swap1", .second = "swap2", .spot = "spot"};
    race_run(&r, "spot/file");
    static const char *const names[] = {"swap1", "swap2", "spot"};
    for (size_t i = 0; i < 3; i++) {
        char file[16];
        struct stat st;
        snprintf(file, sizeof(file), "%s/file", names[i]);
        if (fstatat(root, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
            unlinkat(root, file, 0);
            unlinkat(root, names[i], AT_REMOVEDIR);
        } else {
            unlinkat(root, names[i], 0);
        }
    }
    unlink(in_scratch("other/file"));
    rmdir(in_scratch("other"));
}

static void a_directory_moved_up_while_dots_are_resolved_leads_nowhere(void)
{
    /* deep/in/.. walked while "in" is exchanged with a directory one level higher. */
    mkdir(in_scratch("grant/deep"), 0755);
    mkdir(in_scratch("grant/deep/in"), 0755);
    mkdir(in_scratch("grant/flat"), 0755);
    host_write_file(in_scratch("grant/secret"), "inside");
    struct race r = {.first = "flat", .second = "flat", .spot = "deep/in"};
    race_run(&r, "deep/in/../../secret");
    race_run(&(struct race){.first = "flat", .second = "flat", .spot = "deep/in"},
             "deep/in/../../../secret");
    unlinkat(root, "secret", 0);
    unlinkat(root, "deep/in", AT_REMOVEDIR);
    unlinkat(root, "deep", AT_REMOVEDIR);
    unlinkat(root, "flat", AT_REMOVEDIR);
}

static void all(void)
{
    tree_make();
    RUN(paths_beneath_are_found);
    RUN(nothing_leads_outside);
    RUN(usual_errors_are_given);
    RUN(long_names_and_paths_are_refused);
    RUN(the_last_link_is_followed_only_if_asked);
    RUN(creating_works_beneath_only);
    RUN(the_directory_of_a_name_is_resolved_beneath);
    RUN(the_last_link_of_a_name_can_be_followed_beneath);
    RUN(many_steps_up_and_down_end);
    RUN(a_file_swapped_for_a_link_outside_is_never_followed);
    RUN(a_directory_swapped_for_a_link_outside_is_never_entered);
    RUN(a_directory_moved_up_while_dots_are_resolved_leads_nowhere);
    tree_remove();
}

int main(void)
{
    if (path_method_probe() == PATH_OPENAT2) {
        puts("resolution by the kernel:");
        method = PATH_OPENAT2;
        all();
    }
    puts("resolution by the walk:");
    method = PATH_WALK;
    all();
    return CHECK_DONE();
}
