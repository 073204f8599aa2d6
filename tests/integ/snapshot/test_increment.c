#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dirty.h"

/* Snapshots on snapshots, and the tracking of writes that they stand on. */

enum { STEPS = 5, EMBEDS = 1 /* the step whose snapshot holds the module */ };

static const struct dirty_work grows = {.rounds = 40, .writes = 200, .span = 1 << 21, .grow = 7};

/* A run that was written down at each capture: the first whole, the others on the one before. */
struct chain {
    struct dirty_stream files[STEPS];
    struct snapshot_info infos[STEPS];
    struct snapshot_sizes sizes[STEPS];
    uint32_t count;
    uint64_t expected;
};

static void write_step(struct chain *ch, struct cell *c, struct track *t)
{
    struct error err = {0};
    struct page_set pages = {.count = 0};
    uint32_t i = ch->count++;
    struct snapshot_sink sink = dirty_sink(&ch->files[i]);
    struct snapshot_options o = {.pages = &pages};
    if (i > 0) {
        o.base_id = ch->infos[i - 1].id;
        o.base_name = "step";
    }
    if (i == EMBEDS) {
        ch->infos[i].module = dirty_module.data;
        ch->infos[i].module_len = dirty_module.len;
    }
    guest_need(track_harvest(t, &pages, &err), "harvest", &err);
    guest_need(snapshot_write_with(c, &ch->infos[i], &o, "host", 4, &sink, &ch->sizes[i], &err),
               "write", &err);
    page_set_done(&pages);
}

static void chain_make(struct chain *ch, const struct dirty_work *w)
{
    struct dirty_host h = {.every = w->rounds / STEPS};
    struct guest g;
    struct track *t = NULL;
    union cell_value io[4];
    *ch = (struct chain){.expected = dirty_expected(w)};
    dirty_start(&g, &h);
    guest_need(track_start(g.cell, &t, &g.err), "track", &g.err);
    dirty_arguments(w, io);
    status_t st = guest_call(&g, "work", io);
    while (st == ST_CAPTURED && ch->count < STEPS) {
        write_step(ch, g.cell, t);
        st = cell_resume(g.cell, io, &g.err);
    }
    CHECK_EQ(dirty_go_on(&g, io, st), ch->expected);
    track_stop(t);
    cell_free(g.cell);
}

static void chain_done(struct chain *ch)
{
    for (uint32_t i = 0; i < STEPS; i++)
        buf_done(&ch->files[i].bytes);
}

/* Read the files with the numbers in `steps` as a chain and run to the end. */
static status_t chain_read(struct chain *ch, const uint32_t *steps, uint32_t count,
                           uint64_t *ret_result, struct error *err)
{
    struct snapshot_reader *readers[STEPS] = {NULL};
    struct dirty_host h = {.every = 0};
    struct guest g;
    union cell_value io[4] = {{0}};
    struct snapshot_sizes sizes;
    dirty_start(&g, &h);
    for (uint32_t i = 0; i < count; i++) {
        struct snapshot_source source = dirty_source(&ch->files[steps[i]]);
        guest_need(snapshot_open(&source, &readers[i], err), "open", err);
    }
    status_t st = snapshot_read_chain(readers, count, g.cell, &sizes, err);
    if (st == ST_OK)
        *ret_result = dirty_go_on(&g, io, cell_resume(g.cell, io, &g.err));
    for (uint32_t i = 0; i < count; i++)
        snapshot_close(readers[i]);
    cell_free(g.cell);
    return st;
}

static void each_prefix_of_a_chain_goes_on_to_the_same_end(void)
{
    static const uint32_t steps[STEPS] = {0, 1, 2, 3, 4};
    struct chain ch;
    chain_make(&ch, &grows);
    CHECK_EQ(ch.count, STEPS);
    for (uint32_t n = 1; n <= ch.count; n++) {
        struct error err = {0};
        uint64_t result = 0;
        CHECK_EQ(chain_read(&ch, steps, n, &result, &err), ST_OK);
        CHECK(result == ch.expected);
    }
    chain_done(&ch);
}

/* Is each page of the memory there? Of up to 16 MiB. */
static bool is_present(const struct cell_memory *m)
{
    static uint8_t pages[4096];
    bool all = m->bytes / 4096 <= sizeof pages && mincore(m->base, m->bytes, pages) == 0;
    for (uint64_t i = 0; all && i < m->bytes / 4096; i++)
        all = pages[i] & 1;
    return all;
}

