/* Memory mappings by copy: a mapping is a piece of the heap, aligned to pages, into which the file is read.
 * Shared, writable mappings of files are written back by msync() and munmap() and at exit, through the descriptor
 * they were made with, which has to be open then. Protection is accepted and has no effect. */
#include <__macro_PAGESIZE.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wasi/api.h>
#include "libc.h"
#include "lock.h"

struct mapping {
    struct mapping *next;
    char *start;
    size_t length; /* bytes, whole pages */
    size_t left;   /* bytes not unmapped yet */
    int fd;        /* to write back to, or -1 */
    int closed;    /* the program closed fd, which stays open for this mapping */
    off_t offset;
    size_t file_length; /* bytes that came from the file */
};

static struct mapping *mappings; /* guarded by lock */
#ifdef _REENTRANT
static volatile int lock[1];
#endif

static size_t pages(size_t length)
{
    return (length + PAGESIZE - 1) & ~(size_t)(PAGESIZE - 1);
}

/* The mapping that holds the whole range, or NULL. */
static struct mapping **find(const char *start, size_t length)
{
    struct mapping **at;

    for (at = &mappings; *at; at = &(*at)->next)
        if (start >= (*at)->start && start + length <= (*at)->start + (*at)->length)
            return at;
    return NULL;
}

