#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "controlpath/control.h"
#include "exitcode/exit_code.h"
#include "sys/clock.h"
#include "sys/runtime.h"

/* `cloudskin ps`: the running cells that have names. */

static const char help_text[] =
    "Usage: cloudskin ps [--json]\n"
    "\n"
    "List the running cells of this user that were started with --name: name, process, age, CPU\n"
    "time, memory, program. Of one whose process is stopped only the first two are known.\n"
    "\n"
    "      --json   the same as JSON on standard output\n"
    "  -h, --help   this text\n"
    "\n"
    "Example:\n"
    "  cloudskin run --name sim sim.wasm &\n"
    "  cloudskin ps\n";

enum { PATIENCE_S = 1 };

struct row {
    char name[CONTROL_NAME_MAX + 1];
    bool answers; /* else only name and pid are known */
    uint64_t pid, started_ns, cpu_ns, memory_bytes;
    char program[CONTROL_LINE_MAX];
};

/* Ask a cell about itself. A stopped process accepts the connection and says nothing; ST_IO: it has just ended. */
static status_t ask_about(int fd, struct row *r)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct ucred peer;
    socklen_t len = sizeof peer;
    struct error err = {.offset = ERROR_NO_OFFSET};
    char line[CONTROL_LINE_MAX];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
        r->pid = (uint64_t)peer.pid;
    }
    status_t code = control_send(fd, "info\n", -1, &err);
    code = code != ST_OK ? code : control_receive(fd, line, NULL, &err);
    if (code != ST_OK || strncmp(line, "ok ", 3) != 0) {
        return code;
    }
    const char *at = line + 3;
    r->answers = true;
    r->pid = control_number(&at);
    r->started_ns = control_number(&at);
    r->cpu_ns = control_number(&at);
    r->memory_bytes = control_number(&at);
    snprintf(r->program, sizeof r->program, "%s", at);
    return ST_OK;
}

/* False: nobody listens there any more. */
static bool ask(const char *name, struct row *ret_row)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct row r = {0};
    int fd;
    if (strlen(name) > CONTROL_NAME_MAX) {
        return false;
    }
    memcpy(r.name, name, strlen(name));
    status_t code = control_connect(name, &fd, &err);
    if (code == ST_OK) {
        code = ask_about(fd, &r);
        close(fd);
    }
    if (code == ST_OK || code == ST_AGAIN) {
        *ret_row = r;
    }
    return code == ST_OK || code == ST_AGAIN;
}

static void print_text(const struct row *r)
{
    uint64_t now = clock_realtime_ns();
    char memory[HUMAN_TEXT_BYTES];
    if (!r->answers) {
        printf("%-20s %8" PRIu64 " %11s %11s %13s  does not answer: its process is stopped\n",
               r->name, r->pid, "-", "-", "-");
        return;
    }
    human_bytes(r->memory_bytes, memory);
    printf("%-20s %8" PRIu64 " %9.1f s %9.1f s %13s  %s\n", r->name, r->pid,
           now > r->started_ns ? (double)(now - r->started_ns) / 1e9 : 0.0, (double)r->cpu_ns / 1e9,
           memory, r->program);
}

static void add_json(struct json *j, const struct row *r)
{
    json_open(j, NULL, '{');
    json_text(j, "name", r->name);
    json_u64(j, "pid", r->pid);
    json_bool(j, "answers", r->answers);
    if (r->answers) {
        json_u64(j, "started_ns", r->started_ns);
        json_u64(j, "cpu_ns", r->cpu_ns);
        json_u64(j, "memory_bytes", r->memory_bytes);
        json_text(j, "program", r->program);
    }
    json_close(j, '}');
}

/* Ask every socket of the folder. */
static void each(struct dirent **entries, int count, struct json *json)
{
    for (int i = 0; i < count; i++) {
        char *name = entries[i]->d_name, *end = strrchr(name, '.');
        struct row r;
        if (end != NULL && strcmp(end, ".sock") == 0) {
            *end = '\0';
            bool runs = ask(name, &r);
            if (runs && json != NULL) {
                add_json(json, &r);
            } else if (runs) {
                print_text(&r);
            }
        }
        free(entries[i]);
    }
}

static int list(bool json)
{
    char folder[PATH_MAX];
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct dirent **entries = NULL;
    if (runtime_folder(false, folder, &err) != ST_OK) {
        fprintf(stderr, "cloudskin ps: %s\n", err.text);
        return EXIT_SYSTEM;
    }
    int n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0 && errno != ENOENT) {
        fprintf(stderr, "cloudskin ps: %s: %s\n", folder, strerror(errno));
        return EXIT_SYSTEM;
    }
    if (json) {
        struct buf out = {0};
        struct json j = {.out = &out};
        json_open(&j, NULL, '[');
        each(entries, n, &j);
        json_close(&j, ']');
        fwrite(out.data, 1, out.len, stdout);
        buf_done(&out);
    } else {
        printf("%-20s %8s %11s %11s %13s  %s\n", "NAME", "PID", "AGE", "CPU", "MEMORY", "PROGRAM");
        each(entries, n, NULL);
    }
    free(entries);
    return exit_after_output("cloudskin ps");
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool json = false;
    opterr = 0;
    for (int id; (id = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (id == 'h') {
            fputs(help_text, stdout);
            return exit_after_output("cloudskin ps");
        }
        if (id != 'j') {
            optind = argc + 1;
            break;
        }
        json = true;
    }
    if (optind != argc) {
        fprintf(stderr, "cloudskin ps: unknown argument\nTry 'cloudskin ps --help'.\n");
        return EXIT_USAGE;
    }
    return list(json);
}
