#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A disk whose power is cut (docs/internals/geds-power.md): what calls change below one folder is written down, for
 * SQLite as well, and then what may be on the disk after a cut behind any of them is made. Nothing is ever synced
 * really: whether it was is what is written down. */

enum {
    DISK_NAME_MAX = 56,
    DISK_PAGE = 4096,
    DISK_SECTOR = 512,
    DISK_ROOT = 0,
    DISK_ALL = -1,
    DISK_SURE = 256
};

enum disk_kind {
    DISK_MAKE, /* inode gets its first name */
    DISK_MOVE, /* at becomes to, at once */
    DISK_REMOVE,
    DISK_WRITE,
    DISK_SIZE, /* off is its size */
    DISK_GROW, /* off is its size if that is less */
    DISK_SYNC, /* of inode, or DISK_ALL */
    DISK_MARK, /* of the test: off */
};
struct disk_slot {
    int dir;
    char name[DISK_NAME_MAX];
};
struct disk_op {
    enum disk_kind kind;
    int inode;
    bool folder;
    struct disk_slot at, to;
    uint64_t off;
    size_t len;
    uint8_t *data;
};
/* Calls in order. Guarded by disk_lock while it is written. */
struct disk_log {
    struct disk_op *ops;
    size_t count, cap;
    ino_t *inodes; /* what the numbers are on the real disk: the last one counts */
    int inode_count;
    dev_t dev;
};

static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;
static struct disk_log *disk_log; /* NULL: nothing is written down */
static void (*disk_before_rename)(
    void); /* called once, where the bytes of files are read as they are then */
/* Syncs that are not written down, as if they were not made. NULL: all are. */
static bool (*disk_forgets)(const char *path);

static uint64_t disk_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ x >> 33;
}

static uint64_t disk_dice(uint64_t *seed)
{
    return disk_mix(*seed += 0x9e3779b97f4a7c15ULL);
}

static void *disk_grown(void *old, size_t count, size_t *cap, size_t bytes)
{
    if (count < *cap) {
        return old;
    }
    *cap = *cap != 0 ? 2 * *cap : 64;
    void *grown = realloc(old, *cap * bytes);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

/* ---- writing down, all of it under the lock ---- */

static struct disk_op *disk_add(enum disk_kind kind, int inode)
{
    struct disk_log *l = disk_log;
    l->ops = disk_grown(l->ops, l->count, &l->cap, sizeof *l->ops);
    struct disk_op *op = &l->ops[l->count++];
    *op = (struct disk_op){.kind = kind, .inode = inode};
    return op;
}

/* -1: none that is looked at. */
static int disk_find(const struct stat *st)
{
    for (int i = disk_log != NULL ? disk_log->inode_count : 0; i > 0; i--) {
        if (disk_log->inodes[i - 1] == st->st_ino && disk_log->dev == st->st_dev) {
            return i - 1;
        }
    }
    return -1;
}

static int disk_find_fd(int fd)
{
    struct stat st;
    return disk_log != NULL && fstat(fd, &st) == 0 ? disk_find(&st) : -1;
}

static int disk_new_inode(ino_t ino)
{
    struct disk_log *l = disk_log;
    ino_t *grown = realloc(l->inodes, ((size_t)l->inode_count + 1) * sizeof *grown);
    if (grown == NULL) {
        abort();
    }
    l->inodes = grown;
    l->inodes[l->inode_count] = ino;
    return l->inode_count++;
}

/* false: it is in no folder that is looked at. */
static bool disk_slot_of(int at, const char *path, struct disk_slot *ret_slot)
{
    char folder[512];
    struct stat st;
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    size_t name = len;
    while (name > 0 && path[name - 1] != '/') {
        name--;
    }
    if (disk_log == NULL || name >= sizeof folder || len - name >= DISK_NAME_MAX || len == name) {
        return false;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)name, name == 0 ? "" : path);
    if (fstatat(at, name == 0 ? "." : folder, &st, 0) != 0) {
        return false;
    }
    *ret_slot = (struct disk_slot){.dir = disk_find(&st)};
    memcpy(ret_slot->name, path + name, len - name);
    return ret_slot->dir >= 0;
}

