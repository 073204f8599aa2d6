#ifndef CELL_AOT_PASSES_H
#define CELL_AOT_PASSES_H

#include <stdbool.h>

#include <llvm-c/TargetMachine.h>
#include <llvm-c/Types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What orders the instructions of a block, as LLVM's option -pre-RA-sched names it, behind passes_init. */
#define PASSES_SCHEDULER "cloudskin"

/* Once, before LLVM's options are read. */
void passes_init(void);

/* Run a textual pass pipeline on a module, with alias analysis by SCEV beside LLVM's default ones, which its C
 * interface cannot ask for: ranges of addresses are all that tells arrays in one linear memory apart (block matrix
 * product without it: 2.0x of native, with it 1.0x). The pipeline may name "proven-loads" (proven.h),
 * "rare-polls" (rare_polls.h), "mixed-sizes" (mixed_sizes.h), "carried-addresses" (carried.h), "early-exits"
 * (early_exits.h), "reduce-loops" (LLVM's strength reduction of loops without calls), and "wide-addresses" (wide.h),
 * which is left out unless wide_addresses: no memory of the module can have more than WASM_PAGES_CAP pages.
 * One thread per LLVM context. NULL, or a message to be freed with free(). */
char *passes_run(LLVMModuleRef mod, LLVMTargetMachineRef tm, const char *pipeline,
                 bool wide_addresses);

/* Generate an object file. Against LLVM's C interface, nothing follows the values of variables: there are none, and
 * LLVM takes a tenth of its time to find that out.
 * quick: select instructions as at level 0, allocate registers as at the others, optimise little between. Half
 * the time of LLVM's level 1, and nearly as fast code, since what comes in was optimised already.
 * tm was made for a level above 0. One thread per LLVM context. The caller disposes of *ret_object.
 * NULL, or a message to be freed with free(). */
char *passes_emit(LLVMModuleRef mod, LLVMTargetMachineRef tm, bool quick,
                  LLVMMemoryBufferRef *ret_object);

#ifdef __cplusplus
}
#endif

#endif
