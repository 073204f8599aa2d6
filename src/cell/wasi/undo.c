#include "cell/wasi/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/parse.h"
#include "sys/files.h"
#include "undo_apply.h"
#include "undo_output.h"

/* Going back: the journals of a folder, the newest first, each from its end. A journal is cut behind each step that
 * is done, so what is left of it is what is still to be done. */

/* One journal while it is read. */
struct reading {
    int fd;
    uint32_t number;
    uint64_t size;
    struct journal_head head;
    uint64_t *offs; /* of the records */
    size_t count, cap;
    uint64_t begin; /* of the first behind GRANTS */
};

static status_t damaged(uint32_t number, const struct error *why, struct error *err)
{
    return error_set(err, why->code, why->offset, "checkpoint %u: journal: %s", number, why->text);
}

/* ---- reading ---- */

/* All len bytes at `at`, or an error: the file is only ever cut by us. */
static status_t read_at(const struct reading *r, void *data, size_t len, uint64_t at,
                        struct error *err)
{
    if (lseek(r->fd, (off_t)at, SEEK_SET) < 0 || file_read_all(r->fd, data, len) != 0) {
        struct error why = {.offset = ERROR_NO_OFFSET};
        why.code = error_set_errno(&why, errno == 0 ? EIO : errno, "cannot be read");
        return damaged(r->number, &why, err);
    }
    return ST_OK;
}

/* The record at `at` into data, which has room for the largest. *ret_len 0: it was not finished, so what it would be
 * for was not done either. */
static status_t read_record(const struct reading *r, uint64_t at, uint8_t *data, size_t *ret_len,
                            struct error *err)
{
    struct error why = {.offset = at, .code = ST_CORRUPT, .text = "a record with a wrong checksum"};
    struct cursor c;
    uint32_t type, len;
    *ret_len = 0;
    if (r->size - at < JOURNAL_FRAME_BYTES) {
        return ST_OK;
    }
    status_t st = read_at(r, data, JOURNAL_BEGIN_BYTES, at, err);
    if (st != ST_OK) {
        return st;
    }
    if (!journal_get_begin(data, &type, &len)) {
        return damaged(r->number, &why, err);
    }
    if (type == 0 || r->size - at < (uint64_t)len + JOURNAL_FRAME_BYTES) {
        return ST_OK;
    }
    st = read_at(r, data + JOURNAL_BEGIN_BYTES, (size_t)len + 8, at + JOURNAL_BEGIN_BYTES, err);
    if (st != ST_OK) {
        return st;
    }
    cursor_init(&c, data + JOURNAL_BEGIN_BYTES + len, 8, 0);
    if (cursor_le64(&c) != hash_xxh3(data, (size_t)len + JOURNAL_BEGIN_BYTES)) {
        return damaged(r->number, &why, err);
    }
    *ret_len = (size_t)len + JOURNAL_FRAME_BYTES;
    return ST_OK;
}

static status_t decode(const struct reading *r, uint64_t at, const uint8_t *data, size_t len,
                       struct journal_record *ret_record, struct journal_place *guests,
                       struct error *err)
{
    struct error why = {.offset = ERROR_NO_OFFSET};
    uint32_t type, payload_len;
    (void)journal_get_begin(data, &type, &payload_len);
    status_t st = journal_get(type, data + JOURNAL_BEGIN_BYTES, len - JOURNAL_FRAME_BYTES,
                              at + JOURNAL_BEGIN_BYTES, ret_record, guests, &why);
    return st == ST_OK ? ST_OK : damaged(r->number, &why, err);
}

static status_t open_journal(int folder_fd, uint32_t number, struct reading *r, struct error *err)
{
    char name[JOURNAL_NAME_BYTES];
    uint8_t head[JOURNAL_HEAD_BYTES];
    struct stat file;
    *r = (struct reading){.number = number};
    journal_name(number, "undo", name);
    r->fd = openat(folder_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (r->fd < 0 && errno == ENOENT) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "checkpoint %u: its before-images are not there", number);
    }
    if (r->fd < 0 || fstat(r->fd, &file) != 0) {
        return error_set_errno(err, errno, "%s", name);
    }
    r->size = (uint64_t)file.st_size;
    if (r->size == 0) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "checkpoint %u: its before-images could not be kept", number);
    }
    struct error why = {.offset = 0, .code = ST_CORRUPT, .text = "too short"};
    if (!S_ISREG(file.st_mode) || r->size < JOURNAL_HEAD_BYTES) {
        return damaged(number, &why, err);
    }
    status_t st = read_at(r, head, sizeof head, 0, err);
    if (st == ST_OK && journal_get_head(head, &r->head, &why) != ST_OK) {
        st = damaged(number, &why, err);
    }
    if (st == ST_OK && (r->head.number != number || r->head.follows >= number)) {
        snprintf(why.text, sizeof why.text, "it belongs to another checkpoint");
        st = damaged(number, &why, err);
    }
    return st;
}

