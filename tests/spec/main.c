#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "cache.h"
#include "spec.h"

/* Runs the official test scripts of the folders named on the command line. Each script has its own
 * process, so a crash is that script's failure. Exit code 1 for any failure, 77 when there is no data. */

enum { EXIT_SKIPPED = 77, SCRIPT_SECONDS_MAX = 300, SCRIPTS_MAX = 1000 };

static const struct {
    const char *name;
    feature_set_t features; /* beside 2.0; anything else is an error in that folder */
} folders[] = {
    {"core", 0},
    {"threads", FEATURE_THREADS},
    {"relaxed-simd", FEATURE_RELAXED_SIMD},
    {"extended-const", FEATURE_EXTENDED_CONST},
    {"tail-call", FEATURE_TAIL_CALL},
    {"exception-handling", FEATURE_TAIL_CALL | FEATURE_EXCEPTIONS},
    {"exception-handling-legacy", FEATURE_TAIL_CALL | FEATURE_LEGACY_EXCEPTIONS},
    {"multi-memory", FEATURE_MULTI_MEMORY},
};
enum { FOLDER_COUNT = sizeof(folders) / sizeof(folders[0]) };

struct settings {
    const char *archive;
    const char *work;
    const char *only;  /* one script of a folder */
    const char *cache; /* "user": the user's cache folder; NULL: none */
    uint32_t jobs;
    struct spec_options opt;
    struct spec_counts total;
};

static const char usage[] =
    "usage: %s --archive FILE --work DIR [--cache DIR|user] [--jobs N] [--opt 0..3]\n"
    "          [--level NAME] [--only SCRIPT.json] [--wording] [--captured] FOLDER...|all\n";

/* What a script's process has left to say; shared with it. */
struct slot {
    char name[128];
    pid_t pid;
    struct spec_counts counts;
    bool done;
};

static int is_script(const struct dirent *d)
{
    size_t len = strlen(d->d_name);
    return len > 5 && len < sizeof(((struct slot *)0)->name) &&
           strcmp(d->d_name + len - 5, ".json") == 0;
}

static void start(struct slot *slot, const struct spec_options *opt)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0) {
        slot->pid = pid; /* by the parent alone: the slot is shared */
        return;
    }
    alarm(SCRIPT_SECONDS_MAX);
    setvbuf(stdout, NULL, _IOLBF, 0);
    spec_script_run(opt, slot->name, &slot->counts);
    slot->done = true;
    fflush(stdout);
    _exit(0);
}

static void reap(struct slot *slots, size_t count)
{
    int wstatus = 0;
    pid_t pid = wait(&wstatus);
    for (size_t k = 0; k < count; k++) {
        if (slots[k].pid != pid || slots[k].done)
            continue;
        if (WIFSIGNALED(wstatus))
            printf("%s: ended by signal %d (%s)\n", slots[k].name, WTERMSIG(wstatus),
                   strsignal(WTERMSIG(wstatus)));
        else
            printf("%s: ended early with %d\n", slots[k].name, WEXITSTATUS(wstatus));
        slots[k].counts.failed++;
        slots[k].done = true;
    }
}

static void add(struct spec_counts *sum, const struct spec_counts *c)
{
    sum->passed += c->passed;
    sum->failed += c->failed;
    sum->text += c->text;
    sum->not_run += c->not_run;
    sum->wording += c->wording;
    sum->outdated += c->outdated;
    sum->files += c->files;
}

static void print_counts(const char *name, const struct spec_counts *c)
{
    printf("%s: %u scripts, %u passed, %u failed", name, c->files, c->passed, c->failed);
    if (c->not_run > 0)
        printf(", %u need execution", c->not_run);
    if (c->outdated > 0)
        printf(", %u contradict WebAssembly 2.0", c->outdated);
    printf("; %u text format, no binary; %u refused in other words\n", c->text, c->wording);
}

static int run_all(struct slot *slots, size_t count, const struct settings *set)
{
    size_t running = 0;
    for (size_t next = 0; next < count || running > 0;) {
        if (next < count && running < set->jobs) {
            start(&slots[next], &set->opt);
            if (slots[next].pid < 0) {
                perror("fork");
                return -1;
            }
            next++;
            running++;
        } else {
            reap(slots, next);
            running--;
        }
    }
    return 0;
}

