#include <string.h>

#include "s3.h"

/* What is kept with a part: one byte of the algorithm, then the sum. */

enum s3_code s3_multipart_begin(const struct s3_call *c, struct s3_multipart *ret_m)
{
    const char *algorithm = http_header(c->rq, S3_CHECKSUM_ALGORITHM);
    const char *type = http_header(c->rq, S3_CHECKSUM_TYPE);
    *ret_m = (struct s3_multipart){.algorithm = S3_SUM_NONE};
    if (!algorithm)
        return type ? S3_INVALID_REQUEST : S3_OK;
    ret_m->algorithm = s3_sum_by_name(algorithm);
    if (ret_m->algorithm == S3_SUM_COUNT)
        return S3_INVALID_REQUEST;
    bool sha = ret_m->algorithm == S3_SUM_SHA1 || ret_m->algorithm == S3_SUM_SHA256;
    ret_m->whole = ret_m->algorithm == S3_SUM_CRC64NVME;
    if (!type)
        return S3_OK;
    if (strcmp(type, "FULL_OBJECT") == 0) {
        ret_m->whole = true;
        return sha ? S3_INVALID_REQUEST : S3_OK; /* it cannot be had from those of the parts */
    }
    return strcmp(type, "COMPOSITE") == 0 && !ret_m->whole ? S3_OK : S3_INVALID_REQUEST;
}

struct s3_multipart s3_multipart_of(const struct store_attributes *a)
{
    const char *algorithm = s3_attribute_get(a, S3_CHECKSUM_ALGORITHM);
    const char *type = s3_attribute_get(a, S3_CHECKSUM_TYPE);
    struct s3_multipart m = {.algorithm = S3_SUM_NONE};
    if (algorithm && s3_sum_by_name(algorithm) != S3_SUM_COUNT)
        m.algorithm = s3_sum_by_name(algorithm);
    m.whole = type && strcmp(type, "FULL_OBJECT") == 0;
    return m;
}

enum s3_code s3_multipart_keep(struct s3_call *c)
{
    uint8_t kept[1 + S3_SUM_BYTES_MAX];
    size_t len = s3_sum_size(c->sum.algorithm);
    if (c->sum.algorithm == S3_SUM_NONE)
        return S3_OK;
    kept[0] = (uint8_t)c->sum.algorithm;
    if (base64_decode(c->sum_text, len, kept + 1) != ST_OK)
        return S3_INTERNAL;
    return s3_code_of(c, s3_store(c)->put_set_sum(c->put, kept, 1 + len, &c->err));
}

static enum s3_algorithm algorithm_of(const struct store_part *part)
{
    if (part->sum_len == 0 || part->sum[0] == S3_SUM_NONE || part->sum[0] >= S3_SUM_COUNT)
        return S3_SUM_COUNT;
    enum s3_algorithm a = (enum s3_algorithm)part->sum[0];
    return part->sum_len == 1 + s3_sum_size(a) ? a : S3_SUM_COUNT;
}

enum s3_algorithm s3_multipart_text(const struct store_part *part, char ret_text[S3_SUM_TEXT_BYTES])
{
    enum s3_algorithm a = algorithm_of(part);
    ret_text[0] = '\0';
    if (a != S3_SUM_COUNT)
        base64_encode(part->sum + 1, part->sum_len - 1, ret_text);
    return a;
}

void s3_xml_sum(struct buf *xml, enum s3_algorithm a, const char *text)
{
    char element[32];
    snprintf(element, sizeof element, "Checksum%s", s3_sum_name(a));
    xml_element(xml, element, text);
}

void s3_multipart_xml(struct buf *xml, const struct store_part *part)
{
    char text[S3_SUM_TEXT_BYTES];
    enum s3_algorithm a = s3_multipart_text(part, text);
    if (a != S3_SUM_COUNT)
        s3_xml_sum(xml, a, text);
}

static uint64_t crc_of(const struct store_part *part)
{
    uint64_t crc = 0;
    for (size_t i = 1; i < part->sum_len; i++)
        crc = crc << 8 | part->sum[i];
    return crc;
}

static void whole_sum(enum s3_algorithm a, const struct store_part *parts, size_t count,
                      char ret_text[S3_SUM_TEXT_BYTES])
{
    uint8_t bytes[8];
    uint64_t crc = crc_of(&parts[0]);
    size_t len = s3_sum_size(a);
    for (size_t i = 1; i < count; i++)
        crc = s3_crc_combine(a, crc, crc_of(&parts[i]), parts[i].info.size);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(crc >> 8 * (len - 1 - i));
    base64_encode(bytes, len, ret_text);
}

enum s3_code s3_multipart_sum(const struct s3_call *c, const struct s3_multipart *m,
                              const struct store_part *parts, size_t count,
                              char ret_text[S3_SUM_TEXT_BYTES + 8])
{
    struct s3_sum sum;
    for (size_t i = 0; i < count; i++) {
        if (algorithm_of(&parts[i]) != m->algorithm)
            return S3_INVALID_REQUEST;
    }
    if (m->whole) {
        whole_sum(m->algorithm, parts, count, ret_text);
        return S3_OK;
    }
    s3_sum_init(&sum, m->algorithm, &c->s->crc);
    for (size_t i = 0; i < count; i++)
        s3_sum_update(&sum, parts[i].sum + 1, parts[i].sum_len - 1);
    s3_sum_final(&sum, ret_text);
    snprintf(ret_text + strlen(ret_text), 8, "-%zu", count);
    return S3_OK;
}
