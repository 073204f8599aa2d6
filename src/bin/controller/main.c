#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "crypt.h"
#include "exitcode/exit_code.h"
#include "geds/s3/service.h"
#include "geds/serve/serve.h"
#include "localstate/folder.h"
#include "localstate/keys.h"
#include "localstate/tokens.h"
#include "memory.h"
#include "metrics.h"
#include "net/metrics_http.h"
#include "net/rpc/local.h"
#include "peers.h"
#include "remote.h"
#include "scrub.h"
#include "share.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/process.h"
#include "table.h"
#include "tier.h"

/* `cloudskin controller`: the store of this machine and its S3 endpoint. */

static const char help_text[] =
    "Usage: cloudskin-controller [OPTIONS]\n"
    "\n"
    "Serve the object store of a state folder through S3, in the foreground, until SIGTERM or\n"
    "Ctrl-C. On the first start it makes the folder and a key, which it prints as export lines.\n"
    "\n"
    "      --s3 HOST:PORT  where S3 is served (default 127.0.0.1:9000; port 0: any free one)\n"
    "      --metrics HOST:PORT  where /metrics (for Prometheus) and /healthz are served (default\n"
    "                      127.0.0.1:9464, or nowhere if that is in use; port 0: any free one; "
    "none)\n"
    "      --state DIR     the state folder (default $XDG_STATE_HOME/cloudskin)\n"
    "      --sweep SECONDS how often lifecycle rules are applied (default 3600; 0: never)\n"
    "      --socket PATH   also listen for the verbs of cloudskin (put, get, ...) at this Unix "
    "socket\n"
    "      --listen HOST:PORT  serve these verbs over TCP too, through TLS 1.3 where there are\n"
    "                      certificates: --tls-cert FILE --tls-key FILE --tls-ca FILE, else those\n"
    "                      of `cloudskin ca init` in DIR. Without any on 127.0.0.1 or [::1] only\n"
    "      --s3-tls        serve S3 through TLS with these\n"
    "      --greet         say on standard output where what is, when it serves\n"
    "      --detach LOG    then become a session of its own, whose output is appended to LOG\n"
    "      --tier s3://BUCKET[/PREFIX]  the S3 server behind local disk (none: no more); with\n"
    "      --tier-endpoint URL, --tier-credentials FILE (a line `ACCESS_KEY SECRET [TOKEN]`),\n"
    "      --tier-region NAME, --tier-ca-file FILE, --tier-style path|virtual-host\n"
    "      --local-bytes SIZE   local files above which bytes go to the tier\n"
    "      --cache-bytes SIZE   of local disk for pieces that are read from the tier\n"
    "                      These are kept in DIR for later starts.\n"
    "      --memory SIZE   bytes of files that are kept in memory, of buckets with that rule\n"
    "                      (default 0: none). It is kept, too\n"
    "      --encrypt on|off     encrypt all that is written, or what buckets and requests say\n"
    "      --master-key FILE    where the master keys are (default DIR/master.key, mode 0600)\n"
    "                      Both are kept, too.\n"
    "      --node-lost TIME     a node (`cloudskin node`) that is away for so long is lost: what "
    "it\n"
    "                      has is copied to others (default 5m)\n"
    "      --scrub RATE    bytes a second of local files that are compared with their checksums\n"
    "                      in the background (default 8M; 0: none), all of them every\n"
    "      --scrub-every TIME  (default 168h)\n"
    "      --etcd HOST:PORT[,HOST:PORT...]  share the store with other controllers through "
    "etcd:\n"
    "                      one of them leads, the others stand by (none: no more). --advertise "
    "ADDR\n"
    "                      is where clients reach this one (default --listen); --etcd-name NAME\n"
    "                      of the store there; --etcd-ca FILE --etcd-cert FILE --etcd-key FILE\n"
    "      --no-sync       do not wait for the disk: a crash of the machine may lose objects\n"
    "  -h, --help          this text\n"
    "\n"
    "`cloudskin up` starts it with these.\n"
    "\n"
    "Files in DIR: geds/ the objects, s3-keys (mode 0600) a line `ACCESS_KEY SECRET [USER]`\n"
    "for each key, master.key what encrypted objects are read with. A user may do what policies of "
    "buckets allow; without one it is the owner's.\n"
    "\n"
    "Exit codes: 0 stopped by a signal, 64 wrong usage, 65 the state is damaged or of another\n"
    "version, 71 the system refused (address in use, permissions, disk).\n";

