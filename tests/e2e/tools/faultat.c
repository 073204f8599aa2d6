/* A fault at the Nth call of a process that changes files, the same one whenever it is run:
 *
 *     faultat MODE N [--under FOLDER]... [--only CALL] [--times T] [--log FILE] COMMAND...
 *     faultat MODE N [OPTIONS] -p PID        a running process with all its threads
 *
 * MODE kill: SIGKILL before the call; killed: behind it; short: half of what is to be written is; ENOSPC, EIO, EINTR:
 * the call fails. --under: only calls on files there, and then also on standard output; --only: only this call;
 * --times: so many calls from the Nth on, 0 for all (default 1). Children are followed; it is the process that makes
 * the call which is killed. A mode counts only calls that can go that way: nothing is short but write and pwrite, EINTR
 * is for writes, syncs and cuts, ENOSPC for what takes room.
 *
 * FILE gets "fault N CALL PATH" for each, and at the end "seen N". Ends when all processes have; the exit code is the
 * command's, 128 + N where a signal ended it. With -p it says "watching" first. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

enum { THREADS_MAX = 256, UNDER_MAX = 4, PAGE_BYTES = 4096, NONE = -1 };
#define OPTIONS                                                                               \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
     PTRACE_O_EXITKILL)

/* Which argument is what; NONE: there is none. */
struct call {
    long number;
    const char *name;
    int fd;           /* of the file */
    int dir_fd, path; /* of its name; dir_fd NONE: the path is from the present folder */
    int other_dir_fd, other_path;   /* the same of a second name */
    bool writes, waits, takes_room; /* may be short, interrupted, fail for want of room */
};

static const struct call calls[] = {
    {SYS_write, "write", 0, NONE, NONE, NONE, NONE, true, true, true},
    {SYS_pwrite64, "pwrite", 0, NONE, NONE, NONE, NONE, true, true, true},
    {SYS_writev, "writev", 0, NONE, NONE, NONE, NONE, false, true, true},
    {SYS_pwritev2, "pwritev2", 0, NONE, NONE, NONE, NONE, false, true, true},
    {SYS_ftruncate, "ftruncate", 0, NONE, NONE, NONE, NONE, false, true, false},
    {SYS_fsync, "fsync", 0, NONE, NONE, NONE, NONE, false, true, true},
    {SYS_fdatasync, "fdatasync", 0, NONE, NONE, NONE, NONE, false, true, true},
    {SYS_fchmod, "fchmod", 0, NONE, NONE, NONE, NONE, false, false, false},
    {SYS_utimensat, "utimensat", NONE, 0, 1, NONE, NONE, false, false, false},
    {SYS_fchmodat, "fchmodat", NONE, 0, 1, NONE, NONE, false, false, false},
    {SYS_openat, "openat", NONE, 0, 1, NONE, NONE, false, false, true},
    {SYS_openat2, "openat2", NONE, 0, 1, NONE, NONE, false, false, true},
    {SYS_mkdir, "mkdir", NONE, NONE, 0, NONE, NONE, false, false, true},
    {SYS_mkdirat, "mkdirat", NONE, 0, 1, NONE, NONE, false, false, true},
    {SYS_symlinkat, "symlinkat", NONE, 1, 2, NONE, NONE, false, false, true},
    {SYS_linkat, "linkat", NONE, 0, 1, 2, 3, false, false, true},
    {SYS_unlink, "unlink", NONE, NONE, 0, NONE, NONE, false, false, false},
    {SYS_unlinkat, "unlinkat", NONE, 0, 1, NONE, NONE, false, false, false},
    {SYS_rename, "rename", NONE, NONE, 0, NONE, 1, false, false, true},
    {SYS_renameat, "renameat", NONE, 0, 1, 2, 3, false, false, true},
    {SYS_renameat2, "renameat2", NONE, 0, 1, 2, 3, false, false, true},
};

