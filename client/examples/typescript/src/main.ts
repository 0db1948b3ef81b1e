// The conformance scenario of tests/clients/scenario.md: main.js ADDRESS STORE prints a JSON line for each step.

import { ChannelCredentials, Metadata } from "@grpc/grpc-js";

import { InventoryServiceClient } from "./stubs/inventory/v1/inventory_service.js";
import { runScenario } from "./scenario.js";

// Every call may be repeated, so UNAVAILABLE is tried again; docs/clients.md has the reasons for the numbers.
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: "inventory.v1.InventoryService" }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
  retryThrottling: { maxTokens: 1000, tokenRatio: 0.1 },
};

async function main(): Promise<void> {
  const [address, store] = process.argv.slice(2);
  if (address === undefined || store === undefined) {
    throw new Error("usage: main.js ADDRESS STORE");
  }
  const client = new InventoryServiceClient(address, ChannelCredentials.createInsecure(), {
    "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
    "grpc.service_config_disable_resolution": 1,
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
  });
  const metadata = new Metadata();
  metadata.set("x-inventory-store", store);
  try {
    await runScenario(client, metadata);
  } finally {
    client.close();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
