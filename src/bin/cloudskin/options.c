#include "options.h"

#include <getopt.h>
#include <string.h>

#include "base/parse.h"
#include "cell/wasi/undo.h"
#include "controlpath/control.h"
#include "gedsfile/place.h"
#include "listen.h"

enum {
    OPEN_FILES_DEFAULT = 1024,
    OPEN_FILES_MAX = 1 << 20,
    STDIO_COUNT = 3,
    THREADS_MAX = 1 << 16,
    STACK_BYTES_MIN = 1 << 16,
    MEMORY_BYTES_MIN = WASM_PAGE_BYTES,
};
#define SIZE_BYTES_MAX ((uint64_t)1 << 62)
#define STACK_BYTES_MAX ((uint64_t)64 << 30)

enum option_id {
    O_DIR = 256,
    O_CWD,
    O_ENV,
    O_LISTEN,
    O_INVOKE,
    O_CPU,
    O_NAN,
    O_MEMORY,
    O_STACK,
    O_THREADS,
    O_OPEN_FILES,
    O_CPU_SECONDS,
    O_OUTPUT_BYTES,
    O_TIMEOUT,
    O_NAME,
    O_MOVABLE,
    O_MODULE,
    O_STALE_FILES,
    O_OUTPUT,
    O_AT,
    O_HELP,
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, O_DIR},
    {"cwd", required_argument, NULL, O_CWD},
    {"env", required_argument, NULL, O_ENV},
    {"listen", required_argument, NULL, O_LISTEN},
    {"invoke", required_argument, NULL, O_INVOKE},
    {"cpu", required_argument, NULL, O_CPU},
    {"nan", required_argument, NULL, O_NAN},
    {"memory", required_argument, NULL, O_MEMORY},
    {"stack", required_argument, NULL, O_STACK},
    {"threads", required_argument, NULL, O_THREADS},
    {"open-files", required_argument, NULL, O_OPEN_FILES},
    {"cpu-seconds", required_argument, NULL, O_CPU_SECONDS},
    {"output-bytes", required_argument, NULL, O_OUTPUT_BYTES},
    {"timeout", required_argument, NULL, O_TIMEOUT},
    {"name", required_argument, NULL, O_NAME},
    {"movable", no_argument, NULL, O_MOVABLE},
    {"output", required_argument, NULL, O_OUTPUT},
    {"help", no_argument, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

/* What a snapshot says already (arguments, environment, function, NaN mode) is no option. */
static const struct option thaw_options[] = {
    {"dir", required_argument, NULL, O_DIR},
    {"listen", required_argument, NULL, O_LISTEN},
    {"cpu", required_argument, NULL, O_CPU},
    {"memory", required_argument, NULL, O_MEMORY},
    {"stack", required_argument, NULL, O_STACK},
    {"threads", required_argument, NULL, O_THREADS},
    {"open-files", required_argument, NULL, O_OPEN_FILES},
    {"cpu-seconds", required_argument, NULL, O_CPU_SECONDS},
    {"output-bytes", required_argument, NULL, O_OUTPUT_BYTES},
    {"timeout", required_argument, NULL, O_TIMEOUT},
    {"name", required_argument, NULL, O_NAME},
    {"module", required_argument, NULL, O_MODULE},
    {"stale-files", no_argument, NULL, O_STALE_FILES},
    {"output", required_argument, NULL, O_OUTPUT},
    {"at", required_argument, NULL, O_AT},
    {"help", no_argument, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

static status_t bad(struct error *err, const char *option, const char *value, const char *expected)
{
    return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s '%s': expected %s", option, value,
                     expected);
}

/* The guest's name of a bucket, unless one is given: /BUCKET. NULL: no memory. */
static char *bucket_guest(struct run_options *o, const char *place)
{
    const char *slashes = strchr(place, '/'), *bucket = slashes + 1; /* the second of "geds://" */
    size_t len = strcspn(bucket + 1, "/");
    return arena_strndup(&o->arena, bucket, len + 1);
}

/* The next part of a path that is neither empty nor ".", at *path; its length, 0 at the end. */
static size_t next_part(const char **path)
{
    for (;;) {
        *path += strspn(*path, "/");
        size_t len = strcspn(*path, "/");
        if (len != 1 || (*path)[0] != '.') {
            return len;
        }
        *path += len;
    }
}

/* Do both stand for one folder of the guest, whose names begin at its root? */
static bool is_same_guest(const char *a, const char *b)
{
    size_t len;
    do {
        len = next_part(&a);
        if (next_part(&b) != len || memcmp(a, b, len) != 0) {
            return false;
        }
        a += len;
        b += len;
    } while (len > 0);
    return true;
}

/* Of two folders with one name the guest would only ever see the first. What is thawed may have two of the very same,
 * which wasi_restore looks at. */
static status_t check_name(const struct run_options *o, const struct wasi_grant *g,
                           struct error *err)
{
    for (uint32_t i = 0; i < o->grant_count; i++) {
        const char *other = o->grants[i].guest_path;
        bool twins = o->thaws && strcmp(other, g->guest_path) == 0;
        if (is_same_guest(other, g->guest_path) && !twins) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "--dir: '%.80s' and '%.80s' would both be '%.60s' for the program: "
                             "give one another name, HOST:GUEST",
                             o->grants[i].host_path, g->host_path, g->guest_path);
        }
    }
    return ST_OK;
}

