// libc++abi's, with the short ways of malloc and free inside. A program may have its own malloc: then the cache is
// empty and stays so, since memory goes into it only when heap.c is linked.
#include <__memory/aligned_alloc.h>
#include <cstdlib>
#include <new>

#include "heap.h"

extern "C" __attribute__((weak)) void __cloudskin_heap_drain(void);

namespace std
{

static inline void *heap_malloc(size_t size)
{
    void *p = heap_take(size);
    return p ? p : malloc(size);
}

static inline void heap_free(void *p)
{
    if (p == nullptr || (__cloudskin_heap_drain != nullptr && heap_keep(p)))
        return;
    free(p);
}

} // namespace std

#define malloc heap_malloc
#define free heap_free
#include "stdlib_new_delete.cpp"
