#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "impl.h"
#include "sys/clock.h"

/* process_*: the names, units and meanings are those of Prometheus' own clients. */

static const struct metrics_family cpu = {.name = "process_cpu_seconds_total",
                                          .help = "CPU time of the process, user and system.",
                                          .type = METRICS_COUNTER,
                                          .unit = METRICS_NS};
static const struct metrics_family started = {.name = "process_start_time_seconds",
                                              .help = "When the process started, since the epoch.",
                                              .type = METRICS_GAUGE,
                                              .unit = METRICS_NS};
static const struct metrics_family resident = {.name = "process_resident_memory_bytes",
                                               .help = "Memory of the process that is in RAM.",
                                               .type = METRICS_GAUGE};
static const struct metrics_family virtual_memory = {.name = "process_virtual_memory_bytes",
                                                     .help = "Address space of the process.",
                                                     .type = METRICS_GAUGE};
static const struct metrics_family open_fds = {
    .name = "process_open_fds", .help = "Open file descriptors.", .type = METRICS_GAUGE};
static const struct metrics_family max_fds = {
    .name = "process_max_fds", .help = "Limit of open file descriptors.", .type = METRICS_GAUGE};

static void put(struct metrics_page *p, const struct metrics_family *f, uint64_t value)
{
    metrics_page_family(p, f);
    metrics_page_value(p, NULL, value);
}

static void put_memory(struct metrics_page *p)
{
    unsigned long long pages, in_ram;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return;
    }
    if (fscanf(file, "%llu %llu", &pages, &in_ram) == 2) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        put(p, &resident, in_ram * page);
        put(p, &virtual_memory, pages * page);
    }
    fclose(file);
}

static void put_descriptors(struct metrics_page *p)
{
    struct rlimit limit;
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir != NULL) {
        for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
            count += e->d_name[0] != '.';
        }
        closedir(dir);
        put(p, &open_fds, count - 1); /* but for the folder's own */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        put(p, &max_fds, limit.rlim_cur);
    }
}

static void collect(void *arg, struct metrics_page *p)
{
    const struct metrics *m = arg;
    put(p, &cpu, clock_process_cpu_ns());
    put(p, &started, m->started_ns);
    put_memory(p);
    put_descriptors(p);
}

status_t metrics_add_process(struct metrics *m, struct error *err)
{
    return metrics_add_collector(m, collect, m, err);
}
