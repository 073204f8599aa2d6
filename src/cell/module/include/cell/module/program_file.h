#ifndef CELL_MODULE_PROGRAM_FILE_H
#define CELL_MODULE_PROGRAM_FILE_H

#include "base/status.h"

/* What kind of program a file is, by its first bytes, and one text for what is none. Any thread. */

enum program_file { PROGRAM_FILE_MODULE, PROGRAM_FILE_IMAGE, PROGRAM_FILE_OTHER };

enum program_file program_file_kind(const void *data, size_t len);
/* ST_FORMAT: neither a module nor an image, what it seems to be, and what makes a module of it. err may be NULL. */
CHECKED status_t program_file_refuse(const void *data, size_t len, struct error *err);

#endif
