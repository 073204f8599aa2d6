/* geds_relocate against a store with a tier and nodes. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../geds_tier/faketier.h"

#include "../geds_peer/nodes.h"
#include "cloudskin/geds.h"
#include "geds/crypt.h"
#include "geds/memory/memory.h"
#include "geds/serve/serve.h"
#include "net/rpc/local.h"

enum { LEN = 1500000, TAKES = (LEN + 4095) / 4096 * 4096, SMALL = 100 };

static struct rpc_server *server;
static struct serve_context context;
static char socket_path[96];
static int listen_fd;
static struct geds *g;
static struct geds_error why;
static struct geds_moved moved;
static struct memory *memory;

static const struct geds_location disk = {.where = GEDS_ON_DISK}, behind = {.where = GEDS_IN_TIER},
                                  hot = {.where = GEDS_IN_MEMORY};

#define OK(call)                                                                     \
    do {                                                                             \
        if ((call) != GEDS_OK) {                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, why.text); \
            check_failures++;                                                        \
        }                                                                            \
    } while (0)

static enum geds_code go(const char *key, bool is_prefix, const struct geds_location *where)
{
    moved = (struct geds_moved){0};
    return geds_relocate(g, "box", key, is_prefix, where, NULL, NULL, &moved, &why);
}

static enum geds_code go_to_nodes(const char *prefix, unsigned copies)
{
    const struct geds_location where = {.where = GEDS_ON_NODES, .copies = copies};
    return go(prefix, true, &where);
}

static void serve_it(void)
{
    char address[128];
    snprintf(socket_path, sizeof socket_path, "%s.socket", scratch);
    snprintf(address, sizeof address, "unix:%s", socket_path);
    context = (struct serve_context){.store = store,
                                     .version = "test",
                                     .state = scratch,
                                     .s3 = "127.0.0.1:1",
                                     .tier = tier,
                                     .peers = peers,
                                     .memory = memory};
    MUST(rpc_local_listen(socket_path, &listen_fd, &err));
    const struct rpc_server_options o = {
        .listen_fd = listen_fd, .handler = serve_handler(), .ctx = &context};
    MUST(rpc_server_start(&o, &server, &err));
    OK(geds_connect(address, &g, &why));
}

static void open_memory(uint64_t budget)
{
    char note[96];
    snprintf(note, sizeof note, "%s/memory", scratch);
    const struct memory_options o = {.store = store, .path = note, .budget_bytes = budget};
    MUST(memory_start(&o, &memory, &err));
}

static void start(bool with_tier, bool with_peers, uint64_t memory_budget)
{
    tier_high = 1 << 30;
    tier_low = 1 << 29;
    if (with_tier) {
        tier_make(NULL);
    } else {
        store_make(NULL);
    }
    MUST(store_bucket_create(store, "box", "", &err));
    if (with_peers) {
        open_peers(0, 0);
    }
    if (memory_budget > 0) {
        open_memory(memory_budget);
    }
    serve_it();
}

static void stop_serving(void)
{
    geds_disconnect(g);
    rpc_server_stop(server);
    rpc_local_unlisten(socket_path, listen_fd);
}

static void stop(void)
{
    stop_serving();
    peers_stop(peers);
    for (size_t i = 0; i < NODES; i++) {
        end(&nodes[i]);
    }
    check_sound();
    tier_stop(tier);
    memory_stop(memory);
    store_close(store);
    tier_close(tier);
    memory_free(memory);
    memory = NULL;
    peers_close(peers);
    store = NULL;
    tier = NULL;
    peers = NULL;
    remove_tree(scratch);
    remove_tree(tier_folder);
    for (size_t i = 0; i < NODES; i++) {
        drop_copies(&nodes[i]);
        nodes[i].refuses = ST_OK;
    }
}

static bool no_copies(void)
{
    return all_copies() == 0;
}

/* A node gets copies when its list has been compared. */
static void wait_until_synced(unsigned count)
{
    MUST(store_bucket_create(store, "first", "", &err));
    MUST(store_bucket_set_replicas(store, "first", count + 1, NULL, NULL, &err));
    CHECK_EQ(put("first", "k", source, LEN), ST_OK);
    CHECK(eventually(nothing_lacks));
    MUST(store_delete(store, "first", "k", NULL, &err));
    CHECK(eventually(no_copies));
}

static void put_three(void)
{
    CHECK_EQ(put("box", "a/1", source, LEN), ST_OK);
    CHECK_EQ(put("box", "a/2", source + 1, LEN), ST_OK);
    CHECK_EQ(put("box", "b", source + 2, LEN), ST_OK);
    CHECK_EQ(put("box", "a/small", source, SMALL), ST_OK);
}

