// See rare_polls.h.
#include "rare_polls.h"
#include "polls.h"

#include <vector>

#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/OptimizationRemarkEmitter.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/UnrollLoop.h>

using namespace llvm;

namespace
{

const unsigned COPIES = 2;
const unsigned BODY_MAX = 48; // instructions of a loop, without those that serve a request

// It may end within the copies: the last one would be known to go no further, and lose what only a next iteration uses.
bool may_fit_in_copies(const Loop &loop, ScalarEvolution &scev)
{
    unsigned most = scev.getSmallConstantMaxTripCount(&loop);
    return most > 0 && most <= COPIES;
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
    unsigned size = polls_loop_size(loop, dom, polls);
    return size > 0 && size <= BODY_MAX && polls_always(loop, polls) &&
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
    if (!polls_of(loop->getBlocks(), polls) || polls.size() != COPIES * before.size())
        return true;                            // LLVM took some out: the others stay
    polls.resize(polls.size() - before.size()); // the blocks of the last copy stand last
    for (const Poll &poll : polls)
        polls_drop(poll);
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
