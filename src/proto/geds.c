#include "proto/geds.h"

#include <string.h>

/* Fields of operations, in order:
 * b k B K  bucket, key, to_bucket, to_key   p P d s  prefix, to_prefix, delimiter, after (may be absent)
 * a c C    attributes, condition, from_condition
 * h m f o  handle, max, flags, offset       n        keys */
static const char *const request_fields[GEDS_OP_END] = {
    [GEDS_STATUS] = "",
    [GEDS_BUCKET_CREATE] = "b",
    [GEDS_BUCKET_DELETE] = "b",
    [GEDS_BUCKET_STAT] = "b",
    [GEDS_BUCKET_LIST] = "s",
    [GEDS_PUT] = "bkac",
    [GEDS_PUT_BEGIN] = "hbka",
    [GEDS_PUT_WRITE] = "ho",
    [GEDS_PUT_COMMIT] = "hoc",
    [GEDS_PUT_ABORT] = "h",
    [GEDS_APPEND] = "bkc",
    [GEDS_STAT] = "bk",
    [GEDS_OPEN] = "hbk",
    [GEDS_READ] = "ho",
    [GEDS_CLOSE] = "h",
    [GEDS_DELETE] = "bkc",
    [GEDS_DELETE_MANY] = "bn",
    [GEDS_RENAME] = "bkBKc",
    [GEDS_RENAME_PREFIX] = "bpP",
    [GEDS_COPY] = "bkBKaCc",
    [GEDS_LIST] = "bpdsm",
    [GEDS_FSCK] = "f",
    [GEDS_MAP] = "hm",
    [GEDS_PUT_FROM] = "hbk",
    [GEDS_PUT_WRITE_AT] = "ho",
    [GEDS_PUT_RESIZE] = "ho",
    [GEDS_PUT_READ] = "ho",
    [GEDS_EVENTS] = "bpfo",
    [GEDS_LEASE] = "",
    [GEDS_PIECES] = "hm",
    [GEDS_TIER_STATUS] = "",
    [GEDS_TIER_MOVE] = "bpf",
    [GEDS_TIER_KEEP] = "bf",
    [GEDS_KEYS_LIST] = "",
    [GEDS_KEYS_CHANGE] = "fo",
    [GEDS_BUCKET_ENCRYPT] = "bf",
    [GEDS_TIER_REPLICAS] = "bf",
    [GEDS_TIER_MEMORY] = "bf",
    [GEDS_NODE_JOIN] = "kp",
    [GEDS_NODE_DONE] = "hfo",
    [GEDS_NODE_REPORT] = "f",
    [GEDS_NODE_LIST] = "",
    [GEDS_NODE_CHANGE] = "pf",
    [GEDS_STATE_COPY] = "",
};

/* i a  info, attributes   1..8  so many numbers   t  four texts   m  more   n  codes */
static const char *const answer_fields[GEDS_OP_END] = {
    [GEDS_STATUS] = "5t",       [GEDS_BUCKET_CREATE] = "", [GEDS_BUCKET_DELETE] = "",
    [GEDS_BUCKET_STAT] = "3",   [GEDS_BUCKET_LIST] = "m",  [GEDS_PUT] = "i",
    [GEDS_PUT_BEGIN] = "",      [GEDS_PUT_WRITE] = "",     [GEDS_PUT_COMMIT] = "i",
    [GEDS_PUT_ABORT] = "",      [GEDS_APPEND] = "i",       [GEDS_STAT] = "ia",
    [GEDS_OPEN] = "ia",         [GEDS_READ] = "",          [GEDS_CLOSE] = "",
    [GEDS_DELETE] = "",         [GEDS_DELETE_MANY] = "n",  [GEDS_RENAME] = "",
    [GEDS_RENAME_PREFIX] = "1", [GEDS_COPY] = "i",         [GEDS_LIST] = "m",
    [GEDS_FSCK] = "5",          [GEDS_MAP] = "m",          [GEDS_LEASE] = "",
    [GEDS_PIECES] = "m",        [GEDS_EVENTS] = "2m",      [GEDS_PUT_FROM] = "ia",
    [GEDS_PUT_WRITE_AT] = "",   [GEDS_PUT_RESIZE] = "",    [GEDS_PUT_READ] = "",
    [GEDS_TIER_STATUS] = "",    [GEDS_TIER_MOVE] = "4",    [GEDS_TIER_KEEP] = "1",
    [GEDS_KEYS_LIST] = "",      [GEDS_KEYS_CHANGE] = "3",  [GEDS_BUCKET_ENCRYPT] = "1",
    [GEDS_TIER_REPLICAS] = "1", [GEDS_NODE_JOIN] = "8",    [GEDS_NODE_DONE] = "",
    [GEDS_NODE_REPORT] = "1",   [GEDS_NODE_LIST] = "8",    [GEDS_NODE_CHANGE] = "",
    [GEDS_TIER_MEMORY] = "1",   [GEDS_STATE_COPY] = "2",
};

