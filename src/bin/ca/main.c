#include <dirent.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/parse.h"
#include "exitcode/exit_code.h"
#include "localstate/folder.h"
#include "net/tls/ca.h"
#include "sys/process.h"

/* `cloudskin ca`: the certificates of an installation. */

static const char help_text[] =
    "Usage: cloudskin ca init [--name NAME] [--host HOST]...\n"
    "       cloudskin ca issue NAME [--host HOST]... [--role ROLE] [--days N] [-o FOLDER]\n"
    "       cloudskin ca renew NAME [--days N] [-o FOLDER]\n"
    "       cloudskin ca show [--json] [FILE]\n"
    "\n"
    "Certificates for TLS between this store and clients on other machines.\n"
    "\n"
    "  init   make a certificate authority (ca.crt, ca.key) and the certificate `controller` that\n"
    "         `cloudskin up --listen` shows to clients\n"
    "  issue  make a key and a certificate: NAME.key, NAME.crt, and a copy of ca.crt beside them\n"
    "  renew  make NAME.crt anew for the same key, role and hosts\n"
    "  show   list the certificates of the folder, or describe one file\n"
    "\n"
    "      --host HOST   a name or IP address that clients may use for its bearer, who may serve\n"
    "                    then (may be repeated; init: localhost, 127.0.0.1, ::1 and this "
    "machine's\n"
    "                    name are there anyway)\n"
    "      --role ROLE   what its bearer may do as a client: read, write, admin or node. Without\n"
    "                    one the certificate says who somebody is, and a token what he may do\n"
    "      --days N      it ends after N days (default 90; 3650 at most)\n"
    "  -o, --output FOLDER  where the files go, or are (default: beside the CA)\n"
    "      --name NAME   the CA's own name (default: cloudskin)\n"
    "      --dir DIR     the CA's folder (default: tls in $XDG_STATE_HOME/cloudskin, else in\n"
    "                    ~/.local/state/cloudskin)\n"
    "      --json        show as JSON\n"
    "  -h, --help        this text\n"
    "\n"
    "Files that are there are never overwritten, but for the certificate that is renewed. Keys "
    "are\n"
    "EC P-256 with mode 0600. Who can read ca.key can be anybody: keep it from other machines.\n"
    "\n"
    "Exit codes: 0 done; 64 wrong usage; 65 a file is no certificate, or of another CA; 71 it is\n"
    "there already, others can read a key, or refused by the system; 127 there is no CA or file.\n"
    "\n"
    "Examples:\n"
    "  cloudskin ca init --host store.example.org\n"
    "  cloudskin ca issue laptop --role write -o laptop/\n"
    "  cloudskin ca renew controller --days 365\n";

static const char program[] = "cloudskin ca";

struct settings {
    const char *hosts[TLS_HOSTS_MAX + 4];
    size_t host_count;
    const char *role, *to, *name;
    char folder[PATH_MAX];
    uint64_t days; /* 0: the default */
    bool json;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "%s: %s\n", program, err->text);
    return err->code == ST_INVAL ? EXIT_USAGE : exit_code_of(err->code);
}

static int usage(const char *text, const char *value)
{
    fprintf(stderr, "%s: %s%s\nTry 'cloudskin ca --help'.\n", program, text, value);
    return EXIT_USAGE;
}

static void say_made(const char *folder, const char *name)
{
    printf("%s/%s.crt\n%s/%s.key\n", folder, name, folder, name);
}

