#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gen.h"

static void init_types(struct gen *g)
{
    struct gen_types *t = &g->t;
    t->void_ = LLVMVoidTypeInContext(g->llvm);
    t->i1 = LLVMInt1TypeInContext(g->llvm);
    t->i8 = LLVMInt8TypeInContext(g->llvm);
    t->i16 = LLVMInt16TypeInContext(g->llvm);
    t->i32 = LLVMInt32TypeInContext(g->llvm);
    t->i64 = LLVMInt64TypeInContext(g->llvm);
    t->f32 = LLVMFloatTypeInContext(g->llvm);
    t->f64 = LLVMDoubleTypeInContext(g->llvm);
    t->ptr = LLVMPointerTypeInContext(g->llvm, 0);
    t->i8x16 = LLVMVectorType(t->i8, 16);
    t->i16x8 = LLVMVectorType(t->i16, 8);
    t->i32x4 = LLVMVectorType(t->i32, 4);
    t->i64x2 = LLVMVectorType(t->i64, 2);
    t->f32x4 = LLVMVectorType(t->f32, 4);
    t->f64x2 = LLVMVectorType(t->f64, 2);
    t->v128 = t->i64x2;
}

LLVMTypeRef gen_valtype(const struct gen *g, valtype_t t)
{
    switch ((enum valtype)t) {
    case VT_I32:
        return g->t.i32;
    case VT_I64:
        return g->t.i64;
    case VT_F32:
        return g->t.f32;
    case VT_F64:
        return g->t.f64;
    case VT_V128:
        return g->t.v128;
    case VT_FUNCREF:
    case VT_EXTERNREF:
    case VT_EXNREF:
        break;
    }
    return g->t.ptr;
}

/* The context, the parameters; the first result, the others go through the context's multi array. */
LLVMTypeRef gen_func_type(struct gen *g, const struct functype *ft, bool host)
{
    LLVMTypeRef params[MODULE_PARAMS_MAX + 2];
    unsigned n = 0;
    params[n++] = g->t.ptr;
    if (host)
        params[n++] = g->t.ptr;
    for (uint32_t i = 0; i < ft->param_count; i++)
        params[n++] = gen_valtype(g, ft->params[i]);
    LLVMTypeRef ret = ft->result_count ? gen_valtype(g, ft->results[0]) : g->t.void_;
    return LLVMFunctionType(ret, params, n, 0);
}

static LLVMAttributeRef enum_attr(struct gen *g, const char *name, uint64_t value)
{
    return LLVMCreateEnumAttribute(g->llvm, LLVMGetEnumAttributeKindForName(name, strlen(name)),
                                   value);
}

static void init_attrs(struct gen *g)
{
    g->attr_nounwind = enum_attr(g, "nounwind", 0);
    g->attr_noreturn = enum_attr(g, "noreturn", 0);
    g->attr_cold = enum_attr(g, "cold", 0);
    g->attr_naked = enum_attr(g, "naked", 0);
    g->attr_nomerge = enum_attr(g, "nomerge", 0);
    g->attr_noalias = enum_attr(g, "noalias", 0);
    g->attr_nonnull = enum_attr(g, "nonnull", 0);
    g->attr_context = enum_attr(g, "swiftself", 0);
    /* memory(read, inaccessiblemem: readwrite): two bits a location, argument memory, inaccessible, other. */
    g->attr_reads = enum_attr(g, "memory", 1u | 3u << 2 | 1u << 4);
}

LLVMValueRef gen_md_value(struct gen *g, LLVMMetadataRef *parts, size_t n)
{
    return LLVMMetadataAsValue(g->llvm, LLVMMDNodeInContext2(g->llvm, parts, n));
}

LLVMMetadataRef gen_md_string(struct gen *g, const char *s)
{
    return LLVMMDStringInContext2(g->llvm, s, strlen(s));
}

