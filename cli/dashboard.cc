// `optjournal dashboard`: becomes a Python that serves optuna-dashboard over the journal.
//
// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/session.h"

namespace oj::cli {
namespace {

// Imports nothing from the current folder, which -c puts first. Says what to type where the Python
// that was found has no optjournal.
constexpr const char* kProgram =
    "import sys\n"
    "if sys.path[0] == '':\n"
    "    del sys.path[0]\n"
    "try:\n"
    "    from optjournal._dashboard import main\n"
    "except ImportError as missing:\n"
    "    sys.exit(f\"optjournal: {sys.executable} cannot run the dashboard ({missing}); type\\n\"\n"
    "             f\"  {sys.executable} -m pip install 'optjournal[dashboard]'\\n\"\n"
    "             \"or name another Python in OPTJOURNAL_PYTHON\")\n"
    "sys.exit(main(sys.argv[1:]))\n";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The one that was named, or that this program was installed by (it sets the variable); the
// virtual environment's; the first in PATH.
std::string find_python() {
  if (std::string named = variable("OPTJOURNAL_PYTHON"); !named.empty()) return named;
  if (const std::string venv = variable("VIRTUAL_ENV"); !venv.empty()) {
    std::string python = venv + "/bin/python3";
    if (access(python.c_str(), X_OK) == 0) return python;
  }
  return "python3";
}

}  // namespace

Result<void> dashboard(const DashboardOptions& options) {
  // As the other verbs look: a storage of a worker would make a journal where there is none.
  {
    client::OpenOptions look;
    look.mode = client::OpenOptions::Mode::kMonitor;
    auto session = client::Session::open(options.location, look);
    if (!session) return session.error();
  }
  const std::string python = find_python();
  std::vector<std::string> words{python,   "-c",         kProgram, "--host",        options.host,
                                 "--port", options.port, "--",     options.location};
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp(python.c_str(), pointers.data());
  return io_error("cannot run " + python +
                      ", for the dashboard; name a Python with "
                      "optjournal[dashboard] in OPTJOURNAL_PYTHON",
                  errno);
}

}  // namespace oj::cli
