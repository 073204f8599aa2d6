/* greedy WHAT: take more than was given. Exits with 0 when it was refused with an error, as it should be. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char bytes[1 << 20];

/* Until there are no more; the program goes on then. */
static int descriptors(void)
{
    int count = 0;
    while (open("/data/file", O_RDONLY) >= 0)
        count++;
    int reason = errno;
    DIR *dir = opendir("/data");
    printf("%d opened, then %s, folder %s\n", count, strerror(reason), dir ? "opened" : "refused");
    return 0;
}

static int endless(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    return 0;
}

static int flood(int fd)
{
    memset(bytes, 'x', sizeof bytes);
    for (;;)
        write(fd, bytes, sizeof bytes);
}

/* A program that looks at what write says. */
static int polite(void)
{
    while (write(STDOUT_FILENO, bytes, sizeof bytes) > 0)
        ;
    fprintf(stderr, "%s\n", strerror(errno));
    return 3;
}

static int allocate(void)
{
    unsigned long count = 0;
    char *volatile p;
    for (size_t size = 1 << 20; size > 0; size /= 2) {
        for (; (p = malloc(size)) != NULL; count++)
            p[0] = 1;
    }
    printf("%lu pieces\n", count);
    return 0;
}

/* While the host swaps "swap" between a folder and a link to a folder outside: is there ever the wrong file? */
static int race(void)
{
    int seen = 0, refused = 0;
    for (int i = 0; i < 5000 || seen == 0 || refused == 0; i++) {
        char text[16] = {0};
        int fd = open("/data/swap/file", O_RDONLY);
        if (fd < 0) {
            refused++;
            continue;
        }
        read(fd, text, sizeof text - 1);
        close(fd);
        if (strncmp(text, "secret", 6) == 0) {
            puts("out");
            return 1;
        }
        seen++;
    }
    return 0;
}

/* Ways out that a test of the file system does not try: names of the host's machine, long ones, many links. */
static int paths(void)
{
    static const char *const wanted[] = {
        "/etc/passwd", "/data/../etc/passwd", "/proc/self/mem", "/proc/self/environ", "/dev/mem", "/dev/kmsg",
        "/data/../../../../../../etc/passwd", "/data/loop", "/data/loop/file", "/data/far", "/data/./../data/../far",
        "../etc/passwd", "..", "/..", "/data/..", "\\..\\etc\\passwd", "/data//../..//etc/passwd",
    };
    int escaped = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (open(wanted[i], O_RDONLY) >= 0) {
            printf("opened %s\n", wanted[i]);
            escaped++;
        }
    }
    memset(bytes, 'a', sizeof bytes);
    bytes[sizeof bytes - 1] = '\0';
    escaped += open(bytes, O_RDONLY | O_CREAT, 0666) >= 0;
    for (size_t i = 1; i < sizeof bytes - 1; i += 2)
        bytes[i] = '/';
    escaped += mkdir(bytes, 0777) == 0;
    escaped += symlink("/etc/passwd", "/data/made") == 0;
    escaped += symlink("../../etc", "/data/up") == 0 && open("/data/up/passwd", O_RDONLY) >= 0;
    escaped += link("/data/far", "/data/mine") == 0 && open("/data/mine", O_RDONLY) >= 0;
    printf("%d escaped\n", escaped);
    return escaped;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "descriptors") == 0)
        return descriptors();
    if (strcmp(what, "endless") == 0)
        return endless(argv[2]);
    if (strcmp(what, "flood") == 0)
        return flood(argc > 2 ? STDERR_FILENO : STDOUT_FILENO);
    if (strcmp(what, "polite") == 0)
        return polite();
    if (strcmp(what, "allocate") == 0)
        return allocate();
    if (strcmp(what, "race") == 0)
        return race();
    if (strcmp(what, "paths") == 0)
        return paths();
    return 99;
}
