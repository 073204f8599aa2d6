#include "standins.h"
#include "storetest.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* One call of the system fails, another one each time: what was acknowledged is there afterwards,
 * and of what was refused all or nothing. The calls below stand in for libc's, for SQLite as well. */

static _Atomic bool armed;
static _Atomic unsigned fail_at;
static _Atomic int fault_errno;

enum { KEYS = 4, POSSIBLE_MAX = 16, BIG = 150000 };

/* What a key may have: the last one for certain when there is one only. */
struct content {
    const uint8_t *data; /* NULL: no object */
    size_t len;
};
struct key {
    struct content possible[POSSIBLE_MAX];
    size_t count;
};
/* A child that ends at once tells its parent. */
struct shared {
    struct key keys[KEYS];
    _Atomic unsigned calls;
};
static struct shared *shared;

static bool is_fault(void)
{
    if (atomic_load(&armed) && atomic_fetch_add(&shared->calls, 1) == atomic_load(&fail_at)) {
        errno = atomic_load(&fault_errno);
        return true;
    }
    return false;
}

static uint8_t source[2 * BIG];
static const char *const names[KEYS] = {"a", "b", "c", "d"};

static void happened(size_t key, status_t st, const uint8_t *data, size_t len)
{
    struct key *k = &shared->keys[key];
    if (st == ST_OK) {
        k->count = 0;
    }
    if (k->count < POSSIBLE_MAX) {
        k->possible[k->count++] = (struct content){.data = data, .len = len};
    }
}

static status_t put_part_of(const char *key, size_t len)
{
    uint64_t id = 0;
    struct store_put *p = NULL;
    struct store_part part = {.number = 1};
    status_t st = store_upload_begin(store, "box", key, NULL, &id, NULL);
    if (st == ST_OK) {
        st = store_upload_put_begin(store, "box", key, id, 1, &p, NULL);
    }
    if (st == ST_OK && (st = store_put_write(p, source + 3, len, NULL)) != ST_OK) {
        store_put_abort(p);
    } else if (st == ST_OK) {
        st = store_put_commit(p, NULL, &part.info, NULL);
    }
    return st == ST_OK
               ? store_upload_complete(store, "box", key, id, &part, 1, NULL, NULL, NULL, NULL)
               : st;
}

static uint8_t drafted[1300000]; /* zeros but for two places */

/* Written backwards, and too long to be written anew at its seal. */
static status_t put_draft(const char *key)
{
    struct store_put *p = NULL;
    status_t st = store_put_begin(store, "box", key, NULL, &p, NULL);
    if (st == ST_OK && (st = store_put_write_at(p, source, 100000, 1200000, NULL)) == ST_OK) {
        st = store_put_write_at(p, source + 7, 1000, 100, NULL);
    }
    if (st != ST_OK) {
        store_put_abort(p);
        return st;
    }
    return store_put_commit(p, NULL, NULL, NULL);
}

static void work(void)
{
    struct store_name a = {"box", "a"}, b = {"box", "b"}, c = {"box", "c"};
    happened(0, put("box", "a", source, BIG), source, BIG);
    happened(1, put("box", "b", source + 1, 5000), source + 1, 5000);
    bool a_known = shared->keys[0].count == 1 && shared->keys[0].possible[0].data != NULL;
    status_t st = store_copy(store, &a, &c, NULL, NULL, NULL, NULL, NULL);
    if (st != ST_NOTFOUND) {
        happened(2, st, source, BIG);
    }
    happened(0, put("box", "a", source + 2, BIG), source + 2, BIG);
    st = store_delete(store, "box", "c", NULL, NULL);
    if (st != ST_NOTFOUND || a_known) {
        happened(2, st, NULL, 0);
    }
    happened(3, put_part_of("d", BIG / 2), source + 3, BIG / 2);
    happened(1, put("box", "b", source, 10000), source, 10000);
    happened(3, put_draft("d"), drafted, sizeof drafted);
    st = store_rename(store, &b, &c, NULL, NULL);
    if (st != ST_NOTFOUND) {
        const struct key *k = &shared->keys[1];
        for (size_t i = 0; i < k->count; i++) { /* any of what b may have been */
            happened(2, i == 0 ? st : ST_IO, k->possible[i].data, k->possible[i].len);
        }
        happened(1, st, NULL, 0);
    }
}

static bool is_possible(size_t key)
{
    const struct key *k = &shared->keys[key];
    struct store_info info;
    for (size_t i = 0; i < k->count; i++) {
        const struct content *c = &k->possible[i];
        if (c->data != NULL ? holds("box", names[key], c->data, c->len)
                            : store_stat(store, "box", names[key], &info, NULL) == ST_NOTFOUND) {
            return true;
        }
    }
    return false;
}

/* All versions and markers of all keys. */
static void purge(void)
{
    struct store_versions *page = NULL;
    struct store_version_query q = {.max = STORE_LIST_MAX};
    MUST(store_version_list(store, "box", &q, &page, &err));
    struct store_removal *items = calloc(page->count + 1, sizeof *items);
    for (size_t i = 0; i < page->count; i++) {
        items[i] = (struct store_removal){.key = page->entries[i].key,
                                          .version = page->entries[i].info.version};
    }
    MUST(store_delete_each(store, "box", items, page->count, &err));
    free(items);
    store_versions_free(page);
}

