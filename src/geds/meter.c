#include "meter.h"

#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

static const uint64_t sync_bounds[] = {MS / 10,  MS / 4,   MS / 2,  1 * MS,    5 * MS / 2,
                                       5 * MS,   10 * MS,  25 * MS, 50 * MS,   100 * MS,
                                       250 * MS, 500 * MS, 1 * S,   5 * S / 2, 10 * S};
static const uint64_t change_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
enum {
    SYNC_BOUNDS = sizeof sync_bounds / sizeof sync_bounds[0],
    CHANGE_BOUNDS = sizeof change_bounds / sizeof change_bounds[0],
};

static const struct metrics_family changes = {
    .name = "cloudskin_store_commit_changes",
    .help = "Changes that one commit makes durable together.",
    .type = METRICS_HISTOGRAM,
    .bounds = change_bounds,
    .bound_count = CHANGE_BOUNDS};
static const struct metrics_family commit_seconds = {
    .name = "cloudskin_store_commit_duration_seconds",
    .help = "Time of a commit of the store's database, its syncs included.",
    .type = METRICS_HISTOGRAM,
    .unit = METRICS_NS,
    .bounds = sync_bounds,
    .bound_count = SYNC_BOUNDS};
static const struct metrics_family sync_seconds = {
    .name = "cloudskin_store_sync_duration_seconds",
    .help = "Time of the sync of a file with bytes of an object.",
    .type = METRICS_HISTOGRAM,
    .unit = METRICS_NS,
    .bounds = sync_bounds,
    .bound_count = SYNC_BOUNDS};
static const struct metrics_family failed_syncs = {.name = "cloudskin_store_failed_syncs_total",
                                                   .help = "Syncs that the disk refused.",
                                                   .type = METRICS_COUNTER};
static const struct metrics_family failed_commits = {
    .name = "cloudskin_store_failed_changes_total",
    .help = "Changes that could not be committed: no space, or an error of the disk.",
    .type = METRICS_COUNTER};
static const struct metrics_family written_bytes = {
    .name = "cloudskin_store_written_bytes_total",
    .help = "Bytes of objects that were written into files; smaller objects are in the database.",
    .type = METRICS_COUNTER};

status_t meter_init(struct meter *m, struct metrics *metrics, struct error *err)
{
    const struct {
        const struct metrics_family *family;
        struct metrics_series **series;
    } all[] = {{&changes, &m->changes},
               {&commit_seconds, &m->commit_seconds},
               {&sync_seconds, &m->sync_seconds},
               {&failed_syncs, &m->failed_syncs},
               {&failed_commits, &m->failed_commits},
               {&written_bytes, &m->written_bytes}};
    status_t st = ST_OK;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && st == ST_OK; i++) {
        st = metrics_add_one(metrics, all[i].family, all[i].series, err);
    }
    return st;
}
