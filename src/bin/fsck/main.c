#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/text.h"
#include "cloudskin/geds.h"
#include "exitcode/exit_code.h"
#include "geds/crypt.h"
#include "geds/store.h"
#include "localstate/crypt.h"
#include "localstate/folder.h"
#include "net/rpc/address.h"
#include "net/rpc/frame.h"
#include "sys/process.h"

/* `cloudskin fsck`: has a store that is up check itself, else opens its folder. */

static const char help_text[] =
    "Usage: cloudskin fsck [--repair] [--remote] [--json] [--state DIR]\n"
    "\n"
    "Read everything in the object store and compare it with its checksums and counts. A store "
    "that is\n"
    "up is checked while it works; else, or with --state, that of a folder nobody uses.\n"
    "\n"
    "      --repair           remove files that no object needs, set wrong counts right; damaged\n"
    "                         bytes stay where they are; reads of them are refused\n"
    "      --remote           also compare the copies in the tier with what the store says of "
    "them;\n"
    "                         with --repair: those that nothing names are deleted there, and what "
    "is\n"
    "                         missing there is copied again where it is local\n"
    "      --json             as JSON on standard output\n"
    "      --state DIR        a state folder (default $XDG_STATE_HOME/cloudskin, else\n"
    "                         ~/.local/state/cloudskin)\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "  -h, --help             this text\n"
    "\n"
    "Exit codes: 0 all is well, or was repaired; 64 wrong usage; 65 damage was found; 71 the store "
    "is\n"
    "used by another process or is gone, or refused by the system; 127 there is no store.\n"
    "\n"
    "Example:\n"
    "  cloudskin fsck\n";

static const char program[] = "cloudskin fsck";

struct check {
    bool repair, remote, json;
    const char *state, *controller;
    struct buf out;
    struct json j;
    struct geds_check result;
};

enum { FINDING_BYTES = 1024 };

static void print_finding(struct check *c, uint64_t extent, uint64_t offset, const char *found)
{
    char text[FINDING_BYTES];
    snprintf(text, sizeof text, "%s", found);
    if (!c->json) {
        text_hide_controls(text); /* it may have a key */
    }
    if (c->json) {
        json_open(&c->j, NULL, '{');
        json_u64(&c->j, "extent", extent);
        json_u64(&c->j, "offset", offset);
        json_text(&c->j, "text", text);
        json_close(&c->j, '}');
    } else if (extent != 0) {
        printf("extent %016" PRIx64 ", byte %" PRIu64 ": %s\n", extent, offset, text);
    } else {
        printf("%s\n", text);
    }
}

static void found_there(void *arg, const struct geds_finding *f)
{
    print_finding(arg, f->extent, f->offset, f->text);
}

static void found_here(void *arg, const struct store_finding *f)
{
    print_finding(arg, f->extent, f->offset, f->text);
}

static status_t check_running(struct check *c, struct geds *store, struct error *err)
{
    struct geds_error inner;
    enum geds_code code = c->remote
                              ? geds_fsck_all(store, c->repair, found_there, c, &c->result, &inner)
                              : geds_fsck(store, c->repair, found_there, c, &c->result, &inner);
    return code == GEDS_OK
               ? ST_OK
               : error_set(err, rpc_status_of((uint16_t)code), ERROR_NO_OFFSET, "%s", inner.text);
}

static status_t give_keys(struct store *store, const char *state, struct error *err)
{
    struct crypt_conf conf;
    status_t st = crypt_conf_load(state, &conf, err);
    const struct store_keys_options o = {.path = conf.master_key, .make_none = true};
    return st == ST_OK ? store_set_keys(store, &o, err) : st;
}

