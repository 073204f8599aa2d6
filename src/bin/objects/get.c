#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "objects.h"
#include "sys/files.h"
#include "sys/signals.h"

static const char help_text[] =
    "Usage: cloudskin get [OPTIONS] geds://BUCKET/KEY [FILE]\n"
    "       cloudskin get -r [OPTIONS] geds://BUCKET[/KEY] [FOLDER]\n"
    "\n"
    "Read an object into a file: FILE, - for standard output, or a name in the folder FILE. By\n"
    "default it is the last part of the key, in this folder. A file of the name is replaced when "
    "the\n"
    "whole object was read and compared with its checksums.\n"
    "\n"
    "  -r, --recursive        all objects beneath KEY/, into a folder of the same structure\n"
    "      --range FIRST-LAST only these bytes, the first is 0; FIRST-: up to the end\n"
    "  -n, --no-clobber       refuse to replace a file\n"
    "  -q, --quiet            no progress on a terminal\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 65 the object is damaged; 71 refused by the system, -n, or "
    "the\n"
    "store is gone; 127 no such object or bucket, or nothing is up; 130 Ctrl-C.\n"
    "\n"
    "Examples:\n"
    "  cloudskin get geds://scenes/big.tif\n"
    "  cloudskin get geds://scenes/data.tar - | tar x\n"
    "  cloudskin get -r geds://scenes/2026 scenes-of-2026\n";

enum { MODE = 0666 };

struct get {
    const struct verb *verb;
    struct geds *store;
    const char *controller;
    bool quiet, recursive, no_clobber;
    uint64_t first, last; /* bytes */
    /* recursive: */
    const char *bucket;
    size_t prefix_bytes;
    const char *folder;
    uint64_t count;
};

static int system_error(const struct verb *v, const char *name, int errnum)
{
    struct error err;
    status_t st = error_set_errno(&err, errnum, "%s", name);
    say(v, "%s", err.text);
    return exit_code_of(st);
}

struct copying {
    struct progress progress;
    int fd;
    int errnum; /* of a write that failed */
};

static bool copy_piece(void *arg, const void *data, size_t len)
{
    struct copying *c = arg;
    if (stopped_by() != 0) {
        return false;
    }
    if (file_write_all(c->fd, data, len) != 0) {
        c->errnum = errno;
        return false;
    }
    progress_add(&c->progress, len);
    return true;
}

static int copy_out(struct get *g, struct geds_object *o, const struct place *from, int fd,
                    const char *name)
{
    struct copying c = {.fd = fd};
    struct geds_error err;
    uint64_t size = geds_object_info(o)->size;
    uint64_t end = g->last < size ? g->last + 1 : size, len = end > g->first ? end - g->first : 0;
    progress_start(&c.progress, from->key, len, g->quiet);
    enum geds_code got = geds_read_each(o, g->first, len, copy_piece, &c, &err);
    progress_end(&c.progress);
    if (got == GEDS_OK) {
        return 0;
    }
    return c.errnum != 0       ? system_error(g->verb, name, c.errnum)
           : stopped_by() != 0 ? 128 + stopped_by()
                               : fail_at(g->verb, g->store, from, &err);
}

static int give_name(struct get *g, const char *temporary, const char *target)
{
    if (!g->no_clobber) {
        return rename(temporary, target) == 0 ? 0 : system_error(g->verb, target, errno);
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    /* not all file systems know that; a second name is not given over another either */
    if (errno == EINVAL && link(temporary, target) == 0) {
        unlink(temporary);
        return 0;
    }
    if (errno == EEXIST) {
        say(g->verb, "%s: is there already", target);
        return EXIT_SYSTEM;
    }
    return system_error(g->verb, target, errno);
}

/* What is no file is written into; a file is replaced when all is there. */
static int write_to(struct get *g, struct geds_object *o, const struct place *from,
                    const char *name)
{
    char temporary[PATH_MAX];
    struct stat info;
    struct error err;
    int fd = -1;
    bool exists = stat(name, &info) == 0;
    if (exists && g->no_clobber) {
        say(&get_verb, "%s: is there already", name);
        return EXIT_SYSTEM;
    }
    if (exists && !S_ISREG(info.st_mode)) {
        fd = open(name, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            return system_error(g->verb, name, errno);
        }
        int code = copy_out(g, o, from, fd, name);
        close(fd);
        return code;
    }
    char target[PATH_MAX];
    if (!exists || realpath(name, target) == NULL) { /* a symbolic link stays one */
        if (snprintf(target, sizeof target, "%s", name) >= PATH_MAX) {
            return system_error(g->verb, name, ENAMETOOLONG);
        }
    }
    if (file_open_temporary(target, MODE, temporary, &fd, &err) != ST_OK) {
        say(&get_verb, "%s", err.text);
        return exit_code_of(err.code);
    }
    signal_unlinks(temporary);
    int code = copy_out(g, o, from, fd, name);
    /* what is replaced is not there any more after a crash, so what replaces it must be */
    if (code == 0 && exists && fsync(fd) != 0) {
        code = system_error(g->verb, name, errno);
    }
    if (close(fd) != 0 && code == 0) {
        code = system_error(g->verb, name, errno);
    }
    if (code == 0) {
        code = give_name(g, temporary, target);
    }
    if (code != 0) {
        unlink(temporary);
    }
    signal_unlinks(NULL);
    return code;
}

static int get_one(struct get *g, const struct place *from, const char *name)
{
    struct geds_object *o = NULL;
    struct geds_error err;
    if (geds_open(g->store, from->bucket, from->key, &o, &err) != GEDS_OK) {
        return fail_at(g->verb, g->store, from, &err);
    }
    int code = strcmp(name, "-") == 0 ? copy_out(g, o, from, STDOUT_FILENO, "standard output")
                                      : write_to(g, o, from, name);
    geds_close(o);
    return code;
}

/* A key is made by anybody: it must not lead out of the folder. */
static bool is_safe(const char *key)
{
    for (const char *part = key; part != NULL;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && strncmp(part, "..", 2) == 0)) {
            return false;
        }
        part = part[len] == '/' ? part + len + 1 : NULL;
    }
    return true;
}