/* HOST[:GUEST][:ro]; HOST may be geds://BUCKET[/PREFIX], whose own colon counts for nothing. */
static status_t add_grant(struct run_options *o, const char *value, struct error *err)
{
    char *host = arena_strndup(&o->arena, value, strlen(value));
    if (host == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    struct wasi_grant *g = &o->grants[o->grant_count];
    bool bucket = geds_place_told(value);
    char *guest = strchr(bucket ? strchr(host, ':') + 1 : host, ':');
    char *mode = guest != NULL ? strchr(guest + 1, ':') : NULL;
    if (guest != NULL) {
        *guest++ = '\0';
    }
    if (mode != NULL) {
        *mode++ = '\0';
    } else if (guest != NULL && (strcmp(guest, "ro") == 0 || strcmp(guest, "rw") == 0)) {
        mode = guest;
        guest = NULL;
    }
    if (host[0] == '\0' || (guest != NULL && guest[0] == '\0') ||
        (mode != NULL && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)) {
        return bad(err, "--dir", value, "HOST[:GUEST][:ro] or geds://BUCKET[/PREFIX][:GUEST][:ro]");
    }
    if (bucket && guest == NULL && (guest = bucket_guest(o, host)) == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    guest = guest != NULL ? guest : host;
    g->host_path = host;
    g->guest_path = arena_strndup(&o->arena, guest, wasi_guest_path_len(guest, strlen(guest)));
    if (g->guest_path == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    g->read_only = mode != NULL && strcmp(mode, "ro") == 0;
    status_t code = check_name(o, g, err);
    o->grant_count += code == ST_OK;
    return code;
}

/* The last value given for a name wins. */
static void put_env(struct run_options *o, const char *pair)
{
    size_t name_len = strcspn(pair, "=") + 1;
    for (uint32_t i = 0; i < o->env_count; i++) {
        if (strncmp(o->env[i], pair, name_len) == 0) {
            o->env[i] = pair;
            return;
        }
    }
    o->env[o->env_count++] = pair;
}

/* K=V, or K for the value that cloudskin itself has; nothing when it has none. */
static status_t add_env(struct run_options *o, const char *value, char *const *environment,
                        struct error *err)
{
    size_t name_len = strcspn(value, "=");
    if (name_len == 0) {
        return bad(err, "--env", value, "NAME=VALUE or NAME");
    }
    if (value[name_len] == '=') {
        put_env(o, value);
        return ST_OK;
    }
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, value, name_len) == 0 && (*environment)[name_len] == '=') {
            put_env(o, *environment);
        }
    }
    return ST_OK;
}

static status_t set_level(struct run_options *o, const char *value, struct error *err)
{
    uint32_t level = image_level_find(value);
    if (level == 0) {
        return bad(err, "--cpu", value, "x86-64-v2, x86-64-v3, x86-64-v4 or aarch64");
    }
    if (!image_level_runs(level)) {
        const char *host = image_level_name(image_level_host());
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--cpu %s: this machine cannot run it; its level is %s", value,
                         host != NULL ? host : "below all of them");
    }
    o->image.level = level;
    o->says_level = true;
    return ST_OK;
}

