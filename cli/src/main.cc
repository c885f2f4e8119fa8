// The command `dispatch`.
#include <iostream>

#include "cli/src/http_api.h"
#include "cli/src/program.h"

int main(int argc, char** argv) {
  using namespace dispatch::cli;
  std::ios::sync_with_stdio(false);
  Environment environment = Environment::OfProcess();
  environment.fetch = Fetch;
  return Main({argv + 1, argv + argc}, environment, std::cout, std::cerr, ConnectApi);
}
