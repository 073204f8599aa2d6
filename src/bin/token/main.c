#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "localstate/tokens.h"
#include "servedstate/folder.h"
#include "sys/process.h"

/* `cloudskin token`: who may use the store of this machine over TCP. */

static const char help_text[] =
    "Usage: cloudskin token create [--role ROLE] [--bucket BUCKET]... [--expires TIME] NAME\n"
    "       cloudskin token list [--json]\n"
    "       cloudskin token revoke NAME\n"
    "\n"
    "Tokens for clients that reach the store of this machine through `cloudskin up --listen`. Who\n"
    "has one gives it in CLOUDSKIN_TOKEN, or in a file that CLOUDSKIN_TOKEN_FILE names.\n"
    "\n"
    "  create  print a new token. It is not kept: only its hash is, in DIR/tokens\n"
    "  list    show names, roles, buckets and ends\n"
    "  revoke  it is of no use any more, from the next request on, also of clients that are\n"
    "          connected\n"
    "\n"
    "      --role ROLE      read (list, stat, get, watch), write (also put, append, rename, copy,\n"
    "                       remove; the default) or admin (also make and remove buckets, pin,\n"
    "                       spill, fsck); node: nothing but to be a node (cloudskin node)\n"
    "      --bucket BUCKET  for this bucket only (may be repeated, 32 at most; default: all)\n"
    "      --expires TIME   it ends after TIME, such as 30d or 12h (default: never)\n"
    "      --state DIR      the state folder (default: that of the store that is up, else\n"
    "                       $XDG_STATE_HOME/cloudskin, else ~/.local/state/cloudskin)\n"
    "      --json           list as JSON\n"
    "  -h, --help           this text\n"
    "\n"
    "The first `cloudskin up` makes a token `admin`, which is in DIR/admin-token.\n"
    "\n"
    "Exit codes: 0 done; 64 wrong usage; 65 the file is damaged; 71 there is such a token, others\n"
    "can read the file, or refused by the system; 127 there is no such token, or no store yet.\n"
    "\n"
    "Examples:\n"
    "  cloudskin token create --role read --bucket scenes --expires 30d viewer > viewer.token\n"
    "  cloudskin token revoke viewer\n";

static const char program[] = "cloudskin token";

enum { DAY_S = 86400 };
#define EXPIRES_MAX_S (UINT64_C(36500) * DAY_S)

struct settings {
    struct token token;
    char state[PATH_MAX];
    bool json;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ST_INVAL ? EXIT_USAGE : exit_code_of(err->code);
}

static int usage(const char *text, const char *value)
{
    fprintf(stderr, "%s: %s%s\nTry 'cloudskin token --help'.\n", program, text, value);
    return EXIT_USAGE;
}

static int no_store(const struct settings *o)
{
    fprintf(stderr, "%s: no tokens in %s yet: the first `cloudskin up` makes them\n", program,
            o->state);
    return EXIT_MISSING;
}

static int create(struct settings *o, const char *name)
{
    char text[TOKEN_TEXT_BYTES];
    struct error err = {0};
    static struct tokens all;
    if (strlen(name) > TOKEN_NAME_MAX) {
        return usage("a name has 64 characters at most", "");
    }
    snprintf(o->token.name, sizeof o->token.name, "%s", name);
    status_t st = tokens_read(o->state, &all, &err);
    if (st == ST_NOTFOUND) {
        return no_store(o);
    }
    if (tokens_create(o->state, &o->token, text, &err) != ST_OK) {
        return fail(&err);
    }
    printf("%s\n", text);
    return exit_after_output(program);
}

static int revoke(const struct settings *o, const char *name)
{
    struct error err = {0};
    return tokens_revoke(o->state, name, &err) == ST_OK ? 0 : fail(&err);
}

static void list_text(const struct token *t)
{
    char ends[32] = "never";
    time_t seconds = (time_t)t->ends_s;
    struct tm parts;
    if (t->ends_s != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(ends, sizeof ends, "%Y-%m-%d %H:%MZ", &parts);
    }
    bool over = t->ends_s != 0 && t->ends_s <= (uint64_t)time(NULL);
    printf("%-20s %-6s  %-17s%s ", t->name, t->role, ends, over ? " (over)" : "");
    for (size_t i = 0; i < t->bucket_count; i++) {
        printf(" %s", t->buckets[i]);
    }
    printf("%s\n", t->bucket_count == 0 ? " all buckets" : "");
}

