// See first_rounds.h.
#include "first_rounds.h"
#include "proven.h"

#include <vector>

#include <llvm/ADT/SmallPtrSet.h>
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
static const unsigned LOOPS_MAX = 16; // in a function

static bool changes_memory(const Instruction &i)
{
    if (const auto *call = dyn_cast<CallBase>(&i))
        return isModSet(
            call->getMemoryEffects().getWithoutLoc(IRMemLocation::InaccessibleMem).getModRef());
    return i.mayWriteToMemory() && !isa<LoadInst>(i);
}

static bool is_short_and_reads(const Loop &loop)
{
    unsigned size = 0;
    for (const BasicBlock *bb : loop.blocks())
        for (const Instruction &i : *bb)
            if (changes_memory(i) || ++size > LOOP_MAX)
                return false;
    return true;
}

// Is it the same in each iteration? Adds the loads that it is made of.
static bool stays(const Loop &loop, Value *v, unsigned depth, std::vector<LoadInst *> &loads)
{
    static const unsigned DEPTH_MAX = 16;
    auto *i = dyn_cast<Instruction>(v);
    if (!i || !loop.contains(i))
        return true;
    auto *load = dyn_cast<LoadInst>(i);
    if (depth > DEPTH_MAX || isa<PHINode>(i) || isa<CallBase>(i) || (load && !load->isSimple()))
        return false;
    if (load && is_guest_access(*load))
        loads.push_back(load);
    return all_of(i->operands(), [&](Value *of) { return stays(loop, of, depth + 1, loads); });
}

// The loads that lead to functions that are called in each iteration.
static SmallPtrSet<LoadInst *, 8> leading_to_calls(const Loop &loop)
{
    SmallPtrSet<LoadInst *, 8> found;
    for (BasicBlock *bb : loop.blocks())
        for (Instruction &i : *bb) {
            auto *call = dyn_cast<CallInst>(&i);
            std::vector<LoadInst *> loads;
            if (call && call->isIndirectCall() && stays(loop, call->getCalledOperand(), 0, loads))
                found.insert(loads.begin(), loads.end());
        }
    return found;
}

// In the first iteration, and with what it loaded, values are known that were not when loads were released: others may
// have no use any more, and trap all the same.
static void pin_others(const Loop &loop, const SmallPtrSet<LoadInst *, 8> &but)
{
    for (BasicBlock *bb : loop.blocks())
        for (Instruction &i : *bb) {
            auto *load = dyn_cast<LoadInst>(&i);
            if (load && load->isSimple() && is_guest_access(*load) && !but.count(load))
                load->setVolatile(true);
        }
}

PreservedAnalyses FirstRounds::run(Function &fn, FunctionAnalysisManager &analyses)
{
    LoopInfo &loops = analyses.getResult<LoopAnalysis>(fn);
    std::vector<Loop *> chosen;
    for (Loop *loop : loops.getLoopsInPreorder()) {
        if (chosen.size() == LOOPS_MAX || !loop->isInnermost() || !is_short_and_reads(*loop))
            continue;
        SmallPtrSet<LoadInst *, 8> leading = leading_to_calls(*loop);
        if (leading.empty())
            continue;
        pin_others(*loop, leading);
        chosen.push_back(loop);
    }
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
