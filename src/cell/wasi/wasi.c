#include "cell/wasi/wasi.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "state.h"

enum { STRINGS_MAX = 1 << 20, STRINGS_BYTES_MAX = 1 << 28, GRANTS_MAX = 1024 };

/* ---- scratch ---- */

void *wasi_scratch_new(struct wasi *w, size_t size)
{
    struct scratch *s = calloc(1, sizeof(*s) + size);
    if (s == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&w->scratch_lock);
    s->next = w->scratches;
    s->link = &w->scratches;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    w->scratches = s;
    pthread_mutex_unlock(&w->scratch_lock);
    return s->data;
}

void wasi_scratch_free(struct wasi *w, void *data)
{
    if (data == NULL) {
        return;
    }
    struct scratch *s = (struct scratch *)(void *)((char *)data - offsetof(struct scratch, data));
    pthread_mutex_lock(&w->scratch_lock);
    *s->link = s->next;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
    pthread_mutex_unlock(&w->scratch_lock);
    free(s);
}

/* ---- arguments and environment ---- */

static status_t strings_add(struct wasi *w, struct strings *s, const char *text, struct error *err)
{
    size_t len = strlen(text);
    if (s->count >= STRINGS_MAX || len >= STRINGS_BYTES_MAX - s->bytes) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "arguments or environment are too large");
    }
    char *copy = arena_strndup(&w->arena, text, len);
    if (copy == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for arguments");
    }
    s->items[s->count++] = copy;
    s->bytes += (uint32_t)len + 1;
    return ST_OK;
}

static status_t strings_room(struct wasi *w, struct strings *s, uint32_t count, struct error *err)
{
    s->items = arena_alloc(&w->arena, count, sizeof(*s->items));
    if (s->items == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for arguments");
    }
    return ST_OK;
}

static status_t copy_args(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    status_t st = strings_room(w, &w->args, config->arg_count, err);
    for (uint32_t i = 0; st == ST_OK && i < config->arg_count; i++) {
        st = strings_add(w, &w->args, config->args[i], err);
    }
    return st;
}

/* The environment with PWD set to where the guest starts; the C library takes its working directory from it. */
static status_t copy_env(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    const char *cwd = config->cwd;
    if (cwd == NULL && config->grant_count > 0) {
        cwd = config->grants[0].guest_path;
    }
    status_t st = strings_room(w, &w->env, config->env_count + 1, err);
    for (uint32_t i = 0; st == ST_OK && i < config->env_count; i++) {
        if (cwd == NULL || strncmp(config->env[i], "PWD=", 4) != 0) {
            st = strings_add(w, &w->env, config->env[i], err);
        }
    }
    if (st == ST_OK && cwd != NULL) {
        size_t len = strlen(cwd);
        char *pwd = arena_alloc(&w->arena, len + 5, 1);
        if (pwd == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the environment");
        }
        memcpy(pwd, "PWD=", 4);
        memcpy(pwd + 4, cwd, len + 1);
        st = strings_add(w, &w->env, pwd, err);
    }
    return st;
}

/* ---- first descriptors ---- */

static status_t add_file(struct wasi *w, struct file *f, struct error *err)
{
    uint32_t fd;
    enum wasi_errno e = fdtable_add(&w->files, f, &fd);
    if (e == WASI_OK) {
        return ST_OK;
    }
    file_free(f);
    return e == WASI_MFILE ? error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                                       "more grants and sockets than open files allowed")
                           : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for descriptors");
}

static status_t add_borrowed(struct wasi *w, int host_fd, bool output, const char *what,
                             struct error *err)
{
    int errnum = 0;
    struct file *f = file_new(host_fd, true, &errnum);
    if (f == NULL) {
        return error_set_errno(err, errnum, "%s", what);
    }
    f->counts_output = output;
    return add_file(w, f, err);
}

static status_t add_null(struct wasi *w, bool output, struct error *err)
{
    int fd = open("/dev/null", (output ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "/dev/null");
    }
    int errnum = 0;
    struct file *f = file_new(fd, false, &errnum);
    if (f == NULL) {
        close(fd);
        return error_set_errno(err, errnum, "/dev/null");
    }
    return add_file(w, f, err);
}

/* Standard descriptors may be closed on the host: the guest then gets the null device in their place, so that
 * later files do not slip under these numbers. */
