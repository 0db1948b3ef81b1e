package com.inventoryservice.example;

import com.google.gson.Gson;
import com.inventoryservice.v1.ConfirmReservationRequest;
import com.inventoryservice.v1.CreateStockRequest;
import com.inventoryservice.v1.CreateStockTransactionRequest;
import com.inventoryservice.v1.GetStockRequest;
import com.inventoryservice.v1.InventoryServiceGrpc;
import com.inventoryservice.v1.InventoryServiceGrpc.InventoryServiceBlockingStub;
import com.inventoryservice.v1.LineRequest;
import com.inventoryservice.v1.ListStockTransactionsRequest;
import com.inventoryservice.v1.ListStockTransactionsResponse;
import com.inventoryservice.v1.ReserveStockItem;
import com.inventoryservice.v1.ReserveStockRequest;
import com.inventoryservice.v1.ReserveStockStreamRequest;
import com.inventoryservice.v1.ReserveStockStreamResponse;
import com.inventoryservice.v1.ReserveStockVerdict;
import com.inventoryservice.v1.StockAction;
import com.inventoryservice.v1.StockTransaction;
import com.inventoryservice.v1.WatchStockRequest;
import com.inventoryservice.v1.WatchStockResponse;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The steps, one method each; what a step prints is in tests/clients/vectors.json. */
final class Scenario {
  private static final long DEADLINE_MS = 500;

  private final Gson gson = new Gson();
  private final InventoryServiceBlockingStub inventory;
  private final InventoryServiceGrpc.InventoryServiceStub streaming;

  Scenario(Channel channel) {
    inventory = InventoryServiceGrpc.newBlockingStub(channel);
    streaming = InventoryServiceGrpc.newStub(channel);
  }

  void run() throws Exception {
    createStock();
    String held = raceForTheLastUnit();
    confirm(held);
    repeat();
    readErrors();
    pageThroughTheLog();
    streamReservations();
    watch();
    hitADeadline();
    readStock();
  }

  private void print(String step, Map<String, ?> told) {
    Map<String, Object> line = new TreeMap<>(told);
    line.put("step", step);
    System.out.println(gson.toJson(line));
  }

  private static CreateStockRequest.Builder teaRequest() {
    return CreateStockRequest.newBuilder().setProductId("tea").setQuantity(1).setRequestId("create-tea");
  }

  private static LineRequest tea(long quantity) {
    return LineRequest.newBuilder().setProductId("tea").setQuantity(quantity).build();
  }

  private void createStock() {
    var answer = inventory.createStock(teaRequest().build());
    var stock = answer.getStock();
    print(
        "create_stock",
        Map.of(
            "available", stock.getAvailable(),
            "allocated", stock.getAllocated(),
            "replayed", answer.getReplayed()));
  }

  private String raceForTheLastUnit() throws Exception {
    record Asked(String id, CompletableFuture<StatusRuntimeException> end) {}
    List<Asked> calls = new ArrayList<>();
    for (String id : List.of("r-1", "r-2")) {
      var request = ReserveStockRequest.newBuilder().setReservationId(id).addLines(tea(1)).build();
      calls.add(new Asked(id, CompletableFuture.supplyAsync(() -> refusalOf(request))));
    }
    List<String> won = new ArrayList<>();
    List<StatusRuntimeException> lost = new ArrayList<>();
    for (Asked asked : calls) {
      StatusRuntimeException refused = asked.end().get();
      if (refused == null) {
        won.add(asked.id());
      } else {
        lost.add(refused);
      }
    }
    print("race", Map.of("held", won.size(), "refused", lost.size()));
    Refusal refusal = Refusal.of(lost.get(0));
    List<Map<String, ?>> shortages = new ArrayList<>();
    for (var shortage : refusal.shortages()) {
      shortages.add(
          Map.of(
              "product_id", shortage.getProductId(),
              "location", shortage.getLocation(),
              "requested", shortage.getRequested(),
              "available", shortage.getAvailable(),
              "managed", shortage.getManaged()));
    }
    print(
        "shortage",
        Map.of(
            "code", refusal.code(),
            "reason", refusal.info().getReason(),
            "domain", refusal.info().getDomain(),
            "shortages", shortages));
    return won.get(0);
  }

  private StatusRuntimeException refusalOf(ReserveStockRequest request) {
    try {
      inventory.reserveStock(request);
      return null;
    } catch (StatusRuntimeException refused) {
      return refused;
    }
  }

  private void confirm(String reservationId) {
    var answer =
        inventory.confirmReservation(
            ConfirmReservationRequest.newBuilder()
                .setReservationId(reservationId)
                .setRequestId("confirm")
                .build());
    print(
        "confirm",
        Map.of("state", answer.getReservation().getState().name(), "replayed", answer.getReplayed()));
  }

  private void repeat() {
    var answer = inventory.createStock(teaRequest().build());
    print("repeat", Map.of("available", answer.getStock().getAvailable(), "replayed", answer.getReplayed()));
  }

