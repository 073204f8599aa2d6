#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "cell/module/image.h"
#include "reader.h"

void snapshot_id_text(const uint8_t id[SNAPSHOT_ID_BYTES], char ret_text[SNAPSHOT_ID_TEXT_BYTES])
{
    for (size_t i = 0; i < SNAPSHOT_ID_BYTES; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", id[i]);
}

status_t reader_corrupt(uint32_t part, const char *why, struct error *err)
{
    return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "snapshot: part '%s': %s",
                     snapshot_part_name(part), why);
}

/* errnum 0: at its end */
static status_t read_failed(int errnum, struct error *err)
{
    return errnum ? error_set_errno(err, errnum, "reading a snapshot")
                  : error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "snapshot: ends too early");
}

static status_t get(struct snapshot_reader *r, void *data, size_t len, struct error *err)
{
    errno = 0;
    if (len && !r->source.read(r->source.arg, data, len))
        return read_failed(errno, err);
    r->sizes.total_bytes += len;
    return ST_OK;
}

/* Parts that a former version does not have. */
static bool is_known(const struct snapshot_reader *r, uint32_t id)
{
    return id != 0 && id < PART_COUNT && (id <= PART_END || id == PART_MODULE || r->version > 1);
}

status_t reader_part(struct snapshot_reader *r, struct part *ret_part, struct error *err)
{
    uint8_t bytes[PART_HEAD_BYTES];
    status_t st = get(r, bytes, sizeof(bytes), err);
    if (st != ST_OK)
        return st;
    struct cursor c;
    cursor_init(&c, bytes, sizeof(bytes), 0);
    struct part p = {.id = cursor_le32(&c)};
    p.summed = cursor_le32(&c);
    p.len = cursor_le64(&c);
    p.sum = cursor_le64(&c);
    if (!is_known(r, p.id))
        return reader_corrupt(p.id, "no such part", err);
    if (p.summed > p.len || (!reader_has_pages(&p) && p.summed != p.len))
        return reader_corrupt(p.id, "wrong length", err);
    r->parts++;
    r->sum_of_sums += p.sum;
    *ret_part = p;
    return ST_OK;
}

status_t reader_summed(struct snapshot_reader *r, const struct part *p, struct buf *ret_bytes,
                       struct error *err)
{
    if (p->summed > PART_BYTES_MAX)
        return reader_corrupt(p->id, "too long", err);
    uint8_t piece[16384];
    status_t st = ST_OK;
    for (uint64_t left = p->summed; left && st == ST_OK;) {
        size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        st = get(r, piece, n, err);
        if (st == ST_OK)
            buf_bytes(ret_bytes, piece, n); /* grows with what is there, not with what is claimed */
        left -= n;
    }
    if (st == ST_OK && ret_bytes->failed)
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a snapshot");
    if (st == ST_OK && hash_xxh3(ret_bytes->data, ret_bytes->len) != p->sum)
        st = reader_corrupt(p->id, "wrong checksum", err);
    return st;
}

status_t reader_expect(struct snapshot_reader *r, enum snapshot_part id, struct buf *ret_bytes,
                       struct error *err)
{
    struct part p;
    status_t st = reader_part(r, &p, err);
    if (st == ST_OK && p.id != (uint32_t)id)
        st = reader_corrupt(p.id, "not where it belongs", err);
    return st == ST_OK ? reader_summed(r, &p, ret_bytes, err) : st;
}

static void read_text(struct cursor *c, char ret_text[SNAPSHOT_TEXT_MAX])
{
    uint32_t len = cursor_le32(c);
    if (len >= SNAPSHOT_TEXT_MAX)
        cursor_fail(c, "text too long");
    const uint8_t *bytes = cursor_bytes(c, len);
    if (bytes)
        memcpy(ret_text, bytes, len);
}

