/* The power is cut: what was acknowledged is there, and whole, whatever became of what was not synced. */
#include "disk.h"
#include "storetest.h"

#include <time.h>

#include "base/parse.h"
#include "geds/crypt.h"
#include "geds/tiers.h"
#include "sys/clock.h"
#include "sys/files.h"

enum {
    THREADS = 3,
    SLOTS = 4,
    PIECES = 5,
    LEN_MAX = 90000,
    HOLE = 1100000, /* a draft that is not written anew at its seal */
    STEPS = 70,     /* of a thread in a first life: the log is written back meanwhile */
    STEPS_AGAIN = 5,
    BORN = 1000,
    KINDS = 4, /* with versions, encrypted */
};

struct piece {
    uint64_t seed; /* 0: zeros */
    size_t len;
};
struct slot {
    bool there;
    uint64_t tag; /* its attribute; 0: none */
    size_t count;
    struct piece pieces[PIECES];
};
struct model {
    struct slot slots[SLOTS];
    size_t versions;
};
/* What was acknowledged. A thread's steps are always the same ones, so their number tells all. */
struct state {
    bool born; /* the bucket is there */
    uint64_t steps[THREADS];
};
enum step_kind {
    STEP_PUT,
    STEP_APPEND,
    STEP_DELETE,
    STEP_COPY,
    STEP_RENAME,
    STEP_UPLOAD,
    STEP_DRAFT,
    STEP_EDIT,
    STEP_TAG,
    STEP_SEND,   /* to the tier; these three change no object */
    STEP_DROP,   /* have it there only */
    STEP_RECALL, /* and back */
};
struct step {
    enum step_kind kind;
    size_t from, to;
    struct piece piece;
};
static uint64_t seed;
static bool versioned, encrypted;
static char root[32], key_file[48];
static char wrong[400]; /* what is; "": nothing */
static bool is_silent;  /* it is meant to be */

static bool says_wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (wrong[0] == '\0') {
        vsnprintf(wrong, sizeof wrong, fmt, args);
    }
    va_end(args);
    return false;
}

static struct step step_of(size_t thread, uint64_t number)
{
    static const enum step_kind kinds[] = {
        STEP_PUT,    STEP_PUT,    STEP_PUT,    STEP_PUT,  STEP_PUT,   STEP_APPEND,
        STEP_APPEND, STEP_DELETE, STEP_DELETE, STEP_COPY, STEP_COPY,  STEP_RENAME,
        STEP_RENAME, STEP_UPLOAD, STEP_DRAFT,  STEP_EDIT, STEP_TAG,   STEP_SEND,
        STEP_SEND,   STEP_SEND,   STEP_DROP,   STEP_DROP, STEP_RECALL};
    uint64_t r = disk_mix(seed + disk_mix(thread * 1000003 + number));
    struct step s = {.kind = kinds[r % (sizeof kinds / sizeof kinds[0])],
                     .from = (size_t)(r >> 8) % SLOTS,
                     .to = (size_t)(r >> 16) % SLOTS,
                     .piece = {.seed = r | 1}};
    bool small = (r >> 24) % 3 != 0;
    s.piece.len = (size_t)(r >> 32) % (small ? STORE_INLINE_MAX : LEN_MAX);
    return s;
}

static void slot_put(struct model *m, size_t to, const struct step *s)
{
    struct slot *slot = &m->slots[to];
    *slot = (struct slot){.there = true, .tag = s->piece.seed};
    if (s->kind == STEP_DRAFT) {
        slot->pieces[slot->count++] = (struct piece){.len = HOLE};
    }
    slot->pieces[slot->count++] = s->piece;
    m->versions++;
}

static bool has_room(const struct slot *slot)
{
    return slot->count < PIECES;
}

