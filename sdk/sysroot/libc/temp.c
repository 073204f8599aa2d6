/* Temporary files: in TMPDIR, /tmp or the current directory, whichever is granted first. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES 100

/* Used by musl's mkstemp and its like: six random characters over a template that the caller has checked. */
char *__randname(char *template)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";
    unsigned char random[6];

    if (getentropy(random, sizeof random) != 0)
        memset(random, 0, sizeof random);
    for (int i = 0; i < 6; i++)
        template[i] = digits[random[i] & 63];
    return template;
}

static const char *directory(int n)
{
    switch (n) {
    case 0:
        return getenv("TMPDIR");
    case 1:
        return P_tmpdir;
    default:
        return ".";
    }
}

FILE *tmpfile(void)
{
    char path[PATH_MAX];

    for (int n = 0; n < 3; n++) {
        const char *dir = directory(n);
        FILE *f;
        int fd;

        if (!dir || snprintf(path, sizeof path, "%s/tmpfile_XXXXXX", dir) >= (int)sizeof path)
            continue;
        fd = mkstemp(path);
        if (fd < 0)
            continue;
        unlink(path);
        f = fdopen(fd, "w+");
        if (!f)
            close(fd);
        return f;
    }
    return NULL;
}

/* Make path end in six characters so that no such file is there. */
static int unused_name(char *path)
{
    size_t n = strlen(path);

    for (int i = 0; i < TRIES; i++) {
        __randname(path + n - 6);
        if (access(path, F_OK) != 0)
            return 1;
    }
    return 0;
}

char *tmpnam(char *buf)
{
    static char internal[L_tmpnam];
    char path[] = "/tmp/tmpnam_XXXXXX";

    if (!unused_name(path))
        return NULL;
    return strcpy(buf ? buf : internal, path);
}

char *tempnam(const char *dir, const char *prefix)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s_XXXXXX", dir ? dir : P_tmpdir, prefix ? prefix : "temp") >=
        (int)sizeof path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return unused_name(path) ? strdup(path) : NULL;
}
