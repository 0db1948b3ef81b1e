package com.inventoryservice.example;

import com.inventoryservice.v1.InventoryServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.stub.MetadataUtils;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The conformance scenario of tests/clients/scenario.md: prints a JSON line for each step. */
public final class Main {
  /** Every call may be repeated, so UNAVAILABLE is tried again; docs/clients.md has the reasons for the numbers. */
  private static final Map<String, ?> SERVICE_CONFIG =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", InventoryServiceGrpc.SERVICE_NAME)),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts", 5.0,
                      "initialBackoff", "0.1s",
                      "maxBackoff", "1s",
                      "backoffMultiplier", 2.0,
                      "retryableStatusCodes", List.of("UNAVAILABLE")))),
          "retryThrottling",
          Map.of("maxTokens", 1000.0, "tokenRatio", 0.1));

  /** All attempts of a call together. In a service 5 s are usual; here the machine may be busy. */
  private static final long CALL_TIMEOUT_S = 60;

  private Main() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 2) {
      System.err.println("usage: scenario ADDRESS STORE");
      System.exit(2);
    }
    Metadata metadata = new Metadata();
    metadata.put(Metadata.Key.of("x-inventory-store", Metadata.ASCII_STRING_MARSHALLER), arguments[1]);
    ManagedChannel channel =
        Grpc.newChannelBuilder(arguments[0], InsecureChannelCredentials.create())
            .defaultServiceConfig(SERVICE_CONFIG)
            .disableServiceConfigLookUp()
            .enableRetry()
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .intercept(MetadataUtils.newAttachHeadersInterceptor(metadata), new WithDeadline())
            .build();
    try {
      new Scenario(channel).run();
    } finally {
      channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  /** Gives each unary call that has none a deadline of its own. A stream lasts as long as it is wanted. */
  private static final class WithDeadline implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(
        MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      boolean unary = method.getType() == MethodDescriptor.MethodType.UNARY;
      return next.newCall(
          method,
          unary && options.getDeadline() == null
              ? options.withDeadlineAfter(CALL_TIMEOUT_S, TimeUnit.SECONDS)
              : options);
    }
  }
}
