#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cell/module/program_file.h"
#include "imagecache/compile.h"
#include "sys/files.h"

/* A module or an image; their decoders have smaller limits. */
#define PROGRAM_FILE_BYTES_MAX ((uint64_t)4 << 30)

enum { FIRST_OPT = 1, BEST_OPT = 3 };

/* A module on its way through the cache. */
struct load {
    struct runtime *rt;
    const char *path;
    struct image_cache cache;
    struct image_key key;
    struct compiler compiler;
    status_t compiler_code; /* not ST_OK: there is no compiler here, and why */
    struct error compiler_err;
    char *better; /* PATH_MAX bytes: see load_program */
};

/* Open the cached image with this optimisation. One that does not open any more (truncated by a full disk, of
 * another format version) is removed, so that it is made anew; one that may not be read counts as none. */
static status_t open_cached(struct load *l, uint32_t opt_level, struct program **ret_program,
                            struct error *err)
{
    char path[PATH_MAX];
    struct stat st;
    l->key.options.opt_level = opt_level;
    status_t code = l->compiler_code == ST_OK
                        ? image_cache_path(&l->cache, &l->key, ".cell", path, err)
                        : image_cache_find_any(&l->cache, &l->key, path, err);
    if (code != ST_OK) {
        return code;
    }
    struct program *program = NULL;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return ST_NOTFOUND; /* a folder with that name stays: compile_uncached does without the cache */
    }
    code = program_open(l->rt, path, &program, err);
    if (code == ST_OK && memcmp(program_image(program)->module_hash, l->key.module_hash,
                                sizeof l->key.module_hash) != 0) {
        program_unref(program); /* the module file was replaced between hashing and compiling */
        code = ST_CORRUPT;
    }
    if (code == ST_OK) {
        image_cache_touch(path);
        *ret_program = program;
    } else if (code == ST_FORMAT || code == ST_CORRUPT || code == ST_UNSUPPORTED) {
        unlink(path);
        code = ST_NOTFOUND;
    } else if (code == ST_PERM) {
        code = ST_NOTFOUND;
    }
    return code;
}

/* Without a usable cache folder: compile to a temporary file, which is gone once it is mapped. */
static status_t compile_uncached(struct load *l, struct program **ret_program, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/cloudskin.XXXXXX", tmp != NULL ? tmp : "/tmp");
    int fd = len > 0 && len < PATH_MAX ? mkstemp(path) : -1;
    if (fd < 0) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "no folder to compile into");
    }
    close(fd);
    status_t code = compiler_run(&l->compiler, l->path, &l->key.options, path, l->path, err);
    if (code == ST_OK) {
        code = program_open(l->rt, path, ret_program, err);
    }
    unlink(path);
    return code;
}

static status_t compile_and_open(struct load *l, uint32_t opt_level, struct program **ret_program,
                                 struct error *err)
{
    if (l->compiler_code != ST_OK) {
        *err = l->compiler_err;
        return l->compiler_code;
    }
    l->key.options.opt_level = opt_level;
    status_t code = compile_cached(&l->cache, &l->compiler, &l->key, l->path, true, l->path, err);
    if (code == ST_OK) {
        code = open_cached(l, opt_level, ret_program, err);
    }
    if (code == ST_PERM || code == ST_LIMIT || code == ST_EXIST || code == ST_NOTFOUND ||
        code == ST_INVAL) {
        code = compile_uncached(l, ret_program, err);
    }
    return code;
}

