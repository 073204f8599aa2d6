#include "metrics.h"

#include <stdlib.h>

#include "geds/crypt.h"
#include "sys/clock.h"

#define KEYS_COUNTED_NS 60000000000ULL

/* Names and meanings are in docs/ops/metrics.md, which a test compares with what is served. */

static const char *const no_labels[1];

/* One value without labels. */
static void put(struct metrics_page *p, const char *name, enum metrics_type type, uint64_t value,
                const char *help)
{
    const struct metrics_family f = {.name = name, .help = help, .type = type};
    metrics_page_family(p, &f);
    metrics_page_value(p, no_labels, value);
}

static void gauge(struct metrics_page *p, const char *name, uint64_t value, const char *help)
{
    put(p, name, METRICS_GAUGE, value, help);
}

static void counter(struct metrics_page *p, const char *name, uint64_t value, const char *help)
{
    put(p, name, METRICS_COUNTER, value, help);
}

/* Values of one label. */
struct labelled {
    const char *label;
    uint64_t value;
};
static void put_each(struct metrics_page *p, const struct metrics_family *f,
                     const struct labelled *values, size_t count)
{
    metrics_page_family(p, f);
    for (size_t i = 0; i < count; i++) {
        metrics_page_value(p, &values[i].label, values[i].value);
    }
}

static void put_state(struct metrics_page *p, const struct store_state *s)
{
    gauge(p, "cloudskin_store_broken", s->broken,
          "1: after a failed sync the store takes no changes until it is started again.");
    gauge(p, "cloudskin_store_full", s->full, "1: changes that need space are refused.");
    gauge(p, "cloudskin_store_disk_bytes", s->disk_bytes,
          "Size of the file system that the store is on.");
    gauge(p, "cloudskin_store_disk_free_bytes", s->free_bytes,
          "Bytes of that file system that are free for the store.");
    gauge(p, "cloudskin_store_open_objects", s->open_objects,
          "Objects that clients have open, of both protocols.");
}

static void put_counters(struct metrics_page *p, const struct store_counters *n)
{
    gauge(p, "cloudskin_store_buckets", n->buckets, "Buckets.");
    gauge(p, "cloudskin_store_objects", n->objects, "Objects that names lead to.");
    gauge(p, "cloudskin_store_object_bytes", n->bytes,
          "Bytes of these; what copies share counts for each.");
    gauge(p, "cloudskin_store_versions", n->versions,
          "Versions that are not current, and delete markers.");
    gauge(p, "cloudskin_store_version_bytes", n->version_bytes, "Bytes of these versions.");
    gauge(p, "cloudskin_store_uploads", n->uploads, "Multipart uploads in progress.");
    counter(p, "cloudskin_store_commits_total", n->batches, "Commits of the store's database.");
    counter(p, "cloudskin_store_changes_total", n->changes, "Changes in these commits.");
}

/* Each extent is at one place, so that the sum is all of them. */
static void put_places(struct metrics_page *p, const struct store_places *n)
{
    static const struct metrics_family extents = {
        .name = "cloudskin_tier_extents",
        .help =
            "Extents (an object above 16 KiB has one for each GiB) by where their bytes are: on "
            "local disk only, there and in the tier, or in the tier only.",
        .type = METRICS_GAUGE,
        .labels = {"place"}};
    static const struct metrics_family bytes = {.name = "cloudskin_tier_bytes",
                                                .help = "Bytes of these extents.",
                                                .type = METRICS_GAUGE,
                                                .labels = {"place"}};
    const struct labelled counts[] = {{"local", n->local_count - n->sent_count},
                                      {"both", n->sent_count},
                                      {"away", n->away_count}};
    const struct labelled sizes[] = {{"local", n->local_bytes - n->sent_bytes},
                                     {"both", n->sent_bytes},
                                     {"away", n->away_bytes}};
    put_each(p, &extents, counts, 3);
    put_each(p, &bytes, sizes, 3);
    gauge(p, "cloudskin_tier_pinned_extents", n->kept_count,
          "Extents that stay on local disk: pinned, or by the rule of their bucket.");
    gauge(p, "cloudskin_tier_pinned_bytes", n->kept_bytes, "Bytes of these.");
    gauge(p, "cloudskin_tier_uncopied_extents", n->eager_count,
          "Extents without a copy that are to have one at once, by the rule of their bucket.");
    gauge(p, "cloudskin_tier_uncopied_bytes", n->eager_bytes, "Bytes of these.");
    gauge(p, "cloudskin_tier_undeleted_extents", n->gone_count,
          "Copies in the tier that nothing needs and that are still to be deleted.");
    gauge(p, "cloudskin_tier_undeleted_bytes", n->gone_bytes, "Bytes of these.");
}

