#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "common/json.h"
#include "schema/cloudevents.h"

// Runs the public conformance features (tests/conformance-data/cloudevents/*.feature) over our
// parser: a Gherkin reader that knows just the steps that they use.
namespace dispatch::cloudevents::conformance_test {

using Table = std::vector<std::vector<std::string>>;

struct Step {
  std::string text;
  std::string doc;  // the block in """, without its indentation
  Table table;
};

struct Scenario {
  std::string name;
  std::vector<Step> steps;
  Table examples;
};

std::string Trim(const std::string& text) {
  size_t first = text.find_first_not_of(" \t\r");
  return first == std::string::npos
             ? ""
             : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::string> Cells(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream in(row.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) cells.push_back(Trim(cell));
  if (!cells.empty() && cells.back().empty()) cells.pop_back();
  return cells;
}

std::string ReadDoc(std::istream& in, size_t indent) {
  std::string doc;
  for (std::string line; std::getline(in, line) && Trim(line) != "\"\"\"";) {
    if (!doc.empty()) doc += '\n';
    doc += line.size() > indent ? line.substr(indent) : "";
  }
  return doc;
}

std::vector<Scenario> ReadFeature(const std::string& name) {
  std::ifstream in("tests/conformance-data/cloudevents/" + name);
  EXPECT_TRUE(in) << name;
  std::vector<Scenario> scenarios;
  bool examples = false;
  for (std::string line; std::getline(in, line);) {
    std::string text = Trim(line);
    if (text.starts_with("Scenario")) {
      scenarios.push_back({text.substr(text.find(':') + 2), {}, {}});
      examples = false;
    } else if (scenarios.empty() || text.empty()) {
      continue;  // the background only says that the binding is there
    } else if (text == "Examples:") {
      examples = true;
    } else if (text.starts_with("|")) {
      auto& table = examples ? scenarios.back().examples : scenarios.back().steps.back().table;
      table.push_back(Cells(text));
    } else if (text == "\"\"\"") {
      scenarios.back().steps.back().doc = ReadDoc(in, line.find('"'));
    } else {
      scenarios.back().steps.push_back({text.substr(text.find(' ') + 1), "", {}});
    }
  }
  return scenarios;
}

void Fill(std::string& text, const std::string& name, const std::string& value) {
  const std::string mark = "<" + name + ">";
  for (size_t at; (at = text.find(mark)) != std::string::npos;)
    text.replace(at, mark.size(), value);
}

// One scenario for each row of examples.
std::vector<Scenario> Expand(const std::vector<Scenario>& outlines) {
  std::vector<Scenario> all;
  for (const Scenario& outline : outlines) {
    if (outline.examples.empty()) all.push_back(outline);
    for (size_t row = 1; row < outline.examples.size(); ++row) {
      Scenario scenario = outline;
      for (size_t i = 0; i < outline.examples[0].size(); ++i) {
        const std::string& name = outline.examples[0][i];
        const std::string& value = outline.examples[row][i];
        Fill(scenario.name, name, value);
        for (Step& step : scenario.steps) {
          Fill(step.doc, name, value);
          for (auto& cells : step.table) {
            for (auto& cell : cells) Fill(cell, name, value);
          }
        }
      }
      all.push_back(scenario);
    }
  }
  return all;
}

Result<Event> ParseHttp(const std::string& message) {
  size_t blank = message.find("\n\n");
  std::istringstream head(message.substr(0, blank));
  std::string body = message.substr(blank + 2);
  schema::HeaderList headers;
  std::string content_type;
  std::string line;
  std::getline(head, line);
  while (std::getline(head, line)) {
    size_t colon = line.find(':');
    headers.emplace_back(line.substr(0, colon), Trim(line.substr(colon + 1)));
    if (headers.back().first == "Content-Type") content_type = headers.back().second;
  }
  ASSIGN_OR_RETURN(ContentMode mode, ModeOf(content_type));
  return mode == ContentMode::kStructured ? FromJson(body) : FromHttpBinary(headers, body);
}

void CheckAttributes(const Event& event, const Table& table) {
  std::map<std::string, std::string> expected;
  for (size_t row = 1; row < table.size(); ++row) expected[table[row][0]] = table[row][1];
  std::map<std::string, std::string> actual(event.attributes.begin(), event.attributes.end());
  EXPECT_EQ(actual, expected);
}

// Returns how many checks were made.
int Run(const Scenario& scenario) {
  SCOPED_TRACE(scenario.name);
  std::string http;
  schema::EventData kafka;
  Result<Event> event(Code::kInternal, "nothing was parsed");
  int checks = 0;
  for (const Step& step : scenario.steps) {
    if (step.text == "an HTTP request") {
      http = step.doc;
    } else if (step.text == "a Kafka message with payload:") {
      kafka.value = step.doc;
    } else if (step.text == "Kafka headers:") {
      for (size_t i = 1; i < step.table.size(); ++i) {
        kafka.headers.emplace_back(step.table[i][0], step.table[i][1]);
      }
    } else if (step.text == "parsed as HTTP request") {
      event = ParseHttp(http);
    } else if (step.text == "parsed as Kafka message") {
      event = FromKafka(kafka);
    } else if (!event.ok()) {
      ADD_FAILURE() << event.message();
      return 0;
    } else if (step.text == "the attributes are:") {
      CheckAttributes(*event, step.table);
      ++checks;
    } else if (step.text == "the data is equal to the following JSON:") {
      EXPECT_EQ(json::Parse(*event->data).value(), json::Parse(step.doc).value());
      ++checks;
    } else {
      ADD_FAILURE() << "unknown step: " << step.text;
    }
  }
  return checks;
}

int RunFeature(const std::string& name) {
  int checks = 0;
  for (const Scenario& scenario : Expand(ReadFeature(name))) checks += Run(scenario);
  return checks;
}

TEST(CloudEventsConformanceTest, HttpProtocolBinding) {
  EXPECT_EQ(RunFeature("http-protocol-binding.feature"), 4 * 2);
}

TEST(CloudEventsConformanceTest, KafkaProtocolBinding) {
  EXPECT_EQ(RunFeature("kafka-protocol-binding.feature"), 3 * 2);
}

}  // namespace dispatch::cloudevents::conformance_test
