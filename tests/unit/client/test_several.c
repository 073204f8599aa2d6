#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "served.h"

enum { LONG = 8 << 20, CLIENTS = 8, STALL_MS = 30 * 1000, QUICK_MS = 3000 };

/* Several controllers, of which one leads: which one is what each test says. */

static struct served first, second, *const all[2] = {&first, &second};
static struct geds *g;
static char list[1024];
static _Atomic bool leads[2], moves; /* moves: who leads says once that he does no more */
static _Atomic bool stalls, stalled,
    goes_on; /* the next request is not answered until goes_on, or somebody refuses */
static _Atomic unsigned refusals;

static void *session_new(void *ctx, const struct rpc_peer *peer, struct error *why)
{
    size_t number = ctx == &second.context;
    if (!atomic_load(&leads[number])) {
        atomic_fetch_add(&refusals, 1);
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
    if (atomic_exchange(&stalls, false)) {
        unsigned before = atomic_load(&refusals);
        atomic_store(&stalled, true);
        for (int i = 0; i < STALL_MS && !atomic_load(&goes_on); i++) {
            poll(NULL, 0, 1);
            if (!atomic_load(&leads[1]) && atomic_load(&refusals) > before) {
                break;
            }
        }
        atomic_store(&stalled, false);
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

/* The second one leads while the first one does not answer. */
static void stall_the_first(void)
{
    begin(0);
    make_buckets();
    OK(geds_connect(list, &g, &err));
    CHECK(is_at(0));
    atomic_store(&goes_on, false);
    atomic_store(&stalls, true);
    atomic_store(&leads[1], true);
}

static void end_stall(void)
{
    CHECK(atomic_load(&stalled));
    atomic_store(&goes_on, true);
    end();
}

static void a_change_ends_when_another_one_leads(void)
{
    stall_the_first();
    CHECK_EQ(geds_bucket_create(g, "third", &err), GEDS_IO);
    CHECK(strstr(err.text, "another one leads") != NULL);
    CHECK_EQ(store_bucket_stat(all[1]->store, "third", NULL, NULL, NULL), ST_NOTFOUND);
    CHECK(is_at(1));
    end_stall();
}

static void a_read_is_asked_of_the_one_that_leads(void)
{
    stall_the_first();
    CHECK(is_at(1));
    end_stall();
}

static void who_takes_long_is_waited_for_while_nobody_else_leads(void)
{
    begin(0);
    make_buckets();
    OK(geds_connect(list, &g, &err));
    CHECK(is_at(0));
    atomic_store(&goes_on, false);
    atomic_store(&stalls, true); /* until the other one was asked */
    OK(geds_bucket_create(g, "third", &err));
    CHECK_EQ(store_bucket_stat(all[0]->store, "third", NULL, NULL, NULL), ST_OK);
    CHECK(is_at(0));
    end();
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Its kernel takes connections, until the queue is full. */
static void one_that_stands_still_is_not_waited_for(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    begin(1);
    make_buckets();
    CHECK(snprintf(at.sun_path, sizeof at.sun_path, "%s/still", all[0]->folder) <
          (int)sizeof at.sun_path);
    CHECK_EQ(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_EQ(listen(fd, 2), 0);
    snprintf(list, sizeof list, "unix:%s/still,%s", all[0]->folder, all[1]->address);
    for (int i = 0; i < CLIENTS; i++) {
        uint64_t from = now_ms();
        OK(geds_connect(list, &g, &err));
        CHECK(now_ms() - from < QUICK_MS);
        CHECK(is_at(1));
        geds_disconnect(g);
    }
    g = NULL;
    close(fd);
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
    RUN(a_change_ends_when_another_one_leads);
    RUN(a_read_is_asked_of_the_one_that_leads);
    RUN(who_takes_long_is_waited_for_while_nobody_else_leads);
    RUN(one_that_stands_still_is_not_waited_for);
    RUN(a_list_that_is_none_is_refused);
    return CHECK_DONE();
}
