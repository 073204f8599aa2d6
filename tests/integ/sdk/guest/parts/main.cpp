// C and C++ objects and archives in one program.
#include "callback.h"
#include "shape.h"
#include <csetjmp>
#include <iostream>
#include <memory>

static std::jmp_buf out;

static int throwing(void *context, int v)
{
    if (v == *static_cast<int *>(context))
        throw ShapeError("visited", v);
    return v;
}

static int jumping(void *, int v)
{
    if (v == 2)
        std::longjmp(out, 3);
    return v;
}

int main()
{
    const int v[] = {1, 2, 3};

    for (int stop : {9, 2}) {
        try {
            std::cout << each(v, 3, throwing, &stop) << "\n";
        } catch (const std::runtime_error &e) {
            std::cout << e.what() << " " << dynamic_cast<const ShapeError &>(e).code << "\n";
        }
    }
    int r = setjmp(out);
    if (r == 0)
        each(v, 3, jumping, nullptr);
    std::cout << "jumped " << r << "\n";
    for (const char *kind : {"square", "circle"}) {
        try {
            std::unique_ptr<Shape> s(Shape::make(kind, 3));
            std::cout << kind << " " << s->area() << "\n";
        } catch (const ShapeError &e) {
            std::cout << e.what() << " " << e.code << "\n";
        }
    }
}
