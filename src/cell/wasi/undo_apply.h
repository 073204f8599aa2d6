#ifndef CELL_WASI_UNDO_APPLY_H
#define CELL_WASI_UNDO_APPLY_H

#include "cell/wasi/undo.h"
#include "journal.h"
#include "path.h"

/* The record of a journal undone, one at a time. One thread. */

/* Standard output, as far as records have been checked: those of the newest journal first. */
struct undo_output {
    uint32_t ours;   /* records of it */
    uint32_t alike;  /* of a file with its name or inode number that it is not */
    bool has_number; /* of one of those */
    uint64_t size;   /* that it has when the journals before are undone */
    uint64_t then,
        data; /* in this journal: the size that it gets, and where bytes that are put back end */
    char text[JOURNAL_PATH_MAX + 1]; /* of the last record */
    enum journal_output is;
};

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
    struct undo_output output;
};

CHECKED status_t undo_init(struct undo *u, const struct wasi_config *config, int folder_fd,
                           struct error *err);
void undo_done(struct undo *u);
/* u->guests, grant_count of them, are those of the records that follow. */
CHECKED status_t undo_take_grants(struct undo *u, uint32_t grant_count, struct error *err);
/* Could the record be undone, as far as that can be said before others are? Errors of wasi_undo_restore. */
CHECKED status_t undo_check(struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err);
/* The journal has no more records to check. */
CHECKED status_t undo_check_end(struct undo *u, uint32_t number, struct error *err);
/* Undo it. What has been undone already, or was never done, is fine. */
CHECKED status_t undo_apply(struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err);
/* Bytes written so far are on disk. */
CHECKED status_t undo_settle(struct undo *u, struct error *err);

#endif
