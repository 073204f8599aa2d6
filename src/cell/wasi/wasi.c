#include "cell/wasi/wasi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "before.h"
#include "object.h"
#include "state.h"

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

status_t wasi_strings_add(struct wasi *w, struct strings *s, const char *text, size_t len,
                          struct error *err)
{
    if (s->count >= WASI_STRINGS_MAX || len >= WASI_STRINGS_BYTES_MAX - s->bytes) {
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

status_t wasi_strings_room(struct wasi *w, struct strings *s, uint32_t count, struct error *err)
{
    s->items = arena_alloc(&w->arena, count, sizeof(*s->items));
    if (s->items == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for arguments");
    }
    return ST_OK;
}

size_t wasi_guest_path_len(const char *path, size_t len)
{
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len;
}

static status_t copy_args(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    status_t st = wasi_strings_room(w, &w->args, config->arg_count, err);
    for (uint32_t i = 0; st == ST_OK && i < config->arg_count; i++) {
        st = wasi_strings_add(w, &w->args, config->args[i], strlen(config->args[i]), err);
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
    status_t st = wasi_strings_room(w, &w->env, config->env_count + 1, err);
    for (uint32_t i = 0; st == ST_OK && i < config->env_count; i++) {
        if (cwd == NULL || strncmp(config->env[i], "PWD=", 4) != 0) {
            st = wasi_strings_add(w, &w->env, config->env[i], strlen(config->env[i]), err);
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
        st = wasi_strings_add(w, &w->env, pwd, len + 4, err);
    }
    return st;
}

/* ---- first descriptors ---- */

/* A file for host_fd, which is closed on failure unless borrowed. */
static status_t make_file(int host_fd, bool borrowed, const char *what, struct file **ret_f,
                          struct error *err)
{
    int errnum = 0;
    struct file *f = file_new(host_fd, borrowed, &errnum);
    if (f == NULL) {
        if (!borrowed) {
            close(host_fd);
        }
        return error_set_errno(err, errnum, "%s", what);
    }
    *ret_f = f;
    return ST_OK;
}

status_t wasi_open_null(bool output, struct file **ret_f, struct error *err)
{
    int fd = open("/dev/null", (output ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "/dev/null");
    }
    return make_file(fd, false, "/dev/null", ret_f, err);
}

status_t wasi_open_stdio(const struct wasi_config *config, uint32_t index, struct file **ret_f,
                         struct error *err)
{
    int fd = config->stdio[index];
    bool open = fd >= 0 && fcntl(fd, F_GETFD) >= 0;
    status_t st = open ? make_file(fd, true, "standard descriptor", ret_f, err)
                       : wasi_open_null(index > 0, ret_f, err);
    if (st == ST_OK) {
        (*ret_f)->counts_output = open && index > 0;
        (*ret_f)->handed = index;
    }
    return st;
}

status_t wasi_open_grant(struct wasi *w, uint32_t index, struct file **ret_f, struct error *err)
{
    const struct wasi_grant *g = &w->grants[index];
    struct file *f = NULL;
    if (g->bucket != NULL) {
        int errnum = object_new_grant(w, index, ret_f);
        return errnum != 0 ? error_set_errno(err, errnum, "%s", g->bucket->place) : ST_OK;
    }
    int fd = open(g->host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "folder to grant, %s", g->host_path);
    }
    status_t st = make_file(fd, false, g->host_path, &f, err);
    if (st != ST_OK) {
        return st;
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
    *ret_f = f;
    return ST_OK;
}

status_t wasi_open_listener(const struct wasi_config *config, uint32_t index, struct file **ret_f,
                            struct error *err)
{
    int fd = config->listen[index];
    int flags = fcntl(fd, F_GETFL);
    /* Accepting waits by poll, so the socket itself must not block. */
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return error_set_errno(err, errno, "listening socket");
    }
    status_t st = make_file(fd, true, "listening socket", ret_f, err);
    if (st == ST_OK) {
        (*ret_f)->flags = flags & O_NONBLOCK ? FDFLAG_NONBLOCK : 0;
        (*ret_f)->handed = FILE_HANDED_LISTEN + index;
    }
    return st;
}

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

static status_t add_files(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    struct file *f = NULL;
    status_t st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < WASI_STDIO_COUNT; i++) {
        st = wasi_open_stdio(config, i, &f, err);
        st = st == ST_OK ? add_file(w, f, err) : st;
    }
    for (uint32_t i = 0; st == ST_OK && i < w->grant_count; i++) {
        st = wasi_open_grant(w, i, &f, err);
        st = st == ST_OK ? add_file(w, f, err) : st;
    }
    for (uint32_t i = 0; st == ST_OK && i < config->listen_count; i++) {
        st = wasi_open_listener(config, i, &f, err);
        st = st == ST_OK ? add_file(w, f, err) : st;
    }
    return st;
}

/* ---- the working directory ---- */

/* Without empty, "." and ".." parts and slashes at the ends; false: too long. */
static bool plain_path(const char *path, char ret_plain[WASI_PATH_BYTES_MAX + 1])
{
    size_t n = 0;
    ret_plain[0] = '\0';
    while (*path != '\0') {
        size_t len = strcspn(path, "/");
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            char *slash = strrchr(ret_plain, '/');
            n = slash != NULL ? (size_t)(slash - ret_plain) : 0;
        } else if (len > 1 || (len == 1 && path[0] != '.')) {
            if (n + 1 + len > WASI_PATH_BYTES_MAX) {
                return false;
            }
            if (n > 0) {
                ret_plain[n++] = '/';
            }
            memcpy(ret_plain + n, path, len);
            n += len;
        }
        ret_plain[n] = '\0';
        path += len + (path[len] == '/');
    }
    return true;
}

/* The rest of path beneath folder, "" for itself; NULL: it is elsewhere. */
static const char *beneath(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    if (len == 0) {
        return path;
    }
    bool inside = strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
    return !inside ? NULL : path[len] == '/' ? path + len + 1 : path + len;
}

static status_t open_cwd(struct wasi *w, uint32_t grant, const char *rest, const char *cwd,
                         struct error *err)
{
    int fd = -1, folder = open(w->grants[grant].host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return error_set_errno(err, errno, "folder to grant, %s", w->grants[grant].host_path);
    }
    enum wasi_errno e = path_open_beneath(w->path_method, folder, rest, O_PATH | O_DIRECTORY, 0,
                                          &fd);
    close(folder);
    if (e != WASI_OK) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "working directory '%s': no such folder in '%s', which is granted as '%s'",
                         cwd, w->grants[grant].host_path, w->grants[grant].guest_path);
    }
    close(fd);
    return ST_OK;
}

