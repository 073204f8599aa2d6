/* musl's calls the program's function with an argument more than it takes, which is a trap in a cell. */
#include <ftw.h>

static _Thread_local int (*visit)(const char *, const struct stat *, int);

static int call(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    int (*fn)(const char *, const struct stat *, int) = visit;
    int result = fn(path, st, type);

    (void)ftw;
    visit = fn; /* it may have walked itself, and left that by a jump */
    return result;
}

int ftw(const char *path, int (*fn)(const char *, const struct stat *, int), int fd_limit)
{
    int (*outer)(const char *, const struct stat *, int) = visit;
    int result;

    visit = fn;
    result = nftw(path, call, fd_limit, FTW_PHYS);
    visit = outer;
    return result;
}
