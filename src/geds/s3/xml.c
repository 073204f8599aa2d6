#include "geds/s3/xml.h"

#include <string.h>

#include "base/parse.h"

enum { ENTITY_BYTES_MAX = 10, ARENA_BYTES_MAX = 64 << 20 };

struct reader {
    struct cursor c;
    struct arena *arena;
    size_t nodes;
    bool no_memory;
    bool limit;
    bool doctype;
};

static bool at(const struct reader *r, const char *s)
{
    size_t len = strlen(s);
    return cursor_left(&r->c) >= len && memcmp(r->c.pos, s, len) == 0;
}

static void skip_blanks(struct reader *r)
{
    while (cursor_left(&r->c) > 0 && strchr(" \t\r\n", *r->c.pos) && *r->c.pos != '\0')
        r->c.pos++;
}

/* Step behind the next `end`. ret_start: where it began. */
static size_t skip_to(struct reader *r, const char *end)
{
    const uint8_t *found = memmem(r->c.pos, cursor_left(&r->c), end, strlen(end));
    if (!found) {
        cursor_fail(&r->c, "a part of the document does not end");
        return 0;
    }
    size_t len = (size_t)(found - r->c.pos);
    r->c.pos = found + strlen(end);
    return len;
}

/* Comments, processing instructions and blanks between elements. */
static void skip_misc(struct reader *r)
{
    for (;;) {
        skip_blanks(r);
        if (at(r, "<!--")) {
            r->c.pos += 4;
            skip_to(r, "-->");
        } else if (at(r, "<?")) {
            r->c.pos += 2;
            skip_to(r, "?>");
        } else {
            return;
        }
        if (r->c.failed)
            return;
    }
}

static bool is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':' || c >= 0x80;
}

/* ret_len: without the prefix of a namespace. */
static const char *read_name(struct reader *r, size_t *ret_len)
{
    const uint8_t *start = r->c.pos;
    while (cursor_left(&r->c) > 0 && is_name(*r->c.pos))
        r->c.pos++;
    size_t len = (size_t)(r->c.pos - start);
    const uint8_t *colon = memrchr(start, ':', len);
    if (colon) {
        len -= (size_t)(colon + 1 - start);
        start = colon + 1;
    }
    if (len == 0 || len > XML_NAME_BYTES_MAX)
        cursor_fail(&r->c, "a name is missing or too long");
    *ret_len = len;
    return (const char *)start;
}

/* Behind the name of a start tag. True: the element is empty. */
static bool skip_attributes(struct reader *r)
{
    while (!r->c.failed) {
        size_t len;
        skip_blanks(r);
        if (at(r, "/>")) {
            r->c.pos += 2;
            return true;
        }
        if (at(r, ">")) {
            r->c.pos++;
            return false;
        }
        read_name(r, &len);
        skip_blanks(r);
        if (cursor_u8(&r->c) != '=')
            cursor_fail(&r->c, "an attribute has no value");
        skip_blanks(r);
        uint8_t quote = cursor_u8(&r->c);
        if (quote == '"' || quote == '\'')
            skip_to(r, quote == '"' ? "\"" : "'");
        else
            cursor_fail(&r->c, "an attribute has no quotes");
    }
    return true;
}

static void add_utf8(struct buf *out, uint32_t u)
{
    if (u < 0x80) {
        buf_u8(out, (uint8_t)u);
    } else if (u < 0x800) {
        buf_u8(out, (uint8_t)(0xc0 | u >> 6));
        buf_u8(out, (uint8_t)(0x80 | (u & 63)));
    } else if (u < 0x10000) {
        buf_u8(out, (uint8_t)(0xe0 | u >> 12));
        buf_u8(out, (uint8_t)(0x80 | (u >> 6 & 63)));
        buf_u8(out, (uint8_t)(0x80 | (u & 63)));
    } else {
        buf_u8(out, (uint8_t)(0xf0 | u >> 18));
        buf_u8(out, (uint8_t)(0x80 | (u >> 12 & 63)));
        buf_u8(out, (uint8_t)(0x80 | (u >> 6 & 63)));
        buf_u8(out, (uint8_t)(0x80 | (u & 63)));
    }
}

/* Behind the &. */
static void read_entity(struct reader *r, struct buf *out)
{
    static const struct {
        const char *name;
        char value;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    char name[ENTITY_BYTES_MAX + 1];
    uint64_t u = 0;
    const uint8_t *start = r->c.pos;
    size_t len = skip_to(r, ";");
    if (r->c.failed || len == 0 || len > ENTITY_BYTES_MAX) {
        cursor_fail(&r->c, "an entity is not known");
        return;
    }
    memcpy(name, start, len);
    name[len] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            buf_u8(out, (uint8_t)known[i].value);
            return;
        }
    }
    status_t st = ST_INVAL;
    if (name[0] == '#' && name[1] == 'x')
        st = parse_hex(name + 2, 0x10ffff, &u);
    else if (name[0] == '#')
        st = parse_u64(name + 1, 0x10ffff, &u);
    if (st != ST_OK || u == 0 || (u >= 0xd800 && u < 0xe000))
        cursor_fail(&r->c, "an entity is not known");
    else
        add_utf8(out, (uint32_t)u);
}

