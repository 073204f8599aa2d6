/* Sparse matrix times vector, compressed rows: a five-point grid plus random far entries. */

#include "kernel.h"

enum { PER_ROW = 9, ROUNDS = 60 };

struct matrix {
    int rows;
    int *row_start;
    int *col;
    double *value;
};

static void multiply(const struct matrix *m, const double *restrict x, double *restrict y)
{
    for (int i = 0; i < m->rows; i++) {
        double sum = 0.0;
        for (int k = m->row_start[i]; k < m->row_start[i + 1]; k++) {
            sum += m->value[k] * x[m->col[k]];
        }
        y[i] = sum;
    }
}

static void fill(struct matrix *m, int side)
{
    const int near[5] = {0, -1, 1, -side, side};
    uint64_t seed = KERNEL_SEED;
    int at = 0;
    for (int i = 0; i < m->rows; i++) {
        m->row_start[i] = at;
        for (int k = 0; k < PER_ROW; k++) {
            int col = k < 5 ? i + near[k] : (int)(kernel_random(&seed) % (uint64_t)m->rows);
            if (col >= 0 && col < m->rows) {
                m->col[at] = col;
                m->value[at++] = 0.2 * kernel_random_unit(&seed);
            }
        }
    }
    m->row_start[m->rows] = at;
}

int main(int argc, char **argv)
{
    int side = kernel_size(argc, argv, 500);
    int rows = side * side;
    struct matrix m = {
        .rows = rows,
        .row_start = kernel_array((size_t)rows + 1, sizeof(int)),
        .col = kernel_array((size_t)rows * PER_ROW, sizeof(int)),
        .value = kernel_array((size_t)rows * PER_ROW, sizeof(double)),
    };
    fill(&m, side);
    double *x = kernel_array((size_t)rows, sizeof *x);
    double *y = kernel_array((size_t)rows, sizeof *y);
    for (int i = 0; i < rows; i++) {
        x[i] = 1.0 + i % 5;
    }

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        multiply(&m, x, y);
        multiply(&m, y, x);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, x, (size_t)rows);
    free(m.row_start);
    free(m.col);
    free(m.value);
    free(x);
    free(y);
    return kernel_report("spmv", side, sum, start, end);
}
