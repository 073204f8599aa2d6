#ifndef CELL_AOT_RARE_POLLS_H
#define CELL_AOT_RARE_POLLS_H

// Small innermost loops that poll at each back edge run two iterations to a poll: the loop is unrolled with all its
// exits, and the first copy loses its poll. So a loop that ends after an iteration or two never polls. See
// docs/internals/polls.md. C++: LLVM's C interface cannot unroll one loop.
#include <llvm/IR/PassManager.h>

struct RarePolls : llvm::PassInfoMixin<RarePolls> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
