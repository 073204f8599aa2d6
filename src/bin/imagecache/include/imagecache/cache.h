#ifndef IMAGECACHE_CACHE_H
#define IMAGECACHE_CACHE_H

#include <limits.h>
#include <stdbool.h>

#include "base/arena.h"
#include "cell/module/image.h"

/* The image cache: a folder of compiled images that concurrent processes share. Beside KEY.cell there may be
 * KEY.lock (held by flock while KEY.part is written), KEY.name (where the module was, for people) and KEY.failed
 * (the compiler failed, so that for a day no background compile is started again). An image appears by rename, so it
 * is whole or absent. What was used last has the newest modification time; a size limit removes the oldest. Format of
 * KEY: docs/internals/image-cache.md. Immutable after init; any thread. */

enum { IMAGE_KEY_MAX = 192 };
#define IMAGE_CACHE_LIMIT_DEFAULT ((uint64_t)2 << 30)

struct image_cache {
    char dir[PATH_MAX];
    uint64_t limit_bytes;
};

/* From CLOUDSKIN_CACHE, XDG_CACHE_HOME or HOME, and CLOUDSKIN_CACHE_SIZE. Does not touch the disk.
 * ST_NOTFOUND: none of the variables is set; ST_INVAL names a bad size. */
CHECKED status_t image_cache_from_env(struct image_cache *ret_cache, struct error *err);

/* What an image is made from. */
struct image_key {
    uint8_t module_hash[SHA256_BYTES];
    struct image_options options;
    char compiler[IMAGE_VERSION_BYTES]; /* version text; "": none known */
};

/* "<module hash>.<level>.<nan>[-movable].O<opt>.<hash of the compiler's version>". */
void image_key_text(const struct image_key *key, char ret_text[IMAGE_KEY_MAX]);

/* Where the image of key is or would be; suffix: ".cell", ".part", ".lock", ".name", ".failed". */
CHECKED status_t image_cache_path(const struct image_cache *c, const struct image_key *key,
                                  const char *suffix, char ret_path[PATH_MAX], struct error *err);

/* Say that the image at path was used now. */
void image_cache_touch(const char *path);

/* Make the image of key unless it is there: take its lock (waiting for another process that is making it), let
 * make write the file at part_path, rename, trim. make is not called when the image appeared meanwhile.
 * A failure of make is remembered for compile_in_background. Errors of make, or ST_PERM, ST_IO, ST_LIMIT of the
 * folder, ST_EXIST or ST_INVAL when a folder or the like has the name of one of its files. wait false: ST_AGAIN
 * when another process is making it. */
CHECKED status_t image_cache_fill(const struct image_cache *c, const struct image_key *key,
                                  bool wait,
                                  status_t (*make)(void *arg, const char *part_path,
                                                   struct error *err),
                                  void *arg, struct error *err);

struct image_cache_entry {
    char name[IMAGE_KEY_MAX]; /* the key's text */
    uint64_t bytes;
    uint64_t used_ns; /* since the epoch */
};
/* All images, those used last first. ret_entries: in a. A missing folder is an empty cache. */
CHECKED status_t image_cache_list(const struct image_cache *c, struct arena *a,
                                  struct image_cache_entry **ret_entries, uint32_t *ret_count,
                                  struct error *err);

/* Where the module of an image was when it was compiled, absolute, with a final NUL; "": not known. name: of the
 * entry. */
void image_cache_module_path(const struct image_cache *c, const char *name,
                             char ret_path[PATH_MAX]);

struct image_cache_removed {
    uint32_t count;
    uint64_t bytes;
};
/* Remove the images used longest ago until limit_bytes hold the rest, and left-overs of interrupted compiles.
 * keep: key text of an image that stays (just written), or NULL. An image that is just being made is never
 * touched, and a process that has mapped a removed image keeps it. */
CHECKED status_t image_cache_trim(const struct image_cache *c, uint64_t limit_bytes,
                                  const char *keep, struct image_cache_removed *ret_removed,
                                  struct error *err);

/* The image with these hash and options by any compiler, used last: for machines without one.
 * ST_NOTFOUND. */
CHECKED status_t image_cache_find_any(const struct image_cache *c, const struct image_key *key,
                                      char ret_path[PATH_MAX], struct error *err);

#endif
