/* What glibc has and musl has not, and programs use without asking. Weak: gnulib brings some of these along. */
#define _GNU_SOURCE
#include <errno.h>
#include <error.h>
#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((__weak__))

WEAK void (*error_print_progname)(void);
WEAK unsigned error_message_count;
WEAK int error_one_per_line;

static void begin(void)
{
    fflush(stdout);
    if (error_print_progname)
        error_print_progname();
    else
        fprintf(stderr, "%s:", program_invocation_name);
}

static void end(int status, int number, const char *format, va_list args)
{
    vfprintf(stderr, format, args);
    error_message_count++;
    if (number)
        fprintf(stderr, ": %s", strerror(number));
    fputc('\n', stderr);
    if (status)
        exit(status);
}

WEAK void error(int status, int number, const char *format, ...)
{
    va_list args;

    begin();
    if (!error_print_progname)
        fputc(' ', stderr);
    va_start(args, format);
    end(status, number, format, args);
    va_end(args);
}

WEAK void error_at_line(int status, int number, const char *file, unsigned line, const char *format, ...)
{
    static const char *last_file;
    static unsigned last_line;
    va_list args;

    if (error_one_per_line) {
        if (last_file && line == last_line && (file == last_file || strcmp(file, last_file) == 0))
            return;
        last_file = file;
        last_line = line;
    }
    begin();
    fprintf(stderr, file ? "%s:%u: " : " ", file, line);
    va_start(args, format);
    end(status, number, format, args);
    va_end(args);
}

WEAK int backtrace(void **ret_frames, int size)
{
    (void)ret_frames;
    (void)size;
    return 0;
}

WEAK char **backtrace_symbols(void *const *frames, int count)
{
    (void)frames;
    (void)count;
    return calloc(1, sizeof(char *));
}

WEAK void backtrace_symbols_fd(void *const *frames, int count, int fd)
{
    (void)frames;
    (void)count;
    (void)fd;
}

WEAK void *rawmemchr(const void *block, int byte)
{
    const unsigned char *at = block;

    while (*at != (unsigned char)byte)
        at++;
    return (void *)at;
}

WEAK char *canonicalize_file_name(const char *path)
{
    return realpath(path, NULL);
}
