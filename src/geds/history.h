#ifndef GEDS_HISTORY_H
#define GEDS_HISTORY_H

#include "sharing.h"

/* What a database had from its log, in a few rows: the entries with which terms began. No two terms have the same first
 * entry, and a term has one leader, whose entries are one behind the other; so these and the number of the last entry
 * are enough to tell whether one database became another one. */

/* Did the database of `from` become that of `to`, which belongs to the same log, or may it have, where the terms in
 * question are from before there were such rows? Each thread with its own db. */
CHECKED status_t history_goes_on(struct db *from, struct db *to, bool *ret_goes_on,
                                 struct error *err);

#endif
