#include <pthread.h>

#include "double.h"

enum { SUBS_MAX = 64 };

static struct wasi *w;
static uint32_t subs, events, sub_count, event_count;
static bool unstable;

static uint32_t sub_bytes(void)
{
    return unstable ? SUBSCRIPTION_UNSTABLE_BYTES : SUBSCRIPTION_BYTES;
}

static void subs_begin(void)
{
    subs = g_alloc(SUBS_MAX * SUBSCRIPTION_UNSTABLE_BYTES);
    events = g_alloc(SUBS_MAX * EVENT_BYTES);
    sub_count = 0;
}

static uint8_t *sub_add(uint64_t userdata, uint8_t type)
{
    uint8_t *p = double_mem + subs + sub_count++ * sub_bytes();
    memset(p, 0, sub_bytes());
    put_le64(p, userdata);
    p[8] = type;
    return p;
}

static void sub_clock(uint64_t userdata, uint32_t id, uint64_t timeout, bool absolute)
{
    uint8_t *p = sub_add(userdata, EVENT_CLOCK) + (unstable ? 24 : 16);
    put_le32(p, id);
    put_le64(p + 8, timeout);
    put_le16(p + 24, absolute ? SUBCLOCK_ABSTIME : 0);
}

static void sub_fd(uint64_t userdata, uint8_t type, uint32_t fd)
{
    put_le32(sub_add(userdata, type) + 16, fd);
}

static int poll_now(void)
{
    uint32_t out = g_alloc(4);
    int e = unstable ? wasi_unstable_poll_oneoff(NULL, w, subs, events, sub_count, out)
                     : wasi_poll_oneoff(NULL, w, subs, events, sub_count, out);
    event_count = e == WASI_OK ? g_u32(out) : 0;
    return e;
}

static uint64_t event_userdata(uint32_t i)
{
    return g_u64(events + i * EVENT_BYTES);
}

static uint16_t event_error(uint32_t i)
{
    return get_le16(double_mem + events + i * EVENT_BYTES + 8);
}

static uint8_t event_type(uint32_t i)
{
    return double_mem[events + i * EVENT_BYTES + 10];
}

static uint64_t event_bytes(uint32_t i)
{
    return g_u64(events + i * EVENT_BYTES + 16);
}

static uint16_t event_flags(uint32_t i)
{
    return get_le16(double_mem + events + i * EVENT_BYTES + 24);
}

static void guest_with(int in, int out)
{
    struct wasi_config config = {.stdio = {in, out, 2}};
    g_reset();
    unstable = false;
    w = wasi_make(&config);
    subs_begin();
}

static uint64_t now(void)
{
    return clock_now_ns(CLOCK_MONOTONIC);
}

#define MS UINT64_C(1000000)

static void no_or_too_many_subscriptions_are_refused(void)
{
    guest_with(0, 1);
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, subs, events, 0, out), WASI_INVAL);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, subs, events, WASI_SUBSCRIPTIONS_MAX + 1, out), WASI_INVAL);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, subs, events, UINT32_MAX, out), WASI_INVAL);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, DOUBLE_MEM_BYTES - 40, events, 1, out), WASI_FAULT);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, subs, DOUBLE_MEM_BYTES - 16, 1, out), WASI_FAULT);
    CHECK_EQ(wasi_poll_oneoff(NULL, w, subs, events, 1, DOUBLE_MEM_BYTES - 3), WASI_FAULT);
    sub_add(1, 7);
    CHECK_EQ(poll_now(), WASI_INVAL);
    wasi_free(w);
}

static void a_relative_clock_waits_that_long(void)
{
    for (int u = 0; u < 2; u++) {
        guest_with(0, 1);
        unstable = u == 1;
        sub_clock(77, WASI_CLOCK_MONOTONIC, 20 * MS, false);
        uint64_t start = now();
        CHECK_EQ(poll_now(), WASI_OK);
        CHECK(now() - start >= 20 * MS);
        CHECK_EQ(event_count, 1);
        CHECK_EQ(event_userdata(0), 77);
        CHECK_EQ(event_type(0), EVENT_CLOCK);
        CHECK_EQ(event_error(0), WASI_OK);
        wasi_free(w);
    }
}

