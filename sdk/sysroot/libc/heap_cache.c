#include "heap.h"

/* Many of the small ones, as a tree of nodes is built and taken down again; at most 700 KiB altogether. */
__thread struct heap_cache __cloudskin_heap = {
    .room = {[1 ... 4] = 255, [5 ... 16] = 64, [17 ... HEAP_CLASSES - 1] = 16},
};
