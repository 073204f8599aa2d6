#include "net/tls/ca.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pem.h"
#include "sys/files.h"

enum {
    SERIAL_BYTES = 19,
    DAY_S = 86400,
    EARLY_S = 300, /* a certificate is valid for clocks that are behind by so much */
    NAMES_BYTES = TLS_HOSTS_MAX * (TLS_HOST_MAX + 8) + 64,
};

struct authority {
    X509 *cert;
    EVP_PKEY *key;
};

bool tls_name_is_good(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > TLS_NAME_MAX || !isalnum((unsigned char)name[0])) {
        return false;
    }
    for (const char *s = name; *s != '\0'; s++) {
        if ((unsigned char)*s > 0x7e ||
            (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_address(const char *host)
{
    uint8_t bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

bool tls_host_is_good(const char *host)
{
    size_t len = strlen(host);
    if (is_address(host)) {
        return true;
    }
    const char *s = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    if (len > TLS_HOST_MAX || *s == '\0' || *s == '.' || *s == '-') {
        return false;
    }
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s > 0x7e ||
            (!isalnum((unsigned char)*s) && strchr(".-_", *s) == NULL)) {
            return false;
        }
    }
    return true;
}

static status_t check_name(const char *name, struct error *err)
{
    if (!tls_name_is_good(name)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "\"%.80s\": a name has 1 to %d letters, digits, `.`, `_`, `-`, and begins "
                         "with one of the first two",
                         name, TLS_NAME_MAX);
    }
    return strcmp(name, "ca") == 0
               ? error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"ca\" is the name of the CA's files")
               : ST_OK;
}

static status_t path_in(const char *folder, const char *name, const char *end,
                        char ret_path[PATH_MAX], struct error *err)
{
    return snprintf(ret_path, PATH_MAX, "%s/%s%s", folder, name, end) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", folder);
}

static status_t is_free(const char *folder, const char *name, const char *end, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;
    status_t st = path_in(folder, name, end, path, err);
    if (st == ST_OK && lstat(path, &info) == 0) {
        st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%s is there already", path);
    }
    return st;
}

/* PEM text, which is freed afterwards. */
static status_t write_bio(BIO *bio, const char *folder, const char *name, const char *end,
                          unsigned mode, struct error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    status_t st = path_in(folder, name, end, path, err);
    if (st == ST_OK) {
        st = file_write_atomic(path, text, (size_t)len, mode, FILE_SYNC, err);
    }
    return st;
}

static status_t write_cert(X509 *cert, const char *folder, const char *name, struct error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    status_t st = bio != NULL && PEM_write_bio_X509(bio, cert) == 1
                      ? write_bio(bio, folder, name, ".crt", 0644, err)
                      : tls_error(err, ST_NOMEM, "a certificate");
    BIO_free(bio);
    return st;
}

static status_t write_key(const EVP_PKEY *key, const char *folder, const char *name,
                          struct error *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    status_t st = bio != NULL &&
                          PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1
                      ? write_bio(bio, folder, name, ".key", 0600, err)
                      : tls_error(err, ST_NOMEM, "a key");
    BIO_free(bio);
    return st;
}

static void remove_file(const char *folder, const char *name, const char *end)
{
    char path[PATH_MAX];
    if (path_in(folder, name, end, path, NULL) == ST_OK) {
        unlink(path);
    }
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = e != NULL && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    bool good = RAND_bytes(bytes, sizeof bytes) == 1;
    bytes[0] |= 1; /* never zero, of the same length */
    BIGNUM *number = good ? BN_bin2bn(bytes, sizeof bytes, NULL) : NULL;
    good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return good;
}

/* ends: NULL, or what it cannot outlive. */
static bool set_times(X509 *cert, unsigned days, const ASN1_TIME *ends)
{
    time_t now = time(NULL);
    if (X509_time_adj_ex(X509_getm_notBefore(cert), 0, -(long)EARLY_S, &now) == NULL ||
        X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, &now) == NULL) {
        return false;
    }
    return ends == NULL || ASN1_TIME_compare(X509_get0_notAfter(cert), ends) <= 0 ||
           X509_set1_notAfter(cert, ends) == 1;
}