enum mode { MODE_KILL, MODE_KILLED, MODE_SHORT, MODE_FAIL };

/* A thread inside a call that is not to go as it should. */
struct inside {
    pid_t tid;
    bool shortened;
    unsigned long long length;
};

struct watched {
    enum mode mode;
    int errnum;
    uint64_t at, times, seen;
    char under[UNDER_MAX][PATH_MAX];
    size_t under_count;
    const char *only;
    FILE *log;
    pid_t pid;
    int status; /* of that process when it ended */
    struct inside inside[THREADS_MAX];
};

/* ---- what a call is about ---- */

static bool read_text(pid_t tid, uint64_t at, char ret_text[PATH_MAX])
{
    char path[64];
    size_t len = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)tid);
    int fd = at != 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool ended = false;
    while (fd >= 0 && !ended && len < PATH_MAX) {
        size_t piece = PAGE_BYTES - (at + len) % PAGE_BYTES;
        piece = piece < PATH_MAX - len ? piece : PATH_MAX - len;
        ssize_t n = pread(fd, ret_text + len, piece, (off_t)(at + len));
        if (n <= 0) {
            break;
        }
        ended = memchr(ret_text + len, '\0', (size_t)n) != NULL;
        len += (size_t)n;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ended;
}

static bool read_link(pid_t tid, const char *what, char ret_text[PATH_MAX])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)tid, what);
    ssize_t n = readlink(path, ret_text, PATH_MAX - 1);
    ret_text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool path_of_fd(pid_t tid, uint64_t fd, char ret_path[PATH_MAX])
{
    char what[32];
    if ((int)fd == AT_FDCWD) {
        return read_link(tid, "cwd", ret_path);
    }
    snprintf(what, sizeof what, "fd/%d", (int)fd);
    return read_link(tid, what, ret_path);
}

