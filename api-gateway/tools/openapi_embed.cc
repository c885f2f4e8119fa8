// openapi_embed out.cc PART.yaml...: writes a C++ file with the document that the parts make
// together, as JSON text. What is an object in several parts is merged; nothing may come twice.
#include <yaml-cpp/yaml.h>

#include <boost/json.hpp>
#include <fstream>
#include <iostream>

namespace {

namespace bj = boost::json;

// Plain scalars have the types of YAML's core schema; quoted ones are strings.
bj::value FromScalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return bj::string(text);
  bool flag = false;
  int64_t number = 0;
  double real = 0;
  if (text == "true" || text == "false") return YAML::convert<bool>::decode(node, flag) && flag;
  if (YAML::convert<int64_t>::decode(node, number)) return number;
  if (YAML::convert<double>::decode(node, real)) return real;
  return bj::string(text);
}

bj::value FromYaml(const YAML::Node& node) {
  if (node.IsMap()) {
    bj::object object;
    for (const auto& member : node) {
      const std::string& key = member.first.Scalar();
      if (object.contains(key)) throw std::runtime_error("the key " + key + " comes twice");
      object.emplace(key, FromYaml(member.second));
    }
    return object;
  }
  if (node.IsSequence()) {
    bj::array array;
    for (const auto& element : node) array.push_back(FromYaml(element));
    return array;
  }
  return node.IsScalar() ? FromScalar(node) : bj::value(nullptr);
}

void Merge(bj::object& into, bj::object part) {
  for (auto& [key, value] : part) {
    auto [member, is_new] = into.emplace(key, nullptr);
    if (is_new) {
      member->value() = std::move(value);
    } else if (member->value().is_object() && value.is_object()) {
      Merge(member->value().as_object(), std::move(value.as_object()));
    } else {
      throw std::runtime_error("the key " + std::string(key) + " is in another part, too");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: openapi_embed out.cc PART.yaml...\n";
    return 2;
  }
  bj::object document;
  for (int i = 2; i < argc; ++i) {
    try {
      Merge(document, FromYaml(YAML::LoadFile(argv[i])).as_object());
    } catch (const std::exception& e) {
      std::cerr << argv[i] << ": " << e.what() << "\n";
      return 1;
    }
  }
  std::ofstream out(argv[1]);
  out << "#include \"api-gateway/src/openapi_document.h\"\n\n"
      << "namespace dispatch::gateway {\n"
      << "std::string OpenApiDocument() { return R\"openapi(" << bj::serialize(document)
      << ")openapi\"; }\n"
      << "}  // namespace dispatch::gateway\n";
  out.close();
  return out ? 0 : 1;
}