  private void readErrors() throws Exception {
    Refusal reused = Refusal.of(() -> inventory.createStock(teaRequest().setQuantity(2).build()));
    print(
        "id_reused",
        Map.of(
            "code", reused.code(),
            "reason", reused.info().getReason(),
            "metadata", reused.info().getMetadataMap()));
    var nothing = GetStockRequest.newBuilder().setProductId("nothing").build();
    Refusal missing = Refusal.of(() -> inventory.getStock(nothing));
    print(
        "error_info",
        Map.of(
            "code", missing.code(),
            "reason", missing.info().getReason(),
            "metadata", missing.info().getMetadataMap()));
    var cup = CreateStockRequest.newBuilder().setProductId("cup").setRequestId("create-cup").build();
    Refusal invalid = Refusal.of(() -> inventory.createStock(cup));
    print(
        "bad_request",
        Map.of("code", invalid.code(), "reason", invalid.info().getReason(), "fields", invalid.fields()));
  }

  private void increment(String requestId) {
    inventory.createStockTransaction(
        CreateStockTransactionRequest.newBuilder()
            .setProductId("tea")
            .setAction(StockAction.STOCK_ACTION_INCREMENT)
            .setQuantity(1)
            .setRequestId(requestId)
            .build());
  }

  private void pageThroughTheLog() {
    for (int number = 1; number <= 5; number++) {
      increment("more-" + number);
    }
    List<Integer> sizes = new ArrayList<>();
    List<String> actions = new ArrayList<>();
    var request = ListStockTransactionsRequest.newBuilder().setProductId("tea").setPageSize(3);
    do {
      ListStockTransactionsResponse page = inventory.listStockTransactions(request.build());
      sizes.add(page.getStockTransactionsCount());
      for (StockTransaction entry : page.getStockTransactionsList()) {
        actions.add(entry.getAction().name());
      }
      request.setPageToken(page.getNextPageToken());
    } while (!request.getPageToken().isEmpty());
    print("log", Map.of("page_sizes", sizes, "actions", actions));
  }

  private void streamReservations() throws Exception {
    var verdicts = new Verdicts();
    StreamObserver<ReserveStockStreamRequest> stream = streaming.reserveStockStream(verdicts);
    for (List<String> ids : List.of(List.of("s-1", "s-2"), List.of("s-3"))) {
      var message = ReserveStockStreamRequest.newBuilder();
      for (String id : ids) {
        message.addItems(
            ReserveStockItem.newBuilder().setItemId(id).setReservationId(id).addLines(tea(2)));
      }
      stream.onNext(message.build());
    }
    stream.onCompleted();
    List<Map<String, ?>> told = new ArrayList<>();
    for (ReserveStockVerdict verdict : verdicts.byItem.get().values()) {
      if (verdict.hasResult()) {
        told.add(
            Map.of("item_id", verdict.getItemId(), "state", verdict.getResult().getState().name()));
      } else {
        String reason = Refusal.of(verdict.getError()).info().getReason();
        told.add(Map.of("item_id", verdict.getItemId(), "reason", reason));
      }
    }
    print("stream", Map.of("verdicts", told));
  }

  /** Takes the verdicts of a stream, in whatever order they come. */
  private static final class Verdicts implements StreamObserver<ReserveStockStreamResponse> {
    final CompletableFuture<Map<String, ReserveStockVerdict>> byItem = new CompletableFuture<>();
    private final Map<String, ReserveStockVerdict> found = new TreeMap<>();

    @Override
    public void onNext(ReserveStockStreamResponse message) {
      message.getVerdictsList().forEach(verdict -> found.put(verdict.getItemId(), verdict));
    }

    @Override
    public void onError(Throwable error) {
      byItem.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      byItem.complete(found);
    }
  }

  /** Reads the log from its beginning, breaks off after the first changes, and goes on from their token. */
  private void watch() {
    List<Long> versions = new ArrayList<>();
    String token = watchUntil(1, WatchStockRequest.newBuilder().setFromBeginning(true), versions);
    int before = versions.size();
    increment("more-6");
    watchUntil(10, WatchStockRequest.newBuilder().setResumeToken(token), versions);
    print("watch", Map.of("versions", versions, "resumed", versions.size() > before));
  }

  /** Reads until an entry has this version or a later one; adds the versions, returns the last token. */
  private String watchUntil(long version, WatchStockRequest.Builder request, List<Long> versions) {
    try (Context.CancellableContext untilThen = Context.current().withCancellation()) {
      Context before = untilThen.attach();
      try {
        Iterator<WatchStockResponse> messages = inventory.watchStock(request.addProductIds("tea").build());
        long last = 0;
        String token = "";
        while (last < version) {
          WatchStockResponse message = messages.next();
          for (StockTransaction change : message.getChangesList()) {
            last = change.getVersion();
            versions.add(last);
          }
          token = message.getResumeToken();
        }
        return token;
      } finally {
        untilThen.detach(before);
      }
    }
  }

  /** Watches for longer than its deadline lets it. */
  private void hitADeadline() {
    var request = WatchStockRequest.newBuilder().addProductIds("nothing").build();
    try {
      var limited = inventory.withDeadlineAfter(DEADLINE_MS, TimeUnit.MILLISECONDS);
      limited.watchStock(request).forEachRemaining(quiet -> {});
    } catch (StatusRuntimeException ended) {
      print("deadline", Map.of("code", ended.getStatus().getCode().value()));
    }
  }

  private void readStock() {
    var stock = inventory.getStock(GetStockRequest.newBuilder().setProductId("tea").build()).getStock();
    print("stock", Map.of("available", stock.getAvailable(), "allocated", stock.getAllocated()));
  }
}