/* dir_fd, path: numbers of arguments. */
static bool path_of_name(pid_t tid, const uint64_t *args, int dir_fd, int path,
                         char ret_path[PATH_MAX])
{
    char folder[PATH_MAX], name[PATH_MAX];
    uint64_t fd = dir_fd == NONE ? (uint64_t)AT_FDCWD : args[dir_fd];
    if (!read_text(tid, args[path], name)) { /* of the descriptor itself */
        return path_of_fd(tid, fd, ret_path);
    }
    if (name[0] == '/') {
        memcpy(ret_path, name, strlen(name) + 1);
        return true;
    }
    return path_of_fd(tid, fd, folder) &&
           snprintf(ret_path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

static bool is_under(const struct watched *w, const char *path)
{
    for (size_t i = 0; i < w->under_count; i++) {
        size_t len = strlen(w->under[i]);
        if (strncmp(path, w->under[i], len) == 0 && (path[len] == '/' || path[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* False: it is on none of the files that are looked at. */
static bool place_of(const struct watched *w, pid_t tid, const struct call *c, const uint64_t *args,
                     char ret_path[PATH_MAX])
{
    bool known = c->fd != NONE ? path_of_fd(tid, args[c->fd], ret_path)
                               : path_of_name(tid, args, c->dir_fd, c->path, ret_path);
    if (w->under_count == 0) { /* what tells how it goes is no file */
        return c->fd == NONE || (args[c->fd] != 1 && args[c->fd] != 2);
    }
    if (known && is_under(w, ret_path)) {
        return true;
    }
    return c->other_path != NONE &&
           path_of_name(tid, args, c->other_dir_fd, c->other_path, ret_path) &&
           is_under(w, ret_path);
}

static bool opens_to_change(pid_t tid, const struct call *c, const uint64_t *args)
{
    uint64_t flags = args[2];
    if (c->number == SYS_openat2) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/mem", (int)tid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? pread(fd, &flags, sizeof flags, (off_t)args[2]) : 0;
        flags = n == sizeof flags ? flags : 0;
        if (fd >= 0) {
            close(fd);
        }
    }
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static const struct call *find_call(const struct watched *w, pid_t tid, uint64_t number,
                                    const uint64_t *args, char ret_path[PATH_MAX])
{
    const struct call *c = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        c = (uint64_t)calls[i].number == number ? &calls[i] : c;
    }
    if (c == NULL || (w->only != NULL && strcmp(w->only, c->name) != 0)) {
        return NULL;
    }
    bool opens = number == SYS_openat || number == SYS_openat2;
    bool can = w->mode == MODE_SHORT  ? c->writes && args[2] > 1
               : w->mode != MODE_FAIL ? true
               : w->errnum == EINTR   ? c->waits
               : w->errnum == ENOSPC  ? c->takes_room
                                      : true;
    can = can && (!opens || opens_to_change(tid, c, args));
    return can && place_of(w, tid, c, args, ret_path) ? c : NULL;
}

/* ---- the fault ---- */

static struct inside *find_inside(struct watched *w, pid_t tid)
{
    for (int i = 0; i < THREADS_MAX; i++) {
        if (w->inside[i].tid == tid) {
            return &w->inside[i];
        }
    }
    return NULL;
}

static void kill_process_of(pid_t tid)
{
    char path[64], line[128];
    uint64_t tgid = (uint64_t)tid;
    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "Tgid:\t", 6) == 0) {
            line[strcspn(line, "\n")] = '\0';
            if (parse_u64(line + 6, INT32_MAX, &tgid) != ST_OK) {
                tgid = (uint64_t)tid;
            }
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    kill((pid_t)tgid, SIGKILL);
}

static void spoil(struct watched *w, pid_t tid)
{
    struct user_regs_struct regs;
    struct inside *in = find_inside(w, 0);
    if (w->mode == MODE_KILL) {
        kill_process_of(tid);
        return;
    }
    if (in == NULL || ptrace(PTRACE_GETREGS, tid, NULL, &regs) != 0) {
        return;
    }
    *in = (struct inside){.tid = tid, .shortened = w->mode == MODE_SHORT, .length = regs.rdx};
    if (w->mode == MODE_SHORT) {
        regs.rdx /= 2;
    } else if (w->mode == MODE_FAIL) {
        regs.orig_rax = (unsigned long long)-1;
    }
    ptrace(PTRACE_SETREGS, tid, NULL, &regs);
}

static void enters(struct watched *w, pid_t tid, uint64_t number, const uint64_t *args)
{
    char path[PATH_MAX] = "";
    const struct call *c = find_call(w, tid, number, args, path);
    if (c == NULL) {
        return;
    }
    w->seen++;
    if (w->seen < w->at || (w->times != 0 && w->seen >= w->at + w->times)) {
        return;
    }
    if (w->log != NULL) {
        char other[PATH_MAX] = "";
        bool two = c->other_path != NONE &&
                   path_of_name(tid, args, c->other_dir_fd, c->other_path, other);
        fprintf(w->log, "fault %llu %s %s %s\n", (unsigned long long)w->seen, c->name, path,
                two ? other : "");
        fflush(w->log);
    }
    spoil(w, tid);
}

static void leaves(struct watched *w, pid_t tid)
{
    struct user_regs_struct regs;
    struct inside *in = find_inside(w, tid);
    if (in == NULL) {
        return;
    }
    struct inside was = *in;
    in->tid = 0;
    if (w->mode == MODE_KILLED) {
        kill_process_of(tid);
    } else if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0) {
        if (was.shortened) {
            regs.rdx = was.length;
        } else {
            regs.rax = (unsigned long long)-w->errnum;
        }
        ptrace(PTRACE_SETREGS, tid, NULL, &regs);
    }
}

static void at_call(struct watched *w, pid_t tid)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof info, &info) <= 0) {
        return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        uint64_t args[6];
        memcpy(args, info.entry.args, sizeof args);
        enters(w, tid, info.entry.nr, args);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        leaves(w, tid);
    }
}

static bool stops(int number)
{
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* Until there is nobody left to watch. */
static void watch(struct watched *w)
{
    int status;
    for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0;) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            struct inside *in = find_inside(w, tid);
            if (in != NULL) {
                in->tid = 0;
            }
            w->status = tid == w->pid ? status : w->status;
            continue;
        }
        int number = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_STOP && stops(number)) {
            ptrace(PTRACE_LISTEN, tid, NULL, 0);
            continue;
        }
        bool call = number == (SIGTRAP | 0x80);
        if (call) {
            at_call(w, tid);
        }
        ptrace(PTRACE_SYSCALL, tid, NULL, call || event != 0 ? 0 : number);
    }
}

