#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "proto/geds.h"
#include "proto/lease.h"
#include "served.h"

/* What a client keeps is used as long as it is right, and not longer. */

static struct served s;
static struct geds *g;

static void start(void)
{
    served_names(&s);
    served_open(&s, serve_handler());
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
}

static void stop(void)
{
    geds_disconnect(g);
    served_close(&s);
    served_remove(&s);
}

static void put(const char *key, size_t len, unsigned seed)
{
    uint8_t *bytes = pattern(len, seed);
    OK(geds_put(g, "bucket", key, NULL, NULL, bytes, len, NULL, &err));
    free(bytes);
}

/* Does the name lead to these bytes, by open, stat, read of all and of parts, and map? */
static bool is(struct geds *by, const char *key, size_t len, unsigned seed)
{
    struct geds_object *o = NULL;
    struct geds_error why;
    struct geds_info info = {0};
    const void *data = NULL;
    size_t got = 0, mapped = 0;
    uint8_t *want = pattern(len, seed), *bytes = malloc(len + 10);
    if (geds_open(by, "bucket", key, &o, &why) != GEDS_OK) {
        fprintf(stderr, "%s: %s\n", key, why.text);
        free(want);
        free(bytes);
        return false;
    }
    bool good = geds_object_info(o)->size == len &&
                geds_pread(o, bytes, len + 10, 0, &got, &why) == GEDS_OK && got == len &&
                memcmp(bytes, want, len) == 0 && geds_map(o, &data, &mapped, &why) == GEDS_OK &&
                mapped == len && memcmp(data, want, len) == 0 &&
                geds_stat(by, "bucket", key, &info, &why) == GEDS_OK && info.size == len;
    for (size_t at = 1; good && at < len; at = 2 * at + 4093) {
        good = geds_pread(o, bytes, 4096, at, &got, &why) == GEDS_OK &&
               got == (len - at < 4096 ? len - at : 4096) && memcmp(bytes, want + at, got) == 0;
    }
    if (data != NULL) {
        geds_unmap(data, mapped);
    }
    geds_close(o);
    free(want);
    free(bytes);
    return good;
}

/* Until it is kept with all its bytes. */
static void heat(const char *key, size_t len, unsigned seed)
{
    for (int i = 0; i < 4; i++) {
        CHECK(is(g, key, len, seed));
    }
}

static const size_t sizes[] = {0, 1, 4096, 16384, 16385, 65536, 65537, 200000, 3000001};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void what_is_hot_needs_no_request(void)
{
    start();
    for (unsigned i = 0; i < SIZES; i++) {
        put("k", sizes[i], i);
        heat("k", sizes[i], i);
        uint64_t before = served_requests(&s);
        for (int k = 0; k < 20; k++) {
            CHECK(is(g, "k", sizes[i], i));
        }
        CHECK_EQ(served_requests(&s), before);
    }
    stop();
}

static void attributes_are_kept_too(void)
{
    const struct geds_attribute pairs[] = {{"x-amz-meta-who", "me"}};
    const struct geds_attributes a = {"image/tiff", pairs, 1};
    struct geds_object *o[3] = {0};
    start();
    OK(geds_put(g, "bucket", "k", &a, NULL, "1", 1, NULL, &err));
    for (int i = 0; i < 3; i++) {
        OK(geds_open(g, "bucket", "k", &o[i], &err));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STR(geds_object_attributes(o[i])->content_type, "image/tiff");
        CHECK_EQ(geds_object_attributes(o[i])->count, 1);
        CHECK_STR(geds_object_attributes(o[i])->pairs[0].value, "me");
        geds_close(o[i]);
    }
    stop();
}

static enum geds_code look(const char *key)
{
    struct geds_object *o = NULL;
    struct geds_info info;
    enum geds_code code = geds_open(g, "bucket", key, &o, &err);
    CHECK_EQ(geds_stat(g, "bucket", key, &info, &err), code);
    geds_close(code == GEDS_OK ? o : NULL);
    return code;
}

