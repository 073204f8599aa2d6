#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "imagecache/compile.h"
#include "sys/files.h"

/* `cloudskin cache`: look at and tidy the cache of compiled images. */

/* The compiler has a smaller limit, and words for it. */
#define MODULE_FILE_BYTES_MAX ((uint64_t)4 << 30)

static const char help_text[] =
    "Usage: cloudskin cache COMMAND\n"
    "\n"
    "The cache holds the images that `cloudskin run` compiles, by content of the module, CPU "
    "level,\n"
    "options and compiler version. Its folder is CLOUDSKIN_CACHE, else\n"
    "~/.cache/cloudskin/images; a run that adds to it removes what was used longest ago when it "
    "is\n"
    "larger than CLOUDSKIN_CACHE_SIZE (2G).\n"
    "\n"
    "  ls [--json]                 list the images, those used last first, with the hash and the\n"
    "                              place of the module that each was compiled from\n"
    "  trim [SIZE] [--json]        keep at most SIZE (default: CLOUDSKIN_CACHE_SIZE)\n"
    "  clear [--json]              remove all images\n"
    "  dir                         print the folder\n"
    "  add [OPTIONS] MODULE...     compile now what `run` would compile later\n"
    "      --cpu LEVEL             for this level (default: this machine's)\n"
    "      --nan native|canonical  NaN bits (default: native)\n"
    "      -O0, -O1, -O2, -O3      optimisation (default: -O3)\n"
    "      --movable               for programs that are to be frozen\n"
    "      --no-wait               nothing when another process is making the image\n"
    "      --quiet                 no progress\n"
    "\n"
    "Examples:\n"
    "  cloudskin cache ls\n"
    "  cloudskin cache trim 500M\n"
    "  cloudskin cache add app.wasm     the first run of app.wasm then starts at once, at -O3\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 a module is refused, 71 the system refused (memory,\n"
    "files), 127 no such file or compiler.\n";

struct options {
    bool json;
    bool quiet;
    bool wait;
    struct image_options image;
};

static int fail(const struct error *err, int exit_code)
{
    fprintf(stderr, "cloudskin cache: %s\n",
            err->text[0] != '\0' ? err->text : status_name(err->code));
    return exit_code;
}

static int usage(const char *text, const char *value)
{
    fprintf(stderr, "cloudskin cache: %s%s\nTry 'cloudskin cache --help'.\n", text, value);
    return EXIT_USAGE;
}

static int flushed(void)
{
    return exit_after_output("cloudskin cache");
}

/* ---- ls ---- */

/* The fields of an image's name, "<hash>.<level>.<nan>[-movable].O<opt>.<compiler>", each ended with a NUL. */
enum { KEY_FIELDS = 5 };

static bool split_key(char *name, const char *ret_fields[KEY_FIELDS])
{
    for (int i = 0; i < KEY_FIELDS; i++) {
        ret_fields[i] = name;
        char *dot = strchr(name, '.');
        if ((dot != NULL) != (i < KEY_FIELDS - 1)) {
            return false;
        }
        if (dot != NULL) {
            *dot = '\0';
            name = dot + 1;
        }
    }
    return ret_fields[3][0] == 'O';
}

static void list_json(const struct image_cache_entry *e, const char *const f[KEY_FIELDS],
                      const char *program, bool first)
{
    struct buf quoted = {0};
    struct json j = {.out = &quoted};
    json_text(&j, NULL, program);
    const char *dash = strchr(f[2], '-');
    bool movable = dash != NULL;
    char without_suffix[16];
    snprintf(without_suffix, sizeof without_suffix, "%.*s", movable ? (int)(dash - f[2]) : 0, f[2]);
    printf("%s\n  {\"module\": \"%s\", \"cpu\": \"%s\", \"nan\": \"%s\", \"opt\": %s, "
           "\"compiler\": \"%s\", \"movable\": %s, "
           "\"bytes\": %llu, \"used\": %llu.%03llu, \"used_ns\": %llu, "
           "\"program\": %.*s}",
           first ? "" : ",", f[0], f[1], movable ? without_suffix : f[2], f[3] + 1, f[4],
           movable ? "true" : "false", (unsigned long long)e->bytes,
           (unsigned long long)e->used_ns / 1000000000,
           (unsigned long long)e->used_ns / 1000000 % 1000, (unsigned long long)e->used_ns,
           quoted.failed ? 2 : (int)quoted.len, quoted.failed ? "\"\"" : (const char *)quoted.data);
    buf_done(&quoted);
}

