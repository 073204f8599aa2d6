// See poll_runs.h.
#include "poll_runs.h"
#include "polls.h"

#include <algorithm>
#include <vector>

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/IVDescriptors.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Instructions.h>
#include <llvm/IR/Module.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/ScalarEvolutionExpander.h>

using namespace llvm;

namespace
{

const unsigned BODY_MAX = 128;      // instructions of a loop; longer ones hardly notice a poll
const unsigned RUN_BUDGET = 200000; // instructions of a run: 200 us at a nanosecond each
const unsigned FEW_BUDGET = 10000;  // of a loop that needs no poll of its own
const unsigned COST_MAX = 16;       // of the expression of the count, in LLVM's units
const unsigned AROUND_MAX = 128;    // instructions around a loop in the nest that is compiled twice

// Loops of a function: some of LLVM's passes take time for each pair. Of more than LOOPS_FREE each has a smaller
// budget, because they may follow each other without a poll.
const size_t LOOPS_MAX = 128;
const size_t LOOPS_FREE = 8;

// What is known of a loop while LLVM's analyses hold.
struct Candidate {
    std::vector<BasicBlock *> blocks;
    // What is compiled twice: the loop, or the outermost small one around it in which the count is the same for each
    // iteration and which has no other loops inside, so that the choice stands in front of that one.
    struct {
        std::vector<BasicBlock *> blocks;
        BasicBlock *preheader, *header;
    } nest;
    BasicBlock *preheader, *header, *latch;
    BranchInst *exit; // its test in each iteration is what ends the loop
    bool exits_when;  // the condition is this
    Value *count;     // how often, in front of the nest, the test will say to go on
    unsigned size;
    bool has_runs;
    std::vector<std::pair<PHINode *, Value *>> phis; // of the header; by how much it grows, or null
};

void drop_polls(const std::vector<BasicBlock *> &blocks)
{
    std::vector<Poll> polls;
    if (!polls_of(blocks, polls))
        return;
    for (const Poll &poll : polls)
        polls_drop(poll);
}

// A loop and what is made of it:
//
//     header: body; if (ends) goto out; body; if (poll word) serve; goto header
//
//     choose: if (count < K) goto whole; done = 0
//     outer:  n = min(count - done, K); done += n + 1; if (n == 0) goto header
//     run:    body; body; if (--n != 0) goto run
//     header: body; if (ends) goto out; body; if (poll word) serve; goto outer
//
//     whole:  body; if (ends) goto out; body; goto whole
//
// or, without runs, `choose: if (count < K) goto whole; goto header`. Where loops around have the same count in each
// iteration, `choose` stands in front of them, `whole` is a copy of all of them, and `outer` follows where the loop
// began.
class Splitter
{
    Candidate &loop;
    Function &fn;
    ConstantInt *most, *zero, *one; // iterations: K, and so on
    BasicBlock *choose;
    BasicBlock *enters; // the loop that has polls
    BasicBlock *outer = nullptr;
    std::vector<Value *> starts; // in outer, the values of the header's phis
    Value *n = nullptr;

    struct Copy {
        ValueToValueMapTy map;
        std::vector<BasicBlock *> blocks;
        BasicBlock *of(BasicBlock *bb) const
        {
            return cast<BasicBlock>(map.lookup(bb));
        }
    };

  public:
    Splitter(Candidate &candidate, size_t loops)
        : loop(candidate), fn(*candidate.header->getParent()),
          most(number(run_length(candidate.size, loops))), zero(number(0)), one(number(1)),
          choose(block("choose", candidate.nest.header)),
          enters(candidate.nest.header == candidate.header ? choose : candidate.preheader)
    {
    }

    void split();

