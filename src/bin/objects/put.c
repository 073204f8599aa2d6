#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcode/exit_code.h"
#include "objects.h"

static const char help_text[] =
    "Usage: cloudskin put [OPTIONS] FILE... geds://BUCKET[/KEY]\n"
    "       cloudskin put [OPTIONS] - geds://BUCKET/KEY\n"
    "       cloudskin put -r [OPTIONS] FOLDER geds://BUCKET[/KEY]\n"
    "\n"
    "Write files to the object store, each as one object; - is standard input. When the key is "
    "left\n"
    "out or ends with /, the file's name is added to it. An object of the name is replaced, at "
    "the\n"
    "moment when the new one is complete and on the disk: readers see one or the other.\n"
    "\n"
    "  -r, --recursive        all files beneath FOLDER, under KEY/ and their paths in it; "
    "symbolic\n"
    "                         links to files are followed, what is neither file nor folder is "
    "named\n"
    "                         and left out\n"
    "      --type TYPE        the content type, such as image/tiff\n"
    "      --meta NAME=VALUE  metadata (S3: x-amz-meta-NAME); any number of times\n"
    "  -n, --no-clobber       refuse to replace an object\n"
    "      --if-match ETAG    only when the object has this etag (see cloudskin stat)\n"
    "  -q, --quiet            no progress on a terminal\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0 all are written; 64 wrong usage; 71 refused: -n or --if-match, no space, the\n"
    "store is gone; 127 no such file or bucket, or nothing is up; 130 Ctrl-C.\n"
    "\n"
    "Examples:\n"
    "  cloudskin mb geds://scenes\n"
    "  cloudskin put big.tif geds://scenes/\n"
    "  tar c data | cloudskin put - geds://scenes/data.tar\n"
    "  cloudskin put -r results geds://scenes/2026\n";

enum { BUFFER_BYTES = 4 * 1024 * 1024, META_MAX = 250, META_BYTES_MAX = 16 * 1024 };

struct put {
    const struct verb *verb;
    struct geds *store;
    struct geds_attributes attributes;
    struct geds_attribute pairs[META_MAX];
    struct geds_condition condition;
    bool quiet, recursive;
    const char *controller;
    uint8_t *buffer;
};

static int file_error(const struct verb *v, const char *name, int errnum)
{
    struct error err;
    status_t st = error_set_errno(&err, errnum, "%s", name);
    say(v, "%s", err.text);
    return exit_code_of(st);
}

/* Fill the buffer; less only at the end. */
static ssize_t fill(int fd, uint8_t *buffer)
{
    size_t got = 0;
    while (got < BUFFER_BYTES && stopped_by() == 0) {
        ssize_t n = read(fd, buffer + got, BUFFER_BYTES - got);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)got;
}

static int copy_in(struct put *p, int fd, const char *name, const struct place *to,
                   struct progress *progress)
{
    struct geds_writer *w = NULL;
    struct geds_error err;
    if (geds_create(p->store, to->bucket, to->key, &p->attributes, &w, &err) != GEDS_OK) {
        return fail_at(p->verb, p->store, to, &err);
    }
    for (ssize_t n; (n = fill(fd, p->buffer)) != 0;) {
        if (n < 0) {
            int code = file_error(p->verb, name, errno);
            geds_abort(w);
            return code;
        }
        if (geds_write(w, p->buffer, (size_t)n, &err) != GEDS_OK) {
            geds_abort(w);
            return fail_at(p->verb, p->store, to, &err);
        }
        progress_add(progress, (uint64_t)n);
    }
    if (stopped_by() != 0) {
        geds_abort(w);
        return 128 + stopped_by();
    }
    return geds_seal(w, &p->condition, NULL, &err) == GEDS_OK
               ? 0
               : fail_at(p->verb, p->store, to, &err);
}

static int put_one(struct put *p, const char *name, struct place to)
{
    struct progress progress;
    struct stat info;
    bool is_input = strcmp(name, "-") == 0;
    if (place_is_folder(&to)) {
        int code = is_input ? usage(p->verb, "give the key for standard input")
                            : place_add_name(p->verb, &to, name);
        if (code != 0) {
            return code;
        }
    }
    int fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        int code = file_error(p->verb, name, errno);
        if (fd > STDIN_FILENO) {
            close(fd);
        }
        return code;
    }
    int code;
    if (S_ISDIR(info.st_mode)) {
        code = usage(p->verb, "%s is a folder (-r puts what is in it)", name);
    } else {
        progress_start(&progress, is_input ? "standard input" : name,
                       S_ISREG(info.st_mode) ? (uint64_t)info.st_size : UINT64_MAX, p->quiet);
        code = copy_in(p, fd, name, &to, &progress);
        progress_end(&progress);
    }
    if (!is_input) {
        close(fd);
    }
    return code;
}

