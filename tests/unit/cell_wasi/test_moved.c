#include "double.h"
#include "saved.h"

/* Device and inode numbers behind a restore on other files. `w` has a folder of the scratch folder as its descriptor 3,
 * first "one"; go_to restores it in another. */

static struct wasi *w;
static struct buf blob;
static struct error err;
static struct wasi_grant grant;
static struct wasi_config config;

static void grant_folder(const char *name)
{
    free((void *)(uintptr_t)grant.host_path);
    grant = (struct wasi_grant){strdup(in_scratch(name)), "/data", false, NULL};
    config = (struct wasi_config){.grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}};
}

static void begin(void)
{
    g_reset();
    scratch_make();
    mkdir(in_scratch("one"), 0755);
    grant_folder("one");
    w = wasi_make(&config);
}

static void end(void)
{
    wasi_free(w);
    w = NULL;
    buf_done(&blob);
    scratch_remove();
}

/* Save, and end. */
static void save(void)
{
    blob.len = 0;
    if (wasi_save(w, &blob, &err) != ST_OK) {
        fprintf(stderr, "wasi_save: %s\n", err.text);
        exit(1);
    }
    wasi_free(w);
    w = NULL;
}

/* Go on where grant is now. */
static void restore(void)
{
    if (wasi_restore(&config, blob.data, blob.len, false, &w, &err) != ST_OK) {
        fprintf(stderr, "wasi_restore: %s\n", err.text);
        exit(1);
    }
}

static void travel(void)
{
    save();
    restore();
}

static void write_at(const char *folder, const char *name, const char *text)
{
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    host_write_file(in_scratch(path), text);
    CHECK_EQ(utimensat(AT_FDCWD, in_scratch(path), times, 0), 0);
}

/* Restore in the folder `to`, which gets copies of these files; those of `from` are removed. */
static void go_to(const char *from, const char *to, const char *const *names, size_t count)
{
    char old[512];
    save();
    mkdir(in_scratch(to), 0755);
    for (size_t i = 0; i < count; i++) {
        write_at(to, names[i], "abc");
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(old, sizeof(old), "%s/%s", from, names[i]);
        unlink(in_scratch(old));
    }
    grant_folder(to);
    restore();
}

static uint32_t open_file(const char *name)
{
    uint32_t fd;
    CHECK_EQ(g_open(w, 3, 0, name, 0, READ_RIGHTS, 0, &fd), WASI_OK);
    return fd;
}

static struct ids_key of_fd(uint32_t fd)
{
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    return (struct ids_key){g_u64(out), g_u64(out + 8)};
}

static struct ids_key of_path(const char *name)
{
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_path_filestat_get(NULL, w, 3, 0, G_PATH(name), out), WASI_OK);
    return (struct ids_key){g_u64(out), g_u64(out + 8)};
}

/* As the folder lists it; 0: it does not. */
static uint64_t of_entry(const char *name)
{
    enum { CAP = 4096 };
    uint32_t buf = g_alloc(CAP), out = g_alloc(4), pos = 0;
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, CAP, 0, out), WASI_OK);
    while (g_u32(out) - pos >= DIRENT_BYTES) {
        uint32_t len = g_u32(buf + pos + 16);
        if (len == strlen(name) && memcmp(double_mem + buf + pos + DIRENT_BYTES, name, len) == 0) {
            return g_u64(buf + pos + 8);
        }
        pos += DIRENT_BYTES + len;
    }
    return 0;
}

