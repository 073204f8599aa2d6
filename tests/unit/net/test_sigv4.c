/* The examples of AWS's specification: the test suite of Signature Version 4 and the S3 documentation. */
#include "net/sigv4.h"

#include "check.h"
#include "net/aws_chunked.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
enum { NOW_2013 = 1369353600 }; /* 2013-05-24T00:00:00Z */

static const struct http_header suite_headers[] = {{"Host", "example.amazonaws.com"},
                                                   {"X-Amz-Date", "20150830T123600Z"}};

/* Does the signature of a request of the suite end so? */
static bool suite(const char *method, const char *path, const char *raw_query,
                  const struct http_header *headers, size_t count, const char *payload,
                  const char *signature)
{
    const struct sigv4_identity who = {"AKIDEXAMPLE", SECRET, "us-east-1", "service"};
    struct query q;
    struct buf out = {0};
    if (query_parse(raw_query, &q) != ST_OK)
        return false;
    const struct sigv4_request rq = {method, path, &q, headers, count, NULL};
    bool ok = sigv4_sign(&rq, &who, payload, &out) == ST_OK;
    buf_u8(&out, 0);
    ok = ok && strstr((const char *)out.data, signature);
    if (!ok)
        fprintf(stderr, "%s\n", out.data);
    buf_done(&out);
    query_done(&q);
    return ok;
}

