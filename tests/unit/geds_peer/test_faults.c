/* One call of the system fails, another one each time, while a node gets copies, loses them and is read from: what was
 * acknowledged is there afterwards, and no row says more than the node has. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define STANDINS_SYNC 0
#include "../geds/standins.h"
#include "../geds/storetest.h"
#include "impl.h"

static _Atomic bool armed;
static _Atomic unsigned fail_at;
static _Atomic int fault_errno;

enum { LEN = 150000, SLOTS = 16, OBJECTS = 300, SMALL = 17000, CALLS_MAX = 2000 };

/* What the node has: it survives the process of the store. */
struct slot {
    uint64_t extent, nonce;
    size_t len;
    bool whole;
    uint8_t data[LEN];
};
static struct shared {
    struct slot slots[SLOTS];
    _Atomic unsigned calls;
    _Atomic bool known[3]; /* the object was acknowledged, and not removed */
    _Atomic bool gone[3];  /* to remove it was tried */
} *shared;

static bool is_fault(void)
{
    if (atomic_load(&armed) && atomic_fetch_add(&shared->calls, 1) == atomic_load(&fail_at)) {
        errno = atomic_load(&fault_errno);
        return true;
    }
    return false;
}

STANDS_IN int posix_fallocate(int fd, off_t off, off_t len)
{
    return is_fault() ? errno : (int)-syscall(SYS_fallocate, fd, 0, off, len);
}

static uint8_t source[LEN + 3];
static const char *const names[] = {"a", "b", "c"};
static struct peers *peers;

/* The node. */

/* Its thread takes orders while the test looks at what it has. */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

/* With slots_lock. */
static struct slot *slot_of(const struct peer_order *o, bool make)
{
    struct slot *unused = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *s = &shared->slots[i];
        if (s->len != 0 && s->extent == o->extent && s->nonce == o->nonce) {
            return s;
        }
        unused = s->len == 0 ? s : unused;
    }
    if (make && unused != NULL) {
        *unused = (struct slot){.extent = o->extent, .nonce = o->nonce, .len = (size_t)o->bytes};
    }
    return make ? unused : NULL;
}

/* The copies behind the one of the order. */
static size_t list(const struct peer_order *o, uint8_t *out)
{
    uint64_t last[] = {o->extent, o->nonce};
    for (size_t len = 0;; len += PEER_COPY_BYTES) {
        const struct slot *best = NULL;
        for (size_t i = 0; i < SLOTS; i++) {
            const struct slot *s = &shared->slots[i];
            bool behind = s->extent > last[0] || (s->extent == last[0] && s->nonce > last[1]);
            if (s->len != 0 && s->whole && behind &&
                (best == NULL || s->extent < best->extent ||
                 (s->extent == best->extent && s->nonce < best->nonce))) {
                best = s;
            }
        }
        if (best == NULL) {
            return len;
        }
        const uint64_t numbers[] = {last[0] = best->extent, last[1] = best->nonce, best->len};
        for (size_t i = 0; i < PEER_COPY_BYTES; i++) {
            out[len + i] = (uint8_t)(numbers[i / 8] >> 8 * (i % 8));
        }
    }
}

static struct {
    pthread_t thread;
    _Atomic(struct peer *) peer;
    _Atomic bool gone;
} node;

/* With slots_lock. */
static status_t do_order(const struct peer_order *o, struct peer *peer)
{
    struct slot *s = slot_of(o, o->kind == PEER_WRITE);
    status_t st = s != NULL || o->kind == PEER_REMOVE ? ST_OK : ST_NOTFOUND;
    if (st == ST_OK && o->kind == PEER_WRITE) {
        memcpy(s->data + o->offset, o->data, o->len);
    } else if (st == ST_OK && o->kind == PEER_END) {
        s->whole = true;
    } else if (o->kind == PEER_REMOVE && s != NULL) {
        s->len = 0;
    }
    bool reads = st == ST_OK && o->kind == PEER_READ;
    uint8_t page[SLOTS * PEER_COPY_BYTES];
    if (o->kind == PEER_LIST) {
        peers_done(peer, o->number, ST_OK, page, list(o, page));
    } else {
        peers_done(peer, o->number, st, reads ? s->data + o->offset : NULL,
                   reads ? (size_t)o->bytes : 0);
    }
    return ST_OK;
}

