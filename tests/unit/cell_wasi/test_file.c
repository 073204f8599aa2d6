#include <pthread.h>

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

static uint32_t open_file(const char *name, uint32_t oflags, uint32_t fdflags)
{
    uint32_t fd;
    CHECK_EQ(g_open(w, 3, 0, name, oflags, FILE_RW, fdflags, &fd), WASI_OK);
    return fd;
}

static uint64_t seek(uint32_t fd, int64_t offset, uint32_t whence)
{
    uint32_t out = g_alloc(8);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, (uint64_t)offset, whence, out), WASI_OK);
    return g_u64(out);
}

static void check_host(const char *name, const char *want)
{
    char text[256] = "";
    int fd = open(in_scratch(name), O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
    CHECK_STR(text, want);
}

static void what_is_written_is_read_back(void)
{
    uint32_t n;
    char text[256];
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    CHECK_EQ(fd, 4);
    CHECK_EQ(g_write(w, fd, "hello world", &n), WASI_OK);
    CHECK_EQ(n, 11);
    CHECK_EQ(seek(fd, 6, WHENCE_SET), 6);
    CHECK_EQ(g_read(w, fd, text), WASI_OK);
    CHECK_STR(text, "world");
    CHECK_EQ(g_read(w, fd, text), WASI_OK);
    CHECK_STR(text, "");
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_EQ(g_read(w, fd, text), WASI_BADF);
    end();
}

static void many_vectors_are_moved_in_order(void)
{
    uint32_t n = 0;
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t iovs = g_alloc(200 * IOVEC_BYTES);
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t byte = (uint8_t)('a' + i % 26);
        put_le32(double_mem + iovs + i * 8, g_put(&byte, 1));
        put_le32(double_mem + iovs + i * 8 + 4, i % 3 == 0 ? 0 : 1);
    }
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iovs, 200, out), WASI_OK);
    CHECK_EQ(g_u32(out), 133);
    char text[256] = "";
    CHECK_EQ(pread(open(in_scratch("grant/f"), O_RDONLY | O_CLOEXEC), text, 255, 0), 133);
    for (uint32_t i = 0; i < 200; i++) {
        if (i % 3 != 0) {
            CHECK_EQ(text[n++], 'a' + i % 26);
        }
    }
    end();
}

static void large_transfers_go_in_pieces_with_looks_between(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t len = 3 * WASI_PIECE_BYTES_MAX + 17;
    uint32_t data = g_alloc(len);
    for (uint32_t i = 0; i < len; i++) {
        double_mem[data + i] = (uint8_t)(i * 7 + i / 4096);
    }
    uint32_t out = g_alloc(4);
    uint32_t iov = g_iov(data, len);
    uint32_t polls = atomic_load(&double_polls);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), len);
    CHECK(atomic_load(&double_polls) - polls >= 3);
    memset(double_mem + data, 0, len);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, iov, 1, 0, out), WASI_OK);
    CHECK_EQ(g_u32(out), len);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < len; i++) {
        wrong += double_mem[data + i] != (uint8_t)(i * 7 + i / 4096);
    }
    CHECK_EQ(wrong, 0);
    end();
}

static void a_request_ends_a_transfer_with_what_was_moved(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(4);
    uint32_t iov = g_iov(g_alloc(2 << 20), 2 << 20);
    atomic_store(&double_stop, STOP_REQUEST);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), WASI_PIECE_BYTES_MAX);
    end();
}

static void bad_addresses_are_faults_and_move_nothing(void)
{
    uint32_t n;
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(4);
    uint32_t good = g_alloc(16);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, DOUBLE_MEM_BYTES - 4, 1, out), WASI_FAULT);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, g_iov(DOUBLE_MEM_BYTES - 4, 8), 1, out), WASI_FAULT);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, g_iov(UINT32_MAX, 8), 1, out), WASI_FAULT);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, g_iov(good, UINT32_MAX), 1, out), WASI_FAULT);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, g_iov(good, 4), 1, UINT32_MAX - 1), WASI_FAULT);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, good, WASI_IOVS_MAX + 1, out), WASI_INVAL);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, good, UINT32_MAX, out), WASI_INVAL);
    uint32_t iovs = g_alloc(16);
    put_le32(double_mem + iovs, good);
    put_le32(double_mem + iovs + 4, 4);
    put_le32(double_mem + iovs + 8, DOUBLE_MEM_BYTES);
    put_le32(double_mem + iovs + 12, 1);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iovs, 2, out), WASI_FAULT);
    check_host("grant/f", "");
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, fd, DOUBLE_MEM_BYTES - 23), WASI_FAULT);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, DOUBLE_MEM_BYTES - 63), WASI_FAULT);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, 0, WHENCE_CUR, DOUBLE_MEM_BYTES - 7), WASI_FAULT);
    CHECK_EQ(wasi_fd_tell(NULL, w, fd, DOUBLE_MEM_BYTES - 7), WASI_FAULT);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, 3, DOUBLE_MEM_BYTES - 7), WASI_FAULT);
    CHECK_EQ(wasi_fd_prestat_dir_name(NULL, w, 3, DOUBLE_MEM_BYTES - 3, 5), WASI_FAULT);
    CHECK_EQ(g_write(w, fd, "x", &n), WASI_OK);
    end();
}

