#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* From linux/fs.h of 6.7; Debian's headers are older than many kernels they are used with. */
enum {
    PAGE_WRITTEN = 1u << 1,
    PAGE_FILE = 1u << 2,
    PAGE_PRESENT = 1u << 3,
    PAGE_SWAPPED = 1u << 4,
    PAGE_ZERO = 1u << 5,
    REGIONS_MAX = 16,
    VISIT_REGIONS = 256,
    SCAN_PROTECTS = 1u << 0,
    SCAN_CHECKS = 1u << 1, /* fail where protection would fault */
};
struct page_region {
    uint64_t start, end, categories;
};
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_REQUEST _IOWR('f', 16, struct scan)

enum { FD_UNOPENED = -1, FD_NONE = -2 };

void run_pages_init(struct run_pages *p)
{
    atomic_init(&p->fd, FD_UNOPENED);
    atomic_init(&p->pid, 0);
}

void run_pages_done(struct run_pages *p)
{
    int fd = atomic_exchange(&p->fd, FD_NONE);
    if (fd >= 0)
        close(fd);
}

/* Negative: there is none for this process. */
static int map_fd(struct run_pages *p)
{
    int fd = atomic_load(&p->fd);
    if (fd != FD_UNOPENED)
        return fd >= 0 && atomic_load(&p->pid) == getpid() ? fd : FD_NONE;
    int opened = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        opened = FD_NONE;
    atomic_store(&p->pid, getpid());
    if (atomic_compare_exchange_strong(&p->fd, &fd, opened))
        return opened;
    if (opened >= 0)
        close(opened);
    return fd;
}

/* Pages of the file as it is and the page of zeros are not written; those in swap are. */
bool run_pages_written(struct run_pages *p, uint8_t *low, uint8_t *end, uint8_t **ret_pages,
                       uint32_t max, uint32_t *ret_count)
{
    struct page_region regions[REGIONS_MAX];
    struct scan scan = {.size = sizeof scan,
                        .start = (uintptr_t)low,
                        .end = (uintptr_t)end,
                        .vec = (uintptr_t)regions,
                        .vec_len = REGIONS_MAX,
                        .max_pages = (uint64_t)max + 1,
                        .category_inverted = PAGE_FILE | PAGE_ZERO,
                        .category_mask = PAGE_FILE | PAGE_ZERO,
                        .category_anyof_mask = PAGE_PRESENT | PAGE_SWAPPED};
    int fd = map_fd(p);
    int found = fd < 0 ? -1 : ioctl(fd, SCAN_REQUEST, &scan);
    if (found < 0 || scan.walk_end != scan.end)
        return false;
    uint32_t count = 0;
    for (int i = 0; i < found; i++) {
        for (uint64_t at = regions[i].start; at < regions[i].end; at += RUN_PAGE_BYTES) {
            if (count == max)
                return false;
            ret_pages[count++] = low + (at - (uintptr_t)low);
        }
    }
    *ret_count = count;
    return true;
}

status_t run_pages_visit(struct run_pages *p, uint8_t *low, uint8_t *end, enum run_pages_kind kind,
                         const struct run_pages_visitor *v)
{
    struct page_region regions[VISIT_REGIONS];
    struct scan scan = {.size = sizeof scan,
                        .flags = kind == RUN_PAGES_OWN ? 0 : SCAN_PROTECTS | SCAN_CHECKS,
                        .start = (uintptr_t)low,
                        .end = (uintptr_t)end,
                        .vec = (uintptr_t)regions,
                        .vec_len = VISIT_REGIONS};
    if (kind == RUN_PAGES_REARM) { /* just this question has a fast way in the kernel */
        scan.category_mask = scan.return_mask = PAGE_WRITTEN;
    } else {
        scan.category_inverted = PAGE_FILE | PAGE_ZERO;
        scan.category_mask = PAGE_FILE | PAGE_ZERO | (kind == RUN_PAGES_ARM ? PAGE_WRITTEN : 0);
        scan.category_anyof_mask = scan.return_mask = PAGE_PRESENT | PAGE_SWAPPED;
    }
    int fd = map_fd(p);
    status_t st = fd < 0 || sysconf(_SC_PAGESIZE) != RUN_PAGE_BYTES ? ST_UNSUPPORTED : ST_OK;
    while (st == ST_OK && scan.start < scan.end) {
        int found = ioctl(fd, SCAN_REQUEST, &scan);
        if (found < 0 && errno != EINTR)
            st = errno == ENOTTY || errno == EINVAL ? ST_UNSUPPORTED : ST_IO;
        for (int i = 0; i < found && st == ST_OK; i++)
            st = v->run(v->arg, low + (regions[i].start - (uintptr_t)low),
                        low + (regions[i].end - (uintptr_t)low));
        if (found >= 0)
            scan.start = scan.walk_end;
    }
    return st;
}
