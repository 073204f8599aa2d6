#include "memory.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/parse.h"
#include "sys/files.h"

enum { CONF_BYTES_MAX = 64 };
#define BYTES_MAX (1ULL << 60)

static const char field[] = "memory-bytes ";

/* A line `memory-bytes BYTES`; no file: none. */
static status_t load(const char *path, uint64_t *ret_bytes, struct error *err)
{
    struct buf text = {0};
    uint64_t bytes = 0;
    status_t st = file_read(path, CONF_BYTES_MAX, &text, err);
    buf_u8(&text, 0);
    if (st == ST_NOTFOUND) {
        st = ST_OK;
    } else if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (st == ST_OK) {
        char *line = (char *)text.data, *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        if (end == NULL || end[1] != '\0' || strncmp(line, field, sizeof field - 1) != 0 ||
            parse_u64(line + sizeof field - 1, BYTES_MAX, &bytes) != ST_OK) {
            st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: not `memory-bytes BYTES`", path);
        }
    }
    buf_done(&text);
    if (st == ST_OK) {
        *ret_bytes = bytes;
    }
    return st;
}

static status_t save(const char *path, uint64_t bytes, struct error *err)
{
    char text[CONF_BYTES_MAX];
    int len = snprintf(text, sizeof text, "%s%llu\n", field, (unsigned long long)bytes);
    return file_write_atomic(path, text, (size_t)len, 0600, FILE_SYNC, err);
}

/* As far as it may go up. */
static void raise_lock_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

static void log_limit(void *arg, enum memory_limit why, uint64_t bytes)
{
    char number[24];
    (void)arg;
    snprintf(number, sizeof number, "%llu", (unsigned long long)bytes);
    log_warn("memory.limited", "bytes", number, "why",
             why == MEMORY_LOCK_LIMIT
                 ? "RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK= of systemd) allows no more"
                 : "the system has no more memory to lock");
}

status_t controller_memory_start(const char *given, const char *state, struct store *store,
                                 struct memory **ret_memory, struct error *err)
{
    char conf[PATH_MAX], path[PATH_MAX];
    uint64_t was = 0;
    if (snprintf(conf, sizeof conf, "%s/memory.conf", state) >= (int)sizeof conf ||
        snprintf(path, sizeof path, "%s/memory", state) >= (int)sizeof path) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
    }
    status_t st = load(conf, &was, err);
    uint64_t bytes = was;
    if (st == ST_OK && given != NULL && parse_size(given, BYTES_MAX, &bytes) != ST_OK) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "--memory: \"%s\" is not a size (0: nothing is kept in memory)", given);
    }
    if (st == ST_OK && bytes > 0) {
        const struct memory_options o = {
            .store = store, .path = path, .budget_bytes = bytes, .limited = log_limit};
        raise_lock_limit();
        st = memory_start(&o, ret_memory, err);
    }
    return st == ST_OK && bytes != was ? save(conf, bytes, err) : st;
}
