#include <sys/resource.h>

#include "double.h"

/* Every test runs with both ways of resolution. */
static enum path_method method;
static struct wasi *w;

static void begin_as(bool read_only)
{
    g_reset();
    scratch_make();
    mkdir(in_scratch("grant"), 0755);
    mkdir(in_scratch("grant/d"), 0755);
    host_write_file(in_scratch("grant/f"), "data");
    host_write_file(in_scratch("secret"), "secret");
    w = guest_in("grant", read_only);
    w->path_method = method;
}

static void begin(void)
{
    begin_as(false);
}

static void end(void)
{
    wasi_free(w);
    scratch_remove();
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_scratch(name), &st) == 0;
}

static int opens(const char *path, uint32_t lookup, uint32_t oflags, uint64_t rights)
{
    uint32_t fd;
    int e = g_open(w, 3, lookup, path, oflags, rights, 0, &fd);
    if (e == WASI_OK) {
        CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    }
    return e;
}

static int mkdir_at(const char *path)
{
    return wasi_path_create_directory(NULL, w, 3, G_PATH(path));
}

static int rmdir_at(const char *path)
{
    return wasi_path_remove_directory(NULL, w, 3, G_PATH(path));
}

static int unlink_at(const char *path)
{
    return wasi_path_unlink_file(NULL, w, 3, G_PATH(path));
}

static int symlink_at(const char *target, const char *path)
{
    uint32_t addr = g_put(target, strlen(target));
    return wasi_path_symlink(NULL, w, addr, (uint32_t)strlen(target), 3, G_PATH(path));
}

static int rename_at(const char *from, const char *to)
{
    uint32_t addr = g_put(from, strlen(from));
    return wasi_path_rename(NULL, w, 3, addr, (uint32_t)strlen(from), 3, G_PATH(to));
}

static int link_at(uint32_t lookup, const char *from, const char *to)
{
    uint32_t addr = g_put(from, strlen(from));
    return wasi_path_link(NULL, w, 3, lookup, addr, (uint32_t)strlen(from), 3, G_PATH(to));
}

static int stat_at(const char *path, uint32_t lookup, uint32_t out)
{
    return wasi_path_filestat_get(NULL, w, 3, lookup, G_PATH(path), out);
}

static void flags_of_open_work_as_in_posix(void)
{
    begin();
    CHECK_EQ(opens("new", 0, 0, FILE_RW), WASI_NOENT);
    CHECK_EQ(opens("new", 0, OFLAG_CREAT | OFLAG_EXCL, FILE_RW), WASI_OK);
    CHECK_EQ(opens("new", 0, OFLAG_CREAT | OFLAG_EXCL, FILE_RW), WASI_EXIST);
    CHECK_EQ(opens("new", 0, OFLAG_CREAT, FILE_RW), WASI_OK);
    CHECK_EQ(opens("f", 0, OFLAG_DIRECTORY, 0), WASI_NOTDIR);
    CHECK_EQ(opens("d", 0, OFLAG_DIRECTORY, RIGHT_FD_READ), WASI_OK);
    CHECK_EQ(opens("d", 0, OFLAG_DIRECTORY, RIGHT_FD_READ | RIGHT_FD_WRITE), WASI_ISDIR);
    CHECK_EQ(opens("d", 0, 0, RIGHT_FD_WRITE), WASI_ISDIR);
    CHECK_EQ(opens(".", 0, 0, RIGHTS_DIRECTORY), WASI_OK);
    CHECK_EQ(opens("f/", 0, 0, 0), WASI_NOTDIR);
    CHECK_EQ(opens("x", 0, OFLAG_CREAT | OFLAG_DIRECTORY, 0), WASI_INVAL);
    CHECK_EQ(opens("f", 2, 0, 0), WASI_INVAL);
    CHECK_EQ(opens("f", 0, 16, 0), WASI_INVAL);
    struct stat st;
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_size, 4);
    CHECK_EQ(opens("f", 0, OFLAG_TRUNC, 0), WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_size, 0);
    end();
}