/* All but what it is for. issuer NULL: its own. */
static X509 *new_cert(const char *name, EVP_PKEY *key, X509 *issuer, unsigned days)
{
    X509 *cert = X509_new();
    X509_NAME *subject = cert != NULL ? X509_get_subject_name(cert) : NULL;
    if (subject != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        set_times(cert, days, issuer != NULL ? X509_get0_notAfter(issuer) : NULL) &&
        X509_set_pubkey(cert, key) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : subject) == 1) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

static status_t lock_folder(const char *folder, int *ret_lock, struct error *err)
{
    char path[PATH_MAX];
    status_t st = path_in(folder, "ca.lock", "", path, err);
    return st == ST_OK ? file_lock(path, true, ret_lock, err) : st;
}

static void unlock_folder(const char *folder, int lock)
{
    char path[PATH_MAX];
    if (lock >= 0 && path_in(folder, "ca.lock", "", path, NULL) == ST_OK) {
        file_lock_release(lock, path);
    }
}

static status_t make_authority(const char *folder, const char *name, struct error *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key != NULL ? new_cert(name, key, NULL, TLS_DAYS_MAX) : NULL;
    status_t st = ST_OK;
    if (cert == NULL ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
        X509_sign(cert, key, EVP_sha256()) == 0) {
        st = tls_error(err, ST_NOMEM, "cannot make a CA");
    }
    if (st == ST_OK) {
        st = write_key(key, folder, "ca", err);
    }
    if (st == ST_OK && (st = write_cert(cert, folder, "ca", err)) != ST_OK) {
        remove_file(folder, "ca", ".key");
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}

status_t tls_ca_init(const char *folder, const char *name, struct error *err)
{
    int lock = -1;
    if (!tls_name_is_good(name)) {
        return check_name(name, err);
    }
    status_t st = file_make_dirs(folder, 0700, err);
    if (st == ST_OK) {
        st = lock_folder(folder, &lock, err);
    }
    if (st == ST_OK) {
        st = is_free(folder, "ca", ".key", err);
    }
    if (st == ST_OK) {
        st = is_free(folder, "ca", ".crt", err);
    }
    if (st == ST_OK) {
        st = make_authority(folder, name, err);
    }
    unlock_folder(folder, lock);
    return st;
}

static void authority_done(struct authority *a)
{
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
}

static status_t read_authority(const char *folder, struct authority *a, struct error *err)
{
    char path[PATH_MAX];
    status_t st = path_in(folder, "ca", ".crt", path, err);
    if (st == ST_OK) {
        st = tls_read_cert(path, &a->cert, err);
    }
    if (st == ST_NOTFOUND) {
        return error_set(err, st, ERROR_NO_OFFSET, "no CA in %s (`cloudskin ca init` makes one)",
                         folder);
    }
    if (st == ST_OK) {
        st = path_in(folder, "ca", ".key", path, err);
    }
    if (st == ST_OK) {
        st = tls_read_key(path, &a->key, err);
    }
    if (st == ST_OK && X509_check_private_key(a->cert, a->key) != 1) {
        st = tls_error(err, ST_INVALID, "ca.key is not the key of ca.crt");
    }
    if (st == ST_OK && X509_cmp_current_time(X509_get0_notAfter(a->cert)) <= 0) {
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET, "the CA in %s has ended", folder);
    }
    return st;
}

/* What OpenSSL makes a list of names of. Each was checked, so none has a comma. */
static status_t list_names(const struct tls_issue *what, char ret_text[NAMES_BYTES],
                           struct error *err)
{
    size_t at = 0;
    ret_text[0] = '\0';
    if (what->host_count > TLS_HOSTS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "a certificate has %d hosts at most",
                         TLS_HOSTS_MAX);
    }
    for (size_t i = 0; i < what->host_count; i++) {
        const char *host = what->hosts[i];
        if (!tls_host_is_good(host)) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "\"%.100s\" is neither a host's name nor an IP address", host);
        }
        at += (size_t)snprintf(ret_text + at, NAMES_BYTES - at, "%s%s:%s", at > 0 ? "," : "",
                               is_address(host) ? "IP" : "DNS", host);
    }
    if (what->role != NULL) {
        snprintf(ret_text + at, NAMES_BYTES - at, "%sURI:" TLS_ROLE_URI "%s", at > 0 ? "," : "",
                 what->role);
    }
    return ST_OK;
}

