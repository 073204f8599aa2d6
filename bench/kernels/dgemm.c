/* Blocked matrix product, blocks copied next to each other. */

#include "kernel.h"

enum { BLOCK = 32, ROUNDS = 16 };

typedef double block_t[BLOCK][BLOCK];

static void block_load(int n, const double *restrict m, int row, int col, block_t b)
{
    for (int i = 0; i < BLOCK; i++) {
        for (int j = 0; j < BLOCK; j++) {
            b[i][j] = m[(row + i) * n + col + j];
        }
    }
}

static void block_multiply(block_t a, block_t b, block_t c)
{
    for (int i = 0; i < BLOCK; i++) {
        for (int k = 0; k < BLOCK; k++) {
            for (int j = 0; j < BLOCK; j++) {
                c[i][j] += a[i][k] * b[k][j];
            }
        }
    }
}

static void block_add(int n, double *restrict m, int row, int col, block_t b)
{
    for (int i = 0; i < BLOCK; i++) {
        for (int j = 0; j < BLOCK; j++) {
            m[(row + i) * n + col + j] += b[i][j];
            b[i][j] = 0.0;
        }
    }
}

static void dgemm(int n, const double *restrict a, const double *restrict b, double *restrict c)
{
    static block_t ab, bb, cb;
    for (int k = 0; k < n; k += BLOCK) {
        for (int j = 0; j < n; j += BLOCK) {
            block_load(n, b, k, j, bb);
            for (int i = 0; i < n; i += BLOCK) {
                block_load(n, a, i, k, ab);
                block_multiply(ab, bb, cb);
                block_add(n, c, i, j, cb);
            }
        }
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 640) / BLOCK * BLOCK;
    size_t count = (size_t)n * (size_t)n;
    double *a = kernel_array(count, sizeof *a);
    double *b = kernel_array(count, sizeof *b);
    double *c = kernel_array(count, sizeof *c);
    uint64_t seed = KERNEL_SEED;
    for (size_t i = 0; i < count; i++) {
        a[i] = kernel_random_unit(&seed);
        b[i] = kernel_random_unit(&seed);
    }

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        dgemm(n, a, b, c);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, c, count);
    free(a);
    free(b);
    free(c);
    return kernel_report("dgemm", n, sum, start, end);
}