static void disk_made(int at, const char *path, bool folder)
{
    struct disk_slot slot;
    struct stat st;
    if (disk_slot_of(at, path, &slot) && fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        struct disk_op *op = disk_add(DISK_MAKE, disk_new_inode(st.st_ino));
        op->folder = folder;
        op->to = slot;
    }
}

static void disk_wrote(int fd, const void *data, ssize_t len, off_t off)
{
    int inode = len > 0 ? disk_find_fd(fd) : -1;
    if (inode >= 0) {
        struct disk_op *op = disk_add(DISK_WRITE, inode);
        op->off = (uint64_t)off;
        op->len = (size_t)len;
        op->data = malloc(op->len);
        memcpy(op->data, data, op->len);
    }
}

static void disk_sized(enum disk_kind kind, int fd, off_t size)
{
    int inode = disk_find_fd(fd);
    if (inode >= 0) {
        disk_add(kind, inode)->off = (uint64_t)size;
    }
}

/* Of the test. */
__attribute__((unused)) static void disk_mark(uint64_t what)
{
    pthread_mutex_lock(&disk_lock);
    if (disk_log != NULL) {
        disk_add(DISK_MARK, 0)->off = what;
    }
    pthread_mutex_unlock(&disk_lock);
}

/* What is on the disk until now is so for certain. */
__attribute__((unused)) static void disk_settle(void)
{
    pthread_mutex_lock(&disk_lock);
    disk_add(DISK_SYNC, DISK_ALL);
    pthread_mutex_unlock(&disk_lock);
}

/* Write down what becomes of an empty folder. */
static void disk_watch(struct disk_log *l, const char *folder)
{
    struct stat st;
    if (stat(folder, &st) != 0) {
        abort();
    }
    pthread_mutex_lock(&disk_lock);
    *l = (struct disk_log){.dev = st.st_dev};
    disk_log = l;
    disk_new_inode(st.st_ino);
    pthread_mutex_unlock(&disk_lock);
}

static void disk_watch_no_more(void)
{
    pthread_mutex_lock(&disk_lock);
    disk_log = NULL;
    pthread_mutex_unlock(&disk_lock);
}

static void disk_log_done(struct disk_log *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->ops[i].data);
    }
    free(l->ops);
    free(l->inodes);
    *l = (struct disk_log){0};
}

/* ---- calls that stand in for libc's ---- */

#define STANDS_IN __attribute__((visibility("default")))

static int disk_open(int at, const char *path, int flags, mode_t mode)
{
    struct stat st;
    bool makes = (flags & O_CREAT) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
    pthread_mutex_lock(&disk_lock);
    bool was = !makes || disk_log == NULL || fstatat(at, path, &st, 0) == 0;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int errnum = errno;
    struct stat mine;
    if (fd >= 0 && (flags & O_TMPFILE) == O_TMPFILE && disk_log != NULL && fstat(fd, &mine) == 0) {
        disk_new_inode(mine.st_ino); /* without a name, and none of those that had the number */
    } else if (fd >= 0 && !was) {
        disk_made(at, path, false);
    } else if (fd >= 0 && (flags & O_TRUNC) != 0) {
        disk_sized(DISK_SIZE, fd, 0);
    }
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return fd;
}

#define MODE_OF(flags, mode)         \
    do {                             \
        va_list args;                \
        va_start(args, flags);       \
        mode = va_arg(args, mode_t); \
        va_end(args);                \
    } while (0)
#define OPENS(name, at, ...)                        \
    STANDS_IN int name(__VA_ARGS__, int flags, ...) \
    {                                               \
        mode_t mode = 0;                            \
        if ((flags & (O_CREAT | O_TMPFILE)) != 0) { \
            MODE_OF(flags, mode);                   \
        }                                           \
        return disk_open(at, path, flags, mode);    \
    }
