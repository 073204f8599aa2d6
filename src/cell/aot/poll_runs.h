#ifndef CELL_AOT_POLL_RUNS_H
#define CELL_AOT_POLL_RUNS_H

// Innermost loops that poll at their back edges, and whose count LLVM knows in front of them. Shorter ones run in a
// copy without polls; longer ones, where LLVM may make vectors of them, in another such copy between two iterations
// that poll, for at most 200 us. See docs/internals/polls.md. C++: LLVM's C interface knows no loops.
#include <llvm/IR/PassManager.h>

struct PollRuns : llvm::PassInfoMixin<PollRuns> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
