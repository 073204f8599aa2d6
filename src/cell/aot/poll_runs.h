#ifndef CELL_AOT_POLL_RUNS_H
#define CELL_AOT_POLL_RUNS_H

// Innermost loops that poll at their back edges, and whose count LLVM knows, run many iterations without a look between
// two with one: a copy without polls runs in front of each iteration of the loop, for as many iterations as surely
// follow, but no more than take 100 us. See docs/internals/polls.md. C++: LLVM's C interface knows no loops.
#include <llvm/IR/PassManager.h>

struct PollRuns : llvm::PassInfoMixin<PollRuns> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
