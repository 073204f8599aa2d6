#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "controlpath/control.h"
#include "exitcode/exit_code.h"
#include "gedsfile/place.h"
#include "object.h"
#include "snapfile/file.h"
#include "sys/files.h"
#include "sys/signals.h"

/* `cloudskin freeze`: a running cell becomes a file. */

static const char help_text[] =
    "Usage: cloudskin freeze [OPTIONS] NAME -o SNAPSHOT\n"
    "\n"
    "Stop the cell that was started as `cloudskin run --name NAME` wherever it is, and write its\n"
    "state to SNAPSHOT: memory, call stack, open files. Its `run` then ends with exit code 75, "
    "and\n"
    "`cloudskin thaw SNAPSHOT` goes on with it. The file appears only when it is whole; if\n"
    "anything fails the cell runs on.\n"
    "\n"
    "  -o, --output FILE   the snapshot; '-' is standard output; a pipe or device is written "
    "into;\n"
    "                      geds://BUCKET/KEY is an object\n"
    "      --keep          let the cell run on afterwards\n"
    "      --compress[=N]  with zstd at level N, 1 to 19 (default 3)\n"
    "      --embed         with the program's module, so that thaw needs no other file\n"
    "      --json          say what was written as JSON on standard output\n"
    "  -h, --help          this text\n"
    "\n"
    "Example:\n"
    "  cloudskin run --name sim sim.wasm &\n"
    "  cloudskin freeze sim -o sim.snap\n"
    "  cloudskin thaw sim.snap\n"
    "  cloudskin freeze sim -o geds://snaps/sim\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the cell cannot travel or its module is not there to\n"
    "be embedded, 71 the system refused (disk), 127 no such cell, or it ended before.\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"keep", no_argument, NULL, 'k'},
    {"embed", no_argument, NULL, 'e'},
    {"compress", optional_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { PATIENCE_MS = 1000, SNAPSHOT_MODE = 0600 };

struct request {
    const char *name;
    const char *output;
    bool keep;
    bool embed;
    unsigned level;      /* of compression; 0: none */
    uint64_t compressed; /* bytes of the file that compression made; 0: none */
    bool json;
    /* A file gets its name only when it is whole, from the process that it is the state of. */
    int folder;            /* -1: the output is a pipe or a device, written into as it comes */
    char part[PATH_MAX];   /* path of the file while it is written; "": there is none */
    char target[PATH_MAX]; /* path of the file that it becomes */
    struct object_output *object; /* NULL: the output is no object */
};

static int usage(const char *what, const char *argument)
{
    fprintf(stderr, "cloudskin freeze: %s%s%s\nTry 'cloudskin freeze --help'.\n", what,
            argument != NULL ? ": " : "", argument != NULL ? argument : "");
    return EXIT_USAGE;
}

static int fail(const struct error *err, int exit_code)
{
    fprintf(stderr, "cloudskin freeze: %s\n",
            err->text[0] != '\0' ? err->text : status_name(err->code));
    return exit_code;
}

static bool parse_level(const char *text, unsigned *ret_level)
{
    uint64_t level = SNAPSHOT_LEVEL_DEFAULT;
    if (text != NULL && (parse_u64(text, SNAPSHOT_LEVEL_MAX, &level) != ST_OK || level == 0)) {
        return false;
    }
    *ret_level = (unsigned)level;
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The file that the output stands for: where a symbolic link leads. */
static status_t find_target(struct request *q, struct error *err)
{
    struct stat st;
    if (realpath(q->output, q->target) == NULL) {
        int errnum = errno;
        if (lstat(q->output, &st) == 0 && S_ISLNK(st.st_mode)) {
            return error_set_errno(err, errnum, "%s: a link that leads nowhere", q->output);
        }
        int len = snprintf(q->target, sizeof q->target, "%s", q->output);
        if (len < 0 || (size_t)len >= sizeof q->target) {
            return error_set_errno(err, ENAMETOOLONG, "%s", q->output);
        }
    }
    const char *base = base_name(q->target);
    if (base[0] == '\0' || strchr(base, '\n') != NULL) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s: no name for a file", q->output);
    }
    return ST_OK;
}

static int open_part(struct request *q, struct error *err)
{
    char folder[PATH_MAX];
    int fd;
    if (find_target(q, err) != ST_OK) {
        return -1;
    }
    int folder_len = (int)(base_name(q->target) - q->target);
    snprintf(folder, sizeof folder, "%.*s", folder_len, q->target);
    q->folder = open(folder_len > 0 ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->folder < 0) {
        error_set_errno(err, errno, "%s", q->output);
        return -1;
    }
    if (file_open_temporary(q->target, SNAPSHOT_MODE, q->part, &fd, err) != ST_OK) {
        q->part[0] = '\0';
        return -1;
    }
    signal_unlinks(q->part);
    return fd;
}

static int open_output(struct request *q, struct error *err)
{
    struct stat st;
    int out = -1;
    if (geds_place_told(q->output)) {
        return object_output_open(q->output, &q->object, &out, err) == ST_OK ? out : -1;
    }
    if (strcmp(q->output, "-") == 0) {
        return STDOUT_FILENO;
    }
    if (stat(q->output, &st) != 0 || S_ISREG(st.st_mode)) {
        return open_part(q, err);
    }
    int fd = open(q->output, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(err, errno, "%s", q->output);
    }
    return fd;
}

/* While it is compiled, or in the middle of long work of the host, a cell comes to no control point: say so. */
static void wait_for_answer(const char *name, int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    if (poll(&one, 1, PATIENCE_MS) == 0) {
        fprintf(
            stderr,
            "cloudskin freeze: waiting for '%s': it is large, is being compiled or in long work of "
            "the host, or its process is stopped\n",
            name);
    }
}

/* The same of an object. */
static status_t finish_object(struct request *q, int control, struct error *err)
{
    char line[CONTROL_LINE_MAX];
    status_t code = object_output_seal(q->object, control, err);
    code = code == ST_OK ? object_output_line(q->object, line, err) : code;
    if (code != ST_OK) {
        return code;
    }
    code = control_send(control, line, -1, err);
    code = code == ST_OK ? control_receive(control, line, NULL, err) : code;
    if (code == ST_OK && strncmp(line, "error ", 6) == 0) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: %s", q->output, line + 6);
    }
    /* the cell was killed, after it had named its snapshot */
    return code != ST_OK && object_output_named(q->object) ? ST_OK : code;
}

