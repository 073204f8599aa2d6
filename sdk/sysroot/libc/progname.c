/* The names by which err(), error() and programs call themselves, for those that ask. Taken before any constructor of
 * the program: main itself may have no arguments. */
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

static char none[] = "";
char *__progname = none, *__progname_full = none;
extern __typeof__(__progname) program_invocation_short_name __attribute__((__weak__, __alias__("__progname")));
extern __typeof__(__progname_full) program_invocation_name __attribute__((__weak__, __alias__("__progname_full")));

__attribute__((constructor(50))) static void name_program(void)
{
    __wasi_size_t count, size;
    char *text, **arguments, *slash;

    if (__wasi_args_sizes_get(&count, &size) != 0 || count == 0)
        return;
    text = malloc(size);
    arguments = calloc(count, sizeof *arguments);
    if (text && arguments && __wasi_args_get((uint8_t **)arguments, (uint8_t *)text) == 0 &&
        (__progname_full = strdup(arguments[0]))) {
        slash = strrchr(__progname_full, '/');
        __progname = slash ? slash + 1 : __progname_full;
    } else {
        __progname_full = none;
    }
    free(text);
    free(arguments);
}
