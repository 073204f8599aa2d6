#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcode/exit_code.h"
#include "localstate/folder.h"
#include "net/rpc/local.h"
#include "sys/files.h"
#include "sys/process.h"

/* `cloudskin up`: cloudskin-controller with the places where the other verbs look. */

static const char help_text[] =
    "Usage: cloudskin up [OPTIONS]\n"
    "\n"
    "Start the object store of this machine: for S3 clients, and for put, get, ls and the other\n"
    "verbs with paths geds://BUCKET/KEY. It stays in the foreground until Ctrl-C, SIGTERM or\n"
    "`cloudskin down`. The first start makes the state folder and a key for S3 clients, which it\n"
    "prints as export lines; `cloudskin keys` prints them again.\n"
    "\n"
    "  -d, --detach        go to the background: return when the store serves; its log is\n"
    "                      DIR/controller.log\n"
    "      --s3 HOST:PORT  where S3 is served (default 127.0.0.1:9000; port 0: any free one)\n"
    "      --metrics HOST:PORT  where /metrics, for Prometheus, and /healthz are served (default\n"
    "                      127.0.0.1:9464, or nowhere if that is in use; none: nowhere)\n"
    "      --listen HOST:PORT  serve clients of other machines too, at an IP address (0.0.0.0: "
    "all\n"
    "                      of this machine's; port 0: any free one; 7700 is what clients look "
    "for):\n"
    "                      CLOUDSKIN_CONTROLLER=tls://HOST:PORT there. Needs the certificates of\n"
    "                      `cloudskin ca init`, or --tls-cert FILE --tls-key FILE --tls-ca FILE;\n"
    "                      without any, only 127.0.0.1 and [::1] are served, as tcp://HOST:PORT\n"
    "      --s3-tls        serve S3 as https (TLS 1.2 and 1.3) with the same certificate\n"
    "      --state DIR     the state folder (default $XDG_STATE_HOME/cloudskin, else\n"
    "                      ~/.local/state/cloudskin)\n"
    "      --tier s3://BUCKET[/PREFIX]  have a tier behind local disk, where bytes go that nobody\n"
    "                      used for long; with --tier-endpoint URL, --tier-credentials FILE (mode\n"
    "                      0600, a line `ACCESS_KEY SECRET [TOKEN]`), and if need be "
    "--tier-region\n"
    "                      NAME, --tier-ca-file FILE, --tier-style path|virtual-host. It is kept\n"
    "                      in the state folder: later starts need none of it. none: no tier any\n"
    "                      more, when nothing is in it\n"
    "      --local-bytes SIZE  bytes of local files above which they go to the tier (default\n"
    "                      80 % of the file system); --cache-bytes SIZE of local disk for what is\n"
    "                      read from the tier. Both are kept, too\n"
    "      --encrypt on|off  encrypt all that is written from now on; off: what buckets "
    "(cloudskin\n"
    "                      tier --encrypt) and requests say. --master-key FILE (default\n"
    "                      DIR/master.key, mode 0600) has the keys: it is made when it is not "
    "there\n"
    "                      and nothing is encrypted, and without it nothing encrypted can be "
    "read.\n"
    "                      Both are kept, too\n"
    "      --node-lost TIME  a node (`cloudskin node`) that is away for so long is lost: what it "
    "has\n"
    "                      is copied to others (default 5m)\n"
    "      --scrub RATE    bytes a second of local files that are compared with their checksums "
    "in\n"
    "                      the background (default 8M; 0: none), all of them every\n"
    "      --scrub-every TIME  (default 168h). What is damaged is brought back from the tier or a\n"
    "                      node, and is in the log\n"
    "      --memory SIZE   bytes of files that are kept in memory, those that were used last, of\n"
    "                      buckets with that rule (cloudskin tier --memory); default 0: none. It "
    "is\n"
    "                      kept in the state folder\n"
    "      --etcd HOST:PORT[,HOST:PORT...]  share the store with other controllers through "
    "etcd:\n"
    "                      one of them leads, the others stand by (none: no more). --advertise "
    "ADDR\n"
    "                      is where clients reach this one (default --listen); --etcd-name NAME\n"
    "                      of the store there; --etcd-ca FILE --etcd-cert FILE --etcd-key FILE\n"
    "      --no-sync       do not wait for the disk: a crash of the machine may lose objects\n"
    "  -h, --help          this text\n"
    "\n"
    "Environment: CLOUDSKIN_CONTROLLER=unix:/PATH is the socket at which verbs find the store\n"
    "(default: controller.socket in $XDG_RUNTIME_DIR/cloudskin). One store is up at each.\n"
    "\n"
    "Exit codes: 0 stopped, or with -d started; 64 wrong usage; 65 the state is damaged or of\n"
    "another version; 71 already up, address in use, or refused by the system.\n"
    "\n"
    "Examples:\n"
    "  cloudskin up -d\n"
    "  eval \"$(cloudskin keys)\"\n"
    "  aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://scenes\n"
    "  cloudskin put big.tif geds://scenes/\n";