static int put_entry(struct put *p, const FTSENT *e, const struct place *to, size_t skip)
{
    struct place place = *to;
    const char *rest = e->fts_path + skip;
    size_t len = strlen(place.key);
    struct stat info;
    if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
        return file_error(p->verb, e->fts_path, e->fts_errno);
    }
    if (e->fts_info == FTS_D || e->fts_info == FTS_DP) {
        return 0;
    }
    if (e->fts_info != FTS_F && (stat(e->fts_accpath, &info) != 0 || !S_ISREG(info.st_mode))) {
        say(p->verb, "%s: neither file nor folder: left out", e->fts_path);
        return 0;
    }
    rest += strspn(rest, "/");
    if (len + strlen(rest) > GEDS_KEY_MAX) {
        return usage(p->verb, "%s: a key has at most %d bytes", e->fts_path, GEDS_KEY_MAX);
    }
    memcpy(place.key + len, rest, strlen(rest) + 1);
    return put_one(p, e->fts_path, place);
}

/* In the order of names. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int put_tree(struct put *p, const char *folder, struct place to)
{
    char *paths[] = {(char *)(uintptr_t)folder, NULL};
    struct stat info;
    int code = place_to_folder(p->verb, &to);
    if (code != 0) {
        return code;
    }
    if (stat(folder, &info) != 0) {
        return file_error(p->verb, folder, errno);
    }
    if (!S_ISDIR(info.st_mode)) {
        return usage(p->verb, "%s is no folder", folder);
    }
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW, by_name);
    if (tree == NULL) {
        return file_error(p->verb, folder, errno);
    }
    for (FTSENT *e; code == 0 && (e = fts_read(tree)) != NULL;) {
        code = put_entry(p, e, &to, strlen(folder));
    }
    fts_close(tree);
    return code;
}

static int add_meta(struct put *p, const char *text)
{
    const char *equals = strchr(text, '=');
    char *name = NULL;
    if (equals == NULL || equals == text || p->attributes.count == META_MAX ||
        strlen(text) > META_BYTES_MAX) {
        return usage(p->verb, "--meta \"%.60s\": NAME=VALUE, at most %d", text, META_MAX);
    }
    if (asprintf(&name, "x-amz-meta-%.*s", (int)(equals - text), text) < 0) {
        return EXIT_SYSTEM;
    }
    for (char *s = name; *s != '\0'; s++) { /* as HTTP has names of headers */
        *s = *s >= 'A' && *s <= 'Z' ? (char)(*s + 'a' - 'A') : *s;
    }
    p->pairs[p->attributes.count++] = (struct geds_attribute){name, equals + 1};
    return 0;
}

static int parse(struct put *p, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"recursive", no_argument, NULL, 'r'},        {"type", required_argument, NULL, 't'},
        {"meta", required_argument, NULL, 'm'},       {"no-clobber", no_argument, NULL, 'n'},
        {"if-match", required_argument, NULL, 'e'},   {"quiet", no_argument, NULL, 'q'},
        {"controller", required_argument, NULL, 'c'}, {0}};
    int code = 0;
    for (int c; code == 0 && (c = getopt_long(argc, argv, "rnq", long_options, NULL)) != -1;) {
        if (c == 't') {
            p->attributes.content_type = optarg;
        } else if (c == 'm') {
            code = add_meta(p, optarg);
        } else if (c == 'r') {
            p->recursive = true;
        } else if (c == 'n') {
            p->condition.if_none = true;
        } else if (c == 'e') {
            p->condition.if_match = optarg;
        } else if (c == 'q') {
            p->quiet = true;
        } else if (c == 'c') {
            p->controller = optarg;
        } else {
            code = EXIT_USAGE;
            fprintf(stderr, "Try 'cloudskin put --help'.\n");
        }
    }
    return code;
}

static int run(const struct verb *v, int argc, char **argv)
{
    struct put p = {.verb = v};
    struct place to;
    int code = parse(&p, argc, argv);
    p.attributes.pairs = p.pairs;
    if (code == 0 && argc - optind < 2) {
        code = usage(v, "give a file and geds://BUCKET/KEY");
    }
    if (code == 0) {
        code = place_parse(v, argv[argc - 1], &to);
    }
    if (code == 0 && argc - optind > 2 && p.recursive) {
        code = usage(v, "one folder at a time");
    }
    if (code == 0 && argc - optind > 2 && !place_is_folder(&to)) {
        code = usage(v, "several files go to a key that ends with /");
    }
    if (code == 0) {
        code = connect_store(v, p.controller, &p.store);
    }
    if (code == 0 && (p.buffer = malloc(BUFFER_BYTES)) == NULL) {
        say(v, "out of memory");
        code = EXIT_SYSTEM;
    }
    catch_signals();
    for (int i = optind; code == 0 && i < argc - 1; i++) {
        code = p.recursive ? put_tree(&p, argv[i], to) : put_one(&p, argv[i], to);
    }
    free(p.buffer);
    geds_disconnect(p.store);
    for (size_t i = 0; i < p.attributes.count; i++) {
        free((void *)(uintptr_t)p.pairs[i].name);
    }
    return code;
}

const struct verb put_verb = {"put", help_text, run};
