#include "peers.h"

#include "base/log.h"

static void log_peer_event(void *arg, const char *event, const char *node, const char *text)
{
    (void)arg;
    if (text[0] != '\0') {
        log_warn(event, "name", node, "why", text);
    } else {
        log_info(event, "name", node);
    }
}

status_t controller_peers_open(struct store *store, uint64_t lost_ns, struct peers **ret_peers,
                               struct error *err)
{
    const struct peers_options o = {
        .store = store, .lost_ms = lost_ns / 1000000, .event = log_peer_event};
    return peers_open(&o, ret_peers, err);
}