static void rights_are_inherited_and_never_widened(void)
{
    uint32_t dir, fd;
    begin();
    uint32_t path = g_put("f", 1), out = g_alloc(FDSTAT_BYTES);
    uint32_t dot = g_put("d", 1);
    uint64_t base = RIGHT_PATH_OPEN, inheriting = RIGHT_FD_READ;
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, dot, 1, OFLAG_DIRECTORY, base, inheriting, 0, out),
             WASI_OK);
    dir = g_u32(out);
    CHECK_EQ(wasi_path_open(NULL, w, dir, 0, path, 1, OFLAG_CREAT, RIGHT_FD_READ, 0, 0, out),
             WASI_NOTCAPABLE);
    host_write_file(in_scratch("grant/d/f"), "");
    CHECK_EQ(wasi_path_open(NULL, w, dir, 0, path, 1, 0, RIGHT_FD_WRITE, 0, 0, out),
             WASI_NOTCAPABLE);
    CHECK_EQ(wasi_path_open(NULL, w, dir, 0, path, 1, 0, 0, RIGHT_FD_WRITE, 0, out),
             WASI_NOTCAPABLE);
    CHECK_EQ(wasi_path_open(NULL, w, dir, 0, path, 1, OFLAG_TRUNC, 0, 0, 0, out), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_path_open(NULL, w, dir, 0, path, 1, 0, RIGHT_FD_READ, 0, 0, out), WASI_OK);
    fd = g_u32(out);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out + 8), RIGHT_FD_READ);
    CHECK_EQ(wasi_path_unlink_file(NULL, w, dir, path, 1), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_path_open(NULL, w, fd, 0, path, 1, 0, 0, 0, 0, out), WASI_NOTDIR);
    /* Bits that no version defines are not asked for. */
    CHECK_EQ(
        wasi_path_open(NULL, w, 3, 0, path, 1, 0, ~(uint64_t)RIGHTS_WRITE_DATA, UINT64_MAX, 0, out),
        WASI_OK);
    end();
}

static void a_directory_is_the_root_of_what_is_opened_through_it(void)
{
    uint32_t dir, fd;
    begin();
    CHECK_EQ(g_open(w, 3, 0, "d", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &dir), WASI_OK);
    CHECK_EQ(g_open(w, dir, 0, "../f", 0, RIGHT_FD_READ, 0, &fd), WASI_NOTCAPABLE);
    CHECK_EQ(g_open(w, 3, 0, "d/../f", 0, RIGHT_FD_READ, 0, &fd), WASI_OK);
    end();
}

static void paths_are_checked_before_use(void)
{
    uint32_t fd;
    begin();
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, g_put("f\0", 2), 2, 0, 0, 0, 0, out), WASI_ILSEQ);
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, g_put("f", 1), 0, 0, 0, 0, 0, out), WASI_NOENT);
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, DOUBLE_MEM_BYTES - 1, 2, 0, 0, 0, 0, out), WASI_FAULT);
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, 0, 5000, 0, 0, 0, 0, out), WASI_NAMETOOLONG);
    CHECK_EQ(wasi_path_open(NULL, w, 3, 0, g_put("f", 1), 1, 0, 0, 0, 0, UINT32_MAX), WASI_FAULT);
    CHECK_EQ(g_open(w, 3, 0, "/f", 0, 0, 0, &fd), WASI_NOTCAPABLE);
    CHECK_EQ(g_open(w, 99, 0, "f", 0, 0, 0, &fd), WASI_BADF);
    CHECK_EQ(g_open(w, 1, 0, "f", 0, 0, 0, &fd), WASI_NOTDIR);
    end();
}

static void names_may_be_any_bytes(void)
{
    begin();
    CHECK_EQ(opens("caf\xe9", 0, OFLAG_CREAT, FILE_RW), WASI_OK);
    CHECK(exists("grant/caf\xe9"));
    end();
}

