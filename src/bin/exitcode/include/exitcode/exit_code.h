#ifndef CLOUDSKIN_EXIT_CODE_H
#define CLOUDSKIN_EXIT_CODE_H

/* Exit codes of cloudskin itself; every other one is the guest program's. */
enum exit_code {
    EXIT_USAGE = 64,
    EXIT_REFUSED = 65,  /* module or image refused */
    EXIT_SYSTEM = 71,   /* the operating system refused: memory, files, processes */
    EXIT_MISSING = 127, /* no such file, function, verb or compiler */
    EXIT_INTERRUPT = 130,
    EXIT_TRAP = 134,
    EXIT_STOPPED = 143, /* SIGTERM, or --timeout */
    EXIT_CPU = 152,
    EXIT_OUTPUT = 153, /* --output-bytes */
};

#endif
