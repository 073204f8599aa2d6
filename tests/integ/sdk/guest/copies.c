/* Copies of descriptors stand for one open file: one place in it, one set of flags, open until the last is closed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *path)
{
    FILE *f = fopen(path, "r");
    int c;

    printf("%s: ", path);
    while (f && (c = getc(f)) != EOF)
        putchar(c == '\n' ? '|' : c);
    putchar('\n');
    if (f)
        fclose(f);
}

static void shared(void)
{
    int fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0644), copy = dup(fd), high = fcntl(fd, F_DUPFD, 100);
    char text[16] = "";

    printf("numbers: %d %d\n", copy > fd, high);
    dprintf(fd, "abc");
    dprintf(copy, "def");
    dprintf(high, "ghi");
    printf("place: %d %d\n", (int)lseek(fd, 0, SEEK_CUR), (int)lseek(copy, 3, SEEK_SET));
    printf("read %zd", read(high, text, 3));
    printf(" %s\n", text);
    printf("append %d\n", fcntl(fd, F_SETFL, O_APPEND));
    close(fd);
    dprintf(copy, "jkl");
    close(copy);
    printf("the last one: %zd, %d, %d\n", write(high, "!", 1), close(high), close(high));
    show("shared");
}

/* The lowest free number, always. */
static void numbers(void)
{
    int first = dup(0), fds[5], again;

    for (int i = 0; i < 5; i++)
        fds[i] = open("shared", O_RDONLY);
    for (int i = 0; i < 5; i++)
        printf("%d ", fds[i] - first);
    close(fds[1]);
    close(fds[3]);
    again = dup(fds[4]);
    printf("| %d ", again - first);
    again = open("shared", O_RDONLY);
    printf("%d ", again - first);
    again = open("shared", O_RDONLY);
    printf("%d\n", again - first);
    for (int i = 0; i < 7; i++)
        close(first + i);
    printf("bad: %d %d, %d %d, %d %d\n", dup(first), errno == EBADF, dup2(first, 1), errno == EBADF, dup2(1, -1),
           errno == EBADF);
    printf("itself: %d %d %d\n", dup2(1, 1), dup3(1, 1, 0), errno == EINVAL);
}

/* Standard output into a file and back, as shells do. */
static void redirected(void)
{
    int saved, fd;

    fflush(stdout);
    saved = dup(1);
    fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    printf("%d", dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    close(fd);
    puts(" into the file");
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    puts("back again");
    fflush(stdout);
    show("out");
    fflush(stdout);

    /* The number that is free is the one that is taken. */
    saved = dup(0);
    close(0);
    printf("standard input: %d", open("out", O_RDONLY));
    printf(" %c\n", getchar());
    dup2(saved, 0);
    close(saved);
    fd = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    saved = dup(2);
    dup2(fd, 2);
    fprintf(stderr, "an error\n");
    dup2(saved, 2);
    close(fd);
    close(saved);
    show("err");
    if (freopen("again", "w", stderr))
        fprintf(stderr, "opened again %d\n", fileno(stderr));
    fclose(stderr);
    show("again");
}

/* Numbers that granted folders have in a cell are a program's own all the same. */
static void low(void)
{
    int fd = open("shared", O_RDONLY);
    char c = 0;

    printf("low: %d %d %d\n", dup2(fd, 3), dup2(fd, 4), dup2(fd, 5));
    printf("place: %d\n", (int)lseek(4, 2, SEEK_SET));
    printf("read: %zd", read(5, &c, 1));
    printf(" %c\n", c);
    for (int i = 3; i < 64; i++)
        close(i);
    fd = open("shared", O_RDONLY);
    printf("the first one: %d\n", fd);
    close(fd);
}

static void mapped(void)
{
    int fd = open("shared", O_RDWR), other = open("out", O_RDONLY);
    char *text = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (text != MAP_FAILED) {
        memcpy(text, "WXYZ", 4);
        dup2(other, fd);
        munmap(text, 4);
    }
    close(fd);
    close(other);
    show("shared");
    show("out");
}

int main(void)
{
    shared();
    numbers();
    redirected();
    low();
    mapped();
    return 0;
}