OPENS(open, AT_FDCWD, const char *path)
OPENS(open64, AT_FDCWD, const char *path)
OPENS(openat, at, int at, const char *path)
OPENS(openat64, at, int at, const char *path)

static ssize_t disk_pwrite(int fd, const void *data, size_t len, off_t off)
{
    pthread_mutex_lock(&disk_lock);
    ssize_t n = syscall(SYS_pwrite64, fd, data, len, off);
    int errnum = errno;
    disk_wrote(fd, data, n, off);
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return n;
}

STANDS_IN ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
    return disk_pwrite(fd, data, len, off);
}

STANDS_IN ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
    return disk_pwrite(fd, data, len, off);
}

STANDS_IN ssize_t write(int fd, const void *data, size_t len)
{
    if (fd <= STDERR_FILENO) {
        return syscall(SYS_write, fd, data, len);
    }
    pthread_mutex_lock(&disk_lock);
    ssize_t n = syscall(SYS_write, fd, data, len);
    int errnum = errno;
    disk_wrote(fd, data, n, n > 0 ? lseek(fd, 0, SEEK_CUR) - n : 0);
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return n;
}

static int disk_cut(int fd, off_t size)
{
    pthread_mutex_lock(&disk_lock);
    int result = (int)syscall(SYS_ftruncate, fd, size);
    int errnum = errno;
    if (result == 0) {
        disk_sized(DISK_SIZE, fd, size);
    }
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return result;
}

STANDS_IN int ftruncate(int fd, off_t size)
{
    return disk_cut(fd, size);
}

STANDS_IN int ftruncate64(int fd, off64_t size)
{
    return disk_cut(fd, size);
}

static int disk_allocate(int fd, off_t off, off_t len)
{
    pthread_mutex_lock(&disk_lock);
    int errnum = syscall(SYS_fallocate, fd, 0, off, len) == 0 ? 0 : errno;
    if (errnum == 0) {
        disk_sized(DISK_GROW, fd, off + len);
    }
    pthread_mutex_unlock(&disk_lock);
    return errnum;
}

STANDS_IN int posix_fallocate(int fd, off_t off, off_t len)
{
    return disk_allocate(fd, off, len);
}

STANDS_IN int posix_fallocate64(int fd, off64_t off, off64_t len)
{
    return disk_allocate(fd, off, len);
}

static int disk_sync(int fd)
{
    char path[64], target[512] = "";
    pthread_mutex_lock(&disk_lock);
    int inode = disk_find_fd(fd);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (inode >= 0 && (disk_forgets == NULL || readlink(path, target, sizeof target - 1) < 0 ||
                       !disk_forgets(target))) {
        disk_add(DISK_SYNC, inode);
    }
    pthread_mutex_unlock(&disk_lock);
    return 0;
}

STANDS_IN int fsync(int fd)
{
    return disk_sync(fd);
}

STANDS_IN int fdatasync(int fd)
{
    return disk_sync(fd);
}

static int disk_rename(int from_at, const char *from, int to_at, const char *to)
{
    struct disk_slot at, as;
    void (*call)(void) = disk_before_rename;
    disk_before_rename = NULL;
    if (call != NULL) {
        call();
    }
    pthread_mutex_lock(&disk_lock);
    bool known = disk_slot_of(from_at, from, &at) && disk_slot_of(to_at, to, &as);
    int result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
    int errnum = errno;
    if (result == 0 && known) {
        struct disk_op *op = disk_add(DISK_MOVE, 0);
        op->at = at;
        op->to = as;
    }
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return result;
}

STANDS_IN int rename(const char *from, const char *to)
{
    return disk_rename(AT_FDCWD, from, AT_FDCWD, to);
}

STANDS_IN int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return disk_rename(from_at, from, to_at, to);
}

static int disk_remove(int at, const char *path, int flags)
{
    struct disk_slot slot;
    pthread_mutex_lock(&disk_lock);
    bool known = disk_slot_of(at, path, &slot);
    int result = (int)syscall(SYS_unlinkat, at, path, flags);
    int errnum = errno;
    if (result == 0 && known) {
        disk_add(DISK_REMOVE, 0)->at = slot;
    }
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return result;
}

