/* /dev/null and its kind are there whether a folder is granted that has them or not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void device(const char *path)
{
    unsigned char bytes[64];
    size_t zeros = 0;
    struct stat st, other;
    int fd = open(path, O_RDWR);
    ssize_t got;

    memset(bytes, 1, sizeof bytes);
    got = read(fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < got; i++)
        zeros += bytes[i] == 0;
    printf("%s: %d, read %zd, %s", path, fd >= 0, got, zeros == 64 ? "zeros" : zeros < 8 ? "others" : "?");
    got = write(fd, "text", 4);
    printf(", write %zd %s", got, got < 0 ? strerror(errno) : "");
    printf(", kind %d %d %d", stat(path, &st) == 0 && S_ISCHR(st.st_mode), fstat(fd, &other) == 0 && S_ISCHR(other.st_mode),
           st.st_ino == other.st_ino && st.st_dev == other.st_dev);
    printf(", terminal %d, access %d %d\n", isatty(fd), access(path, R_OK | W_OK), access(path, X_OK));
    close(fd);
}

int main(void)
{
    FILE *f = fopen("/dev/null", "w");

    device("/dev/null");
    device("/dev/zero");
    device("/dev/full");
    printf("null: %d %d\n", fprintf(f, "lost\n"), fclose(f));
    f = fopen("/dev/urandom", "rb");
    printf("random: %d\n", f && getc(f) != EOF && fclose(f) == 0);
    printf("none: %d %d\n", open("/dev/nonesuch", O_RDONLY), errno == ENOENT);
    printf("made: %d %d\n", open("/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0644), errno == EEXIST);
    printf("last:\n");
    fflush(stdout);
    f = fopen("/dev/stdout", "a");
    fprintf(f, "through its name\n");
    fclose(f);
    f = fopen("/dev/fd/1", "a");
    fprintf(f, "and its number\n");
    fclose(f);
    return 0;
}
