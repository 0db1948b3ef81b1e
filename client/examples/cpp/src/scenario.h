// The steps; what a step prints is in tests/clients/vectors.json.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "inventory/v1/inventory_service.grpc.pb.h"

class Scenario {
 public:
  Scenario(const std::shared_ptr<grpc::Channel>& channel, std::string store);

  // Does the steps in their order. Throws std::runtime_error where a call ends otherwise than it has to.
  void Run();

 private:
  std::unique_ptr<grpc::ClientContext> Context() const;
  std::unique_ptr<grpc::ClientContext> UnaryContext() const;

  void CreateStock();
  std::string RaceForTheLastUnit();
  void Confirm(const std::string& reservation_id);
  void Repeat();
  void ReadErrors();
  void Increment(const std::string& request_id);
  void PageThroughTheLog();
  void StreamReservations();
  void Watch();
  std::pair<std::vector<std::int64_t>, std::string> WatchUntil(
      std::int64_t version, inventory::v1::WatchStockRequest request);
  void HitADeadline();
  void ReadStock();

  std::unique_ptr<inventory::v1::InventoryService::Stub> inventory_;
  std::string store_;
};
