/* Documents from anywhere. What was read is written, and read again as the same. */
#include <string.h>

#include "fuzz.h"
#include "geds/s3/xml.h"

static size_t check_node(const struct xml_node *n, unsigned depth)
{
    size_t count = 1;
    FUZZ_CHECK(depth <= XML_DEPTH_MAX && n->name[0] != '\0' && n->text != NULL);
    FUZZ_CHECK(strlen(n->name) <= XML_NAME_BYTES_MAX);
    for (const struct xml_node *c = n->child; c; c = c->next)
        count += check_node(c, depth + 1);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena = {0}, again = {0};
    struct xml_node *root = NULL, *copy = NULL;
    struct error err = {0};
    struct buf text = {0};
    status_t st = xml_read(data, len, &arena, &root, &err);
    FUZZ_CHECK(st == ST_OK ? root != NULL : root == NULL && err.text[0] != '\0');
    if (st == ST_OK) {
        FUZZ_CHECK(check_node(root, 1) <= XML_NODES_MAX);
        buf_printf(&text, "<a>");
        xml_element(&text, "b", root->text);
        buf_printf(&text, "</a>");
        st = xml_read(text.data, text.len, &again, &copy, &err);
        FUZZ_CHECK(st == ST_OK && strcmp(xml_text(copy, "b"), root->text) == 0);
    }
    buf_done(&text);
    arena_done(&arena);
    arena_done(&again);
    return 0;
}