static bool sign_leaf(const struct authority *a, X509 *cert)
{
    return add_extension(cert, a->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, a->cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, a->cert, NID_subject_key_identifier, "hash") &&
           add_extension(cert, a->cert, NID_authority_key_identifier, "keyid:always") &&
           X509_sign(cert, a->key, EVP_sha256()) != 0;
}

static status_t make_leaf(const struct authority *a, const struct tls_issue *what, EVP_PKEY *key,
                          X509 **ret_cert, struct error *err)
{
    char names[NAMES_BYTES];
    status_t st = list_names(what, names, err);
    if (st != ST_OK) {
        return st;
    }
    unsigned days = what->days != 0 ? what->days : TLS_DAYS;
    X509 *cert = new_cert(what->name, key, a->cert, days);
    const char *uses = what->host_count > 0 ? "serverAuth,clientAuth" : "clientAuth";
    if (cert == NULL || !add_extension(cert, a->cert, NID_ext_key_usage, uses) ||
        (names[0] != '\0' && !add_extension(cert, a->cert, NID_subject_alt_name, names)) ||
        !sign_leaf(a, cert)) {
        X509_free(cert);
        return tls_error(err, ST_NOMEM, "cannot make a certificate");
    }
    *ret_cert = cert;
    return ST_OK;
}

static status_t check_issue(const struct tls_issue *what, struct error *err)
{
    status_t st = check_name(what->name, err);
    if (st == ST_OK && what->days > TLS_DAYS_MAX) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a certificate is valid for %d days at most",
                       TLS_DAYS_MAX);
    }
    if (st == ST_OK && what->role != NULL &&
        (!tls_name_is_good(what->role) || strlen(what->role) > TLS_ROLE_MAX)) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%.40s\" is no role", what->role);
    }
    return st;
}

/* So that the folder has all that a client needs. */
static status_t copy_authority(const struct authority *a, const char *to, struct error *err)
{
    char path[PATH_MAX];
    X509 *there = NULL;
    status_t st = path_in(to, "ca", ".crt", path, err);
    if (st == ST_OK) {
        st = tls_read_cert(path, &there, err);
    }
    if (st == ST_NOTFOUND) {
        return write_cert(a->cert, to, "ca", err);
    }
    if (st == ST_OK && X509_cmp(there, a->cert) != 0) {
        st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%s is that of another CA", path);
    }
    X509_free(there);
    return st;
}

