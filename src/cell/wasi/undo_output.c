#include "undo_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "sys/files.h"

/* Whether a file is the output is told by what that ended with at a checkpoint: these bytes as they are now, with what
 * journals have of them laid over, the newest first. So it does not matter how much of the way back has been gone, nor
 * that the program has changed them. What journals have is so in any file: of a copy, which nothing else tells from
 * a foreign one, a part has to be as it was by itself. */

/* Bytes of the output that a journal has. */
struct piece {
    uint32_t journal;
    uint64_t at; /* in that */
    uint64_t off, len;
};

struct undo_output {
    int fd, read_fd, folder_fd; /* fd and folder_fd: borrowed */
    struct journal_output now;
    uint64_t size_now;
    uint64_t size; /* that it has when the journals told so far are undone */
    struct piece *pieces;
    size_t count, cap;
    size_t first; /* piece of this journal */
    bool has_file, has_text;
    struct journal_output then; /* of this journal */
    uint64_t then_size;
    struct journal_output known; /* the newest one that it is */
    bool begun;                  /* it was on its way back already */
    uint32_t ours, alike, changed;
};

status_t undo_output_new(int fd, int folder_fd, bool begun, struct undo_output **ret_output,
                         struct error *err)
{
    char link[64];
    struct stat st;
    struct undo_output *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    *o = (struct undo_output){.fd = fd, .folder_fd = folder_fd, .begun = begun};
    o->read_fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fstat(fd, &st) == 0) {
        o->size = o->size_now = (uint64_t)st.st_size;
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

/* Bytes of the file from `from` on. */
struct part {
    uint64_t from;
    size_t len;
    uint8_t now[JOURNAL_TAIL_MAX], then[JOURNAL_TAIL_MAX];
    bool told[JOURNAL_TAIL_MAX]; /* a journal has it */
};

/* What the piece has of them. */
static bool lay_over(const struct undo_output *o, const struct piece *p, struct part *part)
{
    char name[JOURNAL_NAME_BYTES];
    uint64_t begin = p->off > part->from ? p->off : part->from;
    uint64_t end = p->off + p->len < part->from + part->len ? p->off + p->len
                                                            : part->from + part->len;
    if (begin >= end) {
        return true;
    }
    journal_name(p->journal, "undo", name);
    int fd = openat(o->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool good = fd >= 0 && read_exactly(fd, part->then + (begin - part->from),
                                        (size_t)(end - begin), p->at + (begin - p->off));
    if (fd >= 0) {
        close(fd);
    }
    memset(part->told + (begin - part->from), 1, (size_t)(end - begin));
    return good;
}

static bool read_part(const struct undo_output *o, uint64_t from, uint64_t len,
                      struct part *ret_part)
{
    *ret_part = (struct part){.from = from, .len = (size_t)len};
    uint64_t there = o->size_now <= from ? 0 : o->size_now - from;
    there = there < len ? there : len;
    bool good = there == 0 || read_exactly(o->read_fd, ret_part->now, (size_t)there, from);
    memcpy(ret_part->then, ret_part->now, sizeof ret_part->then);
    for (size_t i = 0; i < o->count && good; i++) {
        good = lay_over(o, &o->pieces[i], ret_part);
    }
    return good;
}

/* Half of them, without a gap. */
static bool is_much_as_it_was(const struct part *p)
{
    size_t run = 0, longest = 0;
    for (size_t i = 0; i < p->len; i++) {
        run = p->told[i] && p->now[i] == p->then[i] ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest > 0 && longest >= p->len / 2;
}

/* Did it end so at this journal's checkpoint? by_itself: without the help of journals, too. */
static bool ended_so(const struct undo_output *o, bool by_itself)
{
    struct part p;
    uint64_t end = o->then.from + o->then.len;
    if (!read_part(o, o->then.from, o->then.len, &p) || hash_xxh3(p.then, p.len) != o->then.sum) {
        return false;
    }
    if (!by_itself) {
        return true;
    }
    if (o->size_now >= end) {
        memset(p.told, 1, sizeof p.told); /* by the sum */
        return is_much_as_it_was(&p);
    }
    uint64_t len = o->size_now < o->then.len ? o->size_now : o->then.len;
    return read_part(o, o->size_now - len, len, &p) && is_much_as_it_was(&p);
}

enum likeness {
    LIKE_NONE, /* another file, which the output went to, or goes to now */
    LIKE_NAME, /* only the name is that of the output, or of a copy's journal before */
    LIKE_FILE, /* the file of the output, with other bytes */
    LIKE_ALL,
};

static enum likeness likeness(const struct undo_output *o)
{
    if (!o->has_text) {
        return LIKE_ALL;
    }
    bool same = journal_output_same(&o->then, &o->now);
    bool named = strcmp(o->then.name, o->now.name) == 0;
    bool known = o->ours > 0 && journal_output_same(&o->then, &o->known);
    if (!same && !named) {
        return known ? LIKE_NAME : LIKE_NONE;
    }
    bool told = same || known || o->begun;
    if (o->then.len == 0 || o->read_fd < 0 ? told : ended_so(o, !told)) {
        return LIKE_ALL;
    }
    return same ? LIKE_FILE : LIKE_NAME;
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
    enum likeness like = o->has_file ? likeness(o) : LIKE_NONE;
    status_t st = ST_OK;
    if ((like == LIKE_ALL || like == LIKE_FILE) && covered(o) < o->then_size) {
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                       "checkpoint %u: standard output was cut to %llu bytes since, and had "
                       "%llu (--output: a copy of it, or a new one)",
                       number, (unsigned long long)o->size, (unsigned long long)o->then_size);
    }
    if (like == LIKE_ALL) {
        o->size = o->then_size;
        o->known = o->ours++ == 0 || o->has_text ? o->then : o->known;
    } else if (o->has_file) {
        o->count = o->first; /* bytes of another file */
    }
    o->alike += like == LIKE_NAME;
    o->changed += like == LIKE_FILE;
    o->first = o->count;
    o->has_file = false;
    return st;
}

status_t undo_output_decide(const struct undo_output *o, bool *ret_ours, struct error *err)
{
    bool is_new = o->size_now == 0 && o->ours == 0;
    if (o->changed > 0) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "standard output has other bytes than the program wrote (--output: a "
                         "copy of what it wrote, or a new one)");
    }
    if (o->alike > 0 && !is_new) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "standard output is neither the file that it went to nor a copy "
                         "(--output: one of these, or a new one)");
    }
    *ret_ours = o->ours > 0;
    return ST_OK;
}

bool undo_output_is_alike(const struct journal_output *now, const char *text, size_t len)
{
    struct journal_output then;
    return !journal_output_parse(text, len, &then) || now->inode == 0 ||
           journal_output_same(&then, now) || strcmp(then.name, now->name) == 0;
}
