#ifndef TESTS_FAKETIER_H
#define TESTS_FAKETIER_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>

#include "../geds/storetest.h"
#include "geds/tier/tier.h"
#include "sys/clock.h"
#include "sys/files.h"

/* A tier that is a folder, which survives the process, and that can be told to misbehave. */

static char tier_folder[80];
static _Atomic bool fake_down;      /* nothing is answered */
static _Atomic bool fake_lies;      /* a byte of each read is wrong */
static _Atomic bool fake_cuts;      /* half of what is sent is kept, and that is called a success */
static _Atomic unsigned fake_fails; /* every so manyth call fails; 0: none */
static _Atomic unsigned fake_calls, fake_sends, fake_reads, fake_resumed, fake_begun;
static _Atomic bool fake_read_fails; /* of all calls that one */
static _Atomic bool fake_refuses;    /* to delete */
static _Atomic bool fake_forget_refused;
static void (*_Atomic fake_on_send)(void); /* may be NULL */
static _Atomic bool fake_stopped;
static _Atomic uint64_t fake_break_at; /* bytes of a send after which it breaks off; 0: never */

enum { FAKE_LONG = 1 << 20 /* a longer send is an upload with an id */ };

static status_t fake_call(struct error *err)
{
    unsigned n = atomic_fetch_add(&fake_calls, 1), every = atomic_load(&fake_fails);
    if (atomic_load(&fake_stopped)) {
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
    }
    if (atomic_load(&fake_down) || (every != 0 && n % every == every - 1)) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the fake tier does not answer");
    }
    return ST_OK;
}

static void fake_path(const char *name, const char *suffix, char ret_path[256])
{
    int len = snprintf(ret_path, 256, "%s/%s%s", tier_folder, name, suffix);
    for (int i = (int)strlen(tier_folder) + 1; i < len; i++) {
        if (ret_path[i] == '/') {
            ret_path[i] = '+';
        }
    }
}

static status_t fake_send(void *arg, const char *name, const struct tier_source *source,
                          const char *upload,
                          status_t (*begun)(void *begun_arg, const char *upload, struct error *err),
                          void *begun_arg, struct error *err)
{
    char path[256], part[256];
    static _Atomic unsigned number;
    (void)arg;
    atomic_fetch_add(&fake_sends, 1);
    status_t st = fake_call(err);
    void (*on_send)(void) = atomic_load(&fake_on_send);
    if (on_send != NULL) {
        on_send();
    }
    fake_path(name, "", path);
    char suffix[48];
    snprintf(suffix, sizeof suffix, "~%u-%u", (unsigned)getpid(), atomic_fetch_add(&number, 1));
    fake_path(name, suffix, part);
    if (st == ST_OK && source->size > FAKE_LONG) {
        if (upload[0] != '\0') {
            atomic_fetch_add(&fake_resumed, 1);
        } else {
            atomic_fetch_add(&fake_begun, 1);
            st = begun(begun_arg, "an-upload", err);
        }
    }
    if (st != ST_OK) {
        return st;
    }
    int fd = open(part, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    uint8_t *data = malloc((size_t)source->size + 1);
    /* in odd pieces, as a client may ask */
    for (uint64_t off = 0; off < source->size && st == ST_OK; off += 77777) {
        size_t n = source->size - off < 77777 ? (size_t)(source->size - off) : 77777;
        st = source->read(source->arg, off, data + off, n, err);
        if (st == ST_OK && atomic_load(&fake_break_at) != 0 && off > atomic_load(&fake_break_at)) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the fake tier broke off");
        }
    }
    size_t kept = (size_t)source->size / (atomic_load(&fake_cuts) ? 2 : 1);
    if (st == ST_OK && (fd < 0 || file_write_all(fd, data, kept) != 0 || rename(part, path) != 0)) {
        st = error_set_errno(err, errno, "fake tier");
    }
    if (st != ST_OK) {
        remove(part);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(data);
    return st;
}

static status_t fake_size(void *arg, const char *name, uint64_t *ret_size, struct error *err)
{
    char path[256];
    struct stat info;
    (void)arg;
    status_t st = fake_call(err);
    fake_path(name, "", path);
    if (st == ST_OK && stat(path, &info) != 0) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "not there");
    }
    if (st == ST_OK) {
        *ret_size = (uint64_t)info.st_size;
    }
    return st;
}

static status_t fake_read(void *arg, const char *name, uint64_t off, void *data, size_t len,
                          struct error *err)
{
    char path[256];
    (void)arg;
    atomic_fetch_add(&fake_reads, 1);
    status_t st = fake_call(err);
    if (st == ST_OK && atomic_load(&fake_read_fails)) {
        st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the fake tier reads nothing");
    }
    if (st != ST_OK) {
        return st;
    }
    fake_path(name, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "not there");
    }
    ssize_t n = pread(fd, data, len, (off_t)off);
    close(fd);
    if (n != (ssize_t)len) {
        return error_set(err, ST_CORRUPT, off, "cut short");
    }
    if (atomic_load(&fake_lies)) {
        ((uint8_t *)data)[len / 2] ^= 0x40;
    }
    return ST_OK;
}