static void list_text(const struct image_cache_entry *e, const char *const f[KEY_FIELDS],
                      const char *program)
{
    struct buf shown = {0};
    char when[32], size[HUMAN_TEXT_BYTES];
    time_t seconds = (time_t)(e->used_ns / 1000000000);
    struct tm parts;
    if (localtime_r(&seconds, &parts) == NULL ||
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        when[0] = '\0';
    }
    human_bytes(e->bytes, size);
    human_put_text(&shown, program, strlen(program));
    printf("%.12s  %-9s  %-17s  -%-3s  %12s  %-19s  %.*s\n", f[0], f[1], f[2], f[3], size, when,
           shown.failed ? 0 : (int)shown.len, shown.len > 0 ? (const char *)shown.data : "");
    buf_done(&shown);
}

static int list(const struct image_cache *c, const struct options *o)
{
    struct arena arena = {0};
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct image_cache_entry *entries = NULL;
    uint32_t count = 0, shown = 0;
    status_t code = image_cache_list(c, &arena, &entries, &count, &err);
    if (code != ST_OK) {
        arena_done(&arena);
        return fail(&err, EXIT_SYSTEM);
    }
    uint64_t bytes = 0;
    if (o->json) {
        printf("[");
    } else if (count > 0) {
        printf("%-12s  %-9s  %-17s  %-4s  %12s  %-19s  %s\n", "MODULE", "CPU", "NAN", "OPT", "SIZE",
               "USED", "PROGRAM");
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *fields[KEY_FIELDS];
        char program[PATH_MAX];
        image_cache_module_path(c, entries[i].name, program);
        if (!split_key(entries[i].name, fields)) {
            continue; /* not ours */
        }
        if (o->json) {
            list_json(&entries[i], fields, program, shown == 0);
        } else {
            list_text(&entries[i], fields, program);
        }
        bytes += entries[i].bytes;
        shown++;
    }
    if (o->json) {
        printf("%s]\n", shown > 0 ? "\n" : "");
    } else {
        char size[HUMAN_TEXT_BYTES], limit[HUMAN_TEXT_BYTES];
        human_bytes(bytes, size);
        human_bytes(c->limit_bytes, limit);
        printf("%u image%s, %s of %s in %s\n", shown, shown == 1 ? "" : "s", size, limit, c->dir);
    }
    arena_done(&arena);
    return flushed();
}

/* ---- trim, clear ---- */

static int trim(const struct image_cache *c, uint64_t limit_bytes, const struct options *o)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct image_cache_removed removed = {0};
    if (image_cache_trim(c, limit_bytes, NULL, &removed, &err) != ST_OK) {
        return fail(&err, EXIT_SYSTEM);
    }
    if (o->json) {
        printf("{\"removed\": %u, \"bytes\": %llu}\n", removed.count,
               (unsigned long long)removed.bytes);
    } else {
        char size[HUMAN_TEXT_BYTES];
        human_bytes(removed.bytes, size);
        printf("%u image%s removed, %s\n", removed.count, removed.count == 1 ? "" : "s", size);
    }
    return flushed();
}

/* ---- add ---- */

static int add(const struct image_cache *c, const char *module_path, const struct options *o)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct compiler compiler;
    struct image_key key = {.options = o->image};
    struct file_map map;
    status_t code = file_map(module_path, MODULE_FILE_BYTES_MAX, &map, &err);
    if (code == ST_OK) {
        sha256_bytes(map.data, map.len, key.module_hash);
        file_unmap(&map);
        code = compiler_find(c, &compiler, &err);
    }
    if (code == ST_OK) {
        memcpy(key.compiler, compiler.version, sizeof key.compiler);
        code = compile_cached(c, &compiler, &key, module_path, o->wait,
                              o->quiet ? NULL : module_path, &err);
    }
    if (code == ST_OK || (code == ST_AGAIN && !o->wait)) {
        return 0;
    }
    if (code == ST_INVALID) {
        return EXIT_REFUSED; /* the compiler has said why */
    }
    return fail(&err, exit_code_of(code));
}

