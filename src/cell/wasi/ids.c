#include "ids.h"

#include <stdlib.h>
#include <string.h>

/* ---- looking up ---- */

static int compare(struct ids_key a, struct ids_key b)
{
    if (a.dev != b.dev) {
        return a.dev < b.dev ? -1 : 1;
    }
    return a.ino == b.ino ? 0 : a.ino < b.ino ? -1 : 1;
}

static bool same(struct ids_key a, struct ids_key b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

static int by_host_key(const void *key, const void *file)
{
    return compare(*(const struct ids_key *)key, ((const struct ids_file *)file)->host);
}

static int by_guest_key(const void *key, const void *file)
{
    return compare(*(const struct ids_key *)key, ((const struct ids_file *)file)->guest);
}

static const struct ids_file *find(const struct ids *ids, const struct ids_file *files,
                                   struct ids_key key, int (*order)(const void *, const void *))
{
    return ids->file_count == 0 ? NULL
                                : bsearch(&key, files, ids->file_count, sizeof(*files), order);
}

const struct ids_device *ids_device(const struct ids *ids, uint64_t host)
{
    for (uint32_t i = 0; i < ids->device_count; i++) {
        if (ids->devices[i].host == host) {
            return &ids->devices[i];
        }
    }
    return NULL;
}

struct ids_key ids_plain(const struct ids *ids, struct ids_key host)
{
    const struct ids_device *d = ids_device(ids, host.dev);
    if (d == NULL) {
        return (struct ids_key){host.dev ^ (uint64_t)ids->serial << IDS_SERIAL_SHIFT, host.ino};
    }
    return (struct ids_key){d->guest, host.ino ^ (uint64_t)d->tag << IDS_TAG_SHIFT};
}

/* The table is one to one, and so is ids_plain. Where the plain numbers of a file are those that the table gives to
 * another one, it gets the plain numbers of that one: so no number stands for two files. */
struct ids_key ids_shown(const struct ids *ids, struct ids_key host)
{
    const struct ids_file *f = find(ids, ids->by_host, host, by_host_key);
    if (f != NULL) {
        return f->guest;
    }
    struct ids_key guest = ids_plain(ids, host);
    for (uint32_t i = 0; i < ids->file_count; i++) {
        f = find(ids, ids->by_guest, guest, by_guest_key);
        if (f == NULL) {
            break;
        }
        guest = ids_plain(ids, f->host);
    }
    return guest;
}

/* ---- filling ---- */

/* Room for one more; false: no memory. */
static bool grow(void **items, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap) {
        return true;
    }
    uint32_t room = *cap == 0 ? 8 : *cap * 2;
    void *larger = realloc(*items, room * size);
    if (larger == NULL) {
        return false;
    }
    *items = larger;
    *cap = room;
    return true;
}

bool ids_add_device(struct ids *ids, uint64_t host, uint64_t guest, uint32_t tag)
{
    if (ids_device(ids, host) != NULL) {
        return true;
    }
    void *devices = ids->devices;
    bool ok = grow(&devices, ids->device_count, &ids->device_cap, sizeof(*ids->devices));
    ids->devices = devices;
    if (ok) {
        ids->devices[ids->device_count++] = (struct ids_device){host, guest, tag};
    }
    return ok;
}

static bool add_file(struct ids *ids, struct ids_key host, struct ids_key guest, uint32_t rank)
{
    if (ids->file_count == IDS_FILES_MAX) {
        return true;
    }
    void *files = ids->by_guest;
    bool ok = grow(&files, ids->file_count, &ids->file_cap, sizeof(*ids->by_guest));
    ids->by_guest = files;
    if (ok) {
        ids->by_guest[ids->file_count] = (struct ids_file){host, guest, rank + ids->file_count};
        ids->file_count++;
    }
    return ok;
}

bool ids_add_file(struct ids *ids, struct ids_key host, struct ids_key guest)
{
    return add_file(ids, host, guest, 0);
}

bool ids_add_weak(struct ids *ids, struct ids_key host, struct ids_key guest)
{
    return add_file(ids, host, guest, IDS_FILES_MAX);
}

/* ---- sealing ---- */

static int by_rank(const struct ids_file *a, const struct ids_file *b)
{
    return a->rank == b->rank ? 0 : a->rank < b->rank ? -1 : 1;
}

static int order_by_host(const void *a, const void *b)
{
    int order = compare(((const struct ids_file *)a)->host, ((const struct ids_file *)b)->host);
    return order != 0 ? order : by_rank(a, b);
}

static int order_by_guest(const void *a, const void *b)
{
    int order = compare(((const struct ids_file *)a)->guest, ((const struct ids_file *)b)->guest);
    return order != 0 ? order : by_rank(a, b);
}

/* Of files with the same number on one side, which stand together, the first. */
static void keep_first(struct ids *ids, bool host)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ids->file_count; i++) {
        const struct ids_file *f = &ids->by_guest[i];
        const struct ids_file *last = kept == 0 ? NULL : &ids->by_guest[kept - 1];
        if (last == NULL || !(host ? same(last->host, f->host) : same(last->guest, f->guest))) {
            ids->by_guest[kept++] = *f;
        }
    }
    ids->file_count = kept;
}

static void drop_plain(struct ids *ids)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ids->file_count; i++) {
        const struct ids_file *f = &ids->by_guest[i];
        if (!same(f->guest, ids_plain(ids, f->host))) {
            ids->by_guest[kept++] = *f;
        }
    }
    ids->file_count = kept;
}

bool ids_seal(struct ids *ids)
{
    if (ids->file_count == 0) {
        return true;
    }
    qsort(ids->by_guest, ids->file_count, sizeof(*ids->by_guest), order_by_host);
    keep_first(ids, true);
    qsort(ids->by_guest, ids->file_count, sizeof(*ids->by_guest), order_by_guest);
    keep_first(ids, false);
    drop_plain(ids);
    if (ids->file_count == 0) {
        return true;
    }
    ids->by_host = malloc(ids->file_count * sizeof(*ids->by_host));
    if (ids->by_host == NULL) {
        return false;
    }
    memcpy(ids->by_host, ids->by_guest, ids->file_count * sizeof(*ids->by_host));
    qsort(ids->by_host, ids->file_count, sizeof(*ids->by_host), order_by_host);
    return true;
}

void ids_done(struct ids *ids)
{
    free(ids->devices);
    free(ids->by_guest);
    free(ids->by_host);
    *ids = (struct ids){0};
}
