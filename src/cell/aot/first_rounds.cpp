// See first_rounds.h.
#include "first_rounds.h"
#include "proven.h"

#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>
#include <llvm/Transforms/Utils/LoopPeel.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>

using namespace llvm;

static const unsigned LOOP_MAX = 160; // instructions; the code of a longer loop is not doubled

static bool changes_memory(const Instruction &i)
{
    if (const auto *call = dyn_cast<CallBase>(&i))
        return isModSet(
            call->getMemoryEffects().getWithoutLoc(IRMemLocation::InaccessibleMem).getModRef());
    return i.mayWriteToMemory() && !isa<LoadInst>(i);
}

static bool is_worth_it(const Loop &loop)
{
    unsigned size = 0;
    bool calls = false, loads = false;
    for (const BasicBlock *bb : loop.blocks())
        for (const Instruction &i : *bb) {
            if (changes_memory(i) || ++size > LOOP_MAX)
                return false;
            if (const auto *call = dyn_cast<CallInst>(&i))
                calls |= call->isIndirectCall();
            if (const auto *load = dyn_cast<LoadInst>(&i))
                loads |= load->isSimple() && is_guest_access(i) &&
                         loop.isLoopInvariant(load->getPointerOperand());
        }
    return calls && loads;
}

PreservedAnalyses FirstRounds::run(Function &fn, FunctionAnalysisManager &analyses)
{
    LoopInfo &loops = analyses.getResult<LoopAnalysis>(fn);
    std::vector<Loop *> chosen;
    for (Loop *loop : loops.getLoopsInPreorder())
        if (loop->isInnermost() && is_worth_it(*loop))
            chosen.push_back(loop);
    if (chosen.empty())
        return PreservedAnalyses::all();
    DominatorTree &dom = analyses.getResult<DominatorTreeAnalysis>(fn);
    AssumptionCache &assumptions = analyses.getResult<AssumptionAnalysis>(fn);
    ScalarEvolution &scev = analyses.getResult<ScalarEvolutionAnalysis>(fn);
    for (Loop *loop : chosen) {
        simplifyLoop(loop, &dom, &loops, &scev, &assumptions, nullptr, false);
        formLCSSARecursively(*loop, dom, &loops, &scev);
        ValueToValueMapTy copies;
        if (canPeel(loop))
            peelLoop(loop, 1, &loops, &scev, dom, &assumptions, true, copies);
    }
    return PreservedAnalyses::none();
}