/* What a step does, and whether it is one. */
static void apply(struct model *m, const struct step *s)
{
    struct slot *from = &m->slots[s->from], *to = &m->slots[s->to];
    switch (s->kind) {
    case STEP_PUT:
    case STEP_UPLOAD:
    case STEP_DRAFT:
        slot_put(m, s->to, s);
        break;
    case STEP_APPEND:
    case STEP_EDIT:
        if (has_room(to) && (to->there || s->kind == STEP_APPEND)) {
            to->there = true;
            to->pieces[to->count++] = s->piece;
            m->versions++;
        }
        break;
    case STEP_DELETE:
        *to = (struct slot){0};
        m->versions++;
        break;
    case STEP_COPY:
        m->versions += from->there;
        if (from->there) {
            *to = *from;
        }
        break;
    case STEP_RENAME:
        if (from->there && from != to) {
            *to = *from;
            *from = (struct slot){0};
            m->versions += 2;
        }
        break;
    case STEP_TAG:
        to->tag = to->there ? s->piece.seed : 0;
        break;
    case STEP_SEND:
    case STEP_DROP:
    case STEP_RECALL:
        break;
    }
}

static void model_of(size_t thread, uint64_t steps, struct model *ret_model)
{
    *ret_model = (struct model){0};
    for (uint64_t i = 0; i < steps; i++) {
        struct step s = step_of(thread, i);
        apply(ret_model, &s);
    }
}

/* ---- a tier in memory, whose copies stay ---- */

struct tier_copy {
    uint64_t id, nonce;
    uint8_t *data;
    size_t len;
};
static struct tier_copy *copies; /* guarded by copies_lock, as the next two */
static size_t copy_count, copy_cap;
static pthread_mutex_t copies_lock = PTHREAD_MUTEX_INITIALIZER;

static status_t read_copy(void *arg, const struct store_extent *x, uint64_t off, void *data,
                          size_t len, struct error *err)
{
    status_t st = ST_NOTFOUND;
    (void)arg;
    pthread_mutex_lock(&copies_lock);
    for (size_t i = copy_count; i > 0 && st == ST_NOTFOUND; i--) {
        const struct tier_copy *c = &copies[i - 1];
        if (c->id == x->id && c->nonce == x->nonce && off + len <= c->len) {
            memcpy(data, c->data + off, len);
            st = ST_OK;
        }
    }
    pthread_mutex_unlock(&copies_lock);
    return st == ST_OK ? st : error_set(err, st, ERROR_NO_OFFSET, "no copy");
}

static void note_damaged(void *arg, uint64_t id)
{
    (void)arg;
    says_wrong("extent %llx is damaged", (unsigned long long)id);
}

static const struct store_tier tier = {
    .read = read_copy, .damaged = note_damaged, .cache_bytes = STORE_CACHE_MIN};

/* Those of a life that is over. */
static void forget_copies(size_t from)
{
    while (copy_count > from) {
        free(copies[--copy_count].data);
    }
}

static status_t send_extent(uint64_t id)
{
    struct store_extent x = {0};
    int fd = -1;
    status_t st = store_extent_hold(store, id, &x, &fd, NULL);
    if (st != ST_OK) {
        return st;
    }
    struct tier_copy c = {.id = id, .nonce = x.nonce, .data = malloc(x.bytes + 1), .len = x.bytes};
    st = pread(fd, c.data, c.len, 0) == (ssize_t)c.len ? ST_OK : ST_IO;
    close(fd);
    pthread_mutex_lock(&copies_lock);
    copies = disk_grown(copies, copy_count, &copy_cap, sizeof *copies);
    copies[copy_count++] = c;
    pthread_mutex_unlock(&copies_lock);
    if (st == ST_OK) {
        st = store_extent_sent(store, &x, NULL);
    }
    buf_done(&x.sums);
    store_extent_release(store, id);
    return st;
}

static status_t move_extent(uint64_t id, enum step_kind kind)
{
    struct store_extent x = {0};
    size_t dropped = 0;
    status_t st = store_extent_get(store, id, &x, NULL);
    bool moves = st == ST_OK && !x.is_inline;
    buf_done(&x.sums);
    if (moves && x.place == 0) {
        st = send_extent(id);
    }
    if (moves && st == ST_OK && kind != STEP_SEND) {
        st = store_extents_drop(store, &id, 1, false, &dropped, NULL);
    }
    if (moves && st == ST_OK && kind == STEP_RECALL) {
        st = store_extent_recall(store, id, NULL);
    }
    return st;
}

