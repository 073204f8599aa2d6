#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "checkpointlist/list.h"
#include "checkpoints/folder.h"
#include "controlpath/control.h"
#include "exitcode/exit_code.h"
#include "prune.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/signals.h"

/* `cloudskin checkpoint`: states of a running cell that it can be gone back to. */

static const char help_text[] =
    "Usage: cloudskin checkpoint NAME [--every TIME] [--keep N] [-o FOLDER]\n"
    "       cloudskin checkpoint --list NAME\n"
    "\n"
    "Write the state of the cell that was started as `cloudskin run --name NAME` to a folder,\n"
    "while it runs on: once, or every so often until it ends. The cell stops only for the time\n"
    "that is printed. Each one holds what changed since the one before. From then on the cell\n"
    "keeps before-images of what it changes in files, so `cloudskin thaw` can go back to it.\n"
    "\n"
    "      --every TIME    a time such as 10s, 500ms or 2m: go on until the cell ends or Ctrl-C\n"
    "      --keep N        keep the newest N, remove older ones (default: 3)\n"
    "  -o, --output FOLDER where to (default: $XDG_STATE_HOME/cloudskin/checkpoints/NAME, else\n"
    "                      the same in ~/.local/state)\n"
    "      --list          make none: show the number, age and size of those that there are, and\n"
    "                      which `cloudskin thaw --at N` can go back to; the cell need not run\n"
    "      --json          one JSON object a line on standard output; with --list one object\n"
    "  -h, --help          this text\n"
    "\n"
    "Example:\n"
    "  cloudskin run --name sim --dir . sim.wasm &\n"
    "  cloudskin checkpoint sim --every 10s --keep 3 &\n"
    "  cloudskin thaw --name sim --dir .        # after a crash: the newest one\n"
    "\n"
    "Exit codes: 0 done (with --every: the cell has ended, and the last one was good), 64 wrong\n"
    "usage, 65 the cell cannot travel, 71 the system refused (disk, with --every: the last one),\n"
    "127 no such cell, 130 Ctrl-C.\n";