static void close_journal(struct reading *r)
{
    if (r->fd >= 0) {
        close(r->fd);
    }
    free(r->offs);
    *r = (struct reading){.fd = -1};
}

static status_t note(struct reading *r, uint64_t at, struct error *err)
{
    if (r->count == r->cap) {
        size_t cap = r->cap == 0 ? 256 : r->cap * 2;
        uint64_t *offs = realloc(r->offs, cap * sizeof *offs);
        if (offs == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a journal");
        }
        r->offs = offs;
        r->cap = cap;
    }
    r->offs[r->count++] = at;
    return ST_OK;
}

static uint64_t data_offset(const struct undo *u, const struct journal_record *record, uint64_t at)
{
    return record->data != NULL ? at + (uint64_t)(record->data - u->data) : 0;
}

/* Bytes that the program has written over by a path may be of standard output: at that time it was there. */
static status_t follow_bytes(const struct reading *r, const struct undo *u, uint64_t at,
                             const struct journal_record *record, struct error *err)
{
    struct journal_record of_output = *record;
    of_output.place = (struct journal_place){.origin = JOURNAL_AT_OUTPUT, .index = 1};
    return undo_is_standing(u, r->number, &record->place)
               ? undo_output_note(u->output, r->number, data_offset(u, record, at), &of_output, err)
               : ST_OK;
}

/* Beginning with the last one, as they are undone. */
static status_t follow_output(const struct reading *r, struct undo *u, struct error *err)
{
    struct journal_record record;
    status_t st = ST_OK;
    for (size_t i = r->count; st == ST_OK && i > 0; i--) {
        const uint64_t at = r->offs[i - 1];
        uint32_t type, unused;
        size_t len;
        st = read_at(r, u->data, JOURNAL_BEGIN_BYTES, at, err);
        if (st != ST_OK || !journal_get_begin(u->data, &type, &unused) || type == JOURNAL_FILE ||
            (type == JOURNAL_DATA && u->output == NULL)) {
            continue;
        }
        st = read_record(r, at, u->data, &len, err);
        st = st == ST_OK ? decode(r, at, u->data, len, &record, NULL, err) : st;
        if (st == ST_OK) {
            st = type == JOURNAL_DATA ? follow_bytes(r, u, at, &record, err)
                                      : undo_follow(u, r->number, &record, err);
        }
    }
    return st;
}

/* Find all records and check each, with what undo_check says of it. */
static status_t scan(struct reading *r, struct undo *u, struct error *err)
{
    struct journal_record record;
    uint64_t at = JOURNAL_HEAD_BYTES;
    size_t len = 0;
    status_t st = read_record(r, at, u->data, &len, err);
    struct error why = {.offset = at, .code = ST_CORRUPT, .text = "it does not name its folders"};
    if (st == ST_OK && len == 0) {
        return damaged(r->number, &why, err);
    }
    st = st == ST_OK ? decode(r, at, u->data, len, &record, u->guests, err) : st;
    if (st == ST_OK && record.type != JOURNAL_GRANTS) {
        return damaged(r->number, &why, err);
    }
    st = st == ST_OK ? undo_take_grants(u, record.grant_count, err) : st;
    at += len;
    r->begin = at;
    while (st == ST_OK && (st = read_record(r, at, u->data, &len, err)) == ST_OK && len > 0) {
        st = decode(r, at, u->data, len, &record, NULL, err);
        st = st == ST_OK ? undo_check(u, r->number, &record, err) : st;
        if (st == ST_OK && u->output != NULL && record.place.origin == JOURNAL_AT_OUTPUT) {
            st = undo_output_note(u->output, r->number, data_offset(u, &record, at), &record, err);
        }
        st = st == ST_OK ? note(r, at, err) : st;
        at += len;
    }
    if (st == ST_OK && u->standing[0] != '\0') {
        st = follow_output(r, u, err);
    }
    return st == ST_OK && u->output != NULL ? undo_output_end(u->output, r->number, err) : st;
}

/* ---- undoing one ---- */