static void put_reads(struct metrics_page *p, const struct store_places *n)
{
    static const struct metrics_family reads = {
        .name = "cloudskin_tier_reads_total",
        .help = "Reads of pieces of extents, with a tier, by where the bytes came from.",
        .type = METRICS_COUNTER,
        .labels = {"source"}};
    const struct labelled sources[] = {{"local", n->local_reads},
                                       {"cache", n->cache_hits},
                                       {"tier", n->remote_reads - n->cache_hits}};
    put_each(p, &reads, sources, 3);
    counter(p, "cloudskin_tier_fetched_bytes_total", n->fetched_bytes,
            "Bytes that came from the tier for readers.");
    counter(p, "cloudskin_tier_recalled_extents_total", n->recalled_count,
            "Extents that were brought back to local disk.");
    counter(p, "cloudskin_tier_recalled_bytes_total", n->recalled_bytes, "Bytes of these.");
    counter(p, "cloudskin_tier_damaged_extents_total", n->damaged,
            "Local extents that did not match their checksums and have a copy in the tier.");
    gauge(p, "cloudskin_tier_cache_bytes", n->cache_bytes,
          "Local disk that holds pieces which were read from the tier.");
}

static void put_tier(struct metrics_page *p, const struct tier_status *n)
{
    static const struct metrics_family since = {
        .name = "cloudskin_tier_away_since_seconds",
        .help = "Since when the tier does not answer, since the epoch; 0: it does.",
        .type = METRICS_GAUGE,
        .unit = METRICS_NS};
    gauge(p, "cloudskin_tier_cache_limit_bytes", n->cache_max_bytes,
          "Local disk that the cache may take.");
    gauge(p, "cloudskin_tier_high_bytes", n->high_bytes,
          "Bytes of local files above which they are moved to the tier.");
    gauge(p, "cloudskin_tier_low_bytes", n->low_bytes, "Bytes of local files at which that ends.");
    gauge(p, "cloudskin_tier_backlog_bytes", n->backlog_bytes,
          "Bytes that are to be copied or moved to the tier now.");
    counter(p, "cloudskin_tier_spilled_extents_total", n->sent_count,
            "Extents that were copied to the tier.");
    counter(p, "cloudskin_tier_spilled_bytes_total", n->sent_bytes, "Bytes of these.");
    counter(p, "cloudskin_tier_dropped_extents_total", n->dropped_count,
            "Local files that were removed since a copy is in the tier.");
    counter(p, "cloudskin_tier_dropped_bytes_total", n->dropped_bytes, "Bytes of these.");
    counter(p, "cloudskin_tier_deleted_extents_total", n->deleted_count,
            "Copies that were deleted in the tier.");
    counter(p, "cloudskin_tier_repaired_extents_total", n->repaired_count,
            "Damaged local extents that were brought back whole.");
    counter(p, "cloudskin_tier_errors_total", n->errors, "Calls of the tier that failed.");
    gauge(p, "cloudskin_tier_lost_extents", n->bad_count,
          "Damaged local extents without a copy: cloudskin fsck names them.");
    gauge(p, "cloudskin_tier_away", n->away_since_ns != 0, "1: the tier does not answer.");
    metrics_page_family(p, &since);
    metrics_page_value(p, no_labels, n->away_since_ns);
}

static void collect_store(struct store *s, struct metrics_page *p, bool *ret_good)
{
    struct error err;
    struct store_state state;
    struct store_counters n = {0};
    *ret_good = store_state(s, &state, &err) == ST_OK;
    if (*ret_good) {
        put_state(p, &state);
    }
    if (store_counters(s, &n, &err) == ST_OK) {
        put_counters(p, &n);
    } else {
        *ret_good = false;
    }
}

static void collect_tier(const struct metrics_sources *from, struct metrics_page *p, bool *ret_good)
{
    struct error err;
    struct tier_status n = {0};
    status_t st = from->tier != NULL ? tier_status(from->tier, &n, &err)
                                     : store_places(from->store, &n.places, &err);
    gauge(p, "cloudskin_tier_configured", from->tier != NULL, "1: the store has a tier.");
    *ret_good = st == ST_OK;
    if (st == ST_OK) {
        put_places(p, &n.places);
        put_reads(p, &n.places);
        put_tier(p, &n);
    }
}

