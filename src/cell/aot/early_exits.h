#ifndef CELL_AOT_EARLY_EXITS_H
#define CELL_AOT_EARLY_EXITS_H

// Ways through a function that call nothing need no frame: they get a return of their own, and what the others keep in
// registers that callees save is copied where their ways part. There the frame is made. See docs/internals/calls.md.
// C++: LLVM's C interface has neither dominators nor passes over machine code.
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/PassManager.h>

struct EarlyExits : llvm::PassInfoMixin<EarlyExits> {
    llvm::PreservedAnalyses run(llvm::Function &fn, llvm::FunctionAnalysisManager &analyses);
};

// Choose where frames are made, where LLVM's pass for that (shrink wrapping) finds no place: it gives up on loops with
// several exits. At a level at which that pass runs.
void early_exits_add(llvm::TargetPassConfig &config);

#endif
