#include "sys/signals.h"

#include <signal.h>

void signal_catch_once(int number, void (*handler)(int number))
{
    struct sigaction before, action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(number, &action, NULL);
    }
}
