#include <string.h>

#include "impl.h"

/* How many of the places for connections of TCP each client has. */

static void who_is(const struct rpc_peer *peer, uint8_t ret_who[SHA256_BYTES])
{
    const char *text = peer->token != NULL ? peer->token : peer->name;
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, peer->token != NULL ? "t" : "c", 1); /* one may read as the other */
    sha256_update(&h, text, strlen(text));
    sha256_final(&h, ret_who);
}

/* That of this client, or a free one. Caller holds m. There is one: each connection that was let in has at most one. */
static struct seat *find(struct rpc_server *s, const uint8_t who[SHA256_BYTES])
{
    struct seat *empty = NULL;
    for (size_t i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        struct seat *at = &s->seats[i];
        if (at->count > 0 && memcmp(at->who, who, SHA256_BYTES) == 0) {
            return at;
        }
        empty = at->count == 0 && empty == NULL ? at : empty;
    }
    return empty;
}

bool seat_take(struct rpc_server *s, const struct rpc_peer *peer, struct seat **ret_seat)
{
    uint8_t who[SHA256_BYTES];
    who_is(peer, who);
    pthread_mutex_lock(&s->m);
    struct seat *at = find(s, who);
    bool taken = at != NULL && at->count < RPC_CONNECTIONS_OF_ONE_MAX;
    if (taken) {
        memcpy(at->who, who, sizeof who);
        at->count++;
        *ret_seat = at;
    }
    pthread_mutex_unlock(&s->m);
    return taken;
}

void seat_give_back(struct rpc_server *s, struct seat *seat)
{
    if (seat != NULL) {
        pthread_mutex_lock(&s->m);
        seat->count--;
        pthread_mutex_unlock(&s->m);
    }
}
