#include "refusal.h"

#include <stdexcept>

Refusal RefusalOf(const grpc::Status& end) {
  google::rpc::Status status;
  if (end.ok() || !status.ParseFromString(end.error_details())) {
    throw std::runtime_error("a refusal was expected: " + end.error_message());
  }
  return RefusalOf(status);
}

Refusal RefusalOf(const google::rpc::Status& status) {
  Refusal refusal;
  refusal.code = status.code();
  for (const auto& detail : status.details()) {
    google::rpc::BadRequest bad_request;
    inventory::v1::StockShortage shortage;
    if (detail.Is<google::rpc::ErrorInfo>()) {
      detail.UnpackTo(&refusal.info);
    } else if (detail.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        refusal.fields.push_back(violation.field());
      }
    } else if (detail.UnpackTo(&shortage)) {
      refusal.shortages.push_back(shortage);
    }
  }
  if (refusal.info.reason().empty()) {
    throw std::runtime_error("no reason came with " + status.message());
  }
  return refusal;
}
