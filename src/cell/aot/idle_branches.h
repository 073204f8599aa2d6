#ifndef CELL_AOT_IDLE_BRANCHES_H
#define CELL_AOT_IDLE_BRANCHES_H

// Branches whose ways lead to the same: they meet with the same values, and nothing happens on them that did not happen
// before. Passes delete such a branch when they see it, and a loop that has no others; nobody uses its condition then.
// C++: LLVM's C interface has no post-dominators.
#include <llvm/ADT/MapVector.h>
#include <llvm/ADT/STLFunctionalExtras.h>
#include <llvm/ADT/SetVector.h>
#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/ADT/SmallVector.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>

// The same in each iteration, or could be computed before the loop.
bool isInvariant(const llvm::Loop &loop, const llvm::Value *v, unsigned depth = 0);

// Of a function that is not changed meanwhile.
class IdleBranches
{
  public:
    using IsDropped = llvm::function_ref<bool(const llvm::StoreInst &)>;
    using IsShort = llvm::function_ref<bool(const llvm::Loop &)>;
    using Matters = llvm::function_ref<bool(const llvm::Use &)>;

    // Those that are idle as long as no value matters. isDropped: passes drop the store for a reason that branches have
    // no part in. isShort: the loop may be unrolled whole; its last iteration is looked at, which no other one follows.
    IdleBranches(llvm::Function &fn, const llvm::DominatorTree &dominators,
                 const llvm::LoopInfo &loop_info, IsDropped isDropped, IsShort isShort);

    // Takes out those that decide about values that matter, and adds the ends of their blocks to ends. Can be called
    // again when more does.
    void settle(Matters matters, llvm::SmallVectorImpl<const llvm::Instruction *> &ends);

    // end: the last instruction of a block
    bool isIdle(const llvm::Instruction &end) const
    {
        return branches.count(&end);
    }

  private:
    struct Ways {
        llvm::SmallSetVector<const llvm::BasicBlock *, 8> blocks;
        const llvm::BasicBlock *meet; // NULL: too long to be looked at, and idle in any case
        // headers of short loops around the branch
        llvm::SmallPtrSet<const llvm::BasicBlock *, 2> again;
    };
    const llvm::DominatorTree &dom;
    const llvm::LoopInfo &loops;
    llvm::MapVector<const llvm::Instruction *, Ways> branches;

    bool find(const llvm::BasicBlock &bb, Ways &ways, IsDropped isDropped, IsShort isShort) const;
    bool follow(const llvm::BasicBlock &bb, Ways &ways, IsDropped isDropped,
                bool &goes_round) const;
    bool isDone(const llvm::StoreInst &s, const llvm::BasicBlock &before) const;
};

#endif