static status_t move(const char *key, enum step_kind kind)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    status_t st = store_object_extents(store, "box", key, &ids, &count, NULL);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = move_extent(ids[i], kind);
    }
    free(ids);
    return st;
}

/* ---- the same in the store ---- */

static void name_slot(size_t thread, size_t slot, char ret_key[16])
{
    snprintf(ret_key, 16, "t%zu/%zu", thread, slot);
}

struct tag {
    char text[24];
    struct store_attribute pair;
    struct store_attributes attributes;
};

static void tag_set(struct tag *t, uint64_t value)
{
    snprintf(t->text, sizeof t->text, "%llx", (unsigned long long)value);
    t->pair = (struct store_attribute){.name = "tag", .value = t->text};
    t->attributes = (struct store_attributes){.content_type = "a/b", .pairs = &t->pair, .count = 1};
}

static status_t finish(struct store_put *p, status_t st)
{
    if (st != ST_OK) {
        store_put_abort(p);
        return st;
    }
    return store_put_commit(p, NULL, NULL, NULL);
}

static status_t put_tagged(const char *key, const struct step *s, const uint8_t *data)
{
    struct tag tag;
    struct store_put *p = NULL;
    size_t len = s->piece.len, half = len / 2;
    tag_set(&tag, s->piece.seed);
    status_t st = store_put_begin(store, "box", key, &tag.attributes, &p, NULL);
    if (st != ST_OK) {
        return st;
    }
    if (s->kind == STEP_PUT) {
        return finish(p, store_put_write(p, data, len, NULL));
    }
    st = store_put_set_size(p, HOLE + len, NULL);
    if (st == ST_OK) {
        st = store_put_write_at(p, data + half, len - half, HOLE + half, NULL);
    }
    if (st == ST_OK) {
        st = store_put_write_at(p, data, half, HOLE, NULL);
    }
    return finish(p, st);
}

static status_t upload(const char *key, const struct step *s, const uint8_t *data)
{
    uint64_t id = 0;
    struct tag tag;
    struct store_put *p = NULL;
    struct store_part part = {.number = 1};
    tag_set(&tag, s->piece.seed);
    status_t st = store_upload_begin(store, "box", key, &tag.attributes, &id, NULL);
    if (st == ST_OK) {
        st = store_upload_put_begin(store, "box", key, id, 1, &p, NULL);
    }
    if (st == ST_OK && (st = store_put_write(p, data, s->piece.len, NULL)) != ST_OK) {
        store_put_abort(p);
    } else if (st == ST_OK) {
        st = store_put_commit(p, NULL, &part.info, NULL);
    }
    return st == ST_OK
               ? store_upload_complete(store, "box", key, id, &part, 1, NULL, NULL, NULL, NULL)
               : st;
}

static status_t edit(const char *key, const struct step *s, const uint8_t *data)
{
    struct store_put *p = NULL;
    struct store_info info;
    status_t st = store_put_begin_from(store, "box", key, &p, &info, NULL);
    return st == ST_OK
               ? finish(p, store_put_write_at(p, data, s->piece.len, store_put_size(p), NULL))
               : st;
}

static status_t perform(size_t thread, const struct model *m, const struct step *s, uint8_t *data)
{
    char from[16], to[16];
    struct tag tag;
    name_slot(thread, s->from, from);
    name_slot(thread, s->to, to);
    struct store_name from_name = {"box", from}, to_name = {"box", to};
    fill(data, s->piece.len, s->piece.seed);
    switch (s->kind) {
    case STEP_PUT:
    case STEP_DRAFT:
        return put_tagged(to, s, data);
    case STEP_UPLOAD:
        return upload(to, s, data);
    case STEP_APPEND:
        return has_room(&m->slots[s->to])
                   ? store_append(store, "box", to, data, s->piece.len, NULL, NULL, NULL)
                   : ST_OK;
    case STEP_EDIT:
        return has_room(&m->slots[s->to]) ? edit(to, s, data) : ST_OK;
    case STEP_DELETE:
        return store_delete(store, "box", to, NULL, NULL);
    case STEP_COPY:
        return store_copy(store, &from_name, &to_name, NULL, NULL, NULL, NULL, NULL);
    case STEP_RENAME:
        return store_rename(store, &from_name, &to_name, NULL, NULL);
    case STEP_TAG:
        tag_set(&tag, s->piece.seed);
        return store_change_attributes(store, "box", to, STORE_VERSION_CURRENT, &tag.pair, 1, NULL,
                                       NULL, NULL);
    case STEP_SEND:
    case STEP_DROP:
    case STEP_RECALL:
        return move(to, s->kind);
    }
    return ST_INVAL;
}

