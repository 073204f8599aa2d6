/* What is written into and read from a bucket with the rule stays in memory, as far as the budget goes, whatever the
 * page cache is told; what is removed, spilled or damaged leaves; files stay what they are. */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "../geds_tier/faketier.h"
#include "base/parse.h"
#include "geds/copies.h"
#include "geds/memory/memory.h"

enum { PAGE = 4096, LEN = 1024 * 1024 + 5, TAKES = LEN + PAGE - 5, TMPFS = 0x01021994 };

static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
static struct memory *memory;
static char noted[96];
static uint8_t data[LEN];
static _Atomic unsigned told;
static _Atomic uint64_t told_bytes;
static _Atomic enum memory_limit told_why;

static void limited(void *arg, enum memory_limit why, uint64_t bytes)
{
    (void)arg;
    atomic_store(&told_why, why);
    atomic_store(&told_bytes, bytes);
    atomic_fetch_add(&told, 1);
}

static status_t start(uint64_t budget, size_t extents_max, struct error *err)
{
    const struct memory_options o = {.store = store,
                                     .path = noted,
                                     .budget_bytes = budget,
                                     .extents_max = extents_max,
                                     .limited = limited};
    atomic_store(&told, 0);
    return memory_start(&o, &memory, err);
}

static struct memory_status now(void)
{
    struct memory_status n;
    memory_status(memory, &n);
    return n;
}

/* The thread has nothing to do. */
static bool is_settled(uint64_t promoted)
{
    struct memory_status n = now();
    return n.promoted == promoted && n.waiting == 0;
}

static void make(uint64_t budget, size_t extents_max)
{
    store_make(&no_sync);
    snprintf(noted, sizeof noted, "%s/memory", scratch);
    MUST(start(budget, extents_max, &err));
    MUST(store_bucket_create(store, "hot", "", &err));
    MUST(store_bucket_create(store, "cold", "", &err));
    MUST(store_bucket_set_memory(store, "hot", true, &err));
}

static void unmake(void)
{
    memory_stop(memory);
    store_close(store);
    memory_free(memory);
    memory = NULL;
    store = NULL;
    remove_tree(scratch);
}

static void again(uint64_t budget)
{
    memory_stop(memory);
    store_close(store);
    memory_free(memory);
    MUST(store_open(scratch, &no_sync, &store, &err));
    MUST(start(budget, 0, &err));
}

static void write_one(const char *bucket, const char *key, uint64_t seed)
{
    fill(data, LEN, seed);
    CHECK_EQ(put(bucket, key, data, LEN), ST_OK);
}

static bool reads(const char *bucket, const char *key, uint64_t seed)
{
    fill(data, LEN, seed);
    return holds(bucket, key, data, LEN);
}

static uint64_t extent_of(const char *bucket, const char *key)
{
    uint64_t *ids = NULL, id;
    size_t count = 0;
    MUST(store_object_extents(store, bucket, key, &ids, &count, &err));
    CHECK_EQ(count, 1);
    id = ids[0];
    free(ids);
    return id;
}

static void path_of(uint64_t id, char path[160])
{
    snprintf(path, 160, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
}

/* Bytes that the system says are locked, of the whole process. */
static uint64_t locked_bytes(void)
{
    char line[200];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmLck:", 6) == 0) {
            CHECK_EQ(sscanf(line + 6, "%llu", &kib), 1);
        }
    }
    fclose(f);
    return kib * 1024;
}

/* Is its file mapped here with its pages locked? */
static bool is_locked(uint64_t id)
{
    char path[160], line[400];
    bool inside = false, locked = false;
    path_of(id, path);
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, " r--s ") != NULL) {
            inside = strstr(line, path) != NULL;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            locked = locked || strstr(line, " lo") != NULL;
            inside = false;
        }
    }
    fclose(f);
    return locked;
}

