// Large objects begin at cache lines of 64 bytes: static ones, those of malloc and its family from fresh memory, and
// those that take the place of freed ones of their size, without more memory.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 64, BLOCKS = 1000, BYTES = 5000 };

static char odd_before[3];
static double zeroed[100];
static char odd_between[5];
static double given[100] = {1, 2, 3};
static const short fixed[300] = {1, 2, 3};
static _Alignas(256) char wider[300];

static unsigned seen;

static void at_line(const char *what, const void *p)
{
    if ((uintptr_t)p % LINE)
        printf("%s: %u behind a line\n", what, (unsigned)((uintptr_t)p % LINE));
    seen++;
}

static int is_zero(const char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

int main(int argc, char **argv)
{
    static void *block[BLOCKS];
    void *end;
    char *p;

    (void)argv;
    odd_before[argc] = odd_between[argc] = wider[argc] = 1;
    at_line("zeroed", zeroed);
    at_line("given", given);
    at_line("const", fixed);
    if ((uintptr_t)wider % 256)
        puts("an alignment that was asked for is lost");

    for (int i = 0; i < BLOCKS; i++) {
        if (i % 3 == 0)
            (void)malloc(20 + (size_t)i); /* so that the end of the heap is anywhere */
        p = block[i] = i % 2 ? malloc(BYTES) : calloc(1, BYTES);
        at_line("block", p);
        if (i % 2 == 0 && !is_zero(p, BYTES))
            puts("calloc: not zero");
        memset(p, 255, BYTES);
    }
    end = sbrk(0);
    for (int round = 0; round < 3; round++) {
        for (int i = round; i < BLOCKS; i += 2)
            free(block[i]);
        for (int i = round; i < BLOCKS; i += 2) {
            p = block[i] = calloc(1, BYTES);
            at_line("block again", p);
            if (!is_zero(p, BYTES))
                puts("calloc again: not zero");
            memset(p, 255, BYTES);
        }
    }
    if (sbrk(0) != end)
        puts("memory grew by blocks that had room");

    p = malloc(BYTES);
    (void)malloc(20);
    memset(p, 7, BYTES);
    p = realloc(p, 9 * BYTES); /* it cannot grow where it is */
    at_line("realloc", p);
    if (memcmp(p, p + 1, BYTES - 1) || p[0] != 7)
        puts("realloc: another content");
    printf("%u objects\n", seen);
    return 0;
}
