/* Deep and wide recursion: Fibonacci, Ackermann and Takeuchi. */

#include "kernel.h"

static int fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static int ack(int m, int n)
{
    if (m == 0) {
        return n + 1;
    }
    return n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1));
}

static int tak(int x, int y, int z)
{
    return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

int main(int argc, char **argv)
{
    int n = kernel_size(argc, argv, 39);

    uint64_t start = kernel_clock();
    uint64_t sum = (uint64_t)fib(n);
    sum = kernel_mix(sum, (uint64_t)ack(3, n - 29));
    sum = kernel_mix(sum, (uint64_t)tak(n - 16, n - 24, n - 32));
    uint64_t end = kernel_clock();

    return kernel_report("recursion", n, sum, start, end);
}