static status_t read_info(struct snapshot_reader *r, struct error *err)
{
    struct buf b = {0};
    struct cursor c;
    status_t st = reader_expect(r, PART_INFO, &b, err);
    if (st == ST_OK) {
        struct snapshot_info *i = &r->info;
        cursor_init(&c, b.data, b.len, 0);
        const uint8_t *hash = cursor_bytes(&c, sizeof(i->module_hash));
        if (hash)
            memcpy(i->module_hash, hash, sizeof(i->module_hash));
        i->module_len = cursor_le64(&c);
        i->features = cursor_le32(&c);
        i->nan = cursor_le32(&c);
        i->level = cursor_le32(&c);
        i->time_ns = cursor_le64(&c);
        read_text(&c, i->program);
        read_text(&c, i->host);
        read_text(&c, i->version);
        if (c.failed || cursor_left(&c) || i->nan > NAN_CANONICAL)
            st = reader_corrupt(PART_INFO, "malformed", err);
    }
    buf_done(&b);
    return st;
}

static status_t read_identity(struct snapshot_reader *r, struct error *err)
{
    struct buf b = {0};
    struct cursor c;
    status_t st = reader_expect(r, PART_IDENTITY, &b, err);
    if (st == ST_OK) {
        struct snapshot_info *i = &r->info;
        cursor_init(&c, b.data, b.len, 0);
        const uint8_t *id = cursor_bytes(&c, sizeof(i->id));
        uint32_t increment = cursor_le32(&c);
        const uint8_t *base = cursor_bytes(&c, sizeof(i->base_id));
        if (base) {
            memcpy(i->id, id, sizeof(i->id));
            memcpy(i->base_id, base, sizeof(i->base_id));
        }
        i->increment = increment != 0;
        read_text(&c, i->base_name);
        if (c.failed || cursor_left(&c) || increment > 1)
            st = reader_corrupt(PART_IDENTITY, "malformed", err);
    }
    buf_done(&b);
    return st;
}

/* Of r->next, which becomes the part behind it. Whoever changes the module finds that its hash is another. */
static status_t read_module(struct snapshot_reader *r, struct error *err)
{
    uint8_t hash[SHA256_BYTES];
    status_t st = reader_summed(r, &r->next, &r->module, err);
    if (st != ST_OK)
        return st;
    sha256_bytes(r->module.data, r->module.len, hash);
    if (r->module.len != r->info.module_len || memcmp(hash, r->info.module_hash, sizeof(hash)) != 0)
        return reader_corrupt(PART_MODULE, "not the module that the snapshot is of", err);
    r->info.module = r->module.data;
    r->sizes.module_bytes = r->module.len;
    return reader_part(r, &r->next, err);
}

static status_t read_head(struct snapshot_reader *r, struct error *err)
{
    uint8_t head[SNAPSHOT_HEAD_BYTES];
    struct cursor c;
    status_t st = get(r, head, sizeof(head), err);
    if (st != ST_OK)
        return st;
    if (memcmp(head, snapshot_magic, sizeof(snapshot_magic)) != 0)
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "not a snapshot");
    cursor_init(&c, head + SNAPSHOT_MAGIC_BYTES, sizeof(head) - SNAPSHOT_MAGIC_BYTES, 0);
    r->version = cursor_le32(&c);
    if (r->version == 0 || r->version > SNAPSHOT_FORMAT_VERSION)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "snapshot of format version %u",
                         r->version);
    return cursor_le32(&c) ? error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "snapshot: malformed head")
                           : ST_OK;
}

status_t reader_host(struct snapshot_reader *r, const struct part *p, struct error *err)
{
    if (p->id != PART_HOST)
        return reader_corrupt(p->id, "not where it belongs", err);
    status_t st = reader_summed(r, p, &r->host, err);
    r->sizes.host_bytes = r->host.len;
    return st;
}

bool snapshot_reader_is_live(const struct snapshot_reader *r)
{
    return r->live;
}

status_t snapshot_open(const struct snapshot_source *source, struct snapshot_reader **ret_r,
                       struct error *err)
{
    struct snapshot_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a snapshot");
    r->source = *source;
    status_t st = read_head(r, err);
    if (st == ST_OK)
        st = read_info(r, err);
    if (st == ST_OK && r->version > 1)
        st = read_identity(r, err);
    if (st == ST_OK)
        st = reader_part(r, &r->next, err);
    if (st == ST_OK && r->next.id == PART_MODULE)
        st = read_module(r, err);
    if (st == ST_OK && r->next.id == PART_ROUND)
        r->live = true;
    else if (st == ST_OK)
        st = reader_host(r, &r->next, err);
    if (st == ST_OK)
        *ret_r = r;
    else
        snapshot_close(r);
    return st;
}

