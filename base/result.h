// The outcome of anything that can fail because of the world, not because of us.
//
// `Result<T>` carries a T or an Error. An error's code says what the caller should *do*; its
// message names the thing, the limit and the value, and is fit to be shown to a user as it is.
//
//   Result<Fd> fd = open_file(path);
//   if (!fd) return fd.error();
//   use(*fd);
//
// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace oj {

// IF YOU ADD A NEW VALUE: follow it in code_name(), python/ (exceptions) and cli/ (exit codes).
enum class Code {
  kBusy,          // a limit was reached or a deadline passed: try again later
  kGone,          // the thing was replaced or ended: attach again
  kInvalid,       // the call or its input is wrong: fix it
  kRefused,       // the state said no: the answer is final for this call
  kIncompatible,  // written by another version: upgrade
  kCorrupt,       // bytes are damaged: stop, keep the evidence
  kIo,            // the system said no; errno is in Error::os_error and in the message
  kPublished,     // a write is in the journal, and what was to follow failed: do not repeat it
};

// The name of a code as written in messages and logs, for instance "busy".
const char* code_name(Code code);

struct [[nodiscard]] Error {
  Code code = Code::kInvalid;
  std::string message;
  int os_error = 0;  // errno, or 0 when no system call was involved
};

// An Error of code kIo: "<what>: <text of os_error>".
Error io_error(std::string what, int os_error);

template <class T>
class [[nodiscard]] Result {
 public:
  // Not explicit, so that a function can `return value;` and `return error;`.
  Result(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : value_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES: ok().
  T& operator*() & {
    OJ_CHECK(ok());
    return *std::get_if<0>(&value_);
  }
  const T& operator*() const& {
    OJ_CHECK(ok());
    return *std::get_if<0>(&value_);
  }
  T&& operator*() && {
    OJ_CHECK(ok());
    return std::move(*std::get_if<0>(&value_));
  }
  T* operator->() {
    OJ_CHECK(ok());
    return std::get_if<0>(&value_);
  }
  const T* operator->() const {
    OJ_CHECK(ok());
    return std::get_if<0>(&value_);
  }

  // REQUIRES: !ok().
  const Error& error() const {
    OJ_CHECK(!ok());
    return *std::get_if<1>(&value_);
  }

 private:
  std::variant<T, Error> value_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  // Not explicit, so that a function can `return error;`.
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  // REQUIRES: !ok().
  const Error& error() const {
    OJ_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace oj
