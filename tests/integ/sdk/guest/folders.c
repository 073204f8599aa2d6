/* Into folders by their descriptors, and back. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void where(const char *start)
{
    char *now = getcwd(NULL, 0);

    printf("%s\n", strncmp(now, start, strlen(start)) == 0 ? now + strlen(start) : "elsewhere");
    free(now);
}

int main(void)
{
    char *start = getcwd(NULL, 0);
    int here, down, copy, file;

    mkdir("one", 0755);
    mkdir("one/two", 0755);
    here = open(".", O_RDONLY | O_DIRECTORY);
    down = openat(here, "one", O_RDONLY);
    copy = dup(down);
    file = open("one/file", O_CREAT | O_WRONLY, 0644);
    printf("down %d ", fchdir(down));
    where(start);
    close(down);
    down = open("two", O_RDONLY);
    printf("further %d ", fchdir(down));
    where(start);
    printf("a copy %d ", fchdir(copy));
    where(start);
    printf("there: %d %d\n", access("two", F_OK), access("file", F_OK));
    printf("no folder: %d %d, not open: %d %d\n", fchdir(file), errno == ENOTDIR, fchdir(99), errno == EBADF);
    printf("back %d ", fchdir(here));
    where(start);
    unlink("one/file");
    rmdir("one/two");
    rmdir("one");
    printf("gone: %d %d\n", fchdir(copy) == 0 && getcwd(NULL, 0), errno == ENOENT);
    return 0;
}
