#ifndef SNAPFILE_FILE_H
#define SNAPFILE_FILE_H

#include "cell/snapshot/snapshot.h"
#include "sys/process.h"

/* A snapshot as a file, plain or compressed as a whole. libexec/cloudskin/zstd.helper, which alone links libzstd, is
 * the process on the other side of a pipe. */

enum {
    SNAPSHOT_HEAD_TOLD = 8,
    SNAPSHOT_HEAD_PEEKED = 4,
    SNAPSHOT_LEVEL_MAX = 19,
    SNAPSHOT_LEVEL_DEFAULT = 3
};

/* One that is read; a zeroed one is closed. */
struct snapshot_file {
    int fd; /* of the file or the pipe */
    uint8_t head[SNAPSHOT_HEAD_PEEKED];
    size_t head_len, head_read;
    bool compressed;
    uint64_t file_bytes; /* 0: not a plain file */
    struct process expander;
};

/* Do these first bytes of a file say that it is one, plain or compressed? SNAPSHOT_HEAD_TOLD of them are enough. */
bool snapshot_file_told(const void *head, size_t len);

/* Open it, and start to expand it when it is compressed. It may be a pipe. ST_NOTFOUND, ST_PERM, ST_IO: the file;
 * ST_UNSUPPORTED: the helper is not installed. */
CHECKED status_t snapshot_file_open(const char *path, struct snapshot_file *ret_file,
                                    struct error *err);
/* The same of a descriptor, which is taken over. */
CHECKED status_t snapshot_file_begin(int fd, struct snapshot_file *ret_file, struct error *err);
/* For snapshot_open; borrows f. */
struct snapshot_source snapshot_file_source(struct snapshot_file *f);
/* The snapshot was read: was that all, and the compressed form whole? Of a pipe, its end is waited for. The helper has
 * said on standard error what is wrong with a compressed form. ST_CORRUPT; ST_IO: it cannot be read. */
CHECKED status_t snapshot_file_end(struct snapshot_file *f, struct error *err);
/* NULL is fine. */
void snapshot_file_close(struct snapshot_file *f);

/* Start to compress what is written to *ret_fd into out. level: 1..SNAPSHOT_LEVEL_MAX. Close *ret_fd and everything
 * that has it, then end it with snapshot_compress_end. ST_UNSUPPORTED: the helper is not installed; ST_IO, ST_NOMEM. */
CHECKED status_t snapshot_compress_start(int out, unsigned level, struct process *ret_process,
                                         int *ret_fd, struct error *err);
/* Wait until all of it is written. ST_IO: the helper has said on standard error what is wrong. */
CHECKED status_t snapshot_compress_end(struct process *p, struct error *err);

#endif
