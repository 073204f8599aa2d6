#include "slot.h"

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "modules.h"
#include "program.h"
#include "program_make.h"

enum { STACK_BYTES = 1 << 20 };

struct fixture {
    struct runtime *rt;
    struct program *prog;
    struct program *other;
    struct run_slot_pool pool;
};

static struct fixture begin(uint32_t kept)
{
    struct fixture f = {0};
    struct error err = {0};
    CHECK_EQ(runtime_new(NULL, &f.rt, &err), ST_OK);
    f.prog = program_make_bare(f.rt, exporter, sizeof(exporter));
    f.other = program_make_bare(f.rt, late_trap, sizeof(late_trap));
    run_slot_pool_init(&f.pool, kept);
    return f;
}

static void end(struct fixture *f)
{
    run_slot_pool_done(&f->pool);
    program_unref(f->prog);
    program_unref(f->other);
    runtime_free(f->rt);
}

static struct run_slot *take(struct fixture *f, const struct program *p, uint64_t stack_bytes)
{
    struct run_slot *s = NULL;
    CHECK_EQ(run_slot_take(&f->pool, p, stack_bytes, true, &s, NULL), ST_OK);
    return s;
}

static void the_parts_of_a_slot_stand_in_order_with_guards(void)
{
    struct fixture f = begin(1);
    struct run_slot *s = take(&f, f.prog, STACK_BYTES);
    CHECK_EQ((uintptr_t)s->base % WASM_PAGE_BYTES, 0);
    CHECK(s->stack_low - s->map >= (ptrdiff_t)SLOT_LOW_GUARD_BYTES);
    CHECK_EQ(s->stack_top - s->stack_low, STACK_BYTES);
    CHECK(s->area - s->stack_top >= (ptrdiff_t)SLOT_MIDDLE_GUARD_BYTES);
    CHECK_EQ(s->base - s->area, f.prog->area_bytes);
    CHECK(s->map + s->map_bytes >= s->base + SLOT_MEMORY_BYTES);
    /* The touched ends share one page of the page table. */
    CHECK_EQ((uintptr_t)(s->stack_top - 1) >> 21, (uintptr_t)s->base >> 21);
    s->stack_low[0] = s->stack_top[-1] = s->area[0] = s->base[WASM_PAGE_BYTES - 1] = 1;
    run_slot_give(&f.pool, s);
    end(&f);
}

static void nothing_of_one_cell_is_left_for_the_next(void)
{
    struct fixture f = begin(1);
    struct run_slot *s = take(&f, f.prog, STACK_BYTES), *first = s;
    memset(s->stack_low, 1, STACK_BYTES);
    memset(s->area, 2, f.prog->area_bytes);
    memset(s->base, 3, WASM_PAGE_BYTES);
    CHECK_EQ(run_slot_commit(s->base, WASM_PAGE_BYTES, 512 * WASM_PAGE_BYTES), ST_OK);
    s->committed_bytes = 512 * WASM_PAGE_BYTES;
    memset(s->base + WASM_PAGE_BYTES, 4, 511 * WASM_PAGE_BYTES);
    run_slot_give(&f.pool, s);
    s = take(&f, f.prog, STACK_BYTES);
    CHECK(s == first);
    CHECK_EQ(s->stack_low[0] | s->stack_top[-1] | s->area[0] | s->base[-1] | s->base[0], 0);
    CHECK_EQ(s->committed_bytes, WASM_PAGE_BYTES);
    CHECK_EQ(run_slot_commit(s->base, WASM_PAGE_BYTES, 512 * WASM_PAGE_BYTES), ST_OK);
    s->committed_bytes = 512 * WASM_PAGE_BYTES;
    CHECK_EQ(s->base[WASM_PAGE_BYTES] | s->base[512 * WASM_PAGE_BYTES - 1], 0);
    run_slot_give(&f.pool, s);
    end(&f);
}

static void a_few_written_pages_are_as_at_first(void)
{
    struct fixture f = begin(1);
    for (int i = 0; i < 40; i++) {
        struct run_slot *s = take(&f, f.prog, STACK_BYTES);
        CHECK_EQ(s->stack_low[0] | s->stack_top[-1] | s->area[0] | s->base[-1] | s->base[0], 0);
        for (int k = 0; k < i; k++)
            CHECK_EQ(s->stack_top[-1 - k * 4096] | s->base[k % 16 * 4096], 0);
        memset(s->stack_top - (size_t)i * 4096, 1, (size_t)i * 4096);
        s->stack_low[0] = s->area[0] = s->base[-1] = 2;
        memset(s->base, 3, WASM_PAGE_BYTES);
        run_slot_give(&f.pool, s);
    }
    end(&f);
}

/* It would be told about the pages of its parent. */
static void a_child_after_fork_discards_its_own_pages(void)
{
    struct fixture f = begin(1);
    struct run_slot *s = take(&f, f.prog, STACK_BYTES);
    run_slot_give(&f.pool, s);
    s = take(&f, f.prog, STACK_BYTES);
    pid_t child = fork();
    if (child == 0) {
        s->stack_top[-1] = s->base[5 * 4096] = 1;
        run_slot_give(&f.pool, s);
        s = take(&f, f.prog, STACK_BYTES);
        _exit(s->stack_top[-1] | s->base[5 * 4096]);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    run_slot_give(&f.pool, s);
    end(&f);
}

static void a_kept_slot_serves_another_program(void)
{
    struct fixture f = begin(2);
    struct run_slot *s = take(&f, f.prog, STACK_BYTES), *first = s;
    s->base[0] = 7;
    run_slot_give(&f.pool, s);
    s = take(&f, f.other, STACK_BYTES);
    CHECK(s == first);
    CHECK_EQ(s->base[0], 0);
    struct run_slot *t = take(&f, f.other, STACK_BYTES);
    run_slot_give(&f.pool, s);
    run_slot_give(&f.pool, t);
    s = take(&f, f.prog, STACK_BYTES);
    run_slot_give(&f.pool, s);
    /* The one that is laid out for the program is preferred to the one kept last. */
    t = take(&f, f.other, STACK_BYTES);
    CHECK(t != s);
    run_slot_give(&f.pool, t);
    end(&f);
}

static void a_slot_with_another_stack_is_not_reused(void)
{
    struct fixture f = begin(4);
    struct run_slot *s = take(&f, f.prog, STACK_BYTES);
    run_slot_give(&f.pool, s);
    struct run_slot *t = take(&f, f.prog, 2 * STACK_BYTES);
    CHECK(t != s);
    CHECK_EQ(t->stack_top - t->stack_low, 2 * STACK_BYTES);
    run_slot_give(&f.pool, t);
    struct run_slot *bare = NULL;
    CHECK_EQ(run_slot_take(&f.pool, f.prog, 0, false, &bare, NULL), ST_OK);
    CHECK(bare->stack_low == bare->stack_top && !bare->with_memory);
    run_slot_give(&f.pool, bare);
    CHECK_EQ(f.pool.kept_count, 3);
    end(&f);
}

int main(void)
{
    RUN(the_parts_of_a_slot_stand_in_order_with_guards);
    RUN(nothing_of_one_cell_is_left_for_the_next);
    RUN(a_few_written_pages_are_as_at_first);
    RUN(a_child_after_fork_discards_its_own_pages);
    RUN(a_kept_slot_serves_another_program);
    RUN(a_slot_with_another_stack_is_not_reused);
    return CHECK_DONE();
}