bool geds_op_is_known(unsigned op)
{
    return op < GEDS_OP_END && request_fields[op] != NULL;
}

static void encode_attributes(const struct geds_wire_attributes *a, struct buf *out)
{
    buf_u8(out, a->given);
    if (!a->given) {
        return;
    }
    out->failed |= a->count > GEDS_WIRE_ATTRIBUTES_MAX;
    buf_text(out, a->content_type);
    buf_le16(out, (uint16_t)a->count);
    for (size_t i = 0; i < a->count && !out->failed; i++) {
        buf_text(out, a->pairs[i].name);
        buf_text(out, a->pairs[i].value);
    }
}

static bool decode_flag(struct cursor *c)
{
    uint8_t v = cursor_u8(c);
    if (v > 1) {
        cursor_fail(c, "a flag is neither 0 nor 1");
    }
    return v == 1;
}

static void decode_attributes(struct cursor *c, struct arena *arena, struct geds_wire_attributes *a)
{
    *a = (struct geds_wire_attributes){0};
    if (!decode_flag(c)) {
        return;
    }
    a->given = true;
    a->content_type = cursor_text(c, GEDS_WIRE_VALUE_MAX, true);
    size_t count = cursor_le16(c);
    if (count > GEDS_WIRE_ATTRIBUTES_MAX) {
        cursor_fail(c, "too many attributes");
        return;
    }
    struct geds_wire_pair *pairs = arena_alloc(arena, count, sizeof *pairs);
    if (pairs == NULL) {
        cursor_fail(c, "out of memory");
        return;
    }
    for (size_t i = 0; i < count && !c->failed; i++) {
        pairs[i].name = cursor_text(c, GEDS_WIRE_VALUE_MAX, false);
        pairs[i].value = cursor_text(c, GEDS_WIRE_VALUE_MAX, false);
    }
    a->pairs = pairs;
    a->count = count;
}

static void encode_condition(const struct geds_wire_condition *n, struct buf *out)
{
    buf_u8(out, n->if_none);
    buf_text(out, n->if_match);
}

static void decode_condition(struct cursor *c, struct geds_wire_condition *n)
{
    n->if_none = decode_flag(c);
    n->if_match = cursor_text(c, GEDS_WIRE_ETAG_MAX, true);
}

/* Of a time, which needs no more than 63 bits. Who does not know it sees an odd time, and no wrong bytes. */
#define INFO_ENCRYPTED (1ULL << 63)

static void encode_info(const struct geds_wire_info *i, struct buf *out)
{
    buf_le64(out, i->size);
    buf_le64(out, (i->modified_ns & ~INFO_ENCRYPTED) | (i->encrypted ? INFO_ENCRYPTED : 0));
    buf_text(out, i->etag);
}

static void decode_info(struct cursor *c, struct geds_wire_info *i)
{
    i->size = cursor_le64(c);
    uint64_t time = cursor_le64(c);
    i->modified_ns = time & ~INFO_ENCRYPTED;
    i->encrypted = (time & INFO_ENCRYPTED) != 0;
    i->etag = cursor_text(c, GEDS_WIRE_ETAG_MAX, false);
}

/* The text that a letter stands for, and how long it may be. */
static const char **text_of(struct geds_request *r, char field, size_t *ret_max)
{
    *ret_max = field == 'b' || field == 'B' ? GEDS_WIRE_BUCKET_MAX : GEDS_WIRE_KEY_MAX;
    switch (field) {
    case 'b':
        return &r->bucket;
    case 'k':
        return &r->key;
    case 'B':
        return &r->to_bucket;
    case 'K':
        return &r->to_key;
    case 'p':
        return &r->prefix;
    case 'P':
        return &r->to_prefix;
    case 'd':
        return &r->delimiter;
    case 's':
        return &r->after;
    default:
        return NULL;
    }
}

static uint32_t *number_of(struct geds_request *r, char field)
{
    return field == 'h' ? &r->handle : field == 'm' ? &r->max : field == 'f' ? &r->flags : NULL;
}

