#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

enum {
    TTL_S = 5,
    TRIM_AT = 50000,
    KEEP_BYTES = 128 * 1024 * 1024,
    BATCH_BYTES = 16 * 1024 * 1024,
    CLOSE_MS = 1000
};

/* A machine that slept was away as well. */
uint64_t etcd_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void etcd_key(const struct etcd *e, char ret_key[KEY_BYTES], const char *name)
{
    snprintf(ret_key, KEY_BYTES, "%s%s", e->prefix, name);
}

void etcd_entry_key(const struct etcd *e, char ret_key[KEY_BYTES], uint64_t index)
{
    snprintf(ret_key, KEY_BYTES, "%slog/%016llx", e->prefix, (unsigned long long)index);
}

void etcd_part_key(const struct etcd *e, char ret_key[KEY_BYTES], uint64_t index, unsigned part)
{
    snprintf(ret_key, KEY_BYTES, "%spart/%016llx/%04x", e->prefix, (unsigned long long)index, part);
}

void etcd_tell(struct etcd *e, const char *event, const char *text)
{
    if (e->o.event != NULL) {
        e->o.event(e->o.arg, event, text);
    }
}

void etcd_set_leader(struct etcd *e, const char *address, size_t len)
{
    pthread_mutex_lock(&e->lock);
    snprintf(e->leader, sizeof e->leader, "%.*s", (int)len, address);
    if (len > 0 && strcmp(e->leader, e->last_leader) != 0) {
        if (e->last_leader[0] != '\0') {
            atomic_fetch_add(&e->leader_changes, 1);
        }
        memcpy(e->last_leader, e->leader, sizeof e->last_leader);
    }
    pthread_mutex_unlock(&e->lock);
}

void etcd_leader(struct etcd *e, char ret_address[SHARED_ADDRESS_MAX + 1])
{
    pthread_mutex_lock(&e->lock);
    memcpy(ret_address, e->leader, sizeof e->leader);
    pthread_mutex_unlock(&e->lock);
}

const char *etcd_log_id(const struct etcd *e)
{
    return e->log_id;
}

bool etcd_wait(struct etcd *e, unsigned ms)
{
    uint64_t end = clock_monotonic_ns() + (uint64_t)ms * 1000000;
    const struct timespec at = {.tv_sec = (time_t)(end / NS_PER_S),
                                .tv_nsec = (long)(end % NS_PER_S)};
    pthread_mutex_lock(&e->lock);
    while (!e->stop && clock_monotonic_ns() < end) {
        pthread_cond_timedwait(&e->wake, &e->lock, &at);
    }
    bool goes_on = !e->stop;
    pthread_mutex_unlock(&e->lock);
    return goes_on;
}

static bool leads(void *arg)
{
    struct etcd *e = arg;
    return !atomic_load(&e->lost) && etcd_now_ns() < atomic_load(&e->until);
}

static struct etcd_counts counts_of(const struct line *l)
{
    return (struct etcd_counts){.requests = atomic_load(&l->requests),
                                .errors = atomic_load(&l->errors),
                                .ns = atomic_load(&l->ns)};
}

void etcd_status(struct etcd *e, struct etcd_status *ret_status)
{
    uint64_t now = etcd_now_ns(), until = atomic_load(&e->until);
    struct etcd_status s = {.elections = atomic_load(&e->elections),
                            .losses = atomic_load(&e->losses),
                            .leader_changes = atomic_load(&e->leader_changes),
                            .term = atomic_load(&e->seen_term),
                            .batches = atomic_load(&e->batches),
                            .applied = atomic_load(&e->seen_applied),
                            .follow = counts_of(&e->follow),
                            .append = counts_of(&e->append),
                            .keep = counts_of(&e->keep)};
    s.head = atomic_load(&e->seen_head); /* read behind applied, which is the lower one */
    s.leads = !atomic_load(&e->lost) && now < until;
    s.lease_left_ns = s.leads ? until - now : 0;
    s.applied = s.leads ? s.head : s.applied; /* what it puts it commits */
    *ret_status = s;
}