static void absolute_clocks_wait_until_their_time(void)
{
    guest_with(0, 1);
    uint64_t start = now();
    sub_clock(1, WASI_CLOCK_MONOTONIC, start + 15 * MS, true);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK(now() - start >= 15 * MS);
    subs_begin();
    uint64_t until = clock_now_ns(CLOCK_REALTIME) + 15 * MS;
    sub_clock(1, WASI_CLOCK_REALTIME, until, true);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK(clock_now_ns(CLOCK_REALTIME) >= until);
    subs_begin();
    sub_clock(1, WASI_CLOCK_REALTIME, 1, true);
    sub_clock(2, WASI_CLOCK_MONOTONIC, UINT64_MAX, false);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 1);
    CHECK_EQ(event_userdata(0), 1);
    wasi_free(w);
}

static void the_earliest_clock_ends_the_wait(void)
{
    guest_with(0, 1);
    sub_clock(1, WASI_CLOCK_MONOTONIC, 60000 * MS, false);
    sub_clock(2, WASI_CLOCK_REALTIME, 5 * MS, false);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 1);
    CHECK_EQ(event_userdata(0), 2);
    wasi_free(w);
}

static void clocks_that_cannot_be_waited_for_are_errors_of_their_own(void)
{
    guest_with(0, 1);
    sub_clock(1, WASI_CLOCK_PROCESS, 1, false);
    sub_clock(2, 9, 1, false);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 2);
    CHECK_EQ(event_error(0), WASI_NOTSUP);
    CHECK_EQ(event_error(1), WASI_INVAL);
    wasi_free(w);
}

static void a_readable_pipe_is_reported_with_its_bytes(void)
{
    for (int u = 0; u < 2; u++) {
        int pipes[2];
        CHECK_EQ(pipe(pipes), 0);
        guest_with(pipes[0], pipes[1]);
        unstable = u == 1;
        sub_fd(5, EVENT_FD_READ, 0);
        sub_clock(6, WASI_CLOCK_MONOTONIC, 5 * MS, false);
        CHECK_EQ(poll_now(), WASI_OK);
        CHECK_EQ(event_count, 1);
        CHECK_EQ(event_userdata(0), 6);
        CHECK_EQ(write(pipes[1], "abc", 3), 3);
        CHECK_EQ(poll_now(), WASI_OK);
        CHECK_EQ(event_userdata(0), 5);
        CHECK_EQ(event_type(0), EVENT_FD_READ);
        CHECK_EQ(event_bytes(0), 3);
        CHECK_EQ(event_flags(0), 0);
        close(pipes[1]);
        CHECK_EQ(poll_now(), WASI_OK);
        CHECK_EQ(event_flags(0), EVENTRW_HANGUP);
        wasi_free(w);
        close(pipes[0]);
    }
}

static void a_pipe_with_room_is_writable(void)
{
    int pipes[2];
    CHECK_EQ(pipe(pipes), 0);
    guest_with(0, pipes[1]);
    sub_fd(9, EVENT_FD_WRITE, 1);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 1);
    CHECK_EQ(event_type(0), EVENT_FD_WRITE);
    CHECK(event_bytes(0) > 0);
    wasi_free(w);
    close(pipes[0]);
    close(pipes[1]);
}

