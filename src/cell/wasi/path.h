#ifndef CELL_WASI_PATH_H
#define CELL_WASI_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "preview1.h"

/* Paths strictly beneath a directory descriptor: neither "..", absolute paths, symbolic links nor renames by
 * others at the same time lead outside of it. docs/internals/wasi.md says why. */

enum path_method {
    PATH_OPENAT2, /* the kernel resolves (RESOLVE_BENEATH) */
    PATH_WALK     /* one directory at a time, no link followed by the kernel */
};

/* What this kernel and its filters allow. */
enum path_method path_method_probe(void);

/* WASI_NOENT for an empty path, WASI_NOTCAPABLE for an absolute one. */
enum wasi_errno path_check(const char *path);

/* Open path beneath dir_fd with the flags of open(2); O_CLOEXEC is added. The caller owns *ret_fd.
 * WASI_NOTCAPABLE when it would lead outside, else what open gives. Any thread. */
enum wasi_errno path_open_beneath(enum path_method method, int dir_fd, const char *path, int flags,
                                  mode_t mode, int *ret_fd);

/* The directory of a path's last part and that part, for calls that act on a name. The name holds no slash but
 * perhaps one at its end, and no call that follows such a name may be made with it. */
struct path_parent {
    int fd;
    bool owned;
    char name[WASI_NAME_BYTES_MAX + 2];
};

/* Resolve all but the last part. path is cut in the middle. Ends with path_parent_close; errors as above. */
enum wasi_errno path_parent_open(enum path_method method, int dir_fd, char *path,
                                 struct path_parent *ret_parent);
/* The same, with symbolic links in the last place followed until the name is none. */
enum wasi_errno path_parent_open_follow(int dir_fd, const char *path,
                                        struct path_parent *ret_parent);
void path_parent_close(struct path_parent *p);

/* The absolute path of fd's file, as far as the host knows. False: it has none. */
bool path_of_fd(int fd, char ret_path[PATH_MAX]);

/* Where the file of fd is beneath dir_fd, as far as the host knows: "" for dir_fd itself. False when it is not beneath
 * it, or nobody knows. What it says of a file without a name leads nowhere, or to another file. */
bool path_of_fd_beneath(int dir_fd, int fd, char ret_path[WASI_PATH_BYTES_MAX + 1]);

#endif
