// Reads the small text form in which test vocabularies are committed (written by
// python-tools/make_tokenizer_goldens.py), and the escaped lines of the test texts.
//
// One item per line: `model gpt2`, `pre NAME`, `bos ID`, `eos ID`, `unk ID`, `special TEXT` (a control token),
// `user TEXT`, `alphabet` (the 256 byte characters in code point order), `merge A B` (also adds the token AB),
// `only A B` (a merge whose token exists already), `token TEXT`, `piece TYPE SCORE TEXT`.
#pragma once

#include "runtime/text/bpe.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

namespace ktrt::test {

// Undoes the escapes \n \r \0 and \\ of one line.
inline std::string unescape(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) {
      out += line[i];
      continue;
    }
    char c = line[++i];
    out += c == 'n' ? '\n' : c == 'r' ? '\r' : c == '0' ? '\0' : c;
  }
  return out;
}

// All lines of a file, without line ends, still escaped.
inline std::vector<std::string> readLines(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

// A vocabulary with the storage that its views point into. Not copyable: the views would dangle.
struct VocabFile {
  VocabFile() = default;
  VocabFile(const VocabFile &) = delete;

  TokenizerData data;
  std::deque<std::string> storage;

  std::string_view keep(std::string text) { return storage.emplace_back(std::move(text)); }

  void add(std::string text, TokenType type = TokenType::Normal, float score = 0) {
    data.tokens.push_back(keep(std::move(text)));
    data.types.push_back(int32_t(type));
    data.scores.push_back(score);
  }

  void addAlphabet() {
    std::vector<uint32_t> codes;
    for (uint32_t b = 0; b < 256; ++b)
      codes.push_back(byteToAlphabet(uint8_t(b)));
    std::sort(codes.begin(), codes.end());
    for (uint32_t code : codes) {
      std::string text;
      appendUtf8(text, code);
      add(text);
    }
  }

  void addLine(const std::string &line) {
    size_t space = std::min(line.find(' '), line.size());
    std::string key = line.substr(0, space), rest = line.substr(std::min(space + 1, line.size()));
    if (key == "model")
      data.model = rest;
    else if (key == "pre")
      data.pre = rest;
    else if (key == "bos")
      data.bos = std::atoi(rest.c_str()), data.addBos = true;
    else if (key == "eos")
      data.eos = std::atoi(rest.c_str());
    else if (key == "unk")
      data.unk = std::atoi(rest.c_str());
    else if (key == "special")
      add(unescape(rest), TokenType::Control);
    else if (key == "user")
      add(unescape(rest), TokenType::UserDefined);
    else if (key == "token")
      add(unescape(rest));
    else if (key == "alphabet")
      addAlphabet();
    else if (key == "merge" || key == "only") {
      data.merges.push_back(keep(rest));
      if (size_t split = rest.find(' ', 1); key == "merge" && split != std::string::npos)
        add(std::string(rest).erase(split, 1));
    } else if (key == "piece") {
      size_t second = std::min(rest.find(' '), rest.size()), third = rest.find(' ', second + 1);
      add(third < rest.size() ? unescape(rest.substr(third + 1)) : "", TokenType(std::atoi(rest.c_str())),
          std::strtof(rest.c_str() + second, nullptr));
    }
  }

  bool load(const std::string &path) {
    std::vector<std::string> lines = readLines(path);
    for (const std::string &line : lines)
      addLine(line);
    return !lines.empty();
  }
};

} // namespace ktrt::test
