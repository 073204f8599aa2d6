#include "patch.h"

#include <string.h>

#include "base/cursor.h"
#include "geds/tiers.h"

/* The format: for each table 'P', its number of columns, for each a byte (not 0: part of the key), its name with a NUL;
 * then changes: what (as SQLite numbers it), a byte that says whether a trigger made it, and values. An insert has all
 * columns, a delete those of the key, an update all, of which those that stay are left out. */

enum value { VALUE_ABSENT, VALUE_INTEGER, VALUE_FLOAT, VALUE_TEXT, VALUE_BLOB, VALUE_NULL };
enum { TABLE_MARK = 'P', LENGTH_BYTES_MAX = 5 };

bool patch_leaves_out(const char *table)
{
    return strncmp(table, "shared", 6) == 0 || strncmp(table, "sqlite_", 7) == 0;
}

static status_t load_columns(struct db *db, struct patch_table *t, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true, is_extent = strcmp(t->name, "extent") == 0;
    status_t st = db_start(db, SQL_SCHEMA_COLUMNS, &statement, err, "t", t->name);
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        if (t->columns == PATCH_COLUMNS_MAX) {
            st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "table %s: too many columns",
                           t->name);
        } else {
            const char *name = (const char *)sqlite3_column_text(statement, 1);
            t->keys |= db_u64(statement, 0) != 0 ? 1U << t->columns : 0;
            if (is_extent && name != NULL && strcmp(name, "place") == 0) {
                t->place = t->columns;
            }
            t->columns++;
        }
    }
    db_end(statement);
    return st;
}

status_t patch_schema_load(struct db *db, struct patch_schema *ret_schema, struct error *err)
{
    struct patch_schema s = {0};
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(db, SQL_SCHEMA_TABLES, &statement, err, "");
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        if (name == NULL || patch_leaves_out(name)) {
            continue;
        }
        if (s.count == PATCH_TABLES_MAX || strlen(name) >= PATCH_NAME_BYTES) {
            st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "too many tables, or a long name");
        } else {
            memcpy(s.of[s.count++].name, name, strlen(name) + 1);
        }
    }
    db_end(statement);
    for (size_t i = 0; i < s.count && st == ST_OK; i++) {
        st = load_columns(db, &s.of[i], err);
    }
    if (st == ST_OK) {
        *ret_schema = s;
    }
    return st;
}

/* 7 bits a byte, the highest ones first. */
static uint64_t read_length(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < LENGTH_BYTES_MAX; i++) {
        uint8_t byte = cursor_u8(c);
        v = v << 7 | (byte & 0x7f);
        if ((byte & 0x80) == 0) {
            return v;
        }
    }
    cursor_fail(c, "a length that is too long");
    return 0;
}

/* *ret_integer: of an integer; else as it was. */
static enum value read_value(struct cursor *c, uint64_t *ret_integer)
{
    uint8_t type = cursor_u8(c);
    if (type == VALUE_INTEGER || type == VALUE_FLOAT) {
        const uint8_t *p = cursor_bytes(c, 8);
        uint64_t v = 0;
        for (size_t i = 0; p != NULL && i < 8; i++) {
            v = v << 8 | p[i];
        }
        *ret_integer = type == VALUE_INTEGER ? v : *ret_integer;
    } else if (type == VALUE_TEXT || type == VALUE_BLOB) {
        uint64_t len = read_length(c);
        if (len > cursor_left(c)) {
            cursor_fail(c, "a value that is longer than what is there");
        } else {
            cursor_bytes(c, (size_t)len);
        }
    } else if (type > VALUE_NULL) {
        cursor_fail(c, "no type of a value");
    }
    return (enum value)type;
}

static const struct patch_table *read_table(struct cursor *c, const struct patch_schema *schema)
{
    uint64_t columns = read_length(c);
    if (c->failed || columns == 0 || columns > PATCH_COLUMNS_MAX) {
        cursor_fail(c, "a table of no columns, or too many");
        return NULL;
    }
    const uint8_t *flags = cursor_bytes(c, (size_t)columns);
    size_t room = cursor_left(c) < PATCH_NAME_BYTES ? cursor_left(c) : PATCH_NAME_BYTES;
    const char *name = (const char *)c->pos;
    size_t len = strnlen(name, room);
    if (flags == NULL || len == room) {
        cursor_fail(c, "no name of a table");
        return NULL;
    }
    cursor_bytes(c, len + 1);
    uint32_t keys = 0;
    for (unsigned i = 0; i < columns; i++) {
        keys |= flags[i] != 0 ? 1U << i : 0;
    }
    for (size_t i = 0; i < schema->count; i++) {
        const struct patch_table *t = &schema->of[i];
        if (strcmp(t->name, name) == 0 && t->columns == columns && t->keys == keys) {
            return t;
        }
    }
    cursor_fail(c, "a table that is not of this format of the store");
    return NULL;
}

/* The values of one change: those of the key must be there, and of an insert all. */
static void read_change(struct cursor *c, const struct patch_table *t, uint8_t what,
                        uint64_t *ret_first, uint64_t *ret_place)
{
    for (unsigned i = 0; i < t->columns && !c->failed; i++) {
        bool is_key = (t->keys >> i & 1) != 0;
        if (what == SQLITE_DELETE && !is_key) {
            continue;
        }
        uint64_t integer = 0;
        enum value type = read_value(c, &integer);
        if (type == VALUE_ABSENT && (is_key || what == SQLITE_INSERT)) {
            cursor_fail(c, "a value is missing");
        }
        if (i == 0) {
            *ret_first = type == VALUE_INTEGER ? integer : 0;
        } else if (i == t->place) {
            *ret_place = type == VALUE_INTEGER ? integer : 0;
        }
    }
}

status_t patch_check(const struct patch_schema *schema, const void *data, size_t len,
                     struct ids *ret_removed, struct error *err)
{
    struct cursor c;
    const struct patch_table *t = NULL;
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) > 0) {
        uint8_t what = cursor_u8(&c);
        if (what == TABLE_MARK) {
            t = read_table(&c, schema);
            continue;
        }
        uint64_t first = 0, place = 0;
        if (t == NULL ||
            (what != SQLITE_INSERT && what != SQLITE_UPDATE && what != SQLITE_DELETE) ||
            cursor_u8(&c) > 1) {
            cursor_fail(&c, "neither a table nor a change");
            break;
        }
        read_change(&c, t, what, &first, &place);
        bool gone = strcmp(t->name, "extent") == 0 &&
                    (what == SQLITE_DELETE || (place & STORE_PLACE_AWAY) != 0);
        if (!c.failed && gone && ret_removed != NULL && !ids_add(ret_removed, first)) {
            return no_memory(err);
        }
    }
    return cursor_status(&c, ST_FORMAT, err);
}
