#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "fdtable.h"

static struct file *null_file(void)
{
    int errnum = 0;
    struct file *f = file_new(open("/dev/null", O_RDWR | O_CLOEXEC), false, &errnum);
    if (f == NULL) {
        exit(1);
    }
    return f;
}

static uint32_t add(struct fdtable *t)
{
    uint32_t fd = UINT32_MAX;
    struct file *f = null_file();
    if (fdtable_add(t, f, &fd) != WASI_OK) {
        file_free(f);
    }
    return fd;
}

static void the_lowest_free_number_is_given(void)
{
    struct fdtable t;
    fdtable_init(&t, 100);
    for (uint32_t i = 0; i < 40; i++) {
        CHECK_EQ(add(&t), i);
    }
    CHECK_EQ(fdtable_close(&t, 7), WASI_OK);
    CHECK_EQ(fdtable_close(&t, 3), WASI_OK);
    CHECK_EQ(add(&t), 3);
    CHECK_EQ(add(&t), 7);
    CHECK_EQ(add(&t), 40);
    fdtable_done(&t);
}

static void the_limit_is_kept_and_closing_makes_room(void)
{
    struct fdtable t;
    fdtable_init(&t, 3);
    add(&t);
    add(&t);
    CHECK(!fdtable_is_full(&t));
    add(&t);
    CHECK(fdtable_is_full(&t));
    CHECK_EQ(add(&t), UINT32_MAX);
    CHECK_EQ(fdtable_close(&t, 1), WASI_OK);
    CHECK_EQ(add(&t), 1);
    fdtable_done(&t);
}

static void a_number_that_is_not_open_is_refused(void)
{
    struct fdtable t;
    struct file_use u;
    fdtable_init(&t, 10);
    CHECK_EQ(fdtable_close(&t, 0), WASI_BADF);
    CHECK_EQ(fdtable_use(&t, UINT32_MAX, 0, &u), WASI_BADF);
    add(&t);
    CHECK_EQ(fdtable_close(&t, 0), WASI_OK);
    CHECK_EQ(fdtable_close(&t, 0), WASI_BADF);
    fdtable_done(&t);
}

static void a_file_in_use_lives_until_it_is_let_go(void)
{
    struct fdtable t;
    struct file_use u;
    fdtable_init(&t, 10);
    add(&t);
    CHECK_EQ(fdtable_use(&t, 0, RIGHT_FD_READ, &u), WASI_OK);
    int host_fd = u.file->host_fd;
    CHECK_EQ(fdtable_close(&t, 0), WASI_OK);
    CHECK(fcntl(host_fd, F_GETFD) >= 0);
    file_put(&t, &u);
    CHECK(fcntl(host_fd, F_GETFD) < 0 && errno == EBADF);
    fdtable_done(&t);
}

static void a_file_never_let_go_is_closed_with_the_table(void)
{
    struct fdtable t;
    struct file_use u;
    fdtable_init(&t, 10);
    add(&t);
    CHECK_EQ(fdtable_use(&t, 0, 0, &u), WASI_OK);
    int host_fd = u.file->host_fd;
    CHECK_EQ(fdtable_close(&t, 0), WASI_OK);
    fdtable_done(&t);
    CHECK(fcntl(host_fd, F_GETFD) < 0);
}

static void renumbering_replaces_the_target(void)
{
    struct fdtable t;
    struct file_use u;
    fdtable_init(&t, 10);
    add(&t);
    add(&t);
    CHECK_EQ(fdtable_use(&t, 0, 0, &u), WASI_OK);
    struct file *first = u.file;
    file_put(&t, &u);
    CHECK_EQ(fdtable_renumber(&t, 0, 1), WASI_OK);
    CHECK_EQ(fdtable_use(&t, 0, 0, &u), WASI_BADF);
    CHECK_EQ(fdtable_use(&t, 1, 0, &u), WASI_OK);
    CHECK(u.file == first);
    file_put(&t, &u);
    CHECK_EQ(t.open_count, 1);
    CHECK_EQ(fdtable_renumber(&t, 1, 1), WASI_OK);
    CHECK_EQ(fdtable_renumber(&t, 1, 5), WASI_BADF);
    CHECK_EQ(fdtable_renumber(&t, 5, 1), WASI_BADF);
    CHECK_EQ(add(&t), 0);
    fdtable_done(&t);
}

