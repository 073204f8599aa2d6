/* One user, who owns every file: permissions are the host's business. Changing them is accepted and does nothing. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int only_zero(unsigned id)
{
    if (id == 0 || id == (unsigned)-1)
        return 0;
    errno = EPERM;
    return -1;
}

#define IDENTITY(type, get, set)                                                                                       \
    type get(void)                                                                                                     \
    {                                                                                                                  \
        return 0;                                                                                                      \
    }                                                                                                                  \
    int set(type id)                                                                                                   \
    {                                                                                                                  \
        return only_zero(id);                                                                                          \
    }
IDENTITY(uid_t, getuid, setuid)
IDENTITY(uid_t, geteuid, seteuid)
IDENTITY(gid_t, getgid, setgid)
IDENTITY(gid_t, getegid, setegid)

int setreuid(uid_t real, uid_t effective)
{
    return only_zero(real) ? -1 : only_zero(effective);
}

int setregid(gid_t real, gid_t effective)
{
    return only_zero(real) ? -1 : only_zero(effective);
}

int issetugid(void)
{
    return 0;
}

char *secure_getenv(const char *name)
{
    return getenv(name);
}

int getgroups(int size, gid_t list[])
{
    if (size > 0)
        list[0] = 0;
    return 1;
}

static char user_name[] = "root", empty[] = "", shell[] = "/bin/sh";
static struct passwd user;
static struct group group;
static char *members[] = {NULL};

static struct passwd *the_user(void)
{
    char *home = getenv("HOME");

    user = (struct passwd){.pw_name = user_name, .pw_passwd = empty, .pw_gecos = empty, .pw_shell = shell};
    user.pw_dir = home ? home : "/";
    return &user;
}

static struct group *the_group(void)
{
    group = (struct group){.gr_name = user_name, .gr_passwd = empty, .gr_mem = members};
    return &group;
}

struct passwd *getpwuid(uid_t id)
{
    return id == 0 ? the_user() : NULL;
}

struct passwd *getpwnam(const char *name)
{
    return strcmp(name, user_name) == 0 ? the_user() : NULL;
}

int getpwuid_r(uid_t id, struct passwd *ret_user, char *buf, size_t size, struct passwd **ret_found)
{
    (void)buf;
    (void)size;
    *ret_found = NULL;
    if (id == 0) {
        *ret_user = *the_user();
        *ret_found = ret_user;
    }
    return 0;
}

int getpwnam_r(const char *name, struct passwd *ret_user, char *buf, size_t size, struct passwd **ret_found)
{
    return getpwuid_r(strcmp(name, user_name) == 0 ? 0 : 1, ret_user, buf, size, ret_found);
}

struct group *getgrgid(gid_t id)
{
    return id == 0 ? the_group() : NULL;
}

struct group *getgrnam(const char *name)
{
    return strcmp(name, user_name) == 0 ? the_group() : NULL;
}

void setpwent(void)
{
}

void endpwent(void)
{
}

struct passwd *getpwent(void)
{
    return NULL;
}

char *getlogin(void)
{
    return user_name;
}

int getlogin_r(char *name, size_t size)
{
    if (size < sizeof user_name)
        return ERANGE;
    memcpy(name, user_name, sizeof user_name);
    return 0;
}

mode_t umask(mode_t mask)
{
    static mode_t current = 022;
    mode_t old = current;

    current = mask & 0777;
    return old;
}

int fchmod(int fd, mode_t mode)
{
    struct stat st;

    (void)mode;
    return fstat(fd, &st);
}

int fchmodat(int fd, const char *path, mode_t mode, int flags)
{
    struct stat st;

    (void)mode;
    return fstatat(fd, path, &st, flags & AT_SYMLINK_NOFOLLOW);
}

int chmod(const char *path, mode_t mode)
{
    struct stat st;

    (void)mode;
    return stat(path, &st);
}

int chown(const char *path, uid_t owner, gid_t group_id)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return -1;
    return only_zero(owner) ? -1 : only_zero(group_id);
}

int lchown(const char *path, uid_t owner, gid_t group_id)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return -1;
    return only_zero(owner) ? -1 : only_zero(group_id);
}

int fchown(int fd, uid_t owner, gid_t group_id)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    return only_zero(owner) ? -1 : only_zero(group_id);
}

int fchownat(int dir, const char *path, uid_t owner, gid_t group_id, int flags)
{
    struct stat st;

    if (fstatat(dir, path, &st, flags & AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return only_zero(owner) ? -1 : only_zero(group_id);
}

int getresuid(uid_t *ret_real, uid_t *ret_effective, uid_t *ret_saved)
{
    *ret_real = 0;
    *ret_effective = 0;
    *ret_saved = 0;
    return 0;
}

int getresgid(gid_t *ret_real, gid_t *ret_effective, gid_t *ret_saved)
{
    return getresuid(ret_real, ret_effective, ret_saved);
}

int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    return setreuid(real, effective) != 0 ? -1 : only_zero(saved);
}

int setresgid(gid_t real, gid_t effective, gid_t saved)
{
    return setregid(real, effective) != 0 ? -1 : only_zero(saved);
}

int getgrgid_r(gid_t id, struct group *ret_group, char *buf, size_t size, struct group **ret_found)
{
    (void)buf;
    (void)size;
    *ret_found = NULL;
    if (id == 0) {
        *ret_group = *the_group();
        *ret_found = ret_group;
    }
    return 0;
}

int getgrnam_r(const char *name, struct group *ret_group, char *buf, size_t size, struct group **ret_found)
{
    return getgrgid_r(strcmp(name, user_name) == 0 ? 0 : 1, ret_group, buf, size, ret_found);
}

void setgrent(void)
{
}

void endgrent(void)
{
}

struct group *getgrent(void)
{
    return NULL;
}

int initgroups(const char *name, gid_t id)
{
    (void)name;
    return only_zero(id);
}

int setgroups(size_t count, const gid_t *list)
{
    return count == 0 ? 0 : only_zero(list[0]);
}
