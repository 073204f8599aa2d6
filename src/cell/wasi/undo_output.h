#ifndef CELL_WASI_UNDO_OUTPUT_H
#define CELL_WASI_UNDO_OUTPUT_H

#include "journal.h"

/* Is a file the standard output of journals, or a copy of it? Their records are told from the newest journal to the
 * oldest. One thread. */

struct undo_output;

/* fd: borrowed. begun: a way back that ended midway took it for the output. ST_NOMEM. */
CHECKED status_t undo_output_new(int fd, int folder_fd, bool begun, struct undo_output **ret_output,
                                 struct error *err);
void undo_output_free(struct undo_output *o);
/* A record of standard output in journal `number`; only FILE and DATA of descriptor 1 matter. data_at: where the bytes
 * of DATA are in the journal. ST_NOMEM. */
CHECKED status_t undo_output_note(struct undo_output *o, uint32_t number, uint64_t data_at,
                                  const struct journal_record *r, struct error *err);
/* The journal has no more. ST_INVALID: it can be brought back in part only. */
CHECKED status_t undo_output_end(struct undo_output *o, uint32_t number, struct error *err);
/* All have been told. *ret_ours: it comes back. ST_INVALID: it is the file that it went to, or has the name of that,
 * and its bytes are others. */
CHECKED status_t undo_output_decide(const struct undo_output *o, bool *ret_ours, struct error *err);

/* Does it have the number or the name of such a path? inode 0: which file it is cannot be told. */
bool undo_output_is_alike(const struct journal_output *now, const char *text, size_t len);

#endif
