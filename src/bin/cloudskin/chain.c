#include "chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoints/folder.h"
#include "sys/files.h"

static bool read_from_fd(void *arg, void *data, size_t len)
{
    return file_read_all(*(const int *)arg, data, len) == 0;
}

static bool make_room(struct snapshot_chain *c)
{
    struct snapshot_reader **readers = realloc(c->readers, (c->count + 1) * sizeof *readers);
    if (readers != NULL) {
        c->readers = readers;
    }
    int **fds = readers != NULL ? realloc(c->fds, (c->count + 1) * sizeof *fds) : NULL;
    if (fds != NULL) {
        c->fds = fds;
    }
    return fds != NULL;
}

static status_t open_reader(int *fd, const char *name, struct snapshot_reader **ret_r,
                            struct error *err)
{
    const struct snapshot_source source = {read_from_fd, fd};
    struct error why = {.offset = ERROR_NO_OFFSET};
    status_t st = snapshot_open(&source, ret_r, &why);
    return st == ST_OK ? ST_OK : error_set(err, st, why.offset, "%s: %s", name, why.text);
}

/* In front of the others. Takes over fd. */
static status_t push(struct snapshot_chain *c, int fd, const char *name, struct error *err)
{
    struct snapshot_reader *r = NULL;
    int *own = malloc(sizeof *own);
    status_t st = own != NULL && make_room(c)
                      ? ST_OK
                      : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read %s", name);
    if (st == ST_OK) {
        *own = fd;
        st = open_reader(own, name, &r, err);
    }
    if (st != ST_OK) {
        free(own);
        close(fd);
        return st;
    }
    for (uint32_t i = c->count++; i > 0; i--) {
        c->readers[i] = c->readers[i - 1];
        c->fds[i] = c->fds[i - 1];
    }
    c->readers[0] = r;
    c->fds[0] = own;
    return ST_OK;
}

/* A base is named by who wrote the increment, and is looked for in the same folder only. */
static status_t open_base(const struct snapshot_chain *c, const char *name, int folder_fd,
                          int *ret_fd, struct error *err)
{
    const char *base = snapshot_reader_info(c->readers[0])->base_name, *suffix;
    uint32_t number;
    if (folder_fd < 0 || c->count >= SNAPSHOT_CHAIN_MAX ||
        !checkpoints_parse(base, &number, &suffix)) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "%s: it holds only what changed since %.80s, which is not there", name,
                         base);
    }
    *ret_fd = openat(folder_fd, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
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

void snapshot_chain_close(struct snapshot_chain *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        snapshot_close(c->readers[i]);
        close(*c->fds[i]);
        free(c->fds[i]);
    }
    free(c->readers);
    free(c->fds);
    *c = (struct snapshot_chain){0};
}
