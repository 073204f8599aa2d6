#include "remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "localstate/tokens.h"
#include "net/tls/ca.h"
#include "sys/clock.h"

enum { DAY_S = 86400, TOLD_PER_SECOND = 10 };

static status_t set_path(char to[PATH_MAX], const char *folder, const char *name, struct error *err)
{
    int len = folder != NULL ? snprintf(to, PATH_MAX, "%s/tls/%s", folder, name)
                             : snprintf(to, PATH_MAX, "%s", name);
    return len < PATH_MAX ? ST_OK : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", name);
}

static bool is_absent(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static status_t choose_files(const struct remote_given *g, const char *state,
                             struct remote_running *r, struct error *err)
{
    bool given = g->cert != NULL || g->key != NULL || g->ca != NULL;
    if (given && (g->cert == NULL || g->key == NULL || g->ca == NULL)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--tls-cert, --tls-key and --tls-ca are needed all, or none of them");
    }
    const char *folder = given ? NULL : state;
    status_t st = set_path(r->cert, folder, given ? g->cert : "controller.crt", err);
    if (st == ST_OK) {
        st = set_path(r->key, folder, given ? g->key : "controller.key", err);
    }
    if (st == ST_OK) {
        st = set_path(r->ca, folder, given ? g->ca : "ca.crt", err);
    }
    if (st == ST_OK && !given && is_absent(r->cert) && is_absent(r->key) && is_absent(r->ca)) {
        r->cert[0] = r->key[0] = r->ca[0] = '\0';
    }
    return st;
}

static struct tls_files files_of(const struct remote_running *r)
{
    return (struct tls_files){.cert = r->cert, .key = r->key, .ca = r->ca};
}

/* Of a flood only some are told. */
static void on_refused(void *ctx, const char *address, const struct error *err)
{
    struct remote_running *r = ctx;
    uint64_t now = clock_monotonic_ns() / 1000000000;
    char more[24];
    if (atomic_exchange(&r->second, now) != now) {
        atomic_store(&r->told, 0);
    }
    if (atomic_fetch_add(&r->told, 1) >= TOLD_PER_SECOND) {
        atomic_fetch_add(&r->untold, 1);
        return;
    }
    snprintf(more, sizeof more, "%u", atomic_exchange(&r->untold, 0));
    log_warn("remote.refused", "from", address, "error", err->text, "untold", more);
}

static status_t listen_there(const struct remote_given *g, const char *state,
                             struct remote_running *r, struct error *err)
{
    bool loopback = false;
    status_t st = rpc_tcp_listen(g->listen, &r->listen_fd, r->name, &loopback, err);
    if (st == ST_OK && !loopback && r->tls == NULL) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "--listen %.60s: other machines are served through TLS only: make "
                       "certificates with `cloudskin ca init`, or give --tls-cert, --tls-key and "
                       "--tls-ca",
                       g->listen);
    }
    if (st == ST_OK) {
        st = access_new(state, &r->access, err);
    }
    r->tcp = (struct rpc_tcp){.listen_fd = r->listen_fd,
                              .transport = r->tls != NULL ? tls_server_transport() : NULL,
                              .ctx = r->tls,
                              .refused = on_refused,
                              .refused_ctx = r};
    return st;
}

status_t controller_remote_open(const struct remote_given *given, const char *state,
                                struct remote_running *r, struct error *err)
{
    if (given->listen == NULL && !given->s3_tls) {
        return given->cert == NULL && given->key == NULL && given->ca == NULL
                   ? ST_OK
                   : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                               "--tls-cert, --tls-key and --tls-ca need --listen or --s3-tls");
    }
    status_t st = choose_files(given, state, r, err);
    if (st == ST_OK && given->s3_tls && r->ca[0] == '\0') {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "--s3-tls: make certificates with `cloudskin ca init`, or give --tls-cert, "
                       "--tls-key and --tls-ca");
    }
    if (st == ST_OK && r->ca[0] != '\0') { /* for S3 alone too: so the files are checked */
        const struct tls_files files = files_of(r);
        st = tls_server_new(&files, &r->tls, err);
    }
    if (st == ST_OK && given->listen != NULL) {
        st = listen_there(given, state, r, err);
    }
    return st;
}

void controller_remote_close(struct remote_running *r)
{
    if (r->listen_fd >= 0) {
        close(r->listen_fd);
    }
    tls_server_free(r->tls);
    access_free(r->access);
}

void controller_remote_warn(const struct remote_running *r)
{
    static struct tls_description d;
    struct error err = {0};
    if (r->tls == NULL) {
        return;
    }
    if (tls_describe(r->cert, &d, &err) != ST_OK) {
        log_warn("tls.certificate", "file", r->cert, "error", err.text);
        return;
    }
    int64_t left_s = d.ends_s - (int64_t)time(NULL);
    char days[24];
    snprintf(days, sizeof days, "%lld", (long long)(left_s / DAY_S));
    if (left_s <= 0) {
        log_warn("tls.certificate_ended", "file", r->cert, "do", "cloudskin ca renew, then SIGHUP");
    } else if (left_s < (int64_t)TLS_WARN_DAYS * DAY_S) {
        log_warn("tls.certificate_ends_soon", "file", r->cert, "days", days, "do",
                 "cloudskin ca renew, then SIGHUP");
    }
}

void controller_remote_reload(struct remote_running *r)
{
    struct error err = {0};
    const struct tls_files files = files_of(r);
    if (tls_server_reload(r->tls, &files, &err) == ST_OK) {
        log_info("tls.reloaded", "file", r->cert);
    } else {
        log_error("tls.reload", "error", err.text);
    }
    controller_remote_warn(r);
}