struct worker {
    pthread_t thread;
    size_t number;
    uint64_t first, count;
};

static void *work(void *arg)
{
    const struct worker *w = arg;
    uint8_t *data = malloc(LEN_MAX);
    struct model m;
    model_of(w->number, w->first, &m);
    for (uint64_t i = w->first; i < w->first + w->count; i++) {
        struct step s = step_of(w->number, i);
        status_t st = perform(w->number, &m, &s, data);
        if (st != ST_OK && st != ST_NOTFOUND) {
            fprintf(stderr, "step %d: %s\n", (int)s.kind, status_name(st));
            abort();
        }
        disk_mark(w->number);
        apply(&m, &s);
    }
    free(data);
    return NULL;
}

static void work_all(const struct state *state, uint64_t steps)
{
    struct worker workers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.number = i, .first = state->steps[i], .count = steps};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            abort();
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
}

/* ---- is it what it must be? ---- */

static bool has_tag(const struct store_attributes *a, uint64_t value)
{
    struct tag tag;
    tag_set(&tag, value);
    return value == 0 ? a->count == 0
                      : a->count == 1 && strcmp(a->pairs[0].name, "tag") == 0 &&
                            strcmp(a->pairs[0].value, tag.text) == 0;
}

static char differs[128]; /* what was looked at last */
static bool is_slot(const char *key, const struct slot *slot)
{
    static uint8_t want[HOLE + PIECES * LEN_MAX], got[HOLE + PIECES * LEN_MAX + 1];
    struct store_object *o = NULL;
    size_t len = 0, got_len = 0;
    status_t st = store_object_open(store, "box", key, &o, NULL);
    if (st != ST_OK) {
        snprintf(differs, sizeof differs, "%s is not there", key);
        return st == ST_NOTFOUND ? !slot->there : says_wrong("%s: %s", key, status_name(st));
    }
    for (size_t i = 0; i < slot->count; i++) {
        const struct piece *p = &slot->pieces[i];
        if (p->seed == 0) {
            memset(want + len, 0, p->len);
        } else {
            fill(want + len, p->len, p->seed);
        }
        len += p->len;
    }
    struct error why = {0};
    st = store_object_read(o, got, sizeof got, 0, &got_len, &why);
    bool same = st == ST_OK && slot->there && got_len == len && memcmp(got, want, len) == 0 &&
                store_object_info(o)->size == len && has_tag(store_object_attributes(o), slot->tag);
    snprintf(differs, sizeof differs, "%s: %zu bytes, %zu pieces of %zu bytes", key, got_len,
             slot->count, len);
    store_object_close(o);
    return st == ST_OK ? same : says_wrong("%s: %s", key, why.text);
}

static bool is_model(size_t thread, const struct model *m)
{
    char key[16], prefix[16];
    snprintf(prefix, sizeof prefix, "t%zu/", thread);
    if (versioned) {
        struct store_versions *page = NULL;
        struct store_version_query q = {.prefix = prefix, .max = STORE_LIST_MAX};
        status_t st = store_version_list(store, "box", &q, &page, NULL);
        if (st != ST_OK) {
            return says_wrong("%s: its versions: %s", prefix, status_name(st));
        }
        size_t count = page->count;
        store_versions_free(page);
        if (count != m->versions) {
            snprintf(differs, sizeof differs, "%zu versions, not %zu", count, m->versions);
            return false;
        }
    }
    for (size_t i = 0; i < SLOTS; i++) {
        name_slot(thread, i, key);
        if (!is_slot(key, &m->slots[i])) {
            return false;
        }
    }
    return true;
}

