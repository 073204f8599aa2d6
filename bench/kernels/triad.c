/* Memory bandwidth: a += b + s * c on long vectors. */

#include "kernel.h"

enum { ROUNDS = 160 };

static void triad(int n, double *restrict a, const double *restrict b, const double *restrict c,
                  double s)
{
    for (int i = 0; i < n; i++) {
        a[i] += b[i] + s * c[i];
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 2000000);
    double *a = kernel_array((size_t)n, sizeof *a);
    double *b = kernel_array((size_t)n, sizeof *b);
    double *c = kernel_array((size_t)n, sizeof *c);
    for (int i = 0; i < n; i++) {
        a[i] = 0.0;
        b[i] = 2.0 + i % 7;
        c[i] = 1.0 / (1 + i % 11);
    }

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        triad(n, a, b, c, 3.0);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, a, (size_t)n);
    free(a);
    free(b);
    free(c);
    return kernel_report("triad", n, sum, start, end);
}
