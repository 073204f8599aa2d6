#include "geds/etcd/etcd.h"

#include <ftw.h>

#include "geds/store.h"
#include "line.h"
#include "server.h"

/* Controllers that share a store through a real etcd. */

enum { CONTROLLERS = 3, LONG = 200 * 1000 };

struct controller {
    char folder[96], servers[32], address[32];
    struct etcd *etcd;
    struct store *store; /* while it leads */
    struct replica *replica;
    pthread_t follower;
    status_t followed; /* what etcd_follow came to, after a join */
    struct error err;
    _Atomic unsigned lost;
};

static struct server server;
static struct controller all[CONTROLLERS];
static char scratch[64];
static unsigned trim_at;
static uint64_t keep_bytes, batch_bytes;

static void must(status_t st, const struct error *err, const char *what, int line)
{
    if (st != ST_OK) {
        fprintf(stderr, "line %d: %s: %s: %s\n", line, what, status_name(st), err->text);
        if (server.pid > 0) {
            kill(server.pid, SIGKILL);
        }
        exit(1);
    }
}
#define MUST(call)                           \
    do {                                     \
        struct error err = {0};              \
        must((call), &err, #call, __LINE__); \
    } while (0)

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

static void on_lost(void *arg)
{
    atomic_fetch_add(&((struct controller *)arg)->lost, 1);
}

static void on_event(void *arg, const char *event, const char *text)
{
    const struct controller *c = arg;
    fprintf(stderr, "  %s %s: %s\n", c->address, event, text);
}

static void open_etcd(struct controller *c)
{
    const struct etcd_options o = {.servers = c->servers,
                                   .address = c->address,
                                   .ttl_s = 2,
                                   .trim_at = trim_at,
                                   .keep_bytes = keep_bytes,
                                   .batch_bytes = batch_bytes,
                                   .event = on_event,
                                   .lost = on_lost,
                                   .arg = c};
    MUST(etcd_open(&o, &c->etcd, &err));
}

/* The first one reaches etcd through the proxy. */
static void begin(void)
{
    memset(all, 0, sizeof all);
    snprintf(scratch, sizeof scratch, "/tmp/geds-etcd-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    server_start(&server, scratch);
    for (size_t i = 0; i < CONTROLLERS; i++) {
        struct controller *c = &all[i];
        snprintf(c->folder, sizeof c->folder, "%s/%zu", scratch, i);
        snprintf(c->servers, sizeof c->servers, "127.0.0.1:%u",
                 i == 0 ? server.proxy_port : server.port);
        snprintf(c->address, sizeof c->address, "tcp://127.0.0.1:%zu", i + 1);
        open_etcd(c);
    }
}

/* After it has lost, which its keeper may be just about to tell. */
static unsigned times_lost(struct controller *c)
{
    for (int i = 0; i < 500 && atomic_load(&c->lost) == 0; i++) {
        wait_ms(20);
    }
    return atomic_load(&c->lost);
}

static void *follow_thread(void *arg)
{
    struct controller *c = arg;
    c->followed = etcd_follow(c->etcd, c->replica, &c->err);
    return NULL;
}

static void follow(struct controller *c)
{
    MUST(replica_open(c->folder, NULL, &c->replica, &err));
    CHECK_EQ(pthread_create(&c->follower, NULL, follow_thread, c), 0);
}

static status_t end_following(struct controller *c)
{
    pthread_join(c->follower, NULL);
    replica_close(c->replica);
    c->replica = NULL;
    return c->followed;
}

/* Until it leads: its store is open then. */
static void lead(struct controller *c)
{
    const struct store_options options = {.log = etcd_log(c->etcd)};
    if (c->replica == NULL) {
        follow(c);
    }
    status_t st = end_following(c);
    must(st, &c->err, "follow", __LINE__);
    MUST(store_open(c->folder, &options, &c->store, &err));
}

static void close_store(struct controller *c)
{
    store_close(c->store);
    c->store = NULL;
}

static void end(void)
{
    for (size_t i = 0; i < CONTROLLERS; i++) {
        if (all[i].replica != NULL) {
            etcd_stop(all[i].etcd);
            CHECK_EQ(end_following(&all[i]), ST_STOPPED);
        }
    }
    for (size_t i = 0; i < CONTROLLERS; i++) {
        close_store(&all[i]);
        etcd_close(all[i].etcd);
    }
    server_stop(&server);
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void join(struct controller *from, struct controller *to)
{
    char copy[96];
    struct shared_state state;
    snprintf(copy, sizeof copy, "%s/copy", scratch);
    MUST(store_shared_state(from->store, &state, &err));
    MUST(store_copy_state(from->store, copy, &err));
    store_copied(from->store);
    MUST(replica_replace(to->folder, copy, state.log, &err));
}

static status_t put(struct controller *c, const char *key, const char *text,
                    const struct store_condition *condition)
{
    struct store_put *p = NULL;
    status_t st = store_put_begin(c->store, "box", key, NULL, &p, NULL);
    if (st == ST_OK) {
        MUST(store_put_write(p, text, strlen(text), &err));
        st = store_put_commit(p, condition, NULL, NULL);
    }
    return st;
}

enum { LARGE = 100 * 1000 }; /* bytes that are a file of its own */

/* That many bytes of one letter. */
static status_t put_large(struct controller *c, const char *key, char letter)
{
    static char bytes[LARGE];
    struct store_put *p = NULL;
    memset(bytes, letter, sizeof bytes);
    MUST(store_put_begin(c->store, "box", key, NULL, &p, &err));
    MUST(store_put_write(p, bytes, sizeof bytes, &err));
    return store_put_commit(p, NULL, NULL, NULL);
}

/* The letter that it is of; 0: it cannot be read, or is not all of one. */
static char letter_of(struct controller *c, const char *key)
{
    static char bytes[LARGE + 1];
    struct store_object *o = NULL;
    size_t len = 0, done = 0;
    if (store_object_open(c->store, "box", key, &o, NULL) != ST_OK) {
        return 0;
    }
    while (store_object_read(o, bytes + done, sizeof bytes - done, done, &len, NULL) == ST_OK &&
           len > 0) {
        done += len;
    }
    store_object_close(o);
    for (size_t i = 0; i < LARGE; i++) {
        if (done != LARGE || bytes[i] != bytes[0]) {
            return 0;
        }
    }
    return bytes[0];
}

static bool holds(struct controller *c, const char *key, const char *text)
{
    struct store_object *o = NULL;
    char got[64] = "";
    size_t len = 0;
    if (store_object_open(c->store, "box", key, &o, NULL) != ST_OK) {
        return false;
    }
    bool same = store_object_read(o, got, sizeof got - 1, 0, &len, NULL) == ST_OK &&
                strcmp(got, text) == 0;
    store_object_close(o);
    return same;
}

/* Does it come to lead? Its store is not open then. */
static bool comes_to_lead(struct controller *c)
{
    char leader[SHARED_ADDRESS_MAX + 1] = "";
    for (int i = 0; i < 3000 && strcmp(leader, c->address) != 0; i++) {
        wait_ms(20);
        etcd_leader(c->etcd, leader);
    }
    return strcmp(leader, c->address) == 0;
}

/* Two controllers: the first one leads. */
static void begin_two(void)
{
    begin();
    lead(&all[0]);
    MUST(store_bucket_create(all[0].store, "box", "", &err));
    join(&all[0], &all[1]);
}

static void a_controller_alone_leads_and_has_its_changes_after_a_restart(void)
{
    begin();
    lead(&all[0]);
    MUST(store_bucket_create(all[0].store, "box", "", &err));
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    close_store(&all[0]);
    lead(&all[0]);
    CHECK(holds(&all[0], "a", "x"));
    end();
}

static void another_one_follows_and_leads_next(void)
{
    begin_two();
    follow(&all[1]);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        CHECK_EQ(put(&all[0], key, key, NULL), ST_OK);
    }
    close_store(&all[0]);
    etcd_close(all[0].etcd); /* gives the lead away */
    all[0].etcd = NULL;
    lead(&all[1]);
    CHECK(holds(&all[1], "k0", "k0") && holds(&all[1], "k99", "k99"));
    CHECK_EQ(put(&all[1], "k0", "new", NULL), ST_OK);
    end();
}

static void one_that_is_new_is_told_to_get_a_copy(void)
{
    char leader[SHARED_ADDRESS_MAX + 1];
    begin_two();
    follow(&all[2]);
    CHECK_EQ(end_following(&all[2]), ST_NOTFOUND);
    etcd_leader(all[2].etcd, leader);
    CHECK_STR(leader, all[0].address);
    join(&all[0], &all[2]);
    follow(&all[2]);
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    end();
}

/* The leader hears nothing of etcd, and another one leads: what the former one may still say is no answer. */
static void a_former_leader_neither_changes_nor_tells_anything(void)
{
    struct store_info info;
    const struct store_condition none = {.if_none = true};
    begin_two();
    CHECK_EQ(put(&all[0], "a", "old", NULL), ST_OK);
    follow(&all[1]);
    atomic_store(&server.mode, HOLD);
    lead(&all[1]);
    CHECK_EQ(put(&all[1], "a", "new", NULL), ST_OK);
    CHECK_EQ(store_stat(all[0].store, "box", "a", &info, NULL), ST_MOVED);
    CHECK(put(&all[0], "b", "x", &none) != ST_OK);
    CHECK(store_delete(all[0].store, "box", "none", NULL, NULL) != ST_NOTFOUND);
    atomic_store(&server.mode, PASS);
    for (int i = 0; i < 500 && atomic_load(&all[0].lost) == 0; i++) {
        wait_ms(20);
    }
    CHECK(atomic_load(&all[0].lost) == 1);
    CHECK_EQ(put(&all[0], "b", "x", &none), ST_MOVED);
    close_store(&all[0]);
    follow(&all[0]); /* it takes in what it missed */
    close_store(&all[1]);
    etcd_close(all[1].etcd);
    all[1].etcd = NULL;
    lead(&all[0]);
    CHECK(holds(&all[0], "a", "new"));
    CHECK(!holds(&all[0], "b", "x"));
    end();
}

/* Somebody else asks etcd. */
static void open_line(struct line_options *o, struct line *ret_line)
{
    MUST(line_servers(all[1].servers, false, o, &err));
    MUST(line_open(o, ret_line, &err));
}

static void ask_etcd(const struct etcd_op *op, struct arena *arena, struct etcd_range *ret_answer)
{
    struct line_options o = {0};
    struct line l;
    open_line(&o, &l);
    MUST(line_alone(&l, op, 2000, arena, ret_answer, &err));
    line_close(&l);
}

/* Its key is gone though its lease is not: it believes that it leads, and only etcd knows better. */
static void a_leader_without_its_key_puts_nothing(void)
{
    const struct etcd_op op = {.kind = ETCD_DELETE, .key = "/cloudskin/geds/leader"};
    for (int others = 0; others < 2; others++) {
        struct arena arena = {0};
        struct etcd_range a;
        begin_two();
        CHECK_EQ(put(&all[0], "a", "old", NULL), ST_OK);
        ask_etcd(&op, &arena, &a);
        arena_done(&arena);
        if (others == 1) {
            lead(&all[1]);
            CHECK_EQ(put(&all[1], "a", "new", NULL), ST_OK);
        }
        CHECK_EQ(put(&all[0], "a", "former", NULL), ST_MOVED);
        CHECK_EQ(times_lost(&all[0]), 1);
        close_store(&all[0]);
        if (others == 0) {
            lead(&all[1]);
        }
        CHECK(holds(&all[1], "a", others == 1 ? "new" : "old"));
        end();
    }
}

/* A put while etcd is as `mode` says for one request, and then well again. */
static void put_while(enum proxy_mode mode, const char *key)
{
    atomic_store(&server.times, 1);
    atomic_store(&server.mode, mode);
    CHECK_EQ(put(&all[0], key, key, NULL), ST_OK);
    atomic_store(&server.mode, PASS);
    CHECK(holds(&all[0], key, key));
}

static void faults_that_pass_are_no_errors(void)
{
    begin_two();
    put_while(SLOW, "slow");
    put_while(BUSY, "busy");
    put_while(CUT, "cut");
    put_while(SWALLOW, "swallowed");
    put_while(REFUSE, "refused");
    CHECK_EQ(atomic_load(&all[0].lost), 0);
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    CHECK(holds(&all[1], "cut", "cut") && holds(&all[1], "swallowed", "swallowed"));
    end();
}

static void etcd_that_is_killed_stops_changes_and_loses_nothing(void)
{
    struct store_info info;
    begin_two();
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    server_kill(&server);
    CHECK(holds(&all[0], "a", "x")); /* its lease holds still */
    status_t st = put(&all[0], "b", "y", NULL);
    CHECK(st == ST_AGAIN || st == ST_IO);
    CHECK_EQ(store_stat(all[0].store, "box", "a", &info, NULL), ST_MOVED);
    server_begin(&server);
    if (st == ST_IO) { /* nobody knew whether etcd had got it */
        close_store(&all[0]);
        lead(&all[0]);
    }
    for (int i = 0; i < 500 && (st = put(&all[0], "c", "z", NULL)) != ST_OK; i++) {
        if (atomic_load(&all[0].lost) > 0) {
            atomic_store(&all[0].lost, 0);
            close_store(&all[0]);
            lead(&all[0]);
        }
        wait_ms(20);
    }
    CHECK_EQ(st, ST_OK);
    CHECK(holds(&all[0], "a", "x"));
    CHECK(!holds(&all[0], "b", "y"));
    end();
}

/* etcd answers no more behind the request: it happened or it did not, and all agree. */
static void an_entry_of_unknown_fate_is_the_same_to_all(void)
{
    begin_two();
    atomic_store(&server.mode, SWALLOW);
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_IO);
    CHECK_EQ(times_lost(&all[0]), 1);
    atomic_store(&server.mode, PASS);
    close_store(&all[0]);
    lead(&all[0]);
    bool first = holds(&all[0], "a", "x");
    CHECK(first); /* the request had got through */
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    CHECK_EQ(holds(&all[1], "a", "x"), first);
    end();
}

/* etcd takes the entry and dies before it answers; curl tries again by itself, and nobody is there. */
static void a_try_that_was_made_is_not_refused_when_the_next_one_cannot_be_sent(void)
{
    begin_two();
    CHECK_EQ(put_large(&all[0], "a", 'o'), ST_OK);
    atomic_store(&server.mode, LOSE);
    CHECK_EQ(put_large(&all[0], "a", 'n'), ST_IO);
    atomic_store(&server.mode, PASS);
    CHECK_EQ(times_lost(&all[0]), 1);
    close_store(&all[0]);
    lead(&all[0]);
    CHECK_EQ(letter_of(&all[0], "a"), 'n'); /* with its bytes */
    end();
}

/* The same, and then there is no room: it is looked for, and is there. */
static void a_try_that_was_made_is_found_when_the_next_one_has_no_room(void)
{
    begin_two();
    CHECK_EQ(put_large(&all[0], "a", 'o'), ST_OK);
    atomic_store(&server.mode, LOSE_FULL);
    CHECK_EQ(put_large(&all[0], "a", 'n'), ST_OK);
    CHECK_EQ(put_large(&all[0], "b", 'x'), ST_OK);
    CHECK_EQ(letter_of(&all[0], "a"), 'n');
    CHECK_EQ(atomic_load(&all[0].lost), 0);
    end();
}

static void what_etcd_has_made_though_it_says_that_it_is_full_is_made(void)
{
    begin_two();
    atomic_store(&server.times, 1);
    atomic_store(&server.mode, FULL_MADE);
    CHECK_EQ(put_large(&all[0], "a", 'n'), ST_OK);
    CHECK_EQ(put_large(&all[0], "b", 'x'), ST_OK);
    CHECK_EQ(letter_of(&all[0], "a"), 'n');
    CHECK_EQ(atomic_load(&all[0].lost), 0);
    end();
}

static void what_etcd_has_no_room_for_is_refused_and_not_there(void)
{
    begin_two();
    CHECK_EQ(put_large(&all[0], "a", 'o'), ST_OK);
    atomic_store(&server.mode, FULL);
    CHECK_EQ(put_large(&all[0], "a", 'n'), ST_LIMIT);
    CHECK_EQ(put_large(&all[0], "b", 'n'), ST_LIMIT);
    atomic_store(&server.mode, PASS);
    CHECK_EQ(put_large(&all[0], "c", 'n'), ST_OK);
    CHECK_EQ(atomic_load(&all[0].lost), 0);
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    struct store_info info;
    CHECK_EQ(store_stat(all[1].store, "box", "b", &info, NULL), ST_NOTFOUND);
    CHECK_EQ(store_stat(all[1].store, "box", "c", &info, NULL), ST_OK);
    end();
}

/* Nothing was sent: the change is refused, and the next one has its number. */
static void a_change_that_cannot_be_sent_is_refused_and_not_there(void)
{
    struct store_info info;
    begin_two();
    CHECK_EQ(put_large(&all[0], "a", 'o'), ST_OK);
    atomic_store(&server.mode, GONE);
    while (atomic_load(&server.listens) || atomic_load(&server.flows) > 0) {
        wait_ms(1);
    }
    status_t st = put_large(&all[0], "a", 'n'); /* when the lease ends */
    CHECK(st == ST_AGAIN || st == ST_MOVED);
    atomic_store(&server.mode, PASS);
    for (int i = 0; i < 500 && (st = put(&all[0], "c", "z", NULL)) != ST_OK; i++) {
        if (atomic_load(&all[0].lost) > 0) {
            atomic_store(&all[0].lost, 0);
            close_store(&all[0]);
            lead(&all[0]);
        }
        wait_ms(20);
    }
    CHECK_EQ(st, ST_OK);
    CHECK_EQ(letter_of(&all[0], "a"), 'o');
    CHECK_EQ(store_stat(all[0].store, "box", "c", &info, NULL), ST_OK);
    end();
}

enum { MANY = 800, NAME = 900 };

/* The name of one of many objects, as long as NAME. */
static const char *long_name(char ret_name[NAME + 1], const char *prefix, int i)
{
    int len = snprintf(ret_name, NAME + 1, "%s%d", prefix, i);
    memset(ret_name + len, 'n', (size_t)(NAME - len));
    ret_name[NAME] = '\0';
    return ret_name;
}

/* A rename of a/ is a transaction of many bytes then. */
static void prepare_many(struct controller *c)
{
    char key[NAME + 1];
    CHECK_EQ(put(c, "first", "x", NULL), ST_OK);
    const struct store_name from = {"box", "first"}, to = {"box", key};
    for (int i = 0; i < MANY; i++) {
        long_name(key, "a/", i);
        MUST(store_copy(c->store, &from, &to, NULL, NULL, NULL, NULL, &err));
    }
}

/* Keys in etcd. */
static size_t keys_in_etcd(const char *from, const char *end)
{
    struct arena arena = {0};
    struct etcd_range a;
    const struct etcd_op op = {.kind = ETCD_RANGE, .key = from, .end = end};
    ask_etcd(&op, &arena, &a);
    size_t count = a.count;
    arena_done(&arena);
    return count;
}

static size_t entries_in_etcd(void)
{
    return keys_in_etcd("/cloudskin/geds/log/", "/cloudskin/geds/log0");
}

static size_t parts_in_etcd(void)
{
    return keys_in_etcd("/cloudskin/geds/part/", "/cloudskin/geds/part0");
}

/* Its store is not closed, and etcd well: it gives up all the same. */
static void who_does_not_know_what_happened_lets_others_lead(void)
{
    begin_two();
    follow(&all[1]);
    CHECK_EQ(put_large(&all[0], "a", 'o'), ST_OK);
    atomic_store(&server.mode, LOSE);
    CHECK_EQ(put_large(&all[0], "a", 'n'), ST_IO);
    atomic_store(&server.mode, PASS);
    bool leads = comes_to_lead(&all[1]);
    CHECK(leads);
    if (leads) {
        lead(&all[1]);
    }
    end();
}

static void a_leader_whose_address_is_none_is_not_believed(void)
{
    static const char *const addresses[] = {"", "tcp://a b:1", "tcp://a:1\n"};
    struct line_options o = {0};
    struct line l;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        const struct etcd_op op = {.kind = ETCD_PUT,
                                   .key = "/cloudskin/geds/leader",
                                   .value = addresses[i],
                                   .len = strlen(addresses[i])};
        const struct etcd_txn t = {.then = &op, .then_count = 1};
        struct arena arena = {0};
        struct etcd_answer a;
        begin();
        open_line(&o, &l);
        MUST(line_txn(&l, &t, 2000, &arena, &a, &err));
        line_close(&l);
        arena_done(&arena);
        follow(&all[0]);
        CHECK_EQ(end_following(&all[0]), ST_FORMAT);
        end();
    }
}