/* Two kinds of memory that never overlap: guest memory, and instance block with all host structures. */
static void init_metadata(struct gen *g)
{
    g->md_tbaa = LLVMGetMDKindIDInContext(g->llvm, "tbaa", 4);
    g->md_invariant = LLVMGetMDKindIDInContext(g->llvm, "invariant.load", 14);
    g->md_prof = LLVMGetMDKindIDInContext(g->llvm, "prof", 4);
    LLVMMetadataRef zero = LLVMValueAsMetadata(gen_i64(g, 0));
    LLVMMetadataRef root_parts[] = {gen_md_string(g, "cell")};
    LLVMMetadataRef root = LLVMMDNodeInContext2(g->llvm, root_parts, 1);
    static const char *const names[ALIAS_COUNT] = {"memory", "block"};
    for (int i = 0; i < ALIAS_COUNT; i++) {
        LLVMMetadataRef type_parts[] = {gen_md_string(g, names[i]), root, zero};
        LLVMMetadataRef type = LLVMMDNodeInContext2(g->llvm, type_parts, 3);
        LLVMMetadataRef tag[] = {type, type, zero};
        g->alias[i] = gen_md_value(g, tag, 3);
    }
    LLVMMetadataRef weights[] = {gen_md_string(g, "branch_weights"),
                                 LLVMValueAsMetadata(gen_i32(g, 1)),
                                 LLVMValueAsMetadata(gen_i32(g, 100000))};
    g->unlikely = gen_md_value(g, weights, 3);
    g->empty_node = gen_md_value(g, NULL, 0);
}

static void add_flag(struct gen *g, LLVMModuleFlagBehavior behavior, const char *key, uint32_t v)
{
    LLVMAddModuleFlag(g->mod, behavior, key, strlen(key), LLVMValueAsMetadata(gen_i32(g, v)));
}

/* Debug information is how the place of an instruction in the wasm file reaches the line table. */
static void init_debug(struct gen *g)
{
    add_flag(g, LLVMModuleFlagBehaviorWarning, "Debug Info Version", LLVMDebugMetadataVersion());
    add_flag(g, LLVMModuleFlagBehaviorWarning, "Dwarf Version", 5);
    add_flag(g, LLVMModuleFlagBehaviorOverride, "PIC Level", 2);
    g->di = LLVMCreateDIBuilder(g->mod);
    g->di_file = LLVMDIBuilderCreateFile(g->di, "wasm", 4, "", 0);
    LLVMDIBuilderCreateCompileUnit(g->di, LLVMDWARFSourceLanguageC, g->di_file, "aot", 3, 1, "", 0,
                                   0, "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "", 0, "",
                                   0);
    g->di_func_type = LLVMDIBuilderCreateSubroutineType(g->di, g->di_file, NULL, 0, LLVMDIFlagZero);
}

status_t gen_init(struct gen *g, const struct gen_shared *shared, const char *name,
                  struct error *err)
{
    *g = (struct gen){.shared = shared, .m = shared->m, .tail_calls = shared->analysis->tail_calls};
    g->llvm = LLVMContextCreate();
    LLVMContextSetDiscardValueNames(g->llvm, !shared->opt->keep_ir);
    g->mod = LLVMModuleCreateWithNameInContext(name, g->llvm);
    g->b = LLVMCreateBuilderInContext(g->llvm);
    init_types(g);
    init_attrs(g);
    init_metadata(g);
    init_debug(g);
    g->funcs = calloc(g->m->func_count + 1, sizeof *g->funcs);
    g->func_types = calloc(g->m->type_count + 1, sizeof(LLVMTypeRef));
    if (!g->funcs || !g->func_types)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for code generation");
    for (uint32_t i = 0; i < g->m->type_count; i++)
        g->func_types[i] = gen_func_type(g, &g->m->types[i], false);
    return ST_OK;
}

void gen_done(struct gen *g)
{
    if (g->di)
        LLVMDisposeDIBuilder(g->di);
    if (g->b)
        LLVMDisposeBuilder(g->b);
    if (g->mod)
        LLVMDisposeModule(g->mod);
    if (g->llvm)
        LLVMContextDispose(g->llvm);
    free(g->funcs);
    free(g->func_types);
    *g = (struct gen){0};
}

void gen_func_name(uint32_t index, char ret_name[GEN_FUNC_NAME_BYTES])
{
    snprintf(ret_name, GEN_FUNC_NAME_BYTES, "f%" PRIu32, index);
}

static void string_attr(struct gen *g, LLVMValueRef fn, const char *key, const char *value)
{
    gen_add_attr(fn, GEN_AT_FUNCTION,
                 LLVMCreateStringAttribute(g->llvm, key, (unsigned)strlen(key), value,
                                           (unsigned)strlen(value)));
}

