// Calendar time and clocks.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock)
{
    struct timespec ts;

    return clock_gettime(clock, &ts) == 0 ? (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9 : -1;
}

int main(void)
{
    static const time_t at[] = {0, 951782400, 1234567890, -1, 4102444800};
    char buf[100];
    struct tm tm;
    struct rusage usage;
    struct tms tms;

    for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++) {
        gmtime_r(&at[i], &tm);
        strftime(buf, sizeof buf, "%Y-%m-%d %H:%M:%S %a %j %U %y %p", &tm);
        printf("%s %d\n", buf, timegm(&tm) == at[i]);
    }
    memset(&tm, 0, sizeof tm);
    printf("%d\n", strptime("2024-02-29 12:34:56", "%Y-%m-%d %H:%M:%S", &tm) != NULL);
    tm.tm_mday += 1;
    printf("%lld %d %d\n", (long long)mktime(&tm), tm.tm_mon, tm.tm_mday);
    printf("%s", asctime(&tm));
    printf("%d\n", time(NULL) > 1700000000);

    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    clock_t start = clock();
    struct timespec nap = {0, 50000000};

    nanosleep(&nap, NULL);
    // Node counts a timeout in whole milliseconds, and may end it up to one early.
    printf("slept %d\n", seconds(CLOCK_MONOTONIC) - wall >= 0.049);
    volatile double x = 1;
    while (clock() - start < CLOCKS_PER_SEC / 50)
        for (int i = 0; i < 1000; i++)
            x = x * 1.0000001;
    printf("cpu %d %d\n", seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu >= 0.015, CLOCKS_PER_SEC == 1000000);
    int used = getrusage(RUSAGE_SELF, &usage);
    // A kernel that counts ticks may take all of it for the system's.
    printf("%d %d\n", used, usage.ru_utime.tv_sec + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec > 0);
    printf("%d\n", times(&tms) != (clock_t)-1);
    return 0;
}
