// The conformance scenario of tests/clients/scenario.md: scenario ADDRESS STORE prints a JSON line for each step.

#include <exception>
#include <iostream>

#include <grpcpp/grpcpp.h>

#include "scenario.h"

namespace {

// Every call may be repeated, so UNAVAILABLE is tried again; docs/clients.md has the reasons for the numbers.
constexpr char kServiceConfig[] = R"({
  "methodConfig": [{
    "name": [{"service": "inventory.v1.InventoryService"}],
    "retryPolicy": {
      "maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1}
})";

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: scenario ADDRESS STORE\n";
    return 2;
  }
  grpc::ChannelArguments options;
  options.SetServiceConfigJSON(kServiceConfig);
  options.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  options.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  options.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  options.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel = grpc::CreateCustomChannel(arguments[1], grpc::InsecureChannelCredentials(), options);
  try {
    Scenario(channel, arguments[2]).Run();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