/* The snapshot is whole: have it named, and the cell let go. */
static status_t finish(struct request *q, int control, struct error *err)
{
    char line[CONTROL_LINE_MAX];
    if (q->object != NULL) {
        return finish_object(q, control, err);
    }
    int len = q->part[0] != '\0' ? snprintf(line, sizeof line, "place %s/%s\n", base_name(q->part),
                                            base_name(q->target))
                                 : snprintf(line, sizeof line, "commit\n");
    if (len < 0 || (size_t)len >= sizeof line) {
        return error_set_errno(err, ENAMETOOLONG, "%s", q->output);
    }
    status_t code = control_send(control, line, q->part[0] != '\0' ? q->folder : -1, err);
    code = code != ST_OK ? code : control_receive(control, line, NULL, err);
    if (code == ST_OK && strncmp(line, "error ", 6) == 0) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: %s", q->output, line + 6);
    }
    if (code != ST_OK && q->part[0] != '\0' && access(q->part, F_OK) != 0 && errno == ENOENT) {
        return ST_OK; /* the cell was killed, after it had named its snapshot */
    }
    return code;
}

static void report(const struct request *q, const char *answer)
{
    const char *rest = answer;
    uint64_t frames = control_number(&rest), bytes = control_number(&rest);
    if (q->json) {
        printf("{\"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", frames, bytes);
    } else {
        char compressed[64] = "";
        if (q->compressed != 0) {
            snprintf(compressed, sizeof compressed, " compressed to %" PRIu64, q->compressed);
        }
        fprintf(stderr, "cloudskin freeze: %s: %" PRIu64 " frames, %" PRIu64 " bytes%s, in %s\n",
                q->name, frames, bytes, compressed, rest);
    }
}

/* Ask for the snapshot, and wait until the cell has written it to out. The answer is the cell's. */
static void ask(const struct request *q, int out, int control, char ret_line[CONTROL_LINE_MAX])
{
    snprintf(ret_line, CONTROL_LINE_MAX, "%s%s\n", q->keep ? "keep" : "freeze",
             q->embed ? " embed" : "");
    status_t code = control_send(control, ret_line, out, NULL);
    if (code == ST_OK) {
        wait_for_answer(q->name, control);
        code = control_receive(control, ret_line, NULL, NULL);
    }
    if (code != ST_OK) { /* nobody else closes the connection before an answer */
        snprintf(ret_line, CONTROL_LINE_MAX, "ended");
    }
}

