#include <string>

std::string greet(const std::string &whom);
extern "C" int count_letters(const char *text);
