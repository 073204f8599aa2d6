/* What becomes of copies when nodes come, go, lie and fail. */
#include <sqlite3.h>

#include "impl.h"
#include "nodes.h"
#include "sys/clock.h"

static bool no_copies(void)
{
    return all_copies() == 0;
}
static bool two_copies(void)
{
    return all_copies() == 2;
}
static bool one_lacks(void)
{
    return now.lacking_count == 1;
}
static bool no_nodes(void)
{
    return now.count == 0;
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
    nodes[0].refuses = ST_LIMIT;
    join_and_wait(1);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    look();
    CHECK_EQ(now.lacking_count, 2);
    nodes[0].refuses = ST_OK;
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
    wait_for_all(2);
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

static bool one_copy_is_enough(void)
{
    return all_copies() == 1 && now.lacking_count == 0;
}

static void copies_that_are_too_many_are_removed(void)
{
    begin(0, 0);
    join_and_wait(2);
    MUST(store_bucket_set_replicas(store, "box", 3, NULL, NULL, &err));
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(two_copies));
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
    peers_trim(peers);
    CHECK(eventually(one_copy_is_enough));
    damage("k"); /* the one that stayed is a good one */
    CHECK(holds("box", "k", source, BIG));
    CHECK(eventually(something_was_repaired));
    MUST(store_bucket_set_replicas(store, "box", 1, NULL, NULL, &err));
    peers_trim(peers);
    CHECK(eventually(no_copies));
    CHECK(holds("box", "k", source, BIG));
    finish();
}

static void bad_local_bytes_are_repaired_before_the_last_copy_goes(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source + 1, BIG), ST_OK);
    CHECK(eventually(two_copies));
    damage("k");
    MUST(store_bucket_set_replicas(store, "box", 1, NULL, NULL, &err));
    peers_trim(peers);
    CHECK(eventually(no_copies));
    CHECK_EQ(now.repaired_count, 1);
    check_sound();
    CHECK(holds("box", "k", source, BIG));
    finish();
}

static bool b_has_two(void)
{
    return whole_copies(&nodes[1]) == 2;
}
static bool b_has_one(void)
{
    return whole_copies(&nodes[1]) == 1;
}
static bool one_is_away(void)
{
    return now.nodes[0].state == PEER_AWAY || now.nodes[1].state == PEER_AWAY;
}

static void nothing_is_removed_while_a_node_that_counts_is_away(void)
{
    begin(0, 0);
    join(&nodes[0]); /* the first: what stays is on it */
    wait_for_all(1);
    join(&nodes[1]);
    wait_for_all(2);
    MUST(store_bucket_set_replicas(store, "box", 3, NULL, NULL, &err));
    for (char key[] = "k"; key[0] <= 'm'; key[0]++) {
        CHECK_EQ(put("box", key, source, BIG), ST_OK);
    }
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 6);
    end(&nodes[0]);
    CHECK(eventually(one_is_away));
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
    peers_trim(peers);
    MUST(store_delete(store, "box", "l", NULL, &err));
    CHECK(eventually(b_has_two));
    MUST(store_delete(store, "box", "m", NULL, &err)); /* it has looked once more by then */
    CHECK(eventually(b_has_one));
    damage("k");
    CHECK(holds("box", "k", source, BIG));
    join(&nodes[0]);
    CHECK(eventually(one_copy_is_enough));
    finish();
}

static void a_start_removes_what_the_last_one_did_not_come_to(void)
{
    begin(0, 0);
    join_and_wait(1);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 1);
    peers_stop(peers);
    end(&nodes[0]);
    MUST(store_bucket_set_replicas(store, "box", 1, NULL, NULL, &err));
    store_close(store);
    peers_close(peers);
    store = NULL;
    MUST(store_open(scratch, NULL, &store, &err));
    open_peers(0, 0);
    join(&nodes[0]);
    CHECK(eventually(no_copies));
    CHECK(holds("box", "k", source, BIG));
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

/* A node that answers other orders all the time is given up all the same. */
static _Atomic bool read_ended;
static void *read_from(void *peer)
{
    uint8_t block[100];
    struct order order = {.o = {.kind = PEER_READ, .extent = 1, .nonce = 1, .bytes = sizeof block},
                          .into = block,
                          .room = sizeof block};
    status_t st = peer_ask(peer, &order, NULL);
    atomic_store(&read_ended, true);
    return (void *)(uintptr_t)st;
}

static void an_order_ends_though_others_are_answered(void)
{
    enum { ANSWER_MS = 250, PATIENCE_S = 20 };
    pthread_t reader;
    void *result = NULL;
    begin(0, ANSWER_MS);
    join_and_wait(1);
    struct peer *peer = peer_of_node(&nodes[0]);
    nodes[0].deaf = true;
    atomic_store(&read_ended, false);
    CHECK_EQ(pthread_create(&reader, NULL, read_from, peer), 0);
    uint64_t until = clock_monotonic_ns() + PATIENCE_S * 1000000000ULL;
    while (!atomic_load(&read_ended) && clock_monotonic_ns() < until) {
        uint8_t page[PEER_COPY_BYTES];
        struct order other = {
            .o = {.kind = PEER_LIST, .bytes = sizeof page}, .into = page, .room = sizeof page};
        status_t ignored = peer_ask(peer, &other, NULL);
        (void)ignored;
    }
    CHECK(atomic_load(&read_ended));
    end(&nodes[0]);
    pthread_join(reader, &result);
    CHECK_EQ((uintptr_t)result, ST_AGAIN);
    finish();
}