/* A program that starts where nothing is would only find that no file exists. The folder is in the grant with the
 * longest name, as the C library looks for it, or above a grant. */
static status_t check_cwd(struct wasi *w, const char *cwd, struct error *err)
{
    char plain[WASI_PATH_BYTES_MAX + 1], folder[WASI_PATH_BYTES_MAX + 1];
    const char *best = NULL;
    uint32_t grant = 0;
    bool above = false;
    if (!plain_path(cwd, plain)) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "working directory: path is too long");
    }
    above = plain[0] == '\0';
    for (uint32_t i = 0; i < w->grant_count; i++) {
        const char *rest = NULL;
        if (plain_path(w->grants[i].guest_path, folder)) {
            rest = beneath(plain, folder);
            above = above || beneath(folder, plain) != NULL;
        }
        if (rest != NULL && (best == NULL || strlen(rest) < strlen(best))) {
            best = rest;
            grant = i;
        }
    }
    bool bucket = best != NULL && w->grants[grant].bucket != NULL;
    if (best == NULL || best[0] == '\0' || bucket) { /* folders in buckets are there by name */
        return best != NULL || above
                   ? ST_OK
                   : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                               "working directory '%s': in no granted folder (--dir)", cwd);
    }
    return open_cwd(w, grant, best, cwd, err);
}

/* ---- life ---- */

static status_t copy_grant(struct wasi *w, const struct wasi_grant *g, struct wasi_grant *copy,
                           struct error *err)
{
    if (strlen(g->guest_path) > WASI_PATH_BYTES_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "guest path is too long: %.80s",
                         g->guest_path);
    }
    copy->host_path = arena_strndup(&w->arena, g->host_path, strlen(g->host_path));
    copy->guest_path = arena_strndup(&w->arena, g->guest_path, strlen(g->guest_path));
    copy->read_only = g->read_only;
    copy->bucket = g->bucket;
    w->bucket_count += g->bucket != NULL ? 1 : 0;
    if (copy->host_path == NULL || copy->guest_path == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for grants");
    }
    return ST_OK;
}

/* A folder that nothing can be in any more. */
static status_t open_void(struct wasi *w, struct error *err)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/cloudskin.XXXXXX", w->staging);
    if (len < 0 || (size_t)len >= sizeof(path) || mkdtemp(path) == NULL) {
        return error_set_errno(err, errno, "folder for temporary files, %s", w->staging);
    }
    w->void_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int errnum = errno;
    rmdir(path);
    return w->void_fd >= 0 ? ST_OK : error_set_errno(err, errnum, "%s", path);
}

