#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cloudskin/geds.h"
#include "geds/serve/serve.h"
#include "geds/tier/tier.h"
#include "geds/tiers.h"
#include "net/rpc/local.h"

/* The client against a store whose tier is a table in memory. */

enum { COPIES_MAX = 64, LEN = 1500000 };

static struct {
    char name[100];
    uint8_t *data;
    size_t len;
} copies[COPIES_MAX];
static _Atomic bool is_down;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held: reads hang */
static _Atomic unsigned table_reads;

static status_t answer(struct error *err)
{
    return atomic_load(&is_down) ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "no answer") : ST_OK;
}

static size_t find(const char *name)
{
    size_t i = 0;
    while (i < COPIES_MAX && strcmp(copies[i].name, name) != 0) {
        i++;
    }
    return i;
}

static status_t table_send(void *arg, const char *name, const struct tier_source *source,
                           const char *upload,
                           status_t (*begun)(void *begun_arg, const char *id, struct error *err),
                           void *begun_arg, struct error *err)
{
    (void)arg, (void)upload, (void)begun, (void)begun_arg;
    status_t st = answer(err);
    if (st != ST_OK) {
        return st;
    }
    size_t i = find(name);
    i = i < COPIES_MAX ? i : find("");
    uint8_t *data = malloc((size_t)source->size);
    st = source->read(source->arg, 0, data, (size_t)source->size, err);
    free(copies[i].data);
    copies[i].data = data;
    copies[i].len = (size_t)source->size;
    snprintf(copies[i].name, sizeof copies[i].name, "%s", name);
    return st;
}

static status_t table_size(void *arg, const char *name, uint64_t *ret_size, struct error *err)
{
    (void)arg;
    size_t i = find(name);
    status_t st = answer(err);
    if (st == ST_OK && i == COPIES_MAX) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "not there");
    }
    *ret_size = i < COPIES_MAX ? copies[i].len : 0;
    return st;
}

static status_t table_read(void *arg, const char *name, uint64_t off, void *data, size_t len,
                           struct error *err)
{
    (void)arg;
    size_t i = find(name);
    atomic_fetch_add(&table_reads, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    status_t st = answer(err);
    if (st == ST_OK && (i == COPIES_MAX || off + len > copies[i].len)) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "not there");
    }
    if (st == ST_OK) {
        memcpy(data, copies[i].data + off, len);
    }
    return st;
}

static status_t table_remove(void *arg, const char *const *names, size_t count, status_t *results,
                             struct error *err)
{
    (void)arg, (void)names;
    for (size_t i = 0; i < count; i++) {
        results[i] = ST_OK;
    }
    return answer(err);
}

static status_t table_forget(void *arg, const char *name, uint64_t size, const char *upload,
                             struct error *err)
{
    (void)arg, (void)name, (void)size, (void)upload;
    return answer(err);
}

static status_t table_list(void *arg, const char *prefix,
                           status_t (*found)(void *found_arg, const char *name, uint64_t size,
                                             struct error *err),
                           void *found_arg, struct error *err)
{
    (void)arg, (void)prefix;
    status_t st = answer(err);
    for (size_t i = 0; i < COPIES_MAX && st == ST_OK; i++) {
        st = copies[i].name[0] != '\0' ? found(found_arg, copies[i].name, copies[i].len, err)
                                       : ST_OK;
    }
    return st;
}

static void table_stop(void *arg)
{
    (void)arg;
}

static const struct tier_remote table = {.send = table_send,
                                         .size = table_size,
                                         .read = table_read,
                                         .remove = table_remove,
                                         .forget = table_forget,
                                         .list = table_list,
                                         .stop = table_stop};

static char folder[64], path[100], address[128];
static int listen_fd;
static struct store *store;
static struct tier *tier;
static struct rpc_server *server;
static struct serve_context context;
static struct geds *g;
static struct geds_error err;
static uint8_t source[LEN], back[LEN + 1];

#define OK(call)                                                                     \
    do {                                                                             \
        if ((call) != GEDS_OK) {                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.text); \
            check_failures++;                                                        \
        }                                                                            \
    } while (0)

