#include "check.h"
#include "instance.h"
#include "modules.h"
#include "program_make.h"

struct fixture {
    struct runtime *rt;
    struct cell *cell;
    struct program *exporter;
    struct instance *a;
};

static struct program *make(struct fixture *f, const uint8_t *wasm, size_t len)
{
    return program_make_bare(f->rt, wasm, len);
}

static struct fixture begin(void)
{
    struct fixture f = {0};
    struct error err = {0};
    CHECK_EQ(runtime_new(NULL, &f.rt, &err), ST_OK);
    CHECK_EQ(cell_new(f.rt, NULL, &f.cell, &err), ST_OK);
    f.exporter = make(&f, exporter, sizeof(exporter));
    CHECK_EQ(cell_instantiate(f.cell, f.exporter, NULL, 0, NULL, &f.a, &err), ST_OK);
    CHECK_STR(err.text, "");
    return f;
}

static void end(struct fixture *f)
{
    cell_free(f->cell);
    program_unref(f->exporter);
    runtime_free(f->rt);
}

/* Module "a" is the first instance. */
static status_t resolve(void *arg, const struct module_import *imp, struct extern_val *ret_val)
{
    const struct fixture *f = arg;
    if (imp->module.len != 1 || imp->module.bytes[0] != 'a')
        return ST_NOTFOUND;
    return instance_export(f->a, imp->field.bytes, imp->field.len, ret_val);
}

static int32_t host_log(void *ctx, void *env, int32_t a, int64_t b, double c)
{
    (void)ctx;
    (void)env;
    (void)b;
    (void)c;
    return a;
}

static const struct host_func log_funcs[] = {{"log", "iIF:i", (void *)host_log},
                                             {NULL, NULL, NULL}};
static const struct host_func wrong_funcs[] = {{"log", "iIf:i", (void *)host_log},
                                               {NULL, NULL, NULL}};

static status_t instantiate(struct fixture *f, const uint8_t *wasm, size_t len,
                            const struct host_func *funcs, struct instance **ret_inst,
                            struct error *err)
{
    struct host_module host = {.name = "h", .funcs = funcs};
    struct import_resolver r = {resolve, f};
    struct program *p = make(f, wasm, len);
    status_t st = cell_instantiate(f->cell, p, funcs ? &host : NULL, funcs ? 1 : 0, &r, ret_inst,
                                   err);
    program_unref(p);
    return st;
}

static struct extern_val export_of(struct instance *inst, const char *name)
{
    struct extern_val v = {0};
    CHECK_EQ(instance_export(inst, name, strlen(name), &v), ST_OK);
    return v;
}

static void exports_describe_what_the_module_defines(void)
{
    struct fixture f = begin();
    struct extern_val g = export_of(f.a, "g"), t = export_of(f.a, "t"), m = export_of(f.a, "m"),
                      none;
    CHECK_EQ(((union cell_value *)g.ptr)->i32, 7);
    CHECK_EQ(g.type, VT_I32);
    CHECK_EQ(((struct abi_table *)t.ptr)->count, 4);
    CHECK_EQ(t.limits.max, 8);
    CHECK_EQ(((struct abi_mem *)m.ptr)->bytes, WASM_PAGE_BYTES);
    CHECK_EQ(memcmp(((struct abi_mem *)m.ptr)->base + 8, "hello", 5), 0);
    CHECK_EQ(export_of(f.a, "e").func_type->param_count, 1);
    CHECK_EQ(instance_export(f.a, "no", 2, &none), ST_NOTFOUND);
    end(&f);
}

static void element_segments_fill_tables_with_callable_entries(void)
{
    struct fixture f = begin();
    struct abi_entry *e = ((struct abi_table *)export_of(f.a, "t").ptr)->entries;
    struct abi_func *func = export_of(f.a, "f").ptr;
    CHECK(e[0].ref == NULL && e[0].code == NULL);
    CHECK(e[1].ref == func && e[1].code == func->code && e[1].ctx == func->ctx &&
          e[1].sig == func->sig);
    CHECK(e[2].ref == NULL);
    end(&f);
}

