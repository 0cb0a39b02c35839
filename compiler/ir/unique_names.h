// SPDX-License-Identifier: MIT
// Names that are given once: the wish, else the wish with a number that is free. The search begins
// where the last one for that wish ended, so many equal wishes cost as much as many others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace tilescale::ir {

class UniqueNames {
 public:
  explicit UniqueNames(int64_t first_number = 1) : first_(first_number) {}

  // As it is; false: taken.
  bool Take(const std::string& name) { return taken_.insert(name).second; }
  // A name that is not `reserved` either.
  template <typename Reserved>
  std::string Make(const std::string& wish, Reserved reserved) {
    if (!reserved(wish) && Take(wish)) return wish;
    int64_t& number = next_.try_emplace(wish, first_).first->second;
    while (true) {
      std::string name = wish + "_" + std::to_string(number++);
      if (!reserved(name) && Take(name)) return name;
    }
  }
  std::string Make(const std::string& wish) {
    return Make(wish, [](const std::string&) { return false; });
  }
  // It may be given again, for the wish that it was made for, too.
  void Free(const std::string& name) {
    taken_.erase(name);
    const size_t at = name.rfind('_');
    if (at == std::string::npos) return;
    auto it = next_.find(name.substr(0, at));
    const std::string number = name.substr(at + 1);
    if (it == next_.end() || number.empty() || number.size() > kDigits ||
        number.find_first_not_of("0123456789") != std::string::npos)
      return;
    it->second = std::max(first_, std::min<int64_t>(it->second, std::stoll(number)));
  }
  void Clear() {
    taken_.clear();
    next_.clear();
  }

 private:
  static constexpr size_t kDigits = 18;  // of a number that was given

  int64_t first_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, int64_t> next_;  // by wish
};

}  // namespace tilescale::ir
