/* Touches as many MiB as its first argument says and says so. With a second one, it goes on to write to so many different
 * pages a second, evenly; without, to as many as each line of its input says, and answers each with a line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE = 4096, BURST_NS = 1000000 };

static unsigned char *memory;
static size_t pages, next_page;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Pages far from each other: 7919 is prime. */
static void dirty(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        next_page = (next_page + 7919) % pages;
        *(uint64_t *)(memory + next_page * PAGE) += 1;
    }
}

static void dirty_for_ever(double per_second)
{
    uint64_t start = now_ns(), done = 0;
    for (;;) {
        uint64_t now = now_ns(), due = (uint64_t)((double)(now - start) / 1e9 * per_second);
        if (due > done) {
            dirty((size_t)(due - done));
            done = due;
        }
        struct timespec nap = {.tv_nsec = BURST_NS};
        nanosleep(&nap, NULL);
    }
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)(argc > 1 ? atoi(argv[1]) : 1) << 20;
    uint64_t seed = 88172645463325252u;
    memory = aligned_alloc(PAGE, bytes);
    if (!memory)
        return 1;
    pages = bytes / PAGE;
    for (size_t i = 0; i < bytes / 8; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        memcpy(memory + i * 8, &seed, 8);
    }
    printf("touched\n");
    fflush(stdout);
    if (argc > 2)
        dirty_for_ever(atof(argv[2]));
    for (char line[32]; fgets(line, sizeof line, stdin);) {
        dirty((size_t)atol(line));
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
