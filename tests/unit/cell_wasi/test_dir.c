#include "double.h"

static struct wasi *w;

static void begin(void)
{
    g_reset();
    scratch_make();
    w = guest_in("grant", false);
}

static void end(void)
{
    wasi_free(w);
    scratch_remove();
}

static void make_files(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char name[64];
        snprintf(name, sizeof(name), "grant/file-with-a-name-%u", i);
        host_write_file(in_scratch(name), "");
    }
}

struct entry {
    uint64_t next;
    uint64_t ino;
    uint32_t len;
    uint8_t type;
    char name[256];
};

/* Read once with a buffer of cap bytes. Complete entries go to entries; the result is how many bytes were used. */
static uint32_t read_entries(uint32_t fd, uint64_t cookie, uint32_t cap, struct entry *entries,
                             uint32_t max, uint32_t *ret_count)
{
    uint32_t brk = double_brk;
    uint32_t buf = g_alloc(cap);
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_fd_readdir(NULL, w, fd, buf, cap, cookie, out), WASI_OK);
    uint32_t used = g_u32(out);
    uint32_t count = 0, pos = 0;
    CHECK(used <= cap);
    while (used - pos >= DIRENT_BYTES && count < max) {
        struct entry *e = &entries[count];
        e->next = g_u64(buf + pos);
        e->ino = g_u64(buf + pos + 8);
        e->len = g_u32(buf + pos + 16);
        e->type = double_mem[buf + pos + 20];
        if (used - pos - DIRENT_BYTES < e->len || e->len > 255) {
            break;
        }
        memcpy(e->name, double_mem + buf + pos + DIRENT_BYTES, e->len);
        e->name[e->len] = '\0';
        pos += DIRENT_BYTES + e->len;
        count++;
    }
    *ret_count = count;
    double_brk = brk;
    return used;
}

