#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cell/module/program_file.h"
#include "exitcode/exit_code.h"
#include "imagecache/compile.h"
#include "sys/files.h"

/* A module or an image; their decoders have smaller limits. */
#define PROGRAM_FILE_BYTES_MAX ((uint64_t)4 << 30)

enum { FIRST_OPT = 1, BEST_OPT = 3 };

/* A module on its way through the cache. */
struct load {
    struct runtime *rt;
    const char *path;
    const char *shown; /* how messages call the program; NULL: path */
    struct image_cache cache;
    struct image_key key;
    struct compiler compiler;
    status_t compiler_code; /* not ST_OK: there is no compiler here, and why */
    struct error compiler_err;
    char *better; /* PATH_MAX bytes: see load_program */
};

static const char *shown(const struct load *l)
{
    return l->shown != NULL ? l->shown : l->path;
}

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
        return ST_NOTFOUND; /* a folder with that name stays: compile_and_open does without the cache */
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

/* Into the cache and from there; what the cache cannot take, or nobody finds there, from where it was compiled to. */
static status_t compile_and_open(struct load *l, uint32_t opt_level, struct program **ret_program,
                                 struct error *err)
{
    struct compiled made = {.fd = -1};
    if (l->compiler_code != ST_OK) {
        *err = l->compiler_err;
        return l->compiler_code;
    }
    l->key.options.opt_level = opt_level;
    status_t code = compile_kept(&l->cache, &l->compiler, &l->key, l->path, shown(l), &made, err);
    if (code == ST_OK) {
        code = open_cached(l, opt_level, ret_program, err);
    }
    bool no_cache = code == ST_PERM || code == ST_LIMIT || code == ST_EXIST ||
                    code == ST_NOTFOUND || code == ST_INVAL;
    if (no_cache && made.fd >= 0 && code == err->code) {
        fprintf(stderr, "cloudskin: the image is not kept: %s\n", err->text);
    }
    if (no_cache && !made.begun) {
        code = compile_anonymous(&l->compiler, &l->key.options, l->path, shown(l), &made, err);
    }
    if (no_cache && made.fd >= 0) {
        code = program_open(l->rt, made.path, ret_program, err);
    }
    compiled_done(&made);
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
        /* no home: nothing is found below, and compile_and_open does without */
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
static status_t open_image(struct runtime *rt, const struct run_options *o, const char *name,
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
        code = made_otherwise(name, how, "--cpu", err);
    } else if (o->says_nan && made->nan != o->image.nan) {
        code = made_otherwise(name, made->nan == NAN_NATIVE ? "--nan native" : "--nan canonical",
                              "--nan", err);
    } else if (o->image.opt_level != OPT_LEVEL_AUTO && made->opt_level != o->image.opt_level) {
        snprintf(how, sizeof how, "-O%u", made->opt_level);
        code = made_otherwise(name, how, "-O", err);
    }
    if (code != ST_OK) {
        program_unref(program);
        return code;
    }
    *ret_program = program;
    return ST_OK;
}

/* What the file is, and its hash when it is a module. A file beyond what a program can be is refused. */
static status_t look_at(const char *path, enum program_file *ret_kind,
                        uint8_t ret_hash[SHA256_BYTES], struct error *err)
{
    struct file_map map;
    status_t code = file_map(path, PROGRAM_FILE_BYTES_MAX, &map, err);
    if (code == ST_LIMIT) {
        code = err->code =
            ST_UNSUPPORTED; /* the file is refused, not the system's memory exhausted */
    }
    if (code != ST_OK) {
        return code;
    }
    *ret_kind = program_file_kind(map.data, map.len);
    if (*ret_kind == PROGRAM_FILE_MODULE) {
        sha256_bytes(map.data, map.len, ret_hash);
    } else if (*ret_kind == PROGRAM_FILE_OTHER) {
        code = program_file_refuse(map.data, map.len, err);
    }
    file_unmap(&map);
    return code;
}

status_t load_program(struct runtime *rt, const struct run_options *o, const char *name,
                      struct program **ret_program, char ret_better[PATH_MAX], struct error *err)
{
    struct load l = {.rt = rt,
                     .path = o->module_path,
                     .shown = name,
                     .key.options = o->image,
                     .better = ret_better};
    enum program_file kind;
    ret_better[0] = '\0';
    status_t code = look_at(l.path, &kind, l.key.module_hash, err);
    if (code != ST_OK) {
        return code;
    }
    return kind == PROGRAM_FILE_MODULE ? load_module(&l, o->image.opt_level, ret_program, err)
                                       : open_image(rt, o, name, ret_program, err);
}

/* Is it a module with this hash? */
static bool has_hash(const char *path, const uint8_t hash[SHA256_BYTES])
{
    enum program_file kind;
    uint8_t digest[SHA256_BYTES];
    return look_at(path, &kind, digest, NULL) == ST_OK && kind == PROGRAM_FILE_MODULE &&
           memcmp(digest, hash, SHA256_BYTES) == 0;
}

/* What keeps frames from being entered in an image of the right module; NULL: nothing. level: the CPU level that it
 * has to be of, 0: any. */
static const char *image_unfit(const struct load *l, const struct image *image, uint32_t level)
{
    return !image->options.movable                       ? "made without --movable"
           : image->options.nan != l->key.options.nan    ? "of another NaN mode"
           : level != 0 && image->options.level != level ? "for another CPU level"
                                                         : NULL;
}

