#ifndef CELL_AOT_FIRST_ROUNDS_H
#define CELL_AOT_FIRST_ROUNDS_H

// Loops that call through a table what only reads, and load from places that stay: `for (...) sum += m.at(i, k)` with a
// virtual `at`. What is loaded cannot change, but each call in front of it may be the last thing that happens, so it
// cannot be loaded before the loop either. The first iteration is taken out of the loop; the others find the function's
// place where the first one did. Loads that do not lead to a function are pinned again (keep_loads.h): known values can
// leave them without a use. After keep_loads_release. See docs/internals/calls.md. C++: LLVM's C interface has no
// loops.
#include <llvm/IR/PassManager.h>

struct FirstRounds : llvm::PassInfoMixin<FirstRounds> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