static const struct entry *find(const struct entry *entries, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static void an_empty_directory_has_itself_and_its_parent(void)
{
    struct entry entries[8];
    struct stat st;
    uint32_t count;
    begin();
    CHECK(read_entries(3, 0, 4096, entries, 8, &count) < 4096);
    CHECK_EQ(count, 2);
    stat(in_scratch("grant"), &st);
    const struct entry *self = find(entries, count, ".");
    const struct entry *up = find(entries, count, "..");
    CHECK(self != NULL && up != NULL);
    CHECK_EQ(self->ino, st.st_ino);
    CHECK_EQ(self->type, FILETYPE_DIRECTORY);
    CHECK_EQ(up->type, FILETYPE_DIRECTORY);
    CHECK_EQ(up->ino, st.st_ino); /* what lies above a grant is not shown */
    end();
}

static void types_and_numbers_agree_with_the_files(void)
{
    struct entry entries[8];
    struct stat st;
    uint32_t count;
    begin();
    host_write_file(in_scratch("grant/f"), "");
    mkdir(in_scratch("grant/d"), 0755);
    CHECK_EQ(symlink("f", in_scratch("grant/l")), 0);
    read_entries(3, 0, 4096, entries, 8, &count);
    CHECK_EQ(count, 5);
    CHECK_EQ(find(entries, count, "f")->type, FILETYPE_REGULAR_FILE);
    CHECK_EQ(find(entries, count, "d")->type, FILETYPE_DIRECTORY);
    CHECK_EQ(find(entries, count, "l")->type, FILETYPE_SYMBOLIC_LINK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(find(entries, count, "f")->ino, st.st_ino);
    end();
}

static void cookies_continue_where_an_entry_ended(void)
{
    struct entry all[64], rest[64];
    uint32_t count, rest_count;
    begin();
    make_files(0, 20);
    read_entries(3, 0, 8192, all, 64, &count);
    CHECK_EQ(count, 22);
    for (uint32_t i = 0; i < count; i++) {
        read_entries(3, all[i].next, 8192, rest, 64, &rest_count);
        CHECK_EQ(rest_count, count - i - 1);
        for (uint32_t k = 0; k < rest_count; k++) {
            CHECK_STR(rest[k].name, all[i + 1 + k].name);
        }
    }
    end();
}

static void a_full_buffer_ends_in_part_of_an_entry(void)
{
    struct entry whole[32], cut[32];
    uint32_t count, cut_count;
    begin();
    make_files(0, 10);
    uint32_t used = read_entries(3, 0, 4096, whole, 32, &count);
    CHECK(used < 4096);
    for (uint32_t cap = 0; cap <= used; cap += 7) {
        uint32_t got = read_entries(3, 0, cap, cut, 32, &cut_count);
        CHECK_EQ(got, cap);
        for (uint32_t i = 0; i < cut_count; i++) {
            CHECK_STR(cut[i].name, whole[i].name);
        }
    }
    CHECK_EQ(read_entries(3, 0, used + 1, cut, 32, &cut_count), used);
    CHECK_EQ(cut_count, count);
    end();
}

enum { LARGE = 3000 };

/* Go through the grant with small reads; calls each with every file's number. */
static uint32_t walk_all(uint32_t cap, void (*each)(unsigned number), uint8_t seen[2 * LARGE])
{
    struct entry entries[64];
    uint64_t cookie = 0;
    uint32_t total = 0;
    for (;;) {
        uint32_t count;
        uint32_t used = read_entries(3, cookie, cap, entries, 64, &count);
        for (uint32_t i = 0; i < count; i++) {
            unsigned number;
            if (sscanf(entries[i].name, "file-with-a-name-%u", &number) == 1 &&
                number < 2 * LARGE) {
                seen[number]++;
                if (each != NULL) {
                    each(number);
                }
            }
            cookie = entries[i].next;
        }
        total += count;
        if (used < cap) {
            return total;
        }
    }
}

static void a_large_directory_is_read_once_through_small_buffers(void)
{
    uint8_t seen[2 * LARGE] = {0};
    begin();
    make_files(0, LARGE);
    CHECK_EQ(walk_all(500, NULL, seen), LARGE + 2);
    for (unsigned i = 0; i < LARGE; i++) {
        CHECK_EQ(seen[i], 1);
    }
    end();
}

static void unlink_number(unsigned number)
{
    char name[64];
    snprintf(name, sizeof(name), "grant/file-with-a-name-%u", number);
    unlink(in_scratch(name));
}

static void removing_what_was_read_skips_nothing(void)
{
    uint8_t seen[2 * LARGE] = {0};
    begin();
    make_files(0, LARGE);
    walk_all(500, unlink_number, seen);
    for (unsigned i = 0; i < LARGE; i++) {
        CHECK_EQ(seen[i], 1);
    }
    rmdir(in_scratch("grant"));
    CHECK_EQ(access(in_scratch("grant"), F_OK), -1);
    mkdir(in_scratch("grant"), 0755);
    end();
}

static void create_another(unsigned number)
{
    if (number < LARGE) {
        make_files(LARGE + number, LARGE + number + 1);
    }
}

static void creating_files_meanwhile_repeats_and_skips_no_old_one(void)
{
    uint8_t seen[2 * LARGE] = {0};
    begin();
    make_files(0, LARGE);
    walk_all(500, create_another, seen);
    for (unsigned i = 0; i < LARGE; i++) {
        CHECK_EQ(seen[i], 1);
    }
    for (unsigned i = LARGE; i < 2 * LARGE; i++) {
        CHECK(seen[i] <= 1);
    }
    end();
}

static void a_removed_directory_is_empty(void)
{
    struct entry entries[8];
    uint32_t count, fd;
    begin();
    mkdir(in_scratch("grant/d"), 0755);
    CHECK_EQ(g_open(w, 3, 0, "d", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &fd), WASI_OK);
    rmdir(in_scratch("grant/d"));
    CHECK_EQ(read_entries(fd, 0, 512, entries, 8, &count), 0);
    end();
}

static void wrong_calls_are_refused(void)
{
    uint32_t fd;
    begin();
    uint32_t out = g_alloc(4);
    uint32_t buf = g_alloc(64);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, DOUBLE_MEM_BYTES - 4, 64, 0, out), WASI_FAULT);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 64, 0, DOUBLE_MEM_BYTES - 3), WASI_FAULT);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 64, UINT64_MAX, out), WASI_INVAL);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 99, buf, 64, 0, out), WASI_BADF);
    CHECK_EQ(g_open(w, 3, 0, "f", OFLAG_CREAT, FILE_RW, 0, &fd), WASI_OK);
    CHECK_EQ(wasi_fd_readdir(NULL, w, fd, buf, 64, 0, out), WASI_NOTDIR);
    CHECK_EQ(wasi_fd_fdstat_set_rights(NULL, w, 3, 0, 0), WASI_OK);
    CHECK_EQ(wasi_fd_readdir(NULL, w, 3, buf, 64, 0, out), WASI_NOTCAPABLE);
    end();
}

int main(void)
{
    RUN(an_empty_directory_has_itself_and_its_parent);
    RUN(types_and_numbers_agree_with_the_files);
    RUN(cookies_continue_where_an_entry_ended);
    RUN(a_full_buffer_ends_in_part_of_an_entry);
    RUN(a_large_directory_is_read_once_through_small_buffers);
    RUN(removing_what_was_read_skips_nothing);
    RUN(creating_files_meanwhile_repeats_and_skips_no_old_one);
    RUN(a_removed_directory_is_empty);
    RUN(wrong_calls_are_refused);
    return CHECK_DONE();
}
