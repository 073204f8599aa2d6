/* Wavefront: every point needs its left, upper and upper left neighbours. */

#include "kernel.h"

enum { SWEEPS = 200 };

static void sweep(int n, double *grid)
{
    for (int i = 1; i < n; i++) {
        for (int j = 1; j < n; j++) {
            grid[i * n + j] = grid[(i - 1) * n + j] + grid[i * n + j - 1] -
                              grid[(i - 1) * n + j - 1];
        }
    }
    grid[0] = -grid[n * n - 1];
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 1000);
    double *grid = kernel_array((size_t)n * (size_t)n, sizeof *grid);
    for (int i = 0; i < n; i++) {
        grid[i] = i;
        grid[i * n] = i;
    }

    uint64_t start = kernel_clock();
    for (int s = 0; s < SWEEPS; s++) {
        sweep(n, grid);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, grid, (size_t)n * (size_t)n);
    free(grid);
    return kernel_report("p2p", n, sum, start, end);
}
