/* A folder's descriptor can be copied, as programs that walk down a tree do. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int count(int fd)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int n = 0;

    if (!dir)
        return -1;
    rewinddir(dir);
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

int main(void)
{
    char name[] = "tree/a";
    struct stat one, two;
    int fd, copy, high;

    mkdir("tree", 0755);
    for (char c = 'a'; c < 'd'; c++) {
        name[5] = c;
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    fd = open("tree", O_RDONLY | O_DIRECTORY);
    copy = dup(fd);
    high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    printf("copies: %d %d\n", copy >= 0 && copy != fd, high >= 3);
    printf("the same: %d\n",
           fstat(fd, &one) == 0 && fstat(copy, &two) == 0 && one.st_ino == two.st_ino && one.st_dev == two.st_dev);
    printf("entries: %d\n", count(fd));
    printf("file in a copy: %d %d\n", unlinkat(copy, "a", 0), faccessat(high, "a", F_OK, 0));
    printf("entries of the copies: %d %d\n", count(copy), count(high));
    printf("closed: %d %d\n", dup(copy), errno == EBADF);
    for (char c = 'b'; c < 'd'; c++) {
        name[5] = c;
        unlink(name);
    }
    rmdir("tree");
    return 0;
}