const struct snapshot_info *snapshot_reader_info(const struct snapshot_reader *r)
{
    return &r->info;
}

const void *snapshot_host_state(const struct snapshot_reader *r, size_t *ret_len)
{
    *ret_len = r->host.len;
    return r->host.data;
}

/* ---- the rest, into a cell ---- */

status_t reader_state(struct snapshot_reader *r, struct cell *c, struct error *err)
{
    struct buf state = {0};
    status_t st = reader_expect(r, PART_STATE, &state, err);
    if (st == ST_OK)
        st = cell_state_load(c, state.data, state.len, err);
    if (st == ST_CORRUPT && err && strncmp(err->text, "snapshot", 8) != 0) {
        char why[ERROR_TEXT_MAX];
        snprintf(why, sizeof(why), "%s", err->text);
        st = reader_corrupt(PART_STATE, why, err);
    }
    r->sizes.state_bytes = state.len;
    buf_done(&state);
    return st;
}

/* A run of pages, after its head. */
struct run {
    uint32_t mem;
    uint32_t zeros;
    uint64_t at, len, sum;
};

static status_t check_oldest(struct snapshot_reader *r, struct error *err)
{
    struct sums_piece p = sums_take(&r->sums);
    bool fits = p.sum == r->expected[0];
    memmove(r->expected, r->expected + 1, sizeof(r->expected) - sizeof(r->expected[0]));
    if (p.failed)
        return read_failed(p.errnum, err);
    return fits ? ST_OK : reader_corrupt(PART_PAGES, "wrong checksum", err);
}

/* No page of the cell is looked at afterwards. */
static status_t check_sums(struct snapshot_reader *r, status_t st, struct error *err)
{
    while (r->sums.count > 0) {
        status_t fits = check_oldest(r, st == ST_OK ? err : NULL);
        st = st == ST_OK ? fits : st;
    }
    return st;
}

/* From a file they are read by whoever makes their sum. A page that comes twice in a snapshot has either content. */
static status_t read_data(struct snapshot_reader *r, uint8_t *into, const struct run *run,
                          struct error *err)
{
    uint64_t off;
    int fd = r->source.range ? r->source.range(r->source.arg, run->len, &off) : -1;
    status_t st = fd < 0 ? get(r, into, run->len, err) : ST_OK;
    if (st == ST_OK && sums_full(&r->sums))
        st = check_oldest(r, err);
    if (st != ST_OK)
        return st;
    r->expected[r->sums.count] = run->sum;
    if (fd < 0) {
        sums_put(&r->sums, into, run->len);
    } else {
        sums_read(&r->sums, fd, off, into, run->len);
        r->sizes.total_bytes += run->len;
    }
    r->sizes.page_bytes += run->len;
    return ST_OK;
}

/* Does it lie inside its memory? With a cell ret_at gets its place, and without one what is known of the sizes of
 * memories counts. */
static bool find_place(const struct snapshot_reader *r, struct cell *c, const struct page_run *run,
                       uint8_t **ret_at)
{
    struct cell_memory m = {0};
    if (c && cell_memory(c, run->mem, &m) != ST_OK)
        return false;
    if (!c && run->mem < r->memory_count)
        m.bytes = r->memory_bytes[run->mem];
    if ((run->at | run->len) % SNAPSHOT_PAGE_BYTES != 0 || run->at > m.bytes ||
        run->len > m.bytes - run->at)
        return false;
    *ret_at = c ? m.base + run->at : NULL;
    return true;
}

/* Without a cell: where a piece is kept until its sum is made; those that wait have the others. */
static uint8_t *next_piece(struct snapshot_reader *r)
{
    enum { PIECES = SUMS_DEPTH + 1 };
    if (!r->pieces)
        r->pieces = malloc((size_t)PIECES * SNAPSHOT_RUN_BYTES_MAX);
    r->piece = (r->piece + 1) % PIECES;
    return r->pieces ? r->pieces + (size_t)r->piece * SNAPSHOT_RUN_BYTES_MAX : NULL;
}

