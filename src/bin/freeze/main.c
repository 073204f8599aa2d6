#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlpath/control.h"
#include "exitcode/exit_code.h"

/* `cloudskin freeze`: a running cell becomes a file. */

static const char help_text[] =
    "Usage: cloudskin freeze [--keep] NAME -o SNAPSHOT\n"
    "\n"
    "Stop the cell that was started as `cloudskin run --name NAME` wherever it is, and write its\n"
    "state to SNAPSHOT: memory, call stack, open files. Its `run` then ends with exit code 75, "
    "and\n"
    "`cloudskin thaw SNAPSHOT` goes on with it. The file appears only when it is whole; if\n"
    "anything fails the cell runs on.\n"
    "\n"
    "  -o, --output FILE   the snapshot; '-' writes it to standard output\n"
    "      --keep          let the cell run on afterwards\n"
    "      --json          say what was written as JSON on standard output\n"
    "  -h, --help          this text\n"
    "\n"
    "Example:\n"
    "  cloudskin run --name sim sim.wasm &\n"
    "  cloudskin freeze sim -o sim.snap\n"
    "  cloudskin thaw sim.snap\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the cell cannot travel, 71 the system refused (disk),\n"
    "127 no such cell.\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"keep", no_argument, NULL, 'k'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { PATIENCE_MS = 1000 };

struct request {
    const char *name;
    const char *output;
    bool keep;
    bool json;
    char part[PATH_MAX]; /* the file while it is written; "": standard output */
};

static int usage(const char *what)
{
    fprintf(stderr, "cloudskin freeze: %s\nTry 'cloudskin freeze --help'.\n", what);
    return EXIT_USAGE;
}

static int fail(const struct error *err, int exit_code)
{
    fprintf(stderr, "cloudskin freeze: %s\n",
            err->text[0] != '\0' ? err->text : status_name(err->code));
    return exit_code;
}

static int open_output(struct request *q, struct error *err)
{
    if (strcmp(q->output, "-") == 0) {
        return STDOUT_FILENO;
    }
    int len = snprintf(q->part, sizeof q->part, "%s.part.XXXXXX", q->output);
    if (len < 0 || (size_t)len >= sizeof q->part) {
        q->part[0] = '\0';
        error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the path of the snapshot is too long");
        return -1;
    }
    int fd = mkostemp(q->part, O_CLOEXEC);
    if (fd < 0) {
        q->part[0] = '\0';
        error_set_errno(err, errno, "%s", q->output);
    }
    return fd;
}

/* While it is compiled, or in the middle of long work of the host, a cell comes to no control point: say so. */
static void wait_for_answer(const char *name, int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    if (poll(&one, 1, PATIENCE_MS) == 0) {
        fprintf(stderr,
                "cloudskin freeze: waiting for '%s': it is being compiled, or in long work of the "
                "host\n",
                name);
    }
}

/* The snapshot is whole: give it its name, then let the cell go. */
static status_t finish(struct request *q, int out, int control, struct error *err)
{
    char line[CONTROL_LINE_MAX];
    if (q->part[0] != '\0' && (fsync(out) != 0 || rename(q->part, q->output) != 0)) {
        return error_set_errno(err, errno, "%s", q->output);
    }
    q->part[0] = '\0';
    status_t code = control_send(control, "commit\n", -1, err);
    return code == ST_OK ? control_receive(control, line, NULL, err) : code;
}

static void report(const struct request *q, const char *answer)
{
    const char *rest = answer;
    uint64_t frames = control_number(&rest), bytes = control_number(&rest);
    if (q->json) {
        printf("{\"frames\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", frames, bytes);
    } else {
        fprintf(stderr, "cloudskin freeze: %s: %" PRIu64 " frames, %" PRIu64 " bytes, in %s\n",
                q->name, frames, bytes, rest);
    }
}

static int exchange(struct request *q, int out, int control)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    char line[CONTROL_LINE_MAX];
    status_t code = control_send(control, q->keep ? "keep\n" : "freeze\n", out, &err);
    if (code == ST_OK) {
        wait_for_answer(q->name, control);
        code = control_receive(control, line, NULL, &err);
    }
    if (code != ST_OK) {
        return fail(&err, EXIT_SYSTEM);
    }
    if (strncmp(line, "ok ", 3) != 0) {
        fprintf(stderr, "cloudskin freeze: %s: %s\n", q->name,
                strncmp(line, "error ", 6) == 0 ? line + 6 : line);
        return EXIT_REFUSED;
    }
    code = finish(q, out, control, &err);
    if (code != ST_OK) {
        return fail(&err, EXIT_SYSTEM);
    }
    report(q, line + 3);
    return 0;
}

static int freeze(struct request *q)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    int control;
    status_t code = control_connect(q->name, &control, &err);
    if (code != ST_OK) {
        return fail(&err, code == ST_INVAL ? EXIT_USAGE : exit_code_of(code));
    }
    int out = open_output(q, &err);
    int exit_code = out >= 0 ? exchange(q, out, control) : fail(&err, EXIT_SYSTEM);
    if (q->part[0] != '\0') {
        unlink(q->part);
    }
    if (out > STDERR_FILENO) {
        close(out);
    }
    close(control);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct request q = {0};
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1;) {
        switch (id) {
        case 'o':
            q.output = optarg;
            break;
        case 'k':
            q.keep = true;
            break;
        case 'j':
            q.json = true;
            break;
        case 'h':
            return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_SYSTEM : 0;
        default:
            return usage(id == ':' ? "an option needs a value" : "no such option");
        }
    }
    if (optind + 1 != argc) {
        return usage(optind == argc ? "which cell?" : "one cell at a time");
    }
    q.name = argv[optind];
    if (q.output == NULL || q.output[0] == '\0') {
        return usage("where to? Say -o FILE");
    }
    return freeze(&q);
}