static void a_change_of_many_bytes_is_in_parts(void)
{
    uint64_t count = 0;
    char key[NAME + 1];
    begin_two();
    prepare_many(&all[0]);
    MUST(store_rename_prefix(all[0].store, "box", "a/", "b/", &count, &err));
    CHECK_EQ(count, MANY);
    CHECK(parts_in_etcd() > 0);
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    CHECK(holds(&all[1], long_name(key, "b/", 0), "x"));
    end();
}

/* They may have 128 MiB each. */
static void who_catches_up_has_few_bytes_of_entries_at_once(void)
{
    uint64_t count = 0;
    char key[NAME + 1];
    struct etcd_status status;
    batch_bytes = 1024 * 1024;
    begin_two();
    prepare_many(&all[0]);
    join(&all[0], &all[1]);
    for (int i = 0; i < 3; i++) {
        MUST(store_rename_prefix(all[0].store, "box", "a/", "b/", &count, &err));
        MUST(store_rename_prefix(all[0].store, "box", "b/", "a/", &count, &err));
    }
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    etcd_status(all[1].etcd, &status);
    CHECK(status.batches >= 6);
    CHECK(holds(&all[1], long_name(key, "a/", 0), "x"));
    end();
    batch_bytes = 0;
}

static void who_has_a_slow_line_catches_up(void)
{
    uint64_t count = 0;
    char key[NAME + 1];
    begin_two();
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    lead(&all[1]);
    open_etcd(&all[0]);
    prepare_many(&all[1]);
    MUST(store_rename_prefix(all[1].store, "box", "a/", "b/", &count, &err));
    atomic_store(&server.mode, TRICKLE);
    close_store(&all[1]);
    etcd_close(all[1].etcd);
    all[1].etcd = NULL;
    follow(&all[0]);
    bool leads = comes_to_lead(&all[0]);
    CHECK(leads);
    if (leads) {
        lead(&all[0]);
        CHECK(holds(&all[0], long_name(key, "b/", 0), "x"));
    }
    end();
}

