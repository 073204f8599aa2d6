// Directories, links, names, temporary files, file locks, mappings.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int visits;

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)type;
    visits += 1 + ftw->level;
    return 0;
}

static int inner, outer;

static int visit_inner(const char *path, const struct stat *st, int type)
{
    (void)path;
    (void)st;
    inner += type == FTW_F || type == FTW_D;
    return 0;
}

static int visit_outer(const char *path, const struct stat *st, int type)
{
    (void)st;
    outer += type == FTW_F ? 100 : 1;
    if (type == FTW_D)
        outer += 1000 * ftw(path, visit_inner, 10);
    return 0;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        printf("cannot write %s\n", path);
    close(fd);
}

static void directories(void)
{
    struct dirent **names;
    struct stat st;
    char buf[PATH_MAX], target[100];
    ssize_t n;
    int count;

    printf("%d %d\n", mkdir("d", 0755), mkdir("d/sub", 0755));
    printf("%d %d\n", mkdir("d", 0755), errno == EEXIST);
    put("d/one.txt", "1");
    put("d/two.txt", "22");
    put("d/sub/three", "333");
    printf("%d\n", symlink("two.txt", "d/link"));
    n = readlink("d/link", target, sizeof target);
    printf("%.*s\n", (int)n, target);
    count = scandir("d", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.')
            printf("%s ", names[i]->d_name);
        free(names[i]);
    }
    free(names);
    printf("\n%d %d %d\n", stat("d/link", &st), (int)st.st_size, S_ISREG(st.st_mode));
    printf("%d %d\n", lstat("d/link", &st), S_ISLNK(st.st_mode));
    printf("%d %d\n", access("d/one.txt", R_OK), access("d/none", F_OK));
    printf("%d %d\n", rename("d/one.txt", "d/uno"), stat("d/one.txt", &st));
    printf("%d %d\n", rmdir("d"), errno == ENOTEMPTY);
    nftw("d", visit, 10, FTW_PHYS);
    printf("visits %d\n", visits);
    printf("%d %d %d\n", ftw("d/sub", visit_outer, 10), outer, inner);
    glob_t g;
    printf("%d %d %s\n", glob("d/*.txt", 0, NULL, &g), (int)g.gl_pathc, g.gl_pathv[0]);
    globfree(&g);
    printf("%d %s\n", chdir("d/sub"), strrchr(getcwd(buf, sizeof buf), '/'));
    printf("%d\n", access("../two.txt", F_OK));
    printf("%s\n", strrchr(realpath("../link", buf), '/'));
    printf("%d %s\n", chdir("../.."), access("d", F_OK) == 0 ? "back" : "lost");
}

static void contents(void)
{
    char buf[32] = "", name[] = "tmpXXXXXX";
    int fd = mkstemp(name);
    struct iovec v[2] = {{"head ", 5}, {"tail", 4}};
    struct stat st;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    printf("%d\n", (int)writev(fd, v, 2));
    printf("%d\n", (int)pwrite(fd, "HEAD", 4, 0));
    printf("%d %s\n", (int)pread(fd, buf, 31, 2), buf);
    printf("%d\n", (int)lseek(fd, 0, SEEK_CUR));
    ftruncate(fd, 6);
    fstat(fd, &st);
    printf("%d %d\n", (int)st.st_size, fcntl(fd, F_SETLK, &lock));
    printf("%d %d\n", flock(fd, LOCK_EX), fsync(fd));
    close(fd);
    printf("%d %d\n", close(fd), errno == EBADF);
    printf("%d\n", unlink(name));
    printf("%d %d\n", unlink(name), errno == ENOENT);
}

/* A mapping goes on when its descriptor is closed, also when another file gets the number. */
static void closed_mappings(void)
{
    char buf[11] = "";
    char *p, *q;
    int fd, other;

    put("mapped", "0123456789");
    put("other", "abcdefghij");
    fd = open("mapped", O_RDWR);
    p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    q = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("%d", close(fd));
    printf(" %d\n", close(fd) == -1 && errno == EBADF);
    other = open("other", O_RDWR);
    p[0] = 'x';
    printf("%d\n", munmap(p, 10));
    q[0] = 'x';
    q[1] = 'y';
    printf("%d\n", munmap(q, 10));
    pread(other, buf, 10, 0);
    printf("%s %d\n", buf, close(other));
    fd = open("mapped", O_RDONLY);
    pread(fd, buf, 10, 0);
    printf("%s %d\n", buf, close(fd));
    for (int i = 0; i < 3000; i++) {
        fd = open("mapped", O_RDWR);
        p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (close(fd) != 0 || p == MAP_FAILED || munmap(p, 10) != 0) {
            printf("round %d: %s\n", i, strerror(errno));
            break;
        }
    }
    unlink("mapped");
    unlink("other");
}

static void mappings(void)
{
    int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);
    char *p, buf[16] = "";

    if (write(fd, "0123456789", 10) != 10)
        puts("short write");
    p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%.10s\n", p);
    p[0] = 'x';
    munmap(p, 10);
    pread(fd, buf, 10, 0);
    printf("%s\n", buf);
    p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(p + 2, "ab", 2);
    printf("%d\n", msync(p, 10, MS_SYNC));
    pread(fd, buf, 10, 0);
    printf("%s\n", buf);
    p[9] = '!';
    printf("%d\n", munmap(p, 10));
    pread(fd, buf, 10, 0);
    printf("%s\n", buf);
    close(fd);
    fd = open("mapped", O_RDONLY);
    p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("%d\n", p == MAP_FAILED && errno == EACCES);
    p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%d\n", p != MAP_FAILED);
    munmap(p, 10);
    close(fd);
    unlink("mapped");
    p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d %d\n", p[12345], ((size_t)p & 4095) == 0);
    memset(p, 1, 1 << 20);
    printf("%d %d\n", madvise(p, 1 << 20, MADV_DONTNEED), p[777]);
    printf("%d\n", munmap(p, 1 << 20));
}

/* Elsewhere O_RDONLY is 0, so programs leave it out. */
static void without_a_mode(void)
{
    static const struct {
        const char *path;
        int flags;
    } opens[] = {{"d/two.txt", 0}, {"d/two.txt", O_CLOEXEC}, {"d/two.txt", O_NONBLOCK}, {"d", O_DIRECTORY},
        {"d/two.txt", O_DIRECTORY}, {"d/new", O_CREAT}, {"d/none", 0}, {"/dev/null", 0}};
    char buf[8];

    put("d/two.txt", "22");
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        int fd = open(opens[i].path, opens[i].flags, 0644);
        ssize_t got = read(fd, buf, sizeof buf), put = write(fd, "x", 1);

        printf("%s: %d, read %zd, write %zd\n", opens[i].path, fd >= 0, got, put);
        close(fd);
    }
    unlink("d/new");
}

int main(void)
{
    directories();
    without_a_mode();
    contents();
    mappings();
    closed_mappings();
    unlink("d/link");
    unlink("d/uno");
    unlink("d/two.txt");
    unlink("d/sub/three");
    printf("%d %d\n", rmdir("d/sub"), rmdir("d"));
    return 0;
}
