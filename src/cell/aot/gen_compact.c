#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen.h"
#include "tables.h"

/* Compact tables live in the part of the trampolines, once per image; see docs/internals/calls.md. */

const struct sig_facts *gen_compact_sig(const struct gen *g, const struct instr *in)
{
    const struct analysis *a = g->shared->analysis;
    return in->index2 == 0 && a->table0 ? &a->sigs[a->sigs[in->index].same] : NULL;
}

LLVMValueRef gen_compact_array(struct gen *g, uint32_t sig)
{
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "t%" PRIu32, sig);
    LLVMValueRef array = LLVMGetNamedGlobal(g->mod, name);
    if (array)
        return array;
    unsigned n = (unsigned)g->m->tables[0].limits.min;
    array = LLVMAddGlobal(g->mod, LLVMArrayType2(g->t.i32, n), name);
    LLVMSetVisibility(array, LLVMHiddenVisibility);
    LLVMSetGlobalConstant(array, 1);
    LLVMSetAlignment(array, 4);
    return array;
}

static LLVMValueRef begin_stub(struct gen *g, const char *name, LLVMTypeRef type)
{
    LLVMValueRef fn = LLVMAddFunction(g->mod, name, type);
    LLVMSetFunctionCallConv(fn, gen_own_conv(g));
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_context);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    return fn;
}

/* Called in place of a function that is not there; the back-trace leaves it out, since it is no wasm function. */
static LLVMValueRef trap_stub(struct gen *g, const char *name, enum abi_trap trap)
{
    LLVMValueRef fn = begin_stub(g, name, LLVMFunctionType(g->t.void_, &g->t.ptr, 1, 0));
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_cold);
    LLVMValueRef call = GEN_OP(g, LLVMGetParam(fn, 0), trap, g->t.void_,
                               gen_i32(g, (uint32_t)trap));
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_noreturn);
    LLVMBuildUnreachable(g->b);
    return fn;
}

/* An imported function runs in its own context. */
static LLVMValueRef import_stub(struct gen *g, uint32_t index)
{
    const struct functype *ft = module_func_type(g->m, index);
    LLVMTypeRef type = g->func_types[g->m->funcs[index].type];
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "s%" PRIu32, index);
    LLVMValueRef fn = LLVMGetNamedFunction(g->mod, name);
    if (fn)
        return fn;
    fn = begin_stub(g, name, type);
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    LLVMGetParams(fn, args);
    LLVMValueRef slot = gen_at(g, args[0], g->shared->layout->func_off[index]);
    LLVMValueRef code = gen_load_invariant(g, g->t.ptr,
                                           gen_at(g, slot, offsetof(struct abi_func, code)));
    args[0] = gen_load_invariant(g, g->t.ptr, gen_at(g, slot, offsetof(struct abi_func, ctx)));
    LLVMValueRef call = LLVMBuildCall2(g->b, type, code, args, ft->param_count + 1, "");
    gen_call_guest(g, call, GEN_C_CC);
    if (gen_own_conv(g) == GEN_C_CC)
        LLVMSetTailCallKind(call, LLVMTailCallKindMustTail);
    gen_return_call(g, ft, call);
    return fn;
}

static LLVMValueRef entry_code(struct gen *g, uint32_t func, uint32_t sig, LLVMValueRef null,
                               LLVMValueRef type)
{
    if (func == TABLES_NULL)
        return null;
    if (g->shared->analysis->sigs[g->m->funcs[func].type].same != sig)
        return type;
    return g->m->funcs[func].imported ? import_stub(g, func) : gen_func(g, func);
}

static void define_array(struct gen *g, uint32_t sig, LLVMValueRef null, LLVMValueRef type,
                         LLVMValueRef *values)
{
    unsigned n = (unsigned)g->m->tables[0].limits.min;
    LLVMValueRef array = gen_compact_array(g, sig);
    LLVMValueRef start = LLVMConstPtrToInt(array, g->t.i64);
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef code = entry_code(g, g->shared->analysis->table0[i], sig, null, type);
        LLVMValueRef distance = LLVMConstSub(LLVMConstPtrToInt(code, g->t.i64), start);
        values[i] = LLVMConstTrunc(distance, g->t.i32);
    }
    LLVMSetInitializer(array, LLVMConstArray2(g->t.i32, values, n));
}

status_t gen_compact_define(struct gen *g, struct error *err)
{
    const struct analysis *a = g->shared->analysis;
    LLVMValueRef null = NULL, type = NULL, *values = NULL;
    for (uint32_t sig = 0; sig < g->m->type_count; sig++) {
        if (!a->sigs[sig].compact)
            continue;
        if (!values) {
            null = trap_stub(g, "null", TRAP_INDIRECT_NULL);
            type = trap_stub(g, "type", TRAP_INDIRECT_TYPE);
            values = calloc((size_t)g->m->tables[0].limits.min + 1, sizeof(LLVMValueRef));
        }
        if (!values)
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a table");
        define_array(g, sig, null, type, values);
    }
    free(values);
    return ST_OK;
}
