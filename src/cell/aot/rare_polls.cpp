// See rare_polls.h.
#include "rare_polls.h"
#include "cell/module/abi.h"

#include <vector>

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/OptimizationRemarkEmitter.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/PatternMatch.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/UnrollLoop.h>

using namespace llvm;

namespace
{

const unsigned COPIES = 4;
const unsigned BODY_MAX = 48; // instructions of a loop, without those that serve a request

// A test of the poll word: the word is read atomically, at its own place below the context.
struct Poll {
    LoadInst *word;
    ICmpInst *test; // of the word against 0
    BasicBlock *cold;
};

bool reads_poll_word(const Instruction &i)
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

// False: it is not as the generator wrote it, so nothing is known of it.
bool match_poll(Instruction &word, Poll &poll)
{
    auto *branch = dyn_cast<BranchInst>(word.getParent()->getTerminator());
    auto *test = branch && branch->isConditional() ? dyn_cast<ICmpInst>(branch->getCondition())
                                                   : nullptr;
    if (!test || !test->isEquality() || test->getOperand(0) != &word || !word.hasOneUse() ||
        !match(test->getOperand(1), PatternMatch::m_Zero()))
        return false;
    bool is_equal = test->getPredicate() == CmpInst::ICMP_EQ;
    poll = {cast<LoadInst>(&word), test, branch->getSuccessor(is_equal ? 1 : 0)};
    return true;
}

// In the order of the blocks. False: one of them is not understood.
bool polls_of(const Loop &loop, std::vector<Poll> &polls)
{
    for (BasicBlock *bb : loop.blocks())
        for (Instruction &i : *bb) {
            if (!reads_poll_word(i))
                continue;
            polls.emplace_back();
            if (!match_poll(i, polls.back()))
                return false;
        }
    return true;
}

// Does every way round the loop pass a poll? Else the one copy that polls might be the one that is never reached.
bool always_polls(const Loop &loop, const std::vector<Poll> &polls)
{
    SmallPtrSet<const BasicBlock *, 16> seen;
    for (const Poll &poll : polls)
        seen.insert(poll.word->getParent());
    std::vector<const BasicBlock *> todo = {loop.getHeader()};
    while (!todo.empty()) {
        const BasicBlock *bb = todo.back();
        todo.pop_back();
        if (!seen.insert(bb).second)
            continue;
        for (const BasicBlock *to : successors(bb)) {
            if (to == loop.getHeader())
                return false;
            if (loop.contains(to))
                todo.push_back(to);
        }
    }
    return true;
}

// It may end within the copies: the last one would be known to go no further, and lose what only a next iteration uses.
bool may_fit_in_copies(const Loop &loop, ScalarEvolution &scev)
{
    unsigned most = scev.getSmallConstantMaxTripCount(&loop);
    return most > 0 && most <= COPIES;
}

// Short, and without calls but to serve a request.
bool is_small(const Loop &loop, const std::vector<Poll> &polls, const DominatorTree &dom)
{
    unsigned count = 0;
    for (const BasicBlock *bb : loop.blocks()) {
        if (any_of(polls, [&](const Poll &p) { return dom.dominates(p.cold, bb); }))
            continue;
        for (const Instruction &i : *bb) {
            const auto *call = dyn_cast<CallBase>(&i);
            bool is_short = !call || call->isInlineAsm() ||
                            (isa<IntrinsicInst>(call) && !isa<MemIntrinsic>(call));
            if (!is_short || ++count > BODY_MAX)
                return false;
        }
    }
    return true;
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
    bool suits(const Loop &loop, std::vector<Poll> &polls);
    bool handle(Loop *loop);
};

bool Unroller::suits(const Loop &loop, std::vector<Poll> &polls)
{
    return loop.isInnermost() && polls_of(loop, polls) && !polls.empty() &&
           always_polls(loop, polls) && is_small(loop, polls, dom) &&
           !may_fit_in_copies(loop, scev);
}

bool Unroller::handle(Loop *loop)
{
    std::vector<Poll> before, polls;
    if (!suits(*loop, before))
        return false;
    bool changed = simplifyLoop(loop, &dom, &loops, &scev, &assumptions, nullptr, false);
    changed |= formLCSSARecursively(*loop, dom, &loops, &scev);
    before.clear();
    if (!suits(*loop, before)) // a part of it is a loop of its own now
        return changed;
    UnrollLoopOptions how = {};
    how.Count = COPIES;
    LoopUnrollResult result = UnrollLoop(loop, how, &loops, &scev, &dom, &assumptions, &costs,
                                         &remarks, true);
    if (result != LoopUnrollResult::PartiallyUnrolled) // the loop is gone, or as it was
        return changed || result == LoopUnrollResult::FullyUnrolled;
    if (!polls_of(*loop, polls) || polls.size() != COPIES * before.size())
        return true;                            // LLVM took some out: the others stay
    polls.resize(polls.size() - before.size()); // the blocks of the last copy stand last
    for (const Poll &poll : polls) {
        poll.test->replaceAllUsesWith(ConstantInt::getBool(
            poll.test->getType(), poll.test->getPredicate() == CmpInst::ICMP_EQ));
        poll.test->eraseFromParent();
        poll.word->eraseFromParent();
    }
    return true;
}

bool Unroller::run()
{
    bool changed = false;
    for (Loop *loop : loops.getLoopsInPreorder())
        changed |= handle(loop);
    return changed;
}

} // namespace

PreservedAnalyses RarePolls::run(Function &fn, FunctionAnalysisManager &am)
{
    return Unroller(fn, am).run() ? PreservedAnalyses::none() : PreservedAnalyses::all();
}
