// See polls.h.
#include "polls.h"
#include "cell/module/abi.h"

#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/IntrinsicInst.h>

using namespace llvm;

static bool reads_poll_word(const Instruction &i)
{
    const auto *load = dyn_cast<LoadInst>(&i);
    if (!load || load->getOrdering() != AtomicOrdering::Monotonic ||
        !load->getType()->isIntegerTy(64))
        return false;
    APInt off(64, 0);
    const Value *base = load->getPointerOperand()->stripAndAccumulateConstantOffsets(
        load->getFunction()->getDataLayout(), off, true);
    return isa<Argument>(base) &&
           off.getSExtValue() == (int64_t)offsetof(struct abi_ctx, unwind) - ABI_CTX_BYTES;
}

// Both words are read as one. False: it is not as the generator wrote it, so nothing is known of it.
static bool match_poll(Instruction &word, Poll &poll)
{
    auto *branch = dyn_cast<BranchInst>(word.getParent()->getTerminator());
    auto *test = branch && branch->isConditional() ? dyn_cast<ICmpInst>(branch->getCondition())
                                                   : nullptr;
    if (!test || !test->isEquality() || !word.hasOneUse() ||
        !isa<PtrToIntInst>(test->getOperand(test->getOperand(0) == &word ? 1 : 0)))
        return false;
    bool is_equal = test->getPredicate() == CmpInst::ICMP_EQ;
    poll = {cast<LoadInst>(&word), test, branch->getSuccessor(is_equal ? 1 : 0)};
    return true;
}

bool polls_of(ArrayRef<BasicBlock *> blocks, std::vector<Poll> &polls)
{
    for (BasicBlock *bb : blocks)
        for (Instruction &i : *bb) {
            if (!reads_poll_word(i))
                continue;
            polls.emplace_back();
            if (!match_poll(i, polls.back()))
                return false;
        }
    return true;
}

unsigned polls_loop_size(const Loop &loop, const DominatorTree &dom, std::vector<Poll> &polls)
{
    unsigned count = 0;
    if (!loop.isInnermost() || !polls_of(loop.getBlocks(), polls) || polls.empty())
        return 0;
    for (const BasicBlock *bb : loop.blocks()) {
        if (any_of(polls, [&](const Poll &p) { return dom.dominates(p.cold, bb); }))
            continue;
        for (const Instruction &i : *bb) {
            const auto *call = dyn_cast<CallBase>(&i);
            bool is_short = !call || call->isInlineAsm() ||
                            (isa<IntrinsicInst>(call) && !isa<MemIntrinsic>(call));
            if (!is_short)
                return 0;
            count++;
        }
    }
    return count;
}

bool polls_always(const Loop &loop, const std::vector<Poll> &polls)
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

void polls_drop(const Poll &poll)
{
    poll.test->replaceAllUsesWith(
        ConstantInt::getBool(poll.test->getType(), poll.test->getPredicate() == CmpInst::ICMP_EQ));
    poll.test->eraseFromParent();
    poll.word->eraseFromParent();
}
