/* The older name of the interface: seek, attributes and clocks have other numbers and layouts there. */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "say.h"

#define IMPORT(name) __attribute__((import_module("wasi_unstable"), import_name(name)))

IMPORT("fd_seek") int old_seek(int fd, int64_t offset, int whence, uint64_t *ret);
IMPORT("fd_filestat_get") int old_stat(int fd, void *ret);
IMPORT("path_filestat_get")
int old_path_stat(int fd, int flags, const char *path, int len, void *ret);
IMPORT("poll_oneoff") int old_poll(const void *subs, void *events, int count, int *ret);
IMPORT("fd_write") int old_write(int fd, const void *iovs, int count, int *ret);

int main(void)
{
    uint64_t at = 0, stat[8], sub[7] = {99}, event[4];
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0666), n = 0;
    write(fd, "0123456789", 10);
    say("set", old_seek(fd, 4, 2, &at));
    say("at", (long)at);
    say("current", old_seek(fd, 1, 0, &at));
    say("at", (long)at);
    say("end", old_seek(fd, -1, 1, &at));
    say("at", (long)at);
    say("stat", old_stat(fd, stat));
    say("size", (long)stat[3]);
    say("path stat", old_path_stat(3, 0, "f", 1, stat));
    say("size", (long)stat[3]);
    sub[3] = 1;       /* clock: monotonic, behind the identifier */
    sub[4] = 1000000; /* timeout: relative */
    say("poll", old_poll(sub, event, 1, &n));
    say("events", n);
    say("userdata", (long)event[0]);
    struct {
        const char *text;
        int len;
    } iov = {"written\n", 8};
    fflush(stdout);
    say("write", old_write(1, &iov, 1, &n));
    return 0;
}
