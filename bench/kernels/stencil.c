/* Star-shaped stencil of radius 2 on a square grid. */

#include "kernel.h"

enum { RADIUS = 2, SWEEPS = 240 };

static void apply(int n, const double *restrict in, double *restrict out, const double *weight)
{
    for (int i = RADIUS; i < n - RADIUS; i++) {
        for (int j = RADIUS; j < n - RADIUS; j++) {
            double sum = 0.0;
            for (int k = 1; k <= RADIUS; k++) {
                sum += weight[k] * (in[i * n + j + k] - in[i * n + j - k]);
                sum += weight[k] * (in[(i + k) * n + j] - in[(i - k) * n + j]);
            }
            out[i * n + j] += sum;
        }
    }
}

static void add_one(int count, double *grid)
{
    for (int i = 0; i < count; i++) {
        grid[i] += 1.0;
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 1000);
    double *in = kernel_array((size_t)n * (size_t)n, sizeof *in);
    double *out = kernel_array((size_t)n * (size_t)n, sizeof *out);
    double weight[RADIUS + 1] = {0};
    for (int k = 1; k <= RADIUS; k++) {
        weight[k] = 0.25 / k;
    }
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            in[i * n + j] = 0.5 * i + 0.25 * j;
        }
    }

    uint64_t start = kernel_clock();
    for (int s = 0; s < SWEEPS; s++) {
        apply(n, in, out, weight);
        add_one(n * n, in);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, out, (size_t)n * (size_t)n);
    free(in);
    free(out);
    return kernel_report("stencil", n, sum, start, end);
}
