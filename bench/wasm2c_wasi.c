/* Just enough WASI preview 1 to run the kernels translated by wasm2c: arguments, clock, standard output. Built with
 * the translated module's header as guest.h, its module name being "guest". */

#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    WASI_OK = 0,
    WASI_BADF = 8,
    WASI_INVAL = 28,
    WASI_IO = 29,
    WASI_NOSYS = 52,
    WASI_SPIPE = 70
};
enum { WASI_CHARACTER_DEVICE = 2, WASI_FDSTAT_BYTES = 24, IOV_COUNT_MAX = 64 };

struct w2c_wasi__snapshot__preview1 {
    w2c_guest *guest;
    u32 argc;
    char **argv;
};
typedef struct w2c_wasi__snapshot__preview1 wasi;

static u8 *at(wasi *w, u32 addr)
{
    return w2c_guest_memory(w->guest)->data + addr;
}

static void put32(wasi *w, u32 addr, u32 value)
{
    memcpy(at(w, addr), &value, sizeof value);
}

static u32 get32(wasi *w, u32 addr)
{
    u32 value;
    memcpy(&value, at(w, addr), sizeof value);
    return value;
}

static void put64(wasi *w, u32 addr, u64 value)
{
    memcpy(at(w, addr), &value, sizeof value);
}

u32 w2c_wasi__snapshot__preview1_args_sizes_get(wasi *w, u32 ret_count, u32 ret_bytes)
{
    size_t bytes = 0;
    for (u32 i = 0; i < w->argc; i++) {
        bytes += strlen(w->argv[i]) + 1;
    }
    put32(w, ret_count, w->argc);
    put32(w, ret_bytes, (u32)bytes);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_args_get(wasi *w, u32 argv, u32 text)
{
    for (u32 i = 0; i < w->argc; i++) {
        size_t len = strlen(w->argv[i]) + 1;
        put32(w, argv + 4 * i, text);
        memcpy(at(w, text), w->argv[i], len);
        text += (u32)len;
    }
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_environ_sizes_get(wasi *w, u32 ret_count, u32 ret_bytes)
{
    put32(w, ret_count, 0);
    put32(w, ret_bytes, 0);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_environ_get(wasi *w, u32 env, u32 text)
{
    (void)w;
    (void)env;
    (void)text;
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_clock_time_get(wasi *w, u32 clock, u64 precision, u32 ret_ns)
{
    struct timespec t;
    (void)precision;
    if (clock_gettime(clock == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC, &t) != 0) {
        return WASI_INVAL;
    }
    put64(w, ret_ns, (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_write(wasi *w, u32 fd, u32 iovs, u32 count, u32 ret_bytes)
{
    struct iovec v[IOV_COUNT_MAX];
    if (fd != 1 && fd != 2) {
        return WASI_BADF;
    }
    if (count > IOV_COUNT_MAX) {
        return WASI_INVAL;
    }
    for (u32 i = 0; i < count; i++) {
        v[i].iov_base = at(w, get32(w, iovs + 8 * i));
        v[i].iov_len = get32(w, iovs + 8 * i + 4);
    }
    ssize_t n = writev((int)fd, v, (int)count);
    if (n < 0) {
        return WASI_IO;
    }
    put32(w, ret_bytes, (u32)n);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_read(wasi *w, u32 fd, u32 iovs, u32 count, u32 ret_bytes)
{
    (void)fd;
    (void)iovs;
    (void)count;
    put32(w, ret_bytes, 0);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_fdstat_get(wasi *w, u32 fd, u32 ret_stat)
{
    if (fd > 2) {
        return WASI_BADF;
    }
    memset(at(w, ret_stat), 0, WASI_FDSTAT_BYTES);
    *at(w, ret_stat) = WASI_CHARACTER_DEVICE;
    put64(w, ret_stat + 8, UINT64_MAX);
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_fdstat_set_flags(wasi *w, u32 fd, u32 flags)
{
    (void)w;
    (void)fd;
    (void)flags;
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_seek(wasi *w, u32 fd, u64 offset, u32 whence, u32 ret_offset)
{
    (void)w;
    (void)fd;
    (void)offset;
    (void)whence;
    (void)ret_offset;
    return WASI_SPIPE;
}

u32 w2c_wasi__snapshot__preview1_fd_close(wasi *w, u32 fd)
{
    (void)w;
    (void)fd;
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_fd_prestat_get(wasi *w, u32 fd, u32 ret_prestat)
{
    (void)w;
    (void)fd;
    (void)ret_prestat;
    return WASI_BADF;
}

u32 w2c_wasi__snapshot__preview1_fd_prestat_dir_name(wasi *w, u32 fd, u32 name, u32 len)
{
    (void)w;
    (void)fd;
    (void)name;
    (void)len;
    return WASI_BADF;
}

u32 w2c_wasi__snapshot__preview1_random_get(wasi *w, u32 buf, u32 len)
{
    return getentropy(at(w, buf), len) == 0 ? WASI_OK : WASI_IO;
}

u32 w2c_wasi__snapshot__preview1_sched_yield(wasi *w)
{
    (void)w;
    return WASI_OK;
}

u32 w2c_wasi__snapshot__preview1_poll_oneoff(wasi *w, u32 in, u32 out, u32 count, u32 ret_count)
{
    (void)w;
    (void)in;
    (void)out;
    (void)count;
    (void)ret_count;
    return WASI_NOSYS;
}

void w2c_wasi__snapshot__preview1_proc_exit(wasi *w, u32 code)
{
    (void)w;
    exit((int)code);
}

int main(int argc, char **argv)
{
    static w2c_guest guest;
    wasi w = {.guest = &guest, .argc = (u32)argc, .argv = argv};
    wasm_rt_init();
    wasm2c_guest_instantiate(&guest, &w);
    w2c_guest_0x5Fstart(&guest);
    wasm2c_guest_free(&guest);
    wasm_rt_free();
    return 0;
}