static status_t set_nan(struct run_options *o, const char *value, struct error *err)
{
    if (strcmp(value, "native") == 0) {
        o->image.nan = NAN_NATIVE;
    } else if (strcmp(value, "canonical") == 0) {
        o->image.nan = NAN_CANONICAL;
    } else {
        return bad(err, "--nan", value, "native or canonical");
    }
    o->says_nan = true;
    return ST_OK;
}

/* Digits beyond 64 bits are read as the highest number, which the limit refuses. */
static status_t set_size(uint64_t *ret_bytes, uint64_t min, const char *option, const char *value,
                         struct error *err)
{
    uint64_t bytes;
    status_t code = parse_size(value, SIZE_BYTES_MAX, &bytes);
    if (code == ST_LIMIT) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s '%s': expected at most %llu bytes",
                         option, value, (unsigned long long)SIZE_BYTES_MAX);
    }
    if (code != ST_OK || bytes < min) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "%s '%s': expected a size of at least %llu bytes, such as 64M or 2GiB",
                         option, value, (unsigned long long)min);
    }
    *ret_bytes = bytes;
    return ST_OK;
}

static status_t set_stack(struct run_options *o, const char *value, struct error *err)
{
    status_t code = set_size(&o->limits.stack_bytes, STACK_BYTES_MIN, "--stack", value, err);
    if (code == ST_OK && o->limits.stack_bytes > STACK_BYTES_MAX) {
        code = bad(err, "--stack", value, "at most 64G");
    }
    return code;
}

static status_t set_time(uint64_t *ret_ns, const char *option, const char *value, struct error *err)
{
    uint64_t ns;
    if (parse_duration(value, UINT64_MAX / 2, &ns) != ST_OK || ns == 0) {
        return bad(err, option, value, "a time above 0, such as 10, 2.5s, 300ms or 1h");
    }
    *ret_ns = ns;
    return ST_OK;
}

static status_t set_count(uint32_t *ret_count, uint64_t max, const char *option, const char *value,
                          struct error *err)
{
    uint64_t count;
    if (parse_u64(value, max, &count) != ST_OK || count == 0) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "%s '%s': expected a number from 1 to %llu", option, value,
                         (unsigned long long)max);
    }
    *ret_count = (uint32_t)count;
    return ST_OK;
}

static status_t set_opt_level(struct run_options *o, const char *value, struct error *err)
{
    if (value[0] < '0' || value[0] > '3' || value[1] != '\0') {
        return bad(err, "-O", value, "-O0, -O1, -O2 or -O3");
    }
    o->image.opt_level = (uint32_t)(value[0] - '0');
    return ST_OK;
}

static status_t set_option(struct run_options *o, int id, const char *value,
                           char *const *environment, struct error *err)
{
    switch (id) {
    case O_DIR:
        return add_grant(o, value, err);
    case O_CWD:
        if (value[0] == '\0') {
            return bad(err, "--cwd", value, "a guest path");
        }
        o->cwd = value;
        return ST_OK;
    case O_ENV:
        return add_env(o, value, environment, err);
    case O_LISTEN:
        o->listen[o->listen_count++] = value;
        return listen_check(value, err);
    case O_INVOKE:
        o->invoke = value;
        return ST_OK;
    case O_CPU:
        return set_level(o, value, err);
    case O_NAN:
        return set_nan(o, value, err);
    case O_MEMORY:
        return set_size(&o->limits.memory_bytes, MEMORY_BYTES_MIN, "--memory", value, err);
    case O_STACK:
        return set_stack(o, value, err);
    case O_THREADS:
        return set_count(&o->limits.threads, THREADS_MAX, "--threads", value, err);
    case O_OPEN_FILES:
        return set_count(&o->open_files, OPEN_FILES_MAX, "--open-files", value, err);
    case O_CPU_SECONDS:
        return set_time(&o->limits.cpu_ns, "--cpu-seconds", value, err);
    case O_OUTPUT_BYTES:
        return set_size(&o->output_bytes, 1, "--output-bytes", value, err);
    case O_TIMEOUT:
        return set_time(&o->limits.wall_ns, "--timeout", value, err);
    case O_MOVABLE:
        o->image.movable = 1;
        return ST_OK;
    case O_NAME:
        o->name = value;
        o->image.movable = 1;
        return control_name_check(value, err);
    case O_MODULE:
        o->module = value;
        return ST_OK;
    case O_OUTPUT:
        if (value[0] == '\0') {
            return bad(err, "--output", value, "a file");
        }
        o->output = value;
        return ST_OK;
    case O_AT:
        return set_count(&o->at, UNDO_NUMBER_MAX, "--at", value, err);
    case O_STALE_FILES:
        o->stale_files = true;
        return ST_OK;
    case 'O':
        return set_opt_level(o, value, err);
    default:
        o->help = true;
        return ST_OK;
    }
}

