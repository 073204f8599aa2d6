#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary start; never goes back. Any thread. */
uint64_t clock_monotonic_ns(void);
/* Nanoseconds since the epoch. Any thread. */
uint64_t clock_realtime_ns(void);
/* Nanoseconds that the calling thread had a CPU, and that all threads of the process had one. */
uint64_t clock_process_cpu_ns(void);
uint64_t clock_thread_cpu_ns(void);

#endif
