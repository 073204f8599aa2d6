#include "cell/run/lazy.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cell.h"
#include "faultfd.h"

struct lazy {
    struct cell *cell;
    struct instance *inst;
    int faults;
    int ended; /* an eventfd */
    struct run_pager pager;
    uint64_t
        bytes[PAGE_SET_MEMORIES]; /* of memories, when it began: what was grown is not registered */
    pthread_mutex_t lock;
    struct page_set owed; /* guarded by lock; a page leaves it when it is there */
    atomic_bool lost;
};

static bool need(void *arg, const uint8_t *at, uint64_t len)
{
    struct lazy *l = arg;
    uintptr_t from = (uintptr_t)at & ~(uintptr_t)(PAGE_SET_PAGE_BYTES - 1);
    for (uintptr_t p = from; len && p < (uintptr_t)at + len; p += PAGE_SET_PAGE_BYTES)
        (void)*(const volatile uint8_t *)(at + (p - (uintptr_t)at));
    return !atomic_load(&l->lost);
}

/* The kernel cannot say that a page of the image's file is missing: such a run becomes anonymous, with its content. */
static status_t make_anonymous(uint8_t *at, uint64_t len)
{
    uint8_t *copy = malloc(len);
    if (!copy)
        return ST_NOMEM;
    memcpy(copy, at, len);
    void *p = mmap(at, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (p != MAP_FAILED) {
        (void)!madvise(at, len, MADV_NOHUGEPAGE); /* as it was before */
        memcpy(at, copy, len);
    }
    free(copy);
    return p == MAP_FAILED ? ST_NOMEM : ST_OK;
}

static status_t make_all_anonymous(struct instance *inst)
{
    const struct image *img = inst->prog->image;
    status_t st = ST_OK;
    if (inst->slot)
        inst->slot->program = 0; /* it is laid out anew for the next cell */
    for (uint32_t i = 0; st == ST_OK && i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        if (r->len)
            st = make_anonymous(inst->mems[r->mem]->abi.base + r->guest_off, r->len);
    }
    return st;
}

static status_t register_all(struct lazy *l, struct error *err)
{
    for (uint32_t i = 0; i < l->inst->module->mem_count; i++) {
        uint8_t *base = l->inst->mems[i]->abi.base;
        l->bytes[i] = run_memory_bytes(&l->inst->mems[i]->abi);
        if (l->bytes[i] &&
            run_faults_register(l->faults, base, l->bytes[i], RUN_FAULTS_MISSING) != 0)
            return error_set_errno(err, errno, "waiting for pages of a memory");
    }
    return ST_OK;
}

static status_t forget_owed(struct lazy *l, struct error *err)
{
    struct page_run run = {0};
    for (; page_set_next(&l->owed, UINT64_MAX, &run); run.at += run.len) {
        if (run.mem >= l->inst->module->mem_count || run.at > l->bytes[run.mem] ||
            run.len > l->bytes[run.mem] - run.at)
            return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "pages outside their memory");
        if (madvise(l->inst->mems[run.mem]->abi.base + run.at, run.len, MADV_DONTNEED) != 0)
            return error_set_errno(err, errno, "making room for pages");
    }
    return ST_OK;
}

static void set_pagers(struct lazy *l, const struct run_pager *pager)
{
    for (uint32_t i = 0; i < l->inst->module->mem_count; i++)
        atomic_store(&l->inst->mems[i]->pager, pager);
}

static status_t lazy_begin(struct lazy *l, struct error *err)
{
    status_t st = make_all_anonymous(l->inst);
    if (st != ST_OK)
        return error_set(err, st, ERROR_NO_OFFSET, "no memory for pages that are to come");
    st = register_all(l, err);
    if (st == ST_OK)
        st = forget_owed(l, err);
    if (st == ST_OK)
        set_pagers(l, &l->pager);
    return st;
}

status_t lazy_start(struct cell *c, const struct page_set *owed, struct lazy **ret_lazy,
                    struct error *err)
{
    struct instance *inst = cell_first_instance(c);
    if (!inst || inst->next || sysconf(_SC_PAGESIZE) != PAGE_SET_PAGE_BYTES)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "pages of this cell cannot come later");
    struct lazy *l = calloc(1, sizeof(*l));
    if (!l)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to wait for pages");
    *l = (struct lazy){.cell = c,
                       .inst = inst,
                       .faults = run_faults_open(RUN_FAULTS_MISSING),
                       .ended = eventfd(0, EFD_CLOEXEC),
                       .pager = {need, l}};
    pthread_mutex_init(&l->lock, NULL);
    status_t st = page_set_merge(&l->owed, owed);
    if (st != ST_OK)
        st = error_set(err, st, ERROR_NO_OFFSET, "no memory to wait for pages");
    else if (l->faults < 0 || l->ended < 0)
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                       "this kernel has no userfaultfd, or does not allow it: %s", strerror(errno));
    else
        st = lazy_begin(l, err);
    if (st == ST_OK)
        *ret_lazy = l;
    else
        lazy_free(l);
    return st;
}