static status_t read_run(struct snapshot_reader *r, struct cell *c, const struct part *p,
                         const struct run *run, struct error *err)
{
    uint8_t *at;
    const struct page_run place = {.mem = run->mem, .at = run->at, .len = run->len};
    if (!find_place(r, c, &place, &at) || run->zeros > 1 ||
        p->len - p->summed != (run->zeros ? 0 : run->len))
        return reader_corrupt(PART_PAGES, "outside its memory", err);
    if (!run->zeros && run->len > SNAPSHOT_RUN_BYTES_MAX)
        return reader_corrupt(PART_PAGES, "too long", err);
    if (run->zeros) {
        if (c)
            memset(at, 0, run->len);
        return ST_OK;
    }
    if (!c && !(at = next_piece(r)))
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a snapshot");
    return read_data(r, at, run, err);
}

static status_t read_pages(struct snapshot_reader *r, struct cell *c, const struct part *p,
                           struct error *err)
{
    struct buf b = {0};
    struct cursor in;
    if (p->summed != PAGES_HEAD_BYTES)
        return reader_corrupt(PART_PAGES, "wrong length", err);
    status_t st = reader_summed(r, p, &b, err);
    if (st == ST_OK) {
        cursor_init(&in, b.data, b.len, 0);
        struct run run = {.mem = cursor_le32(&in)};
        run.zeros = cursor_le32(&in);
        run.at = cursor_le64(&in);
        run.len = cursor_le64(&in);
        run.sum = cursor_le64(&in);
        st = read_run(r, c, p, &run, err);
    }
    buf_done(&b);
    return st;
}

static struct page_run scatter_run(struct cursor *in)
{
    struct page_run run = {.mem = cursor_le32(in)};
    run.len = cursor_le32(in);
    run.at = cursor_le64(in);
    return run;
}

/* What the head of a part says: runs whose places are there, and whose lengths make up the rest. */
static bool scatter_is_sound(const struct snapshot_reader *r, struct cell *c, struct cursor in,
                             uint32_t runs, uint64_t bytes)
{
    uint8_t *at;
    uint64_t sum = 0;
    bool good = runs <= SCATTER_RUNS_MAX && cursor_left(&in) == runs * SCATTER_RUN_HEAD_BYTES;
    for (uint32_t i = 0; i < runs && good; i++) {
        struct page_run run = scatter_run(&in);
        good = find_place(r, c, &run, &at);
        sum += run.len;
    }
    return good && sum == bytes && bytes <= SNAPSHOT_RUN_BYTES_MAX;
}

static status_t read_scattered_data(struct snapshot_reader *r, uint64_t bytes, uint64_t sum,
                                    struct error *err)
{
    if (!r->scattered && !(r->scattered = malloc(SNAPSHOT_RUN_BYTES_MAX)))
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a snapshot");
    status_t st = get(r, r->scattered, (size_t)bytes, err);
    r->sizes.page_bytes += bytes;
    if (st == ST_OK && hash_xxh3(r->scattered, (size_t)bytes) != sum)
        st = reader_corrupt(PART_SCATTER, "wrong checksum", err);
    return st;
}

status_t reader_scatter(struct snapshot_reader *r, struct cell *c, const struct part *p,
                        const struct reader_place *place, struct error *err)
{
    struct buf b = {0};
    struct cursor in;
    const uint64_t bytes = p->len - p->summed;
    if (p->summed > SCATTER_HEAD_BYTES + SCATTER_RUNS_MAX * SCATTER_RUN_HEAD_BYTES)
        return reader_corrupt(PART_SCATTER, "too long", err);
    status_t st = reader_summed(r, p, &b, err);
    if (st == ST_OK) {
        cursor_init(&in, b.data, b.len, 0);
        uint64_t sum = cursor_le64(&in);
        uint32_t runs = cursor_le32(&in);
        cursor_le32(&in);
        if (in.failed || !scatter_is_sound(r, c, in, runs, bytes))
            st = reader_corrupt(PART_SCATTER, "outside its memory", err);
        if (st == ST_OK)
            st = read_scattered_data(r, bytes, sum, err);
        const uint8_t *from = r->scattered;
        for (uint32_t i = 0; place && i < runs && st == ST_OK; i++) {
            struct page_run run = scatter_run(&in);
            st = place->put(place->arg, &run, from, err);
            from += run.len;
        }
    }
    buf_done(&b);
    return st;
}

