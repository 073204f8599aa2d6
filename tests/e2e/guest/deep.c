/* A tree of calls that computes for some seconds, with output on the way; a file is read along. The second
 * argument is how many rounds it makes. Exit code 7. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned long work(int depth, unsigned long x)
{
    if (depth == 0) {
        volatile unsigned long s = x;
        for (unsigned long i = 0; i < 1000000; i++)
            s = s * 6364136223846793005ul + i;
        return s;
    }
    unsigned long a = work(depth - 1, x + 1);
    double d = depth * 0.5;
    a ^= work(depth - 1, a) >> 3;
    return a + (unsigned long)d;
}

int main(int argc, char **argv)
{
    char line[64];
    FILE *in = argc > 1 ? fopen(argv[1], "r") : NULL;
    struct timespec before, after;
    int rounds = argc > 2 ? atoi(argv[2]) : 40;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int k = 0; k < rounds; k++) {
        printf("%d %lx", k, work(5, (unsigned long)k));
        if (in && fgets(line, sizeof line, in))
            printf(" %s", line);
        else
            printf("\n");
        fflush(stdout);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    return after.tv_sec < before.tv_sec ? 1 : 7;
}