static status_t take(void *arg, const struct peer_order *o)
{
    struct peer *peer = atomic_load(&node.peer);
    (void)arg;
    if (o->kind == PEER_WELCOME || o->kind == PEER_BYE || peer == NULL) {
        return ST_OK;
    }
    pthread_mutex_lock(&slots_lock);
    status_t st = do_order(o, peer);
    pthread_mutex_unlock(&slots_lock);
    return st;
}

static bool wanted(void *arg)
{
    (void)arg;
    return !atomic_load(&node.gone);
}

static void joined(void *arg, struct peer *peer)
{
    (void)arg;
    atomic_store(&node.peer, peer);
}

/* As a node does for each new link: what the last one did not finish is no copy. */
static void forget_writes(void)
{
    pthread_mutex_lock(&slots_lock);
    for (size_t i = 0; i < SLOTS; i++) {
        if (!shared->slots[i].whole) {
            shared->slots[i].len = 0;
        }
    }
    pthread_mutex_unlock(&slots_lock);
}

static void *serve(void *arg)
{
    forget_writes();
    const struct peer_report roomy = {.limit_bytes = 1ULL << 40, .free_bytes = 1ULL << 40};
    const struct peer_link link = {.send = take, .is_wanted = wanted, .joined = joined};
    MUST(peers_serve(peers, "00000000000000000000000000000001", "n", &roomy, &link, &err));
    return arg;
}

static void set_synced(bool synced)
{
    struct peer *peer = atomic_load(&node.peer);
    pthread_mutex_lock(&peers->lock);
    peer->synced = synced;
    pthread_mutex_unlock(&peers->lock);
}

/* Its own thread does not run: what is done is the same each time. The node counts as one whose list was compared. */
static void open_all(void)
{
    MUST(store_open(scratch, NULL, &store, &err));
    const struct peers_options o = {.store = store, .idle_ms = 10};
    MUST(peers_open(&o, &peers, &err));
    atomic_store(&node.gone, false);
    CHECK_EQ(pthread_create(&node.thread, NULL, serve, NULL), 0);
    for (int i = 0; i < 3000 && atomic_load(&node.peer) == NULL; i++) {
        poll(NULL, 0, 5);
    }
    set_synced(true);
}

/* With the thread, which compares the node's list now. */
static void start_thread(void)
{
    bool synced = false;
    set_synced(false);
    MUST(peers_start(peers, &err));
    for (int i = 0; i < 3000 && !synced; i++) {
        pthread_mutex_lock(&peers->lock);
        synced = atomic_load(&node.peer)->synced;
        pthread_mutex_unlock(&peers->lock);
        poll(NULL, 0, synced ? 0 : 5);
    }
    CHECK(synced);
}

static void close_all(void)
{
    atomic_store(&node.gone, true);
    peers_stop(peers);
    pthread_join(node.thread, NULL);
    store_close(store);
    peers_close(peers);
    store = NULL;
    peers = NULL;
}

/* The store. */

static uint64_t extent_of(const char *key)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    uint64_t id = store_object_extents(store, "box", key, &ids, &count, NULL) == ST_OK && count == 1
                      ? ids[0]
                      : 0;
    free(ids);
    return id;
}

/* Bytes of its local file; the armed calls are not for this. */
static void damage(uint64_t extent)
{
    char path[160];
    snprintf(path, sizeof path, "%s/data/%02x/%016llx", scratch, (unsigned)(extent & 0xff),
             (unsigned long long)extent);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        CHECK_EQ(lseek(fd, 70000, SEEK_SET), 70000);
        CHECK_EQ(write(fd, "damaged", 7), 7);
        close(fd);
    }
}

static size_t copies_of(uint64_t extent)
{
    struct store_copy_at list[STORE_NODES_MAX];
    size_t count = 0;
    return store_copies_of(store, extent, STORE_NODES_MAX, list, &count, NULL) == ST_OK ? count : 0;
}

