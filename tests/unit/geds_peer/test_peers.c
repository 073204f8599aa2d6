/* Nodes that are threads of this program: they do what they are asked, or die, lie and keep silent. */
#include "../geds/storetest.h"

#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "geds/peer/peers.h"

enum { BIG = 3 * 1024 * 1024 + 12345, NODES = 3, COPIES = 64 };

struct copy {
    uint64_t extent, nonce;
    uint8_t *data;
    size_t len;
    bool whole;
};
struct fake {
    const char *key, *name;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards the copies, and peer */
    struct peer *peer;
    struct copy copies[COPIES];
    _Atomic bool gone, silent, lies, full;
    _Atomic int left; /* what the bye said, or -1 */
    status_t result;
};
static struct peers *peers;
static struct fake nodes[NODES] = {
    {.key = "00000000000000000000000000000001", .name = "a", .lock = PTHREAD_MUTEX_INITIALIZER},
    {.key = "00000000000000000000000000000002", .name = "b", .lock = PTHREAD_MUTEX_INITIALIZER},
    {.key = "00000000000000000000000000000003", .name = "c", .lock = PTHREAD_MUTEX_INITIALIZER}};
static uint8_t source[2 * BIG];

static struct copy *copy_of(struct fake *f, uint64_t extent, uint64_t nonce)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *c = &f->copies[i];
        if (c->data != NULL && c->extent == extent && c->nonce == nonce) {
            return c;
        }
    }
    return NULL;
}

static struct copy *new_copy(struct fake *f, const struct peer_order *o)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *c = &f->copies[i];
        if (c->data == NULL) {
            *c = (struct copy){.extent = o->extent,
                               .nonce = o->nonce,
                               .data = malloc((size_t)o->bytes),
                               .len = (size_t)o->bytes};
            return c;
        }
    }
    abort();
}

static void put64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

static size_t list(struct fake *f, const struct peer_order *o, uint8_t *out)
{
    size_t len = 0;
    uint64_t extent = o->extent, nonce = o->nonce;
    for (;;) { /* the next one in order */
        const struct copy *best = NULL;
        for (size_t i = 0; i < COPIES; i++) {
            const struct copy *c = &f->copies[i];
            if (c->data != NULL && c->whole &&
                (c->extent > extent || (c->extent == extent && c->nonce > nonce)) &&
                (best == NULL || c->extent < best->extent ||
                 (c->extent == best->extent && c->nonce < best->nonce))) {
                best = c;
            }
        }
        if (best == NULL) {
            return len;
        }
        put64(out + len, extent = best->extent);
        put64(out + len + 8, nonce = best->nonce);
        put64(out + len + 16, best->len);
        len += PEER_COPY_BYTES;
    }
}

static void answer(struct fake *f, const struct peer_order *o)
{
    static _Thread_local uint8_t out[PEER_PIECE_BYTES];
    size_t len = 0;
    status_t st = ST_OK;
    struct copy *c = copy_of(f, o->extent, o->nonce);
    if (o->kind == PEER_WRITE && atomic_load(&f->full)) {
        st = ST_LIMIT;
    } else if (o->kind == PEER_WRITE) {
        c = c != NULL ? c : new_copy(f, o);
        memcpy(c->data + o->offset, o->data, o->len);
    } else if (o->kind == PEER_END) {
        c->whole = true;
    } else if (o->kind == PEER_READ && c == NULL) {
        st = ST_NOTFOUND;
    } else if (o->kind == PEER_READ) {
        len = (size_t)o->bytes;
        memcpy(out, c->data + o->offset, len);
        out[len / 2] ^= atomic_load(&f->lies);
    } else if (o->kind == PEER_REMOVE && c != NULL) {
        free(c->data);
        c->data = NULL;
    } else if (o->kind == PEER_LIST) {
        len = list(f, o, out);
    }
    peers_done(f->peer, o->number, st, out, len);
}

static status_t take(void *arg, const struct peer_order *o)
{
    struct fake *f = arg;
    if (o->kind == PEER_BYE) {
        atomic_store(&f->left, (int)o->sum);
    }
    pthread_mutex_lock(&f->lock);
    if (f->peer != NULL && !atomic_load(&f->silent) && o->kind != PEER_WELCOME &&
        o->kind != PEER_BYE) {
        answer(f, o);
    }
    pthread_mutex_unlock(&f->lock);
    return atomic_load(&f->gone) ? ST_IO : ST_OK;
}

static bool wanted(void *arg)
{
    struct fake *f = arg;
    return !atomic_load(&f->gone);
}

static void joined(void *arg, struct peer *peer)
{
    struct fake *f = arg;
    pthread_mutex_lock(&f->lock);
    f->peer = peer;
    pthread_mutex_unlock(&f->lock);
}