static void addresses_need_no_alignment(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t base = g_alloc(64);
    uint32_t iov = base + 1, out = base + 11;
    put_le32(double_mem + iov, g_put("abc", 3));
    put_le32(double_mem + iov + 4, 3);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(get_le32(double_mem + out), 3);
    end();
}

static void seeking_works_as_in_posix(void)
{
    uint32_t n;
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(8);
    CHECK_EQ(g_write(w, fd, "0123456789", &n), WASI_OK);
    CHECK_EQ(seek(fd, 0, WHENCE_CUR), 10);
    CHECK_EQ(seek(fd, -3, WHENCE_END), 7);
    CHECK_EQ(seek(fd, -2, WHENCE_CUR), 5);
    CHECK_EQ(wasi_fd_tell(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out), 5);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, (uint64_t)-6, WHENCE_CUR, out), WASI_INVAL);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, 0, 3, out), WASI_INVAL);
    CHECK_EQ(seek(fd, 1000, WHENCE_SET), 1000);
    CHECK_EQ(g_write(w, fd, "x", &n), WASI_OK);
    CHECK_EQ(seek(fd, 0, WHENCE_END), 1001);
    end();
}

static void wasi_unstable_counts_whence_otherwise(void)
{
    uint32_t n;
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(8);
    CHECK_EQ(g_write(w, fd, "0123456789", &n), WASI_OK);
    CHECK_EQ(wasi_unstable_fd_seek(NULL, w, fd, 3, 2, out), WASI_OK);
    CHECK_EQ(g_u64(out), 3);
    CHECK_EQ(wasi_unstable_fd_seek(NULL, w, fd, 2, 0, out), WASI_OK);
    CHECK_EQ(g_u64(out), 5);
    CHECK_EQ(wasi_unstable_fd_seek(NULL, w, fd, (uint64_t)-1, 1, out), WASI_OK);
    CHECK_EQ(g_u64(out), 9);
    end();
}

static void positioned_calls_leave_the_offset(void)
{
    uint32_t n;
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(4);
    uint32_t data = g_alloc(16);
    CHECK_EQ(g_write(w, fd, "0123456789", &n), WASI_OK);
    CHECK_EQ(wasi_fd_pwrite(NULL, w, fd, g_iov(g_put("AB", 2), 2), 1, 3, out), WASI_OK);
    CHECK_EQ(g_u32(out), 2);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, g_iov(data, 4), 1, 2, out), WASI_OK);
    CHECK_EQ(g_u32(out), 4);
    CHECK_EQ(memcmp(double_mem + data, "2AB5", 4), 0);
    CHECK_EQ(seek(fd, 0, WHENCE_CUR), 10);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, g_iov(data, 4), 1, 100, out), WASI_OK);
    CHECK_EQ(g_u32(out), 0);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, g_iov(data, 4), 1, UINT64_MAX, out), WASI_INVAL);
    CHECK_EQ(wasi_fd_pwrite(NULL, w, fd, g_iov(data, 4), 1, INT64_MAX, out), WASI_INVAL);
    end();
}

