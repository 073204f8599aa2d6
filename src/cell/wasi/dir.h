#ifndef CELL_WASI_DIR_H
#define CELL_WASI_DIR_H

#include "fdtable.h"

enum { DIR_CHUNK_BYTES = 8192 };

/* Some entries of a directory, in the file system's order. */
struct dir_chunk {
    size_t len; /* 0: the end */
    size_t pos;
    _Alignas(8) char data[DIR_CHUNK_BYTES];
};

struct dir_entry {
    uint64_t next_cookie;
    uint64_t ino;
    uint8_t type;     /* FILETYPE_* */
    const char *name; /* points into the chunk */
    uint32_t name_len;
};

/* Read what follows cookie: 0 for the start, else the next_cookie of an entry of this directory. Cookies stand
 * for the file system's own positions, so they stay good while entries come and go. Any thread. */
enum wasi_errno dir_chunk_read(struct file *f, uint64_t cookie, struct dir_chunk *ret_chunk);
/* Take the next entry; false at the end of the chunk. */
bool dir_chunk_next(const struct file *f, struct dir_chunk *c, struct dir_entry *ret_entry);

#endif
