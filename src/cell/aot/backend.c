#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/BitReader.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>

#include "gen.h"
#include "keep_loads.h"
#include "passes.h"
#include "quiet.h"

extern const char aot_routines_x86_64[], aot_routines_x86_64_end[];
extern const char aot_routines_aarch64[], aot_routines_aarch64_end[];

struct backend {
    const struct aot_options *opt;
    LLVMTargetMachineRef tm;
    LLVMTargetDataRef layout;
    char *layout_text;
    const char *triple;
};

struct level_target {
    uint32_t level;
    const char *triple, *cpu, *features;
};

/* The CPU names are the levels themselves: an image never depends on the machine that made it.
 * Vectors of 512 bits are for v4 only where LLVM's own rules prefer them. */
static const struct level_target targets[] = {
    {LEVEL_X86_64_V2, "x86_64-unknown-linux-gnu", "x86-64-v2", ""},
    {LEVEL_X86_64_V3, "x86_64-unknown-linux-gnu", "x86-64-v3", ""},
    {LEVEL_X86_64_V4, "x86_64-unknown-linux-gnu", "x86-64-v4",
     "+prefer-no-gather,+prefer-no-scatter"},
    {LEVEL_AARCH64, "aarch64-unknown-linux-gnu", "generic", "+neon,-outline-atomics"},
};

/* A cmov that reads memory would become a branch around the load, and on aarch64 a select: then it no longer traps.
 * Nor does the last byte of what is read, changed and written when only some of its bytes are. Values that a capture
 * reads stay where they are. Small loops that share a line of decoded instructions with what is before them run up to
 * a fifth slower. What serves a request stands behind the loops that it serves. LLVM's own strength reduction is
 * replaced by "reduce-loops". */
static void init_options(void)
{
    const char *const options[] = {"cloudskin-aot",
                                   "-x86-cmov-converter-force-mem-operand=0",
                                   "-aarch64-select-opt=0",
                                   "-combiner-reduce-load-op-store-width=0",
                                   "-combiner-shrink-load-replace-store-with-store=0",
                                   "-use-registers-for-deopt-values",
                                   "-x86-experimental-pref-innermost-loop-alignment=5",
                                   "-force-loop-cold-block",
                                   "-disable-lsr",
                                   ("-pre-RA-sched=" PASSES_SCHEDULER)};
    LLVMParseCommandLineOptions(sizeof options / sizeof *options, options, "");
}

static void init_targets(void)
{
    passes_init();
    init_options();
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
}

static LLVMCodeGenOptLevel code_level(uint32_t opt_level)
{
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                 LLVMCodeGenLevelDefault,
                                                 LLVMCodeGenLevelAggressive};
    return levels[opt_level > 3 ? 3 : opt_level];
}

status_t backend_new(const struct aot_options *opt, struct backend **ret_be, struct error *err)
{
    const struct level_target *lt = NULL;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (targets[i].level == opt->image.level)
            lt = &targets[i];
    if (!lt)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "unknown CPU level %u",
                         opt->image.level);
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* LLVM's own list of targets is a global */
    pthread_once(&once, init_targets);
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(lt->triple, &target, &message)) {
        status_t st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return st;
    }
    struct backend *be = calloc(1, sizeof *be);
    if (!be)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the back end");
    be->opt = opt;
    be->triple = lt->triple;
    be->tm = LLVMCreateTargetMachine(target, lt->triple, lt->cpu, lt->features,
                                     code_level(opt->image.opt_level), LLVMRelocPIC,
                                     LLVMCodeModelSmall);
    be->layout = LLVMCreateTargetDataLayout(be->tm);
    be->layout_text = LLVMCopyStringRepOfTargetData(be->layout);
    *ret_be = be;
    return ST_OK;
}

void backend_free(struct backend *be)
{
    if (!be)
        return;
    LLVMDisposeMessage(be->layout_text);
    LLVMDisposeTargetData(be->layout);
    LLVMDisposeTargetMachine(be->tm);
    free(be);
}

void backend_target(struct backend *be, LLVMModuleRef mod)
{
    LLVMSetTarget(mod, be->triple);
    LLVMSetDataLayout(mod, be->layout_text);
}

/* wasm comes from an optimising compiler: it needs no inlining, and little simplification. What pays is SSA form,
 * redundancy across the address arithmetic, and loops. Against LLVM's own order, loops are unrolled only after they
 * were vectorised, but for short ones: unrolled code with 32-bit address arithmetic is beyond the SLP vectoriser. */