/* Into the memory of a cell that does not run. */
static status_t put_in_place(void *arg, const struct page_run *run, const uint8_t *data,
                             struct error *err)
{
    struct cell_memory m;
    status_t st = cell_memory(arg, run->mem, &m);
    if (st != ST_OK)
        return error_set(err, st, ERROR_NO_OFFSET, "a memory of the cell is gone");
    memcpy(m.base + run->at, data, (size_t)run->len);
    return ST_OK;
}

status_t reader_end(struct snapshot_reader *r, const struct part *p, struct error *err)
{
    uint64_t parts = r->parts - 1, sums = r->sum_of_sums - p->sum;
    struct buf b = {0};
    struct cursor in;
    status_t st = reader_summed(r, p, &b, err);
    if (st == ST_OK) {
        cursor_init(&in, b.data, b.len, 0);
        uint64_t said = cursor_le64(&in), said_sums = cursor_le64(&in);
        if (in.failed || cursor_left(&in) || said != parts || said_sums != sums)
            st = reader_corrupt(PART_END, "a part is missing or was there twice", err);
    }
    buf_done(&b);
    return st;
}

status_t reader_check_program(const struct snapshot_reader *r, struct cell *c, struct error *err)
{
    const struct image *img = program_image(cell_program(c));
    if (memcmp(img->module_hash, r->info.module_hash, sizeof(r->info.module_hash)) != 0)
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "the snapshot is of another program");
    if (img->options.nan != r->info.nan)
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "the snapshot is of the other NaN mode");
    return ST_OK;
}

status_t reader_all_pages(struct snapshot_reader *r, struct cell *c, struct part *ret_next,
                          struct error *err)
{
    const struct reader_place in_place = {put_in_place, c};
    status_t st;
    while ((st = reader_part(r, ret_next, err)) == ST_OK && reader_has_pages(ret_next)) {
        st = ret_next->id == PART_PAGES ? read_pages(r, c, ret_next, err)
                                        : reader_scatter(r, c, ret_next, c ? &in_place : NULL, err);
        if (st != ST_OK)
            break;
    }
    return check_sums(r, st, err);
}

/* What stands behind STATE. */
static status_t read_memories(struct snapshot_reader *r, struct cell *c, struct error *err)
{
    struct part p;
    status_t st = reader_all_pages(r, c, &p, err);
    if (st != ST_OK)
        return st;
    return p.id == PART_END ? reader_end(r, &p, err)
                            : reader_corrupt(p.id, "not where it belongs", err);
}

bool reader_knows_memory(struct snapshot_reader *r, uint32_t index, uint64_t bytes)
{
    if (index >= MODULE_MEMS_MAX)
        return false;
    r->memory_bytes[index] = bytes;
    r->memory_count = index + 1;
    return true;
}

/* The sizes that memories have by now. */
static status_t take_sizes(struct snapshot_reader *r, struct cell *c, struct cursor *in,
                           uint32_t memories)
{
    status_t st = ST_OK;
    for (uint32_t i = 0; i < memories && !in->failed && st == ST_OK; i++) {
        uint64_t bytes = cursor_le64(in);
        if (!in->failed && c)
            st = cell_memory_extend(c, i, bytes);
        else if (!in->failed && !reader_knows_memory(r, i, bytes))
            cursor_fail(in, "too many memories");
    }
    return st;
}

status_t reader_round(struct snapshot_reader *r, struct cell *c, const struct part *p,
                      uint32_t *ret_round, struct error *err)
{
    struct buf b = {0};
    struct cursor in;
    status_t st = reader_summed(r, p, &b, err);
    if (st == ST_OK) {
        cursor_init(&in, b.data, b.len, 0);
        uint32_t round = cursor_le32(&in), memories = cursor_le32(&in);
        st = take_sizes(r, c, &in, memories);
        if (st == ST_NOTFOUND || in.failed || cursor_left(&in))
            st = reader_corrupt(PART_ROUND, "malformed", err);
        else if (st != ST_OK)
            st = error_set(err, st, ERROR_NO_OFFSET, "no room for the memory of the cell");
        *ret_round = round;
    }
    buf_done(&b);
    return st;
}