  private:
    static uint64_t run_length(unsigned size, size_t loops);
    ConstantInt *number(uint64_t v)
    {
        return ConstantInt::get(cast<IntegerType>(loop.count->getType()), v);
    }
    BasicBlock *block(const char *name, BasicBlock *before)
    {
        return BasicBlock::Create(fn.getContext(), name, &fn, before);
    }
    void clone(Copy &copy, const std::vector<BasicBlock *> &blocks, const char *suffix);
    void extend_exits(const Copy &copy, const std::vector<BasicBlock *> &blocks);
    void make_whole();
    void make_outer();
    Value *carried(PHINode *phi);
    Value *grown(IRBuilder<> &at, PHINode *phi, Value *step, Value *done);
    void drop_exit(BranchInst *exit);
    void make_run(Copy &run);
    void join(Copy &run, BasicBlock *before, BasicBlock *behind);
};

// With the iteration behind it a power of two, so that arrays that begin at lines of the cache go on at such.
uint64_t Splitter::run_length(unsigned size, size_t loops)
{
    uint64_t length = 64, budget = RUN_BUDGET * LOOPS_FREE / std::max(loops, LOOPS_FREE);
    while (length < 65536 && length * 2 * size <= budget)
        length *= 2;
    return length - 1;
}

// The copy's exits go where the loop's go.
void Splitter::extend_exits(const Copy &copy, const std::vector<BasicBlock *> &blocks)
{
    SmallPtrSet<BasicBlock *, 16> inside(blocks.begin(), blocks.end()), done;
    auto extend = [&](PHINode &phi) {
        for (unsigned i = 0, count = phi.getNumIncomingValues(); i < count; i++) {
            if (!inside.count(phi.getIncomingBlock(i)))
                continue;
            Value *v = phi.getIncomingValue(i), *mapped = copy.map.lookup(v);
            phi.addIncoming(mapped ? mapped : v, copy.of(phi.getIncomingBlock(i)));
        }
    };
    for (BasicBlock *bb : blocks)
        for (BasicBlock *to : successors(bb))
            if (!inside.count(to) && done.insert(to).second)
                for (PHINode &phi : to->phis())
                    extend(phi);
}

// The blocks once more, without polls of the loop. The values of their header are still to be set.
void Splitter::clone(Copy &copy, const std::vector<BasicBlock *> &blocks, const char *suffix)
{
    for (BasicBlock *bb : blocks) {
        BasicBlock *to = CloneBasicBlock(bb, copy.map, suffix, &fn);
        to->moveBefore(blocks.front()); // keep_loads.c takes a way back for one round a loop
        copy.map[bb] = to;
        copy.blocks.push_back(to);
    }
    remapInstructionsInBlocks(copy.blocks, copy.map);
    std::vector<BasicBlock *> inner;
    for (BasicBlock *bb : loop.blocks)
        inner.push_back(copy.of(bb));
    drop_polls(inner);
    extend_exits(copy, blocks);
}

// `whole`, and `choose`, which leads there or to the nest.
void Splitter::make_whole()
{
    Copy whole;
    auto &nest = loop.nest;
    clone(whole, nest.blocks, ".whole");
    for (PHINode &phi : nest.header->phis()) {
        cast<PHINode>(whole.map[&phi])->replaceIncomingBlockWith(nest.preheader, choose);
        phi.replaceIncomingBlockWith(nest.preheader, choose);
    }
    IRBuilder<> at(choose);
    at.CreateCondBr(at.CreateICmpULT(loop.count, most), whole.of(nest.header), nest.header);
    nest.preheader->getTerminator()->replaceSuccessorWith(nest.header, choose);
}

Value *Splitter::carried(PHINode *phi)
{
    PHINode *start = PHINode::Create(phi->getType(), 2, "", outer);
    start->addIncoming(phi->getIncomingValueForBlock(enters), enters);
    start->addIncoming(phi->getIncomingValueForBlock(loop.latch), loop.latch);
    return start;
}

Value *Splitter::grown(IRBuilder<> &at, PHINode *phi, Value *step, Value *done)
{
    Value *by = at.CreateMul(at.CreateZExtOrTrunc(done, phi->getType()), step);
    return at.CreateAdd(phi->getIncomingValueForBlock(enters), by);
}

void Splitter::make_outer()
{
    PHINode *done = PHINode::Create(loop.count->getType(), 2, "done", outer);
    for (auto [phi, step] : loop.phis)
        starts.push_back(step ? nullptr : carried(phi));
    IRBuilder<> at(outer);
    for (size_t i = 0; i < starts.size(); i++)
        if (Value *step = loop.phis[i].second)
            starts[i] = grown(at, loop.phis[i].first, step, done);
    n = at.CreateBinaryIntrinsic(Intrinsic::umin, at.CreateSub(loop.count, done), most);
    done->addIncoming(zero, enters);
    done->addIncoming(at.CreateAdd(at.CreateAdd(done, n), one), loop.latch);
    loop.latch->getTerminator()->replaceSuccessorWith(loop.header, outer);
    enters->getTerminator()->replaceSuccessorWith(loop.header, outer);
}

void Splitter::drop_exit(BranchInst *exit)
{
    BasicBlock *out = exit->getSuccessor(loop.exits_when ? 0 : 1);
    BasicBlock *on = exit->getSuccessor(loop.exits_when ? 1 : 0);
    out->removePredecessor(exit->getParent(), true);
    BranchInst::Create(on, exit->getParent());
    exit->eraseFromParent();
}

void Splitter::make_run(Copy &run)
{
    BasicBlock *start = run.of(loop.header), *back = run.of(loop.latch);
    BasicBlock *before = block("run.before", start), *behind = block("run.behind", loop.header);
    IRBuilder<> at(outer);
    at.CreateCondBr(at.CreateICmpNE(n, zero), before, loop.header);
    BranchInst::Create(start, before);
    BranchInst::Create(loop.header, behind);

    PHINode *togo = PHINode::Create(n->getType(), 2, "togo", start->begin());
    back->getTerminator()->eraseFromParent();
    IRBuilder<> last(back);
    Value *less = last.CreateSub(togo, one);
    togo->addIncoming(n, before);
    togo->addIncoming(less, back);
    last.CreateCondBr(last.CreateICmpNE(less, zero), start, behind);
    drop_exit(cast<BranchInst>(run.map[loop.exit]));
    join(run, before, behind);
    DeleteDeadPHIs(start); // else LLVM would rotate the loop for them
}

// The run goes on where the last iteration ended, and the loop where the run did, if there was one.
void Splitter::join(Copy &run, BasicBlock *before, BasicBlock *behind)
{
    for (size_t i = 0; i < starts.size(); i++) {
        PHINode *phi = loop.phis[i].first;
        auto *copy = cast<PHINode>(run.map[phi]);
        Value *next = copy->getIncomingValueForBlock(run.of(loop.latch));
        copy->replaceIncomingBlockWith(enters, before);
        copy->setIncomingValueForBlock(before, starts[i]);
        phi->setIncomingValueForBlock(enters, starts[i]);
        phi->replaceIncomingBlockWith(enters, outer);
        phi->setIncomingValueForBlock(loop.latch, next);
        phi->replaceIncomingBlockWith(loop.latch, behind);
    }
}

void Splitter::split()
{
    make_whole();
    if (!loop.has_runs)
        return;
    Copy run;
    outer = block("outer", loop.header);
    clone(run, loop.blocks, ".run"); // while the loop is one
    make_outer();
    make_run(run);
}

class Finder
{
    Function &fn;
    LoopInfo &loops;
    DominatorTree &dom;
    ScalarEvolution &scev;
    AssumptionCache &assumptions;
    TargetTransformInfo &costs;
    std::vector<Candidate> found;

