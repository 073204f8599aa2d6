#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "localstate/folder.h"
#include "serve.h"
#include "sys/files.h"
#include "sys/process.h"
#include "sys/thread.h"

/* `cloudskin node`: local disk for copies of a store's objects. */

static const char help_text[] =
    "Usage: cloudskin node [OPTIONS]\n"
    "\n"
    "Offer disk of this machine to the store of a controller, for copies of what is in buckets of\n"
    "`cloudskin tier --replicas`. It stays in the foreground until Ctrl-C or SIGTERM. When it is\n"
    "started again it has what it had, whatever ended it.\n"
    "\n"
    "      --controller ADDR  tls://HOST[:PORT], tcp://HOST[:PORT] (this machine only) or\n"
    "                      unix:/PATH (default: CLOUDSKIN_CONTROLLER, else the store of this "
    "machine);\n"
    "                      several that share a store with commas between them\n"
    "      --token-file F  a token of the role node or admin, as CLOUDSKIN_TOKEN_FILE; mode 0600\n"
    "      --ca FILE, --cert FILE, --key FILE  as CLOUDSKIN_CA, CLOUDSKIN_CERT, CLOUDSKIN_KEY\n"
    "      --state DIR     where copies and the node's id are (default $XDG_STATE_HOME/cloudskin/\n"
    "                      node, else ~/.local/state/cloudskin/node)\n"
    "      --name NAME     its name in the store (default: this machine's)\n"
    "      --bytes SIZE    copies take no more (default 80 % of the file system, of which 5 % "
    "stay\n"
    "                      free in any case)\n"
    "      --leave         leave when Ctrl-C or SIGTERM comes: wait until what it has is "
    "somewhere\n"
    "                      else, remove it and end with 0. A second signal ends it at once\n"
    "  -h, --help          this text\n"
    "\n"
    "`cloudskin tier` shows nodes; `cloudskin tier --leave NODE` has one leave.\n"
    "\n"
    "Exit codes: 0 stopped, or it has left; 64 wrong usage; 65 the state folder is damaged; 71 it "
    "is\n"
    "not let in, or refused by the system.\n"
    "\n"
    "Examples:\n"
    "  cloudskin node --state /srv/copies --bytes 500G\n"
    "  cloudskin node --controller tls://store.example.org --token-file node.token --ca ca.crt\n";

static const char program[] = "cloudskin node";
enum { KEY_BYTES = 16, LIMIT_PARTS = 10, LIMIT_TENTHS = 8, SPARE_PARTS = 20 };

struct settings {
    const char *controller, *state, *name;
    uint64_t bytes;
    bool leave;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ST_INVAL                                   ? EXIT_USAGE
           : err->code == ST_FORMAT || err->code == ST_UNSUPPORTED ? EXIT_REFUSED
                                                                   : EXIT_SYSTEM;
}

/* What clients read from the environment. */
static const struct {
    const char *option, *variable;
} variables[] = {{"token-file", "CLOUDSKIN_TOKEN_FILE"},
                 {"ca", "CLOUDSKIN_CA"},
                 {"cert", "CLOUDSKIN_CERT"},
                 {"key", "CLOUDSKIN_KEY"}};

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    static const struct option long_options[] = {{"token-file", required_argument, NULL, 0},
                                                 {"ca", required_argument, NULL, 1},
                                                 {"cert", required_argument, NULL, 2},
                                                 {"key", required_argument, NULL, 3},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {"state", required_argument, NULL, 's'},
                                                 {"name", required_argument, NULL, 'n'},
                                                 {"bytes", required_argument, NULL, 'b'},
                                                 {"leave", no_argument, NULL, 'l'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (c >= 0 && c < 4) {
            setenv(variables[c].variable, optarg, 1);
            if (c == 0) {
                unsetenv("CLOUDSKIN_TOKEN");
            }
        } else if (c == 'c') {
            o->controller = optarg;
        } else if (c == 's') {
            o->state = optarg;
        } else if (c == 'n') {
            o->name = optarg;
        } else if (c == 'l') {
            o->leave = true;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program) + 1;
        } else if (c != 'b') {
            fprintf(stderr, "Try 'cloudskin node --help'.\n");
            return EXIT_USAGE + 1;
        } else if (parse_size(optarg, UINT64_C(1) << 60, &o->bytes) != ST_OK || o->bytes == 0) {
            fprintf(stderr, "%s: --bytes: \"%s\" is not a size\n", program, optarg);
            return EXIT_USAGE + 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry 'cloudskin node --help'.\n", program,
                argv[optind]);
        return EXIT_USAGE + 1;
    }
    return 0;
}

static status_t make_key(const char *path, char ret_key[33], struct error *err)
{
    uint8_t random[KEY_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return error_set_errno(err, errno, "random number");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(ret_key + 2 * i, 3, "%02x", random[i]);
    }
    return file_write_atomic(path, ret_key, 2 * sizeof random, 0600, FILE_SYNC, err);
}

