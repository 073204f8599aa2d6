#ifndef CELL_SNAPSHOT_SNAPSHOT_H
#define CELL_SNAPSHOT_SNAPSHOT_H

#include "base/hash.h"
#include "cell/run/state.h"
#include "cell/run/track.h"

/* A cell as a stream of bytes: docs/internals/snapshot-format.md. It names the program by the hash of its module, so it
 * goes on with any image of it, on any machine. Written and read front to back, never holding more than a piece. */

enum {
    SNAPSHOT_TEXT_MAX = 256,
    SNAPSHOT_FORMAT_VERSION = 2, /* written; older ones are read as well */
    SNAPSHOT_ID_BYTES = 16,
    SNAPSHOT_ID_TEXT_BYTES = 33,
    SNAPSHOT_CHAIN_MAX = 4096
};

/* What the head of a snapshot says. */
struct snapshot_info {
    uint8_t module_hash[SHA256_BYTES];
    uint64_t module_len;
    feature_set_t features;
    uint32_t nan;                    /* enum image_nan */
    uint32_t level;                  /* of the image it ran on */
    uint64_t time_ns;                /* since the epoch */
    char program[SNAPSHOT_TEXT_MAX]; /* as it was called */
    char host[SNAPSHOT_TEXT_MAX];
    char version[SNAPSHOT_TEXT_MAX];
    const void *module; /* the module itself, module_len bytes, borrowed; NULL: not embedded */
    uint8_t id[SNAPSHOT_ID_BYTES]; /* random; zeros in format version 1, which no increment names */
    bool increment;                /* holds only pages that changed since the snapshot base_id */
    uint8_t base_id[SNAPSHOT_ID_BYTES];
    char base_name
        [SNAPSHOT_TEXT_MAX]; /* where the writer had it, for messages and for who looks for it */
};

/* An id as lower-case hexadecimal with a final NUL. */
void snapshot_id_text(const uint8_t id[SNAPSHOT_ID_BYTES], char ret_text[SNAPSHOT_ID_TEXT_BYTES]);

/* Where bytes go; false ends the work: errno says why. */
struct snapshot_sink {
    bool (*write)(void *arg, const void *data, size_t len);
    void *arg;
    /* NULL, or: the next len bytes are written by offset, by any thread of the call that has the sink, from *ret_off of
     * the descriptor that is returned, and what is given to write stands behind them. -1: write gets them. A file in
     * memory that is as long already and open for reading too is filled by two threads. Not with O_APPEND. */
    int (*range)(void *arg, size_t len, uint64_t *ret_off);
};
/* Where they come from: all len bytes, or false at the end or after a failure (errno, or 0 at the end). */
struct snapshot_source {
    bool (*read)(void *arg, void *data, size_t len);
    void *arg;
    /* NULL, or: the next len bytes stand in a file, from *ret_off of the descriptor that is returned, and are read from
     * there, by any thread, until the snapshot is closed; the source goes on behind them. -1: they have to be read. */
    int (*range)(void *arg, size_t len, uint64_t *ret_off);
};

/* What was read or written, for reports. */
struct snapshot_sizes {
    uint64_t frames;
    uint64_t state_bytes;
    uint64_t host_bytes;
    uint64_t module_bytes; /* embedded */
    uint64_t page_bytes;
    uint64_t total_bytes;
};

/* Write the state of a captured cell. info: program, host and version from the caller, and module with module_len where
 * it is to be embedded; the rest is filled in.
 * host_state: bytes of the embedder's that come back with snapshot_read (WASI's). The cell is not changed.
 * ST_UNSUPPORTED names what cannot travel; ST_INVALID: another module than the cell's; ST_IO; ST_NOMEM. */
CHECKED status_t snapshot_write(struct cell *c, struct snapshot_info *info, const void *host_state,
                                size_t host_len, const struct snapshot_sink *sink,
                                struct snapshot_sizes *ret_sizes, struct error *err);

