#ifndef CELL_AOT_WIDE_H
#define CELL_AOT_WIDE_H

// Addresses in 64 bits, see docs/internals/addresses.md. C++: SCEV has no C interface.
#include <llvm/IR/PassManager.h>

struct WideAddresses : llvm::PassInfoMixin<WideAddresses> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