static int run_folder(size_t folder, const char *root, struct settings *set)
{
    struct dirent **names = NULL;
    struct spec_counts sum = {0};
    char *path = spec_format("%s/%s", root, folders[folder].name);
    int count = scandir(path, &names, is_script, alphasort);
    if (count <= 0 || count > SCRIPTS_MAX) {
        fprintf(stderr, "%s: no scripts\n", path);
        return 1;
    }
    size_t bytes = (size_t)count * sizeof(struct slot);
    struct slot *slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                              0);
    if (slots == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    size_t used = 0;
    for (int k = 0; k < count; k++) {
        if (!set->only || strcmp(set->only, names[k]->d_name) == 0)
            memcpy(slots[used++].name, names[k]->d_name, strlen(names[k]->d_name) + 1);
        free(names[k]);
    }
    free(names);
    set->opt.folder = folders[folder].name;
    set->opt.folder_path = path;
    set->opt.features = folders[folder].features;
    int rc = run_all(slots, used, set);
    for (size_t k = 0; k < used; k++)
        add(&sum, &slots[k].counts);
    if (used == 0 || sum.files != used) {
        printf("%s: %zu of %zu scripts were read\n", folders[folder].name, (size_t)sum.files, used);
        rc = -1;
    }
    uint32_t outdated = spec_outdated_count(folders[folder].name);
    if (!set->only && sum.outdated != outdated) {
        printf("%s: %u of %u commands that contradict WebAssembly 2.0 were met\n",
               folders[folder].name, sum.outdated, outdated);
        rc = -1;
    }
    add(&set->total, &sum);
    print_counts(folders[folder].name, &sum);
    munmap(slots, bytes);
    free(path);
    return rc != 0 || sum.failed > 0;
}

static bool parse_settings(int argc, char **argv, struct settings *ret_set)
{
    static const struct option options[] = {
        {"archive", required_argument, NULL, 'a'}, {"work", required_argument, NULL, 'w'},
        {"cache", required_argument, NULL, 'c'},   {"jobs", required_argument, NULL, 'j'},
        {"opt", required_argument, NULL, 'O'},     {"level", required_argument, NULL, 'l'},
        {"only", required_argument, NULL, 'o'},    {"wording", no_argument, NULL, 'W'},
        {"captured", no_argument, NULL, 'C'},      {0},
    };
    uint64_t number = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'a')
            ret_set->archive = optarg;
        else if (c == 'w')
            ret_set->work = optarg;
        else if (c == 'c')
            ret_set->cache = optarg;
        else if (c == 'o')
            ret_set->only = optarg;
        else if (c == 'W')
            ret_set->opt.wording = true;
        else if (c == 'C')
            ret_set->opt.captured = true;
        else if (c == 'j' && parse_u64(optarg, 64, &number) == ST_OK && number > 0)
            ret_set->jobs = (uint32_t)number;
        else if (c == 'O' && parse_u64(optarg, 3, &number) == ST_OK)
            ret_set->opt.opt_level = (uint32_t)number;
        else if (c == 'l')
            ret_set->opt.level = optarg;
        else
            return false;
    }
    return ret_set->archive && ret_set->work && optind < argc;
}

static char *user_cache(void)
{
    const char *own = getenv("CLOUDSKIN_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own && *own)
        return spec_format("%s/spec", own);
    if (xdg && *xdg)
        return spec_format("%s/cloudskin/spec", xdg);
    return home && *home ? spec_format("%s/.cache/cloudskin/spec", home) : NULL;
}

static status_t open_cache(struct settings *set, struct error *err)
{
    char *opened = NULL;
    char *base = strcmp(set->cache, "user") == 0 ? user_cache() : spec_format("%s", set->cache);
    if (!base)
        return ST_OK;
    status_t st = cache_open(base, &opened, err);
    set->opt.cache_path = opened;
    free(base);
    return st;
}

static int run_named(const char *name, const char *root, struct settings *set)
{
    bool known = false;
    int rc = 0;
    for (size_t k = 0; k < FOLDER_COUNT; k++) {
        if (strcmp(name, "all") != 0 && strcmp(name, folders[k].name) != 0)
            continue;
        known = true;
        rc |= run_folder(k, root, set);
    }
    if (!known)
        fprintf(stderr, "unknown folder %s\n", name);
    return known ? rc : 1;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct settings set = {.jobs = cpus > 0 ? (uint32_t)cpus : 1, .opt = {.opt_level = 1}};
    struct error err = {0};
    char *root = NULL;
    int rc = 0;
    if (!parse_settings(argc, argv, &set)) {
        fprintf(stderr, usage, argv[0]);
        return 64;
    }
    status_t st = spec_unpack(set.archive, set.work, &root, &err);
    if (st != ST_OK)
        fprintf(stderr, "the official test scripts were not run: %s\n", err.text);
    if (st == ST_NOTFOUND)
        return EXIT_SKIPPED;
    if (st != ST_OK)
        return 1;
    if (set.cache && open_cache(&set, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int a = optind; a < argc; a++)
        rc |= run_named(argv[a], root, &set);
    printf("%u passed, %u failed\n", set.total.passed, set.total.failed);
    free(root);
    free((void *)(uintptr_t)set.opt.cache_path);
    return rc;
}