static const char program[] = "cloudskin up";

static const struct option long_options[] = {
    {"detach", no_argument, NULL, 'd'},
    {"s3", required_argument, NULL, 's'},
    {"metrics", required_argument, NULL, 'm'},
    {"state", required_argument, NULL, 'S'},
    {"no-sync", no_argument, NULL, 'n'},
    {"help", no_argument, NULL, 'h'},
    {"listen", required_argument, NULL, 't'},
    {"s3-tls", no_argument, NULL, 't'},
    {"tls-cert", required_argument, NULL, 't'},
    {"tls-key", required_argument, NULL, 't'},
    {"tls-ca", required_argument, NULL, 't'},
    {"tier", required_argument, NULL, 't'},
    {"tier-endpoint", required_argument, NULL, 't'},
    {"tier-credentials", required_argument, NULL, 't'},
    {"tier-region", required_argument, NULL, 't'},
    {"tier-ca-file", required_argument, NULL, 't'},
    {"tier-style", required_argument, NULL, 't'},
    {"local-bytes", required_argument, NULL, 't'},
    {"cache-bytes", required_argument, NULL, 't'},
    {"encrypt", required_argument, NULL, 't'},
    {"master-key", required_argument, NULL, 't'},
    {"node-lost", required_argument, NULL, 't'},
    {"scrub", required_argument, NULL, 't'},
    {"scrub-every", required_argument, NULL, 't'},
    {"memory", required_argument, NULL, 't'},
    {"etcd", required_argument, NULL, 't'},
    {"etcd-name", required_argument, NULL, 't'},
    {"etcd-ca", required_argument, NULL, 't'},
    {"etcd-cert", required_argument, NULL, 't'},
    {"etcd-key", required_argument, NULL, 't'},
    {"advertise", required_argument, NULL, 't'},
    {0},
};
enum { HANDED_ON_MAX = 16 * 4 };

struct settings {
    bool background;
    bool no_sync;
    const char *s3;
    char *metrics;                  /* NULL: the controller's default */
    const char *state;              /* NULL: the default */
    char *handed_on[HANDED_ON_MAX]; /* as they are */
    size_t handed_count;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ST_INVAL ? EXIT_USAGE : exit_code_of(err->code);
}

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    int c, index = 0;
    while ((c = getopt_long(argc, argv, "dh", long_options, &index)) != -1) {
        if (c == 'd') {
            o->background = true;
        } else if (c == 's') {
            o->s3 = optarg;
        } else if (c == 'm') {
            o->metrics = optarg;
        } else if (c == 'S') {
            o->state = optarg;
        } else if (c == 'n') {
            o->no_sync = true;
        } else if (c == 't' && o->handed_count < HANDED_ON_MAX) {
            char *text = NULL;
            if (asprintf(&text, "--%s%s%s", long_options[index].name, optarg != NULL ? "=" : "",
                         optarg != NULL ? optarg : "") < 0) {
                fprintf(stderr, "%s: out of memory\n", program);
                return EXIT_SYSTEM + 1;
            }
            o->handed_on[o->handed_count++] = text;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program) + 1;
        } else {
            fprintf(stderr, "Try 'cloudskin up --help'.\n");
            return EXIT_USAGE + 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry 'cloudskin up --help'.\n", program,
                argv[optind]);
        return EXIT_USAGE + 1;
    }
    return 0;
}