/* Pages of its file that are in memory. */
static size_t pages_in(uint64_t id)
{
    char path[160];
    unsigned char in[TAKES / PAGE];
    size_t count = 0;
    path_of(id, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    CHECK_EQ(mincore(at, LEN, in), 0);
    for (size_t i = 0; i < sizeof in; i++) {
        count += in[i] & 1;
    }
    munmap(at, LEN);
    close(fd);
    return count;
}

/* The same when the system was asked to forget them. */
static size_t pages_left(uint64_t id)
{
    char path[160];
    path_of(id, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(fdatasync(fd), 0);
    CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
    return pages_in(id);
}

static void what_is_written_stays_in_memory(void)
{
    struct statfs fs;
    make(10 * TAKES, 0);
    write_one("hot", "k", 1);
    write_one("cold", "k", 2);
    EVENTUALLY(is_settled(1));
    CHECK_EQ(now().bytes, TAKES);
    CHECK_EQ(now().extents, 1);
    CHECK_EQ(locked_bytes(), TAKES);
    CHECK(is_locked(extent_of("hot", "k")));
    CHECK(!is_locked(extent_of("cold", "k")));
    CHECK_EQ(pages_left(extent_of("hot", "k")), TAKES / PAGE);
    CHECK_EQ(statfs(scratch, &fs), 0);
    if (fs.f_type != TMPFS) { /* nothing is out of memory there */
        CHECK_EQ(pages_left(extent_of("cold", "k")), 0);
    }
    CHECK(reads("hot", "k", 1) && reads("cold", "k", 2));
    CHECK(now().memory_reads > 0);
    CHECK_EQ(now().memory_reads, now().disk_reads);

    /* in a row */
    CHECK_EQ(put("hot", "small", "x", 1), ST_OK);
    CHECK(holds("hot", "small", "x", 1));
    /* from parts, and by a draft */
    struct store_put *p = NULL;
    uint64_t upload = 0;
    MUST(store_upload_begin(store, "hot", "parts", NULL, &upload, &err));
    MUST(store_upload_put_begin(store, "hot", "parts", upload, 1, &p, &err));
    MUST(store_put_write(p, data, LEN, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    EVENTUALLY(is_settled(2));
    MUST(store_put_begin(store, "hot", "draft", NULL, &p, &err));
    MUST(store_put_write_at(p, data, LEN, LEN, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    EVENTUALLY(is_settled(3));
    CHECK(is_locked(extent_of("hot", "draft")));
    CHECK_EQ(locked_bytes(), now().bytes);
    unmake();
    CHECK_EQ(locked_bytes(), 0);
}

static void what_was_used_longest_ago_leaves(void)
{
    make(3 * TAKES, 0);
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    write_one("hot", "c", 3);
    EVENTUALLY(is_settled(3));
    CHECK(reads("hot", "a", 1));
    write_one("hot", "d", 4);
    EVENTUALLY(is_settled(4));
    CHECK_EQ(now().evicted, 1);
    CHECK_EQ(now().evicted_bytes, TAKES);
    CHECK_EQ(now().bytes, 3 * TAKES);
    CHECK_EQ(locked_bytes(), 3 * TAKES);
    CHECK(is_locked(extent_of("hot", "a")) && !is_locked(extent_of("hot", "b")));
    CHECK(is_locked(extent_of("hot", "c")) && is_locked(extent_of("hot", "d")));

    /* a use brings it back */
    CHECK(reads("hot", "b", 2));
    EVENTUALLY(is_settled(5));
    CHECK(is_locked(extent_of("hot", "b")) && !is_locked(extent_of("hot", "c")));

    /* so does a mapping of its file */
    struct store_object *o = NULL;
    int fd = -1;
    uint64_t bytes = 0;
    MUST(store_object_open(store, "hot", "c", &o, &err));
    MUST(store_object_piece(o, 0, &fd, &bytes, &err));
    close(fd);
    store_object_close(o);
    EVENTUALLY(is_settled(6));
    CHECK(is_locked(extent_of("hot", "c")) && !is_locked(extent_of("hot", "a")));
    unmake();
}

static void what_does_not_fit_at_all_stays_out(void)
{
    make(TAKES, 0);
    write_one("hot", "a", 1);
    EVENTUALLY(is_settled(1));
    uint8_t *large = malloc(TAKES + 1);
    fill(large, TAKES + 1, 7);
    CHECK_EQ(put("hot", "large", large, TAKES + 1), ST_OK);
    EVENTUALLY(is_settled(1));
    CHECK(holds("hot", "large", large, TAKES + 1));
    EVENTUALLY(is_settled(1));
    CHECK_EQ(now().evicted, 0);
    CHECK(is_locked(extent_of("hot", "a")));
    free(large);
    unmake();

    make(10 * TAKES, 2);
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    EVENTUALLY(is_settled(2));
    write_one("hot", "c", 3);
    EVENTUALLY(is_settled(3));
    CHECK_EQ(now().extents, 2);
    CHECK(!is_locked(extent_of("hot", "a")));
    unmake();
}

static bool is_mapped(const char *path)
{
    char line[400];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        found = found || strstr(line, path) != NULL;
    }
    fclose(f);
    return found;
}

static void what_is_removed_is_not_mapped_any_more(void)
{
    char a[160], b[160];
    make(10 * TAKES, 0);
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    EVENTUALLY(is_settled(2));
    path_of(extent_of("hot", "a"), a);
    path_of(extent_of("hot", "b"), b);
    CHECK(is_mapped(a) && is_mapped(b));
    MUST(store_delete(store, "hot", "a", NULL, &err));
    write_one("hot", "b", 3);
    EVENTUALLY(is_settled(3));
    EVENTUALLY(now().extents == 1);
    CHECK(!is_mapped(a) && !is_mapped(b));
    CHECK_EQ(now().left, 2);
    CHECK_EQ(locked_bytes(), TAKES);
    unmake();
}

static void what_a_bucket_wants_no_more_leaves(void)
{
    bool is_on = false;
    make(10 * TAKES, 0);
    MUST(store_bucket_memory(store, "hot", &is_on, &err));
    CHECK(is_on);
    MUST(store_bucket_memory(store, "cold", &is_on, &err));
    CHECK(!is_on);
    CHECK_EQ(store_bucket_memory(store, "none", &is_on, NULL), ST_NOTFOUND);
    CHECK_EQ(store_bucket_set_memory(store, "none", true, NULL), ST_NOTFOUND);
    MUST(store_bucket_set_memory(store, "cold", true, &err));
    write_one("hot", "a", 1);
    write_one("cold", "b", 2);
    EVENTUALLY(is_settled(2));
    MUST(store_bucket_set_memory(store, "hot", false, &err));
    EVENTUALLY(now().extents == 1);
    CHECK(is_locked(extent_of("cold", "b")));
    CHECK(reads("hot", "a", 1));
    write_one("hot", "c", 3);
    again(10 * TAKES);
    EVENTUALLY(is_settled(1));
    CHECK(is_locked(extent_of("cold", "b")));
    CHECK_EQ(locked_bytes(), TAKES);
    unmake();
}

static void a_restart_brings_it_back(void)
{
    make(4 * TAKES, 0);
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    write_one("hot", "c", 3);
    EVENTUALLY(is_settled(3));
    CHECK(reads("hot", "a", 1));
    again(4 * TAKES);
    EVENTUALLY(is_settled(3));
    CHECK_EQ(locked_bytes(), 3 * TAKES);

    /* in the order of uses, and of what does not fit the last ones */
    again(2 * TAKES);
    EVENTUALLY(is_settled(2));
    CHECK_EQ(now().evicted, 0);
    CHECK(is_locked(extent_of("hot", "a")) && is_locked(extent_of("hot", "c")));
    write_one("hot", "d", 4);
    EVENTUALLY(is_settled(3));
    CHECK(is_locked(extent_of("hot", "a")) && !is_locked(extent_of("hot", "c")));

    /* what is gone does not matter */
    memory_stop(memory);
    MUST(store_delete(store, "hot", "a", NULL, &err));
    store_close(store);
    memory_free(memory);
    MUST(store_open(scratch, &no_sync, &store, &err));
    MUST(start(2 * TAKES, 0, &err));
    EVENTUALLY(is_settled(1));
    CHECK(is_locked(extent_of("hot", "d")));
    unmake();
}

static void a_damaged_note_is_none(void)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "1",
                                        "1 2",
                                        "1 2 3",
                                        "1 2\n",
                                        "x 1 1\n",
                                        "1 1 99999999999999999999\n",
                                        "1 1 9000000000000000000\n",
                                        " \n \n",
                                        "1 1 1 1\n"};
    struct error why = {0};
    make(4 * TAKES, 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        memory_stop(memory);
        store_close(store);
        memory_free(memory);
        int fd = open(noted, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        close(fd);
        MUST(store_open(scratch, &no_sync, &store, &err));
        MUST(start(4 * TAKES, 0, &err));
        CHECK_EQ(now().waiting, 0);
    }
    memory_stop(memory);
    store_close(store);
    memory_free(memory);
    memory = NULL;
    CHECK_EQ(remove(noted), 0);
    CHECK_EQ(mkdir(noted, 0700), 0);
    MUST(store_open(scratch, &no_sync, &store, &err));
    CHECK(start(TAKES, 0, &why) != ST_OK);
    CHECK(strstr(why.text, "memory") != NULL);
    CHECK(memory == NULL);
    store_remove();
}

static void damage(uint64_t id)
{
    char path[160];
    path_of(id, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "damage", 6, 5), 6);
    CHECK_EQ(fdatasync(fd), 0); /* what differs from the disk is not dropped */
    close(fd);
}

/* The disk may have better bytes. */
static void what_is_damaged_leaves_memory_and_the_page_cache(void)
{
    struct statfs fs;
    make(10 * TAKES, 0);
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    EVENTUALLY(is_settled(2));
    CHECK_EQ(statfs(scratch, &fs), 0);
    const uint64_t a = extent_of("hot", "a"), b = extent_of("hot", "b");
    damage(a);
    CHECK(!reads("hot", "a", 1));
    EVENTUALLY(now().extents == 1);
    CHECK_EQ(now().left, 1);
    EVENTUALLY(fs.f_type == TMPFS || pages_in(a) == 0);
    CHECK(!store_extent_damaged(store, b)); /* as the scrub says it; nobody has a copy */
    EVENTUALLY(now().extents == 0);
    CHECK_EQ(now().left, 2);
    unmake();
}

static void what_goes_to_the_tier_leaves(void)
{
    struct tier_moved moved;
    char path[160];
    tier_high = 1000000000;
    tier_make(&no_sync);
    snprintf(noted, sizeof noted, "%s/memory", scratch);
    MUST(start(10 * TAKES, 0, &err)); /* nobody uses the store yet */
    MUST(store_bucket_create(store, "hot", "", &err));
    MUST(store_bucket_set_memory(store, "hot", true, &err));
    write_one("hot", "a", 1);
    EVENTUALLY(is_settled(1));
    path_of(extent_of("hot", "a"), path);
    MUST(tier_move(tier, TIER_SPILL, "hot", "a", false, NULL, NULL, &moved, &err));
    EVENTUALLY(now().extents == 0);
    CHECK(!is_mapped(path));
    /* it is read from there, and nothing of that is in memory */
    CHECK(reads("hot", "a", 1));
    EVENTUALLY(is_settled(1));
    MUST(tier_move(tier, TIER_RECALL, "hot", "a", false, NULL, NULL, &moved, &err));
    CHECK(reads("hot", "a", 1));
    EVENTUALLY(is_settled(2));
    CHECK(is_locked(extent_of("hot", "a")));

    /* a damaged file is repaired, and the new one is in memory when it is used again */
    MUST(store_object_keep(store, "hot", "a", STORE_KEEP_BOTH, &err));
    EVENTUALLY(status_now().places.sent_count == 1);
    path_of(extent_of("hot", "a"), path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "damage", 6, 70000), 6);
    close(fd);
    CHECK(reads("hot", "a", 1));
    EVENTUALLY(status_now().repaired_count == 1);
    EVENTUALLY(now().extents == 0 && now().waiting == 0);
    CHECK(now().left >= 2);
    CHECK(reads("hot", "a", 1));
    EVENTUALLY(now().extents == 1 && now().waiting == 0);
    CHECK(is_locked(extent_of("hot", "a")));
    memory_stop(memory);
    tier_unmake();
    memory_free(memory);
}

/* As a process of somebody who is not root. */
static struct __user_cap_data_struct caps[2], all_caps[2];
static struct __user_cap_header_struct cap_header = {.version = _LINUX_CAPABILITY_VERSION_3};

static void limit_locks(rlim_t bytes)
{
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    struct rlimit now_is;
    CHECK_EQ(syscall(SYS_capget, &cap_header, all_caps), 0);
    memcpy(caps, all_caps, sizeof caps);
    caps[0].effective &= ~(1U << CAP_IPC_LOCK);
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &now_is), 0);
    const struct rlimit lower = {.rlim_cur = bytes, .rlim_max = now_is.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, now_is.rlim_max == RLIM_INFINITY ? &limit : &lower), 0);
    CHECK_EQ(syscall(SYS_capset, &cap_header, caps), 0);
}