STANDS_IN int unlink(const char *path)
{
    return disk_remove(AT_FDCWD, path, 0);
}

STANDS_IN int unlinkat(int at, const char *path, int flags)
{
    return disk_remove(at, path, flags);
}

static int disk_mkdir(int at, const char *path, mode_t mode)
{
    pthread_mutex_lock(&disk_lock);
    int result = (int)syscall(SYS_mkdirat, at, path, mode);
    int errnum = errno;
    if (result == 0) {
        disk_made(at, path, true);
    }
    pthread_mutex_unlock(&disk_lock);
    errno = errnum;
    return result;
}

STANDS_IN int mkdir(const char *path, mode_t mode)
{
    return disk_mkdir(AT_FDCWD, path, mode);
}

STANDS_IN int mkdirat(int at, const char *path, mode_t mode)
{
    return disk_mkdir(at, path, mode);
}

/* ---- what is on the disk after a cut ---- */

struct disk_inode {
    bool folder;
    uint8_t *data;
    size_t size;
    const struct disk_op **waits; /* not synced, in order */
    size_t count, cap;
};
struct disk_entry {
    struct disk_slot slot;
    int inode;
};
struct disk {
    struct disk_inode *inodes;
    int inode_count;
    struct disk_entry *entries;
    size_t entry_count, entry_cap;
    const struct disk_op **waits; /* names that are not synced, in order */
    size_t count, cap;
};
/* What becomes of what was not synced: of 256, how much of it is there. ordered: of names the first ones. */
struct disk_luck {
    unsigned pages, names;
    bool ordered;
    bool stale; /* the rest of the pages is as it was at the last sync, not of any moment since */
    uint64_t seed;
};

static bool disk_same_slot(const struct disk_slot *a, const struct disk_slot *b)
{
    return a->dir == b->dir && a->name[0] != '\0' && strcmp(a->name, b->name) == 0;
}

static bool disk_share_slot(const struct disk_op *a, const struct disk_op *b)
{
    return disk_same_slot(&a->at, &b->at) || disk_same_slot(&a->at, &b->to) ||
           disk_same_slot(&a->to, &b->at) || disk_same_slot(&a->to, &b->to);
}

static int disk_take_entry(struct disk *d, const struct disk_slot *slot)
{
    for (size_t i = 0; i < d->entry_count; i++) {
        if (disk_same_slot(&d->entries[i].slot, slot)) {
            int inode = d->entries[i].inode;
            d->entries[i] = d->entries[--d->entry_count];
            return inode;
        }
    }
    return -1;
}

static void disk_apply_name(struct disk *d, const struct disk_op *op)
{
    int inode = op->kind == DISK_MAKE ? op->inode : disk_take_entry(d, &op->at);
    if (op->kind != DISK_REMOVE && inode >= 0) {
        disk_take_entry(d, &op->to);
        d->entries = disk_grown(d->entries, d->entry_count, &d->entry_cap, sizeof *d->entries);
        d->entries[d->entry_count++] = (struct disk_entry){.slot = op->to, .inode = inode};
    }
}

/* Those that are chosen are on the disk. */
static void disk_apply_names(struct disk *d, const bool *chosen)
{
    size_t left = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (chosen[i]) {
            disk_apply_name(d, d->waits[i]);
        } else {
            d->waits[left++] = d->waits[i];
        }
    }
    d->count = left;
}

/* All changes of names in the folder, and those before that they need. */
static void disk_sync_folder(struct disk *d, int dir)
{
    bool *chosen = calloc(d->count + 1, sizeof *chosen);
    for (size_t i = d->count; i > 0; i--) {
        const struct disk_op *op = d->waits[i - 1];
        bool in = dir == DISK_ALL || (op->at.name[0] != '\0' && op->at.dir == dir) ||
                  (op->to.name[0] != '\0' && op->to.dir == dir);
        for (size_t k = i; k < d->count && !in; k++) {
            in = chosen[k] && disk_share_slot(op, d->waits[k]);
        }
        chosen[i - 1] = in;
    }
    disk_apply_names(d, chosen);
    free(chosen);
}

