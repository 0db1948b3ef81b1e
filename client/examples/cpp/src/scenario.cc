#include "scenario.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <iostream>
#include <map>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "refusal.h"

namespace v1 = inventory::v1;
using nlohmann::json;

namespace {

// All attempts of a call together. In a service 5 s are usual; here the machine may be busy.
constexpr std::chrono::seconds kCallTimeout{60};
constexpr std::chrono::milliseconds kDeadline{500};

void Print(const std::string& step, json told) {
  told["step"] = step;
  std::cout << told.dump() << std::endl;
}

void MustBeOk(const grpc::Status& end) {
  if (!end.ok()) {
    throw std::runtime_error(std::to_string(end.error_code()) + ": " + end.error_message());
  }
}

v1::CreateStockRequest TeaRequest() {
  v1::CreateStockRequest request;
  request.set_product_id("tea");
  request.set_quantity(1);
  request.set_request_id("create-tea");
  return request;
}

template <typename Request>
void AddTea(Request* request, std::int64_t quantity) {
  auto* line = request->add_lines();
  line->set_product_id("tea");
  line->set_quantity(quantity);
}

}  // namespace

Scenario::Scenario(const std::shared_ptr<grpc::Channel>& channel, std::string store)
    : inventory_(v1::InventoryService::NewStub(channel)), store_(std::move(store)) {}

void Scenario::Run() {
  CreateStock();
  const auto held = RaceForTheLastUnit();
  Confirm(held);
  Repeat();
  ReadErrors();
  PageThroughTheLog();
  StreamReservations();
  Watch();
  HitADeadline();
  ReadStock();
}

// A stream lasts as long as it is wanted.
std::unique_ptr<grpc::ClientContext> Scenario::Context() const {
  auto context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata("x-inventory-store", store_);
  return context;
}

std::unique_ptr<grpc::ClientContext> Scenario::UnaryContext() const {
  auto context = Context();
  context->set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  return context;
}

void Scenario::CreateStock() {
  v1::CreateStockResponse answer;
  MustBeOk(inventory_->CreateStock(UnaryContext().get(), TeaRequest(), &answer));
  Print("create_stock", {{"available", answer.stock().available()},
                         {"allocated", answer.stock().allocated()},
                         {"replayed", answer.replayed()}});
}

std::string Scenario::RaceForTheLastUnit() {
  const auto reserve = [this](const std::string& id) {
    v1::ReserveStockRequest request;
    request.set_reservation_id(id);
    AddTea(&request, 1);
    v1::ReserveStockResponse answer;
    return inventory_->ReserveStock(UnaryContext().get(), request, &answer);
  };
  auto first = std::async(std::launch::async, reserve, "r-1");
  auto second = std::async(std::launch::async, reserve, "r-2");
  const grpc::Status one = first.get();
  const grpc::Status other = second.get();
  const int held = one.ok() + other.ok();
  Print("race", {{"held", held}, {"refused", 2 - held}});
  const Refusal refusal = RefusalOf(one.ok() ? other : one);
  json shortages = json::array();
  for (const auto& shortage : refusal.shortages) {
    shortages.push_back({{"product_id", shortage.product_id()},
                         {"location", shortage.location()},
                         {"requested", shortage.requested()},
                         {"available", shortage.available()},
                         {"managed", shortage.managed()}});
  }
  Print("shortage", {{"code", refusal.code},
                     {"reason", refusal.info.reason()},
                     {"domain", refusal.info.domain()},
                     {"shortages", shortages}});
  return one.ok() ? "r-1" : "r-2";
}

void Scenario::Confirm(const std::string& reservation_id) {
  v1::ConfirmReservationRequest request;
  request.set_reservation_id(reservation_id);
  request.set_request_id("confirm");
  v1::ConfirmReservationResponse answer;
  MustBeOk(inventory_->ConfirmReservation(UnaryContext().get(), request, &answer));
  Print("confirm", {{"state", v1::ReservationState_Name(answer.reservation().state())},
                    {"replayed", answer.replayed()}});
}

void Scenario::Repeat() {
  v1::CreateStockResponse answer;
  MustBeOk(inventory_->CreateStock(UnaryContext().get(), TeaRequest(), &answer));
  Print("repeat", {{"available", answer.stock().available()}, {"replayed", answer.replayed()}});
}

void Scenario::ReadErrors() {
  v1::CreateStockResponse answer;
  const auto tell = [](const std::string& step, const grpc::Status& end) {
    const Refusal refusal = RefusalOf(end);
    json told = {{"code", refusal.code}, {"reason", refusal.info.reason()}};
    if (refusal.fields.empty()) {
      const auto& metadata = refusal.info.metadata();
      told["metadata"] = std::map<std::string, std::string>(metadata.begin(), metadata.end());
    } else {
      told["fields"] = refusal.fields;
    }
    Print(step, told);
  };
  auto reused = TeaRequest();
  reused.set_quantity(2);
  tell("id_reused", inventory_->CreateStock(UnaryContext().get(), reused, &answer));
  v1::GetStockRequest nothing;
  nothing.set_product_id("nothing");
  v1::GetStockResponse none;
  tell("error_info", inventory_->GetStock(UnaryContext().get(), nothing, &none));
  v1::CreateStockRequest cup;
  cup.set_product_id("cup");
  cup.set_request_id("create-cup");
  tell("bad_request", inventory_->CreateStock(UnaryContext().get(), cup, &answer));
}

