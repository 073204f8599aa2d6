#ifndef CELL_AOT_PINNED_LOADS_H
#define CELL_AOT_PINNED_LOADS_H

// LLVM's pass that sinks machine instructions moves a load into the branch that uses it, where it may not be executed;
// a load of guest memory has to be (docs/internals/traps.md). So loads are volatile while that pass runs. C++: passes
// over machine code are beyond LLVM's C interface.
#include <llvm/CodeGen/TargetPassConfig.h>

// At a level at which that pass runs: it is what takes ownership of them.
void pinned_loads_add(llvm::TargetPassConfig &config);

#endif
