// Exceptions on their way, in handlers, thrown again and nested, setjmp buffers and comparators of qsort, in a
// recursion: what a frozen call stack has to keep besides plain frames. The argument is the number of rounds.
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace
{

uint64_t sum = 1;
jmp_buf back;

void mix(uint64_t v)
{
    sum = (sum ^ v) * 1099511628211u;
}

struct guard {
    int id;
    explicit guard(int i) : id(i) {}
    ~guard()
    {
        for (int i = 0; i < id % 4; i++)
            mix(static_cast<uint64_t>(id + i));
    }
};

struct problem {
    int depth;
    virtual int weight() const { return depth; }
    explicit problem(int d) : depth(d) {}
    virtual ~problem() = default;
};

struct worse : problem {
    using problem::problem;
    int weight() const override { return depth * 3; }
};

int fall(int depth, int kind)
{
    guard g(depth);
    if (depth == 0) {
        if (kind % 3 == 0)
            throw problem(kind);
        if (kind % 3 == 1)
            throw worse(kind);
        throw kind;
    }
    int below = fall(depth - 1, kind);
    mix(static_cast<uint64_t>(below));
    return below + depth;
}

int climb(int depth, int kind)
{
    try {
        guard g(depth);
        return depth % 3 ? climb(depth - 1, kind) : fall(3, kind);
    } catch (const worse &w) {
        mix(static_cast<uint64_t>(w.weight()));
        if (depth % 2)
            throw;
        return w.weight();
    } catch (const problem &p) {
        try {
            fall(depth % 5, kind + 1);
        } catch (int k) {
            mix(static_cast<uint64_t>(k));
        } catch (...) {
            mix(2);
        }
        if (depth > 6)
            throw worse(p.depth);
        return p.weight();
    } catch (int k) {
        mix(static_cast<uint64_t>(k + depth));
        throw problem(k);
    }
}

int compare(const void *a, const void *b)
{
    int x = *static_cast<const int *>(a), y = *static_cast<const int *>(b);
    mix(static_cast<uint64_t>(x * 7 + y));
    if (x == 13)
        longjmp(back, y + 1);
    return (x > y) - (x < y);
}

void order(int seed)
{
    int v[24];
    for (int &x : v)
        x = seed = (seed * 75 + 74) % 65537 % 40;
    int left = setjmp(back);
    if (left)
        mix(static_cast<uint64_t>(left));
    else
        qsort(v, sizeof v / sizeof *v, sizeof *v, compare);
    for (int x : v)
        mix(static_cast<uint64_t>(x));
}

} // namespace

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 10;
    for (int i = 0; i < rounds; i++) {
        try {
            mix(static_cast<uint64_t>(climb(i % 11, i)));
        } catch (const problem &p) {
            mix(static_cast<uint64_t>(p.weight()));
        }
        order(i + 1);
        printf("%d %016llx\n", i, static_cast<unsigned long long>(sum));
    }
    return 4;
}
