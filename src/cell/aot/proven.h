#ifndef CELL_AOT_PROVEN_H
#define CELL_AOT_PROVEN_H

// Loads of guest memory that cannot trap, since an access before them on every way reached as far from the same base,
// and memory never shrinks. They are volatile no longer (keep_loads.h): so it shows early what they yield when it was
// stored just before. C++: LLVM's C interface has no dominators.
#include <llvm/IR/Instruction.h>
#include <llvm/IR/PassManager.h>

struct ProvenLoads : llvm::PassInfoMixin<ProvenLoads> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

// Is the instruction marked as an access of guest memory?
bool is_guest_access(const llvm::Instruction &i);

#endif