/* Big frames touch every page on their way down, so that overflow meets the guard page. */
void gen_attrs_common(struct gen *g, LLVMValueRef fn)
{
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_nounwind);
    gen_add_attr(fn, GEN_AT_FUNCTION, enum_attr(g, "uwtable", 2));
    string_attr(g, fn, "probe-stack", "inline-asm");
    string_attr(g, fn, "frame-pointer", "none");
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
}

unsigned gen_own_conv(const struct gen *g)
{
    return g->tail_calls ? GEN_TAIL_CC : GEN_C_CC;
}

unsigned gen_call_conv(const struct gen *g, uint32_t index)
{
    return g->m->funcs[index].imported ? GEN_C_CC : gen_own_conv(g);
}

void gen_call_guest(struct gen *g, LLVMValueRef call, unsigned conv)
{
    LLVMSetInstructionCallConv(call, conv);
    LLVMAddCallSiteAttribute(call, 1, g->attr_context);
}

LLVMValueRef gen_func(struct gen *g, uint32_t index)
{
    if (!g->funcs[index]) {
        char name[GEN_FUNC_NAME_BYTES];
        gen_func_name(index, name);
        LLVMValueRef fn = LLVMAddFunction(g->mod, name, g->func_types[g->m->funcs[index].type]);
        LLVMSetFunctionCallConv(fn, gen_call_conv(g, index));
        gen_attrs_common(g, fn);
        gen_add_attr(fn, 1, g->attr_nonnull);
        gen_add_attr(fn, 1, g->attr_context);
        g->funcs[index] = fn;
    }
    return g->funcs[index];
}

void gen_return_call(struct gen *g, const struct functype *ft, LLVMValueRef call)
{
    if (ft->result_count)
        LLVMBuildRet(g->b, call);
    else
        LLVMBuildRetVoid(g->b);
}

/* Before a wrapper: the way to the function itself, for indirect tail calls; 0 before import trampolines. */
void gen_prefix(struct gen *g, LLVMValueRef wrapper, LLVMValueRef fn)
{
    LLVMValueRef delta = gen_i64(g, 0);
    if (fn)
        delta = LLVMConstSub(LLVMConstPtrToInt(fn, g->t.i64), LLVMConstPtrToInt(wrapper, g->t.i64));
    LLVMSetPrefixData(wrapper, delta);
}

/* In a module with tail calls, what others can call is a wrapper in the C convention. */
void gen_wrapper(struct gen *g, uint32_t index)
{
    const struct functype *ft = module_func_type(g->m, index);
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "w%" PRIu32, index);
    LLVMTypeRef type = g->func_types[g->m->funcs[index].type];
    LLVMValueRef fn = LLVMAddFunction(g->mod, name, type), callee = gen_func(g, index);
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_context);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    LLVMGetParams(fn, args);
    LLVMValueRef call = LLVMBuildCall2(g->b, type, callee, args, ft->param_count + 1, "");
    gen_call_guest(g, call, GEN_TAIL_CC);
    gen_return_call(g, ft, call);
    gen_prefix(g, fn, callee);
}

static LLVMValueRef io_slot(struct gen *g, LLVMValueRef io, uint32_t i)
{
    return gen_at(g, io, (int64_t)i * (int64_t)sizeof(union cell_value));
}

static void store_results(struct gen *g, const struct functype *ft, LLVMValueRef ctx,
                          LLVMValueRef io, LLVMValueRef first)
{
    if (!ft->result_count)
        return;
    LLVMBuildStore(g->b, first, io);
    if (ft->result_count == 1)
        return;
    LLVMValueRef at = gen_at(g, ctx, gen_ctx_field(offsetof(struct abi_ctx, multi)));
    LLVMValueRef multi = LLVMBuildLoad2(g->b, g->t.ptr, at, "");
    for (uint32_t i = 1; i < ft->result_count; i++) {
        LLVMTypeRef t = gen_valtype(g, ft->results[i]);
        LLVMBuildStore(g->b, LLVMBuildLoad2(g->b, t, io_slot(g, multi, i - 1), ""),
                       io_slot(g, io, i));
    }
}

