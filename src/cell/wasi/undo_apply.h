#ifndef CELL_WASI_UNDO_APPLY_H
#define CELL_WASI_UNDO_APPLY_H

#include <limits.h>

#include "cell/wasi/undo.h"
#include "journal.h"
#include "path.h"

struct undo_output;

/* The record of a journal undone, one at a time. One thread. */

struct undo {
    const struct wasi_config *config;
    int folder_fd;
    enum path_method method;
    uint8_t *data; /* room for one record */
    struct journal_place
        *guests;       /* JOURNAL_GRANTS_MAX; texts are only good until the next record is read */
    uint32_t *targets; /* for each grant of the journal the one of config, or UINT32_MAX */
    uint32_t grant_count;
    /* The file that bytes were last written to: -1, or open until undo_settle. */
    int file_fd;
    struct journal_place file_place;
    char file_path[JOURNAL_PATH_MAX + 1];
    struct wasi_undo_report report;
    struct undo_output *output; /* NULL: not looked at */
    /* While checking: where standard output is when the journals told so far are undone; "": not looked at. */
    char standing[PATH_MAX];
    bool standing_empty; /* it has no bytes */
    bool standing_good;  /* it was on its way back already: no name is in its way */
    /* While undoing, which gives it other names: what it was before. */
    struct journal_output output_now;
    bool output_returns;
};

CHECKED status_t undo_init(struct undo *u, const struct wasi_config *config, int folder_fd,
                           struct error *err);
void undo_done(struct undo *u);
/* u->guests, grant_count of them, are those of the records that follow. */
CHECKED status_t undo_take_grants(struct undo *u, uint32_t grant_count, struct error *err);
/* Could the record be undone, as far as that can be said before others are? Errors of wasi_undo_restore. */
CHECKED status_t undo_check(const struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err);
/* The records of names, told from the last one of the newest journal: what becomes of u->standing?
 * ST_INVALID: it goes, or something comes back to its name. */
CHECKED status_t undo_follow(struct undo *u, uint32_t number, const struct journal_record *r,
                             struct error *err);
/* Is a place beneath a grant u->standing, or another name of that file? */
bool undo_is_standing(const struct undo *u, uint32_t number, const struct journal_place *p);
/* Undo it. What has been undone already, or was never done, is fine. */
CHECKED status_t undo_apply(struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err);
/* Bytes written so far are on disk. */
CHECKED status_t undo_settle(struct undo *u, struct error *err);

#endif
