#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { BACKGROUND_NICE = 10 };

static status_t path_too_long(const char *name, struct error *err)
{
    return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "path of %s is too long", name);
}

status_t process_sibling(const char *relative, char ret_path[PATH_MAX], struct error *err)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0) {
        return error_set_errno(err, errno, "/proc/self/exe");
    }
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "/proc/self/exe: %s is not a path", self);
    }
    size_t folder = (size_t)(slash - self) + 1, more = strlen(relative) + 1;
    if (more > PATH_MAX || folder > PATH_MAX - more) {
        return path_too_long(relative, err);
    }
    memcpy(ret_path, self, folder);
    memcpy(ret_path + folder, relative, more);
    return ST_OK;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Relative to the running program's folder. */
static bool find_sibling(const char *folder, const char *name, char ret_path[PATH_MAX])
{
    char relative[PATH_MAX];
    int len = snprintf(relative, sizeof relative, "%s%s", folder, name);
    return len > 0 && len < PATH_MAX && process_sibling(relative, ret_path, NULL) == ST_OK &&
           is_program(ret_path);
}

static bool find_in_path(const char *name, char ret_path[PATH_MAX])
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        int need = snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)len, path, name);
        if (len > 0 && need > 0 && need < PATH_MAX && is_program(ret_path)) {
            return true;
        }
        path += len + (path[len] == ':');
    }
    return false;
}

status_t process_find(const char *name, char ret_path[PATH_MAX], struct error *err)
{
    char candidate[PATH_MAX];
    if (find_sibling("", name, candidate) || find_sibling("../../bin/", name, candidate) ||
        find_in_path(name, candidate)) {
        memcpy(ret_path, candidate, strlen(candidate) + 1);
        return ST_OK;
    }
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                     "%s: no such program beside cloudskin or in PATH", name);
}

void process_open_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int wrong_way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", wrong_way) != fd) {
            _exit(EX_OSERR);
        }
    }
}

static int spawn_attributes(posix_spawnattr_t *attr, bool background)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (background) {
        flags |= POSIX_SPAWN_SETSID;
    }
    int errnum = posix_spawnattr_setflags(attr, flags);
    errnum = errnum != 0 ? errnum : posix_spawnattr_setsigmask(attr, &none);
    return errnum != 0 ? errnum : posix_spawnattr_setsigdefault(attr, &all);
}

static int spawn_files(posix_spawn_file_actions_t *files, const struct process_options *o,
                       int report)
{
    int errnum = 0;
    for (int fd = 0; o->background && fd < 3 && errnum == 0; fd++) {
        errnum = posix_spawn_file_actions_addopen(files, fd, "/dev/null", O_RDWR, 0);
    }
    if (errnum == 0 && o->input_fd > 0) {
        errnum = posix_spawn_file_actions_adddup2(files, o->input_fd, STDIN_FILENO);
    }
    if (errnum == 0 && o->output_fd > 0) {
        errnum = posix_spawn_file_actions_adddup2(files, o->output_fd, STDOUT_FILENO);
    }
    if (errnum == 0 && report >= 0) {
        errnum = posix_spawn_file_actions_adddup2(files, report, o->report_fd);
    }
    return errnum;
}

static int spawn(const char *path, char *const argv[], const struct process_options *options,
                 int report, pid_t *ret_pid)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    int errnum = posix_spawnattr_init(&attr);
    if (errnum != 0) {
        return errnum;
    }
    errnum = posix_spawn_file_actions_init(&files);
    if (errnum == 0) {
        errnum = spawn_attributes(&attr, options->background);
        errnum = errnum != 0 ? errnum : spawn_files(&files, options, report);
        errnum = errnum != 0 ? errnum : posix_spawn(ret_pid, path, &files, &attr, argv, environ);
        posix_spawn_file_actions_destroy(&files);
    }
    posix_spawnattr_destroy(&attr);
    return errnum;
}

status_t process_start(const char *path, char *const argv[], const struct process_options *options,
                       struct process *ret_process, struct error *err)
{
    static const struct process_options defaults;
    int ends[2] = {-1, -1};
    options = options != NULL ? options : &defaults;
    /* asked beforehand as well, since under an emulator posix_spawn does not see that exec failed */
    if (access(path, X_OK) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if (options->report_fd != 0 && pipe2(ends, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "pipe for %s", path);
    }
    struct process p = {.report = ends[0]};
    int errnum = spawn(path, argv, options, ends[1], &p.pid);
    if (ends[1] >= 0) {
        close(ends[1]);
    }
    if (errnum != 0) {
        if (ends[0] >= 0) {
            close(ends[0]);
        }
        return error_set_errno(err, errnum, "%s", path);
    }
    if (options->background) {
        setpriority(PRIO_PROCESS, (id_t)p.pid, BACKGROUND_NICE); /* a courtesy: may fail */
    }
    *ret_process = p;
    return ST_OK;
}

status_t process_wait(struct process *p, int *ret_code, struct error *err)
{
    if (p->report >= 0) {
        close(p->report);
        p->report = -1;
    }
    int status;
    pid_t got;
    do {
        got = waitpid(p->pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return error_set_errno(err, errno, "wait for process %ld", (long)p->pid);
    }
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ST_OK;
}