static bool same(struct ids_key a, struct ids_key b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

/* Wherever the guest looks, the file has this number. */
static void check_everywhere(const char *name, struct ids_key want)
{
    CHECK(same(of_path(name), want));
    CHECK_EQ(of_entry(name), want.ino);
}

static void on_the_same_files_all_numbers_stay_the_hosts(void)
{
    struct stat st;
    begin();
    write_at("one", "a", "abc");
    write_at("one", "b", "abc");
    uint32_t fd = open_file("a");
    travel();
    CHECK_EQ(w->ids.serial, 0);
    CHECK_EQ(w->ids.file_count, 0);
    CHECK_EQ(stat(in_scratch("one/b"), &st), 0);
    check_everywhere("b", (struct ids_key){st.st_dev, st.st_ino});
    CHECK(same(of_fd(fd), of_path("a")));
    end();
}

static void an_open_file_keeps_its_number_on_a_copy(void)
{
    static const char *const names[] = {"a", "b"};
    begin();
    write_at("one", "a", "abc");
    write_at("one", "b", "abc");
    uint32_t first = open_file("a"), second = open_file("a");
    struct ids_key a = of_fd(first), b = of_path("b"), root = of_fd(3);
    go_to("one", "two", names, 2);
    CHECK(same(of_fd(first), a));
    CHECK(same(of_fd(second), a));
    CHECK(same(of_fd(3), root));
    check_everywhere("a", a);
    CHECK_EQ(of_entry("."), root.ino);
    CHECK_EQ(of_entry(".."), root.ino);
    /* Others are on the same device, and have numbers that no file had. */
    CHECK_EQ(of_path("b").dev, root.dev);
    CHECK(of_path("b").ino != b.ino && of_path("b").ino != a.ino);
    check_everywhere("b", of_path("b"));
    end();
}

static void it_keeps_it_when_it_is_closed_and_opened_again(void)
{
    static const char *const names[] = {"a"};
    begin();
    write_at("one", "a", "abc");
    uint32_t fd = open_file("a");
    struct ids_key a = of_fd(fd);
    go_to("one", "two", names, 1);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK(same(of_fd(open_file("a")), a));
    /* Closed also over a restore on the same files. */
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    travel();
    travel();
    check_everywhere("a", a);
    end();
}

static void tables_of_several_moves_compose(void)
{
    static const char *const names[] = {"a", "b", "c"};
    begin();
    for (int i = 0; i < 3; i++) {
        write_at("one", names[i], "abc");
    }
    uint32_t fd = open_file("a");
    struct ids_key a = of_fd(fd), root = of_fd(3);
    go_to("one", "two", names, 3);
    uint32_t later = open_file("b");
    struct ids_key b = of_fd(later), c = of_path("c");
    go_to("two", "three", names, 3);
    CHECK_EQ(w->ids.serial, 2);
    CHECK(same(of_fd(fd), a));
    CHECK(same(of_fd(later), b));
    check_everywhere("a", a);
    check_everywhere("b", b);
    CHECK(same(of_fd(3), root));
    CHECK(!same(of_path("c"), c));
    /* On the same files once more all is as it was. */
    c = of_path("c");
    travel();
    CHECK_EQ(w->ids.serial, 2);
    CHECK(same(of_fd(fd), a));
    check_everywhere("b", b);
    check_everywhere("c", c);
    end();
}

static void hard_links_are_one_file_as_long_as_they_are(void)
{
    static const char *const names[] = {"a", "b"};
    begin();
    write_at("one", "a", "abc");
    CHECK_EQ(link(in_scratch("one/a"), in_scratch("one/b")), 0);
    uint32_t first = open_file("a"), second = open_file("b");
    struct ids_key a = of_fd(first);
    CHECK(same(of_fd(second), a));
    travel();
    CHECK(same(of_fd(second), a));
    /* Copied as two files. */
    go_to("one", "two", names, 2);
    CHECK(same(of_fd(first), a));
    CHECK(!same(of_fd(second), a));
    struct ids_key b = of_fd(second);
    check_everywhere("b", b);
    /* And two that become one. */
    save();
    unlink(in_scratch("two/b"));
    CHECK_EQ(link(in_scratch("two/a"), in_scratch("two/b")), 0);
    restore();
    CHECK(same(of_fd(first), of_fd(second)));
    check_everywhere("b", a);
    end();
}

static void a_hard_link_that_is_not_open_has_the_number_as_well(void)
{
    begin();
    write_at("one", "a", "abc");
    CHECK_EQ(link(in_scratch("one/a"), in_scratch("one/b")), 0);
    struct ids_key a = of_fd(open_file("a"));
    save();
    mkdir(in_scratch("two"), 0755);
    write_at("two", "a", "abc");
    CHECK_EQ(link(in_scratch("two/a"), in_scratch("two/b")), 0);
    grant_folder("two");
    restore();
    check_everywhere("b", a);
    end();
}

static void a_file_that_was_replaced_keeps_its_number_and_the_old_one_gets_another(void)
{
    struct stat st;
    begin();
    write_at("one", "a", "abc");
    write_at("one", "b", "abc");
    uint32_t fd = open_file("a");
    struct ids_key a = of_fd(fd), b = of_path("b");
    save();
    write_at("one", "new", "abc");
    CHECK_EQ(rename(in_scratch("one/a"), in_scratch("one/old")), 0);
    CHECK_EQ(rename(in_scratch("one/new"), in_scratch("one/a")), 0);
    restore();
    CHECK(same(of_fd(fd), a));
    check_everywhere("a", a);
    check_everywhere("b", b);
    CHECK_EQ(stat(in_scratch("one/a"), &st), 0);
    check_everywhere("old", (struct ids_key){st.st_dev, st.st_ino});
    /* The guest does the same: then the number belongs to the file, not to the name. */
    CHECK_EQ(rename(in_scratch("one/a"), in_scratch("one/away")), 0);
    check_everywhere("away", a);
    travel();
    CHECK(same(of_fd(fd), a));
    check_everywhere("away", a);
    end();
}

static void one_folder_of_two_moves(void)
{
    static const char *const names[] = {"a"};
    begin();
    mkdir(in_scratch("stays"), 0755);
    write_at("stays", "s", "abc");
    write_at("one", "a", "abc");
    struct wasi_grant grants[2] = {{grant.host_path, "/data", false, NULL},
                                   {in_scratch("stays"), "/stays", false, NULL}};
    wasi_free(w);
    config.grants = grants;
    config.grant_count = 2;
    w = wasi_make(&config);
    struct ids_key a = of_fd(open_file("a")), root = of_fd(3), other_root = of_fd(4);
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_path_filestat_get(NULL, w, 4, 0, G_PATH("s"), out), WASI_OK);
    uint64_t s = g_u64(out + 8);
    mkdir(in_scratch("two"), 0755);
    write_at("two", names[0], "abc");
    save();
    grants[0].host_path = in_scratch("two");
    grants[1].host_path = in_scratch("stays");
    restore();
    CHECK(same(of_fd(3), root));
    CHECK(same(of_fd(4), other_root));
    check_everywhere("a", a);
    /* It is the same file system, so nothing else changes. */
    CHECK_EQ(w->ids.serial, 0);
    CHECK_EQ(wasi_path_filestat_get(NULL, w, 4, 0, G_PATH("s"), out), WASI_OK);
    CHECK_EQ(g_u64(out + 8), s);
    end();
}