/* A part whose try is on its way still would be one of the next entry, which had the same number. */
static void a_part_of_unknown_fate_ends_the_term(void)
{
    uint64_t count = 0;
    char key[NAME + 1];
    begin_two();
    prepare_many(&all[0]);
    atomic_store(&server.mode, LOSE_FULL);
    CHECK_EQ(store_rename_prefix(all[0].store, "box", "a/", "b/", &count, NULL), ST_IO);
    CHECK_EQ(times_lost(&all[0]), 1);
    atomic_store(&server.mode, PASS);
    close_store(&all[0]);
    lead(&all[0]);
    CHECK(holds(&all[0], long_name(key, "a/", 0), "x"));
    MUST(store_rename_prefix(all[0].store, "box", "a/", "b/", &count, &err));
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    CHECK(holds(&all[1], long_name(key, "b/", MANY - 1), "x"));
    end();
}

static void what_is_not_needed_goes_and_who_is_behind_gets_a_copy(void)
{
    trim_at = 10;
    begin_two();
    join(&all[0], &all[2]); /* has it, and does not follow */
    follow(&all[1]);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    }
    for (int i = 0; i < 500 && entries_in_etcd() > 100; i++) {
        wait_ms(20);
    }
    size_t left = entries_in_etcd();
    CHECK(left >= 10 && left <= 100);
    follow(&all[2]);
    CHECK_EQ(end_following(&all[2]), ST_NOTFOUND);
    join(&all[0], &all[2]);
    follow(&all[2]);
    end();
    trim_at = 0;
}

