#include <string.h>

#include "s3.h"

/* Encryption at rest by keys of the store: SSE-S3. Those of a KMS or of clients are not there. */

#define HEADER "x-amz-server-side-encryption"
#define ALGORITHM "AES256"

enum s3_code s3_encryption_asked(const struct s3_call *c, bool *ret_asked)
{
    size_t count;
    const struct http_header *headers = s3_given_all(c, &count);
    const char *algorithm = s3_given(c, HEADER);
    for (size_t i = 0; i < count; i++) {
        if (strncasecmp(headers[i].name, HEADER "-", sizeof HEADER) == 0)
            return S3_NOT_IMPLEMENTED;
    }
    if (algorithm && strncmp(algorithm, "aws:", 4) == 0)
        return S3_NOT_IMPLEMENTED;
    if (algorithm && strcmp(algorithm, ALGORITHM) != 0)
        return S3_INVALID_ARGUMENT;
    *ret_asked = algorithm;
    return S3_OK;
}

enum s3_code s3_encryption_of_put(struct s3_call *c)
{
    bool asked = false;
    enum s3_code code = s3_encryption_asked(c, &asked);
    return code == S3_OK && asked ? s3_code_of(c, s3_store(c)->put_encrypt(c->put, &c->err)) : code;
}

void s3_reply_encryption(struct s3_call *c, bool encrypted)
{
    if (encrypted)
        http_reply_header(c->rq, HEADER, ALGORITHM);
}

void s3_encryption_get(struct s3_call *c)
{
    bool encrypt = false;
    struct buf xml = {0};
    status_t st = s3_store(c)->bucket_encrypt(c->s->o.store, c->bucket, &encrypt, &c->err);
    if (st != ST_OK || !encrypt) {
        s3_fail(c, st != ST_OK ? s3_code_of(c, st) : S3_NO_ENCRYPTION);
        return;
    }
    s3_xml_begin(&xml, "ServerSideEncryptionConfiguration");
    buf_printf(&xml, "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>" ALGORITHM
                     "</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
                     "<BucketKeyEnabled>false</BucketKeyEnabled></Rule>"
                     "</ServerSideEncryptionConfiguration>");
    s3_reply_xml(c, &xml);
}

/* One rule, as S3 has it. */
static enum s3_code read_rule(struct s3_call *c)
{
    struct xml_node *root;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "ServerSideEncryptionConfiguration") != 0)
        return S3_MALFORMED_XML;
    const struct xml_node *rule = xml_child(root, "Rule");
    const struct xml_node *by = rule ? xml_child(rule, "ApplyServerSideEncryptionByDefault") : NULL;
    const char *algorithm = by ? xml_text(by, "SSEAlgorithm") : NULL;
    if (!algorithm)
        return S3_MALFORMED_XML;
    if (strncmp(algorithm, "aws:", 4) == 0)
        return S3_NOT_IMPLEMENTED;
    return strcmp(algorithm, ALGORITHM) == 0 && !xml_child(by, "KMSMasterKeyID")
               ? S3_OK
               : S3_INVALID_ARGUMENT;
}

static void set_rule(struct s3_call *c, bool encrypt, unsigned status)
{
    enum s3_code code = s3_code_of(
        c, s3_store(c)->bucket_set_encrypt(c->s->o.store, c->bucket, encrypt, &c->err));
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, status, NULL);
}

void s3_encryption_put(struct s3_call *c)
{
    enum s3_code code = read_rule(c);
    if (code != S3_OK)
        s3_fail(c, code);
    else
        set_rule(c, true, 200);
}

void s3_encryption_delete(struct s3_call *c)
{
    set_rule(c, false, 204);
}
