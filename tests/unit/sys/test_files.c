#include "sys/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/unit_sys_files.XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static unsigned entries(void)
{
    DIR *d = opendir(folder);
    unsigned count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    return count;
}

static void what_is_written_can_be_read_and_mapped(void)
{
    uint8_t data[100000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 31);
    }
    struct error err = {0};
    CHECK_EQ(file_write_atomic(at("a"), data, sizeof data, 0644, FILE_SYNC, &err), ST_OK);
    struct buf b = {0};
    buf_u8(&b, 9);
    CHECK_EQ(file_read(at("a"), sizeof data, &b, &err), ST_OK);
    CHECK_EQ(b.len, sizeof data + 1);
    CHECK(memcmp(b.data + 1, data, sizeof data) == 0);
    buf_done(&b);
    struct file_map map = {0};
    CHECK_EQ(file_map(at("a"), sizeof data, &map, &err), ST_OK);
    CHECK(map.len == sizeof data && memcmp(map.data, data, sizeof data) == 0);
    file_unmap(&map);
    CHECK(map.data == NULL);
}

static void an_empty_file_is_read_and_mapped(void)
{
    struct buf b = {0};
    struct file_map map = {.len = 0};
    CHECK_EQ(file_write_atomic(at("empty"), NULL, 0, 0644, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(file_read(at("empty"), 0, &b, NULL), ST_OK);
    CHECK_EQ(b.len, 0);
    CHECK_EQ(file_map(at("empty"), 0, &map, NULL), ST_OK);
    CHECK(map.data == NULL && map.len == 0);
    file_unmap(&map);
    buf_done(&b);
}

static void a_file_above_the_maximum_is_refused_and_leaves_the_outputs(void)
{
    struct error err = {0};
    struct buf b = {0};
    struct file_map map = {.len = 0};
    buf_u8(&b, 1);
    CHECK_EQ(file_write_atomic(at("big"), "12345", 5, 0644, FILE_NO_SYNC, &err), ST_OK);
    CHECK_EQ(file_read(at("big"), 4, &b, &err), ST_LIMIT);
    CHECK(strstr(err.text, "/big: larger than 4 bytes") != NULL);
    CHECK_EQ(b.len, 1);
    CHECK_EQ(file_map(at("big"), 4, &map, &err), ST_LIMIT);
    CHECK(map.data == NULL);
    CHECK_EQ(file_read("/dev/zero", 1000, &b, &err), ST_LIMIT);
    CHECK_EQ(b.len, 1);
    buf_done(&b);
}

static void missing_files_and_folders_are_named(void)
{
    struct error err = {0};
    struct buf b = {0};
    CHECK_EQ(file_read(at("none"), 10, &b, &err), ST_NOTFOUND);
    CHECK(strstr(err.text, "/none: No such file") != NULL);
    CHECK_EQ(file_read(folder, 10, &b, &err), ST_INVAL);
    CHECK_EQ(file_write_atomic(at("none/x"), "", 0, 0644, FILE_NO_SYNC, &err), ST_NOTFOUND);
}

static void a_write_replaces_and_leaves_no_temporary(void)
{
    struct buf b = {0};
    CHECK_EQ(file_write_atomic(at("r"), "old", 3, 0600, FILE_NO_SYNC, NULL), ST_OK);
    unsigned before = entries();
    CHECK_EQ(file_write_atomic(at("r"), "new!", 4, 0600, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(entries(), before);
    CHECK_EQ(file_read(at("r"), 10, &b, NULL), ST_OK);
    CHECK(b.len == 4 && memcmp(b.data, "new!", 4) == 0);
    struct stat st;
    CHECK_EQ(stat(at("r"), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    buf_done(&b);
}

static void a_failed_write_leaves_the_old_file_and_no_temporary(void)
{
    CHECK_EQ(mkdir(at("dir"), 0755), 0);
    unsigned before = entries();
    /* a folder cannot be replaced by a file: the rename is what fails */
    CHECK(file_write_atomic(at("dir"), "x", 1, 0644, FILE_NO_SYNC, NULL) != ST_OK);
    CHECK_EQ(entries(), before);
}

static void a_name_may_be_as_long_as_names_are(void)
{
    char path[NAME_MAX + 64];
    int len = snprintf(path, sizeof path, "%s/", folder);
    memset(path + len, 'n', NAME_MAX);
    memcpy(path + len + 240, "\xc3\xa9", 2); /* not to be cut through */
    path[len + NAME_MAX] = '\0';
    unsigned before = entries();
    CHECK_EQ(file_write_atomic(path, "x", 1, 0600, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(entries(), before + 1);
    CHECK_EQ(unlink(path), 0);
    memcpy(path + len + NAME_MAX, "n", 2);
    CHECK_EQ(file_write_atomic(path, "x", 1, 0600, FILE_NO_SYNC, NULL), ST_INVAL);
    CHECK_EQ(entries(), before);
}

static void output_goes_into_what_is_no_file_and_behind_links(void)
{
    char got[4] = {0};
    struct stat st;
    struct buf b = {0};
    CHECK_EQ(mkfifo(at("pipe"), 0600), 0);
    CHECK_EQ(symlink("pipe", at("to-pipe")), 0);
    CHECK_EQ(symlink("linked", at("to-file")), 0);
    int fd = open(at("pipe"), O_RDWR | O_CLOEXEC);
    CHECK_EQ(file_write_output(at("pipe"), "ab", 2, 0600, NULL), ST_OK);
    CHECK_EQ(file_write_output(at("to-pipe"), "cd", 2, 0600, NULL), ST_OK);
    CHECK(read(fd, got, 4) == 4 && memcmp(got, "abcd", 4) == 0);
    close(fd);
    CHECK(lstat(at("pipe"), &st) == 0 && S_ISFIFO(st.st_mode));
    CHECK(lstat(at("to-pipe"), &st) == 0 && S_ISLNK(st.st_mode));

    /* a link that leads nowhere yet, then one to a file, which is replaced and not overwritten */
    CHECK_EQ(file_write_output(at("to-file"), "one", 3, 0600, NULL), ST_OK);
    fd = open(at("linked"), O_RDONLY | O_CLOEXEC);
    CHECK_EQ(file_write_output(at("to-file"), "two", 3, 0600, NULL), ST_OK);
    CHECK(read(fd, got, 3) == 3 && memcmp(got, "one", 3) == 0);
    close(fd);
    CHECK(lstat(at("to-file"), &st) == 0 && S_ISLNK(st.st_mode));
    CHECK_EQ(file_read(at("linked"), 10, &b, NULL), ST_OK);
    CHECK(b.len == 3 && memcmp(b.data, "two", 3) == 0);
    buf_done(&b);

    struct error err = {0};
    CHECK(file_write_output("/dev/full", "x", 1, 0600, &err) == ST_LIMIT);
    CHECK(lstat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
}

static void folders_are_made_with_those_above(void)
{
    struct error err = {0};
    CHECK_EQ(file_make_dirs(at("p/q/r"), 0755, &err), ST_OK);
    CHECK_EQ(file_make_dirs(at("p/q/r/"), 0755, &err), ST_OK);
    CHECK_EQ(file_make_dirs("/", 0755, &err), ST_OK);
    struct stat st;
    CHECK(stat(at("p/q/r"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK_EQ(file_write_atomic(at("f"), "", 0, 0644, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(file_make_dirs(at("f/x"), 0755, &err), ST_EXIST);
    CHECK_EQ(file_make_dirs("", 0755, &err), ST_NOTFOUND);
}

static void folders_whose_names_are_durable_are_made_as_others(void)
{
    struct error err = {0};
    struct stat st;
    CHECK_EQ(file_make_dirs_durable(at("d//e/f/"), 0700, &err), ST_OK);
    CHECK_EQ(file_make_dirs_durable(at("d/e/f"), 0700, &err), ST_OK);
    CHECK_EQ(file_make_dirs_durable(at("d/e/g"), 0700, &err), ST_OK);
    CHECK_EQ(file_make_dirs_durable("/", 0700, &err), ST_OK);
    CHECK(stat(at("d/e/f"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(stat(at("d/e/g"), &st) == 0 && S_ISDIR(st.st_mode));
    CHECK_EQ(file_write_atomic(at("h"), "", 0, 0644, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(file_make_dirs_durable(at("h/x"), 0700, &err), ST_EXIST);
    CHECK_EQ(file_make_dirs_durable("", 0700, &err), ST_NOTFOUND);
}

static void what_has_the_name_of_a_folder_is_said_to_be_there(void)
{
    CHECK_EQ(symlink("nowhere", at("from")), 0);
    CHECK_EQ(file_make_dirs(at("from"), 0700, NULL), ST_EXIST);
    CHECK_EQ(unlink(at("from")), 0);
}

static void bytes_are_written_at_a_place_and_cut_off(void)
{
    char text[8] = "";
    int fd = open(at("a"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_EQ(file_write_all(fd, "abcdef", 6), 0);
    CHECK_EQ(file_write_all_at(fd, "XY", 2, 1), 0);
    CHECK_EQ(file_write_all_at(fd, "gh", 2, 6), 0);
    CHECK_EQ(file_cut(fd, 7), 0);
    CHECK_EQ(file_sync(fd), 0);
    CHECK_EQ(file_sync_data(fd), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
    CHECK_EQ(pread(fd, text, sizeof text - 1, 0), 7);
    CHECK(strcmp(text, "aXYdefg") == 0);
    close(fd);
    CHECK(file_write_all_at(fd, "x", 1, 0) == -1 && errno == EBADF);
    CHECK(file_sync(fd) == -1 && errno == EBADF);
    CHECK(file_sync_data(fd) == -1 && errno == EBADF);
    CHECK(file_cut(fd, 0) == -1 && errno == EBADF);
}

static void a_lock_is_held_by_one(void)
{
    int first, second = -7;
    CHECK_EQ(file_lock(at("lock"), false, &first, NULL), ST_OK);
    CHECK_EQ(file_lock(at("lock"), false, &second, NULL), ST_AGAIN);
    CHECK_EQ(second, -7);
    file_lock_release(first, NULL);
    CHECK_EQ(file_lock(at("lock"), false, &second, NULL), ST_OK);
    file_lock_release(second, at("lock"));
    CHECK(access(at("lock"), F_OK) != 0);
}

enum { ADDERS = 4, ADDS = 200 };
static char counter_lock[256];
static int counter;

static void *add(void *arg)
{
    (void)arg;
    for (int i = 0; i < ADDS; i++) {
        int fd;
        if (file_lock(counter_lock, true, &fd, NULL) != ST_OK) {
            return NULL;
        }
        /* atomics only for the race checker: the lock is what makes this exact */
        int seen = __atomic_load_n(&counter, __ATOMIC_RELAXED);
        __atomic_store_n(&counter, seen + 1, __ATOMIC_RELAXED);
        file_lock_release(fd, i % 2 == 0 ? counter_lock : NULL);
    }
    return NULL;
}

static void waiters_notice_that_the_lock_file_was_removed(void)
{
    snprintf(counter_lock, sizeof counter_lock, "%s/counter", folder);
    pthread_t threads[ADDERS];
    for (int i = 0; i < ADDERS; i++) {
        pthread_create(&threads[i], NULL, add, NULL);
    }
    for (int i = 0; i < ADDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(counter, ADDERS * ADDS);
}

/* Signals that come while a slow file is read: the third one brings its bytes, and its end. */
static int slow_file[2];
static volatile sig_atomic_t signals_left;

static void on_tick(int number)
{
    (void)number;
    if (signals_left > 0 && --signals_left == 0) {
        ssize_t n = write(slow_file[1], "slow", 4);
        (void)n;
        close(slow_file[1]);
    }
}

static void a_copy_goes_on_behind_signals(void)
{
    struct sigaction before, tick = {.sa_handler = on_tick};
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    char text[8] = "";
    CHECK_EQ(pipe(slow_file), 0);
    int to = open(at("copy"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    signals_left = 3;
    sigaction(SIGALRM, &tick, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    CHECK_EQ(file_copy_rest(slow_file[0], to), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    CHECK_EQ(signals_left, 0);
    CHECK_EQ(pread(to, text, sizeof text, 0), 4);
    CHECK_STR(text, "slow");
    close(to);
    close(slow_file[0]);
}

static void a_copy_begins_where_the_file_is_and_says_what_failed(void)
{
    char text[8] = "";
    CHECK_EQ(file_write_atomic(at("from"), "0123456", 7, 0600, FILE_NO_SYNC, NULL), ST_OK);
    int from = open(at("from"), O_RDONLY | O_CLOEXEC);
    int to = open(at("copy"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_EQ(lseek(from, 4, SEEK_SET), 4);
    CHECK_EQ(file_copy_rest(from, to), 0);
    CHECK_EQ(pread(to, text, sizeof text, 0), 3);
    CHECK_STR(text, "456");
    CHECK_EQ(lseek(from, 0, SEEK_SET), 0);
    CHECK_EQ(file_copy_rest(from, from), -1);
    CHECK_EQ(errno, EBADF);
    CHECK_EQ(file_copy_rest(-1, to), -1);
    CHECK_EQ(errno, EBADF);
    close(to);
    close(from);
}

static void bytes_are_written_at_their_place(void)
{
    char text[8] = "";
    int fd = open(at("place"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_EQ(file_write_all_at(fd, "abcdef", 6, 0), 0);
    CHECK_EQ(file_write_all_at(fd, "XY", 2, 2), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_EQ(pread(fd, text, sizeof text, 0), 6);
    CHECK_STR(text, "abXYef");
    close(fd);
    CHECK_EQ(file_write_all_at(-1, "a", 1, 0), -1);
    CHECK_EQ(errno, EBADF);
}

static void remove_all(void)
{
    static const char *const names[] = {"a",       "empty", "big",     "r",      "f",
                                        "counter", "pipe",  "to-pipe", "linked", "to-file",
                                        "from",    "copy",  "place",   "h"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unlink(at(names[i]));
    }
    rmdir(at("dir"));
    rmdir(at("d/e/g"));
    rmdir(at("d/e/f"));
    rmdir(at("d/e"));
    rmdir(at("d"));
    rmdir(at("p/q/r"));
    rmdir(at("p/q"));
    rmdir(at("p"));
    CHECK_EQ(rmdir(folder), 0);
}

int main(void)
{
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    RUN(what_is_written_can_be_read_and_mapped);
    RUN(an_empty_file_is_read_and_mapped);
    RUN(a_file_above_the_maximum_is_refused_and_leaves_the_outputs);
    RUN(missing_files_and_folders_are_named);
    RUN(a_write_replaces_and_leaves_no_temporary);
    RUN(a_failed_write_leaves_the_old_file_and_no_temporary);
    RUN(a_name_may_be_as_long_as_names_are);
    RUN(output_goes_into_what_is_no_file_and_behind_links);
    RUN(folders_are_made_with_those_above);
    RUN(folders_whose_names_are_durable_are_made_as_others);
    RUN(what_has_the_name_of_a_folder_is_said_to_be_there);
    RUN(bytes_are_written_at_a_place_and_cut_off);
    RUN(a_lock_is_held_by_one);
    RUN(waiters_notice_that_the_lock_file_was_removed);
    RUN(a_copy_goes_on_behind_signals);
    RUN(a_copy_begins_where_the_file_is_and_says_what_failed);
    RUN(bytes_are_written_at_their_place);
    RUN(remove_all);
    return CHECK_DONE();
}
