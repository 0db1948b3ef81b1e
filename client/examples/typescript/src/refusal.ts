// Why a call was refused, read from the details of its status.

import type { Metadata, ServiceError } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo } from "./stubs/google/rpc/error_details.js";
import { Status } from "./stubs/google/rpc/status.js";
import { StockShortage } from "./stubs/inventory/v1/error.js";

export interface Refusal {
  code: number;
  info: ErrorInfo;
  fields: string[];
  shortages: StockShortage[];
}

/** Waits for a call that has to be refused. */
export async function refused(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => undefined,
    (reason: ServiceError) => reason,
  );
  if (error === undefined) {
    throw new Error("a refusal was expected");
  }
  return refusalOf(statusOf(error.metadata) ?? fail(error));
}

/** Reads a google.rpc.Status: that of a call, or that of an item. */
export function refusalOf(status: Status): Refusal {
  const refusal: Omit<Refusal, "info"> & { info?: ErrorInfo } = { code: status.code, fields: [], shortages: [] };
  for (const detail of status.details) {
    switch (detail.typeUrl.split("/").at(-1)) {
      case "google.rpc.ErrorInfo":
        refusal.info = ErrorInfo.decode(detail.value);
        break;
      case "google.rpc.BadRequest":
        refusal.fields.push(...BadRequest.decode(detail.value).fieldViolations.map((violation) => violation.field));
        break;
      case "inventory.v1.StockShortage":
        refusal.shortages.push(StockShortage.decode(detail.value));
        break;
    }
  }
  return { ...refusal, info: refusal.info ?? fail(new Error(`no reason came with ${status.message}`)) };
}

function statusOf(metadata: Metadata): Status | undefined {
  const [details] = metadata.get("grpc-status-details-bin");
  return details instanceof Buffer ? Status.decode(details) : undefined;
}

function fail(error: Error): never {
  throw error;
}
