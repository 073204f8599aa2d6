#ifndef EXITCODE_EXIT_CODE_H
#define EXITCODE_EXIT_CODE_H

#include "base/status.h"

/* Exit codes of all programs and verbs; every other one of `cloudskin run` is the guest program's. */
enum exit_code {
    EXIT_USAGE = 64,
    EXIT_REFUSED = 65,  /* module or image refused */
    EXIT_SYSTEM = 71,   /* refused by the operating system or a limit: memory, files, processes */
    EXIT_FROZEN = 75,   /* the program goes on by `cloudskin thaw` */
    EXIT_MISSING = 127, /* no such file, function, verb or compiler */
    EXIT_INTERRUPT = 130,
    EXIT_TRAP = 134,
    EXIT_STOPPED = 143, /* SIGTERM, or --timeout */
    EXIT_CPU = 152,
    EXIT_OUTPUT = 153, /* --output-bytes */
};

/* What a failure to read, compile, load or start a file means to the caller's shell: EXIT_REFUSED, EXIT_MISSING or
 * EXIT_SYSTEM; 0 for ST_OK. */
int exit_code_of(status_t code);

/* Flush standard output at the end of what a program prints. 0, or EXIT_SYSTEM after a line on standard error that
 * says why something did not get there. program: its name. */
int exit_after_output(const char *program);

#endif
