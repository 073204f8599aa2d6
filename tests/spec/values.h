#ifndef TESTS_SPEC_VALUES_H
#define TESTS_SPEC_VALUES_H

#include <jansson.h>
#include <stdbool.h>

#include "cell/module/abi.h"

/* Values as the JSON writes them: {"type": "f32", "value": "2143289344"}, lanes as a list, "null". */

/* false: not understood. */
bool value_parse(const json_t *json, union cell_value *ret_value);

/* Does the actual value of this type meet the expectation: exact bits, "nan:canonical",
 * "nan:arithmetic", or any non-null reference where no value is given? */
bool value_matches(const json_t *json, valtype_t type, const union cell_value *actual);

/* For messages; at most len - 1 characters. */
void value_print(valtype_t type, const union cell_value *value, char *ret_text, size_t len);

#endif
