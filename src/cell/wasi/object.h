#ifndef CELL_WASI_OBJECT_H
#define CELL_WASI_OBJECT_H

#include <sys/stat.h>

#include "cell/wasi/bucket.h"
#include "fdtable.h"
#include "guest.h"
#include "staged.h"

/* Files and folders beneath a bucket: docs/internals/geds-dir.md. None of this is called for files of the host. */

enum {
    READ_WINDOW_MIN = 8 << 10,
    READ_WINDOW_MAX = 2 << 20,
    READ_WINDOWS_BYTES_MAX = 32 << 20 /* of one cell; beyond it windows do not grow */
};

/* Bytes of an object that were read, for reads to come; memory of wasi_scratch_new. */
struct read_window {
    uint64_t offset;
    size_t len;
    size_t cap;
    uint8_t data[];
};

/* What struct file has besides, beneath a bucket. Immutable while open, but for what says so. */
struct object {
    struct wasi *w;
    const struct wasi_bucket *bucket;
    struct staged *staged; /* a file that is written by this or another descriptor: counted */
    bool writes;           /* this descriptor may change it */
    void *reader;          /* a file that is only read: the object as of its open */
    struct wasi_object_info info; /* of it */
    char *
        renamed; /* the path of what is read since the cell renamed it; NULL: the file's; guarded by dir_lock */
    struct read_window *window; /* guarded by the file's dir_lock; taken out while it is used */
};
/* NULL is fine. */
void object_free(struct object *o);

/* A path beneath a grant, resolved. */
struct object_name {
    const struct wasi_bucket *bucket;
    uint32_t grant;
    bool folder;                       /* it was written as that of a folder */
    char path[WASI_KEY_BYTES_MAX + 1]; /* "": the grant itself */
    char key[WASI_KEY_BYTES_MAX + 2];  /* with the prefix, without '/' at its end but for room */
};
/* WASI_NOENT for an empty path, WASI_NOTCAPABLE for one that leads above dir, WASI_NAMETOOLONG. */
enum wasi_errno object_name(const struct file *dir, const char *path, struct object_name *ret_name);
/* The key of a path beneath the grant; with folder '/' behind it, unless it is that of all keys. False: too long. */
bool object_key(const struct wasi_bucket *b, const char *path, bool folder,
                char ret_key[WASI_KEY_BYTES_MAX + 2]);

/* The cell has renamed a key, or with '/' at the end of both all that begin with it: what reads it goes along. */
void object_renamed(struct wasi *w, const struct wasi_bucket *b, const char *from, const char *to);
/* Where the object of a descriptor is now, beneath its grant. The cell stands still. */
const char *object_path(const struct file *f);

/* Is there anything beneath a path? 0, ENOENT or what went wrong. */
int object_folder_there(const struct wasi_bucket *b, const char *path);

/* Files that belong to no number yet. path: beneath the grant. 0 or an errno value. */
int object_new_folder(struct wasi *w, uint32_t grant, const char *path, struct file **ret_f);
/* Takes over reader, also on failure. */
int object_new_reader(struct wasi *w, uint32_t grant, const char *path, void *reader,
                      const struct wasi_object_info *info, struct file **ret_f);
/* A descriptor of a staged file, which it counts. flags: O_RDONLY, O_WRONLY or O_RDWR. */
int object_new_staged(struct wasi *w, struct staged *s, int flags, struct file **ret_f);
/* The descriptor of a grant. */
int object_new_grant(struct wasi *w, uint32_t grant, struct file **ret_f);

/* Open as open(2) with these flags. Errors as errno has them, in WASI's numbers. */
enum wasi_errno object_open(struct wasi *w, const struct file *dir, const char *path, int flags,
                            struct file **ret_f);

/* The device of a bucket and the inode number of a path beneath a grant. */
uint64_t object_device(const struct wasi_bucket *b);
uint64_t object_inode(const struct wasi_bucket *b, const char *path, bool folder);
static inline bool object_inode_is_folder(uint64_t ino)
{
    return (ino & 1) != 0;
}
/* What the guest is told, in numbers that it sees as they are. */
enum wasi_errno object_stat_path(struct wasi *w, const struct file *dir, const char *path,
                                 struct stat *ret_st);
enum wasi_errno object_stat_file(const struct file *f, struct stat *ret_st);

/* Into guest memory, from the offset of the descriptor when offset is IO_AT_OFFSET; a byte count or a negative errno
 * value. */
ssize_t object_read(const struct file *f, const struct piece *p, uint64_t offset);
/* Before bytes of a staged file are read or written: what is needed of the object. 0 or an errno value. */
int object_before_read(const struct file *f, uint64_t offset, size_t len);
int object_before_write(const struct file_use *u, uint64_t offset, size_t len);

/* fd_sync, fd_datasync and fd_close: what was written gets its name. WASI_INTR when the guest has to unwind. */
enum wasi_errno object_publish(void *ctx, const struct file *f);
enum wasi_errno object_set_size(const struct file *f, uint64_t size);
enum wasi_errno object_allocate(const struct file *f, uint64_t offset, uint64_t len);

/* The calls on names; dir is in use. */
enum wasi_errno object_make_folder(const struct file *dir, const char *path);
enum wasi_errno object_remove_folder(const struct file *dir, const char *path);
enum wasi_errno object_unlink(struct wasi *w, const struct file *dir, const char *path);
enum wasi_errno object_rename(struct wasi *w, const struct file *from_dir, const char *from,
                              const struct file *to_dir, const char *to);

/* All entries of a folder as they are now. WASI_OVERFLOW: too many. */
enum wasi_errno object_list(const struct file *dir, struct dirlist **ret_list);

#endif
