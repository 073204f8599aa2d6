#ifndef CELL_AOT_POLLS_H
#define CELL_AOT_POLLS_H

// The polls at back edges (gen_control.c), as LLVM's passes see them. C++: passes on loops are.
#include <vector>

#include <llvm/ADT/ArrayRef.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/Instructions.h>

// A test of the poll word: the word is read atomically, at its own place below the context.
struct Poll {
    llvm::LoadInst *word;
    llvm::ICmpInst *test; // of the word against 0
    llvm::BasicBlock *cold;
};

// In the order of the blocks. False: one of them is not as the generator wrote it, so nothing is known.
bool polls_of(llvm::ArrayRef<llvm::BasicBlock *> blocks, std::vector<Poll> &polls);

// An innermost loop that polls and calls nothing else: the number of its instructions but those that serve requests,
// and its polls. 0: it is none.
unsigned polls_loop_size(const llvm::Loop &loop, const llvm::DominatorTree &dom,
                         std::vector<Poll> &polls);

// Does every way round the loop pass one of its polls?
bool polls_always(const llvm::Loop &loop, const std::vector<Poll> &polls);

// No more looks there.
void polls_drop(const Poll &poll);

#endif
