#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "client/cli/gnuplot_script.h"
#include "client/cli/npy_file.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

constexpr size_t kMaxComplaint = 300;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
// Nameless, gone when closed: gnuplot's input, output and complaints, so that no pipe can fill up.
using ScratchFile = std::unique_ptr<std::FILE, CloseFile>;

std::string ReadAll(std::FILE* file) {
  std::string text;
  char buffer[1 << 16];
  std::rewind(file);
  for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), file)) > 0;) text.append(buffer, n);
  return text;
}

absl::optional<PictureFormat> FormatOf(const std::string& path) {
  if (absl::EndsWithIgnoreCase(path, ".png")) return PictureFormat::kPng;
  if (absl::EndsWithIgnoreCase(path, ".svg")) return PictureFormat::kSvg;
  return absl::nullopt;
}

// Runs gnuplot over the three files; its exit status, or -1 with errno.
int RunGnuplot(std::FILE* in, std::FILE* out, std::FILE* err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(err), STDERR_FILENO);
  // -d: without the user's settings, which could change the picture.
  char program[] = "gnuplot", defaults[] = "-d";
  char* const arguments[] = {program, defaults, nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  errno = error;
  if (error != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

}  // namespace

absl::Status CheckPicturePath(const std::string& path) {
  if (FormatOf(path).has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a picture is written to a file that ends in .png or .svg, not '", path, "'"));
}

absl::Status DrawPicture(const Picture& picture, const std::string& path) {
  const absl::Status suffix = CheckPicturePath(path);
  if (!suffix.ok()) return suffix;
  const ScratchFile in(std::tmpfile()), out(std::tmpfile()), err(std::tmpfile());
  if (in == nullptr || out == nullptr || err == nullptr) {
    return absl::InternalError("no temporary file can be made for gnuplot");
  }
  const std::string script = GnuplotScript(picture, *FormatOf(path));
  if (std::fwrite(script.data(), 1, script.size(), in.get()) != script.size() ||
      std::fflush(in.get()) != 0) {
    return absl::InternalError("the temporary file for gnuplot cannot be written");
  }
  std::rewind(in.get());
  const int status = RunGnuplot(in.get(), out.get(), err.get());
  if (status == -1 && errno == ENOENT) {
    return absl::FailedPreconditionError(
        "pictures are drawn by the program gnuplot, which is not installed");
  }
  const std::string drawn = ReadAll(out.get());
  if (status != 0 || drawn.empty()) {
    return absl::InternalError(
        absl::StrCat("gnuplot failed: ", OneLine(ReadAll(err.get()), kMaxComplaint)));
  }
  return WriteWholeFile(path, "", drawn);
}

}  // namespace contexture::cli
