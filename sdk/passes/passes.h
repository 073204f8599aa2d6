#ifndef CLOUDSKIN_PASSES_H
#define CLOUDSKIN_PASSES_H

#include <llvm/IR/PassManager.h>

// Large objects of static storage begin at a cache line. Natively LLVM's vectoriser raises the alignment of what it
// accesses by vectors. Here it sees the program when its layout is fixed, and half of the accesses by 32 bytes to an
// object at 16 cross a line. See docs/internals/sysroot.md.
struct AlignData : llvm::PassInfoMixin<AlignData> {
    llvm::PreservedAnalyses run(llvm::Module &m, llvm::ModuleAnalysisManager &analyses);
    static bool isRequired(); // at -O0 as well
};

// A longjmp passes by what a C++ exception would run on its way: destructors of the function that called setjmp, whose
// objects live on, and the end of a function that does not throw. A setjmp in a catch block is an error with a place.
// Behind all optimisation, for these know less of the new form. See docs/internals/sysroot.md.
struct PassJumps : llvm::PassInfoMixin<PassJumps> {
    llvm::PreservedAnalyses run(llvm::Module &m, llvm::ModuleAnalysisManager &analyses);
    static bool isRequired();
};

#endif