static status_t cut(struct reading *r, uint64_t at, struct error *err)
{
    if (file_cut(r->fd, at) != 0 || file_sync_data(r->fd) != 0) {
        return error_set_errno(err, errno, "journal of checkpoint %u", r->number);
    }
    r->size = at;
    return ST_OK;
}

/* Bytes may be written again and again, names must not be moved twice: before and behind a name, what was done is
 * on disk and cut off. */
static status_t undo_step(struct reading *r, struct undo *u, size_t index, struct error *err)
{
    struct journal_record record;
    size_t len;
    status_t st = read_record(r, r->offs[index], u->data, &len, err);
    st = st == ST_OK ? decode(r, r->offs[index], u->data, len, &record, NULL, err) : st;
    if (st != ST_OK) {
        return st;
    }
    bool name = record.type != JOURNAL_FILE && record.type != JOURNAL_DATA;
    if (name) {
        st = undo_settle(u, err);
        st = st == ST_OK ? cut(r, r->offs[index] + len, err) : st;
    }
    st = st == ST_OK ? undo_apply(u, r->number, &record, err) : st;
    if (st == ST_OK && name) {
        st = cut(r, r->offs[index], err);
    }
    return st;
}

static status_t undo_journal(int folder_fd, uint32_t number, struct undo *u, uint32_t *ret_follows,
                             struct error *err)
{
    struct reading r = {.fd = -1};
    status_t st = open_journal(folder_fd, number, &r, err);
    *ret_follows = r.head.follows;
    st = st == ST_OK ? scan(&r, u, err) : st;
    for (size_t i = r.count; st == ST_OK && i > 0; i--) {
        st = undo_step(&r, u, i - 1, err);
        u->report.records += st == ST_OK;
    }
    st = st == ST_OK ? undo_settle(u, err) : st;
    st = st == ST_OK ? cut(&r, r.begin, err) : st;
    u->report.journals += st == ST_OK;
    close_journal(&r);
    return st;
}

/* ---- the folder ---- */

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

struct removal {
    int folder_fd;
    uint32_t above; /* files of checkpoints above it */
    const char *suffix;
    uint32_t count;
};

static status_t remove_one(void *arg, const char *name, uint32_t number, const char *suffix,
                           struct error *err)
{
    struct removal *r = arg;
    if (number <= r->above || strcmp(suffix, r->suffix) != 0) {
        return ST_OK;
    }
    if (unlinkat(r->folder_fd, name, 0) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "%s", name);
    }
    r->count++;
    return ST_OK;
}

static status_t remove_above(int folder_fd, uint32_t above, const char *suffix, uint32_t *ret_count,
                             struct error *err)
{
    struct removal r = {folder_fd, above, suffix, 0};
    status_t st = undo_files_each(folder_fd, remove_one, &r, err);
    *ret_count = r.count;
    return st;
}

/* ---- the intent: which checkpoint a restore has begun to go back to ---- */

static const char intent_name[] = "restoring", intent_part[] = ".restoring.part";

/* "NUMBER", or "NUMBER INODE BORN 0 0 0 NAME" with the standard output that comes back. */
enum { INTENT_BYTES = 1024 };

static status_t read_intent(int folder_fd, uint32_t *ret_number, struct journal_output *ret_output,
                            struct error *err)
{
    char text[INTENT_BYTES] = "";
    uint64_t number = 0;
    *ret_number = 0;
    *ret_output = (struct journal_output){0};
    int fd = openat(folder_fd, intent_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ST_OK : error_set_errno(err, errno, "%s", intent_name);
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    size_t len = strlen(text), digits = strcspn(text, " ");
    const char *output = digits < len ? text + digits + 1 : "";
    text[digits] = '\0';
    if (n <= 0 || parse_u64(text, UNDO_NUMBER_MAX, &number) != ST_OK || number == 0 ||
        (digits < len && !journal_output_parse(output, strlen(output), ret_output))) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "%s: not a number", intent_name);
    }
    *ret_number = (uint32_t)number;
    return ST_OK;
}

status_t wasi_undo_begun(int folder_fd, uint32_t *ret_number, struct error *err)
{
    struct journal_output output;
    return read_intent(folder_fd, ret_number, &output, err);
}

