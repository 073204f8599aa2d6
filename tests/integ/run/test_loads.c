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
    RUN(stores_of_two_sizes_through_one_pointer_stay_in_order);
    runtime_free(rt);
    return CHECK_DONE();
}
