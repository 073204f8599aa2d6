#include <errno.h>

#include "check.h"
#include "preview1.h"

static void success_is_success(void)
{
    CHECK_EQ(wasi_errno_from_host(0), WASI_OK);
}

static void numbers_are_those_of_the_specification(void)
{
    static const struct {
        int host, wasi;
    } rows[] = {
        {E2BIG, 1},   {EACCES, 2},     {EAGAIN, 6},        {EBADF, 8},      {EEXIST, 20},
        {EFAULT, 21}, {EINTR, 27},     {EINVAL, 28},       {EIO, 29},       {EISDIR, 31},
        {ELOOP, 32},  {EMFILE, 33},    {ENFILE, 41},       {ENOENT, 44},    {ENOMEM, 48},
        {ENOSPC, 51}, {ENOSYS, 52},    {ENOTDIR, 54},      {ENOTSOCK, 57},  {EPERM, 63},
        {EPIPE, 64},  {EROFS, 69},     {ESPIPE, 70},       {EXDEV, 75},     {ENOTSUP, 58},
        {ERANGE, 68}, {ENOTEMPTY, 55}, {ENAMETOOLONG, 37}, {EOVERFLOW, 61},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_EQ(wasi_errno_from_host(rows[i].host), rows[i].wasi);
    }
}

static void the_last_number_is_notcapable(void)
{
    CHECK_EQ(WASI_NOTCAPABLE, 76);
}

static void no_failure_becomes_success(void)
{
    for (int i = -5; i < 600; i++) {
        if (i != 0) {
            CHECK(wasi_errno_from_host(i) != WASI_OK);
            CHECK(wasi_errno_from_host(i) < WASI_ERRNO_COUNT);
        }
    }
}

int main(void)
{
    RUN(success_is_success);
    RUN(numbers_are_those_of_the_specification);
    RUN(the_last_number_is_notcapable);
    RUN(no_failure_becomes_success);
    return CHECK_DONE();
}