/* The copy is made, much happens, and then it is there. */
static void what_comes_while_somebody_gets_a_copy_stays_for_him(void)
{
    trim_at = 10;
    begin_two();
    follow(&all[1]);
    follow(&all[2]);
    CHECK_EQ(end_following(&all[2]), ST_NOTFOUND);
    join(&all[0], &all[2]);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    }
    wait_ms(2000); /* three looks */
    CHECK(entries_in_etcd() >= 200);
    follow(&all[2]);
    for (int i = 0; i < 500 && entries_in_etcd() > 100; i++) {
        wait_ms(20);
    }
    CHECK(entries_in_etcd() <= 100); /* it is in place */
    end();
    trim_at = 0;
}

/* The other one follows for a moment; then come a hundred entries that only the leader's disk has. */
static void begin_with_one_behind(void)
{
    begin_two();
    follow(&all[1]);
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    wait_ms(500); /* it says that it is there */
    etcd_stop(all[1].etcd);
    CHECK_EQ(end_following(&all[1]), ST_STOPPED);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    }
}

static void a_slow_etcd_and_looks_at_what_may_go_do_not_cost_the_lease(void)
{
    unsigned lapses = 0;
    trim_at = 10;
    begin_with_one_behind();
    const struct store_log *log = etcd_log(all[0].etcd);
    atomic_store(&server.mode, SLOW_KEYS);
    for (int i = 0; i < 600; i++) {
        lapses += !log->leads(log->arg);
        wait_ms(10);
    }
    atomic_store(&server.mode, PASS);
    CHECK_EQ(lapses, 0);
    end();
    trim_at = 0;
}

