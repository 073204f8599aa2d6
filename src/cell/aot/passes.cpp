// LLVM's passes and code generation by our choice. See passes.h.
#include "passes.h"
#include "carried.h"
#include "early_exits.h"
#include "first_rounds.h"
#include "mixed_sizes.h"
#include "pinned_loads.h"
#include "poll_runs.h"
#include "proven.h"
#include "rare_polls.h"
#include "wide.h"

#include <cstring>

#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/CodeGen/FunctionLoweringInfo.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/SchedulerRegistry.h>
#include <llvm/CodeGen/SelectionDAGISel.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CBindingWrapping.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/LoopStrengthReduce.h>

using namespace llvm;

// Strength reduction for loops that call nothing: elsewhere the values that it adds would be kept across calls.
struct ReduceLoops : PassInfoMixin<ReduceLoops> {
    PreservedAnalyses run(Loop &loop, LoopAnalysisManager &am, LoopStandardAnalysisResults &results,
                          LPMUpdater &updater)
    {
        for (const BasicBlock *bb : loop.blocks())
            for (const Instruction &i : *bb) {
                const auto *call = dyn_cast<CallBase>(&i);
                if (call && !call->isInlineAsm() && !isa<IntrinsicInst>(call) &&
                    !call->hasFnAttr(Attribute::Cold))
                    return PreservedAnalyses::all();
            }
        return LoopStrengthReducePass().run(loop, am, results, updater);
    }
};

static char *copy_error(Error error)
{
    return strdup(toString(std::move(error)).c_str());
}

char *passes_run(LLVMModuleRef mod, LLVMTargetMachineRef tm, const char *pipeline,
                 bool wide_addresses)
{
    PipelineTuningOptions tuning;
    tuning.LoopVectorization = tuning.LoopInterleaving = tuning.LoopUnrolling =
        tuning.SLPVectorization = true;
    PassBuilder builder(reinterpret_cast<TargetMachine *>(tm), tuning);
    builder.registerPipelineParsingCallback(
        [=](StringRef name, FunctionPassManager &into, ArrayRef<PassBuilder::PipelineElement>) {
            if (name == "carried-addresses")
                into.addPass(CarriedAddresses());
            if (name == "wide-addresses" && wide_addresses)
                into.addPass(WideAddresses());
            if (name == "proven-loads")
                into.addPass(ProvenLoads());
            if (name == "rare-polls")
                into.addPass(RarePolls());
            if (name == "early-exits")
                into.addPass(EarlyExits());
            if (name == "mixed-sizes")
                into.addPass(MixedSizes());
            if (name == "poll-runs")
                into.addPass(PollRuns());
            if (name == "first-rounds")
                into.addPass(FirstRounds());
            return name == "wide-addresses" || name == "proven-loads" || name == "rare-polls" ||
                   name == "mixed-sizes" || name == "carried-addresses" || name == "early-exits" ||
                   name == "poll-runs" || name == "first-rounds";
        });
    builder.registerPipelineParsingCallback(
        [](StringRef name, LoopPassManager &into, ArrayRef<PassBuilder::PipelineElement>) {
            if (name == "reduce-loops")
                into.addPass(ReduceLoops());
            return name == "reduce-loops";
        });
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

// Instructions of a block are selected in the order of the source, which is LLVM's choice for x86 and leaves the order
// to a later pass; that one does not see across long chains. At the highest level they are ordered by latency and
// registers instead, but for blocks that save a frame: their calls take more values than there are registers.
static ScheduleDAGSDNodes *choose_scheduler(SelectionDAGISel *selection, CodeGenOptLevel level)
{
    const BasicBlock *bb = selection->FuncInfo->MBB->getBasicBlock();
    bool saves = bb && any_of(*bb, [](const Instruction &i) {
                     const auto *call = dyn_cast<CallBase>(&i);
                     return call && call->hasOperandBundles();
                 });
    bool is_x86 = selection->MF->getTarget().getTargetTriple().isX86();
    if (level != CodeGenOptLevel::Aggressive || saves || !is_x86)
        return createDefaultScheduler(selection, level);
    return createHybridListDAGScheduler(selection, level);
}

void passes_init(void)
{
    static RegisterScheduler scheduler(PASSES_SCHEDULER, "latency and registers", choose_scheduler);
}

// What a quick level leaves out between selection and emission: each costs more time than it brings speed there.
static void leave_out(TargetPassConfig *config)
{
    const void *const passes[] = {
        &EarlyTailDuplicateID,   &OptimizePHIsID,     &StackColoringID,
        &EarlyIfConverterID,     &EarlyMachineLICMID, &MachineLICMID,
        &MachineCSEID,           &MachineSinkingID,   &PeepholeOptimizerID,
        &LiveRangeShrinkID,      &MachineSchedulerID, &StackSlotColoringID,
        &PostRAMachineSinkingID, &ShrinkWrapID,       &MachineLateInstrsCleanupID,
        &BranchFolderPassID,     &TailDuplicateID,    &MachineCopyPropagationID,
        &PostRASchedulerID,
    };
    for (const void *pass : passes)
        config->disablePass(pass);
}

// As LLVM's addPassesToEmitFile, with the choices of passes.h.
char *passes_emit(LLVMModuleRef mod, LLVMTargetMachineRef tm, bool quick,
                  LLVMMemoryBufferRef *ret_object)
{
    auto *machine = static_cast<LLVMTargetMachine *>(reinterpret_cast<TargetMachine *>(tm));
    CodeGenOptLevel level = machine->getOptLevel();
    legacy::PassManager manager;
    auto *info = new MachineModuleInfoWrapperPass(machine);
    TargetPassConfig *config = machine->createPassConfig(manager);
    config->setDisableVerify(true);
    config->disablePass(&LiveDebugValuesID);
    if (quick)
        leave_out(config);
    else if (level != CodeGenOptLevel::None) {
        pinned_loads_add(*config);
        early_exits_add(*config);
    }
    manager.add(config);
    manager.add(info);
    if (quick)
        machine->setOptLevel(CodeGenOptLevel::None);
    bool refused = config->addISelPasses();
    machine->setOptLevel(level);
    if (refused)
        return strdup("no instruction selection for this machine");
    config->addMachinePasses();
    config->setInitialized();
    SmallVector<char, 0> bytes;
    raw_svector_ostream out(bytes);
    if (machine->addAsmPrinter(manager, out, nullptr, CodeGenFileType::ObjectFile,
                               info->getMMI().getContext()))
        return strdup("no object files for this machine");
    manager.add(createFreeMachineFunctionPass());
    manager.run(*unwrap(mod));
    *ret_object = wrap(new SmallVectorMemoryBuffer(std::move(bytes), "object", false));
    return nullptr;
}
