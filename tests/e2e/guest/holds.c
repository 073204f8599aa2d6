/* Opens what its folders and arguments give it, goes down as many calls as its first argument says, and waits there for
 * a line on standard input. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static int wait_for_line(void)
{
    char c = 0;
    printf("waiting\n");
    fflush(stdout);
    while (c != '\n' && read(0, &c, 1) == 1) {
    }
    return c == '\n' ? 3 : 4;
}

static int descend(int left)
{
    volatile int more = left == 0 ? wait_for_line() : descend(left - 1);
    return more + (left < 0);
}

int main(int argc, char **argv)
{
    int in = open("/in/read me", O_RDONLY);
    int out = open("/out/log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (in < 0 || out < 0 || lseek(in, 4, SEEK_SET) != 4 || write(out, "12345", 5) != 5)
        return 1;
    return descend(argc > 1 ? atoi(argv[1]) : 0);
}
