#include "geds/remote/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sys/files.h"

static status_t read_memory(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
    (void)err;
    memcpy(data, (const uint8_t *)arg + off, len);
    return ST_OK;
}

struct remote_source remote_source_memory(const void *data, size_t len)
{
    /* read_memory only reads there. */
    return (struct remote_source){len, read_memory, (void *)(uintptr_t)data};
}

static status_t read_file(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
    const struct remote_file *f = arg;
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(f->fd, (uint8_t *)data + done, len - done, (off_t)(f->base + off + done));
        if (n == 0)
            return error_set(err, ST_CHANGED, off + done, "the file has become shorter");
        if (n < 0 && errno != EINTR)
            return error_set_errno(err, errno, "cannot read the file");
        done += n > 0 ? (size_t)n : 0;
    }
    return ST_OK;
}

struct remote_source remote_source_file(struct remote_file *file, uint64_t size)
{
    return (struct remote_source){size, read_file, file};
}

static status_t write_file(void *arg, uint64_t off, const void *data, size_t len, struct error *err)
{
    const struct remote_file *f = arg;
    if (file_write_all_at(f->fd, data, len, f->base + off) != 0)
        return error_set_errno(err, errno, "cannot write the file");
    return ST_OK;
}

struct remote_sink remote_sink_file(struct remote_file *file)
{
    return (struct remote_sink){write_file, file};
}

static status_t write_buffer(void *arg, uint64_t off, const void *data, size_t len,
                             struct error *err)
{
    struct remote_buffer *b = arg;
    if (off > b->cap || len > b->cap - off)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more bytes than the buffer's %zu",
                         b->cap);
    memcpy((uint8_t *)b->data + off, data, len);
    if (off + len > b->len)
        b->len = (size_t)off + len;
    return ST_OK;
}

struct remote_sink remote_sink_buffer(struct remote_buffer *buffer)
{
    return (struct remote_sink){write_buffer, buffer};
}
