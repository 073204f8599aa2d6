#include "cell/wasi/undo_files.h"

#include <string.h>

#include "base/parse.h"
#include "sys/files.h"

enum { NUMBER_DIGITS = 6 };

bool undo_file_parse(const char *name, uint32_t *ret_number, const char **ret_suffix)
{
    char digits[NUMBER_DIGITS + 1];
    uint64_t number;
    size_t len = strspn(name, "0123456789");
    if (len != NUMBER_DIGITS || name[len] != '.') {
        return false;
    }
    memcpy(digits, name, len);
    digits[len] = '\0';
    if (parse_u64(digits, UNDO_NUMBER_MAX, &number) != ST_OK || number == 0) {
        return false;
    }
    *ret_number = (uint32_t)number;
    *ret_suffix = strrchr(name, '.') + 1;
    return true;
}

struct each {
    status_t (*f)(void *arg, const char *name, uint32_t number, const char *suffix,
                  struct error *err);
    void *arg;
};

static status_t each_name(void *arg, const char *name, struct error *err)
{
    const struct each *e = arg;
    uint32_t number;
    const char *suffix;
    return undo_file_parse(name, &number, &suffix) ? e->f(e->arg, name, number, suffix, err)
                                                   : ST_OK;
}

status_t undo_files_each(int folder_fd,
                         status_t (*f)(void *arg, const char *name, uint32_t number,
                                       const char *suffix, struct error *err),
                         void *arg, struct error *err)
{
    struct each e = {f, arg};
    return folder_each(folder_fd, "folder of checkpoints", each_name, &e, err);
}
