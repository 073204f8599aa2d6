#include "values.h"

#include <string.h>

#include "base/parse.h"

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static bool is_ref(const char *type)
{
    return strcmp(type, "funcref") == 0 || strcmp(type, "externref") == 0 ||
           strcmp(type, "exnref") == 0;
}

/* Bytes of a number or lane type, 0 for others. */
static size_t type_bytes(const char *type)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"i8", 1}, {"i16", 2}, {"i32", 4}, {"i64", 8}, {"f32", 4}, {"f64", 8}};
    for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
        if (strcmp(types[k].name, type) == 0)
            return types[k].bytes;
    return 0;
}

static uint64_t bytes_max(size_t bytes)
{
    return bytes == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * bytes)) - 1;
}

static bool parse_lanes(const json_t *json, union cell_value *ret_value)
{
    const json_t *lanes = json_object_get(json, "value");
    size_t bytes = type_bytes(text_of(json, "lane_type"));
    if (bytes == 0 || json_array_size(lanes) != 16 / bytes)
        return false;
    for (size_t k = 0; k < 16 / bytes; k++) {
        uint64_t lane;
        const char *text = json_string_value(json_array_get(lanes, k));
        if (!text || parse_u64(text, bytes_max(bytes), &lane) != ST_OK)
            return false;
        memcpy(ret_value->v128 + k * bytes, &lane, bytes);
    }
    return true;
}

/* A host reference is its number plus one, so that number 0 is not null. */
static bool parse_ref(const char *text, union cell_value *ret_value)
{
    uint64_t number = 0;
    if (strcmp(text, "null") == 0) {
        ret_value->ref = NULL;
        return true;
    }
    if (parse_u64(text, UINT32_MAX, &number) != ST_OK)
        return false;
    ret_value->ref = (void *)(uintptr_t)(number + 1);
    return true;
}

bool value_parse(const json_t *json, union cell_value *ret_value)
{
    const char *type = text_of(json, "type");
    memset(ret_value, 0, sizeof(*ret_value));
    if (strcmp(type, "v128") == 0)
        return parse_lanes(json, ret_value);
    if (is_ref(type))
        return parse_ref(text_of(json, "value"), ret_value);
    size_t bytes = type_bytes(type);
    return bytes >= 4 &&
           parse_u64(text_of(json, "value"), bytes_max(bytes), &ret_value->u64) == ST_OK;
}

/* One number or lane of these bytes against its text. */
static bool number_matches(const char *text, size_t bytes, uint64_t actual)
{
    uint64_t expected = 0;
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    uint64_t quiet = bytes == 4 ? 0x7fc00000 : 0x7ff8000000000000;
    if (strcmp(text, "nan:canonical") == 0)
        return (actual & ~sign) == quiet;
    if (strcmp(text, "nan:arithmetic") == 0)
        return (actual & quiet) == quiet;
    return parse_u64(text, bytes_max(bytes), &expected) == ST_OK && expected == actual;
}

static bool lanes_match(const json_t *json, const union cell_value *actual)
{
    const json_t *lanes = json_object_get(json, "value");
    size_t bytes = type_bytes(text_of(json, "lane_type"));
    if (bytes == 0 || json_array_size(lanes) != 16 / bytes)
        return false;
    for (size_t k = 0; k < 16 / bytes; k++) {
        uint64_t lane = 0;
        const char *text = json_string_value(json_array_get(lanes, k));
        memcpy(&lane, actual->v128 + k * bytes, bytes);
        if (!text || !number_matches(text, bytes, lane))
            return false;
    }
    return true;
}

bool value_matches(const json_t *json, valtype_t type, const union cell_value *actual)
{
    const char *name = text_of(json, "type");
    union cell_value expected;
    if (strcmp(name, valtype_name(type)) != 0)
        return false;
    if (type == VT_V128)
        return lanes_match(json, actual);
    if (valtype_is_ref(type)) {
        if (!json_object_get(json, "value"))
            return actual->ref != NULL;
        return value_parse(json, &expected) && expected.ref == actual->ref;
    }
    size_t bytes = type_bytes(name);
    return number_matches(text_of(json, "value"), bytes, bytes == 4 ? actual->u32 : actual->u64);
}

void value_print(valtype_t type, const union cell_value *value, char *ret_text, size_t len)
{
    uint64_t half[2];
    switch (type) {
    case VT_I32:
    case VT_F32:
        snprintf(ret_text, len, "%s %u (%#x)", valtype_name(type), value->u32, value->u32);
        break;
    case VT_I64:
    case VT_F64:
        snprintf(ret_text, len, "%s %llu (%#llx)", valtype_name(type),
                 (unsigned long long)value->u64, (unsigned long long)value->u64);
        break;
    case VT_V128:
        memcpy(half, value->v128, sizeof(half));
        snprintf(ret_text, len, "v128 %016llx:%016llx", (unsigned long long)half[1],
                 (unsigned long long)half[0]);
        break;
    default:
        snprintf(ret_text, len, "%s %p", valtype_name(type), value->ref);
        break;
    }
}