/* Into a cell whose memory was made that much larger before. */
static status_t read_prepared(struct chain *ch, uint64_t more, uint64_t *ret_result)
{
    const struct snapshot_source source = dirty_source(&ch->files[0]);
    struct dirty_host h = {.every = 0};
    struct guest g;
    struct snapshot_reader *r;
    struct snapshot_sizes sizes;
    struct cell_memory m;
    union cell_value io[4] = {{0}};
    ch->files[0].at = 0;
    dirty_start(&g, &h);
    CHECK_EQ(cell_memory(g.cell, 0, &m), ST_OK);
    CHECK(!is_present(&m));
    CHECK_EQ(cell_memory_prepare(g.cell, 0, m.bytes + more), ST_OK);
    CHECK_EQ(cell_memory(g.cell, 0, &m), ST_OK);
    CHECK(is_present(&m));
    CHECK_EQ(cell_memory_prepare(g.cell, 0, (8ull << 30) + WASM_PAGE_BYTES), ST_LIMIT);
    CHECK_EQ(cell_memory_prepare(g.cell, 1, WASM_PAGE_BYTES), ST_NOTFOUND);
    guest_need(snapshot_open(&source, &r, &g.err), "open", &g.err);
    status_t st = snapshot_read(r, g.cell, &sizes, &g.err);
    if (st == ST_OK)
        *ret_result = dirty_go_on(&g, io, cell_resume(g.cell, io, &g.err));
    snapshot_close(r);
    cell_free(g.cell);
    return st;
}

static void memory_can_be_made_present_before(void)
{
    enum { GROWTH = 3 * WASM_PAGE_BYTES }; /* until the first snapshot */
    struct chain ch;
    uint64_t result = 0;
    chain_make(&ch, &grows);
    CHECK_EQ(read_prepared(&ch, 0, &result), ST_OK);
    CHECK(result == ch.expected);
    result = 0;
    CHECK_EQ(read_prepared(&ch, GROWTH, &result), ST_OK);
    CHECK(result == ch.expected);
    CHECK_EQ(read_prepared(&ch, GROWTH + WASM_PAGE_BYTES, &result), ST_CORRUPT);
    chain_done(&ch);
}

static void an_increment_holds_what_changed_only(void)
{
    const struct dirty_work few = {.rounds = 5, .writes = 4, .span = 64 << 10};
    struct chain ch;
    chain_make(&ch, &few);
    for (uint32_t i = 1; i < ch.count; i++)
        CHECK(ch.sizes[i].page_bytes > 0 && ch.sizes[i].page_bytes <= 10 * 4096);
    chain_done(&ch);
}

static void any_snapshot_may_hold_the_module(void)
{
    struct chain ch;
    chain_make(&ch, &grows);
    for (uint32_t i = 0; i < ch.count; i++) {
        struct snapshot_source source = dirty_source(&ch.files[i]);
        struct snapshot_reader *r = NULL;
        struct snapshot_summary sum = {0};
        struct error err = {0};
        guest_need(snapshot_open(&source, &r, &err), "open", &err);
        const struct snapshot_info *info = snapshot_reader_info(r);
        CHECK_EQ(info->module != NULL, i == EMBEDS);
        CHECK(!info->module || memcmp(info->module, dirty_module.data, dirty_module.len) == 0);
        CHECK_EQ(ch.sizes[i].module_bytes, i == EMBEDS ? dirty_module.len : 0);
        CHECK_EQ(snapshot_describe(r, &sum, &err), ST_OK);
        CHECK_EQ(sum.sizes.module_bytes, ch.sizes[i].module_bytes);
        CHECK_EQ(sum.sizes.total_bytes, ch.sizes[i].total_bytes);
        free(sum.frames);
        snapshot_close(r);
    }
    chain_done(&ch);
}

static status_t describe(const struct dirty_stream *file, struct error *err)
{
    struct dirty_stream copy = *file;
    struct snapshot_source source = dirty_source(&copy);
    struct snapshot_reader *r = NULL;
    struct snapshot_summary sum = {0};
    copy.at = 0;
    status_t st = snapshot_open(&source, &r, err);
    st = st == ST_OK ? snapshot_describe(r, &sum, err) : st;
    free(sum.frames);
    snapshot_close(r);
    return st;
}

