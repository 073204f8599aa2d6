#ifndef CELL_AOT_PASSES_H
#define CELL_AOT_PASSES_H

#include <llvm-c/TargetMachine.h>
#include <llvm-c/Types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Run a textual pass pipeline on a module, with alias analysis by SCEV beside LLVM's default ones, which its C
 * interface cannot ask for: ranges of addresses are all that tells arrays in one linear memory apart (block matrix
 * product without it: 2.0x of native, with it 1.0x).
 * One thread per LLVM context. NULL, or a message to be freed with free(). */
char *passes_run(LLVMModuleRef mod, LLVMTargetMachineRef tm, const char *pipeline);

#ifdef __cplusplus
}
#endif

#endif
