#ifndef CELL_AOT_DEMAND_H
#define CELL_AOT_DEMAND_H

#include <stdbool.h>
#include <stddef.h>

#include <llvm-c/Types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which bytes of the values of a function can change what it does. LLVM finds the same out in many places, and then
 * drops what computes the others, or loads only what is left: this answers beforehand. See
 * docs/internals/traps.md. */
struct demand;

/* Of the function as it is; answers hold until it is changed, but for which loads are volatile. Never NULL.
 * loop_passes: passes are still to come that leave only the last of the stores of a loop to one place, and comparisons
 * out whose result follows from the ranges of numbers or from constants in copies of a loop's body, and branches whose
 * ways lead to the same. */
struct demand *demand_new(LLVMValueRef fn, bool loop_passes);
void demand_free(struct demand *d);

/* The k-th block, of those that can be reached: each behind all that lead to it, but for ways round a loop. NULL: there
 * are fewer. */
LLVMBasicBlockRef demand_block(const struct demand *d, size_t k);

/* LLVM neither deletes the instruction nor moves it to another block. Volatile loads are not among them. */
bool demand_has_effect(LLVMValueRef instruction);
/* Does any byte of the value matter? */
bool demand_any(const struct demand *d, LLVMValueRef instruction);
/* Does any byte of the operand matter to this one user? */
bool demand_use(const struct demand *d, LLVMUseRef use);
/* An iteration that ends in the block from leaves the next one a value in the phi: has it an effect there, or is the
 * phi's next value made of it? If neither, only an exit uses it: once LLVM lets the test at a loop's start follow its
 * body, what computes a value that the next iteration replaces is moved out of the loop. True also of a phi that is
 * none of a loop from there. */
bool demand_next_iteration(const struct demand *d, LLVMValueRef phi, LLVMBasicBlockRef from);
/* Does the byte of a load matter that has the highest address? If it does not, the load can become a shorter one. */
bool demand_last_byte(const struct demand *d, LLVMValueRef load);

#ifdef __cplusplus
}
#endif

#endif
