/* Open files until the limit, and again after closing one; then exit with an odd code through atexit. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "say.h"

static void last_words(void)
{
    puts("atexit ran");
}

int main(void)
{
    int n = 0, last = -1;
    for (int fd; (fd = open("f", O_RDWR | O_CREAT, 0666)) >= 0; n++) {
        last = fd;
    }
    printf("%d opened, then %s\n", n, error_name(errno));
    close(last);
    say("the number again", open("f", O_RDONLY) == last);
    atexit(last_words);
    exit(42);
}
