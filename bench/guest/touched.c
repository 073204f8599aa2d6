/* Touches as many MiB as its argument says, says so, then writes a line whenever its clock has gone on by a millisecond.
 * The pages are all different. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 1) << 20;
    uint64_t *p = malloc(bytes), seed = 88172645463325252u;
    if (!p)
        return 1;
    for (size_t i = 0; i < bytes / 8; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        p[i] = seed;
    }
    printf("touched\n");
    fflush(stdout);
    for (uint64_t last = now_ns();;) {
        uint64_t t = now_ns();
        p[t % (bytes / 8)] ^= t;
        if (t - last < 1000000)
            continue;
        printf("%llu\n", (unsigned long long)t);
        fflush(stdout);
        last = t;
    }
}
