#include "cell/wasi/goback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "sys/files.h"

/* The way back as wasi_undo_restore goes it, from the newest journal on, but reading their heads only. */

struct newest {
    uint32_t journal, snapshot;
};

static status_t find_newest(void *arg, const char *name, uint32_t number, const char *suffix,
                            struct error *err)
{
    struct newest *newest = arg;
    (void)name;
    (void)err;
    if (strcmp(suffix, "undo") == 0 && number > newest->journal) {
        newest->journal = number;
    }
    if (strcmp(suffix, "snap") == 0 && number > newest->snapshot) {
        newest->snapshot = number;
    }
    return ST_OK;
}

static bool read_head(int fd, uint8_t head[JOURNAL_HEAD_BYTES], bool *ret_empty)
{
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    *ret_empty = is_file && st.st_size == 0;
    return is_file && !*ret_empty && file_read_all(fd, head, JOURNAL_HEAD_BYTES) == 0;
}

/* False: g->why says what is wrong with it. */
static bool look_at(int folder_fd, uint32_t number, struct journal_head *h, struct wasi_goback *g)
{
    char name[JOURNAL_NAME_BYTES];
    uint8_t bytes[JOURNAL_HEAD_BYTES];
    struct error why = {.offset = ERROR_NO_OFFSET};
    bool empty = false;
    journal_name(number, "undo", name);
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool there = fd >= 0, whole = there && read_head(fd, bytes, &empty);
    if (there) {
        close(fd);
    }
    if (!there || empty) {
        snprintf(g->why, sizeof g->why, "the before-images of checkpoint %u %s", number,
                 there ? "could not be kept" : "are not there");
    } else if (!whole || journal_get_head(bytes, h, &why) != ST_OK || h->number != number ||
               h->follows >= number) {
        snprintf(g->why, sizeof g->why, "the journal of checkpoint %u is damaged", number);
    } else if (h->lost[0] != '\0') {
        snprintf(g->why, sizeof g->why, "%.180s", h->lost);
    } else if (journal_has_left(h)) {
        snprintf(g->why, sizeof g->why, "the program was frozen after it: thaw %.150s",
                 h->leaving_path);
    }
    return g->why[0] == '\0';
}

static bool add(struct wasi_goback *g, uint32_t number)
{
    uint32_t *more = realloc(g->numbers, ((size_t)g->count + 1) * sizeof *more);
    if (more != NULL) {
        g->numbers = more;
        more[g->count++] = number;
    }
    return more != NULL;
}

static status_t walk(int folder_fd, const struct newest *newest, struct wasi_goback *g,
                     struct error *err)
{
    uint32_t at = newest->journal;
    if (newest->journal < newest->snapshot) {
        snprintf(g->why, sizeof g->why, "the before-images of checkpoint %u are not there",
                 newest->snapshot);
        return ST_OK;
    }
    while (at != 0) {
        struct journal_head h = {0};
        if (!look_at(folder_fd, at, &h, g)) {
            return ST_OK;
        }
        if ((g->begun == 0 || at <= g->begun) && !add(g, at)) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a list of journals");
        }
        if (h.follows == 0) {
            snprintf(g->why, sizeof g->why,
                     "it is of an earlier run, or others came between in another folder: what "
                     "changed in files between it and checkpoint %u is not known",
                     at);
        }
        at = h.follows;
    }
    return ST_OK;
}

status_t wasi_goback_find(int folder_fd, struct wasi_goback *ret_found, struct error *err)
{
    struct wasi_goback g = {0};
    struct newest newest = {0};
    struct error why = {.offset = ERROR_NO_OFFSET};
    status_t st = undo_files_each(folder_fd, find_newest, &newest, err);
    status_t begun = st == ST_OK ? wasi_undo_begun(folder_fd, &g.begun, &why) : ST_OK;
    if (begun != ST_OK) {
        snprintf(g.why, sizeof g.why, "%.180s", why.text);
    } else if (st == ST_OK) {
        st = walk(folder_fd, &newest, &g, err);
    }
    if (st == ST_OK) {
        *ret_found = g;
    } else {
        wasi_goback_done(&g);
    }
    return st;
}

const char *wasi_goback_why_not(const struct wasi_goback *g, uint32_t number)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (g->numbers[i] == number) {
            return NULL;
        }
    }
    if (g->begun != 0 && number > g->begun) {
        return "files were on their way back to an earlier one";
    }
    return g->why[0] != '\0' ? g->why : "its before-images are not there";
}

void wasi_goback_done(struct wasi_goback *g)
{
    free(g->numbers);
    *g = (struct wasi_goback){0};
}