static void standard_output_keeps_its_number(void)
{
    begin();
    write_at("one", "out", "abc");
    config.stdio[1] = open(in_scratch("one/out"), O_WRONLY);
    wasi_free(w);
    w = wasi_make(&config);
    struct ids_key out = of_fd(1);
    CHECK(same(out, of_path("out")));
    save();
    close(config.stdio[1]);
    write_at("one", "out2", "abc");
    config.stdio[1] = open(in_scratch("one/out2"), O_WRONLY);
    restore();
    CHECK(same(of_fd(1), out));
    /* So a program that leaves out its own output goes on to do so. */
    check_everywhere("out2", out);
    CHECK(!same(of_path("out"), out));
    close(config.stdio[1]);
    end();
}

/* Begin to read the folder: a hundred bytes. */
static void read_some_entries(void)
{
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, g_alloc(100), 100, 0, g_alloc(4)), WASI_OK);
}

static void entries_of_a_half_read_folder_keep_their_numbers(void)
{
    static const char *const names[] = {"a", "b", "c"};
    struct ids_key ids[3];
    begin();
    for (int i = 0; i < 3; i++) {
        write_at("one", names[i], "abc");
        ids[i] = of_path(names[i]);
    }
    read_some_entries();
    go_to("one", "two", names, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(same(of_path(names[i]), ids[i]));
    }
    write_at("two", "new", "abc");
    struct ids_key new = of_path("new");
    travel();
    CHECK(same(of_path("new"), new));
    check_everywhere("a", ids[0]);
    go_to("two", "three", names, 3);
    check_everywhere("b", ids[1]);
    end();
}

static void links_that_were_split_in_a_half_read_folder_stay_apart(void)
{
    static const char *const names[] = {"a", "b"};
    begin();
    write_at("one", "a", "abc");
    CHECK_EQ(link(in_scratch("one/a"), in_scratch("one/b")), 0);
    read_some_entries();
    struct ids_key a = of_path("a");
    go_to("one", "two", names, 2);
    struct ids_key now[2] = {of_path("a"), of_path("b")};
    CHECK(!same(now[0], now[1]));
    CHECK(same(now[0], a) || same(now[1], a));
    travel();
    CHECK(same(of_path("a"), now[0]));
    CHECK(same(of_path("b"), now[1]));
    go_to("two", "three", names, 2);
    CHECK(same(of_path("a"), now[0]));
    CHECK(same(of_path("b"), now[1]));
    end();
}