static bool all_three_are_whole(void)
{
    return holds("box", "a/1", source, LEN) && holds("box", "a/2", source + 1, LEN) &&
           holds("box", "b", source + 2, LEN);
}

static void objects_below_a_prefix_go_to_the_tier_and_back(void)
{
    start(true, false, 0);
    put_three();
    OK(go("a/", true, &behind));
    CHECK_EQ(moved.objects, 3);
    CHECK_EQ(moved.extents, 2);
    CHECK_EQ(moved.bytes, 2 * LEN);
    CHECK_EQ(moved.kept, 0);
    CHECK_EQ(status_now().places.away_count, 2);
    OK(go("a/", true, &behind)); /* they are there */
    CHECK_EQ(moved.extents, 0);
    OK(go("a/2", false, &disk));
    CHECK_EQ(moved.objects, 1);
    CHECK_EQ(moved.bytes, LEN);
    CHECK_EQ(status_now().places.away_count, 1);
    OK(go("", true, &disk));
    CHECK_EQ(moved.objects, 4);
    CHECK_EQ(moved.extents, 1);
    CHECK_EQ(status_now().places.away_count, 0);
    CHECK(all_three_are_whole());
    OK(go("none/", true, &disk));
    CHECK_EQ(moved.objects, 0);
    OK(geds_pin(g, "box", "b", false, true, NULL, NULL, NULL, &why));
    OK(go("b", false, &behind));
    CHECK_EQ(moved.kept, 1);
    stop();
}

static void objects_below_a_prefix_get_copies_on_nodes(void)
{
    unsigned rule = 0;
    start(true, true, 0);
    put_three();
    join_and_wait(2);
    wait_until_synced(2);
    OK(go("a/1", true, &behind));
    OK(go_to_nodes("a/", 2));
    CHECK_EQ(moved.objects, 3);
    CHECK(moved.extents >= 1 && moved.bytes == moved.extents * LEN); /* the thread may make one */
    CHECK_EQ(all_copies(), 2); /* when it returns, they are there */
    CHECK_EQ(status_now().places.away_count, 0);
    OK(go_to_nodes("a/", 2));
    CHECK_EQ(moved.extents, 0);
    OK(go_to_nodes("a/", 3));
    CHECK_EQ(whole_copies(&nodes[0]), 2);
    CHECK_EQ(whole_copies(&nodes[1]), 2);
    look();
    CHECK_EQ(now.lacking_count, 0);
    MUST(store_bucket_replicas(store, "box", &rule, &err));
    CHECK_EQ(rule, 1); /* it is about what is there */
    CHECK_EQ(put("box", "a/3", source, LEN), ST_OK);
    CHECK_EQ(all_copies(), 4);
    CHECK(all_three_are_whole());
    stop();
}

static bool two_copies(void)
{
    return all_copies() == 2;
}

static void copies_that_are_too_many_go_unless_they_are_needed(void)
{
    start(false, true, 0);
    put_three();
    join_and_wait(2);
    wait_until_synced(2);
    OK(go_to_nodes("a/", 3));
    CHECK_EQ(all_copies(), 4);
    OK(go_to_nodes("a/", 2));
    CHECK(eventually(two_copies));
    damage("a/1");
    CHECK_EQ(go_to_nodes("a/1", 1), GEDS_CORRUPT);
    CHECK(eventually(something_was_repaired)); /* from a copy that was not removed */
    OK(go_to_nodes("a/", 1));
    CHECK(eventually(no_copies));
    CHECK(all_three_are_whole());
    OK(go_to_nodes("a/", 2)); /* they can come back */
    CHECK_EQ(all_copies(), 2);
    stop();
}

static void what_cannot_be_is_told_and_changes_nothing(void)
{
    char longer[GEDS_KEY_MAX + 2];
    const struct geds_location wrong[] = {{.where = (enum geds_where)0},
                                          {.where = (enum geds_where)9},
                                          {.where = GEDS_ON_DISK, .copies = 1},
                                          {.where = GEDS_ON_NODES},
                                          {.where = GEDS_ON_NODES, .copies = 9}};
    start(false, true, 0);
    put_three();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(go("a/", true, &wrong[i]), GEDS_INVAL);
    }
    CHECK_EQ(geds_relocate(g, "box", "a/", true, NULL, NULL, NULL, NULL, &why), GEDS_INVAL);
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    CHECK_EQ(go(longer, true, &disk), GEDS_INVAL);
    CHECK_EQ(go("", false, &disk), GEDS_INVAL);
    CHECK_EQ(go("none", false, &disk), GEDS_NOTFOUND);
    CHECK_EQ(geds_relocate(g, "none", "", true, &disk, NULL, NULL, NULL, &why), GEDS_NOTFOUND);
    CHECK_EQ(go("a/", true, &behind), GEDS_UNSUPPORTED);
    OK(go("a/", true, &disk)); /* all is there without a tier */
    CHECK_EQ(moved.objects, 3);
    CHECK_EQ(go_to_nodes("a/", 2), GEDS_UNSUPPORTED);
    OK(go_to_nodes("a/", 1));
    join_and_wait(1);
    CHECK_EQ(go_to_nodes("a/", 3), GEDS_AGAIN);
    CHECK(strstr(why.text, "need 2 nodes") != NULL);
    look();
    CHECK_EQ(now.lacking_count, 0);
    CHECK_EQ(all_copies(), 0);
    stop();
    start(false, false, 0);
    CHECK_EQ(go_to_nodes("a/", 2), GEDS_UNSUPPORTED);
    stop();
}