static int init(const struct settings *o)
{
    struct error err = {0};
    char self[HOST_NAME_MAX + 1] = "";
    const char *hosts[TLS_HOSTS_MAX + 4] = {"localhost", "127.0.0.1", "::1"};
    size_t count = 3;
    if (gethostname(self, sizeof self - 1) == 0 && tls_host_is_good(self)) {
        hosts[count++] = self;
    }
    for (size_t i = 0; i < o->host_count && count < TLS_HOSTS_MAX + 4; i++) {
        hosts[count++] = o->hosts[i];
    }
    const struct tls_issue what = {
        .name = "controller", .hosts = hosts, .host_count = count, .days = (unsigned)o->days};
    if (count > TLS_HOSTS_MAX) {
        return usage("too many hosts", "");
    }
    status_t st = tls_ca_init(o->folder, o->name, &err);
    if (st == ST_OK) {
        say_made(o->folder, "ca");
        st = tls_ca_issue(o->folder, &what, &err);
    }
    if (st != ST_OK) {
        return fail(&err);
    }
    say_made(o->folder, what.name);
    return exit_after_output(program);
}

static int issue(const struct settings *o, const char *name)
{
    struct error err = {0};
    const struct tls_issue what = {.name = name,
                                   .role = o->role,
                                   .hosts = o->hosts,
                                   .host_count = o->host_count,
                                   .days = (unsigned)o->days,
                                   .to = o->to};
    if (tls_ca_issue(o->folder, &what, &err) != ST_OK) {
        return fail(&err);
    }
    say_made(o->to != NULL ? o->to : o->folder, name);
    return exit_after_output(program);
}

static int renew(const struct settings *o, const char *name)
{
    struct error err = {0};
    if (tls_ca_renew(o->folder, name, o->to, (unsigned)o->days, &err) != ST_OK) {
        return fail(&err);
    }
    printf("%s/%s.crt\n", o->to != NULL ? o->to : o->folder, name);
    return exit_after_output(program);
}

static const char *kind_of(const struct tls_description *d)
{
    return d->is_ca ? "ca" : d->hosts[0] != '\0' ? "server" : "client";
}

static void describe(struct json *j, const char *path, const struct tls_description *d)
{
    char ends[32] = "";
    time_t seconds = (time_t)d->ends_s;
    struct tm parts;
    int64_t left = (d->ends_s - (int64_t)time(NULL)) / 86400;
    bool over = d->ends_s <= (int64_t)time(NULL);
    if (j != NULL) {
        json_open(j, NULL, '{');
        json_text(j, "file", path);
        json_text(j, "name", d->name);
        json_text(j, "kind", kind_of(d));
        json_text(j, "role", d->role);
        json_text(j, "hosts", d->hosts);
        json_u64(j, "begins", (uint64_t)d->begins_s);
        json_u64(j, "ends", (uint64_t)d->ends_s);
        json_bool(j, "ended", over);
        json_text(j, "sha256", d->sha256);
        json_close(j, '}');
        return;
    }
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(ends, sizeof ends, "%Y-%m-%d", &parts);
    }
    printf("%-20s %-6s  %-5s  ", d->name[0] != '\0' ? d->name : "-", kind_of(d),
           d->role[0] != '\0' ? d->role : "-");
    if (over) {
        printf("ended %s        ", ends);
    } else {
        printf("until %s %4lld d ", ends, (long long)left);
    }
    printf(" %.16s  %s\n", d->sha256, d->hosts);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_certificate(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    return e->d_name[0] != '.' && len > 4 && strcmp(e->d_name + len - 4, ".crt") == 0;
}

static int show_files(char *const paths[], size_t count, bool as_json)
{
    struct buf text = {0};
    struct json j = {.out = &text};
    static struct tls_description d;
    struct error err = {0};
    int code = 0;
    if (as_json) {
        json_open(&j, NULL, '[');
    }
    for (size_t i = 0; i < count; i++) {
        if (tls_describe(paths[i], &d, &err) != ST_OK) {
            code = fail(&err);
        } else {
            describe(as_json ? &j : NULL, paths[i], &d);
        }
    }
    if (as_json) {
        json_close(&j, ']');
        printf("%.*s\n", text.failed ? 0 : (int)text.len, (const char *)text.data);
    }
    buf_done(&text);
    int flushed = exit_after_output(program);
    return code != 0 ? code : flushed;
}

