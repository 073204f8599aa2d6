#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#define CHECKED __attribute__((warn_unused_result))

/* One value for each decision that a caller can take. */
typedef enum status {
    ST_OK = 0,
    ST_INVAL,       /* the caller's argument is wrong */
    ST_NOMEM,       /* memory or address space ran out */
    ST_LIMIT,       /* a named limit was reached */
    ST_IO,          /* the operating system refused; see errno text in the error */
    ST_NOTFOUND,    /* no such file, export or object */
    ST_EXIST,       /* it is there already */
    ST_PERM,        /* not granted */
    ST_CORRUPT,     /* a checksum or structure is wrong */
    ST_FORMAT,      /* malformed input */
    ST_INVALID,     /* well-formed input that breaks the rules of its format */
    ST_UNSUPPORTED, /* valid, but this build, CPU or version cannot do it */
    ST_LINK,        /* an import has no provider or the wrong type */
    ST_TRAP,        /* the guest trapped */
    ST_EXIT,        /* the guest ended by itself with an exit code */
    ST_EXCEPTION,   /* a wasm exception left the outermost function */
    ST_STOPPED,     /* stopped on request */
    ST_CAPTURED,    /* stopped to go on later */
    ST_AGAIN,       /* would block */
    ST_CHANGED,     /* it is there, but not as the caller's condition says */
    ST_MOVED,       /* another one does this now */
    ST_COUNT
} status_t;

enum { ERROR_TEXT_MAX = 240 };

/* What went wrong and where. code stays ST_OK until error_set.
 * offset: byte offset in the input, or ERROR_NO_OFFSET. text: NUL-terminated, may be empty. */
#define ERROR_NO_OFFSET UINT64_MAX
struct error {
    status_t code;
    uint64_t offset;
    char text[ERROR_TEXT_MAX];
};

/* Fill *err (may be NULL) and return code, so that `return error_set(...)` reads as one step.
 * fmt: printf format; longer text is cut. Any thread; err is the caller's. */
status_t error_set(struct error *err, status_t code, uint64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a failed system call: maps errnum to a status and appends its text. */
status_t error_set_errno(struct error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Map an errno value to the status a caller acts on. Never ST_OK. Any thread. */
status_t status_from_errno(int errnum);

/* A short lower-case English name, never NULL. Any thread. */
const char *status_name(status_t st);

#endif
