#ifndef CELL_WASI_JOURNAL_H
#define CELL_WASI_JOURNAL_H

#include <limits.h>
#include <stdbool.h>

#include "base/buf.h"
#include "cell/wasi/undo.h"

/* Journals of before-images as bytes: docs/internals/checkpoint.md has the format. Files of checkpoint NNNNNN in its
 * folder: NNNNNN.undo the journal, NNNNNN.M.kept what was removed, NNNNNN.snap the snapshot. */

enum {
    JOURNAL_VERSION = 3,
    /* 1: without JOURNAL_WAS_NAME, which file output is, and where the program went.
     * 2: without what output ends with. */
    JOURNAL_VERSION_FIRST = 1,
    JOURNAL_HEAD_BYTES = 4096,
    JOURNAL_LOST_OFF = 2048, /* in the head: why this journal is of no use, or NUL */
    JOURNAL_LOST_MAX = 1024,
    JOURNAL_LEAVING_OFF =
        3072, /* in the head: the snapshot that the program is being frozen into */
    JOURNAL_LEAVING_BYTES = 1024,
    JOURNAL_LEAVING_PATH_MAX = JOURNAL_LEAVING_BYTES - 16,
    JOURNAL_BEGIN_BYTES = 12, /* in front of a payload */
    JOURNAL_FRAME_BYTES = 20, /* with what stands behind it */
    JOURNAL_DATA_MAX = 1 << 20,
    JOURNAL_PAYLOAD_MAX = (1 << 20) + (1 << 16),
    JOURNAL_GRANTS_MAX = 1024,
    JOURNAL_PATH_MAX = 4095,
    JOURNAL_NAME_BYTES = 48,
    JOURNAL_TAIL_MAX = 4096,
};

enum journal_type {
    JOURNAL_GRANTS = 1, /* the first record: guest names of the grants */
    JOURNAL_FILE,       /* a file before its first change: size and time of change */
    JOURNAL_DATA,       /* bytes before they were overwritten or cut off */
    JOURNAL_CREATE,     /* a name before something got it */
    JOURNAL_REMOVE,     /* a name before it was removed */
    JOURNAL_RENAME,
    JOURNAL_TYPE_COUNT
};

enum journal_origin {
    JOURNAL_AT_GRANT,  /* index: of the grant; path beneath it */
    JOURNAL_AT_KEPT,   /* index: number of a kept file */
    JOURNAL_AT_OUTPUT, /* index: standard descriptor 1 or 2; path: journal_output_text, or "" */
    JOURNAL_ORIGIN_COUNT
};

struct journal_place {
    enum journal_origin origin;
    uint32_t index;
    const char *path; /* not NUL-terminated when decoded; borrowed */
    size_t path_len;
};

/* How messages call it, at most *ret_len bytes. */
const char *journal_place_shown(const struct journal_place *p, int max, int *ret_len);

/* What stood behind a name. */
enum journal_was {
    JOURNAL_WAS_NOTHING,
    JOURNAL_WAS_KEPT,
    JOURNAL_WAS_DIRECTORY,
    JOURNAL_WAS_LINK,
    JOURNAL_WAS_NAME, /* of a file that has another one */
    JOURNAL_WAS_COUNT
};

struct journal_entry {
    enum journal_was was;
    uint32_t value;   /* number of the kept file; mode of the directory */
    const char *link; /* text of the link; the other name, beneath the same grant */
    size_t link_len;
};

struct journal_record {
    enum journal_type type;
    struct journal_place place;
    struct journal_place to;     /* RENAME */
    struct journal_entry before; /* REMOVE: of place; RENAME: of to */
    bool directory;              /* CREATE */
    bool may_be_gone;            /* RENAME: what was moved was made since the checkpoint */
    uint64_t size;               /* FILE */
    uint64_t mtime_ns;           /* FILE */
    uint64_t offset;             /* DATA */
    const uint8_t *data;         /* DATA; borrowed */
    size_t data_len;
    uint32_t grant_count; /* GRANTS */
};

struct journal_head {
    uint32_t number;
    uint32_t follows; /* the journal that ends where this one begins; 0: none */
    char lost[JOURNAL_LOST_MAX + 1];
    uint64_t leaving_inode; /* of the snapshot that was about to get leaving_path */
    char leaving_path[JOURNAL_LEAVING_PATH_MAX + 1]; /* "": none */
};

/* "000012.undo", "000012.snap" */
void journal_name(uint32_t number, const char *suffix, char ret_name[JOURNAL_NAME_BYTES]);
void journal_kept_name(uint32_t number, uint32_t kept, char ret_name[JOURNAL_NAME_BYTES]);

/* Append the head without a reason. out->failed as ever. */
void journal_put_head(struct buf *out, const struct journal_head *h);
/* ST_FORMAT; ST_UNSUPPORTED; ST_CORRUPT. data: JOURNAL_HEAD_BYTES. */
CHECKED status_t journal_get_head(const uint8_t *data, struct journal_head *ret_head,
                                  struct error *err);

/* JOURNAL_LEAVING_BYTES for JOURNAL_LEAVING_OFF. path: "" for none, at most JOURNAL_LEAVING_PATH_MAX bytes. */
void journal_put_leaving(struct buf *out, const char *path, uint64_t inode);
/* Was the program being frozen when it was killed, and is the snapshot in its place? It is behind all checkpoints. */
bool journal_has_left(const struct journal_head *h);

/* The file of a JOURNAL_AT_OUTPUT. As the place's path: "INODE BORN FROM LENGTH SUM NAME". */
struct journal_output {
    uint64_t inode, born_ns; /* born_ns 0: not known */
    uint64_t from, len,
        sum; /* XXH3 of what it ended with, up to JOURNAL_TAIL_MAX bytes; len 0: nothing */
    char name[NAME_MAX + 1]; /* the last part */
};
/* Which file it is now. False: that cannot be told. */
bool journal_output_of(int fd, struct journal_output *ret_file);
/* The same with what it ends with, as a path. ret_text: JOURNAL_PATH_MAX + 1. ST_IO: that cannot be told. */
CHECKED status_t journal_output_text(int fd, char *ret_text);
/* False: the path says nothing. One of version 2 has a number and a name alone. */
bool journal_output_parse(const char *text, size_t len, struct journal_output *ret_file);
/* Is it the same file, as far as numbers tell? */
bool journal_output_same(const struct journal_output *a, const struct journal_output *b);

/* Append a record in its frame: type u32, length u32, low 32 bits of XXH3 of both, payload, XXH3 u64 of all that.
 * guest_paths: of GRANTS. */
void journal_put(struct buf *out, const struct journal_record *r, const char *const *guest_paths);

/* The frame's beginning: JOURNAL_BEGIN_BYTES. False: damaged. *ret_len 0 and type 0: nothing was ever written there. */
bool journal_get_begin(const uint8_t *data, uint32_t *ret_type, uint32_t *ret_len);

/* Decode a payload, which stays borrowed. guest_paths: gets the grants' names of GRANTS, JOURNAL_GRANTS_MAX of room;
 * may be NULL. ST_CORRUPT says what is wrong, and where from off on. */
CHECKED status_t journal_get(uint32_t type, const void *payload, size_t len, uint64_t off,
                             struct journal_record *ret_record, struct journal_place *guest_paths,
                             struct error *err);

#endif
