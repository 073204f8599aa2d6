// Addresses that one iteration of a loop hands to the next: see docs/internals/addresses.md.
//
// Where p = {start, p + x}, and x comes from a load at p + a, where a does not change in the loop, each iteration waits
// for two additions: of x, and of a. A second counter q = {start + a, q + x} is equal to p + a in wasm's arithmetic,
// which wraps, and spares the addition of a.
#include "carried.h"
#include "proven.h"

#include <vector>

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/Transforms/Utils/ScalarEvolutionExpander.h>

using namespace llvm;

namespace
{

const unsigned LOOK_BACK_MAX = 64; // instructions
const unsigned COUNTERS_MAX = 2;   // for one of the loop's own

// The 32-bit sum that a load of guest memory takes for its index, or null.
Instruction *index_of(const LoadInst &load)
{
    for (const Value *p = load.getPointerOperand();;) {
        const auto *gep = dyn_cast<GetElementPtrInst>(p);
        if (!gep || gep->getNumIndices() != 1)
            return nullptr;
        if (const auto *z = dyn_cast<ZExtInst>(gep->getOperand(1)))
            return z->getSrcTy()->isIntegerTy(32) ? dyn_cast<Instruction>(z->getOperand(0))
                                                  : nullptr;
        p = gep->getPointerOperand();
    }
}

// Is x computed from what the load yields, in the same iteration of the loop?
bool comes_from(Instruction *x, const LoadInst *load, const Loop *loop)
{
    SmallPtrSet<const Instruction *, 16> seen;
    std::vector<Instruction *> work{x};
    while (!work.empty() && seen.size() < LOOK_BACK_MAX) {
        Instruction *i = work.back();
        work.pop_back();
        if (i == load)
            return true;
        if (!loop->contains(i) || !seen.insert(i).second ||
            (isa<PHINode>(i) && i->getParent() == loop->getHeader()))
            continue;
        for (Value *operand : i->operands())
            if (auto *next = dyn_cast<Instruction>(operand))
                work.push_back(next);
    }
    return false;
}

class Carrier
{
    LoopInfo &loops;
    ScalarEvolution &scev;
    SCEVExpander expander;
    bool changed = false;

  public:
    Carrier(Function &f, FunctionAnalysisManager &am)
        : loops(am.getResult<LoopAnalysis>(f)), scev(am.getResult<ScalarEvolutionAnalysis>(f)),
          expander(scev, f.getDataLayout(), "carried")
    {
    }

    bool run()
    {
        for (Loop *loop : loops.getLoopsInPreorder())
            if (loop->getLoopPreheader() && loop->getLoopLatch())
                for (PHINode *p : headers(loop))
                    carry(loop, p);
        return changed;
    }

  private:
    static std::vector<PHINode *> headers(Loop *loop)
    {
        std::vector<PHINode *> all;
        for (PHINode &p : loop->getHeader()->phis())
            if (p.getType()->isIntegerTy(32))
                all.push_back(&p);
        return all;
    }

    // What is added to p in the index, if nothing else in it changes in the loop.
    const SCEV *added(Loop *loop, PHINode *p, Instruction *index)
    {
        const auto *sum = dyn_cast<SCEVAddExpr>(scev.getSCEV(index));
        const SCEV *a = sum ? scev.getMinusSCEV(sum, scev.getSCEV(p)) : nullptr;
        return a && scev.isLoopInvariant(a, loop) ? a : nullptr;
    }

    // All that is equal to q in the loop.
    void replace(Loop *loop, const SCEV *sum, PHINode *q)
    {
        for (BasicBlock *bb : loop->blocks())
            for (Instruction &i : *bb)
                if (i.getType() == q->getType() && isa<BinaryOperator>(i) &&
                    scev.getSCEV(&i) == sum)
                    i.replaceAllUsesWith(q);
    }

    void carry(Loop *loop, PHINode *p)
    {
        BasicBlock *latch = loop->getLoopLatch(), *before = loop->getLoopPreheader();
        auto *next = dyn_cast<BinaryOperator>(p->getIncomingValueForBlock(latch));
        if (!next || next->getOpcode() != Instruction::Add || !isa<SCEVUnknown>(scev.getSCEV(p)))
            return;
        auto *x = dyn_cast<Instruction>(next->getOperand(next->getOperand(0) == p ? 1 : 0));
        if (!x || (next->getOperand(0) != p && next->getOperand(1) != p) || !loop->contains(x))
            return;
        unsigned budget = COUNTERS_MAX;
        for (BasicBlock *bb : loop->blocks())
            for (Instruction &i : *bb) {
                auto *load = dyn_cast<LoadInst>(&i);
                Instruction *index = load && is_guest_access(i) ? index_of(*load) : nullptr;
                if (!index || !loop->contains(index) || !comes_from(x, load, loop))
                    continue;
                const SCEV *a = added(loop, p, index);
                if (!a || !expander.isSafeToExpandAt(a, before->getTerminator()))
                    continue;
                IRBuilder<> front(before->getTerminator());
                Value *start = front.CreateAdd(
                    p->getIncomingValueForBlock(before),
                    expander.expandCodeFor(a, p->getType(), before->getTerminator()));
                IRBuilder<> head(&loop->getHeader()->front());
                PHINode *q = head.CreatePHI(p->getType(), 2, "carried");
                IRBuilder<> end(next->getNextNode());
                q->addIncoming(start, before);
                q->addIncoming(end.CreateAdd(q, x), latch);
                replace(loop, scev.getSCEV(index), q);
                changed = true;
                if (--budget == 0)
                    return;
            }
    }
};

} // namespace

PreservedAnalyses CarriedAddresses::run(Function &fn, FunctionAnalysisManager &analyses)
{
    Carrier carrier(fn, analyses);
    if (!carrier.run())
        return PreservedAnalyses::all();
    PreservedAnalyses kept;
    kept.preserveSet<CFGAnalyses>();
    return kept;
}