#define CLEAN "instcombine<no-verify-fixpoint>,simplifycfg"
/* Once loads are released no header is copied: with the values of the first iteration a load may have no use. */
#define ROTATE "loop-rotate<no-header-duplication>"
struct pipeline {
    const char *first; /* while loads are pinned, see keep_loads.h */
    const char *then;
    bool has_loop_passes; /* see demand.h */
};
static const struct pipeline pipelines[4] = {
    {"function(mem2reg,instsimplify)", "", false},
    {"function(sroa,early-cse,proven-loads,early-cse,simplifycfg," CLEAN ")", "function(early-cse)",
     false},
    {"function(sroa,early-cse,proven-loads,gvn,sccp," CLEAN ",loop(loop-rotate),early-cse," CLEAN
     ",proven-loads)",
     "function(early-cse<memssa>,loop-mssa(" ROTATE ",licm),gvn," CLEAN
     ",dse,adce,simplifycfg,loop(reduce-loops),early-exits)",
     true},
    {"function(sroa,early-cse,proven-loads,gvn,sccp,simplifycfg," CLEAN
     ",poll-runs,simplifycfg,loop(loop-rotate),early-cse," CLEAN
     ",loop(loop-unroll-full),sroa,early-cse," CLEAN ",jump-threading,correlated-propagation," CLEAN
     ",proven-loads)",
     "function(early-cse<memssa>,"
     "loop-mssa(loop-instsimplify,loop-simplifycfg,licm," ROTATE ",licm,simple-loop-unswitch<no-"
     "nontrivial;trivial>),"
     "simplifycfg," CLEAN ",loop-simplify,carried-addresses,wide-addresses,early-cse,"
     "loop(loop-idiom,indvars,loop-deletion),first-rounds,sroa,gvn,sccp,bdce," CLEAN
     ",jump-threading,correlated-propagation,adce,dse,loop-mssa(licm),simplifycfg," CLEAN ","
     "float2int,loop(" ROTATE ",loop-deletion),loop-distribute,mixed-sizes,loop-vectorize,infer-"
     "alignment,"
     "loop-load-elim," CLEAN ",slp-vectorizer,vector-combine," CLEAN
     ",loop-unroll<O3;no-peeling;no-upperbound>,sroa,infer-alignment," CLEAN
     ",loop-mssa(licm),rare-polls,simplifycfg,loop-sink,instsimplify,div-rem-pairs,simplifycfg,"
     "loop(reduce-loops),early-exits)",
     true},
};

/* May addresses be computed in 64 bits? */
static bool all_memories_capped(const struct module *m)
{
    for (uint32_t i = 0; i < m->mem_count; i++)
        if (m->mems[i].limits.min > WASM_PAGES_CAP)
            return false;
    return true;
}

static status_t run_pipeline(struct backend *be, struct gen *g, const char *pipeline,
                             struct error *err)
{
    bool wide = all_memories_capped(g->m);
    char *message = *pipeline ? passes_run(g->mod, be->tm, pipeline, wide) : NULL;
    if (!message)
        return ST_OK;
    status_t st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "LLVM passes: %s", message);
    free(message);
    return st;
}

/* Polls are atomic loads while LLVM's passes could move a plain one out of a loop. Selection moves nothing, but
 * compares with memory only what is not atomic: a register and an instruction for each poll. */
static void fold_polls(struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
            for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
                if (LLVMIsALoadInst(i) && LLVMGetOrdering(i) == LLVMAtomicOrderingMonotonic &&
                    LLVMGetMetadata(i, g->md_tbaa) == g->alias[ALIAS_BLOCK]) {
                    LLVMSetOrdering(i, LLVMAtomicOrderingNotAtomic);
                    LLVMSetVolatile(i, 1);
                }
}

static void keep_variables(LLVMValueRef fn)
{
    LLVMBasicBlockRef entry = LLVMGetFirstBasicBlock(fn);
    for (LLVMValueRef i = LLVMGetFirstInstruction(entry); i; i = LLVMGetNextInstruction(i))
        for (LLVMUseRef u = LLVMIsAAllocaInst(i) ? LLVMGetFirstUse(i) : NULL; u;
             u = LLVMGetNextUse(u)) {
            LLVMValueRef user = LLVMGetUser(u);
            if (LLVMIsALoadInst(user) || LLVMIsAStoreInst(user))
                LLVMSetVolatile(user, 1);
        }
}

/* At -O0 each phi has room of its own in the frame, and in a twin, which is entered at many places, every variable
 * would have a phi at each of them: such frames would be a hundred times as large as those they take the place of. */
static void keep_twins_variables(struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn)) {
        size_t len;
        const char *name = LLVMGetValueName2(fn, &len);
        if (len > 1 && name[0] == 'r' && name[1] >= '0' && name[1] <= '9' && !LLVMIsDeclaration(fn))
            keep_variables(fn);
    }
}