/* All steps that were acknowledged, or the one that was under way, too. */
static bool is_thread(size_t thread, struct state *state)
{
    struct model m;
    model_of(thread, state->steps[thread], &m);
    if (is_model(thread, &m)) {
        return true;
    }
    struct step s = step_of(thread, state->steps[thread]);
    char before[sizeof differs];
    memcpy(before, differs, sizeof before);
    apply(&m, &s);
    if (wrong[0] == '\0' && is_model(thread, &m)) {
        state->steps[thread]++;
        return true;
    }
    return says_wrong("thread %zu: after %llu steps %s; after another of kind %d %s", thread,
                      (unsigned long long)state->steps[thread], before, (int)s.kind, differs);
}

/* A file of a delete may have come back. */
static void judge(void *arg, const struct store_finding *finding)
{
    (void)arg;
    if (finding->kind != STORE_DAMAGE_ORPHAN) {
        says_wrong("fsck: %d %s", (int)finding->kind, finding->text);
    }
}

static void count_all(void *arg, const struct store_finding *finding)
{
    (void)arg;
    says_wrong("fsck, after the repair: %d %s", (int)finding->kind, finding->text);
}

/* checked: what a cut left besides goes. */
static bool is_right(struct state *state, bool checked)
{
    struct store_fsck totals;
    struct error err = {0};
    if (files_in("new") != 0) {
        return says_wrong("%zu files are left in `new`", files_in("new"));
    }
    for (size_t i = 0; i < THREADS; i++) {
        if (!is_thread(i, state)) {
            return false;
        }
    }
    if (checked && (store_fsck(store, true, judge, NULL, NULL, &totals, &err) != ST_OK ||
                    store_fsck(store, false, count_all, NULL, NULL, &totals, &err) != ST_OK)) {
        return says_wrong("fsck: %s", err.text);
    }
    if (put("box", "one more", "x", 1) != ST_OK || !holds("box", "one more", "x", 1) ||
        store_delete(store, "box", "one more", NULL, NULL) != ST_OK) {
        says_wrong("it takes no changes");
    }
    return wrong[0] == '\0';
}

/* ---- lives of a store ---- */

static bool give_birth(struct state *state)
{
    struct error err = {0};
    status_t st = store_bucket_create_as(
        store, "box", "", versioned ? STORE_VERSIONING_ON : STORE_VERSIONING_OFF, &err);
    if (st == ST_OK || st == ST_EXIST) {
        st = encrypted ? store_bucket_set_encrypt(store, "box", true, &err) : ST_OK;
    }
    disk_mark(BORN);
    state->born = true;
    return st == ST_OK || says_wrong("the bucket: %s", err.text);
}

static bool open_store(void)
{
    const struct store_keys_options keys = {.path = key_file};
    struct error err = {0};
    if (store_open(scratch, NULL, &store, &err) != ST_OK ||
        store_set_keys(store, &keys, &err) != ST_OK ||
        store_set_tier(store, &tier, &err) != ST_OK) {
        return says_wrong("it cannot be opened: %s", err.text);
    }
    return true;
}