/* The id of the folder: it is the node, whatever its name. */
static status_t read_key(const char *path, char ret_key[33], struct error *err)
{
    struct buf text = {0};
    status_t st = file_read(path, 64, &text, err);
    if (st == ST_NOTFOUND) {
        return make_key(path, ret_key, err);
    }
    bool good = st == ST_OK && text.len == 32;
    for (size_t i = 0; good && i < 32; i++) {
        good = strchr("0123456789abcdef", text.data[i]) != NULL && text.data[i] != '\0';
    }
    if (good) {
        memcpy(ret_key, text.data, 32);
        ret_key[32] = '\0';
    } else if (st == ST_OK) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: no id of a node", path);
    }
    buf_done(&text);
    return st;
}

static status_t take_name(const char *given, char ret_name[64], struct error *err)
{
    char host[256] = "";
    if (given == NULL && gethostname(host, sizeof host - 1) != 0) {
        return error_set_errno(err, errno, "the machine's name");
    }
    const char *name = given != NULL ? given : host;
    size_t len = strlen(name);
    if (len == 0 || len > 63 ||
        strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") != len) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--name: 1 to 63 letters, digits, '.', '_' or '-': not \"%.80s\"", name);
    }
    memcpy(ret_name, name, len + 1);
    return ST_OK;
}

static status_t prepare(const struct settings *s, struct node_options *o, int *ret_lock,
                        struct error *err)
{
    char state[PATH_MAX], path[PATH_MAX + 16];
    struct statvfs fs;
    status_t st = s->state == NULL ? state_folder_default(state, err) : ST_OK;
    int len = st == ST_OK ? snprintf(path, PATH_MAX, "%s%s", s->state != NULL ? s->state : state,
                                     s->state != NULL ? "" : "/node")
                          : 0;
    if (st == ST_OK && (len == 0 || len >= PATH_MAX - 16)) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--state: not a path");
    }
    if (st == ST_OK) {
        st = file_make_dirs_durable(path, 0700, err);
    }
    if (st == ST_OK && realpath(path, state) == NULL) {
        st = error_set_errno(err, errno, "%s", path);
    }
    if (st == ST_OK) {
        st = take_name(s->name, o->name, err);
    }
    if (st == ST_OK) {
        snprintf(path, sizeof path, "%s/node.lock", state);
        st = file_lock(path, false, ret_lock, err);
        if (st == ST_AGAIN) {
            error_set(err, st, ERROR_NO_OFFSET, "%.200s: another node has it", state);
        }
    }
    if (st == ST_OK) {
        snprintf(path, sizeof path, "%s/node.id", state);
        st = read_key(path, o->key, err);
    }
    if (st == ST_OK && statvfs(state, &fs) != 0) {
        st = error_set_errno(err, errno, "%s", state);
    }
    if (st == ST_OK) {
        uint64_t whole = (uint64_t)fs.f_blocks * fs.f_frsize;
        o->limit_bytes = s->bytes != 0 ? s->bytes : whole / LIMIT_PARTS * LIMIT_TENTHS;
        o->spare_bytes = whole / SPARE_PARTS;
        o->controller = s->controller;
        snprintf(o->folder, sizeof o->folder, "%.*s/copies", PATH_MAX - 16, state);
    }
    return st;
}

struct serving {
    struct node node;
    struct error err;
    status_t status;
    pthread_t main;
};

static void *serve(void *arg)
{
    struct serving *s = arg;
    s->status = node_serve(&s->node, &s->err);
    pthread_kill(s->main, SIGUSR1); /* it waits for that among others */
    return NULL;
}

static void wake(struct node *n, _Atomic bool *what)
{
    const uint64_t one = 1;
    atomic_store(what, true);
    ssize_t ignored = write(n->wake_fd, &one, sizeof one);
    (void)ignored;
}

static void wait_for_end(struct serving *s, const sigset_t *signals, bool leave)
{
    int number = 0;
    while (sigwait(signals, &number) == 0 && number != SIGUSR1) {
        if (leave && !atomic_load(&s->node.leave)) {
            log_info("node.leaving", "signal", strsignal(number));
            wake(&s->node, &s->node.leave);
        } else {
            wake(&s->node, &s->node.stop);
        }
    }
}

int main(int argc, char **argv)
{
    static struct serving s = {.node.wake_fd = -1};
    struct settings settings = {0};
    struct error err = {0};
    sigset_t signals;
    pthread_t thread;
    int lock = -1;
    process_open_stdio();
    int code = parse_options(argc, argv, &settings);
    if (code != 0) {
        return code - 1;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    status_t st = prepare(&settings, &s.node.o, &lock, &err);
    if (st == ST_OK && (s.node.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        st = error_set_errno(&err, errno, "eventfd");
    }
    s.main = pthread_self();
    if (st == ST_OK) {
        int errnum = thread_start(&thread, serve, &s);
        st = errnum == 0 ? ST_OK : error_set_errno(&err, errnum, "thread");
    }
    if (st != ST_OK) {
        return fail(&err);
    }
    log_info("node.started", "name", s.node.o.name, "copies", s.node.o.folder);
    wait_for_end(&s, &signals, settings.leave);
    pthread_join(thread, NULL);
    log_info(s.node.left ? "node.left" : "node.stopped", "name", s.node.o.name);
    return s.status == ST_OK ? 0 : fail(&s.err);
}
