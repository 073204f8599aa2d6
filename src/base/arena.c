#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16, BLOCK_MIN_BYTES = 4096, BLOCK_MAX_BYTES = 1 << 20 };

/* The first block of the list is the one that is filled; large pieces get a block of their own
 * behind it, so that they do not end its use. */
struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    alignas(ARENA_ALIGN) uint8_t data[];
};

static struct arena_block *block_new(size_t cap)
{
    struct arena_block *block = calloc(1, sizeof *block + cap);
    if (block != NULL) {
        block->cap = cap;
    }
    return block;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t len;
    if (__builtin_mul_overflow(count, size, &len) || len > PTRDIFF_MAX / 2) {
        return NULL;
    }
    len = len == 0 ? ARENA_ALIGN : (len + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->limit_bytes != 0 &&
        (a->used_bytes > a->limit_bytes || len > a->limit_bytes - a->used_bytes)) {
        return NULL;
    }
    struct arena_block *block = a->head;
    if (block == NULL || len > block->cap - block->used) {
        size_t cap = block == NULL ? BLOCK_MIN_BYTES : block->cap * 2;
        cap = cap > BLOCK_MAX_BYTES ? BLOCK_MAX_BYTES : cap;
        bool alone = len > cap / 4;
        struct arena_block *fresh = block_new(alone ? len : cap);
        if (fresh == NULL) {
            return NULL;
        }
        if (alone && block != NULL) {
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            a->head = fresh;
        }
        block = fresh;
    }
    void *place = block->data + block->used;
    block->used += len;
    a->used_bytes += len;
    return place;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *copy = len < SIZE_MAX ? arena_alloc(a, len + 1, 1) : NULL;
    if (copy != NULL && len > 0) {
        memcpy(copy, s, len);
    }
    return copy;
}

void arena_done(struct arena *a)
{
    struct arena_block *block = a->head;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    a->head = NULL;
    a->used_bytes = 0;
}
