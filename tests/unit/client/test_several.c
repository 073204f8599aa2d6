#include <stdatomic.h>

#include "served.h"

enum { LONG = 8 << 20 };

/* Several controllers, of which one leads: which one is what each test says. */

static struct served first, second, *const all[2] = {&first, &second};
static struct geds *g;
static char list[1024];
static _Atomic bool leads[2], moves; /* moves: who leads says once that he does no more */

static void *session_new(void *ctx, const struct rpc_peer *peer, struct error *why)
{
    size_t number = ctx == &second.context;
    if (!atomic_load(&leads[number])) {
        error_set(why, ST_MOVED, ERROR_NO_OFFSET, "not the leader, it is %s",
                  all[1 - number]->address);
        return NULL;
    }
    return serve_handler()->session_new(ctx, peer, why);
}

static void session_free(void *session)
{
    serve_handler()->session_free(session);
}

static bool is_quick(void *session, const struct rpc_request *r)
{
    return serve_handler()->is_quick(session, r);
}

static void run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                struct rpc_answer *answer)
{
    const struct error why = {.offset = ERROR_NO_OFFSET, .text = "not the leader"};
    if (atomic_exchange(&moves, false)) {
        atomic_store(&leads[0], !atomic_load(&leads[0]));
        atomic_store(&leads[1], !atomic_load(&leads[1]));
        rpc_result_encode(ST_MOVED, &why, &answer->args);
        return;
    }
    serve_handler()->run(session, r, reply, answer);
}

static const struct rpc_handler handler = {session_new, session_free, is_quick, run};

static void begin(size_t leader)
{
    for (size_t i = 0; i < 2; i++) {
        served_names(all[i]);
        served_open(all[i], &handler);
        atomic_store(&leads[i], i == leader);
    }
    snprintf(list, sizeof list, "%s,%s", all[0]->address, all[1]->address);
}

static void end(void)
{
    geds_disconnect(g);
    g = NULL;
    for (size_t i = 0; i < 2; i++) {
        served_close(all[i]);
        served_remove(all[i]);
    }
}

/* Each store has a bucket of its own, by which it is known. */
static bool is_at(size_t number)
{
    struct geds_bucket b;
    return geds_bucket_status(g, number == 0 ? "first" : "second", &b, NULL) == GEDS_OK;
}

static void make_buckets(void)
{
    CHECK_EQ(store_bucket_create(all[0]->store, "first", "", NULL), ST_OK);
    CHECK_EQ(store_bucket_create(all[1]->store, "second", "", NULL), ST_OK);
}

static void the_one_that_leads_is_found(void)
{
    for (size_t i = 0; i < 2; i++) {
        begin(i);
        make_buckets();
        OK(geds_connect(list, &g, &err));
        CHECK(is_at(i));
        end();
    }
}

static void one_that_does_not_says_who_does(void)
{
    begin(0);
    CHECK_EQ(geds_connect(all[1]->address, &g, &err), GEDS_MOVED);
    CHECK(strstr(err.text, all[0]->address) != NULL);
    end();
}

static void a_connection_goes_on_with_the_next_one(void)
{
    begin(0);
    make_buckets();
    OK(geds_connect(list, &g, &err));
    CHECK(is_at(0));
    rpc_server_stop(all[0]->server);
    all[0]->server = NULL;
    atomic_store(&leads[1], true);
    CHECK(is_at(1)); /* no call of unknown fate: the end was there to be seen */
    CHECK(is_at(1));
    end();
}

static void what_a_former_leader_refuses_is_asked_of_the_next_one(void)
{
    begin(0);
    make_buckets();
    OK(geds_connect(list, &g, &err));
    CHECK(is_at(0));
    atomic_store(&moves, true);
    OK(geds_bucket_create(g, "third", &err));
    CHECK_EQ(store_bucket_stat(all[0]->store, "third", NULL, NULL, NULL), ST_NOTFOUND);
    CHECK_EQ(store_bucket_stat(all[1]->store, "third", NULL, NULL, NULL), ST_OK);
    end();
}

static void what_was_open_ends_with_its_leader(void)
{
    struct geds_writer *w = NULL;
    begin(0);
    make_buckets();
    CHECK_EQ(store_bucket_create(all[1]->store, "first", "", NULL), ST_OK);
    OK(geds_connect(list, &g, &err));
    OK(geds_create(g, "first", "key", NULL, &w, &err));
    uint8_t *bytes = pattern(LONG, 1); /* more than waits here until the end */
    OK(geds_write(w, bytes, LONG, &err));
    free(bytes);
    rpc_server_stop(all[0]->server);
    all[0]->server = NULL;
    atomic_store(&leads[1], true);
    CHECK(geds_seal(w, NULL, NULL, &err) != GEDS_OK);
    CHECK(is_at(1));
    end();
}

static void a_list_that_is_none_is_refused(void)
{
    CHECK_EQ(geds_connect("unix:/a,,unix:/b", &g, &err), GEDS_INVAL);
    CHECK_EQ(geds_connect("unix:/a,", &g, &err), GEDS_INVAL);
    CHECK_EQ(geds_connect("unix:/a,ftp://b", &g, &err), GEDS_INVAL);
    CHECK_EQ(geds_connect("unix:/1,unix:/2,unix:/3,unix:/4,unix:/5,unix:/6,unix:/7,unix:/8,unix:/9",
                          &g, &err),
             GEDS_INVAL);
}

int main(void)
{
    RUN(the_one_that_leads_is_found);
    RUN(one_that_does_not_says_who_does);
    RUN(a_connection_goes_on_with_the_next_one);
    RUN(what_a_former_leader_refuses_is_asked_of_the_next_one);
    RUN(what_was_open_ends_with_its_leader);
    RUN(a_list_that_is_none_is_refused);
    return CHECK_DONE();
}