static void what_one_disk_has_only_stays_in_etcd(void)
{
    trim_at = 10;
    begin_with_one_behind();
    wait_ms(2000); /* three looks */
    CHECK(entries_in_etcd() >= 100);
    end();
    trim_at = 0;
}

enum { INLINE = 15000 }; /* bytes that are in the metadata */

static status_t put_inline(struct controller *c, const char *key)
{
    static char bytes[INLINE + 1];
    memset(bytes, 'i', INLINE);
    return put(c, key, bytes, NULL);
}

static void few_entries_of_many_bytes_go_as_well(void)
{
    keep_bytes = 1024 * 1024;
    begin_two();
    follow(&all[1]);
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(put_inline(&all[0], "a"), ST_OK);
    }
    for (int i = 0; i < 500 && entries_in_etcd() > 100; i++) {
        wait_ms(20);
    }
    size_t left = entries_in_etcd();
    CHECK(left >= 60 && left <= 100);
    end();
    keep_bytes = 0;
}

/* What who runs etcd does when there is room again. */
static void disarm(void)
{
    struct line_options o = {0};
    struct line l;
    struct buf body = {0};
    open_line(&o, &l);
    buf_printf(&body, "{}");
    MUST(line_post(&l, "/v3/maintenance/defragment", &body, 10000, NULL, &err));
    body.len = 0;
    buf_printf(&body, "{\"action\":\"GET\"}");
    MUST(line_post(&l, "/v3/maintenance/alarm", &body, 2000, NULL, &err));
    buf_bytes(&l.answer, "", 1);
    const char *id = strstr((const char *)l.answer.data, "\"memberID\":\"");
    CHECK(id != NULL);
    id = id != NULL ? id + strlen("\"memberID\":\"") : "";
    body.len = 0;
    buf_printf(&body, "{\"action\":\"DEACTIVATE\",\"alarm\":\"NOSPACE\",\"memberID\":\"%.*s\"}",
               (int)strspn(id, "0123456789"), id);
    MUST(line_post(&l, "/v3/maintenance/alarm", &body, 2000, NULL, &err));
    buf_done(&body);
    line_close(&l);
}

