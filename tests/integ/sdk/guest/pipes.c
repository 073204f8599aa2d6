/* A program's own pipes and pairs of sockets: what goes in comes out, poll and select know, ends are told. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int broken;

static void on_broken(int sig)
{
    broken = sig;
}

static int ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, 0);

    return n <= 0 ? n : (p.revents & POLLIN ? 1 : 0) + (p.revents & POLLOUT ? 2 : 0);
}

static int selected(int fd)
{
    struct timeval none = {0, 0};
    fd_set reads, others;
    int n;

    FD_ZERO(&reads);
    FD_ZERO(&others);
    FD_SET(fd, &reads);
    FD_SET(fd, &others);
    n = select(fd + 1, &reads, NULL, &others, &none);
    return n * 10 + (FD_ISSET(fd, &reads) != 0) + (FD_ISSET(fd, &others) != 0);
}

static void words(void)
{
    char text[32] = "";
    int fds[2], waiting;
    struct stat one, two;

    printf("pipe %d\n", pipe(fds));
    printf("empty: %d %d, full: %d\n", ready(fds[0], POLLIN), selected(fds[0]), ready(fds[1], POLLOUT));
    printf("write %zd\n", write(fds[1], "hello, pipe", 11));
    printf("ready: %d %d\n", ready(fds[0], POLLIN), selected(fds[0]));
    printf("waiting: %d %d\n", ioctl(fds[0], FIONREAD, &waiting), waiting);
    printf("read %zd", read(fds[0], text, 5));
    printf(" %s\n", text);
    printf("read %zd", read(fds[0], text, sizeof text));
    printf(" %s\n", text);
    printf("kinds: %d %d %d\n", fstat(fds[0], &one) == 0 && S_ISFIFO(one.st_mode),
           fstat(fds[1], &two) == 0 && S_ISFIFO(two.st_mode), isatty(fds[0]));
    printf("modes: %d %d\n", (fcntl(fds[0], F_GETFL) & O_ACCMODE) == O_RDONLY,
           (fcntl(fds[1], F_GETFL) & O_ACCMODE) == O_WRONLY);
    printf("seek %d %d\n", (int)lseek(fds[0], 0, SEEK_CUR), errno == ESPIPE);
    printf("wrong ends: %zd %d", write(fds[0], "x", 1), errno == EBADF);
    printf(", %zd %d\n", read(fds[1], text, 1), errno == EBADF);
    printf("close %d\n", close(fds[1]));
    printf("end: %zd\n", read(fds[0], text, 1));
    printf("close %d, again %d %d\n", close(fds[0]), close(fds[0]), errno == EBADF);
}

/* More than a ring holds, in pieces of all sizes. */
static void rounds(void)
{
    static char in[100000], out[100000];
    size_t put = 0, got = 0, size = 1;
    int fds[2];

    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 31 >> 3);
    printf("pipe2 %d\n", pipe2(fds, O_NONBLOCK | O_CLOEXEC));
    printf("empty: %zd %d\n", read(fds[0], out, 1), errno == EAGAIN);
    while (got < sizeof in) {
        size_t piece = size % 9973 < sizeof in - put ? size % 9973 : sizeof in - put;
        struct iovec v[2] = {{in + put, piece / 3}, {in + put + piece / 3, piece - piece / 3}};
        ssize_t n = piece ? writev(fds[1], v, 2) : 0;

        put += n > 0 ? (size_t)n : 0;
        n = read(fds[0], out + got, size % 7919 + 1);
        got += n > 0 ? (size_t)n : 0;
        size = size * 5 + 3;
    }
    printf("all: %d\n", memcmp(in, out, sizeof in) == 0);
    put = 0;
    while (write(fds[1], in, 4096) == 4096)
        put += 4096;
    printf("holds %zu, then %d %d\n", put, errno == EAGAIN, ready(fds[1], POLLOUT));
    printf("a long one: %zd %d\n", write(fds[1], in, sizeof in), errno == EAGAIN);
    printf("some room: %zd", read(fds[0], out, 5000));
    printf(", %d", ready(fds[1], POLLOUT));
    printf(", %zd", write(fds[1], in, 4096));
    printf(", %zd %d\n", write(fds[1], in, 4096), errno == EAGAIN);
    signal(SIGPIPE, on_broken);
    close(fds[0]);
    printf("broken: %zd %d %d\n", write(fds[1], "x", 1), errno == EPIPE, broken == SIGPIPE);
    close(fds[1]);
}

static void pairs(void)
{
    struct stat st;
    char text[32] = "";
    int fds[2];

    printf("pair %d", socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    printf(" %d\n", fstat(fds[0], &st) == 0 && S_ISSOCK(st.st_mode));
    printf("there %zd, back %zd\n", write(fds[0], "ping", 4), send(fds[1], "pong!", 5, 0));
    printf("peek %zd", recv(fds[1], text, 2, MSG_PEEK));
    printf(" %s,", text);
    printf(" %zd", recv(fds[1], text, sizeof text, 0));
    printf(" %s,", text);
    printf(" %zd", read(fds[0], text, sizeof text));
    printf(" %s\n", text);
    printf("shut %d, end %zd\n", shutdown(fds[0], SHUT_WR), read(fds[1], text, 1));
    printf("still back: %zd", write(fds[1], "x", 1));
    printf(" %zd\n", read(fds[0], text, sizeof text));
    close(fds[0]);
    close(fds[1]);
}

/* Does poll say anything about an end to write to? */
static int told(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0);
}

