#ifndef BIN_CONTROLLER_SHARE_H
#define BIN_CONTROLLER_SHARE_H

#include <signal.h>

#include "geds/etcd/etcd.h"
#include "remote.h"

/* A store that several controllers share through etcd: this one stands by, or leads. */

/* NULL: not given. */
struct share_given {
    const char *servers; /* of etcd; "none": a store that was shared becomes one of its own */
    const char *name, *ca_file, *cert, *key;
    const char *advertise; /* where clients reach this controller */
};

/* What it listens at, whether it leads or not. */
struct share_ways {
    int socket_fd;      /* -1: none */
    const char *socket; /* its path */
    struct remote_running *remote;
};

struct share;
/* Options against each other: ST_INVAL. *ret_share NULL: the store is not shared. */
CHECKED status_t controller_share_open(const struct share_given *given, const char *state,
                                       bool no_sync, const struct share_ways *ways,
                                       struct share **ret_share, struct error *err);
/* Gives the lead to another one; the store is closed. Takes NULL. */
void controller_share_close(struct share *s);

/* Tell clients who leads, and have the database follow, until this controller leads: then the store can be opened.
 * signals: what ends the process, SIGUSR1, and maybe SIGHUP. greet(arg, TEXT): once, when it is known that another one
 * leads, or that nobody knows; NULL: nobody wants that. ST_STOPPED: *ret_signal came. Else as etcd_follow. */
CHECKED status_t controller_share_follow(struct share *s, const sigset_t *signals,
                                         void (*greet)(void *arg, const char *text), void *arg,
                                         int *ret_signal, struct error *err);
/* For the store's options. SIGUSR1 comes when it leads no more. */
const struct store_log *controller_share_log(struct share *s);
bool controller_share_lost(struct share *s);
/* Any thread. */
void controller_share_status(struct share *s, struct etcd_status *ret_status);
/* For who asks whether it takes changes, while it stands by: no. arg: struct share. ret_why: who leads. */
bool controller_share_healthy(void *arg, struct error *ret_why);

#endif
