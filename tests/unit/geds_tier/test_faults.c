/* One call of the system fails, another one each time, while extents go to a tier and come back: what was acknowledged
 * is there afterwards. The calls below stand in for libc's, for SQLite as well. */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../geds/standins.h"
#include "faketier.h"

static _Atomic bool armed;
static _Atomic unsigned fail_at, calls;
static _Atomic int fault_errno;

static bool is_fault(void)
{
    if (atomic_load(&armed) && atomic_fetch_add(&calls, 1) == atomic_load(&fail_at)) {
        errno = atomic_load(&fault_errno);
        return true;
    }
    return false;
}

STANDS_IN int fallocate(int fd, int mode, off_t off, off_t len)
{
    return is_fault() ? -1 : (int)syscall(SYS_fallocate, fd, mode, off, len);
}

enum { LEN = 150000, LONG_LEN = 1200000 };
static uint8_t source[LONG_LEN + 10];
static bool d_may_be_gone;

static void move_key(enum tier_move what, const char *key)
{
    struct tier_moved moved;
    status_t ignored = tier_move(tier, what, "box", key, false, NULL, NULL, &moved, NULL);
    (void)ignored;
}

/* The objects are there before; nothing here may harm them. */
static void work(void)
{
    move_key(TIER_SPILL, "a");
    move_key(TIER_SPILL, "long");
    move_key(TIER_SPILL, "d");
    CHECK(holds("box", "a", source, LEN)); /* wherever it is: the cache is of no consequence */
    move_key(TIER_RECALL, "a");
    move_key(TIER_PIN, "long");
    move_key(TIER_UNPIN, "long");
    move_key(TIER_SPILL, "long");
    if (store_delete(store, "box", "d", NULL, NULL) == ST_OK) {
        d_may_be_gone = true;
    }
    status_t ignored = store_settle(store, NULL);
    (void)ignored;
    move_key(TIER_SPILL, "a");
    move_key(TIER_RECALL, "a");
}

static bool is_sound(void)
{
    struct store_info info;
    bool d = store_stat(store, "box", "d", &info, NULL) == ST_NOTFOUND
                 ? d_may_be_gone
                 : holds("box", "d", source + 2, LEN);
    return d && holds("box", "a", source, LEN) && holds("box", "long", source + 1, LONG_LEN);
}

/* The engine's own thread does not run: what is done is the same each time. */
static void open_all(void)
{
    const struct tier_options o = {.store = store,
                                   .remote = &fake_remote,
                                   .high_bytes = 1 << 30,
                                   .low_bytes = 1,
                                   .cache_bytes = STORE_CACHE_MIN,
                                   .retry_ms = 1};
    MUST(tier_open(&o, &tier, &err));
}

/* false: there were no more calls than `at`. */
static bool run_with_fault(unsigned at, int errnum, bool crash)
{
    int result = 0;
    MUST(store_open(scratch, NULL, &store, &err));
    open_all();
    CHECK_EQ(put("box", "a", source, LEN), ST_OK);
    CHECK_EQ(put("box", "long", source + 1, LONG_LEN), ST_OK);
    CHECK_EQ(put("box", "d", source + 2, LEN), ST_OK);
    tier_down();
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        MUST(store_open(scratch, NULL, &store, &err));
        open_all();
        atomic_store(&fail_at, at);
        atomic_store(&fault_errno, errnum);
        atomic_store(&armed, true);
        work();
        atomic_store(&armed, false);
        CHECK(is_sound());
        bool told[2] = {atomic_load(&calls) > at, d_may_be_gone};
        if (write(ends[1], told, sizeof told) != sizeof told || crash) {
            _exit(check_failures != 0);
        }
        tier_down();
        _exit(check_failures != 0);
    }
    bool told[2] = {false, false};
    close(ends[1]);
    CHECK_EQ(read(ends[0], told, sizeof told), sizeof told);
    close(ends[0]);
    CHECK_EQ(waitpid(pid, &result, 0), pid);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    MUST(store_open(scratch, NULL, &store, &err));
    open_all();
    d_may_be_gone = told[1];
    CHECK(is_sound());
    CHECK_EQ(files_in("new"), 0);
    check_sound();
    tier_down();
    if (check_failures != 0) {
        fprintf(stderr, "at call %u, errno %d, crash %d\n", at, errnum, crash);
    }
    return told[0];
}

static void a_failing_call_loses_nothing(void)
{
    static const struct {
        int errnum;
        bool crash;
    } kinds[] = {{EIO, true}, {ENOSPC, false}};
    tier_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    tier_down();
    for (size_t i = 0; i < 2; i++) {
        unsigned at = 0;
        while (at < 1000 && check_failures == 0 &&
               run_with_fault(at, kinds[i].errnum, kinds[i].crash)) {
            at++;
        }
        CHECK(at > 20);
    }
    remove_tree(scratch);
    remove_tree(tier_folder);
}

int main(void)
{
    fill(source, sizeof source, 9);
    RUN(a_failing_call_loses_nothing);
    return CHECK_DONE();
}
