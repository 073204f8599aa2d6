#include "sys/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

void signal_catch_once(int number, void (*handler)(int number))
{
    struct sigaction before, action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(number, &action, NULL);
    }
}

static const char *_Atomic to_unlink;

/* Its second delivery, when this returns, has the default effect. */
static void unlink_and_end(int number)
{
    const char *path = atomic_load(&to_unlink);
    if (path != NULL) {
        unlink(path);
    }
    raise(number);
}

void signal_unlinks(const char *path)
{
    atomic_store(&to_unlink, path);
    if (path != NULL) {
        signal_catch_once(SIGINT, unlink_and_end);
        signal_catch_once(SIGTERM, unlink_and_end);
        signal_catch_once(SIGHUP, unlink_and_end);
    }
}