static void put_scrub(struct metrics_page *p, struct scrub *scrub)
{
    static const struct metrics_family ended = {
        .name = "cloudskin_scrub_ended_seconds",
        .help = "When the last pass over all local files ended, since the epoch; 0: none did.",
        .type = METRICS_GAUGE,
        .unit = METRICS_NS};
    struct scrub_status n = {0};
    if (scrub != NULL) {
        scrub_status(scrub, &n);
    }
    counter(p, "cloudskin_scrub_extents_total", n.extents,
            "Local extents that were compared with their checksums in the background.");
    counter(p, "cloudskin_scrub_bytes_total", n.bytes, "Bytes of these.");
    counter(p, "cloudskin_scrub_damaged_extents_total", n.damaged,
            "Those of them that did not match, or whose file was missing.");
    metrics_page_family(p, &ended);
    metrics_page_value(p, no_labels, n.ended_ns);
}

/* To count what needs which key all of their rows are read: now and then only. One thread makes pages at a time or
 * another, and who reads an older number does no harm. */
static void count_missing_keys(struct metrics_sources *from, uint64_t now)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    uint64_t missing = 0, extents = 0;
    if (store_keys(from->store, &keys, &count, NULL) != ST_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        missing += !keys[i].is_there;
        extents += keys[i].is_there ? 0 : keys[i].extents;
    }
    free(keys);
    atomic_store(&from->missing_keys, missing);
    atomic_store(&from->locked_extents, extents);
    atomic_store(&from->keys_counted_ns, now);
}

static void put_keys(struct metrics_sources *from, struct metrics_page *p)
{
    uint64_t now = clock_monotonic_ns(), counted = atomic_load(&from->keys_counted_ns);
    if (counted == 0 || now - counted >= KEYS_COUNTED_NS) {
        count_missing_keys(from, now);
    }
    gauge(p, "cloudskin_keys_missing", atomic_load(&from->missing_keys),
          "Master keys that encrypted extents need and the key file does not have; counted once a "
          "minute.");
    gauge(p, "cloudskin_keys_locked_extents", atomic_load(&from->locked_extents),
          "Extents that cannot be read for that reason.");
}

static void put_memory(struct metrics_page *p, struct memory *memory)
{
    static const struct metrics_family reads = {
        .name = "cloudskin_memory_reads_total",
        .help = "Reads of pieces of local files, where some are kept in memory, by whether these "
                "were.",
        .type = METRICS_COUNTER,
        .labels = {"source"}};
    struct memory_status n = {0};
    if (memory != NULL) {
        memory_status(memory, &n);
    }
    const struct labelled sources[] = {{"memory", n.memory_reads}, {"disk", n.disk_reads}};
    gauge(p, "cloudskin_memory_budget_bytes", n.budget_bytes,
          "Bytes of files that may be kept in memory.");
    gauge(p, "cloudskin_memory_limit_bytes", n.limit_bytes,
          "Bytes of these that the system lets the store lock, as far as that is known.");
    gauge(p, "cloudskin_memory_extents", n.extents, "Extents that are kept in memory.");
    gauge(p, "cloudskin_memory_bytes", n.bytes, "Memory that these take.");
    gauge(p, "cloudskin_memory_waiting_extents", n.waiting, "Extents that are to get there.");
    counter(p, "cloudskin_memory_promoted_extents_total", n.promoted, "Extents that got there.");
    counter(p, "cloudskin_memory_promoted_bytes_total", n.promoted_bytes, "Bytes of these.");
    counter(p, "cloudskin_memory_evicted_extents_total", n.evicted,
            "Extents that left for others which were used later.");
    counter(p, "cloudskin_memory_evicted_bytes_total", n.evicted_bytes, "Bytes of these.");
    counter(p, "cloudskin_memory_left_extents_total", n.left,
            "Extents that left since they were removed, replaced, damaged or not wanted any more.");
    put_each(p, &reads, sources, 2);
}