static void make_root(void)
{
    snprintf(root, sizeof root, "%s/geds-power-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(root) != NULL);
    snprintf(scratch, sizeof scratch, "%s/state/here/store", root);
    snprintf(key_file, sizeof key_file, "%s/keys", root);
}

/* What is written down of one, and since which call. */
struct life {
    struct disk_log log;
    size_t first;
    bool was_born;
    struct state before; /* as it was found */
};

/* From what is on the disk (NULL: nothing) to `steps` of each thread, and a good end or none. watched: for more cuts.
 * false: something was lost. */
static bool live(struct life *l, const struct disk *d, const struct state *state, uint64_t steps,
                 bool watched, bool ends_well)
{
    *l = (struct life){.was_born = state->born, .before = *state};
    make_root();
    if (watched) {
        disk_watch(&l->log, root);
    }
    if (d != NULL) {
        disk_build(d, root);
    }
    if (watched) {
        disk_settle();
        l->first = l->log.count;
    }
    bool good = open_store() && (l->before.born || give_birth(&l->before)) &&
                is_right(&l->before, steps == 0);
    if (good && steps > 0) {
        struct state after = l->before;
        work_all(&after, steps);
        for (size_t i = 0; i < THREADS; i++) {
            after.steps[i] += steps;
        }
        good = is_right(&after, true);
    }
    if (!ends_well) {
        disk_watch_no_more();
    }
    store_close(store);
    store = NULL;
    disk_watch_no_more();
    return good;
}

static struct disk_luck luck_of(uint64_t s)
{
    static const unsigned shares[] = {0, 0, 64, 192, DISK_SURE};
    uint64_t r = disk_mix(s);
    return (struct disk_luck){.pages = shares[r % 5],
                              .names = shares[(r >> 8) % 5],
                              .ordered = (r >> 16) % 4 == 0,
                              .stale = (r >> 24) % 2 == 0,
                              .seed = s};
}

static struct state state_at(const struct life *l, size_t cut)
{
    struct state state = l->before;
    state.born = l->was_born;
    for (size_t i = l->first; i < cut; i++) {
        const struct disk_op *op = &l->log.ops[i];
        state.born = state.born || (op->kind == DISK_MARK && op->off == BORN);
        if (op->kind == DISK_MARK && op->off < THREADS) {
            state.steps[op->off]++;
        }
    }
    return state;
}

static bool cut(const struct life *l, size_t at, uint64_t dice, unsigned again);

/* Once more while it starts from a cut, or a little later. */
static bool cut_again(const struct life *l, uint64_t dice, unsigned again)
{
    size_t calls = l->log.count - l->first;
    for (unsigned i = 0; i < 2; i++) {
        if (!cut(l, l->first + disk_dice(&dice) % (calls + 1), disk_dice(&dice), again - 1)) {
            return false;
        }
    }
    return true;
}

/* The power is cut behind a call. false: it is said what is lost. */
static bool cut(const struct life *l, size_t at, uint64_t dice, unsigned again)
{
    struct disk d;
    struct life next;
    const struct disk_luck luck = luck_of(dice);
    struct state state = state_at(l, at);
    size_t sent = copy_count;
    disk_after(&d, &l->log, at, &luck);
    bool good = live(&next, &d, &state, again > 0 ? STEPS_AGAIN : 0, again > 0, false);
    disk_done(&d);
    if (!good && !is_silent) {
        fprintf(stderr, "cut behind call %zu of %zu, luck %llu, again %u: %s\nkept: %s\n", at,
                l->log.count, (unsigned long long)dice, again, wrong, root);
    }
    if (good || is_silent) {
        remove_tree(root);
    }
    good = good && (again == 0 || cut_again(&next, dice, again));
    forget_copies(sent);
    disk_log_done(&next.log);
    return good;
}

/* ---- the tests ---- */

static const struct state nothing;
static double seconds; /* for all cuts; 0: each one */

static bool first_life(struct life *l, unsigned kind, uint64_t steps)
{
    versioned = (kind & 1) != 0;
    encrypted = (kind & 2) != 0;
    wrong[0] = '\0';
    bool good = live(l, NULL, &nothing, steps, true, kind % 2 == 0);
    if (!good) {
        fprintf(stderr, "without a cut: %s\n", wrong);
        check_failures++;
    }
    return good;
}

/* Behind any call, or (of two) behind the next answer: then what was not synced is missed. */
static size_t draw_cut(const struct life *l, uint64_t *dice)
{
    size_t at = l->first + disk_dice(dice) % (l->log.count - l->first);
    bool answered = disk_dice(dice) % 2 == 0;
    while (answered && at < l->log.count && l->log.ops[at].kind != DISK_MARK) {
        at++;
    }
    return at < l->log.count ? at + 1 : at;
}

static unsigned cut_for(const struct life *l, uint64_t dice, uint64_t until_ns)
{
    unsigned count = 0;
    while (check_failures == 0 && clock_monotonic_ns() < until_ns) {
        size_t at = draw_cut(l, &dice);
        check_failures += !cut(l, at, disk_dice(&dice), count % 8 == 7);
        count++;
    }
    return count;
}

static unsigned cut_everywhere(const struct life *l, uint64_t dice)
{
    unsigned count = 0;
    for (size_t at = l->first; check_failures == 0 && at <= l->log.count; at++) {
        check_failures += !cut(l, at, disk_dice(&dice), count % 8 == 7);
        count++;
    }
    return count;
}

static void what_was_acknowledged_survives_a_cut(void)
{
    for (unsigned kind = 0; kind < KINDS && check_failures == 0; kind++) {
        struct life l;
        uint64_t until_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9 / KINDS);
        if (first_life(&l, kind, STEPS)) {
            remove_tree(root);
            unsigned count = seconds > 0 ? cut_for(&l, seed + kind, until_ns)
                                         : cut_everywhere(&l, seed + kind);
            printf("     %u cuts in %zu calls\n", count, l.log.count - l.first);
        }
        disk_log_done(&l.log);
    }
}

