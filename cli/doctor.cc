// `optjournal doctor`: the usual troubles of a journal, and what to type.
//
// SPDX-License-Identifier: MIT
#include <algorithm>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/diagnosis.h"

namespace oj::cli {
namespace {

Style style_of(client::Verdict verdict) {
  switch (verdict) {
    case client::Verdict::kOk: return Style::kGreen;
    case client::Verdict::kWarning: return Style::kYellow;
    case client::Verdict::kProblem: return Style::kRed;
  }
  return Style::kPlain;
}

std::string text_of(const std::vector<client::Finding>& findings, const Output& out) {
  std::string text;
  for (const client::Finding& found : findings) {
    const std::string verdict = fmt::format("{:<8}", client::verdict_name(found.verdict));
    text += fmt::format("{}  {:<14}  {}\n", out.styled(style_of(found.verdict), verdict),
                        found.check, shown(found.what));
    if (!found.advice.empty()) text += fmt::format("{:26}-> {}\n", "", shown(found.advice));
  }
  return text;
}

std::string json_of(const std::vector<client::Finding>& findings, client::Verdict worst) {
  Json json;
  json.object().key("verdict").text(client::verdict_name(worst)).key("findings").array();
  for (const client::Finding& found : findings) {
    json.object().key("check").text(found.check);
    json.key("verdict").text(client::verdict_name(found.verdict)).key("what").text(found.what);
    json.key("advice");
    if (found.advice.empty())
      json.null();
    else
      json.text(found.advice);
    json.end_object();
  }
  return json.end_array().end_object().take() + '\n';
}

}  // namespace

Result<Exit> doctor(const DoctorOptions& options, Output& out) {
  auto findings = client::diagnose(options.location);
  if (!findings) return findings.error();
  client::Verdict worst = client::Verdict::kOk;
  for (const client::Finding& found : *findings) worst = std::max(worst, found.verdict);
  auto done = out.write(options.json ? json_of(*findings, worst) : text_of(*findings, out));
  if (!done) return done.error();
  return worst == client::Verdict::kOk        ? Exit::kOk
         : worst == client::Verdict::kWarning ? Exit::kWarning
                                              : Exit::kProblem;
}

}  // namespace oj::cli
