/* Holds files, half-read folders and standard input, stops in the middle of them (it waits for a byte of standard
 * input), and goes on: everything must be where it left it, wherever the files are then. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *what, long value)
{
    printf("%s %ld\n", what, value);
    fflush(stdout);
}

static void fail(const char *what)
{
    perror(what);
    exit(3);
}

static int same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int open_or_fail(const char *path, int flags)
{
    int fd = open(path, flags, 0644);
    if (fd < 0)
        fail(path);
    return fd;
}

static void put(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail("write");
}

/* Waits for a line of standard input, and takes no more than that. */
static void pause_for_line(void)
{
    char c;
    say("waiting", 0);
    do {
        if (read(0, &c, 1) != 1)
            fail("standard input");
    } while (c != '\n');
}

enum { FILES = 300 };
static int seen[FILES];

static int take(DIR *d, int count)
{
    struct dirent *e;
    int number, taken = 0;
    while (taken < count && (e = readdir(d)) != NULL) {
        struct stat st;
        char path[300];
        taken++;
        if (sscanf(e->d_name, "entry-%d", &number) != 1)
            continue;
        seen[number]++;
        snprintf(path, sizeof(path), "many/%s", e->d_name);
        if (stat(path, &st) != 0 || st.st_ino != e->d_ino)
            say("another inode number than its file's", number);
    }
    return taken;
}

static void check_seen(int times)
{
    int right = 0;
    for (int i = 0; i < FILES; i++)
        right += seen[i] == times;
    say("entries read as often as they should be", right);
}

int main(void)
{
    struct stat then, now, link_then, folder_then;
    char text[64] = {0};
    int log = open_or_fail("log", O_WRONLY | O_CREAT | O_APPEND);
    int both = open_or_fail("both", O_RDWR | O_CREAT | O_APPEND);
    int first = open_or_fail("data", O_RDONLY), second = open_or_fail("data", O_RDONLY);
    DIR *d = opendir("many"), *other = opendir("many");
    if (d == NULL || other == NULL)
        fail("many");
    put(log, "one\n");
    put(both, "abcdef");
    lseek(both, 2, SEEK_SET);
    lseek(first, 3, SEEK_SET);
    lseek(second, 5, SEEK_SET);
    if (fstat(first, &then) != 0 || stat("link", &link_then) != 0 || stat(".", &folder_then) != 0)
        fail("stat");
    say("the link is the same file", same(&then, &link_then));
    take(d, 100);
    long at = telldir(other);
    for (int rounds = 0; rounds < 2; rounds++) {
        pause_for_line();
        put(log, "more\n");
        put(both, "+");
        say("offset behind what was appended", lseek(both, 0, SEEK_CUR));
        say("the first byte", (pread(both, text, 1, 2), text[0]));
        say("first descriptor", (read(first, text, 1), text[0]));
        say("second descriptor", (read(second, text, 1), text[0]));
        say("flags", (fcntl(log, F_GETFL) & O_APPEND) != 0);
        take(d, 100);
        if (fstat(first, &now) != 0)
            fail("fstat");
        say("an open file is what it was", same(&then, &now));
        if (stat("data", &now) != 0)
            fail("data");
        say("and so is its path", same(&then, &now));
        if (stat("link", &now) != 0)
            fail("link");
        say("and a link to it", same(&then, &now));
        if (stat(".", &now) != 0)
            fail(".");
        say("and the folder", same(&folder_then, &now));
        if (stat("log", &now) != 0)
            fail("log");
        say("all are on one device", now.st_dev == then.st_dev);
        say("and another file is another", !same(&then, &now));
    }
    take(d, FILES);
    check_seen(1);
    seekdir(other, at);
    take(other, 2 * FILES);
    check_seen(2);
    rewinddir(d);
    take(d, 2 * FILES);
    check_seen(3);
    ssize_t rest = read(0, text, sizeof(text) - 1);
    text[rest > 0 ? rest : 0] = '\0';
    printf("rest of the input: %s\n", text);
    return 4;
}