static void append_writes_at_the_end_but_not_positioned_writes(void)
{
    uint32_t n;
    begin();
    host_write_file(in_scratch("grant/f"), "start");
    uint32_t fd = open_file("f", 0, FDFLAG_APPEND);
    uint32_t out = g_alloc(4);
    CHECK_EQ(seek(fd, 0, WHENCE_SET), 0);
    CHECK_EQ(g_write(w, fd, "-end", &n), WASI_OK);
    CHECK_EQ(seek(fd, 0, WHENCE_CUR), 9);
    CHECK_EQ(wasi_fd_pwrite(NULL, w, fd, g_iov(g_put("S", 1), 1), 1, 0, out), WASI_OK);
    check_host("grant/f", "Start-end");
    CHECK_EQ(seek(fd, 0, WHENCE_CUR), 9);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, w, fd, FDFLAG_SYNC | FDFLAG_DSYNC), WASI_OK);
    CHECK_EQ(seek(fd, 0, WHENCE_SET), 0);
    CHECK_EQ(g_write(w, fd, "T", &n), WASI_OK);
    check_host("grant/f", "Ttart-end");
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, w, fd, 32), WASI_INVAL);
    end();
}

static void a_description_tells_type_flags_and_rights(void)
{
    begin();
    uint32_t out = g_alloc(FDSTAT_BYTES);
    uint32_t fd = open_file("f", OFLAG_CREAT, FDFLAG_APPEND);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_REGULAR_FILE);
    CHECK_EQ(get_le16(double_mem + out + 2), FDFLAG_APPEND);
    CHECK_EQ(g_u64(out + 8), RIGHTS_REGULAR);
    CHECK_EQ(g_u64(out + 16), 0);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, 3, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_DIRECTORY);
    CHECK_EQ(g_u64(out + 8), RIGHTS_DIRECTORY);
    CHECK_EQ(g_u64(out + 8) & (RIGHT_FD_SEEK | RIGHT_FD_READ | RIGHT_FD_WRITE), 0);
    CHECK_EQ(g_u64(out + 16), RIGHTS_KNOWN);
    end();
}

static void rights_are_enforced(void)
{
    uint32_t fd, n;
    char text[256];
    begin();
    uint32_t out = g_alloc(8);
    CHECK_EQ(g_open(w, 3, 0, "f", OFLAG_CREAT, RIGHT_FD_WRITE, 0, &fd), WASI_OK);
    CHECK_EQ(g_read(w, fd, text), WASI_BADF);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, 0, WHENCE_SET, out), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_fd_pwrite(NULL, w, fd, g_iov(out, 1), 1, 0, out), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_fd_sync(NULL, w, fd), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_fd_datasync(NULL, w, fd), WASI_NOTCAPABLE);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, fd, 0), WASI_NOTCAPABLE);
    CHECK_EQ(g_open(w, 3, 0, "f", 0, RIGHT_FD_READ | RIGHT_FD_SYNC, 0, &fd), WASI_OK);
    CHECK_EQ(wasi_fd_datasync(NULL, w, fd), WASI_OK);
    CHECK_EQ(g_open(w, 3, 0, "f", 0, READ_RIGHTS, 0, &fd), WASI_OK);
    CHECK_EQ(g_write(w, fd, "x", &n), WASI_BADF);
    CHECK_EQ(wasi_fd_fdstat_set_rights(NULL, w, fd, RIGHT_FD_SEEK, 0), WASI_OK);
    CHECK_EQ(g_read(w, fd, text), WASI_BADF);
    CHECK_EQ(wasi_fd_fdstat_set_rights(NULL, w, fd, RIGHT_FD_READ, 0), WASI_NOTCAPABLE);
    end();
}

static void data_calls_on_a_directory_say_that_it_is_one(void)
{
    uint32_t n;
    char text[256];
    begin();
    uint32_t out = g_alloc(8);
    CHECK_EQ(g_read(w, 3, text), WASI_ISDIR);
    CHECK_EQ(g_write(w, 3, "x", &n), WASI_ISDIR);
    CHECK_EQ(wasi_fd_seek(NULL, w, 3, 0, WHENCE_CUR, out), WASI_ISDIR);
    CHECK_EQ(wasi_fd_tell(NULL, w, 3, out), WASI_ISDIR);
    CHECK_EQ(wasi_fd_allocate(NULL, w, 3, 0, 1), WASI_ISDIR);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, 3, 0), WASI_ISDIR);
    CHECK_EQ(wasi_fd_sync(NULL, w, 3), WASI_OK);
    end();
}

