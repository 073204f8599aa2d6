#include "prune.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cell/snapshot/snapshot.h"
#include "checkpoints/folder.h"
#include "sys/files.h"

static bool read_from_fd(void *arg, void *data, size_t len)
{
    return file_read_all(*(const int *)arg, data, len) == 0;
}

/* The number of the snapshot that one is an increment on; 0: it is a full one. */
static status_t read_base(int folder_fd, uint32_t number, uint32_t *ret_base, struct error *err)
{
    char name[CHECKPOINT_FILE_BYTES];
    struct snapshot_reader *r = NULL;
    const char *suffix;
    checkpoints_file(number, "snap", name);
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", name);
    }
    const struct snapshot_source source = {.read = read_from_fd, .arg = &fd};
    *ret_base = 0;
    status_t st = snapshot_open(&source, &r, err);
    if (st == ST_OK) {
        const struct snapshot_info *info = snapshot_reader_info(r);
        if (info->increment && !undo_file_parse(info->base_name, ret_base, &suffix)) {
            st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "%s: its base is no checkpoint", name);
        }
    }
    snapshot_close(r);
    close(fd);
    return st;
}

static uint32_t index_of(const struct checkpoint_list *l, uint32_t number)
{
    uint32_t i = 0;
    while (i < l->count && l->numbers[i] != number) {
        i++;
    }
    return i;
}

/* The oldest snapshot that the one at index needs: chains are of consecutive snapshots, so that all in between are
 * needed as well. */
static status_t oldest_needed(int folder_fd, const struct checkpoint_list *l, uint32_t index,
                              uint32_t *ret_index, struct error *err)
{
    uint32_t base = 1;
    status_t st = ST_OK;
    for (; st == ST_OK && base != 0; index = index_of(l, base)) {
        *ret_index = index;
        st = read_base(folder_fd, l->numbers[index], &base, err);
        if (st == ST_OK && base != 0 &&
            (base >= l->numbers[index] || index_of(l, base) == l->count)) {
            st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "checkpoint %u: its base is missing",
                           l->numbers[index]);
        }
        if (base == 0) {
            break;
        }
    }
    return st;
}

/* A folder of that name is none of ours. */
static status_t remove_file(int folder_fd, const char *name, struct error *err)
{
    bool gone = unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT || errno == EISDIR;
    return gone ? ST_OK : error_set_errno(err, errno, "%s", name);
}

struct removal {
    int folder_fd;
    uint32_t below;
};

static status_t remove_old(void *arg, const char *name, uint32_t number, const char *suffix,
                           struct error *err)
{
    const struct removal *r = arg;
    bool of_files = strcmp(suffix, "undo") == 0 || strcmp(suffix, "kept") == 0;
    return of_files && number < r->below ? remove_file(r->folder_fd, name, err) : ST_OK;
}

status_t prune(int folder_fd, uint32_t keep, struct error *err)
{
    struct checkpoint_list l = {0};
    char name[CHECKPOINT_FILE_BYTES];
    uint32_t first = 0;
    status_t st = checkpoints_list(folder_fd, &l, err);
    if (st != ST_OK || l.count <= keep) {
        checkpoints_list_done(&l);
        return st;
    }
    struct removal r = {folder_fd, l.numbers[l.count - keep]};
    st = oldest_needed(folder_fd, &l, l.count - keep, &first, err);
    for (uint32_t i = 0; st == ST_OK && i < first; i++) {
        checkpoints_file(l.numbers[i], "snap", name);
        st = remove_file(folder_fd, name, err);
    }
    checkpoints_list_done(&l);
    return st == ST_OK ? undo_files_each(folder_fd, remove_old, &r, err) : st;
}