static status_t fake_remove(void *arg, const char *const *names, size_t count,
                            status_t *ret_results, struct error *err)
{
    (void)arg;
    status_t st = fake_call(err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        char path[256];
        fake_path(names[i], "", path);
        ret_results[i] = ST_PERM;
        if (!atomic_load(&fake_refuses)) {
            remove(path);
            ret_results[i] = ST_OK;
        }
    }
    return st;
}

static status_t fake_forget(void *arg, const char *name, uint64_t size, const char *upload,
                            struct error *err)
{
    (void)arg, (void)name, (void)size;
    CHECK_STR(upload, "an-upload");
    if (atomic_load(&fake_forget_refused)) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "the fake tier refuses");
    }
    return fake_call(err);
}

static status_t fake_list(void *arg, const char *prefix,
                          status_t (*found)(void *found_arg, const char *name, uint64_t size,
                                            struct error *err),
                          void *found_arg, struct error *err)
{
    (void)arg, (void)prefix;
    status_t st = fake_call(err);
    DIR *dir = opendir(tier_folder);
    for (struct dirent *e; dir != NULL && st == ST_OK && (e = readdir(dir)) != NULL;) {
        char name[256], path[400];
        struct stat info;
        snprintf(name, sizeof name, "%s", e->d_name);
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '+' ? '/' : *c;
        }
        snprintf(path, sizeof path, "%s/%s", tier_folder, e->d_name);
        if (name[0] != '.' && strchr(name, '~') == NULL && stat(path, &info) == 0) {
            st = found(found_arg, name, (uint64_t)info.st_size, err);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return st;
}

static void fake_stop(void *arg)
{
    (void)arg;
    atomic_store(&fake_stopped, true);
}

static const struct tier_remote fake_remote = {.send = fake_send,
                                               .size = fake_size,
                                               .read = fake_read,
                                               .remove = fake_remove,
                                               .forget = fake_forget,
                                               .list = fake_list,
                                               .stop = fake_stop};

static struct tier *tier;
static uint64_t tier_high = 2000000, tier_low = 1000000;

static status_t tier_up(void)
{
    struct error err;
    const struct tier_options o = {.store = store,
                                   .remote = &fake_remote,
                                   .high_bytes = tier_high,
                                   .low_bytes = tier_low,
                                   .cache_bytes = STORE_CACHE_MIN,
                                   .idle_ms = 20,
                                   .retry_ms = 10,
                                   .retry_max_ms = 40};
    atomic_store(&fake_stopped, false);
    status_t st = tier_open(&o, &tier, &err);
    return st == ST_OK ? tier_start(tier, &err) : st;
}

__attribute__((unused)) static void tier_down(void)
{
    tier_stop(tier);
    store_close(store);
    tier_close(tier);
    store = NULL;
    tier = NULL;
}

__attribute__((unused)) static void tier_make(const struct store_options *options)
{
    atomic_store(&fake_down, false);
    atomic_store(&fake_lies, false);
    atomic_store(&fake_cuts, false);
    atomic_store(&fake_fails, 0);
    atomic_store(&fake_read_fails, false);
    atomic_store(&fake_refuses, false);
    atomic_store(&fake_forget_refused, false);
    atomic_store(&fake_on_send, NULL);
    atomic_store(&fake_break_at, 0);
    snprintf(tier_folder, sizeof tier_folder, "/tmp/geds-fake-XXXXXX");
    CHECK(mkdtemp(tier_folder) != NULL);
    store_make(options);
    CHECK_EQ(tier_up(), ST_OK);
}

__attribute__((unused)) static void tier_again(const struct store_options *options)
{
    struct error err = {0};
    tier_down();
    must(store_open(scratch, options, &store, &err), &err, "store_open", __LINE__);
    CHECK_EQ(tier_up(), ST_OK);
}

__attribute__((unused)) static void tier_unmake(void)
{
    tier_down();
    remove_tree(scratch);
    remove_tree(tier_folder);
}

/* Whole copies in the tier. */
__attribute__((unused)) static size_t tier_files(void)
{
    size_t count = 0;
    DIR *dir = opendir(tier_folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        count += e->d_name[0] != '.' && strchr(e->d_name, '~') == NULL;
    }
    closedir(dir);
    return count;
}

/* Until the condition is true, five minutes at most: threads that give way to all others may stand still for most of
 * one where all CPUs are busy. Looking leaves the CPU to them. */
#define EVENTUALLY(condition)                                         \
    do {                                                              \
        uint64_t until_ = clock_monotonic_ns() + 300ULL * 1000000000; \
        while (!(condition) && clock_monotonic_ns() < until_) {       \
            poll(NULL, 0, 1);                                         \
        }                                                             \
        CHECK(condition);                                             \
    } while (0)

__attribute__((unused)) static struct tier_status status_now(void)
{
    struct tier_status n;
    MUST(tier_status(tier, &n, &err));
    return n;
}

#endif
