#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

#include "exitcode/exit_code.h"
#include "localstate/keys.h"
#include "servedstate/folder.h"
#include "sys/process.h"

/* `cloudskin keys`: the keys of S3 clients, from the state folder. */

static const char help_text[] =
    "Usage: cloudskin keys [--state DIR]\n"
    "\n"
    "Print the key for S3 clients as export lines for a shell. The first `cloudskin up` makes it.\n"
    "\n"
    "      --state DIR  the state folder (default: that of the store that is up, else\n"
    "                   $XDG_STATE_HOME/cloudskin, else ~/.local/state/cloudskin)\n"
    "  -h, --help       this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 65 the file is damaged; 71 others may read it, or refused by\n"
    "the system; 127 there is none yet.\n"
    "\n"
    "Example:\n"
    "  eval \"$(cloudskin keys)\"\n"
    "  aws --endpoint-url http://127.0.0.1:9000 s3 ls\n";

static const char program[] = "cloudskin keys";

static int print(const char *state)
{
    static struct keys keys;
    struct error err = {0};
    char folder[PATH_MAX];
    status_t st = ST_OK;
    if (state == NULL) {
        st = served_state_folder(folder, &err);
        state = folder;
    }
    if (st == ST_OK) {
        st = keys_read(state, &keys, &err);
    }
    if (st == ST_NOTFOUND) {
        fprintf(stderr, "%s: no keys in %s yet: the first `cloudskin up` makes them\n", program,
                state);
        return EXIT_MISSING;
    }
    if (st != ST_OK) {
        fprintf(stderr, "%s: %s\n", program, err.text);
        return st == ST_INVAL ? EXIT_USAGE : exit_code_of(st);
    }
    keys_print(&keys, stdout);
    return exit_after_output(program);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"state", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *state = NULL;
    process_open_stdio();
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program);
        }
        if (c != 's') {
            fprintf(stderr, "Try 'cloudskin keys --help'.\n");
            return EXIT_USAGE;
        }
        state = optarg;
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry 'cloudskin keys --help'.\n", program,
                argv[optind]);
        return EXIT_USAGE;
    }
    return print(state);
}
