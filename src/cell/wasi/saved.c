#include "saved.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "state.h"

/* ---- what several parts are made of ---- */

void saved_put_text(struct buf *out, const char *text, size_t len)
{
    buf_le32(out, (uint32_t)len);
    buf_bytes(out, text, len);
}

const char *saved_take_text(struct cursor *c, size_t len_max, const char *too_long, size_t *ret_len)
{
    size_t len = cursor_le32(c);
    if (len > len_max) {
        cursor_fail(c, too_long);
    }
    const uint8_t *text = cursor_bytes(c, len);
    if (text != NULL && memchr(text, 0, len) != NULL) {
        cursor_fail(c, "a text with a NUL inside");
    }
    *ret_len = c->failed ? 0 : len;
    return c->failed ? NULL : (const char *)text;
}

uint32_t saved_take_count(struct cursor *c, uint32_t max, size_t bytes_min, const char *too_many)
{
    uint32_t count = cursor_le32(c);
    if (count > max || count > cursor_left(c) / bytes_min) {
        cursor_fail(c, too_many);
    }
    return c->failed ? 0 : count;
}

uint64_t saved_take_i63(struct cursor *c, const char *too_large)
{
    uint64_t v = cursor_le64(c);
    if (v > INT64_MAX) {
        cursor_fail(c, too_large);
    }
    return c->failed ? 0 : v;
}

/* ---- half-read directories ---- */

void saved_put_list(struct buf *out, const struct dirlist *l)
{
    static const struct dirlist none;
    l = l == NULL ? &none : l;
    buf_le32(out, l->count);
    for (uint32_t i = 0; i < l->count; i++) {
        const char *name = dirlist_name(l, i);
        buf_le64(out, l->entries[i].next);
        buf_le64(out, l->entries[i].ino);
        saved_put_text(out, name, strlen(name));
    }
    buf_le32(out, l->mark_count);
    for (uint32_t i = 0; i < l->mark_count; i++) {
        buf_le64(out, l->marks[i].cookie);
        buf_le32(out, l->marks[i].index);
    }
}

/* An entry's name is looked up in the directory: it must not lead elsewhere. */
static void check_entry_name(struct cursor *c, const char *name, size_t len)
{
    if (!c->failed && (len == 0 || memchr(name, '/', len) != NULL)) {
        cursor_fail(c, "the name of a directory's entry is none");
    }
}

static void take_marks(struct cursor *c, struct dirlist *l)
{
    uint32_t count = saved_take_count(c, DIRLIST_MARKS, 12, "too many places in a directory");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t cookie = saved_take_i63(c, "a cookie too large");
        uint32_t index = cursor_le32(c);
        if (index > l->count) {
            cursor_fail(c, "a place behind the end of a directory");
        }
        l->marks[l->mark_count++] = (struct dirlist_mark){cookie, index};
    }
}

bool saved_take_list(struct cursor *c, uint32_t version, struct dirlist *l)
{
    uint32_t count = saved_take_count(c, DIRLIST_ENTRIES_MAX, 12,
                                      "too many entries of a directory");
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        uint64_t next = saved_take_i63(c, "a cookie too large");
        uint64_t ino = version >= SAVED_VERSION_IDS ? cursor_le64(c) : 0;
        const char *name = saved_take_text(c, WASI_NAME_BYTES_MAX, "too long a name", &len);
        check_entry_name(c, name, len);
        if (c->failed) {
            return true;
        }
        if (!dirlist_add(l, next, ino, name, len)) {
            return false;
        }
    }
    take_marks(c, l);
    return true;
}

/* ---- device and inode numbers ---- */

void saved_put_key(struct buf *out, struct ids_key key)
{
    buf_le64(out, key.dev);
    buf_le64(out, key.ino);
}

struct ids_key saved_take_key(struct cursor *c)
{
    uint64_t dev = cursor_le64(c);
    return (struct ids_key){dev, cursor_le64(c)};
}

void saved_put_root(struct buf *out, const struct saved_root *root)
{
    saved_put_key(out, root->host);
    buf_le64(out, root->birth_ns);
}

struct saved_root saved_take_root(struct cursor *c)
{
    struct ids_key host = saved_take_key(c);
    return (struct saved_root){host, cursor_le64(c)};
}

void saved_put_ids(struct buf *out, const struct ids *ids)
{
    buf_le32(out, ids->serial);
    buf_le32(out, ids->device_count);
    for (uint32_t i = 0; i < ids->device_count; i++) {
        buf_le64(out, ids->devices[i].host);
        buf_le64(out, ids->devices[i].guest);
        buf_le32(out, ids->devices[i].tag);
    }
    buf_le32(out, ids->file_count);
    for (uint32_t i = 0; i < ids->file_count; i++) {
        saved_put_key(out, ids->by_host[i].host);
        saved_put_key(out, ids->by_host[i].guest);
    }
}

static bool take_devices(struct cursor *c, struct ids *ids)
{
    uint32_t count = saved_take_count(c, WASI_GRANTS_MAX, 20, "too many devices");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t host = cursor_le64(c);
        uint64_t guest = cursor_le64(c);
        uint32_t tag = cursor_le32(c);
        if (tag > ids->serial) {
            cursor_fail(c, "an unknown tag of inode numbers");
        }
        if (!ids_add_device(ids, host, guest, tag)) {
            return false;
        }
    }
    return true;
}