static const struct option long_options[] = {
    {"s3", required_argument, NULL, 's'},
    {"metrics", required_argument, NULL, 'm'},
    {"state", required_argument, NULL, 'd'},
    {"sweep", required_argument, NULL, 'w'},
    {"no-sync", no_argument, NULL, 'n'},
    {"tier", required_argument, NULL, 1},
    {"tier-endpoint", required_argument, NULL, 2},
    {"tier-credentials", required_argument, NULL, 3},
    {"tier-region", required_argument, NULL, 4},
    {"tier-ca-file", required_argument, NULL, 5},
    {"tier-style", required_argument, NULL, 6},
    {"local-bytes", required_argument, NULL, 7},
    {"cache-bytes", required_argument, NULL, 8},
    {"encrypt", required_argument, NULL, 9},
    {"master-key", required_argument, NULL, 10},
    {"node-lost", required_argument, NULL, 11},
    {"scrub", required_argument, NULL, 12},
    {"scrub-every", required_argument, NULL, 13},
    {"memory", required_argument, NULL, 14},
    {"etcd", required_argument, NULL, 15},
    {"etcd-name", required_argument, NULL, 16},
    {"etcd-ca", required_argument, NULL, 17},
    {"etcd-cert", required_argument, NULL, 18},
    {"etcd-key", required_argument, NULL, 19},
    {"advertise", required_argument, NULL, 20},
    {"socket", required_argument, NULL, 'u'},
    {"listen", required_argument, NULL, 'L'},
    {"tls-cert", required_argument, NULL, 'C'},
    {"tls-key", required_argument, NULL, 'K'},
    {"tls-ca", required_argument, NULL, 'A'},
    {"s3-tls", no_argument, NULL, 'T'},
    {"greet", no_argument, NULL, 'g'},
    {"detach", required_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { SWEEP_S_MAX = 366 * 86400, PEM_BYTES_MAX = 1 << 20 };
#define NODE_LOST_MAX_NS (366 * 86400 * UINT64_C(1000000000))

static const char metrics_default[] = "127.0.0.1:9464";

struct settings {
    const char *s3;
    const char *metrics; /* NULL: not given */
    char state[PATH_MAX];
    const char *socket; /* NULL: none */
    const char *log;    /* NULL: stay in the foreground */
    bool greet;
    bool no_sync;
    uint64_t sweep_s;
    struct tier_given tier;
    struct crypt_given crypt;
    struct remote_given remote;
    uint64_t node_lost_ns; /* 0: the default */
    struct scrub_given scrub;
    const char *memory; /* NULL: as before */
    struct share_given share;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, err->text);
    if (err->code == ST_INVAL)
        return EXIT_USAGE;
    return err->code == ST_CORRUPT || err->code == ST_UNSUPPORTED || err->code == ST_FORMAT ||
                   err->code == ST_INVALID
               ? EXIT_REFUSED
               : EXIT_SYSTEM;
}

/* Is it an option of the tier, with a good value? */
static bool take_tier_option(struct tier_given *g, int c, const char *value)
{
    const char **const texts[] = {&g->place,  &g->endpoint, &g->credentials,
                                  &g->region, &g->ca_file,  &g->style};
    if (c >= 1 && c <= 6) {
        *texts[c - 1] = value;
        return true;
    }
    uint64_t *number = c == 7 ? &g->local_bytes : c == 8 ? &g->cache_bytes : NULL;
    if (number && (parse_size(value, UINT64_C(1) << 60, number) != ST_OK || *number == 0)) {
        fprintf(stderr, "cloudskin-controller: \"%s\" is not a size\n", value);
        return false;
    }
    return number;
}

static bool take_remote_option(struct remote_given *g, int c, const char *value)
{
    const char **to = c == 'L'   ? &g->listen
                      : c == 'C' ? &g->cert
                      : c == 'K' ? &g->key
                      : c == 'A' ? &g->ca
                                 : NULL;
    if (to)
        *to = value;
    return to;
}

static bool take_share_option(struct share_given *g, int c, const char *value)
{
    const char **const texts[] = {&g->servers, &g->name, &g->ca_file,
                                  &g->cert,    &g->key,  &g->advertise};
    if (c < 15 || c > 20)
        return false;
    *texts[c - 15] = value;
    return true;
}

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    struct error err;
    int c;
    while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (c == 's') {
            o->s3 = optarg;
        } else if (c == 'm') {
            o->metrics = optarg;
        } else if (c == 'w' && parse_u64(optarg, SWEEP_S_MAX, &o->sweep_s) == ST_OK) {
            continue;
        } else if (c == 'n') {
            o->no_sync = true;
        } else if (c == 'u') {
            o->socket = optarg;
        } else if (c == 'T') {
            o->remote.s3_tls = true;
        } else if (c == 'g') {
            o->greet = true;
        } else if (c == 'l') {
            o->log = optarg;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output("cloudskin-controller") + 1;
        } else if (c == 9) {
            o->crypt.encrypt = optarg;
        } else if (c == 10) {
            o->crypt.master_key = optarg;
        } else if (c == 11) {
            if (parse_duration(optarg, NODE_LOST_MAX_NS, &o->node_lost_ns) != ST_OK ||
                o->node_lost_ns < 1000000) {
                fprintf(stderr, "cloudskin-controller: --node-lost: \"%s\" is no time\n", optarg);
                return EXIT_USAGE + 1;
            }
        } else if (c == 12 || c == 13) {
            *(c == 12 ? &o->scrub.rate : &o->scrub.every) = optarg;
        } else if (c == 14) {
            o->memory = optarg;
        } else if (take_remote_option(&o->remote, c, optarg) ||
                   take_share_option(&o->share, c, optarg)) {
            continue;
        } else if (c < 'A' && take_tier_option(&o->tier, c, optarg)) {
            continue;
        } else if (c != 'd' || snprintf(o->state, PATH_MAX, "%s", optarg) >= PATH_MAX) {
            fprintf(stderr, "Try 'cloudskin-controller --help'.\n");
            return EXIT_USAGE + 1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "cloudskin-controller: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_USAGE + 1;
    }
    if (o->state[0] == '\0' && state_folder_default(o->state, &err) != ST_OK)
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

/* Who waits for the end of standard output sees that it serves. */
static void detach(int log_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    dup2(log_fd, STDERR_FILENO);
    dup2(log_fd, STDOUT_FILENO);
}

/* What a controller has from its start to its end. */
struct ways {
    bool ready; /* tokens, keys and addresses are */
    struct keys keys;
    bool made_keys;
    int log_fd;
    int socket_fd;
    struct remote_running remote;
    struct share *share; /* NULL: it shares its store with none */
    bool greeted;
    char metrics_at[256]; /* where they were served first; "": nowhere. It stays there */
};

/* What it has open while it serves. */
struct running {
    struct ways *w;
    struct metrics *metrics;
    struct metrics_sources sources;
    struct metrics_http *metrics_server; /* NULL: none */
    struct error metrics_why;            /* nobody asked for that */
    struct store *store;
    struct tier_running tier;
    struct peers *peers;
    struct scrub *scrub;   /* NULL: none */
    struct memory *memory; /* NULL: none */
    struct crypt_running crypt;
    struct buf pem; /* of S3's TLS */
    struct s3_service *service;
    struct http_server *server;
    char s3[256]; /* where it is served */
    struct serve_context context;
    struct serve_meter *meter;
    struct rpc_server *rpc;
};

static status_t open_ways(const struct settings *o, struct ways *w, struct error *err)
{
    status_t st = file_make_dirs_durable(o->state, 0700, err);
    if (st == ST_OK && o->log) {
        w->log_fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (w->log_fd < 0)
            st = error_set_errno(err, errno, "%s", o->log);
    }
    return st == ST_OK && o->socket ? rpc_local_listen(o->socket, &w->socket_fd, err) : st;
}

/* Under the store's lock: who makes keys here is the only one, so they may be unmade. */
static status_t prepare_ways(const struct settings *o, struct ways *w, struct error *err)
{
    if (w->ready)
        return ST_OK;
    status_t st = tokens_prepare(o->state, err);
    if (st == ST_OK)
        st = controller_remote_open(&o->remote, o->state, &w->remote, err);
    if (st == ST_OK)
        st = keys_load(o->state, &w->keys, &w->made_keys, err);
    w->ready = st == ST_OK;
    return st;
}

static void close_ways(const struct settings *o, struct ways *w)
{
    controller_share_close(w->share);
    controller_remote_close(&w->remote);
    rpc_local_unlisten(o->socket, w->socket_fd);
}

static status_t store_folder(const struct settings *o, char ret_folder[PATH_MAX], struct error *err)
{
    return snprintf(ret_folder, PATH_MAX, "%s/geds", o->state) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", o->state);
}

static status_t in_use(const struct settings *o, status_t st, struct error *err)
{
    return st == ST_AGAIN
               ? error_set(err, st, ERROR_NO_OFFSET, "%s: another process has it open", o->state)
               : st;
}

static status_t start_files(const struct settings *o, struct running *r, struct error *err)
{
    char folder[PATH_MAX];
    struct store_options options = {.sync = o->no_sync ? STORE_SYNC_OFF : STORE_SYNC_FULL,
                                    .part_min_bytes = STORE_S3_PART_MIN,
                                    .metrics = r->metrics};
    if (r->w->share)
        options.log = controller_share_log(r->w->share);
    status_t st = store_folder(o, folder, err);
    if (st == ST_OK)
        st = in_use(o, store_open(folder, &options, &r->store, err), err);
    if (st == ST_OK)
        st = controller_crypt_open(&o->crypt, o->state, r->store, err);
    if (st == ST_OK)
        st = controller_tier_open(&o->tier, o->state, r->store, &r->tier, err);
    if (st == ST_OK)
        st = controller_peers_open(r->store, o->node_lost_ns, &r->peers, err);
    if (st == ST_OK)
        st = controller_memory_start(o->memory, o->state, r->store, &r->memory, err);
    if (st == ST_OK)
        st = controller_scrub_start(&o->scrub, o->state, r->store, &r->scrub, err);
    return st == ST_OK ? prepare_ways(o, r->w, err) : st;
}

/* HOST of what was asked for, and the port that it is. */
static void set_address(char ret_text[256], const char *asked, unsigned port)
{
    const char *colon = strrchr(asked, ':');
    snprintf(ret_text, 256, "%.*s:%u", (int)(colon ? colon - asked : 0), asked, port);
}

/* Certificate and key, each with a NUL. */
static status_t read_pem(struct running *r, struct error *err)
{
    const char *const paths[] = {r->w->remote.cert, r->w->remote.key};
    status_t st = ST_OK;
    for (size_t i = 0; i < 2 && st == ST_OK; i++) {
        st = file_read(paths[i], PEM_BYTES_MAX, &r->pem, err);
        buf_u8(&r->pem, '\0');
    }
    return st == ST_OK && r->pem.failed ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory")
                                        : st;
}

static status_t start_s3(const struct settings *o, struct running *r, struct error *err)
{
    const struct s3_options s3 = {.table = &controller_table,
                                  .store = r->store,
                                  .secret_of = secret_of,
                                  .user_of = user_of,
                                  .failed = on_failure,
                                  .ctx = &r->w->keys,
                                  .now_ns = clock_realtime_ns,
                                  .metrics = r->metrics,
                                  .sweep_s = o->sweep_s};
    struct http_options http;
    if (s3_service_new(&s3, &r->service) != ST_OK)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    http_options_default(&http);
    http.address = o->s3;
    http.handler = s3_service_handler();
    http.ctx = r->service;
    status_t st = o->remote.s3_tls ? read_pem(r, err) : ST_OK;
    if (st != ST_OK)
        return st;
    http.cert = (const char *)r->pem.data;
    http.key = http.cert ? http.cert + strlen(http.cert) + 1 : NULL;
    st = http_server_start(&http, &r->server, err);
    if (st == ST_OK)
        set_address(r->s3, o->s3, http_server_port(r->server));
    return st == ST_EXIST ? error_set(err, st, ERROR_NO_OFFSET,
                                      "%s is in use by another program: choose another address "
                                      "with --s3 HOST:PORT",
                                      o->s3)
                          : st;
}

/* For the verbs. */
static status_t start_rpc(const struct settings *o, struct running *r, struct error *err)
{
    r->context = (struct serve_context){.store = r->store,
                                        .version = CLOUDSKIN_VERSION,
                                        .state = o->state,
                                        .s3 = r->s3,
                                        .metrics = r->w->metrics_at,
                                        .meter = r->meter,
                                        .peers = r->peers,
                                        .memory = r->memory,
                                        .scrub = r->scrub};
    if (r->tier.tier) {
        r->context.tier = r->tier.tier;
        r->context.tier_name = r->tier.place;
        r->context.tier_endpoint = r->tier.endpoint;
    }
    bool remote = r->w->remote.listen_fd >= 0;
    if (remote)
        r->context.access = access_table(r->w->remote.access);
    const struct rpc_server_options options = {.listen_fd = r->w->socket_fd,
                                               .tcp = remote ? &r->w->remote.tcp : NULL,
                                               .handler = serve_handler(),
                                               .ctx = &r->context};
    if (r->w->socket_fd < 0 && !remote)
        return ST_OK;
    status_t st = rpc_server_start(&options, &r->rpc, err);
    if (st == ST_OK)
        atomic_store(&r->sources.rpc, r->rpc);
    return st;
}

/* Also ST_OK without, where nobody asked for it: *ret_why. */
static status_t serve_metrics(const struct settings *o, struct ways *w,
                              const struct metrics_http_options *given,
                              struct metrics_http **ret_server, struct error *ret_why,
                              struct error *err)
{
    struct metrics_http_options options = *given;
    const char *asked = o->metrics ? o->metrics : metrics_default;
    options.address = w->metrics_at[0] != '\0' ? w->metrics_at : asked;
    *ret_server = NULL;
    if (strcmp(asked, "none") == 0)
        return ST_OK;
    status_t st = metrics_http_start(&options, ret_server, err);
    if (st == ST_OK) {
        set_address(w->metrics_at, asked, metrics_http_port(*ret_server));
        return ST_OK;
    }
    if (!o->metrics) { /* nobody asked for this address */
        log_warn("metrics.none", "address", options.address, "why", err->text);
        *ret_why = *err;
        return ST_OK;
    }
    return st == ST_EXIST ? error_set(err, st, ERROR_NO_OFFSET,
                                      "%s is in use by another program: choose another address "
                                      "with --metrics HOST:PORT, or none",
                                      o->metrics)
                          : st;
}

/* Numbers are kept also when nobody can ask for them: what counts is then always the same. */
static status_t start_metrics(const struct settings *o, struct running *r, struct error *err)
{
    const struct metrics_http_options options = {
        .metrics = r->metrics, .healthy = controller_healthy, .ctx = &r->sources};
    r->sources.store = r->store;
    r->sources.tier = r->tier.tier;
    r->sources.peers = r->peers;
    r->sources.scrub = r->scrub;
    r->sources.memory = r->memory;
    r->sources.s3 = r->server;
    r->sources.share = r->w->share;
    status_t st = metrics_add_process(r->metrics, err);
    if (st == ST_OK)
        st = controller_metrics_add(r->metrics, &r->sources, err);
    return st == ST_OK ? serve_metrics(o, r->w, &options, &r->metrics_server, &r->metrics_why, err)
                       : st;
}

/* Who waits for the end of standard output knows what he has to. */
static void end_greeting(struct ways *w)
{
    if (w->made_keys)
        keys_print(&w->keys, stdout);
    fflush(stdout);
    if (w->log_fd >= 0)
        detach(w->log_fd);
    w->greeted = true;
}

static void greet(const struct settings *o, const struct running *r)
{
    if (o->greet) {
        printf("# S3 at %s://%s; state in %s\n"
               "# `cloudskin keys` prints the keys, `cloudskin down` stops it\n",
               o->remote.s3_tls ? "https" : "http", r->s3, o->state);
        if (r->metrics_server)
            printf("# metrics at http://%s/metrics\n", r->w->metrics_at);
        else if (r->metrics_why.code != ST_OK)
            printf("# no metrics: %s\n", r->metrics_why.text);
        if (r->w->remote.listen_fd >= 0)
            printf("# other clients at %s://%s\n", r->w->remote.tls ? "tls" : "tcp",
                   r->w->remote.name);
    }
    end_greeting(r->w);
}

static void say_started(const struct settings *o, const struct running *r)
{
    char port[16];
    snprintf(port, sizeof port, "%u", http_server_port(r->server));
    if (!r->w->greeted)
        greet(o, r);
    log_info("controller.started", "s3", o->s3, "port", port, "state", o->state, "metrics",
             r->metrics_server ? r->w->metrics_at : "none", "listen", r->w->remote.name);
}

/* The signal that ends it, or SIGUSR1: it leads no more. Meanwhile certificates are looked at. */
static int wait_for_end(struct running *r, const sigset_t *signals)
{
    const struct timespec hour = {.tv_sec = 3600};
    for (;;) {
        controller_remote_warn(&r->w->remote);
        if (r->w->share && controller_share_lost(r->w->share))
            return SIGUSR1;
        int number = sigtimedwait(signals, NULL, &hour);
        if (number == SIGHUP && r->w->remote.tls)
            controller_remote_reload(&r->w->remote);
        else if (number > 0 && number != SIGUSR1)
            return number;
    }
}

/* From the store's opening to its closing. *ret_signal: as wait_for_end. */
static status_t serve_store(const struct settings *o, struct ways *w, const sigset_t *ends,
                            int *ret_signal, struct error *err)
{
    static struct running r;
    r = (struct running){.w = w};
    status_t st = metrics_new(&r.metrics) == ST_OK
                      ? serve_meter_new(r.metrics, &r.meter, err)
                      : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    if (st == ST_OK)
        st = start_files(o, &r, err);
    if (st == ST_OK)
        st = start_s3(o, &r, err);
    if (st == ST_OK)
        st = start_metrics(o, &r, err);
    if (st == ST_OK)
        st = start_rpc(o, &r, err);
    if (st == ST_OK && r.tier.tier)
        st = tier_start(r.tier.tier, err);
    if (st == ST_OK)
        st = peers_start(r.peers, err);
    if (st == ST_OK)
        st = controller_crypt_start(&r.crypt, r.store, err);
    if (st == ST_OK) {
        say_started(o, &r);
        *ret_signal = wait_for_end(&r, ends);
        log_info("controller.stopping", "signal",
                 *ret_signal == SIGUSR1 ? "it leads no more" : strsignal(*ret_signal));
    }
    metrics_http_stop(r.metrics_server);
    tier_stop(r.tier.tier); /* first: who waits for these holds the others up */
    peers_stop(r.peers);
    rpc_server_stop(r.rpc);
    scrub_stop(r.scrub);
    controller_crypt_stop(&r.crypt);
    http_server_stop(r.server);
    s3_service_free(r.service);
    memory_stop(r.memory);
    store_close(r.store);
    memory_free(r.memory);
    controller_tier_close(&r.tier);
    peers_close(r.peers);
    if (r.pem.data)
        explicit_bzero(r.pem.data, r.pem.len);
    buf_done(&r.pem);
    serve_meter_free(r.meter);
    metrics_free(r.metrics);
    return st;
}

struct standing_by {
    const struct settings *o;
    struct ways *w;
    struct metrics *metrics;
    struct metrics_http *server; /* NULL: none */
};

static void greet_standing_by(void *arg, const char *text)
{
    const struct standing_by *b = arg;
    if (b->o->greet)
        printf("# %s; state in %s\n", text, b->o->state);
    if (b->o->greet && b->server)
        printf("# metrics at http://%s/metrics\n", b->w->metrics_at);
    end_greeting(b->w);
}

static status_t stand_by(struct standing_by *b, const sigset_t *ends, int *ret_number,
                         struct error *err)
{
    struct error ignored;
    status_t st = metrics_new(&b->metrics) == ST_OK
                      ? controller_metrics_add_standing_by(b->metrics, b->w->share, err)
                      : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    const struct metrics_http_options options = {
        .metrics = b->metrics, .healthy = controller_share_healthy, .ctx = b->w->share};
    if (st == ST_OK)
        st = serve_metrics(b->o, b->w, &options, &b->server, &ignored, err);
    if (st == ST_OK)
        st = controller_share_follow(b->w->share, ends, b->w->greeted ? NULL : greet_standing_by, b,
                                     ret_number, err);
    metrics_http_stop(b->server);
    metrics_free(b->metrics);
    b->server = NULL;
    b->metrics = NULL;
    return st;
}

/* In turn it stands by and leads, until a signal ends it. */
static status_t serve_shared(const struct settings *o, struct ways *w, const sigset_t *ends,
                             struct error *err)
{
    struct standing_by by = {.o = o, .w = w};
    status_t st = ST_OK;
    int number = SIGUSR1;
    while (st == ST_OK && number == SIGUSR1) {
        st = stand_by(&by, ends, &number, err);
        if (st != ST_OK)
            break;
        st = serve_store(o, w, ends, &number, err);
        if (st != ST_OK && controller_share_lost(w->share)) { /* while it opened the store */
            st = ST_OK;
            number = SIGUSR1;
        }
    }
    if (st == ST_STOPPED)
        log_info("controller.stopping", "signal", strsignal(number));
    return st == ST_STOPPED ? ST_OK : st;
}

/* What tells others where this one is must be there first, under the store's lock as ever. */
static status_t open_share(const struct settings *o, struct ways *w, struct error *err)
{
    char folder[PATH_MAX];
    struct replica *lock = NULL;
    status_t st = ST_OK;
    if (o->share.servers && strcmp(o->share.servers, "none") != 0) {
        st = store_folder(o, folder, err);
        if (st == ST_OK)
            st = in_use(o, replica_open(folder, NULL, &lock, err), err);
        if (st == ST_OK)
            st = prepare_ways(o, w, err);
        replica_close(lock);
    }
    const struct share_ways ways = {
        .socket_fd = w->socket_fd, .socket = o->socket, .remote = &w->remote};
    return st == ST_OK
               ? controller_share_open(&o->share, o->state, o->no_sync, &ways, &w->share, err)
               : st;
}

static status_t serve(const struct settings *o, const sigset_t *ends, struct error *err)
{
    static struct ways w = {.log_fd = -1, .socket_fd = -1, .remote.listen_fd = -1};
    int number = 0;
    status_t st = open_ways(o, &w, err);
    if (st == ST_OK)
        st = open_share(o, &w, err);
    if (st == ST_OK)
        st = w.share ? serve_shared(o, &w, ends, err) : serve_store(o, &w, ends, &number, err);
    if (st != ST_OK && w.made_keys)
        keys_unmake(o->state); /* the next start prints one */
    close_ways(o, &w);
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
    if (o.remote.listen || o.remote.s3_tls)
        sigaddset(&ends, SIGHUP);
    if (o.share.servers)
        sigaddset(&ends, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* for all threads: main waits for them */
    raise_file_limit();
    return serve(&o, &ends, &err) == ST_OK ? 0 : fail(&err);
}
