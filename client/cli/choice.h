#pragma once

#include <map>
#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"

namespace contexture::cli {

// An option whose words stand for the values of an enum.
template <typename Enum, typename Set>
void AddChoice(CLI::App& app, const std::string& name, const std::map<std::string, Enum>& choices,
               const std::string& description, Set set) {
  app.add_option_function<std::string>(
         name, [choices, set](const std::string& word) { set(choices.at(word)); }, description)
      ->check(CLI::IsMember(choices));
}

}  // namespace contexture::cli
