#ifndef GEDS_REMOTE_STREAM_H
#define GEDS_REMOTE_STREAM_H

#include "base/status.h"

/* Where the bytes of a PUT come from, and where those of a GET go. By place, so that a request
 * can be made again. What their functions answer other than ST_OK ends the call with it. */

struct remote_source {
    uint64_t size; /* does not change */
    /* Read exactly len bytes at off; off + len <= size. The same bytes each time. */
    status_t (*read)(void *arg, uint64_t off, void *data, size_t len, struct error *err);
    void *arg;
};

struct remote_sink {
    /* Take len > 0 bytes at off, counted from the first byte that was asked for. */
    status_t (*write)(void *arg, uint64_t off, const void *data, size_t len, struct error *err);
    void *arg;
};

/* Bytes in memory; borrowed as long as the source is in use. */
struct remote_source remote_source_memory(const void *data, size_t len);

/* size bytes of a file from its start, or behind base. The struct and fd are borrowed as long as
 * the source or sink is in use; the file's offset stays. ST_IO, ST_LIMIT (no space); ST_CHANGED
 * the file has become shorter. */
struct remote_file {
    int fd;
    uint64_t base;
};
struct remote_source remote_source_file(struct remote_file *file, uint64_t size);
struct remote_sink remote_sink_file(struct remote_file *file);

/* A buffer of cap bytes. len becomes the end of the last byte that came. ST_LIMIT: it is full. */
struct remote_buffer {
    void *data;
    size_t cap;
    size_t len;
};
struct remote_sink remote_sink_buffer(struct remote_buffer *buffer);

#endif
