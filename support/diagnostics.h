// SPDX-License-Identifier: MIT
// How we fail. A user's mistake is a `Diag`: it names their line and says what to do. A mistake of
// ours is an `InternalError`: it names our line and the replay file that reproduces it.
//
//   throw Diag(where, "ValueError") << "gemm: k must be positive, got " << k << Help("pass k >=
//   1"); TS_CHECK(index < size) << "slot " << index << " of " << size;     // the message is
//   required TS_UNREACHABLE("expression kind " << kind);                       // ends the function
//
// A Diag prints as
//
//   gemm.py:12: gemm: k must be positive, got 0
//       T.gemm(A, B, C)
//       ^
//   help: pass k >= 1
#pragma once

#include <exception>
#include <functional>
#include <sstream>
#include <string>
#include <utility>

namespace tilescale {

// A place in the user's program; line and column count from 1, 0 means unknown.
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;
};

// Streamed into a Diag: the likely fix, printed on a line of its own.
struct Help {
  explicit Help(std::string t) : text(std::move(t)) {}
  std::string text;
};

// A user's mistake. `type` is the name of the Python exception it becomes: a built-in one, or
// "CompileError" and so on. Messages are lower case and have no full stop.
class Diag : public std::exception {
 public:
  explicit Diag(SourceLocation where = {}, std::string type = "CompileError")
      : type_(std::move(type)), where_(std::move(where)) {}

  template <class T>
  Diag& operator<<(const T& value) & {
    Append(value);
    return *this;
  }
  template <class T>
  Diag&& operator<<(const T& value) && {
    Append(value);
    return std::move(*this);
  }

  const std::string& type() const { return type_; }
  const SourceLocation& where() const { return where_; }
  const std::string& message() const { return message_; }
  const std::string& help() const { return help_; }
  // The whole text, with location, source line and help.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  template <class T>
  void Append(const T& value) {
    std::ostringstream out;
    out << value;
    message_ += out.str();
    Render();
  }
  void Append(const Help& help) {
    help_ = help.text;
    Render();
  }
  void Render();

  std::string type_;
  SourceLocation where_;
  std::string message_;
  std::string help_;
  std::string text_;
};

// A mistake of ours.
class InternalError : public std::exception {
 public:
  explicit InternalError(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// While it lives, an internal error on this thread calls `write` with the message; `write` saves
// what reproduces it and returns the file's path (or "" when it could not), which the error then
// names. Scopes nest, the innermost is called. `write` may not raise.
class ReplayScope {
 public:
  using Writer = std::function<std::string(const std::string& message)>;
  explicit ReplayScope(Writer write);
  ~ReplayScope();
  ReplayScope(const ReplayScope&) = delete;
  ReplayScope& operator=(const ReplayScope&) = delete;

 private:
  Writer write_;
  ReplayScope* outer_;
  friend class ReplayAccess;
};

namespace detail {

[[noreturn]] void FailInternal(const char* file, int line, const std::string& message);

class CheckMessage {
 public:
  CheckMessage(const char* file, int line, const char* condition) : file(file), line(line) {
    text << "check failed: " << condition << ": ";
  }
  template <class T>
  CheckMessage&& operator<<(const T& value) && {
    text << value;
    return std::move(*this);
  }

  const char* file;
  int line;
  std::ostringstream text;
};

// What TS_CHECK begins with; only a message turns it into something that CheckThrower takes.
struct CheckStart {
  CheckStart(const char* file, int line, const char* condition)
      : file(file), line(line), condition(condition) {}
  template <class T>
  CheckMessage operator<<(const T& value) && {
    CheckMessage message(file, line, condition);
    message.text << value;
    return message;
  }

  const char* file;
  int line;
  const char* condition;
};

struct CheckThrower {
  [[noreturn]] void operator&(CheckMessage&& message) const {
    FailInternal(message.file, message.line, message.text.str());
  }
};

}  // namespace detail

// Throws InternalError unless `condition` holds. A check without a message does not compile.
#define TS_CHECK(condition)                           \
  (condition) ? static_cast<void>(0)                  \
              : ::tilescale::detail::CheckThrower{} & \
                    ::tilescale::detail::CheckStart(__FILE__, __LINE__, #condition)

// For the branch that cannot be taken; `text` may be streamed: "kind " << kind.
#define TS_UNREACHABLE(text)                                                 \
  do {                                                                       \
    std::ostringstream ts_message;                                           \
    ts_message << text; /* NOLINT(bugprone-macro-parentheses): a stream */   \
    ::tilescale::detail::FailInternal(__FILE__, __LINE__, ts_message.str()); \
  } while (false)

}  // namespace tilescale