static void rights_can_only_be_dropped(void)
{
    struct fdtable t;
    struct file_use u;
    fdtable_init(&t, 10);
    add(&t);
    CHECK_EQ(fdtable_set_rights(&t, 0, RIGHT_FD_READ, 0), WASI_OK);
    CHECK_EQ(fdtable_use(&t, 0, RIGHT_FD_WRITE, &u), WASI_BADF);
    CHECK_EQ(fdtable_set_rights(&t, 0, RIGHT_FD_READ | RIGHT_FD_WRITE, 0), WASI_NOTCAPABLE);
    CHECK_EQ(fdtable_set_rights(&t, 0, 0, RIGHT_FD_READ), WASI_NOTCAPABLE);
    CHECK_EQ(fdtable_set_flags(&t, 0, FDFLAG_NONBLOCK), WASI_NOTCAPABLE);
    CHECK_EQ(fdtable_set_rights(&t, 9, 0, 0), WASI_BADF);
    fdtable_done(&t);
}

static void a_wrong_type_of_file_is_named_as_the_reason(void)
{
    struct fdtable t;
    struct file_use u;
    int errnum = 0;
    uint32_t fd;
    fdtable_init(&t, 10);
    struct file *dir = file_new(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false, &errnum);
    CHECK_EQ(fdtable_add(&t, dir, &fd), WASI_OK);
    CHECK_EQ(fdtable_use(&t, fd, RIGHT_FD_READ, &u), WASI_ISDIR);
    CHECK_EQ(fdtable_use(&t, fd, RIGHT_SOCK_SHUTDOWN, &u), WASI_NOTSOCK);
    fd = add(&t);
    CHECK_EQ(fdtable_use(&t, fd, RIGHT_PATH_OPEN, &u), WASI_NOTDIR);
    fdtable_done(&t);
}

static void a_read_only_file_refuses_every_change(void)
{
    struct fdtable t;
    struct file_use u;
    int errnum = 0;
    uint32_t fd;
    fdtable_init(&t, 10);
    struct file *dir = file_new(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false, &errnum);
    dir->read_only = true;
    CHECK_EQ(fdtable_add(&t, dir, &fd), WASI_OK);
    uint64_t changes = RIGHTS_CHANGE & RIGHTS_DIRECTORY;
    for (uint64_t bit = 1; bit < RIGHTS_KNOWN; bit <<= 1) {
        if (changes & bit) {
            CHECK_EQ(fdtable_use(&t, fd, bit, &u), WASI_ROFS);
        }
    }
    CHECK_EQ(fdtable_use(&t, fd, RIGHT_PATH_OPEN, &u), WASI_OK);
    file_put(&t, &u);
    fdtable_done(&t);
}

static void check_join(const char *dir, const char *name, const char *want)
{
    char *path = file_path_join(dir, name);
    CHECK_STR(path == NULL ? "(null)" : path, want);
    free(path);
}

static void paths_are_joined_without_dots_and_doubled_slashes(void)
{
    check_join("", "a", "a");
    check_join("", ".", "");
    check_join("a", ".", "a");
    check_join("a", "./b//c/./", "a/b/c");
    check_join("a", "../b", "a/../b");
    check_join("", "..b/.c", "..b/.c");
    CHECK(file_path_join(NULL, "a") == NULL);
    char longest[WASI_PATH_BYTES_MAX + 1];
    memset(longest, 'x', WASI_PATH_BYTES_MAX);
    longest[WASI_PATH_BYTES_MAX] = '\0';
    CHECK(file_path_join("a", longest) == NULL);
}

int main(void)
{
    RUN(the_lowest_free_number_is_given);
    RUN(the_limit_is_kept_and_closing_makes_room);
    RUN(a_number_that_is_not_open_is_refused);
    RUN(a_file_in_use_lives_until_it_is_let_go);
    RUN(a_file_never_let_go_is_closed_with_the_table);
    RUN(renumbering_replaces_the_target);
    RUN(rights_can_only_be_dropped);
    RUN(a_wrong_type_of_file_is_named_as_the_reason);
    RUN(a_read_only_file_refuses_every_change);
    RUN(paths_are_joined_without_dots_and_doubled_slashes);
    return CHECK_DONE();
}