void geds_request_encode(enum geds_op op, const struct geds_request *r, struct buf *out)
{
    struct geds_request copy = *r;
    for (const char *f = request_fields[op]; *f != '\0'; f++) {
        size_t max;
        const char **text = text_of(&copy, *f, &max);
        const uint32_t *number = number_of(&copy, *f);
        if (text != NULL) {
            out->failed |= *text != NULL && strlen(*text) > max;
            buf_text(out, *text);
        } else if (number != NULL) {
            buf_le32(out, *number);
        } else if (*f == 'o') {
            buf_le64(out, r->offset);
        } else if (*f == 'a') {
            encode_attributes(&r->attributes, out);
        } else if (*f == 'n') {
            buf_le16(out, (uint16_t)r->key_count);
            for (size_t i = 0; i < r->key_count; i++) {
                buf_text(out, r->keys[i]);
            }
        } else {
            encode_condition(*f == 'c' ? &r->condition : &r->from_condition, out);
        }
    }
}

static void decode_keys(struct cursor *c, struct arena *arena, struct geds_request *r)
{
    size_t count = cursor_le16(c);
    const char **keys = count <= GEDS_WIRE_KEYS_MAX ? arena_alloc(arena, count, sizeof *keys)
                                                    : NULL;
    if (keys == NULL) {
        cursor_fail(c, "too many keys");
        return;
    }
    for (size_t i = 0; i < count && !c->failed; i++) {
        keys[i] = cursor_text(c, GEDS_WIRE_KEY_MAX, false);
    }
    r->keys = keys;
    r->key_count = count;
}

static void decode_field(struct cursor *c, char field, struct arena *arena, struct geds_request *r)
{
    size_t max;
    const char **text = text_of(r, field, &max);
    uint32_t *number = number_of(r, field);
    if (text != NULL) {
        *text = cursor_text(c, max, field == 'd' || field == 's' || field == 'p');
    } else if (number != NULL) {
        *number = cursor_le32(c);
    } else if (field == 'o') {
        r->offset = cursor_le64(c);
    } else if (field == 'a') {
        decode_attributes(c, arena, &r->attributes);
    } else if (field == 'n') {
        decode_keys(c, arena, r);
    } else {
        decode_condition(c, field == 'c' ? &r->condition : &r->from_condition);
    }
}

status_t geds_request_decode(unsigned op, const void *args, size_t len, struct arena *arena,
                             struct geds_request *ret_request, struct error *err)
{
    struct cursor c;
    struct geds_request r = {0};
    if (!geds_op_is_known(op)) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "no operation %u", op);
    }
    cursor_init(&c, args, len, 0);
    for (const char *f = request_fields[op]; *f != '\0' && !c.failed; f++) {
        decode_field(&c, *f, arena, &r);
    }
    if (!c.failed && cursor_left(&c) > 0) {
        cursor_fail(&c, "bytes behind the fields");
    }
    status_t st = cursor_status(&c, ST_FORMAT, err);
    if (st == ST_OK) {
        *ret_request = r;
    }
    return st;
}

enum { TEXTS = 4 };

void geds_answer_encode(enum geds_op op, const struct geds_answer *a, struct buf *out)
{
    for (const char *f = answer_fields[op]; *f != '\0'; f++) {
        if (*f == 'i') {
            encode_info(&a->info, out);
        } else if (*f == 'a') {
            encode_attributes(&a->attributes, out);
        } else if (*f == 'm') {
            buf_u8(out, a->more);
        } else if (*f == 't') {
            for (unsigned i = 0; i < TEXTS; i++) {
                buf_text(out, a->texts[i]);
            }
        } else if (*f == 'n') {
            buf_le16(out, (uint16_t)a->code_count);
            buf_bytes(out, a->codes, 2 * a->code_count);
        } else {
            for (int i = 0; i < *f - '0'; i++) {
                buf_le64(out, a->numbers[i]);
            }
        }
    }
}

static void decode_result(struct cursor *c, char field, struct arena *arena, struct geds_answer *a)
{
    if (field == 'i') {
        decode_info(c, &a->info);
    } else if (field == 'a') {
        decode_attributes(c, arena, &a->attributes);
    } else if (field == 'm') {
        a->more = decode_flag(c);
    } else if (field == 't') {
        for (unsigned i = 0; i < TEXTS; i++) {
            a->texts[i] = cursor_text(c, GEDS_WIRE_PATH_MAX, false);
        }
    } else if (field == 'n') {
        a->code_count = cursor_le16(c);
        a->codes = cursor_bytes(c, 2 * a->code_count);
    } else {
        for (int i = 0; i < field - '0'; i++) {
            a->numbers[i] = cursor_le64(c);
        }
    }
}

