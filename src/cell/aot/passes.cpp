// The one C++ file: LLVM's pass manager with an alias analysis of our choice. See passes.h.
#include "passes.h"

#include <cstring>

#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/IR/Module.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CBindingWrapping.h>
#include <llvm/Target/TargetMachine.h>

using namespace llvm;

static char *copy_error(Error error)
{
    return strdup(toString(std::move(error)).c_str());
}

char *passes_run(LLVMModuleRef mod, LLVMTargetMachineRef tm, const char *pipeline)
{
    PipelineTuningOptions tuning;
    tuning.LoopVectorization = tuning.LoopInterleaving = tuning.LoopUnrolling = tuning.SLPVectorization = true;
    PassBuilder builder(reinterpret_cast<TargetMachine *>(tm), tuning);
    AAManager aliases;
    if (Error e = builder.parseAAPipeline(aliases, "basic-aa,scoped-noalias-aa,tbaa,scev-aa"))
        return copy_error(std::move(e));
    LoopAnalysisManager loops;
    FunctionAnalysisManager functions;
    CGSCCAnalysisManager components;
    ModuleAnalysisManager modules;
    functions.registerPass([&] { return std::move(aliases); });
    builder.registerLoopAnalyses(loops);
    builder.registerFunctionAnalyses(functions);
    builder.registerCGSCCAnalyses(components);
    builder.registerModuleAnalyses(modules);
    builder.crossRegisterProxies(loops, functions, components, modules);
    ModulePassManager manager;
    if (Error e = builder.parsePassPipeline(manager, pipeline))
        return copy_error(std::move(e));
    manager.run(*unwrap(mod), modules);
    return nullptr;
}