static status_t run_passes(struct backend *be, struct gen *g, struct error *err)
{
    static const struct pipeline lean = {"function(simplifycfg,instsimplify)", "", false};
    const struct pipeline *p =
        g->lean ? &lean : &pipelines[be->opt->image.opt_level > 3 ? 3 : be->opt->image.opt_level];
    status_t st = ST_OK;
    if (be->opt->image.opt_level == 0)
        keep_twins_variables(g);
    keep_loads_pin(g);
    if (be->opt->image.nan != NAN_CANONICAL && quiet_is_needed(g)) {
        st = run_pipeline(be, g, "function(mem2reg)", err);
        quiet_arithmetic(g);
    }
    if (st == ST_OK)
        st = run_pipeline(be, g, p->first, err);
    if (st == ST_OK)
        st = keep_loads_release(g, p->has_loop_passes, err);
    if (st == ST_OK)
        st = run_pipeline(be, g, p->then, err);
    keep_loads_finish(g);
    fold_polls(g);
    return st;
}

static status_t emit(struct backend *be, LLVMModuleRef mod, struct buf *out, struct error *err)
{
    LLVMMemoryBufferRef mem = NULL;
    char *message = passes_emit(mod, be->tm, be->opt->image.opt_level == 1, &mem);
    if (message) {
        status_t st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "LLVM code generation: %s",
                                message);
        free(message);
        return st;
    }
    buf_bytes(out, LLVMGetBufferStart(mem), LLVMGetBufferSize(mem));
    LLVMDisposeMemoryBuffer(mem);
    return out->failed ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an object")
                       : ST_OK;
}

static status_t verify(struct backend *be, LLVMModuleRef mod, struct error *err)
{
    char *message = NULL;
    status_t st = ST_OK;
    if (!be->opt->verify_ir)
        return ST_OK;
    if (LLVMVerifyModule(mod, LLVMReturnStatusAction, &message))
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "generated code is broken: %s",
                       message);
    LLVMDisposeMessage(message);
    return st;
}

static void keep_ir(struct backend *be, LLVMModuleRef mod, const char *part, const char *stage)
{
    char path[4096], *message = NULL;
    if (!be->opt->keep_ir)
        return;
    snprintf(path, sizeof path, "%s/%s.%s.ll", be->opt->keep_ir, part, stage);
    if (LLVMPrintModuleToFile(mod, path, &message))
        LLVMDisposeMessage(message);
}

status_t backend_emit(struct backend *be, struct gen *g, const char *part, struct buf *out,
                      struct error *err)
{
    LLVMDIBuilderFinalize(g->di);
    keep_ir(be, g->mod, part, "raw");
    status_t st = verify(be, g->mod, err);
    if (st == ST_OK)
        st = run_passes(be, g, err);
    if (st != ST_OK)
        return st;
    keep_ir(be, g->mod, part, "opt");
    return emit(be, g->mod, out, err);
}

/* Attributes of the machine that bitcode was made for do not hold for the image's CPU. */
static void retarget(LLVMModuleRef mod)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(mod); fn; fn = LLVMGetNextFunction(fn)) {
        if (LLVMIsDeclaration(fn))
            continue;
        LLVMRemoveStringAttributeAtIndex(fn, GEN_AT_FUNCTION, "target-cpu", 10);
        LLVMRemoveStringAttributeAtIndex(fn, GEN_AT_FUNCTION, "target-features", 15);
        LLVMRemoveStringAttributeAtIndex(fn, GEN_AT_FUNCTION, "tune-cpu", 8);
        LLVMRemoveStringAttributeAtIndex(fn, GEN_AT_FUNCTION, "frame-pointer", 13);
        LLVMSetVisibility(fn, LLVMHiddenVisibility);
    }
}

status_t backend_emit_routines(struct backend *be, struct buf *out, struct error *err)
{
    bool arm = image_level_arch(be->opt->image.level) == ARCH_AARCH64;
    const char *start = arm ? aot_routines_aarch64 : aot_routines_x86_64;
    const char *end = arm ? aot_routines_aarch64_end : aot_routines_x86_64_end;
    LLVMContextRef llvm = LLVMContextCreate();
    LLVMMemoryBufferRef mem = LLVMCreateMemoryBufferWithMemoryRangeCopy(
        start, (size_t)(end - start), "routines");
    LLVMModuleRef mod = NULL;
    status_t st;
    if (LLVMParseBitcodeInContext2(llvm, mem, &mod)) {
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                       "LLVM cannot read the library routines");
    } else {
        retarget(mod);
        backend_target(be, mod);
        st = emit(be, mod, out, err);
        LLVMDisposeModule(mod);
    }
    LLVMDisposeMemoryBuffer(mem);
    LLVMContextDispose(llvm);
    return st;
}