/* -O3 when it is there; else -O1 now, and -O3 for the next time. */
static status_t open_best(struct load *l, struct program **ret_program, struct error *err)
{
    status_t code = open_cached(l, BEST_OPT, ret_program, err);
    if (code != ST_NOTFOUND) {
        return code;
    }
    code = open_cached(l, FIRST_OPT, ret_program, err);
    if (code == ST_NOTFOUND) {
        code = compile_and_open(l, FIRST_OPT, ret_program, err);
    }
    struct stat st;
    if (code == ST_OK && l->compiler_code == ST_OK && stat(l->path, &st) == 0 &&
        S_ISREG(st.st_mode)) {
        l->key.options.opt_level = BEST_OPT;
        compile_in_background(&l->cache, &l->key, l->path);
        if (!program_image(*ret_program)->options.movable ||
            image_cache_path(&l->cache, &l->key, ".cell", l->better, NULL) != ST_OK) {
            l->better[0] = '\0';
        }
    }
    return code;
}

static status_t open_cache(struct load *l, struct error *err)
{
    status_t code = image_cache_from_env(&l->cache, err);
    if (code == ST_NOTFOUND) {
        /* no home: nothing is found below, and compile_uncached does the work */
        snprintf(l->cache.dir, sizeof l->cache.dir, "/dev/null/cloudskin");
    } else if (code != ST_OK) {
        return code;
    }
    l->compiler_code = compiler_find(&l->cache, &l->compiler, &l->compiler_err);
    if (l->compiler_code == ST_OK) {
        memcpy(l->key.compiler, l->compiler.version, sizeof l->key.compiler);
    }
    return ST_OK;
}

static status_t load_module(struct load *l, uint32_t opt_level, struct program **ret_program,
                            struct error *err)
{
    status_t code = open_cache(l, err);
    if (code != ST_OK) {
        return code;
    }
    if (opt_level == OPT_LEVEL_AUTO) {
        return open_best(l, ret_program, err);
    }
    code = open_cached(l, opt_level, ret_program, err);
    return code == ST_NOTFOUND ? compile_and_open(l, opt_level, ret_program, err) : code;
}

static status_t made_otherwise(const char *path, const char *how, const char *option,
                               struct error *err)
{
    return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                     "%s: an image made with %s, which %s contradicts: leave that out, or give the "
                     "module",
                     path, how, option);
}

/* An image is what it is: an option that asks for another one is not passed over. */
static status_t open_image(struct runtime *rt, const struct run_options *o,
                           struct program **ret_program, struct error *err)
{
    struct program *program = NULL;
    char how[32];
    status_t code = program_open(rt, o->module_path, &program, err);
    if (code != ST_OK) {
        return code;
    }
    const struct image_options *made = &program_image(program)->options;
    if (o->says_level && made->level != o->image.level) {
        snprintf(how, sizeof how, "--cpu %s", image_level_name(made->level));
        code = made_otherwise(o->module_path, how, "--cpu", err);
    } else if (o->says_nan && made->nan != o->image.nan) {
        code = made_otherwise(o->module_path,
                              made->nan == NAN_NATIVE ? "--nan native" : "--nan canonical", "--nan",
                              err);
    } else if (o->image.opt_level != OPT_LEVEL_AUTO && made->opt_level != o->image.opt_level) {
        snprintf(how, sizeof how, "-O%u", made->opt_level);
        code = made_otherwise(o->module_path, how, "-O", err);
    }
    if (code != ST_OK) {
        program_unref(program);
        return code;
    }
    *ret_program = program;
    return ST_OK;
}

status_t load_program(struct runtime *rt, const struct run_options *o, struct program **ret_program,
                      char ret_better[PATH_MAX], struct error *err)
{
    struct load l = {
        .rt = rt, .path = o->module_path, .key.options = o->image, .better = ret_better};
    ret_better[0] = '\0';
    struct file_map map;
    status_t code = file_map(l.path, PROGRAM_FILE_BYTES_MAX, &map, err);
    if (code == ST_LIMIT) {
        code = err->code =
            ST_UNSUPPORTED; /* the file is refused, not the system's memory exhausted */
    }
    if (code != ST_OK) {
        return code;
    }
    enum program_file kind = program_file_kind(map.data, map.len);
    if (kind == PROGRAM_FILE_MODULE) {
        sha256_bytes(map.data, map.len, l.key.module_hash);
    } else if (kind == PROGRAM_FILE_OTHER) {
        code = program_file_refuse(map.data, map.len, err);
    }
    file_unmap(&map);
    if (code != ST_OK) {
        return code;
    }
    return kind == PROGRAM_FILE_MODULE ? load_module(&l, o->image.opt_level, ret_program, err)
                                       : open_image(rt, o, ret_program, err);
}