static void disk_lose_names(struct disk *d, const struct disk_luck *luck, uint64_t *seed)
{
    bool *chosen = calloc(d->count + 1, sizeof *chosen);
    size_t first = luck->ordered ? disk_dice(seed) % (d->count + 1) : 0;
    for (size_t i = 0; i < d->count; i++) {
        bool in = luck->ordered ? i < first : disk_dice(seed) % DISK_SURE < luck->names;
        for (size_t k = 0; k < i && in; k++) {
            in = chosen[k] || !disk_share_slot(d->waits[i], d->waits[k]);
        }
        chosen[i] = in;
    }
    disk_apply_names(d, chosen);
    free(chosen);
}

static size_t disk_size_after(size_t size, const struct disk_op *op)
{
    size_t end = (size_t)op->off + op->len;
    return op->kind == DISK_SIZE ? end : size > end ? size : end;
}

/* What the call does to len bytes from start on. */
static void disk_apply_bytes(const struct disk_op *op, uint8_t *bytes, size_t start, size_t len)
{
    size_t from = op->off > start ? (size_t)op->off : start;
    if (op->kind == DISK_SIZE && from < start + len) {
        memset(bytes + (from - start), 0, start + len - from);
    } else if (op->kind == DISK_WRITE) {
        size_t end = (size_t)op->off + op->len;
        end = end < start + len ? end : start + len;
        if (from < end) {
            memcpy(bytes + (from - start), op->data + (from - op->off), end - from);
        }
    }
}

/* How many calls bytes have seen: those that gave the file its size, and none that changed it later, among them. */
static size_t disk_pick(const struct disk_inode *f, size_t sized, size_t start, size_t len,
                        const struct disk_luck *luck, uint64_t *seed)
{
    size_t low = 0, high = f->count;
    for (size_t i = 0; i < f->count; i++) {
        bool cuts = f->waits[i]->kind == DISK_SIZE && f->waits[i]->off < start + len;
        low = cuts && i < sized ? i + 1 : low;
        high = cuts && i >= sized && i < high ? i : high;
    }
    uint64_t dice = disk_dice(seed);
    if (dice % DISK_SURE < luck->pages) {
        return high;
    }
    return luck->stale ? low : low + (size_t)((dice >> 16) % (high - low + 1));
}

static void disk_lose_page(struct disk_inode *f, size_t sized, size_t start,
                           const struct disk_luck *luck, uint64_t *seed)
{
    bool torn = disk_dice(seed) % 8 == 0;
    size_t count = disk_pick(f, sized, start, DISK_PAGE, luck, seed);
    for (size_t at = start; at < start + DISK_PAGE; at += DISK_SECTOR) {
        count = torn ? disk_pick(f, sized, start, DISK_PAGE, luck, seed) : count;
        for (size_t i = 0; i < count; i++) {
            disk_apply_bytes(f->waits[i], f->data + at, at, DISK_SECTOR);
        }
    }
}

/* Each page that was changed is of some moment since the last sync, the size of another one. luck NULL: of now. */
static void disk_lose_bytes(struct disk_inode *f, const struct disk_luck *luck, uint64_t *seed)
{
    const struct disk_luck all = {.pages = DISK_SURE};
    size_t most = f->size, size = f->size, sized = f->count;
    if (f->count == 0) {
        return;
    }
    if (luck != NULL && disk_dice(seed) % DISK_SURE >= luck->pages) {
        sized = luck->stale ? 0 : disk_dice(seed) % (f->count + 1);
    }
    for (size_t i = 0, now = f->size; i < f->count; i++) {
        now = disk_size_after(now, f->waits[i]);
        most = now > most ? now : most;
        size = i < sized ? now : size;
    }
    size_t pages = most / DISK_PAGE + 1;
    bool *changed = calloc(pages, sizeof *changed);
    f->data = realloc(f->data, pages * DISK_PAGE);
    memset(f->data + f->size, 0, pages * DISK_PAGE - f->size);
    for (size_t i = 0; i < f->count; i++) {
        const struct disk_op *op = f->waits[i];
        size_t end = op->kind == DISK_SIZE ? most : (size_t)op->off + op->len;
        for (size_t p = (size_t)op->off / DISK_PAGE; p < pages && p * DISK_PAGE < end; p++) {
            changed[p] = true;
        }
    }
    for (size_t p = 0; p < pages; p++) {
        if (changed[p]) {
            disk_lose_page(f, sized, p * DISK_PAGE, luck != NULL ? luck : &all, seed);
        }
    }
    free(changed);
    f->size = size;
    f->count = 0;
}

