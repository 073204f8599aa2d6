/* Changes files in every way, a step for each byte of standard input (and its end): steps STEPS. After each step a line
 * on standard output, then the byte 7 on standard error. The same files and output whenever it runs undisturbed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLE_BYTES = 200000, MEMORY_WORDS = 1 << 16 };

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

static void text(const char *name, const char *mode, int step)
{
    FILE *f = fopen(name, mode);
    must(f != NULL, name);
    fprintf(f, "step %d of %s\n", step, name);
    must(fclose(f) == 0, name);
}

/* Made, written to, renamed and removed, at different steps. */
static void names(int step)
{
    text("dir/all", "a", step);
    text("dir/fresh", "w", step);
    switch (step % 4) {
    case 0:
        text("dir/a", "w", step);
        must(mkdir("folder", 0755) == 0, "folder");
        text("folder/x", "w", step);
        break;
    case 1:
        must(rename("dir/a", "dir/b") == 0 && rename("folder", "moved") == 0, "dir/a");
        must(symlink("b", "dir/link") == 0, "dir/link");
        break;
    case 2:
        text("moved/x", "a", step);
        must(unlink("dir/link") == 0 && link("dir/b", "dir/c") == 0, "dir/c");
        break;
    default:
        must(unlink("moved/x") == 0 && rmdir("moved") == 0, "moved");
        must(unlink("dir/b") == 0 && unlink("dir/c") == 0, "dir/b");
    }
}

static void work(void)
{
    for (int i = 0; i < 1000; i++) {
        memory[any(4096)] += seed;
    }
}

static void step_once(int step, int table, int log)
{
    char block[3000];
    memset(block, 'a' + step % 26, sizeof block);
    must(pwrite(table, block, sizeof block, any(TABLE_BYTES)) == sizeof block, "table");
    must(dprintf(log, "step %d %u\n", step, seed) > 0, "log");
    if (step % 3 == 2) {
        must(ftruncate(table, TABLE_BYTES / 2 + any(TABLE_BYTES)) == 0, "table");
    }
    replace(step);
    names(step);
    work();
    printf("step %d %x\n", step, memory[any(4096)]);
    fflush(stdout);
    write(2, "\a", 1);
}

int main(int argc, char **argv)
{
    char byte;
    int steps = argc > 1 ? atoi(argv[1]) : 10;
    int table = open("table", O_RDWR | O_CREAT, 0644);
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    must(table >= 0 && log >= 0, "table");
    must(mkdir("dir", 0755) == 0, "dir");
    must(ftruncate(table, TABLE_BYTES) == 0, "table");
    for (int i = 0; i < MEMORY_WORDS; i++) {
        memory[i] = any(1u << 20);
    }
    for (int step = 0; step < steps; step++) {
        must(read(0, &byte, 1) >= 0, "standard input");
        step_once(step, table, log);
    }
    unsigned sum = 0;
    for (int i = 0; i < MEMORY_WORDS; i++) {
        sum = sum * 31 + memory[i];
    }
    printf("end %x\n", sum);
    return 9;
}
