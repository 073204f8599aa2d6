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

    .section .note.GNU-stack, "", @progbits

#endif
