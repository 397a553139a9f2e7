// Checks RankLiteClient.swift on macOS or Linux; an app does not need this file:
//
//     swiftc RankLiteClient.swift main.swift -o check
//     ./check ../vectors.json
//
// It compares the encoding of each row with that of the file.

import Foundation

func text(_ value: Any?) -> String? { value as? String }

func integer(_ value: Any?) -> Int64? {
  (value as? String).flatMap { Int64($$0) } ?? (value as? NSNumber)?.int64Value
}

func number(_ value: Any?) -> Double? {
  value as? String == "NaN" ? .nan : (value as? NSNumber)?.doubleValue
}

func list<T>(_ value: Any?, _ of: (Any?) -> T?) -> [T] {
  (value as? [Any] ?? []).compactMap(of)
}

func row(_ json: [String: Any]) -> RankLite.Row {
  var row = RankLite.Row()
$assignments
  return row
}

struct Difference: Error, CustomStringConvertible {
  let description: String
}

func checked(_ path: String) throws -> Int {
  let data = try Data(contentsOf: URL(fileURLWithPath: path))
  let document = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
  let expected = document["rows"] as? [[String: Any]] ?? []
  let rows = expected.map { row($$0["row"] as? [String: Any] ?? [:]) }
  for input in try RankLite.encode(rows) {
    let length = input.length ?? 1
    for (k, entry) in expected.enumerated() {
      let value = (entry["inputs"] as? [String: Any])?[input.name]
      let values = input.length == nil ? [value as Any] : value as? [Any] ?? []
      let span = k * length..<(k + 1) * length
      var agree = false
      switch input.values {
      case .ints(let own):
        agree = Array(own[span]) == values.compactMap { integer($$0).map { Int32($$0) } }
      case .floats(let own):
        let wanted = values.compactMap { number($$0).map { Float($$0) } }
        agree = wanted.count == length
          && zip(own[span], wanted).allSatisfy { $$0 == $$1 || ($$0.isNaN && $$1.isNaN) }
      }
      guard agree else {
        throw Difference(description: "row \(k): \(input.name) is not \(values)")
      }
    }
  }
  return rows.count
}

guard CommandLine.arguments.count == 2 else {
  print("usage: check VECTORS")
  exit(2)
}
print("\(try checked(CommandLine.arguments[1])) rows agree")
