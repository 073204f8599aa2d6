#include "geds/s3/xml.h"

#include "check.h"

static status_t read_text(const char *text, struct arena *arena, struct xml_node **ret_root)
{
    struct error err = {0};
    status_t st = xml_read(text, strlen(text), arena, ret_root, &err);
    CHECK_EQ(err.code, st);
    return st;
}

static void elements_and_text_are_read(void)
{
    struct arena arena = {0};
    struct xml_node *root = NULL;
    CHECK_EQ(
        read_text(
            "<?xml version=\"1.0\"?>\n<!-- c --><s:Tagging xmlns:s='x>y'>\n <Key>a&amp;b&#x20AC;"
            "<![CDATA[<z>]]></Key><Empty a = \"1\" /><Key>second</Key></s:Tagging > \n",
            &arena, &root),
        ST_OK);
    CHECK_STR(root->name, "Tagging");
    CHECK_STR(xml_text(root, "Key"), "a&b\xe2\x82\xac<z>");
    CHECK_STR(xml_text(root, "Empty"), "");
    CHECK(xml_text(root, "None") == NULL);
    arena_done(&arena);
}

static void what_is_not_well_formed_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "<",
                                      "<a",
                                      "<a>",
                                      "<a></b>",
                                      "<a/><b/>",
                                      "<a>&x;</a>",
                                      "<a b></a>",
                                      "<a b=1/>",
                                      "<a>&#0;</a>",
                                      "<a>&#xd800;</a>",
                                      "<a>&",
                                      "<a><!--</a>",
                                      "</a>",
                                      "<a><![CDATA[</a>",
                                      "<a b='></a>",
                                      "<?xml",
                                      "<a:/>"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena = {0};
        struct xml_node *root = NULL;
        CHECK_EQ(read_text(bad[i], &arena, &root), ST_FORMAT);
        CHECK(root == NULL);
        arena_done(&arena);
    }
}

static void document_types_are_refused(void)
{
    struct arena arena = {0};
    struct xml_node *root = NULL;
    CHECK_EQ(read_text("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", &arena, &root),
             ST_UNSUPPORTED);
    arena_done(&arena);
}

static void a_zero_byte_is_refused_everywhere(void)
{
#define WITH(x) {x, sizeof x - 1}
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {WITH("<!-- \0 --><a/>"), WITH("<a><![CDATA[\0]]></a>"), WITH("<a b=\"\0\"/>"),
                 WITH("<a>\0</a>"),       WITH("<?x \0?><a/>"),          WITH("<a/>\0")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct xml_node *root = NULL;
        struct error err = {0};
        CHECK_EQ(xml_read(cases[i].text, cases[i].len, &arena, &root, &err), ST_FORMAT);
        arena_done(&arena);
    }
}

static void depth_and_number_have_limits(void)
{
    struct arena arena = {0};
    struct xml_node *root = NULL;
    struct buf text = {0};
    for (int i = 0; i < XML_DEPTH_MAX + 1; i++)
        buf_printf(&text, "<a>");
    buf_u8(&text, 0);
    CHECK_EQ(read_text((const char *)text.data, &arena, &root), ST_LIMIT);
    buf_done(&text);
    buf_printf(&text, "<a>");
    for (int i = 0; i < XML_NODES_MAX; i++)
        buf_printf(&text, "<a/>");
    buf_printf(&text, "</a>");
    buf_u8(&text, 0);
    CHECK_EQ(read_text((const char *)text.data, &arena, &root), ST_LIMIT);
    buf_done(&text);
    arena_done(&arena);
}

static void text_is_escaped(void)
{
    struct buf out = {0};
    xml_element(&out, "K", "a<b>&\"\x01\n");
    buf_u8(&out, 0);
    CHECK_STR((const char *)out.data, "<K>a&lt;b&gt;&amp;&quot;&#x1;&#xa;</K>");
    buf_done(&out);
}

int main(void)
{
    RUN(elements_and_text_are_read);
    RUN(what_is_not_well_formed_is_refused);
    RUN(document_types_are_refused);
    RUN(a_zero_byte_is_refused_everywhere);
    RUN(depth_and_number_have_limits);
    RUN(text_is_escaped);
    return CHECK_DONE();
}