/* Behind each of the calls that make one, some times; between those that make its 256 folders, less. */
static void a_store_is_made_whole_or_again(void)
{
    struct life l;
    uint64_t dice = seed;
    unsigned count = 0;
    if (first_life(&l, 3, 0)) {
        remove_tree(root);
        for (size_t at = l.first; at <= l.log.count; at++) {
            const struct disk_op *next = &l.log.ops[at];
            bool same = at > l.first && at < l.log.count && next[0].folder && next[-1].folder;
            unsigned times = !same ? 4 : at % 16 == 0;
            for (unsigned i = 0; i < (seconds > 0 ? times : 20) && check_failures == 0; i++) {
                check_failures += !cut(&l, at, disk_dice(&dice), 0);
                count++;
            }
        }
        printf("     %u cuts\n", count);
    }
    disk_log_done(&l.log);
}

static uint8_t fresh[1200000]; /* as a draft it is not written anew at its seal */
static unsigned looks;

static void look_at_fresh(void)
{
    looks++;
    CHECK(holds("box", "k", fresh, sizeof fresh));
}

/* The disk forgot an unlink, but not that the row went later: the number is given again. */
static void a_file_that_comes_back_is_not_taken_for_a_new_one(void)
{
    char path[128];
    make_root();
    versioned = encrypted = false;
    wrong[0] = '\0';
    CHECK(open_store());
    MUST(store_bucket_create(store, "box", "", &err));
    for (unsigned id = 1; id < 10; id++) {
        snprintf(path, sizeof path, "%s/data/%02x/%016x", scratch, id, id);
        MUST(file_write_atomic(path, "old", 3, 0600, FILE_NO_SYNC, &err));
    }
    for (unsigned i = 0; i < 2; i++) {
        struct store_put *p = NULL;
        size_t last = i == 0 ? 0 : sizeof fresh / 2; /* written first: it is a draft */
        fill(fresh, sizeof fresh, i);
        MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
        MUST(store_put_write_at(p, fresh + last, sizeof fresh - last, last, &err));
        MUST(store_put_write_at(p, fresh, last, 0, &err));
        disk_before_rename = look_at_fresh; /* its row is there, and its file has not been moved */
        MUST(store_put_commit(p, NULL, NULL, &err));
    }
    CHECK_EQ(looks, 2);
    store_close(store);
    store = NULL;
    remove_tree(root);
}

/* ---- is the disk itself right? ---- */

static const char *compared[2]; /* folders */
static size_t files_seen;