status_t geds_answer_decode(enum geds_op op, struct cursor *c, struct arena *arena,
                            struct geds_answer *ret_answer, struct error *err)
{
    struct geds_answer a = {0};
    for (const char *f = answer_fields[op]; *f != '\0' && !c->failed; f++) {
        decode_result(c, *f, arena, &a);
    }
    if (!c->failed && cursor_left(c) > 0) {
        cursor_fail(c, "bytes behind the fields");
    }
    status_t st = cursor_status(c, ST_CORRUPT, err);
    if (st == ST_OK) {
        *ret_answer = a;
    }
    return st;
}

void geds_entry_encode(const struct geds_wire_entry *e, struct buf *out)
{
    buf_text(out, e->key);
    buf_u8(out, e->is_prefix);
    encode_info(&e->info, out);
}

bool geds_entry_decode(struct cursor *c, struct geds_wire_entry *ret_entry)
{
    struct geds_wire_entry e;
    e.key = cursor_text(c, GEDS_WIRE_KEY_MAX, false);
    e.is_prefix = decode_flag(c);
    decode_info(c, &e.info);
    if (!c->failed) {
        *ret_entry = e;
    }
    return !c->failed;
}

void geds_bucket_encode(const struct geds_wire_bucket *b, struct buf *out)
{
    buf_text(out, b->name);
    buf_le64(out, b->created_ns);
    buf_le64(out, b->objects);
    buf_le64(out, b->bytes);
}

bool geds_bucket_decode(struct cursor *c, struct geds_wire_bucket *ret_bucket)
{
    struct geds_wire_bucket b;
    b.name = cursor_text(c, GEDS_WIRE_BUCKET_MAX, false);
    b.created_ns = cursor_le64(c);
    b.objects = cursor_le64(c);
    b.bytes = cursor_le64(c);
    if (!c->failed) {
        *ret_bucket = b;
    }
    return !c->failed;
}

void geds_piece_encode(uint64_t bytes, struct buf *out)
{
    buf_le64(out, bytes);
}

bool geds_piece_decode(struct cursor *c, uint64_t *ret_bytes)
{
    uint64_t bytes = cursor_le64(c);
    if (!c->failed) {
        *ret_bytes = bytes;
    }
    return !c->failed;
}

void geds_sums_encode(const struct geds_wire_piece *p, struct buf *out)
{
    buf_le64(out, p->bytes);
    buf_le32(out, (uint32_t)p->sum_count);
    buf_bytes(out, p->sums, 4 * p->sum_count);
}

bool geds_sums_decode(struct cursor *c, struct geds_wire_piece *ret_piece)
{
    struct geds_wire_piece p = {.bytes = cursor_le64(c)};
    p.sum_count = cursor_le32(c);
    if (p.sum_count > GEDS_WIRE_SUMS_MAX) {
        cursor_fail(c, "too many checksums of a piece");
        return false;
    }
    p.sums = cursor_bytes(c, 4 * p.sum_count);
    if (!c->failed) {
        *ret_piece = p;
    }
    return !c->failed;
}

void geds_finding_encode(const struct geds_wire_finding *f, struct buf *out)
{
    buf_le32(out, f->kind);
    buf_le64(out, f->extent);
    buf_le64(out, f->offset);
    buf_text(out, f->text);
}

bool geds_finding_decode(struct cursor *c, struct geds_wire_finding *ret_finding)
{
    struct geds_wire_finding f;
    f.kind = cursor_le32(c);
    f.extent = cursor_le64(c);
    f.offset = cursor_le64(c);
    f.text = cursor_text(c, GEDS_WIRE_TEXT_MAX, false);
    if (!c->failed) {
        *ret_finding = f;
    }
    return !c->failed;
}

void geds_event_encode(const struct geds_wire_event *e, struct buf *out)
{
    buf_le64(out, e->number);
    buf_le64(out, e->time_ns);
    buf_u8(out, e->kind);
    buf_text(out, e->bucket);
    buf_text(out, e->key);
    buf_text(out, e->from_bucket);
    buf_text(out, e->from_key);
    encode_info(&e->info, out);
}

