#include "cell/wasi/describe.h"

#include <stdio.h>
#include <string.h>

#include "guest.h"
#include "objectsave.h"
#include "saved.h"

struct reading {
    struct cursor c;
    struct saved_head head;
    struct wasi_saved out;
    struct wasi_saved_grant *grants;
    struct wasi_saved_file *files;
    bool no_memory;
};

static const char *copy(struct reading *r, const char *text, size_t len)
{
    char *made = text == NULL ? NULL : arena_strndup(&r->out.arena, text, len);
    r->no_memory = r->no_memory || (text != NULL && made == NULL);
    return made;
}

static void *room(struct reading *r, uint32_t count, size_t size)
{
    void *made = arena_alloc(&r->out.arena, count, size);
    r->no_memory = r->no_memory || made == NULL;
    return made;
}

static bool failed(const struct reading *r)
{
    return r->c.failed || r->no_memory;
}

static const char *const *take_strings(struct reading *r, uint32_t *ret_count)
{
    uint32_t count = saved_take_count(&r->c, WASI_STRINGS_MAX, 4,
                                      "too many arguments or variables");
    const char **items = room(r, count, sizeof(*items));
    for (uint32_t i = 0; i < count && !failed(r); i++) {
        size_t len;
        const char *text = saved_take_text(&r->c, WASI_STRINGS_BYTES_MAX, "too long an argument",
                                           &len);
        items[i] = copy(r, text, len);
    }
    *ret_count = count;
    return items;
}

static void take_grants(struct reading *r)
{
    uint32_t count = saved_take_count(&r->c, WASI_GRANTS_MAX, 4, "too many grants");
    r->grants = room(r, count, sizeof(*r->grants));
    for (uint32_t i = 0; i < count && !failed(r); i++) {
        size_t len;
        const char *text = saved_take_text(&r->c, WASI_PATH_BYTES_MAX, "too long a guest path",
                                           &len);
        r->grants[i].guest_path = copy(r, text, len);
        if (r->head.version >= SAVED_VERSION_IDS) {
            (void)saved_take_root(&r->c);
        }
        if (r->head.version >= SAVED_VERSION_BUCKETS) {
            const char *place = saved_take_place(&r->c, &len);
            r->grants[i].place = r->c.failed ? NULL : copy(r, place, len);
        }
    }
    r->out.grants = r->grants;
    r->out.grant_count = count;
}

static void take_ids(struct reading *r)
{
    struct ids ids = {0};
    if (r->head.version >= SAVED_VERSION_IDS && !saved_take_ids(&r->c, &ids)) {
        r->no_memory = true;
    }
    ids_done(&ids);
}

static void take_staged(struct reading *r)
{
    struct saved_staged *list;
    uint32_t count;
    if (r->head.version >= SAVED_VERSION_BUCKETS &&
        !saved_take_staged(&r->c, &r->out.arena, r->out.grant_count, &list, &count)) {
        r->no_memory = true;
    }
}

static bool is_beneath(const struct saved_file *f)
{
    return f->origin == SAVED_ORIGIN_PATH || f->origin == SAVED_ORIGIN_BUCKET;
}

static enum wasi_saved_kind kind_of(const struct saved_file *f)
{
    switch ((enum file_kind)f->kind) {
    case FILE_PLAIN:
        return WASI_SAVED_FILE;
    case FILE_DIRECTORY:
        return WASI_SAVED_FOLDER;
    case FILE_SOCKET:
        return WASI_SAVED_SOCKET;
    case FILE_LISTENER:
        return WASI_SAVED_LISTENER;
    case FILE_STREAM:
        break;
    }
    return f->filetype == FILETYPE_CHARACTER_DEVICE ? WASI_SAVED_DEVICE : WASI_SAVED_PIPE;
}

/* The folder and what is beneath it. */
static const char *path_of_guest(struct reading *r, const struct saved_file *f)
{
    char path[2 * WASI_PATH_BYTES_MAX + 2];
    if (!is_beneath(f)) {
        return copy(r, f->path, strlen(f->path));
    }
    const char *grant = r->grants[f->index].guest_path;
    size_t len = strlen(grant);
    const char *between = f->path[0] == '\0' || (len > 0 && grant[len - 1] == '/') ? "" : "/";
    int total = snprintf(path, sizeof(path), "%s%s%s", grant, between, f->path);
    return copy(r, path, (size_t)total);
}

