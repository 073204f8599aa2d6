/* poll, select and their kin. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <time.h>
#include <wasi/api.h>

#define FEW 8
#define FOREVER (-1LL)

static void subscribe(__wasi_subscription_t *subs, size_t *count, size_t index, int fd, int to_write)
{
    __wasi_subscription_t *s = &subs[(*count)++];

    *s = (__wasi_subscription_t){.userdata = index};
    s->u.tag = to_write ? __WASI_EVENTTYPE_FD_WRITE : __WASI_EVENTTYPE_FD_READ;
    s->u.u.fd_read.file_descriptor = (__wasi_fd_t)fd;
}

/* WASI tells of ends and errors only where reading or writing is asked for: a descriptor of which neither is, is only
 * looked at. Returns how many of those are not open. */
static int subscribe_all(struct pollfd *fds, nfds_t n, __wasi_subscription_t *subs, size_t *ret_count)
{
    int bad = 0;

    for (nfds_t i = 0; i < n; i++) {
        __wasi_fdstat_t stat;

        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        if (fds[i].events & POLLRDNORM)
            subscribe(subs, ret_count, i, fds[i].fd, 0);
        if (fds[i].events & POLLWRNORM)
            subscribe(subs, ret_count, i, fds[i].fd, 1);
        if (!(fds[i].events & (POLLRDNORM | POLLWRNORM)) && __wasi_fd_fdstat_get((__wasi_fd_t)fds[i].fd, &stat) != 0) {
            fds[i].revents = POLLNVAL;
            bad++;
        }
    }
    return bad;
}

static short answer(const __wasi_event_t *event)
{
    int ended = event->fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP;

    switch (event->error) {
    case 0:
        if (event->type == __WASI_EVENTTYPE_FD_WRITE)
            return ended ? POLLHUP : POLLWRNORM;
        return ended ? POLLRDNORM | POLLHUP : POLLRDNORM;
    case __WASI_ERRNO_BADF:
        return POLLNVAL;
    case __WASI_ERRNO_PIPE:
        return POLLHUP;
    default:
        return POLLERR;
    }
}

static int wait_for(struct pollfd *fds, nfds_t n, long long ns, __wasi_subscription_t *subs, __wasi_event_t *events)
{
    size_t count = 0, got = 0;
    __wasi_errno_t error;
    int found = 0;

    if (subscribe_all(fds, n, subs, &count) > 0)
        ns = 0;
    if (ns != FOREVER || count == 0) {
        subs[count] = (__wasi_subscription_t){.userdata = n, .u.tag = __WASI_EVENTTYPE_CLOCK};
        subs[count].u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
        subs[count].u.u.clock.timeout = ns == FOREVER ? UINT64_MAX / 2 : (__wasi_timestamp_t)ns;
        count++;
    }
    error = __wasi_poll_oneoff(subs, events, count, &got);
    if (error) {
        errno = error;
        return -1;
    }
    for (size_t i = 0; i < got; i++)
        if (events[i].type != __WASI_EVENTTYPE_CLOCK)
            fds[events[i].userdata].revents |= answer(&events[i]);
    for (nfds_t i = 0; i < n; i++) {
        if (fds[i].revents & POLLHUP)
            fds[i].revents &= ~POLLWRNORM;
        found += fds[i].revents != 0;
    }
    return found;
}

static int poll_ns(struct pollfd *fds, nfds_t n, long long ns)
{
    __wasi_subscription_t few_subs[2 * FEW + 1], *subs = few_subs;
    __wasi_event_t few_events[2 * FEW + 1], *events = few_events;
    int result = -1;

    if (n > FEW) {
        if (n > SIZE_MAX / (4 * sizeof *subs)) {
            errno = EINVAL;
            return -1;
        }
        subs = malloc((2 * n + 1) * sizeof *subs);
        events = malloc((2 * n + 1) * sizeof *events);
    }
    if (subs && events)
        result = wait_for(fds, n, ns, subs, events);
    else
        errno = ENOMEM;
    if (n > FEW) {
        free(subs);
        free(events);
    }
    return result;
}

/* -2: not a time. */
static long long time_ns(const struct timespec *limit)
{
    if (!limit)
        return FOREVER;
    if (limit->tv_sec < 0 || limit->tv_nsec < 0 || limit->tv_nsec > 999999999)
        return -2;
    return limit->tv_sec > 1000000000 ? 1000000000LL * 1000000000 : limit->tv_sec * 1000000000LL + limit->tv_nsec;
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
    return poll_ns(fds, n, ms < 0 ? FOREVER : ms * 1000000LL);
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *limit, const sigset_t *mask)
{
    long long ns = time_ns(limit);

    (void)mask;
    if (ns < FOREVER) {
        errno = EINVAL;
        return -1;
    }
    return poll_ns(fds, n, ns);
}

static size_t add_set(struct pollfd *fds, size_t count, const fd_set *set, int n, short events)
{
    for (size_t i = 0; set && i < set->__nfds; i++)
        if (set->__fds[i] < n)
            fds[count++] = (struct pollfd){.fd = set->__fds[i], .events = events};
    return count;
}

/* Nothing exceptional ever happens to a descriptor of a cell. */
int pselect(int n, fd_set *restrict reads, fd_set *restrict writes, fd_set *restrict others,
            const struct timespec *restrict limit, const sigset_t *mask)
{
    struct pollfd fds[2 * FD_SETSIZE];
    size_t readers, count;
    long long ns = time_ns(limit);

    (void)mask;
    if (n < 0 || ns < FOREVER) {
        errno = EINVAL;
        return -1;
    }
    readers = add_set(fds, 0, reads, n, POLLRDNORM);
    count = add_set(fds, readers, writes, n, POLLWRNORM);
    if (poll_ns(fds, count, ns) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (fds[i].revents & POLLNVAL) {
            errno = EBADF;
            return -1;
        }
    if (reads)
        FD_ZERO(reads);
    if (writes)
        FD_ZERO(writes);
    if (others)
        FD_ZERO(others);
    n = 0;
    for (size_t i = 0; i < count; i++) {
        fd_set *set = i < readers ? reads : writes;

        if (fds[i].revents) {
            set->__fds[set->__nfds++] = fds[i].fd;
            n++;
        }
    }
    return n;
}
