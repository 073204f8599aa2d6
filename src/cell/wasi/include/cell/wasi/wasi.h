#ifndef CELL_WASI_WASI_H
#define CELL_WASI_WASI_H

#include "base/buf.h"
#include "cell/run/run.h"
#include "cell/wasi/bucket.h"

/* WASI preview 1 for one cell: module wasi_snapshot_preview1, and wasi_unstable with its own layouts
 * and without sock_accept. */

struct wasi;

struct wasi_grant {
    const char *host_path;
    const char *guest_path;
    bool read_only;
    const struct wasi_bucket *bucket; /* instead of a folder of the host; NULL: host_path is one */
};

/* The length of a guest path without the slashes at its end: C libraries do not find a folder that is granted as "d/"
 * by its name "d". The root keeps one. Any thread. */
size_t wasi_guest_path_len(const char *path, size_t len);

struct wasi_config {
    const char *const *args; /* args[0]: the program's name */
    uint32_t arg_count;
    const char *const *env; /* "K=V" */
    uint32_t env_count;
    const struct wasi_grant *grants;
    uint32_t grant_count;
    const char *cwd;   /* guest path, or NULL: the first grant; handed to the C library as PWD */
    int stdio[3];      /* host descriptors, borrowed */
    bool output_named; /* stdio[1] is a file of this program alone that may be cut: wasi_restore */
    bool
        output_newer; /* ... and was made after the state was saved: another one, whatever its number is */
    const char
        *output_path; /* absolute: where a file is to be made in place of stdio[1]; NULL: none */
    const int *
        listen; /* listening sockets, borrowed: guest descriptors behind the grants, in order. They stop blocking. */
    uint32_t listen_count;
    uint32_t open_files_max;   /* default 1024 */
    uint64_t output_bytes_max; /* to standard output and error together; 0: none */
    const char *staging;       /* folder for what is written to buckets; NULL: /tmp */
};

/* Copies the configuration and opens the grants. ST_NOTFOUND, ST_PERM, ST_IO name the grant; ST_NOTFOUND also a cwd
 * that is not there, ST_INVAL one that is neither in a grant nor above one. ST_LIMIT: too many or too long arguments,
 * grants, guest paths or open files; ST_NOMEM. */
CHECKED status_t wasi_new(const struct wasi_config *config, struct wasi **ret_w, struct error *err);
/* The cell must be gone or never run again. Closes the guest's descriptors, not borrowed ones. NULL is fine. */
void wasi_free(struct wasi *w);

/* Behind the end of a program that ended by itself: what it has written to buckets and did not close gets its names, as
 * if the program had closed it. ST_IO names the first object that could not be written; the others are. */
CHECKED status_t wasi_publish(struct wasi *w, struct error *err);
/* What has not got its name: place "geds://BUCKET/KEY", bytes. */
void wasi_unpublished(struct wasi *w, void (*each)(void *arg, const char *place, uint64_t size),
                      void *arg);

/* Append the state of a stopped cell's WASI to out: arguments, environment, descriptors, clocks, output so far.
 * docs/internals/wasi.md has the format; it holds no host path, and of files only their names, sizes, times and
 * device and inode numbers. The guest goes on as if nothing had happened. No thread may be inside a call of w.
 * ST_UNSUPPORTED names a descriptor that cannot travel and why: a connected socket, a named pipe, a file that was
 * removed or whose path is not known; more than WASI_STAGED_SAVE_MAX bytes written to buckets and not closed;
 * ST_NOMEM; ST_IO. Then out is as before. */
#define WASI_STAGED_SAVE_MAX (UINT64_C(512) << 20)
CHECKED status_t wasi_save(struct wasi *w, struct buf *out, struct error *err);
/* By the thread that runs the guest, once it has stopped: the CPU time that it used is part of what is saved. Else that
 * is what the guest was told last. */
void wasi_note_cpu(struct wasi *w);

/* As wasi_new, but with arguments, environment and descriptors from a saved state instead of config's args, env and
 * cwd. Files are opened again beneath config's grants with the same guest path, never created or cut; descriptors have
 * the numbers, offsets, flags and at most the rights they had; half-read directories go on with the entries they had.
 * Of files that were open the guest sees the device and inode numbers that it knows, also when they are copies.
 * Standard descriptors and listening sockets are config's, and stay as they are until wasi_restore_outside. Monotonic
 * and CPU time go on from the saved ones.
 * stale_files: take files as they are now; one that is missing becomes a descriptor without any right.
 * Borrows data for the call.
 * ST_NOTFOUND names a grant or file that is missing, or a file that changed: open for reading, its size or time of
 * change differs; open for writing only, or standard output, it is shorter. ST_PERM names a file that may not
 * be opened as it was; ST_INVAL: two grants have one guest path, of which it did not know two with the same places
 * among its grants; ST_INVALID: standard output is another file, and would be cut; ST_CORRUPT says what is wrong;
 * ST_UNSUPPORTED: a newer version, or a listening socket that is
 * not there; ST_LIMIT, ST_NOMEM, ST_IO. */
CHECKED status_t wasi_restore(const struct wasi_config *config, const void *data, size_t len,
                              bool stale_files, struct wasi **ret_w, struct error *err);

/* Would wasi_restore succeed with these grants, limits and descriptors, once all files are as they were? Errors as for
 * it, but for files beneath grants that have changed or are missing. Changes nothing. output_returns: standard output
 * is brought back, too (wasi_undo_check). */
CHECKED status_t wasi_restore_check(const struct wasi_config *config, const void *data, size_t len,
                                    bool stale_files, bool output_returns, struct error *err);

/* Behind wasi_restore, when nothing else can fail any more and before w is used: standard input goes on at its old
 * offset when it was a plain file and is one again; with output_named so does standard output, and what stands behind
 * its old end is cut off. ST_IO. */
CHECKED status_t wasi_restore_outside(struct wasi *w, struct error *err);

/* Host modules to hand to cell_instantiate; belong to w. */
const struct host_module *wasi_host_modules(struct wasi *w, uint32_t *ret_count);

#endif
