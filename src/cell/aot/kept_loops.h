#ifndef CELL_AOT_KEPT_LOOPS_H
#define CELL_AOT_KEPT_LOOPS_H

// Loops that do nothing but load, and whose values nobody uses: LLVM deletes them once all ways out lead to the same
// place, and with them loads that trap. Each gets the one intrinsic that stands for an effect and emits no code
// (llvm.sideeffect); vectorising and unrolling ignore it. After keep_loads_release, and after the polls are where they
// stay: a loop that polls has an effect. C++: LLVM's C interface has no loops.
#include <llvm/IR/PassManager.h>

struct KeptLoops : llvm::PassInfoMixin<KeptLoops> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
