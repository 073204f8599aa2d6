#include "chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoints/folder.h"
#include "sys/files.h"

static bool make_room(struct snapshot_chain *c)
{
    struct snapshot_reader **readers = realloc(c->readers, (c->count + 1) * sizeof *readers);
    if (readers == NULL) {
        return false;
    }
    c->readers = readers;
    struct snapshot_file **files = realloc(c->files,
                                           (c->count + 1) * sizeof(struct snapshot_file *));
    if (files == NULL) {
        return false;
    }
    c->files = files;
    return true;
}

/* Takes over fd. */
static status_t open_reader(int fd, struct snapshot_file *file, const char *name,
                            struct snapshot_reader **ret_r, struct error *err)
{
    struct error why = {.offset = ERROR_NO_OFFSET};
    status_t st = snapshot_file_begin(fd, file, &why);
    if (st == ST_OK) {
        const struct snapshot_source source = snapshot_file_source(file);
        st = snapshot_open(&source, ret_r, &why);
    }
    if (st != ST_OK) {
        snapshot_file_close(file);
    }
    return st == ST_OK ? ST_OK : error_set(err, st, why.offset, "%s: %s", name, why.text);
}

/* In front of the others. Takes over fd. */
static status_t push(struct snapshot_chain *c, int fd, const char *name, struct error *err)
{
    struct snapshot_reader *r = NULL;
    struct snapshot_file *file = calloc(1, sizeof *file);
    if (file == NULL || !make_room(c)) {
        free(file);
        close(fd);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read %s", name);
    }
    status_t st = open_reader(fd, file, name, &r, err);
    if (st != ST_OK) {
        free(file);
        return st;
    }
    for (uint32_t i = c->count++; i > 0; i--) {
        c->readers[i] = c->readers[i - 1];
        c->files[i] = c->files[i - 1];
    }
    c->readers[0] = r;
    c->files[0] = file;
    return ST_OK;
}

/* A base is named by who wrote the increment, and is looked for in the same folder only. */
static status_t open_base(const struct snapshot_chain *c, const char *name, int folder_fd,
                          int *ret_fd, struct error *err)
{
    const char *base = snapshot_reader_info(c->readers[0])->base_name, *suffix;
    uint32_t number;
    if (c->count >= SNAPSHOT_CHAIN_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: it stands on more than %d others",
                         name, SNAPSHOT_CHAIN_MAX - 1);
    }
    bool is_name = folder_fd >= 0 && undo_file_parse(base, &number, &suffix);
    *ret_fd = is_name ? openat(folder_fd, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (!is_name || (*ret_fd < 0 && errno == ENOENT)) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "%s: it holds only what changed since %.80s, which is not there", name,
                         base);
    }
    return *ret_fd >= 0 ? ST_OK : error_set_errno(err, errno, "%s: its base %.80s", name, base);
}

status_t snapshot_chain_open(int fd, const char *name, int folder_fd,
                             struct snapshot_chain *ret_chain, struct error *err)
{
    struct snapshot_chain c = {0};
    char base[SNAPSHOT_TEXT_MAX];
    status_t st = push(&c, fd, name, err);
    while (st == ST_OK && snapshot_reader_info(c.readers[0])->increment) {
        memcpy(base, snapshot_reader_info(c.readers[0])->base_name, sizeof base);
        int base_fd = -1;
        st = open_base(&c, name, folder_fd, &base_fd, err);
        st = st == ST_OK ? push(&c, base_fd, base, err) : st;
    }
    if (st != ST_OK) {
        snapshot_chain_close(&c);
        return st;
    }
    *ret_chain = c;
    return ST_OK;
}

struct snapshot_reader *snapshot_chain_last(const struct snapshot_chain *c)
{
    return c->readers[c->count - 1];
}

const struct snapshot_info *snapshot_chain_embeds(const struct snapshot_chain *c)
{
    const struct snapshot_info *last = snapshot_reader_info(snapshot_chain_last(c));
    for (uint32_t i = c->count; i-- > 0;) {
        const struct snapshot_info *info = snapshot_reader_info(c->readers[i]);
        if (info->module != NULL &&
            memcmp(info->module_hash, last->module_hash, sizeof info->module_hash) == 0) {
            return info;
        }
    }
    return NULL;
}

status_t snapshot_chain_end(const struct snapshot_chain *c, struct error *err)
{
    status_t st = ST_OK;
    for (uint32_t i = 0; i < c->count && st == ST_OK; i++) {
        st = snapshot_file_end(c->files[i], err);
    }
    return st;
}

void snapshot_chain_close(struct snapshot_chain *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        snapshot_close(c->readers[i]);
        snapshot_file_close(c->files[i]);
        free(c->files[i]);
    }
    free(c->readers);
    free(c->files);
    *c = (struct snapshot_chain){0};
}