static void copies_that_cannot_be_made_are_made_later(void)
{
    start(false, true, 0);
    put_three();
    join_and_wait(1);
    wait_until_synced(1);
    atomic_store(&nodes[0].refuses, ST_LIMIT);
    CHECK_EQ(go_to_nodes("a/", 2), GEDS_AGAIN);
    look();
    CHECK_EQ(now.lacking_count, 2);
    stop_serving(); /* what is wanted is in the rows */
    peers_stop(peers);
    end(&nodes[0]);
    store_close(store);
    peers_close(peers);
    MUST(store_open(scratch, NULL, &store, &err));
    open_peers(0, 0);
    serve_it();
    look();
    CHECK_EQ(now.lacking_count, 2);
    atomic_store(&nodes[0].refuses, ST_OK);
    join_and_wait(1);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 2);
    stop();
}

static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
static uint64_t lacking(void)
{
    uint64_t count = 0, bytes = 0;
    MUST(store_copies_totals(store, &count, &bytes, &err));
    return count;
}

static bool die(void *arg)
{
    (void)arg;
    return kill(getpid(), SIGKILL) == 0;
}

/* Rows are set 256 objects at a time; the process is killed between the first two. */
static void a_kill_while_rows_are_set_leaves_what_was_set(void)
{
    enum { OBJECTS = 600, FILE_BYTES = 20000 };
    char key[16];
    int status = 0;
    store_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
    for (int i = 0; i < OBJECTS; i++) {
        snprintf(key, sizeof key, "a/%d", i);
        CHECK_EQ(put("box", key, source, FILE_BYTES), ST_OK);
    }
    CHECK_EQ(put("box", "a", source, FILE_BYTES), ST_OK);
    CHECK_EQ(put("box", "b", source, FILE_BYTES), ST_OK);
    store_close(store);
    pid_t child = fork();
    if (child == 0) {
        MUST(store_open(scratch, &no_sync, &store, &err));
        MUST(store_objects_set_replicas(store, "box", "a/", true, 2, die, NULL, &err));
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    MUST(store_open(scratch, &no_sync, &store, &err));
    check_sound();
    CHECK_EQ(lacking(), 256);
    MUST(store_objects_set_replicas(store, "box", "a/", true, 2, NULL, NULL, &err));
    CHECK_EQ(lacking(), OBJECTS);
    MUST(store_objects_set_replicas(store, "box", "b", false, 2, NULL, NULL, &err));
    CHECK_EQ(lacking(), OBJECTS + 1);
    MUST(store_objects_set_replicas(store, "box", "", true, 2, NULL, NULL, &err));
    CHECK_EQ(lacking(), OBJECTS + 2);
    MUST(store_objects_set_replicas(store, "box", "a", true, 1, NULL, NULL, &err));
    CHECK_EQ(lacking(), 1);
    CHECK_EQ(store_objects_set_replicas(store, "none", "", true, 2, NULL, NULL, NULL), ST_NOTFOUND);
    CHECK_EQ(store_objects_set_replicas(store, "box", "", true, 0, NULL, NULL, NULL), ST_INVAL);
    check_sound();
    store_remove();
}

static void a_tier_that_is_away_stops_it_and_it_goes_on(void)
{
    enum geds_code code = GEDS_AGAIN;
    start(true, false, 0);
    put_three();
    OK(go("", true, &behind));
    atomic_store(&fake_down, true);
    CHECK_EQ(go("", true, &disk), GEDS_AGAIN);
    CHECK_EQ(status_now().places.away_count, 3);
    atomic_store(&fake_down, false);
    while (code == GEDS_AGAIN) { /* it is tried again after some ms */
        code = go("", true, &disk);
        sched_yield();
    }
    CHECK_EQ(code, GEDS_OK);
    CHECK_EQ(status_now().places.away_count, 0);
    CHECK(all_three_are_whole());
    stop();
}

/* A file that cannot grow is refused as one on a full disk is. */
static void a_full_disk_stops_it_and_it_goes_on(void)
{
    struct rlimit before, little;
    start(true, false, 0);
    put_three();
    OK(go("", true, &behind));
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = LEN - 1;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
    CHECK_EQ(go("", true, &disk), GEDS_LIMIT);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(status_now().places.away_count, 3);
    CHECK_EQ(files_in("new"), 0);
    OK(go("", true, &disk));
    CHECK(all_three_are_whole());
    stop();
}

/* After a restart, with a key file or without. */
static void again(const struct store_keys_options *keys)
{
    stop_serving();
    memory_stop(memory);
    tier_again(NULL);
    memory_free(memory);
    if (keys != NULL) {
        MUST(store_set_keys(store, keys, &err));
    }
    open_memory(2 * TAKES);
    serve_it();
}

static void encrypted_objects_move_without_their_key(void)
{
    char key[96];
    start(true, false, 2 * TAKES);
    snprintf(key, sizeof key, "%s/key", scratch);
    const struct store_keys_options o = {.path = key};
    MUST(store_set_keys(store, &o, &err));
    OK(geds_bucket_set_encrypt(g, "box", true, &why));
    put_three();
    again(NULL);
    CHECK(!holds("box", "a/1", source, LEN));
    OK(go("", true, &behind));
    CHECK_EQ(moved.extents, 3);
    OK(go("a/", true, &hot));
    CHECK_EQ(moved.extents, 2);
    OK(go("", true, &disk));
    again(&o);
    CHECK(all_three_are_whole());
    stop();
}

static struct geds_memory in_memory(void)
{
    struct geds_memory n = {0};
    OK(geds_memory_status(g, &n, &why));
    return n;
}

static void objects_below_a_prefix_come_to_memory_and_leave_it(void)
{
    start(true, false, 2 * TAKES);
    put_three();
    CHECK_EQ(in_memory().count, 0); /* the bucket has no such rule */
    OK(go("a/1", false, &behind));
    OK(go("a/", true, &hot));
    CHECK_EQ(moved.objects, 3);
    CHECK_EQ(moved.extents, 2);
    CHECK_EQ(moved.bytes, 2 * LEN);
    CHECK_EQ(in_memory().count, 2); /* when it returns, they are there */
    CHECK_EQ(in_memory().bytes, 2 * TAKES);
    OK(go("a/", true, &hot));
    CHECK_EQ(moved.extents, 0);
    OK(go("b", false, &hot)); /* instead of the one that was used longest ago */
    CHECK_EQ(moved.extents, 1);
    CHECK_EQ(in_memory().count, 2);
    CHECK_EQ(in_memory().evicted_count, 1);
    CHECK_EQ(go("", true, &hot), GEDS_LIMIT); /* three do not fit together */
    CHECK(strstr(why.text, "do not fit") != NULL);
    CHECK_EQ(in_memory().count, 2);
    OK(go("", true, &disk));
    EVENTUALLY(in_memory().count == 0);
    CHECK(all_three_are_whole());
    stop();
}

static void copies_are_in_memory_once(void)
{
    start(false, false, 2 * TAKES);
    CHECK_EQ(put("box", "a/1", source, LEN), ST_OK);
    for (int i = 2; i < 9; i++) {
        char key[16];
        snprintf(key, sizeof key, "a/%d", i);
        OK(geds_copy(g, "box", "a/1", "box", key, NULL, NULL, NULL, &why));
    }
    OK(go("a/", true, &hot));
    CHECK_EQ(moved.objects, 8);
    CHECK_EQ(moved.extents, 1);
    CHECK_EQ(in_memory().bytes, TAKES);
    stop();
    start(false, false, 0);
    CHECK_EQ(go("", true, &hot), GEDS_UNSUPPORTED);
    stop();
}

int main(void)
{
    fill(source, sizeof source, 1);
    RUN(a_kill_while_rows_are_set_leaves_what_was_set);
    RUN(objects_below_a_prefix_go_to_the_tier_and_back);
    RUN(objects_below_a_prefix_get_copies_on_nodes);
    RUN(copies_that_are_too_many_go_unless_they_are_needed);
    RUN(what_cannot_be_is_told_and_changes_nothing);
    RUN(copies_that_cannot_be_made_are_made_later);
    RUN(a_tier_that_is_away_stops_it_and_it_goes_on);
    RUN(a_full_disk_stops_it_and_it_goes_on);
    RUN(encrypted_objects_move_without_their_key);
    RUN(objects_below_a_prefix_come_to_memory_and_leave_it);
    RUN(copies_are_in_memory_once);
    return CHECK_DONE();
}