static void imports_share_what_another_instance_exports(void)
{
    struct fixture f = begin();
    struct instance *b = NULL;
    struct error err = {0};
    CHECK_EQ(instantiate(&f, importer, sizeof(importer), log_funcs, &b, &err), ST_OK);
    CHECK_STR(err.text, "");
    CHECK_EQ(((union cell_value *)export_of(b, "x").ptr)->i32, 7 + 3 * 4);
    struct abi_func *f2 = export_of(b, "f2").ptr, *original = export_of(f.a, "f").ptr;
    CHECK(f2 != original && f2->code == original->code && f2->ctx == original->ctx);
    CHECK(((union cell_value *)export_of(b, "r").ptr)->ref == f2);
    struct abi_entry *e = ((struct abi_table *)export_of(f.a, "t").ptr)->entries;
    CHECK(e[2].ref == f2 && e[2].code == original->code);
    struct abi_mem *m = export_of(f.a, "m").ptr;
    CHECK_EQ(memcmp(m->base + 100, "abc", 3), 0);
    end(&f);
}

static void a_host_import_goes_through_the_importers_trampoline(void)
{
    struct fixture f = begin();
    struct instance *b = NULL;
    struct error err = {0};
    CHECK_EQ(instantiate(&f, importer, sizeof(importer), log_funcs, &b, &err), ST_OK);
    struct abi_import *imp = export_of(b, "log").ptr;
    CHECK(imp->host_fn == (void *)host_log);
    CHECK(imp->f.ctx == (struct abi_ctx *)b->base && imp->f.code != NULL);
    struct abi_entry *e = ((struct abi_table *)export_of(f.a, "t").ptr)->entries;
    CHECK(e[3].ref == &imp->f && e[3].sig == imp->f.sig);
    end(&f);
}

static void a_failed_link_says_both_types(void)
{
    struct fixture f = begin();
    struct instance *b = NULL;
    struct error err = {0};
    CHECK_EQ(instantiate(&f, importer, sizeof(importer), wrong_funcs, &b, &err), ST_LINK);
    CHECK_STR(err.text, "incompatible import type: \"h\" \"log\" wants func [i32 i64 f64] -> "
                        "[i32], found host func iIf:i");
    CHECK_EQ(instantiate(&f, importer, sizeof(importer), NULL, &b, &err), ST_LINK);
    CHECK_STR(err.text, "unknown import: \"h\" \"log\" wants func [i32 i64 f64] -> [i32]");
    CHECK_EQ(instantiate(&f, wants_global, sizeof(wants_global), NULL, &b, &err), ST_LINK);
    CHECK_STR(err.text,
              "incompatible import type: \"a\" \"gm\" wants global i64, found global mut i64");
    CHECK_EQ(instantiate(&f, wants_memory, sizeof(wants_memory), NULL, &b, &err), ST_LINK);
    CHECK_STR(err.text, "incompatible import type: \"a\" \"m\" wants memory 2, found memory 1..3");
    CHECK_EQ(instantiate(&f, wants_max, sizeof(wants_max), NULL, &b, &err), ST_LINK);
    CHECK_STR(
        err.text,
        "incompatible import type: \"a\" \"t\" wants table funcref 1..7, found table funcref 4..8");
    CHECK_EQ(instantiate(&f, wants_func, sizeof(wants_func), NULL, &b, &err), ST_LINK);
    CHECK_STR(err.text, "incompatible import type: \"a\" \"f\" wants func [i32 f32] -> [i64], "
                        "found func [i32] -> [i32]");
    CHECK(b == NULL);
    end(&f);
}

static void a_segment_out_of_bounds_traps_after_the_earlier_ones_were_applied(void)
{
    struct fixture f = begin();
    struct instance *b = NULL;
    struct error err = {0};
    CHECK_EQ(instantiate(&f, late_trap, sizeof(late_trap), NULL, &b, &err), ST_TRAP);
    CHECK_STR(err.text, "out of bounds memory access: data segment 0");
    CHECK_EQ(cell_trap(f.cell), TRAP_MEMORY_BOUNDS);
    CHECK(b == NULL);
    CHECK(((struct abi_table *)export_of(f.a, "t").ptr)->entries[3].code != NULL);
    end(&f);
}

