/* Time zones as rules. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void show(const char *zone)
{
    static const time_t when[] = {0, 951782400, 1111885199, 1111885200, 1130633999, 1130634000, 1720000000, 4102444800};
    char text[80];

    setenv("TZ", zone, 1);
    tzset();
    printf("%s: %s %s %ld %d\n", zone, tzname[0], daylight ? tzname[1] : "", timezone, daylight);
    for (size_t i = 0; i < sizeof when / sizeof *when; i++) {
        struct tm tm = *localtime(&when[i]);

        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z %z %j %u", &tm);
        printf("  %s %d %ld %d\n", text, tm.tm_isdst, (long)tm.tm_gmtoff, mktime(&tm) == when[i]);
    }
}

int main(void)
{
    show("UTC0");
    show("CET-1CEST,M3.5.0,M10.5.0/3");
    show("EST5EDT,M3.2.0,M11.1.0");
    show("<+0330>-3:30");
    show("NZST-12NZDT,M9.5.0,M4.1.0/3");
    show("XXX3YYY,J60/0,J300/0");
    return 0;
}