static void each_change_of_a_client_is_seen_at_once(void)
{
    enum geds_code codes[2];
    const char *keys[] = {"k", "none"};
    uint64_t count = 0;
    start();
    for (unsigned i = 0; i < 2; i++) {
        size_t len = i == 0 ? 5000 : 300000;
        put("k", len, 1);
        heat("k", len, 1);
        put("k", len, 2);
        CHECK(is(g, "k", len, 2));
        heat("k", len, 2);
        OK(geds_append(g, "bucket", "k", NULL, "more", 4, NULL, &err));
        struct geds_info info;
        OK(geds_stat(g, "bucket", "k", &info, &err));
        CHECK_EQ(info.size, len + 4);
        put("k", len, 3);
        heat("k", len, 3);
        OK(geds_delete(g, "bucket", "k", NULL, &err));
        CHECK_EQ(look("k"), GEDS_NOTFOUND);
        put("k", len, 4);
        heat("k", len, 4);
        put("to", len, 5);
        heat("to", len, 5);
        OK(geds_rename(g, "bucket", "k", "bucket", "to", NULL, &err));
        CHECK_EQ(look("k"), GEDS_NOTFOUND);
        CHECK(is(g, "to", len, 4));
        heat("to", len, 4);
        put("k", len, 6);
        OK(geds_copy(g, "bucket", "k", "bucket", "to", NULL, NULL, NULL, &err));
        CHECK(is(g, "to", len, 6));
        heat("k", len, 6);
        OK(geds_delete_many(g, "bucket", keys, 2, codes, &err));
        CHECK_EQ(look("k"), GEDS_NOTFOUND);
        put("p/1", len, 7);
        put("p/2", len, 8);
        heat("p/1", len, 7);
        heat("p/2", len, 8);
        OK(geds_rename_prefix(g, "bucket", "p/", "q/", &count, &err));
        CHECK_EQ(look("p/1"), GEDS_NOTFOUND);
        CHECK(is(g, "q/2", len, 8));
        OK(geds_delete(g, "bucket", "q/1", NULL, &err));
        OK(geds_delete(g, "bucket", "q/2", NULL, &err));
    }
    stop();
}

/* As the S3 endpoint makes them. */
static void each_change_of_others_is_seen_at_once(void)
{
    const struct store_attribute pair = {"x-amz-meta-a", "1"};
    struct store_removal item = {.key = "k", .version = STORE_VERSION_CURRENT};
    struct geds_object *o = NULL;
    struct store_put *p = NULL;
    struct error inner;
    start();
    CHECK_EQ(store_bucket_set_versioning(s.store, "bucket", STORE_VERSIONING_ON, &inner), ST_OK);
    put("k", 3000, 1);
    heat("k", 3000, 1);
    CHECK_EQ(store_change_attributes(s.store, "bucket", "k", STORE_VERSION_CURRENT, &pair, 1, NULL,
                                     NULL, &inner),
             ST_OK);
    OK(geds_open(g, "bucket", "k", &o, &err));
    CHECK_EQ(geds_object_attributes(o)->count, 1);
    geds_close(o);
    heat("k", 3000, 1);
    CHECK_EQ(store_put_begin(s.store, "bucket", "k", NULL, &p, &inner), ST_OK);
    uint8_t *bytes = pattern(4000, 2);
    CHECK_EQ(store_put_write(p, bytes, 4000, &inner), ST_OK);
    free(bytes);
    CHECK_EQ(store_put_commit(p, NULL, NULL, &inner), ST_OK);
    CHECK(is(g, "k", 4000, 2));
    heat("k", 4000, 2);
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK_EQ(look("k"), GEDS_NOTFOUND);
    item.version = item.removed; /* the marker: what it hid is back */
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK(is(g, "k", 4000, 2));
    heat("k", 4000, 2);
    struct store_info info;
    CHECK_EQ(store_stat(s.store, "bucket", "k", &info, &inner), ST_OK);
    item.version = info.version; /* the former version is back */
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK(is(g, "k", 3000, 1));
    stop();
}

static void an_open_object_stays_as_it_is(void)
{
    start();
    for (unsigned i = 0; i < SIZES; i++) {
        struct geds_object *o = NULL;
        size_t got = 0;
        uint8_t *want = pattern(sizes[i], i), *bytes = malloc(sizes[i] + 1);
        put("k", sizes[i], i);
        heat("k", sizes[i], i);
        OK(geds_open(g, "bucket", "k", &o, &err));
        put("k", 10, 99);
        OK(geds_delete(g, "bucket", "k", NULL, &err));
        OK(geds_pread(o, bytes, sizes[i], 0, &got, &err));
        CHECK(got == sizes[i] && memcmp(bytes, want, got) == 0);
        geds_close(o);
        free(want);
        free(bytes);
    }
    stop();
}

