#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "controlpath/control.h"
#include "exitcode/exit_code.h"
#include "sys/clock.h"

/* `cloudskin ps`: the running cells that have names. */

static const char help_text[] =
    "Usage: cloudskin ps [--json]\n"
    "\n"
    "List the running cells of this user that were started with --name: name, process, age, CPU\n"
    "time, memory, program.\n"
    "\n"
    "      --json   the same as JSON on standard output\n"
    "  -h, --help   this text\n"
    "\n"
    "Example:\n"
    "  cloudskin run --name sim sim.wasm &\n"
    "  cloudskin ps\n";

struct row {
    char name[CONTROL_NAME_MAX + 1];
    uint64_t pid, started_ns, cpu_ns, memory_bytes;
    char program[CONTROL_LINE_MAX];
};

/* False: nobody listens there any more. */
static bool ask(const char *name, struct row *ret_row)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    char line[CONTROL_LINE_MAX];
    int fd;
    if (strlen(name) > CONTROL_NAME_MAX || control_connect(name, &fd, &err) != ST_OK) {
        return false;
    }
    bool good = control_send(fd, "info\n", -1, &err) == ST_OK &&
                control_receive(fd, line, NULL, &err) == ST_OK && strncmp(line, "ok ", 3) == 0;
    close(fd);
    if (!good) {
        return false;
    }
    struct row r = {0};
    const char *at = line + 3;
    memcpy(r.name, name, strlen(name));
    r.pid = control_number(&at);
    r.started_ns = control_number(&at);
    r.cpu_ns = control_number(&at);
    r.memory_bytes = control_number(&at);
    snprintf(r.program, sizeof r.program, "%s", at);
    *ret_row = r;
    return true;
}

static void print_text(const struct row *r)
{
    uint64_t now = clock_realtime_ns();
    printf("%-20s %8" PRIu64 " %9.1f s %9.1f s %9.1f MiB  %s\n", r->name, r->pid,
           now > r->started_ns ? (double)(now - r->started_ns) / 1e9 : 0.0, (double)r->cpu_ns / 1e9,
           (double)r->memory_bytes / 1048576.0, r->program);
}

static void add_json(struct json *j, const struct row *r)
{
    json_open(j, NULL, '{');
    json_text(j, "name", r->name);
    json_u64(j, "pid", r->pid);
    json_u64(j, "started_ns", r->started_ns);
    json_u64(j, "cpu_ns", r->cpu_ns);
    json_u64(j, "memory_bytes", r->memory_bytes);
    json_text(j, "program", r->program);
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
    if (control_folder(false, folder, &err) != ST_OK) {
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
    return fflush(stdout) == 0 ? 0 : EXIT_SYSTEM;
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
            return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_SYSTEM : 0;
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
