/* Paths of source files: joined, made UTF-8, and each kept once for all units. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "dwarf.h"
#include "utf8.h"

enum { PROBES_MAX = 64, PATH_PARTS_MAX = 3 };

struct path {
    char bytes[PATH_PARTS_MAX * (DWARF_PATH_BYTES_MAX + 1)];
    uint32_t len;
};

static bool is_absolute(const struct dwarf_entry *e)
{
    return e->name_len > 0 && e->name[0] == '/';
}

static void path_add(struct path *p, const struct dwarf_entry *e)
{
    if (e->name_len == 0 || (e->name_len == 1 && e->name[0] == '.'))
        return;
    if (p->len > 0 && p->bytes[p->len - 1] != '/')
        p->bytes[p->len++] = '/';
    memcpy(p->bytes + p->len, e->name, e->name_len);
    p->len += e->name_len;
}

static void path_join(const struct dwarf_unit *u, const struct dwarf_entry *file, struct path *p)
{
    p->len = 0;
    if (!is_absolute(file) && file->dir < u->dirs.count) {
        const struct dwarf_entry *dir = &u->dirs.items[file->dir];

        if (!is_absolute(dir) && file->dir != 0)
            path_add(p, &u->dirs.items[0]);
        path_add(p, dir);
    }
    path_add(p, file);
    if (utf8_valid((const uint8_t *)p->bytes, p->len))
        return;
    for (uint32_t i = 0; i < p->len; i++) {
        if ((uint8_t)p->bytes[i] >= 0x80)
            p->bytes[i] = '?';
    }
}

static uint32_t slot_of(const struct dwarf_lines *d, uint64_t hash, uint32_t probe)
{
    return ((uint32_t)hash + probe) & (d->file_slot_count - 1);
}

/* A file that found no slot is not found again: a doublet costs less than a provoked long search. */
static void slot_take(struct dwarf_lines *d, uint32_t file)
{
    uint64_t hash = hash_xxh3(d->files[file].bytes, d->files[file].len);

    for (uint32_t probe = 0; probe < PROBES_MAX && probe < d->file_slot_count; probe++) {
        uint32_t s = slot_of(d, hash, probe);

        if (d->file_slots[s] == 0) {
            d->file_slots[s] = file + 1;
            return;
        }
    }
}

static bool slot_find(const struct dwarf_lines *d, const struct path *p, uint32_t *ret_file)
{
    uint64_t hash = hash_xxh3(p->bytes, p->len);

    for (uint32_t probe = 0; probe < PROBES_MAX && probe < d->file_slot_count; probe++) {
        uint32_t file = d->file_slots[slot_of(d, hash, probe)];

        if (file == 0)
            return false;
        const struct name *n = &d->files[file - 1];
        if (n->len == p->len && memcmp(n->bytes, p->bytes, p->len) == 0) {
            *ret_file = file - 1;
            return true;
        }
    }
    return false;
}

/* Room for one more file, in a hash table that is at most half full. */
static status_t grow_files(struct dwarf_lines *d)
{
    uint32_t cap = d->file_cap == 0 ? 64 : d->file_cap * 2;

    if (d->file_count < d->file_cap)
        return ST_OK;
    if (cap > DWARF_FILES_MAX)
        return ST_LIMIT;
    struct name *files = realloc(d->files, cap * sizeof(*files));
    if (!files)
        return ST_NOMEM;
    d->files = files;
    uint32_t *slots = calloc(2 * (size_t)cap, sizeof(*slots));
    if (!slots)
        return ST_NOMEM;
    free(d->file_slots);
    d->file_slots = slots;
    d->file_slot_count = 2 * cap;
    d->file_cap = cap;
    for (uint32_t i = 0; i < d->file_count; i++)
        slot_take(d, i);
    return ST_OK;
}

static status_t add_file(struct dwarf_lines *d, const struct path *p, uint32_t *ret_file)
{
    status_t st = grow_files(d);

    if (st != ST_OK)
        return st;
    d->path_bytes += p->len + 1;
    if (d->path_bytes > DWARF_PATHS_SUM_BYTES_MAX)
        return ST_LIMIT;
    const char *bytes = arena_strndup(d->arena, p->bytes, p->len);
    if (!bytes)
        return ST_NOMEM;
    d->files[d->file_count] = (struct name){bytes, p->len};
    slot_take(d, d->file_count);
    *ret_file = d->file_count++;
    return ST_OK;
}

status_t dwarf_file_find(struct dwarf_lines *d, uint64_t number, uint32_t *ret_file)
{
    if (number >= d->unit.files.count)
        return ST_NOTFOUND;
    struct dwarf_entry *e = &d->unit.files.items[number];
    if (e->file == 0) {
        struct path p;
        uint32_t file = 0;

        if (e->name_len == 0)
            return ST_NOTFOUND;
        path_join(&d->unit, e, &p);
        if (!slot_find(d, &p, &file)) {
            status_t st = add_file(d, &p, &file);
            if (st != ST_OK)
                return st;
        }
        e->file = file + 1;
    }
    *ret_file = e->file - 1;
    return ST_OK;
}
