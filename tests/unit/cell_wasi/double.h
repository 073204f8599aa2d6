#ifndef TESTS_CELL_WASI_DOUBLE_H
#define TESTS_CELL_WASI_DOUBLE_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "guest.h"

/* A cell that is only memory: what cell_run offers to host functions, so that those of WASI can be called
 * without guest code. Linked in place of the library's own. */

enum { DOUBLE_MEM_BYTES = 4 << 20, DOUBLE_HEAP = 1024 };

static uint8_t double_mem[DOUBLE_MEM_BYTES];
static uint32_t double_brk = DOUBLE_HEAP;
static _Atomic unsigned double_stop;
static _Atomic uint32_t double_polls;
static uint32_t double_exit_code;
static bool double_exited;

void *host_range(void *ctx, uint32_t addr, uint64_t len)
{
    (void)ctx;
    return addr <= DOUBLE_MEM_BYTES && len <= DOUBLE_MEM_BYTES - addr ? double_mem + addr : NULL;
}

struct cell *host_cell(void *ctx)
{
    return ctx;
}

void host_exit(void *ctx, uint32_t code)
{
    (void)ctx;
    double_exited = true;
    double_exit_code = code;
}

bool host_wait_again(void *ctx)
{
    (void)ctx;
    return atomic_load(&double_stop) == STOP_CAPTURE;
}

bool host_wait_poll(void *ctx)
{
    return host_poll(ctx);
}

bool host_wait_begin(void *ctx)
{
    (void)ctx;
    return atomic_load(&double_stop) == STOP_NONE;
}

void host_block_end(void *ctx)
{
    (void)ctx;
}

bool host_poll(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&double_polls, 1);
    return atomic_load(&double_stop) == STOP_NONE;
}

void cell_stop(struct cell *c, enum stop_reason reason)
{
    (void)c;
    atomic_store(&double_stop, (unsigned)reason);
}

/* ---- guest memory ---- */

/* Forget what the guest allocated. */
static inline void g_reset(void)
{
    double_brk = DOUBLE_HEAP;
    atomic_store(&double_stop, STOP_NONE);
}

static inline uint32_t g_alloc(size_t len)
{
    uint32_t addr = double_brk;
    double_brk += (uint32_t)((len + 15) & ~(size_t)15);
    CHECK(double_brk <= DOUBLE_MEM_BYTES);
    return addr;
}

static inline uint32_t g_put(const void *data, size_t len)
{
    uint32_t addr = g_alloc(len);
    memcpy(double_mem + addr, data, len);
    return addr;
}

static inline uint32_t g_u32(uint32_t addr)
{
    return get_le32(double_mem + addr);
}

static inline uint64_t g_u64(uint32_t addr)
{
    return get_le64(double_mem + addr);
}

/* One vector over len bytes at addr. */
static inline uint32_t g_iov(uint32_t addr, uint32_t len)
{
    uint32_t iov = g_alloc(IOVEC_BYTES);
    put_le32(double_mem + iov, addr);
    put_le32(double_mem + iov + 4, len);
    return iov;
}

/* ---- a scratch folder and a guest that was granted it as descriptor 3 ---- */

static char scratch_dir[64];

static inline void scratch_make(void)
{
    memcpy(scratch_dir, "/tmp/cell-wasi-XXXXXX", sizeof("/tmp/cell-wasi-XXXXXX"));
    if (mkdtemp(scratch_dir) == NULL) {
        perror("mkdtemp");
        exit(1);
    }
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int flag,
                                     struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void scratch_remove(void)
{
    nftw(scratch_dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The host's path of name in the scratch folder; the last few results stay good. */
static inline const char *in_scratch(const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch_dir, name);
    return path;
}

static inline void host_write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static inline struct wasi *wasi_make(const struct wasi_config *config)
{
    struct wasi *w = NULL;
    struct error err = {0};
    if (wasi_new(config, &w, &err) != ST_OK) {
        fprintf(stderr, "wasi_new: %s\n", err.text);
        exit(1);
    }
    return w;
}

/* A guest with the folder name of the scratch folder as its one grant. */
static inline struct wasi *guest_in(const char *name, bool read_only)
{
    struct wasi_grant grant = {in_scratch(name), "/data", read_only, NULL};
    struct wasi_config config = {.grants = &grant, .grant_count = 1, .stdio = {0, 1, 2}};
    mkdir(grant.host_path, 0755);
    return wasi_make(&config);
}

/* ---- shorthands for calls ---- */

#define ALL_RIGHTS RIGHTS_KNOWN
#define READ_RIGHTS (RIGHTS_KNOWN & ~RIGHTS_WRITE_DATA)
#define FILE_RW (RIGHTS_REGULAR)

static inline int g_open(struct wasi *w, uint32_t dir, uint32_t lookup, const char *path,
                         uint32_t oflags, uint64_t rights, uint32_t fdflags, uint32_t *ret_fd)
{
    uint32_t addr = g_put(path, strlen(path));
    uint32_t out = g_alloc(4);
    put_le32(double_mem + out, UINT32_MAX);
    int e = wasi_path_open(NULL, w, dir, lookup, addr, (uint32_t)strlen(path), oflags, rights,
                           ALL_RIGHTS, fdflags, out);
    *ret_fd = g_u32(out);
    return e;
}

static inline int g_write(struct wasi *w, uint32_t fd, const char *text, uint32_t *ret_n)
{
    uint32_t out = g_alloc(4);
    uint32_t data = g_put(text, strlen(text));
    int e = wasi_fd_write(NULL, w, fd, g_iov(data, (uint32_t)strlen(text)), 1, out);
    *ret_n = g_u32(out);
    return e;
}

/* Reads at most 255 bytes and ends them with a NUL. */
static inline int g_read(struct wasi *w, uint32_t fd, char text[256])
{
    uint32_t out = g_alloc(4);
    uint32_t data = g_alloc(256);
    int e = wasi_fd_read(NULL, w, fd, g_iov(data, 255), 1, out);
    uint32_t n = e == 0 ? g_u32(out) : 0;
    memcpy(text, double_mem + data, n);
    text[n] = '\0';
    return e;
}

#define G_PATH(text) g_put(text, strlen(text)), (uint32_t)strlen(text)

#endif
