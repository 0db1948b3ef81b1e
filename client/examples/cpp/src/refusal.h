// Why a call was refused, read from the details of its status.
#pragma once

#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "inventory/v1/error.pb.h"

struct Refusal {
  int code = 0;
  google::rpc::ErrorInfo info;
  std::vector<std::string> fields;
  std::vector<inventory::v1::StockShortage> shortages;
};

// Reads the end of a call that has to be refused. Throws std::runtime_error where it was answered, or has no reason.
Refusal RefusalOf(const grpc::Status& end);

// Reads a google.rpc.Status: that of a call, or that of an item.
Refusal RefusalOf(const google::rpc::Status& status);