static void list_json(struct json *j, const struct token *t)
{
    json_open(j, NULL, '{');
    json_text(j, "name", t->name);
    json_text(j, "role", t->role);
    json_u64(j, "created", t->created_s);
    json_u64(j, "ends", t->ends_s);
    json_open(j, "buckets", '[');
    for (size_t i = 0; i < t->bucket_count; i++) {
        json_text(j, NULL, t->buckets[i]);
    }
    json_close(j, ']');
    json_close(j, '}');
}

static int list(const struct settings *o)
{
    static struct tokens all;
    struct error err = {0};
    struct buf text = {0};
    struct json j = {.out = &text};
    status_t st = tokens_read(o->state, &all, &err);
    if (st != ST_OK) {
        return st == ST_NOTFOUND ? no_store(o) : fail(&err);
    }
    json_open(&j, NULL, '[');
    for (size_t i = 0; i < all.count; i++) {
        if (o->json) {
            list_json(&j, &all.of[i]);
        } else {
            list_text(&all.of[i]);
        }
    }
    json_close(&j, ']');
    if (o->json) {
        printf("%.*s\n", text.failed ? 0 : (int)text.len, (const char *)text.data);
    }
    buf_done(&text);
    return exit_after_output(program);
}

/* "30d", or as parse_duration has it. */
static bool take_expiry(const char *text, uint64_t *ret_ends_s)
{
    size_t len = strlen(text);
    char number[32];
    uint64_t value = 0, ns = 0;
    if (len > 1 && len < sizeof number && text[len - 1] == 'd') {
        snprintf(number, sizeof number, "%.*s", (int)len - 1, text);
        if (parse_u64(number, EXPIRES_MAX_S / DAY_S, &value) != ST_OK) {
            return false;
        }
        value *= DAY_S;
    } else if (parse_duration(text, EXPIRES_MAX_S * 1000000000, &ns) == ST_OK) {
        value = (ns + 999999999) / 1000000000;
    }
    *ret_ends_s = (uint64_t)time(NULL) + value;
    return value > 0;
}

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    static const struct option long_options[] = {
        {"role", required_argument, NULL, 'r'},
        {"bucket", required_argument, NULL, 'b'},
        {"expires", required_argument, NULL, 'e'},
        {"state", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct token *t = &o->token;
    int c;
    while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (c == 'r' && token_role_is_good(optarg)) {
            snprintf(t->role, sizeof t->role, "%s", optarg);
        } else if (c == 'r') {
            return usage("--role: not read, write, admin or node: ", optarg) + 1;
        } else if (c == 'b' && t->bucket_count < TOKEN_BUCKETS_MAX &&
                   strlen(optarg) <= TOKEN_BUCKET_MAX) {
            snprintf(t->buckets[t->bucket_count++], TOKEN_BUCKET_MAX + 1, "%s", optarg);
        } else if (c == 'b') {
            return usage("--bucket: too long, or too many: ", optarg) + 1;
        } else if (c == 'e' && take_expiry(optarg, &t->ends_s)) {
            continue;
        } else if (c == 'e') {
            return usage("--expires: not a time, such as 30d or 12h: ", optarg) + 1;
        } else if (c == 's' && snprintf(o->state, PATH_MAX, "%s", optarg) < PATH_MAX) {
            continue;
        } else if (c == 'j') {
            o->json = true;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program) + 1;
        } else {
            fprintf(stderr, "Try 'cloudskin token --help'.\n");
            return EXIT_USAGE + 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct settings o = {.token.role = "write"};
    struct error err = {0};
    process_open_stdio();
    int code = parse_options(argc, argv, &o);
    if (code != 0) {
        return code - 1;
    }
    const char *command = optind < argc ? argv[optind] : "";
    const char *name = optind + 1 < argc ? argv[optind + 1] : NULL;
    bool creates = strcmp(command, "create") == 0, revokes = strcmp(command, "revoke") == 0;
    bool lists = strcmp(command, "list") == 0;
    if (optind + 2 < argc || (creates || revokes) != (name != NULL) ||
        (!creates && !revokes && !lists)) {
        return usage("say create NAME, list or revoke NAME", "");
    }
    if (o.state[0] == '\0' && served_state_folder(o.state, &err) != ST_OK) {
        return fail(&err);
    }
    return creates ? create(&o, name) : revokes ? revoke(&o, name) : list(&o);
}