static void failed(void *arg)
{
    struct etcd *e = arg;
    atomic_store(&e->again, true);
    etcd_has_lost(e, "the store has to be opened again");
}

static void leader_of(void *arg, char ret_address[SHARED_ADDRESS_MAX + 1])
{
    struct etcd *e = arg;
    etcd_leader(e, ret_address);
    if (strcmp(ret_address, e->o.address) == 0) { /* it was */
        ret_address[0] = '\0';
    }
}

const struct store_log *etcd_log(struct etcd *e)
{
    return &e->log;
}

static status_t take_options(struct etcd *e, struct error *err)
{
    const char *name = e->o.name != NULL ? e->o.name : "geds";
    size_t len = strlen(e->o.address);
    if (strlen(name) == 0 || strlen(name) > NAME_MAX_BYTES ||
        strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") !=
            strlen(name)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "the store's name in etcd: 1 to %d letters, digits, '.', '_' or '-'",
                         NAME_MAX_BYTES);
    }
    for (size_t i = 0; i < len; i++) {
        if (e->o.address[i] <= ' ' || e->o.address[i] > '~' || strchr("\"\\", e->o.address[i])) {
            len = 0;
        }
    }
    if (len == 0 || len > SHARED_ADDRESS_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%.100s\" is no address of a controller",
                         e->o.address);
    }
    if ((e->o.cert == NULL) != (e->o.key == NULL)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "a certificate for etcd needs its key, and a key its certificate");
    }
    snprintf(e->prefix, sizeof e->prefix, "/cloudskin/%s/", name);
    e->o.ttl_s = e->o.ttl_s != 0 ? e->o.ttl_s : TTL_S;
    e->o.trim_at = e->o.trim_at != 0 ? e->o.trim_at : TRIM_AT;
    e->o.keep_bytes = e->o.keep_bytes != 0 ? e->o.keep_bytes : KEEP_BYTES;
    e->o.batch_bytes = e->o.batch_bytes != 0 ? e->o.batch_bytes : BATCH_BYTES;
    e->servers.ca_file = e->o.ca_file;
    e->servers.cert = e->o.cert;
    e->servers.key = e->o.key;
    return line_servers(e->o.servers, e->o.ca_file != NULL || e->o.cert != NULL, &e->servers, err);
}

status_t etcd_open(const struct etcd_options *options, struct etcd **ret_etcd, struct error *err)
{
    struct etcd *e = calloc(1, sizeof *e);
    if (e == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        thread_cond_init(&e->wake) != 0) {
        free(e);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for etcd");
    }
    pthread_mutex_init(&e->lock, NULL);
    e->o = *options;
    e->log = (struct store_log){
        .append = etcd_append, .leads = leads, .failed = failed, .leader = leader_of, .arg = e};
    atomic_store(&e->lost, true);
    status_t st = take_options(e, err);
    struct line *const lines[] = {&e->follow, &e->append, &e->keep, &e->trim};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && st == ST_OK; i++) {
        st = line_open(&e->servers, lines[i], err);
    }
    if (st != ST_OK) {
        etcd_close(e);
        return st;
    }
    *ret_etcd = e;
    return ST_OK;
}

void etcd_close(struct etcd *e)
{
    if (e == NULL) {
        return;
    }
    etcd_keep_no_more(e);
    atomic_store(&e->follow.stop, false);
    if (e->joining != 0) {
        status_t ignored = etcd_lease_end(e, e->joining, CLOSE_MS, NULL);
        (void)ignored;
    }
    if (e->lease != 0) {
        status_t ignored = etcd_revoke(e, CLOSE_MS, NULL); /* else the others wait for its end */
        (void)ignored;
    }
    line_close(&e->follow);
    line_close(&e->append);
    line_close(&e->keep);
    line_close(&e->trim);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

void etcd_stop(struct etcd *e)
{
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    line_stop(&e->follow);
}
