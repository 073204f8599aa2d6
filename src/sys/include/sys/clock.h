#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

/* Nanoseconds since an arbitrary start; never goes back. Any thread. */
uint64_t clock_monotonic_ns(void);
/* CPU time that the calling thread has used. */
uint64_t clock_thread_cpu_ns(void);
/* CPU time of all threads of this process. */
uint64_t clock_process_cpu_ns(void);

#endif