static void write_one(size_t i)
{
    if (put("box", names[i], source + i, LEN) == ST_OK) {
        atomic_store(&shared->known[i], true);
    }
}

/* As the thread of peers does it. */
static void remove_gone(uint64_t id)
{
    struct store_copy list[SLOTS];
    size_t count = 0;
    status_t st = store_settle(store, NULL);
    st = store_copies_to_remove(store, id, SLOTS, list, &count, NULL);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = peer_remove(atomic_load(&node.peer), list[i].extent, list[i].nonce, NULL);
    }
    if (st == ST_OK) {
        st = store_copies_removed(store, id, list, count, NULL);
    }
    (void)st; /* it is tried again later */
}

static void work(void)
{
    uint64_t id = atomic_load(&node.peer)->node.id;
    status_t st = ST_OK;
    write_one(0);
    write_one(1);
    uint64_t extent = atomic_load(&shared->known[0]) ? extent_of("a") : 0;
    if (extent != 0 && copies_of(extent) == 1) {
        damage(extent);
        CHECK(holds("box", "a", source, LEN));
        st = store_extent_restore(store, extent, NULL);
    }
    if (atomic_load(&shared->known[1])) {
        atomic_store(&shared->gone[1], true);
        st = store_delete(store, "box", "b", NULL, NULL);
    }
    remove_gone(id);
    st = store_bucket_set_replicas(store, "box", 3, NULL, NULL, NULL);
    st = store_bucket_set_replicas(store, "box", 2, NULL, NULL, NULL);
    st = store_node_set_state(store, id, STORE_NODE_LOST, NULL);
    write_one(2);
    st = peers_copy(peers, extent_of("c"), UINT64_MAX, NULL);
    st = store_node_set_state(store, id, STORE_NODE_COUNTS, NULL);
    (void)st; /* each may be the one that fails */
}

/* One number of the database. */
static uint64_t ask(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    uint64_t number = UINT64_MAX;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        number = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* A copy with a row is there whole. */
static unsigned rows_without_copies(void)
{
    struct store_copy list[SLOTS], after = {0};
    size_t count = 0;
    unsigned without = 0;
    MUST(store_node_copies(store, atomic_load(&node.peer)->node.id, &after, SLOTS, list, &count,
                           &err));
    pthread_mutex_lock(&slots_lock);
    for (size_t i = 0; i < count; i++) {
        const struct peer_order o = {.extent = list[i].extent, .nonce = list[i].nonce};
        const struct slot *s = slot_of(&o, false);
        without += s == NULL || !s->whole || s->len != list[i].bytes;
    }
    pthread_mutex_unlock(&slots_lock);
    return without;
}

/* A copy may be removed between the look at its row and at the node, so it is looked again while there are orders. */
static void check_copies(void)
{
    for (int i = 0; i < 3000 && rows_without_copies() != 0; i++) {
        poll(NULL, 0, 5);
    }
    CHECK_EQ(rows_without_copies(), 0);
}

/* What lacks is what there is not. */
static void check_counts(void)
{
    CHECK_EQ(ask("SELECT count(*) FROM extent e WHERE uses > 0 AND data IS NULL AND lacks <> max(0,"
                 "wants - (SELECT count(*) FROM copy c JOIN node n ON n.id = c.node "
                 "WHERE c.extent = e.id AND c.gone = 0 AND n.state = 0))"),
             0);
    CHECK_EQ(ask("SELECT count(*) FROM copy WHERE gone = 0 AND extent NOT IN "
                 "(SELECT id FROM extent WHERE uses > 0)"),
             0);
}

static void check_objects(void)
{
    for (size_t i = 0; i < 3; i++) {
        if (atomic_load(&shared->known[i]) && !atomic_load(&shared->gone[i])) {
            CHECK(holds("box", names[i], source + i, LEN));
        }
    }
}

static bool node_is_empty(void)
{
    bool empty = true;
    pthread_mutex_lock(&slots_lock);
    for (size_t i = 0; i < SLOTS; i++) {
        empty = empty && shared->slots[i].len == 0;
    }
    pthread_mutex_unlock(&slots_lock);
    return empty;
}

/* A copy that was on its way to the node when its object was removed is removed behind it. */
static void make_empty(void)
{
    status_t results[3];
    MUST(store_delete_many(store, "box", names, 3, results, &err));
    remove_gone(atomic_load(&node.peer)->node.id);
    for (int i = 0; i < 3000 && !node_is_empty(); i++) {
        poll(NULL, 0, 5);
        remove_gone(atomic_load(&node.peer)->node.id);
    }
    CHECK(node_is_empty());
    atomic_store(&shared->calls, 0);
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&shared->known[i], false);
        atomic_store(&shared->gone[i], false);
    }
}

