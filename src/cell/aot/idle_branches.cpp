// See idle_branches.h.
#include "idle_branches.h"
#include "demand.h"
#include "place.h"

#include <llvm/Analysis/PostDominators.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/Support/CBindingWrapping.h>

using namespace llvm;

namespace
{

const unsigned BLOCKS_MAX = 256;    // on the ways of a branch; with more, it is taken to be idle
const unsigned LOOK_BACK_MAX = 128; // instructions, for a store of the same value
const unsigned MADE_DEPTH = 8;      // operations from what was there before a branch
const unsigned DEPTH_MAX = 4;       // operations that an invariant value is made by

bool isSameStore(const StoreInst &a, const StoreInst &b, const DataLayout &dl)
{
    Place to(a.getPointerOperand(), nullptr, dl), also(b.getPointerOperand(), nullptr, dl);
    return a.getValueOperand() == b.getValueOperand() && to.isFrom(also) && to.off == also.off;
}

using Blocks = SmallSetVector<const BasicBlock *, 8>;

bool isIn(const Blocks &blocks, const Value *v)
{
    const auto *i = dyn_cast<Instruction>(v);
    return i && blocks.contains(i->getParent());
}

// Is it computed of what was there before the ways, and so the same on each?
bool isMadeOnWay(const Instruction &i, const Blocks &ways, unsigned depth = 0)
{
    return depth < MADE_DEPTH && !isa<PHINode>(i) && !i.mayReadOrWriteMemory() &&
           all_of(
               i.operands(),
               [&](const Use &u) {
                   return !isIn(ways, u) || isMadeOnWay(*cast<Instruction>(u), ways, depth + 1);
               });
}

// Does something behind the ways see what they computed? The values of one more iteration are not needed in the last.
bool isSeen(const Blocks &ways, const SmallPtrSetImpl<const BasicBlock *> &again,
            IdleBranches::Matters matters)
{
    auto isPassedOn = [&](const User *u) {
        return isa<PHINode>(u) && again.contains(cast<PHINode>(u)->getParent());
    };
    for (const BasicBlock *bb : ways)
        for (const Instruction &i : *bb)
            for (const Use &u : i.uses())
                if (!isIn(ways, u.getUser()) && !isPassedOn(u.getUser()) && !isMadeOnWay(i, ways) &&
                    matters(u))
                    return true;
    return false;
}

// Or which of them was taken?
bool isChosen(const BasicBlock &from, const Blocks &ways, const BasicBlock &meet,
              IdleBranches::Matters matters)
{
    for (const PHINode &phi : meet.phis()) {
        const Use *first = nullptr;
        for (const Use &u : phi.incoming_values()) {
            const BasicBlock *over = phi.getIncomingBlock(u);
            if (over != &from && !ways.contains(over))
                continue;
            if (first && !is_same_value(*first, u) && matters(u))
                return true;
            first = first ? first : &u;
        }
    }
    return false;
}

} // namespace

bool isInvariant(const Loop &loop, const Value *v, unsigned depth)
{
    if (loop.isLoopInvariant(v))
        return true;
    const auto *i = dyn_cast<Instruction>(v);
    return i && depth < DEPTH_MAX &&
           (isa<GetElementPtrInst>(i) || isa<CastInst>(i) || isa<BinaryOperator>(i)) &&
           all_of(i->operands(), [&](const Use &u) { return isInvariant(loop, u, depth + 1); });
}

// The same was stored there on every way to the end of the block, by this very store or another one. What was stored
// there meanwhile is not looked at.
bool IdleBranches::isDone(const StoreInst &s, const BasicBlock &before) const
{
    const DataLayout &dl = s.getFunction()->getDataLayout();
    if (const Loop *loop = loops.getLoopFor(s.getParent());
        dom.dominates(s.getParent(), &before) &&
        (!loop ||
         (isInvariant(*loop, s.getPointerOperand()) && isInvariant(*loop, s.getValueOperand()))))
        return true;
    unsigned budget = LOOK_BACK_MAX;
    for (const DomTreeNode *n = dom.getNode(&before); n && budget; n = n->getIDom())
        for (auto i = n->getBlock()->rbegin(); i != n->getBlock()->rend() && budget; ++i, budget--)
            if (const auto *t = dyn_cast<StoreInst>(&*i); t && t != &s && isSameStore(s, *t, dl))
                return true;
    return false;
}

