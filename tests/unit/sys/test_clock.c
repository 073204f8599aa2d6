#include "sys/clock.h"

#include "check.h"

static void the_monotonic_clock_never_goes_back(void)
{
    uint64_t last = clock_monotonic_ns();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_monotonic_ns();
        CHECK(now >= last);
        last = now;
    }
}

static void the_cpu_clock_advances_with_work(void)
{
    uint64_t thread = clock_thread_cpu_ns();
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 3000000; i++) {
        sum += i;
    }
    CHECK(clock_thread_cpu_ns() > thread);
}

int main(void)
{
    RUN(the_monotonic_clock_never_goes_back);
    RUN(the_cpu_clock_advances_with_work);
    return CHECK_DONE();
}
