/* Escape times of the Mandelbrot set. */

#include "kernel.h"

enum { ITERATIONS = 1000 };

static int escape_time(double cr, double ci)
{
    double x = 0.0;
    double y = 0.0;
    int i = 0;
    while (i < ITERATIONS && x * x + y * y <= 4.0) {
        double t = x * x - y * y + cr;
        y = 2.0 * x * y + ci;
        x = t;
        i++;
    }
    return i;
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 900);
    int *image = kernel_array((size_t)n * (size_t)n, sizeof *image);

    uint64_t start = kernel_clock();
    for (int row = 0; row < n; row++) {
        for (int col = 0; col < n; col++) {
            image[row * n + col] = escape_time(3.0 * col / n - 2.2, 3.0 * row / n - 1.5);
        }
    }
    uint64_t end = kernel_clock();

    uint64_t sum = 0;
    for (int i = 0; i < n * n; i++) {
        sum = kernel_mix(sum, (uint64_t)image[i]);
    }
    free(image);
    return kernel_report("mandelbrot", n, sum, start, end);
}
