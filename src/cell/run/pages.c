#include "pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* From linux/fs.h of 6.7; Debian's headers are older than many kernels they are used with. */
enum {
    PAGE_FILE = 1u << 2,
    PAGE_PRESENT = 1u << 3,
    PAGE_SWAPPED = 1u << 4,
    PAGE_ZERO = 1u << 5,
    REGIONS_MAX = 16,
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
