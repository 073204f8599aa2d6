/* Random changes to good modules: whatever comes out, nothing reads or writes where it must not (which a
 * sanitizer sees), every refusal has a reason, and what is accepted is consistent. */
#include "cell/module/image.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

struct sample {
    const uint8_t *bytes;
    size_t len;
};

static const struct sample samples[] = {
    {sample_all, sizeof(sample_all)},
    {sample_legacy, sizeof(sample_legacy)},
    {sample_lines4, sizeof(sample_lines4)},
    {sample_lines5, sizeof(sample_lines5)},
};

/* xorshift64*: the same numbers on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static void mutate(uint8_t *bytes, size_t *len, uint64_t *state)
{
    static const uint8_t nasty[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0b, 0x40, 0x70};
    uint64_t steps = 1 + next_random(state) % 4;

    for (uint64_t i = 0; i < steps; i++) {
        uint64_t r = next_random(state);
        size_t at = 8 + (size_t)(r >> 8) % (*len - 8);

        switch (r % 6) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << (r >> 5 & 7));
            break;
        case 1:
            bytes[at] = (uint8_t)(r >> 40);
            break;
        case 2:
            bytes[at] = nasty[r >> 50 & 7];
            break;
        case 3:
            memmove(bytes + at, bytes + at + 1, *len - at - 1);
            if (*len > 16)
                --*len;
            break;
        case 4:
            bytes[at] = (uint8_t)(bytes[at] + 1);
            break;
        default:
            bytes[at] = bytes[8 + (size_t)(r >> 32) % (*len - 8)];
            break;
        }
    }
}

static void check_lines(const struct module *m, struct arena *a)
{
    struct line_table t = {0};

    CHECK_EQ(module_line_table(m, a, &t), ST_OK);
    for (uint32_t i = 0; i < t.row_count; i++) {
        CHECK(t.rows[i].line == 0 || t.rows[i].file < t.file_count);
        CHECK(i == 0 || t.rows[i].off > t.rows[i - 1].off);
    }
}

static void check_accepted(struct module *m)
{
    struct arena a = {0};
    struct name *names = NULL;
    struct abi_layout layout;
    struct buf head = {0};
    struct module *again = NULL;
    struct error err = {0};
    size_t name_bytes = 0;

    CHECK_EQ(module_func_names(m, &a, &names), ST_OK);
    for (uint32_t i = 0; i < m->func_count; i++)
        name_bytes += names[i].len;
    CHECK(name_bytes < 100000);
    check_lines(m, &a);
    CHECK_EQ(abi_layout_make(m, &a, &layout, &err), ST_OK);
    CHECK_EQ(image_head_make(m, true, &head), ST_OK);
    CHECK_EQ(module_decode_head(head.data, head.len, m->features, &again, &err), ST_OK);
    module_free(again);
    buf_done(&head);
    arena_done(&a);
}

static void try_module(const uint8_t *bytes, size_t len, uint32_t counts[2])
{
    uint8_t *tight = malloc(len); /* of the exact size, for the sanitizer */
    struct module *m = NULL;
    struct error err = {0};

    memcpy(tight, bytes, len);
    status_t st = module_decode(tight, len, FEATURE_ALL, &m, &err);
    if (st == ST_OK) {
        check_accepted(m);
        struct error verr = {0};
        status_t valid = module_validate(m, &verr);
        CHECK((valid == ST_OK) == (verr.code == ST_OK));
        module_free(m);
    } else {
        CHECK(m == NULL);
        CHECK(st == ST_FORMAT || st == ST_INVALID || st == ST_LIMIT);
        CHECK(err.code == st && err.text[0] != '\0');
    }
    counts[st == ST_OK]++;
    free(tight);
}

static void mutated_modules_are_decoded_or_refused(void)
{
    uint32_t counts[2] = {0};

    for (size_t s = 0; s < sizeof(samples) / sizeof(*samples); s++) {
        for (uint64_t seed = 1; seed <= 5000; seed++) {
            uint8_t bytes[1024];
            size_t len = samples[s].len;
            uint64_t state = seed * 0x9e3779b97f4a7c15ull;

            memcpy(bytes, samples[s].bytes, len);
            mutate(bytes, &len, &state);
            try_module(bytes, len, counts);
        }
    }
    /* The changes are neither so small nor so large that one side is never seen. */
    CHECK(counts[0] > 1000);
    CHECK(counts[1] > 1000);
}

/* The debug sections alone, so that the decoder of modules does not stop most changes. */
static void mutated_line_programs_are_read_or_ignored(void)
{
    uint32_t tables = 0;

    for (uint64_t seed = 1; seed <= 10000; seed++) {
        uint8_t bytes[1024];
        uint64_t state = seed * 0x9e3779b97f4a7c15ull;
        struct module *m = NULL;
        struct arena a = {0};
        struct line_table t = {0};
        const struct sample *s = &samples[2 + seed % 2];

        memcpy(bytes, s->bytes, s->len);
        CHECK_EQ(module_decode(bytes, s->len, FEATURE_ALL, &m, NULL), ST_OK);
        const struct module_custom *c = module_custom_find(m, ".debug_line");
        size_t at = (size_t)(c->bytes - bytes);
        for (int i = 0; i < 3; i++) {
            uint64_t r = next_random(&state);
            bytes[at + (r >> 8) % c->len] = (uint8_t)r;
        }
        CHECK_EQ(module_line_table(m, &a, &t), ST_OK);
        tables += t.row_count > 0;
        check_lines(m, &a);
        arena_done(&a);
        module_free(m);
    }
    CHECK(tables > 500 && tables < 9900);
}

int main(void)
{
    RUN(mutated_modules_are_decoded_or_refused);
    RUN(mutated_line_programs_are_read_or_ignored);
    return CHECK_DONE();
}
