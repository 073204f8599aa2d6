#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void leases_init(struct leases *l, bool local)
{
    pthread_mutex_init(&l->m, NULL);
    atomic_init(&l->state, local ? LEASE_NEW : LEASE_OFF);
}

/* Caller holds m. The content is the caller's. */
static struct content *take_out(struct leases *l, struct lease_entry *e)
{
    struct lease_entry **at = &l->chains[e->hash % LEASE_CHAINS];
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    *(e->newer != NULL ? &e->newer->older : &l->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &l->oldest) = e->newer;
    struct content *c = e->content;
    l->entries--;
    l->bytes -= content_bytes(c);
    l->files -= c->extent_count;
    l->file_bytes -= content_file_bytes(c);
    free(e);
    return c;
}

/* What is not right any more holds memory and files, and the disk space of what was removed. */
static void forget_stale(struct leases *l)
{
    uint64_t all = atomic_load(&l->table[LEASE_T_ALL]);
    pthread_mutex_lock(&l->m);
    for (struct lease_entry *e = l->oldest, *newer; e != NULL; e = newer) {
        newer = e->newer;
        if (e->all_count != all ||
            e->slot_count != atomic_load(&l->table[LEASE_T_FIRST + (e->hash & (l->slots - 1))])) {
            content_unref(take_out(l, e));
        }
    }
    pthread_mutex_unlock(&l->m);
}

static void forget_all(struct leases *l)
{
    pthread_mutex_lock(&l->m);
    while (l->oldest != NULL) {
        content_unref(take_out(l, l->oldest));
    }
    pthread_mutex_unlock(&l->m);
}

void leases_done(struct leases *l)
{
    forget_all(l);
    if (l->table != NULL) {
        munmap((void *)(uintptr_t)l->table, lease_table_bytes(l->slots));
    }
    if (l->page != NULL) {
        munmap((void *)(uintptr_t)l->page, LEASE_PAGE_BYTES);
    }
    pthread_mutex_destroy(&l->m);
}

/* A table that could become shorter would end this process when it is looked at. */
static const lease_word *map_table(int fd, size_t *ret_bytes)
{
    struct stat info;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &info) != 0 || info.st_size <= 0 ||
        (uint64_t)info.st_size > lease_table_bytes(LEASE_SLOTS_MAX)) {
        return NULL;
    }
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    *ret_bytes = (size_t)info.st_size;
    return data != MAP_FAILED ? data : NULL;
}

static const lease_word *map_page(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size != LEASE_PAGE_BYTES) {
        return NULL;
    }
    void *data = mmap(NULL, LEASE_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    return data != MAP_FAILED ? data : NULL;
}

static bool map_both(struct leases *l, const struct pending *p)
{
    size_t bytes = 0;
    struct error err;
    if (p->passed_count != 2) {
        return false;
    }
    const lease_word *table = map_table(p->passed[0], &bytes), *page = map_page(p->passed[1]);
    if (table != NULL && page != NULL &&
        lease_check(table, bytes, page, LEASE_PAGE_BYTES, &l->slots, &err) == ST_OK) {
        l->table = table;
        l->page = page;
        return true;
    }
    if (table != NULL) {
        munmap((void *)(uintptr_t)table, bytes);
    }
    if (page != NULL) {
        munmap((void *)(uintptr_t)page, LEASE_PAGE_BYTES);
    }
    return false;
}

static void ask(struct geds *g)
{
    struct leases *l = g->leases;
    struct rlimit limit = {.rlim_cur = 0};
    struct arena arena = {0};
    struct geds_answer a;
    uint8_t sizes[16];
    struct pending p = {.data = sizes, .room = sizeof sizes};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 4 > LEASE_FILES_MAX) {
        limit.rlim_cur = 4 * LEASE_FILES_MAX;
    }
    l->files_max = (size_t)limit.rlim_cur / 4;
    status_t st = client_call(g, &p, GEDS_LEASE, &(struct geds_request){0}, NULL, &arena, &a, NULL);
    bool on = st == ST_OK && map_both(l, &p);
    pending_done(&p);
    arena_done(&arena);
    atomic_store(&l->state, on ? LEASE_ON : LEASE_OFF);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Is somebody there who would say that something has changed? */
static bool stands(struct geds *g)
{
    struct leases *l = g->leases;
    uint64_t now = now_ms();
    if (atomic_load(&l->page[LEASE_P_END]) != 0 || atomic_load(&g->lost)) {
        return false;
    }
    if (now - atomic_load_explicit(&l->looked_ms, memory_order_relaxed) < LEASE_LOOK_MS) {
        return true;
    }
    atomic_store_explicit(&l->looked_ms, now, memory_order_relaxed);
    forget_stale(l);
    return client_look(g);
}

bool leases_want(struct geds *g)
{
    struct leases *l = g->leases;
    enum lease_state state = LEASE_NEW;
    if (atomic_compare_exchange_strong(&l->state, &state, LEASE_ASKING)) {
        ask(g);
    }
    return atomic_load(&l->state) == LEASE_ON;
}