/* A register: who reads sees at least what was acknowledged, or seen by anybody, before he began. */
enum { WRITERS = 2, READERS = 4, REGISTERS = 3, WRITES = 400 };
static _Atomic uint64_t known[REGISTERS], next_value[REGISTERS];
static _Atomic bool over;
static _Atomic unsigned wrong;
static pthread_mutex_t turns[REGISTERS];
static size_t register_bytes;

static void learn(_Atomic uint64_t *what, uint64_t value)
{
    uint64_t now = atomic_load(what);
    while (now < value && !atomic_compare_exchange_weak(what, &now, value)) {
    }
}

static void name_of(unsigned i, char ret_key[32])
{
    snprintf(ret_key, 32, "register %u", i);
}

static void *write_registers(void *arg)
{
    struct geds *own = NULL;
    struct geds_error why;
    uint64_t *bytes = calloc(1, register_bytes);
    if (geds_connect(s.address, &own, &why) != GEDS_OK) {
        atomic_fetch_add(&wrong, 1);
    }
    for (unsigned n = 0; own != NULL && n < WRITES; n++) {
        unsigned i = (n + (unsigned)(uintptr_t)arg) % REGISTERS;
        char key[32], other[40];
        name_of(i, key);
        snprintf(other, sizeof other, "%s x", key);
        pthread_mutex_lock(&turns[i]); /* values go up */
        uint64_t value = atomic_fetch_add(&next_value[i], 1) + 1;
        bytes[0] = bytes[register_bytes / 8 - 1] = value;
        bool renames = n % 3 == 0;
        enum geds_code code = geds_put(own, "bucket", renames ? other : key, NULL, NULL, bytes,
                                       register_bytes, NULL, &why);
        if (code == GEDS_OK && renames) {
            code = geds_rename(own, "bucket", other, "bucket", key, NULL, &why);
        }
        if (code != GEDS_OK) {
            fprintf(stderr, "write: %s\n", why.text);
            atomic_fetch_add(&wrong, 1);
        }
        learn(&known[i], value);
        pthread_mutex_unlock(&turns[i]);
    }
    geds_disconnect(own);
    free(bytes);
    return NULL;
}

static void *read_registers(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    struct geds *own = NULL;
    struct geds_error why;
    for (unsigned n = 0; !atomic_load(&over); n++) {
        char key[32];
        unsigned i = n / 4 % REGISTERS;
        name_of(i, key);
        /* one of them always is a new client, which keeps nothing */
        struct geds *by = me != 0 ? g : NULL;
        if (by == NULL && geds_connect(s.address, &own, &why) == GEDS_OK) {
            by = own;
        }
        uint64_t before = atomic_load(&known[i]), first = 0, last = 0;
        struct geds_object *o = NULL;
        size_t got = 0;
        enum geds_code code = by == NULL ? GEDS_IO : geds_open(by, "bucket", key, &o, &why);
        if (code == GEDS_OK) {
            code = geds_pread(o, &first, 8, 0, &got, &why);
        }
        if (code == GEDS_OK) {
            code = geds_pread(o, &last, 8, register_bytes - 8, &got, &why);
        }
        geds_close(o);
        if (code != GEDS_OK || first < before || last != first) {
            fprintf(stderr, "%s: %d, %llu and %llu, known was %llu\n", key, (int)code,
                    (unsigned long long)first, (unsigned long long)last,
                    (unsigned long long)before);
            atomic_fetch_add(&wrong, 1);
        }
        learn(&known[i], first);
        geds_disconnect(own);
        own = NULL;
    }
    return NULL;
}