static struct xml_node *new_node(struct reader *r, const char *name, size_t len)
{
    if (++r->nodes > XML_NODES_MAX) {
        r->limit = true;
        return NULL;
    }
    struct xml_node *n = arena_alloc(r->arena, 1, sizeof *n);
    if (n)
        n->name = arena_strndup(r->arena, name, len);
    if (!n || !n->name) {
        r->no_memory = true;
        return NULL;
    }
    n->text = "";
    return n;
}

static struct xml_node *read_element(struct reader *r, unsigned depth);

/* Text and children up to the end tag. */
static void read_content(struct reader *r, struct xml_node *n, unsigned depth, struct buf *text)
{
    struct xml_node **last = &n->child;
    while (!r->c.failed && !r->limit && !r->no_memory) {
        size_t len;
        if (at(r, "</")) {
            r->c.pos += 2;
            const char *name = read_name(r, &len);
            skip_blanks(r);
            if (strlen(n->name) != len || memcmp(n->name, name, len) != 0 ||
                cursor_u8(&r->c) != '>')
                cursor_fail(&r->c, "the end of another element");
            return;
        }
        if (at(r, "<![CDATA[")) {
            r->c.pos += 9;
            const uint8_t *start = r->c.pos;
            buf_bytes(text, start, skip_to(r, "]]>"));
        } else if (at(r, "<!--") || at(r, "<?")) {
            skip_misc(r);
        } else if (at(r, "<")) {
            *last = read_element(r, depth + 1);
            if (*last)
                last = &(*last)->next;
        } else if (at(r, "&")) {
            r->c.pos++;
            read_entity(r, text);
        } else {
            uint8_t c = cursor_u8(&r->c);
            if (c == '\0')
                cursor_fail(&r->c, "an element does not end");
            buf_u8(text, c);
        }
    }
}

static struct xml_node *read_element(struct reader *r, unsigned depth)
{
    struct buf text = {0};
    size_t len;
    if (depth > XML_DEPTH_MAX) {
        r->limit = true;
        return NULL;
    }
    if (at(r, "<!"))
        r->doctype = at(r, "<!DOCTYPE");
    if (cursor_u8(&r->c) != '<') {
        cursor_fail(&r->c, "there is no element");
        return NULL;
    }
    const char *name = read_name(r, &len);
    if (r->c.failed)
        return NULL;
    struct xml_node *n = new_node(r, name, len);
    if (!n || skip_attributes(r))
        return n;
    read_content(r, n, depth, &text);
    if (text.len > 0)
        n->text = arena_strndup(r->arena, (const char *)text.data, text.len);
    if (text.failed || !n->text)
        r->no_memory = true;
    buf_done(&text);
    return n;
}

status_t xml_read(const void *data, size_t len, struct arena *arena, struct xml_node **ret_root,
                  struct error *err)
{
    struct reader r = {.arena = arena};
    if (len > XML_BYTES_MAX)
        return error_set(err, ST_LIMIT, 0, "a document of %zu bytes", len);
    if (len > 0 && memchr(data, '\0', len)) /* texts end there for who keeps the document */
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "a document with a zero byte");
    if (arena->limit_bytes == 0)
        arena->limit_bytes = ARENA_BYTES_MAX;
    cursor_init(&r.c, data, len, 0);
    if (at(&r, "\xef\xbb\xbf"))
        r.c.pos += 3;
    skip_misc(&r);
    struct xml_node *root = read_element(&r, 1);
    if (!r.c.failed && root) {
        skip_misc(&r);
        if (cursor_left(&r.c) > 0)
            cursor_fail(&r.c, "something follows the document");
    }
    if (r.doctype)
        return error_set(err, ST_UNSUPPORTED, cursor_offset(&r.c), "document types are refused");
    if (r.limit)
        return error_set(err, ST_LIMIT, cursor_offset(&r.c), "too many or too deep elements");
    if (r.no_memory)
        return error_set(err, ST_NOMEM, cursor_offset(&r.c), "no memory for the document");
    status_t st = cursor_status(&r.c, ST_FORMAT, err);
    if (st == ST_OK)
        *ret_root = root;
    return st;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    const struct xml_node *c = n->child;
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    return c;
}

const char *xml_text(const struct xml_node *n, const char *name)
{
    const struct xml_node *c = xml_child(n, name);
    return c ? c->text : NULL;
}

void xml_escape(struct buf *out, const char *text)
{
    for (const char *s = text; *s != '\0'; s++) {
        const char *plain = s;
        while ((uint8_t)*s >= ' ' && *s != '&' && *s != '<' && *s != '>' && *s != '"')
            s++;
        buf_bytes(out, plain, (size_t)(s - plain));
        if (*s == '\0')
            break;
        if (*s == '&')
            buf_bytes(out, "&amp;", 5);
        else if (*s == '<')
            buf_bytes(out, "&lt;", 4);
        else if (*s == '>')
            buf_bytes(out, "&gt;", 4);
        else if (*s == '"')
            buf_bytes(out, "&quot;", 6);
        else
            buf_printf(out, "&#x%x;", (uint8_t)*s);
    }
}

/* A list has thousands of these: they are put together without a format. */
void xml_element(struct buf *out, const char *name, const char *text)
{
    size_t len = strlen(name);
    buf_u8(out, '<');
    buf_bytes(out, name, len);
    buf_u8(out, '>');
    xml_escape(out, text);
    buf_bytes(out, "</", 2);
    buf_bytes(out, name, len);
    buf_u8(out, '>');
}