static void sizes_can_be_set_and_reserved(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(FILESTAT_BYTES);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, fd, 1234), WASI_OK);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out + 32), 1234);
    CHECK_EQ(wasi_fd_filestat_set_size(NULL, w, fd, UINT64_MAX), WASI_INVAL);
    CHECK_EQ(wasi_fd_allocate(NULL, w, fd, 0, 5000), WASI_OK);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out + 32), 5000);
    CHECK_EQ(wasi_fd_allocate(NULL, w, fd, UINT64_MAX, 1), WASI_FBIG);
    CHECK_EQ(wasi_fd_allocate(NULL, w, fd, 0, 0), WASI_INVAL);
    CHECK_EQ(wasi_fd_advise(NULL, w, fd, 0, 100, 5), WASI_OK);
    CHECK_EQ(wasi_fd_advise(NULL, w, fd, 0, 100, 6), WASI_INVAL);
    CHECK_EQ(wasi_fd_datasync(NULL, w, fd), WASI_OK);
    end();
}

static void attributes_have_both_layouts(void)
{
    struct stat st;
    begin();
    host_write_file(in_scratch("grant/f"), "12345");
    CHECK_EQ(link(in_scratch("grant/f"), in_scratch("grant/g")), 0);
    uint32_t fd = open_file("f", 0, 0);
    uint32_t out = g_alloc(FILESTAT_BYTES);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(wasi_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out), st.st_dev);
    CHECK_EQ(g_u64(out + 8), st.st_ino);
    CHECK_EQ(double_mem[out + 16], FILETYPE_REGULAR_FILE);
    CHECK_EQ(g_u64(out + 24), 2);
    CHECK_EQ(g_u64(out + 32), 5);
    CHECK_EQ(g_u64(out + 48),
             (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
    CHECK_EQ(wasi_unstable_fd_filestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(g_u64(out + 8), st.st_ino);
    CHECK_EQ(double_mem[out + 16], FILETYPE_REGULAR_FILE);
    CHECK_EQ(g_u32(out + 20), 2);
    CHECK_EQ(g_u64(out + 24), 5);
    CHECK_EQ(g_u64(out + 40),
             (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec);
    end();
}

static void times_can_be_set_or_left(void)
{
    struct stat st;
    begin();
    host_write_file(in_scratch("grant/f"), "");
    uint32_t fd = open_file("f", 0, 0);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 1000000001, 2000000002, FST_ATIM | FST_MTIM),
             WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_atim.tv_sec, 1);
    CHECK_EQ(st.st_atim.tv_nsec, 1);
    CHECK_EQ(st.st_mtim.tv_sec, 2);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 3000000000, FST_MTIM), WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK_EQ(st.st_atim.tv_sec, 1);
    CHECK_EQ(st.st_mtim.tv_sec, 3);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 0, FST_ATIM_NOW), WASI_OK);
    stat(in_scratch("grant/f"), &st);
    CHECK(st.st_atim.tv_sec > 1000000000);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 0, FST_ATIM | FST_ATIM_NOW), WASI_INVAL);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 0, FST_MTIM | FST_MTIM_NOW), WASI_INVAL);
    CHECK_EQ(wasi_fd_filestat_set_times(NULL, w, fd, 0, 0, 16), WASI_INVAL);
    end();
}

static void grants_are_named_and_can_be_closed_and_renumbered(void)
{
    uint32_t fd;
    begin();
    uint32_t out = g_alloc(PRESTAT_BYTES);
    uint32_t name = g_alloc(16);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, 3, out), WASI_OK);
    CHECK_EQ(g_u32(out), 0);
    CHECK_EQ(g_u32(out + 4), 5);
    CHECK_EQ(wasi_fd_prestat_dir_name(NULL, w, 3, name, 4), WASI_NAMETOOLONG);
    CHECK_EQ(wasi_fd_prestat_dir_name(NULL, w, 3, name, 16), WASI_OK);
    CHECK_EQ(memcmp(double_mem + name, "/data", 5), 0);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, 0, out), WASI_BADF);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, 4, out), WASI_BADF);
    CHECK_EQ(g_open(w, 3, 0, ".", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &fd), WASI_OK);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, fd, out), WASI_BADF);
    CHECK_EQ(wasi_fd_renumber(NULL, w, 3, fd), WASI_OK);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    CHECK_EQ(wasi_fd_prestat_get(NULL, w, fd, out), WASI_BADF);
    end();
}

