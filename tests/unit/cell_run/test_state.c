#include <time.h>

#include "base/buf.h"
#include "cell/run/state.h"
#include "check.h"
#include "program_make.h"

/* Saved states of a cell that nothing runs in: what they may hold, and what saving them costs. */

/*
 * (module
 *   (table 0 exnref)
 *   (table 0 10 funcref)
 *   (memory 1 4)
 *   (tag $e))
 */
static const uint8_t wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01, 0x60,
    0x00, 0x00, 0x04, 0x08, 0x02, 0x69, 0x00, 0x00, 0x70, 0x01, 0x00, 0x0a,
    0x05, 0x04, 0x01, 0x01, 0x01, 0x04, 0x0d, 0x03, 0x01, 0x00, 0x00,
};

enum { MANY_EXNS = 400000, EXNS_MAX = 1 << 20, CPU_SECONDS_MAX = 10 };

static struct runtime *rt;
static struct program *prog;

struct sizes {
    uint64_t pages, exn_entries, func_entries;
    uint32_t exns;
};

/* The entries of the first table are the exceptions, as far as there are any. */
static void put_state(struct buf *out, const struct sizes *s)
{
    const uint32_t version = 1, no_call = UINT32_MAX;
    buf_le32(out, version);
    buf_le32(out, no_call);
    buf_le32(out, 0);
    buf_le32(out, 1);
    buf_le64(out, s->pages * WASM_PAGE_BYTES);
    buf_le32(out, 0);
    buf_le32(out, 2);
    buf_u8(out, VT_EXNREF);
    buf_le64(out, s->exn_entries);
    for (uint64_t i = 0; i < s->exn_entries; i++)
        buf_le64(out, i < s->exns ? i + 1 : 0);
    buf_u8(out, VT_FUNCREF);
    buf_le64(out, s->func_entries);
    buf_fill(out, 0, s->func_entries * 8);
    buf_le32(out, 0);
    buf_le32(out, 0);
    buf_le32(out, s->exns);
    buf_fill(out, 0, (size_t)s->exns * 4);
    CHECK(!out->failed);
}

static struct cell *cell(const struct cell_limits *limits)
{
    struct cell *c = NULL;
    struct instance *inst = NULL;
    struct error err = {0};
    if (cell_new(rt, limits, &c, &err) != ST_OK ||
        cell_instantiate(c, prog, NULL, 0, NULL, &inst, &err) != ST_OK) {
        fprintf(stderr, "cell: %s\n", err.text);
        exit(1);
    }
    return c;
}

static status_t load(const struct sizes *s, const struct cell_limits *limits, struct error *err)
{
    struct buf state = {0};
    struct cell *c = cell(limits);
    put_state(&state, s);
    status_t st = cell_state_load(c, state.data, state.len, err);
    cell_free(c);
    buf_done(&state);
    return st;
}

static uint64_t cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec;
}

static void what_is_loaded_is_saved_again(void)
{
    struct buf state = {0}, again = {0};
    struct error err = {0};
    struct cell *c = cell(NULL);
    put_state(&state, &(struct sizes){3, 7, 9, 5});
    CHECK_EQ(cell_state_load(c, state.data, state.len, &err), ST_OK);
    for (int i = 0; i < 2; i++) {
        again.len = 0;
        CHECK_EQ(cell_state_save(c, &again, &err), ST_OK);
        CHECK(again.len == state.len && memcmp(again.data, state.data, state.len) == 0);
    }
    cell_free(c);
    buf_done(&state);
    buf_done(&again);
}

/* In proportion to their number: with a search for each it would take minutes. */
static void many_exceptions_are_saved_at_once(void)
{
    struct buf state = {0}, again = {0};
    struct error err = {0};
    struct cell *c = cell(NULL);
    put_state(&state, &(struct sizes){1, MANY_EXNS, 0, MANY_EXNS});
    CHECK_EQ(cell_state_load(c, state.data, state.len, &err), ST_OK);
    uint64_t begun = cpu_seconds();
    CHECK_EQ(cell_state_save(c, &again, &err), ST_OK);
    CHECK(cpu_seconds() - begun < CPU_SECONDS_MAX);
    CHECK(again.len == state.len && memcmp(again.data, state.data, state.len) == 0);
    cell_free(c);
    buf_done(&state);
    buf_done(&again);
}

static void sizes_that_the_module_forbids_are_corrupt(void)
{
    const struct sizes wrong[] = {
        {1, 0, 11, 0}, {0, 0, 0, 0}, {5, 0, 0, 0}, {1, MODULE_TABLE_ENTRIES_MAX + 1, 0, 0}};
    struct error err = {0};
    CHECK_EQ(load(&(struct sizes){4, 0, 10, 0}, NULL, &err), ST_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        CHECK_EQ(load(&wrong[i], NULL, &err), ST_CORRUPT);
        CHECK(strstr(err.text, i % 3 == 0 ? "size of a table" : "size of a memory") != NULL);
    }
}

static void tables_that_no_cell_can_have_together_are_corrupt(void)
{
    struct error err = {0};
    CHECK_EQ(load(&(struct sizes){1, MODULE_TABLE_ENTRIES_MAX, 1, 0}, NULL, &err), ST_CORRUPT);
    CHECK(strstr(err.text, "size of a table") != NULL);
}

static void more_exceptions_than_a_cell_can_have_are_corrupt(void)
{
    struct error err = {0};
    CHECK_EQ(load(&(struct sizes){1, 0, 0, EXNS_MAX}, NULL, &err), ST_OK);
    CHECK_EQ(load(&(struct sizes){1, 0, 0, EXNS_MAX + 1}, NULL, &err), ST_CORRUPT);
    CHECK(strstr(err.text, "more exceptions") != NULL);
}

static void what_only_this_cell_may_not_have_is_a_limit(void)
{
    struct error err = {0};
    struct cell_limits limits;
    cell_limits_default(&limits);
    limits.memory_bytes = 2 * WASM_PAGE_BYTES;
    limits.table_entries = 8;
    CHECK_EQ(load(&(struct sizes){2, 4, 4, 0}, &limits, &err), ST_OK);
    CHECK_EQ(load(&(struct sizes){3, 4, 4, 0}, &limits, &err), ST_LIMIT);
    CHECK(strstr(err.text, "196608 bytes of memory pass the limit of 131072") != NULL);
    CHECK_EQ(load(&(struct sizes){2, 4, 5, 0}, &limits, &err), ST_LIMIT);
    CHECK(strstr(err.text, "9 entries of tables pass the limit of 8") != NULL);
    CHECK_EQ(load(&(struct sizes){2, 9, 0, 0}, &limits, &err), ST_LIMIT);
}

int main(void)
{
    struct error err = {0};
    if (runtime_new(NULL, &rt, &err) != ST_OK) {
        fprintf(stderr, "runtime: %s\n", err.text);
        return 1;
    }
    prog = program_make_bare(rt, wasm, sizeof wasm);
    RUN(what_is_loaded_is_saved_again);
    RUN(many_exceptions_are_saved_at_once);
    RUN(sizes_that_the_module_forbids_are_corrupt);
    RUN(tables_that_no_cell_can_have_together_are_corrupt);
    RUN(more_exceptions_than_a_cell_can_have_are_corrupt);
    RUN(what_only_this_cell_may_not_have_is_a_limit);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