/* The one with the most room comes first. */
static void what_one_node_says_is_wrong_does_not_keep_others_from_a_copy(void)
{
    enum { ANSWER_MS = 60000 }; /* so that a busy machine makes no copy late */
    static const status_t wrong[] = {ST_CORRUPT, ST_NOMEM, ST_INVAL, ST_NOTFOUND};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin(0, ANSWER_MS);
        nodes[0].refuses = wrong[i];
        join_and_wait(2);
        struct peer_report more = roomy;
        more.free_bytes *= 2;
        uint64_t left = 0;
        peers_report(peer_of_node(&nodes[0]), &more, false, &left);
        CHECK_EQ(put("box", "k", source, BIG), ST_OK);
        CHECK(eventually(nothing_lacks));
        CHECK_EQ(whole_copies(&nodes[0]), 0);
        CHECK_EQ(whole_copies(&nodes[1]), 1);
        look();
        CHECK_EQ(now.late_count, 0);
        CHECK_EQ(atomic_load(&damage_told), 0);
        finish();
    }
}

static bool damage_was_told(void)
{
    return atomic_load(&damage_told) > 0;
}

static void local_bytes_that_are_bad_are_no_nodes_fault(void)
{
    begin(0, 0);
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    damage("k");
    join_and_wait(2);
    CHECK(eventually(damage_was_told));
    CHECK_EQ(all_copies(), 0);
    look();
    CHECK_EQ(now.lacking_count, 1);
    CHECK_EQ(now.errors, 0);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK); /* and holds up no other one */
    CHECK(eventually(one_lacks));
    MUST(store_delete(store, "box", "k", NULL, &err));
    finish();
}

/* The state of a node is written before what its copies are counted as. */
static void a_state_whose_counts_a_crash_cut_off_is_counted_at_the_next_start(void)
{
    for (unsigned state = STORE_NODE_LOST; state <= STORE_NODE_LEAVING; state++) {
        char path[128], sql[64];
        sqlite3 *db = NULL;
        begin(0, 0);
        join_and_wait(1);
        CHECK_EQ(put("box", "k", source, BIG), ST_OK);
        CHECK(eventually(nothing_lacks));
        peers_stop(peers);
        end(&nodes[0]);
        store_close(store);
        peers_close(peers);
        store = NULL;
        snprintf(path, sizeof path, "%s/meta.db", scratch);
        snprintf(sql, sizeof sql, "UPDATE node SET state = %u", state);
        CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
        CHECK_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        MUST(store_open(scratch, NULL, &store, &err));
        open_peers(0, 0);
        look();
        CHECK_EQ(now.lacking_count, 1);
        CHECK_EQ(now.nodes[0].state, state == STORE_NODE_LOST ? PEER_LOST : PEER_LEAVING);
        join(&nodes[0]);
        CHECK(eventually(state == STORE_NODE_LOST ? nothing_lacks : no_nodes));
        finish();
    }
}

static void what_two_buckets_have_together_keeps_the_higher_rule(void)
{
    struct store_name from = {"box", "k"}, to = {"other", "k"};
    begin(0, 0);
    MUST(store_bucket_create(store, "other", "", &err));
    MUST(store_bucket_set_replicas(store, "box", 3, NULL, NULL, &err));
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    MUST(store_copy(store, &from, &to, NULL, NULL, NULL, NULL, &err));
    join_and_wait(2);
    CHECK(eventually(nothing_lacks));
    CHECK_EQ(all_copies(), 2);
    MUST(store_bucket_set_replicas(store, "other", 2, NULL, NULL, &err));
    end(&nodes[0]);
    MUST(peers_forget(peers, "a", &err));
    look();
    CHECK_EQ(now.lacking_count, 1); /* of the two of "box" */
    MUST(store_delete(store, "box", "k", NULL, &err));
    MUST(store_bucket_set_replicas(store, "other", 2, NULL, NULL, &err));
    look();
    CHECK_EQ(now.lacking_count, 0);
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
    RUN(copies_that_are_too_many_are_removed);
    RUN(bad_local_bytes_are_repaired_before_the_last_copy_goes);
    RUN(nothing_is_removed_while_a_node_that_counts_is_away);
    RUN(a_start_removes_what_the_last_one_did_not_come_to);
    RUN(rows_are_kept_over_a_restart);
    RUN(an_order_ends_though_others_are_answered);
    RUN(what_one_node_says_is_wrong_does_not_keep_others_from_a_copy);
    RUN(local_bytes_that_are_bad_are_no_nodes_fault);
    RUN(a_state_whose_counts_a_crash_cut_off_is_counted_at_the_next_start);
    RUN(what_two_buckets_have_together_keeps_the_higher_rule);
    RUN(a_store_of_format_4_is_taken_over);
    return CHECK_DONE();
}