static void start(bool with_tier)
{
    char state[128];
    struct error inner = {0};
    snprintf(folder, sizeof folder, "/tmp/geds-client-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    snprintf(state, sizeof state, "%s/state", folder);
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    CHECK_EQ(store_open(state, &options, &store, &inner), ST_OK);
    context = (struct serve_context){
        .store = store, .version = "test", .state = folder, .s3 = "127.0.0.1:1"};
    if (with_tier) {
        const struct tier_options o = {.store = store,
                                       .remote = &table,
                                       .high_bytes = 1 << 30,
                                       .low_bytes = 1 << 20,
                                       .cache_bytes = STORE_CACHE_MIN,
                                       .retry_ms = 5,
                                       .retry_max_ms = 10};
        CHECK_EQ(tier_open(&o, &tier, &inner), ST_OK);
        context.tier = tier;
        context.tier_name = "s3://b/p";
        context.tier_endpoint = "http://h:1";
    }
    CHECK_EQ(rpc_local_listen(path, &listen_fd, &inner), ST_OK);
    const struct rpc_server_options o = {
        .listen_fd = listen_fd, .handler = serve_handler(), .ctx = &context};
    CHECK_EQ(rpc_server_start(&o, &server, &inner), ST_OK);
    OK(geds_connect(address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
}

static int remove_entry(const char *name, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(name);
}

static void stop(void)
{
    geds_disconnect(g);
    rpc_server_stop(server);
    rpc_local_unlisten(path, listen_fd);
    store_close(store);
    tier_close(tier);
    tier = NULL;
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < COPIES_MAX; i++) {
        free(copies[i].data);
    }
    memset(copies, 0, sizeof copies);
}

static bool reads(struct geds_object *o)
{
    size_t len = 0;
    return geds_pread(o, back, sizeof back, 0, &len, &err) == GEDS_OK && len == LEN &&
           memcmp(back, source, LEN) == 0;
}

static void objects_go_and_come_back(void)
{
    struct geds_moved moved = {0};
    struct geds_tier t;
    struct geds_object *o = NULL;
    const void *data = NULL;
    size_t len = 0;
    start(true);
    OK(geds_put(g, "bucket", "a/k", NULL, NULL, source, LEN, NULL, &err));
    OK(geds_put(g, "bucket", "a/l", NULL, NULL, source, LEN, NULL, &err));
    OK(geds_spill(g, "bucket", "a/", true, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.objects, 2);
    CHECK_EQ(moved.bytes, 2 * LEN);
    OK(geds_tier_status(g, &t, &err));
    CHECK_STR(t.name, "s3://b/p");
    CHECK_STR(t.endpoint, "http://h:1");
    CHECK_EQ(t.away_bytes, 2 * LEN);
    CHECK_EQ(t.spilled_count, 2);
    CHECK_EQ(t.high_bytes, 1 << 30);
    OK(geds_open(g, "bucket", "a/k", &o, &err));
    atomic_store(&is_down, true);
    CHECK_EQ(geds_pread(o, back, 10, 5, &len, &err), GEDS_AGAIN);
    CHECK(strstr(err.text, "the tier is away") != NULL);
    atomic_store(&is_down, false);
    while (!reads(o) && err.code == GEDS_AGAIN) { /* it is tried again after some ms */
        sched_yield();
    }
    CHECK(reads(o));
    OK(geds_map(o, &data, &len, &err)); /* recalls */
    CHECK(len == LEN && memcmp(data, source, LEN) == 0);
    geds_unmap(data, len);
    geds_close(o);
    OK(geds_recall(g, "bucket", "a/l", false, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.extents, 1);
    OK(geds_pin(g, "bucket", "a/l", false, true, NULL, NULL, &moved, &err));
    OK(geds_spill(g, "bucket", "", true, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.kept, 1);
    OK(geds_pin(g, "bucket", "", true, false, NULL, NULL, NULL, &err));
    OK(geds_spill(g, "bucket", "a/l", false, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.kept, 0);
    OK(geds_tier_status(g, &t, &err));
    CHECK_EQ(t.local_count, 0);
    CHECK_EQ(geds_spill(g, "bucket", "none", false, NULL, NULL, NULL, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_spill(g, "bucket", "", false, NULL, NULL, NULL, &err), GEDS_INVAL);
    struct geds_check n;
    OK(geds_fsck_all(g, false, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 0);
    copies[0].len--;
    OK(geds_fsck_all(g, false, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 1);
    stop();
}

enum { READERS = STORE_WAITERS_MAX + 8 };
static _Atomic unsigned answered[GEDS_AGAIN + 1]; /* by code */

/* A process of its own, as far as the store sees it. */
static void *read_some(void *arg)
{
    struct geds *own = NULL;
    struct geds_object *o = NULL;
    struct geds_error why;
    uint8_t some[10];
    size_t len = 0;
    enum geds_code code = geds_connect(address, &own, &why);
    if (code == GEDS_OK) {
        code = geds_open(own, "bucket", arg, &o, &why);
    }
    if (code == GEDS_OK) {
        code = geds_pread(o, some, sizeof some, 500000, &len, &why);
        CHECK(code != GEDS_OK || memcmp(some, source + 500000, sizeof some) == 0);
        geds_close(o);
    }
    geds_disconnect(own);
    if (code == GEDS_OK || code == GEDS_AGAIN) {
        atomic_fetch_add(&answered[code], 1);
    }
    return NULL;
}

static void others_go_on(const char *key)
{
    struct geds_info info;
    OK(geds_put(g, "bucket", key, NULL, NULL, source, LEN, NULL, &err));
    OK(geds_stat(g, "bucket", key, &info, &err));
    OK(geds_delete(g, "bucket", key, NULL, &err));
}

static void read_many(pthread_t *threads, size_t count, char *key)
{
    atomic_store(&answered[GEDS_OK], 0);
    atomic_store(&answered[GEDS_AGAIN], 0);
    atomic_store(&table_reads, 0);
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, read_some, key), 0);
    }
    while (atomic_load(&table_reads) == 0) {
        sched_yield();
    }
}

static void end_many(const pthread_t *threads, size_t count)
{
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static int damage_file(const char *name, const struct stat *info, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && info->st_size >= LEN) {
        int fd = open(name, O_WRONLY | O_CLOEXEC);
        CHECK_EQ(pwrite(fd, "damage", 6, 500002), 6);
        close(fd);
    }
    return 0;
}

/* A tier that hangs stops those who need it, and of them not more than there are threads for. */
static void a_hanging_tier_holds_few_up(void)
{
    pthread_t threads[READERS];
    char data[128], k[] = "k", l[] = "l";
    start(true);
    OK(geds_put(g, "bucket", k, NULL, NULL, source, LEN, NULL, &err));
    OK(geds_spill(g, "bucket", k, false, NULL, NULL, NULL, &err));
    read_many(threads, READERS, k);
    while (atomic_load(&answered[GEDS_AGAIN]) < READERS - STORE_WAITERS_MAX) {
        sched_yield();
    }
    others_go_on("m");
    CHECK_EQ(atomic_load(&answered[GEDS_AGAIN]), READERS - STORE_WAITERS_MAX);
    CHECK_EQ(atomic_load(&answered[GEDS_OK]), 0);
    end_many(threads, READERS);
    CHECK_EQ(atomic_load(&answered[GEDS_OK]), STORE_WAITERS_MAX);
    /* local bytes that turn out to be damaged need it as well: no quick request may wait for that */
    OK(geds_put(g, "bucket", l, NULL, NULL, source, LEN, NULL, &err));
    OK(geds_spill(g, "bucket", l, false, NULL, NULL, NULL, &err));
    OK(geds_recall(g, "bucket", l, false, NULL, NULL, NULL, &err));
    snprintf(data, sizeof data, "%s/state/data", folder);
    CHECK_EQ(nftw(data, damage_file, 16, FTW_PHYS), 0);
    read_many(threads, 8, l);
    others_go_on("m");
    end_many(threads, 8);
    CHECK_EQ(atomic_load(&answered[GEDS_OK]), 8);
    stop();
}

static void a_bucket_has_a_rule(void)
{
    enum geds_spill_rule rule = GEDS_SPILL_EAGER;
    start(true);
    OK(geds_bucket_spill(g, "bucket", &rule, &err));
    CHECK_EQ(rule, GEDS_SPILL_WATERMARK);
    OK(geds_bucket_set_spill(g, "bucket", GEDS_SPILL_NEVER, &err));
    OK(geds_bucket_spill(g, "bucket", &rule, &err));
    CHECK_EQ(rule, GEDS_SPILL_NEVER);
    OK(geds_bucket_set_spill(g, "bucket", GEDS_SPILL_EAGER, &err));
    OK(geds_bucket_spill(g, "bucket", &rule, &err));
    CHECK_EQ(rule, GEDS_SPILL_EAGER);
    CHECK_EQ(geds_bucket_spill(g, "other", &rule, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_bucket_set_spill(g, "bucket", (enum geds_spill_rule)9, &err), GEDS_INVAL);
    stop();
}

static void a_store_without_a_tier_says_so(void)
{
    struct geds_tier t;
    struct geds_check n;
    start(false);
    OK(geds_put(g, "bucket", "k", NULL, NULL, source, LEN, NULL, &err));
    OK(geds_tier_status(g, &t, &err));
    CHECK_STR(t.name, "");
    CHECK_EQ(t.local_bytes, LEN);
    CHECK_EQ(geds_spill(g, "bucket", "k", false, NULL, NULL, NULL, &err), GEDS_UNSUPPORTED);
    CHECK_EQ(geds_fsck_all(g, false, NULL, NULL, &n, &err), GEDS_UNSUPPORTED);
    stop();
}

int main(void)
{
    for (size_t i = 0; i < LEN; i++) {
        source[i] = (uint8_t)(i * 7 + i / 1000);
    }
    RUN(objects_go_and_come_back);
    RUN(a_hanging_tier_holds_few_up);
    RUN(a_bucket_has_a_rule);
    RUN(a_store_without_a_tier_says_so);
    return CHECK_DONE();
}