static void directories_are_made_and_removed(void)
{
    begin();
    CHECK_EQ(mkdir_at("e"), WASI_OK);
    CHECK_EQ(mkdir_at("e"), WASI_EXIST);
    CHECK_EQ(mkdir_at("e/x/"), WASI_OK);
    CHECK_EQ(mkdir_at("no/x"), WASI_NOENT);
    CHECK_EQ(mkdir_at("."), WASI_EXIST);
    CHECK_EQ(mkdir_at(".."), WASI_EXIST);
    CHECK_EQ(mkdir_at("../e"), WASI_NOTCAPABLE);
    CHECK_EQ(rmdir_at("e"), WASI_NOTEMPTY);
    CHECK_EQ(rmdir_at("e/x/"), WASI_OK);
    CHECK_EQ(rmdir_at("e"), WASI_OK);
    CHECK_EQ(rmdir_at("e"), WASI_NOENT);
    CHECK_EQ(rmdir_at("f"), WASI_NOTDIR);
    CHECK_EQ(rmdir_at("."), WASI_INVAL);
    CHECK(rmdir_at("..") != WASI_OK);
    end();
}

static void files_are_unlinked(void)
{
    begin();
    CHECK_EQ(unlink_at("f/"), WASI_NOTDIR);
    CHECK_EQ(unlink_at("d"), WASI_ISDIR);
    CHECK_EQ(unlink_at("d/"), WASI_ISDIR);
    CHECK(unlink_at("..") != WASI_OK);
    CHECK_EQ(unlink_at("../secret"), WASI_NOTCAPABLE);
    CHECK_EQ(unlink_at("f"), WASI_OK);
    CHECK_EQ(unlink_at("f"), WASI_NOENT);
    CHECK(exists("secret"));
    end();
}

static void links_are_made_read_and_not_followed_outside(void)
{
    begin();
    uint32_t buf = g_alloc(64), out = g_alloc(4);
    CHECK_EQ(symlink_at("f", "l"), WASI_OK);
    CHECK_EQ(symlink_at("f", "l"), WASI_EXIST);
    CHECK_EQ(symlink_at("/etc/passwd", "abs"), WASI_NOTCAPABLE);
    CHECK_EQ(symlink_at("", "empty"), WASI_NOENT);
    CHECK_EQ(symlink_at("f", "x/"), WASI_NOENT);
    CHECK_EQ(symlink_at("../secret", "out"), WASI_OK);
    CHECK_EQ(opens("out", LOOKUP_SYMLINK_FOLLOW, 0, RIGHT_FD_READ), WASI_NOTCAPABLE);
    CHECK_EQ(opens("l", LOOKUP_SYMLINK_FOLLOW, 0, RIGHT_FD_READ), WASI_OK);
    CHECK_EQ(opens("l", 0, 0, RIGHT_FD_READ), WASI_LOOP);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("out"), buf, 64, out), WASI_OK);
    CHECK_EQ(g_u32(out), 9);
    CHECK_EQ(memcmp(double_mem + buf, "../secret", 9), 0);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("out"), buf, 4, out), WASI_OK);
    CHECK_EQ(g_u32(out), 4);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("f"), buf, 64, out), WASI_INVAL);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("d"), buf, 64, out), WASI_INVAL);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("l/"), buf, 64, out), WASI_NOTDIR);
    CHECK_EQ(wasi_path_readlink(NULL, w, 3, G_PATH("none"), buf, 64, out), WASI_NOENT);
    CHECK_EQ(unlink_at("out"), WASI_OK);
    CHECK(exists("secret"));
    end();
}

