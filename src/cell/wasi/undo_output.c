#include "undo_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "sys/files.h"

/* Whether a file is a copy is told by what it ended with at a checkpoint: these bytes as they are now, with what
 * journals have of them laid over, the newest first. So it does not matter how much of the way back has been gone, nor
 * that the program has changed them. */

/* Bytes of the output that a journal has. */
struct piece {
    uint32_t journal;
    uint64_t at; /* in that */
    uint64_t off, len;
};

struct undo_output {
    int fd, read_fd, folder_fd; /* fd and folder_fd: borrowed */
    struct journal_output now;
    uint64_t size; /* that it has when the journals told so far are undone */
    struct piece *pieces;
    size_t count, cap;
    size_t first; /* piece of this journal */
    bool has_file, has_text;
    struct journal_output then; /* of this journal */
    uint64_t then_size;
    struct journal_output known; /* the newest one that it is */
    uint32_t ours, alike;
};

status_t undo_output_new(int fd, int folder_fd, struct undo_output **ret_output, struct error *err)
{
    char link[64];
    struct stat st;
    struct undo_output *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    *o = (struct undo_output){.fd = fd, .folder_fd = folder_fd};
    o->read_fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fstat(fd, &st) == 0) {
        o->size = (uint64_t)st.st_size;
    }
    if (!journal_output_of(fd, &o->now)) {
        o->now = (struct journal_output){0};
    }
    *ret_output = o;
    return ST_OK;
}

void undo_output_free(struct undo_output *o)
{
    if (o == NULL) {
        return;
    }
    if (o->read_fd >= 0) {
        close(o->read_fd);
    }
    free(o->pieces);
    free(o);
}

status_t undo_output_note(struct undo_output *o, uint32_t number, uint64_t data_at,
                          const struct journal_record *r, struct error *err)
{
    if (r->place.index != 1) {
        return ST_OK;
    }
    if (r->type == JOURNAL_FILE) {
        o->has_file = true;
        o->then_size = r->size;
        o->has_text = journal_output_parse(r->place.path, r->place.path_len, &o->then);
    }
    if (r->type != JOURNAL_DATA) {
        return ST_OK;
    }
    if (o->count == o->cap) {
        size_t cap = o->cap == 0 ? 64 : 2 * o->cap;
        struct piece *pieces = realloc(o->pieces, cap * sizeof *pieces);
        if (pieces == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a journal");
        }
        o->pieces = pieces;
        o->cap = cap;
    }
    o->pieces[o->count++] = (struct piece){number, data_at, r->offset, r->data_len};
    return ST_OK;
}

static bool read_exactly(int fd, uint8_t *data, size_t len, uint64_t at)
{
    return lseek(fd, (off_t)at, SEEK_SET) >= 0 && file_read_all(fd, data, len) == 0;
}

/* What the piece has of [from, from + len). */
static bool lay_over(const struct undo_output *o, const struct piece *p, uint64_t from, size_t len,
                     uint8_t *tail)
{
    char name[JOURNAL_NAME_BYTES];
    uint64_t begin = p->off > from ? p->off : from;
    uint64_t end = p->off + p->len < from + len ? p->off + p->len : from + len;
    if (begin >= end) {
        return true;
    }
    journal_name(p->journal, "undo", name);
    int fd = openat(o->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 && read_exactly(fd, tail + (begin - from), (size_t)(end - begin),
                                        p->at + (begin - p->off));
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* Did it end so at this journal's checkpoint? */
static bool ended_so(const struct undo_output *o)
{
    uint8_t tail[JOURNAL_TAIL_MAX] = {0};
    struct stat st;
    uint64_t from = o->then.from, len = o->then.len;
    if (len == 0 || o->read_fd < 0 || fstat(o->read_fd, &st) != 0) {
        return false;
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t there = size <= from ? 0 : size - from < len ? size - from : len;
    bool good = there == 0 || read_exactly(o->read_fd, tail, (size_t)there, from);
    for (size_t i = 0; i < o->count && good; i++) {
        good = lay_over(o, &o->pieces[i], from, (size_t)len, tail);
    }
    return good && hash_xxh3(tail, (size_t)len) == o->then.sum;
}

static bool is_ours(const struct undo_output *o)
{
    return !o->has_text || journal_output_same(&o->then, &o->now) ||
           (o->ours > 0 && journal_output_same(&o->then, &o->known)) ||
           (strcmp(o->then.name, o->now.name) == 0 && ended_so(o));
}

/* Where bytes end that it has, or this journal has, from its present end on without a gap. */
static uint64_t covered(const struct undo_output *o)
{
    uint64_t end = o->size;
    for (bool more = true; more && end < o->then_size;) {
        more = false;
        for (size_t i = o->first; i < o->count && !more; i++) {
            const struct piece *p = &o->pieces[i];
            if (p->off <= end && p->off + p->len > end) {
                end = p->off + p->len;
                more = true;
            }
        }
    }
    return end;
}

status_t undo_output_end(struct undo_output *o, uint32_t number, struct error *err)
{
    status_t st = ST_OK;
    if (o->has_file && is_ours(o)) {
        uint64_t end = covered(o);
        if (end < o->then_size) {
            st = error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                           "checkpoint %u: standard output was cut to %llu bytes since, and had "
                           "%llu (--output: a copy of it, or a new one)",
                           number, (unsigned long long)o->size, (unsigned long long)o->then_size);
        }
        o->size = o->then_size;
        o->known = o->ours++ == 0 || o->has_text ? o->then : o->known;
    } else if (o->has_file && strcmp(o->then.name, o->now.name) == 0) {
        o->alike++;
    }
    o->first = o->count;
    o->has_file = false;
    return st;
}

status_t undo_output_decide(const struct undo_output *o, bool *ret_ours, struct error *err)
{
    struct stat st;
    bool is_new = fstat(o->fd, &st) == 0 && st.st_size == 0 && o->ours == 0;
    if (o->alike > 0 && !is_new) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "standard output is neither the file that it went to nor a copy "
                         "(--output: one of these, or a new one)");
    }
    *ret_ours = o->ours > 0;
    return ST_OK;
}

bool undo_output_is_alike(int fd, const char *text, size_t len)
{
    struct journal_output then, now;
    return !journal_output_parse(text, len, &then) || !journal_output_of(fd, &now) ||
           journal_output_same(&then, &now) || strcmp(then.name, now.name) == 0;
}