/* The folder must be there for the path to be made absolute. */
static status_t state_path(const char *given, char ret_path[PATH_MAX], struct error *err)
{
    char text[PATH_MAX];
    status_t st = ST_OK;
    if (given == NULL) {
        st = state_folder_default(text, err);
    } else if (given[0] == '\0' || snprintf(text, sizeof text, "%s", given) >= PATH_MAX) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--state: not a path");
    }
    if (st == ST_OK) {
        st = file_make_dirs_durable(text, 0700, err);
    }
    if (st == ST_OK && realpath(text, ret_path) == NULL) {
        st = error_set_errno(err, errno, "%s", text);
    }
    return st;
}

/* The controller closes its standard output when it serves, or ends before. */
static int wait_for_start(struct process *p)
{
    char text[4096];
    struct error err = {0};
    bool served = false;
    int code = 0;
    for (ssize_t n; (n = read(p->report, text, sizeof text)) > 0 || (n < 0 && errno == EINTR);) {
        if (n > 0) {
            served = true;
            fwrite(text, 1, (size_t)n, stdout);
        }
    }
    if (served) {
        return exit_after_output(program);
    }
    if (process_wait(p, &code, &err) != ST_OK) {
        return fail(&err);
    }
    if (code == 0) { /* somebody stopped it while it started */
        fprintf(stderr, "%s: stopped before it served\n", program);
    }
    return code != 0 ? code : EXIT_SYSTEM;
}

static int start(const struct settings *o, struct error *err)
{
    char state[PATH_MAX], path[PATH_MAX], socket_path[RPC_PATH_MAX], log[PATH_MAX + 32];
    char *argv[16 + HANDED_ON_MAX];
    size_t count = 0;
    const char *const fixed[] = {program,   "--s3",     o->s3,       "--state", state,
                                 "--greet", "--socket", socket_path, NULL};
    const struct process_options options = {.report_fd = STDOUT_FILENO};
    struct process p;
    status_t st = rpc_local_path(NULL, socket_path, err);
    if (st == ST_OK) {
        st = state_path(o->state, state, err);
    }
    if (st == ST_OK) {
        st = process_find("cloudskin-controller", path, err);
    }
    if (st != ST_OK) {
        return fail(err);
    }
    for (; fixed[count] != NULL; count++) {
        argv[count] = (char *)(uintptr_t)fixed[count];
    }
    if (o->metrics != NULL) {
        argv[count++] = (char *)(uintptr_t)"--metrics";
        argv[count++] = o->metrics;
    }
    for (size_t i = 0; i < o->handed_count; i++) {
        argv[count++] = o->handed_on[i];
    }
    if (o->no_sync) {
        argv[count++] = (char *)(uintptr_t)"--no-sync";
    }
    if (o->background) {
        snprintf(log, sizeof log, "%s/controller.log", state);
        argv[count++] = (char *)(uintptr_t)"--detach";
        argv[count++] = log;
    }
    argv[count] = NULL;
    if (!o->background) {
        execv(path, argv);
        st = error_set_errno(err, errno, "%s", path);
    } else {
        st = process_start(path, argv, &options, &p, err);
    }
    return st == ST_OK ? wait_for_start(&p) : fail(err);
}

int main(int argc, char **argv)
{
    struct settings o = {.s3 = "127.0.0.1:9000"};
    struct error err = {0};
    process_open_stdio();
    int code = parse_options(argc, argv, &o);
    code = code != 0 ? code - 1 : start(&o, &err);
    for (size_t i = 0; i < o.handed_count; i++) {
        free(o.handed_on[i]);
    }
    return code;
}
