// The steps, one function each; what a step prints is in tests/clients/vectors.json.

import type { Metadata, ServiceError } from "@grpc/grpc-js";

import { messagesOf, unary } from "./calls.js";
import { refusalOf, refused } from "./refusal.js";
import {
  CreateStockRequest,
  CreateStockTransactionRequest,
  InventoryServiceClient,
  ListStockTransactionsRequest,
  ReserveStockRequest,
} from "./stubs/inventory/v1/inventory_service.js";
import { LineRequest, reservationStateToJSON } from "./stubs/inventory/v1/reservation.js";
import { ReserveStockStreamRequest } from "./stubs/inventory/v1/reservation_calls.js";
import { StockAction, stockActionToJSON } from "./stubs/inventory/v1/stock.js";
import { WatchStockRequest } from "./stubs/inventory/v1/watch.js";

const DEADLINE_MS = 500;

export async function runScenario(client: InventoryServiceClient, metadata: Metadata): Promise<void> {
  const inventory = methodsOf(client, metadata);
  await createStock(inventory);
  const held = await raceForTheLastUnit(inventory);
  await confirm(inventory, held);
  await repeat(inventory);
  await readErrors(inventory);
  await pageThroughTheLog(inventory);
  await streamReservations(client, metadata);
  await watch(client, metadata, inventory);
  await hitADeadline(client, metadata);
  await readStock(inventory);
}

type Inventory = ReturnType<typeof methodsOf>;

function methodsOf(client: InventoryServiceClient, metadata: Metadata) {
  return {
    createStock: unary(client, client.createStock, metadata),
    getStock: unary(client, client.getStock, metadata),
    createStockTransaction: unary(client, client.createStockTransaction, metadata),
    listStockTransactions: unary(client, client.listStockTransactions, metadata),
    reserveStock: unary(client, client.reserveStock, metadata),
    confirmReservation: unary(client, client.confirmReservation, metadata),
  };
}

function print(step: string, told: object): void {
  console.log(JSON.stringify({ step, ...told }));
}

function teaRequest(quantity = 1): CreateStockRequest {
  return CreateStockRequest.fromPartial({ productId: "tea", quantity, requestId: "create-tea" });
}

function tea(quantity: number): LineRequest[] {
  return [LineRequest.fromPartial({ productId: "tea", quantity })];
}

async function createStock(inventory: Inventory): Promise<void> {
  const { stock, replayed } = await inventory.createStock(teaRequest());
  print("create_stock", { available: stock?.available, allocated: stock?.allocated, replayed });
}

async function raceForTheLastUnit(inventory: Inventory): Promise<string> {
  const ids = ["r-1", "r-2"];
  const calls = ids.map((reservationId) =>
    inventory.reserveStock(ReserveStockRequest.fromPartial({ reservationId, lines: tea(1) })),
  );
  const ends = await Promise.allSettled(calls);
  const won = ends.findIndex((end) => end.status === "fulfilled");
  const lost = ends.findIndex((end) => end.status === "rejected");
  print("race", {
    held: ends.filter((end) => end.status === "fulfilled").length,
    refused: ends.filter((end) => end.status === "rejected").length,
  });
  const held = ids[won];
  const loser = calls[lost];
  if (held === undefined || loser === undefined) {
    throw new Error("one of two had to win");
  }
  const { code, info, shortages } = await refused(loser);
  print("shortage", {
    code,
    reason: info.reason,
    domain: info.domain,
    shortages: shortages.map((short) => ({
      product_id: short.productId,
      location: short.location,
      requested: short.requested,
      available: short.available,
      managed: short.managed,
    })),
  });
  return held;
}

async function confirm(inventory: Inventory, reservationId: string): Promise<void> {
  const { reservation, replayed } = await inventory.confirmReservation({ reservationId, requestId: "confirm" });
  print("confirm", { state: reservation && reservationStateToJSON(reservation.state), replayed });
}

async function repeat(inventory: Inventory): Promise<void> {
  const { stock, replayed } = await inventory.createStock(teaRequest());
  print("repeat", { available: stock?.available, replayed });
}

