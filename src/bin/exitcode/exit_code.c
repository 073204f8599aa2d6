#include "exitcode/exit_code.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int exit_code_of(status_t code)
{
    switch (code) {
    case ST_OK:
        return 0;
    case ST_NOTFOUND:
        return EXIT_MISSING;
    case ST_INVAL:
    case ST_FORMAT:
    case ST_INVALID:
    case ST_UNSUPPORTED:
    case ST_CORRUPT:
    case ST_LINK:
        return EXIT_REFUSED;
    case ST_NOMEM:
    case ST_LIMIT: /* what there is does not suffice for it */
    case ST_IO:
    case ST_EXIST:
    case ST_PERM:
    case ST_TRAP:
    case ST_EXIT:
    case ST_EXCEPTION:
    case ST_STOPPED:
    case ST_CAPTURED:
    case ST_AGAIN:
    case ST_CHANGED:
    case ST_MOVED:
    case ST_COUNT:
        break;
    }
    return EXIT_SYSTEM;
}

int exit_after_output(const char *program)
{
    bool failed = ferror(stdout) != 0;
    int flushed = fflush(stdout);
    if (flushed == 0 && !failed) {
        return 0;
    }
    fprintf(stderr, "%s: standard output: %s\n", program,
            flushed != 0 ? strerror(errno) : "not everything could be written");
    return EXIT_SYSTEM;
}
