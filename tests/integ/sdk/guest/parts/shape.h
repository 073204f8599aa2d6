#include <stdexcept>
#include <string>

struct ShapeError : std::runtime_error {
    int code;
    ShapeError(const std::string &text, int c) : std::runtime_error(text), code(c) {}
};

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
    static Shape *make(const std::string &kind, double size);
};
