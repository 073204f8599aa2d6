#include "guest.h"

enum wasi_errno guest_path(void *ctx, uint32_t addr, uint32_t len, char *path)
{
    if (len > WASI_PATH_BYTES_MAX) {
        return WASI_NAMETOOLONG;
    }
    const char *src = host_range(ctx, addr, len);
    if (src == NULL) {
        return WASI_FAULT;
    }
    memcpy(path, src, len);
    path[len] = '\0';
    return strlen(path) == len ? WASI_OK : WASI_ILSEQ;
}

static uint32_t iov_addr(const struct guest_iovs *g, uint32_t i)
{
    return get_le32(g->raw + (size_t)i * IOVEC_BYTES);
}

static uint32_t iov_len(const struct guest_iovs *g, uint32_t i)
{
    return get_le32(g->raw + (size_t)i * IOVEC_BYTES + 4);
}

enum wasi_errno guest_iovs_load(void *ctx, uint32_t addr, uint32_t count,
                                struct guest_iovs *ret_iovs)
{
    struct guest_iovs *g = ret_iovs;
    if (count > WASI_IOVS_MAX) {
        return WASI_INVAL;
    }
    const void *src = host_range(ctx, addr, (uint64_t)count * IOVEC_BYTES);
    if (src == NULL) {
        return WASI_FAULT;
    }
    memcpy(g->raw, src, (size_t)count * IOVEC_BYTES);
    g->count = count;
    g->index = 0;
    g->used = 0;
    g->left = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (host_range(ctx, iov_addr(g, i), iov_len(g, i)) == NULL) {
            return WASI_FAULT;
        }
        g->left += iov_len(g, i);
    }
    return g->left > UINT32_MAX ? WASI_INVAL : WASI_OK;
}

enum wasi_errno guest_iovs_piece(void *ctx, const struct guest_iovs *g, size_t bytes_max,
                                 struct piece *ret_piece)
{
    uint32_t used = g->used;
    ret_piece->count = 0;
    ret_piece->bytes = 0;
    for (uint32_t i = g->index;
         i < g->count && ret_piece->count < PIECE_IOVS_MAX && ret_piece->bytes < bytes_max; i++) {
        size_t len = iov_len(g, i) - used;
        uint32_t addr = iov_addr(g, i) + used;
        used = 0;
        if (len == 0) {
            continue;
        }
        if (len > bytes_max - ret_piece->bytes) {
            len = bytes_max - ret_piece->bytes;
        }
        void *base = host_range(ctx, addr, len);
        if (base == NULL) {
            return WASI_FAULT;
        }
        ret_piece->iovs[ret_piece->count++] = (struct iovec){.iov_base = base, .iov_len = len};
        ret_piece->bytes += len;
    }
    return WASI_OK;
}

void guest_iovs_advance(struct guest_iovs *g, size_t bytes)
{
    g->left -= bytes;
    while (g->index < g->count) {
        uint32_t here = iov_len(g, g->index) - g->used;
        if (bytes < here) {
            g->used += (uint32_t)bytes;
            return;
        }
        bytes -= here;
        g->used = 0;
        g->index++;
    }
}
