#ifndef NET_TLS_CA_H
#define NET_TLS_CA_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* A certificate authority in a folder, and what it issues (docs/internals/net-tls.md): ca.crt, ca.key, and for each
 * NAME NAME.crt and NAME.key. Keys are EC P-256 and have mode 0600. Any thread; processes wait for each other. */

enum {
    TLS_NAME_MAX = 64,   /* characters of a certificate's name */
    TLS_ROLE_MAX = 15,   /* of its role */
    TLS_HOSTS_MAX = 32,  /* in one certificate */
    TLS_HOST_MAX = 253,  /* characters of one */
    TLS_DAYS = 90,       /* that a certificate is valid, unless told otherwise */
    TLS_DAYS_MAX = 3650, /* of these; a CA is valid for so long */
    TLS_WARN_DAYS = 14,  /* before its end is told */
};

/* Make ca.crt and ca.key, and the folder (0700). ST_EXIST: one of them is there. ST_INVAL: name. ST_PERM, ST_IO. */
CHECKED status_t tls_ca_init(const char *folder, const char *name, struct error *err);

struct tls_issue {
    const char *name;
    const char *role;         /* NULL: it says who somebody is, not what he may */
    const char *const *hosts; /* DNS names and IP addresses; with one it may be a server's */
    size_t host_count;
    unsigned days;  /* 0: TLS_DAYS; never behind the CA's own end */
    const char *to; /* folder of NAME.crt, NAME.key and a copy of ca.crt; NULL: the CA's */
};
/* ST_EXIST: a file is there already, or `to` has another CA. ST_NOTFOUND: there is no CA. ST_INVAL: a name, host or
 * limit. ST_PERM: others can read ca.key. Nothing is left behind by a failure but the folder. */
CHECKED status_t tls_ca_issue(const char *folder, const struct tls_issue *what, struct error *err);

/* Issue NAME.crt in folder `in` (NULL: the CA's) anew for the same key, role and hosts; it is replaced at once.
 * ST_INVALID: it is of another CA. */
CHECKED status_t tls_ca_renew(const char *folder, const char *name, const char *in, unsigned days,
                              struct error *err);

struct tls_description {
    char name[TLS_NAME_MAX + 1];
    char role[TLS_ROLE_MAX + 1];                    /* "": none */
    char hosts[TLS_HOSTS_MAX * (TLS_HOST_MAX + 1)]; /* with blanks in between; as many as fit */
    char sha256[65];                                /* of the certificate, in hexadecimal */
    int64_t begins_s, ends_s;                       /* since the epoch */
    bool is_ca;
};
/* The first certificate of a PEM file. ST_FORMAT: there is none. */
CHECKED status_t tls_describe(const char *path, struct tls_description *ret_description,
                              struct error *err);

/* May this be the name of a certificate: letters, digits, `.`, `_`, `-`, the first two of which begin it? */
bool tls_name_is_good(const char *name);
/* Is it a name or an address of a host, as certificates have them? */
bool tls_host_is_good(const char *host);

#endif
