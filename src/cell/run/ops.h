#ifndef CELL_RUN_OPS_H
#define CELL_RUN_OPS_H

#include "cell.h"

/* The table that every context points at. Its functions are the stubs of enter_*.S, which check the stack, record
 * the caller's registers in the cell, call the C function behind them and leave when that set cell.trap: so
 * no C frame is ever abandoned. */
const struct abi_ops *run_ops(void);

/* Enter the guest on the cell's stack: entry(base, code, io). 0 when it returned, 1 when it left by a trap. */
int run_enter(struct cell *c, void *stack_top, const void *entry, void *base, const void *code,
              union cell_value *io);
/* Where a fault continues on the host's stack, with the cell in the first argument register. */
void run_leave(struct cell *c) __attribute__((noreturn));

/* The C side, one per op but trap. */
uint32_t run_op_poll_c(void *ctx);
uint32_t run_op_memory_grow_c(void *ctx, uint32_t mem, uint32_t delta_pages);
void run_op_memory_copy_c(void *ctx, uint32_t dst_mem, uint32_t src_mem, uint32_t d, uint32_t s,
                          uint32_t n);
void run_op_memory_fill_c(void *ctx, uint32_t mem, uint32_t d, uint32_t value, uint32_t n);
void run_op_memory_init_c(void *ctx, uint32_t mem, uint32_t data, uint32_t d, uint32_t s,
                          uint32_t n);
void run_op_data_drop_c(void *ctx, uint32_t data);
void *run_op_table_get_c(void *ctx, uint32_t table, uint32_t i);
void run_op_table_set_c(void *ctx, uint32_t table, uint32_t i, void *ref);
uint32_t run_op_table_grow_c(void *ctx, uint32_t table, void *init, uint32_t n);
void run_op_table_fill_c(void *ctx, uint32_t table, uint32_t i, void *ref, uint32_t n);
void run_op_table_copy_c(void *ctx, uint32_t dst, uint32_t src, uint32_t d, uint32_t s, uint32_t n);
void run_op_table_init_c(void *ctx, uint32_t table, uint32_t elem, uint32_t d, uint32_t s,
                         uint32_t n);
void run_op_elem_drop_c(void *ctx, uint32_t elem);
struct abi_exn *run_op_exn_new_c(void *ctx, const void *tag, uint32_t count);
uint32_t run_op_atomic_wait32_c(void *ctx, uint32_t mem, uint64_t addr, uint32_t expected,
                                int64_t timeout_ns);
uint32_t run_op_atomic_wait64_c(void *ctx, uint32_t mem, uint64_t addr, uint64_t expected,
                                int64_t timeout_ns);
uint32_t run_op_atomic_notify_c(void *ctx, uint32_t mem, uint64_t addr, uint32_t count);
void run_op_throw_exn_c(void *ctx, struct abi_exn *exn);
void run_op_caught_c(void *ctx);
void run_op_capture_c(void *ctx, const struct abi_registers *regs);
void run_op_frame_c(void *ctx, const struct abi_site *site, uint32_t kind, const uint8_t *locals,
                    uint32_t stride, const union cell_value *operands);
const struct abi_record *run_op_record_c(void *ctx);
uint32_t run_op_enter_c(void *ctx, const struct abi_ways *ways, uint8_t *locals, uint32_t stride,
                        union cell_value *operands);
void *run_op_resume_c(void *ctx, union cell_value *io, void **ret_ctx);

/* The initialisations themselves. false: out of bounds, nothing was written. poll: context to poll between pieces,
 * which ends the work early when the guest has to unwind; NULL: no polls, for segments of a new instance. */
bool run_memory_init(struct instance *inst, uint32_t mem, uint32_t data, uint32_t d, uint32_t s,
                     uint32_t n, void *poll);
bool run_table_init_from(struct instance *inst, uint32_t table, uint32_t elem, uint32_t d,
                         uint32_t s, uint32_t n, void *poll);

#endif