/* Is it a module with this hash? */
static bool has_hash(const char *path, const uint8_t hash[SHA256_BYTES])
{
    struct file_map map;
    uint8_t digest[SHA256_BYTES];
    if (file_map(path, PROGRAM_FILE_BYTES_MAX, &map, NULL) != ST_OK) {
        return false;
    }
    sha256_bytes(map.data, map.len, digest);
    file_unmap(&map);
    return memcmp(digest, hash, SHA256_BYTES) == 0;
}

/* Is the file an image of that module that frames can be entered in? level: its CPU level, 0: any that runs here.
 * *ret_but: what is wrong with one of that module, else NULL. */
static bool open_own_image(struct load *l, const char *path, uint32_t level,
                           struct program **ret_program, const char **ret_but)
{
    struct program *program = NULL;
    *ret_but = NULL;
    if (program_open(l->rt, path, &program, NULL) != ST_OK) {
        return false;
    }
    const struct image *image = program_image(program);
    bool good = memcmp(image->module_hash, l->key.module_hash, SHA256_BYTES) == 0;
    if (good) {
        *ret_but = !image->options.movable                       ? "made without --movable"
                   : image->options.nan != l->key.options.nan    ? "of another NaN mode"
                   : level != 0 && image->options.level != level ? "for another CPU level"
                                                                 : NULL;
    }
    if (!good || *ret_but != NULL) {
        program_unref(program);
        return false;
    }
    *ret_program = program;
    return true;
}

/* Nothing to go on with. but: of the one image that is there. */
static status_t no_program(const struct load *l, const struct run_options *o, const char *guess,
                           const char *but, struct error *err)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(l->key.module_hash, hex);
    if (o->module != NULL && but != NULL) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "%s is an image of the program %s",
                         o->module, but);
    }
    if (o->module != NULL) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "%s is not the program of the snapshot, whose module has SHA-256 %s "
                         "(nor an image of it for this CPU)",
                         o->module, hex);
    }
    error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
              "no image for %s of the module with SHA-256 %s: name it by --module",
              image_level_name(o->image.level), hex);
    size_t len = strlen(err->text);
    if (but != NULL) {
        snprintf(err->text + len, sizeof err->text - len, " (%.60s is one %s)", guess, but);
    }
    return ST_NOTFOUND;
}

status_t load_program_by_hash(struct runtime *rt, const struct run_options *o,
                              const uint8_t module_hash[SHA256_BYTES], const char *guess,
                              struct program **ret_program, char ret_better[PATH_MAX],
                              struct error *err)
{
    struct load l = {.rt = rt, .key.options = o->image, .better = ret_better};
    ret_better[0] = '\0';
    const char *but;
    memcpy(l.key.module_hash, module_hash, SHA256_BYTES);
    if (o->module != NULL ? open_own_image(&l, o->module, 0, ret_program, &but)
                          : open_own_image(&l, guess, o->image.level, ret_program, &but)) {
        return ST_OK;
    }
    status_t code = open_cache(&l, err);
    if (code != ST_OK) {
        return code;
    }
    code = open_cached(&l, BEST_OPT, ret_program, err);
    if (code != ST_NOTFOUND) {
        return code;
    }
    l.path = o->module != NULL ? o->module : guess;
    if (has_hash(l.path, module_hash)) {
        return open_best(&l, ret_program, err);
    }
    code = open_cached(&l, FIRST_OPT, ret_program, err);
    if (code != ST_NOTFOUND) {
        return code;
    }
    return no_program(&l, o, guess, but, err);
}
