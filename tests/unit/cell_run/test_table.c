#include "table.h"

#include "check.h"

static void a_table_starts_null_and_grows_in_place(void)
{
    struct run_table t;
    uint64_t used = 0;
    CHECK_EQ(run_table_init(&t, VT_FUNCREF, (struct limits){.min = 2, .max = 5, .has_max = true},
                            NULL, &used, 100, NULL),
             ST_OK);
    const struct abi_entry *before = t.abi.entries;
    CHECK(t.abi.entries[0].ref == NULL && t.abi.entries[1].code == NULL);
    CHECK_EQ(run_table_grow(&t, 3), 2);
    CHECK_EQ(t.abi.count, 5);
    CHECK(t.abi.entries == before);
    CHECK_EQ(run_table_grow(&t, 1), UINT32_MAX);
    CHECK_EQ(run_table_grow(&t, 0), 5);
    CHECK_EQ(used, 5);
    run_table_done(&t);
    CHECK_EQ(used, 0);
}

static void the_cells_limit_bounds_growth(void)
{
    struct run_table a, b;
    uint64_t used = 0;
    CHECK_EQ(run_table_init(&a, VT_EXTERNREF, (struct limits){.min = 6}, NULL, &used, 10, NULL),
             ST_OK);
    CHECK_EQ(run_table_init(&b, VT_EXTERNREF, (struct limits){.min = 5}, NULL, &used, 10, NULL),
             ST_LIMIT);
    CHECK_EQ(run_table_init(&b, VT_EXTERNREF, (struct limits){.min = 1}, NULL, &used, 10, NULL),
             ST_OK);
    CHECK_EQ(run_table_grow(&a, 4), UINT32_MAX);
    CHECK_EQ(run_table_grow(&a, UINT32_MAX), UINT32_MAX);
    CHECK_EQ(run_table_grow(&a, 3), 6);
    run_table_done(&a);
    run_table_done(&b);
}

static void entries_of_function_tables_carry_what_a_call_needs(void)
{
    struct run_table t, e;
    uint64_t used = 0;
    struct abi_func f = {.code = &t, .ctx = (struct abi_ctx *)&used, .sig = 9};
    CHECK_EQ(run_table_init(&t, VT_FUNCREF, (struct limits){.min = 1}, NULL, &used, 10, NULL),
             ST_OK);
    CHECK_EQ(run_table_init(&e, VT_EXTERNREF, (struct limits){.min = 1}, NULL, &used, 10, NULL),
             ST_OK);
    run_table_set(&t, 0, &f);
    CHECK(t.abi.entries[0].ref == &f && t.abi.entries[0].code == f.code &&
          t.abi.entries[0].ctx == f.ctx);
    CHECK_EQ(t.abi.entries[0].sig, 9);
    run_table_set(&t, 0, NULL);
    CHECK(t.abi.entries[0].ref == NULL && t.abi.entries[0].code == NULL &&
          t.abi.entries[0].sig == 0);
    run_table_set(&e, 0, &f);
    CHECK(e.abi.entries[0].ref == &f && e.abi.entries[0].code == NULL);
    run_table_done(&t);
    run_table_done(&e);
}

static void the_largest_table_costs_no_memory_until_it_is_used(void)
{
    struct run_table t;
    uint64_t used = 0;
    struct limits l = {.min = MODULE_TABLE_ENTRIES_MAX};
    CHECK_EQ(run_table_init(&t, VT_FUNCREF, l, NULL, &used, MODULE_TABLE_ENTRIES_MAX, NULL), ST_OK);
    CHECK(t.abi.entries[MODULE_TABLE_ENTRIES_MAX - 1].ref == NULL);
    run_table_done(&t);
}

int main(void)
{
    RUN(a_table_starts_null_and_grows_in_place);
    RUN(the_cells_limit_bounds_growth);
    RUN(entries_of_function_tables_carry_what_a_call_needs);
    RUN(the_largest_table_costs_no_memory_until_it_is_used);
    return CHECK_DONE();
}