static void a_snapshot_finds_path_grant_and_flags(void)
{
    struct file_use u;
    uint32_t dir, fd;
    begin();
    mkdir(in_scratch("grant/d"), 0755);
    CHECK_EQ(g_open(w, 3, 0, "./d/", OFLAG_DIRECTORY, RIGHTS_DIRECTORY, 0, &dir), WASI_OK);
    CHECK_EQ(g_open(w, dir, 0, "f", OFLAG_CREAT, FILE_RW, FDFLAG_SYNC, &fd), WASI_OK);
    CHECK_EQ(fdtable_use(&w->files, fd, 0, &u), WASI_OK);
    CHECK_STR(u.file->path, "d/f");
    CHECK_EQ(u.file->grant, 0);
    CHECK_EQ(u.flags, FDFLAG_SYNC);
    file_put(&w->files, &u);
    end();
}

/* ---- streams ---- */

static struct wasi *guest_on(int in, int out, int err, uint64_t output_bytes_max)
{
    struct wasi_config config = {.stdio = {in, out, err}, .output_bytes_max = output_bytes_max};
    return wasi_make(&config);
}

static void pipes_and_devices_are_told_apart(void)
{
    int pipes[2];
    g_reset();
    CHECK_EQ(pipe(pipes), 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct wasi *s = guest_on(pipes[0], pipes[1], null, 0);
    uint32_t out = g_alloc(FDSTAT_BYTES);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, s, 0, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_SOCKET_STREAM);
    CHECK_EQ(g_u64(out + 8) & (RIGHT_FD_WRITE | RIGHT_FD_SEEK), 0);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, s, 1, out), WASI_OK);
    CHECK_EQ(g_u64(out + 8) & RIGHT_FD_READ, 0);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, s, 2, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_CHARACTER_DEVICE);
    /* Not a terminal: guests tell by the right to seek. */
    CHECK((g_u64(out + 8) & RIGHT_FD_SEEK) != 0);
    CHECK_EQ(wasi_fd_seek(NULL, s, 0, 0, WHENCE_CUR, out), WASI_SPIPE);
    CHECK_EQ(wasi_sock_shutdown(NULL, s, 1, SDFLAG_RD), WASI_NOTSOCK);
    wasi_free(s);
    CHECK(fcntl(pipes[0], F_GETFD) >= 0);
    close(pipes[0]);
    close(pipes[1]);
    close(null);
}

static void a_terminal_has_no_right_to_seek(void)
{
    g_reset();
    int pty = posix_openpt(O_RDWR | O_NOCTTY);
    if (pty < 0) {
        return;
    }
    struct wasi *s = guest_on(pty, pty, pty, 0);
    uint32_t out = g_alloc(FDSTAT_BYTES);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, s, 0, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_CHARACTER_DEVICE);
    CHECK_EQ(g_u64(out + 8) & (RIGHT_FD_SEEK | RIGHT_FD_TELL), 0);
    wasi_free(s);
    close(pty);
}

static void a_pipe_gives_what_is_there_and_does_not_wait_for_more(void)
{
    int pipes[2];
    char text[256];
    g_reset();
    CHECK_EQ(pipe(pipes), 0);
    struct wasi *s = guest_on(pipes[0], 1, 2, 0);
    CHECK_EQ(write(pipes[1], "abc", 3), 3);
    CHECK_EQ(g_read(s, 0, text), WASI_OK);
    CHECK_STR(text, "abc");
    close(pipes[1]);
    CHECK_EQ(g_read(s, 0, text), WASI_OK);
    CHECK_STR(text, "");
    wasi_free(s);
    close(pipes[0]);
}

static void nonblocking_is_the_guests_own_flag(void)
{
    int in[2], out[2];
    char text[256];
    g_reset();
    CHECK_EQ(pipe(in), 0);
    CHECK_EQ(pipe(out), 0);
    struct wasi *s = guest_on(in[0], out[1], 2, 0);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, s, 0, FDFLAG_NONBLOCK), WASI_OK);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, s, 1, FDFLAG_NONBLOCK), WASI_OK);
    CHECK_EQ(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(g_read(s, 0, text), WASI_AGAIN);
    uint32_t n = g_alloc(4);
    uint32_t big = g_iov(g_alloc(1 << 20), 1 << 20);
    CHECK_EQ(wasi_fd_write(NULL, s, 1, big, 1, n), WASI_OK);
    CHECK(g_u32(n) >= 4096 && g_u32(n) < 1 << 20);
    CHECK_EQ(wasi_fd_write(NULL, s, 1, big, 1, n), WASI_AGAIN);
    wasi_free(s);
    close(in[0]);
    close(in[1]);
    close(out[0]);
    close(out[1]);
}

