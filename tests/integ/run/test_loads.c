#include "guest.h"
#include "modules_branches.h"
#include "modules_loads.h"
#include "modules_rounds.h"

/* Loads whose value does not matter, or of which some bytes do not: they trap all the same, at every level. */

enum { PAGE = 65536 };

static struct runtime *rt;

static const struct {
    const uint8_t *bytes;
    size_t size;
    const struct load_func *funcs;
    size_t count;
} modules[] = {
    {loads, sizeof loads, load_funcs, sizeof load_funcs / sizeof *load_funcs},
    {load_ranges, sizeof load_ranges, load_range_funcs,
     sizeof load_range_funcs / sizeof *load_range_funcs},
    {load_searches, sizeof load_searches, load_search_funcs,
     sizeof load_search_funcs / sizeof *load_search_funcs},
    {load_branches, sizeof load_branches, load_branch_funcs,
     sizeof load_branch_funcs / sizeof *load_branch_funcs},
    {load_rounds, sizeof load_rounds, load_round_funcs,
     sizeof load_round_funcs / sizeof *load_round_funcs},
};

/* From where it reads the last bytes of memory, and from each address behind that. */
static void check_function(struct guest *g, const char *name, uint32_t bytes, uint32_t opt_level)
{
    uint32_t lost = 0;
    union cell_value io[2] = {{.u64 = PAGE - bytes}};
    CHECK_EQ(guest_call(g, name, io), ST_OK);
    for (uint32_t at = PAGE - bytes + 1; at < PAGE; at++) {
        io[0] = (union cell_value){.u64 = at};
        io[1] = (union cell_value){.u64 = 0};
        if (guest_call(g, name, io) != ST_TRAP || cell_trap(g->cell) != TRAP_MEMORY_BOUNDS)
            lost++;
    }
    if (lost)
        fprintf(stderr, "%s at -O%u: %u addresses of %u do not trap\n", name, opt_level, lost,
                bytes - 1);
    CHECK_EQ(lost, 0);
}

/* (func (export "f") (param $p i32) (param $q i32) (result i32) (local $i i32)
 *   (local.set $i (i32.const 0))
 *   (block $o (loop $l
 *     for each k below exits: (br_if $o (i32.ne (i32.load offset=4k (local.get $p)) (local.get $q)))
 *     (local.set $p (i32.add (local.get $p) (i32.const 2048)))
 *     (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
 *   (i32.const 3)) */
static void search(struct buf *ret_module, uint32_t exits)
{
    /* all up to the size of the code, with (memory 1 1) */
    static const uint8_t head[] = {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01,
                                   0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x03,
                                   0x02, 0x01, 0x00, 0x05, 0x04, 0x01, 0x01, 0x01, 0x01,
                                   0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00, 0x0a};
    static const uint8_t start[] = {0x01, 0x01, 0x7f, 0x41, 0x00, 0x21,
                                    0x02, 0x02, 0x40, 0x03, 0x40};
    static const uint8_t load[] = {0x20, 0x00, 0x28, 0x00}, test[] = {0x20, 0x01, 0x47, 0x0d, 0x01};
    static const uint8_t end[] = {0x20, 0x00, 0x41, 0x80, 0x10, 0x6a, 0x21, 0x00, 0x20,
                                  0x02, 0x41, 0x01, 0x6a, 0x22, 0x02, 0x41, 0x03, 0x49,
                                  0x0d, 0x00, 0x0b, 0x0b, 0x41, 0x03, 0x0b};
    struct buf body = {0};
    buf_bytes(&body, start, sizeof start);
    for (uint32_t k = 0; k < exits; k++) {
        buf_bytes(&body, load, sizeof load);
        buf_leb_u32(&body, 4 * k);
        buf_bytes(&body, test, sizeof test);
    }
    buf_bytes(&body, end, sizeof end);
    struct buf code = {0};
    buf_leb_u32(&code, 1);
    buf_leb_u32(&code, (uint32_t)body.len);
    buf_bytes(&code, body.data, body.len);
    buf_bytes(ret_module, head, sizeof head);
    buf_leb_u32(ret_module, (uint32_t)code.len);
    buf_bytes(ret_module, code.data, code.len);
    buf_done(&body);
    buf_done(&code);
}

/* More ways out than are followed, and fewer. */
static void searches_with_many_ways_out_trap(void)
{
    static const uint32_t exits[] = {2, 70, 200, 300};
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        for (uint32_t opt_level = 2; opt_level <= 3; opt_level++) {
            const struct image_options image = {.level = image_level_host(),
                                                .opt_level = opt_level};
            struct buf module = {0};
            struct guest g;
            search(&module, exits[i]);
            struct program *prog = guest_program_with(rt, module.data, module.len, &image);
            guest_start(&g, rt, prog, NULL, NULL);
            check_function(&g, "f", 2 * 2048 + 4 * exits[i], opt_level);
            cell_free(g.cell);
            program_unref(prog);
            buf_done(&module);
        }
}

static void check_level(uint32_t cpu, uint32_t opt_level, bool movable)
{
    const struct image_options image = {.level = cpu, .opt_level = opt_level, .movable = movable};
    for (size_t m = 0; m < sizeof modules / sizeof *modules; m++) {
        struct guest g;
        struct program *prog = guest_program_with(rt, modules[m].bytes, modules[m].size, &image);
        guest_start(&g, rt, prog, NULL, NULL);
        for (size_t i = 0; i < modules[m].count; i++)
            check_function(&g, modules[m].funcs[i].name, modules[m].funcs[i].bytes, opt_level);
        cell_free(g.cell);
        program_unref(prog);
    }
}

static void check_cpu(uint32_t cpu)
{
    for (uint32_t opt_level = 0; image_level_runs(cpu) && opt_level <= 3; opt_level++)
        check_level(cpu, opt_level, false);
    if (image_level_runs(cpu))
        check_level(cpu, 3, true);
}

static void loads_at_the_end_of_memory_trap_on_x86_64(void)
{
    check_cpu(LEVEL_X86_64_V2);
    check_cpu(LEVEL_X86_64_V3);
    check_cpu(LEVEL_X86_64_V4);
}

static void loads_at_the_end_of_memory_trap_on_aarch64(void)
{
    check_cpu(LEVEL_AARCH64);
}

static uint32_t two_sizes_at(uint32_t cpu, uint32_t opt_level)
{
    const struct image_options image = {.level = cpu, .opt_level = opt_level};
    struct guest g;
    union cell_value io[1] = {{.u64 = 0}};
    struct program *prog = guest_program_with(rt, two_sizes, sizeof two_sizes, &image);
    guest_start(&g, rt, prog, NULL, NULL);
    CHECK_EQ(guest_call(&g, "run", io), ST_OK);
    cell_free(g.cell);
    program_unref(prog);
    return (uint32_t)io[0].u64;
}

static void stores_of_two_sizes_through_one_pointer_stay_in_order(void)
{
    static const uint32_t cpus[] = {LEVEL_X86_64_V2, LEVEL_X86_64_V3, LEVEL_X86_64_V4,
                                    LEVEL_AARCH64};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        if (image_level_runs(cpus[i]))
            CHECK_EQ(two_sizes_at(cpus[i], 3), two_sizes_at(cpus[i], 0));
}

int main(void)
{
    rt = guest_runtime();
    RUN(loads_at_the_end_of_memory_trap_on_x86_64);
    RUN(loads_at_the_end_of_memory_trap_on_aarch64);
    RUN(searches_with_many_ways_out_trap);
    RUN(stores_of_two_sizes_through_one_pointer_stay_in_order);
    runtime_free(rt);
    return CHECK_DONE();
}