static bool hasEffect(const Instruction &i)
{
    return !i.isTerminator() && !isa<StoreInst>(i) && demand_has_effect(wrap(&i));
}

// Notes the blocks between the branch and where its ways meet; false: something happens in them. goes_round: a way came
// to a header that it does not go on from.
bool IdleBranches::follow(const BasicBlock &bb, Ways &ways, IsDropped isDropped,
                          bool &goes_round) const
{
    auto add = [&](const BasicBlock &from) {
        for (const BasicBlock *next : successors(&from)) {
            goes_round |= ways.again.contains(next);
            if (next != ways.meet && !ways.again.contains(next) && ways.blocks.size() <= BLOCKS_MAX)
                ways.blocks.insert(next);
        }
    };
    auto isNone = [&](const Instruction &i) {
        const auto *s = dyn_cast<StoreInst>(&i);
        return !s || (s->isSimple() && (isDropped(*s) || isDone(*s, bb)));
    };
    add(bb);
    for (unsigned k = 0; k < ways.blocks.size(); k++) {
        const BasicBlock &on = *ways.blocks[k];
        if (any_of(on, hasEffect) || !all_of(on, isNone)) // stores take longer to look at
            return false;
        add(on);
    }
    if (ways.blocks.size() > BLOCKS_MAX)
        ways.meet = nullptr;
    return true;
}

// At first as if all loops around it were short: whether they are takes longer to find out.
bool IdleBranches::find(const BasicBlock &bb, Ways &ways, IsDropped isDropped,
                        IsShort isShort) const
{
    bool goes_round = false;
    for (const Loop *l = loops.getLoopFor(&bb); l; l = l->getParentLoop())
        ways.again.insert(l->getHeader());
    Ways longer = ways;
    if (!follow(bb, ways, isDropped, goes_round))
        return false;
    for (const Loop *l = loops.getLoopFor(&bb); goes_round && l; l = l->getParentLoop())
        if (!isShort(*l))
            longer.again.erase(l->getHeader());
    if (longer.again.size() == ways.again.size())
        return true;
    ways = std::move(longer);
    return follow(bb, ways, isDropped, goes_round);
}

IdleBranches::IdleBranches(Function &fn, const DominatorTree &dominators, const LoopInfo &loop_info,
                           IsDropped isDropped, IsShort isShort)
    : dom(dominators), loops(loop_info)
{
    PostDominatorTree behind(fn);
    for (const BasicBlock &bb : fn) {
        const Instruction *end = bb.getTerminator();
        if (end->getNumSuccessors() < 2 || !(isa<BranchInst>(end) || isa<SwitchInst>(end)))
            continue;
        const DomTreeNode *node = behind.getNode(&bb);
        const DomTreeNode *meet = node ? node->getIDom() : nullptr;
        Ways ways{{}, meet ? meet->getBlock() : nullptr, {}};
        if (ways.meet && find(bb, ways, isDropped, isShort))
            branches.insert({end, std::move(ways)});
    }
}

void IdleBranches::settle(Matters matters, SmallVectorImpl<const Instruction *> &ends)
{
    branches.remove_if([&](const auto &branch) {
        const auto &[end, ways] = branch;
        bool found = ways.meet && (isSeen(ways.blocks, ways.again, matters) ||
                                   isChosen(*end->getParent(), ways.blocks, *ways.meet, matters));
        if (found)
            ends.push_back(end);
        return found;
    });
}
