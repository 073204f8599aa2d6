#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exitcode/exit_code.h"
#include "help.h"
#include "run.h"
#include "sys/process.h"

/* The command line. `run` is built in, so that a cell starts without another exec; every other verb is the program
 * libexec/cloudskin/VERB beside this one's folder. */

static bool is_verb(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
           text[0] != '-';
}

static int unknown(const char *text)
{
    bool is_file = access(text, R_OK) == 0;
    if (strcmp(text, "aot") == 0 || strcmp(text, "cc") == 0 || strcmp(text, "c++") == 0) {
        fprintf(stderr, "cloudskin: no verb '%s': it is a program, cloudskin-%s\n", text, text);
        return EXIT_USAGE;
    }
    fprintf(stderr, "cloudskin: no verb '%s'\nTry 'cloudskin %s%s'.\n", text,
            is_file ? "run " : "help", is_file ? text : "");
    return EXIT_USAGE;
}

/* The program of a verb in libexec/cloudskin, most often of the same name; NULL: a verb that is not known here. */
static const char *program_of(const char *verb)
{
    static const char *const own[] = {"inspect", "cache", "ps", "freeze", "checkpoint", "up",
                                      "down",    "keys",  "ca", "token",  "node"};
    static const char *const of_objects[] = {"put",   "get",      "ls",   "rm",   "mv",
                                             "cp",    "stat",     "mb",   "rb",   "pin",
                                             "spill", "relocate", "tier", "watch"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(verb, own[i]) == 0) {
            return own[i];
        }
    }
    for (size_t i = 0; i < sizeof of_objects / sizeof of_objects[0]; i++) {
        if (strcmp(verb, of_objects[i]) == 0) {
            return "objects";
        }
    }
    return NULL;
}

/* Become the verb's program; argv[0] is the verb. Returns only when that fails. */
static int exec_verb(const char *verb, char **argv)
{
    char relative[64], path[PATH_MAX];
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (!is_verb(verb)) {
        return unknown(verb);
    }
    const char *program = program_of(verb);
    bool is_daemon = strcmp(verb, "node") == 0; /* which also stands for itself */
    snprintf(relative, sizeof relative, is_daemon ? "cloudskin-%s" : "../libexec/cloudskin/%s",
             program != NULL ? program : verb);
    if (process_sibling(relative, path, &err) != ST_OK) {
        fprintf(stderr, "cloudskin: %s\n", err.text);
        return EXIT_SYSTEM;
    }
    execv(path, argv);
    if (errno == ENOENT && program != NULL) {
        fprintf(stderr, "cloudskin: '%s' is not installed: %s is missing\n", verb, path);
        return EXIT_MISSING;
    }
    if (errno == ENOENT) {
        return unknown(verb);
    }
    fprintf(stderr, "cloudskin: %s: %s\n", path, strerror(errno));
    return EXIT_SYSTEM;
}

static int help_main(const char *verb)
{
    if (verb == NULL || strcmp(verb, "run") == 0 || strcmp(verb, "thaw") == 0) {
        return help_print(verb, stdout);
    }
    char *argv[] = {(char *)(uintptr_t)verb, (char *)"--help", NULL};
    return exec_verb(verb, argv);
}

int main(int argc, char **argv)
{
    process_open_stdio();
    if (argc < 2) {
        help_print(NULL, stderr);
        return EXIT_USAGE;
    }
    const char *verb = argv[1];
    if (strcmp(verb, "run") == 0) {
        return run_main(argc - 1, argv + 1);
    }
    if (strcmp(verb, "thaw") == 0) {
        return thaw_main(argc - 1, argv + 1);
    }
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        return help_main(argc > 2 ? argv[2] : NULL);
    }
    if (strcmp(verb, "--version") == 0 || strcmp(verb, "version") == 0) {
        printf("cloudskin %s\n", CLOUDSKIN_VERSION);
        return exit_after_output("cloudskin");
    }
    return exec_verb(verb, argv + 1);
}
