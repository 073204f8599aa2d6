#include "base/json.h"
#include "check.h"

static void objects_and_arrays_nest(void)
{
    struct buf out = {0};
    struct json j = {.out = &out};
    json_open(&j, NULL, '{');
    json_text(&j, "name", "a");
    json_open(&j, "list", '[');
    json_u64(&j, NULL, 1);
    json_u64(&j, NULL, UINT64_MAX);
    json_close(&j, ']');
    json_open(&j, "empty", '[');
    json_close(&j, ']');
    json_bool(&j, "yes", true);
    json_number(&j, "time", 1.5);
    json_close(&j, '}');
    buf_u8(&out, 0);
    CHECK_STR((char *)out.data,
              "{\n  \"name\": \"a\",\n  \"list\": [\n    1,\n    18446744073709551615\n  ],\n"
              "  \"empty\": [],\n  \"yes\": true,\n  \"time\": 1.500\n}\n");
    buf_done(&out);
}

static void strings_are_escaped(void)
{
    struct buf out = {0};
    struct json j = {.out = &out};
    static const char text[] = "a\"\\\n\0\x7f\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x98\x80\xc3";
    json_string(&j, NULL, text, sizeof text - 1);
    buf_u8(&out, 0);
    CHECK_STR((char *)out.data,
              "\"a\\\"\\\\\\u000a\\u0000\\u007f\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd"
              "\xf0\x9f\x98\x80\\ufffd\"");
    buf_done(&out);
}

int main(void)
{
    RUN(objects_and_arrays_nest);
    RUN(strings_are_escaped);
    return CHECK_DONE();
}
