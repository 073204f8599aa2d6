#ifndef CELL_AOT_MIXED_SIZES_H
#define CELL_AOT_MIXED_SIZES_H

// Innermost loops that write through one pointer, and use it with another size too, are not vectorised: LLVM 19 makes
// no test of such a pair, so with a step below the larger size, writes of an iteration pass those of the one before.
// C++: LLVM's C interface has no loops.
#include <llvm/IR/PassManager.h>

struct MixedSizes : llvm::PassInfoMixin<MixedSizes> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
