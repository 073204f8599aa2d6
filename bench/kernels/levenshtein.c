/* Edit distance of two long strings, one row of the table at a time. */

#include "kernel.h"

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, int na, const char *b, int nb, int *row)
{
    for (int j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(replace, 1 + smaller(row[j], row[j - 1]));
        }
    }
    return row[nb];
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 20000);
    char *a = kernel_array((size_t)n, 1);
    char *b = kernel_array((size_t)n, 1);
    int *row = kernel_array((size_t)n + 1, sizeof *row);
    uint64_t seed = KERNEL_SEED;
    for (int i = 0; i < n; i++) {
        a[i] = (char)('a' + kernel_random(&seed) % 4);
        b[i] = kernel_random(&seed) % 8 == 0 ? 'x' : a[i];
    }

    uint64_t start = kernel_clock();
    int d = distance(a, n, b, n, row);
    uint64_t end = kernel_clock();

    uint64_t sum = (uint64_t)d;
    for (int j = 0; j <= n; j++) {
        sum = kernel_mix(sum, (uint64_t)row[j]);
    }
    free(a);
    free(b);
    free(row);
    return kernel_report("levenshtein", n, sum, start, end);
}
