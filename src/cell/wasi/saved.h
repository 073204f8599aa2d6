#ifndef CELL_WASI_SAVED_H
#define CELL_WASI_SAVED_H

/* Numbers of the saved state, which docs/internals/wasi.md describes. */

#define SAVED_MAGIC UINT32_C(0x49534157) /* "WASI" */

enum {
    SAVED_VERSION = 1,
    SAVED_ORIGIN_PATH = 0, /* beneath a grant */
    SAVED_ORIGIN_STDIO,
    SAVED_ORIGIN_LISTEN,
    SAVED_ORIGIN_LOST, /* not found at an earlier restore */
    SAVED_ORIGIN_COUNT
};

enum { SAVED_READ_ONLY = 1, SAVED_PREOPEN = 2, SAVED_BITS_KNOWN = 3 };

#endif
