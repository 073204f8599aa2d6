/* Time whole processes: process ROUNDS -- COMMAND... [-- COMMAND...]...
 * In each round every command is started once, in turn, every other round from the last to the first, and waited
 * for; its output goes to /dev/null. Prints one line "INDEX NANOSECONDS" per process. Ends with 1 when a command
 * fails. */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { COMMANDS_MAX = 16, ROUNDS_MAX = 100000 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Cut argv at each "--" into commands[]; returns their count, 0 when there are none or too many. */
static int split(int argc, char **argv, char **commands[COMMANDS_MAX])
{
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0) {
            continue;
        }
        argv[i] = NULL;
        if (count == COMMANDS_MAX || i + 1 == argc) {
            return 0;
        }
        commands[count++] = &argv[i + 1];
    }
    return count;
}

/* Nanoseconds from the start of command until its end, or 0 when it failed. */
static uint64_t run(char **command, const posix_spawn_file_actions_t *actions)
{
    pid_t pid;
    int status;
    uint64_t start = now_ns();
    int error = posix_spawnp(&pid, command[0], actions, NULL, command, environ);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", command[0], strerror(error));
        return 0;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 0;
        }
    }
    uint64_t end = now_ns();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "%s: failed with status 0x%x\n", command[0], (unsigned)status);
        return 0;
    }
    return end - start;
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS_MAX];
    char *end = NULL;
    long rounds = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    int count = split(argc, argv, commands);
    if (rounds < 1 || rounds > ROUNDS_MAX || *end != '\0' || count == 0) {
        fprintf(stderr, "usage: process ROUNDS -- COMMAND... [-- COMMAND...]...\n");
        return 64;
    }
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0) {
        return 1;
    }
    for (long r = 0; r < rounds; r++) {
        for (int i = 0; i < count; i++) {
            int c = r % 2 == 0 ? i : count - 1 - i;
            uint64_t ns = run(commands[c], &actions);
            if (ns == 0) {
                return 1;
            }
            printf("%d %llu\n", c, (unsigned long long)ns);
        }
    }
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}