/* output: inode 0: none. */
static status_t write_intent(int folder_fd, uint32_t number, const struct journal_output *output,
                             struct error *err)
{
    char text[INTENT_BYTES];
    int len = snprintf(text, sizeof text, "%u", number);
    if (output->inode != 0) {
        len = snprintf(text, sizeof text, "%u %llu %llu 0 0 0 %s", number,
                       (unsigned long long)output->inode, (unsigned long long)output->born_ns,
                       output->name);
    }
    int fd = openat(folder_fd, intent_part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && file_write_all(fd, text, (size_t)len) == 0 && file_sync(fd) == 0 &&
                renameat(folder_fd, intent_part, folder_fd, intent_name) == 0 &&
                file_sync(folder_fd) == 0;
    int errnum = errno;
    if (fd >= 0) {
        close(fd);
    }
    return good ? ST_OK : error_set_errno(err, errnum, "folder of checkpoints");
}

static status_t remove_intent(int folder_fd, struct error *err)
{
    if (file_sync(folder_fd) != 0 ||
        (unlinkat(folder_fd, intent_name, 0) != 0 && errno != ENOENT)) {
        return error_set_errno(err, errno, "%s", intent_name);
    }
    return ST_OK;
}

/* ---- all of it ---- */

/* Where the way back begins. There is a journal for each snapshot, and a newer snapshot has lost its own. */
static status_t check_newest(const struct newest *newest, uint32_t begun, uint32_t number,
                             struct error *err)
{
    if (begun != 0 && number > begun) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "files were on their way back to checkpoint %u: take that one, or an "
                         "earlier one",
                         begun);
    }
    if (newest->journal < number) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "checkpoint %u: its before-images are not there", number);
    }
    if (newest->journal < newest->snapshot) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "checkpoint %u cannot be brought back: the before-images of checkpoint "
                         "%u are not there",
                         number, newest->snapshot);
    }
    return ST_OK;
}

/* From the newest journal back to that of `number`: each has to be there and good. */
static status_t check_chain(int folder_fd, uint32_t newest, uint32_t number, struct undo *u,
                            struct error *err)
{
    status_t st = ST_OK;
    uint32_t at = newest;
    for (bool last = false; st == ST_OK && !last;) {
        struct reading r = {.fd = -1};
        st = open_journal(folder_fd, at, &r, err);
        if (st == ST_OK && r.head.lost[0] != '\0') {
            st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "checkpoint %u cannot be brought back: %.150s", number, r.head.lost);
        }
        if (st == ST_OK && journal_has_left(&r.head)) {
            st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "checkpoint %u cannot be brought back: the program was frozen after it: "
                           "thaw %.150s",
                           number, r.head.leaving_path);
        }
        st = st == ST_OK ? scan(&r, u, err) : st;
        last = at == number;
        uint32_t follows = r.head.follows;
        close_journal(&r);
        if (st == ST_OK && !last && follows < number) {
            st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "checkpoint %u is of an earlier run, or others came between in another "
                           "folder: what changed in files between it "
                           "and checkpoint %u is not known",
                           number, at);
        }
        at = follows;
    }
    return st;
}

static status_t undo_chain(int folder_fd, uint32_t newest, uint32_t number, struct undo *u,
                           struct error *err)
{
    status_t st = ST_OK;
    uint32_t at = newest;
    for (bool last = false; st == ST_OK && !last;) {
        uint32_t follows = 0;
        char name[JOURNAL_NAME_BYTES];
        st = undo_journal(folder_fd, at, u, &follows, err);
        last = at == number;
        journal_name(at, "undo", name);
        if (st == ST_OK && !last && unlinkat(folder_fd, name, 0) != 0) {
            st = error_set_errno(err, errno, "%s", name);
        }
        at = follows;
    }
    return st;
}

/* The newest journal, from which the way to `number` is open. */
static status_t find_way(int folder_fd, uint32_t number, uint32_t *ret_newest, struct error *err)
{
    struct newest found = {0};
    uint32_t begun = 0;
    status_t st = undo_files_each(folder_fd, find_newest, &found, err);
    st = st == ST_OK ? wasi_undo_begun(folder_fd, &begun, err) : st;
    *ret_newest = found.journal;
    return st == ST_OK ? check_newest(&found, begun, number, err) : st;
}

static void find_standing(const struct wasi_config *config, struct undo *u)
{
    struct stat st;
    int fd = config->stdio[1];
    if (config->output_path != NULL) {
        snprintf(u->standing, sizeof u->standing, "%s", config->output_path);
        u->standing_empty = true;
    } else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && path_of_fd(fd, u->standing)) {
        u->standing_empty = st.st_size == 0;
    } else {
        u->standing[0] = '\0';
    }
}

