/* Tiled transpose: b += transpose(a), a += 1. */

#include "kernel.h"

enum { TILE = 32, ROUNDS = 60 };

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void transpose(int n, double *restrict a, double *restrict b)
{
    for (int it = 0; it < n; it += TILE) {
        for (int jt = 0; jt < n; jt += TILE) {
            for (int i = it; i < smaller(n, it + TILE); i++) {
                for (int j = jt; j < smaller(n, jt + TILE); j++) {
                    b[i * n + j] += a[j * n + i];
                    a[j * n + i] += 1.0;
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 1200);
    double *a = kernel_array((size_t)n * (size_t)n, sizeof *a);
    double *b = kernel_array((size_t)n * (size_t)n, sizeof *b);
    for (int i = 0; i < n * n; i++) {
        a[i] = i;
    }

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        transpose(n, a, b);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, b, (size_t)n * (size_t)n);
    free(a);
    free(b);
    return kernel_report("transpose", n, sum, start, end);
}
