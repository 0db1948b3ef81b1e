"""Every RPC there is, a valid request for each, and every way to break a rule of its fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from inventory_client.v1 import (
    checkout_service_pb2,
    inventory_service_pb2,
    options_pb2,
    stock_pb2,
)
from support.polling import WAIT_S

METHODS: list[MethodDescriptor] = [
    method
    for file in (inventory_service_pb2, checkout_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
_BAD_TEXT = {
    options_pb2.TEXT_FORMAT_ID: ["x" * 129, "a b", "a\0", "caf\u00e9"],
    options_pb2.TEXT_FORMAT_SLUG: ["x" * 129, "a.b", "a\n"],
    options_pb2.TEXT_FORMAT_CURRENCY: ["EURO", "eur", "E\0R"],
}


def minimal(method: MethodDescriptor) -> Any:
    """Return a request with its required fields alone, each at its least value."""
    request = _fill(GetMessageClass(method.input_type)())
    if method.name == "TransferStock":
        request.target_location = "x"
    if method.name == "CreateStockTransaction":
        request.action, request.quantity = stock_pb2.STOCK_ACTION_INCREMENT, 1
    if method.name == "BatchCreateStockTransactions":
        request.items[0].action, request.items[0].quantity = stock_pb2.STOCK_ACTION_INCREMENT, 1
    if method.name == "ImportStock":
        request.header.import_id = "x"
    if method.name == "ExtendReservation":
        request.never_expires = True
    return request


def call_of(stub: Any, method: MethodDescriptor) -> Callable[..., Any]:
    """Return the stub's callable, for one request; the stub has the methods of both services."""
    return for_one_request(method, getattr(stub[method.containing_service.name], method.name))


def raw_call_of(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    """Return the method's callable on a channel, for the bytes of one request."""
    return for_one_request(method, raw_stub_of(channel, method))


def raw_stub_of(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    """Return the method's callable on a channel, for bytes, or for an iterator of them."""
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    kind = kinds[method.client_streaming, method.server_streaming]
    return kind(f"/{method.containing_service.full_name}/{method.name}")


def for_one_request(method: MethodDescriptor, call: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method with streams be called like a unary one; of a stream the first answer is waited for."""
    if not method.client_streaming and not method.server_streaming:
        return call

    def ask(request: Any, **options: Any) -> Any:
        answers = call(iter([request]) if method.client_streaming else request, timeout=WAIT_S, **options)
        if not method.server_streaming:
            return answers
        first = next(answers, None)
        answers.cancel()
        return first

    return ask


def broken(method: MethodDescriptor) -> Iterator[tuple[str, Any]]:
    """Yield (path of the broken field, request): each breaks one rule of one field."""
    for path, breaking in _breakings(minimal(method), ""):
        request = minimal(method)
        breaking(request)
        yield path, request


def rules_of(field: FieldDescriptor) -> Any:
    """Return the rules that the protos give a field."""
    return field.GetOptions().Extensions[options_pb2.rules]


def _fill(message: Any) -> Any:
    for field in message.DESCRIPTOR.fields:
        rules = rules_of(field)
        if field.is_repeated and rules.items_min:
            value = getattr(message, field.name)
            if field.message_type is not None:
                _fill(value.add())
            else:
                value.append("x")
        elif rules.required:
            setattr(message, field.name, _least(field, rules))
    return message


def _least(field: FieldDescriptor, rules: Any) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return "EUR" if rules.format == options_pb2.TEXT_FORMAT_CURRENCY else "x"
    if rules.HasField("double_min"):
        return rules.double_min
    return rules.min if rules.HasField("min") else 1


def _breakings(message: Any, within: str) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Yield (path, what breaks it in a message of this kind)."""
    for field in message.DESCRIPTOR.fields:
        name, rules, path = field.name, rules_of(field), within + field.name
        if field.is_repeated:
            yield from _repeated(message, field, rules, path)
            continue
        if rules.required:
            yield path, lambda m, n=name: m.ClearField(n)
        if field.message_type is not None:
            if field.message_type.file.package == "inventory.v1":
                yield from _of_message(message, field, path)
            continue
        for value in _bad_values(field, rules):
            yield path, lambda m, n=name, v=value: setattr(m, n, v)


def _bad_values(field: FieldDescriptor, rules: Any) -> Iterator[object]:
    yield from _BAD_TEXT.get(rules.format, [])
    if rules.bytes_max:
        yield from ("x" * (rules.bytes_max + 1), "a\0")
    if rules.HasField("min"):
        yield rules.min - 1
    if rules.HasField("max"):
        yield rules.max + 1
    if rules.HasField("double_min"):
        yield from (math.nextafter(rules.double_min, -math.inf), -math.inf, math.nan)
    if rules.HasField("double_max"):
        yield from (math.nextafter(rules.double_max, math.inf), math.inf)
    if field.enum_type is not None:
        yield 999


def _of_message(
    message: Any, field: FieldDescriptor, path: str
) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Yield what breaks a rule within a message field that is otherwise valid."""
    valid = getattr(message, field.name)
    if not message.HasField(field.name):
        valid = _fill(GetMessageClass(field.message_type)())
    for at, breaking in _breakings(valid, f"{path}."):

        def break_within(m: Any, break_it: Callable[[Any], None] = breaking) -> None:
            getattr(m, field.name).CopyFrom(valid)
            break_it(getattr(m, field.name))

        yield at, break_within


def _an_element(message: Any, field: FieldDescriptor) -> object:
    """Return a valid element of a repeated field, also of one that may be empty."""
    values = getattr(message, field.name)
    if values:
        return values[0]
    if field.message_type is not None:
        return _fill(GetMessageClass(field.message_type)())
    if field.message_type is not None:
        return GetMessageClass(field.message_type)()
    return 1 if field.enum_type is not None else "x"


def _repeated(
    message: Any, field: FieldDescriptor, rules: Any, path: str
) -> Iterator[tuple[str, Callable[[Any], None]]]:
    name = field.name
    if rules.items_min:
        yield path, lambda m: m.ClearField(name)
    if rules.items_max:
        yield path, lambda m: getattr(m, name).extend([_an_element(m, field)] * (rules.items_max + 1))
    if field.enum_type is not None:
        yield f"{path}[0]", lambda m: getattr(m, name).append(999)
    if rules.bytes_max:
        for text in ("x" * (rules.bytes_max + 1), "a\0"):
            yield f"{path}[0]", lambda m, t=text: getattr(m, name).append(t)
    values = getattr(message, name)
    if field.message_type is None:
        for text in _BAD_TEXT.get(rules.format, []):
            yield f"{path}[0]", lambda m, t=text: getattr(m, name).__setitem__(slice(0, 1), [t])
    elif values and not rules.each_alone:
        for inner, breaking in _breakings(values[0], f"{path}[0]."):
            yield inner, lambda m, b=breaking: b(getattr(m, name)[0])
