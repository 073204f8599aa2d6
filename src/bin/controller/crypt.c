#include "crypt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "localstate/crypt.h"
#include "sys/thread.h"

/* A later start may be made from another folder. */
static status_t set_path(const char *given, struct crypt_conf *c, struct error *err)
{
    char folder[PATH_MAX] = "";
    if (given[0] == '\0' || strchr(given, '\n') != NULL) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--master-key: not a path");
    }
    if (given[0] != '/' && getcwd(folder, sizeof folder) == NULL) {
        return error_set_errno(err, errno, "--master-key: %.80s", given);
    }
    c->has_path = true;
    const char *between = given[0] != '/' ? "/" : "";
    return snprintf(c->master_key, sizeof c->master_key, "%s%s%s", folder, between, given) <
                   (int)sizeof c->master_key
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--master-key: too long");
}

static status_t take_given(const struct crypt_given *g, struct crypt_conf *c, struct error *err)
{
    status_t st = g->master_key != NULL ? set_path(g->master_key, c, err) : ST_OK;
    if (st != ST_OK || g->encrypt == NULL) {
        return st;
    }
    c->encrypt = strcmp(g->encrypt, "on") == 0;
    return c->encrypt || strcmp(g->encrypt, "off") == 0
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "--encrypt: \"%.40s\" is not on or off",
                           g->encrypt);
}

static status_t tell_missing(struct store *store, const char *path, bool *ret_any,
                             struct error *err)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    status_t st = store_keys(store, &keys, &count, err);
    *ret_any = false;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        char id[STORE_KEY_ID_BYTES], extents[24];
        if (keys[i].is_there) {
            continue;
        }
        *ret_any = true;
        store_key_text(keys[i].id, id);
        snprintf(extents, sizeof extents, "%llu", (unsigned long long)keys[i].extents);
        fprintf(stderr,
                "cloudskin-controller: master key %s is not in %s: what is encrypted with it "
                "(%s extents) cannot be read\n",
                id, path, extents);
        log_error("keys.missing", "key", id, "file", path, "extents", extents);
    }
    free(keys);
    return st;
}

status_t controller_crypt_open(const struct crypt_given *given, const char *state,
                               struct store *store, struct error *err)
{
    struct crypt_conf c = {0};
    bool missing = false;
    status_t st = crypt_conf_load(state, &c, err);
    if (st == ST_OK) {
        st = take_given(given, &c, err);
    }
    if (st == ST_OK) {
        const struct store_keys_options o = {.path = c.master_key, .always = c.encrypt};
        st = store_set_keys(store, &o, err);
    }
    if (st == ST_OK) {
        st = tell_missing(store, c.master_key, &missing, err);
    }
    /* a file that lacks keys is not the one that later starts shall take */
    bool keep = given->encrypt != NULL || given->master_key != NULL;
    return st == ST_OK && keep && !missing ? crypt_conf_save(state, &c, err) : st;
}

static bool goes_on(void *arg, const struct store_rewrap *so_far)
{
    struct crypt_running *r = arg;
    (void)so_far;
    return !atomic_load(&r->stop);
}

static void *rewrap(void *arg)
{
    struct crypt_running *r = arg;
    struct store_rewrap n = {0};
    struct error err = {0};
    char done[24];
    status_t st = store_keys_rewrap(r->store, goes_on, r, &n, &err);
    snprintf(done, sizeof done, "%llu", (unsigned long long)n.done);
    if (st == ST_OK) {
        log_info("keys.rewrapped", "extents", done);
    } else if (st != ST_STOPPED) {
        log_error("keys.rewrap", "error", err.text);
    }
    return NULL;
}

status_t controller_crypt_start(struct crypt_running *r, struct store *store, struct error *err)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    bool left = false;
    status_t st = store_keys(store, &keys, &count, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        left |= keys[i].is_there && !keys[i].is_newest && keys[i].extents > 0;
    }
    free(keys);
    if (st != ST_OK || !left) {
        return st;
    }
    r->store = store;
    int code = thread_start(&r->thread, rewrap, r);
    r->runs = code == 0;
    return code == 0 ? ST_OK : error_set_errno(err, code, "thread");
}

void controller_crypt_stop(struct crypt_running *r)
{
    if (r->runs) {
        atomic_store(&r->stop, true);
        pthread_join(r->thread, NULL);
        r->runs = false;
    }
}
