#include "greet.h"
#include <stdexcept>

std::string greet(const std::string &whom)
{
    if (whom.empty())
        throw std::invalid_argument("nobody to greet");
    return "hello " + whom;
}
