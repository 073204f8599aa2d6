#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpointlist/list.h"
#include "exitcode/exit_code.h"
#include "gedsfile/place.h"
#include "snapshot.h"
#include "subject.h"

/* cloudskin inspect: what is in an image or a module. */

static const char help_text[] =
    "Usage: cloudskin inspect [--json] [--all] { FILE | FOLDER | geds://BUCKET/KEY }\n"
    "\n"
    "Describe a cell image or a WebAssembly module: what it is compiled for and how, which module\n"
    "it comes from and which features that uses, its functions, memories and tables, what it\n"
    "imports (and so what it can ask of the host) and exports, where it can be stopped (control\n"
    "points), and the sections of the file. Or a snapshot: program, age, sizes by part, "
    "arguments,\n"
    "names of environment variables (never their values), folders, open files, sockets, call\n"
    "stack, and the thaw that goes on with it. All of the file is read, and every checksum in it\n"
    "is compared. Or a folder of checkpoints: the number, age and size of each, what it holds, "
    "and\n"
    "whether it can be gone back to; of these only the beginnings are read.\n"
    "\n"
    "      --json   the same as JSON on standard output\n"
    "      --all    the whole call stack of a snapshot, not only the 32 innermost and 8 outermost\n"
    "               calls (JSON always has all of it)\n"
    "  -h, --help   this text\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the file is refused, 71 the system refused (memory,\n"
    "files), 127 no such file\n"
    "or object.\n"
    "\n"
    "Examples:\n"
    "  cloudskin inspect app.wasm\n"
    "  cloudskin inspect --json app.cell | jq .control_points\n"
    "  cloudskin inspect sim.snap\n"
    "  cloudskin inspect geds://snaps/sim\n"
    "  cloudskin inspect ~/.local/state/cloudskin/checkpoints/sim\n";

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"all", no_argument, NULL, 'a'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int usage(const char *what)
{
    fprintf(stderr, "cloudskin inspect: %s\nTry 'cloudskin inspect --help'.\n", what);
    return EXIT_USAGE;
}

/* Errors of the system name the file themselves and have no place in it. */
static int refuse(const char *path, const struct error *err)
{
    bool content = err->code == ST_FORMAT || err->code == ST_INVALID || err->code == ST_CORRUPT ||
                   err->code == ST_UNSUPPORTED;
    if (!content) {
        fprintf(stderr, "cloudskin inspect: %s\n", err->text);
        return err->code == ST_LIMIT ? EXIT_REFUSED : exit_code_of(err->code);
    }
    fprintf(stderr, "%s: ", path);
    if (err->offset != ERROR_NO_OFFSET)
        fprintf(stderr, "offset 0x%llx: ", (unsigned long long)err->offset);
    fprintf(stderr, "%s\n", err->text);
    return EXIT_REFUSED;
}

static int print(struct buf *out, int exit_code)
{
    if (out->len > 0)
        fwrite(out->data, 1, out->len, stdout);
    int code = out->failed ? EXIT_SYSTEM : exit_after_output("cloudskin inspect");
    buf_done(out);
    return code != 0 ? code : exit_code;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int inspect_folder(const char *path, bool json)
{
    struct buf out = {0};
    struct error err = {.offset = ERROR_NO_OFFSET};
    bool damaged;
    status_t st = checkpointlist_put(path, json, &out, &damaged, &err);
    if (st != ST_OK) {
        buf_done(&out);
        return refuse(path, &err);
    }
    return print(&out, damaged ? EXIT_REFUSED : 0);
}

static int inspect(const char *path, const struct inspect_options *options)
{
    struct subject s = {0};
    struct buf out = {0};
    struct error err = {.offset = ERROR_NO_OFFSET};
    int code = 0;
    bool is_snapshot = snapshot_is_one(path);
    status_t st = is_snapshot ? snapshot_put(path, options, &out, &err)
                              : subject_open(path, &s, &err);
    if (st != ST_OK) {
        code = refuse(options->name, &err);
    } else if (!is_snapshot) {
        s.path = options->name;
        (options->json ? subject_put_json : subject_put_text)(&s, &out);
    }
    subject_close(&s);
    return print(&out, code);
}

/* A copy of the object, which is gone when this process ends. */
static int inspect_object(const char *place, const struct inspect_options *options)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    char path[64];
    int fd = -1;
    if (geds_place_fetch(place, false, &fd, &err) != ST_OK) {
        return refuse(place, &err);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int code = inspect(path, options);
    close(fd);
    return code;
}

int main(int argc, char **argv)
{
    struct inspect_options options = {0};
    int id = 0;
    while ((id = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (id == 'h') {
            fputs(help_text, stdout);
            return exit_after_output("cloudskin inspect");
        }
        if (id != 'j' && id != 'a')
            return usage("unknown option");
        options.json = options.json || id == 'j';
        options.all = options.all || id == 'a';
    }
    if (optind + 1 != argc)
        return usage(optind == argc ? "which file?" : "one file at a time");
    const char *path = argv[optind];
    options.name = path;
    if (geds_place_told(path)) {
        return inspect_object(path, &options);
    }
    return is_folder(path) ? inspect_folder(path, options.json) : inspect(path, &options);
}