static void renames_stay_beneath(void)
{
    begin();
    CHECK_EQ(rename_at("f", "g"), WASI_OK);
    CHECK_EQ(rename_at("g", "d/g"), WASI_OK);
    CHECK_EQ(rename_at("d/", "e/"), WASI_OK);
    CHECK(exists("grant/e/g"));
    CHECK_EQ(rename_at("e/g/", "h"), WASI_NOTDIR);
    CHECK_EQ(rename_at("e/g", "../stolen"), WASI_NOTCAPABLE);
    CHECK_EQ(rename_at("../secret", "mine"), WASI_NOTCAPABLE);
    CHECK_EQ(rename_at(".", "x"), WASI_BUSY);
    CHECK_EQ(rename_at("..", "x"), WASI_BUSY);
    CHECK_EQ(rename_at("e", ".."), WASI_BUSY);
    CHECK_EQ(rename_at("e", "e/inside"), WASI_INVAL);
    CHECK_EQ(rename_at("none", "x"), WASI_NOENT);
    CHECK_EQ(mkdir_at("full"), WASI_OK);
    CHECK_EQ(mkdir_at("full/x"), WASI_OK);
    CHECK_EQ(rename_at("e", "full"), WASI_NOTEMPTY);
    end();
}

static void a_link_in_a_renamed_path_leads_nowhere(void)
{
    begin();
    CHECK_EQ(symlink("..", in_scratch("grant/up")), 0);
    CHECK_EQ(rename_at("up/secret", "mine"), WASI_NOTCAPABLE);
    CHECK_EQ(rename_at("f", "up/planted"), WASI_NOTCAPABLE);
    CHECK(rename_at("f", "up/") != WASI_OK);
    CHECK(!exists("planted"));
    CHECK(exists("secret"));
    end();
}

static void hard_links_name_the_same_file(void)
{
    begin();
    uint32_t a = g_alloc(FILESTAT_BYTES), b = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(link_at(0, "f", "d/g"), WASI_OK);
    CHECK_EQ(stat_at("f", 0, a), WASI_OK);
    CHECK_EQ(stat_at("d/g", 0, b), WASI_OK);
    CHECK_EQ(g_u64(a + 8), g_u64(b + 8));
    CHECK_EQ(g_u64(a + 24), 2);
    CHECK_EQ(link_at(0, "f", "d/g"), WASI_EXIST);
    CHECK_EQ(link_at(0, "d", "dd"), WASI_PERM);
    CHECK_EQ(link_at(0, "f/", "x"), WASI_NOTDIR);
    CHECK_EQ(link_at(0, "d/", "x"), WASI_PERM);
    CHECK_EQ(link_at(0, "f", "x/"), WASI_NOENT);
    CHECK_EQ(link_at(0, "..", "x"), WASI_PERM);
    CHECK_EQ(link_at(0, ".", "x"), WASI_PERM);
    CHECK_EQ(link_at(2, "f", "x"), WASI_INVAL);
    CHECK_EQ(link_at(0, "../secret", "x"), WASI_NOTCAPABLE);
    end();
}

static void hard_links_follow_links_only_if_asked_and_beneath(void)
{
    struct stat st;
    begin();
    CHECK_EQ(symlink("d/../f", in_scratch("grant/l")), 0);
    CHECK_EQ(symlink("../secret", in_scratch("grant/out")), 0);
    CHECK_EQ(symlink("none", in_scratch("grant/dangling")), 0);
    CHECK_EQ(link_at(0, "l", "to-link"), WASI_OK);
    CHECK(lstat(in_scratch("grant/to-link"), &st) == 0 && S_ISLNK(st.st_mode));
    CHECK_EQ(link_at(LOOKUP_SYMLINK_FOLLOW, "l", "to-file"), WASI_OK);
    CHECK(lstat(in_scratch("grant/to-file"), &st) == 0 && S_ISREG(st.st_mode));
    CHECK_EQ(link_at(LOOKUP_SYMLINK_FOLLOW, "out", "x"), WASI_NOTCAPABLE);
    CHECK_EQ(link_at(LOOKUP_SYMLINK_FOLLOW, "dangling", "x"), WASI_NOENT);
    CHECK_EQ(link_at(LOOKUP_SYMLINK_FOLLOW, "out/", "x"), WASI_NOTCAPABLE);
    end();
}