static const struct option long_options[] = {
    {"every", required_argument, NULL, 'e'},
    {"keep", required_argument, NULL, 'k'},
    {"output", required_argument, NULL, 'o'},
    {"json", no_argument, NULL, 'j'},
    {"list", no_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { KEEP_DEFAULT = 3, KEEP_MAX = 100000, CHAIN_MAX = 32 };

struct request {
    const char *name;
    uint64_t every_ns; /* 0: once */
    uint32_t keep;
    const char *output; /* NULL: the default folder */
    bool json;
    bool list;
    bool says_how; /* of making some: --every or --keep */
    char folder[PATH_MAX];
    int folder_fd;
    uint32_t last;        /* number of the last one that is whole, 0: none of ours */
    uint32_t chain;       /* increments since the last full one */
    uint64_t full_bytes;  /* of that */
    uint64_t chain_bytes; /* of the increments */
    bool ended;           /* the cell */
    int failed;           /* exit code of the newest one, 0: it is good */
    char why[ERROR_TEXT_MAX];
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static int usage(const char *what)
{
    fprintf(stderr, "cloudskin checkpoint: %s\nTry 'cloudskin checkpoint --help'.\n", what);
    return EXIT_USAGE;
}

static void say(const char *text)
{
    fprintf(stderr, "cloudskin checkpoint: %s\n", text);
}

static int fail(const struct error *err)
{
    say(err->text[0] != '\0' ? err->text : status_name(err->code));
    return err->code == ST_NOTFOUND ? EXIT_MISSING
           : err->code == ST_INVAL  ? EXIT_USAGE
                                    : EXIT_SYSTEM;
}

/* ---- one ---- */

/* An answer to a request. */
struct answer {
    uint64_t frames, bytes, pause_ns;
    uint32_t base;
    bool lost;
    char text[CONTROL_LINE_MAX];
};

static void parse_answer(const char *line, struct answer *a)
{
    a->frames = control_number(&line);
    a->bytes = control_number(&line);
    a->pause_ns = control_number(&line);
    a->base = (uint32_t)control_number(&line);
    a->lost = control_number(&line) != 0;
    snprintf(a->text, sizeof a->text, "%s", line);
}

/* ST_NOTFOUND: the cell has ended; ST_UNSUPPORTED: it refused, for now. */
static status_t ask(struct request *q, uint32_t number, uint32_t base, struct answer *a,
                    struct error *err)
{
    char line[CONTROL_LINE_MAX];
    int control;
    status_t st = control_connect(q->name, &control, err);
    q->ended = st == ST_NOTFOUND;
    if (st != ST_OK) {
        return st;
    }
    snprintf(line, sizeof line, "checkpoint %u %u\n", number, base);
    st = control_send(control, line, q->folder_fd, err);
    st = st == ST_OK ? control_receive(control, line, NULL, err) : st;
    close(control);
    if (st != ST_OK || strncmp(line, "ended", 5) == 0) { /* or it ended in between */
        q->ended = true;
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "'%s' has ended", q->name);
    }
    if (strncmp(line, "ok ", 3) != 0) {
        bool refused = strncmp(line, "refused ", 8) == 0;
        const char *text = refused ? line + 8 : strncmp(line, "error ", 6) == 0 ? line + 6 : line;
        return error_set(err, refused ? ST_UNSUPPORTED : ST_IO, ERROR_NO_OFFSET, "%s: %.180s",
                         q->name, text);
    }
    parse_answer(line + 3, a);
    return ST_OK;
}

/* Its name, when all of it is on the disk. */
static status_t give_name(const struct request *q, uint32_t number, struct error *err)
{
    char part[CHECKPOINT_FILE_BYTES], snap[CHECKPOINT_FILE_BYTES];
    checkpoints_file(number, "part", part);
    checkpoints_file(number, "snap", snap);
    int fd = openat(q->folder_fd, part, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && file_sync(fd) == 0 &&
                renameat(q->folder_fd, part, q->folder_fd, snap) == 0 &&
                file_sync(q->folder_fd) == 0;
    int errnum = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (!good) {
        unlinkat(q->folder_fd, part, 0);
        return error_set_errno(err, errnum, "%s/%s", q->folder, snap);
    }
    return ST_OK;
}

static void report(const struct request *q, uint32_t number, const struct answer *a)
{
    double pause_ms = (double)a->pause_ns / 1e6;
    if (a->lost) {
        fprintf(stderr, "cloudskin checkpoint: those before %u cannot be gone back to: %s\n",
                number, a->text);
    }
    if (q->json) {
        printf("{\"number\": %u, \"bytes\": %llu, \"base\": %u, \"pause_ms\": %.3f, \"frames\": "
               "%llu}\n",
               number, (unsigned long long)a->bytes, a->base, pause_ms,
               (unsigned long long)a->frames);
    } else if (a->base != 0) {
        printf("%u: %llu bytes on %u, %.3f ms\n", number, (unsigned long long)a->bytes, a->base,
               pause_ms);
    } else {
        printf("%u: %llu bytes, %.3f ms\n", number, (unsigned long long)a->bytes, pause_ms);
    }
    fflush(stdout);
}

static void count(struct request *q, uint32_t number, const struct answer *a)
{
    q->last = number;
    q->chain = a->base == 0 ? 0 : q->chain + 1;
    q->chain_bytes = a->base == 0 ? 0 : q->chain_bytes + a->bytes;
    q->full_bytes = a->base == 0 ? a->bytes : q->full_bytes;
}

static status_t checkpoint(struct request *q, struct error *err)
{
    struct checkpoint_list l = {0};
    struct answer a = {0};
    status_t st = checkpoints_list(q->folder_fd, &l, err);
    uint32_t number = l.highest + 1;
    /* A long chain takes long to read, and keeps what it is made of; nothing stands on what has been removed. */
    bool full = q->chain >= CHAIN_MAX || q->chain_bytes >= q->full_bytes ||
                !checkpoints_list_has(&l, q->last);
    checkpoints_list_done(&l);
    if (st == ST_OK && number > UNDO_NUMBER_MAX) {
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: its numbers are used up", q->folder);
    }
    st = st == ST_OK ? ask(q, number, full ? 0 : q->last, &a, err) : st;
    st = st == ST_OK ? give_name(q, number, err) : st;
    if (st == ST_OK) {
        count(q, number, &a);
        report(q, number, &a);
        st = prune(q->folder_fd, q->keep, err);
    }
    return st;
}

/* ---- many ---- */

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000u),
                                .tv_nsec = (long)(at_ns % 1000000000u)};
    while (interrupted == 0 &&
           clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static int code_of(status_t st)
{
    return st == ST_UNSUPPORTED ? EXIT_REFUSED : st == ST_INVAL ? EXIT_USAGE : EXIT_SYSTEM;
}

/* After one that failed. A state that cannot travel now, a full disk, a folder that is gone: it may be better next
 * time, and the ones before are good. */
static bool goes_on(struct request *q, status_t st, const struct error *err)
{
    q->failed = code_of(st);
    snprintf(q->why, sizeof q->why, "%s", err->text);
    if (q->every_ns == 0 || st == ST_AGAIN || st == ST_PERM) {
        return false;
    }
    say(err->text);
    return true;
}

/* The cell has ended, and is to be gone back to: was the newest one good? */
static int after_the_end(const struct request *q)
{
    if (q->failed != 0) {
        fprintf(stderr,
                "cloudskin checkpoint: '%s' has ended, and the last checkpoint failed: %s\n",
                q->name, q->why);
    }
    return q->failed;
}

static int checkpoints(struct request *q)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    uint64_t next_ns = clock_monotonic_ns();
    bool any = false;
    do {
        err = (struct error){.offset = ERROR_NO_OFFSET};
        status_t st = checkpoint(q, &err);
        if (q->ended) {
            return any ? after_the_end(q) : fail(&err);
        }
        if (st == ST_OK) {
            q->failed = 0;
        } else if (!goes_on(q, st, &err)) {
            say(err.text);
            return q->failed;
        }
        any = true;
        next_ns += q->every_ns;
        if (next_ns < clock_monotonic_ns()) {
            next_ns = clock_monotonic_ns();
        }
        if (q->every_ns != 0) {
            sleep_until(next_ns);
        }
    } while (q->every_ns != 0 && interrupted == 0);
    return interrupted == 0 ? 0 : 128 + (int)interrupted;
}

/* ---- the folder ---- */

static status_t remove_part(void *arg, const char *name, uint32_t number, const char *suffix,
                            struct error *err)
{
    const int *folder_fd = arg;
    (void)number;
    (void)err;
    if (strcmp(suffix, "part") == 0) {
        unlinkat(*folder_fd, name, 0);
    }
    return ST_OK;
}

static status_t find_folder(struct request *q, struct error *err)
{
    if (q->output == NULL) {
        return checkpoints_folder(q->name, q->folder, err);
    }
    return snprintf(q->folder, sizeof q->folder, "%s", q->output) < (int)sizeof q->folder
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the path of the folder is too long");
}

static status_t open_folder(struct request *q, int *ret_lock, struct error *err)
{
    char lock[PATH_MAX];
    status_t st = find_folder(q, err);
    st = st == ST_OK ? file_make_dirs(q->folder, 0700, err) : st;
    if (st == ST_OK && snprintf(lock, sizeof lock, "%s/.lock", q->folder) >= (int)sizeof lock) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the path of the folder is too long");
    }
    if (st == ST_OK && (st = file_lock(lock, false, ret_lock, err)) == ST_AGAIN) {
        error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "%s: another checkpoint command is writing there",
                  q->folder);
    }
    if (st == ST_OK && (q->folder_fd = open(q->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        st = error_set_errno(err, errno, "%s", q->folder);
    }
    return st == ST_OK ? undo_files_each(q->folder_fd, remove_part, &q->folder_fd, err) : st;
}

static int run(struct request *q)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    int lock = -1, control;
    signal_catch_once(SIGINT, on_signal);
    signal_catch_once(SIGTERM, on_signal);
    status_t st = control_connect(q->name, &control, &err); /* before a folder is made for it */
    if (st == ST_OK) {
        close(control);
        st = open_folder(q, &lock, &err);
    }
    int exit_code = st == ST_OK ? checkpoints(q) : fail(&err);
    if (lock >= 0) {
        file_lock_release(lock, NULL);
    }
    if (q->folder_fd >= 0) {
        close(q->folder_fd);
    }
    return exit_code;
}

