#include "master.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/parse.h"
#include "sys/files.h"

enum {
    ID_DIGITS = 16,
    KEY_DIGITS = 2 * SEAL_KEY_BYTES,
    LINE_BYTES = ID_DIGITS + 1 + KEY_DIGITS,
    TABLE_BYTES = STORE_MASTER_KEYS_MAX * SEAL_KEY_BYTES,
    TEMPORARY_DIGITS = 12, /* of file_write_atomic */
};

static const char head[] = "# Master keys of a CloudSkin store, the newest last. Without them "
                           "nobody reads what is encrypted; who has them can.\n";

status_t masters_init(struct masters *m, struct error *err)
{
    void *page = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
    if (page == MAP_FAILED) {
        return error_set_errno(err, errno, "memory for keys");
    }
    /* both as far as the system lets us */
    int ignored = mlock(page, TABLE_BYTES);
    ignored = madvise(page, TABLE_BYTES, MADV_DONTDUMP);
    (void)ignored;
    *m = (struct masters){.keys = page};
    return ST_OK;
}

void masters_done(struct masters *m)
{
    if (m->keys != NULL) {
        OPENSSL_cleanse(m->keys, TABLE_BYTES);
        munmap(m->keys, TABLE_BYTES);
    }
    *m = (struct masters){0};
}

/* Not 0, and a positive number of the database. */
static uint64_t id_of(const uint8_t key[SEAL_KEY_BYTES])
{
    static const char label[] = "CloudSkin master key";
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    uint64_t id = 0;
    sha256_init(&hash);
    sha256_update(&hash, label, sizeof label - 1);
    sha256_update(&hash, key, SEAL_KEY_BYTES);
    sha256_final(&hash, digest);
    OPENSSL_cleanse(&hash, sizeof hash);
    for (size_t i = 0; i < 8; i++) {
        id = id << 8 | digest[i];
    }
    id >>= 1;
    return id != 0 ? id : 1;
}

void store_key_text(uint64_t id, char ret_text[STORE_KEY_ID_BYTES])
{
    snprintf(ret_text, STORE_KEY_ID_BYTES, "%016llx", (unsigned long long)id);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* *ret_id and *ret_key of a line without its end. */
static bool parse_line(const char *line, size_t len, uint64_t *ret_id,
                       uint8_t ret_key[SEAL_KEY_BYTES])
{
    char id[ID_DIGITS + 1];
    if (len != LINE_BYTES || line[ID_DIGITS] != ' ') {
        return false;
    }
    memcpy(id, line, ID_DIGITS);
    id[ID_DIGITS] = '\0';
    if (parse_hex(id, INT64_MAX, ret_id) != ST_OK) {
        return false;
    }
    for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
        const char *at = line + ID_DIGITS + 1 + 2 * i;
        int high = digit(at[0]), low = digit(at[1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static status_t take_line(struct masters *m, const char *line, size_t len, unsigned number,
                          struct error *err)
{
    uint8_t key[SEAL_KEY_BYTES];
    uint64_t id = 0;
    status_t st = ST_OK;
    if (len == 0 || line[0] == '#') {
        return ST_OK;
    }
    if (!parse_line(line, len, &id, key)) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "line %u is not `ID KEY`", number);
    } else if (id != id_of(key)) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                       "line %u: this is not the key %016llx: it was changed", number,
                       (unsigned long long)id);
    } else if (masters_find(m, id) != NULL || m->count == STORE_MASTER_KEYS_MAX) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                       "line %u: the key %016llx again, or more than %d keys", number,
                       (unsigned long long)id, STORE_MASTER_KEYS_MAX);
    } else {
        memcpy(m->keys[m->count], key, sizeof key);
        m->ids[m->count++] = id;
    }
    OPENSSL_cleanse(key, sizeof key);
    return st;
}

status_t masters_parse(struct masters *m, const char *text, size_t len, struct error *err)
{
    status_t st = ST_OK;
    unsigned number = 1;
    for (size_t at = 0; at < len && st == ST_OK; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        st = take_line(m, text + at, n, number, err);
        at += n + 1;
    }
    if (st == ST_OK && m->count == 0) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "there is no key in it");
    }
    if (st != ST_OK) {
        OPENSSL_cleanse(m->keys, TABLE_BYTES);
        m->count = 0;
    }
    return st;
}

static status_t read_open(struct masters *m, int fd, const char *path, struct error *err)
{
    char text[MASTERS_TEXT_MAX];
    struct stat info;
    struct error inner = {0};
    if (fstat(fd, &info) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(info.st_mode) || info.st_size > MASTERS_TEXT_MAX) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: not a file of master keys", path);
    }
    if ((info.st_mode & 077) != 0) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET,
                         "%s: others may read it (mode %03o); it must be 0600", path,
                         (unsigned)info.st_mode & 0777);
    }
    size_t len = (size_t)info.st_size;
    status_t st = file_read_all(fd, text, len) == 0 ? ST_OK
                                                    : error_set_errno(err, errno, "%s", path);
    if (st == ST_OK && (st = masters_parse(m, text, len, &inner)) != ST_OK) {
        error_set(err, st, ERROR_NO_OFFSET, "%s: %s", path, inner.text);
    }
    OPENSSL_cleanse(text, sizeof text);
    return st;
}

status_t masters_read(struct masters *m, const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    status_t st = read_open(m, fd, path, err);
    close(fd);
    return st;
}

status_t masters_write(const struct masters *m, const char *path, struct error *err)
{
    char text[MASTERS_TEXT_MAX];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", head);
    for (size_t i = 0; i < m->count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%016llx ",
                                (unsigned long long)m->ids[i]);
        for (size_t k = 0; k < SEAL_KEY_BYTES; k++) {
            len += (size_t)snprintf(text + len, sizeof text - len, "%02x", m->keys[i][k]);
        }
        len += (size_t)snprintf(text + len, sizeof text - len, "\n");
    }
    status_t st = file_write_atomic(path, text, len, 0600, FILE_SYNC, err);
    OPENSSL_cleanse(text, sizeof text);
    return st;
}