static void race(size_t bytes)
{
    pthread_t writers[WRITERS], readers[READERS];
    start();
    register_bytes = bytes;
    uint64_t *zeros = calloc(1, bytes);
    atomic_store(&over, false);
    for (unsigned i = 0; i < REGISTERS; i++) {
        char key[32];
        name_of(i, key);
        atomic_store(&known[i], 0);
        atomic_store(&next_value[i], 0);
        pthread_mutex_init(&turns[i], NULL);
        OK(geds_put(g, "bucket", key, NULL, NULL, zeros, bytes, NULL, &err));
    }
    free(zeros);
    for (uintptr_t i = 0; i < READERS; i++) {
        pthread_create(&readers[i], NULL, read_registers, (void *)i);
    }
    for (uintptr_t i = 0; i < WRITERS; i++) {
        pthread_create(&writers[i], NULL, write_registers, (void *)i);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    CHECK_EQ(atomic_load(&wrong), 0);
    stop();
}

static void nobody_reads_what_was_before_a_change_that_he_could_know_of(void)
{
    race(64);
    race(50000);
}

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void what_is_kept_is_bounded(void)
{
    enum { MANY = 5000, LARGE = 400 };
    char key[32];
    start();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%u", i);
        put(key, i % 100, i);
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(key, sizeof key, "%u", i);
            CHECK(is(g, key, i % 100, i));
        }
    }
    unsigned before = open_files();
    for (unsigned i = 0; i < LARGE; i++) {
        snprintf(key, sizeof key, "large %u", i);
        put(key, 20000, i);
        heat(key, 20000, i);
    }
    CHECK(open_files() <= before + 300);
    for (unsigned i = 0; i < LARGE; i++) {
        snprintf(key, sizeof key, "large %u", i);
        CHECK(is(g, key, 20000, i));
    }
    stop();
}