static void a_hosts_nonblocking_pipe_blocks_for_a_blocking_guest(void)
{
    int pipes[2];
    char text[256];
    g_reset();
    CHECK_EQ(pipe2(pipes, O_NONBLOCK), 0);
    struct wasi *s = guest_on(pipes[0], 1, 2, 0);
    CHECK_EQ(g_read(s, 0, text), WASI_AGAIN); /* the guest sees the flag, too */
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, s, 0, 0), WASI_OK);
    CHECK_EQ(write(pipes[1], "x", 1), 1);
    CHECK_EQ(g_read(s, 0, text), WASI_OK);
    CHECK_STR(text, "x");
    wasi_free(s);
    close(pipes[0]);
    close(pipes[1]);
}

enum { LONG_BYTES = 3 * WASI_PIECE_BYTES_MAX / 2 };

static void a_captured_transfer_goes_on_behind_what_it_has_moved(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(4), data = g_alloc(LONG_BYTES), iov = g_iov(data, LONG_BYTES);
    for (uint32_t i = 0; i < LONG_BYTES; i += 4) {
        put_le32(double_mem + data + i, i);
    }
    atomic_store(&double_stop, STOP_CAPTURE);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_INTR);
    atomic_store(&double_stop, STOP_NONE);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), LONG_BYTES);
    memset(double_mem + data, 0, LONG_BYTES);
    atomic_store(&double_stop, STOP_CAPTURE);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, iov, 1, 4, out), WASI_INTR);
    atomic_store(&double_stop, STOP_NONE);
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, iov, 1, 4, out), WASI_OK);
    CHECK_EQ(g_u32(out), LONG_BYTES - 4);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < LONG_BYTES - 4; i += 4) {
        wrong += g_u32(data + i) != i + 4;
    }
    CHECK_EQ(wrong, 0);
    /* what was remembered is used up */
    CHECK_EQ(wasi_fd_pread(NULL, w, fd, g_iov(data, 8), 1, 0, out), WASI_OK);
    CHECK_EQ(g_u32(data + 4), 4);
    end();
}

static void what_was_moved_is_part_of_a_saved_state(void)
{
    begin();
    uint32_t fd = open_file("f", OFLAG_CREAT, 0);
    uint32_t out = g_alloc(4), iov = g_iov(g_alloc(LONG_BYTES), LONG_BYTES);
    struct buf state = {0};
    struct error err = {0};
    struct wasi *other = NULL;
    struct stat st = {0};
    struct wasi_grant grant = {in_scratch("grant"), "/data", false, NULL};
    struct wasi_config config = {.grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}};
    atomic_store(&double_stop, STOP_CAPTURE);
    CHECK_EQ(wasi_fd_write(NULL, w, fd, iov, 1, out), WASI_INTR);
    atomic_store(&double_stop, STOP_NONE);
    CHECK_EQ(wasi_save(w, &state, &err), ST_OK);
    CHECK_EQ(wasi_restore(&config, state.data, state.len, false, &other, &err), ST_OK);
    CHECK_EQ(wasi_fd_write(NULL, other, fd, iov, 1, out), WASI_OK);
    CHECK_EQ(g_u32(out), LONG_BYTES);
    CHECK_EQ(stat(in_scratch("grant/f"), &st), 0);
    CHECK_EQ(st.st_size, LONG_BYTES);
    buf_done(&state);
    wasi_free(other);
    end();
}

static void random_bytes_are_captured_between_pieces(void)
{
    begin();
    uint32_t data = g_alloc(LONG_BYTES), zeros = 0;
    atomic_store(&double_stop, STOP_CAPTURE);
    CHECK_EQ(wasi_random_get(NULL, w, data, LONG_BYTES), WASI_INTR);
    atomic_store(&double_stop, STOP_NONE);
    CHECK_EQ(wasi_random_get(NULL, w, data, LONG_BYTES), WASI_OK);
    for (uint32_t i = 0; i < LONG_BYTES; i += 8) {
        zeros += g_u64(data + i) == 0;
    }
    CHECK(zeros < 3);
    end();
}

