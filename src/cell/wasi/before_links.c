#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "before_state.h"
#include "cell/wasi/undo_files.h"

/* Files with several names: which of them keep it for checkpoints, and which are the guest's. */

/* ---- those that keep it ---- */

/* Those of earlier checkpoints as well, which `checkpoint` removes some day. */
static nlink_t count_kept(const struct before *b, const struct stat *st)
{
    int fd = openat(b->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    nlink_t count = 0;
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        uint32_t number;
        const char *suffix;
        count += e->d_ino == st->st_ino && undo_file_parse(e->d_name, &number, &suffix) &&
                 strcmp(suffix, "kept") == 0;
    }
    closedir(folder);
    return count;
}

void before_hide_links(const struct wasi *w, struct stat *st)
{
    struct before *b = w->before;
    if (S_ISDIR(st->st_mode) || st->st_dev != b->folder_dev || st->st_nlink == 0) {
        return;
    }
    pthread_mutex_lock(&b->lock);
    const struct before_file *f = before_find(b, st);
    if (st->st_nlink > 1 || (f != NULL && f->kept != 0)) {
        nlink_t kept = count_kept(b, st);
        st->st_nlink -= kept < st->st_nlink ? kept : st->st_nlink;
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- another one of the guest's ---- */

enum { NAMES_LOOKED_AT_MAX = 1 << 16, FOLDERS_DEEP_MAX = 64 };

struct search {
    const struct stat *st;
    const char *known; /* the name that is not looked for */
    size_t known_len;
    char *text; /* path of the folder, then of what was found: WASI_PATH_BYTES_MAX + 1 bytes */
    size_t len;
    uint32_t left; /* names to look at */
};

static bool look_through(struct search *s, int fd, uint32_t depth);

static bool add_name(struct search *s, const char *name)
{
    size_t len = strlen(name), slash = s->len > 0;
    if (s->len + slash + len > WASI_PATH_BYTES_MAX) {
        return false;
    }
    memcpy(s->text + s->len, "/", slash);
    memcpy(s->text + s->len + slash, name, len + 1);
    s->len += slash + len;
    return true;
}

static bool look_at(struct search *s, int folder_fd, const struct dirent *e, uint32_t depth)
{
    struct stat st;
    if ((e->d_type == DT_REG && e->d_ino != s->st->st_ino) || !add_name(s, e->d_name) ||
        fstatat(folder_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        st.st_dev != s->st->st_dev) {
        return false;
    }
    if (S_ISDIR(st.st_mode) && depth < FOLDERS_DEEP_MAX) {
        const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        return look_through(s, openat(folder_fd, e->d_name, flags), depth + 1);
    }
    return st.st_ino == s->st->st_ino &&
           (s->len != s->known_len || memcmp(s->text, s->known, s->len) != 0);
}

/* Takes over fd. */
static bool look_through(struct search *s, int fd, uint32_t depth)
{
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const size_t len = s->len;
    bool found = false;
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    for (struct dirent *e; !found && s->left > 0 && (e = readdir(folder)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        s->left--;
        s->len = len;
        found = look_at(s, dirfd(folder), e, depth);
    }
    closedir(folder);
    return found;
}

bool before_other_name(const struct wasi *w, uint32_t grant, const struct stat *st,
                       const struct journal_place *known, char *text,
                       struct journal_place *ret_place)
{
    struct search s = {.st = st,
                       .known = known->path,
                       .known_len = known->path_len,
                       .text = text,
                       .left = NAMES_LOOKED_AT_MAX};
    int fd = open(w->grants[grant].host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!look_through(&s, fd, 0)) {
        return false;
    }
    *ret_place = (struct journal_place){JOURNAL_AT_GRANT, grant, text, s.len};
    return true;
}