/* The same through a process that compresses. When it has ended all is written, and made durable where it becomes a
 * file; its failure is one of the snapshot, whatever the cell says. */
static status_t ask_compressed(struct request *q, int out, int control,
                               char ret_line[CONTROL_LINE_MAX], struct error *err)
{
    struct process compressor;
    int plain;
    status_t code = snapshot_compress_start(out, q->level, &compressor, &plain, err);
    if (code != ST_OK) {
        return code;
    }
    ask(q, plain, control, ret_line);
    close(plain);
    code = snapshot_compress_end(&compressor, err);
    if (code == ST_OK && q->part[0] != '\0' && file_sync(out) != 0) {
        code = error_set_errno(err, errno, "%s", q->output);
    }
    struct stat file;
    if (q->part[0] != '\0' && fstat(out, &file) == 0) {
        q->compressed = (uint64_t)file.st_size;
    }
    return code;
}

static int exchange(struct request *q, int out, int control)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    char line[CONTROL_LINE_MAX];
    status_t code = ST_OK;
    if (q->level != 0) {
        code = ask_compressed(q, out, control, line, &err);
    } else {
        ask(q, out, control, line);
    }
    if (q->object != NULL) {
        close(out);
        status_t ended = object_output_end(q->object, code == ST_OK ? &err : NULL);
        code = code == ST_OK ? ended : code;
    }
    if (code != ST_OK) {
        return fail(&err, EXIT_SYSTEM);
    }
    if (strncmp(line, "ended", 5) == 0) {
        error_set(&err, ST_NOTFOUND, ERROR_NO_OFFSET, "no running cell '%s': it has just ended",
                  q->name);
        return fail(&err, EXIT_MISSING);
    }
    if (strncmp(line, "ok ", 3) != 0) {
        const char *text = strchr(line, ' ');
        fprintf(stderr, "cloudskin freeze: %s: %s\n", q->name, text != NULL ? text + 1 : line);
        return strncmp(line, "refused ", 8) == 0 ? EXIT_REFUSED : EXIT_SYSTEM;
    }
    code = finish(q, control, &err);
    if (code != ST_OK) {
        return fail(&err, EXIT_SYSTEM);
    }
    report(q, line + 3);
    return exit_after_output("cloudskin freeze");
}

/* The output comes first: opening a pipe waits for its reader, and that is not to stop the cell. */
static int freeze(struct request *q)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    int exit_code, control, out = open_output(q, &err);
    if (out < 0) {
        int refused = err.code == ST_INVAL ? EXIT_USAGE : exit_code_of(err.code);
        return fail(&err, geds_place_told(q->output) ? refused : EXIT_SYSTEM);
    }
    status_t code = control_connect(q->name, &control, &err);
    if (code == ST_OK) {
        exit_code = exchange(q, out, control);
        close(control);
    } else {
        exit_code = fail(&err, code == ST_INVAL ? EXIT_USAGE : exit_code_of(code));
        if (q->object != NULL) {
            close(out);
        }
    }
    object_output_close(q->object);
    if (q->part[0] != '\0') {
        unlink(q->part);
    }
    return exit_code;
}

int main(int argc, char **argv)
{
    struct request q = {.folder = -1};
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1;) {
        switch (id) {
        case 'o':
            q.output = optarg;
            break;
        case 'k':
            q.keep = true;
            break;
        case 'e':
            q.embed = true;
            break;
        case 'c':
            if (!parse_level(optarg, &q.level)) {
                return usage("--compress: expected a level from 1 to 19", NULL);
            }
            break;
        case 'j':
            q.json = true;
            break;
        case 'h':
            fputs(help_text, stdout);
            return exit_after_output("cloudskin freeze");
        default:
            return usage(id == ':' ? "an option needs a value" : "no such option",
                         argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) {
        return optind == argc ? usage("the NAME of a cell is missing", NULL)
                              : usage("one cell at a time; unexpected", argv[optind + 1]);
    }
    q.name = control_name_of(argv[optind]);
    if (q.output == NULL || q.output[0] == '\0') {
        return usage("where to? -o FILE is missing", NULL);
    }
    return freeze(&q);
}