/* Is the file an image of that module that frames can be entered in? level: as for image_unfit.
 * *ret_but: what is wrong with one of that module, else NULL. err may be NULL. ST_NOTFOUND: of another module, or
 * *ret_but; else that it does not open. */
static status_t open_own_image(struct load *l, const char *path, uint32_t level,
                               struct program **ret_program, const char **ret_but,
                               struct error *err)
{
    struct program *program = NULL;
    *ret_but = NULL;
    status_t code = program_open(l->rt, path, &program, err);
    if (code != ST_OK) {
        return code;
    }
    const struct image *image = program_image(program);
    bool same = memcmp(image->module_hash, l->key.module_hash, SHA256_BYTES) == 0;
    *ret_but = same ? image_unfit(l, image, level) : NULL;
    if (!same || *ret_but != NULL) {
        program_unref(program);
        return ST_NOTFOUND;
    }
    *ret_program = program;
    return ST_OK;
}

/* Why the file of --module is not taken. It is no damage of the snapshot. */
static status_t refuse_named(const char *path, status_t code, const char *text, struct error *err)
{
    bool names_it = strncmp(text, path, strlen(path)) == 0;
    code = exit_code_of(code) == EXIT_REFUSED ? ST_UNSUPPORTED : code;
    return error_set(err, code, ERROR_NO_OFFSET, "--module %s%s%s", names_it ? "" : path,
                     names_it ? "" : ": ", text);
}

/* What --module names is looked at, whatever the cache has. *ret_program: set when it is an image; else it is the
 * module. ST_NOTFOUND: no such file; ST_UNSUPPORTED: another program, or an image that is of no use. */
static status_t take_named(struct load *l, const struct run_options *o,
                           struct program **ret_program, struct error *err)
{
    enum program_file kind;
    uint8_t digest[SHA256_BYTES];
    const char *but = NULL;
    char hex[SHA256_HEX_BYTES];
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t code = look_at(o->module, &kind, digest, &inner);
    if (code == ST_OK && kind == PROGRAM_FILE_IMAGE) {
        code = open_own_image(l, o->module, o->says_level ? o->image.level : 0, ret_program, &but,
                              &inner);
        if (code == ST_OK) {
            return ST_OK;
        }
        if (but != NULL) {
            return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                             "%s is an image of the program %s", o->module, but);
        }
    } else if (code == ST_OK && memcmp(digest, l->key.module_hash, SHA256_BYTES) == 0) {
        return ST_OK;
    }
    if (inner.text[0] != '\0') {
        return refuse_named(o->module, code, inner.text, err);
    }
    sha256_hex(l->key.module_hash, hex);
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                     "%s is not the program of the snapshot, whose module has SHA-256 %s",
                     o->module, hex);
}

/* Nothing to go on with. but: of the one image that is there. ST_NOTFOUND, or ST_UNSUPPORTED when there is another file
 * where the program was. */
static status_t no_program(const struct load *l, const struct run_options *o, const char *guess,
                           const char *but, struct error *err)
{
    const char *name = l->shown != NULL ? l->shown : guess;
    char hex[SHA256_HEX_BYTES];
    bool there = access(guess, F_OK) == 0;
    sha256_hex(l->key.module_hash, hex);
    status_t code = error_set(err, there ? ST_UNSUPPORTED : ST_NOTFOUND, ERROR_NO_OFFSET,
                              "no image for %s of the module with SHA-256 %s: name it by --module",
                              image_level_name(o->image.level), hex);
    size_t len = strlen(err->text);
    if (but != NULL) {
        snprintf(err->text + len, sizeof err->text - len, " (%.60s is one %s)", name, but);
    } else if (there) {
        snprintf(err->text + len, sizeof err->text - len, " (%.60s is another file now)", name);
    }
    return code;
}

status_t load_program_by_hash(struct runtime *rt, const struct run_options *o,
                              const uint8_t module_hash[SHA256_BYTES], const char *guess,
                              const char *name, struct program **ret_program,
                              char ret_better[PATH_MAX], struct error *err)
{
    struct load l = {.rt = rt,
                     .shown = o->module == NULL ? name : NULL,
                     .key.options = o->image,
                     .better = ret_better};
    ret_better[0] = '\0';
    const char *but = NULL;
    struct program *image = NULL;
    memcpy(l.key.module_hash, module_hash, SHA256_BYTES);
    status_t code = ST_OK;
    if (o->module != NULL) {
        code = take_named(&l, o, &image, err);
    } else if (open_own_image(&l, guess, o->image.level, &image, &but, NULL) != ST_OK) {
        image = NULL; /* it may be the module, or not be needed */
    }
    if (code == ST_OK && image == NULL) {
        code = open_cache(&l, err);
    }
    if (code != ST_OK || image != NULL) {
        *ret_program = code == ST_OK ? image : *ret_program;
        return code;
    }
    code = open_cached(&l, BEST_OPT, ret_program, err);
    if (code != ST_NOTFOUND) {
        return code;
    }
    l.path = o->module != NULL ? o->module : guess;
    if (o->module != NULL || has_hash(guess, module_hash)) {
        return open_best(&l, ret_program, err);
    }
    code = open_cached(&l, FIRST_OPT, ret_program, err);
    return code == ST_NOTFOUND ? no_program(&l, o, guess, but, err) : code;
}
