#include <errno.h>
#include <sys/random.h>
#include <unistd.h>
#include <wasi/api.h>

ssize_t getrandom(void *buf, size_t size, unsigned flags)
{
    __wasi_errno_t error;

    (void)flags;
    error = __wasi_random_get(buf, size);
    if (error == 0)
        return (ssize_t)size;
    errno = error;
    return -1;
}
