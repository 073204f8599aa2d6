// No path is the empty one: nothing takes it for the current directory.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ABSENT(call) \
    do { \
        errno = 0; \
        printf("%s: %d\n", #call, (call) && errno == ENOENT); \
    } while (0)

int main(void)
{
    struct stat st;
    char buf[PATH_MAX];
    FILE *f = fopen("file", "w");

    printf("%d\n", f && fclose(f) == 0);
    ABSENT(open("", O_RDONLY) < 0);
    ABSENT(open("", O_RDWR | O_CREAT, 0644) < 0);
    ABSENT(openat(AT_FDCWD, "", O_RDONLY) < 0);
    ABSENT(!fopen("", "r"));
    ABSENT(!opendir(""));
    ABSENT(stat("", &st) != 0);
    ABSENT(lstat("", &st) != 0);
    ABSENT(access("", F_OK) != 0);
    ABSENT(mkdir("", 0755) != 0);
    ABSENT(rmdir("") != 0);
    ABSENT(unlink("") != 0);
    ABSENT(remove("") != 0);
    ABSENT(rename("", "x") != 0);
    ABSENT(rename("file", "") != 0);
    ABSENT(link("file", "") != 0);
    ABSENT(symlink("file", "") != 0);
    ABSENT(readlink("", buf, sizeof buf) < 0);
    ABSENT(truncate("", 0) != 0);
    ABSENT(chdir("") != 0);
    ABSENT(!realpath("", buf));
    return 0;
}