/* void entry(B, code, io): how the host enters a function of this type. */
static void entry_trampoline(struct gen *g, uint32_t type)
{
    const struct functype *ft = &g->m->types[type];
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "e%" PRIu32, type);
    LLVMTypeRef params[3] = {g->t.ptr, g->t.ptr, g->t.ptr};
    LLVMValueRef fn = LLVMAddFunction(g->mod, name, LLVMFunctionType(g->t.void_, params, 3, 0));
    gen_attrs_common(g, fn);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    LLVMValueRef ctx = LLVMGetParam(fn, 0), code = LLVMGetParam(fn, 1), io = LLVMGetParam(fn, 2);
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    args[0] = ctx;
    for (uint32_t i = 0; i < ft->param_count; i++)
        args[i + 1] = LLVMBuildLoad2(g->b, gen_valtype(g, ft->params[i]), io_slot(g, io, i), "");
    LLVMValueRef call = LLVMBuildCall2(g->b, g->func_types[type], code, args, ft->param_count + 1,
                                       "");
    gen_call_guest(g, call, GEN_C_CC);
    store_results(g, ft, ctx, io, call);
    LLVMBuildRetVoid(g->b);
}

/* One in the image, called by cold code that does not want to lose registers to it. */
LLVMValueRef gen_poll_stub(struct gen *g)
{
    LLVMValueRef fn = LLVMGetNamedFunction(g->mod, "poll");
    if (fn)
        return fn;
    fn = LLVMAddFunction(g->mod, "poll", LLVMFunctionType(g->t.void_, &g->t.ptr, 1, 0));
    LLVMSetFunctionCallConv(fn, GEN_KEEP_CC);
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_context);
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_cold);
    return fn;
}

static void define_poll_stub(struct gen *g)
{
    LLVMValueRef fn = gen_poll_stub(g);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    gen_call_op(g, LLVMGetParam(fn, 0), offsetof(struct abi_ops, poll), g->t.i32, NULL, 0);
    LLVMBuildRetVoid(g->b);
}

/* Its own code changes no register that LLVM takes for kept; the host's side saves them all. The vector registers with
 * numbers from 16 on, which only v4 has, are not among them: values that stand there are put on the stack before the
 * call. */
LLVMValueRef gen_capture_stub(struct gen *g)
{
    LLVMValueRef fn = LLVMGetNamedFunction(g->mod, "capture");
    if (fn)
        return fn;
    fn = LLVMAddFunction(g->mod, "capture", LLVMFunctionType(g->t.void_, &g->t.ptr, 1, 0));
    LLVMSetFunctionCallConv(fn, GEN_KEEP_CC);
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_context);
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_cold);
    return fn;
}

static void define_capture_stub(struct gen *g)
{
    bool arm = image_level_arch(g->shared->opt->image.level) == ARCH_AARCH64;
    LLVMValueRef fn = gen_capture_stub(g);
    char text[128];
    int len = snprintf(text, sizeof text,
                       arm ? "ldur x16, [x20, #%d]\nldr x16, [x16, #%zu]\nbr x16"
                           : "movq %d(%%r13), %%r11\njmpq *%zu(%%r11)",
                       (int)gen_ctx_field(offsetof(struct abi_ctx, ops)),
                       offsetof(struct abi_ops, capture));
    LLVMTypeRef type = LLVMFunctionType(g->t.void_, NULL, 0, 0);
    LLVMValueRef code = LLVMGetInlineAsm(type, text, (size_t)len, "", 0, 1, 0,
                                         LLVMInlineAsmDialectATT, 0);
    gen_add_attr(fn, GEN_AT_FUNCTION, g->attr_naked);
    LLVMPositionBuilderAtEnd(g->b, LLVMAppendBasicBlockInContext(g->llvm, fn, ""));
    LLVMBuildCall2(g->b, type, code, NULL, 0, "");
    LLVMBuildUnreachable(g->b);
}

status_t gen_trampolines(struct gen *g, struct error *err)
{
    for (uint32_t i = 0; i < g->m->type_count; i++)
        entry_trampoline(g, i);
    for (uint32_t i = 0; i < g->m->func_import_count; i++)
        if (!gen_import(g, i))
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a trampoline");
    define_poll_stub(g);
    if (g->shared->opt->image.movable)
        define_capture_stub(g);
    return gen_compact_define(g, err);
}