bool geds_event_decode(struct cursor *c, struct geds_wire_event *ret_event)
{
    struct geds_wire_event e;
    e.number = cursor_le64(c);
    e.time_ns = cursor_le64(c);
    e.kind = cursor_u8(c);
    e.bucket = cursor_text(c, GEDS_WIRE_BUCKET_MAX, false);
    e.key = cursor_text(c, GEDS_WIRE_KEY_MAX, false);
    e.from_bucket = cursor_text(c, GEDS_WIRE_BUCKET_MAX, true);
    e.from_key = cursor_text(c, GEDS_WIRE_KEY_MAX, true);
    decode_info(c, &e.info);
    if (!c->failed) {
        *ret_event = e;
    }
    return !c->failed;
}

void geds_tier_encode(const struct geds_wire_tier *t, struct buf *out)
{
    buf_text(out, t->name);
    buf_text(out, t->endpoint);
    buf_text(out, t->error);
    buf_le16(out, GEDS_T_COUNT);
    for (size_t i = 0; i < GEDS_T_COUNT; i++) {
        buf_le64(out, t->numbers[i]);
    }
}

bool geds_tier_decode(struct cursor *c, struct geds_wire_tier *ret_tier)
{
    struct geds_wire_tier t = {0};
    t.name = cursor_text(c, GEDS_WIRE_PATH_MAX, true);
    t.endpoint = cursor_text(c, GEDS_WIRE_PATH_MAX, true);
    t.error = cursor_text(c, GEDS_WIRE_TEXT_MAX, true);
    size_t count = cursor_le16(c);
    for (size_t i = 0; i < count && !c->failed; i++) {
        uint64_t n = cursor_le64(c);
        if (i < GEDS_T_COUNT) {
            t.numbers[i] = n;
        }
    }
    if (!c->failed) {
        *ret_tier = t;
    }
    return !c->failed;
}

void geds_key_encode(const struct geds_wire_key *k, struct buf *out)
{
    buf_le64(out, k->id);
    buf_le64(out, k->extents);
    buf_u8(out, k->flags);
}

bool geds_key_decode(struct cursor *c, struct geds_wire_key *ret_key)
{
    struct geds_wire_key k = {.id = cursor_le64(c), .extents = cursor_le64(c)};
    k.flags = cursor_u8(c);
    if (!c->failed) {
        *ret_key = k;
    }
    return !c->failed;
}

/* Numbers that a later version may have more of, of which those beyond count are not known here. */
static void encode_numbers(const uint64_t *numbers, size_t count, struct buf *out)
{
    buf_le16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_le64(out, numbers[i]);
    }
}

static void decode_numbers(struct cursor *c, uint64_t *numbers, size_t count)
{
    size_t there = cursor_le16(c);
    for (size_t i = 0; i < there && !c->failed; i++) {
        uint64_t n = cursor_le64(c);
        if (i < count) {
            numbers[i] = n;
        }
    }
}

void geds_report_encode(const uint64_t numbers[GEDS_R_COUNT], struct buf *out)
{
    encode_numbers(numbers, GEDS_R_COUNT, out);
}

bool geds_report_decode(struct cursor *c, uint64_t ret_numbers[GEDS_R_COUNT])
{
    uint64_t numbers[GEDS_R_COUNT] = {0};
    decode_numbers(c, numbers, GEDS_R_COUNT);
    if (!c->failed) {
        memcpy(ret_numbers, numbers, sizeof numbers);
    }
    return !c->failed;
}

void geds_copy_encode(const struct geds_wire_copy *copy, struct buf *out)
{
    buf_le64(out, copy->extent);
    buf_le64(out, copy->nonce);
    buf_le64(out, copy->bytes);
}

bool geds_copy_decode(struct cursor *c, struct geds_wire_copy *ret_copy)
{
    struct geds_wire_copy copy = {.extent = cursor_le64(c)};
    copy.nonce = cursor_le64(c);
    copy.bytes = cursor_le64(c);
    if (!c->failed) {
        *ret_copy = copy;
    }
    return !c->failed;
}

void geds_node_encode(const struct geds_wire_node *n, struct buf *out)
{
    buf_text(out, n->name);
    buf_u8(out, n->state);
    buf_le64(out, n->seen_ns);
    buf_le64(out, n->left);
    encode_numbers(n->numbers, GEDS_R_COUNT, out);
}

bool geds_node_decode(struct cursor *c, struct geds_wire_node *ret_node)
{
    struct geds_wire_node n = {0};
    n.name = cursor_text(c, GEDS_WIRE_NODE_MAX, false);
    n.state = cursor_u8(c);
    n.seen_ns = cursor_le64(c);
    n.left = cursor_le64(c);
    decode_numbers(c, n.numbers, GEDS_R_COUNT);
    if (!c->failed) {
        *ret_node = n;
    }
    return !c->failed;
}
