#include "guest.h"
#include "modules.h"

static struct runtime *rt;
static struct program *prog;
static struct guest g;

static void a_table_grows_to_its_limit_and_stays_callable(void)
{
    int32_t value = 0;
    CHECK_EQ(guest_call_i32(&g, "grow", MODULE_TABLE_ENTRIES_MAX, &value), ST_OK);
    CHECK_EQ(value, 0);
    CHECK_EQ(guest_call_i32(&g, "size", 0, &value), ST_OK);
    CHECK_EQ(value, MODULE_TABLE_ENTRIES_MAX);
    CHECK_EQ(guest_call_i32(&g, "grow", 1, &value), ST_OK);
    CHECK_EQ(value, -1);
    CHECK_EQ(guest_call_i32(&g, "call", MODULE_TABLE_ENTRIES_MAX - 1, &value), ST_OK);
    CHECK_EQ(value, 7);
    CHECK_EQ(guest_call_i32(&g, "call", MODULE_TABLE_ENTRIES_MAX, NULL), ST_TRAP);
    CHECK_EQ(cell_trap(g.cell), TRAP_TABLE_BOUNDS);
}

static void fills_and_copies_of_the_whole_table_work_in_place(void)
{
    union cell_value io[3] = {{.i32 = 0}, {.i32 = 5}};
    CHECK_EQ(guest_call(&g, "fill_null", io), ST_OK);
    CHECK_EQ(guest_call_i32(&g, "call", 4, NULL), ST_TRAP);
    CHECK_EQ(cell_trap(g.cell), TRAP_INDIRECT_NULL);
    CHECK_EQ(guest_call_i32(&g, "call", 5, NULL), ST_OK);
    io[0].i32 = 3;
    io[1].i32 = 0;
    io[2].i32 = MODULE_TABLE_ENTRIES_MAX - 3;
    CHECK_EQ(guest_call(&g, "copy", io), ST_OK); /* upwards over itself */
    const struct abi_table *t = guest_export(g.inst, "t").ptr;
    CHECK(t->entries[7].ref == NULL && t->entries[8].ref != NULL);
    io[0].i32 = 0;
    io[1].i32 = 8;
    io[2].i32 = MODULE_TABLE_ENTRIES_MAX - 8;
    CHECK_EQ(guest_call(&g, "copy", io), ST_OK); /* downwards */
    CHECK(t->entries[0].ref != NULL && t->entries[7].ref != NULL);
    io[2].i32 = MODULE_TABLE_ENTRIES_MAX - 7;
    io[1].i32 = 8;
    io[0].i32 = 0;
    CHECK_EQ(guest_call(&g, "copy", io), ST_TRAP);
}

int main(void)
{
    rt = guest_runtime();
    prog = GUEST_PROGRAM(rt, tables);
    guest_start(&g, rt, prog, NULL, NULL);
    RUN(a_table_grows_to_its_limit_and_stays_callable);
    RUN(fills_and_copies_of_the_whole_table_work_in_place);
    cell_free(g.cell);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