static void a_full_etcd_is_trimmed_and_goes_on_when_it_has_room_again(void)
{
    status_t st = ST_OK;
    char key[16];
    int made = 0;
    quota_bytes = 8 * 1024 * 1024;
    begin_two();
    follow(&all[1]);
    for (; made < 2000 && st == ST_OK; made++) {
        snprintf(key, sizeof key, "%d", made);
        st = put_inline(&all[0], key);
    }
    CHECK_EQ(st, ST_LIMIT);
    size_t were = (size_t)made; /* until now nothing went */
    CHECK(were > 100);
    for (int i = 0; i < 500 && entries_in_etcd() > were / 2; i++) {
        wait_ms(20);
    }
    CHECK(entries_in_etcd() <= were / 2);
    CHECK_EQ(put_inline(&all[0], "full"), ST_LIMIT);
    disarm();
    CHECK_EQ(put_inline(&all[0], "room"), ST_OK);
    close_store(&all[0]);
    etcd_close(all[0].etcd);
    all[0].etcd = NULL;
    lead(&all[1]);
    struct store_info info;
    CHECK_EQ(store_stat(all[1].store, "box", "0", &info, NULL), ST_OK);
    CHECK_EQ(store_stat(all[1].store, "box", "room", &info, NULL), ST_OK);
    CHECK_EQ(store_stat(all[1].store, "box", "full", &info, NULL), ST_NOTFOUND);
    snprintf(key, sizeof key, "%d", made - 1); /* the one that was refused */
    CHECK_EQ(store_stat(all[1].store, "box", key, &info, NULL), ST_NOTFOUND);
    end();
    quota_bytes = 0;
}

