#ifndef CELL_AOT_CARRIED_H
#define CELL_AOT_CARRIED_H

// Addresses that one iteration of a loop hands to the next, see docs/internals/addresses.md. C++: SCEV has no C
// interface.
#include <llvm/IR/PassManager.h>

struct CarriedAddresses : llvm::PassInfoMixin<CarriedAddresses> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

#endif
