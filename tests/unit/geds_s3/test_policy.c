#include "geds/s3/policy.h"

#include "check.h"
#include "geds/s3/config.h"

static enum policy_decision decide(const char *text, const char *user, const char *action,
                                   const char *key)
{
    struct arena arena = {0};
    struct policy *p = NULL;
    struct error err = {0};
    CHECK_EQ(policy_read(text, strlen(text), "box", &arena, &p, &err), ST_OK);
    if (!p) {
        fprintf(stderr, "%s\n", err.text);
        arena_done(&arena);
        return POLICY_DENIES;
    }
    const struct policy_request rq = {.user = user, .action = action, .bucket = "box", .key = key};
    enum policy_decision d = policy_decide(p, &rq);
    arena_done(&arena);
    return d;
}

static void wildcards_stand_for_any_text(void)
{
    static const struct {
        const char *pattern, *text;
        bool want;
    } cases[] = {{"*", "", true},
                 {"*", "abc", true},
                 {"", "", true},
                 {"", "a", false},
                 {"a*c", "abbc", true},
                 {"a*c", "abcd", false},
                 {"a?c", "abc", true},
                 {"a?c", "ac", false},
                 {"*b*b*", "abab", true},
                 {"*b*b*", "aba", false},
                 {"a**", "a", true},
                 {"?*", "", false},
                 {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(wildcard_match(cases[i].pattern, cases[i].text, false), cases[i].want);
    CHECK(wildcard_match("S3:Get*", "s3:getobject", true));
    CHECK(!wildcard_match("S3:Get*", "s3:getobject", false));
}

#define STATEMENT(effect, who, actions, resources)                         \
    "{\"Effect\":\"" effect "\",\"Principal\":" who ",\"Action\":" actions \
    ",\"Resource\":" resources "}"
#define POLICY(...) "{\"Statement\":[" __VA_ARGS__ "]}"

static void a_denial_outweighs(void)
{
    const char *text = POLICY(
        STATEMENT("Allow", "\"*\"", "\"s3:Get*\"", "\"arn:aws:s3:::box/*\"") "," STATEMENT(
            "Deny", "{\"AWS\":\"bob\"}", "\"*\"", "[\"arn:aws:s3:::box/secret/*\"]"));
    CHECK_EQ(decide(text, "bob", "s3:GetObject", "open"), POLICY_ALLOWS);
    CHECK_EQ(decide(text, "bob", "s3:GetObject", "secret/1"), POLICY_DENIES);
    CHECK_EQ(decide(text, NULL, "s3:GetObject", "secret/1"), POLICY_ALLOWS);
    CHECK_EQ(decide(text, "bob", "s3:PutObject", "open"), POLICY_SILENT);
    CHECK_EQ(decide(text, "bob", "s3:GetBucketPolicy", ""), POLICY_SILENT);
}

static void what_is_not_named_is_inverted(void)
{
    const char *text =
        "{\"Statement\":{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::1:root\"},"
        "\"NotAction\":\"s3:GetObject\",\"NotResource\":\"arn:aws:s3:::box/open/*\"}}";
    CHECK_EQ(decide(text, "bob", "s3:PutObject", "k"), POLICY_DENIES);
    CHECK_EQ(decide(text, POLICY_OWNER, "s3:PutObject", "k"), POLICY_SILENT);
    CHECK_EQ(decide(text, "bob", "s3:GetObject", "k"), POLICY_SILENT);
    CHECK_EQ(decide(text, "bob", "s3:PutObject", "open/k"), POLICY_SILENT);
}

static void conditions_have_to_hold(void)
{
    const char *text = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\","
                       "\"Resource\":\"arn:aws:s3:::box\",\"Condition\":{\"StringNotEquals\":"
                       "{\"s3:prefix\":\"a\"}}}}";
    CHECK_EQ(decide(text, NULL, "s3:ListBucket", ""), POLICY_ALLOWS); /* no value is no `a` */
    text = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\","
           "\"Resource\":\"arn:aws:s3:::box\",\"Condition\":{\"StringEquals\":"
           "{\"s3:prefix\":\"a\"}}}}";
    CHECK_EQ(decide(text, NULL, "s3:ListBucket", ""), POLICY_SILENT);
}

static void only_arns_have_paths(void)
{
    const char *text = POLICY(
        STATEMENT("Allow", "{\"AWS\":\"team/alice\"}", "\"*\"", "\"arn:aws:s3:::box/*\""));
    CHECK_EQ(decide(text, "alice", "s3:GetObject", "k"), POLICY_SILENT);
    CHECK_EQ(decide(text, "team/alice", "s3:GetObject", "k"), POLICY_ALLOWS);
    text = POLICY(STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::1:user/team/alice\"}", "\"*\"",
                            "\"arn:aws:s3:::box/*\""));
    CHECK_EQ(decide(text, "alice", "s3:GetObject", "k"), POLICY_ALLOWS);
}

static void variables_are_refused(void)
{
    static const char *const texts[] = {
        POLICY(STATEMENT("Deny", "\"*\"", "\"*\"", "\"arn:aws:s3:::box/${aws:username}/*\"")),
        "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\","
        "\"Resource\":\"arn:aws:s3:::box\",\"Condition\":{\"StringLike\":"
        "{\"s3:prefix\":\"${aws:username}/*\"}}}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct arena arena = {0};
        struct policy *p = NULL;
        struct error err = {0};
        CHECK_EQ(policy_read(texts[i], strlen(texts[i]), "box", &arena, &p, &err), ST_UNSUPPORTED);
        arena_done(&arena);
    }
}

static void sections_are_set_replaced_and_removed(void)
{
    struct buf one = {0}, two = {0}, three = {0};
    const char *text;
    size_t len;
    struct error err = {0};
    CHECK_EQ(config_set("", "a", "1\n2", 3, &one, &err), ST_OK);
    CHECK_EQ(config_set((char *)one.data, "b", "", 0, &two, &err), ST_OK);
    CHECK_EQ(config_get((char *)two.data, "a", &text, &len, &err), ST_OK);
    CHECK(text && len == 3 && memcmp(text, "1\n2", 3) == 0);
    CHECK_EQ(config_get((char *)two.data, "b", &text, &len, &err), ST_OK);
    CHECK(text && len == 0);
    CHECK_EQ(config_set((char *)two.data, "a", NULL, 0, &three, &err), ST_OK);
    CHECK_EQ(config_get((char *)three.data, "a", &text, &len, &err), ST_OK);
    CHECK(text == NULL);
    static const char *const bad[] = {"a", "a 3\nxy\n", "a x\n\n", " 0\n\n", "a 1\nxy"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(config_get(bad[i], "a", &text, &len, &err), ST_CORRUPT);
    buf_done(&one);
    buf_done(&two);
    buf_done(&three);
}

static void a_damaged_section_can_be_replaced_but_not_others(void)
{
    static const char damaged[] = "a 1\nx\nb 5\nxy";
    struct buf out = {0};
    const char *text;
    size_t len;
    struct error err = {0};
    CHECK_EQ(config_set("", "a", "x\0y", 3, &out, &err), ST_INVAL);
    CHECK_EQ(config_get(damaged, "a", &text, &len, &err), ST_CORRUPT);
    CHECK_EQ(config_set(damaged, "a", "z", 1, &out, &err), ST_CORRUPT);
    buf_done(&out);
    CHECK_EQ(config_set(damaged, "b", NULL, 0, &out, &err), ST_OK);
    CHECK_STR((char *)out.data, "a 1\nx\n");
    buf_done(&out);
    CHECK_EQ(config_set("a 1\nx\nb", "c", "z", 1, &out, &err), ST_OK);
    CHECK_STR((char *)out.data, "a 1\nx\nc 1\nz\n");
    buf_done(&out);
}

int main(void)
{
    RUN(wildcards_stand_for_any_text);
    RUN(a_denial_outweighs);
    RUN(what_is_not_named_is_inverted);
    RUN(conditions_have_to_hold);
    RUN(only_arns_have_paths);
    RUN(variables_are_refused);
    RUN(sections_are_set_replaced_and_removed);
    RUN(a_damaged_section_can_be_replaced_but_not_others);
    return CHECK_DONE();
}
