#if defined(__aarch64__)

/* Switching between the host's stack and a cell's, and the stubs of abi_ops. Offsets of struct cell and of
 * struct abi_ctx are asserted in cell.h. */

    .text

    .set CELL_HOST_SP, 0
    .set CELL_OP_SP, 8
    .set CELL_OP_FP, 16
    .set CELL_OP_PC, 24
    .set CELL_TRAP, 32
    .set CTX_STACK_LIMIT, -256 + 24
    .set CTX_CELL, -256 + 40
    .set TRAP_STACK, 9
    .set SAVED, 176

    .macro FUNC name
    .globl \name
    .hidden \name
    .type \name, %function
    .p2align 4
\name:
    .endm

/* int run_enter(struct cell *c, void *stack_top, const void *entry, void *base, const void *code, union cell_value *io) */
    FUNC run_enter
    stp x29, x30, [sp, #-SAVED]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0, #CELL_HOST_SP]
    mov x19, x0
    mov sp, x1
    mov x29, xzr
    mov x9, x2
    mov x0, x3
    mov x1, x4
    mov x2, x5
    blr x9
    ldr x9, [x19, #CELL_HOST_SP]
    mov w0, wzr
    b restore
    .size run_enter, . - run_enter

/* void run_leave(struct cell *c): run_enter returns 1. */
    FUNC run_leave
    ldr x9, [x0, #CELL_HOST_SP]
    mov w0, #1
restore:
    mov sp, x9
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #SAVED
    ret
    .size run_leave, . - run_leave

/* Keep what a walk of the guest's frames starts from. x16: cell. */
    .macro RECORD
    ldur x16, [x0, #CTX_CELL]
    mov x17, sp
    str x17, [x16, #CELL_OP_SP]
    str x29, [x16, #CELL_OP_FP]
    str x30, [x16, #CELL_OP_PC]
    .endm

/* void run_op_trap(void *ctx, uint32_t trap): needs no stack, so that it works when that is exhausted. */
    FUNC run_op_trap
    RECORD
    str w1, [x16, #CELL_TRAP]
    mov x0, x16
    b run_leave
    .size run_op_trap, . - run_op_trap

stack_exhausted:
    mov w9, #TRAP_STACK
    str w9, [x16, #CELL_TRAP]
    mov x0, x16
    b run_leave

    .macro OP name
    FUNC run_op_\name
    RECORD
    ldur x9, [x0, #CTX_STACK_LIMIT]
    cmp x17, x9
    b.lo stack_exhausted
    stp x29, x30, [sp, #-32]!
    str x19, [sp, #16]
    mov x19, x16
    bl run_op_\name\()_c
    mov x16, x19
    ldr x19, [sp, #16]
    ldp x29, x30, [sp], #32
    ldr w9, [x16, #CELL_TRAP]
    cbz w9, 1f
    mov x0, x16
    b run_leave
1:  ret
    .size run_op_\name, . - run_op_\name
    .endm

#include "enter_ops.inc"

/* ops->capture: the context is in x20, and all registers but x16 and x17 are the guest's. They go into a struct
 * abi_registers. The guest only leaves afterwards, so none is brought back. */
    .set REGISTERS, 784
    .set GENERAL, 16
    .set VECTOR, 272

    FUNC run_op_capture
    ldur x17, [x20, #CTX_STACK_LIMIT]
    cmp sp, x17
    b.lo 1f
    mov x17, sp
    sub sp, sp, #REGISTERS
    stp x30, x17, [sp]
    .irp i, 0, 2, 4, 6, 8, 10, 12, 14, 18, 20, 22, 24, 26, 28
    str x\i, [sp, #GENERAL + 8 * \i]
    .endr
    .irp i, 1, 3, 5, 7, 9, 11, 13, 15, 19, 21, 23, 25, 27, 29
    str x\i, [sp, #GENERAL + 8 * \i]
    .endr
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str q\i, [sp, #VECTOR + 16 * \i]
    .endr
    ldur x19, [x20, #CTX_CELL]
    str x17, [x19, #CELL_OP_SP]
    str x29, [x19, #CELL_OP_FP]
    str x30, [x19, #CELL_OP_PC]
    mov x0, x20
    mov x1, sp
    bl run_op_capture_c
    mov x16, x19
    ldr x19, [sp, #GENERAL + 8 * 19]
    ldr x30, [sp]
    add sp, sp, #REGISTERS
    ldr w9, [x16, #CELL_TRAP]
    cbz w9, 2f
    mov x0, x16
    b run_leave
1:  mov x0, x20
    RECORD
    b stack_exhausted
2:  ret
    .size run_op_capture, . - run_op_capture

    .section .note.GNU-stack, "", %progbits

#endif
