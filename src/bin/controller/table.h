#ifndef BIN_CONTROLLER_TABLE_H
#define BIN_CONTROLLER_TABLE_H

#include "geds/s3/table.h"

/* The store of this node, as S3 uses it. */
extern const struct s3_table controller_table;

#endif
