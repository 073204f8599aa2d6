/* glibc's own names, and whether the compiler says that this is a Unix. */
#define _GNU_SOURCE
#include <errno.h>
#include <error.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/cdefs.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(__unix__) || !defined(__unix) || !defined(unix)
#error "not a Unix"
#endif

__BEGIN_DECLS
int declared(int) __THROW;
__END_DECLS

int declared(int x)
{
    return x + 1;
}

static void no_name(void)
{
    fputs("gnu: ", stderr);
}

int main(void)
{
    void *frames[4];
    char *path;
    struct stat st;

    dup2(1, 2);
    printf("declared %d\n", declared(41));
    error_print_progname = no_name;
    error(0, 0, "a message with %d", 1);
    error(0, ENOENT, "and a number");
    error_at_line(0, 0, "file", 7, "in a line");
    error_one_per_line = 1;
    error_at_line(0, 0, "file", 8, "once");
    error_at_line(0, 0, "file", 8, "and not again");
    printf("messages: %u\n", error_message_count);
    printf("frames: %d\n", backtrace(frames, 4) >= 0);
    printf("raw: %s\n", (char *)rawmemchr("text", 'x'));
    path = canonicalize_file_name(".");
    printf("path: %d\n", path && path[0] == '/');
    printf("closed: %d\n", TEMP_FAILURE_RETRY(close(dup(1))) == 0);
    printf("blocks: %d %d\n", stat(".", &st) == 0 && st.st_blksize > 0, S_ISDIR(st.st_mode));
    error(3, 0, "the end");
    return 0;
}
