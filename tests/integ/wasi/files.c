/* Opening, reading, writing and placing, in the working directory. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "say.h"

static void show(const char *path)
{
    char text[256];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < 0) {
        printf("%s is not readable: %s\n", path, error_name(errno));
    } else {
        text[n] = '\0';
        printf("%s holds '%s'\n", path, text);
    }
    close(fd);
}

static void opening(void)
{
    mkdir("d", 0777);
    try_it("missing", open("missing", O_RDONLY));
    int fd = open("new", O_WRONLY | O_CREAT | O_EXCL, 0666);
    try_it("create", fd);
    say("write", write(fd, "0123456789", 10));
    say("read from a write-only file", read(fd, &fd, 0) + read(fd, &fd, 1));
    close(fd);
    try_it("create again", open("new", O_WRONLY | O_CREAT | O_EXCL, 0666));
    try_it("directory for writing", open("d", O_WRONLY));
    try_it("file as a directory", open("new", O_RDONLY | O_DIRECTORY));
    try_it("below a file", open("new/x", O_RDONLY));
    try_it("slash behind a file", open("new/", O_RDONLY));
    fd = open("d", O_RDONLY);
    char byte;
    try_it("read a directory", read(fd, &byte, 1));
    close(fd);
    fd = open("new", O_RDONLY);
    try_it("write to a read-only file", write(fd, "x", 1));
    try_it("cut a read-only file", ftruncate(fd, 0) < 0 ? -1 : 0);
    close(fd);
    show("new");
    close(open("new", O_WRONLY | O_TRUNC));
    show("new");
    try_it("closed descriptor", read(fd, &byte, 1));
}

static void placing(void)
{
    char text[32] = "";
    int fd = open("seek", O_RDWR | O_CREAT | O_TRUNC, 0666);
    write(fd, "0123456789", 10);
    say("end", lseek(fd, 0, SEEK_END));
    say("back 3", lseek(fd, -3, SEEK_CUR));
    say("before the start", lseek(fd, -1, SEEK_SET));
    say("bad whence", lseek(fd, 0, 17));
    say("read the rest", read(fd, text, sizeof(text)));
    say("read at the end", read(fd, text, sizeof(text)));
    say("pread", pread(fd, text, 4, 3));
    printf("%.4s\n", text);
    say("pwrite", pwrite(fd, "AB", 2, 8));
    say("pwrite past the end", pwrite(fd, "Z", 1, 15));
    say("place", lseek(fd, 0, SEEK_CUR));
    struct stat st;
    fstat(fd, &st);
    say("size", (long)st.st_size);
    memset(text, 'x', sizeof(text));
    say("hole", pread(fd, text, 5, 10));
    printf("%d %d %d %d %d\n", text[0], text[1], text[2], text[3], text[4]);
    say("ftruncate", ftruncate(fd, 3));
    fstat(fd, &st);
    say("size", (long)st.st_size);
    say("place", lseek(fd, 0, SEEK_CUR));
    say("write there", write(fd, "!", 1));
    fstat(fd, &st);
    say("size", (long)st.st_size);
    close(fd);
}

static void appending(void)
{
    int fd = open("log", O_RDWR | O_CREAT | O_APPEND, 0666);
    say("write", write(fd, "one ", 4));
    lseek(fd, 0, SEEK_SET);
    say("write", write(fd, "two ", 4));
    say("place", lseek(fd, 0, SEEK_CUR));
    say("flags", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
    say("fcntl", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_APPEND));
    lseek(fd, 0, SEEK_SET);
    say("write", write(fd, "ONE", 3));
    say("fcntl", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND));
    say("write", write(fd, "three", 5));
    close(fd);
    show("log");
}

static void vectors(void)
{
    char a[3], b[100], c[5];
    struct iovec out[] = {{(void *)"abc", 3}, {NULL, 0}, {(void *)"defghij", 7}, {(void *)"k", 1}};
    struct iovec in[] = {{a, sizeof(a)}, {b, 4}, {c, sizeof(c)}};
    int fd = open("iov", O_RDWR | O_CREAT | O_TRUNC, 0666);
    say("writev", writev(fd, out, 4));
    lseek(fd, 0, SEEK_SET);
    say("readv", readv(fd, in, 3));
    printf("%.3s %.4s %.4s\n", a, b, c);
    say("preadv", preadv(fd, in, 2, 2));
    printf("%.3s %.4s\n", a, b);
    close(fd);
}

static void large(void)
{
    size_t len = 5 * 1000 * 1000 + 7;
    unsigned char *data = malloc(len);
    int fd = open("large", O_RDWR | O_CREAT | O_TRUNC, 0666);
    for (size_t i = 0; i < len; i++) {
        data[i] = (unsigned char)(i * 31 + i / 257);
    }
    say("write", write(fd, data, len));
    memset(data, 0, len);
    say("pread", pread(fd, data, len, 0));
    size_t wrong = 0;
    for (size_t i = 0; i < len; i++) {
        wrong += data[i] != (unsigned char)(i * 31 + i / 257);
    }
    say("wrong bytes", (long)wrong);
    say("fsync", fsync(fd));
    say("fdatasync", fdatasync(fd));
    say("fallocate", posix_fallocate(fd, 0, 6000000));
    say("size", (long)lseek(fd, 0, SEEK_END));
    say("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    close(fd);
    free(data);
}

static void stdio(void)
{
    char line[64];
    FILE *f = fopen("text", "w+");
    for (int i = 0; i < 1000; i++) {
        fprintf(f, "line %d\n", i);
    }
    say("ftell", ftell(f));
    fseek(f, -10, SEEK_END);
    say("rest", (long)fread(line, 1, sizeof(line), f));
    say("eof", feof(f) != 0);
    rewind(f);
    long sum = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        sum += (long)strlen(line);
    }
    say("characters", sum);
    fclose(f);
    f = fopen("text", "a");
    fputs("end\n", f);
    fclose(f);
    f = fopen("text", "r+");
    fseek(f, -4, SEEK_END);
    fgets(line, sizeof(line), f);
    printf("%s", line);
    fclose(f);
    say("missing", fopen("nope", "r") == NULL ? 0 : 1);
    say("directory", fopen("d", "w") == NULL ? 0 : 1);
    say("remove", remove("text"));
    say("remove", remove("d"));
    say("access", access("text", F_OK));
}

int main(void)
{
    opening();
    placing();
    appending();
    vectors();
    large();
    stdio();
    return 0;
}