  public:
    Finder(Function &function, FunctionAnalysisManager &am)
        : fn(function), loops(am.getResult<LoopAnalysis>(fn)),
          dom(am.getResult<DominatorTreeAnalysis>(fn)),
          scev(am.getResult<ScalarEvolutionAnalysis>(fn)),
          assumptions(am.getResult<AssumptionAnalysis>(fn)),
          costs(am.getResult<TargetIRAnalysis>(fn))
    {
    }

    bool run();

  private:
    bool suits(const Loop &loop, unsigned &size);
    const SCEV *find_count(const Loop &loop, Candidate &c);
    bool place_count(Loop &nest, Loop &loop, const SCEV *count, Candidate &c);
    std::vector<BasicBlock *> blocks_of(const Loop &loop);
    Value *step_of(const Loop &loop, PHINode &phi);
    bool is_chain(Loop &loop, PHINode &phi);
    bool gains_by_runs(Loop &loop);
    Loop *nest_of(Loop *loop, const SCEV *count);
    bool handle(Loop *loop);
};

bool Finder::suits(const Loop &loop, unsigned &size)
{
    std::vector<Poll> polls;
    size = polls_loop_size(loop, dom, polls);
    return size > 0 && size <= BODY_MAX && polls_always(loop, polls);
}

// Of the tests that every iteration makes, one that says how many follow.
const SCEV *Finder::find_count(const Loop &loop, Candidate &c)
{
    SmallVector<BasicBlock *, 8> exiting;
    loop.getExitingBlocks(exiting);
    for (BasicBlock *bb : exiting) {
        auto *branch = dyn_cast<BranchInst>(bb->getTerminator());
        if (!branch || !branch->isConditional() || !dom.dominates(bb, c.latch))
            continue;
        const SCEV *count = scev.getExitCount(&loop, bb);
        if (isa<SCEVCouldNotCompute>(count))
            continue;
        c.exit = branch;
        c.exits_when = !loop.contains(branch->getSuccessor(0));
        Type *i32 = Type::getInt32Ty(fn.getContext()); // holds K
        return scev.getTypeSizeInBits(count->getType()) < 32 ? scev.getZeroExtendExpr(count, i32)
                                                             : count;
    }
    return nullptr;
}

Value *Finder::step_of(const Loop &loop, PHINode &phi)
{
    if (!phi.getType()->isIntegerTy())
        return nullptr;
    const auto *grows = dyn_cast<SCEVAddRecExpr>(scev.getSCEV(&phi));
    if (!grows || grows->getLoop() != &loop || !grows->isAffine())
        return nullptr;
    const auto *step = dyn_cast<SCEVConstant>(grows->getStepRecurrence(scev));
    return step ? step->getValue() : nullptr;
}

// A float that each iteration makes of the one before, in an order that is fixed: LLVM makes no vectors then, unless
// the machine adds up their elements in that order.
bool Finder::is_chain(Loop &loop, PHINode &phi)
{
    RecurrenceDescriptor how;
    if (!phi.getType()->isFloatingPointTy() ||
        RecurrenceDescriptor::isFixedOrderRecurrence(&phi, &loop, &dom))
        return false;
    return !RecurrenceDescriptor::isReductionPHI(&phi, &loop, how, nullptr, nullptr, &dom, &scev) ||
           (how.hasExactFPMath() && !costs.enableOrderedReductions());
}

// Nor of a loop that something else may end. Without a run there is one copy less, which leaves registers to what is
// around the loop, and a small one has a poll in every other iteration (rare_polls.h).
bool Finder::gains_by_runs(Loop &loop)
{
    SmallVector<BasicBlock *, 8> exiting;
    std::vector<Poll> polls;
    loop.getExitingBlocks(exiting);
    for (PHINode &phi : loop.getHeader()->phis())
        if (is_chain(loop, phi))
            return false;
    return polls_of(loop.getBlocks(), polls) && exiting.size() <= 1 + polls.size();
}

// The outermost loop around this one, or itself, in which the count is the same for each iteration, and which is
// small.
Loop *Finder::nest_of(Loop *loop, const SCEV *count)
{
    auto size_of = [](Loop *l) {
        size_t size = 0;
        for (BasicBlock *bb : l->blocks())
            size += bb->size();
        return size;
    };
    Loop *nest = loop;
    size_t size = size_of(loop);
    for (Loop *l = loop->getParentLoop(); l; l = l->getParentLoop()) {
        if (l->getSubLoops().size() > 1 || !scev.isLoopInvariant(count, l) ||
            size_of(l) > size + AROUND_MAX || !l->isLoopSimplifyForm())
            break;
        nest = l;
    }
    return nest;
}

// Compute the count in front of the nest, if that costs little.
bool Finder::place_count(Loop &nest, Loop &loop, const SCEV *count, Candidate &c)
{
    SCEVExpander expander(scev, fn.getParent()->getDataLayout(), "count");
    c.nest.preheader = nest.getLoopPreheader();
    c.nest.header = nest.getHeader();
    Instruction *here = c.nest.preheader->getTerminator();
    if (expander.isHighCostExpansion(count, &loop, COST_MAX, &costs, here) ||
        !expander.isSafeToExpandAt(count, here))
        return false;
    Value *known = expander.expandCodeFor(count, count->getType(), here);
    c.count = new FreezeInst(known, "", here);
    return true;
}

bool Finder::handle(Loop *loop)
{
    Candidate c = {};
    if (!suits(*loop, c.size))
        return false;
    bool changed = formLCSSARecursively(*loop, dom, &loops, &scev);
    c.latch = loop->getLoopLatch();
    c.preheader = loop->getLoopPreheader();
    if (!suits(*loop, c.size) || !c.latch || !c.preheader)
        return changed;
    if (!c.latch->getSingleSuccessor()) {
        c.latch = SplitEdge(c.latch, loop->getHeader(), &dom, &loops);
        changed = true;
    }
    uint64_t most = scev.getSmallConstantMaxTripCount(loop); // 0: not known
    if (most > 0 && most * c.size <= FEW_BUDGET) {
        drop_polls(loop->getBlocksVector());
        return true;
    }
    const SCEV *count = found.size() < LOOPS_MAX ? find_count(*loop, c) : nullptr;
    if (!count || loop->getLoopLatch() != c.latch) // a switch may lead to the header twice
        return changed;
    if (!place_count(*nest_of(loop, count), *loop, count, c) &&
        !place_count(*loop, *loop, count, c))
        return changed;
    c.header = loop->getHeader();
    found.push_back(std::move(c));
    return true;
}

// The header first, the others as they stand in the function: copies are laid out so.
std::vector<BasicBlock *> Finder::blocks_of(const Loop &loop)
{
    std::vector<BasicBlock *> blocks{loop.getHeader()};
    for (BasicBlock &bb : fn)
        if (&bb != loop.getHeader() && loop.contains(&bb))
            blocks.push_back(&bb);
    return blocks;
}

bool Finder::run()
{
    unsigned size;
    if (none_of(loops.getLoopsInPreorder(), [&](Loop *loop) { return suits(*loop, size); }))
        return false;
    // All of them before anything is noted of one: it may fold branches of other loops.
    bool changed = false;
    for (Loop *loop : std::vector<Loop *>(loops.begin(), loops.end()))
        changed |= simplifyLoop(loop, &dom, &loops, &scev, &assumptions, nullptr, false);
    for (Loop *loop : loops.getLoopsInPreorder())
        changed |= handle(loop);
    // The count of one may have been computed from another, with new values in its header.
    for (Candidate &c : found) {
        Loop *loop = loops.getLoopFor(c.header);
        Loop *nest = loops.getLoopFor(c.nest.header);
        formLCSSARecursively(*nest, dom, &loops, &scev);
        c.blocks = blocks_of(*loop);
        c.nest.blocks = blocks_of(*nest);
        c.has_runs = gains_by_runs(*loop);
        for (PHINode &phi : c.header->phis())
            c.phis.emplace_back(&phi, step_of(*loop, phi));
    }
    for (Candidate &c : found)
        Splitter(c, found.size()).split();
    return changed;
}

} // namespace

PreservedAnalyses PollRuns::run(Function &fn, FunctionAnalysisManager &am)
{
    if (fn.getName().starts_with("r")) // a twin: strip.c cuts its loops
        return PreservedAnalyses::all();
    return Finder(fn, am).run() ? PreservedAnalyses::none() : PreservedAnalyses::all();
}
