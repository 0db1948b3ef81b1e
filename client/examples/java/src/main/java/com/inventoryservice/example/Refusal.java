package com.inventoryservice.example;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import com.inventoryservice.v1.StockShortage;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** Why a call was refused, read from the details of its status. */
record Refusal(int code, ErrorInfo info, List<String> fields, List<StockShortage> shortages) {

  /** Makes a call that has to be refused. */
  static Refusal of(Supplier<?> call) throws InvalidProtocolBufferException {
    try {
      call.get();
    } catch (StatusRuntimeException refused) {
      return of(refused);
    }
    throw new IllegalStateException("a refusal was expected");
  }

  static Refusal of(StatusRuntimeException refused) throws InvalidProtocolBufferException {
    return of(StatusProto.fromThrowable(refused));
  }

  /** Reads a google.rpc.Status: that of a call, or that of an item. */
  static Refusal of(Status status) throws InvalidProtocolBufferException {
    ErrorInfo info = null;
    List<String> fields = new ArrayList<>();
    List<StockShortage> shortages = new ArrayList<>();
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        info = detail.unpack(ErrorInfo.class);
      } else if (detail.is(BadRequest.class)) {
        detail.unpack(BadRequest.class).getFieldViolationsList().forEach(broken -> fields.add(broken.getField()));
      } else if (detail.is(StockShortage.class)) {
        shortages.add(detail.unpack(StockShortage.class));
      }
    }
    if (info == null) {
      throw new IllegalStateException("no reason came with " + status);
    }
    return new Refusal(status.getCode(), info, fields, shortages);
  }
}
