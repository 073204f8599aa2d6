#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const status_names[ST_COUNT] = {
    [ST_OK] = "ok",
    [ST_INVAL] = "invalid argument",
    [ST_NOMEM] = "out of memory",
    [ST_LIMIT] = "limit reached",
    [ST_IO] = "input/output error",
    [ST_NOTFOUND] = "not found",
    [ST_EXIST] = "exists already",
    [ST_PERM] = "not permitted",
    [ST_CORRUPT] = "corrupt",
    [ST_FORMAT] = "malformed",
    [ST_INVALID] = "invalid",
    [ST_UNSUPPORTED] = "unsupported",
    [ST_LINK] = "link error",
    [ST_TRAP] = "trap",
    [ST_EXIT] = "exit",
    [ST_EXCEPTION] = "uncaught exception",
    [ST_STOPPED] = "stopped",
    [ST_CAPTURED] = "captured",
    [ST_AGAIN] = "would block",
    [ST_CHANGED] = "changed",
    [ST_MOVED] = "moved",
};

const char *status_name(status_t st)
{
    return (unsigned)st < ST_COUNT ? status_names[st] : "unknown status";
}

static void error_vset(struct error *err, status_t code, uint64_t offset, const char *fmt,
                       va_list args)
{
    err->code = code;
    err->offset = offset;
    if (vsnprintf(err->text, sizeof err->text, fmt, args) < 0) {
        err->text[0] = '\0';
    }
}

status_t error_set(struct error *err, status_t code, uint64_t offset, const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        error_vset(err, code, offset, fmt, args);
        va_end(args);
    }
    return code;
}

#define CUT "..."

status_t error_set_errno(struct error *err, int errnum, const char *fmt, ...)
{
    status_t code = status_from_errno(errnum);
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        error_vset(err, code, ERROR_NO_OFFSET, fmt, args);
        va_end(args);
        char text[128];
        const char *reason = strerror_r(errnum, text, sizeof text);
        size_t len = strlen(err->text), room = sizeof err->text - 1 - strlen(": ") - strlen(reason);
        if (len > room) { /* a long path must not push out what is wrong with it */
            len = room;
            memcpy(err->text + len - strlen(CUT), CUT, strlen(CUT) + 1);
        }
        snprintf(err->text + len, sizeof err->text - len, "%s%s", len > 0 ? ": " : "", reason);
    }
    return code;
}

/* One row per errno that a caller treats in its own way; everything else is ST_IO. */
static const struct {
    int errnum;
    status_t code;
} errno_rows[] = {
    {EINVAL, ST_INVAL},    {EISDIR, ST_INVAL},       {ENAMETOOLONG, ST_INVAL},
    {ENOMEM, ST_NOMEM},    {EMFILE, ST_LIMIT},       {ENFILE, ST_LIMIT},
    {ENOSPC, ST_LIMIT},    {EDQUOT, ST_LIMIT},       {EFBIG, ST_LIMIT},
    {ENOENT, ST_NOTFOUND}, {ENOTDIR, ST_NOTFOUND},   {EEXIST, ST_EXIST},
    {EACCES, ST_PERM},     {EPERM, ST_PERM},         {EROFS, ST_PERM},
    {EAGAIN, ST_AGAIN},    {ENOSYS, ST_UNSUPPORTED}, {EOPNOTSUPP, ST_UNSUPPORTED},
};

status_t status_from_errno(int errnum)
{
    for (size_t i = 0; i < sizeof errno_rows / sizeof errno_rows[0]; i++) {
        if (errno_rows[i].errnum == errnum) {
            return errno_rows[i].code;
        }
    }
    return ST_IO;
}