static void a_stopped_cell_does_not_block(void)
{
    int pipes[2];
    char text[256];
    g_reset();
    CHECK_EQ(pipe(pipes), 0);
    struct wasi *s = guest_on(pipes[0], 1, 2, 0);
    atomic_store(&double_stop, STOP_REQUEST);
    CHECK_EQ(g_read(s, 0, text), WASI_INTR);
    wasi_free(s);
    close(pipes[0]);
    close(pipes[1]);
    g_reset();
}

static void output_stops_the_cell_at_its_limit(void)
{
    int pipes[2];
    uint32_t n = 0;
    char text[64] = "";
    g_reset();
    CHECK_EQ(pipe(pipes), 0);
    struct wasi *s = guest_on(0, pipes[1], pipes[1], 10);
    CHECK_EQ(g_write(s, 1, "123456", &n), WASI_OK);
    CHECK_EQ(g_write(s, 2, "7890", &n), WASI_OK);
    CHECK_EQ(atomic_load(&double_stop), STOP_NONE);
    CHECK_EQ(g_write(s, 1, "", &n), WASI_OK);
    CHECK_EQ(g_write(s, 1, "x", &n), WASI_INTR);
    CHECK_EQ(atomic_load(&double_stop), STOP_OUTPUT_LIMIT);
    CHECK_EQ(read(pipes[0], text, sizeof(text) - 1), 10);
    CHECK_STR(text, "1234567890");
    wasi_free(s);
    close(pipes[0]);
    close(pipes[1]);
    g_reset();
}

static void output_across_the_limit_is_cut_there(void)
{
    int pipes[2];
    uint32_t n = 0;
    char text[64] = "";
    g_reset();
    CHECK_EQ(pipe(pipes), 0);
    struct wasi *s = guest_on(0, pipes[1], pipes[1], 4);
    CHECK_EQ(g_write(s, 1, "123456", &n), WASI_OK);
    CHECK_EQ(n, 4);
    CHECK_EQ(atomic_load(&double_stop), STOP_OUTPUT_LIMIT);
    CHECK_EQ(read(pipes[0], text, sizeof(text) - 1), 4);
    wasi_free(s);
    close(pipes[0]);
    close(pipes[1]);
    g_reset();
}

static void closed_standard_descriptors_keep_their_numbers(void)
{
    uint32_t n;
    char text[256];
    g_reset();
    struct wasi *s = guest_on(-1, -1, -1, 0);
    CHECK_EQ(g_read(s, 0, text), WASI_OK);
    CHECK_STR(text, "");
    CHECK_EQ(g_write(s, 1, "x", &n), WASI_OK);
    CHECK_EQ(g_write(s, 2, "x", &n), WASI_OK);
    wasi_free(s);
}

int main(void)
{
    RUN(what_is_written_is_read_back);
    RUN(many_vectors_are_moved_in_order);
    RUN(large_transfers_go_in_pieces_with_looks_between);
    RUN(a_request_ends_a_transfer_with_what_was_moved);
    RUN(bad_addresses_are_faults_and_move_nothing);
    RUN(addresses_need_no_alignment);
    RUN(seeking_works_as_in_posix);
    RUN(wasi_unstable_counts_whence_otherwise);
    RUN(positioned_calls_leave_the_offset);
    RUN(append_writes_at_the_end_but_not_positioned_writes);
    RUN(a_description_tells_type_flags_and_rights);
    RUN(rights_are_enforced);
    RUN(data_calls_on_a_directory_say_that_it_is_one);
    RUN(sizes_can_be_set_and_reserved);
    RUN(attributes_have_both_layouts);
    RUN(times_can_be_set_or_left);
    RUN(grants_are_named_and_can_be_closed_and_renumbered);
    RUN(a_snapshot_finds_path_grant_and_flags);
    RUN(pipes_and_devices_are_told_apart);
    RUN(a_terminal_has_no_right_to_seek);
    RUN(a_pipe_gives_what_is_there_and_does_not_wait_for_more);
    RUN(nonblocking_is_the_guests_own_flag);
    RUN(a_hosts_nonblocking_pipe_blocks_for_a_blocking_guest);
    RUN(a_captured_transfer_goes_on_behind_what_it_has_moved);
    RUN(random_bytes_are_captured_between_pieces);
    RUN(what_was_moved_is_part_of_a_saved_state);
    RUN(a_stopped_cell_does_not_block);
    RUN(output_stops_the_cell_at_its_limit);
    RUN(output_across_the_limit_is_cut_there);
    RUN(closed_standard_descriptors_keep_their_numbers);
    return CHECK_DONE();
}