bool saved_take_ids(struct cursor *c, struct ids *ids)
{
    ids->serial = cursor_le32(c);
    if (ids->serial > IDS_SERIAL_MAX) {
        cursor_fail(c, "too many moves");
    }
    if (!take_devices(c, ids)) {
        return false;
    }
    uint32_t count = saved_take_count(c, IDS_FILES_MAX, 32, "too many inode numbers");
    for (uint32_t i = 0; i < count; i++) {
        struct ids_key host = saved_take_key(c);
        if (!ids_add_file(ids, host, saved_take_key(c))) {
            return false;
        }
    }
    return ids_seal(ids);
}

/* ---- folders that moved ---- */

struct saved_root saved_root_of(const struct wasi_grant *g)
{
    const char *host_path = g->host_path;
    struct saved_root root = {0};
    struct stat st;
    struct statx more;
    if (g->bucket != NULL || stat(host_path, &st) != 0) {
        return root;
    }
    root.host = (struct ids_key){st.st_dev, st.st_ino};
    if (statx(AT_FDCWD, host_path, 0, STATX_BTIME, &more) == 0 &&
        (more.stx_mask & STATX_BTIME) != 0) {
        root.birth_ns = (uint64_t)more.stx_btime.tv_sec * UINT64_C(1000000000) +
                        more.stx_btime.tv_nsec;
    }
    return root;
}

enum { PLACE_BYTES_MAX = WASI_KEY_BYTES_MAX + WASI_BUCKET_NAME_BYTES_MAX + 16 };

void saved_put_place(struct buf *out, const struct wasi_grant *g)
{
    buf_u8(out, g->bucket != NULL ? 1 : 0);
    if (g->bucket != NULL) {
        saved_put_text(out, g->bucket->place, strlen(g->bucket->place));
    }
}

const char *saved_take_place(struct cursor *c, size_t *ret_len)
{
    uint8_t kind = cursor_u8(c);
    if (kind > 1) {
        cursor_fail(c, "an unknown kind of grant");
    }
    return kind == 1 ? saved_take_text(c, PLACE_BYTES_MAX, "too long a place", ret_len) : NULL;
}

static bool known(const struct saved_move *m)
{
    return m->then.host.ino != 0 && m->now.host.ino != 0;
}

static bool stayed(const struct saved_move *m)
{
    return known(m) && m->then.host.dev == m->now.host.dev && m->then.host.ino == m->now.host.ino &&
           m->then.birth_ns == m->now.birth_ns;
}

bool saved_device_stayed(const struct saved_move *moves, uint32_t count, uint64_t dev)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stayed(&moves[i]) && moves[i].now.host.dev == dev) {
            return true;
        }
    }
    return false;
}

bool saved_all_stayed(const struct saved_move *moves, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!stayed(&moves[i]) && !moves[i].bucket) {
            return false;
        }
    }
    return true;
}

static bool any_device_new(const struct saved_move *moves, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (known(&moves[i]) && !saved_device_stayed(moves, count, moves[i].now.host.dev)) {
            return true;
        }
    }
    return false;
}

/* Where the folders stayed, what was known of devices goes on to be true. With `say` also what was known without a
 * word, as it changes with the serial number. */
static bool keep_devices(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                         uint32_t count, bool say)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++) {
        struct ids_key host = moves[i].now.host;
        const struct ids_device *d = stayed(&moves[i]) ? ids_device(then, host.dev) : NULL;
        if (d != NULL) {
            ok = ids_add_device(ids, host.dev, d->guest, d->tag);
        } else if (stayed(&moves[i]) && say) {
            ok = ids_add_device(ids, host.dev, ids_plain(then, host).dev, 0);
        }
    }
    return ok;
}

/* A file system that the guest does not know: its files get the device number of the one that it is in the place of,
 * and inode numbers with a tag that no number had which the guest has seen. */
static bool add_devices(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                        uint32_t count)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++) {
        uint64_t dev = moves[i].now.host.dev;
        if (known(&moves[i]) && ids_device(ids, dev) == NULL) {
            ids->serial += ids->serial < IDS_SERIAL_MAX ? 1 : 0;
            ok = ids_add_device(ids, dev, ids_shown(then, moves[i].then.host).dev, ids->serial);
        }
    }
    return ok;
}

bool saved_begin_ids(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                     uint32_t move_count)
{
    bool moved = any_device_new(moves, move_count);
    ids->serial = then->serial;
    bool ok = keep_devices(ids, then, moves, move_count, moved) &&
              (!moved || add_devices(ids, then, moves, move_count));
    for (uint32_t i = 0; ok && i < move_count; i++) {
        if (known(&moves[i])) {
            ok = ids_add_file(ids, moves[i].now.host, ids_shown(then, moves[i].then.host));
        }
    }
    return ok;
}

bool saved_end_ids(struct ids *ids, const struct ids *then, const struct saved_move *moves,
                   uint32_t move_count)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < then->file_count; i++) {
        const struct ids_file *f = &then->by_host[i];
        if (saved_device_stayed(moves, move_count, f->host.dev)) {
            ok = ids_add_weak(ids, f->host, f->guest);
        }
    }
    return ok && ids_seal(ids);
}