static const struct peer_report roomy = {.limit_bytes = 1ULL << 40, .free_bytes = 1ULL << 40};

static void *serve(void *arg)
{
    struct fake *f = arg;
    const struct peer_link link = {.send = take, .is_wanted = wanted, .joined = joined, .arg = f};
    f->result = peers_serve(peers, f->key, f->name, &roomy, &link, NULL);
    return NULL;
}

static void join(struct fake *f)
{
    atomic_store(&f->gone, false);
    atomic_store(&f->left, -1);
    CHECK_EQ(pthread_create(&f->thread, NULL, serve, f), 0);
    f->runs = true;
}

static void end(struct fake *f)
{
    atomic_store(&f->gone, true);
    if (f->runs) {
        pthread_join(f->thread, NULL);
        f->runs = false;
    }
}

static struct peers_status now;
static void look(void)
{
    MUST(peers_status(peers, &now, &err));
}

/* Until it is so; a thread does it, so it may take a while. */
static bool eventually(bool (*is)(void))
{
    for (int i = 0; i < 3000; i++) {
        look();
        if (is()) {
            return true;
        }
        poll(NULL, 0, 5);
    }
    return false;
}

static size_t whole_copies(const struct fake *f)
{
    size_t count = 0;
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&f->lock);
    for (size_t i = 0; i < COPIES; i++) {
        count += f->copies[i].data != NULL && f->copies[i].whole;
    }
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&f->lock);
    return count;
}

static size_t all_copies(void)
{
    return whole_copies(&nodes[0]) + whole_copies(&nodes[1]) + whole_copies(&nodes[2]);
}

static bool nothing_lacks(void)
{
    return now.lacking_count == 0;
}
static bool all_are_up(void)
{
    size_t up = 0;
    for (size_t i = 0; i < now.count; i++) {
        up += now.nodes[i].state == PEER_UP;
    }
    return up == now.count && up > 0;
}
static bool no_copies(void)
{
    return all_copies() == 0;
}
static bool two_copies(void)
{
    return all_copies() == 2;
}
static bool something_was_repaired(void)
{
    return now.repaired_count > 0;
}
static bool a_is_lost(void)
{
    for (size_t i = 0; i < now.count; i++) {
        if (strcmp(now.nodes[i].name, "a") == 0) {
            return now.nodes[i].state == PEER_LOST && now.lacking_count == 0;
        }
    }
    return false;
}

static void open_peers(uint64_t lost_ms, uint64_t answer_ms)
{
    const struct peers_options o = {
        .store = store, .lost_ms = lost_ms, .answer_ms = answer_ms, .idle_ms = 10};
    MUST(peers_open(&o, &peers, &err));
    MUST(peers_start(peers, &err));
}

static void begin(uint64_t lost_ms, uint64_t answer_ms)
{
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    open_peers(lost_ms, answer_ms);
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
}

static void finish(void)
{
    peers_stop(peers);
    for (size_t i = 0; i < NODES; i++) {
        end(&nodes[i]);
    }
    check_sound();
    store_close(store);
    store = NULL;
    peers_close(peers);
    remove_tree(scratch);
    for (size_t i = 0; i < NODES; i++) {
        for (size_t k = 0; k < COPIES; k++) {
            free(nodes[i].copies[k].data);
            nodes[i].copies[k].data = NULL;
        }
        nodes[i].silent = nodes[i].lies = nodes[i].full = false;
    }
}

static void join_and_wait(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        join(&nodes[i]);
    }
    CHECK(eventually(all_are_up));
}

/* The local file of the object's first extent. */
static void local_path(const char *key, char ret_path[160])
{
    uint64_t *ids = NULL;
    size_t count = 0;
    MUST(store_object_extents(store, "box", key, &ids, &count, &err));
    snprintf(ret_path, 160, "%s/data/%02x/%016llx", scratch, (unsigned)(ids[0] & 0xff),
             (unsigned long long)ids[0]);
    free(ids);
}

static void damage(const char *key)
{
    char path[160];
    local_path(key, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "damaged", 7, 100000), 7);
    close(fd);
}

