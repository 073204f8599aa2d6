/* Included before musl's locks: their futex calls, of which only wait and wake exist. A requeue wakes the waiter
 * instead, which then waits for the mutex itself. Locks shared between processes are ordinary ones. */
#ifndef CLOUDSKIN_LIBC_THREADS_INTERNAL_H
#define CLOUDSKIN_LIBC_THREADS_INTERNAL_H

#define SYS_futex 1
#define SYS_set_robust_list 2
#define __syscall(number, ...) __cloudskin_futex_##number(__VA_ARGS__, 0, 0)
#define __cloudskin_futex_SYS_futex(addr, op, val, ...) __cloudskin_futex((int *)(addr), (op), (val))
#define __cloudskin_futex_SYS_set_robust_list(...) 0

static inline int __cloudskin_futex(int *addr, int op, int val)
{
    switch (op & ~128) {
    case 0: /* FUTEX_WAIT */
        __builtin_wasm_memory_atomic_wait32(addr, val, -1);
        return 0;
    case 3: /* FUTEX_REQUEUE */
        __builtin_wasm_memory_atomic_notify(addr, 1);
        return 0;
    default:
        return -52; /* ENOSYS */
    }
}

static inline void __vm_wait(void)
{
}

static inline void __vm_lock(void)
{
}

static inline void __vm_unlock(void)
{
}

#endif
