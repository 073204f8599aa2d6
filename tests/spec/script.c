#include <string.h>

#include "base/cursor.h"
#include "cell/module/module.h"
#include "engine.h"
#include "values.h"

enum { SCRIPT_VALUES_MAX = MODULE_RESULTS_MAX };

struct script_module {
    char *name; /* "$M", NULL: none */
    struct engine_instance *inst;
};

struct script {
    const struct spec_options *opt;
    struct spec_counts *counts;
    char *stem; /* of the file: "i32" */
    json_int_t line;
    struct engine *engine;
    struct script_module *modules;
    size_t module_count;
    struct engine_instance *last; /* NULL when the last module could not be started */
    union cell_value *io;
};

static void failed(struct script *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void failed(struct script *s, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    printf("%s.wast:%lld: %s\n", s->stem, (long long)s->line, text);
    s->counts->failed++;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* ---- modules ---- */

static status_t check_module(struct script *s, const void *wasm, size_t len, struct error *err)
{
    struct module *m = NULL;
    status_t st = module_decode(wasm, len, s->opt->features, &m, err);
    if (st == ST_OK)
        st = module_validate(m, err);
    module_free(m);
    return st;
}

static void *read_wasm(struct script *s, const json_t *cmd, size_t *ret_len)
{
    char *path = spec_format("%s/%s", s->opt->folder_path, text_of(cmd, "filename"));
    void *wasm = spec_read_file(path, ret_len);
    if (!wasm)
        failed(s, "cannot read %s", path);
    free(path);
    return wasm;
}

static void module_named(struct script *s, const char *name, struct engine_instance *inst)
{
    s->last = inst;
    s->modules = realloc(s->modules, (s->module_count + 1) * sizeof(*s->modules));
    if (!s->modules)
        abort();
    s->modules[s->module_count++] = (struct script_module){name ? spec_format("%s", name) : NULL,
                                                           inst};
}

/* The instance of that name (the last one of several), or the last one started. */
static struct engine_instance *module_find(struct script *s, const char *name)
{
    if (!name)
        return s->last;
    for (size_t k = s->module_count; k > 0; k--)
        if (s->modules[k - 1].name && strcmp(s->modules[k - 1].name, name) == 0)
            return s->modules[k - 1].inst;
    return NULL;
}

static void run_module(struct script *s, const json_t *cmd)
{
    struct error err = {0};
    struct engine_instance *inst = NULL;
    size_t len = 0;
    void *wasm = read_wasm(s, cmd, &len);
    s->last = NULL;
    if (!wasm)
        return;
    status_t st = check_module(s, wasm, len, &err);
    if (st == ST_OK && s->engine)
        st = engine_instantiate(s->engine, wasm, len, &inst, &err);
    if (st == ST_OK)
        s->counts->passed++;
    else
        failed(s, "%s: %s at %#llx: %s", text_of(cmd, "filename"), status_name(st),
               (unsigned long long)err.offset, err.text);
    module_named(s, json_string_value(json_object_get(cmd, "name")), inst);
    free(wasm);
}

static void run_register(struct script *s, const json_t *cmd)
{
    const json_t *as = json_object_get(cmd, "as");
    if (!s->engine) {
        s->counts->not_run++;
        return;
    }
    struct engine_instance *inst = module_find(s, json_string_value(json_object_get(cmd, "name")));
    if (!inst || engine_register(s->engine, json_string_value(as), json_string_length(as), inst))
        failed(s, "cannot register %s", json_string_value(as));
    else
        s->counts->passed++;
}

static void note_wording(struct script *s, const char *expected, status_t st, status_t wanted,
                         const struct error *err)
{
    if (strncmp(err->text, expected, strlen(expected)) == 0 && st == wanted)
        return;
    s->counts->wording++;
    if (s->opt->wording)
        printf("%s.wast:%lld: expected \"%s\", the reason is %s: \"%s\"\n", s->stem,
               (long long)s->line, expected, status_name(st), err->text);
}

static void run_assert_refused(struct script *s, const json_t *cmd, status_t wanted)
{
    struct error err = {0};
    size_t len = 0;
    if (strcmp(text_of(cmd, "module_type"), "text") == 0) {
        s->counts->text++;
        return;
    }
    void *wasm = read_wasm(s, cmd, &len);
    if (!wasm)
        return;
    status_t st = check_module(s, wasm, len, &err);
    if (st == ST_FORMAT || st == ST_INVALID || st == ST_LIMIT) {
        s->counts->passed++;
        note_wording(s, text_of(cmd, "text"), st, wanted, &err);
    } else {
        failed(s, "%s: not refused (%s), expected: %s", text_of(cmd, "filename"), status_name(st),
               text_of(cmd, "text"));
    }
    free(wasm);
}

/* The specification has one text for each way to miss a table element; here some share a code. */
static bool trap_text_matches(const char *expected, const char *actual)
{
    size_t len = strlen(actual);
    if (len > 0 && strncmp(expected, actual, len) == 0)
        return true;
    return strcmp(expected, "undefined element") == 0 &&
           strcmp(actual, "out of bounds table access") == 0;
}

/* Valid modules that cannot be linked or whose start traps. */
static void run_assert_unstarted(struct script *s, const json_t *cmd, status_t wanted)
{
    struct error err = {0};
    struct engine_instance *inst = NULL;
    size_t len = 0;
    void *wasm = read_wasm(s, cmd, &len);
    if (!wasm)
        return;
    status_t st = check_module(s, wasm, len, &err);
    if (st != ST_OK)
        failed(s, "%s: refused: %s", text_of(cmd, "filename"), err.text);
    else if (!s->engine)
        s->counts->not_run++;
    else if ((st = engine_instantiate(s->engine, wasm, len, &inst, &err)) != wanted)
        failed(s, "%s: %s (%s), expected: %s", text_of(cmd, "filename"), status_name(st), err.text,
               text_of(cmd, "text"));
    else if (wanted == ST_TRAP && !trap_text_matches(text_of(cmd, "text"), err.text))
        failed(s, "%s: trap \"%s\", expected: %s", text_of(cmd, "filename"), err.text,
               text_of(cmd, "text"));
    else
        s->counts->passed++;
    free(wasm);
}

/* ---- actions ---- */

struct outcome {
    status_t status;
    struct error err;
    uint32_t count;
    const valtype_t *types;
    valtype_t global_type;
};

static bool parse_args(struct script *s, const json_t *args, const struct functype *type)
{
    if (json_array_size(args) != type->param_count) {
        failed(s, "%zu arguments for %u parameters", json_array_size(args), type->param_count);
        return false;
    }
    for (uint32_t k = 0; k < type->param_count; k++)
        if (!value_parse(json_array_get(args, k), &s->io[k])) {
            failed(s, "argument %u is not understood", k);
            return false;
        }
    return true;
}

static bool invoke(struct script *s, struct engine_instance *inst, const json_t *action,
                   struct outcome *ret_outcome)
{
    const json_t *field = json_object_get(action, "field");
    struct engine_func f;
    if (engine_find_func(inst, json_string_value(field), json_string_length(field), &f) != ST_OK) {
        failed(s, "no function is exported as \"%s\"", json_string_value(field));
        return false;
    }
    if (!parse_args(s, json_object_get(action, "args"), f.type))
        return false;
    ret_outcome->status = engine_call(s->engine, &f, s->io, &ret_outcome->err);
    ret_outcome->count = f.type->result_count;
    ret_outcome->types = f.type->results;
    return true;
}

/* false: it could not be tried, which was counted as a failure. */
static bool run_action(struct script *s, const json_t *cmd, struct outcome *ret_outcome)
{
    const json_t *action = json_object_get(cmd, "action");
    const json_t *field = json_object_get(action, "field");
    struct engine_instance *inst = module_find(
        s, json_string_value(json_object_get(action, "module")));
    *ret_outcome = (struct outcome){.status = ST_OK};
    if (!inst) {
        failed(s, "its module was not started");
        return false;
    }
    if (strcmp(text_of(action, "type"), "invoke") == 0)
        return invoke(s, inst, action, ret_outcome);
    if (strcmp(text_of(action, "type"), "get") != 0) {
        failed(s, "unknown action \"%s\"", text_of(action, "type"));
        return false;
    }
    if (engine_get_global(inst, json_string_value(field), json_string_length(field),
                          &ret_outcome->global_type, &s->io[0]) != ST_OK) {
        failed(s, "no global is exported as \"%s\"", json_string_value(field));
        return false;
    }
    ret_outcome->count = 1;
    ret_outcome->types = &ret_outcome->global_type;
    return true;
}

static void result_differs(struct script *s, const json_t *cmd, const struct outcome *o,
                           uint32_t index)
{
    char actual[80];
    char *expected = json_dumps(
        json_object_get(cmd, json_object_get(cmd, "either") ? "either" : "expected"), JSON_COMPACT);
    value_print(o->types[index], &s->io[index], actual, sizeof(actual));
    failed(s, "%s: result %u is %s, expected %.400s",
           text_of(json_object_get(cmd, "action"), "field"), index, actual,
           expected ? expected : "?");
    free(expected);
}

static void check_results(struct script *s, const json_t *cmd, const struct outcome *o)
{
    const json_t *expected = json_object_get(cmd, "expected");
    const json_t *either = json_object_get(cmd, "either");
    bool matches = false;
    if (o->count != (either ? 1 : json_array_size(expected))) {
        failed(s, "%u results", o->count);
        return;
    }
    for (size_t k = 0; k < json_array_size(either) && !matches; k++)
        matches = value_matches(json_array_get(either, k), o->types[0], &s->io[0]);
    if (either && !matches) {
        result_differs(s, cmd, o, 0);
        return;
    }
    for (uint32_t k = 0; !either && k < o->count; k++)
        if (!value_matches(json_array_get(expected, k), o->types[k], &s->io[k])) {
            result_differs(s, cmd, o, k);
            return;
        }
    s->counts->passed++;
}

static void run_assert_action(struct script *s, const json_t *cmd, status_t wanted, bool results)
{
    struct outcome o;
    const char *text = text_of(cmd, "text");
    if (!s->engine) {
        s->counts->not_run++;
        return;
    }
    if (!run_action(s, cmd, &o))
        return;
    if (o.status != wanted)
        failed(s, "%s: %s (%s), expected: %s%s%s", text_of(json_object_get(cmd, "action"), "field"),
               status_name(o.status), o.err.text, status_name(wanted), *text ? ", " : "", text);
    else if (results)
        check_results(s, cmd, &o);
    else if (wanted == ST_TRAP && !trap_text_matches(text, o.err.text))
        failed(s, "trap \"%s\", expected: %s", o.err.text, text);
    else
        s->counts->passed++;
}

/* ---- scripts ---- */

/* The scripts of a proposal are as old as its branch of the specification. These expect to be refused
 * what WebAssembly 2.0, on which the folder's feature set stands, allows. */
static const struct {
    const char *folder;
    const char *stem;
    json_int_t line;
} outdated[] = {
    /* several tables came with reference types */
    {"threads", "imports", 310},
    {"threads", "imports", 314},
    {"threads", "imports", 318},
};

static bool is_outdated(const struct script *s)
{
    for (size_t k = 0; k < sizeof(outdated) / sizeof(outdated[0]); k++)
        if (strcmp(outdated[k].folder, s->opt->folder) == 0 &&
            strcmp(outdated[k].stem, s->stem) == 0 && outdated[k].line == s->line)
            return true;
    return false;
}

uint32_t spec_outdated_count(const char *folder)
{
    uint32_t count = 0;
    for (size_t k = 0; k < sizeof(outdated) / sizeof(outdated[0]); k++)
        count += strcmp(outdated[k].folder, folder) == 0;
    return count;
}

static void run_command(struct script *s, const json_t *cmd)
{
    const char *type = text_of(cmd, "type");
    s->line = json_integer_value(json_object_get(cmd, "line"));
    if (is_outdated(s))
        s->counts->outdated++;
    else if (strcmp(type, "module") == 0)
        run_module(s, cmd);
    else if (strcmp(type, "register") == 0)
        run_register(s, cmd);
    else if (strcmp(type, "action") == 0)
        run_assert_action(s, cmd, ST_OK, false);
    else if (strcmp(type, "assert_return") == 0)
        run_assert_action(s, cmd, ST_OK, true);
    else if (strcmp(type, "assert_trap") == 0 || strcmp(type, "assert_exhaustion") == 0)
        run_assert_action(s, cmd, ST_TRAP, false);
    else if (strcmp(type, "assert_exception") == 0)
        run_assert_action(s, cmd, ST_EXCEPTION, false);
    else if (strcmp(type, "assert_invalid") == 0)
        run_assert_refused(s, cmd, ST_INVALID);
    else if (strcmp(type, "assert_malformed") == 0)
        run_assert_refused(s, cmd, ST_FORMAT);
    else if (strcmp(type, "assert_unlinkable") == 0)
        run_assert_unstarted(s, cmd, ST_LINK);
    else if (strcmp(type, "assert_uninstantiable") == 0)
        run_assert_unstarted(s, cmd, ST_TRAP);
    else
        failed(s, "unknown command \"%s\"", type);
}

static void script_done(struct script *s)
{
    engine_free(s->engine);
    for (size_t k = 0; k < s->module_count; k++)
        free(s->modules[k].name);
    free(s->modules);
    free(s->io);
    free(s->stem);
}

void spec_script_run(const struct spec_options *opt, const char *name, struct spec_counts *counts)
{
    struct script s = {.opt = opt, .counts = counts};
    json_error_t json_err;
    size_t index;
    json_t *cmd;
    char *path = spec_format("%s/%s", opt->folder_path, name);
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &json_err);
    json_t *commands = json_object_get(root, "commands");

    s.stem = spec_format("%.*s", (int)(strlen(name) - strlen(".json")), name);
    s.io = aligned_alloc(16, SCRIPT_VALUES_MAX * sizeof(*s.io));
    s.engine = engine_new(opt);
    if (!s.io)
        abort();
    counts->files++;
    if (json_array_size(commands) == 0)
        failed(&s, "no commands: %s", root ? "" : json_err.text);
    json_array_foreach(commands, index, cmd) run_command(&s, cmd);
    script_done(&s);
    json_decref(root);
    free(path);
}