/* ---- whom ---- */

static bool seize(pid_t tid)
{
    return ptrace(PTRACE_SEIZE, tid, NULL, (void *)OPTIONS) == 0 &&
           ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0;
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
            good = seize((pid_t)tid);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return good;
}

/* It begins when it is watched. */
static pid_t start(char **argv)
{
    int ends[2];
    char byte;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        if (read(ends[0], &byte, 1) == 1) {
            execvp(argv[0], argv);
        }
        _exit(127);
    }
    close(ends[0]);
    bool good = pid > 0 && seize(pid) && write(ends[1], "", 1) == 1;
    close(ends[1]);
    return good ? pid : -1;
}

static bool set_mode(struct watched *w, const char *text)
{
    static const struct {
        const char *name;
        enum mode mode;
        int errnum;
    } modes[] = {
        {"kill", MODE_KILL, 0},  {"killed", MODE_KILLED, 0},  {"short", MODE_SHORT, 0},
        {"EIO", MODE_FAIL, EIO}, {"EINTR", MODE_FAIL, EINTR}, {"ENOSPC", MODE_FAIL, ENOSPC},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(text, modes[i].name) == 0) {
            w->mode = modes[i].mode;
            w->errnum = modes[i].errnum;
            return true;
        }
    }
    return false;
}

static bool set_option(struct watched *w, const char *name, const char *value)
{
    if (strcmp(name, "--under") == 0 && w->under_count < UNDER_MAX) {
        return realpath(value, w->under[w->under_count++]) != NULL;
    }
    if (strcmp(name, "--only") == 0) {
        w->only = value;
        return true;
    }
    if (strcmp(name, "--log") == 0) {
        w->log = fopen(value, "we");
        return w->log != NULL;
    }
    return strcmp(name, "--times") == 0 && parse_u64(value, UINT32_MAX, &w->times) == ST_OK;
}

int main(int argc, char **argv)
{
    static struct watched w = {.times = 1};
    uint64_t pid = 0;
    int at = 3;
    bool good = argc > at && set_mode(&w, argv[1]) &&
                parse_u64(argv[2], UINT32_MAX, &w.at) == ST_OK;
    for (; good && at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        good = set_option(&w, argv[at], argv[at + 1]);
    }
    bool running = good && at + 1 < argc && strcmp(argv[at], "-p") == 0;
    if (!good || at >= argc || (running && parse_u64(argv[at + 1], INT32_MAX, &pid) != ST_OK)) {
        fprintf(stderr, "faultat: wrong arguments\n");
        return 2;
    }
    w.pid = running ? (pid_t)pid : start(argv + at);
    if (w.pid < 0 || (running && !seize_all(w.pid))) {
        perror("faultat");
        return 2;
    }
    if (running) {
        printf("watching\n");
        fflush(stdout);
    }
    watch(&w);
    if (w.log != NULL) {
        fprintf(w.log, "seen %llu\n", (unsigned long long)w.seen);
        fclose(w.log);
    }
    if (running) {
        return 0;
    }
    return WIFEXITED(w.status) ? WEXITSTATUS(w.status) : 128 + WTERMSIG(w.status);
}
