/* Changes files in every way, and says so: the same files and output whenever it runs undisturbed. With a standard
 * input that has ended it is fast; with one that gives nothing, it leaves time for what is done to it, more and more
 * behind the first FAST_STEPS. writes STEPS. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLE_BYTES = 1 << 20, MEMORY_WORDS = 1 << 20, FAST_STEPS = 50, PAUSE_MS = 10 };

static unsigned seed = 1;
static unsigned memory[MEMORY_WORDS];

static unsigned any(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void must(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

/* As programs replace files. */
static void replace(int step)
{
    FILE *f = fopen("state.new", "w");
    must(f != NULL, "state.new");
    fprintf(f, "%d %u\n", step, seed);
    must(fclose(f) == 0 && rename("state.new", "state") == 0, "state");
}

static void names(int step)
{
    char name[32], other[32];
    snprintf(name, sizeof name, "dir/%u", any(8));
    snprintf(other, sizeof other, "dir/%u", any(8));
    FILE *f = fopen(name, step % 3 ? "a" : "w");
    must(f != NULL, name);
    fprintf(f, "step %d\n", step);
    must(fclose(f) == 0, name);
    if (step % 5 == 0) {
        unlink(other);
    } else if (step % 5 == 1) {
        rename(other, name);
    } else if (step % 7 == 2) {
        rmdir("empty");
    } else if (step % 7 == 3) {
        mkdir("empty", 0755);
    }
}

static void work(void)
{
    for (int i = 0; i < 4000000; i++) {
        memory[any(4096)] += seed;
    }
}

/* Until standard input has something or has ended, PAUSE_MS longer in each step. */
static void leave_time(int step)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    must(poll(&input, 1, PAUSE_MS * (step - FAST_STEPS)) >= 0, "poll");
}

int main(int argc, char **argv)
{
    char block[3000];
    int steps = argc > 1 ? atoi(argv[1]) : 100;
    int table = open("table", O_RDWR | O_CREAT, 0644);
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    must(table >= 0 && log >= 0, "table");
    must(mkdir("dir", 0755) == 0, "dir");
    must(ftruncate(table, TABLE_BYTES) == 0, "table");
    for (int i = 0; i < MEMORY_WORDS; i++) {
        memory[i] = any(1u << 20);
    }
    for (int step = 0; step < steps; step++) {
        memset(block, 'a' + step % 26, sizeof block);
        must(pwrite(table, block, sizeof block, any(TABLE_BYTES)) == sizeof block, "table");
        must(dprintf(log, "step %d %u\n", step, seed) > 0, "log");
        if (step % 10 == 9) {
            must(ftruncate(table, TABLE_BYTES / 2 + any(TABLE_BYTES)) == 0, "table");
        }
        replace(step);
        names(step);
        work();
        if (step >= FAST_STEPS) {
            leave_time(step);
        }
        printf("step %d %x\n", step, memory[any(4096)]);
        fflush(stdout);
    }
    unsigned sum = 0;
    for (int i = 0; i < MEMORY_WORDS; i++) {
        sum = sum * 31 + memory[i];
    }
    printf("end %x\n", sum);
    return 9;
}
