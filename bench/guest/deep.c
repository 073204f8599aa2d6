/* Goes down as many calls as its argument says (default 10000) and up again, for ever. */
#include <stdint.h>
#include <stdlib.h>

static uint64_t down(uint64_t n, uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    if (n == 0)
        return x;
    uint64_t below = down(n - 1, x);
    return (below ^ n) + x;
}

int main(int argc, char **argv)
{
    uint64_t depth = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000, sum = 1;
    for (;;)
        sum = down(depth, sum | 1);
}