static int show(const struct settings *o, char *file)
{
    struct dirent **found = NULL;
    char *paths[4096];
    size_t count = 0;
    if (file != NULL) {
        return show_files(&file, 1, o->json);
    }
    int n = scandir(o->folder, &found, is_certificate, NULL);
    for (int i = 0; i < n; i++) {
        if (count < sizeof paths / sizeof paths[0] &&
            asprintf(&paths[count], "%s/%s", o->folder, found[i]->d_name) > 0) {
            count++;
        }
        free(found[i]);
    }
    free(found);
    if (count == 0) {
        fprintf(stderr, "%s: no CA in %s (`cloudskin ca init` makes one)\n", program, o->folder);
        return EXIT_MISSING;
    }
    qsort(paths, count, sizeof paths[0], by_name);
    int code = show_files(paths, count, o->json);
    while (count > 0) {
        free(paths[--count]);
    }
    return code;
}

static bool is_role(const char *text)
{
    return strcmp(text, "read") == 0 || strcmp(text, "write") == 0 || strcmp(text, "admin") == 0 ||
           strcmp(text, "node") == 0;
}

/* 0: go on; else the exit code + 1. */
static int parse_options(int argc, char **argv, struct settings *o)
{
    static const struct option long_options[] = {
        {"host", required_argument, NULL, 'H'},
        {"role", required_argument, NULL, 'r'},
        {"days", required_argument, NULL, 'D'},
        {"output", required_argument, NULL, 'o'},
        {"name", required_argument, NULL, 'n'},
        {"dir", required_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
        if (c == 'H' && o->host_count < TLS_HOSTS_MAX) {
            o->hosts[o->host_count++] = optarg;
            if (!tls_host_is_good(optarg)) {
                return usage("--host: neither a host's name nor an IP address: ", optarg) + 1;
            }
        } else if (c == 'r') {
            o->role = optarg;
            if (!is_role(optarg)) {
                return usage("--role: not read, write, admin or node: ", optarg) + 1;
            }
        } else if (c == 'D') {
            if (parse_u64(optarg, TLS_DAYS_MAX, &o->days) != ST_OK || o->days == 0) {
                return usage("--days: not a number of days from 1 to 3650: ", optarg) + 1;
            }
        } else if (c == 'o') {
            o->to = optarg;
        } else if (c == 'n') {
            o->name = optarg;
        } else if (c == 'd' && snprintf(o->folder, PATH_MAX, "%s", optarg) < PATH_MAX) {
            continue;
        } else if (c == 'j') {
            o->json = true;
        } else if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program) + 1;
        } else {
            fprintf(stderr, "Try 'cloudskin ca --help'.\n");
            return EXIT_USAGE + 1;
        }
    }
    return 0;
}

static int choose_folder(struct settings *o)
{
    struct error err = {0};
    if (o->folder[0] == '\0') {
        char state[PATH_MAX];
        if (state_folder_default(state, &err) != ST_OK) {
            return fail(&err) + 1;
        }
        if (snprintf(o->folder, PATH_MAX, "%s/tls", state) >= PATH_MAX) {
            return usage("the path of the state folder is too long", "") + 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct settings o = {.name = "cloudskin"};
    process_open_stdio();
    int code = parse_options(argc, argv, &o);
    if (code == 0) {
        code = choose_folder(&o);
    }
    if (code != 0) {
        return code - 1;
    }
    const char *command = optind < argc ? argv[optind] : "";
    char *argument = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (optind + 2 < argc) {
        return usage("unexpected argument ", argv[optind + 2]);
    }
    if (strcmp(command, "init") == 0 && argument == NULL) {
        return init(&o);
    }
    if (strcmp(command, "show") == 0) {
        return show(&o, argument);
    }
    if (strcmp(command, "issue") == 0 && argument != NULL) {
        return issue(&o, argument);
    }
    if (strcmp(command, "renew") == 0 && argument != NULL) {
        return renew(&o, argument);
    }
    return usage("say init, issue NAME, renew NAME or show", "");
}