static void attributes_of_paths(void)
{
    begin();
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(symlink("f", in_scratch("grant/l")), 0);
    CHECK_EQ(symlink("..", in_scratch("grant/up")), 0);
    CHECK_EQ(stat_at("l", 0, out), WASI_OK);
    CHECK_EQ(double_mem[out + 16], FILETYPE_SYMBOLIC_LINK);
    CHECK_EQ(stat_at("l", LOOKUP_SYMLINK_FOLLOW, out), WASI_OK);
    CHECK_EQ(double_mem[out + 16], FILETYPE_REGULAR_FILE);
    CHECK_EQ(g_u64(out + 32), 4);
    CHECK_EQ(stat_at("up", 0, out), WASI_OK);
    CHECK_EQ(stat_at("up/", 0, out), WASI_NOTCAPABLE);
    CHECK_EQ(stat_at("up", LOOKUP_SYMLINK_FOLLOW, out), WASI_NOTCAPABLE);
    CHECK_EQ(stat_at("up/secret", 0, out), WASI_NOTCAPABLE);
    CHECK_EQ(stat_at("..", 0, out), WASI_NOTCAPABLE);
    CHECK_EQ(stat_at("d/", 0, out), WASI_OK);
    CHECK_EQ(stat_at("f/", 0, out), WASI_NOTDIR);
    CHECK_EQ(stat_at("f", 2, out), WASI_INVAL);
    CHECK_EQ(wasi_unstable_path_filestat_get(NULL, w, 3, 0, G_PATH("f"), out), WASI_OK);
    CHECK_EQ(g_u64(out + 24), 4);
    end();
}

static int times_at(const char *path, uint32_t lookup, uint64_t ns)
{
    return wasi_path_filestat_set_times(NULL, w, 3, lookup, G_PATH(path), ns, ns,
                                        FST_ATIM | FST_MTIM);
}

static void times_of_paths_can_be_set_beneath(void)
{
    struct stat before, st;
    begin();
    CHECK_EQ(symlink("f", in_scratch("grant/l")), 0);
    CHECK_EQ(symlink("../secret", in_scratch("grant/out")), 0);
    stat(in_scratch("secret"), &before);
    CHECK_EQ(times_at("f", 0, 5000000000), WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_mtim.tv_sec, 5);
    CHECK_EQ(times_at("l", 0, 6000000000), WASI_OK);
    lstat(in_scratch("grant/l"), &st);
    CHECK_EQ(st.st_mtim.tv_sec, 6);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_mtim.tv_sec, 5);
    CHECK_EQ(times_at("l", LOOKUP_SYMLINK_FOLLOW, 7000000000), WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_mtim.tv_sec, 7);
    CHECK_EQ(times_at("out", LOOKUP_SYMLINK_FOLLOW, 8000000000), WASI_NOTCAPABLE);
    CHECK_EQ(times_at("out", 0, 8000000000), WASI_OK);
    CHECK_EQ(times_at("..", 0, 8000000000), WASI_NOTCAPABLE);
    stat(in_scratch("secret"), &st);
    CHECK_EQ(st.st_mtim.tv_sec, before.st_mtim.tv_sec);
    end();
}

