/* malloc and its family: the cache of heap.h, and behind it dlmalloc, one thread at a time. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "heap.h"
#include "lock.h"

/* A memory that only grows, by whole pages; grown by more(), so that what was never used is known. */
static void *more(intptr_t bytes);
#define MORECORE more
#define MORECORE_CANNOT_TRIM 1
#define HAVE_MMAP 0
#define USE_LOCKS 0
#define LACKS_TIME_H 1
#define NO_MALLINFO 1
#define NO_MALLOC_STATS 1
#define MALLOC_ALIGNMENT 16
/* Large blocks begin at a cache line where that costs no more than this, so that fewer accesses by vectors cross one. */
#define LINE 64
#define LARGE_BYTES 4096
#define ABORT __builtin_unreachable()
/* Its functions are static and have names that mean nothing to the compiler. */
#define USE_DL_PREFIX 1
#define DLMALLOC_EXPORT static inline
static size_t dlmalloc_usable_size(void *);
#include "malloc.c"

_Static_assert(MIN_CHUNK_SIZE == HEAP_UNIT && CHUNK_OVERHEAD == HEAP_HEAD, "classes are sizes of chunks");
_Static_assert(CINUSE_BIT == 2 && sizeof(struct heap_chunk) <= HEAP_UNIT - HEAP_HEAD, "what heap.h knows of a chunk");

static volatile int lock[1];

/* Where memory begins that nobody has had yet: it is zero. Guarded by lock. */
static char *fresh;

static void *more(intptr_t bytes)
{
    void *p = bytes < 0 ? (void *)-1 : sbrk(bytes);

    /* The old end of the heap becomes its middle. */
    if (bytes > 0 && p != (void *)-1 && gm->top)
        chunk_plus_offset(gm->top, gm->topsize)->head = 0;
    return p;
}

/* After each call that may have taken memory from the top: the heads of the top and before it are used. */
static void note_fresh(const char *end)
{
    if ((char *)chunk2mem(gm->top) > end)
        end = chunk2mem(gm->top);
    if (end > fresh)
        fresh = (char *)end;
}

/* Give everything in this thread's cache back; lock is held. Was there anything? */
static int drain(void)
{
    int any = 0;

    for (size_t i = 0; i < HEAP_CLASSES; i++) {
        struct heap_chunk *chunk = __cloudskin_heap.first[i], *next;

        __cloudskin_heap.first[i] = NULL;
        for (; chunk; chunk = next) {
            next = chunk->next;
            dlfree(chunk);
            __cloudskin_heap.room[i]++;
            any = 1;
        }
    }
    return any;
}

/* For the end of a thread. */
void __cloudskin_heap_drain(void)
{
    LOCK(lock);
    drain();
    UNLOCK(lock);
}

/* Begin the block pad bytes later, and give those back, where it has as much room behind it. */
static void *move_up(void *p, size_t pad, size_t size)
{
    mchunkptr chunk = mem2chunk(p), end = next_chunk(chunk), moved = chunk_plus_offset(chunk, pad);

    if (!dlrealloc_in_place(p, size + pad))
        return p;
    end->head = 0; /* inside of the block now, and as fresh as what is around it */
    set_inuse(gm, moved, chunksize(chunk) - pad);
    set_inuse(gm, chunk, pad);
    dispose_chunk(gm, chunk, pad);
    return chunk2mem(moved);
}

/* A block of whole lines: what it leaves when it is freed is a hole for the next such block. A hole that would do only
 * without the way to a line is taken as it is; lock is held. */
static void *carve(size_t size)
{
    size_t past;
    char *p;

    if (size < LARGE_BYTES || size >= MAX_REQUEST - 2 * LINE)
        return dlmalloc(size);
    size = ((size + CHUNK_OVERHEAD + LINE - 1) & ~(size_t)(LINE - 1)) - CHUNK_OVERHEAD;
    p = dlmalloc(size);
    past = (uintptr_t)p % LINE;
    return past ? move_up(p, LINE - past, size) : p;
}

