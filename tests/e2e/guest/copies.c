/* Copies of descriptors, a pipe with bytes in it and standard output elsewhere, while it waits for a line: all of it is as
 * it was when it goes on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    struct pollfd wait[2];
    char text[32] = "", line[32];
    int fds[2], saved = dup(STDOUT_FILENO), file = open("/log", O_RDWR | O_CREAT | O_TRUNC, 0644), copy = dup(file);
    ssize_t got;

    pipe2(fds, O_NONBLOCK);
    write(fds[1], "from the pipe", 13);
    read(fds[0], text, 5);
    dup2(file, STDOUT_FILENO);
    close(file);
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("before,");
    dprintf(saved, "waiting\n");
    if (!fgets(line, sizeof line, stdin))
        return 1;
    printf(" after %s", line);
    dprintf(copy, "through the copy\n");
    wait[0] = (struct pollfd){.fd = fds[0], .events = POLLIN};
    wait[1] = (struct pollfd){.fd = fds[1], .events = POLLOUT};
    poll(wait, 2, -1);
    got = read(fds[0], text, sizeof text - 1);
    text[got < 0 ? 0 : got] = '\0';
    dup2(saved, STDOUT_FILENO);
    printf("%d %d,%s, %d\n", wait[0].revents == POLLIN, wait[1].revents == POLLOUT, text, (int)lseek(copy, 0, SEEK_CUR));
    close(fds[1]);
    printf("end %zd\n", read(fds[0], text, 1));
    return 3;
}