/* How many calls there were. */
static unsigned run_with_fault(unsigned at, int errnum, bool crash)
{
    int result = 0;
    open_all(); /* and closed, so that each begins with an empty log */
    make_empty();
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
    close_all();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        open_all();
        atomic_store(&fail_at, at);
        atomic_store(&fault_errno, errnum);
        atomic_store(&armed, true);
        work();
        check_objects();
        if (!crash) {
            close_all();
        }
        _exit(check_failures != 0);
    }
    CHECK_EQ(waitpid(pid, &result, 0), pid);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    open_all();
    check_objects();
    check_copies();
    CHECK_EQ(files_in("new"), 0);
    start_thread();
    check_copies();
    check_counts();
    for (size_t i = 0; i < 3; i++) { /* what was damaged is made whole as ever */
        uint64_t extent = extent_of(names[i]);
        if (extent != 0 && copies_of(extent) == 1) {
            MUST(store_extent_restore(store, extent, &err));
        }
    }
    check_sound();
    close_all();
    if (check_failures != 0) {
        fprintf(stderr, "at call %u, errno %d, crash %d\n", at, errnum, crash);
    }
    return atomic_load(&shared->calls);
}

static void a_failing_call_loses_nothing(void)
{
    static const struct {
        int errnum;
        bool crash;
    } kinds[] = {{EIO, true}, {ENOSPC, false}};
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    store_close(store);
    for (size_t i = 0; i < 2; i++) {
        unsigned most = 1; /* some of them have more calls than others */
        for (unsigned at = 0; at < most && most < CALLS_MAX && check_failures == 0; at++) {
            unsigned calls = run_with_fault(at, kinds[i].errnum, kinds[i].crash);
            most = calls > most ? calls : most;
        }
        CHECK(most > 40 && most < CALLS_MAX);
    }
    remove_tree(scratch);
}

static unsigned lacking_so_many(uint64_t lacks)
{
    static struct store_lacking list[OBJECTS + 1];
    size_t count = 0;
    unsigned same = 0;
    MUST(store_copies_lacking(store, 0, OBJECTS + 1, list, &count, &err));
    for (size_t i = 0; i < count; i++) {
        same += list[i].lacks == lacks;
    }
    return same;
}

/* A change that finds the disk full is made once more, from where it began. */
static void a_rule_is_for_all_objects_though_a_change_is_made_twice(void)
{
    const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
    unsigned at = 0, good = 0;
    store_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
    for (unsigned i = 0; i < OBJECTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        CHECK_EQ(put("box", key, source, SMALL), ST_OK);
    }
    do {
        unsigned replicas = 2 + at % 2;
        atomic_store(&shared->calls, 0);
        atomic_store(&fail_at, at);
        atomic_store(&fault_errno, ENOSPC);
        atomic_store(&armed, true);
        status_t st = store_bucket_set_replicas(store, "box", replicas, NULL, NULL, NULL);
        atomic_store(&armed, false);
        if (st == ST_OK) {
            good++;
            CHECK_EQ(lacking_so_many(replicas - 1), OBJECTS);
        } else {
            store_again(&no_sync);
        }
    } while (atomic_load(&shared->calls) > at && ++at < CALLS_MAX && check_failures == 0);
    CHECK(at > 4 && at < CALLS_MAX && good > 4);
    store_remove();
}

int main(void)
{
    fill(source, sizeof source, 5);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    RUN(a_rule_is_for_all_objects_though_a_change_is_made_twice);
    RUN(a_failing_call_loses_nothing);
    return CHECK_DONE();
}
