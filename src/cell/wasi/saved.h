#ifndef CELL_WASI_SAVED_H
#define CELL_WASI_SAVED_H

#include "base/buf.h"
#include "base/cursor.h"
#include "cell/wasi/wasi.h"
#include "dirlist.h"
#include "fdtable.h"
#include "ids.h"

/* The saved state, which docs/internals/wasi.md describes: its numbers, and the parts that are read and written alone.
 * What is read is marked as failed in the cursor when it is wrong. */

#define SAVED_MAGIC UINT32_C(0x49534157) /* "WASI" */

enum {
    SAVED_VERSION = 3,
    SAVED_VERSION_BUCKETS = 3, /* some grants are buckets; written only then */
    SAVED_VERSION_IDS = 2,     /* with device and inode numbers */
    SAVED_FILE_BYTES_MIN = 34,
    SAVED_ORIGIN_PATH = 0, /* beneath a grant */
    SAVED_ORIGIN_STDIO,
    SAVED_ORIGIN_LISTEN,
    SAVED_ORIGIN_LOST,   /* not found at an earlier restore */
    SAVED_ORIGIN_BUCKET, /* beneath a grant that is a bucket */
    SAVED_ORIGIN_COUNT
};

enum { SAVED_READ_ONLY = 1, SAVED_PREOPEN = 2, SAVED_BITS_KNOWN = 3 };

/* By what the folder of a grant is recognised. */
struct saved_root {
    struct ids_key host; /* inode number 0: not known */
    uint64_t birth_ns;   /* 0: not known */
};

/* What stands in front. */
struct saved_head {
    uint32_t version;
    uint64_t monotonic_ns, cpu_ns; /* as the guest saw them */
    uint64_t output_bytes;
    uint64_t progress;
};
/* Of a version that is not known only this is taken. */
void saved_take_head(struct cursor *c, struct saved_head *ret_head);
bool saved_version_known(uint32_t version);

/* One descriptor. */
struct saved_file {
    uint32_t fd;
    uint8_t origin, kind, filetype, bits;
    uint16_t flags;
    uint64_t rights_base, rights_inheriting;
    uint32_t index; /* by origin: grant (of both kinds), standard descriptor, listening socket */
    char path[WASI_PATH_BYTES_MAX + 1];
    struct ids_key id;               /* as the guest has seen it; zeros: not known */
    uint64_t offset, size, mtime_ns; /* plain files */
    char etag[WASI_ETAG_BYTES];      /* beneath a bucket: of the object */
    uint32_t staged;                 /* the staged file that it is one of, from 1; 0: only read */
    struct dirlist *list;            /* half-read directories, else NULL; the caller frees it */
};
/* Into zeros. version: of the state, grant_count: grants in it; from: the lowest number that it may have, since they
 * come in ascending order. False when memory ran out. */
bool saved_take_file(struct cursor *c, uint32_t version, uint32_t grant_count, uint32_t from,
                     struct saved_file *f);

void saved_put_text(struct buf *out, const char *text, size_t len);
/* A text without NULs, borrowed; what is said when it is too long. */
const char *saved_take_text(struct cursor *c, size_t len_max, const char *too_long,
                            size_t *ret_len);
/* A number of things of at least bytes_min bytes each. */
uint32_t saved_take_count(struct cursor *c, uint32_t max, size_t bytes_min, const char *too_many);
uint64_t saved_take_i63(struct cursor *c, const char *too_large);

/* NULL: an empty list. */
void saved_put_list(struct buf *out, const struct dirlist *l);
/* Into an empty list. version: of the state. False when memory ran out. */
bool saved_take_list(struct cursor *c, uint32_t version, struct dirlist *l);

void saved_put_key(struct buf *out, struct ids_key key);
struct ids_key saved_take_key(struct cursor *c);
void saved_put_root(struct buf *out, const struct saved_root *root);
struct saved_root saved_take_root(struct cursor *c);
void saved_put_ids(struct buf *out, const struct ids *ids);
/* Into an empty table, and seals it. False when memory ran out. */
bool saved_take_ids(struct cursor *c, struct ids *ids);

/* The folder of a grant as it is now; of a bucket nothing is known, as its numbers are the same everywhere. */
struct saved_root saved_root_of(const struct wasi_grant *g);
/* What a bucket is recognised by, behind the root: its place; NULL: a folder. From version SAVED_VERSION_BUCKETS on. */
void saved_put_place(struct buf *out, const struct wasi_grant *g);
const char *saved_take_place(struct cursor *c, size_t *ret_len);
/* A folder of the saved guest, and that which it is here. */
struct saved_move {
    struct saved_root then, now;
    bool bucket; /* it is one */
};
/* True when one of the folders that stayed is on this device: then it is the same file system. */
bool saved_device_stayed(const struct saved_move *moves, uint32_t count, uint64_t dev);
bool saved_all_stayed(const struct saved_move *moves, uint32_t count);
/* Begin the table of a restored guest: what is known of devices from `then`, the saved guest's, and the folders. The
 * files that it has open follow with ids_add_file, then saved_end_ids. False when memory ran out. */
bool saved_begin_ids(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                     uint32_t move_count);
/* Take over what else was known where the folders are still the same, and seal it. */
bool saved_end_ids(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                   uint32_t move_count);

#endif