static void a_state_of_version_1_knows_no_numbers(void)
{
    struct stat st;
    begin();
    blob.len = 0;
    write_at("one", "a", "abc");
    buf_le32(&blob, SAVED_MAGIC);
    buf_le32(&blob, 1);
    for (int i = 0; i < 5; i++) {
        buf_le64(&blob, 0);
    }
    buf_le32(&blob, 0);
    buf_le32(&blob, 0);
    buf_le32(&blob, 1);
    saved_put_text(&blob, "/data", 5);
    buf_le32(&blob, 1);
    buf_le32(&blob, 3);
    buf_u8(&blob, SAVED_ORIGIN_PATH);
    buf_u8(&blob, FILE_DIRECTORY);
    buf_u8(&blob, FILETYPE_DIRECTORY);
    buf_u8(&blob, SAVED_PREOPEN);
    buf_le16(&blob, 0);
    buf_le64(&blob, RIGHTS_DIRECTORY);
    buf_le64(&blob, RIGHTS_KNOWN);
    buf_le32(&blob, 0);
    saved_put_text(&blob, "", 0);
    buf_le32(&blob, 1);
    buf_le64(&blob, 5);
    saved_put_text(&blob, "a", 1);
    buf_le32(&blob, 0);
    wasi_free(w);
    w = NULL;
    restore();
    CHECK(ids_are_native(&w->ids));
    CHECK_EQ(stat(in_scratch("one/a"), &st), 0);
    check_everywhere("a", (struct ids_key){st.st_dev, st.st_ino});
    buf_patch_le32(&blob, 4, SAVED_VERSION + 1);
    struct wasi *none = NULL;
    CHECK_EQ(wasi_restore(&config, blob.data, blob.len, false, &none, &err), ST_UNSUPPORTED);
    end();
}

/* ---- bytes from anywhere ---- */

/* A guest that has moved. */
static void make_moved(void)
{
    static const char *const names[] = {"a", "b"};
    begin();
    write_at("one", "a", "abc");
    write_at("one", "b", "abc");
    open_file("a");
    go_to("one", "two", names, 2);
    open_file("b");
    read_some_entries();
    save();
}

static void changed_bytes_of_a_moved_guest_are_refused_or_harmless(void)
{
    make_moved();
    for (size_t at = 0; at < blob.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct wasi *other = NULL;
            blob.data[at] ^= (uint8_t)(1U << bit);
            err = (struct error){0};
            status_t st = wasi_restore(&config, blob.data, blob.len, true, &other, &err);
            CHECK_EQ(other != NULL, st == ST_OK);
            CHECK(st == ST_OK || err.text[0] != '\0');
            wasi_free(other);
            blob.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    for (size_t cut = 0; cut < blob.len; cut++) {
        struct wasi *other = NULL;
        /* Of the exact size, so that a sanitizer sees a read behind the end. */
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, blob.data, cut);
        CHECK_EQ(wasi_restore(&config, copy, cut, true, &other, &err), ST_CORRUPT);
        free(copy);
    }
    end();
}

int main(void)
{
    RUN(on_the_same_files_all_numbers_stay_the_hosts);
    RUN(an_open_file_keeps_its_number_on_a_copy);
    RUN(it_keeps_it_when_it_is_closed_and_opened_again);
    RUN(tables_of_several_moves_compose);
    RUN(hard_links_are_one_file_as_long_as_they_are);
    RUN(a_hard_link_that_is_not_open_has_the_number_as_well);
    RUN(a_file_that_was_replaced_keeps_its_number_and_the_old_one_gets_another);
    RUN(one_folder_of_two_moves);
    RUN(standard_output_keeps_its_number);
    RUN(entries_of_a_half_read_folder_keep_their_numbers);
    RUN(links_that_were_split_in_a_half_read_folder_stay_apart);
    RUN(a_state_of_version_1_knows_no_numbers);
    RUN(changed_bytes_of_a_moved_guest_are_refused_or_harmless);
    return CHECK_DONE();
}