static void make_empty(void)
{
    status_t results[KEYS];
    struct store_uploads *uploads = NULL;
    MUST(store_delete_many(store, "box", names, KEYS, results, &err));
    purge();
    MUST(store_upload_list(store, "box", "", "", 0, 100, &uploads, &err));
    for (size_t i = 0; i < uploads->count; i++) {
        MUST(store_upload_abort(store, "box", uploads->entries[i].key, uploads->entries[i].id,
                                &err));
    }
    store_uploads_free(uploads);
    for (size_t i = 0; i < KEYS; i++) {
        shared->keys[i] = (struct key){.count = 1};
    }
}

static void work_with_fault(unsigned at, int errnum)
{
    atomic_store(&shared->calls, 0);
    atomic_store(&fail_at, at);
    atomic_store(&fault_errno, errnum);
    atomic_store(&armed, true);
    work();
    for (size_t i = 0; i < KEYS; i++) {
        CHECK(is_possible(i)); /* the same process goes on */
    }
}

/* The store is closed, where calls fail, too, or (crash) its process ends without that.
 * false: there were no more than `at` calls. */
static bool run_with_fault(unsigned at, int errnum, bool crash)
{
    make_empty();
    store_close(store);
    store = NULL;
    pid_t pid = crash ? fork() : 0;
    if (pid == 0) {
        MUST(store_open(scratch, NULL, &store, &err));
        work_with_fault(at, errnum);
        if (crash) {
            _exit(check_failures != 0);
        }
        store_close(store);
        store = NULL;
        atomic_store(&armed, false);
    } else {
        int status = 0;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    MUST(store_open(scratch, NULL, &store, &err));
    for (size_t i = 0; i < KEYS; i++) {
        CHECK(is_possible(i));
    }
    CHECK_EQ(files_in("new"), 0);
    check_sound();
    if (check_failures != 0) {
        fprintf(stderr, "at call %u, errno %d, crash %d\n", at, errnum, crash);
    }
    return atomic_load(&shared->calls) > at;
}

static void a_failing_call_loses_nothing(void)
{
    static const int errnums[] = {EIO, ENOSPC, EIO};
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    for (size_t i = 0; i < 3; i++) {
        unsigned at = 0;
        if (i == 2) {
            MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
        }
        while (at < 1000 && check_failures == 0 && run_with_fault(at, errnums[i], i == 0)) {
            at++;
        }
        CHECK(at > 20);
    }
    store_remove();
}

/* The sync of the log fails: what comes then is refused, and the next start goes on. */
static void after_a_failed_sync_changes_are_refused(void)
{
    struct error why = {0};
    struct store_state state;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    unsigned refused = 0;
    for (unsigned at = 0; at < 6; at++) {
        atomic_store(&shared->calls, 0);
        atomic_store(&fail_at, at);
        atomic_store(&fault_errno, EIO);
        atomic_store(&armed, true);
        status_t first = put("box", "k", "x", 1);
        atomic_store(&armed, false);
        status_t st = store_delete(store, "box", "none", NULL, &why);
        CHECK_EQ(st, first != ST_OK && strstr(why.text, "sync") != NULL ? ST_IO : ST_NOTFOUND);
        refused += st == ST_IO;
        MUST(store_state(store, &state, &err));
        CHECK_EQ(state.broken, st == ST_IO);
        store_again(NULL);
        MUST(store_state(store, &state, &err));
        CHECK(!state.broken && !state.full && state.open_objects == 0);
    }
    CHECK(refused > 0);
    CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    store_remove();
}

/* More files than a draft has open: reading one closes another, whose bytes miss the disk. */
static void a_draft_whose_bytes_missed_the_disk_is_not_sealed(void)
{
    enum { SPANS = 5 };
    struct store_put *p = NULL;
    uint8_t byte = 0;
    size_t len = 0;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    for (unsigned fails = 0; fails < 2; fails++) {
        MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
        for (uint64_t i = 0; i < SPANS; i++) {
            MUST(store_put_write_at(p, source, 100000, i << 30, &err));
        }
        atomic_store(&shared->calls, 0);
        atomic_store(&fail_at, fails != 0 ? 0 : UINT32_MAX);
        atomic_store(&fault_errno, EIO);
        atomic_store(&armed, true);
        CHECK_EQ(store_put_read(p, &byte, 1, 0, &len, NULL), fails != 0 ? ST_IO : ST_OK);
        atomic_store(&armed, false);
        CHECK_EQ(atomic_load(&shared->calls), 1); /* one sync */
        if (fails != 0) {
            MUST(store_put_read(p, &byte, 1, 0, &len, &err));
        }
        CHECK(byte == source[0] && len == 1);
        CHECK_EQ(store_put_commit(p, NULL, NULL, NULL), fails != 0 ? ST_IO : ST_OK);
        if (fails == 0) {
            MUST(store_delete(store, "box", "k", NULL, &err));
        }
    }
    CHECK_EQ(files_in("new") + files_in("data"), 0);
    store_remove();
}

int main(void)
{
    fill(source, sizeof source, 9);
    memcpy(drafted + 100, source + 7, 1000);
    memcpy(drafted + 1200000, source, 100000);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    RUN(a_failing_call_loses_nothing);
    RUN(a_draft_whose_bytes_missed_the_disk_is_not_sealed);
    RUN(after_a_failed_sync_changes_are_refused);
    return CHECK_DONE();
}
