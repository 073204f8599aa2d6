// See rare_polls.h.
#include "rare_polls.h"

#include <vector>

#include <cell/module/abi.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/OptimizationRemarkEmitter.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/UnrollLoop.h>

using namespace llvm;

namespace
{

const unsigned COPIES = 4;
const unsigned BODY_MAX = 48; // instructions of a loop, without those that serve a request

// The poll word is read atomically at its place below the context, and nothing else is.
bool is_poll(const Instruction &i)
{
    const auto *load = dyn_cast<LoadInst>(&i);
    if (!load || load->getOrdering() != AtomicOrdering::Monotonic ||
        !load->getType()->isIntegerTy(32))
        return false;
    APInt off(64, 0);
    const Value *base = load->getPointerOperand()->stripAndAccumulateConstantOffsets(
        load->getFunction()->getDataLayout(), off, true);
    return isa<Argument>(base) &&
           off.getSExtValue() == (int64_t)offsetof(struct abi_ctx, poll) - ABI_CTX_BYTES;
}

std::vector<Instruction *> polls_of(const Loop &loop)
{
    std::vector<Instruction *> polls;
    for (BasicBlock *bb : loop.blocks())
        for (Instruction &i : *bb)
            if (is_poll(i))
                polls.push_back(&i);
    return polls;
}

// The block that serves the request of a poll: the side of its branch that is not expected.
const BasicBlock *cold_side(const Instruction *poll)
{
    const auto *branch = dyn_cast<BranchInst>(poll->getParent()->getTerminator());
    if (!branch || branch->isUnconditional())
        return nullptr;
    const auto *test = dyn_cast<ICmpInst>(branch->getCondition());
    if (!test || test->getOperand(0) != poll)
        return nullptr;
    return branch->getSuccessor(test->getPredicate() == CmpInst::ICMP_EQ ? 1 : 0);
}

// Does the loop poll, and is it short and without calls but for that?
bool is_small(const Loop &loop, const DominatorTree &dom)
{
    std::vector<const BasicBlock *> cold;
    for (const Instruction *poll : polls_of(loop)) {
        const BasicBlock *side = cold_side(poll);
        if (!side)
            return false;
        cold.push_back(side);
    }
    unsigned count = 0;
    for (const BasicBlock *bb : loop.blocks()) {
        bool is_cold = any_of(cold, [&](const BasicBlock *c) { return dom.dominates(c, bb); });
        for (const Instruction &i : *bb) {
            const auto *call = dyn_cast<CallBase>(&i);
            if (is_cold)
                continue;
            if ((call && !isa<IntrinsicInst>(call) && !call->isInlineAsm()) || ++count > BODY_MAX)
                return false;
        }
    }
    return !cold.empty();
}

// Unroll, and take the polls out of all copies but the last.
class Unroller
{
    LoopInfo &loops;
    DominatorTree &dom;
    ScalarEvolution &scev;
    AssumptionCache &assumptions;
    TargetTransformInfo &costs;
    OptimizationRemarkEmitter &remarks;

  public:
    Unroller(Function &fn, FunctionAnalysisManager &am)
        : loops(am.getResult<LoopAnalysis>(fn)), dom(am.getResult<DominatorTreeAnalysis>(fn)),
          scev(am.getResult<ScalarEvolutionAnalysis>(fn)),
          assumptions(am.getResult<AssumptionAnalysis>(fn)),
          costs(am.getResult<TargetIRAnalysis>(fn)),
          remarks(am.getResult<OptimizationRemarkEmitterAnalysis>(fn))
    {
    }

    bool run();

  private:
    bool handle(Loop *loop);
};

bool Unroller::handle(Loop *loop)
{
    size_t before = polls_of(*loop).size();
    bool changed = simplifyLoop(loop, &dom, &loops, &scev, &assumptions, nullptr, false);
    changed |= formLCSSARecursively(*loop, dom, &loops, &scev);
    UnrollLoopOptions how = {COPIES, true, false, false, false, false, nullptr};
    if (UnrollLoop(loop, how, &loops, &scev, &dom, &assumptions, &costs, &remarks, true) !=
        LoopUnrollResult::PartiallyUnrolled)
        return changed;
    std::vector<Instruction *> polls = polls_of(*loop); // in the order of the copies
    if (polls.size() != COPIES * before)
        return true; // LLVM took some out: the others stay
    for (size_t i = 0; i < polls.size() - before; i++) {
        polls[i]->replaceAllUsesWith(ConstantInt::get(polls[i]->getType(), 0));
        polls[i]->eraseFromParent();
    }
    return true;
}

bool Unroller::run()
{
    bool changed = false;
    for (Loop *loop : loops.getLoopsInPreorder())
        if (loop->isInnermost() && is_small(*loop, dom))
            changed |= handle(loop);
    return changed;
}

} // namespace

PreservedAnalyses RarePolls::run(Function &fn, FunctionAnalysisManager &am)
{
    return Unroller(fn, am).run() ? PreservedAnalyses::none() : PreservedAnalyses::all();
}