/* Which file it is. One that is still to be made has a name. False: that cannot be told. */
static bool find_output_now(const struct wasi_config *config, struct journal_output *ret_now)
{
    const char *path = config->output_path;
    if (path == NULL) {
        return journal_output_of(config->stdio[1], ret_now);
    }
    *ret_now = (struct journal_output){0};
    snprintf(ret_now->name, sizeof ret_now->name, "%.255s", strrchr(path, '/') + 1);
    return true;
}

status_t wasi_undo_check(const struct wasi_config *config, int folder_fd, uint32_t number,
                         bool *ret_output, struct error *err)
{
    struct undo u;
    struct journal_output begun, now;
    uint32_t newest = 0, begun_number;
    bool output = false;
    status_t st = undo_init(&u, config, folder_fd, err);
    st = st == ST_OK ? read_intent(folder_fd, &begun_number, &begun, err) : st;
    bool known = st == ST_OK && find_output_now(config, &now);
    bool goes_on = known && begun.inode != 0 && journal_output_same(&begun, &now);
    u.standing_good = goes_on;
    if (known) {
        find_standing(config, &u);
    }
    if (st == ST_OK && config->output_named) {
        st = undo_output_new(config->stdio[1], folder_fd, goes_on, &u.output, err);
    }
    st = st == ST_OK ? find_way(folder_fd, number, &newest, err) : st;
    st = st == ST_OK ? check_chain(folder_fd, newest, number, &u, err) : st;
    if (st == ST_OK && u.output != NULL) {
        st = undo_output_decide(u.output, &output, err);
    }
    /* It has been renamed back, and this is a new one by the name that it had. */
    if (st == ST_OK && !output && !goes_on && known && begun.inode != 0 &&
        strcmp(begun.name, now.name) == 0) {
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                       "standard output was on its way back, and has another name now (--output: "
                       "that one, or a new one by another name)");
    }
    *ret_output = st == ST_OK && output;
    undo_output_free(u.output);
    undo_done(&u);
    return st;
}

static status_t restore(struct undo *u, int folder_fd, uint32_t number, struct error *err)
{
    uint32_t newest = 0, begun_number, kept;
    struct journal_output output = {0};
    status_t st = find_way(folder_fd, number, &newest, err);
    st = st == ST_OK ? read_intent(folder_fd, &begun_number, &output, err) : st;
    /* What was on its way back before keeps the name that it was given by, until all of the way is gone. */
    if (u->output_returns && !journal_output_same(&output, &u->output_now)) {
        output = u->output_now;
    }
    st = st == ST_OK ? write_intent(folder_fd, number, &output, err) : st;
    st = st == ST_OK ? remove_above(folder_fd, number, "snap", &u->report.removed, err) : st;
    st = st == ST_OK ? undo_chain(folder_fd, newest, number, u, err) : st;
    st = st == ST_OK ? remove_above(folder_fd, number - 1, "kept", &kept, err) : st;
    return st == ST_OK ? remove_intent(folder_fd, err) : st;
}

status_t wasi_undo_restore(const struct wasi_config *config, int folder_fd, uint32_t number,
                           bool output, struct wasi_undo_report *ret_report, struct error *err)
{
    struct undo u;
    status_t st = undo_init(&u, config, folder_fd, err);
    u.output_returns = output;
    if (!journal_output_of(config->stdio[1], &u.output_now)) {
        u.output_now = (struct journal_output){0};
    }
    st = st == ST_OK ? restore(&u, folder_fd, number, err) : st;
    if (st == ST_OK) {
        *ret_report = u.report;
    }
    undo_done(&u);
    return st;
}

status_t wasi_undo_disown(int folder_fd, const char *why, struct error *err)
{
    struct newest found = {0};
    struct reading r = {.fd = -1};
    status_t st = undo_files_each(folder_fd, find_newest, &found, err);
    const uint32_t newest = found.journal;
    if (st != ST_OK || newest == 0) {
        return st;
    }
    st = open_journal(folder_fd, newest, &r, err);
    if (st == ST_INVAL) { /* it is refused as it is */
        close_journal(&r);
        return ST_OK;
    }
    size_t len = strnlen(why, JOURNAL_LOST_MAX);
    if (st == ST_OK &&
        (file_write_all_at(r.fd, why, len, JOURNAL_LOST_OFF) != 0 || file_sync_data(r.fd) != 0)) {
        st = error_set_errno(err, errno, "journal of checkpoint %u", newest);
    }
    close_journal(&r);
    return st;
}