static void put_nodes(struct metrics_page *p, const struct peers_status *n)
{
    static const struct metrics_family nodes = {
        .name = "cloudskin_peer_nodes",
        .help =
            "Nodes that offer disk for copies, by state: up, away, lost (away for long), leaving.",
        .type = METRICS_GAUGE,
        .labels = {"state"}};
    struct labelled states[] = {{"up", 0}, {"away", 0}, {"lost", 0}, {"leaving", 0}};
    uint64_t copies = 0, bytes = 0, left = 0, bad = 0;
    for (size_t i = 0; i < n->count; i++) {
        const struct peer_status *node = &n->nodes[i];
        states[node->state].value++;
        copies += node->report.copies;
        bytes += node->report.bytes;
        left += node->state == PEER_UP ? node->report.free_bytes : 0;
        bad += node->report.bad;
    }
    put_each(p, &nodes, states, sizeof states / sizeof states[0]);
    gauge(p, "cloudskin_peer_copies", copies, "Copies of extents on nodes, as these said last.");
    gauge(p, "cloudskin_peer_bytes", bytes, "Bytes that these take.");
    gauge(p, "cloudskin_peer_free_bytes", left, "Bytes that nodes which are up could take more.");
    gauge(p, "cloudskin_peer_bad_reads", bad,
          "Reads of copies that found a block which does not match, since nodes were started.");
}

static void put_peers(struct metrics_page *p, const struct peers_status *n)
{
    put_nodes(p, n);
    gauge(p, "cloudskin_peer_lacking_extents", n->lacking_count,
          "Extents with fewer copies on nodes than are wanted.");
    gauge(p, "cloudskin_peer_lacking_bytes", n->lacking_bytes, "Bytes of these.");
    counter(p, "cloudskin_peer_copied_extents_total", n->copied_count,
            "Copies that were made on nodes.");
    counter(p, "cloudskin_peer_copied_bytes_total", n->copied_bytes, "Bytes of these.");
    counter(p, "cloudskin_peer_read_bytes_total", n->read_bytes,
            "Bytes that were read from copies on nodes.");
    counter(p, "cloudskin_peer_repaired_extents_total", n->repaired_count,
            "Local extents that were written anew from copies on nodes.");
    counter(p, "cloudskin_peer_removed_copies_total", n->removed_count,
            "Copies on nodes that were removed.");
    counter(p, "cloudskin_peer_late_writes_total", n->late_count,
            "Writes that were answered before their copies were made.");
    counter(p, "cloudskin_peer_errors_total", n->errors, "Orders that nodes did not carry out.");
}

static void collect_peers(const struct metrics_sources *from, struct metrics_page *p,
                          bool *ret_good)
{
    struct peers_status *n = malloc(sizeof *n);
    *ret_good = n != NULL && from->peers != NULL && peers_status(from->peers, n, NULL) == ST_OK;
    if (*ret_good) {
        put_peers(p, n);
    }
    free(n);
}

static void collect_connections(const struct metrics_sources *from, struct metrics_page *p)
{
    struct http_server_counters s3;
    struct rpc_server_counters rpc = {0};
    http_server_counters(from->s3, &s3);
    struct rpc_server *server = atomic_load(&from->rpc);
    if (server != NULL) {
        rpc_server_counters(server, &rpc);
    }
    gauge(p, "cloudskin_s3_connections", s3.connections, "Connections of S3 clients.");
    counter(p, "cloudskin_s3_accepted_connections_total", s3.accepted,
            "Connections of S3 clients that were accepted.");
    gauge(p, "cloudskin_rpc_connections", rpc.connections,
          "Connections of the store's own protocol.");
    gauge(p, "cloudskin_rpc_requests_admitted", rpc.admitted,
          "Requests of the store's own protocol that wait, are worked at, or whose answer is being "
          "sent.");
}

static void put_requests(struct metrics_page *p, const struct etcd_status *s)
{
    static const struct metrics_family requests = {
        .name = "cloudskin_etcd_requests_total",
        .help = "Requests to etcd that are over, by what they were for: to follow the log and to "
                "come to lead, to append entries, to keep the lease.",
        .type = METRICS_COUNTER,
        .labels = {"purpose"}};
    static const struct metrics_family seconds = {.name = "cloudskin_etcd_request_seconds_total",
                                                  .help = "Time that these took.",
                                                  .type = METRICS_COUNTER,
                                                  .unit = METRICS_NS,
                                                  .labels = {"purpose"}};
    static const struct metrics_family errors = {
        .name = "cloudskin_etcd_request_errors_total",
        .help = "Requests to etcd, and watches of the log, that etcd refused or did not answer.",
        .type = METRICS_COUNTER,
        .labels = {"purpose"}};
    const struct labelled counts[] = {
        {"follow", s->follow.requests}, {"append", s->append.requests}, {"keep", s->keep.requests}};
    const struct labelled times[] = {
        {"follow", s->follow.ns}, {"append", s->append.ns}, {"keep", s->keep.ns}};
    const struct labelled failures[] = {
        {"follow", s->follow.errors}, {"append", s->append.errors}, {"keep", s->keep.errors}};
    put_each(p, &requests, counts, 3);
    put_each(p, &seconds, times, 3);
    put_each(p, &errors, failures, 3);
}

