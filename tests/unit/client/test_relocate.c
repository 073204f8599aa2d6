/* geds_relocate against a store with a tier and nodes. */
#include "../geds_tier/faketier.h"

#include "../geds_peer/nodes.h"
#include "cloudskin/geds.h"
#include "geds/serve/serve.h"
#include "net/rpc/local.h"

enum { LEN = 1500000, SMALL = 100 };

static struct rpc_server *server;
static struct serve_context context;
static char socket_path[96];
static int listen_fd;
static struct geds *g;
static struct geds_error why;
static struct geds_moved moved;

static const struct geds_location disk = {.where = GEDS_ON_DISK}, behind = {.where = GEDS_IN_TIER};

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
                                     .peers = peers};
    MUST(rpc_local_listen(socket_path, &listen_fd, &err));
    const struct rpc_server_options o = {
        .listen_fd = listen_fd, .handler = serve_handler(), .ctx = &context};
    MUST(rpc_server_start(&o, &server, &err));
    OK(geds_connect(address, &g, &why));
}

static void start(bool with_tier, bool with_peers)
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
    store_close(store);
    tier_close(tier);
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
    start(true, false);
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
    start(true, true);
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

static void what_cannot_be_is_told_and_changes_nothing(void)
{
    char longer[GEDS_KEY_MAX + 2];
    const struct geds_location wrong[] = {{.where = (enum geds_where)0},
                                          {.where = (enum geds_where)9},
                                          {.where = GEDS_ON_DISK, .copies = 1},
                                          {.where = GEDS_ON_NODES},
                                          {.where = GEDS_ON_NODES, .copies = 9}};
    start(false, true);
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
    start(false, false);
    CHECK_EQ(go_to_nodes("a/", 2), GEDS_UNSUPPORTED);
    stop();
}

static void copies_that_cannot_be_made_are_made_later(void)
{
    start(false, true);
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

static void a_tier_that_is_away_stops_it_and_it_goes_on(void)
{
    enum geds_code code = GEDS_AGAIN;
    start(true, false);
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

int main(void)
{
    fill(source, sizeof source, 1);
    RUN(objects_below_a_prefix_go_to_the_tier_and_back);
    RUN(objects_below_a_prefix_get_copies_on_nodes);
    RUN(what_cannot_be_is_told_and_changes_nothing);
    RUN(copies_that_cannot_be_made_are_made_later);
    RUN(a_tier_that_is_away_stops_it_and_it_goes_on);
    return CHECK_DONE();
}