static int add_all(const struct image_cache *c, int count, char **paths, const struct options *o)
{
    int worst = 0;
    if (count == 0) {
        return usage("add needs a module", "");
    }
    for (int i = 0; i < count; i++) {
        int code = add(c, paths[i], o);
        worst = code > worst ? code : worst;
    }
    return worst;
}

/* ---- command line ---- */

enum option_id { O_JSON = 256, O_QUIET, O_NO_WAIT, O_CPU, O_NAN, O_MOVABLE, O_HELP };

static const struct option long_options[] = {
    {"json", no_argument, NULL, O_JSON},       {"quiet", no_argument, NULL, O_QUIET},
    {"no-wait", no_argument, NULL, O_NO_WAIT}, {"cpu", required_argument, NULL, O_CPU},
    {"nan", required_argument, NULL, O_NAN},   {"movable", no_argument, NULL, O_MOVABLE},
    {"help", no_argument, NULL, O_HELP},       {NULL, 0, NULL, 0},
};

/* 0, or the exit code of a bad option; -1: help was printed. */
static int set_option(struct options *o, int id, const char *value, const char *text)
{
    switch (id) {
    case O_JSON:
        o->json = true;
        return 0;
    case O_QUIET:
        o->quiet = true;
        return 0;
    case O_NO_WAIT:
        o->wait = false;
        return 0;
    case O_CPU:
        o->image.level = image_level_find(value);
        return o->image.level != 0 ? 0 : usage("--cpu: no level ", value);
    case O_NAN:
        o->image.nan = strcmp(value, "canonical") == 0 ? NAN_CANONICAL : NAN_NATIVE;
        return o->image.nan == NAN_CANONICAL || strcmp(value, "native") == 0
                   ? 0
                   : usage("--nan: native or canonical, not ", value);
    case O_MOVABLE:
        o->image.movable = 1;
        return 0;
    case 'O':
        o->image.opt_level = (uint32_t)(value[0] - '0');
        return value[0] >= '0' && value[0] <= '3' && value[1] == '\0'
                   ? 0
                   : usage("-O0 to -O3, not -O", value);
    case 'h':
    case O_HELP:
        fputs(help_text, stdout);
        return -1;
    default:
        return usage(id == ':' ? "a value is missing after " : "no such option: ", text);
    }
}

static int run_command(const struct image_cache *c, const char *command, int count, char **operands,
                       const struct options *o)
{
    uint64_t limit_bytes = c->limit_bytes;
    if (strcmp(command, "add") == 0) {
        return add_all(c, count, operands, o);
    }
    if (strcmp(command, "trim") == 0 && count == 1) {
        if (parse_size(operands[0], UINT64_MAX, &limit_bytes) != ST_OK) {
            return usage("not a size such as 500M: ", operands[0]);
        }
        return trim(c, limit_bytes, o);
    }
    if (count > 0) {
        return usage("too many arguments: ", operands[0]);
    }
    if (strcmp(command, "ls") == 0) {
        return list(c, o);
    }
    if (strcmp(command, "trim") == 0) {
        return trim(c, limit_bytes, o);
    }
    if (strcmp(command, "clear") == 0) {
        return trim(c, 0, o);
    }
    if (strcmp(command, "dir") == 0) {
        puts(c->dir);
        return flushed();
    }
    return usage("no such command: ", command);
}

int main(int argc, char **argv)
{
    struct options o = {.wait = true, .image = {.opt_level = 3, .level = image_level_host()}};
    struct image_cache cache;
    struct error err = {.offset = ERROR_NO_OFFSET};
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, ":O:h", long_options, NULL)) != -1;) {
        int code = set_option(&o, id, optarg, argv[optind - 1]);
        if (code != 0) {
            return code < 0 ? flushed() : code;
        }
    }
    if (optind >= argc) {
        return usage("a command is missing", "");
    }
    status_t code = image_cache_from_env(&cache, &err);
    if (code != ST_OK) {
        return fail(&err, code == ST_INVAL ? EXIT_USAGE : EXIT_SYSTEM);
    }
    return run_command(&cache, argv[optind], argc - optind - 1, argv + optind + 1, &o);
}
