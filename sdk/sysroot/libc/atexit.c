/* What runs at exit, last registered first.
 *
 * A C++ destructor returns its object on this target, and clang 19 registers one as it is where a static reference
 * keeps a temporary alive; everywhere else it registers a function of its own without a result, and no object. The
 * types matter here, unlike on a real machine: an object says which of the two it is. */
#include <stdlib.h>
#include <unistd.h>
#include "libc.h"
#include "lock.h"

#define BLOCK 32 /* as many registrations as C promises need no memory */

struct handler {
    void (*run)(void);
    void (*run_with)(void *);
    void *object;
};

static struct block {
    struct block *next;
    struct handler handlers[BLOCK];
} first, *top;
static int used; /* of top */
#ifdef _REENTRANT
static volatile int lock[1];
#endif

static void run(const struct handler *h)
{
    if (h->run)
        h->run();
    else if (h->object)
        ((void *(*)(void *))h->run_with)(h->object);
    else
        h->run_with(NULL);
}

void __funcs_on_exit(void)
{
    struct handler h;

    LOCK(lock);
    while (top) {
        if (used == 0) {
            top = top->next;
            used = BLOCK;
            continue;
        }
        h = top->handlers[--used];
        UNLOCK(lock);
        run(&h);
        LOCK(lock);
    }
    UNLOCK(lock);
}

static int add(const struct handler *h)
{
    struct block *block = NULL;

    LOCK(lock);
    if (!top) {
        top = &first;
        used = 0;
    } else if (used == BLOCK) {
        block = calloc(1, sizeof *block);
        if (!block) {
            UNLOCK(lock);
            return -1;
        }
        block->next = top;
        top = block;
        used = 0;
    }
    top->handlers[used++] = *h;
    UNLOCK(lock);
    return 0;
}

int __cxa_atexit(void (*run_with)(void *), void *object, void *dso)
{
    (void)dso;
    return add(&(struct handler){.run_with = run_with, .object = object});
}

int atexit(void (*run)(void))
{
    return add(&(struct handler){.run = run});
}

void __cxa_finalize(void *dso)
{
    (void)dso;
}
