#include "ops.h"

/* The stubs of enter_*.S. */
__attribute__((noreturn)) void run_op_trap(void *ctx, uint32_t trap);
uint32_t run_op_poll(void *ctx);
uint32_t run_op_memory_grow(void *ctx, uint32_t mem, uint32_t delta_pages);
void run_op_memory_copy(void *ctx, uint32_t dst_mem, uint32_t src_mem, uint32_t d, uint32_t s,
                        uint32_t n);
void run_op_memory_fill(void *ctx, uint32_t mem, uint32_t d, uint32_t value, uint32_t n);
void run_op_memory_init(void *ctx, uint32_t mem, uint32_t data, uint32_t d, uint32_t s, uint32_t n);
void run_op_data_drop(void *ctx, uint32_t data);
void *run_op_table_get(void *ctx, uint32_t table, uint32_t i);
void run_op_table_set(void *ctx, uint32_t table, uint32_t i, void *ref);
uint32_t run_op_table_grow(void *ctx, uint32_t table, void *init, uint32_t n);
void run_op_table_fill(void *ctx, uint32_t table, uint32_t i, void *ref, uint32_t n);
void run_op_table_copy(void *ctx, uint32_t dst, uint32_t src, uint32_t d, uint32_t s, uint32_t n);
void run_op_table_init(void *ctx, uint32_t table, uint32_t elem, uint32_t d, uint32_t s,
                       uint32_t n);
void run_op_elem_drop(void *ctx, uint32_t elem);
struct abi_exn *run_op_exn_new(void *ctx, const void *tag, uint32_t count);
uint32_t run_op_atomic_wait32(void *ctx, uint32_t mem, uint64_t addr, uint32_t expected,
                              int64_t timeout_ns);
uint32_t run_op_atomic_wait64(void *ctx, uint32_t mem, uint64_t addr, uint64_t expected,
                              int64_t timeout_ns);
uint32_t run_op_atomic_notify(void *ctx, uint32_t mem, uint64_t addr, uint32_t count);
void run_op_throw_exn(void *ctx, struct abi_exn *exn);
void run_op_caught(void *ctx);
void run_op_capture(void);
void run_op_frame(void *ctx, const struct abi_site *site, uint32_t kind, const uint8_t *locals,
                  uint32_t stride, const union cell_value *operands);
const struct abi_record *run_op_record(void *ctx);
uint32_t run_op_enter(void *ctx, const struct abi_ways *ways, uint8_t *locals, uint32_t stride,
                      union cell_value *operands);
void *run_op_resume(void *ctx, union cell_value *io, void **ret_ctx);

static const struct abi_ops ops = {
    .trap = run_op_trap,
    .poll = run_op_poll,
    .memory_grow = run_op_memory_grow,
    .memory_copy = run_op_memory_copy,
    .memory_fill = run_op_memory_fill,
    .memory_init = run_op_memory_init,
    .data_drop = run_op_data_drop,
    .table_get = run_op_table_get,
    .table_set = run_op_table_set,
    .table_grow = run_op_table_grow,
    .table_fill = run_op_table_fill,
    .table_copy = run_op_table_copy,
    .table_init = run_op_table_init,
    .elem_drop = run_op_elem_drop,
    .exn_new = run_op_exn_new,
    .atomic_wait32 = run_op_atomic_wait32,
    .atomic_wait64 = run_op_atomic_wait64,
    .atomic_notify = run_op_atomic_notify,
    .throw_exn = run_op_throw_exn,
    .caught = run_op_caught,
    .capture = run_op_capture,
    .frame = run_op_frame,
    .record = run_op_record,
    .enter = run_op_enter,
    .resume = run_op_resume,
};

const struct abi_ops *run_ops(void)
{
    return &ops;
}