static void disk_sync_inode(struct disk *d, int inode)
{
    for (int i = inode == DISK_ALL ? 0 : inode; i < d->inode_count; i++) {
        disk_lose_bytes(&d->inodes[i], NULL, &(uint64_t){0});
        if (inode != DISK_ALL) {
            break;
        }
    }
    if (inode == DISK_ALL || d->inodes[inode].folder) {
        disk_sync_folder(d, inode);
    }
}

/* What is there when the power is cut behind the first `count` calls. */
static void disk_after(struct disk *d, const struct disk_log *l, size_t count,
                       const struct disk_luck *luck)
{
    uint64_t seed = luck->seed;
    *d = (struct disk){.inodes = calloc((size_t)l->inode_count, sizeof *d->inodes),
                       .inode_count = l->inode_count};
    d->inodes[DISK_ROOT].folder = true;
    for (size_t i = 0; i < count; i++) {
        const struct disk_op *op = &l->ops[i];
        struct disk_inode *f = op->inode >= 0 ? &d->inodes[op->inode] : NULL;
        if (op->kind == DISK_SYNC) {
            disk_sync_inode(d, op->inode);
        } else if (op->kind == DISK_MAKE || op->kind == DISK_MOVE || op->kind == DISK_REMOVE) {
            d->waits = disk_grown(d->waits, d->count, &d->cap, sizeof *d->waits);
            d->waits[d->count++] = op;
            f->folder = op->kind == DISK_MAKE ? op->folder : f->folder;
        } else if (op->kind != DISK_MARK) {
            f->waits = disk_grown(f->waits, f->count, &f->cap, sizeof *f->waits);
            f->waits[f->count++] = op;
        }
    }
    disk_lose_names(d, luck, &seed);
    for (int i = 0; i < d->inode_count; i++) {
        disk_lose_bytes(&d->inodes[i], luck, &seed);
    }
}

static void disk_done(struct disk *d)
{
    for (int i = 0; i < d->inode_count; i++) {
        free(d->inodes[i].data);
        free(d->inodes[i].waits);
    }
    free(d->inodes);
    free(d->entries);
    free(d->waits);
    *d = (struct disk){0};
}

static void disk_build_folder(const struct disk *d, int dir, int at)
{
    for (size_t i = 0; i < d->entry_count; i++) {
        const struct disk_entry *e = &d->entries[i];
        const struct disk_inode *f = &d->inodes[e->inode];
        if (e->slot.dir != dir) {
            continue;
        }
        int fd = -1;
        if (f->folder && mkdirat(at, e->slot.name, 0700) == 0) {
            fd = openat(at, e->slot.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        } else if (!f->folder) {
            fd = openat(at, e->slot.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        }
        if (fd < 0 || (!f->folder && (pwrite(fd, f->data, f->size, 0) != (ssize_t)f->size ||
                                      ftruncate(fd, (off_t)f->size) != 0))) {
            perror(e->slot.name);
            abort();
        }
        if (f->folder) {
            disk_build_folder(d, e->inode, fd);
        }
        close(fd);
    }
}

/* Into an empty folder. */
static void disk_build(const struct disk *d, const char *folder)
{
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        abort();
    }
    disk_build_folder(d, DISK_ROOT, at);
    close(at);
}

#endif
