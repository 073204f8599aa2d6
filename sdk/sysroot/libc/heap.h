/* The cache in front of dlmalloc: freed chunks by size, last in first out, one set for each thread. In here are
 * its two short ways, which operator new and delete use as well; everything else is in heap.c. */
#ifndef CLOUDSKIN_LIBC_HEAP_H
#define CLOUDSKIN_LIBC_HEAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Chunks are a multiple of HEAP_UNIT, of which HEAP_HEAD bytes are the head; class N has chunks of N units. */
enum { HEAP_UNIT = 16, HEAP_HEAD = 4, HEAP_CLASSES = 65 };
enum { HEAP_REQUEST_MAX = (HEAP_CLASSES - 1) * HEAP_UNIT - HEAP_HEAD };

/* A chunk in the cache. The mark tells that it is there: a chunk in use has it only by chance. */
struct heap_chunk {
    struct heap_chunk *next;
    size_t mark;
};
#define HEAP_MARK ((size_t)0x9d3f5b71)

/* room: how many more chunks a class takes. */
struct heap_cache {
    struct heap_chunk *first[HEAP_CLASSES];
    unsigned char room[HEAP_CLASSES];
};

/* In an object of its own, so that operator new does not bring malloc into a program that has its own. */
extern __thread struct heap_cache __cloudskin_heap;

/* A chunk for size bytes, or NULL when the cache has none. */
static inline void *heap_take(size_t size)
{
    size_t class_ = (size + HEAP_HEAD + HEAP_UNIT - 1) / HEAP_UNIT;
    struct heap_chunk *chunk;

    if (size > HEAP_REQUEST_MAX)
        return NULL;
    chunk = __cloudskin_heap.first[class_];
    if (chunk) {
        __cloudskin_heap.first[class_] = chunk->next;
        __cloudskin_heap.room[class_]++;
        chunk->mark = 0;
    }
    return chunk;
}

/* dlmalloc's word before a chunk's memory: size, and bit 1 while it is in use. */
static inline size_t heap_head(const void *p)
{
    return ((const size_t *)p)[-1];
}

static inline void heap_push(struct heap_chunk *chunk, size_t class_)
{
    chunk->next = __cloudskin_heap.first[class_];
    chunk->mark = HEAP_MARK;
    __cloudskin_heap.first[class_] = chunk;
    __cloudskin_heap.room[class_]--;
}

/* Take p, which is not NULL, back into the cache. 0 when it is too large, the class is full or something is odd. */
static inline int heap_keep(void *p)
{
    struct heap_chunk *chunk = (struct heap_chunk *)p;
    size_t head = heap_head(p), class_ = head / HEAP_UNIT;

    if (class_ >= HEAP_CLASSES || !__cloudskin_heap.room[class_] || !(head & 2) || chunk->mark == HEAP_MARK)
        return 0;
    heap_push(chunk, class_);
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif
