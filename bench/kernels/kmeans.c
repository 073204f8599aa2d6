/* Lloyd's algorithm on points in eight dimensions. */

#include "kernel.h"

enum { DIMS = 8, CLUSTERS = 16, ROUNDS = 60 };

static double distance2(const double *a, const double *b)
{
    double sum = 0.0;
    for (int d = 0; d < DIMS; d++) {
        double diff = a[d] - b[d];
        sum += diff * diff;
    }
    return sum;
}

static void assign(int n, const double *restrict points, const double *restrict centres,
                   int *restrict owner)
{
    for (int i = 0; i < n; i++) {
        double best = distance2(&points[i * DIMS], centres);
        owner[i] = 0;
        for (int c = 1; c < CLUSTERS; c++) {
            double d2 = distance2(&points[i * DIMS], &centres[c * DIMS]);
            if (d2 < best) {
                best = d2;
                owner[i] = c;
            }
        }
    }
}

static void update(int n, const double *restrict points, const int *restrict owner,
                   double *restrict centres)
{
    int count[CLUSTERS] = {0};
    double sum[CLUSTERS][DIMS] = {{0}};
    for (int i = 0; i < n; i++) {
        count[owner[i]]++;
        for (int d = 0; d < DIMS; d++) {
            sum[owner[i]][d] += points[i * DIMS + d];
        }
    }
    for (int c = 0; c < CLUSTERS; c++) {
        for (int d = 0; d < DIMS && count[c] > 0; d++) {
            centres[c * DIMS + d] = sum[c][d] / count[c];
        }
    }
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 120000);
    double *points = kernel_array((size_t)n * DIMS, sizeof *points);
    double *centres = kernel_array((size_t)CLUSTERS * DIMS, sizeof *centres);
    int *owner = kernel_array((size_t)n, sizeof *owner);
    uint64_t seed = KERNEL_SEED;
    for (int i = 0; i < n * DIMS; i++) {
        points[i] = kernel_random_unit(&seed) + (i / DIMS) % 5;
    }
    for (int i = 0; i < CLUSTERS * DIMS; i++) {
        centres[i] = points[i];
    }

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        assign(n, points, centres, owner);
        update(n, points, owner, centres);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, centres, (size_t)CLUSTERS * DIMS);
    for (int i = 0; i < n; i++) {
        sum = kernel_mix(sum, (uint64_t)owner[i]);
    }
    free(points);
    free(centres);
    free(owner);
    return kernel_report("kmeans", n, sum, start, end);
}
