#include "fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object.h"

enum { SLOTS_FIRST = 16 };

void fdtable_init(struct fdtable *t, uint32_t open_max)
{
    *t = (struct fdtable){.open_max = open_max};
    pthread_mutex_init(&t->lock, NULL);
}

void file_free(struct file *f)
{
    if (f == NULL) {
        return;
    }
    if (!f->borrowed) {
        close(f->host_fd);
    }
    pthread_mutex_destroy(&f->dir_lock);
    cookies_done(&f->cookies);
    dirlist_free(f->list);
    object_free(f->object);
    free(f->path);
    free(f->preopen);
    free(f);
}

void fdtable_done(struct fdtable *t)
{
    while (t->all != NULL) {
        struct file *f = t->all;
        t->all = f->next;
        file_free(f);
    }
    free(t->slots);
    pthread_mutex_destroy(&t->lock);
    *t = (struct fdtable){0};
}

uint8_t filetype_from_mode(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return FILETYPE_REGULAR_FILE;
    case S_IFDIR:
        return FILETYPE_DIRECTORY;
    case S_IFLNK:
        return FILETYPE_SYMBOLIC_LINK;
    case S_IFCHR:
        return FILETYPE_CHARACTER_DEVICE;
    case S_IFBLK:
        return FILETYPE_BLOCK_DEVICE;
    case S_IFSOCK:
    case S_IFIFO:
        return FILETYPE_SOCKET_STREAM;
    default:
        return FILETYPE_UNKNOWN;
    }
}

static int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : 0;
}

static void describe_socket(struct file *f)
{
    f->filetype = socket_option(f->host_fd, SO_TYPE) == SOCK_STREAM ? FILETYPE_SOCKET_STREAM
                                                                    : FILETYPE_SOCKET_DGRAM;
    if (socket_option(f->host_fd, SO_ACCEPTCONN) != 0) {
        f->kind = FILE_LISTENER;
        f->rights_base = RIGHTS_LISTENER;
        f->rights_inheriting = RIGHTS_SOCKET;
    } else {
        f->kind = FILE_SOCKET;
        f->rights_base = RIGHTS_SOCKET;
    }
}

/* Kind, type and rights from what the descriptor is. */
static void describe(struct file *f, uint32_t mode)
{
    f->filetype = filetype_from_mode(mode);
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFBLK:
        f->kind = FILE_PLAIN;
        f->rights_base = RIGHTS_REGULAR;
        break;
    case S_IFDIR:
        f->kind = FILE_DIRECTORY;
        f->rights_base = RIGHTS_DIRECTORY;
        f->rights_inheriting = RIGHTS_DIRECTORY_INHERITING;
        break;
    case S_IFSOCK:
        describe_socket(f);
        break;
    case S_IFCHR:
        f->kind = FILE_STREAM;
        f->rights_base = isatty(f->host_fd) ? RIGHTS_STREAM
                                            : RIGHTS_STREAM | RIGHT_FD_SEEK | RIGHT_FD_TELL;
        break;
    default:
        f->kind = FILE_STREAM;
        f->rights_base = RIGHTS_STREAM;
        break;
    }
}

static uint16_t flags_from_host(int flags)
{
    uint16_t out = 0;
    if (flags & O_APPEND) {
        out |= FDFLAG_APPEND;
    }
    if (flags & O_NONBLOCK) {
        out |= FDFLAG_NONBLOCK;
    }
    if ((flags & O_SYNC) == O_SYNC) {
        out |= FDFLAG_SYNC;
    } else if (flags & O_DSYNC) {
        out |= FDFLAG_DSYNC;
    }
    return out;
}

struct file *file_new(int host_fd, bool borrowed, int *ret_errnum)
{
    struct stat st;
    int flags = fcntl(host_fd, F_GETFL);
    if (flags < 0 || fstat(host_fd, &st) != 0) {
        *ret_errnum = errno;
        return NULL;
    }
    struct file *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        *ret_errnum = ENOMEM;
        return NULL;
    }
    f->host_fd = host_fd;
    f->borrowed = borrowed;
    f->grant = FILE_NO_GRANT;
    f->handed = FILE_NOT_HANDED;
    f->refs = 1;
    pthread_mutex_init(&f->dir_lock, NULL);
    describe(f, st.st_mode);
    f->flags = flags_from_host(flags);
    if ((flags & O_ACCMODE) == O_RDONLY && f->kind != FILE_DIRECTORY && f->kind != FILE_LISTENER) {
        f->rights_base &= ~RIGHTS_WRITE_DATA;
    }
    if ((flags & O_ACCMODE) == O_WRONLY) {
        f->rights_base &= ~RIGHT_FD_READ;
    }
    return f;
}