/* Fill from the file; ret_got: bytes read, the rest of the range being beyond its end. */
static int fill(char *to, size_t length, int fd, off_t offset, size_t *ret_got)
{
    size_t got = 0;

    while (got < length) {
        ssize_t n = pread(fd, to + got, length - got, offset + (off_t)got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    return 0;
}

static int write_back(const struct mapping *m, size_t from, size_t to)
{
    if (m->fd < 0)
        return 0;
    if (to > m->file_length)
        to = m->file_length;
    while (from < to) {
        ssize_t n = pwrite(m->fd, m->start + from, to - from, m->offset + (off_t)from);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        from += (size_t)n;
    }
    return 0;
}

/* Called by close(), for a mapping outlives the descriptor that it was made with, whose number may then become
 * that of another file. 1: the mapping closes it later; -1: and was told so before; 0: no mapping writes to it. */
int __mapping_takes_over(int fd)
{
    int result = 0;

    LOCK(lock);
    for (struct mapping *m = mappings; m; m = m->next)
        if (m->fd == fd) {
            result = m->closed ? -1 : 1;
            m->closed = 1;
        }
    UNLOCK(lock);
    return result;
}

/* Called before a descriptor is taken for something else (dup2): does a mapping write through it? */
int __mapping_uses(int fd)
{
    const struct mapping *m;

    LOCK(lock);
    for (m = mappings; m && m->fd != fd; m = m->next)
        ;
    UNLOCK(lock);
    return m != NULL;
}

/* Such mappings go on with another descriptor, which is theirs. */
void __mapping_moves(int fd, int to)
{
    LOCK(lock);
    for (struct mapping *m = mappings; m; m = m->next)
        if (m->fd == fd) {
            m->fd = to;
            m->closed = 1;
        }
    UNLOCK(lock);
}

/* Close what close() left open, after the last mapping that writes to it. Call with the lock held. */
static void close_late(const struct mapping *gone)
{
    const struct mapping *m = mappings;

    while (m && m->fd != gone->fd)
        m = m->next;
    if (!m && gone->closed)
        (void)__wasi_fd_close((__wasi_fd_t)gone->fd);
}

__attribute__((destructor)) static void write_back_all(void)
{
    for (struct mapping *m = mappings; m; m = m->next)
        (void)write_back(m, 0, m->length);
}

/* A fixed mapping is possible only over one that is there. Call with the lock held. */
static void *map_over(char *start, size_t length, int flags, int fd, off_t offset)
{
    size_t got;

    if (!find(start, length)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    memset(start, 0, length);
    if (!(flags & MAP_ANON) && fill(start, length, fd, offset, &got) != 0)
        return MAP_FAILED;
    return start;
}

static struct mapping *mapping_new(size_t length)
{
    struct mapping *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->start = aligned_alloc(PAGESIZE, length);
    if (!m->start) {
        free(m);
        return NULL;
    }
    memset(m->start, 0, length);
    m->length = length;
    m->left = length;
    m->fd = -1;
    m->closed = 0;
    return m;
}

/* What is written to a mapping has to reach its file at last. */
static int read_only(int fd)
{
    int mode = fcntl(fd, F_GETFL);

    return mode >= 0 && (mode & O_ACCMODE) == O_RDONLY;
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    int type = flags & MAP_TYPE;
    struct mapping *m;
    void *over;

    if (length == 0 || length > SIZE_MAX - 2 * PAGESIZE || offset < 0 ||
        (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (prot & PROT_EXEC) {
        errno = EPERM;
        return MAP_FAILED;
    }
    if (!(flags & MAP_ANON) && type != MAP_PRIVATE && (prot & PROT_WRITE) && read_only(fd)) {
        errno = EACCES;
        return MAP_FAILED;
    }
    if (flags & MAP_FIXED) {
        LOCK(lock);
        over = map_over(addr, length, flags, fd, offset);
        UNLOCK(lock);
        return over;
    }
    m = mapping_new(pages(length));
    if (!m) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (!(flags & MAP_ANON)) {
        size_t got;

        if (fill(m->start, length, fd, offset, &got) != 0) {
            free(m->start);
            free(m);
            return MAP_FAILED;
        }
        m->offset = offset;
        m->file_length = got;
        if (type != MAP_PRIVATE && (prot & PROT_WRITE))
            m->fd = fd;
    }
    LOCK(lock);
    m->next = mappings;
    mappings = m;
    UNLOCK(lock);
    return m->start;
}

int munmap(void *addr, size_t length)
{
    struct mapping **at, *m, *gone = NULL;
    size_t from;
    int result;

    if (length == 0 || ((size_t)addr & (PAGESIZE - 1))) {
        errno = EINVAL;
        return -1;
    }
    length = pages(length);
    LOCK(lock);
    at = find(addr, length);
    if (!at) {
        UNLOCK(lock);
        errno = EINVAL;
        return -1;
    }
    m = *at;
    from = (size_t)((char *)addr - m->start);
    result = write_back(m, from, from + length);
    m->left -= length < m->left ? length : m->left;
    if (m->left == 0) {
        *at = m->next;
        close_late(m);
        gone = m;
    }
    UNLOCK(lock);
    if (gone) {
        free(gone->start);
        free(gone);
    }
    return result;
}

int msync(void *addr, size_t length, int flags)
{
    struct mapping **at;
    int result = 0;

    (void)flags;
    LOCK(lock);
    at = find(addr, length);
    if (at)
        result = write_back(*at, (size_t)((char *)addr - (*at)->start),
                            (size_t)((char *)addr - (*at)->start) + length);
    UNLOCK(lock);
    if (!at) {
        errno = ENOMEM;
        return -1;
    }
    return result;
}

void *mremap(void *addr, size_t old_length, size_t length, int flags, ...)
{
    struct mapping **at, *m;

    LOCK(lock);
    at = find(addr, old_length);
    m = at ? *at : NULL;
    UNLOCK(lock);
    if (!m || m->fd >= 0 || m->start != addr || length == 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (pages(length) <= m->length)
        return addr;
    if (!(flags & MREMAP_MAYMOVE)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (addr != MAP_FAILED) {
        memcpy(addr, m->start, old_length);
        munmap(m->start, m->length);
    }
    return addr;
}

int mprotect(void *addr, size_t length, int prot)
{
    (void)addr;
    (void)length;
    if (prot & PROT_EXEC) {
        errno = EACCES;
        return -1;
    }
    return 0;
}

int madvise(void *addr, size_t length, int advice)
{
    struct mapping **at;

    if (advice != MADV_DONTNEED)
        return 0;
    LOCK(lock);
    at = find(addr, length);
    if (at && (*at)->file_length == 0)
        memset(addr, 0, length);
    UNLOCK(lock);
    return 0;
}

int posix_madvise(void *addr, size_t length, int advice)
{
    (void)addr;
    (void)length;
    (void)advice;
    return 0;
}

int mlock(const void *addr, size_t length)
{
    (void)addr;
    (void)length;
    return 0;
}

int munlock(const void *addr, size_t length)
{
    (void)addr;
    (void)length;
    return 0;
}

int mlockall(int flags)
{
    (void)flags;
    return 0;
}

int munlockall(void)
{
    return 0;
}

int shm_open(const char *name, int flags, mode_t mode)
{
    (void)name;
    (void)flags;
    (void)mode;
    errno = ENOSYS;
    return -1;
}

int shm_unlink(const char *name)
{
    (void)name;
    errno = ENOSYS;
    return -1;
}