/* Zeros: as snapshot_write. All borrowed. */
struct snapshot_options {
    /* A snapshot of the same run that was written (or read) before, by the id in its info: only `pages` are written,
     * and the result can only be read behind it (snapshot_read_chain). NULL: a full snapshot. */
    const uint8_t *base_id;
    const char *base_name; /* goes into the info; may be NULL */
    /* With base_id: all pages that were written since the base was. Without: all that may differ from a new instance
     * of the program (track_written, or the first track_harvest); NULL: find out. */
    const struct page_set *pages;
};
/* The same; info also gets the id of the new snapshot. ST_INVAL: base_id without pages. */
CHECKED status_t snapshot_write_with(struct cell *c, struct snapshot_info *info,
                                     const struct snapshot_options *options, const void *host_state,
                                     size_t host_len, const struct snapshot_sink *sink,
                                     struct snapshot_sizes *ret_sizes, struct error *err);

/* Reading goes in steps, since the embedder needs the first ones to make the cell for the last. */
struct snapshot_reader;
/* Read the head. ST_FORMAT: no snapshot; ST_UNSUPPORTED: a newer version; ST_CORRUPT names the part; ST_IO;
 * ST_NOMEM. */
CHECKED status_t snapshot_open(const struct snapshot_source *source, struct snapshot_reader **ret_r,
                               struct error *err);
/* Borrowed from r, like host_state. */
const struct snapshot_info *snapshot_reader_info(const struct snapshot_reader *r);
const void *snapshot_host_state(const struct snapshot_reader *r, size_t *ret_len);
/* Does the stream begin with rounds of pages that were sent while the cell ran (precopy.h)? Then the embedder's state
 * comes behind them: the cell has to be made first, takes the rounds, and gets its host afterwards (cell_rebind). */
bool snapshot_reader_is_live(const struct snapshot_reader *r);
/* Take all rounds into c, a new cell with one instance of the program; the last version of a page wins. progress (may
 * be NULL) is called for each round with what was read so far; false ends it with ST_STOPPED. Afterwards
 * snapshot_host_state is known. Errors of snapshot_read; c is only good for cell_free then. */
CHECKED status_t snapshot_receive(struct snapshot_reader *r, struct cell *c,
                                  bool (*progress)(void *arg, uint32_t round,
                                                   const struct snapshot_sizes *so_far),
                                  void *arg, struct error *err);
/* The rest goes into c, a new cell with one instance of the program (or the one that took the rounds); cell_resume then
 * goes on. Nothing has run when it fails, but c is only good for cell_free. Errors of snapshot_open and
 * cell_state_load; ST_INVALID: another program, or an increment, whose base is missing. */
CHECKED status_t snapshot_read(struct snapshot_reader *r, struct cell *c,
                               struct snapshot_sizes *ret_sizes, struct error *err);
/* The same for increments: a full snapshot, then the increments on it, each opened by snapshot_open, in order. The
 * state, and that of the embedder, is the last one's. ret_sizes: frames and state of the last, bytes of all. As
 * snapshot_read; ST_INVALID names the increment and the base that is missing. */
CHECKED status_t snapshot_read_chain(struct snapshot_reader *const *readers, uint32_t count,
                                     struct cell *c, struct snapshot_sizes *ret_sizes,
                                     struct error *err);
/* For tools: the rest without a cell. All parts are read and their checksums compared, as snapshot_read does. */
struct snapshot_frame {
    uint32_t func;
    uint32_t wasm_off;
    uint32_t kind; /* enum abi_site_kind */
    uint32_t values;
};
struct snapshot_summary {
    struct snapshot_frame *frames; /* from the innermost; malloc'd */
    uint32_t frame_count;
    uint64_t memory_bytes; /* of all memories, as the program sees them */
    struct snapshot_sizes sizes;
};
/* Errors of snapshot_open. The caller frees frames. */
CHECKED status_t snapshot_describe(struct snapshot_reader *r, struct snapshot_summary *ret_summary,
                                   struct error *err);
/* NULL is fine. */
void snapshot_close(struct snapshot_reader *r);

#endif
