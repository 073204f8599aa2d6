/* Sleeps for two seconds, then repeats its input. Exit code 5. */
#include <stdio.h>
#include <time.h>

int main(void)
{
    struct timespec before, after, pause = {2, 0};
    char line[100];
    clock_gettime(CLOCK_MONOTONIC, &before);
    printf("sleeping\n");
    fflush(stdout);
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double slept = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
    printf("slept %s\n", slept >= 2 ? "right" : "too short");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        printf("got %s", line);
        fflush(stdout);
    }
    printf("end\n");
    return 5;
}
