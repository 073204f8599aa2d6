#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does with files what lines of standard input say, and answers each with a line. Letters stand for descriptors. */

static int fds[26];
static DIR *dirs[26];

static int answer(long long result)
{
    if (result < 0) {
        printf("error %s\n", strerror(errno));
    } else {
        printf("%lld\n", result);
    }
    return 0;
}

/* r: read, w: write, b: both, and c: make, x: only make, t: cut, a: append, d: a folder. */
static int flags_of(const char *text)
{
    int flags = strchr(text, 'b') ? O_RDWR : strchr(text, 'w') ? O_WRONLY : O_RDONLY;
    flags |= strchr(text, 'c') ? O_CREAT : 0;
    flags |= strchr(text, 'x') ? O_CREAT | O_EXCL : 0;
    flags |= strchr(text, 't') ? O_TRUNC : 0;
    flags |= strchr(text, 'a') ? O_APPEND : 0;
    flags |= strchr(text, 'd') ? O_DIRECTORY : 0;
    return flags;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(const char *path)
{
    char *names[1000];
    int count = 0;
    DIR *d = opendir(path);
    if (d == NULL) {
        return answer(-1);
    }
    for (struct dirent *e; (e = readdir(d)) != NULL && count < 1000;) {
        char name[300];
        snprintf(name, sizeof name, "%s%s", e->d_name, e->d_type == DT_DIR ? "/" : "");
        if (e->d_name[0] != '.') {
            names[count++] = strdup(name);
        }
    }
    closedir(d);
    qsort(names, count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        printf("%s%s", i > 0 ? " " : "", names[i]);
        free(names[i]);
    }
    printf("\n");
    return 0;
}

static int show_stat(int result, const struct stat *st)
{
    if (result != 0) {
        return answer(-1);
    }
    printf("%s %lld %d %d\n", S_ISDIR(st->st_mode) ? "folder" : "file", (long long)st->st_size,
           st->st_ino != 0, st->st_mtim.tv_sec > 1000000000);
    return 0;
}

static int do_read(int fd, long long count, long long at)
{
    static char data[4096];
    ssize_t n = at < 0 ? read(fd, data, count) : pread(fd, data, count, at);
    if (n < 0) {
        return answer(-1);
    }
    printf("'%.*s'\n", (int)n, data);
    return 0;
}

/* Bytes that say where they stand. */
static void pattern(unsigned char *data, long long at, int n)
{
    for (int i = 0; i < n; i++) {
        unsigned long long x = (unsigned long long)(at + i) / 8 * 0x9e3779b97f4a7c15ULL;
        data[i] = x >> (at + i) % 8 * 8;
    }
}

static int fill(int fd, long long bytes)
{
    static unsigned char data[65536];
    for (long long at = 0; at < bytes;) {
        int n = bytes - at < 50000 ? (int)(bytes - at) : 50000;
        pattern(data, at, n);
        ssize_t w = write(fd, data, n);
        if (w <= 0) {
            return answer(-1);
        }
        at += w;
    }
    return answer(bytes);
}

static int verify(int fd)
{
    static unsigned char data[70000], want[70000];
    long long at = lseek(fd, 0, SEEK_CUR);
    ssize_t n;
    while ((n = read(fd, data, 70000)) > 0) {
        pattern(want, at, (int)n);
        if (memcmp(data, want, n) != 0) {
            printf("other bytes behind %lld\n", at);
            return 0;
        }
        at += n;
    }
    return answer(n < 0 ? -1 : at);
}

static int on_fd(const char *verb, int i, const char *rest)
{
    struct stat st;
    if (strcmp(verb, "read") == 0) {
        return do_read(fds[i], atoll(rest), -1);
    } else if (strcmp(verb, "pread") == 0) {
        return do_read(fds[i], atoll(rest), atoll(strchr(rest, ' ') + 1));
    } else if (strcmp(verb, "write") == 0) {
        return answer(write(fds[i], rest, strlen(rest)));
    } else if (strcmp(verb, "pwrite") == 0) {
        const char *text = strchr(rest, ' ') + 1;
        return answer(pwrite(fds[i], text, strlen(text), atoll(rest)));
    } else if (strcmp(verb, "seek") == 0) {
        return answer(lseek(fds[i], atoll(rest), SEEK_SET));
    } else if (strcmp(verb, "end") == 0) {
        return answer(lseek(fds[i], 0, SEEK_END));
    } else if (strcmp(verb, "fill") == 0) {
        return fill(fds[i], atoll(rest));
    } else if (strcmp(verb, "verify") == 0) {
        return verify(fds[i]);
    } else if (strcmp(verb, "sync") == 0) {
        return answer(fsync(fds[i]));
    } else if (strcmp(verb, "cut") == 0) {
        return answer(ftruncate(fds[i], atoll(rest)));
    } else if (strcmp(verb, "fstat") == 0) {
        return show_stat(fstat(fds[i], &st), &st);
    } else if (strcmp(verb, "close") == 0) {
        return answer(close(fds[i]));
    } else if (strcmp(verb, "next") == 0) {
        struct dirent *e = dirs[i] != NULL ? readdir(dirs[i]) : NULL;
        printf("%s\n", e != NULL ? e->d_name : "no more");
        return 0;
    }
    printf("what?\n");
    return 0;
}

static int on_path(const char *verb, const char *a, const char *b)
{
    struct stat st;
    if (strcmp(verb, "ls") == 0) {
        return list(a);
    } else if (strcmp(verb, "stat") == 0) {
        return show_stat(lstat(a, &st), &st);
    } else if (strcmp(verb, "mkdir") == 0) {
        return answer(mkdir(a, 0777));
    } else if (strcmp(verb, "rmdir") == 0) {
        return answer(rmdir(a));
    } else if (strcmp(verb, "unlink") == 0) {
        return answer(unlink(a));
    } else if (strcmp(verb, "rename") == 0) {
        return answer(rename(a, b));
    } else if (strcmp(verb, "link") == 0) {
        return answer(link(a, b));
    } else if (strcmp(verb, "symlink") == 0) {
        return answer(symlink(a, b));
    } else if (strcmp(verb, "same") == 0) {
        struct stat other;
        int result = lstat(a, &st) | lstat(b, &other);
        return result != 0 ? answer(-1) : answer(st.st_dev == other.st_dev && st.st_ino == other.st_ino);
    }
    return -1;
}

static void run(char *line)
{
    char *verb = strtok(line, " "), *first = strtok(NULL, " "), *rest = strtok(NULL, "");
    rest = rest != NULL ? rest : "";
    if (verb == NULL) {
        printf("\n");
    } else if (strcmp(verb, "exit") == 0) {
        exit(first != NULL ? atoi(first) : 0);
    } else if (strcmp(verb, "trap") == 0) {
        __builtin_trap();
    } else if (first == NULL) {
        printf("of what?\n");
    } else if (strcmp(verb, "open") == 0) { /* open LETTER FLAGS PATH */
        char *flags = strtok(rest, " "), *path = strtok(NULL, "");
        int fd = open(path, flags_of(flags), 0666);
        fds[first[0] - 'a'] = fd;
        answer(fd < 0 ? -1 : 0);
    } else if (strcmp(verb, "opendir") == 0) {
        dirs[first[0] - 'a'] = opendir(rest);
        answer(dirs[first[0] - 'a'] == NULL ? -1 : 0);
    } else if (on_path(verb, first, rest) != 0) {
        on_fd(verb, first[0] - 'a', rest);
    }
}

int main(void)
{
    static char line[8192];
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* One byte at a time: what was not asked for yet stays in the pipe when this is frozen. */
    for (size_t len = 0; read(0, line + len, 1) == 1;) {
        if (line[len] != '\n') {
            len += len < sizeof line - 1;
            continue;
        }
        line[len] = '\0';
        len = 0;
        run(line);
    }
    return 0;
}
