#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

#include "exitcode/exit_code.h"
#include "localstate/keys.h"
#include "master.h"
#include "servedstate/folder.h"
#include "sys/process.h"

/* `cloudskin keys`: the keys of S3 clients, from the state folder, and the master keys of the store that is up. */

static const char help_text[] =
    "Usage: cloudskin keys [--state DIR]\n"
    "       cloudskin keys master [--json]\n"
    "       cloudskin keys rotate\n"
    "       cloudskin keys drop ID\n"
    "\n"
    "Print the key for S3 clients as export lines for a shell. The first `cloudskin up` makes it.\n"
    "\n"
    "The others are about the keys that encrypted objects need (`cloudskin up --master-key`), of "
    "the\n"
    "store that is up. master lists them, and how many extents - files, and small objects - need "
    "each.\n"
    "rotate makes a new one, and has all need that one only, without writing objects again; when "
    "it is\n"
    "interrupted, the next `cloudskin up` goes on. drop removes one that nothing needs from the "
    "file.\n"
    "\n"
    "      --json       of master: as JSON on standard output\n"
    "      --controller ADDR  unix:/PATH of the store (default: that of cloudskin up)\n"
    "      --state DIR  the state folder (default: that of the store that is up, else\n"
    "                   $XDG_STATE_HOME/cloudskin, else ~/.local/state/cloudskin)\n"
    "  -h, --help       this text\n"
    "\n"
    "Exit codes: 0; 64 wrong usage; 65 the file is damaged, or master found that keys are "
    "missing;\n"
    "71 others may read it, the key is needed, or refused by the system; 127 there is none, or\n"
    "nothing is up.\n"
    "\n"
    "Example:\n"
    "  eval \"$(cloudskin keys)\"\n"
    "  aws --endpoint-url http://127.0.0.1:9000 s3 ls\n"
    "  cloudskin keys rotate && cloudskin keys master\n";

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
        {"controller", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *state = NULL;
    struct master_wanted w = {0};
    process_open_stdio();
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help_text, stdout);
            return exit_after_output(program);
        }
        if (c == 'j') {
            w.json = true;
        } else if (c == 'c') {
            w.controller = optarg;
        } else if (c == 's') {
            state = optarg;
        } else {
            fprintf(stderr, "Try 'cloudskin keys --help'.\n");
            return EXIT_USAGE;
        }
    }
    if (optind < argc && state == NULL && keys_master(&w, argc - optind, argv + optind)) {
        int output = exit_after_output(program);
        return w.code != 0 ? w.code : output;
    }
    if (optind < argc || w.json || w.controller != NULL) {
        fprintf(stderr, "%s: unexpected argument \"%s\"\nTry 'cloudskin keys --help'.\n", program,
                optind < argc ? argv[optind] : "--json or --controller");
        return EXIT_USAGE;
    }
    return print(state);
}
