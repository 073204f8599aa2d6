/* A guest that does what it should not: hostile spin|memory|recurse|flood|escape */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile unsigned long turns;

static void spin(void)
{
    for (;;)
        turns++;
}

/* Takes memory until there is none, and says how much it got. */
static void memory(void)
{
    static volatile char *volatile piece;
    unsigned long mib = 0;
    while (mib < 8192 && (piece = malloc(1 << 20))) {
        piece[0] = 1;
        mib++;
    }
    printf("got %s than 64 MiB, then: %s\n", mib < 64 ? "less" : "more", strerror(errno));
}

/* The volatile counter keeps the compiler from making a loop of it. */
static unsigned long recurse(unsigned long depth)
{
    turns++;
    unsigned long below = recurse(depth + 1);
    turns--;
    return below + depth;
}

static void flood(void)
{
    for (;;)
        puts("all work and no play makes a dull cell");
}

static void try_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    printf("%-24s %s\n", path, fd < 0 ? strerror(errno) : "OPENED");
}

/* Paths that lead out of the granted folder /data, and writing where only reading is granted. */
static void escape(void)
{
    try_open("/etc/passwd", O_RDONLY);
    try_open("../../../etc/passwd", O_RDONLY);
    try_open("/data/../../etc/passwd", O_RDONLY);
    try_open("/data/outside", O_RDONLY);
    try_open("/data/new-file", O_WRONLY | O_CREAT);
    try_open("/data/secret.txt", O_WRONLY);
    try_open("/data/secret.txt", O_RDONLY);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "spin"))
        spin();
    else if (!strcmp(what, "memory"))
        memory();
    else if (!strcmp(what, "recurse"))
        printf("%lu\n", recurse(0));
    else if (!strcmp(what, "flood"))
        flood();
    else if (!strcmp(what, "escape"))
        escape();
    else
        return 2;
    return 0;
}