static void the_suite_of_aws(void)
{
    CHECK(suite("GET", "/", NULL, suite_headers, 2, EMPTY,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
    CHECK(suite("POST", "/", NULL, suite_headers, 2, EMPTY,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"));
    CHECK(suite("GET", "/", "Param2=value2&Param1=value1", suite_headers, 2, EMPTY,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"));
    CHECK(suite("GET", "/\xe1\x88\xb4", NULL, suite_headers, 2, EMPTY,
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"));
    CHECK(suite("GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", NULL,
                suite_headers, 2, EMPTY,
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"));
    CHECK(suite("GET", "/", "\xe1\x88\xb4=bar", suite_headers, 2, EMPTY,
                "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"));
}

static void values_of_headers_are_trimmed(void)
{
    const struct http_header headers[] = {{"Host", "example.amazonaws.com"},
                                          {"My-Header1", " value1"},
                                          {"My-Header2", " \"a   b   c\""},
                                          {"X-Amz-Date", "20150830T123600Z"}};
    CHECK(suite("GET", "/", NULL, headers, 4, EMPTY,
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"));
}

/* The examples of S3 name one account, day and bucket. */
#define CREDENTIAL "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

static enum sigv4_result verify(const char *method, const char *path, const char *raw_query,
                                const struct http_header *headers, size_t count, const char *secret,
                                uint64_t now, struct sigv4_chain *chain)
{
    struct sigv4_auth auth;
    struct query q;
    if (query_parse(raw_query, &q) != ST_OK)
        return SIGV4_MALFORMED;
    const struct sigv4_request rq = {method, path, &q, headers, count, NULL};
    enum sigv4_result r = sigv4_read(&rq, &auth);
    if (r == SIGV4_OK)
        r = sigv4_verify(&rq, &auth, secret, now, chain);
    query_done(&q);
    return r;
}

static void examples_of_s3(void)
{
    const struct http_header get[] = {
        {"Host", "examplebucket.s3.amazonaws.com"},
        {"Range", "bytes=0-9"},
        {"x-amz-content-sha256", EMPTY},
        {"x-amz-date", "20130524T000000Z"},
        {"Authorization", "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                          ",SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature="
                          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"}};
    CHECK_EQ(verify("GET", "/test.txt", NULL, get, 5, S3_SECRET, NOW_2013, NULL), SIGV4_OK);
    const struct http_header put[] = {
        {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"Host", "examplebucket.s3.amazonaws.com"},
        {"x-amz-content-sha256",
         "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
        {"x-amz-date", "20130524T000000Z"},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
        {"Authorization",
         "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
         ",SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature="
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"}};
    CHECK_EQ(verify("PUT", "/test$file.text", NULL, put, 6, S3_SECRET, NOW_2013, NULL), SIGV4_OK);
    struct http_header list[] = {
        {"Host", "examplebucket.s3.amazonaws.com"},
        {"x-amz-content-sha256", EMPTY},
        {"x-amz-date", "20130524T000000Z"},
        {"Authorization", "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                          ",SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="
                          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}};
    CHECK_EQ(verify("GET", "/", "max-keys=2&prefix=J", list, 4, S3_SECRET, NOW_2013, NULL),
             SIGV4_OK);
    list[3].value = "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                    ",SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="
                    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
    CHECK_EQ(verify("GET", "/", "lifecycle", list, 4, S3_SECRET, NOW_2013, NULL), SIGV4_OK);
    CHECK_EQ(verify("GET", "/", "lifecycl", list, 4, S3_SECRET, NOW_2013, NULL), SIGV4_MISMATCH);
    CHECK_EQ(verify("GET", "/", "lifecycle", list, 4, SECRET, NOW_2013, NULL), SIGV4_MISMATCH);
}

#define PRESIGNED                                                                                 \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east" \
    "-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=" \
    "host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

static void a_presigned_url_is_good_for_its_time(void)
{
    const struct http_header host[] = {{"Host", "examplebucket.s3.amazonaws.com"}};
    const struct http_header more[] = {host[0], {"x-amz-acl", "public-read"}};
    CHECK_EQ(verify("GET", "/test.txt", PRESIGNED, host, 1, S3_SECRET, NOW_2013, NULL), SIGV4_OK);
    CHECK_EQ(verify("GET", "/test.txt", PRESIGNED, host, 1, S3_SECRET, NOW_2013 + 86400, NULL),
             SIGV4_OK);
    CHECK_EQ(verify("GET", "/test.txt", PRESIGNED, host, 1, S3_SECRET, NOW_2013 + 86401, NULL),
             SIGV4_EXPIRED);
    CHECK_EQ(verify("GET", "/test.txt", PRESIGNED, host, 1, S3_SECRET, NOW_2013 - SIGV4_SKEW_S - 1,
                    NULL),
             SIGV4_NOT_YET);
    CHECK_EQ(verify("PUT", "/test.txt", PRESIGNED, host, 1, S3_SECRET, NOW_2013, NULL),
             SIGV4_MISMATCH);
    CHECK_EQ(verify("GET", "/test.txt", PRESIGNED, more, 2, S3_SECRET, NOW_2013, NULL),
             SIGV4_NOT_SIGNED);
}

static const char seed[] = "AWS4-HMAC-SHA256 Credential=" CREDENTIAL
                           ",SignedHeaders=content-encoding;content-length;host;x-amz-content-"
                           "sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,"
                           "Signature="
                           "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

static enum sigv4_result chunk_seed(uint64_t now, struct sigv4_chain *chain)
{
    const struct http_header headers[] = {{"Host", "s3.amazonaws.com"},
                                          {"x-amz-date", "20130524T000000Z"},
                                          {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                                          {"Authorization", seed},
                                          {"x-amz-content-sha256", SIGV4_CHUNKS},
                                          {"Content-Encoding", "aws-chunked"},
                                          {"x-amz-decoded-content-length", "66560"},
                                          {"Content-Length", "66824"}};
    return verify("PUT", "/examplebucket/chunkObject.txt", NULL, headers, 8, S3_SECRET, now, chain);
}

static status_t count_bytes(void *arg, const uint8_t *data, size_t len)
{
    size_t *count = arg;
    for (size_t i = 0; i < len; i++)
        *count += data[i] == 'a';
    return ST_OK;
}

/* The example's body, given in pieces of so many bytes; damage: byte to change, or SIZE_MAX. */
static status_t feed_example(size_t piece, size_t damage, size_t *ret_count, bool *ret_complete)
{
    static uint8_t text[70000];
    struct aws_chunked c;
    struct sigv4_chain chain;
    size_t len = 0;
    const struct {
        unsigned size;
        const char *signature;
    } chunks[] = {{65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"},
                  {1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"},
                  {0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"}};
    for (size_t i = 0; i < 3; i++) {
        len += (size_t)snprintf((char *)text + len, 128, "%x;chunk-signature=%s\r\n",
                                chunks[i].size, chunks[i].signature);
        memset(text + len, 'a', chunks[i].size);
        len += chunks[i].size;
        text[len++] = '\r';
        text[len++] = '\n';
    }
    CHECK_EQ(len, 66824);
    if (damage != SIZE_MAX)
        text[damage] ^= 1;
    CHECK_EQ(chunk_seed(NOW_2013, &chain), SIGV4_OK);
    status_t st = aws_chunked_init(&c, SIGV4_CHUNKS, &chain);
    *ret_count = 0;
    for (size_t at = 0; at < len && st == ST_OK; at += piece)
        st = aws_chunked_feed(&c, text + at, len - at < piece ? len - at : piece, count_bytes,
                              ret_count);
    *ret_complete = aws_chunked_complete(&c);
    return st;
}

static void a_body_in_signed_chunks_is_followed(void)
{
    const size_t pieces[] = {70000, 1, 7, 4096};
    size_t count;
    bool complete;
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(feed_example(pieces[i], SIZE_MAX, &count, &complete), ST_OK);
        CHECK(complete);
        CHECK_EQ(count, 66560);
    }
}

static void a_changed_chunk_is_found(void)
{
    size_t count;
    bool complete;
    CHECK_EQ(feed_example(70000, 1000, &count, &complete), ST_PERM);
    CHECK(!complete);
    CHECK_EQ(feed_example(70000, 66300, &count, &complete), ST_PERM);
    CHECK_EQ(feed_example(70000, 66810, &count, &complete), ST_PERM);
}

static void clocks_may_differ_by_a_quarter_of_an_hour(void)
{
    CHECK_EQ(chunk_seed(NOW_2013 + SIGV4_SKEW_S, NULL), SIGV4_OK);
    CHECK_EQ(chunk_seed(NOW_2013 + SIGV4_SKEW_S + 1, NULL), SIGV4_SKEWED);
    CHECK_EQ(chunk_seed(NOW_2013 - SIGV4_SKEW_S - 1, NULL), SIGV4_SKEWED);
}

static void malformed_signatures_are_told_apart(void)
{
    struct http_header h[] = {{"Host", "h"},
                              {"x-amz-date", "20130524T000000Z"},
                              {"x-amz-content-sha256", EMPTY},
                              {"Authorization", ""}};
    static const struct {
        const char *value;
        enum sigv4_result want;
    } cases[] = {{"AWS a:b", SIGV4_ALGORITHM},
                 {"AWS4-HMAC-SHA256", SIGV4_MALFORMED},
                 {"AWS4-HMAC-SHA256x Credential=" CREDENTIAL, SIGV4_ALGORITHM},
                 {"AWS4-HMAC-SHA256 Credential=" CREDENTIAL, SIGV4_MALFORMED},
                 {"AWS4-HMAC-SHA256 Credential=a/b/c", SIGV4_MALFORMED},
                 {"AWS4-HMAC-SHA256 Credential=" CREDENTIAL ",SignedHeaders=host,Signature=0",
                  SIGV4_MALFORMED},
                 {"AWS4-HMAC-SHA256 Credential=A/20130525/us-east-1/s3/aws4_request,SignedHeaders="
                  "host,Signature=" EMPTY,
                  SIGV4_MALFORMED},
                 {"AWS4-HMAC-SHA256 Credential=" CREDENTIAL ",SignedHeaders=host,Signature=" EMPTY,
                  SIGV4_MISMATCH}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h[3].value = cases[i].value;
        CHECK_EQ(verify("GET", "/", NULL, h, 4, S3_SECRET, NOW_2013, NULL), cases[i].want);
    }
    CHECK_EQ(verify("GET", "/", NULL, h, 3, S3_SECRET, NOW_2013, NULL), SIGV4_ANONYMOUS);
    CHECK_EQ(verify("GET", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", h, 1, SECRET, NOW_2013, NULL),
             SIGV4_MALFORMED_URL);
    h[2].name = "x-other";
    CHECK_EQ(verify("GET", "/", NULL, h, 4, S3_SECRET, NOW_2013, NULL), SIGV4_NO_PAYLOAD);
}

/* The example of the documentation of version 2. */
#define PUPPY "/johnsmith/photos/puppy.jpg"
#define V2_KEY "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE"
#define V2_SIGNATURE "Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
#define V2_EXPIRES "Expires=1175139620"
#define V2_QUERY V2_KEY "&" V2_SIGNATURE "&" V2_EXPIRES
enum { V2_END = 1175139620 };

static void a_url_of_version_2_is_good_until_its_end(void)
{
    const struct http_header plain[] = {{"Host", "h"}};
    CHECK_EQ(verify("GET", PUPPY, V2_QUERY, plain, 1, S3_SECRET, V2_END, NULL), SIGV4_OK);
    CHECK_EQ(verify("GET", PUPPY, V2_QUERY "&unknown=1", plain, 1, S3_SECRET, 0, NULL), SIGV4_OK);
    CHECK_EQ(verify("GET", PUPPY, V2_QUERY, plain, 1, S3_SECRET, V2_END + 1, NULL), SIGV4_EXPIRED);
}

static void what_was_changed_in_a_url_of_version_2_is_found(void)
{
    static const struct http_header cases[] = {
        {"x-amz-acl", "private"}, {"Content-Type", "a/b"}, {"Content-MD5", "x"}};
    static const char *const queries[] = {V2_QUERY "&acl", V2_QUERY "&versionId=1",
                                          V2_QUERY "&x-amz-acl=private",
                                          V2_KEY "&" V2_SIGNATURE "&Expires=1175139621"};
    const struct http_header plain[] = {{"Host", "h"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(verify("GET", PUPPY, V2_QUERY, &cases[i], 1, S3_SECRET, 0, NULL), SIGV4_MISMATCH);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        CHECK_EQ(verify("GET", PUPPY, queries[i], plain, 1, S3_SECRET, 0, NULL), SIGV4_MISMATCH);
    CHECK_EQ(verify("PUT", PUPPY, V2_QUERY, plain, 1, S3_SECRET, 0, NULL), SIGV4_MISMATCH);
    CHECK_EQ(verify("GET", PUPPY "x", V2_QUERY, plain, 1, S3_SECRET, 0, NULL), SIGV4_MISMATCH);
    CHECK_EQ(verify("GET", PUPPY, V2_QUERY, plain, 1, SECRET, 0, NULL), SIGV4_MISMATCH);
}

static void malformed_urls_of_version_2_are_refused(void)
{
    static const char *const queries[] = {
        V2_KEY,
        V2_KEY "&" V2_SIGNATURE,
        V2_KEY "&" V2_EXPIRES,
        V2_KEY "&Signature=short&" V2_EXPIRES,
        V2_KEY "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D%3D&" V2_EXPIRES,
        V2_KEY "&Signature=NpgCjnDzrM*WFzoENXmpNDUsSn8%3D&" V2_EXPIRES,
        V2_KEY "&" V2_SIGNATURE "&Expires=",
        V2_KEY "&" V2_SIGNATURE "&Expires=-1",
        V2_KEY "&" V2_SIGNATURE "&Expires=18446744073709551616",
        "AWSAccessKeyId=&" V2_SIGNATURE "&" V2_EXPIRES,
        V2_QUERY "&content-type=a%0Ab",
        V2_QUERY "&x-amz-a=b%0Ax-amz-c:d",
        V2_QUERY "&x-amz-a:b%0A=c",
        V2_QUERY "&versionId=a%0D"};
    const struct http_header plain[] = {{"Host", "h"}};
    const struct http_header chunks[] = {{"x-amz-content-sha256", SIGV4_CHUNKS}};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        CHECK_EQ(verify("GET", PUPPY, queries[i], plain, 1, S3_SECRET, 0, NULL),
                 SIGV4_MALFORMED_URL);
    CHECK_EQ(verify("PUT", PUPPY, V2_QUERY, chunks, 1, S3_SECRET, 0, NULL), SIGV4_MALFORMED_URL);
}

int main(void)
{
    RUN(the_suite_of_aws);
    RUN(values_of_headers_are_trimmed);
    RUN(examples_of_s3);
    RUN(a_presigned_url_is_good_for_its_time);
    RUN(a_body_in_signed_chunks_is_followed);
    RUN(a_changed_chunk_is_found);
    RUN(clocks_may_differ_by_a_quarter_of_an_hour);
    RUN(malformed_signatures_are_told_apart);
    RUN(a_url_of_version_2_is_good_until_its_end);
    RUN(what_was_changed_in_a_url_of_version_2_is_found);
    RUN(malformed_urls_of_version_2_are_refused);
    return CHECK_DONE();
}