async function readErrors(inventory: Inventory): Promise<void> {
  const reused = await refused(inventory.createStock(teaRequest(2)));
  print("id_reused", { code: reused.code, reason: reused.info.reason, metadata: reused.info.metadata });
  const missing = await refused(inventory.getStock({ productId: "nothing", view: 0 }));
  print("error_info", { code: missing.code, reason: missing.info.reason, metadata: missing.info.metadata });
  const cup = CreateStockRequest.fromPartial({ productId: "cup", requestId: "create-cup" });
  const invalid = await refused(inventory.createStock(cup));
  print("bad_request", { code: invalid.code, reason: invalid.info.reason, fields: invalid.fields });
}

async function increment(inventory: Inventory, requestId: string): Promise<void> {
  const action = StockAction.STOCK_ACTION_INCREMENT;
  await inventory.createStockTransaction(
    CreateStockTransactionRequest.fromPartial({ productId: "tea", action, quantity: 1, requestId }),
  );
}

async function pageThroughTheLog(inventory: Inventory): Promise<void> {
  for (const number of [1, 2, 3, 4, 5]) {
    await increment(inventory, `more-${number}`);
  }
  const sizes: number[] = [];
  const actions: string[] = [];
  const request = ListStockTransactionsRequest.fromPartial({ productId: "tea", pageSize: 3 });
  do {
    const page = await inventory.listStockTransactions(request);
    sizes.push(page.stockTransactions.length);
    actions.push(...page.stockTransactions.map((entry) => stockActionToJSON(entry.action)));
    request.pageToken = page.nextPageToken;
  } while (request.pageToken !== "");
  print("log", { page_sizes: sizes, actions });
}

async function streamReservations(client: InventoryServiceClient, metadata: Metadata): Promise<void> {
  const stream = client.reserveStockStream(metadata);
  for (const ids of [["s-1", "s-2"], ["s-3"]]) {
    const items = ids.map((id) => ({ itemId: id, reservationId: id, lines: tea(2) }));
    stream.write(ReserveStockStreamRequest.fromPartial({ items }));
  }
  stream.end();
  const verdicts: { item_id: string; state?: string; reason?: string }[] = [];
  for await (const message of messagesOf(stream)) {
    for (const { itemId, result, error } of message.verdicts) {
      verdicts.push(
        error
          ? { item_id: itemId, reason: refusalOf(error).info.reason }
          : { item_id: itemId, state: result && reservationStateToJSON(result.state) },
      );
    }
  }
  verdicts.sort((one, other) => one.item_id.localeCompare(other.item_id));
  print("stream", { verdicts });
}

/** Reads the log from its beginning, breaks off after the first changes, and goes on from their token. */
async function watch(client: InventoryServiceClient, metadata: Metadata, inventory: Inventory): Promise<void> {
  const first = await watchUntil(client, metadata, 1, { productIds: ["tea"], fromBeginning: true });
  await increment(inventory, "more-6");
  const rest = await watchUntil(client, metadata, 10, { productIds: ["tea"], resumeToken: first.token });
  print("watch", { versions: [...first.versions, ...rest.versions], resumed: rest.versions.length > 0 });
}

/** Reads until an entry has this version or a later one; returns the versions and the last token. */
async function watchUntil(
  client: InventoryServiceClient,
  metadata: Metadata,
  version: number,
  request: WatchStockRequest,
): Promise<{ versions: number[]; token: string }> {
  const versions: number[] = [];
  for await (const message of messagesOf(client.watchStock(request, metadata))) {
    versions.push(...message.changes.map((change) => change.version));
    if ((versions.at(-1) ?? 0) >= version) {
      return { versions, token: message.resumeToken };
    }
  }
  throw new Error("the watch ended");
}

/** Watches for longer than its deadline lets it. */
async function hitADeadline(client: InventoryServiceClient, metadata: Metadata): Promise<void> {
  const stream = client.watchStock({ productIds: ["nothing"] }, metadata, { deadline: Date.now() + DEADLINE_MS });
  try {
    for await (const _ of messagesOf(stream)) {
      // nothing happens to this product
    }
  } catch (error) {
    print("deadline", { code: (error as ServiceError).code });
  }
}

async function readStock(inventory: Inventory): Promise<void> {
  const { stock } = await inventory.getStock({ productId: "tea", view: 0 });
  print("stock", { available: stock?.available, allocated: stock?.allocated });
}