static void a_limit_of_the_system_is_told_once(void)
{
    struct rlimit was;
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &was), 0);
    limit_locks(2 * TAKES + PAGE);
    make(10 * TAKES, 0); /* the thread gets what this one has */
    write_one("hot", "a", 1);
    write_one("hot", "b", 2);
    EVENTUALLY(is_settled(2));
    CHECK_EQ(atomic_load(&told), 0);
    write_one("hot", "c", 5);
    EVENTUALLY(atomic_load(&told) == 1);
    CHECK_EQ(atomic_load(&told_why), MEMORY_LOCK_LIMIT);
    CHECK_EQ(atomic_load(&told_bytes), 2 * TAKES + PAGE);
    CHECK_EQ(now().limit, MEMORY_LOCK_LIMIT);
    CHECK_EQ(now().limit_bytes, 2 * TAKES + PAGE);
    CHECK_EQ(now().budget_bytes, 10 * TAKES);
    /* it goes on with what there is */
    CHECK(reads("hot", "c", 5));
    EVENTUALLY(is_settled(3));
    CHECK(is_locked(extent_of("hot", "c")));
    CHECK_EQ(now().extents, 2);
    write_one("hot", "d", 6);
    EVENTUALLY(is_settled(4));
    CHECK_EQ(atomic_load(&told), 1);
    unmake();

    limit_locks(0);
    make(10 * TAKES, 0);
    write_one("hot", "a", 1);
    EVENTUALLY(atomic_load(&told) == 1);
    CHECK_EQ(atomic_load(&told_bytes), 0);
    CHECK(reads("hot", "a", 1));
    CHECK_EQ(now().promoted, 0);
    unmake();
    CHECK_EQ(syscall(SYS_capset, &cap_header, all_caps), 0);
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &was), 0);
}

