#if defined(__x86_64__)

/* Switching between the host's stack and a cell's, and the stubs of abi_ops. Offsets of struct cell and of
 * struct abi_ctx are asserted in cell.h. */

    .intel_syntax noprefix
    .text

    .set CELL_HOST_SP, 0
    .set CELL_OP_SP, 8
    .set CELL_OP_FP, 16
    .set CELL_OP_PC, 24
    .set CELL_TRAP, 32
    .set CTX_STACK_LIMIT, -256 + 24
    .set CTX_CELL, -256 + 40
    .set TRAP_STACK, 9

    .macro FUNC name
    .globl \name
    .hidden \name
    .type \name, @function
    .p2align 4
\name:
    .endm

/* int run_enter(struct cell *c, void *stack_top, const void *entry, void *base, const void *code, union cell_value *io) */
    FUNC run_enter
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi + CELL_HOST_SP], rsp
    mov rbx, rdi
    mov rsp, rsi
    xor ebp, ebp
    mov rax, rdx
    mov rdi, rcx
    mov rsi, r8
    mov rdx, r9
    call rax
    mov rsp, [rbx + CELL_HOST_SP]
    xor eax, eax
    jmp restore
    .size run_enter, . - run_enter

/* void run_leave(struct cell *c): run_enter returns 1. */
    FUNC run_leave
    mov rsp, [rdi + CELL_HOST_SP]
    mov eax, 1
restore:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
    .size run_leave, . - run_leave

/* Keep what a walk of the guest's frames starts from. r10: cell. */
    .macro RECORD
    mov r10, [rdi + CTX_CELL]
    mov r11, [rsp]
    mov [r10 + CELL_OP_PC], r11
    lea r11, [rsp + 8]
    mov [r10 + CELL_OP_SP], r11
    mov [r10 + CELL_OP_FP], rbp
    .endm

/* void run_op_trap(void *ctx, uint32_t trap): needs no stack, so that it works when that is exhausted. */
    FUNC run_op_trap
    RECORD
    mov [r10 + CELL_TRAP], esi
    mov rdi, r10
    jmp run_leave
    .size run_op_trap, . - run_op_trap

stack_exhausted:
    mov dword ptr [r10 + CELL_TRAP], TRAP_STACK
    mov rdi, r10
    jmp run_leave

    .macro OP name
    FUNC run_op_\name
    RECORD
    cmp rsp, [rdi + CTX_STACK_LIMIT]
    jb stack_exhausted
    push rbx
    mov rbx, r10
    call run_op_\name\()_c
    mov rdi, rbx
    pop rbx
    cmp dword ptr [rdi + CELL_TRAP], 0
    jne run_leave
    ret
    .size run_op_\name, . - run_op_\name
    .endm

#include "enter_ops.inc"

/* ops->capture: the context is in r13, and all registers but r11 are the guest's. They go into a struct abi_registers.
 * The guest only leaves afterwards, so none is brought back. */
    .set REGISTERS, 784
    .set GENERAL, 16
    .set VECTOR, 272

    FUNC run_op_capture
    mov r11, [r13 + CTX_STACK_LIMIT]
    cmp rsp, r11
    jb 1f
    lea r11, [rsp + 8]
    sub rsp, REGISTERS + 8
    mov [rsp + 8], r11
    mov [rsp + GENERAL + 8 * 0], rax
    mov [rsp + GENERAL + 8 * 1], rdx
    mov [rsp + GENERAL + 8 * 2], rcx
    mov [rsp + GENERAL + 8 * 3], rbx
    mov [rsp + GENERAL + 8 * 4], rsi
    mov [rsp + GENERAL + 8 * 5], rdi
    mov [rsp + GENERAL + 8 * 6], rbp
    mov [rsp + GENERAL + 8 * 8], r8
    mov [rsp + GENERAL + 8 * 9], r9
    mov [rsp + GENERAL + 8 * 10], r10
    mov [rsp + GENERAL + 8 * 12], r12
    mov [rsp + GENERAL + 8 * 13], r13
    mov [rsp + GENERAL + 8 * 14], r14
    mov [rsp + GENERAL + 8 * 15], r15
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups [rsp + VECTOR + 16 * \i], xmm\i
    .endr
    mov rbx, [r13 + CTX_CELL]
    mov [rbx + CELL_OP_SP], r11
    mov [rbx + CELL_OP_FP], rbp
    mov r11, [rsp + REGISTERS + 8]
    mov [rbx + CELL_OP_PC], r11
    mov [rsp], r11
    mov rdi, r13
    mov rsi, rsp
    call run_op_capture_c
    mov rdi, rbx
    mov rbx, [rsp + GENERAL + 8 * 3]
    add rsp, REGISTERS + 8
    cmp dword ptr [rdi + CELL_TRAP], 0
    jne run_leave
    ret
1:  mov rdi, r13
    RECORD
    jmp stack_exhausted
    .size run_op_capture, . - run_op_capture

    .section .note.GNU-stack, "", @progbits

#endif
