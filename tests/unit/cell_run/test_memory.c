#include "memory.h"

#include "check.h"

enum { THREADS = 4, GROWS = 500 };

static const uint64_t plenty = 1ull << 40;

static void a_memory_grows_in_place_up_to_its_maximum(void)
{
    _Atomic uint64_t used = 0;
    struct run_memory *m = NULL;
    struct limits l = {.min = 1, .max = 3, .has_max = true};
    CHECK_EQ(run_memory_new(l, &used, plenty, &m, NULL), ST_OK);
    uint8_t *base = m->abi.base;
    base[WASM_PAGE_BYTES - 1] = 5;
    CHECK_EQ(run_memory_grow(m, 2), 1);
    CHECK_EQ(run_memory_grow(m, 1), UINT32_MAX);
    CHECK_EQ(run_memory_grow(m, UINT32_MAX), UINT32_MAX);
    CHECK_EQ(run_memory_grow(m, 0), 3);
    CHECK(m->abi.base == base);
    CHECK_EQ(base[WASM_PAGE_BYTES - 1], 5);
    CHECK_EQ(base[3 * WASM_PAGE_BYTES - 1], 0);
    CHECK_EQ(used, 3 * WASM_PAGE_BYTES);
    run_memory_unref(m);
    CHECK_EQ(used, 0);
}

static void a_memory_grows_to_one_page_below_four_gibibytes(void)
{
    _Atomic uint64_t used = 0;
    struct run_memory *m = NULL;
    CHECK_EQ(run_memory_new((struct limits){.min = 0}, &used, plenty, &m, NULL), ST_OK);
    CHECK_EQ(run_memory_grow(m, WASM_PAGES_MAX), UINT32_MAX);
    CHECK_EQ(run_memory_grow(m, WASM_PAGES_CAP), 0);
    CHECK_EQ(run_memory_grow(m, 1), UINT32_MAX);
    m->abi.base[(uint64_t)WASM_PAGES_CAP * WASM_PAGE_BYTES - 1] = 2;
    run_memory_unref(m);
}

static void a_memory_starts_with_four_gibibytes_and_not_more(void)
{
    _Atomic uint64_t used = 0;
    struct run_memory *m = NULL;
    CHECK_EQ(run_memory_new((struct limits){.min = WASM_PAGES_MAX}, &used, plenty, &m, NULL),
             ST_OK);
    CHECK_EQ(run_memory_grow(m, 1), UINT32_MAX);
    m->abi.base[0] = 1;
    m->abi.base[UINT32_MAX] = 2;
    CHECK_EQ(m->abi.base[UINT32_MAX], 2);
    run_memory_unref(m);
}

static void the_cells_limit_counts_all_memories(void)
{
    _Atomic uint64_t used = 0;
    uint64_t max = 3 * WASM_PAGE_BYTES;
    struct run_memory *a = NULL, *b = NULL, *c = NULL;
    CHECK_EQ(run_memory_new((struct limits){.min = 1}, &used, max, &a, NULL), ST_OK);
    CHECK_EQ(run_memory_new((struct limits){.min = 1}, &used, max, &b, NULL), ST_OK);
    CHECK_EQ(run_memory_new((struct limits){.min = 2}, &used, max, &c, NULL), ST_LIMIT);
    CHECK_EQ(run_memory_grow(a, 2), UINT32_MAX);
    CHECK_EQ(run_memory_grow(a, 1), 1);
    run_memory_unref(a);
    CHECK_EQ(run_memory_grow(b, 2), 1);
    run_memory_unref(b);
    CHECK(c == NULL);
}

static void *grow_often(void *arg)
{
    uint64_t sum = 0;
    for (int i = 0; i < GROWS; i++)
        sum += run_memory_grow(arg, 1);
    return (void *)(uintptr_t)sum;
}

static void threads_that_grow_a_shared_memory_each_get_their_own_pages(void)
{
    _Atomic uint64_t used = 0;
    struct run_memory *m = NULL;
    pthread_t threads[THREADS];
    uint64_t sum = 0, n = THREADS * GROWS;
    struct limits l = {.min = 0, .max = THREADS * GROWS, .has_max = true, .shared = true};
    CHECK_EQ(run_memory_new(l, &used, plenty, &m, NULL), ST_OK);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, grow_often, m), 0);
    for (int i = 0; i < THREADS; i++) {
        void *part = NULL;
        pthread_join(threads[i], &part);
        sum += (uintptr_t)part;
    }
    CHECK_EQ(run_memory_bytes(&m->abi), n * WASM_PAGE_BYTES);
    CHECK_EQ(sum, n * (n - 1) / 2); /* every former size was seen once */
    run_memory_unref(m);
}

int main(void)
{
    RUN(a_memory_grows_in_place_up_to_its_maximum);
    RUN(a_memory_grows_to_one_page_below_four_gibibytes);
    RUN(a_memory_starts_with_four_gibibytes_and_not_more);
    RUN(the_cells_limit_counts_all_memories);
    RUN(threads_that_grow_a_shared_memory_each_get_their_own_pages);
    return CHECK_DONE();
}
