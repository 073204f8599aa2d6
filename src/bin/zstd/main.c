#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"

/* zstd.helper: snapshots on their way between standard input and output. `compress LEVEL` makes one zstd frame with a
 * checksum; `expand` reads one, whose first four bytes, the magic number, its caller has read already. Frames that
 * want a window beyond 128 MiB are refused: memory stays bounded. */

enum { LEVEL_MAX = 19, WINDOW_LOG_MAX = 27 };

struct stream {
    void *in, *out;
    size_t in_size, out_size;
};

static int fail(const char *what, int exit_code)
{
    fprintf(stderr, "cloudskin: snapshot: %s\n", what);
    return exit_code;
}

static bool stream_init(struct stream *s, size_t in_size, size_t out_size)
{
    *s = (struct stream){malloc(in_size), malloc(out_size), in_size, out_size};
    return s->in != NULL && s->out != NULL;
}

/* A full buffer, or what is left: 0 at the end, -1 after an error. */
static ssize_t read_some(void *data, size_t len)
{
    size_t total = 0;
    while (total < len) {
        ssize_t got = read(STDIN_FILENO, (char *)data + total, len - total);
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        total += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)total;
}

static bool write_out(const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(STDOUT_FILENO, (const char *)data + done, len - done);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static int compress_all(ZSTD_CCtx *z, struct stream *s)
{
    ssize_t got;
    do {
        got = read_some(s->in, s->in_size);
        if (got < 0) {
            return fail(strerror(errno), EXIT_SYSTEM);
        }
        ZSTD_EndDirective mode = (size_t)got < s->in_size ? ZSTD_e_end : ZSTD_e_continue;
        ZSTD_inBuffer in = {s->in, (size_t)got, 0};
        size_t left = 1;
        while (mode == ZSTD_e_end ? left != 0 : in.pos < in.size) {
            ZSTD_outBuffer out = {s->out, s->out_size, 0};
            left = ZSTD_compressStream2(z, &out, &in, mode);
            if (ZSTD_isError(left)) {
                return fail(ZSTD_getErrorName(left), EXIT_SYSTEM);
            }
            if (!write_out(s->out, out.pos)) {
                return fail(strerror(errno), EXIT_SYSTEM);
            }
        }
    } while ((size_t)got == s->in_size);
    return 0;
}

static int compress_main(const char *level_text)
{
    uint64_t level;
    struct stream s = {0};
    if (parse_u64(level_text, LEVEL_MAX, &level) != ST_OK || level == 0) {
        return fail("level of compression", EXIT_USAGE);
    }
    ZSTD_CCtx *z = ZSTD_createCCtx();
    bool good = stream_init(&s, ZSTD_CStreamInSize(), ZSTD_CStreamOutSize()) && z != NULL &&
                !ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, (int)level)) &&
                !ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1));
    int code = good ? compress_all(z, &s) : fail("no memory to compress", EXIT_SYSTEM);
    ZSTD_freeCCtx(z);
    free(s.in);
    free(s.out);
    return code;
}

/* ret_left: 0 when the frame is whole. */
static int expand_piece(ZSTD_DCtx *z, struct stream *s, ZSTD_inBuffer *in, size_t *ret_left)
{
    size_t produced;
    do {
        ZSTD_outBuffer out = {s->out, s->out_size, 0};
        size_t left = ZSTD_decompressStream(z, &out, in);
        if (ZSTD_isError(left)) {
            fprintf(stderr, "cloudskin: snapshot: its compressed form is damaged: %s\n",
                    ZSTD_getErrorName(left));
            return EXIT_REFUSED;
        }
        if (!write_out(s->out, out.pos)) {
            return fail(strerror(errno), EXIT_SYSTEM);
        }
        produced = out.pos;
        *ret_left = left;
    } while (*ret_left != 0 && (in->pos < in->size || produced == s->out_size));
    return 0;
}

static int expand_all(ZSTD_DCtx *z, struct stream *s)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    ZSTD_inBuffer in = {magic, sizeof magic, 0};
    size_t left = 1;
    int code = expand_piece(z, s, &in, &left);
    ssize_t got = 1;
    while (code == 0 && left != 0 && (got = read_some(s->in, s->in_size)) > 0) {
        in = (ZSTD_inBuffer){s->in, (size_t)got, 0};
        code = expand_piece(z, s, &in, &left);
    }
    if (code != 0) {
        return code;
    }
    if (got < 0) {
        return fail(strerror(errno), EXIT_SYSTEM);
    }
    if (left != 0) {
        return fail("its compressed form ends too early", EXIT_REFUSED);
    }
    return in.pos < in.size || read_some(s->in, 1) != 0
               ? fail("there is more behind its compressed form", EXIT_REFUSED)
               : 0;
}

static int expand_main(void)
{
    struct stream s = {0};
    ZSTD_DCtx *z = ZSTD_createDCtx();
    bool good = stream_init(&s, ZSTD_DStreamInSize(), ZSTD_DStreamOutSize()) && z != NULL &&
                !ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX));
    int code = good ? expand_all(z, &s) : fail("no memory to expand", EXIT_SYSTEM);
    ZSTD_freeDCtx(z);
    free(s.in);
    free(s.out);
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "compress") == 0) {
        return compress_main(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "expand") == 0) {
        return expand_main();
    }
    return fail("zstd.helper is called by freeze, thaw and inspect", EXIT_USAGE);
}