static void a_write_is_answered_when_its_copy_is_there(void)
{
    begin(0, 0);
    join_and_wait(1);
    /* its list is compared before it gets copies */
    CHECK_EQ(put("box", "first", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    for (int i = 0; i < 5; i++) {
        size_t before = all_copies();
        CHECK_EQ(put("box", "k", source + i, BIG), ST_OK);
        look();
        CHECK_EQ(now.lacking_count, 0);
        CHECK(all_copies() >= 1 && before >= 1);
    }
    CHECK_EQ(put("box", "small", source, 100), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 0);
    CHECK(eventually(two_copies)); /* what was replaced has none any more */
    MUST(store_delete(store, "box", "k", NULL, &err));
    MUST(store_delete(store, "box", "first", NULL, &err));
    CHECK(eventually(no_copies));
    finish();
}

static void what_is_written_at_any_place_is_answered_so_too(void)
{
    struct store_put *p = NULL;
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "first", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    MUST(store_put_begin(store, "box", "draft", NULL, &p, &err));
    MUST(store_put_write_at(p, source, BIG, (uint64_t)2 << 20, &err));
    MUST(store_put_write_at(p, source, 100, 0, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    look();
    CHECK_EQ(now.lacking_count, 0);
    CHECK_EQ(all_copies(), 2);
    finish();
}

static void without_nodes_it_is_answered_and_copied_later(void)
{
    begin(0, 0);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 1);
    CHECK_EQ(now.lacking_bytes, BIG);
    CHECK_EQ(now.late_count, 1);
    nodes[0].full = true;
    join_and_wait(1);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 2);
    nodes[0].full = false;
    peers_wake(peers);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 2);
    finish();
}

static void bad_and_missing_local_bytes_are_read_from_the_copy_and_repaired(void)
{
    char path[160];
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    damage("k");
    CHECK(holds("box", "k", source, BIG));
    CHECK(eventually(something_was_repaired));
    check_sound();
    local_path("k", path);
    CHECK_EQ(unlink(path), 0);
    CHECK(holds("box", "k", source, BIG));
    for (int i = 0; i < 3000 && access(path, F_OK) != 0; i++) {
        poll(NULL, 0, 5);
    }
    check_sound();
    CHECK_EQ(unlink(path), 0); /* who maps it has it repaired at once */
    struct store_object *o = NULL;
    int fd = -1;
    uint64_t bytes = 0;
    MUST(store_object_open(store, "box", "k", &o, &err));
    CHECK_EQ(store_object_piece(o, 0, &fd, &bytes, NULL), ST_OK);
    CHECK_EQ(bytes, BIG);
    close(fd);
    store_object_close(o);
    finish();
}

static void a_copy_that_lies_is_not_believed(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    damage("k");
    nodes[0].lies = true;
    CHECK(!holds("box", "k", source, BIG));
    peers_stop(peers);
    end(&nodes[0]);
    store_close(store);
    store = NULL;
    peers_close(peers);
    remove_tree(scratch);
    for (size_t k = 0; k < COPIES; k++) {
        free(nodes[0].copies[k].data);
        nodes[0].copies[k].data = NULL;
    }
    nodes[0].lies = false;
}

static void what_a_lost_node_had_is_copied_to_others(void)
{
    begin(100, 0);
    join_and_wait(2);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 2);
    end(&nodes[0]);
    CHECK(eventually(a_is_lost));
    CHECK_EQ(whole_copies(&nodes[1]), 2);
    join(&nodes[0]); /* what it has is too much now */
    CHECK(eventually(two_copies));
    look();
    CHECK_EQ(now.lacking_count, 0);
    finish();
}

static void a_node_that_comes_back_is_compared_with_the_rows(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    end(&nodes[0]);
    MUST(store_delete(store, "box", "l", NULL, &err));
    /* it has lost one, and has one that nobody knows of */
    for (size_t i = 0; i < COPIES; i++) {
        nodes[0].copies[i].nonce ^= 1;
    }
    join(&nodes[0]);
    CHECK(eventually(all_are_up));
    for (int i = 0; i < 3000 && whole_copies(&nodes[0]) != 1; i++) {
        poll(NULL, 0, 5);
    }
    CHECK(eventually(nothing_lacks));
    damage("k");
    CHECK(holds("box", "k", source, BIG));
    CHECK(eventually(something_was_repaired));
    finish();
}

static void a_silent_node_holds_a_write_up_for_a_while_only(void)
{
    begin(0, 300);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    nodes[0].silent = true;
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 1);
    pthread_join(nodes[0].thread, NULL); /* its connection was ended */
    nodes[0].runs = false;
    nodes[0].silent = false;
    join(&nodes[0]);
    CHECK(eventually(nothing_lacks));
    finish();
}

static void what_a_leaving_node_has_is_somewhere_else_before_it_goes(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    damage("l"); /* its only good copy is the node's */
    join(&nodes[1]);
    CHECK(eventually(all_are_up));
    CHECK_EQ(peers_leave(peers, "nobody", NULL), ST_NOTFOUND);
    CHECK_EQ(peers_forget(peers, "a", NULL), ST_EXIST);
    MUST(peers_leave(peers, "a", &err));
    pthread_join(nodes[0].thread, NULL);
    nodes[0].runs = false;
    CHECK_EQ(nodes[0].left, 1);
    look();
    CHECK_EQ(now.count, 1);
    CHECK(holds("box", "l", source, BIG) && holds("box", "k", source, BIG));
    check_sound();
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(whole_copies(&nodes[1]), 2);
    /* with no other node it goes all the same */
    MUST(peers_leave(peers, "b", &err));
    pthread_join(nodes[1].thread, NULL);
    nodes[1].runs = false;
    CHECK_EQ(nodes[1].left, 1);
    look();
    CHECK_EQ(now.lacking_count, 2);
    finish();
}

