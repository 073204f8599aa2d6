// Parser and evaluator of arithmetic expressions; faulty input and division by zero are thrown.

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel.h"

namespace
{

class syntax_error : public std::runtime_error
{
  public:
    syntax_error(const char *what, size_t at) : std::runtime_error(what), at_(at)
    {
    }
    size_t at() const
    {
        return at_;
    }

  private:
    size_t at_;
};

class arithmetic_error : public std::runtime_error
{
  public:
    using std::runtime_error::runtime_error;
};

using variables = std::map<std::string, int64_t, std::less<>>;

struct node {
    virtual ~node() = default;
    virtual int64_t value(const variables &vars) const = 0;
};

using node_ptr = std::unique_ptr<node>;

struct number final : node {
    explicit number(int64_t n) : n_(n)
    {
    }
    int64_t value(const variables &) const override
    {
        return n_;
    }
    int64_t n_;
};

struct variable final : node {
    explicit variable(std::string name) : name_(std::move(name))
    {
    }
    int64_t value(const variables &vars) const override
    {
        auto it = vars.find(name_);
        if (it == vars.end()) {
            throw arithmetic_error("unknown variable " + name_);
        }
        return it->second;
    }
    std::string name_;
};

struct binary final : node {
    binary(char op, node_ptr left, node_ptr right)
        : op_(op), left_(std::move(left)), right_(std::move(right))
    {
    }
    int64_t value(const variables &vars) const override
    {
        int64_t a = left_->value(vars);
        int64_t b = right_->value(vars);
        switch (op_) {
        case '+':
            return (a + b) % 1000003;
        case '-':
            return (a - b) % 1000003;
        case '*':
            return a * b % 1000003;
        default:
            if (b == 0) {
                throw arithmetic_error("division by zero");
            }
            return a / b;
        }
    }
    char op_;
    node_ptr left_;
    node_ptr right_;
};

class parser
{
  public:
    explicit parser(const std::string &text) : text_(text)
    {
    }

    node_ptr parse()
    {
        node_ptr n = expression();
        if (at_ != text_.size()) {
            throw syntax_error("end expected", at_);
        }
        return n;
    }

  private:
    char peek()
    {
        while (at_ < text_.size() && text_[at_] == ' ') {
            at_++;
        }
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    node_ptr expression()
    {
        node_ptr left = term();
        while (peek() == '+' || peek() == '-') {
            char op = text_[at_++];
            left = std::make_unique<binary>(op, std::move(left), term());
        }
        return left;
    }

    node_ptr term()
    {
        node_ptr left = factor();
        while (peek() == '*' || peek() == '/') {
            char op = text_[at_++];
            left = std::make_unique<binary>(op, std::move(left), factor());
        }
        return left;
    }

    node_ptr factor()
    {
        char c = peek();
        if (c == '(') {
            at_++;
            node_ptr inside = expression();
            if (peek() != ')') {
                throw syntax_error("closing bracket expected", at_);
            }
            at_++;
            return inside;
        }
        if (c >= '0' && c <= '9') {
            return std::make_unique<number>(digits());
        }
        if (c >= 'a' && c <= 'z') {
            return std::make_unique<variable>(name());
        }
        throw syntax_error("operand expected", at_);
    }

    int64_t digits()
    {
        int64_t n = 0;
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
            n = (n * 10 + (text_[at_++] - '0')) % 1000003;
        }
        return n;
    }

    std::string name()
    {
        size_t begin = at_;
        while (at_ < text_.size() && text_[at_] >= 'a' && text_[at_] <= 'z') {
            at_++;
        }
        return text_.substr(begin, at_ - begin);
    }

    const std::string &text_;
    size_t at_ = 0;
};

const char *const names[] = {"alpha", "beta", "gamma", "delta", "nothing", "zero"};

void write_expression(std::string &out, int depth, uint64_t *seed)
{
    uint64_t r = kernel_random(seed);
    if (depth == 0 || r % 7 == 0) {
        if (r % 1000 == 1) {
            out += '?';
        } else if (r % 3 == 0) {
            out += names[r / 8 % 1000 < 999 ? r / 8 % 4 : 4 + r % 2];
        } else {
            out += std::to_string(r % 100000);
        }
        return;
    }
    bool brackets = r % 3 == 0;
    out += brackets ? "(" : "";
    write_expression(out, depth - 1, seed);
    out += ' ';
    out += r / 16 % 64 == 0 ? '/' : "+-*"[r / 16 % 3];
    out += ' ';
    write_expression(out, depth - 1, seed);
    out += brackets ? ")" : "";
}

struct outcome {
    uint64_t sum = 0;
    uint64_t syntax_errors = 0;
    uint64_t arithmetic_errors = 0;
};

void evaluate(const std::string &line, const variables &vars, outcome &o)
{
    try {
        node_ptr tree = parser(line).parse();
        o.sum = kernel_mix(o.sum, uint64_t(tree->value(vars)));
    } catch (const syntax_error &e) {
        o.sum = kernel_mix(o.sum, e.at());
        o.syntax_errors++;
    } catch (const arithmetic_error &) {
        o.arithmetic_errors++;
    }
}

} // namespace

int main(int argc, char **argv)
{
    int lines = kernel_size(argc, argv, 3000);
    const int rounds = 80;
    uint64_t seed = KERNEL_SEED;
    std::vector<std::string> input(static_cast<size_t>(lines));
    for (auto &line : input) {
        write_expression(line, 6, &seed);
    }
    const variables vars = {
        {"alpha", 3}, {"beta", 141}, {"gamma", 59265}, {"delta", 358}, {"zero", 0}};

    outcome o;
    uint64_t start = kernel_clock();
    for (int r = 0; r < rounds; r++) {
        for (const auto &line : input) {
            evaluate(line, vars, o);
        }
    }
    uint64_t end = kernel_clock();

    printf("%" PRIu64 " syntax errors, %" PRIu64 " arithmetic errors\n", o.syntax_errors,
           o.arithmetic_errors);
    return kernel_report("parser", lines, o.sum, start, end);
}