static void a_store_of_another_log_is_refused(void)
{
    begin_two();
    follow(&all[1]);
    CHECK_EQ(put(&all[0], "a", "x", NULL), ST_OK);
    wait_ms(300);
    etcd_stop(all[1].etcd);
    CHECK_EQ(end_following(&all[1]), ST_STOPPED);
    etcd_close(all[1].etcd);
    const struct etcd_options o = {
        .servers = all[1].servers, .address = all[1].address, .name = "other", .ttl_s = 2};
    MUST(etcd_open(&o, &all[1].etcd, &err));
    follow(&all[1]);
    CHECK_EQ(end_following(&all[1]), ST_INVAL);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    RUN(a_controller_alone_leads_and_has_its_changes_after_a_restart);
    RUN(another_one_follows_and_leads_next);
    RUN(one_that_is_new_is_told_to_get_a_copy);
    RUN(a_former_leader_neither_changes_nor_tells_anything);
    RUN(a_leader_without_its_key_puts_nothing);
    RUN(faults_that_pass_are_no_errors);
    RUN(etcd_that_is_killed_stops_changes_and_loses_nothing);
    RUN(an_entry_of_unknown_fate_is_the_same_to_all);
    RUN(a_try_that_was_made_is_not_refused_when_the_next_one_cannot_be_sent);
    RUN(a_try_that_was_made_is_found_when_the_next_one_has_no_room);
    RUN(what_etcd_has_made_though_it_says_that_it_is_full_is_made);
    RUN(what_etcd_has_no_room_for_is_refused_and_not_there);
    RUN(a_change_that_cannot_be_sent_is_refused_and_not_there);
    RUN(who_does_not_know_what_happened_lets_others_lead);
    RUN(a_leader_whose_address_is_none_is_not_believed);
    RUN(a_change_of_many_bytes_is_in_parts);
    RUN(a_part_of_unknown_fate_ends_the_term);
    RUN(who_catches_up_has_few_bytes_of_entries_at_once);
    RUN(who_has_a_slow_line_catches_up);
    RUN(what_is_not_needed_goes_and_who_is_behind_gets_a_copy);
    RUN(what_comes_while_somebody_gets_a_copy_stays_for_him);
    RUN(what_one_disk_has_only_stays_in_etcd);
    RUN(a_slow_etcd_and_looks_at_what_may_go_do_not_cost_the_lease);
    RUN(few_entries_of_many_bytes_go_as_well);
    RUN(a_full_etcd_is_trimmed_and_goes_on_when_it_has_room_again);
    RUN(a_store_of_another_log_is_refused);
    return CHECK_DONE();
}
