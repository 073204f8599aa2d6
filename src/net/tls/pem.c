#include "pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "sys/files.h"

status_t tls_error(struct error *err, status_t st, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return error_set(err, st, ERROR_NO_OFFSET, "%s%s%s", what, reason != NULL ? ": " : "",
                     reason != NULL ? reason : "");
}

static status_t read_bio(const char *path, struct buf *text, BIO **ret_bio, struct error *err)
{
    status_t st = file_read(path, TLS_FILE_BYTES_MAX, text, err);
    if (st == ST_OK && (*ret_bio = BIO_new_mem_buf(text->data, (int)text->len)) == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    return st;
}

/* Nobody is there who could be asked for the password of a key. */
static int no_password(char *to, int size, int writes, void *arg)
{
    (void)to, (void)size, (void)writes, (void)arg;
    return -1;
}

status_t tls_read_cert(const char *path, X509 **ret_cert, struct error *err)
{
    struct buf text = {0};
    BIO *bio = NULL;
    X509 *cert = NULL;
    status_t st = read_bio(path, &text, &bio, err);
    if (st == ST_OK && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) == NULL) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: no certificate in PEM form", path);
    }
    ERR_clear_error();
    BIO_free(bio);
    buf_done(&text);
    if (st == ST_OK) {
        *ret_cert = cert;
    }
    return st;
}

status_t tls_read_key(const char *path, EVP_PKEY **ret_key, struct error *err)
{
    struct buf text = {0};
    struct stat info;
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    if (stat(path, &info) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if ((info.st_mode & 077) != 0) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: others may use it (chmod 600 it)",
                         path);
    }
    status_t st = read_bio(path, &text, &bio, err);
    if (st == ST_OK && (key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)) == NULL) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: no private key without a password",
                       path);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (text.data != NULL) {
        OPENSSL_cleanse(text.data, text.len);
    }
    buf_done(&text);
    if (st == ST_OK) {
        *ret_key = key;
    }
    return st;
}

/* Text of ASN.1 that has no NUL inside. */
static bool take_text(const ASN1_STRING *from, char *to, size_t room)
{
    int len = from != NULL ? ASN1_STRING_length(from) : -1;
    if (len < 0 || (size_t)len >= room ||
        memchr(ASN1_STRING_get0_data(from), '\0', (size_t)len) != NULL) {
        to[0] = '\0';
        return false;
    }
    memcpy(to, ASN1_STRING_get0_data(from), (size_t)len);
    to[len] = '\0';
    return true;
}

static void role_of(const GENERAL_NAMES *names, char ret_role[TLS_ROLE_MAX + 1])
{
    char text[sizeof TLS_ROLE_URI + TLS_ROLE_MAX];
    const size_t skip = sizeof TLS_ROLE_URI - 1;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI && take_text(n->d.uniformResourceIdentifier, text, sizeof text) &&
            strncmp(text, TLS_ROLE_URI, skip) == 0) {
            memcpy(ret_role, text + skip, strlen(text + skip) + 1);
            return;
        }
    }
}

void tls_identity(X509 *cert, char ret_name[TLS_NAME_MAX + 1], char ret_role[TLS_ROLE_MAX + 1])
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    ret_name[0] = ret_role[0] = '\0';
    if (at >= 0 && (!take_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), ret_name,
                               TLS_NAME_MAX + 1) ||
                    !tls_name_is_good(ret_name))) {
        ret_name[0] = '\0';
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names != NULL) {
        role_of(names, ret_role);
        GENERAL_NAMES_free(names);
    }
}
