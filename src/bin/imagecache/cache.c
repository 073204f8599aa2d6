#include "imagecache/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "sys/files.h"

enum { CACHE_DIR_MODE = 0700, REFUSAL_MODE = 0600 };

static status_t dir_from_env(char ret_dir[PATH_MAX], struct error *err)
{
    const char *own = getenv("CLOUDSKIN_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int len;
    if (own != NULL && own[0] != '\0') {
        len = snprintf(ret_dir, PATH_MAX, "%s", own);
    } else if (xdg != NULL && xdg[0] == '/') {
        len = snprintf(ret_dir, PATH_MAX, "%s/cloudskin/images", xdg);
    } else if (home != NULL && home[0] == '/') {
        len = snprintf(ret_dir, PATH_MAX, "%s/.cache/cloudskin/images", home);
    } else {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "no image cache: CLOUDSKIN_CACHE, XDG_CACHE_HOME and HOME are not set");
    }
    if (len < 0 || len >= PATH_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "path of the image cache is too long");
    }
    return ST_OK;
}

status_t image_cache_from_env(struct image_cache *ret_cache, struct error *err)
{
    struct image_cache c = {.limit_bytes = IMAGE_CACHE_LIMIT_DEFAULT};
    const char *size = getenv("CLOUDSKIN_CACHE_SIZE");
    if (size != NULL && parse_size(size, UINT64_MAX, &c.limit_bytes) != ST_OK) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "CLOUDSKIN_CACHE_SIZE: '%s' is not a size such as 512M", size);
    }
    status_t code = dir_from_env(c.dir, err);
    if (code == ST_OK) {
        *ret_cache = c;
    }
    return code;
}

/* The part of the key's text that does not name the compiler. */
static int key_prefix(const struct image_key *key, char ret_text[IMAGE_KEY_MAX])
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(key->module_hash, hex);
    const char *level = image_level_name(key->options.level);
    return snprintf(ret_text, IMAGE_KEY_MAX, "%s.%s.%s%s.O%u.", hex, level != NULL ? level : "none",
                    key->options.nan == NAN_CANONICAL ? "canonical" : "native",
                    key->options.movable ? "-movable" : "", key->options.opt_level);
}

void image_key_text(const struct image_key *key, char ret_text[IMAGE_KEY_MAX])
{
    size_t len = (size_t)key_prefix(key, ret_text);
    uint64_t version = hash_xxh3(key->compiler, strlen(key->compiler));
    snprintf(ret_text + len, IMAGE_KEY_MAX - len, "%016llx", (unsigned long long)version);
}

static status_t join(const struct image_cache *c, const char *name, const char *suffix,
                     char ret_path[PATH_MAX], struct error *err)
{
    int len = snprintf(ret_path, PATH_MAX, "%s/%s%s", c->dir, name, suffix);
    if (len < 0 || len >= PATH_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "path of the image cache is too long");
    }
    return ST_OK;
}

status_t image_cache_path(const struct image_cache *c, const struct image_key *key,
                          const char *suffix, char ret_path[PATH_MAX], struct error *err)
{
    char text[IMAGE_KEY_MAX];
    image_key_text(key, text);
    return join(c, text, suffix, ret_path, err);
}

void image_cache_touch(const char *path)
{
    const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    utimensat(AT_FDCWD, path, now, 0); /* on a read-only cache nothing is trimmed either */
}

/* The files of one key. */
struct key_paths {
    char cell[PATH_MAX];
    char part[PATH_MAX];
    char lock[PATH_MAX];
    char failed[PATH_MAX];
};

static status_t key_paths(const struct image_cache *c, const char *key, struct key_paths *ret_paths,
                          struct error *err)
{
    status_t code = join(c, key, ".cell", ret_paths->cell, err);
    code = code != ST_OK ? code : join(c, key, ".part", ret_paths->part, err);
    code = code != ST_OK ? code : join(c, key, ".lock", ret_paths->lock, err);
    return code != ST_OK ? code : join(c, key, ".failed", ret_paths->failed, err);
}

/* A folder, say, with the name of a file of the cache. It may be somebody's, and stays. */
static bool in_the_way(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode);
}

/* Called with the lock of the key held. */
static status_t fill_locked(const struct key_paths *paths,
                            status_t (*make)(void *arg, const char *part_path, struct error *err),
                            void *arg, struct error *err)
{
    if (in_the_way(paths->cell) || in_the_way(paths->part)) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%s: in the way of an image, and no file",
                         in_the_way(paths->cell) ? paths->cell : paths->part);
    }
    if (access(paths->cell, F_OK) == 0) {
        return ST_OK;
    }
    status_t code = make(arg, paths->part, err);
    if (code == ST_OK && rename(paths->part, paths->cell) != 0) {
        code = error_set_errno(err, errno, "%s", paths->cell);
    }
    if (code == ST_OK) {
        image_cache_touch(paths->cell);
        unlink(paths->failed);
        return ST_OK;
    }
    unlink(paths->part);
    const char *text = status_name(code);
    status_t noted = file_write_atomic(paths->failed, text, strlen(text), REFUSAL_MODE,
                                       FILE_NO_SYNC, NULL);
    (void)noted; /* only costs another attempt */
    return code;
}

status_t image_cache_fill(const struct image_cache *c, const struct image_key *key, bool wait,
                          status_t (*make)(void *arg, const char *part_path, struct error *err),
                          void *arg, struct error *err)
{
    struct key_paths paths;
    char text[IMAGE_KEY_MAX];
    image_key_text(key, text);
    status_t code = key_paths(c, text, &paths, err);
    if (code == ST_OK) {
        code = file_make_dirs(c->dir, CACHE_DIR_MODE, err);
    }
    if (code != ST_OK) {
        return code;
    }
    int lock = -1;
    code = file_lock(paths.lock, wait, &lock, err);
    if (code != ST_OK) {
        return code;
    }
    code = fill_locked(&paths, make, arg, err);
    file_lock_release(lock, paths.lock);
    if (code == ST_OK) {
        struct image_cache_removed removed;
        status_t trimmed = image_cache_trim(c, c->limit_bytes, text, &removed, NULL);
        (void)trimmed; /* the image is there; the next one that is added trims again */
    }
    return code;
}
