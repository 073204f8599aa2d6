#ifndef SYS_FILES_H
#define SYS_FILES_H

#include <limits.h>
#include <stdbool.h>

#include "base/buf.h"

/* Whole files. Paths are NUL-terminated and borrowed for the call. Errors name the path: ST_NOTFOUND,
 * ST_PERM, ST_LIMIT (too large, or no space), ST_NOMEM, ST_IO. Any thread. */

/* Append the whole file to *out; the file may also be a pipe. ST_LIMIT above max_bytes.
 * After an error *out has its former bytes; out->failed is set when that was ST_NOMEM. */
CHECKED status_t file_read(const char *path, uint64_t max_bytes, struct buf *out,
                           struct error *err);

/* A file as bytes, read-only and private; valid while another process replaces (not rewrites) it.
 * Zeroed memory is a valid mapping of nothing. */
struct file_map {
    const uint8_t *data; /* NULL when the file is empty */
    size_t len;
};
CHECKED status_t file_map(const char *path, uint64_t max_bytes, struct file_map *ret_map,
                          struct error *err);
void file_unmap(struct file_map *map);

enum file_sync { FILE_NO_SYNC, FILE_SYNC };

/* Replace or create path: readers see the old bytes or the new ones, never a part. The temporary
 * stands in the same folder as `.NAME.<12 hex digits>` and is removed on errors. mode: permission bits, the
 * umask is applied. FILE_SYNC: on return the content and the name survive a crash of the machine. */
CHECKED status_t file_write_atomic(const char *path, const void *data, size_t len, unsigned mode,
                                   enum file_sync sync, struct error *err);

/* Create the file `.NAME.<12 hex digits>` in the folder of path, open for writing: what becomes path by a rename.
 * ret_name: its path. */
CHECKED status_t file_open_temporary(const char *path, unsigned mode, char ret_name[PATH_MAX],
                                     int *ret_fd, struct error *err);

/* Write all of data to fd, which blocks, however many calls and signals that takes.
 * 0, or -1 with errno set; a part may have been written then. */
CHECKED int file_write_all(int fd, const void *data, size_t len);

/* The same at byte `at` of a file; its offset stays. */
CHECKED int file_write_all_at(int fd, const void *data, size_t len, uint64_t at);

/* Copy what is left of one file, from its offset on, to another that blocks. 0, or -1 with errno set; a part may have
 * been written then. */
CHECKED int file_copy_rest(int from_fd, int to_fd);

/* fsync, fdatasync and ftruncate, made again when a signal interrupts them, as some file systems let it.
 * size: bytes. 0, or -1 with errno set. */
CHECKED int file_sync(int fd);
CHECKED int file_sync_data(int fd);
CHECKED int file_cut(int fd, uint64_t size);

/* Read exactly len bytes from fd, which blocks. 0, or -1 with errno set, to 0 when the file ends before. */
CHECKED int file_read_all(int fd, void *data, size_t len);

/* Write to what a user named. A file is replaced as by file_write_atomic without a sync, and so is the one that a
 * symbolic link leads to; anything else (a device, a pipe) stays what it is and is written into. */
CHECKED status_t file_write_output(const char *path, const void *data, size_t len, unsigned mode,
                                   struct error *err);

/* Make a folder and those above it, with permission bits mode; one that is there already is fine.
 * ST_EXIST: something else has that name. */
CHECKED status_t file_make_dirs(const char *path, unsigned mode, struct error *err);
/* The same, and their names survive a crash of the machine, also those that a process made which was killed here. */
CHECKED status_t file_make_dirs_durable(const char *path, unsigned mode, struct error *err);

/* Take the lock that the file at path stands for, creating it; other processes and threads then wait.
 * ret_fd: close with file_lock_release. wait false: ST_AGAIN when it is taken.
 * The holder may unlink the file: waiters notice and go on with a new one. */
CHECKED status_t file_lock(const char *path, bool wait, int *ret_fd, struct error *err);
/* Also removes the file at path unless path is NULL. */
void file_lock_release(int fd, const char *path);

/* Call f with the name of each entry of a folder until it fails; its status is returned. what: names the folder in
 * errors. folder_fd: borrowed. ST_IO, ST_NOMEM. */
CHECKED status_t folder_each(int folder_fd, const char *what,
                             status_t (*f)(void *arg, const char *name, struct error *err),
                             void *arg, struct error *err);

#endif