/* A new pair takes the memory of the last one, if that was given back: it must be empty, and the only user. */
static void fresh(void)
{
    char text[8] = "";
    int fds[2];

    printf(" fresh %d", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    printf(" %zd %d", read(fds[0], text, 1), errno == EAGAIN);
    printf(" %zd", write(fds[1], "new", 3));
    printf(" %zd %s", read(fds[0], text, sizeof text), text);
    printf(" %d %d\n", close(fds[0]), close(fds[1]));
}

/* Ends that are shut before they are closed, in either order: `first` is closed first. */
static void shut_then_closed(int how_one, int how_other, int first)
{
    char text[8] = "";
    int fds[2];

    printf("pair %d:", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    printf(" %zd %zd", write(fds[0], "to", 2), write(fds[1], "fro", 3));
    printf(", shut %d", shutdown(fds[0], how_one));
    if (how_other >= 0)
        printf(" %d", shutdown(fds[1], how_other));
    printf(", told %d %d", told(fds[0]), told(fds[1]));
    printf(", mode %d", (fcntl(fds[0], F_GETFL) & O_ACCMODE) == O_RDWR);
    errno = 0;
    printf(", send %zd %d", send(fds[0], "x", 1, MSG_NOSIGNAL), errno == EPIPE);
    errno = 0;
    printf(", back %zd %d", send(fds[1], "y", 1, MSG_NOSIGNAL), errno == EPIPE);
    printf(", left %zd", read(fds[1], text, sizeof text));
    printf(" %s", text);
    errno = 0;
    printf(" then %zd %d", read(fds[1], text, 1), errno == EAGAIN);
    printf(", close %d", close(fds[first]));
    printf(", told %d", told(fds[!first]));
    printf(", close %d", close(fds[!first]));
    fresh();
}

static void shut(void)
{
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};

    for (int first = 0; first < 2; first++)
        for (int i = 0; i < 3; i++) {
            shut_then_closed(hows[i], -1, first);
            for (int j = 0; j < 3; j++)
                shut_then_closed(hows[i], hows[j], first);
        }
}

/* An end that is shut twice, through a copy that outlives it. */
static void shut_copies(void)
{
    char text[8] = "";
    int fds[2], copy;

    printf("pair %d", socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    copy = dup(fds[0]);
    printf(", shut %d %d, close %d", shutdown(fds[0], SHUT_WR), shutdown(copy, SHUT_WR), close(fds[0]));
    printf(", end %zd, back %zd", read(fds[1], text, 1), write(fds[1], "abc", 3));
    printf(", close %d, left %zd", close(fds[1]), read(copy, text, sizeof text));
    printf(" %s, end %zd, told %d, close %d\n", text, read(copy, text, 1), told(copy), close(copy));
}

/* What is looked at is there once, however often it is looked at. */
static void peeks(void)
{
    char text[16] = "";
    int fds[2];

    printf("pair %d", socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    printf(" %zd", write(fds[0], "abcde", 5));
    for (int i = 0; i < 2; i++) {
        memset(text, 0, sizeof text);
        printf(", peek %zd", recv(fds[1], text, 8, MSG_PEEK | MSG_WAITALL));
        printf(" %s", text);
    }
    memset(text, 0, sizeof text);
    printf(", part %zd", recv(fds[1], text, 3, MSG_PEEK | MSG_WAITALL));
    printf(" %s", text);
    printf(", all %zd", recv(fds[1], text, 5, MSG_WAITALL));
    printf(" %s", text);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    printf(", none %zd", recv(fds[1], text, 5, MSG_PEEK | MSG_WAITALL));
    printf(" %d", errno == EAGAIN);
    printf(", more %zd", write(fds[0], "fg", 2));
    memset(text, 0, sizeof text);
    printf(", some %zd", recv(fds[1], text, 5, MSG_WAITALL));
    printf(" %s\n", text);
    printf("close %d, end %zd", close(fds[0]), recv(fds[1], text, 5, MSG_PEEK | MSG_WAITALL));
    printf(", close %d\n", close(fds[1]));
}

static void streams(void)
{
    char line[32];
    int fds[2], copy;
    FILE *in, *out;

    printf("pipe %d\n", pipe(fds));
    in = fdopen(fds[0], "r");
    out = fdopen(fds[1], "w");
    fprintf(out, "one\ntwo\n");
    fflush(out);
    printf("line %s", fgets(line, sizeof line, in));
    copy = dup(fds[1]);
    fclose(out);
    dprintf(copy, "three\n");
    close(copy);
    while (fgets(line, sizeof line, in))
        printf("line %s", line);
    printf("end %d\n", feof(in) != 0);
    fclose(in);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    words();
    rounds();
    pairs();
    shut();
    shut_copies();
    peeks();
    streams();
    return 0;
}