static void note_needs(struct reading *r, const struct saved_file *f)
{
    bool read_only = (f->bits & SAVED_READ_ONLY) != 0;
    if (is_beneath(f)) {
        r->grants[f->index].needed = true;
        r->grants[f->index].read_only = r->grants[f->index].read_only || read_only;
    } else if (f->origin == SAVED_ORIGIN_LISTEN && f->index >= r->out.listen_needed) {
        r->out.listen_needed = f->index + 1;
    }
}

static void take_file(struct reading *r, uint32_t from, struct wasi_saved_file *ret_file)
{
    static const enum wasi_saved_origin origins[SAVED_ORIGIN_COUNT] = {
        [SAVED_ORIGIN_PATH] = WASI_SAVED_PATH,     [SAVED_ORIGIN_STDIO] = WASI_SAVED_STDIO,
        [SAVED_ORIGIN_LISTEN] = WASI_SAVED_LISTEN, [SAVED_ORIGIN_LOST] = WASI_SAVED_LOST,
        [SAVED_ORIGIN_BUCKET] = WASI_SAVED_PATH,
    };
    struct saved_file f = {0};
    if (!saved_take_file(&r->c, r->head.version, r->out.grant_count, from, &f)) {
        r->no_memory = true;
    }
    dirlist_free(f.list);
    if (failed(r)) {
        return;
    }
    *ret_file = (struct wasi_saved_file){
        .fd = f.fd,
        .origin = origins[f.origin],
        .kind = kind_of(&f),
        .index = f.index,
        .path = path_of_guest(r, &f),
        .is_grant = (f.bits & SAVED_PREOPEN) != 0,
        .reads = (f.rights_base & RIGHT_FD_READ) != 0,
        .writes = (f.rights_base & RIGHTS_WRITE_DATA) != 0,
        .appends = (f.flags & FDFLAG_APPEND) != 0,
        .nonblocking = (f.flags & FDFLAG_NONBLOCK) != 0,
        .read_only = (f.bits & SAVED_READ_ONLY) != 0,
        .offset = f.offset,
        .size = f.size,
    };
    note_needs(r, &f);
}

static void take_files(struct reading *r)
{
    uint32_t count = saved_take_count(&r->c, WASI_OPEN_FILES_MAX, SAVED_FILE_BYTES_MIN,
                                      "too many descriptors");
    r->files = room(r, count, sizeof(*r->files));
    for (uint32_t i = 0; i < count && !failed(r); i++) {
        take_file(r, i > 0 ? r->files[i - 1].fd + 1 : 0, &r->files[i]);
    }
    r->out.files = r->files;
    r->out.file_count = count;
}

static void take_all(struct reading *r)
{
    r->out.cpu_ns = r->head.cpu_ns;
    r->out.output_bytes = r->head.output_bytes;
    r->out.args = take_strings(r, &r->out.arg_count);
    r->out.env = take_strings(r, &r->out.env_count);
    if (!failed(r)) {
        take_grants(r);
    }
    if (!failed(r)) {
        take_ids(r);
    }
    if (!failed(r)) {
        take_staged(r);
    }
    if (!failed(r)) {
        take_files(r);
    }
    if (!failed(r) && cursor_left(&r->c) > 0) {
        cursor_fail(&r->c, "more bytes than expected");
    }
}

status_t wasi_describe(const void *data, size_t len, struct wasi_saved *ret_saved,
                       struct error *err)
{
    struct reading r = {0};
    cursor_init(&r.c, data, len, 0);
    saved_take_head(&r.c, &r.head);
    status_t st = ST_OK;
    if (!r.c.failed && !saved_version_known(r.head.version)) {
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "WASI state of version %u",
                       r.head.version);
    } else {
        take_all(&r);
    }
    if (r.no_memory) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the WASI state");
    } else if (r.c.failed) {
        st = error_set(err, ST_CORRUPT, r.c.fail_off, "WASI state: %s", r.c.reason);
    }
    if (st == ST_OK) {
        *ret_saved = r.out;
    } else {
        wasi_saved_done(&r.out);
    }
    return st;
}

void wasi_saved_done(struct wasi_saved *s)
{
    arena_done(&s->arena);
    *s = (struct wasi_saved){0};
}
