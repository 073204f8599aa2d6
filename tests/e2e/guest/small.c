/* A guest that needs no library: what the command line's tests call. */
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

struct slice {
    const char *bytes;
    unsigned len;
};

WASI(fd_write) int fd_write(int fd, const struct slice *slices, int count, unsigned *written);
WASI(fd_read) int fd_read(int fd, const struct slice *slices, int count, unsigned *read);
WASI(sock_accept) int sock_accept(int fd, int flags, int *ret_fd);
WASI(fd_close) int fd_close(int fd);
WASI(args_sizes_get) int args_sizes_get(unsigned *count, unsigned *bytes);
WASI(args_get) int args_get(char **args, char *bytes);
WASI(environ_sizes_get) int environ_sizes_get(unsigned *count, unsigned *bytes);
WASI(environ_get) int environ_get(char **values, char *bytes);
WASI(proc_exit) void proc_exit(int code) __attribute__((noreturn));

static char bytes[65536];
static char *words[1024];

static void print(const char *text)
{
    struct slice s = {text, 0};
    unsigned written;
    while (text[s.len] != '\0') {
        s.len++;
    }
    fd_write(1, &s, 1, &written);
    fd_write(1, &(struct slice){"\n", 1}, 1, &written);
}

void _start(void)
{
    unsigned count, len;
    args_sizes_get(&count, &len);
    args_get(words, bytes);
    for (unsigned i = 1; i < count; i++) {
        print(words[i]);
    }
    environ_sizes_get(&count, &len);
    environ_get(words, bytes);
    for (unsigned i = 0; i < count; i++) {
        print(words[i]);
    }
    proc_exit(7);
}

EXPORT(add) int add(int a, int b)
{
    return a + b;
}

EXPORT(add64) long long add64(long long a, long long b)
{
    return a + b;
}

EXPORT(half) float half(float a)
{
    return a / 2;
}

EXPORT(ratio) double ratio(double a, double b)
{
    return a / b;
}

EXPORT(divide) int divide(int a, int b)
{
    return a / b;
}

EXPORT(spin) void spin(void)
{
    for (volatile unsigned i = 0;; i++) {
    }
}

static volatile int enough;

EXPORT(recurse) int recurse(int n)
{
    return enough ? 0 : n - recurse(n + 1);
}

EXPORT(chatter) void chatter(void)
{
    for (;;) {
        print("hello");
    }
}

EXPORT(wait_for_input) int wait_for_input(void)
{
    unsigned got;
    return fd_read(0, &(struct slice){bytes, 1}, 1, &got);
}

/* Send one connection's first bytes back. */
EXPORT(serve) int serve(int listener)
{
    int fd;
    unsigned got, sent;
    int error = sock_accept(listener, 0, &fd);
    if (error == 0) {
        error = fd_read(fd, &(struct slice){bytes, sizeof bytes}, 1, &got);
    }
    if (error == 0) {
        error = fd_write(fd, &(struct slice){bytes, got}, 1, &sent);
        fd_close(fd);
    }
    return error;
}

EXPORT(touch) int touch(int mib)
{
    int page = __builtin_wasm_memory_grow(0, mib * 16);
    return page < 0 ? -1 : mib;
}
