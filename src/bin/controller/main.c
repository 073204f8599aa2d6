#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "geds/s3/service.h"
#include "keys.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/process.h"
#include "table.h"

/* `cloudskin controller`: the store of this machine and its S3 endpoint. */

static const char help_text[] =
    "Usage: cloudskin-controller [OPTIONS]\n"
    "\n"
    "Serve the object store of a state folder through S3, in the foreground, until SIGTERM or\n"
    "Ctrl-C. On the first start it makes the folder and a key, which it prints as export lines.\n"
    "\n"
    "      --s3 HOST:PORT  where S3 is served (default 127.0.0.1:9000; port 0: any free one)\n"
    "      --state DIR     the state folder (default $XDG_STATE_HOME/cloudskin)\n"
    "      --sweep SECONDS how often lifecycle rules are applied (default 3600; 0: never)\n"
    "      --no-sync       do not wait for the disk: a crash of the machine may lose objects\n"
    "  -h, --help          this text\n"
    "\n"
    "Files in DIR: geds/ the objects, s3-keys (mode 0600) a line `ACCESS_KEY SECRET [USER]`\n"
    "for each key. A user may do what policies of buckets allow; without one it is the owner's.\n"
    "\n"
    "Exit codes: 0 stopped by a signal, 64 wrong usage, 65 the state is damaged or of another\n"
    "version, 71 the system refused (address in use, permissions, disk).\n";

static const struct option long_options[] = {
    {"s3", required_argument, NULL, 's'},    {"state", required_argument, NULL, 'd'},
    {"sweep", required_argument, NULL, 'w'}, {"no-sync", no_argument, NULL, 'n'},
    {"help", no_argument, NULL, 'h'},        {0},
};

enum { SWEEP_S_MAX = 366 * 86400 };

struct settings {
    const char *s3;
    char state[PATH_MAX];
    bool no_sync;
    uint64_t sweep_s;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "cloudskin-controller: %s\n", err->text);
    if (err->code == ST_INVAL)
        return EXIT_USAGE;
    return err->code == ST_CORRUPT || err->code == ST_UNSUPPORTED || err->code == ST_FORMAT
               ? EXIT_REFUSED
               : EXIT_SYSTEM;
}

static status_t default_state(char state[PATH_MAX], struct error *err)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len;
    if (xdg && *xdg == '/')
        len = snprintf(state, PATH_MAX, "%s/cloudskin", xdg);
    else if (home && *home == '/')
        len = snprintf(state, PATH_MAX, "%s/.local/state/cloudskin", home);
    else
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no HOME: give --state DIR");
    return len < PATH_MAX ? ST_OK : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "HOME is too long");
}

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    struct error err;
    int c;
    while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (c == 's') {
            o->s3 = optarg;
        } else if (c == 'w' && parse_u64(optarg, SWEEP_S_MAX, &o->sweep_s) == ST_OK) {
            continue;
        } else if (c == 'n') {
            o->no_sync = true;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output("cloudskin-controller") + 1;
        } else if (c != 'd' || snprintf(o->state, PATH_MAX, "%s", optarg) >= PATH_MAX) {
            fprintf(stderr, "Try 'cloudskin-controller --help'.\n");
            return EXIT_USAGE + 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "cloudskin-controller: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_USAGE + 1;
    }
    if (o->state[0] == '\0' && default_state(o->state, &err) != ST_OK)
        return fail(&err) + 1;
    return 0;
}

static const char *secret_of(void *ctx, const char *access)
{
    return keys_secret(ctx, access);
}

static const char *user_of(void *ctx, const char *access)
{
    return keys_user(ctx, access);
}

static void on_failure(void *ctx, const struct s3_failure *f)
{
    (void)ctx;
    log_error("s3.failed", "request", f->request_id, "method", f->method, "path", f->path, "error",
              f->text);
}

/* Each connection is a file. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void say_started(const struct settings *o, const struct http_server *server,
                        const struct keys *keys, bool made)
{
    char port[16];
    snprintf(port, sizeof port, "%u", http_server_port(server));
    if (made) {
        printf("export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n"
               "export AWS_DEFAULT_REGION=us-east-1\n",
               keys->of[0].access, keys->of[0].secret);
        fflush(stdout);
    }
    log_info("controller.started", "s3", o->s3, "port", port, "state", o->state);
}

static status_t serve(const struct settings *o, const sigset_t *ends, struct error *err)
{
    static struct keys keys;
    char folder[PATH_MAX];
    struct store_options options = {.sync = o->no_sync ? STORE_SYNC_OFF : STORE_SYNC_FULL,
                                    .part_min_bytes = STORE_S3_PART_MIN};
    struct store *store = NULL;
    struct s3_service *service = NULL;
    struct http_server *server = NULL;
    struct http_options http;
    bool made = false;
    int number;
    if (snprintf(folder, sizeof folder, "%s/geds", o->state) >= (int)sizeof folder)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", o->state);
    status_t st = file_make_dirs(o->state, 0700, err);
    if (st == ST_OK)
        st = keys_load(o->state, &keys, &made, err);
    if (st == ST_OK)
        st = store_open(folder, &options, &store, err);
    if (st == ST_OK) {
        const struct s3_options s3 = {.table = &controller_table,
                                      .store = store,
                                      .secret_of = secret_of,
                                      .user_of = user_of,
                                      .failed = on_failure,
                                      .ctx = &keys,
                                      .now_ns = clock_realtime_ns,
                                      .sweep_s = o->sweep_s};
        if (s3_service_new(&s3, &service) != ST_OK)
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    }
    if (st == ST_OK) {
        http_options_default(&http);
        http.address = o->s3;
        http.handler = s3_service_handler();
        http.ctx = service;
        st = http_server_start(&http, &server, err);
    }
    if (st == ST_OK) {
        say_started(o, server, &keys, made);
        sigwait(ends, &number);
        log_info("controller.stopping", "signal", strsignal(number));
    }
    http_server_stop(server);
    s3_service_free(service);
    store_close(store);
    return st;
}

int main(int argc, char **argv)
{
    struct settings o = {.s3 = "127.0.0.1:9000", .sweep_s = 3600};
    struct error err = {0};
    sigset_t ends;
    process_open_stdio();
    int code = parse_options(argc, argv, &o);
    if (code != 0)
        return code - 1;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* for all threads: main waits for them */
    raise_file_limit();
    return serve(&o, &ends, &err) == ST_OK ? 0 : fail(&err);
}
