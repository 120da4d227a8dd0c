// SPDX-License-Identifier: MIT
#include "cli/record_filter.h"

#include <algorithm>

namespace oj::cli {
namespace {

template <class T>
bool none_or_one_of(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

}  // namespace

bool RecordFilter::takes_all() const {
  return !study && trials.empty() && operations.empty() && states.empty() && workers.empty() &&
         !since_us && !until_us;
}

bool RecordFilter::takes(const RecordText& record) const {
  if (takes_all()) return true;
  if (!record.bad.empty()) return false;  // nothing is known of it
  if (since_us && record.header.time_us < *since_us) return false;
  if (until_us && record.header.time_us >= *until_us) return false;
  if (!takes_worker(record)) return false;
  return std::any_of(record.operations.begin(), record.operations.end(),
                     [this](const OperationText& operation) { return takes(operation); });
}

bool RecordFilter::takes(const OperationText& operation) const {
  if (study && operation.study != study) return false;
  if (!trials.empty() && (!operation.trial || !none_or_one_of(trials, *operation.trial)))
    return false;
  if (!states.empty() && (!operation.state || !none_or_one_of(states, *operation.state)))
    return false;
  return none_or_one_of(operations, operation.operation);
}

bool RecordFilter::takes_worker(const RecordText& record) const {
  if (workers.empty()) return true;
  const auto named = [this](const std::string& name) {
    return !name.empty() && none_or_one_of(workers, name);
  };
  for (const OperationText& operation : record.operations) {
    if (std::any_of(operation.about_worker.begin(), operation.about_worker.end(), named))
      return true;
  }
  if (record.header.session == 0) return named("optjournald");
  return record.session && (named(std::to_string(record.session->pid)) ||
                            named(record.session->command) || named(record.session->user));
}

}  // namespace oj::cli