static void put_share(struct metrics_page *p, struct share *share)
{
    static const struct metrics_family left = {
        .name = "cloudskin_etcd_lease_left_seconds",
        .help = "For how long this controller certainly leads; 0: it does not.",
        .type = METRICS_GAUGE,
        .unit = METRICS_NS};
    struct etcd_status s = {0};
    if (share != NULL) {
        controller_share_status(share, &s);
    }
    gauge(p, "cloudskin_etcd_configured", share != NULL,
          "1: several controllers share the store through etcd.");
    gauge(p, "cloudskin_etcd_leads", s.leads, "1: this controller leads; 0: it stands by.");
    metrics_page_family(p, &left);
    metrics_page_value(p, no_labels, s.lease_left_ns);
    counter(p, "cloudskin_etcd_elections_total", s.elections,
            "Times that this controller came to lead.");
    counter(p, "cloudskin_etcd_losses_total", s.losses,
            "Times that it led no more, or had to open its store again.");
    counter(p, "cloudskin_etcd_leader_changes_total", s.leader_changes,
            "Times that another controller than before led, as this one saw it.");
    gauge(p, "cloudskin_etcd_term", s.term, "Number of the term in which its last entry was made.");
    gauge(p, "cloudskin_etcd_applied_entry", s.applied,
          "Number of the last entry of the log that its database has.");
    gauge(p, "cloudskin_etcd_head_entry", s.head,
          "Number of the last entry of the log, when it looked last.");
    gauge(p, "cloudskin_etcd_lag_entries", s.head > s.applied ? s.head - s.applied : 0,
          "Entries that its database does not have yet.");
    put_requests(p, &s);
}

static void put_info(struct metrics_page *p)
{
    static const struct metrics_family info = {.name = "cloudskin_build_info",
                                               .help = "1; its label is the version.",
                                               .type = METRICS_GAUGE,
                                               .labels = {"version"}};
    const struct labelled version = {CLOUDSKIN_VERSION, 1};
    put_each(p, &info, &version, 1);
}

static void collect_standing_by(void *arg, struct metrics_page *p)
{
    put_info(p);
    put_share(p, arg);
}

status_t controller_metrics_add_standing_by(struct metrics *m, struct share *share,
                                            struct error *err)
{
    status_t st = metrics_add_process(m, err);
    return st == ST_OK ? metrics_add_collector(m, collect_standing_by, share, err) : st;
}

static void collect(void *arg, struct metrics_page *p)
{
    static const struct metrics_family collected = {
        .name = "cloudskin_metrics_collected",
        .help = "0: these metrics could not be read, and are missing in part.",
        .type = METRICS_GAUGE,
        .labels = {"source"}};
    struct metrics_sources *from = arg;
    bool store = false, tier = false, peers = false;
    put_info(p);
    collect_store(from->store, p, &store);
    collect_tier(from, p, &tier);
    collect_peers(from, p, &peers);
    put_scrub(p, from->scrub);
    put_keys(from, p);
    put_memory(p, from->memory);
    collect_connections(from, p);
    put_share(p, from->share);
    const struct labelled sources[] = {{"store", store}, {"tier", tier}, {"peers", peers}};
    put_each(p, &collected, sources, 3);
}

status_t controller_metrics_add(struct metrics *m, struct metrics_sources *sources,
                                struct error *err)
{
    return metrics_add_collector(m, collect, sources, err);
}

bool controller_healthy(void *arg, struct error *ret_why)
{
    const struct metrics_sources *from = arg;
    struct store_state s;
    if (store_state(from->store, &s, ret_why) != ST_OK) {
        return false;
    }
    if (s.broken) {
        error_set(ret_why, ST_IO, ERROR_NO_OFFSET,
                  "a sync of the disk failed: no changes are taken until a new start");
    } else if (s.full) {
        error_set(ret_why, ST_LIMIT, ERROR_NO_OFFSET,
                  "the disk is full: %llu MiB are free, writes are refused",
                  (unsigned long long)(s.free_bytes >> 20));
    }
    bool leads = true;
    if (from->share != NULL && !s.broken && !s.full) {
        struct etcd_status share;
        controller_share_status(from->share, &share);
        leads = share.leads;
    }
    if (!leads) {
        error_set(ret_why, ST_MOVED, ERROR_NO_OFFSET,
                  "it leads no more: its lease in etcd is over");
    }
    return leads && !s.broken && !s.full;
}
