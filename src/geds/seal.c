#include "seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_VERSION = 1,
    PAYLOAD_BYTES = SEAL_KEY_BYTES + 16,
    WRAPPED_BYTES = PAYLOAD_BYTES + 8,
    NONCE_BYTES = 12,
    AAD_BYTES = 24,
};

struct seal {
    EVP_CIPHER_CTX *context;
    uint64_t extent;
    uint32_t generation;
};

static status_t cipher_failed(struct error *err)
{
    return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "the cipher cannot be used");
}

void seal_free(struct seal *s)
{
    if (s != NULL) {
        EVP_CIPHER_CTX_free(s->context); /* wipes the key */
        free(s);
    }
}

status_t seal_new(struct seal **ret_seal, struct error *err)
{
    struct seal *s = calloc(1, sizeof *s);
    if (s == NULL || (s->context = EVP_CIPHER_CTX_new()) == NULL ||
        EVP_CipherInit_ex(s->context, EVP_aes_256_gcm(), NULL, NULL, NULL, 0) != 1) {
        seal_free(s);
        return cipher_failed(err);
    }
    *ret_seal = s;
    return ST_OK;
}

status_t seal_use(struct seal *s, uint64_t extent, const uint8_t key[SEAL_KEY_BYTES], bool encrypts,
                  struct error *err)
{
    s->extent = extent;
    s->generation = 0;
    return EVP_CipherInit_ex(s->context, NULL, NULL, key, NULL, encrypts) == 1 ? ST_OK
                                                                               : cipher_failed(err);
}

void seal_set_generation(struct seal *s, uint32_t generation)
{
    s->generation = generation;
}

static void put_le64(uint8_t to[8], uint64_t v)
{
    for (size_t i = 0; i < 8; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

static uint64_t get_le64(const uint8_t from[8])
{
    uint64_t v = 0;
    for (size_t i = 8; i > 0; i--) {
        v = v << 8 | from[i - 1];
    }
    return v;
}

/* The nonce, what is bound to the block, and its bytes. */
static bool transform(struct seal *s, uint64_t number, const void *data, size_t len, void *to)
{
    uint8_t nonce[NONCE_BYTES] = {0}, aad[AAD_BYTES];
    int n = 0;
    put_le64(nonce, number);
    for (size_t i = 0; i < 4; i++) {
        nonce[8 + i] = (uint8_t)(s->generation >> 8 * i);
    }
    put_le64(aad, s->extent);
    put_le64(aad + 8, number);
    put_le64(aad + 16, len);
    return len <= INT_MAX && EVP_CipherInit_ex(s->context, NULL, NULL, NULL, nonce, -1) == 1 &&
           EVP_CipherUpdate(s->context, NULL, &n, aad, AAD_BYTES) == 1 &&
           EVP_CipherUpdate(s->context, to, &n, data, (int)len) == 1 && (size_t)n == len;
}

status_t seal_block(struct seal *s, uint64_t number, const void *data, size_t len, void *to,
                    uint8_t ret_tag[SEAL_TAG_BYTES], struct error *err)
{
    uint8_t none[SEAL_TAG_BYTES];
    int n = 0;
    return transform(s, number, data, len, to) && EVP_CipherFinal_ex(s->context, none, &n) == 1 &&
                   EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES,
                                       ret_tag) == 1
               ? ST_OK
               : cipher_failed(err);
}

status_t seal_open(struct seal *s, uint64_t number, void *data, size_t len,
                   const uint8_t tag[SEAL_TAG_BYTES], struct error *err)
{
    uint8_t copy[SEAL_TAG_BYTES];
    int n = 0;
    memcpy(copy, tag, sizeof copy); /* OpenSSL takes no constant one */
    bool done = transform(s, number, data, len, data) &&
                EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, copy) == 1;
    if (done && EVP_CipherFinal_ex(s->context, copy, &n) == 1) {
        return ST_OK;
    }
    OPENSSL_cleanse(data, len);
    return done ? error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "it does not match its tag")
                : cipher_failed(err);
}

status_t seal_random_key(uint8_t ret_key[SEAL_KEY_BYTES], struct error *err)
{
    return RAND_priv_bytes(ret_key, SEAL_KEY_BYTES) == 1
               ? ST_OK
               : error_set(err, ST_IO, ERROR_NO_OFFSET, "there are no random numbers for a key");
}

void sealed_key_wipe(struct sealed_key *k)
{
    OPENSSL_cleanse(k, sizeof *k);
}

/* AES Key Wrap of RFC 3394, with its own initial value. ST_CORRUPT: it does not open. */
static status_t key_wrap(const uint8_t master[SEAL_KEY_BYTES], bool wraps, const uint8_t *from,
                         size_t len, uint8_t *to, size_t to_len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int n = 0;
    if (context == NULL) {
        return ST_NOMEM;
    }
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    status_t st = ST_NOMEM;
    if (EVP_CipherInit_ex(context, EVP_aes_256_wrap(), NULL, master, NULL, wraps) == 1) {
        bool good = EVP_CipherUpdate(context, to, &n, from, (int)len) == 1 && (size_t)n == to_len;
        st = good ? ST_OK : ST_CORRUPT;
    }
    EVP_CIPHER_CTX_free(context);
    return st;
}

status_t seal_wrap(const uint8_t master[SEAL_KEY_BYTES], const struct sealed_key *k,
                   uint8_t ret_record[SEAL_RECORD_BYTES], struct error *err)
{
    uint8_t payload[PAYLOAD_BYTES];
    memcpy(payload, k->key, SEAL_KEY_BYTES);
    put_le64(payload + SEAL_KEY_BYTES, k->extent);
    put_le64(payload + SEAL_KEY_BYTES + 8, k->bytes);
    ret_record[0] = RECORD_VERSION;
    status_t st = key_wrap(master, true, payload, sizeof payload, ret_record + 1, WRAPPED_BYTES);
    OPENSSL_cleanse(payload, sizeof payload);
    return st == ST_OK ? ST_OK : cipher_failed(err);
}

status_t seal_unwrap(const uint8_t master[SEAL_KEY_BYTES], const void *record, size_t len,
                     struct sealed_key *ret_key, struct error *err)
{
    uint8_t payload[WRAPPED_BYTES]; /* the cipher uses 8 bytes more than it gives */
    const uint8_t *bytes = record;
    if (len > 0 && bytes[0] != RECORD_VERSION) {
        return error_set(err, ST_UNSUPPORTED, 0, "a wrapped key of version %u", bytes[0]);
    }
    if (len != SEAL_RECORD_BYTES) {
        return error_set(err, ST_CORRUPT, len, "a wrapped key of %zu bytes", len);
    }
    status_t st = key_wrap(master, false, bytes + 1, WRAPPED_BYTES, payload, PAYLOAD_BYTES);
    if (st != ST_OK) {
        OPENSSL_cleanse(payload, sizeof payload);
    }
    if (st == ST_NOMEM) {
        return cipher_failed(err);
    }
    if (st != ST_OK) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "a wrapped key does not open with its master key");
    }
    ret_key->extent = get_le64(payload + SEAL_KEY_BYTES);
    ret_key->bytes = get_le64(payload + SEAL_KEY_BYTES + 8);
    memcpy(ret_key->key, payload, SEAL_KEY_BYTES);
    OPENSSL_cleanse(payload, sizeof payload);
    return ST_OK;
}