static status_t add_stdio(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    for (int i = 0; i < 3; i++) {
        status_t st;
        if (config->stdio[i] >= 0 && fcntl(config->stdio[i], F_GETFD) >= 0) {
            st = add_borrowed(w, config->stdio[i], i > 0, "standard descriptor", err);
        } else {
            st = add_null(w, i > 0, err);
        }
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static status_t add_grant(struct wasi *w, uint32_t index, struct error *err)
{
    const struct wasi_grant *g = &w->grants[index];
    int errnum = 0;
    if (strlen(g->guest_path) > WASI_PATH_BYTES_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "guest path is too long: %.80s",
                         g->guest_path);
    }
    int fd = open(g->host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "folder to grant, %s", g->host_path);
    }
    struct file *f = file_new(fd, false, &errnum);
    if (f == NULL) {
        close(fd);
        return error_set_errno(err, errnum, "folder to grant, %s", g->host_path);
    }
    f->grant = index;
    f->read_only = g->read_only;
    f->path = strdup("");
    f->preopen = strdup(g->guest_path);
    if (f->path == NULL || f->preopen == NULL) {
        file_free(f);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for grants");
    }
    if (f->read_only) {
        f->rights_base &= ~RIGHTS_CHANGE;
    }
    return add_file(w, f, err);
}

static status_t add_grants(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    if (config->grant_count > GRANTS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than %d grants", GRANTS_MAX);
    }
    w->grants = arena_alloc(&w->arena, config->grant_count, sizeof(*w->grants));
    for (uint32_t i = 0; i < config->grant_count; i++) {
        const struct wasi_grant *g = &config->grants[i];
        struct wasi_grant *copy = w->grants == NULL ? NULL : &w->grants[i];
        if (copy != NULL) {
            copy->host_path = arena_strndup(&w->arena, g->host_path, strlen(g->host_path));
            copy->guest_path = arena_strndup(&w->arena, g->guest_path, strlen(g->guest_path));
            copy->read_only = g->read_only;
        }
        if (copy == NULL || copy->host_path == NULL || copy->guest_path == NULL) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for grants");
        }
        w->grant_count = i + 1;
        status_t st = add_grant(w, i, err);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static status_t add_listeners(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    for (uint32_t i = 0; i < config->listen_count; i++) {
        int fd = config->listen[i];
        int flags = fcntl(fd, F_GETFL);
        /* Accepting waits by poll, so the socket itself must not block. */
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
            return error_set_errno(err, errno, "listening socket");
        }
        int errnum = 0;
        struct file *f = file_new(fd, true, &errnum);
        if (f == NULL) {
            return error_set_errno(err, errnum, "listening socket");
        }
        f->flags = flags & O_NONBLOCK ? FDFLAG_NONBLOCK : 0;
        status_t st = add_file(w, f, err);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static void set_modules(struct wasi *w)
{
    w->modules[0] = (struct host_module){"wasi_snapshot_preview1", wasi_preview1_funcs, w};
    w->modules[1] = (struct host_module){"wasi_unstable", wasi_unstable_funcs, w};
}

static status_t fill(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    status_t st = copy_args(w, config, err);
    if (st == ST_OK) {
        st = copy_env(w, config, err);
    }
    if (st == ST_OK) {
        st = add_stdio(w, config, err);
    }
    if (st == ST_OK) {
        st = add_grants(w, config, err);
    }
    if (st == ST_OK) {
        st = add_listeners(w, config, err);
    }
    return st;
}

status_t wasi_new(const struct wasi_config *config, struct wasi **ret_w, struct error *err)
{
    uint32_t open_max = config->open_files_max == 0 ? WASI_OPEN_FILES_DEFAULT
                                                    : config->open_files_max;
    if (open_max > WASI_OPEN_FILES_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than %d open files",
                         WASI_OPEN_FILES_MAX);
    }
    struct wasi *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    }
    pthread_mutex_init(&w->scratch_lock, NULL);
    fdtable_init(&w->files, open_max);
    w->output_bytes_max = config->output_bytes_max;
    w->path_method = path_method_probe();
    set_modules(w);
    status_t st = fill(w, config, err);
    if (st != ST_OK) {
        wasi_free(w);
        return st;
    }
    *ret_w = w;
    return ST_OK;
}

void wasi_free(struct wasi *w)
{
    if (w == NULL) {
        return;
    }
    while (w->scratches != NULL) {
        wasi_scratch_free(w, w->scratches->data);
    }
    fdtable_done(&w->files);
    pthread_mutex_destroy(&w->scratch_lock);
    arena_done(&w->arena);
    free(w);
}

const struct host_module *wasi_host_modules(struct wasi *w, uint32_t *ret_count)
{
    *ret_count = sizeof(w->modules) / sizeof(w->modules[0]);
    return w->modules;
}
