// The standard library: containers, streams, text, time, random numbers, threads' locks.
#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <list>
#include <locale>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <regex>
#include <set>
#include <shared_mutex>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct Early {
    std::string text = "constructed before main";
};
static Early early;
static thread_local int per_thread = 5;
static std::once_flag once;

static void streams()
{
    std::ostringstream out;
    std::istringstream in("12 3.5 word rest of line");
    int i;
    double d;
    std::string word, rest;

    out << std::setw(6) << std::setfill('0') << 42 << ' ' << std::hex << std::showbase << 255 << ' ' << std::fixed
        << std::setprecision(3) << 3.14159 << ' ' << std::boolalpha << true;
    std::cout << out.str() << "\n";
    in >> i >> d >> word;
    std::getline(in, rest);
    std::cout << i << " " << d << " " << word << rest << " " << in.eof() << "\n";
    std::ofstream("lib.tmp") << "first\nsecond\n";
    std::ifstream file("lib.tmp");
    while (std::getline(file, word))
        std::cout << word << ",";
    std::cout << std::ifstream("none").is_open() << "\n";
    std::remove("lib.tmp");
}

static void containers()
{
    std::map<std::string, int> m{{"b", 2}, {"a", 1}};
    std::unordered_map<int, int> u;
    std::deque<int> d;
    std::list<int> l{3, 1, 2};
    std::vector<int> v(1000);

    for (int i = 0; i < 1000; i++)
        u[i * 7] = i;
    for (auto &[key, value] : m)
        std::cout << key << value << " ";
    for (int i = 0; i < 10; i++)
        i % 2 ? d.push_back(i) : d.push_front(i);
    l.sort();
    std::iota(v.begin(), v.end(), 0);
    std::shuffle(v.begin(), v.end(), std::mt19937(5));
    std::stable_sort(v.begin(), v.end(), [](int a, int b) { return a % 10 < b % 10 || (a % 10 == b % 10 && a < b); });
    std::cout << u.at(700) << " " << d.front() << d.back() << " " << l.front() << " " << v[0] << v[999] << " "
              << std::accumulate(v.begin(), v.end(), 0) << " " << std::bitset<8>(0xa5) << "\n";
}

static void text()
{
    std::regex re("(\\w+)@(\\w+)\\.org");
    std::string s = "ann@site.org, bob@host.org";
    char buf[40];

    for (std::sregex_iterator it(s.begin(), s.end(), re), end; it != end; ++it)
        std::cout << (*it)[1] << "/" << (*it)[2] << " ";
    std::cout << std::regex_replace(s, re, "<$1>") << "\n";
    auto r = std::to_chars(buf, buf + sizeof buf, 0.1);
    double back = 0;
    int n = 0;
    std::from_chars(buf, r.ptr, n);
    back = std::strtod(std::string(buf, r.ptr).c_str(), nullptr);
    std::cout << std::string(buf, r.ptr) << " " << (back == 0.1) << " " << std::to_string(1.5) << "\n";
    std::cout << std::use_facet<std::ctype<char>>(std::locale()).toupper('x') << "\n";
}

static void threads()
{
    std::mutex m;
    std::shared_mutex sm;
    std::atomic<long long> a{1};
    std::condition_variable cv;
    std::unique_lock<std::mutex> lock(m);

    std::call_once(once, [] { std::cout << "once "; });
    std::call_once(once, [] { std::cout << "twice "; });
    a.fetch_add(41);
    lock.unlock();
    std::shared_lock<std::shared_mutex> shared(sm);
    std::cout << a << " " << per_thread << " " << lock.owns_lock() << " "
              << (std::this_thread::get_id() != std::thread::id()) << "\n";
    std::shared_ptr<int> p = std::make_shared<int>(3);
    std::weak_ptr<int> w = p;
    p.reset();
    std::cout << w.expired() << "\n";
}

int main()
{
    using namespace std::chrono;

    std::cout << early.text << "\n";
    streams();
    containers();
    text();
    threads();
    auto start = steady_clock::now();
    std::this_thread::sleep_for(milliseconds(20));
    std::cout << (steady_clock::now() - start >= milliseconds(20)) << "\n";
    std::random_device device;
    std::cout << (device() != device() || device() != device()) << " " << std::mt19937_64(1)() << "\n";
    std::cerr << "";
    return 0;
}
