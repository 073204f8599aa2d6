#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cell/run/run.h"
#include "check.h"
#include "sys/thread.h"

/* Copies to a mapping of a file that somebody cuts. */

enum { FILE_BYTES = 64 << 10, OFF = 100, LEN = FILE_BYTES - 2 * OFF };

static uint8_t text[LEN];

/* In a thread that takes no signals, or in one that does. */
static void *copies(void *arg)
{
    static const off_t cuts[] = {0, FILE_BYTES / 2 + 1};
    int fd = memfd_create("copied", MFD_CLOEXEC);
    sigset_t before, after;
    (void)arg;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        CHECK_EQ(ftruncate(fd, FILE_BYTES), 0);
        uint8_t *map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(map != MAP_FAILED);
        CHECK_EQ(runtime_copy(map, FILE_BYTES, OFF, text, LEN), ST_OK);
        CHECK(memcmp(map + OFF, text, LEN) == 0);
        CHECK_EQ(map[OFF - 1] | map[OFF + LEN], 0);
        CHECK_EQ(ftruncate(fd, cuts[i]), 0);
        CHECK_EQ(runtime_copy(map, FILE_BYTES, OFF, text, LEN), ST_IO);
        CHECK_EQ(lseek(fd, 0, SEEK_END), cuts[i]);
        munmap(map, FILE_BYTES);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_EQ(sigismember(&after, SIGBUS), sigismember(&before, SIGBUS));
    close(fd);
    return NULL;
}

static void a_cut_file_is_an_error(void)
{
    struct runtime *rt = NULL;
    struct error err = {0};
    pthread_t thread;
    CHECK_EQ(runtime_new(NULL, &rt, &err), ST_OK);
    copies(NULL);
    CHECK_EQ(thread_start(&thread, copies, NULL), 0);
    pthread_join(thread, NULL);
    runtime_free(rt);
}

static void without_a_runtime_nothing_is_copied(void)
{
    uint8_t to[8] = {0};
    CHECK_EQ(runtime_copy(to, sizeof to, 0, text, sizeof to), ST_UNSUPPORTED);
    CHECK_EQ(to[0], 0);
}

int main(void)
{
    memset(text, 0x5a, sizeof text);
    RUN(without_a_runtime_nothing_is_copied);
    RUN(a_cut_file_is_an_error);
    return CHECK_DONE();
}