static status_t copy_grants(struct wasi *w, const struct wasi_config *config, struct error *err)
{
    if (config->grant_count > WASI_GRANTS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than %d grants", WASI_GRANTS_MAX);
    }
    w->grants = arena_alloc(&w->arena, config->grant_count, sizeof(*w->grants));
    if (w->grants == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for grants");
    }
    for (uint32_t i = 0; i < config->grant_count; i++) {
        status_t st = copy_grant(w, &config->grants[i], &w->grants[i], err);
        if (st != ST_OK) {
            return st;
        }
    }
    w->grant_count = config->grant_count;
    return w->bucket_count > 0 ? open_void(w, err) : ST_OK;
}

static void set_modules(struct wasi *w)
{
    w->modules[0] = (struct host_module){"wasi_snapshot_preview1", wasi_preview1_funcs, w};
    w->modules[1] = (struct host_module){"wasi_unstable", wasi_unstable_funcs, w};
}

status_t wasi_begin(const struct wasi_config *config, struct wasi **ret_w, struct error *err)
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
    pthread_mutex_init(&w->staged_lock, NULL);
    fdtable_init(&w->files, open_max);
    w->void_fd = -1;
    w->output_bytes_max = config->output_bytes_max;
    w->outside.input_fd = w->outside.output_fd = -1;
    w->path_method = path_method_probe();
    set_modules(w);
    const char *staging = config->staging != NULL ? config->staging : "/tmp";
    w->staging = arena_strndup(&w->arena, staging, strlen(staging));
    status_t st = w->staging != NULL
                      ? copy_grants(w, config, err)
                      : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for grants");
    if (st != ST_OK) {
        wasi_free(w);
        return st;
    }
    *ret_w = w;
    return ST_OK;
}

status_t wasi_new(const struct wasi_config *config, struct wasi **ret_w, struct error *err)
{
    struct wasi *w = NULL;
    status_t st = wasi_begin(config, &w, err);
    if (st == ST_OK) {
        st = copy_args(w, config, err);
    }
    if (st == ST_OK) {
        st = copy_env(w, config, err);
    }
    if (st == ST_OK) {
        st = add_files(w, config, err);
    }
    if (st == ST_OK && config->cwd != NULL) {
        st = check_cwd(w, config->cwd, err);
    }
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
    fdtable_done(&w->files); /* it gives scratch memory back */
    while (w->scratches != NULL) {
        wasi_scratch_free(w, w->scratches->data);
    }
    if (w->void_fd >= 0) {
        close(w->void_fd);
    }
    before_free(w->before);
    ids_done(&w->ids);
    pthread_mutex_destroy(&w->scratch_lock);
    pthread_mutex_destroy(&w->staged_lock);
    arena_done(&w->arena);
    free(w);
}

const struct host_module *wasi_host_modules(struct wasi *w, uint32_t *ret_count)
{
    *ret_count = sizeof(w->modules) / sizeof(w->modules[0]);
    return w->modules;
}

/* ---- buckets ---- */

/* The next one behind s, or the first one, counted; gives s back. */
static struct staged *next_staged(struct wasi *w, struct staged *s)
{
    pthread_mutex_lock(&w->staged_lock);
    struct staged *next = s == NULL ? w->staged : s->next;
    if (next != NULL) {
        next->refs++;
    }
    pthread_mutex_unlock(&w->staged_lock);
    staged_put(s);
    return next;
}

status_t wasi_publish(struct wasi *w, struct error *err)
{
    status_t st = ST_OK;
    for (struct staged *s = next_staged(w, NULL); s != NULL; s = next_staged(w, s)) {
        int errnum = staged_publish(s, NULL, NULL);
        if (errnum != 0 && st == ST_OK) {
            st = error_set(err, ST_IO, ERROR_NO_OFFSET, "%s%.150s: not written: %s",
                           s->bucket->place, s->path, strerror(errnum));
        }
    }
    return st;
}

void wasi_unpublished(struct wasi *w, void (*each)(void *arg, const char *place, uint64_t size),
                      void *arg)
{
    char place[2 * WASI_KEY_BYTES_MAX + 128];
    for (struct staged *s = next_staged(w, NULL); s != NULL; s = next_staged(w, s)) {
        if (s->dirty && !s->nameless) {
            snprintf(place, sizeof(place), "%s%s", s->bucket->place, s->path);
            each(arg, place, staged_size(s));
        }
    }
}
