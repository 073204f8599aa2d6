#include <inttypes.h>
#include <stdio.h>

#include "gen.h"

/* Trampolines of imports: guest convention in, the host's C function out. In a movable image they have a frame
 * record of their own, for a host function that waits and asks for its call to be made again: function, offset 0, the
 * arguments as locals. See docs/internals/capture.md. */

/* Trap when less native stack is left than host functions are promised. */
static void check_host_stack(struct gen *g, LLVMValueRef fn, LLVMValueRef ctx)
{
    bool arm = image_level_arch(g->shared->opt->image.level) == ARCH_AARCH64;
    LLVMMetadataRef name = gen_md_string(g, arm ? "sp" : "rsp");
    LLVMValueRef reg = gen_md_value(g, &name, 1);
    LLVMValueRef sp = gen_call_intrinsic(g, "llvm.read_register", &g->t.i64, 1, &reg, 1);
    LLVMValueRef limit = gen_load(
        g, g->t.i64, gen_at(g, ctx, gen_ctx_field(offsetof(struct abi_ctx, host_stack_limit))),
        ALIAS_BLOCK);
    LLVMValueRef low = LLVMBuildICmp(g->b, LLVMIntULT, sp, limit, "");
    LLVMBasicBlockRef trap = LLVMAppendBasicBlockInContext(g->llvm, fn, "");
    LLVMBasicBlockRef next = LLVMAppendBasicBlockInContext(g->llvm, fn, "");
    LLVMValueRef br = LLVMBuildCondBr(g->b, low, trap, next);
    LLVMSetMetadata(br, g->md_prof, g->unlikely);
    LLVMPositionBuilderAtEnd(g->b, trap);
    /* a jump as well, so that the trampoline has no frame: it does not return */
    LLVMValueRef call = GEN_OP(g, ctx, trap, g->t.void_, gen_i32(g, TRAP_STACK));
    LLVMSetTailCallKind(call, LLVMTailCallKindTail);
    LLVMTypeRef ret = LLVMGetReturnType(LLVMGlobalGetValueType(fn));
    if (ret == g->t.void_)
        LLVMBuildRetVoid(g->b);
    else
        LLVMBuildRet(g->b, LLVMGetUndef(ret));
    LLVMPositionBuilderAtEnd(g->b, next);
}

static LLVMValueRef site_constant(struct gen *g, uint32_t index)
{
    const struct functype *ft = module_func_type(g->m, index);
    LLVMValueRef live[MODULE_PARAMS_MAX];
    for (uint32_t i = 0; i < ft->param_count; i++)
        live[i] = gen_i32(g, i);
    const struct abi_site site = {
        .func = index, .locals = ft->param_count, .live = ft->param_count};
    return frame_site_constant(g, &site, live, ft->params);
}

static LLVMValueRef value_at(struct gen *g, LLVMValueRef values, uint32_t i)
{
    return gen_at(g, values, (int64_t)i * (int64_t)sizeof(union cell_value));
}

/* Behind the host function: when it asks for its call to be made again, the arguments are saved. Ends the function. */
static void save_or_return(struct gen *g, uint32_t index, LLVMValueRef area, LLVMValueRef result)
{
    const struct functype *ft = module_func_type(g->m, index);
    LLVMValueRef fn = gen_func(g, index), ctx = LLVMGetParam(fn, 0);
    LLVMBasicBlockRef keep = LLVMAppendBasicBlockInContext(g->llvm, fn, "");
    LLVMBasicBlockRef leave = LLVMAppendBasicBlockInContext(g->llvm, fn, "");
    LLVMValueRef at = gen_at(g, ctx, gen_ctx_field(offsetof(struct abi_ctx, unwind)));
    LLVMValueRef unwind = gen_without_base(g, ctx, gen_load(g, g->t.i32, at, ALIAS_BLOCK));
    LLVMValueRef again = LLVMBuildICmp(g->b, LLVMIntEQ, unwind, gen_i32(g, UNWIND_CAPTURE), "");
    LLVMValueRef br = LLVMBuildCondBr(g->b, again, keep, leave);
    LLVMSetMetadata(br, g->md_prof, g->unlikely);
    LLVMPositionBuilderAtEnd(g->b, keep);
    for (uint32_t i = 0; i < ft->param_count; i++)
        LLVMBuildStore(g->b, LLVMGetParam(fn, i + 1), value_at(g, area, i));
    GEN_OP(g, ctx, frame, g->t.void_, site_constant(g, index), gen_i32(g, SITE_AT), area,
           gen_i32(g, sizeof(union cell_value)), LLVMConstNull(g->t.ptr));
    LLVMBuildBr(g->b, leave);
    LLVMPositionBuilderAtEnd(g->b, leave);
    gen_return_call(g, ft, result);
}

