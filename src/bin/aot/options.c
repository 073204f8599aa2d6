#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "exitcode/exit_code.h"

static const char help_text[] =
    "Usage: cloudskin-aot [OPTION]... MODULE.wasm\n"
    "\n"
    "Compile a WebAssembly module into a cell image, which `cloudskin run` starts without a\n"
    "compiler, in well under a millisecond. The same module, options and compiler version give\n"
    "the same bytes on every machine.\n"
    "\n"
    "  -o, --output FILE   where the image goes; default: the module's name with .cell, in the\n"
    "                      current folder\n"
    "      --cpu LEVEL     the machine it is for: x86-64-v2, x86-64-v3, x86-64-v4 or aarch64;\n"
    "                      default: the best level of this machine\n"
    "      --nan MODE      native: NaN bits as the CPU makes them (default);\n"
    "                      canonical: the same bits on every machine, somewhat slower\n"
    "  -O0 .. -O3          how hard to optimise; default -O3; lower levels compile faster\n"
    "      --threads N     compile with N threads; default: one per CPU\n"
    "      --json          describe the image on standard output as JSON\n"
    "      --progress      report progress even if standard error is no terminal\n"
    "      --progress-fd N write a line \"DONE TOTAL\" to descriptor N after each part; when N is "
    "a\n"
    "                      pipe whose reader goes away, stop with exit code 71\n"
    "      --movable       cells can be frozen and go on elsewhere (cloudskin freeze); the image "
    "is\n"
    "                      two to four times as large, and takes as much longer to make\n"
    "      --keep-ir DIR   write the LLVM IR of each part into DIR, for debugging\n"
    "      --version       print the compiler's version, which is part of every image\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit codes: 0 done, 64 wrong usage, 65 the module is refused, 71 the system refused (memory,\n"
    "files), 127 no such file.\n"
    "\n"
    "Examples:\n"
    "  cloudskin-aot app.wasm                     makes app.cell for this machine\n"
    "  cloudskin-aot app.wasm --cpu aarch64 -o app-arm.cell\n"
    "  cloudskin inspect app.cell                 shows what is inside\n";

enum option_id {
    OPTION_CPU = 256,
    OPTION_NAN,
    OPTION_THREADS,
    OPTION_JSON,
    OPTION_PROGRESS,
    OPTION_PROGRESS_FD,
    OPTION_NO_POLLS,
    OPTION_NAME,
    OPTION_MOVABLE,
    OPTION_KEEP_IR,
    OPTION_VERSION,
};

/* --no-polls is for measurements: such code cannot be stopped, so the help is silent about it. --name is for programs
 * that give a module as a file without a name: how messages call it. */
static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"nan", required_argument, NULL, OPTION_NAN},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"progress", no_argument, NULL, OPTION_PROGRESS},
    {"progress-fd", required_argument, NULL, OPTION_PROGRESS_FD},
    {"no-polls", no_argument, NULL, OPTION_NO_POLLS},
    {"name", required_argument, NULL, OPTION_NAME},
    {"movable", no_argument, NULL, OPTION_MOVABLE},
    {"keep-ir", required_argument, NULL, OPTION_KEEP_IR},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { THREADS_MAX = 1024 };

static bool usage(const char *what, const char *value)
{
    fprintf(stderr, "cloudskin-aot: %s%s%s\nTry 'cloudskin-aot --help'.\n", what, value ? ": " : "",
            value ? value : "");
    return false;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
    return parse_u64(text, max, ret_value) == ST_OK;
}

static bool parse_nan(const char *text, uint32_t *ret_nan)
{
    if (strcmp(text, "native") != 0 && strcmp(text, "canonical") != 0)
        return usage("--nan is native or canonical, not", text);
    *ret_nan = text[0] == 'n' ? NAN_NATIVE : NAN_CANONICAL;
    return true;
}

