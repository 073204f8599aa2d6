/* show WHAT [ARGUMENT...]: what the cell sees, one line each; for the tests of the options. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static int look(char **paths)
{
    for (; *paths != NULL; paths++) {
        char text[100] = {0};
        int fd = open(*paths, O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        text[strcspn(text, "\n")] = '\0';
        printf("%s: %s\n", *paths, len < 0 ? strerror(errno) : text);
    }
    return 0;
}

static int try_to_write(char **paths)
{
    for (; *paths != NULL; paths++) {
        int fd = open(*paths, O_WRONLY | O_CREAT, 0666);
        printf("%s: %s\n", *paths, fd < 0 ? strerror(errno) : "written");
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static int where(void)
{
    char text[1000];
    puts(getcwd(text, sizeof text) ? text : strerror(errno));
    return 0;
}

static __attribute__((noinline)) int inner(int n)
{
    volatile int zero = 0;
    return n / zero;
}

__attribute__((noinline)) int middle(int n)
{
    return inner(n) + 1;
}

static int end(const char *how)
{
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "trap") == 0)
        return middle(7) + 1;
    if (strcmp(how, "term") == 0)
        raise(SIGTERM);
    if (strcmp(how, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(how, "_exit") == 0)
        _exit(5);
    exit(atoi(how));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "read") == 0)
        return look(argv + 2);
    if (strcmp(what, "write") == 0)
        return try_to_write(argv + 2);
    if (strcmp(what, "cwd") == 0)
        return where();
    if (strcmp(what, "env") == 0) {
        for (char **e = environ; *e != NULL; e++)
            if (strncmp(*e, "PWD=", 4) != 0)
                puts(*e);
        return 0;
    }
    if (strcmp(what, "args") == 0) {
        for (int i = 0; i < argc; i++)
            printf("[%s]\n", argv[i]);
        return 0;
    }
    return argc > 2 ? end(argv[2]) : 0;
}
