#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* A folder that another process of the same build uses is never among them. */
static void remove_other_builds(const char *base_path, const char *keep)
{
    DIR *dir = opendir(base_path);
    struct dirent *d;
    while (dir && (d = readdir(dir)) != NULL) {
        if (strlen(d->d_name) != strlen(keep) || strcmp(d->d_name, keep) == 0)
            continue;
        char *path = spec_format("%s/%s", base_path, d->d_name);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        free(path);
    }
    if (dir)
        closedir(dir);
}

static status_t make_folders(char *path, struct error *err)
{
    for (char *p = path + 1;; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        int rc = mkdir(path, 0777);
        *p = c;
        if (rc < 0 && errno != EEXIST)
            return error_set_errno(err, errno, "cannot make %s", path);
        if (c == '\0')
            return ST_OK;
    }
}

status_t cache_open(const char *base_path, char **ret_path, struct error *err)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    size_t len = 0;
    void *program = spec_read_file("/proc/self/exe", &len);
    if (!program)
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "cannot read this program");
    sha256_bytes(program, len, digest);
    sha256_hex(digest, hex);
    free(program);
    hex[32] = '\0';
    char *path = spec_format("%s/%s", base_path, hex);
    status_t st = make_folders(path, err);
    if (st == ST_OK) {
        remove_other_builds(base_path, hex);
        *ret_path = path;
    } else {
        free(path);
    }
    return st;
}

char *cache_file(const struct spec_options *opt, const void *wasm, size_t len)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    sha256_bytes(wasm, len, digest);
    sha256_hex(digest, hex);
    return spec_format("%s/%s-%x-O%u%s-%s.cell", opt->cache_path, hex, opt->features,
                       opt->opt_level, opt->captured ? "-movable" : "",
                       opt->level ? opt->level : "host");
}

status_t cache_write(const char *path, const struct buf *image, struct error *err)
{
    char *part = spec_format("%s.%d", path, (int)getpid());
    status_t st = ST_OK;
    FILE *f = fopen(part, "we");
    bool written = f && fwrite(image->data, 1, image->len, f) == image->len;
    if (f && fclose(f) != 0)
        written = false;
    if (!written || rename(part, path) < 0)
        st = error_set_errno(err, errno, "cannot write %s", path);
    free(part);
    return st;
}
