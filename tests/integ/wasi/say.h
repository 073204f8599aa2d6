#ifndef TESTS_INTEG_WASI_SAY_H
#define TESTS_INTEG_WASI_SAY_H

/* The programs of this folder print what they see, so that a cell's words can be compared with those of the same
 * program running natively. Numbers of errors differ between the two; their names do not. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

static inline const char *error_name(int errnum)
{
    static const struct {
        int errnum;
        const char *name;
    } names[] = {
        {0, "ok"},
        {EACCES, "EACCES"},
        {EAGAIN, "EAGAIN"},
        {EBADF, "EBADF"},
        {EBUSY, "EBUSY"},
        {EEXIST, "EEXIST"},
        {EFBIG, "EFBIG"},
        {EINVAL, "EINVAL"},
        {EISDIR, "EISDIR"},
        {ELOOP, "ELOOP"},
        {EMFILE, "EMFILE"},
        {ENAMETOOLONG, "ENAMETOOLONG"},
        {ENOENT, "ENOENT"},
        {ENOTDIR, "ENOTDIR"},
        {ENOTEMPTY, "ENOTEMPTY"},
        {ENOTSOCK, "ENOTSOCK"},
        {ENOTTY, "ENOTTY"},
        {EPERM, "EPERM"},
        {EPIPE, "EPIPE"},
        {EROFS, "EROFS"},
        {ESPIPE, "ESPIPE"},
        {EXDEV, "EXDEV"},
        {EFAULT, "EFAULT"},
        {ENOSPC, "ENOSPC"},
#ifdef ENOTCAPABLE
        {ENOTCAPABLE, "ENOTCAPABLE"},
#endif
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].errnum == errnum) {
            return names[i].name;
        }
    }
    return strerror(errnum);
}

/* "what: result", with the error's name behind a negative one. */
static inline long say(const char *what, long result)
{
    if (result < 0) {
        printf("%s: %ld %s\n", what, result, error_name(errno));
    } else {
        printf("%s: %ld\n", what, result);
    }
    return result;
}

/* The same for results that only tell success: descriptors, counts that may differ. */
static inline long try_it(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? error_name(errno) : "ok");
    return result;
}

#endif