static void a_read_only_grant_is_never_changed(void)
{
    uint32_t fd, n;
    struct stat st;
    begin_as(true);
    CHECK_EQ(opens("f", 0, 0, FILE_RW), WASI_ROFS);
    CHECK_EQ(opens("f", 0, 0, RIGHT_FD_WRITE), WASI_ROFS);
    CHECK_EQ(opens("f", 0, 0, RIGHT_FD_FILESTAT_SET_SIZE), WASI_ROFS);
    CHECK_EQ(opens("f", 0, 0, RIGHT_FD_ALLOCATE), WASI_ROFS);
    CHECK_EQ(opens("f", 0, OFLAG_TRUNC, READ_RIGHTS), WASI_ROFS);
    CHECK_EQ(opens("f", 0, OFLAG_CREAT, READ_RIGHTS), WASI_OK);
    CHECK_EQ(opens("f", 0, OFLAG_CREAT | OFLAG_EXCL, READ_RIGHTS), WASI_EXIST);
    CHECK_EQ(opens("n", 0, OFLAG_CREAT, READ_RIGHTS), WASI_ROFS);
    CHECK_EQ(opens("n", 0, OFLAG_CREAT | OFLAG_EXCL, FILE_RW), WASI_ROFS);
    CHECK_EQ(mkdir_at("n"), WASI_ROFS);
    CHECK_EQ(rmdir_at("d"), WASI_ROFS);
    CHECK_EQ(unlink_at("f"), WASI_ROFS);
    CHECK_EQ(symlink_at("f", "n"), WASI_ROFS);
    CHECK_EQ(rename_at("f", "n"), WASI_ROFS);
    CHECK_EQ(link_at(0, "f", "n"), WASI_ROFS);
    CHECK_EQ(link_at(LOOKUP_SYMLINK_FOLLOW, "f", "n"), WASI_ROFS);
    CHECK_EQ(times_at("f", 0, 1), WASI_ROFS);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, 3, 1, 1, FST_MTIM), WASI_ROFS);
    CHECK_EQ(g_open(w, 3, 0, "f", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    CHECK_EQ(g_write(w, fd, "x", &n), WASI_BADF);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, fd, 0), WASI_ROFS);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 1, 1, FST_MTIM), WASI_ROFS);
    CHECK_EQ(wasi_fd_allocate(NULL, w, fd, 0, 100), WASI_ROFS);
    CHECK_EQ(g_open(w, 3, 0, "d", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &fd), WASI_OK);
    CHECK_EQ(wasi_path_create_directory(NULL, w, fd, G_PATH("n")), WASI_ROFS);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_size, 4);
    CHECK(st.st_mtim.tv_sec > 1000);
    CHECK(!exists("grant/n"));
    end();
}

static void a_read_only_grant_gives_no_names_to_a_writable_one(void)
{
    g_reset();
    scratch_make();
    mkdir(in_scratch("ro"), 0755);
    mkdir(in_scratch("rw"), 0755);
    host_write_file(in_scratch("ro/f"), "data");
    struct wasi_grant grants[2] = {{in_scratch("ro"), "/ro", true, NULL},
                                   {in_scratch("rw"), "/rw", false, NULL}};
    struct wasi_config config = {.grants = grants, .grant_count = 2, .stdio = {0, 1, 2}};
    w = wasi_make(&config);
    w->path_method = method;
    uint32_t f = g_put("f", 1);
    CHECK_EQ(wasi_path_link(NULL, w, 3, 0, f, 1, 4, f, 1), WASI_ROFS);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, f, 1, 4, f, 1), WASI_ROFS);
    host_write_file(in_scratch("rw/f"), "new");
    CHECK_EQ(wasi_path_rename(NULL, w, 4, f, 1, 3, f, 1), WASI_ROFS);
    CHECK_EQ(wasi_path_link(NULL, w, 4, 0, f, 1, 3, f, 1), WASI_ROFS);
    end();
}

static void names_move_between_grants_of_one_file_system(void)
{
    g_reset();
    scratch_make();
    mkdir(in_scratch("one"), 0755);
    mkdir(in_scratch("two"), 0755);
    host_write_file(in_scratch("one/f"), "data");
    struct wasi_grant grants[3] = {{in_scratch("one"), "/one", false, NULL},
                                   {in_scratch("two"), "/two", false, NULL},
                                   {"/dev/shm", "/shm", false, NULL}};
    struct wasi_config config = {.grants = grants, .grant_count = 3, .stdio = {0, 1, 2}};
    w = wasi_make(&config);
    w->path_method = method;
    uint32_t f = g_put("f", 1);
    CHECK_EQ(wasi_path_rename(NULL, w, 3, f, 1, 4, f, 1), WASI_OK);
    CHECK(exists("two/f"));
    struct stat a, b;
    if (stat("/dev/shm", &a) == 0 && stat(scratch_dir, &b) == 0 && a.st_dev != b.st_dev) {
        CHECK_EQ(wasi_path_rename(NULL, w, 4, f, 1, 5, G_PATH("cell-wasi-x")), WASI_XDEV);
        CHECK_EQ(wasi_path_link(NULL, w, 4, 0, f, 1, 5, G_PATH("cell-wasi-x")), WASI_XDEV);
    }
    end();
}

