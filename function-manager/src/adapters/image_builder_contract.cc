// Builds of images with the real tools, without a network: what users' packages may do in one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "function-manager/src/adapters/image_builder.h"

namespace dispatch::image_builder_contract {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class Images : public ::testing::Test {
 protected:
  Images()
      : tools_({.runtimes_dir = fs::absolute("function-manager/runtimes"),
                .first_uid = 1'600'000'000U + static_cast<uint32_t>(getpid()) * 16}) {
    std::string name = fs::temp_directory_path() / "images-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~Images() override { fs::remove_all(directory_); }
  Status Install(const ImageRecipe& recipe) {
    if (!LanguageFault(recipe.language).empty()) return {Code::kUnavailable, "skip"};
    return InstallDependencies(recipe, directory_, tools_, nullptr);
  }
  void Write(const fs::path& path, const std::string& text) {
    fs::create_directories((directory_ / path).parent_path());
    std::ofstream(directory_ / path) << text;
  }

  fs::path directory_;
  Tools tools_;
};

// Says what it sees, and fails so that its words are the reason.
constexpr char kSpy[] =
    "import os, socket, sys\n"
    "def reach(port):\n"
    "  try: s = socket.create_connection(('127.0.0.1', port), 5); s.send(b'x'); return s.recv(1)\n"
    "  except OSError: return b''\n"
    "seen = [v for v in os.environ if v.startswith(('DISPATCH', 'SPIED'))]\n"
    "seen += [p for p in ('/root', '/home', '/var', '/etc/shadow', '%s') if os.path.exists(p)]\n"
    "seen += [p for p in (5432, 9092) if reach(p)]\n"
    "seen += ['root'] if os.getuid() == 0 else []\n"
    "sys.exit(f'the spy saw {seen}')\n";

std::string Spy(const fs::path& directory) {
  std::string text = kSpy;
  return text.replace(text.find("%s"), 2, directory.string());
}

TEST_F(Images, ASetupScriptSeesNothing) {
  setenv("SPIED_SECRET", "value", 1);
  Write("spy/setup.py", Spy(directory_));
  Status status = Install({"python3", "./spy\n"});
  unsetenv("SPIED_SECRET");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("the spy saw []"));
}

TEST_F(Images, AnInstallScriptSeesNothing) {
  setenv("SPIED_SECRET", "value", 1);
  Write("spy/spy.py", Spy(directory_));
  Write("spy/package.json",
        R"({"name": "spy", "version": "1.0.0", "scripts": {"postinstall": "python3 spy.py"}})");
  Status status = Install({"nodejs", R"({"dependencies": {"spy": "file:./spy"}})"});
  unsetenv("SPIED_SECRET");
  if (status.message() == "skip") GTEST_SKIP() << "npm is not installed";
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("the spy saw []"));
}

TEST_F(Images, ABuildLeavesNoScratch) {
  Write("plain/setup.py",
        "from setuptools import setup\nsetup(name='plain', py_modules=['plain'])\n");
  Write("plain/plain.py", "x = 1\n");
  Status status = Install({"python3", "./plain\n"});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(fs::exists(directory_ / "lib/plain.py"));
  EXPECT_FALSE(fs::exists(directory_ / ".scratch"));
}

}  // namespace
}  // namespace dispatch::image_builder_contract