/* What is open before the program does anything. */
static status_t check_open_files(const struct run_options *o, struct error *err)
{
    uint32_t least = STDIO_COUNT + o->grant_count + o->listen_count;
    if (o->open_files >= least) {
        return ST_OK;
    }
    return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                     "--open-files %u: at least %u are needed, for standard input, output and "
                     "error, each --dir and each --listen",
                     o->open_files, least);
}

static bool reserve_lists(struct run_options *o, size_t most, char *const *environment)
{
    size_t inherited = 0;
    for (char *const *e = environment; *e != NULL; e++) {
        inherited++;
    }
    o->grants = arena_alloc(&o->arena, most, sizeof *o->grants);
    o->env = arena_alloc(&o->arena, most + inherited, sizeof *o->env);
    o->listen = arena_alloc(&o->arena, most, sizeof *o->listen);
    return o->grants != NULL && o->env != NULL && o->listen != NULL;
}

static status_t read_options(struct run_options *o, int argc, char **argv, bool thaws,
                             char *const *environment, struct error *err)
{
    if (!reserve_lists(o, (size_t)argc, environment)) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    for (char *const *e = environment; *e != NULL; e++) {
        if (strncmp(*e, "OMP_", 4) == 0) {
            put_env(o, *e);
        }
    }
    o->thaws = thaws;
    opterr = 0;
    optind = 0; /* a full restart, for tests that parse more than once */
    for (int id; (id = getopt_long(argc, argv, "+:O:h", thaws ? thaw_options : long_options,
                                   NULL)) != -1;) {
        if (id == '?' || id == ':') {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             id == ':' ? "%s needs a value" : "%s: no such option",
                             argv[optind - 1]);
        }
        status_t code = set_option(o, id, optarg, environment, err);
        if (code != ST_OK || o->help) {
            return code;
        }
    }
    if (thaws && optind >= argc && o->name != NULL) { /* the checkpoints of that name */
        o->image.movable = 1;
        o->image.level = o->image.level != 0 ? o->image.level : image_level_host();
        return ST_OK;
    }
    if (optind >= argc) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         thaws ? "thaw needs a snapshot, or --name NAME for checkpoints"
                               : "run needs a program");
    }
    if (argv[optind][0] == '\0') {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "'': no name for a %s",
                         thaws ? "snapshot" : "program");
    }
    if (thaws && argc - optind > 1) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "'%s': options come before the snapshot, and the program goes on with "
                         "the arguments that it had",
                         argv[optind + 1]);
    }
    o->image.movable |= thaws;
    if (o->image.level == 0) {
        o->image.level = image_level_host();
    }
    o->module_path = argv[optind];
    o->args = (const char *const *)&argv[optind];
    o->arg_count = (uint32_t)(argc - optind);
    return thaws ? ST_OK : check_open_files(o, err); /* a snapshot says what was open */
}

status_t run_options_parse(int argc, char **argv, bool thaws, char *const *environment,
                           struct run_options *ret_options, struct error *err)
{
    struct run_options o = {.open_files = OPEN_FILES_DEFAULT,
                            .image = {.opt_level = OPT_LEVEL_AUTO}};
    cell_limits_default(&o.limits);
    status_t code = read_options(&o, argc, argv, thaws, environment, err);
    if (code == ST_OK) {
        *ret_options = o;
    } else {
        run_options_done(&o);
    }
    return code;
}

void run_options_done(struct run_options *o)
{
    arena_done(&o->arena);
}