static void limits_of_the_cell_bound_memories_and_tables(void)
{
    struct fixture f = begin();
    struct cell_limits l;
    struct cell *small = NULL;
    struct instance *b = NULL;
    struct error err = {0};
    cell_limits_default(&l);
    l.memory_bytes = WASM_PAGE_BYTES - 1;
    CHECK_EQ(cell_new(f.rt, &l, &small, &err), ST_OK);
    CHECK_EQ(cell_instantiate(small, f.exporter, NULL, 0, NULL, &b, &err), ST_LIMIT);
    CHECK_STR(err.text, "memory of 65536 bytes passes the limit of 65535 bytes (--memory)");
    cell_free(small);
    cell_limits_default(&l);
    l.table_entries = 3;
    CHECK_EQ(cell_new(f.rt, &l, &small, &err), ST_OK);
    CHECK_EQ(cell_instantiate(small, f.exporter, NULL, 0, NULL, &b, &err), ST_LIMIT);
    CHECK_STR(err.text, "table of 4 entries passes the limit of 3");
    cell_free(small);
    end(&f);
}

static void memory_of_a_freed_cell_comes_back_as_the_module_has_it(void)
{
    struct fixture f = begin();
    struct error err = {0};
    struct instance *b = NULL;
    struct cell *again = NULL;
    struct abi_mem *m = export_of(f.a, "m").ptr;
    uint8_t *base = m->base;
    CHECK_EQ(run_memory_grow(run_memory_of(m), 2), 1);
    memset(base, 0xaa, 3 * WASM_PAGE_BYTES);
    cell_free(f.cell);
    CHECK_EQ(cell_new(f.rt, NULL, &again, &err), ST_OK);
    CHECK_EQ(cell_instantiate(again, f.exporter, NULL, 0, NULL, &b, &err), ST_OK);
    m = export_of(b, "m").ptr;
    CHECK(m->base == base);
    CHECK_EQ(m->bytes, WASM_PAGE_BYTES);
    CHECK_EQ(memcmp(base + 8, "hello", 5), 0);
    CHECK_EQ(base[0] | base[13] | base[WASM_PAGE_BYTES - 1], 0);
    CHECK_EQ(run_memory_grow(run_memory_of(m), 2), 1);
    CHECK_EQ(base[2 * WASM_PAGE_BYTES], 0);
    f.cell = again;
    end(&f);
}

static void what_another_cell_owns_is_refused(void)
{
    struct fixture f = begin(), other = f;
    struct instance *b = NULL;
    struct error err = {0};
    CHECK_EQ(cell_new(f.rt, NULL, &other.cell, &err), ST_OK);
    CHECK_EQ(instantiate(&other, importer, sizeof(importer), log_funcs, &b, &err), ST_LINK);
    CHECK_STR(err.text, "incompatible import type: \"a\" \"f\" wants func [i32] -> [i32], found "
                        "one of another cell");
    CHECK_EQ(instantiate(&other, late_trap, sizeof(late_trap), NULL, &b, &err), ST_LINK);
    CHECK(strstr(err.text, "another cell") != NULL);
    cell_free(other.cell);
    end(&f);
}

static void host_ranges_stay_inside_the_memory(void)
{
    struct fixture f = begin();
    void *ctx = f.a->base;
    CHECK(host_range(ctx, 8, 5) != NULL && memcmp(host_range(ctx, 8, 5), "hello", 5) == 0);
    CHECK(host_range(ctx, WASM_PAGE_BYTES, 0) != NULL);
    CHECK(host_range(ctx, WASM_PAGE_BYTES, 1) == NULL);
    CHECK(host_range(ctx, UINT32_MAX, UINT64_MAX) == NULL);
    CHECK(host_range(ctx, 0, WASM_PAGE_BYTES) != NULL);
    CHECK(host_cell(ctx) == f.cell);
    end(&f);
}

static void a_second_runtime_is_refused(void)
{
    struct fixture f = begin();
    struct runtime *other = NULL;
    struct error err = {0};
    CHECK_EQ(runtime_new(NULL, &other, &err), ST_EXIST);
    CHECK(other == NULL);
    end(&f);
}

int main(void)
{
    RUN(exports_describe_what_the_module_defines);
    RUN(element_segments_fill_tables_with_callable_entries);
    RUN(imports_share_what_another_instance_exports);
    RUN(a_host_import_goes_through_the_importers_trampoline);
    RUN(a_failed_link_says_both_types);
    RUN(a_segment_out_of_bounds_traps_after_the_earlier_ones_were_applied);
    RUN(limits_of_the_cell_bound_memories_and_tables);
    RUN(memory_of_a_freed_cell_comes_back_as_the_module_has_it);
    RUN(what_another_cell_owns_is_refused);
    RUN(host_ranges_stay_inside_the_memory);
    RUN(a_second_runtime_is_refused);
    return CHECK_DONE();
}