static void damage_is_found_without_a_cell(void)
{
    enum { PLACES = 200 };
    struct chain ch;
    chain_make(&ch, &grows);
    for (uint32_t i = 0; i < ch.count; i++) {
        struct dirty_stream *f = &ch.files[i];
        for (size_t k = 0; k < PLACES; k++) {
            struct error err = {0};
            uint8_t *at = &f->bytes.data[f->bytes.len / PLACES * k];
            *at ^= 0x20;
            CHECK(describe(f, &err) != ST_OK && err.text[0]);
            *at ^= 0x20;
        }
        struct error err = {0};
        CHECK_EQ(describe(f, &err), ST_OK);
    }
    chain_done(&ch);
}

static void another_module_is_not_written(void)
{
    struct dirty_host h = {.every = 1};
    struct guest g;
    union cell_value io[4];
    struct buf other = {0};
    struct snapshot_sizes sizes;
    struct dirty_stream file = {.bytes = {0}};
    struct snapshot_sink sink = dirty_sink(&file);
    buf_bytes(&other, dirty_module.data, dirty_module.len);
    other.data[other.len - 1] ^= 1;
    dirty_start(&g, &h);
    dirty_arguments(&grows, io);
    CHECK_EQ(guest_call(&g, "work", io), ST_CAPTURED);
    for (size_t less = 0; less < 2; less++) {
        struct snapshot_info info = {.module = other.data, .module_len = other.len - less};
        CHECK_EQ(snapshot_write(g.cell, &info, "host", 4, &sink, &sizes, &g.err), ST_INVALID);
        CHECK_EQ(file.bytes.len, 0);
    }
    buf_done(&other);
    cell_free(g.cell);
}

static int place_in_file(void *arg, size_t len, uint64_t *ret_off)
{
    off_t end = lseek(*(int *)arg, (off_t)len, SEEK_CUR);
    *ret_off = (uint64_t)end - len;
    return end < 0 ? -1 : *(int *)arg;
}

static bool write_to_file(void *arg, const void *data, size_t len)
{
    return file_write_all(*(int *)arg, data, len) == 0;
}

static void spoil(int fd, uint64_t bytes)
{
    struct buf b = {0};
    buf_fill(&b, 0xa5, (size_t)bytes);
    CHECK_EQ(pwrite(fd, b.data, b.len, 0), b.len);
    buf_done(&b);
}

/* Of a cell that stands; into a new file, and over it once more. */
static void write_twice(struct guest *g, int fd, struct snapshot_sizes sizes[2])
{
    const struct snapshot_sink sink = {.write = write_to_file, .arg = &fd, .range = place_in_file};
    for (int i = 0; i < 2; i++) {
        struct snapshot_info info = {.nan = 0};
        CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
        CHECK_EQ(snapshot_write(g->cell, &info, "host", 4, &sink, &sizes[i], &g->err), ST_OK);
        CHECK_EQ(lseek(fd, 0, SEEK_CUR), sizes[i].total_bytes);
        CHECK_EQ(lseek(fd, 0, SEEK_END), sizes[i].total_bytes);
        spoil(fd, i == 0 ? sizes[0].total_bytes : 0);
    }
    CHECK(sizes[1].page_bytes > 4 << 20); /* enough for two threads and a mapping */
}

static uint64_t read_and_go_on(struct dirty_stream *s)
{
    const struct snapshot_source source = dirty_source(s);
    struct dirty_host h = {.every = 0};
    struct guest g;
    struct snapshot_reader *r;
    struct snapshot_sizes sizes;
    union cell_value io[4] = {{0}};
    dirty_start(&g, &h);
    guest_need(snapshot_open(&source, &r, &g.err), "open", &g.err);
    guest_need(snapshot_read(r, g.cell, &sizes, &g.err), "read", &g.err);
    uint64_t result = dirty_go_on(&g, io, cell_resume(g.cell, io, &g.err));
    snapshot_close(r);
    cell_free(g.cell);
    return result;
}

static void a_file_is_written_by_offset(void)
{
    struct dirty_host h = {.every = grows.rounds / 2};
    struct guest g;
    union cell_value io[4];
    struct snapshot_sizes sizes[2];
    struct dirty_stream s = {.at = 0};
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    dirty_start(&g, &h);
    CHECK_EQ(cell_memory_extend(g.cell, 0, 8 << 20), ST_OK);
    CHECK_EQ(guest_call(&g, "fill", io), ST_OK);
    dirty_arguments(&grows, io);
    CHECK_EQ(guest_call(&g, "work", io), ST_CAPTURED);
    write_twice(&g, fd, sizes);
    CHECK_EQ(sizes[0].total_bytes, sizes[1].total_bytes);
    buf_fill(&s.bytes, 0, (size_t)sizes[1].total_bytes);
    CHECK_EQ(pread(fd, s.bytes.data, s.bytes.len, 0), s.bytes.len);
    const uint64_t expected = dirty_go_on(&g, io, cell_resume(g.cell, io, &g.err));
    CHECK_EQ(read_and_go_on(&s), expected);
    buf_done(&s.bytes);
    cell_free(g.cell);
    close(fd);
}

