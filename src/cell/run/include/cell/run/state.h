#ifndef CELL_RUN_STATE_H
#define CELL_RUN_STATE_H

#include "base/buf.h"
#include "cell/run/run.h"

/* The state of a cell that was captured, or that nothing runs in, as bytes that any image of its module can go on
 * from: docs/internals/snapshot-format.md. Memories' contents are apart, since they are large. The thread that has
 * the cell. */

/* Append everything but memories' contents. The cell is not changed. ST_UNSUPPORTED names what cannot travel: several
 * instances, memories that are imported or that other cells share, imported tables and globals, references of the
 * host. ST_NOMEM. */
CHECKED status_t cell_state_save(struct cell *c, struct buf *out, struct error *err);

/* Bring a new instance, whose start function was not called, to a saved state; cell_resume then goes on. Memories get
 * their size. data: borrowed. ST_CORRUPT says what does not fit the module; ST_LIMIT; ST_NOMEM. After an error the
 * cell is only good for cell_free. */
CHECKED status_t cell_state_load(struct cell *c, const void *data, size_t len, struct error *err);

/* The program of a cell with one instance, borrowed; NULL: it has none. */
struct program *cell_program(const struct cell *c);

/* Is there a call to go on with? */
bool cell_is_captured(const struct cell *c);
/* The index of the function that the last call was of, also after it ended; UINT32_MAX: there was none. */
uint32_t cell_called(const struct cell *c);

/* Go over to another image of the same module, with another optimisation or CPU level: a cell with one instance that
 * imports nothing but host functions, captured or between calls. Both images are movable and by the same compiler. What
 * was borrowed from the former program stays valid as long as the cell. ST_INVAL: c runs, or has not one instance;
 * ST_INVALID: another module; ST_UNSUPPORTED, ST_NOMEM. After an error c is as before. The thread that has c. */
CHECKED status_t cell_change_program(struct cell *c, struct program *prog, struct error *err);

/* A memory of the instance. */
struct cell_memory {
    uint8_t *base;
    uint64_t bytes; /* multiple of 64 KiB */
    bool complete; /* the image has all of its initial content: a page that is not there was zero */
};
/* Memory `index` of a cell with one instance. ST_NOTFOUND: there is none. */
CHECKED status_t cell_memory(struct cell *c, uint32_t index, struct cell_memory *ret_memory);
/* Make a memory larger, to bytes, a multiple of 64 KiB; what is not smaller stays. Between calls. ST_NOTFOUND;
 * ST_LIMIT: beyond what the module allows; ST_NOMEM: or beyond the cell's limits. */
CHECKED status_t cell_memory_extend(struct cell *c, uint32_t index, uint64_t bytes);
/* The same, and have all pages of the memory present, so that a snapshot which is read into it, and what goes on from
 * there, waits for none: a cell that is to take over another one can do this while that one runs. bytes: at most what
 * the memory has in the snapshot. Takes the memory at once, 0.1 to 0.8 ms for a MiB; its content stays. */
CHECKED status_t cell_memory_prepare(struct cell *c, uint32_t index, uint64_t bytes);
/* The initial content at guest address `at`, up to the next multiple of 64 KiB, of the image; NULL: zeros. Only where
 * complete. */
const uint8_t *cell_memory_initial(struct cell *c, uint32_t index, uint64_t at);

/* The name of an operation of the host by its number in a saved state: "memory.copy"; NULL: there is none. */
const char *cell_operation_name(uint32_t number);

/* A frame of the captured call stack. */
struct cell_frame {
    uint32_t func;
    uint32_t wasm_off;
};
/* The frames from the innermost one, up to max of them; the number that there are. */
uint32_t cell_captured_frames(const struct cell *c, struct cell_frame *ret_frames, uint32_t max);

#endif