/* What a write that was cut off leaves: `.NAME.` and digits. */
struct left_over {
    int folder_fd;
    const char *name; /* of the file of keys */
    bool removes;
    size_t found;
};

static status_t look_at(void *arg, const char *name, struct error *err)
{
    struct left_over *l = arg;
    size_t len = strlen(l->name);
    (void)err;
    if (name[0] != '.' || strncmp(name + 1, l->name, len) != 0 || name[len + 1] != '.' ||
        strlen(name + len + 2) != TEMPORARY_DIGITS ||
        strspn(name + len + 2, "0123456789abcdef") != TEMPORARY_DIGITS) {
        return ST_OK;
    }
    l->found++;
    if (l->removes) {
        unlinkat(l->folder_fd, name, 0); /* it is looked for again next time */
    }
    return ST_OK;
}

/* How many there are, or were. */
static size_t left_overs(const char *path, bool removes)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
             slash != NULL ? path : ".");
    struct left_over l = {.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                          .name = slash != NULL ? slash + 1 : path,
                          .removes = removes};
    if (l.folder_fd >= 0) {
        status_t ignored = folder_each(l.folder_fd, folder, look_at, &l, NULL);
        (void)ignored;
        close(l.folder_fd);
    }
    return l.found;
}

static status_t find_target(const char *path, char ret_path[PATH_MAX], struct error *err)
{
    struct stat info;
    if (realpath(path, ret_path) != NULL) {
        return ST_OK;
    }
    if (errno != ENOENT) {
        return error_set_errno(err, errno, "%s", path);
    }
    if (lstat(path, &info) == 0) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "%s: a link that leads nowhere", path);
    }
    return snprintf(ret_path, PATH_MAX, "%s", path) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%.100s: too long", path);
}

status_t masters_lock(const char *path, struct masters_lock *ret_lock, struct error *err)
{
    struct masters_lock l = {.fd = -1};
    status_t st = find_target(path, l.path, err);
    if (st != ST_OK) {
        return st;
    }
    const char *slash = strrchr(l.path, '/');
    size_t folder_len = slash != NULL ? (size_t)(slash - l.path) + 1 : 0;
    int len = snprintf(l.lock, sizeof l.lock, "%.*s.%s.lock", (int)folder_len, l.path,
                       l.path + folder_len);
    if (len < 0 || len >= PATH_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%.100s: too long", path);
    }
    st = file_lock(l.lock, true, &l.fd, err);
    if (st == ST_OK) {
        left_overs(l.path, true);
        *ret_lock = l;
    }
    return st;
}

void masters_unlock(struct masters_lock *l)
{
    file_lock_release(l->fd, l->lock);
    l->fd = -1;
}

void masters_tidy(const char *path)
{
    struct masters_lock l;
    char target[PATH_MAX];
    if (find_target(path, target, NULL) == ST_OK && left_overs(target, false) > 0 &&
        masters_lock(path, &l, NULL) == ST_OK) {
        masters_unlock(&l);
    }
}

status_t masters_add(struct masters *m, struct error *err)
{
    if (m->count == STORE_MASTER_KEYS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "there are %d master keys: drop those that nothing needs",
                         STORE_MASTER_KEYS_MAX);
    }
    status_t st = seal_random_key(m->keys[m->count], err);
    if (st == ST_OK) {
        m->ids[m->count] = id_of(m->keys[m->count]);
        m->count++;
    }
    return st;
}

const uint8_t *masters_find(const struct masters *m, uint64_t id)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->ids[i] == id) {
            return m->keys[i];
        }
    }
    return NULL;
}

void masters_remove(struct masters *m, uint64_t id)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->ids[i] == id) {
            size_t behind = m->count - i - 1;
            memmove(&m->ids[i], &m->ids[i + 1], behind * sizeof m->ids[0]);
            memmove(m->keys[i], m->keys[i + 1], behind * SEAL_KEY_BYTES);
            OPENSSL_cleanse(m->keys[--m->count], SEAL_KEY_BYTES);
            return;
        }
    }
}

void masters_keep(struct masters *m, uint64_t id, const uint8_t key[SEAL_KEY_BYTES])
{
    if (m->count == STORE_MASTER_KEYS_MAX) {
        masters_remove(m, m->ids[0]);
    }
    memcpy(m->keys[m->count], key, SEAL_KEY_BYTES);
    m->ids[m->count++] = id;
}

void masters_copy(struct masters *to, const struct masters *from)
{
    memcpy(to->ids, from->ids, sizeof to->ids);
    memcpy(to->keys, from->keys, TABLE_BYTES);
    to->count = from->count;
}

status_t masters_join(struct masters *m, const struct masters *others, uint64_t without,
                      struct error *err)
{
    for (size_t i = others->count; i > 0; i--) {
        uint64_t id = others->ids[i - 1];
        if (id == without || masters_find(m, id) != NULL) {
            continue;
        }
        if (m->count == STORE_MASTER_KEYS_MAX) {
            return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                             "with those that another wrote there are more than %d master keys",
                             STORE_MASTER_KEYS_MAX);
        }
        memmove(&m->ids[1], &m->ids[0], m->count * sizeof m->ids[0]);
        memmove(m->keys[1], m->keys[0], m->count * SEAL_KEY_BYTES);
        m->ids[0] = id;
        memcpy(m->keys[0], others->keys[i - 1], SEAL_KEY_BYTES);
        m->count++;
    }
    return ST_OK;
}
