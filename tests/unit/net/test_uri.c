#include "net/uri.h"

#include "check.h"

static void text_survives_the_encoding(void)
{
    struct buf encoded = {0}, decoded = {0};
    char text[256] = "";
    for (int i = 1; i < 256; i++)
        text[i - 1] = (char)i;
    uri_encode(&encoded, text, 255, URI_SLASH_ENCODED);
    CHECK_EQ(uri_decode(&decoded, (const char *)encoded.data, encoded.len, URI_PLUS_IS_PLUS),
             ST_OK);
    CHECK_EQ(decoded.len, 255);
    CHECK(memcmp(decoded.data, text, 255) == 0);
    buf_done(&encoded);
    uri_encode(&encoded, "a/b c~", 6, URI_SLASH_KEPT);
    buf_u8(&encoded, 0);
    CHECK_STR((const char *)encoded.data, "a/b%20c~");
    buf_done(&encoded);
    buf_done(&decoded);
}

static void broken_escapes_are_refused(void)
{
    static const char *const bad[] = {"%", "%1", "%g0", "a%0", "%00", "%-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = {0};
        CHECK_EQ(uri_decode(&out, bad[i], strlen(bad[i]), URI_PLUS_IS_PLUS), ST_FORMAT);
        buf_done(&out);
    }
}

static void a_query_is_pairs(void)
{
    struct query q;
    CHECK_EQ(query_parse("a=1&&b&c=%26+x&a=2&=", &q), ST_OK);
    CHECK_EQ(q.count, 5);
    CHECK_STR(query_get(&q, "a"), "1");
    CHECK_STR(query_get(&q, "b"), "");
    CHECK_STR(query_get(&q, "c"), "& x");
    CHECK(query_get(&q, "d") == NULL);
    query_done(&q);
    CHECK_EQ(query_parse(NULL, &q), ST_OK);
    CHECK_EQ(q.count, 0);
    query_done(&q);
}

static void a_query_has_a_limit(void)
{
    char text[QUERY_PAIRS_MAX * 2 + 8];
    struct query q;
    for (size_t i = 0; i < QUERY_PAIRS_MAX + 1; i++) {
        text[2 * i] = 'a';
        text[2 * i + 1] = '&';
    }
    text[QUERY_PAIRS_MAX * 2] = '\0';
    CHECK_EQ(query_parse(text, &q), ST_OK);
    query_done(&q);
    text[QUERY_PAIRS_MAX * 2] = 'a';
    text[QUERY_PAIRS_MAX * 2 + 1] = '\0';
    CHECK_EQ(query_parse(text, &q), ST_LIMIT);
    CHECK_EQ(query_parse("a=%", &q), ST_FORMAT);
    CHECK_EQ(q.count, 0);
}

int main(void)
{
    RUN(text_survives_the_encoding);
    RUN(broken_escapes_are_refused);
    RUN(a_query_is_pairs);
    RUN(a_query_has_a_limit);
    return CHECK_DONE();
}