/* A store in a process of its own, which can be killed. */
static pid_t serve_elsewhere(void)
{
    int ready[2];
    char byte = 0;
    CHECK_EQ(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        served_open(&s, serve_handler());
        if (write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void kill_it(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static void after_a_kill_nothing_old_is_read(void)
{
    static const size_t lens[] = {100, 100000};
    served_names(&s);
    for (unsigned i = 0; i < 2; i++) {
        struct geds *old = NULL;
        pid_t pid = serve_elsewhere();
        OK(geds_connect(s.address, &g, &err));
        if (i == 0) {
            OK(geds_bucket_create(g, "bucket", &err));
        }
        put("k", lens[i], 1);
        heat("k", lens[i], 1);
        old = g;
        kill_it(pid);
        pid = serve_elsewhere();
        OK(geds_connect(s.address, &g, &err));
        put("k", lens[i], 2);
        struct geds_object *o = NULL;
        struct geds_info info;
        CHECK_EQ(geds_open(old, "bucket", "k", &o, &err), GEDS_IO);
        CHECK_EQ(geds_stat(old, "bucket", "k", &info, &err), GEDS_IO);
        geds_disconnect(old);
        heat("k", lens[i], 2);
        geds_disconnect(g);
        kill_it(pid);
    }
    served_remove(&s);
}

/* Who has nothing but the connection to go by notices as well: the folder may be gone. */
static void a_lost_connection_ends_leases(void)
{
    served_names(&s);
    pid_t pid = serve_elsewhere();
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
    put("k", 100, 1);
    heat("k", 100, 1);
    kill_it(pid);
    served_remove(&s);
    struct geds_info info;
    enum geds_code code = GEDS_OK;
    for (int i = 0; i < 500 && code == GEDS_OK; i++) {
        code = geds_stat(g, "bucket", "k", &info, &err);
        poll(NULL, 0, 10);
    }
    CHECK_EQ(code, GEDS_IO);
    geds_disconnect(g);
}

static void a_store_that_is_closed_ends_its_leases(void)
{
    start();
    put("k", 100, 1);
    heat("k", 100, 1);
    served_close(&s);
    struct geds_info info;
    CHECK_EQ(geds_stat(g, "bucket", "k", &info, &err), GEDS_IO);
    char name[200];
    snprintf(name, sizeof name, "%s/leases", s.state);
    CHECK(access(name, F_OK) != 0);
    geds_disconnect(g);
    served_remove(&s);
}

static void a_store_that_is_closed_leaves_the_leases_of_another_in_its_place(void)
{
    char moved[140], name[200];
    struct store *other = NULL;
    struct error inner;
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    start();
    snprintf(moved, sizeof moved, "%s-moved", s.state);
    snprintf(name, sizeof name, "%s/leases", s.state);
    CHECK_EQ(rename(s.state, moved), 0);
    CHECK_EQ(store_open(s.state, &options, &other, &inner), ST_OK);
    geds_disconnect(g);
    served_close(&s);
    CHECK_EQ(access(name, F_OK), 0);
    store_close(other);
    CHECK(access(name, F_OK) != 0);
    snprintf(name, sizeof name, "%s/leases", moved);
    CHECK(access(name, F_OK) != 0);
    served_remove(&s);
}

enum { FEW_FILES = 64, WRITTEN = 3000000 };

/* All that this process may have. */
static unsigned open_all(int *ret_fds)
{
    unsigned count = 0;
    while (count < FEW_FILES && (ret_fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    CHECK(count < FEW_FILES && errno == EMFILE);
    return count;
}

static void read_without_files(const char *key, size_t len, unsigned seed)
{
    uint8_t *want = pattern(len, seed), *bytes = malloc(len);
    struct geds_object *o = NULL;
    size_t got = 0, mapped = 0;
    const void *data = NULL;
    OK(geds_open(g, "bucket", key, &o, &err));
    OK(geds_pread(o, bytes, len, 0, &got, &err));
    CHECK(got == len && memcmp(bytes, want, len) == 0);
    CHECK_EQ(geds_map(o, &data, &mapped, &err), GEDS_LIMIT);
    geds_close(o);
    free(want);
    free(bytes);
}

/* The store passes files, and there is no room for them. */
static void too_many_open_files_cost_no_connection(void)
{
    for (int hot = 0; hot < 2; hot++) {
        struct rlimit before, few;
        struct geds_writer *w = NULL;
        int fds[FEW_FILES];
        uint8_t *bytes = pattern(WRITTEN, 2);
        served_names(&s);
        pid_t pid = serve_elsewhere();
        CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
        few = before;
        few.rlim_cur = FEW_FILES;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
        OK(geds_connect(s.address, &g, &err));
        OK(geds_bucket_create(g, "bucket", &err));
        put("k", 300000, 1);
        put("small", 10, 1);
        for (int i = 0; i < 4 && hot == 1; i++) {
            CHECK(is(g, "small", 10, 1)); /* so the table is here already */
        }
        OK(geds_create(g, "bucket", "w", NULL, &w, &err));
        OK(geds_write(w, bytes, WRITTEN / 2, &err));
        unsigned count = open_all(fds);
        for (int i = 0; i < 4; i++) {
            read_without_files("k", 300000, 1);
        }
        OK(geds_write(w, bytes + WRITTEN / 2, WRITTEN / 2, &err));
        while (count > 0) {
            close(fds[--count]);
        }
        OK(geds_seal(w, NULL, NULL, &err));
        CHECK(is(g, "w", WRITTEN, 2));
        unsigned files = open_files();
        heat("k", 300000, 1);
        CHECK_EQ(open_files() > files, hot == 1);
        geds_disconnect(g);
        kill_it(pid);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        served_remove(&s);
        free(bytes);
    }
}

/* Damage is found here, and the store has the last word. */
static void damage_is_reported_with_its_place(void)
{
    enum { SIZE = 300000 };
    char command[300], byte = 0;
    struct geds_object *o = NULL;
    size_t got = 0;
    uint8_t *bytes = malloc(SIZE);
    start();
    put("k", SIZE, 1);
    heat("k", SIZE, 1);
    snprintf(command, sizeof command, "find %s/data -type f", s.state);
    FILE *p = popen(command, "r");
    char name[256] = "";
    CHECK(p != NULL && fgets(name, sizeof name, p) != NULL);
    pclose(p);
    name[strcspn(name, "\n")] = '\0';
    int fd = open(name, O_RDWR);
    CHECK(pread(fd, &byte, 1, 140000) == 1);
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, 140000) == 1);
    OK(geds_open(g, "bucket", "k", &o, &err));
    CHECK_EQ(geds_pread(o, bytes, 100, 139000, &got, &err), GEDS_CORRUPT);
    CHECK_EQ(err.offset, 131072);
    CHECK_EQ(geds_pread(o, bytes, SIZE, 0, &got, &err), GEDS_CORRUPT);
    OK(geds_pread(o, bytes, 65536, 65536, &got, &err));
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, 140000) == 1);
    OK(geds_pread(o, bytes, SIZE, 0, &got, &err));
    close(fd);
    geds_close(o);
    free(bytes);
    stop();
}

/* A server whose leases are not what they should be. */
enum lie {
    LIE_UNSEALED,
    LIE_SHORT,
    LIE_MAGIC,
    LIE_VERSION,
    LIE_SLOTS,
    LIE_NO_POWER,
    LIE_ID,
    LIE_PAGE,
    LIE_SAME_FILE,
    LIE_ONE,
    LIE_COUNT
};
static enum lie lie;

static int make_table(void)
{
    uint64_t head[LEASE_T_FIRST] = {[LEASE_T_MAGIC] = LEASE_TABLE_MAGIC,
                                    [LEASE_T_VERSION] = LEASE_VERSION,
                                    [LEASE_T_SLOTS] = 8,
                                    [LEASE_T_ID] = 7};
    int fd = memfd_create("lie", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    head[LEASE_T_MAGIC] += lie == LIE_MAGIC;
    head[LEASE_T_VERSION] += lie == LIE_VERSION;
    head[LEASE_T_SLOTS] = lie == LIE_SLOTS ? UINT64_C(1) << 60 : lie == LIE_NO_POWER ? 7 : 8;
    head[LEASE_T_ID] += lie == LIE_ID;
    bool good = fd >= 0 && write(fd, head, sizeof head) == (ssize_t)sizeof head &&
                ftruncate(fd, lie == LIE_SHORT
                                  ? 64
                                  : (off_t)lease_table_bytes(lie == LIE_NO_POWER ? 7 : 8)) == 0 &&
                (lie == LIE_UNSEALED || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    return good ? fd : -1;
}

static int make_page(void)
{
    uint64_t page[LEASE_PAGE_BYTES / 8] = {
        [LEASE_P_MAGIC] = LEASE_PAGE_MAGIC, [LEASE_P_VERSION] = LEASE_VERSION, [LEASE_P_ID] = 7};
    int fd = memfd_create("page", MFD_CLOEXEC);
    size_t len = lie == LIE_PAGE ? 100 : sizeof page;
    return write(fd, page, len) == (ssize_t)len ? fd : -1;
}

static void lying_run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                      struct rpc_answer *answer)
{
    if (r->kind != GEDS_LEASE) {
        serve_handler()->run(session, r, reply, answer);
        return;
    }
    answer->passed[0] = make_table();
    answer->passed[1] = lie == LIE_SAME_FILE ? make_table() : make_page();
    answer->passed_count = 2;
    rpc_result_encode(ST_OK, NULL, &answer->args);
    geds_piece_encode(1, &answer->data);
    if (lie == LIE_ONE) {
        close(answer->passed[--answer->passed_count]);
    } else {
        geds_piece_encode(1, &answer->data);
    }
}

static void leases_that_are_none_are_not_used(void)
{
    for (lie = 0; lie < LIE_COUNT; lie++) {
        struct rpc_handler handler = *serve_handler();
        handler.run = lying_run;
        served_names(&s);
        served_open(&s, &handler);
        OK(geds_connect(s.address, &g, &err));
        OK(geds_bucket_create(g, "bucket", &err));
        put("k", 100, 1);
        heat("k", 100, 1);
        uint64_t before = served_requests(&s);
        CHECK(is(g, "k", 100, 1));
        CHECK(served_requests(&s) > before);
        put("k", 100, 2);
        CHECK(is(g, "k", 100, 2));
        stop();
    }
}

/* Extents that do not make the object. */
enum piece_lie {
    PIECES_RIGHT,
    PIECES_NONE,
    PIECES_NO_FILE,
    PIECES_SHORT,
    PIECES_LONG,
    PIECES_EMPTY,
    PIECES_SUMS,
    PIECES_MANY,
    PIECES_COUNT,
    PIECES_CUT = PIECES_COUNT
};
static enum piece_lie piece_lie;
enum { LIED_BYTES = 100000 };

static void add_piece(struct rpc_answer *answer, uint64_t bytes, size_t sums, bool file)
{
    static const uint8_t zeros[4 * 64];
    const struct geds_wire_piece p = {.bytes = bytes, .sums = zeros, .sum_count = sums};
    geds_sums_encode(&p, &answer->data);
    if (file) {
        answer->passed[answer->passed_count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static void lying_pieces(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                         struct rpc_answer *answer)
{
    if (r->kind != GEDS_PIECES || piece_lie == PIECES_RIGHT) {
        serve_handler()->run(session, r, reply, answer);
        return;
    }
    if (piece_lie != PIECES_NONE) {
        add_piece(answer,
                  piece_lie == PIECES_SHORT   ? 65536
                  : piece_lie == PIECES_LONG  ? UINT64_MAX
                  : piece_lie == PIECES_EMPTY ? 0
                                              : LIED_BYTES,
                  piece_lie == PIECES_SHORT  ? 1
                  : piece_lie == PIECES_SUMS ? 3
                                             : 2,
                  piece_lie != PIECES_NO_FILE);
    }
    for (unsigned i = 0; piece_lie == PIECES_MANY && i < 15; i++) {
        add_piece(answer, 1, 1, true);
    }
    answer->data.len -= piece_lie == PIECES_CUT;
    rpc_result_encode(ST_OK, NULL, &answer->args);
    geds_answer_encode(GEDS_PIECES, &(const struct geds_answer){0}, &answer->args);
}

static void extents_that_do_not_make_the_object_are_not_used(void)
{
    for (piece_lie = 0; piece_lie < PIECES_COUNT; piece_lie++) {
        struct rpc_handler handler = *serve_handler();
        handler.run = lying_pieces;
        served_names(&s);
        served_open(&s, &handler);
        OK(geds_connect(s.address, &g, &err));
        OK(geds_bucket_create(g, "bucket", &err));
        put("k", LIED_BYTES, 1);
        heat("k", LIED_BYTES, 1);
        uint64_t before = served_requests(&s);
        CHECK(is(g, "k", LIED_BYTES, 1));
        CHECK_EQ(served_requests(&s) == before, piece_lie == PIECES_RIGHT);
        put("k", LIED_BYTES, 2);
        CHECK(is(g, "k", LIED_BYTES, 2));
        stop();
    }
}

/* Which of the descriptors that come are whose is not known then. */
static void a_malformed_list_of_extents_ends_the_connection(void)
{
    struct rpc_handler handler = *serve_handler();
    struct geds_object *o = NULL;
    enum geds_code code = GEDS_OK;
    handler.run = lying_pieces;
    piece_lie = PIECES_CUT;
    served_names(&s);
    served_open(&s, &handler);
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
    put("k", LIED_BYTES, 1);
    for (int i = 0; i < 4 && code == GEDS_OK; i++) {
        code = geds_open(g, "bucket", "k", &o, &err);
        geds_close(code == GEDS_OK ? o : NULL);
    }
    CHECK_EQ(code, GEDS_IO); /* the former call had the error, which is of no concern to an open */
    CHECK(strstr(err.text, "lost: an answer that is malformed") != NULL);
    stop();
}

/* A file that was removed is held while it can be used only. */
static void what_is_not_right_any_more_is_let_go(void)
{
    enum { LARGE = 50 };
    char key[32];
    start();
    unsigned before = open_files();
    for (unsigned i = 0; i < LARGE; i++) {
        snprintf(key, sizeof key, "%u", i);
        put(key, 20000, i);
        heat(key, 20000, i);
    }
    CHECK(open_files() >= before + LARGE);
    for (unsigned i = 0; i < LARGE; i++) {
        snprintf(key, sizeof key, "%u", i);
        OK(geds_delete(g, "bucket", key, NULL, &err));
    }
    for (int i = 0; i < 200 && open_files() >= before + LARGE; i++) {
        CHECK_EQ(look("none"), GEDS_NOTFOUND);
        poll(NULL, 0, 10);
    }
    CHECK(open_files() < before + LARGE);
    stop();
}

int main(void)
{
    RUN(after_a_kill_nothing_old_is_read); /* these fork, so no thread may be there */
    RUN(a_lost_connection_ends_leases);
    RUN(too_many_open_files_cost_no_connection);
    RUN(what_is_hot_needs_no_request);
    RUN(attributes_are_kept_too);
    RUN(each_change_of_a_client_is_seen_at_once);
    RUN(each_change_of_others_is_seen_at_once);
    RUN(an_open_object_stays_as_it_is);
    RUN(nobody_reads_what_was_before_a_change_that_he_could_know_of);
    RUN(what_is_kept_is_bounded);
    RUN(a_store_that_is_closed_ends_its_leases);
    RUN(a_store_that_is_closed_leaves_the_leases_of_another_in_its_place);
    RUN(damage_is_reported_with_its_place);
    RUN(leases_that_are_none_are_not_used);
    RUN(extents_that_do_not_make_the_object_are_not_used);
    RUN(a_malformed_list_of_extents_ends_the_connection);
    RUN(what_is_not_right_any_more_is_let_go);
    return CHECK_DONE();
}
