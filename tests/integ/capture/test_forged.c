#include "base/buf.h"
#include "cell/run/state.h"
#include "disturb.h"
#include "modules.h"
#include "modules_more.h"

/* A saved state comes from anywhere. Every byte of many of them is changed in turn: the state is refused with a reason,
 * or the cell goes on as some program would, and the host is none the worse for it. */

enum { STATES_PER_CALL = 3, STATE_EVERY = 7, POLLS_MAX = 40, ARG = 3 };

static struct runtime *rt;
static struct program *prog;
static unsigned long refused, went_on;

static void start(struct guest *g)
{
    guest_start(g, rt, prog, &disturb_host, NULL);
}

/* Some polls further, then it is stopped. */
static void go_on(struct guest *g)
{
    union cell_value io[DISTURB_VALUES] = {0};
    status_t st = ST_CAPTURED;
    for (int i = 0; i < POLLS_MAX && st == ST_CAPTURED; i++) {
        cell_stop(g->cell, i + 1 < POLLS_MAX ? STOP_CAPTURE : STOP_REQUEST);
        st = cell_resume(g->cell, io, &g->err);
    }
}

static void load(const uint8_t *state, size_t len, bool may_refuse)
{
    struct guest g;
    start(&g);
    status_t st = cell_state_load(g.cell, state, len, &g.err);
    CHECK(st == ST_OK || may_refuse);
    if (st == ST_OK && cell_is_captured(g.cell)) {
        went_on++;
        go_on(&g);
    } else if (st != ST_OK) {
        CHECK(st == ST_CORRUPT || st == ST_NOMEM);
        CHECK(g.err.text[0] != '\0');
        refused++;
    }
    cell_free(g.cell);
}

static void forge(const struct buf *state)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    load(state->data, state->len, false);
    for (size_t i = 0; i < state->len; i++) {
        uint8_t was = state->data[i];
        state->data[i] = (uint8_t)(was ^ changes[i % sizeof changes]);
        load(state->data, state->len, true);
        state->data[i] = was;
        load(state->data, i, true);
    }
}

static void forge_call(const char *name, size_t len)
{
    struct guest g;
    struct extern_val f;
    union cell_value io[DISTURB_VALUES] = {{.i32 = ARG}};
    start(&g);
    CHECK_EQ(instance_export(g.inst, name, len, &f), ST_OK);
    cell_stop(g.cell, STOP_CAPTURE);
    status_t st = cell_call(g.cell, f.ptr, io, &g.err);
    for (unsigned n = 0, states = 0; st == ST_CAPTURED && states < STATES_PER_CALL; n++) {
        struct buf state = {0};
        if (n % STATE_EVERY == 0 && cell_state_save(g.cell, &state, &g.err) == ST_OK) {
            forge(&state);
            states++;
        }
        buf_done(&state);
        cell_stop(g.cell, STOP_CAPTURE);
        st = cell_resume(g.cell, io, &g.err);
    }
    cell_free(g.cell);
}

static void forge_module(const uint8_t *wasm, size_t len)
{
    struct module *m = NULL;
    struct error err = {0};
    refused = went_on = 0;
    guest_need(module_decode(wasm, len, FEATURE_ALL, &m, &err), "decode", &err);
    prog = guest_program(rt, wasm, len);
    for (uint32_t i = 0; i < m->export_count; i++)
        if (m->exports[i].kind == EXTERN_FUNC)
            forge_call(m->exports[i].field.bytes, m->exports[i].field.len);
    CHECK(refused > 0 && went_on > 0);
    program_unref(prog);
    module_free(m);
}

static void forged_operands_are_refused_or_harmless(void)
{
    forge_module(operands_wasm, sizeof operands_wasm);
}

static void forged_calls_are_refused_or_harmless(void)
{
    forge_module(calls_wasm, sizeof calls_wasm);
}

static void forged_tail_calls_are_refused_or_harmless(void)
{
    forge_module(tails_wasm, sizeof tails_wasm);
}

static void forged_handlers_are_refused_or_harmless(void)
{
    forge_module(legacy_wasm, sizeof legacy_wasm);
}

static void forged_exceptions_are_refused_or_harmless(void)
{
    forge_module(table_wasm, sizeof table_wasm);
}

static void forged_tables_are_refused_or_harmless(void)
{
    forge_module(bulk_wasm, sizeof bulk_wasm);
}

int main(void)
{
    rt = guest_runtime();
    RUN(forged_operands_are_refused_or_harmless);
    RUN(forged_calls_are_refused_or_harmless);
    RUN(forged_tail_calls_are_refused_or_harmless);
    RUN(forged_handlers_are_refused_or_harmless);
    RUN(forged_exceptions_are_refused_or_harmless);
    RUN(forged_tables_are_refused_or_harmless);
    runtime_free(rt);
    return CHECK_DONE();
}