static bool write_nowhere(void *arg, const void *data, size_t len)
{
    (void)arg, (void)data, (void)len;
    return true;
}

static int place_nowhere(void *arg, size_t len, uint64_t *ret_off)
{
    (void)len;
    *ret_off = 0;
    return *(int *)arg;
}

static void a_file_that_cannot_be_written_is_told(void)
{
    struct dirty_host h = {.every = 1};
    struct guest g;
    union cell_value io[4];
    struct snapshot_info info = {.nan = 0};
    struct snapshot_sizes sizes = {.frames = 7};
    int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    const struct snapshot_sink sink = {.write = write_nowhere, .arg = &fd, .range = place_nowhere};
    dirty_start(&g, &h);
    CHECK_EQ(cell_memory_extend(g.cell, 0, 8 << 20), ST_OK);
    CHECK_EQ(guest_call(&g, "fill", io), ST_OK);
    dirty_arguments(&grows, io);
    CHECK_EQ(guest_call(&g, "work", io), ST_CAPTURED);
    CHECK_EQ(snapshot_write(g.cell, &info, "host", 4, &sink, &sizes, &g.err), ST_LIMIT);
    CHECK(strstr(g.err.text, "No space left"));
    CHECK_EQ(sizes.frames, 7);
    close(fd);
    cell_free(g.cell);
}

static void a_wrong_or_missing_base_is_named(void)
{
    static const uint32_t gap[] = {0, 2}, alone[] = {1}, whole[] = {0, 0}, turned[] = {0, 1, 3, 2};
    struct chain ch;
    uint64_t result = 0;
    char id[SNAPSHOT_ID_TEXT_BYTES];
    chain_make(&ch, &grows);
    struct error err = {0};
    CHECK_EQ(chain_read(&ch, gap, 2, &result, &err), ST_INVALID);
    snapshot_id_text(ch.infos[1].id, id);
    id[8] = '\0';
    CHECK(strstr(err.text, id) && strstr(err.text, "step"));
    CHECK_EQ(chain_read(&ch, alone, 1, &result, &err), ST_INVALID);
    snapshot_id_text(ch.infos[0].id, id);
    id[8] = '\0';
    CHECK(strstr(err.text, id) && strstr(err.text, "missing"));
    CHECK_EQ(chain_read(&ch, whole, 2, &result, &err), ST_INVALID);
    CHECK_EQ(chain_read(&ch, turned, 4, &result, &err), ST_INVALID);
    CHECK_EQ(result, 0);
    chain_done(&ch);
}

static void a_damaged_base_is_refused(void)
{
    static const uint32_t steps[] = {0, 1};
    struct chain ch;
    uint64_t result = 0;
    struct error err = {0};
    chain_make(&ch, &grows);
    ch.files[0].bytes.data[ch.files[0].bytes.len / 2] ^= 1;
    CHECK_EQ(chain_read(&ch, steps, 2, &result, &err), ST_CORRUPT);
    CHECK(strstr(err.text, "pages"));
    ch.files[0].bytes.data[ch.files[0].bytes.len / 2] ^= 1;
    ch.files[1].bytes.len -= 10;
    CHECK_EQ(chain_read(&ch, steps, 2, &result, &err), ST_CORRUPT);
    chain_done(&ch);
}

static void an_increment_needs_its_pages(void)
{
    struct dirty_host h = {.every = 0};
    struct guest g;
    struct dirty_stream s = {.at = 0};
    struct snapshot_sink sink = dirty_sink(&s);
    struct snapshot_info info = {.nan = 0};
    struct snapshot_sizes sizes = {.frames = 7};
    struct snapshot_options o = {.base_id = info.base_id};
    dirty_start(&g, &h);
    CHECK_EQ(snapshot_write_with(g.cell, &info, &o, NULL, 0, &sink, &sizes, &g.err), ST_INVAL);
    CHECK_EQ(sizes.frames, 7);
    CHECK_EQ(s.bytes.len, 0);
    cell_free(g.cell);
}