static int list(struct request *q)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct buf out = {0};
    bool damaged = false;
    status_t st = find_folder(q, &err);
    st = st == ST_OK ? checkpointlist_put(q->folder, q->json, &out, &damaged, &err) : st;
    int exit_code = st != ST_OK ? fail(&err) : out.failed ? EXIT_SYSTEM : 0;
    if (exit_code == 0) {
        fwrite(out.data, 1, out.len, stdout);
        exit_code = exit_after_output("cloudskin checkpoint");
    }
    buf_done(&out);
    return exit_code == 0 && damaged ? EXIT_REFUSED : exit_code;
}

/* ---- the command line ---- */

static const char *set_option(struct request *q, int id, const char *value)
{
    uint64_t keep;
    q->says_how = q->says_how || id == 'e' || id == 'k';
    switch (id) {
    case 'e':
        if (parse_duration(value, UINT64_MAX / 4, &q->every_ns) != ST_OK || q->every_ns == 0) {
            return "--every: expected a time above 0, such as 10s, 500ms or 2m";
        }
        return NULL;
    case 'k':
        if (parse_u64(value, KEEP_MAX, &keep) != ST_OK || keep == 0) {
            return "--keep: expected a number from 1 to 100000";
        }
        q->keep = (uint32_t)keep;
        return NULL;
    case 'o':
        q->output = value;
        if (strncmp(value, "geds://", 7) == 0) {
            return "checkpoints are in a folder; an object is what `cloudskin freeze` writes";
        }
        return value[0] != '\0' ? NULL : "--output: expected a folder";
    case 'j':
        q->json = true;
        return NULL;
    case 'l':
        q->list = true;
        return NULL;
    case ':':
        return "an option needs a value";
    default:
        return "no such option";
    }
}

int main(int argc, char **argv)
{
    struct request q = {.keep = KEEP_DEFAULT, .folder_fd = -1};
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, ":o:h", long_options, NULL)) != -1;) {
        if (id == 'h') {
            return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_SYSTEM : 0;
        }
        const char *wrong = set_option(&q, id, optarg);
        if (wrong != NULL) {
            return usage(wrong);
        }
    }
    if (optind + 1 != argc) {
        return usage(optind == argc ? "which cell?" : "one cell at a time");
    }
    if (q.list && q.says_how) {
        return usage("--list makes none, so --every and --keep do not go with it");
    }
    q.name = control_name_of(argv[optind]);
    return q.list ? list(&q) : run(&q);
}