/* Where an address is; false: in no memory that was there at the start. */
static bool page_at(const struct lazy *l, const uint8_t *at, struct page_run *ret_page)
{
    for (uint32_t i = 0; i < l->inst->module->mem_count; i++) {
        uint64_t off = (uint64_t)((uintptr_t)at - (uintptr_t)l->inst->mems[i]->abi.base);
        if (off < l->bytes[i]) {
            off -= off % PAGE_SET_PAGE_BYTES;
            *ret_page = (struct page_run){i, off, PAGE_SET_PAGE_BYTES};
            return true;
        }
    }
    return false;
}

static uint8_t *address_of(const struct lazy *l, const struct page_run *run)
{
    return l->inst->mems[run->mem]->abi.base + run->at;
}

bool lazy_next_need(struct lazy *l, struct page_run *ret_page)
{
    uint8_t *at;
    while (run_faults_wait(l->faults, l->ended, &at)) {
        struct page_run page;
        if (!page_at(l, at, &page))
            continue;
        pthread_mutex_lock(&l->lock);
        bool owed = page_set_has(&l->owed, page.mem, page.at);
        pthread_mutex_unlock(&l->lock);
        if (owed && !atomic_load(&l->lost)) {
            *ret_page = page;
            return true;
        }
        /* It is there already, or was zeros from the start. */
        if (run_faults_fill(l->faults, address_of(l, &page), NULL, PAGE_SET_PAGE_BYTES) != 0)
            lazy_fail(l);
    }
    return false;
}

/* Only what is there leaves the set: whoever finds a page in it may be told that it comes. */
static status_t fill_page(struct lazy *l, const struct page_run *page, const uint8_t *data)
{
    pthread_mutex_lock(&l->lock);
    status_t st = page_set_has(&l->owed, page->mem, page->at) ? ST_OK : ST_INVALID;
    if (st == ST_OK &&
        run_faults_fill(l->faults, address_of(l, page), data, PAGE_SET_PAGE_BYTES) != 0)
        st = errno == ENOMEM ? ST_NOMEM : ST_IO;
    if (st == ST_OK)
        page_set_remove(&l->owed, page->mem, page->at, PAGE_SET_PAGE_BYTES);
    pthread_mutex_unlock(&l->lock);
    return st;
}

status_t lazy_fill(struct lazy *l, const struct page_run *run, const uint8_t *data)
{
    status_t st = ST_OK;
    for (uint64_t k = 0; k < run->len && st == ST_OK; k += PAGE_SET_PAGE_BYTES) {
        const struct page_run page = {run->mem, run->at + k, PAGE_SET_PAGE_BYTES};
        st = fill_page(l, &page, data + k);
    }
    return st;
}

uint64_t lazy_owed(struct lazy *l)
{
    pthread_mutex_lock(&l->lock);
    uint64_t count = l->owed.count;
    pthread_mutex_unlock(&l->lock);
    return count;
}

/* The request to stop stands before any page of zeros can be seen. */
void lazy_fail(struct lazy *l)
{
    struct page_run run = {0};
    atomic_store(&l->lost, true);
    cell_stop(l->cell, STOP_REQUEST);
    pthread_mutex_lock(&l->lock);
    for (; page_set_next(&l->owed, PAGE_SET_PAGE_BYTES, &run); run.at += run.len) {
        int filled = run_faults_fill(l->faults, address_of(l, &run), NULL, PAGE_SET_PAGE_BYTES);
        (void)filled; /* whoever waits there goes on when the descriptor is closed */
    }
    pthread_mutex_unlock(&l->lock);
}

void lazy_end(struct lazy *l)
{
    uint64_t one = 1;
    ssize_t put = write(l->ended, &one, sizeof(one));
    (void)put; /* fails only when it is set already */
}

void lazy_release(struct lazy *l)
{
    if (!atomic_load(&l->lost))
        set_pagers(l, NULL);
    pthread_mutex_lock(&l->lock);
    if (l->faults >= 0)
        close(l->faults);
    l->faults = -1;
    pthread_mutex_unlock(&l->lock);
}

void lazy_free(struct lazy *l)
{
    if (!l)
        return;
    lazy_release(l);
    set_pagers(l, NULL);
    if (l->ended >= 0)
        close(l->ended);
    page_set_done(&l->owed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
