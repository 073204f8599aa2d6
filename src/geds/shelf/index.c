#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/parse.h"
#include "impl.h"

int name_compare(const struct shelf_name *a, const struct shelf_name *b)
{
    return a->extent != b->extent ? (a->extent > b->extent) - (a->extent < b->extent)
                                  : (a->nonce > b->nonce) - (a->nonce < b->nonce);
}

size_t index_at(const struct shelf *s, const struct shelf_name *name)
{
    size_t from = 0, to = s->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (name_compare(&s->copies[middle].name, name) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

const struct shelf_copy *index_find(const struct shelf *s, const struct shelf_name *name)
{
    size_t at = index_at(s, name);
    return at < s->count && name_compare(&s->copies[at].name, name) == 0 ? &s->copies[at] : NULL;
}

status_t index_add(struct shelf *s, const struct shelf_copy *copy, struct error *err)
{
    if (s->count == s->cap) {
        size_t cap = s->cap != 0 ? 2 * s->cap : 256;
        struct shelf_copy *grown = realloc(s->copies, cap * sizeof *grown);
        if (grown == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        }
        s->copies = grown;
        s->cap = cap;
    }
    size_t at = index_at(s, &copy->name);
    memmove(s->copies + at + 1, s->copies + at, (s->count - at) * sizeof *s->copies);
    s->copies[at] = *copy;
    s->count++;
    s->bytes += file_bytes(copy->bytes);
    return ST_OK;
}

bool index_take(struct shelf *s, const struct shelf_name *name)
{
    const struct shelf_copy *copy = index_find(s, name);
    if (copy == NULL) {
        return false;
    }
    size_t at = (size_t)(copy - s->copies);
    s->bytes -= file_bytes(copy->bytes);
    s->count--;
    memmove(s->copies + at, s->copies + at + 1, (s->count - at) * sizeof *s->copies);
    return true;
}

static uint64_t left_of_limit(const struct shelf *s)
{
    uint64_t taken = s->bytes + s->promised;
    return taken < s->o.limit_bytes ? s->o.limit_bytes - taken : 0;
}

static uint64_t left_on_disk(const struct shelf *s)
{
    struct statvfs fs;
    if (fstatvfs(s->fd, &fs) != 0) {
        return UINT64_MAX; /* the write finds out */
    }
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    return left > s->o.spare_bytes ? left - s->o.spare_bytes : 0;
}

status_t index_check_room(struct shelf *s, uint64_t file, struct error *err)
{
    return file <= left_of_limit(s) && file <= left_on_disk(s)
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "no room for %llu bytes more",
                           (unsigned long long)file);
}

void shelf_usage(struct shelf *s, struct shelf_usage *ret_usage)
{
    pthread_mutex_lock(&s->lock);
    uint64_t disk = left_on_disk(s), limit = left_of_limit(s);
    *ret_usage = (struct shelf_usage){.copies = s->count,
                                      .bytes = s->bytes,
                                      .limit_bytes = s->o.limit_bytes,
                                      .free_bytes = limit < disk ? limit : disk,
                                      .bad = s->bad};
    pthread_mutex_unlock(&s->lock);
}

size_t shelf_list(struct shelf *s, const struct shelf_name *after, size_t max,
                  struct shelf_copy *ret_list)
{
    pthread_mutex_lock(&s->lock);
    size_t at = index_at(s, after);
    if (at < s->count && name_compare(&s->copies[at].name, after) == 0) {
        at++;
    }
    size_t count = s->count - at < max ? s->count - at : max;
    if (count > 0) {
        memcpy(ret_list, s->copies + at, count * sizeof *ret_list);
    }
    pthread_mutex_unlock(&s->lock);
    return count;
}

void new_name_text(const struct shelf_name *name, char ret_text[NAME_BYTES])
{
    snprintf(ret_text, NAME_BYTES, "%016llx-%016llx", (unsigned long long)name->extent,
             (unsigned long long)name->nonce);
}

void name_text(const struct shelf_name *name, char ret_text[NAME_BYTES])
{
    snprintf(ret_text, NAME_BYTES, "%02x/%016llx-%016llx", (unsigned)(name->extent & 0xff),
             (unsigned long long)name->extent, (unsigned long long)name->nonce);
}

bool name_parse(const char *text, struct shelf_name *ret_name)
{
    char digits[17];
    if (strlen(text) != 33 || text[16] != '-') {
        return false;
    }
    memcpy(digits, text, 16);
    digits[16] = '\0';
    return parse_hex(digits, INT64_MAX, &ret_name->extent) == ST_OK &&
           parse_hex(text + 17, INT64_MAX, &ret_name->nonce) == ST_OK;
}
