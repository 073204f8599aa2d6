// Reads JSON files and prints them indented: json FILE...
//
// A mistake is an exception that is thrown deep in the parser and caught per file: its place is printed, the other
// files are still done, and the exit code is 1.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

struct mistake : std::runtime_error {
    std::size_t line, column;
    mistake(const std::string &what, std::size_t l, std::size_t c) : std::runtime_error(what), line(l), column(c) {}
};

struct value;
using list = std::vector<value>;
using object = std::vector<std::pair<std::string, value>>; // in the order of the file

struct value {
    std::variant<std::nullptr_t, bool, double, std::string, std::unique_ptr<list>, std::unique_ptr<object>> is;
};

class parser {
public:
    explicit parser(std::string text) : text_(std::move(text)) {}

    value document()
    {
        value v = any();
        if (next() != '\0')
            fail("something behind the end");
        return v;
    }

private:
    static constexpr int depth_max = 200;

    // Counts how deep lists and objects are nested, also when an exception passes.
    struct nesting {
        parser &p;
        explicit nesting(parser &owner) : p(owner)
        {
            if (++p.depth_ > depth_max)
                p.fail("nested too deeply");
        }
        ~nesting() { p.depth_--; }
    };

    [[noreturn]] void fail(const std::string &what) const
    {
        std::size_t line = 1, column = 1;
        for (std::size_t i = 0; i < at_ && i < text_.size(); i++) {
            column = text_[i] == '\n' ? 1 : column + 1;
            line += text_[i] == '\n';
        }
        throw mistake(what, line, column);
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    char next()
    {
        while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r')
            at_++;
        return peek();
    }

    void expect(char c)
    {
        if (next() != c)
            fail(std::string("expected '") + c + "'");
        at_++;
    }

    value any()
    {
        switch (next()) {
        case '{':
            return {members()};
        case '[':
            return {elements()};
        case '"':
            return {string()};
        case 't':
            return word("true", value{true});
        case 'f':
            return word("false", value{false});
        case 'n':
            return word("null", value{nullptr});
        default:
            return {number()};
        }
    }

    value word(const std::string &name, value v)
    {
        if (text_.compare(at_, name.size(), name) != 0)
            fail("unknown word");
        at_ += name.size();
        return v;
    }

    double number()
    {
        std::size_t end = text_.find_first_not_of("+-.0123456789eE", at_);
        std::string digits = text_.substr(at_, end == std::string::npos ? end : end - at_);
        std::size_t used = 0;
        double d = 0;
        try {
            d = std::stod(digits, &used); // throws when this is no number
        } catch (const std::logic_error &) {
            fail("expected a value");
        }
        at_ += used;
        return d;
    }

    std::string string()
    {
        std::string s;
        expect('"');
        while (peek() != '"') {
            if (at_ >= text_.size() || peek() == '\n')
                fail("string without an end");
            if (peek() == '\\')
                s += text_[at_++]; // escapes are kept as they are written
            s += text_[at_++];
        }
        at_++;
        return s;
    }

    std::unique_ptr<list> elements()
    {
        nesting deeper(*this);
        auto all = std::make_unique<list>();
        expect('[');
        if (next() != ']')
            for (;;) {
                all->push_back(any());
                if (next() != ',')
                    break;
                at_++;
            }
        expect(']');
        return all;
    }

    std::unique_ptr<object> members()
    {
        nesting deeper(*this);
        auto all = std::make_unique<object>();
        expect('{');
        if (next() != '}')
            for (;;) {
                next();
                std::string name = string();
                expect(':');
                all->emplace_back(std::move(name), any());
                if (next() != ',')
                    break;
                at_++;
            }
        expect('}');
        return all;
    }

    std::string text_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

struct printer {
    std::ostream &out;
    std::string indent = "\n";

    void operator()(std::nullptr_t) { out << "null"; }
    void operator()(bool b) { out << (b ? "true" : "false"); }
    void operator()(double d) { out << d; }
    void operator()(const std::string &s) { out << '"' << s << '"'; }
    void operator()(const std::unique_ptr<list> &all)
    {
        each('[', ']', *all, [this](const value &v) { std::visit(*this, v.is); });
    }
    void operator()(const std::unique_ptr<object> &all)
    {
        each('{', '}', *all, [this](const auto &member) {
            out << '"' << member.first << "\": ";
            std::visit(*this, member.second.is);
        });
    }
    template <typename items, typename body> void each(char open, char close, const items &all, body print)
    {
        out << open;
        indent += "  ";
        bool first = true;
        for (const auto &item : all) {
            out << (first ? "" : ",") << indent;
            first = false;
            print(item);
        }
        indent.resize(indent.size() - 2);
        out << (all.empty() ? "" : indent) << close;
    }
};

int main(int argc, char **argv)
{
    int code = EXIT_SUCCESS;
    std::cout.precision(15);
    for (int i = 1; i < argc; i++) {
        try {
            std::ifstream file(argv[i]);
            if (!file)
                throw std::runtime_error("cannot be opened");
            std::stringstream text;
            text << file.rdbuf();
            value v = parser(text.str()).document();
            printer print{std::cout};
            std::visit(print, v.is);
            std::cout << '\n';
        } catch (const mistake &m) {
            std::cout << argv[i] << ":" << m.line << ":" << m.column << ": " << m.what() << '\n';
            code = EXIT_FAILURE;
        } catch (const std::exception &e) {
            std::cout << argv[i] << ": " << e.what() << '\n';
            code = EXIT_FAILURE;
        }
    }
    return code;
}
