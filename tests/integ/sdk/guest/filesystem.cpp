// std::filesystem on a granted directory. Engines: cell (Node loses its place in a directory that changes).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

int main()
{
    std::error_code ec;
    std::vector<std::string> names;

    std::cout << fs::create_directories("fs/a/b") << fs::create_directory("fs/a") << "\n";
    std::ofstream("fs/a/file.txt") << "contents";
    std::cout << fs::exists("fs/a/file.txt") << fs::is_directory("fs/a") << fs::file_size("fs/a/file.txt") << "\n";
    fs::copy_file("fs/a/file.txt", "fs/copy.txt");
    fs::create_symlink("copy.txt", "fs/link");
    fs::rename("fs/a/file.txt", "fs/a/b/moved.txt");
    for (auto &entry : fs::recursive_directory_iterator("fs"))
        names.push_back(entry.path().generic_string());
    std::sort(names.begin(), names.end());
    for (auto &name : names)
        std::cout << name << " ";
    std::cout << "\n" << fs::read_symlink("fs/link") << fs::equivalent("fs/link", "fs/copy.txt") << "\n";
    fs::resize_file("fs/copy.txt", 3);
    std::cout << fs::file_size("fs/link") << " " << fs::path("a/../b/c.txt").lexically_normal() << "\n";
    std::cout << fs::file_size("fs/none", ec) + 1 << " " << (ec == std::errc::no_such_file_or_directory) << "\n";
    try {
        fs::remove("fs/a/none/..");
        fs::create_directory("fs/none/sub");
    } catch (const fs::filesystem_error &e) {
        std::cout << "filesystem_error " << e.path1() << "\n";
    }
    auto here = fs::current_path();
    fs::current_path("fs/a");
    std::cout << fs::current_path().filename() << fs::exists("b/moved.txt") << fs::exists("../link") << "\n";
    std::cout << fs::canonical("../link").filename() << "\n";
    fs::current_path(here);
    std::cout << fs::remove_all("fs") << fs::exists("fs") << "\n";
    return 0;
}