static void a_node_of_the_same_id_takes_its_place_and_one_of_its_name_does_not(void)
{
    begin(0, 0);
    join_and_wait(1);
    struct fake twin = {.key = nodes[0].key, .name = "a", .lock = PTHREAD_MUTEX_INITIALIZER};
    join(&twin);
    pthread_join(nodes[0].thread, NULL);
    nodes[0].runs = false;
    CHECK_EQ(nodes[0].left, 0);
    struct fake namesake = {.key = nodes[1].key, .name = "a", .lock = PTHREAD_MUTEX_INITIALIZER};
    join(&namesake);
    pthread_join(namesake.thread, NULL);
    CHECK_EQ(namesake.result, ST_EXIST);
    end(&twin);
    MUST(peers_forget(peers, "a", &err));
    look();
    CHECK_EQ(now.count, 0);
    finish();
}

static void a_rule_is_for_what_is_there_too(void)
{
    begin(0, 0);
    MUST(store_bucket_set_replicas(store, "box", 1, NULL, NULL, &err));
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 0);
    join_and_wait(2);
    MUST(store_bucket_set_replicas(store, "box", 3, NULL, NULL, &err));
    CHECK(eventually(two_copies));
    CHECK_EQ(store_bucket_set_replicas(store, "box", 9, NULL, NULL, NULL), ST_INVAL);
    CHECK_EQ(store_bucket_set_replicas(store, "none", 2, NULL, NULL, NULL), ST_NOTFOUND);
    unsigned replicas = 0;
    MUST(store_bucket_replicas(store, "box", &replicas, &err));
    CHECK_EQ(replicas, 3);
    finish();
}

static void rows_are_kept_over_a_restart(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    peers_stop(peers);
    end(&nodes[0]);
    store_close(store);
    peers_close(peers);
    store = NULL;
    MUST(store_open(scratch, NULL, &store, &err));
    open_peers(0, 0);
    look();
    CHECK_EQ(now.count, 1);
    CHECK_EQ(now.nodes[0].state, PEER_AWAY);
    CHECK_EQ(now.lacking_count, 0);
    damage("k");
    CHECK(!holds("box", "k", source, BIG)); /* the node is away */
    join(&nodes[0]);
    CHECK(eventually(all_are_up));
    CHECK(holds("box", "k", source, BIG));
    CHECK(eventually(something_was_repaired));
    finish();
}

/* The tables of format 5 are made from those of format 4, with what is in them. */
static void a_store_of_format_4_is_taken_over(void)
{
    char path[128];
    sqlite3 *db = NULL;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "s", source, 100), ST_OK);
    store_close(store);
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, "BEGIN; " FORMAT_4_AGAIN " PRAGMA user_version = 4; COMMIT", NULL,
                          NULL, NULL),
             SQLITE_OK);
    sqlite3_close(db);
    MUST(store_open(scratch, NULL, &store, &err));
    CHECK(holds("box", "k", source, BIG) && holds("box", "s", source, 100));
    unsigned replicas = 0;
    MUST(store_bucket_replicas(store, "box", &replicas, &err));
    CHECK_EQ(replicas, 1);
    open_peers(0, 0);
    join_and_wait(1);
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
    peers_wake(peers);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 1);
    damage("k");
    CHECK(holds("box", "k", source, BIG));
    CHECK(eventually(something_was_repaired));
    finish();
}

int main(void)
{
    fill(source, sizeof source, 3);
    RUN(a_write_is_answered_when_its_copy_is_there);
    RUN(what_is_written_at_any_place_is_answered_so_too);
    RUN(without_nodes_it_is_answered_and_copied_later);
    RUN(bad_and_missing_local_bytes_are_read_from_the_copy_and_repaired);
    RUN(a_copy_that_lies_is_not_believed);
    RUN(what_a_lost_node_had_is_copied_to_others);
    RUN(a_node_that_comes_back_is_compared_with_the_rows);
    RUN(a_silent_node_holds_a_write_up_for_a_while_only);
    RUN(what_a_leaving_node_has_is_somewhere_else_before_it_goes);
    RUN(a_node_of_the_same_id_takes_its_place_and_one_of_its_name_does_not);
    RUN(a_rule_is_for_what_is_there_too);
    RUN(rows_are_kept_over_a_restart);
    RUN(a_store_of_format_4_is_taken_over);
    return CHECK_DONE();
}