static void regular_files_are_always_ready(void)
{
    uint32_t fd;
    scratch_make();
    g_reset();
    unstable = false;
    w = guest_in("grant", false);
    host_write_file(in_scratch("grant/f"), "12345");
    CHECK_EQ(g_open(w, 3, 0, "f", 0, FILE_RW, 0, &fd), WASI_OK);
    uint32_t out = g_alloc(8);
    CHECK_EQ(wasi_fd_seek(NULL, w, fd, 2, WHENCE_SET, out), WASI_OK);
    subs_begin();
    sub_fd(1, EVENT_FD_READ, fd);
    sub_fd(2, EVENT_FD_WRITE, fd);
    sub_clock(3, WASI_CLOCK_MONOTONIC, 60000 * MS, false);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 2);
    CHECK_EQ(event_userdata(0), 1);
    CHECK_EQ(event_bytes(0), 3);
    CHECK_EQ(event_userdata(1), 2);
    wasi_free(w);
    scratch_remove();
}

static void bad_descriptors_are_errors_of_their_own(void)
{
    guest_with(0, 1);
    sub_fd(1, EVENT_FD_READ, 42);
    sub_fd(2, EVENT_FD_WRITE, 2);
    CHECK_EQ(wasi_fd_fdstat_set_rights(NULL, w, 2, RIGHT_FD_WRITE, 0), WASI_OK);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 2);
    CHECK_EQ(event_error(0), WASI_BADF);
    CHECK_EQ(event_error(1), WASI_NOTCAPABLE);
    wasi_free(w);
}

static void many_subscriptions_use_memory_that_is_given_back(void)
{
    int pipes[2];
    CHECK_EQ(pipe(pipes), 0);
    guest_with(pipes[0], pipes[1]);
    for (uint32_t i = 0; i < SUBS_MAX; i++) {
        sub_fd(i, i % 2 == 0 ? EVENT_FD_READ : EVENT_FD_WRITE, i % 2);
    }
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, SUBS_MAX / 2);
    CHECK_EQ(event_userdata(3), 7);
    CHECK(w->scratches == NULL);
    struct file_use u;
    CHECK_EQ(fdtable_use(&w->files, 0, 0, &u), WASI_OK);
    CHECK_EQ(u.file->refs, 2);
    file_put(&w->files, &u);
    wasi_free(w);
    close(pipes[0]);
    close(pipes[1]);
}

static void a_stopped_cell_does_not_wait(void)
{
    guest_with(0, 1);
    sub_clock(1, WASI_CLOCK_MONOTONIC, 60000 * MS, false);
    atomic_store(&double_stop, STOP_REQUEST);
    CHECK_EQ(poll_now(), WASI_INTR);
    wasi_free(w);
    g_reset();
}

static void *write_later(void *arg)
{
    int fd = *(int *)arg;
    CHECK_EQ(write(fd, "x", 1), 1);
    return NULL;
}

static void a_wait_ends_when_another_thread_writes(void)
{
    int pipes[2];
    pthread_t thread;
    CHECK_EQ(pipe(pipes), 0);
    guest_with(pipes[0], 1);
    sub_fd(1, EVENT_FD_READ, 0);
    CHECK_EQ(pthread_create(&thread, NULL, write_later, &pipes[1]), 0);
    CHECK_EQ(poll_now(), WASI_OK);
    CHECK_EQ(event_count, 1);
    pthread_join(thread, NULL);
    wasi_free(w);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    RUN(no_or_too_many_subscriptions_are_refused);
    RUN(a_relative_clock_waits_that_long);
    RUN(absolute_clocks_wait_until_their_time);
    RUN(the_earliest_clock_ends_the_wait);
    RUN(clocks_that_cannot_be_waited_for_are_errors_of_their_own);
    RUN(a_readable_pipe_is_reported_with_its_bytes);
    RUN(a_pipe_with_room_is_writable);
    RUN(regular_files_are_always_ready);
    RUN(bad_descriptors_are_errors_of_their_own);
    RUN(many_subscriptions_use_memory_that_is_given_back);
    RUN(a_stopped_cell_does_not_wait);
    RUN(a_wait_ends_when_another_thread_writes);
    return CHECK_DONE();
}