static int compare_file(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    char other[256];
    struct buf mine = {0}, its = {0};
    const char *name = path + strlen(compared[0]);
    (void)info, (void)ftw;
    if (type != FTW_F || strstr(name, "meta.db-shm") != NULL) { /* which is written as memory */
        return 0;
    }
    files_seen++;
    snprintf(other, sizeof other, "%s%s", compared[1], name);
    bool same = file_read(path, UINT32_MAX, &mine, NULL) == ST_OK &&
                file_read(other, UINT32_MAX, &its, NULL) == ST_OK && mine.len == its.len &&
                memcmp(mine.data, its.data, mine.len) == 0;
    if (!same) {
        fprintf(stderr, "%s: %zu bytes, not %zu\n", name, its.len, mine.len);
        check_failures++;
    }
    buf_done(&mine);
    buf_done(&its);
    return 0;
}

/* Some lives: by chance one may end with few objects. Calls that would not be written down make another disk. */
static void a_disk_that_loses_nothing_is_the_folder(void)
{
    static const struct disk_luck none = {.pages = DISK_SURE, .names = DISK_SURE};
    uint64_t given = seed;
    for (; seed < given + 4; seed++) {
        struct life l;
        struct disk d;
        char real[sizeof root];
        if (first_life(&l, 2, STEPS)) {
            memcpy(real, root, sizeof real);
            make_root();
            disk_after(&d, &l.log, l.log.count, &none);
            disk_build(&d, root);
            disk_done(&d);
            for (size_t i = 0; i < 2; i++) {
                compared[0] = i == 0 ? real : root;
                compared[1] = i == 0 ? root : real;
                nftw(compared[0], compare_file, 16, FTW_PHYS);
            }
            remove_tree(real);
            remove_tree(root);
        }
        disk_log_done(&l.log);
    }
    seed = given;
    printf("     %zu files compared\n", files_seen);
    CHECK(files_seen >= 4 * 2 * 3); /* the rows, their log and the keys, each way */
}

static const char *forgotten; /* the end of a path, or with / or . behind it any part */

static bool is_forgotten(const char *path)
{
    size_t len = strlen(forgotten), path_len = strlen(path);
    return forgotten[len - 1] == '/' || forgotten[len - 1] == '.'
               ? strstr(path, forgotten) != NULL
               : path_len >= len && strcmp(path + path_len - len, forgotten) == 0;
}

/* Each sync of the store is needed: without it something is lost before long. */
static void a_sync_that_is_not_made_is_missed(void)
{
    static const char *const syncs[] = {"/new",    "/new/", "/store", "/data",  "meta.db-wal",
                                        "meta.db", "/here", "/state", "/.keys."};
    for (size_t i = 0; i < sizeof syncs / sizeof syncs[0]; i++) {
        struct life l;
        uint64_t dice = seed + i;
        unsigned count = 0;
        bool lost = false;
        forgotten = syncs[i];
        disk_forgets = is_forgotten;
        first_life(&l, 2, STEPS);
        disk_forgets = NULL;
        remove_tree(root);
        is_silent = true;
        for (; count < 500 && !lost; count++) {
            wrong[0] = '\0';
            size_t at = draw_cut(&l, &dice);
            lost = !cut(&l, at, disk_dice(&dice), 0);
        }
        is_silent = false;
        printf("     %s: after %u cuts: %s\n", forgotten, count, wrong);
        CHECK(lost);
        wrong[0] = '\0';
        disk_log_done(&l.log);
    }
}

int main(int argc, char **argv)
{
    uint64_t given = 16;
    const char *text = getenv("POWER_SECONDS");
    seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if ((argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) ||
        (text != NULL && parse_u64(text, 86400, &given) != ST_OK)) {
        fprintf(stderr, "usage: [POWER_SECONDS=S] %s [SEED]\n", argv[0]);
        return 64;
    }
    seconds = (double)given;
    printf("seed %llu\n", (unsigned long long)seed);
    RUN(a_disk_that_loses_nothing_is_the_folder);
    RUN(a_sync_that_is_not_made_is_missed);
    RUN(a_file_that_comes_back_is_not_taken_for_a_new_one);
    RUN(a_store_is_made_whole_or_again);
    RUN(what_was_acknowledged_survives_a_cut);
    forget_copies(0);
    free(copies);
    return CHECK_DONE();
}
