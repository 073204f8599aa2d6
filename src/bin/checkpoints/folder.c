#include "checkpoints/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cell/wasi/undo_files.h"
#include "controlpath/control.h"

status_t checkpoints_folder(const char *name, char ret_path[PATH_MAX], struct error *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    status_t st = control_name_check(name, err);
    bool has_state = state != NULL && state[0] == '/';
    if (st != ST_OK) {
        return st;
    }
    if (!has_state && (home == NULL || home[0] != '/')) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "no folder for checkpoints: neither XDG_STATE_HOME nor HOME is set");
    }
    int len = snprintf(ret_path, PATH_MAX, "%s/%scloudskin/checkpoints/%s",
                       has_state ? state : home, has_state ? "" : ".local/state/", name);
    return len > 0 && len < PATH_MAX ? ST_OK
                                     : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                                 "path of the folder of checkpoints is too long");
}

void checkpoints_file(uint32_t number, const char *suffix, char ret_name[CHECKPOINT_FILE_BYTES])
{
    snprintf(ret_name, CHECKPOINT_FILE_BYTES, "%06u.%s", number, suffix);
}

struct listing {
    int folder_fd;
    struct checkpoint_list *list;
};

static status_t add(void *arg, const char *name, uint32_t number, const char *suffix,
                    struct error *err)
{
    const struct listing *listing = arg;
    struct checkpoint_list *l = listing->list;
    struct stat st;
    l->highest = number > l->highest ? number : l->highest;
    if (strcmp(suffix, "snap") != 0 ||
        fstatat(listing->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        return ST_OK;
    }
    uint32_t *numbers = realloc(l->numbers, (l->count + 1) * sizeof *numbers);
    if (numbers == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a list of checkpoints");
    }
    l->numbers = numbers;
    l->numbers[l->count++] = number;
    return ST_OK;
}

static int rising(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

status_t checkpoints_list(int folder_fd, struct checkpoint_list *ret_list, struct error *err)
{
    struct checkpoint_list l = {0};
    struct listing listing = {folder_fd, &l};
    status_t st = undo_files_each(folder_fd, add, &listing, err);
    if (st != ST_OK) {
        checkpoints_list_done(&l);
        return st;
    }
    if (l.count > 0) {
        qsort(l.numbers, l.count, sizeof *l.numbers, rising);
    }
    *ret_list = l;
    return ST_OK;
}

bool checkpoints_list_has(const struct checkpoint_list *l, uint32_t number)
{
    return l->count > 0 &&
           bsearch(&number, l->numbers, l->count, sizeof *l->numbers, rising) != NULL;
}

void checkpoints_list_done(struct checkpoint_list *l)
{
    free(l->numbers);
    *l = (struct checkpoint_list){0};
}
