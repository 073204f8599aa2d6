#include "sums.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "cell/run/run.h"
#include "sys/files.h"
#include "sys/thread.h"

/* Less does not pay for a thread. */
#define THREAD_FROM_BYTES ((uint64_t)2 << 20)

#define HUGE_PAGE_BYTES ((uintptr_t)2 << 20)

/* Pages that are not there come all at once for half of what a fault for each of them costs. */
static void have_pages(const struct sums_piece *p)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)p->into & ~(page - 1);
    (void)!madvise((void *)at, (uintptr_t)p->into + p->len - at, MADV_POPULATE_WRITE);
}

static void read_piece(struct sums_piece *p)
{
    have_pages(p);
    for (size_t at = 0; at < p->len && !p->failed;) {
        ssize_t got = pread(p->fd, (uint8_t *)p->into + at, p->len - at, (off_t)(p->off + at));
        if (got < 0 && errno == EINTR)
            continue;
        p->failed = got <= 0;
        p->errnum = got < 0 ? errno : 0;
        at += got > 0 ? (size_t)got : 0;
    }
}

/* Pages that a file in memory has already take copies of several threads at a time, and writes of one. It is mapped
 * once: mappings that come and go make the threads wait for each other. */
static void map_file(struct sums *s, int fd)
{
    struct stat info;
    struct statfs fs;
    s->looked = true;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0 ||
        fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
        return;
    void *p = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return;
    s->map = p;
    s->map_bytes = (size_t)info.st_size;
    s->map_fd = fd;
}

/* ST_IO: the file was cut under the copy. Other errors: it has to be written. */
static status_t copy_piece(const struct sums_piece *p)
{
    size_t within = (size_t)(p->off % (uint64_t)sysconf(_SC_PAGESIZE)), len = within + p->len;
    uint8_t *pages = p->to - within;
    /* A read maps many pages at a time, and for writes too. */
    return madvise(pages, len, MADV_POPULATE_READ) == 0
               ? runtime_copy(pages, len, within, p->data, p->len)
               : ST_UNSUPPORTED;
}

static void write_piece(struct sums_piece *p)
{
    status_t st = p->to ? copy_piece(p) : ST_UNSUPPORTED;
    if (st == ST_OK)
        return;
    errno = EIO;
    p->failed = st == ST_IO || file_write_all_at(p->fd, p->data, p->len, p->off) != 0;
    p->errnum = p->failed ? errno : 0;
}

static void make_sum(struct sums_piece *p)
{
    if (p->into)
        read_piece(p);
    p->sum = p->failed ? 0 : hash_xxh3(p->data, p->len);
    if (p->goes)
        write_piece(p);
    p->state = SUMS_DONE;
}

static bool share_huge_page(const struct sums_piece *a, const struct sums_piece *b)
{
    uintptr_t a_first = (uintptr_t)a->into / HUGE_PAGE_BYTES;
    uintptr_t a_last = ((uintptr_t)a->into + a->len - 1) / HUGE_PAGE_BYTES;
    uintptr_t b_first = (uintptr_t)b->into / HUGE_PAGE_BYTES;
    uintptr_t b_last = ((uintptr_t)b->into + b->len - 1) / HUGE_PAGE_BYTES;
    return a_first <= b_last && b_first <= a_last;
}

/* Two threads that touch a huge page for the first time both clear one, and one of them is thrown away. */
static bool meets_one_being_read(const struct sums *s, const struct sums_piece *p)
{
    if (!p->into)
        return false;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct sums_piece *o = &s->pieces[(s->first + i) % SUMS_DEPTH];
        if (o->state == SUMS_TAKEN && share_huge_page(o, p))
            return true;
    }
    return false;
}

/* Make the oldest sum that nobody makes and that is in nobody's way. False: there is none. With the lock held. */
static bool make_next(struct sums *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct sums_piece *p = &s->pieces[(s->first + i) % SUMS_DEPTH];
        if (p->state != SUMS_WAITS || meets_one_being_read(s, p))
            continue;
        p->state = SUMS_TAKEN;
        struct sums_piece mine = *p;
        pthread_mutex_unlock(&s->lock);
        make_sum(&mine);
        pthread_mutex_lock(&s->lock);
        *p = mine;
        pthread_cond_broadcast(&s->changed);
        return true;
    }
    return false;
}

static void *work(void *arg)
{
    struct sums *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        if (make_next(s))
            continue;
        if (s->ends)
            break;
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Without a thread it goes on in this one. */
static void start_thread(struct sums *s)
{
    s->tried = true;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->threaded = thread_start(&s->thread, work, s) == 0;
}

static void put(struct sums *s, struct sums_piece p)
{
    s->total_bytes += p.len;
    if (!s->tried && s->total_bytes > THREAD_FROM_BYTES)
        start_thread(s);
    if (s->threaded)
        pthread_mutex_lock(&s->lock);
    else
        make_sum(&p);
    s->pieces[(s->first + s->count++) % SUMS_DEPTH] = p;
    if (s->threaded) {
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
}

void sums_put(struct sums *s, const void *data, size_t len)
{
    put(s, (struct sums_piece){.data = data, .len = len});
}

void sums_read(struct sums *s, int fd, uint64_t off, void *into, size_t len)
{
    put(s, (struct sums_piece){.data = into, .len = len, .into = into, .fd = fd, .off = off});
}

void sums_write(struct sums *s, int fd, uint64_t off, const void *data, size_t len)
{
    if (!s->looked && s->total_bytes + len > THREAD_FROM_BYTES)
        map_file(s, fd);
    bool mapped = s->map && fd == s->map_fd && off <= s->map_bytes && len <= s->map_bytes - off;
    put(s, (struct sums_piece){.data = data,
                               .len = len,
                               .goes = true,
                               .to = mapped ? s->map + off : NULL,
                               .fd = fd,
                               .off = off});
}

struct sums_piece sums_take(struct sums *s)
{
    struct sums_piece *p = &s->pieces[s->first];
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        while (p->state != SUMS_DONE)
            if (!make_next(s))
                pthread_cond_wait(&s->changed, &s->lock);
    }
    struct sums_piece taken = *p;
    s->first = (s->first + 1) % SUMS_DEPTH;
    s->count--;
    if (s->threaded)
        pthread_mutex_unlock(&s->lock);
    return taken;
}

void sums_done(struct sums *s)
{
    if (s->threaded) {
        pthread_mutex_lock(&s->lock);
        s->ends = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->tried) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
    }
    if (s->map)
        munmap(s->map, s->map_bytes);
    *s = (struct sums){.count = 0};
}