status_t snapshot_receive(struct snapshot_reader *r, struct cell *c,
                          bool (*progress)(void *arg, uint32_t round,
                                           const struct snapshot_sizes *so_far),
                          void *arg, struct error *err)
{
    uint32_t round = 0;
    if (!r->live)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a snapshot without rounds");
    status_t st = reader_check_program(r, c, err);
    struct part p = r->next;
    while (st == ST_OK && p.id == PART_ROUND) {
        st = reader_round(r, c, &p, &round, err);
        if (st == ST_OK)
            st = reader_all_pages(r, c, &p, err);
        if (st == ST_OK && progress && !progress(arg, round, &r->sizes))
            st = error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "receiving a cell was cancelled");
    }
    if (st == ST_OK)
        st = reader_host(r, &p, err);
    r->live = st != ST_OK;
    return st;
}

/* Does each stand on the one before it? */
static status_t check_chain(struct snapshot_reader *const *readers, uint32_t count,
                            struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct snapshot_info *info = &readers[i]->info;
        char id[SNAPSHOT_ID_TEXT_BYTES], base[SNAPSHOT_ID_TEXT_BYTES];
        snapshot_id_text(info->id, id);
        snapshot_id_text(info->base_id, base);
        if (readers[i]->live)
            return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                             "snapshot %.8s is a stream of a running cell, not a file", id);
        if (i == 0 && info->increment)
            return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                             "snapshot %.8s is an increment on %.8s (%s), which is missing", id,
                             base, info->base_name[0] ? info->base_name : "unnamed");
        if (i > 0 && !info->increment)
            return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                             "snapshot %.8s stands on its own, not on another", id);
        if (i > 0 && memcmp(info->base_id, readers[i - 1]->info.id, SNAPSHOT_ID_BYTES) != 0)
            return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                             "snapshot %.8s is an increment on %.8s (%s), not on the one before it",
                             id, base, info->base_name[0] ? info->base_name : "unnamed");
    }
    return ST_OK;
}

/* Only the last state counts. Its memories are the largest, since memories only grow. */
static status_t read_states(struct snapshot_reader *const *readers, uint32_t count, struct cell *c,
                            struct error *err)
{
    status_t st = ST_OK;
    for (uint32_t i = 0; i + 1 < count && st == ST_OK; i++) {
        struct buf state = {0};
        st = reader_expect(readers[i], PART_STATE, &state, err);
        buf_done(&state);
    }
    return st == ST_OK ? reader_state(readers[count - 1], c, err) : st;
}

status_t snapshot_read_chain(struct snapshot_reader *const *readers, uint32_t count, struct cell *c,
                             struct snapshot_sizes *ret_sizes, struct error *err)
{
    if (count == 0 || count > SNAPSHOT_CHAIN_MAX)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%u snapshots are no chain", count);
    status_t st = check_chain(readers, count, err);
    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = reader_check_program(readers[i], c, err);
    if (st == ST_OK)
        st = read_states(readers, count, c, err);
    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = read_memories(readers[i], c, err);
    if (st != ST_OK)
        return st;
    struct snapshot_sizes sizes = readers[count - 1]->sizes;
    for (uint32_t i = 0; i + 1 < count; i++) {
        sizes.page_bytes += readers[i]->sizes.page_bytes;
        sizes.total_bytes += readers[i]->sizes.total_bytes;
    }
    sizes.frames = cell_captured_frames(c, NULL, 0);
    *ret_sizes = sizes;
    return ST_OK;
}

status_t snapshot_read(struct snapshot_reader *r, struct cell *c, struct snapshot_sizes *ret_sizes,
                       struct error *err)
{
    return snapshot_read_chain(&r, 1, c, ret_sizes, err);
}

void snapshot_close(struct snapshot_reader *r)
{
    if (!r)
        return;
    sums_done(&r->sums);
    free(r->scattered);
    free(r->pieces);
    buf_done(&r->host);
    buf_done(&r->module);
    free(r);
}
