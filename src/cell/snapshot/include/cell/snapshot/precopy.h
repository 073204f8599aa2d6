#ifndef CELL_SNAPSHOT_PRECOPY_H
#define CELL_SNAPSHOT_PRECOPY_H

#include "cell/snapshot/snapshot.h"

/* Sending a cell while it runs: docs/internals/precopy.md. Rounds of pages go first, each those that were written since
 * the last; then the cell is stopped (cell_stop with STOP_CAPTURE), and the few that are left follow with its state.
 * What is sent is a snapshot whose pages stand in front of the state, read by snapshot_open, snapshot_receive and
 * snapshot_read.
 *
 *     precopy_start    head                        while the cell runs, on another thread
 *     precopy_rounds   pages, round by round
 *     cell_stop        ... the call ends with ST_CAPTURED
 *     precopy_finish   state, pages that are left  on the cell's thread
 *     precopy_free
 *
 * Whatever fails, or is cancelled, the cell runs on as if nothing had been asked: cell_resume after a failed finish. */

struct precopy;

enum { PRECOPY_ROUNDS_DEFAULT = 16 };
#define PRECOPY_STOP_BYTES_DEFAULT ((uint64_t)64 << 10)

struct precopy_progress {
    uint32_t round;       /* from 1 */
    uint64_t round_bytes; /* of pages to be sent in this round */
    uint64_t sent_bytes;  /* of them, so far */
    uint64_t total_bytes; /* in all rounds; includes heads */
};

/* Zeros: the defaults. */
struct precopy_options {
    uint64_t bytes_per_second; /* at most this much in rounds; 0: as fast as the sink takes it */
    uint32_t
        rounds_max; /* when so many were sent, the cell is to be stopped; 0: PRECOPY_ROUNDS_DEFAULT */
    uint64_t stop_bytes; /* so few are sent while it is stopped; 0: PRECOPY_STOP_BYTES_DEFAULT */
    /* Called at each piece (at most 1 MiB), and several times a second while it is throttled; false cancels. NULL is
     * fine. */
    bool (*progress)(void *arg, const struct precopy_progress *p);
    void *arg;
};

/* Begin: follow the cell's writes, send the head. info: program, host and version from the caller. sink and options are
 * borrowed until precopy_free; the cell has to live until then. Any thread but the one that runs the cell. Where the
 * kernel cannot follow writes there will be no rounds. Errors of track_start but ST_UNSUPPORTED; ST_IO. */
CHECKED status_t precopy_start(struct cell *c, struct snapshot_info *info,
                               const struct precopy_options *options,
                               const struct snapshot_sink *sink, struct precopy **ret_p,
                               struct error *err);
/* Send rounds until little is left, or there were enough. ST_OK: stop the cell now. ST_STOPPED: cancelled; ST_IO;
 * ST_NOMEM. */
CHECKED status_t precopy_rounds(struct precopy *p, struct error *err);
/* The rest of a cell that was captured. host_state: as for snapshot_write. The cell is not changed: once the receiver
 * has said that it goes on, it must not; after an error it may. Errors of snapshot_write. */
CHECKED status_t precopy_finish(struct precopy *p, const void *host_state, size_t host_len,
                                struct snapshot_sizes *ret_sizes, struct error *err);
/* Ends the following of writes. NULL is fine. */
void precopy_free(struct precopy *p);

#endif
