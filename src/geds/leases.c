#include "leases.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "impl.h"
#include "sys/files.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static const char file_name[] = "leases";

static bool set_end(int fd)
{
    const uint64_t end = 1;
    return file_write_all_at(fd, &end, sizeof end, LEASE_P_END * sizeof end) == 0;
}

/* What a killed process left. Its clients look at the file that they have mapped, whether it has a name or not. */
static status_t end_former(int folder, struct error *err)
{
    struct stat info;
    int fd = openat(folder, file_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ST_OK : error_set_errno(err, errno, "%s", file_name);
    }
    status_t st = ST_OK;
    bool whole = fstat(fd, &info) == 0 && info.st_size == LEASE_PAGE_BYTES;
    if (whole && !set_end(fd)) { /* else nobody has it */
        st = error_set_errno(err, errno, "%s: end of the former leases", file_name);
    }
    close(fd);
    return st == ST_OK && unlinkat(folder, file_name, 0) != 0
               ? error_set_errno(err, errno, "%s", file_name)
               : st;
}

static bool make_page(struct leases *l, int folder, uint64_t id)
{
    uint64_t page[LEASE_PAGE_BYTES / sizeof(uint64_t)] = {
        [LEASE_P_MAGIC] = LEASE_PAGE_MAGIC, [LEASE_P_VERSION] = LEASE_VERSION, [LEASE_P_ID] = id};
    l->end_fd = openat(folder, file_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (l->end_fd < 0) {
        return false;
    }
    l->page_fd = openat(folder, file_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return l->page_fd >= 0 && file_write_all_at(l->end_fd, page, sizeof page, 0) == 0;
}

static bool make_table(struct leases *l, uint64_t id)
{
    size_t bytes = lease_table_bytes(LEASE_SLOTS);
    l->table_fd = memfd_create("geds-leases", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (l->table_fd < 0 || file_cut(l->table_fd, bytes) != 0) {
        return false;
    }
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, l->table_fd, 0);
    if (table == MAP_FAILED) {
        return false;
    }
    l->table = table;
    atomic_store(&l->table[LEASE_T_MAGIC], LEASE_TABLE_MAGIC);
    atomic_store(&l->table[LEASE_T_VERSION], LEASE_VERSION);
    atomic_store(&l->table[LEASE_T_SLOTS], LEASE_SLOTS);
    atomic_store(&l->table[LEASE_T_ID], id);
    return fcntl(l->table_fd, F_ADD_SEALS,
                 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0;
}

static void close_files(struct leases *l)
{
    const int fds[] = {l->table_fd, l->page_fd, l->end_fd, l->folder_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (l->table != NULL) {
        munmap((void *)l->table, lease_table_bytes(LEASE_SLOTS));
    }
    *l = (struct leases){0};
}

status_t leases_open(struct leases *l, const char *path, struct error *err)
{
    uint64_t id = 0;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    status_t st = end_former(folder, err);
    if (st != ST_OK) {
        close(folder);
        return st;
    }
    *l = (struct leases){.table_fd = -1, .page_fd = -1, .end_fd = -1, .folder_fd = folder};
    bool good = getrandom(&id, sizeof id, 0) == (ssize_t)sizeof id && make_page(l, folder, id) &&
                make_table(l, id);
    if (!good) {
        if (l->end_fd >= 0) { /* nobody has it */
            int ignored = unlinkat(folder, file_name, 0);
            (void)ignored;
        }
        close_files(l);
    }
    return ST_OK;
}

void leases_close(struct leases *l)
{
    if (l->table == NULL) {
        return;
    }
    /* what cannot be ended here stays for the next start to do */
    if (set_end(l->end_fd)) {
        int ignored = unlinkat(l->folder_fd, file_name, 0);
        (void)ignored;
    }
    close_files(l);
}

/* Only the writer changes counters, so they need no atomic addition. */
static void make_odd(lease_word *w, bool odd)
{
    uint64_t now = atomic_load_explicit(w, memory_order_relaxed);
    if ((now % 2 != 0) != odd) {
        atomic_store(w, now + 1);
    }
}

static void each(struct leases *l, const struct changes *changes, bool odd)
{
    for (size_t i = 0; l->table != NULL && i < changes->count; i++) {
        const struct store_event *e = &changes->of[i];
        if (e->kind == STORE_RENAMED_PREFIX) {
            make_odd(&l->table[LEASE_T_ALL], odd);
            continue;
        }
        lease_word *slots = l->table + LEASE_T_FIRST;
        make_odd(&slots[lease_hash(e->bucket, e->key) % LEASE_SLOTS], odd);
        if (e->from_key != NULL) {
            make_odd(&slots[lease_hash(e->from_bucket, e->from_key) % LEASE_SLOTS], odd);
        }
    }
}

void leases_wake(struct leases *l, uint64_t count)
{
    if (l->table != NULL) {
        lease_word *word = &l->table[LEASE_T_EVENTS];
        atomic_store(word, count);
        syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

void leases_begin(struct leases *l, const struct changes *changes)
{
    each(l, changes, true);
}

void leases_end(struct leases *l, const struct changes *changes)
{
    each(l, changes, false);
}

status_t store_lease_files(struct store *s, int ret_fds[STORE_LEASE_FILES],
                           uint64_t ret_bytes[STORE_LEASE_FILES], struct error *err)
{
    /* a leader whose process stands still could not end them before another one leads */
    if (s->leases.table == NULL || s->shared != NULL) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "this store gives no leases");
    }
    int table = fcntl(s->leases.table_fd, F_DUPFD_CLOEXEC, 0);
    int page = table >= 0 ? fcntl(s->leases.page_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (page < 0) {
        status_t st = error_set_errno(err, errno, "leases");
        if (table >= 0) {
            close(table);
        }
        return st;
    }
    ret_fds[0] = table;
    ret_fds[1] = page;
    ret_bytes[0] = lease_table_bytes(LEASE_SLOTS);
    ret_bytes[1] = LEASE_PAGE_BYTES;
    return ST_OK;
}