static __attribute__((noinline)) void *allocate(size_t size)
{
    void *p;

    LOCK(lock);
    p = carve(size);
    if (!p && drain())
        p = carve(size);
    note_fresh(NULL);
    UNLOCK(lock);
    return p;
}

/* The same, zeroed: what is fresh is zero as it is, and stays untouched. */
static __attribute__((noinline)) void *allocate_zeroed(size_t size)
{
    char *p, *used_end;

    LOCK(lock);
    used_end = fresh;
    p = carve(size);
    if (!p && drain())
        p = carve(size);
    note_fresh(NULL);
    UNLOCK(lock);
    if (!p || used_end <= p)
        return p;
    return memset(p, 0, used_end < p + size ? (size_t)(used_end - p) : size);
}

static void *allocate_aligned(size_t alignment, size_t size)
{
    void *p;

    LOCK(lock);
    p = dlmemalign(alignment, size);
    if (!p && drain())
        p = dlmemalign(alignment, size);
    /* It takes more than it needs, and gives the rest back to the top. */
    note_fresh(p ? (char *)p + size + alignment + 4 * HEAP_UNIT : NULL);
    UNLOCK(lock);
    return p;
}

static _Noreturn __attribute__((noinline)) void memory_freed_twice(void)
{
    __builtin_trap();
}

/* A chunk that the cache did not take. */
static __attribute__((noinline)) void give_back(void *p)
{
    size_t class_ = heap_head(p) / HEAP_UNIT;

    if (!(heap_head(p) & CINUSE_BIT))
        memory_freed_twice();
    if (class_ < HEAP_CLASSES && ((struct heap_chunk *)p)->mark == HEAP_MARK)
        for (struct heap_chunk *chunk = __cloudskin_heap.first[class_]; chunk; chunk = chunk->next)
            if (chunk == p)
                memory_freed_twice();
    LOCK(lock);
    dlfree(p);
    UNLOCK(lock);
}

static inline void *take(size_t size)
{
    void *p = heap_take(size);

    return p ? p : allocate(size);
}

void *malloc(size_t size)
{
    return take(size);
}

void free(void *p)
{
    if (p && !heap_keep(p))
        give_back(p);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = MAX_SIZE_T;
    p = heap_take(bytes);
    return p ? memset(p, 0, bytes) : allocate_zeroed(bytes);
}

/* lock is held. */
static void *change(void *old, size_t size)
{
    size_t bytes = dlmalloc_usable_size(old);
    void *p;

    if (size < LARGE_BYTES || size >= MAX_REQUEST)
        return dlrealloc(old, size);
    p = dlrealloc_in_place(old, size);
    if (p)
        return p;
    p = carve(size);
    if (p) {
        memcpy(p, old, bytes < size ? bytes : size);
        dlfree(old);
    }
    return p;
}

void *realloc(void *old, size_t size)
{
    void *p;

    if (!old)
        return take(size);
    if (size < MAX_REQUEST && request2size(size) == chunksize(mem2chunk(old)))
        return old;
    LOCK(lock);
    p = change(old, size);
    if (!p && drain())
        p = change(old, size);
    note_fresh(NULL);
    UNLOCK(lock);
    return p;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return alignment <= MALLOC_ALIGNMENT ? take(size) : allocate_aligned(alignment, size);
}

int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
    int saved = errno;
    void *p;

    if (alignment < sizeof(void *) || (alignment & (alignment - 1)))
        return EINVAL;
    p = aligned_alloc(alignment, size);
    errno = saved;
    if (!p)
        return ENOMEM;
    *ret_p = p;
    return 0;
}

size_t malloc_usable_size(void *p)
{
    return dlmalloc_usable_size(p);
}

/* What musl calls them. */
void *__libc_malloc(size_t) __attribute__((alias("malloc")));
void __libc_free(void *) __attribute__((alias("free")));
void *__libc_calloc(size_t, size_t) __attribute__((alias("calloc")));
