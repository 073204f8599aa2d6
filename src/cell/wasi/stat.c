#include "stat.h"

enum { NS_PER_S = 1000000000 };

uint64_t stat_ns(struct timespec t)
{
    if (t.tv_sec < 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct ids_key stat_shown(const struct ids *ids, const struct stat *st)
{
    struct ids_key host = {st->st_dev, st->st_ino};
    return ids_are_native(ids) ? host : ids_shown(ids, host);
}

void stat_encode(const struct ids *ids, const struct stat *st, uint8_t type, bool unstable,
                 uint8_t *out)
{
    uint8_t *p = out;
    struct ids_key shown = {st->st_dev, st->st_ino};
    if (ids != NULL) {
        shown = stat_shown(ids, st);
    }
    memset(out, 0, unstable ? FILESTAT_UNSTABLE_BYTES : FILESTAT_BYTES);
    put_le64(p, shown.dev);
    put_le64(p + 8, shown.ino);
    p[16] = type;
    if (unstable) {
        put_le32(p + 20, st->st_nlink > UINT32_MAX ? UINT32_MAX : (uint32_t)st->st_nlink);
        p += 24;
    } else {
        put_le64(p + 24, st->st_nlink);
        p += 32;
    }
    put_le64(p, (uint64_t)st->st_size);
    put_le64(p + 8, stat_ns(st->st_atim));
    put_le64(p + 16, stat_ns(st->st_mtim));
    put_le64(p + 24, stat_ns(st->st_ctim));
}

static struct timespec time_of(uint64_t ns, bool set, bool now)
{
    if (now) {
        return (struct timespec){.tv_nsec = UTIME_NOW};
    }
    if (!set) {
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    }
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

enum wasi_errno stat_times(uint64_t atim, uint64_t mtim, uint32_t flags,
                           struct timespec ret_times[2])
{
    if ((flags & ~(uint32_t)FSTFLAGS_KNOWN) != 0 ||
        (flags & (FST_ATIM | FST_ATIM_NOW)) == (FST_ATIM | FST_ATIM_NOW) ||
        (flags & (FST_MTIM | FST_MTIM_NOW)) == (FST_MTIM | FST_MTIM_NOW)) {
        return WASI_INVAL;
    }
    ret_times[0] = time_of(atim, flags & FST_ATIM, flags & FST_ATIM_NOW);
    ret_times[1] = time_of(mtim, flags & FST_MTIM, flags & FST_MTIM_NOW);
    return WASI_OK;
}