uint32_t leases_events(const struct geds *g)
{
    const struct leases *l = g->leases;
    return atomic_load(&l->state) == LEASE_ON ? (uint32_t)atomic_load(&l->table[LEASE_T_EVENTS])
                                              : 0;
}

bool leases_wait(struct geds *g, uint32_t seen, unsigned ms)
{
    const struct leases *l = g->leases;
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    if (atomic_load(&l->state) != LEASE_ON) {
        return nanosleep(&t, NULL) == 0;
    }
    long code = syscall(SYS_futex, &l->table[LEASE_T_EVENTS], FUTEX_WAIT, seen, &t, NULL, 0);
    return code == 0 || errno != EINTR;
}

static bool is_on(struct geds *g)
{
    struct leases *l = g->leases;
    enum lease_state state = atomic_load(&l->state);
    if (state == LEASE_NEW && atomic_fetch_add(&l->opens, 1) + 1 >= LEASE_OPENS_MIN &&
        atomic_compare_exchange_strong(&l->state, &state, LEASE_ASKING)) {
        ask(g);
    }
    if (atomic_load(&l->state) != LEASE_ON) {
        return false;
    }
    if (!stands(g)) {
        atomic_store(&l->state, LEASE_OFF);
        forget_all(l);
        return false;
    }
    return true;
}

/* Caller holds m. */
static struct lease_entry *look_up(struct leases *l, uint64_t hash, const char *bucket,
                                   const char *key)
{
    struct lease_entry *e = l->chains[hash % LEASE_CHAINS];
    while (e != NULL && (e->hash != hash || strcmp(e->content->key, key) != 0 ||
                         strcmp(e->content->bucket, bucket) != 0)) {
        e = e->next;
    }
    return e;
}

/* Caller holds m. */
static void make_newest(struct leases *l, struct lease_entry *e)
{
    if (l->newest == e) {
        return;
    }
    e->newer->older = e->older;
    *(e->older != NULL ? &e->older->newer : &l->oldest) = e->newer;
    e->newer = NULL;
    e->older = l->newest;
    l->newest->newer = e;
    l->newest = e;
}

struct content *leases_find(struct geds *g, const char *bucket, const char *key, bool whole,
                            struct lease_ticket *ret_ticket)
{
    struct leases *l = g->leases;
    struct content *found = NULL, *stale = NULL;
    *ret_ticket = (struct lease_ticket){0};
    if (!is_on(g)) {
        return NULL;
    }
    struct lease_ticket t = {.hash = lease_hash(bucket, key)};
    t.slot_count = atomic_load(&l->table[LEASE_T_FIRST + (t.hash & (l->slots - 1))]);
    t.all_count = atomic_load(&l->table[LEASE_T_ALL]);
    t.on = t.slot_count % 2 == 0 && t.all_count % 2 == 0;
    pthread_mutex_lock(&l->m);
    struct lease_entry *e = look_up(l, t.hash, bucket, key);
    if (e != NULL && (e->slot_count != t.slot_count || e->all_count != t.all_count)) {
        stale = take_out(l, e);
    } else if (e != NULL && whole && !content_is_whole(e->content)) {
        t.no_files = e->content->no_files;
        t.hot = !t.no_files;
    } else if (e != NULL) {
        make_newest(l, e);
        found = content_ref(e->content);
    }
    pthread_mutex_unlock(&l->m);
    content_unref(stale);
    *ret_ticket = t;
    return found;
}

/* Caller holds m. */
static void add(struct leases *l, struct lease_entry *e)
{
    struct lease_entry **chain = &l->chains[e->hash % LEASE_CHAINS];
    e->next = *chain;
    *chain = e;
    e->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = e;
    l->newest = e;
    l->entries++;
    l->bytes += content_bytes(e->content);
    l->files += e->content->extent_count;
    l->file_bytes += content_file_bytes(e->content);
}

void leases_keep(struct geds *g, const struct lease_ticket *t, struct content *c)
{
    struct leases *l = g->leases;
    struct lease_entry *e = t->on ? calloc(1, sizeof *e) : NULL;
    if (e == NULL) {
        return;
    }
    *e = (struct lease_entry){.hash = t->hash,
                              .slot_count = t->slot_count,
                              .all_count = t->all_count,
                              .content = content_ref(c)};
    struct content *dropped[2] = {0};
    pthread_mutex_lock(&l->m);
    struct lease_entry *former = look_up(l, t->hash, c->bucket, c->key);
    if (former != NULL) {
        dropped[0] = take_out(l, former);
    }
    add(l, e);
    while (l->entries > LEASE_ENTRIES_MAX || l->bytes > LEASE_BYTES_MAX ||
           l->files > l->files_max || l->file_bytes > LEASE_FILE_BYTES_MAX) {
        content_unref(dropped[1]);
        dropped[1] = take_out(l, l->oldest);
    }
    pthread_mutex_unlock(&l->m);
    content_unref(dropped[0]);
    content_unref(dropped[1]);
}