static status_t check_folder(struct check *c, struct error *err)
{
    char state[PATH_MAX], folder[PATH_MAX];
    struct stat info;
    struct store *store = NULL;
    struct store_fsck n = {0};
    status_t st = c->state == NULL ? state_folder_default(state, err) : ST_OK;
    if (st != ST_OK) {
        return st;
    }
    if (snprintf(folder, sizeof folder, "%s/geds", c->state != NULL ? c->state : state) >=
        PATH_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--state: too long");
    }
    if (stat(folder, &info) != 0) { /* opening it would make one */
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "%s: there is no store", folder);
    }
    st = store_open(folder, &(struct store_options){0}, &store, err);
    if (st == ST_AGAIN) {
        return error_set(err, st, ERROR_NO_OFFSET,
                         "%s: another process has it open, at another socket", folder);
    }
    struct error keys = {0};
    bool no_keys = st == ST_OK &&
                   give_keys(store, c->state != NULL ? c->state : state, &keys) != ST_OK;
    if (no_keys) { /* the checksums need none */
        print_finding(c, 0, 0, keys.text);
    }
    if (st == ST_OK) {
        st = store_fsck(store, c->repair, found_here, NULL, c, &n, err);
        c->result = (struct geds_check){n.objects, n.extents, n.bytes, n.findings + no_keys,
                                        n.repaired};
    }
    store_close(store);
    return st;
}

static void print_result(struct check *c)
{
    const struct geds_check *n = &c->result;
    if (c->json) {
        json_close(&c->j, ']');
        json_u64(&c->j, "objects", n->objects);
        json_u64(&c->j, "extents", n->extents);
        json_u64(&c->j, "bytes", n->bytes);
        json_u64(&c->j, "findings_count", n->findings);
        json_u64(&c->j, "repaired", n->repaired);
        json_close(&c->j, '}');
        fwrite(c->out.data, 1, c->out.len, stdout);
    } else {
        printf("%" PRIu64 " objects, %" PRIu64 " bytes compared, %" PRIu64 " findings, %" PRIu64
               " repaired\n",
               n->objects, n->bytes, n->findings, n->repaired);
    }
}

/* Does what the environment says, if anything, lead to a store of this machine? */
static bool is_this_machines(void)
{
    struct rpc_address a;
    return rpc_address_parse(NULL, &a, NULL) == ST_OK && a.scheme == RPC_UNIX;
}

static int check(struct check *c)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct geds_error inner;
    struct geds *store = NULL;
    enum geds_code code = GEDS_NOTFOUND;
    if (c->state == NULL) {
        code = geds_connect(c->controller, &store, &inner);
    }
    c->j.out = &c->out;
    if (c->json) {
        json_open(&c->j, NULL, '{');
        json_open(&c->j, "findings", '[');
    }
    status_t st;
    if (code == GEDS_OK) {
        st = check_running(c, store, &err);
    } else if (code == GEDS_NOTFOUND && c->controller == NULL && c->remote) {
        st = error_set(&err, ST_NOTFOUND, ERROR_NO_OFFSET,
                       "--remote asks a store that is up; start it with `cloudskin up`");
    } else if (code == GEDS_NOTFOUND && c->controller == NULL && is_this_machines()) {
        st = check_folder(c, &err);
    } else {
        st = error_set(&err, rpc_status_of((uint16_t)code), ERROR_NO_OFFSET, "%s", inner.text);
    }
    geds_disconnect(store);
    if (st == ST_OK) {
        print_result(c);
    }
    buf_done(&c->out);
    int output = exit_after_output(program);
    if (st != ST_OK) {
        fprintf(stderr, "%s: %s\n", program, err.text);
        return st == ST_INVAL ? EXIT_USAGE : exit_code_of(st);
    }
    return c->result.findings > c->result.repaired ? EXIT_REFUSED : output;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"repair", no_argument, NULL, 'r'},
                                                 {"remote", no_argument, NULL, 't'},
                                                 {"json", no_argument, NULL, 'j'},
                                                 {"state", required_argument, NULL, 's'},
                                                 {"controller", required_argument, NULL, 'c'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    struct check c = {0};
    process_open_stdio();
    for (int id; (id = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (id == 'r') {
            c.repair = true;
        } else if (id == 't') {
            c.remote = true;
        } else if (id == 'j') {
            c.json = true;
        } else if (id == 's') {
            c.state = optarg;
        } else if (id == 'c') {
            c.controller = optarg;
        } else if (id == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program);
        } else {
            fprintf(stderr, "Try 'cloudskin fsck --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (optind < argc || (c.state != NULL && c.controller != NULL)) {
        fprintf(stderr, "%s: %s\nTry 'cloudskin fsck --help'.\n", program,
                optind < argc ? "unexpected argument" : "--state or --controller, not both");
        return EXIT_USAGE;
    }
    return check(&c);
}