void Scenario::Increment(const std::string& request_id) {
  v1::CreateStockTransactionRequest request;
  request.set_product_id("tea");
  request.set_action(v1::STOCK_ACTION_INCREMENT);
  request.set_quantity(1);
  request.set_request_id(request_id);
  v1::CreateStockTransactionResponse answer;
  MustBeOk(inventory_->CreateStockTransaction(UnaryContext().get(), request, &answer));
}

void Scenario::PageThroughTheLog() {
  for (int number = 1; number <= 5; ++number) {
    Increment("more-" + std::to_string(number));
  }
  json sizes = json::array();
  json actions = json::array();
  v1::ListStockTransactionsRequest request;
  request.set_product_id("tea");
  request.set_page_size(3);
  do {
    v1::ListStockTransactionsResponse page;
    MustBeOk(inventory_->ListStockTransactions(UnaryContext().get(), request, &page));
    sizes.push_back(page.stock_transactions_size());
    for (const auto& entry : page.stock_transactions()) {
      actions.push_back(v1::StockAction_Name(entry.action()));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  Print("log", {{"page_sizes", sizes}, {"actions", actions}});
}

void Scenario::StreamReservations() {
  const auto context = Context();
  const auto stream = inventory_->ReserveStockStream(context.get());
  for (const auto& ids : {std::vector<std::string>{"s-1", "s-2"}, std::vector<std::string>{"s-3"}}) {
    v1::ReserveStockStreamRequest message;
    for (const auto& id : ids) {
      auto* item = message.add_items();
      item->set_item_id(id);
      item->set_reservation_id(id);
      AddTea(item, 2);
    }
    stream->Write(message);
  }
  stream->WritesDone();
  std::map<std::string, json> verdicts;
  v1::ReserveStockStreamResponse message;
  while (stream->Read(&message)) {
    for (const auto& verdict : message.verdicts()) {
      auto& told = verdicts[verdict.item_id()];
      told["item_id"] = verdict.item_id();
      if (verdict.has_result()) {
        told["state"] = v1::ReservationState_Name(verdict.result().state());
      } else {
        told["reason"] = RefusalOf(verdict.error()).info.reason();
      }
    }
  }
  MustBeOk(stream->Finish());
  json listed = json::array();
  for (const auto& [id, told] : verdicts) {
    listed.push_back(told);
  }
  Print("stream", {{"verdicts", listed}});
}

// Reads the log from its beginning, breaks off after the first changes, and goes on from their token.
void Scenario::Watch() {
  v1::WatchStockRequest beginning;
  beginning.set_from_beginning(true);
  auto [versions, token] = WatchUntil(1, beginning);
  Increment("more-6");
  v1::WatchStockRequest from_token;
  from_token.set_resume_token(token);
  const auto rest = WatchUntil(10, from_token).first;
  versions.insert(versions.end(), rest.begin(), rest.end());
  Print("watch", {{"versions", versions}, {"resumed", !rest.empty()}});
}

// Reads until an entry has this version or a later one; returns the versions and the last token.
std::pair<std::vector<std::int64_t>, std::string> Scenario::WatchUntil(
    std::int64_t version, v1::WatchStockRequest request) {
  request.add_product_ids("tea");
  const auto context = Context();
  const auto stream = inventory_->WatchStock(context.get(), request);
  std::vector<std::int64_t> versions;
  v1::WatchStockResponse message;
  while (versions.empty() || versions.back() < version) {
    if (!stream->Read(&message)) {
      MustBeOk(stream->Finish());
      throw std::runtime_error("the watch ended");
    }
    for (const auto& change : message.changes()) {
      versions.push_back(change.version());
    }
  }
  context->TryCancel();
  const std::string token = message.resume_token();
  while (stream->Read(&message)) {
  }
  stream->Finish();
  return {versions, token};
}

// Watches for longer than its deadline lets it.
void Scenario::HitADeadline() {
  const auto context = Context();
  context->set_deadline(std::chrono::system_clock::now() + kDeadline);
  v1::WatchStockRequest request;
  request.add_product_ids("nothing");
  const auto stream = inventory_->WatchStock(context.get(), request);
  v1::WatchStockResponse message;
  while (stream->Read(&message)) {
  }
  Print("deadline", {{"code", static_cast<int>(stream->Finish().error_code())}});
}

void Scenario::ReadStock() {
  v1::GetStockRequest request;
  request.set_product_id("tea");
  v1::GetStockResponse answer;
  MustBeOk(inventory_->GetStock(UnaryContext().get(), request, &answer));
  Print("stock", {{"available", answer.stock().available()}, {"allocated", answer.stock().allocated()}});
}
