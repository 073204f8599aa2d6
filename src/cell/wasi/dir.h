#ifndef CELL_WASI_DIR_H
#define CELL_WASI_DIR_H

#include "fdtable.h"
#include "ids.h"

/* The entries of a directory that the guest reads now, with the cookies and inode numbers it has; *ret_list is
 * NULL when it has not begun, or began with what is still in f->list. The caller frees it. The guest must not run.
 * WASI_OVERFLOW: more than DIRLIST_ENTRIES_MAX entries; WASI_AGAIN: others change it all the time; WASI_NOMEM; errors
 * of the file system. */
enum wasi_errno dir_list(const struct ids *ids, struct file *f, struct dirlist **ret_list);

#endif