enum { WRITERS = 3, ROUNDS = 150, FEW_BYTES = 1000000 };

static void *write_and_remove(void *arg)
{
    static uint8_t bytes[WRITERS][100000];
    unsigned me = (unsigned)(uintptr_t)arg;
    char key[16];
    fill(bytes[me], sizeof bytes[me], me);
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(key, sizeof key, "k%u-%u", me, i % 7);
        CHECK_EQ(put("hot", key, bytes[me], sizeof bytes[me]), ST_OK);
        CHECK(holds("hot", key, bytes[me], sizeof bytes[me]));
        CHECK(now().bytes <= FEW_BYTES);
        if (i % 3 == 0) {
            CHECK_EQ(store_delete(store, "hot", key, NULL, NULL), ST_OK);
        }
        if (i % 50 == 0) {
            CHECK_EQ(store_bucket_set_memory(store, "hot", i % 100 != 0, NULL), ST_OK);
        }
    }
    return NULL;
}

/* Written, read, removed and evicted at the same time. */
static void many_at_a_time_keep_the_budget(void)
{
    pthread_t threads[WRITERS];
    make(FEW_BYTES, 0);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, write_and_remove, (void *)i), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    MUST(store_bucket_set_memory(store, "hot", true, &err));
    EVENTUALLY(now().waiting == 0);
    write_one("hot", "small enough", 1);
    memory_stop(memory);
    CHECK_EQ(now().bytes, 0);
    CHECK_EQ(now().extents, 0);
    CHECK_EQ(locked_bytes(), 0);
    store_close(store);
    memory_free(memory);
    memory = NULL;
    remove_tree(scratch);
}

int main(void)
{
    RUN(what_is_written_stays_in_memory);
    RUN(what_was_used_longest_ago_leaves);
    RUN(what_does_not_fit_at_all_stays_out);
    RUN(what_is_removed_is_not_mapped_any_more);
    RUN(what_a_bucket_wants_no_more_leaves);
    RUN(a_restart_brings_it_back);
    RUN(a_damaged_note_is_none);
    RUN(what_is_damaged_leaves_memory_and_the_page_cache);
    RUN(what_goes_to_the_tier_leaves);
    RUN(a_limit_of_the_system_is_told_once);
    RUN(many_at_a_time_keep_the_budget);
    return CHECK_DONE();
}