char *file_path_join(const char *dir_path, const char *name)
{
    if (dir_path == NULL) {
        return NULL;
    }
    size_t dir_len = strlen(dir_path);
    size_t cap = dir_len + strlen(name) + 2;
    char *out = malloc(cap);
    if (out == NULL) {
        return NULL;
    }
    memcpy(out, dir_path, dir_len);
    size_t len = dir_len;
    for (const char *p = name; *p != '\0';) {
        size_t part = strcspn(p, "/");
        if (part > 0 && !(part == 1 && p[0] == '.')) {
            if (len > 0) {
                out[len++] = '/';
            }
            memcpy(out + len, p, part);
            len += part;
        }
        p += part;
        p += strspn(p, "/");
    }
    out[len] = '\0';
    if (len > WASI_PATH_BYTES_MAX) {
        free(out);
        return NULL;
    }
    return out;
}

static bool grow(struct fdtable *t)
{
    uint32_t cap = t->slot_cap == 0 ? SLOTS_FIRST : t->slot_cap * 2;
    struct file **slots = realloc(t->slots, cap * sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    memset(slots + t->slot_cap, 0, (cap - t->slot_cap) * sizeof(*slots));
    t->slots = slots;
    t->slot_cap = cap;
    return true;
}

static enum wasi_errno place_locked(struct fdtable *t, struct file *f, uint32_t fd)
{
    if (t->open_count >= t->open_max) {
        return WASI_MFILE;
    }
    while (fd >= t->slot_cap) {
        if (!grow(t)) {
            return WASI_NOMEM;
        }
    }
    if (t->slots[fd] != NULL) {
        return WASI_EXIST;
    }
    t->slots[fd] = f;
    if (fd == t->lowest_free) {
        t->lowest_free = fd + 1;
    }
    t->open_count++;
    f->prev = NULL;
    f->next = t->all;
    if (t->all != NULL) {
        t->all->prev = f;
    }
    t->all = f;
    return WASI_OK;
}

static enum wasi_errno add_locked(struct fdtable *t, struct file *f, uint32_t *ret_fd)
{
    uint32_t fd = t->lowest_free;
    while (fd < t->slot_cap && t->slots[fd] != NULL) {
        fd++;
    }
    t->lowest_free = fd;
    enum wasi_errno e = place_locked(t, f, fd);
    if (e == WASI_OK) {
        *ret_fd = fd;
    }
    return e;
}

enum wasi_errno fdtable_add(struct fdtable *t, struct file *f, uint32_t *ret_fd)
{
    pthread_mutex_lock(&t->lock);
    enum wasi_errno e = add_locked(t, f, ret_fd);
    pthread_mutex_unlock(&t->lock);
    return e;
}

enum wasi_errno fdtable_add_at(struct fdtable *t, struct file *f, uint32_t fd)
{
    if (fd >= WASI_OPEN_FILES_MAX) {
        return WASI_BADF;
    }
    pthread_mutex_lock(&t->lock);
    enum wasi_errno e = place_locked(t, f, fd);
    pthread_mutex_unlock(&t->lock);
    return e;
}

bool fdtable_is_full(struct fdtable *t)
{
    pthread_mutex_lock(&t->lock);
    bool full = t->open_count >= t->open_max;
    pthread_mutex_unlock(&t->lock);
    return full;
}

static struct file *find_locked(struct fdtable *t, uint32_t fd)
{
    return fd < t->slot_cap ? t->slots[fd] : NULL;
}

static bool type_has_any(const struct file *f, uint64_t rights)
{
    switch (f->kind) {
    case FILE_DIRECTORY:
        return (RIGHTS_DIRECTORY & rights) != 0;
    case FILE_SOCKET:
    case FILE_LISTENER:
        return ((RIGHTS_SOCKET | RIGHTS_LISTENER) & rights) != 0;
    case FILE_STREAM:
        return (RIGHTS_STREAM & rights) != 0;
    case FILE_PLAIN:
        return (RIGHTS_REGULAR & rights) != 0;
    }
    return false;
}

/* Say it as a native system call would where the type of the file is the reason. */
static enum wasi_errno missing_right(const struct file *f, uint64_t missing)
{
    if (f->kind == FILE_PLAIN && (f->rights_base & RIGHT_FD_WRITE) == 0) {
        /* Not open for writing. */
        if (missing & RIGHT_FD_FILESTAT_SET_SIZE) {
            return WASI_INVAL;
        }
        if (missing & RIGHT_FD_ALLOCATE) {
            return WASI_BADF;
        }
    }
    if (missing & (RIGHT_FD_READ | RIGHT_FD_WRITE) && f->kind != FILE_DIRECTORY) {
        return WASI_BADF;
    }
    if (type_has_any(f, missing)) {
        return WASI_NOTCAPABLE;
    }
    if (missing & RIGHTS_PATHS) {
        return WASI_NOTDIR;
    }
    if (missing & (RIGHT_SOCK_SHUTDOWN | RIGHT_SOCK_ACCEPT)) {
        return WASI_NOTSOCK;
    }
    if (f->kind == FILE_DIRECTORY) {
        return WASI_ISDIR;
    }
    if (missing & (RIGHT_FD_SEEK | RIGHT_FD_TELL | RIGHT_FD_ADVISE | RIGHT_FD_ALLOCATE)) {
        return WASI_SPIPE;
    }
    return WASI_INVAL;
}

static enum wasi_errno check_rights(const struct file *f, uint64_t rights)
{
    uint64_t missing = rights & ~f->rights_base;
    if (f->read_only && (rights & RIGHTS_CHANGE) != 0 && type_has_any(f, rights & RIGHTS_CHANGE)) {
        return (missing & RIGHT_FD_WRITE) ? WASI_BADF : WASI_ROFS;
    }
    return missing == 0 ? WASI_OK : missing_right(f, missing);
}

enum wasi_errno fdtable_use(struct fdtable *t, uint32_t fd, uint64_t rights,
                            struct file_use *ret_use)
{
    pthread_mutex_lock(&t->lock);
    struct file *f = find_locked(t, fd);
    enum wasi_errno e = f == NULL ? WASI_BADF : check_rights(f, rights);
    if (e == WASI_OK) {
        f->refs++;
        *ret_use = (struct file_use){
            .file = f,
            .rights_base = f->rights_base,
            .rights_inheriting = f->rights_inheriting,
            .flags = f->flags,
        };
    }
    pthread_mutex_unlock(&t->lock);
    return e;
}

/* Drop one reference; the file when it was the last, for the caller to free behind the lock. */
static struct file *unref_locked(struct fdtable *t, struct file *f)
{
    if (--f->refs > 0) {
        return NULL;
    }
    if (f->prev != NULL) {
        f->prev->next = f->next;
    } else {
        t->all = f->next;
    }
    if (f->next != NULL) {
        f->next->prev = f->prev;
    }
    return f;
}

void file_put(struct fdtable *t, struct file_use *u)
{
    if (u->file == NULL) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    struct file *last = unref_locked(t, u->file);
    pthread_mutex_unlock(&t->lock);
    u->file = NULL;
    file_free(last);
}

static struct file *remove_locked(struct fdtable *t, uint32_t fd)
{
    struct file *f = t->slots[fd];
    t->slots[fd] = NULL;
    t->open_count--;
    if (fd < t->lowest_free) {
        t->lowest_free = fd;
    }
    return unref_locked(t, f);
}

void fdtable_each(struct fdtable *t, void (*each)(void *arg, struct file *f), void *arg)
{
    pthread_mutex_lock(&t->lock);
    for (struct file *f = t->all; f != NULL; f = f->next) {
        each(arg, f);
    }
    pthread_mutex_unlock(&t->lock);
}

enum wasi_errno fdtable_close(struct fdtable *t, uint32_t fd)
{
    pthread_mutex_lock(&t->lock);
    bool open = find_locked(t, fd) != NULL;
    struct file *last = open ? remove_locked(t, fd) : NULL;
    pthread_mutex_unlock(&t->lock);
    file_free(last);
    return open ? WASI_OK : WASI_BADF;
}

enum wasi_errno fdtable_renumber(struct fdtable *t, uint32_t from, uint32_t to)
{
    pthread_mutex_lock(&t->lock);
    struct file *f = find_locked(t, from);
    bool ok = f != NULL && find_locked(t, to) != NULL;
    struct file *last = NULL;
    if (ok && from != to) {
        last = remove_locked(t, to);
        t->slots[to] = f;
        t->slots[from] = NULL;
        if (from < t->lowest_free) {
            t->lowest_free = from;
        }
    }
    pthread_mutex_unlock(&t->lock);
    file_free(last);
    return ok ? WASI_OK : WASI_BADF;
}

enum wasi_errno fdtable_set_rights(struct fdtable *t, uint32_t fd, uint64_t base,
                                   uint64_t inheriting)
{
    enum wasi_errno e = WASI_OK;
    pthread_mutex_lock(&t->lock);
    struct file *f = find_locked(t, fd);
    if (f == NULL) {
        e = WASI_BADF;
    } else if ((base & ~f->rights_base) != 0 || (inheriting & ~f->rights_inheriting) != 0) {
        e = WASI_NOTCAPABLE;
    } else {
        f->rights_base = base;
        f->rights_inheriting = inheriting;
    }
    pthread_mutex_unlock(&t->lock);
    return e;
}

enum wasi_errno fdtable_set_flags(struct fdtable *t, uint32_t fd, uint16_t flags)
{
    if ((flags & ~FDFLAGS_KNOWN) != 0) {
        return WASI_INVAL;
    }
    pthread_mutex_lock(&t->lock);
    struct file *f = find_locked(t, fd);
    enum wasi_errno e = f == NULL ? WASI_BADF : check_rights(f, RIGHT_FD_FDSTAT_SET_FLAGS);
    if (e == WASI_OK) {
        f->flags = flags;
    }
    pthread_mutex_unlock(&t->lock);
    return e;
}
