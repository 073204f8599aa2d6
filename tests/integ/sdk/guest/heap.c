// malloc and its family: every byte of a block is the program's own, zero after calloc, kept by realloc, aligned;
// sizes lie around those where the allocator's ways change.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 1500, STEPS = 400000 };

struct block {
    unsigned char *p;
    size_t size; /* as asked for */
    size_t kept; /* bytes with the pattern: all that can be used */
    unsigned char pattern;
};

static struct block blocks[BLOCKS];
static uint64_t seed = 88172645463325252;

static size_t below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 16) % n;
}

static size_t any_size(void)
{
    static const size_t edges[] = {0, 12, 13, 16, 28, 29, 60, 64, 252, 253, 256, 508, 1004, 1005, 1020, 1021, 1024, 4096};

    switch (below(8)) {
    case 0:
        return edges[below(sizeof edges / sizeof *edges)] + below(2);
    case 1:
        return below(40000);
    case 2:
        return below(1100);
    default:
        return below(100);
    }
}

static void fail(const char *what, const struct block *b)
{
    printf("%s: block %d, %zu bytes\n", what, (int)(b - blocks), b->size);
    exit(1);
}

static bool all(const unsigned char *p, size_t n, unsigned char c)
{
    return n == 0 || (p[0] == c && memcmp(p, p + 1, n - 1) == 0);
}

static void fill(struct block *b)
{
    b->kept = malloc_usable_size(b->p);
    if (b->kept < b->size)
        fail("too small", b);
    b->pattern = (unsigned char)(1 + below(255));
    memset(b->p, b->pattern, b->kept);
}

static void check(const struct block *b)
{
    if (b->p && !all(b->p, b->kept, b->pattern))
        fail("overwritten", b);
}

static void make(struct block *b)
{
    size_t alignment = _Alignof(max_align_t);

    b->size = any_size();
    switch (below(6)) {
    case 0:
        b->p = calloc(1 + below(4), b->size);
        if (b->p && !all(b->p, b->size, 0))
            fail("not zero", b);
        break;
    case 1:
        alignment = (size_t)8 << below(10);
        b->p = aligned_alloc(alignment, b->size);
        break;
    case 2:
        alignment = (size_t)8 << below(10);
        if (posix_memalign((void **)&b->p, alignment, b->size) != 0)
            b->p = NULL;
        break;
    default:
        b->p = malloc(b->size);
    }
    if (!b->p)
        fail("no memory", b);
    if ((uintptr_t)b->p % alignment)
        fail("not aligned", b);
    fill(b);
}

static void resize(struct block *b)
{
    size_t size = any_size() + 1, same = b->kept < size ? b->kept : size;
    unsigned char *p = realloc(b->p, size);

    if (!p)
        fail("not resized", b);
    b->p = p;
    if (!all(p, same, b->pattern))
        fail("not kept", b);
    b->size = size;
    fill(b);
}

static void drop(struct block *b)
{
    check(b);
    free(b->p);
    b->p = NULL;
}

static void random_steps(void)
{
    for (int i = 0; i < STEPS; i++) {
        struct block *b = &blocks[below(BLOCKS)];

        if (!b->p)
            make(b);
        else if (below(4) == 0)
            resize(b);
        else
            drop(b);
        if (i % 1000 == 0)
            for (int j = 0; j < BLOCKS; j++)
                check(&blocks[j]);
    }
    for (int j = 0; j < BLOCKS; j++)
        drop(&blocks[j]);
    puts("random steps");
}

/* More of one size than any cache keeps, freed in both orders, in use again as another size. */
static void one_size_after_another(void)
{
    for (size_t size = 0; size < 1200; size += size < 70 ? 1 : 31) {
        for (int j = 0; j < BLOCKS; j++) {
            blocks[j].size = size;
            blocks[j].p = malloc(size);
            fill(&blocks[j]);
        }
        for (int j = 0; j < BLOCKS; j++)
            drop(&blocks[size % 2 ? j : BLOCKS - 1 - j]);
    }
    puts("one size after another");
}

/* Large ones are zero as well, where memory is new and where it was used. */
static void zeroed(void)
{
    for (int i = 0; i < 40; i++) {
        size_t size = 100000 * (1 + below(20));
        unsigned char *dirty = malloc(size / 2), *p;

        memset(dirty, 0xaa, malloc_usable_size(dirty));
        if (below(2))
            dirty = realloc(dirty, size / 3);
        if (below(2))
            free(dirty);
        p = calloc(size, 1);
        if (!all(p, size, 0)) {
            printf("calloc %zu: not zero\n", size);
            exit(1);
        }
        memset(p, 0x55, malloc_usable_size(p));
        if (below(3))
            free(p);
        p = aligned_alloc(4096, 5000);
        memset(p, 0x77, malloc_usable_size(p));
        free(p);
    }
    puts("zeroed");
}

/* Through pointers: compilers take malloc for a function that leaves errno alone. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_aligned)(size_t, size_t) = aligned_alloc;
static int (*volatile do_memalign)(void **, size_t, size_t) = posix_memalign;

static int no_memory(const void *p)
{
    int refused = p == NULL && errno == ENOMEM;

    errno = 0;
    return refused;
}

static void refused(void)
{
    size_t huge = SIZE_MAX, half = SIZE_MAX / 2 + 1;
    unsigned char *old = malloc(40);
    void *p;

    memset(old, 7, 40);
    errno = 0;
    printf("%d", no_memory(do_malloc(huge)));
    printf("%d", no_memory(do_malloc(huge - 8)));
    printf("%d", no_memory(do_calloc(half, 2)));
    printf("%d", no_memory(do_calloc(huge, huge)));
    printf("%d", no_memory(do_realloc(old, huge - 8)) && all(old, 40, 7));
    printf("%d", no_memory(do_aligned(64, huge - 100)));
    printf("%d", do_memalign(&p, 64, huge - 100) == ENOMEM);
    printf("%d", do_memalign(&p, 24, 8) == EINVAL && do_memalign(&p, 2, 8) == EINVAL);
    free(old);
    free(NULL);
    printf("%d refused\n", malloc_usable_size(NULL) == 0);
}

int main(void)
{
    random_steps();
    one_size_after_another();
    zeroed();
    refused();
    return 0;
}