static bool parse_option(int id, struct options *o, const char **output)
{
    uint64_t number = 0;
    struct stat folder;
    switch (id) {
    case 'o':
        *output = optarg;
        return true;
    case 'O':
        if (!parse_number(optarg, 3, &number))
            return usage("-O takes a number from 0 to 3, not", optarg);
        o->aot.image.opt_level = (uint32_t)number;
        return true;
    case OPTION_CPU:
        o->aot.image.level = image_level_find(optarg);
        return o->aot.image.level != 0 ||
               usage("--cpu is x86-64-v2, x86-64-v3, x86-64-v4 or aarch64, not", optarg);
    case OPTION_NAN:
        return parse_nan(optarg, &o->aot.image.nan);
    case OPTION_THREADS:
        if (!parse_number(optarg, THREADS_MAX, &number))
            return usage("--threads is a number up to 1024, not", optarg);
        o->aot.threads = (uint32_t)number;
        return true;
    case OPTION_JSON:
        o->json = true;
        return true;
    case OPTION_PROGRESS:
        o->progress = PROGRESS_ALWAYS;
        return true;
    case OPTION_PROGRESS_FD:
        if (!parse_number(optarg, INT_MAX, &number))
            return usage("--progress-fd is a descriptor number, not", optarg);
        o->progress_fd = (int)number;
        return true;
    case OPTION_NO_POLLS:
        o->aot.image.no_polls = 1;
        return true;
    case OPTION_NAME:
        o->name = optarg;
        return true;
    case OPTION_MOVABLE:
        o->aot.image.movable = 1;
        return true;
    case OPTION_KEEP_IR:
        if (stat(optarg, &folder) != 0 || !S_ISDIR(folder.st_mode))
            return usage("--keep-ir needs a folder that exists, not", optarg);
        o->aot.keep_ir = optarg;
        o->aot.verify_ir = true;
        return true;
    default:
        fprintf(stderr, "Try 'cloudskin-aot --help'.\n"); /* getopt said what is wrong */
        return false;
    }
}

/* dir/app.wasm gives app.cell. */
static bool default_output(const char *input, char *out, size_t size)
{
    const char *name = strrchr(input, '/');
    name = name ? name + 1 : input;
    size_t len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".wasm") == 0)
        len -= 5;
    int written = snprintf(out, size, "%.*s.cell", (int)len, name);
    return written > 0 && (size_t)written < size;
}

static bool finish(struct options *o, const char *output, char **rest)
{
    if (!rest[0])
        return usage("a module to compile is missing", NULL);
    if (rest[1])
        return usage("one module at a time; unexpected", rest[1]);
    o->input = rest[0];
    o->name = o->name ? o->name : o->input;
    if (o->aot.image.level == 0)
        return usage("this machine is below x86-64-v2: say with --cpu what to compile for", NULL);
    size_t len = output ? strlen(output) : 0;
    if (output && (len == 0 || len >= sizeof o->output))
        return usage("unusable output name", output);
    if (output)
        memcpy(o->output, output, len + 1);
    else if (!default_output(o->input, o->output, sizeof o->output))
        return usage("unusable module name", o->input);
    return true;
}

bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_exit)
{
    struct options o = {.progress_fd = -1};
    const char *output = NULL;
    int id = 0;
    o.aot.features = FEATURE_ALL;
    o.aot.image.level = image_level_host();
    o.aot.image.opt_level = 3;
    while ((id = getopt_long(argc, argv, "o:O:h", long_options, NULL)) != -1) {
        if (id == 'h' || id == OPTION_VERSION) {
            printf("%s%s", id == 'h' ? help_text : aot_version(), id == 'h' ? "" : "\n");
            *ret_exit = exit_after_output("cloudskin-aot");
            return false;
        }
        if (!parse_option(id, &o, &output)) {
            *ret_exit = EXIT_USAGE;
            return false;
        }
    }
    if (o.aot.image.movable && o.aot.image.no_polls) {
        usage("--movable needs polls: not with --no-polls", NULL);
        *ret_exit = EXIT_USAGE;
        return false;
    }
    if (!finish(&o, output, argv + optind)) {
        *ret_exit = EXIT_USAGE;
        return false;
    }
    *ret_options = o;
    return true;
}
