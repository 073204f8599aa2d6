/* What a cell leaves behind in its address space does not reach the next one. */
#include "guest.h"

/*
 * (module
 *   (memory (export "m") 4)
 *   (data (i32.const 100) "first content")
 *   (data (i32.const 131070) "across two pages")
 *   (global $g (export "g") (mut i64) (i64.const 5))
 *   (table $t (export "t") 8 16 funcref)
 *   (elem (i32.const 1) $dig)
 *   (func $dig (export "dig") (param i64) (result i64)
 *     (if (result i64) (i64.eqz (local.get 0))
 *       (then (i64.const 0))
 *       (else (i64.add (call $dig (i64.sub (local.get 0) (i64.const 1))) (local.get 0)))))
 *   (func (export "fill") (param i32)
 *     (memory.fill (i32.const 0) (i32.const 0xaa) (local.get 0))
 *     (drop (memory.grow (i32.const 1)))
 *     (i32.store (i32.const 262144) (i32.const -1))
 *     (table.fill $t (i32.const 0) (ref.func $dig) (i32.const 8))
 *     (global.set $g (i64.const -1))))
 */
static const uint8_t filler[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0a, 0x02, 0x60, 0x01, 0x7e, 0x01, 0x7e,
    0x60, 0x01, 0x7f, 0x00, 0x03, 0x03, 0x02, 0x00, 0x01, 0x04, 0x05, 0x01, 0x70, 0x01, 0x08, 0x10,
    0x05, 0x03, 0x01, 0x00, 0x04, 0x06, 0x06, 0x01, 0x7e, 0x01, 0x42, 0x05, 0x0b, 0x07, 0x1a, 0x05,
    0x01, 0x6d, 0x02, 0x00, 0x01, 0x67, 0x03, 0x00, 0x01, 0x74, 0x01, 0x00, 0x03, 0x64, 0x69, 0x67,
    0x00, 0x00, 0x04, 0x66, 0x69, 0x6c, 0x6c, 0x00, 0x01, 0x09, 0x07, 0x01, 0x00, 0x41, 0x01, 0x0b,
    0x01, 0x00, 0x0a, 0x3f, 0x02, 0x15, 0x00, 0x20, 0x00, 0x50, 0x04, 0x7e, 0x42, 0x00, 0x05, 0x20,
    0x00, 0x42, 0x01, 0x7d, 0x10, 0x00, 0x20, 0x00, 0x7c, 0x0b, 0x0b, 0x27, 0x00, 0x41, 0x00, 0x41,
    0xaa, 0x01, 0x20, 0x00, 0xfc, 0x0b, 0x00, 0x41, 0x01, 0x40, 0x00, 0x1a, 0x41, 0x80, 0x80, 0x10,
    0x41, 0x7f, 0x36, 0x02, 0x00, 0x41, 0x00, 0xd2, 0x00, 0x41, 0x08, 0xfc, 0x11, 0x00, 0x42, 0x7f,
    0x24, 0x00, 0x0b, 0x0b, 0x2b, 0x02, 0x00, 0x41, 0xe4, 0x00, 0x0b, 0x0d, 0x66, 0x69, 0x72, 0x73,
    0x74, 0x20, 0x63, 0x6f, 0x6e, 0x74, 0x65, 0x6e, 0x74, 0x00, 0x41, 0xfe, 0xff, 0x07, 0x0b, 0x10,
    0x61, 0x63, 0x72, 0x6f, 0x73, 0x73, 0x20, 0x74, 0x77, 0x6f, 0x20, 0x70, 0x61, 0x67, 0x65, 0x73,
};

enum { MEMORY_BYTES = 4 * WASM_PAGE_BYTES, TABLE_ENTRIES = 8 };

static struct runtime *rt;
static struct program *prog;

static void check_memory(const struct abi_mem *m)
{
    static uint8_t expected[MEMORY_BYTES];
    memcpy(expected + 100, "first content", 13);
    memcpy(expected + 131070, "across two pages", 16);
    CHECK_EQ(m->bytes, MEMORY_BYTES);
    CHECK_EQ(memcmp(m->base, expected, MEMORY_BYTES), 0);
}

static void check_first_state(struct guest *g)
{
    const struct abi_table *t = guest_export(g->inst, "t").ptr;
    const union cell_value *global = guest_export(g->inst, "g").ptr;
    check_memory(guest_export(g->inst, "m").ptr);
    CHECK_EQ(t->count, TABLE_ENTRIES);
    for (uint64_t i = 0; i < t->max; i++)
        CHECK_EQ(t->entries[i].ref != NULL, i == 1);
    CHECK_EQ(global->i64, 5);
}

/* Memory, one more page of it, globals, table, depth frames of stack. */
static void fill(struct guest *g, int32_t bytes, int64_t depth)
{
    union cell_value io[1] = {{.i64 = depth}};
    const uint8_t *base = ((const struct abi_mem *)guest_export(g->inst, "m").ptr)->base;
    CHECK_EQ(guest_call(g, "dig", io), ST_OK);
    CHECK_EQ(io[0].i64, depth * (depth + 1) / 2);
    CHECK_EQ(guest_call_i32(g, "fill", bytes, NULL), ST_OK);
    CHECK_EQ(base[bytes - 1], 0xaa);
    CHECK_EQ(base[MEMORY_BYTES], 0xff);
}

static void a_cell_finds_its_first_state_whatever_the_last_one_wrote(void)
{
    static const int32_t sizes[] = {1, 4096, 8192, 40000, 60000, 65536, 131072, MEMORY_BYTES};
    static const int64_t depths[] = {1, 10, 1000, 50000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (size_t k = 0; k < sizeof(depths) / sizeof(*depths); k++) {
            struct guest g;
            guest_start(&g, rt, prog, NULL, NULL);
            check_first_state(&g);
            fill(&g, sizes[i], depths[k]);
            cell_free(g.cell);
        }
    }
    struct guest last;
    guest_start(&last, rt, prog, NULL, NULL);
    check_first_state(&last);
    cell_free(last.cell);
}

int main(void)
{
    rt = guest_runtime();
    prog = GUEST_PROGRAM(rt, filler);
    RUN(a_cell_finds_its_first_state_whatever_the_last_one_wrote);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
