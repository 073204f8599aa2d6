#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/parse.h"
#include "use.h"

void extent_name(uint64_t id, char ret_name[EXTENT_NAME_BYTES])
{
    snprintf(ret_name, EXTENT_NAME_BYTES, "%02x/%016llx", (unsigned)(id & 0xff),
             (unsigned long long)id);
}

void extent_new_name(uint64_t id, char ret_name[EXTENT_NAME_BYTES])
{
    snprintf(ret_name, EXTENT_NAME_BYTES, "%016llx", (unsigned long long)id);
}

void extent_recall_name(uint64_t id, char ret_name[EXTENT_NAME_BYTES])
{
    snprintf(ret_name, EXTENT_NAME_BYTES, "r%016llx", (unsigned long long)id);
}

bool extent_name_parse(const char *name, uint64_t *ret_id)
{
    return strlen(name) == 16 && parse_hex(name, INT64_MAX, ret_id) == ST_OK;
}

/* It may be moved from the one folder to the other between two looks, so the last one is where
 * it stays. */
status_t extent_open(struct store *s, uint64_t id, int *ret_fd, struct error *err)
{
    char name[EXTENT_NAME_BYTES], new_name[EXTENT_NAME_BYTES];
    extent_name(id, name);
    extent_new_name(id, new_name);
    int fd = openat(s->data_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = openat(s->new_fd, new_name, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 && errno == ENOENT) {
        fd = openat(s->data_fd, name, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        int errnum = errno;
        status_t st = error_set_errno(err, errnum, "extent %016llx", (unsigned long long)id);
        return errnum == ENOENT ? error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                                            "extent %016llx has no file", (unsigned long long)id)
                                : st;
    }
    *ret_fd = fd;
    return ST_OK;
}

status_t extent_open_here(struct store *s, uint64_t id, int *ret_fd, struct error *err)
{
    char name[EXTENT_NAME_BYTES];
    status_t st = extent_open(s, id, ret_fd, err);
    if (st != ST_CORRUPT) {
        return st;
    }
    extent_recall_name(id, name);
    int fd = openat(s->new_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { /* it may have got its name in between */
        return extent_open(s, id, ret_fd, err);
    }
    *ret_fd = fd;
    return ST_OK;
}

status_t extent_remove(struct store *s, uint64_t id, struct error *err)
{
    char name[EXTENT_NAME_BYTES], new_name[EXTENT_NAME_BYTES];
    extent_name(id, name);
    extent_new_name(id, new_name);
    status_t st = ST_OK;
    if ((unlinkat(s->new_fd, new_name, 0) != 0 && errno != ENOENT) ||
        (unlinkat(s->data_fd, name, 0) != 0 && errno != ENOENT)) {
        st = error_set_errno(err, errno, "remove extent %016llx", (unsigned long long)id);
    }
    uses_gone(s, id, false); /* a mapping would keep its bytes on the disk */
    return st;
}

status_t extent_make_way(struct store *s, uint64_t id, struct error *err)
{
    char name[EXTENT_NAME_BYTES];
    extent_name(id, name);
    return unlinkat(s->data_fd, name, 0) == 0 || errno == ENOENT
               ? ST_OK
               : error_set_errno(err, errno, "former extent %016llx", (unsigned long long)id);
}

void store_extent_gone(struct store *s, uint64_t id)
{
    if (extent_remove(s, id, NULL) != ST_OK) {
        return; /* its row stays for the next start */
    }
    pthread_mutex_lock(&s->pins.lock);
    bool ignored = ids_add(&s->forget, id); /* as above */
    (void)ignored;
    pthread_mutex_unlock(&s->pins.lock);
}

status_t extent_verify(const uint8_t *sums, size_t sums_len, uint64_t id, uint64_t off,
                       const void *block, size_t len, struct error *err)
{
    uint64_t number = off / STORE_BLOCK_BYTES;
    if (number >= sums_len / 4) {
        return error_set(err, ST_CORRUPT, off, "extent %016llx has no checksum of byte %llu",
                         (unsigned long long)id, (unsigned long long)off);
    }
    const uint8_t *p = sums + 4 * number;
    uint32_t sum = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                   (uint32_t)p[3] << 24;
    uint32_t real = hash_crc32c(0, block, len);
    if (sum == real) {
        return ST_OK;
    }
    return error_set(err, ST_CORRUPT, off,
                     "extent %016llx: bytes %llu to %llu have the checksum %08x, not %08x",
                     (unsigned long long)id, (unsigned long long)off,
                     (unsigned long long)(off + len - 1), real, sum);
}
