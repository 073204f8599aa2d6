/* Directories, links, names and times, in the working directory. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0666);
    close(fd);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list(const char *path)
{
    static char names[1000][32];
    size_t n = 0;
    DIR *d = opendir(path);
    if (d == NULL) {
        printf("%s: %s\n", path, error_name(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL && n < 1000; n++) {
        char type = e->d_type == DT_DIR   ? '/'
                    : e->d_type == DT_LNK ? '@'
                    : e->d_type == DT_REG ? ' '
                                          : '?';
        snprintf(names[n], sizeof(names[n]), "%.29s%c", e->d_name, type);
    }
    closedir(d);
    qsort(names, n, sizeof(names[0]), by_name);
    printf("%s:", path);
    for (size_t i = 0; i < n; i++) {
        printf(" %s", names[i]);
    }
    printf("\n");
}

static void making(void)
{
    say("mkdir", mkdir("a", 0777));
    say("mkdir again", mkdir("a", 0777));
    say("mkdir below", mkdir("a/b/", 0777));
    say("mkdir nowhere", mkdir("x/y", 0777));
    touch("a/f");
    say("mkdir below a file", mkdir("a/f/g", 0777));
    list(".");
    list("a");
    list("a/b");
    list("a/f");
    list("none");
    say("rmdir full", rmdir("a"));
    say("rmdir file", rmdir("a/f"));
    say("unlink directory", unlink("a/b") < 0 ? 0 : 1);
    say("unlink", unlink("a/f"));
    say("unlink again", unlink("a/f"));
    say("rmdir", rmdir("a/b"));
    say("rmdir", rmdir("a/"));
    list(".");
}

static void many(void)
{
    char name[32];
    mkdir("many", 0777);
    for (int i = 0; i < 700; i++) {
        snprintf(name, sizeof(name), "many/file-%d", i);
        touch(name);
    }
    DIR *d = opendir("many");
    int seen = 0, dots = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') {
            dots++;
            continue;
        }
        seen++;
        snprintf(name, sizeof(name), "many/%.20s", e->d_name);
        unlink(name);
    }
    say("files", seen);
    say("dots", dots);
    rewinddir(d);
    for (seen = 0; readdir(d) != NULL; seen++) {
    }
    say("left", seen);
    closedir(d);
    say("rmdir", rmdir("many"));
}

static void places(void)
{
    mkdir("p", 0777);
    for (char c = 'a'; c <= 'z'; c++) {
        char name[8] = {'p', '/', c};
        touch(name);
    }
    DIR *d = opendir("p");
    for (int i = 0; i < 10; i++) {
        readdir(d);
    }
    long place = telldir(d);
    char name[256];
    snprintf(name, sizeof(name), "%s", readdir(d)->d_name);
    while (readdir(d) != NULL) {
    }
    seekdir(d, place);
    say("same entry", strcmp(readdir(d)->d_name, name) == 0);
    int fd = dirfd(d);
    struct stat st;
    say("fstatat", fstatat(fd, "c", &st, 0));
    say("unlinkat", unlinkat(fd, "c", 0));
    say("fstatat", fstatat(fd, "c", &st, 0));
    closedir(d);
}

static void links(void)
{
    char text[64] = "";
    struct stat st, other;
    int fd = open("target", O_WRONLY | O_CREAT, 0666);
    write(fd, "data", 4);
    close(fd);
    say("symlink", symlink("target", "soft"));
    say("symlink again", symlink("target", "soft"));
    say("readlink", readlink("soft", text, sizeof(text)));
    printf("%.6s\n", text);
    say("readlink cut", readlink("soft", text, 3));
    say("readlink of a file", readlink("target", text, 3));
    say("lstat", lstat("soft", &st));
    say("is link", S_ISLNK(st.st_mode));
    say("stat", stat("soft", &st));
    say("is file", S_ISREG(st.st_mode));
    say("size", (long)st.st_size);
    try_it("nofollow", open("soft", O_RDONLY | O_NOFOLLOW));
    symlink("nowhere", "dangling");
    say("stat dangling", stat("dangling", &st));
    say("lstat dangling", lstat("dangling", &st));
    try_it("create through dangling", open("dangling", O_WRONLY | O_CREAT, 0666));
    say("stat", stat("nowhere", &st));
    symlink("loop", "loop");
    try_it("loop", open("loop", O_RDONLY));
    say("link", link("target", "hard"));
    stat("target", &st);
    stat("hard", &other);
    say("same", st.st_ino == other.st_ino && st.st_dev == other.st_dev);
    say("names", (long)st.st_nlink);
    say("link again", link("target", "hard"));
    mkdir("dir", 0777);
    symlink("dir", "to-dir");
    touch("to-dir/through");
    list("dir");
    list("to-dir");
    say("link directory", link("dir", "dir2"));
}

static void renaming(void)
{
    mkdir("from", 0777);
    mkdir("to", 0777);
    touch("from/f");
    say("rename", rename("from/f", "to/g"));
    say("rename directory over one with files", rename("from", "to"));
    say("rename file over directory", rename("to/g", "from"));
    say("rename directory over file", rename("from", "to/g"));
    say("rename into itself", rename("to", "to/in"));
    say("rename missing", rename("none", "x"));
    say("rename", rename("to/", "moved"));
    list("moved");
    list("to");
}

static void times(void)
{
    struct stat st;
    struct timespec t[2] = {{.tv_sec = 1000000000, .tv_nsec = 123456789},
                            {.tv_sec = 1234567890, .tv_nsec = 5}};
    touch("timed");
    say("utimensat", utimensat(AT_FDCWD, "timed", t, 0));
    stat("timed", &st);
    printf("%lld.%09ld %lld.%09ld\n", (long long)st.st_atim.tv_sec, (long)st.st_atim.tv_nsec,
           (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    int fd = open("timed", O_RDWR);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_nsec = UTIME_NOW;
    say("futimens", futimens(fd, t));
    fstat(fd, &st);
    say("kept", st.st_atim.tv_sec == 1000000000);
    say("now", st.st_mtim.tv_sec > 1600000000);
    close(fd);
    say("missing", utimensat(AT_FDCWD, "none", t, 0));
}

int main(void)
{
    making();
    many();
    places();
    links();
    renaming();
    times();
    return 0;
}
