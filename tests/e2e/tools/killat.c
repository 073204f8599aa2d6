/* A process killed, or a disk that is full, at its Nth call that changes a file:
 *
 *     killat kill|fail N -p PID        a running process with all its threads, until it ends
 *     killat kill|fail N COMMAND...    a new one
 *
 * fail: the Nth and later calls of write(2), which is how a runner writes snapshots, fail with ENOSPC. Prints how many
 * calls it saw. Exit code 0: the Nth came; 3: the process ended before. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"

enum { THREADS_MAX = 64 };
#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)

static bool changes(long call)
{
    static const long calls[] = {
        SYS_write,  SYS_writev,   SYS_pwrite64,  SYS_pwritev2, SYS_ftruncate, SYS_fsync,
        SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlink,   SYS_unlinkat,  SYS_fdatasync,
        SYS_linkat, SYS_mkdirat,  SYS_symlinkat, SYS_openat,   SYS_utimensat,
    };
    bool found = false;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        found = found || call == calls[i];
    }
    return found;
}

struct watched {
    bool fails;
    unsigned long at, seen;
    pid_t failing[THREADS_MAX]; /* threads inside a call that is to fail */
    int status;                 /* of the process when it ended */
};

static pid_t *find(struct watched *w, pid_t tid)
{
    for (int i = 0; i < THREADS_MAX; i++) {
        if (w->failing[i] == tid) {
            return &w->failing[i];
        }
    }
    return NULL;
}

/* True: the process is to be killed now. */
static bool enters(struct watched *w, pid_t tid, struct user_regs_struct *regs)
{
    long call = (long)regs->orig_rax;
    /* what tells how it goes is no file */
    bool counts = (w->fails ? call == SYS_write : changes(call)) &&
                  !(call == SYS_write && (regs->rdi == 1 || regs->rdi == 2));
    w->seen += counts;
    if (!counts || w->seen < w->at) {
        return false;
    }
    pid_t *free_slot = w->fails ? find(w, 0) : NULL;
    if (free_slot != NULL) {
        *free_slot = tid;
        regs->orig_rax = (unsigned long long)-1;
        ptrace(PTRACE_SETREGS, tid, NULL, regs);
    }
    return !w->fails;
}

static void leaves(struct watched *w, pid_t tid, struct user_regs_struct *regs)
{
    pid_t *slot = find(w, tid);
    if (slot != NULL) {
        *slot = 0;
        regs->rax = (unsigned long long)-ENOSPC;
        ptrace(PTRACE_SETREGS, tid, NULL, regs);
    }
}

static bool at_call(struct watched *w, pid_t tid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) != 0) {
        return false;
    }
    if (regs.rax == (unsigned long long)-ENOSYS && find(w, tid) == NULL) {
        return enters(w, tid, &regs);
    }
    leaves(w, tid, &regs);
    return false;
}

static void watch(struct watched *w, pid_t pid)
{
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0) {
            return;
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (tid == pid) {
                w->status = status;
                return;
            }
            continue;
        }
        int number = WSTOPSIG(status), event = status >> 16;
        if (number == (SIGTRAP | 0x80) && at_call(w, tid)) {
            kill(pid, SIGKILL);
        }
        bool own = event != 0 || number == (SIGTRAP | 0x80) || number == SIGTRAP;
        ptrace(PTRACE_SYSCALL, tid, NULL, own ? 0 : number);
    }
}

static bool seize_all(pid_t pid)
{
    char path[64];
    uint64_t tid;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    bool good = dir != NULL;
    for (struct dirent *e; good && (e = readdir(dir)) != NULL;) {
        if (parse_u64(e->d_name, INT32_MAX, &tid) == ST_OK) {
            good = ptrace(PTRACE_SEIZE, (pid_t)tid, NULL, (void *)OPTIONS) == 0 &&
                   ptrace(PTRACE_INTERRUPT, (pid_t)tid, NULL, NULL) == 0;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return good;
}

static pid_t start(char **argv)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(OPTIONS | PTRACE_O_EXITKILL));
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    }
    return pid;
}

int main(int argc, char **argv)
{
    struct watched w = {0};
    uint64_t at, pid;
    if (argc < 4 || parse_u64(argv[2], UINT32_MAX, &at) != ST_OK) {
        return 2;
    }
    w.fails = strcmp(argv[1], "fail") == 0;
    w.at = at;
    if (strcmp(argv[3], "-p") != 0) {
        pid = (uint64_t)start(argv + 3);
    } else if (argc < 5 || parse_u64(argv[4], INT32_MAX, &pid) != ST_OK || !seize_all((pid_t)pid)) {
        perror("killat");
        return 2;
    }
    printf("watching\n");
    fflush(stdout);
    watch(&w, (pid_t)pid);
    printf("%lu calls\n", w.seen);
    return w.seen >= w.at ? 0 : 3;
}
