/* In-place radix-2 transform of complex numbers, forward and back. */

#include <math.h>

#include "kernel.h"

enum { ROUNDS = 120 };

struct complex {
    double re, im;
};

static struct complex product(struct complex a, struct complex b)
{
    struct complex r = {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    return r;
}

/* twiddle[k] = exp(-2 pi i k / n) for k < n / 2, from half angles: only square roots, so that every
 * machine gets the same bits. */
static void fill_twiddles(int n, struct complex *twiddle)
{
    struct complex root = {0.0, -1.0}; /* exp(-2 pi i / 4) */
    twiddle[0] = (struct complex){1.0, 0.0};
    for (int step = n / 4; step >= 1; step /= 2) {
        for (int k = 0; k < n / 2; k += 2 * step) {
            twiddle[k + step] = product(twiddle[k], root);
        }
        double c = sqrt((1.0 + root.re) / 2.0);
        root = (struct complex){c, root.im / (2.0 * c)};
    }
}

static void reverse_bits(int n, struct complex *data)
{
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            struct complex t = data[i];
            data[i] = data[j];
            data[j] = t;
        }
    }
}

static void transform(int n, struct complex *restrict data, const struct complex *restrict twiddle)
{
    reverse_bits(n, data);
    for (int half = 1; half < n; half *= 2) {
        int stride = n / (2 * half);
        for (int base = 0; base < n; base += 2 * half) {
            for (int k = 0; k < half; k++) {
                struct complex a = data[base + k];
                struct complex b = product(data[base + k + half], twiddle[k * stride]);
                data[base + k] = (struct complex){a.re + b.re, a.im + b.im};
                data[base + k + half] = (struct complex){a.re - b.re, a.im - b.im};
            }
        }
    }
}

static void conjugate_scale(int n, struct complex *data, double scale)
{
    for (int i = 0; i < n; i++) {
        data[i].re *= scale;
        data[i].im *= -scale;
    }
}

int main(int argc, char **argv)
{
    int log2n = kernel_size(argc, argv, 16);
    int n = 1 << log2n;
    struct complex *data = kernel_array((size_t)n, sizeof *data);
    struct complex *twiddle = kernel_array((size_t)n / 2, sizeof *twiddle);
    uint64_t seed = KERNEL_SEED;
    for (int i = 0; i < n; i++) {
        data[i].re = kernel_random_unit(&seed);
        data[i].im = kernel_random_unit(&seed);
    }
    fill_twiddles(n, twiddle);

    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        transform(n, data, twiddle);
        conjugate_scale(n, data, 1.0 / n);
        transform(n, data, twiddle);
        conjugate_scale(n, data, 1.0);
    }
    uint64_t end = kernel_clock();

    uint64_t sum = kernel_mix_doubles(0, &data[0].re, 2 * (size_t)n);
    free(data);
    free(twiddle);
    return kernel_report("fft", log2n, sum, start, end);
}
