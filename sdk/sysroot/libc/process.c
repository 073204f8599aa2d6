/* A cell is one process: it has an identity, and starting another one fails with ENOSYS. */
#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int refused(int error)
{
    errno = error;
    return -1;
}

pid_t getpid(void)
{
    return 42;
}

pid_t getppid(void)
{
    return 1;
}

pid_t getpgrp(void)
{
    return getpid();
}

pid_t getpgid(pid_t pid)
{
    return pid == 0 || pid == getpid() ? getpid() : refused(ESRCH);
}

pid_t getsid(pid_t pid)
{
    return getpgid(pid);
}

int setpgid(pid_t pid, pid_t group)
{
    (void)group;
    return pid == 0 || pid == getpid() ? 0 : refused(ESRCH);
}

pid_t setsid(void)
{
    return refused(EPERM);
}

pid_t setpgrp(void)
{
    return getpid();
}

pid_t tcgetpgrp(int fd)
{
    (void)fd;
    return refused(ENOTTY);
}

int tcsetpgrp(int fd, pid_t group)
{
    (void)fd;
    (void)group;
    return refused(ENOTTY);
}

int nice(int by)
{
    (void)by;
    return 0;
}

int getpriority(int which, id_t who)
{
    (void)which;
    (void)who;
    return 0;
}

int setpriority(int which, id_t who, int priority)
{
    (void)which;
    (void)who;
    (void)priority;
    return 0;
}

pid_t fork(void)
{
    return refused(ENOSYS);
}

pid_t _Fork(void)
{
    return refused(ENOSYS);
}

pid_t vfork(void)
{
    return refused(ENOSYS);
}

int daemon(int nochdir, int noclose)
{
    (void)nochdir;
    (void)noclose;
    return refused(ENOSYS);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    (void)path;
    (void)argv;
    (void)envp;
    return refused(ENOSYS);
}

int execv(const char *path, char *const argv[])
{
    return execve(path, argv, NULL);
}

int execvp(const char *file, char *const argv[])
{
    return execve(file, argv, NULL);
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return execve(file, argv, envp);
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
    (void)fd;
    return execve(NULL, argv, envp);
}

int execl(const char *path, const char *arg, ...)
{
    (void)arg;
    return execve(path, NULL, NULL);
}

int execlp(const char *file, const char *arg, ...)
{
    (void)arg;
    return execve(file, NULL, NULL);
}

int execle(const char *path, const char *arg, ...)
{
    (void)arg;
    return execve(path, NULL, NULL);
}

int posix_spawn(pid_t *restrict ret_pid, const char *restrict path,
                const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *restrict attr,
                char *const *restrict argv, char *const *restrict envp)
{
    (void)ret_pid;
    (void)path;
    (void)actions;
    (void)attr;
    (void)argv;
    (void)envp;
    return ENOSYS;
}

int posix_spawnp(pid_t *restrict ret_pid, const char *restrict file,
                 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *restrict attr,
                 char *const *restrict argv, char *const *restrict envp)
{
    return posix_spawn(ret_pid, file, actions, attr, argv, envp);
}

/* system(NULL) asks whether there is a shell: there is none. */
int system(const char *command)
{
    return command ? refused(ENOSYS) : 0;
}

FILE *popen(const char *command, const char *mode)
{
    (void)command;
    (void)mode;
    errno = ENOSYS;
    return NULL;
}

int pclose(FILE *f)
{
    (void)f;
    return refused(ECHILD);
}

pid_t wait(int *status)
{
    (void)status;
    return refused(ECHILD);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    (void)pid;
    (void)status;
    (void)options;
    return refused(ECHILD);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    (void)type;
    (void)id;
    (void)info;
    (void)options;
    return refused(ECHILD);
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
    (void)usage;
    return waitpid(-1, status, options);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    (void)usage;
    return waitpid(pid, status, options);
}

int uname(struct utsname *uts)
{
    *uts = (struct utsname){
        .sysname = "CloudSkin",
        .nodename = "cell",
        .release = "1",
        .version = "1",
        .machine = "wasm32",
    };
    return 0;
}

int gethostname(char *name, size_t size)
{
    struct utsname uts;

    uname(&uts);
    if (strlen(uts.nodename) >= size)
        return refused(ENAMETOOLONG);
    strcpy(name, uts.nodename);
    return 0;
}

/* Limits are the runner's, which does not tell them: infinity, and no way to change it. */
int getrlimit(int resource, struct rlimit *limit)
{
    if (resource < 0 || resource >= RLIMIT_NLIMITS)
        return refused(EINVAL);
    limit->rlim_cur = resource == RLIMIT_NOFILE ? (rlim_t)getdtablesize() : RLIM_INFINITY;
    limit->rlim_max = limit->rlim_cur;
    return 0;
}

int setrlimit(int resource, const struct rlimit *limit)
{
    (void)limit;
    return refused(resource < 0 || resource >= RLIMIT_NLIMITS ? EINVAL : EPERM);
}
