// Scores rows of JSON, one a line on standard input, as `row` of ../vectors.json has them:
//
//     g++ -std=c++17 -O2 main.cpp libLiteRt.so -Wl,-rpath,<folder of libLiteRt.so> -o ranklite_client
//     ./ranklite_client ../../model.tflite < rows.jsonl
//     ./ranklite_client --check ../vectors.json ../../model.tflite
//
// The second compares encoding and scores with those of the file.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#include "ranklite_model.hpp"

namespace {

using namespace ranklite;

// A value of JSON; of a number, `text` has its digits.
struct Json {
  enum Kind { kNull, kNumber, kText, kList, kObject } kind = kNull;
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> members;

  const Json& at(const std::string& name) const {
    static const Json null;
    const auto found = members.find(name);
    return found == members.end() ? null : found->second;
  }
};

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Json read() {
    Json value;
    skip();
    if (take('{')) {
      value.kind = Json::kObject;
      items('}', [&] {
        skip();
        expect('"');
        const std::string name = string();
        skip();
        expect(':');
        value.members[name] = read();
      });
    } else if (take('[')) {
      value.kind = Json::kList;
      items(']', [&] { value.list.push_back(read()); });
    } else if (take('"')) {
      value.kind = Json::kText;
      value.text = string();
    } else {
      const std::size_t end = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
      value.text = text_.substr(at_, end - at_);
      value.kind = value.text == "null" ? Json::kNull : Json::kNumber;
      at_ = end;
    }
    return value;
  }

 private:
  template <class Item>
  void items(char end, Item item) {
    skip();
    if (take(end)) return;
    do item();
    while (skip(), take(','));
    expect(end);
  }

  std::string string() {
    std::string result;
    while (!take('"')) {
      char c = next();
      if (c != '\\') {
        result += c;
        continue;
      }
      c = next();
      const std::string plain = "bfnrt", meant = "\b\f\n\r\t";
      const std::size_t k = plain.find(c);
      if (c == 'u') {
        unsigned point = hex();
        if (point >= 0xd800 && point < 0xdc00 && take('\\') && take('u')) {
          point = 0x10000 + (point - 0xd800) * 0x400 + (hex() - 0xdc00);
        }
        utf8(point, result);
      } else {
        result += k == std::string::npos ? c : meant[k];
      }
    }
    return result;
  }

  unsigned hex() {
    const std::string digits = text_.substr(at_, 4);
    at_ += 4;
    return static_cast<unsigned>(std::stoul(digits, nullptr, 16));
  }

  static void utf8(unsigned point, std::string& result) {
    const int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    const unsigned marks[] = {0, 0xc0, 0xe0, 0xf0};
    result += static_cast<char>(marks[more] | point >> 6 * more);
    for (int k = more - 1; k >= 0; --k) {
      result += static_cast<char>(0x80 | (point >> 6 * k & 0x3f));
    }
  }

  void skip() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool take(char c) { return at_ < text_.size() && text_[at_] == c && ++at_; }
  char next() {
    if (at_ == text_.size()) throw std::runtime_error("the JSON ends too soon");
    return text_[at_++];
  }
  void expect(char c) {
    if (next() != c) throw std::runtime_error(std::string("the JSON lacks a ") + c);
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

void set(std::string& field, const Json& value) { field = value.text; }
void set(std::int64_t& field, const Json& value) { field = std::stoll(value.text); }
void set(double& field, const Json& value) { field = std::strtod(value.text.c_str(), nullptr); }

template <class T>
void set(std::optional<T>& field, const Json& value) {
  if (value.kind != Json::kNull) set(field.emplace(), value);
}

template <class T>
void set(std::vector<T>& field, const Json& value) {
  for (const Json& each : value.list) {
    if (each.kind != Json::kNull) set(field.emplace_back(), each);
  }
}

Row row_of(const Json& json) {
  Row row;
$assignments
  return row;
}

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// Compares one input of one row with what is expected, a value or a list.
void compare(const Input& input, std::size_t row, const Json& expected) {
  const std::vector<Json> values = input.is_list ? expected.list : std::vector<Json>{expected};
  require(values.size() == input.length, input.name + " has another length");
  for (std::size_t k = 0; k < values.size(); ++k) {
    const std::size_t at = row * input.length + k;
    const double value = std::strtod(values[k].text.c_str(), nullptr);
    const double own = input.is_float ? double{input.floats[at]} : double(input.ints[at]);
    require(own == value || (std::isnan(own) && std::isnan(value)),
            "row " + std::to_string(row) + ": " + input.name + " is " + std::to_string(own) +
                ", not " + values[k].text);
  }
}

std::size_t checked(const std::string& vectors, const std::string& path) {
  std::ifstream file(vectors, std::ios::binary);
  require(file.good(), "cannot read " + vectors);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const Json document = Reader(text).read();
  const std::vector<Json>& expected = document.at("rows").list;
  std::vector<Row> rows;
  for (const Json& each : expected) rows.push_back(row_of(each.at("row")));
  for (const Input& input : encode(rows)) {
    for (std::size_t k = 0; k < rows.size(); ++k) {
      compare(input, k, expected[k].at("inputs").at(input.name));
    }
  }
  const std::vector<float> scores = Model(path).score(rows);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const double score = std::strtod(expected[k].at("score").text.c_str(), nullptr);
    require(std::abs(scores[k] - score) <= 1e-6, "row " + std::to_string(k) + ": the score is " +
                                                      std::to_string(scores[k]));
  }
  return rows.size();
}

void score_lines(const std::string& path) {
  std::vector<Row> rows;
  for (std::string line; std::getline(std::cin, line);) rows.push_back(row_of(Reader(line).read()));
  std::cout.precision(9);
  for (const float score : Model(path).score(rows)) std::cout << score << "\n";
}

}  // namespace

int main(int count, char** words) {
  try {
    if (count == 4 && std::string(words[1]) == "--check") {
      std::cout << checked(words[2], words[3]) << " rows agree\n";
    } else if (count == 2) {
      score_lines(words[1]);
    } else {
      std::cerr << "usage: " << words[0] << " MODEL < ROWS, or --check VECTORS MODEL\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
