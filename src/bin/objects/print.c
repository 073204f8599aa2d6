#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "objects.h"
#include "sys/clock.h"

#define SECOND_NS 1000000000ULL
enum { SHOWS_PER_SECOND = 5, NAME_COLUMNS = 40 };

void progress_start(struct progress *p, const char *name, uint64_t total, bool quiet)
{
    *p = (struct progress){.total = total,
                           .started_ns = clock_monotonic_ns(),
                           .on = !quiet && isatty(STDERR_FILENO) == 1};
    snprintf(p->name, sizeof p->name, "%s", name);
    text_hide_controls(p->name);
}

static void show(struct progress *p, uint64_t now_ns)
{
    double seconds = (double)(now_ns - p->started_ns) / 1e9;
    double rate = (double)p->done / seconds, mib = 1048576.0;
    p->shown = true;
    p->shown_ns = now_ns;
    fprintf(stderr, "\r%-*.*s %10.1f MiB %8.1f MiB/s", NAME_COLUMNS, NAME_COLUMNS, p->name,
            (double)p->done / mib, rate / mib);
    if (p->total != UINT64_MAX && p->total > 0 && rate > 0) {
        fprintf(stderr, " %3.0f %% %6.0f s left", 100.0 * (double)p->done / (double)p->total,
                (double)(p->total - p->done) / rate);
    }
    fflush(stderr);
}

void progress_add(struct progress *p, uint64_t bytes)
{
    p->done += bytes;
    if (p->on) {
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns - p->started_ns > SECOND_NS &&
            now_ns - p->shown_ns > SECOND_NS / SHOWS_PER_SECOND) {
            show(p, now_ns);
        }
    }
}

void progress_end(struct progress *p)
{
    if (p->shown) {
        show(p, clock_monotonic_ns());
        fputc('\n', stderr);
    }
}

void print_text(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
        if (*s < 0x20 || *s == 0x7f) {
            printf("\\x%02x", *s);
        } else if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0) {
            printf("\\xc2\\x%02x", *++s);
        } else {
            putchar(*s);
        }
    }
}

void format_time(uint64_t ns, char ret_text[TIME_BYTES])
{
    struct tm tm;
    time_t seconds = (time_t)(ns / SECOND_NS);
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(ret_text, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        ret_text[0] = '\0';
    }
}