/* ---- tracking while the cell runs ---- */

struct follower {
    struct cell *cell;
    struct track *track;
    uint8_t *copy;
    uint64_t copy_bytes;
    uint64_t harvested;
    atomic_bool ended;
    status_t st;
};

static void copy_pages(struct follower *f, const struct page_set *set)
{
    struct cell_memory m;
    struct page_run run = {0};
    guest_need(cell_memory(f->cell, 0, &m), "memory", &(struct error){0});
    for (; page_set_next(set, UINT64_MAX, &run); run.at += run.len)
        memcpy(f->copy + run.at, m.base + run.at, run.len);
    f->harvested += set->count;
}

static void follow_once(struct follower *f)
{
    struct page_set set = {.count = 0};
    struct error err = {0};
    f->st = track_harvest(f->track, &set, &err);
    if (f->st == ST_OK)
        copy_pages(f, &set);
    page_set_done(&set);
}

/* The copies race with the guest by design: what is torn is in the next harvest. */
static void *follow(void *arg)
{
    struct follower *f = arg;
    while (!atomic_load(&f->ended) && f->st == ST_OK)
        follow_once(f);
    return NULL;
}

static void no_write_of_a_running_cell_is_missed(void)
{
    const struct dirty_work busy = {.rounds = 300, .writes = 2000, .span = 1 << 22, .grow = 5};
    struct dirty_host h = {.every = 0};
    struct follower f = {.copy_bytes = 64 << 20};
    struct guest g;
    union cell_value io[4];
    struct cell_memory m, initial;
    pthread_t thread;
    dirty_start(&g, &h);
    guest_need(track_start(g.cell, &f.track, &g.err), "track", &g.err);
    guest_need(cell_memory(g.cell, 0, &initial), "memory", &g.err);
    f.copy = calloc(1, f.copy_bytes);
    f.cell = g.cell;
    for (uint64_t at = 0; f.copy && at < initial.bytes; at += 65536) {
        const uint8_t *p = cell_memory_initial(g.cell, 0, at);
        if (p)
            memcpy(f.copy + at, p, 65536);
    }
    bool follows = f.copy && pthread_create(&thread, NULL, follow, &f) == 0;
    CHECK(follows);
    dirty_arguments(&busy, io);
    CHECK_EQ(guest_call(&g, "work", io), ST_OK);
    atomic_store(&f.ended, true);
    if (follows)
        pthread_join(thread, NULL);
    follow_once(&f);
    CHECK_EQ(f.st, ST_OK);
    guest_need(cell_memory(g.cell, 0, &m), "memory", &g.err);
    CHECK(m.bytes > initial.bytes && m.bytes <= f.copy_bytes);
    CHECK(memcmp(f.copy, m.base, m.bytes) == 0);
    f.harvested = 0;
    follow_once(&f);
    CHECK_EQ(f.harvested, 0);
    track_stop(f.track);
    free(f.copy);
    cell_free(g.cell);
}

static void one_cell_is_followed_once_at_a_time(void)
{
    struct dirty_host h = {.every = 0};
    struct guest g;
    struct track *first = NULL, *second = NULL;
    dirty_start(&g, &h);
    guest_need(track_start(g.cell, &first, &g.err), "track", &g.err);
    CHECK(track_start(g.cell, &second, &g.err) != ST_OK);
    CHECK(second == NULL);
    track_stop(first);
    CHECK_EQ(track_start(g.cell, &second, &g.err), ST_OK);
    track_stop(second);
    track_stop(NULL);
    cell_free(g.cell);
}

int main(int argc, char **argv)
{
    dirty_open(argc, argv);
    RUN(each_prefix_of_a_chain_goes_on_to_the_same_end);
    RUN(memory_can_be_made_present_before);
    RUN(an_increment_holds_what_changed_only);
    RUN(any_snapshot_may_hold_the_module);
    RUN(damage_is_found_without_a_cell);
    RUN(another_module_is_not_written);
    RUN(a_file_is_written_by_offset);
    RUN(a_file_that_cannot_be_written_is_told);
    RUN(a_wrong_or_missing_base_is_named);
    RUN(a_damaged_base_is_refused);
    RUN(an_increment_needs_its_pages);
    RUN(no_write_of_a_running_cell_is_missed);
    RUN(one_cell_is_followed_once_at_a_time);
    dirty_close();
    return CHECK_DONE();
}
