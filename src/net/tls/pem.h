#ifndef NET_TLS_PEM_H
#define NET_TLS_PEM_H

#include <openssl/x509v3.h>

#include "net/tls/ca.h"

enum { TLS_FILE_BYTES_MAX = 1 << 20 };

/* The name of a URI in a certificate that says its role is this, and the role. */
#define TLS_ROLE_URI "cloudskin:role:"

/* The reason that OpenSSL noted first, which is taken out; fmt says what failed. */
status_t tls_error(struct error *err, status_t st, const char *what);

/* ret: the caller's to free. ST_FORMAT: no such thing is in the file; else as file_read. */
CHECKED status_t tls_read_cert(const char *path, X509 **ret_cert, struct error *err);
/* ST_PERM too: others can read the file. */
CHECKED status_t tls_read_key(const char *path, EVP_PKEY **ret_key, struct error *err);

/* Its common name and role; "" where it has none, or one that is none of ours. */
void tls_identity(X509 *cert, char ret_name[TLS_NAME_MAX + 1], char ret_role[TLS_ROLE_MAX + 1]);

#endif
