// See kept_loops.h.
#include "kept_loops.h"
#include "proven.h"

#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Instructions.h>

using namespace llvm;

static bool only_loads(const Loop &loop)
{
    bool loads = false;
    for (const BasicBlock *bb : loop.blocks())
        for (const Instruction &i : *bb) {
            if (i.mayHaveSideEffects())
                return false;
            loads |= isa<LoadInst>(i) && is_guest_access(i);
        }
    return loads;
}

static bool is_used_behind(const Loop &loop)
{
    return any_of(loop.blocks(), [&](const BasicBlock *bb) {
        return any_of(*bb, [&](const Instruction &i) {
            return any_of(i.users(),
                          [&](const User *u) { return !loop.contains(cast<Instruction>(u)); });
        });
    });
}

PreservedAnalyses KeptLoops::run(Function &fn, FunctionAnalysisManager &analyses)
{
    bool changed = false;
    for (Loop *loop : analyses.getResult<LoopAnalysis>(fn).getLoopsInPreorder()) {
        if (!only_loads(*loop) || is_used_behind(*loop))
            continue;
        IRBuilder<> at(&*loop->getHeader()->getFirstInsertionPt());
        at.CreateIntrinsic(Intrinsic::sideeffect, {}, {});
        changed = true;
    }
    if (!changed)
        return PreservedAnalyses::all();
    PreservedAnalyses kept;
    kept.preserveSet<CFGAnalyses>();
    return kept;
}
