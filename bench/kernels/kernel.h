#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

/* What every kernel shares: its size argument, its clock, and the two lines it prints. The same source is
 * built natively and as a cell; standard output must be equal bit for bit, the time goes to standard error. */

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t kernel_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The first argument as a number, or fallback; ends the program for anything else. */
static inline int kernel_size(int argc, char **argv, int fallback)
{
    if (argc < 2) {
        return fallback;
    }
    long n = 0;
    for (const char *p = argv[1]; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || n > 100000000) {
            fprintf(stderr, "%s: the size must be a number\n", argv[0]);
            exit(64);
        }
        n = n * 10 + (*p - '0');
    }
    return (int)n;
}

/* Zeroed memory for count elements; ends the program when there is none. */
static inline void *kernel_array(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

/* xorshift64*: the same stream of numbers everywhere. */
static inline uint64_t kernel_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform in [0, 1). */
static inline double kernel_random_unit(uint64_t *state)
{
    return (double)(kernel_random(state) >> 11) * 0x1p-53;
}

enum { KERNEL_SEED = 20240229 };

static inline uint64_t kernel_mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ (sum >> 29);
}

static inline uint64_t kernel_mix_doubles(uint64_t sum, const double *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        union {
            double f;
            uint64_t bits;
        } u = {v[i]};
        sum = kernel_mix(sum, u.bits);
    }
    return sum;
}

static inline uint64_t kernel_mix_bytes(uint64_t sum, const uint8_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = kernel_mix(sum, v[i]);
    }
    return sum;
}

/* Print the result, and the time from start_ns until end_ns. */
static inline int kernel_report(const char *name, int size, uint64_t sum, uint64_t start_ns,
                                uint64_t end_ns)
{
    printf("%s %d %016" PRIx64 "\n", name, size, sum);
    fprintf(stderr, "time_ns %" PRIu64 "\n", end_ns - start_ns);
    return 0;
}

#endif