static void the_limit_on_open_files_creates_nothing_behind_it(void)
{
    uint32_t fd;
    g_reset();
    scratch_make();
    mkdir(in_scratch("grant"), 0755);
    struct wasi_grant grant = {in_scratch("grant"), "/", false, NULL};
    struct wasi_config config = {
        .grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}, .open_files_max = 5};
    w = wasi_make(&config);
    CHECK_EQ(g_open(w, 3, 0, "a", OFLAG_CREAT, FILE_RW, 0, &fd), WASI_OK);
    CHECK_EQ(g_open(w, 3, 0, "b", OFLAG_CREAT, FILE_RW, 0, &fd), WASI_MFILE);
    CHECK(!exists("grant/b"));
    CHECK_EQ(wasi_fd_close(NULL, w, 4), WASI_OK);
    CHECK_EQ(g_open(w, 3, 0, "b", OFLAG_CREAT, FILE_RW, 0, &fd), WASI_OK);
    end();
}

static void the_limit_of_the_process_is_the_systems_not_the_guests(void)
{
    struct rlimit old, tight;
    uint32_t fd;
    begin();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    close(next);
    tight = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    CHECK_EQ(g_open(w, 3, 0, "f", 0, READ_RIGHTS, 0, &fd), WASI_NFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    end();
}

static void no_host_descriptor_is_lost(void)
{
    begin();
    int before = dup(0);
    close(before);
    opens("none", 0, 0, 0);
    opens("f", 0, OFLAG_CREAT | OFLAG_EXCL, FILE_RW);
    opens("d/../f", 0, 0, READ_RIGHTS);
    mkdir_at("d/e");
    mkdir_at("d/e");
    rename_at("d/e", "none/e");
    rename_at("none/e", "d/e");
    link_at(LOOKUP_SYMLINK_FOLLOW, "d/../f", "d/g");
    link_at(LOOKUP_SYMLINK_FOLLOW, "d/..", "d/h");
    link_at(0, "d/", "d/h");
    times_at("d/e", 0, 1);
    stat_at("d/none", 0, g_alloc(FILESTAT_BYTES));
    symlink_at("x", "d/none/x");
    int after = dup(0);
    close(after);
    CHECK_EQ(after, before);
    end();
}

static void all(void)
{
    RUN(flags_of_open_work_as_in_posix);
    RUN(rights_are_inherited_and_never_widened);
    RUN(a_directory_is_the_root_of_what_is_opened_through_it);
    RUN(paths_are_checked_before_use);
    RUN(names_may_be_any_bytes);
    RUN(directories_are_made_and_removed);
    RUN(files_are_unlinked);
    RUN(links_are_made_read_and_not_followed_outside);
    RUN(renames_stay_beneath);
    RUN(a_link_in_a_renamed_path_leads_nowhere);
    RUN(hard_links_name_the_same_file);
    RUN(hard_links_follow_links_only_if_asked_and_beneath);
    RUN(attributes_of_paths);
    RUN(times_of_paths_can_be_set_beneath);
    RUN(a_read_only_grant_is_never_changed);
    RUN(a_read_only_grant_gives_no_names_to_a_writable_one);
    RUN(names_move_between_grants_of_one_file_system);
    RUN(the_limit_on_open_files_creates_nothing_behind_it);
    RUN(the_limit_of_the_process_is_the_systems_not_the_guests);
    RUN(no_host_descriptor_is_lost);
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
