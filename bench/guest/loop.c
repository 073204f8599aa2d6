/* An endless loop that calls nothing and touches no memory: xorshift never comes to zero. */
#include <stdint.h>

int main(void)
{
    for (uint64_t x = 88172645463325252u;;) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (x == 0)
            return 1;
    }
}
