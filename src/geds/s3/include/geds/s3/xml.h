#ifndef GEDS_S3_XML_H
#define GEDS_S3_XML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cursor.h"

/* The part of XML that requests of S3 use. Elements, text, CDATA, comments, processing instructions; attributes are
 * skipped. Document types are refused, so there are no entities but the five predefined ones and numbers. */

enum {
    XML_BYTES_MAX = 4 << 20,
    XML_NODES_MAX = 100000,
    XML_DEPTH_MAX = 16,
    XML_NAME_BYTES_MAX = 128
};

struct xml_node {
    const char *name; /* without a prefix of a namespace */
    const char *text; /* all text directly in it, joined; "" where there is none */
    struct xml_node *child;
    struct xml_node *next; /* its sibling */
};

/* Read a document. Nodes live in the arena. ST_FORMAT not well-formed; ST_UNSUPPORTED a document type;
 * ST_LIMIT; ST_NOMEM. */
CHECKED status_t xml_read(const void *data, size_t len, struct arena *arena,
                          struct xml_node **ret_root, struct error *err);
/* The first child of that name, or NULL. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* Its text, or NULL. */
const char *xml_text(const struct xml_node *n, const char *name);

/* Append text as it stands between tags. */
void xml_escape(struct buf *out, const char *text);
/* Append <name>text</name>. */
void xml_element(struct buf *out, const char *name, const char *text);

#endif