static status_t issue_into(const struct authority *a, const struct tls_issue *what, const char *to,
                           struct error *err)
{
    X509 *cert = NULL;
    status_t st = is_free(to, what->name, ".key", err);
    if (st == ST_OK) {
        st = is_free(to, what->name, ".crt", err);
    }
    if (st != ST_OK) {
        return st;
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    st = key != NULL ? make_leaf(a, what, key, &cert, err)
                     : tls_error(err, ST_NOMEM, "cannot make a key");
    if (st == ST_OK) {
        st = copy_authority(a, to, err);
    }
    if (st == ST_OK) {
        st = write_key(key, to, what->name, err);
    }
    if (st == ST_OK && (st = write_cert(cert, to, what->name, err)) != ST_OK) {
        remove_file(to, what->name, ".key");
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}

status_t tls_ca_issue(const char *folder, const struct tls_issue *what, struct error *err)
{
    struct authority a = {0};
    const char *to = what->to != NULL ? what->to : folder;
    int lock = -1;
    status_t st = check_issue(what, err);
    if (st == ST_OK) {
        st = read_authority(folder, &a, err);
    }
    if (st == ST_OK) {
        st = file_make_dirs(to, 0700, err);
    }
    if (st == ST_OK) {
        st = lock_folder(to, &lock, err);
    }
    if (st == ST_OK) {
        st = issue_into(&a, what, to, err);
    }
    unlock_folder(to, lock);
    authority_done(&a);
    return st;
}

static bool copy_extension(X509 *to, X509 *from, int nid)
{
    int at = X509_get_ext_by_NID(from, nid, -1);
    return at < 0 || X509_add_ext(to, X509_get_ext(from, at), -1) == 1;
}

static status_t renew(const struct authority *a, const char *name, const char *in, unsigned days,
                      struct error *err)
{
    char path[PATH_MAX], said[TLS_NAME_MAX + 1], role[TLS_ROLE_MAX + 1];
    X509 *former = NULL, *cert = NULL;
    status_t st = path_in(in, name, ".crt", path, err);
    if (st == ST_OK) {
        st = tls_read_cert(path, &former, err);
    }
    if (st == ST_OK && X509_verify(former, X509_get0_pubkey(a->cert)) != 1) {
        ERR_clear_error();
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET, "%s is not of this CA", path);
    }
    if (st == ST_OK) {
        tls_identity(former, said, role);
        cert = new_cert(said, X509_get0_pubkey(former), a->cert, days != 0 ? days : TLS_DAYS);
        if (cert == NULL || !copy_extension(cert, former, NID_ext_key_usage) ||
            !copy_extension(cert, former, NID_subject_alt_name) || !sign_leaf(a, cert)) {
            st = tls_error(err, ST_NOMEM, "cannot make a certificate");
        }
    }
    if (st == ST_OK) {
        st = write_cert(cert, in, name, err);
    }
    X509_free(former);
    X509_free(cert);
    return st;
}

status_t tls_ca_renew(const char *folder, const char *name, const char *in, unsigned days,
                      struct error *err)
{
    struct authority a = {0};
    const struct tls_issue what = {.name = name, .days = days};
    int lock = -1;
    in = in != NULL ? in : folder;
    status_t st = check_issue(&what, err);
    if (st == ST_OK) {
        st = read_authority(folder, &a, err);
    }
    if (st == ST_OK) {
        st = lock_folder(in, &lock, err);
    }
    if (st == ST_OK) {
        st = renew(&a, name, in, days, err);
    }
    unlock_folder(in, lock);
    authority_done(&a);
    return st;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
    struct tm parts;
    return t != NULL && ASN1_TIME_to_tm(t, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void list_hosts(const GENERAL_NAMES *names, char *to, size_t room)
{
    size_t at = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        char text[TLS_HOST_MAX + 1] = "";
        if (n->type == GEN_IPADD) {
            int len = ASN1_STRING_length(n->d.iPAddress);
            if (len == 4 || len == 16) {
                inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(n->d.iPAddress),
                          text, sizeof text);
            }
        } else if (n->type == GEN_DNS && ASN1_STRING_length(n->d.dNSName) <= TLS_HOST_MAX) {
            snprintf(text, sizeof text, "%.*s", ASN1_STRING_length(n->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(n->d.dNSName));
            if (!tls_host_is_good(text)) { /* of a foreign file */
                text[0] = '\0';
            }
        }
        if (text[0] != '\0' && at + strlen(text) + 1 < room) {
            at += (size_t)snprintf(to + at, room - at, "%s%s", at > 0 ? " " : "", text);
        }
    }
}

status_t tls_describe(const char *path, struct tls_description *ret_description, struct error *err)
{
    X509 *cert = NULL;
    struct tls_description d = {.begins_s = 0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    status_t st = tls_read_cert(path, &cert, err);
    if (st != ST_OK) {
        return st;
    }
    tls_identity(cert, d.name, d.role);
    d.begins_s = seconds_of(X509_get0_notBefore(cert));
    d.ends_s = seconds_of(X509_get0_notAfter(cert));
    d.is_ca = X509_check_ca(cert) == 1;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names != NULL) {
        list_hosts(names, d.hosts, sizeof d.hosts);
        GENERAL_NAMES_free(names);
    }
    if (X509_digest(cert, EVP_sha256(), digest, &len) == 1) {
        for (unsigned i = 0; i < len && i < 32; i++) {
            snprintf(d.sha256 + (size_t)2 * i, 3, "%02x", digest[i]);
        }
    }
    X509_free(cert);
    ERR_clear_error();
    *ret_description = d;
    return ST_OK;
}