/* A type with several results has no host form: such an import only links to another instance, whose function is
 * called directly. */
static bool has_host_form(const struct functype *ft)
{
    return ft->result_count <= 1;
}

static void trampoline(struct gen *g, uint32_t index)
{
    const struct functype *ft = module_func_type(g->m, index);
    LLVMValueRef fn = gen_func(g, index), ctx = LLVMGetParam(fn, 0);
    int32_t off = g->shared->layout->func_off[index];
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    if (g->tail_calls)
        gen_prefix(g, fn, NULL);
    bool keeps = g->shared->opt->image.movable && has_host_form(ft);
    LLVMValueRef room = gen_i32(g, ft->param_count + 1);
    LLVMValueRef area = keeps ? LLVMBuildArrayAlloca(g->b, g->t.v128, room, "") : NULL;
    check_host_stack(g, fn, ctx);
    LLVMValueRef args[MODULE_PARAMS_MAX + 2];
    args[0] = ctx;
    args[1] = gen_load(g, g->t.ptr,
                       gen_at(g, ctx, off + (int64_t)offsetof(struct abi_import, host_env)),
                       ALIAS_BLOCK);
    for (uint32_t i = 0; i < ft->param_count; i++)
        args[i + 2] = LLVMGetParam(fn, i + 1);
    LLVMValueRef host = gen_load(
        g, g->t.ptr, gen_at(g, ctx, off + (int64_t)offsetof(struct abi_import, host_fn)),
        ALIAS_BLOCK);
    LLVMTypeRef type = gen_func_type(g, ft, true);
    LLVMValueRef call = LLVMBuildCall2(g->b, type, host, args, ft->param_count + 2, "");
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_nounwind);
    if (area) {
        save_or_return(g, index, area, call);
        return;
    }
    LLVMSetTailCallKind(call,
                        LLVMTailCallKindTail); /* a jump: the host returns to the guest itself */
    gen_return_call(g, ft, call);
}

/* Entered with the record: makes the call again, of what the import is linked to now. */
static bool twin(struct gen *g, uint32_t index)
{
    const struct functype *ft = module_func_type(g->m, index);
    LLVMTypeRef type = g->func_types[g->m->funcs[index].type];
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "r%" PRIu32, index);
    LLVMValueRef fn = LLVMAddFunction(g->mod, name,
                                      LLVMFunctionType(LLVMGetReturnType(type), &g->t.ptr, 1, 0));
    LLVMValueRef ctx = LLVMGetParam(fn, 0);
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_nonnull);
    gen_add_attr(fn, 1, g->attr_context);
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_cold);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    const struct frame_way way = {site_constant(g, index), SITE_AT};
    LLVMValueRef ways = frame_ways(g, fn, &way, 1), none = LLVMConstNull(g->t.ptr);
    if (!ways)
        return false;
    GEN_OP(g, ctx, enter, g->t.i32, ways, none, gen_i32(g, 0), none);
    LLVMValueRef record = gen_call_op(g, ctx, offsetof(struct abi_ops, record), g->t.ptr, NULL, 0);
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    LLVMValueRef values = gen_at(g, record, (int64_t)sizeof(struct abi_record));
    for (uint32_t i = 0; i < ft->param_count; i++)
        args[i + 1] = gen_load(g, gen_valtype(g, ft->params[i]), value_at(g, values, i),
                               ALIAS_BLOCK);
    LLVMValueRef slot = gen_at(g, ctx, g->shared->layout->func_off[index]);
    LLVMValueRef code = gen_load_invariant(g, g->t.ptr,
                                           gen_at(g, slot, offsetof(struct abi_func, code)));
    args[0] = gen_load_invariant(g, g->t.ptr, gen_at(g, slot, offsetof(struct abi_func, ctx)));
    LLVMValueRef call = LLVMBuildCall2(g->b, type, code, args, ft->param_count + 1, "");
    gen_call_guest(g, call, GEN_C_CC);
    gen_return_call(g, ft, call);
    return true;
}

bool gen_import(struct gen *g, uint32_t index)
{
    trampoline(g, index);
    bool keeps = g->shared->opt->image.movable && has_host_form(module_func_type(g->m, index));
    return !keeps || twin(g, index);
}