static int get_entry(void *arg, const struct geds_entry *e)
{
    struct get *g = arg;
    struct place from;
    char path[PATH_MAX], folder[PATH_MAX];
    struct error err;
    const char *rest = e->key + g->prefix_bytes;
    if (rest[0] == '\0' || rest[strlen(rest) - 1] == '/') {
        return 0; /* a marker of a folder */
    }
    if (!is_safe(rest)) {
        say(&get_verb, "geds://%s/%s: cannot be the name of a file here", g->bucket, e->key);
        return EXIT_REFUSED;
    }
    if (snprintf(path, sizeof path, "%s/%s", g->folder, rest) >= PATH_MAX) {
        return system_error(g->verb, e->key, ENAMETOOLONG);
    }
    memcpy(folder, path, strlen(path) + 1);
    *strrchr(folder, '/') = '\0';
    if (file_make_dirs(folder, 0777, &err) != ST_OK) {
        say(&get_verb, "%s", err.text);
        return exit_code_of(err.code);
    }
    snprintf(from.bucket, sizeof from.bucket, "%s", g->bucket);
    snprintf(from.key, sizeof from.key, "%s", e->key);
    g->count++;
    return get_one(g, &from, path);
}

static int get_tree(struct get *g, struct place *from, const char *folder)
{
    int code = place_to_folder(g->verb, from);
    if (code != 0) {
        return code;
    }
    g->bucket = from->bucket;
    g->prefix_bytes = strlen(from->key);
    g->folder = folder;
    code = each_object(g->verb, g->store, from->bucket, from->key, get_entry, g);
    if (code == 0 && g->count == 0) {
        say(&get_verb, "nothing is beneath geds://%s/%s", from->bucket, from->key);
        return EXIT_MISSING;
    }
    return code;
}

/* Where it goes: given, in the folder given, or the last part of the key. */
static int choose_name(const struct verb *v, const struct place *from, const char *given,
                       char ret_name[PATH_MAX])
{
    struct stat info;
    struct place last = {.key = ""};
    if (given != NULL &&
        (strcmp(given, "-") == 0 || stat(given, &info) != 0 || !S_ISDIR(info.st_mode))) {
        return snprintf(ret_name, PATH_MAX, "%s", given) < PATH_MAX
                   ? 0
                   : system_error(v, given, ENAMETOOLONG);
    }
    int code = place_add_name(v, &last, from->key);
    if (code == 0 && snprintf(ret_name, PATH_MAX, "%s%s%s", given != NULL ? given : "",
                              given != NULL ? "/" : "", last.key) >= PATH_MAX) {
        code = system_error(v, last.key, ENAMETOOLONG);
    }
    return code;
}

/* FIRST-LAST or FIRST- */
static bool parse_range(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
    char first[24];
    const char *dash = strchr(text, '-');
    if (dash == NULL || (size_t)(dash - text) >= sizeof first) {
        return false;
    }
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    *ret_last = UINT64_MAX;
    return parse_u64(first, UINT64_MAX, ret_first) == ST_OK &&
           (dash[1] == '\0' || parse_u64(dash + 1, UINT64_MAX - 1, ret_last) == ST_OK) &&
           *ret_first <= *ret_last;
}

static int parse(struct get *g, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"recursive", no_argument, NULL, 'r'},        {"range", required_argument, NULL, 'R'},
        {"no-clobber", no_argument, NULL, 'n'},       {"quiet", no_argument, NULL, 'q'},
        {"controller", required_argument, NULL, 'c'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "rnq", long_options, NULL)) != -1;) {
        if (c == 'r') {
            g->recursive = true;
        } else if (c == 'R') {
            if (!parse_range(optarg, &g->first, &g->last)) {
                return usage(g->verb, "--range \"%s\": FIRST-LAST or FIRST-", optarg);
            }
        } else if (c == 'n') {
            g->no_clobber = true;
        } else if (c == 'q') {
            g->quiet = true;
        } else if (c == 'c') {
            g->controller = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin get --help'.\n");
            return EXIT_USAGE;
        }
    }
    return argc - optind < 1 || argc - optind > 2 ? usage(g->verb, "give geds://BUCKET/KEY") : 0;
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct get g = {.verb = v, .last = UINT64_MAX};
    struct place from;
    char name[PATH_MAX];
    int code = parse(&g, argc, argv);
    const char *given = code == 0 && argc - optind == 2 ? argv[optind + 1] : NULL;
    if (code == 0) {
        code = place_parse(v, argv[optind], &from);
    }
    if (code == 0 && !g.recursive && place_is_folder(&from)) {
        code = usage(v, "give a key, or -r for all that is beneath");
    }
    if (code == 0 && !g.recursive) {
        code = choose_name(v, &from, given, name);
    }
    if (code == 0) {
        code = connect_store(v, g.controller, &g.store);
    }
    catch_signals();
    if (code == 0) {
        code = g.recursive ? get_tree(&g, &from, given != NULL ? given : ".")
                           : get_one(&g, &from, name);
    }
    geds_disconnect(g.store);
    return code;
}

const struct verb get_verb = {"get", help_text, run};
