"""Write docs/api.md from the comments and rules of protos/; a test says when it is stale.

python tools/api.py            writes it
python tools/api.py --print    prints it
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from inventory_client.v1 import options_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PAGE = ROOT / "docs" / "api.md"
_FIRST = "inventory/v1/inventory_service.proto"

_HEAD = """\
# The API

<!-- Written by `make docs` from protos/inventory/v1/. -->

Package `inventory.v1`. What the words mean and what each step needs and moves is in
[concepts.md](concepts.md); the order flow in pictures in [order-flow.md](order-flow.md).

- **Store**: the metadata `x-inventory-store`; none named means `default`.
- **Actor**: the metadata `x-inventory-actor`, who acts; it stands in the log.
- **Credential**: where the server tells callers apart ([security.md](security.md)), `authorization: Bearer
  TOKEN` or the connection's certificate; the store is then one of its, the actor its name. *Role* says who
  may call a method besides administrators; a viewer's methods are everybody's.
- **Repeating a call**: on UNAVAILABLE or DEADLINE_EXCEEDED send the same again, unchanged; it takes effect at
  most once. A change without an id of its own takes a `request_id`; a stored answer that comes again is
  marked `replayed`.
- **Fields**: a field marked *required* that is absent, and one out of its range, is INVALID_FIELD with the
  field's path. Quantities and amounts are `optional`: absent is an error, never 0.
- **Pages**: `page_size` 0 = 100, above 1,000 is lowered; pages are stable under concurrent writes.
- **Errors**: [the reasons](#errorreason) come in `google.rpc.ErrorInfo.reason`, domain `inventory-service`.
"""

# Where a comment stands: the field numbers of descriptor.proto on the way to it.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _VALUE, _METHOD, _NESTED = 2, 2, 2, 3

_SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}
_FORMATS = {
    options_pb2.TEXT_FORMAT_ID: "1 to 128 visible ASCII",
    options_pb2.TEXT_FORMAT_SLUG: "a slug",
    options_pb2.TEXT_FORMAT_CURRENCY: "ISO 4217",
}


class _Page:
    """The descriptors with their comments, and the text made of them."""

    def __init__(self, files: list[FileDescriptorProto]) -> None:
        self._files = files
        self._comments = {
            (file.name, tuple(place.path)): re.sub(r"\s*\n\s*", " ", place.leading_comments).strip()
            for file in files
            for place in file.source_code_info.location
        }
        self._messages = {
            f".{file.package}.{message.name}": (file, number, message)
            for file in files
            for number, message in enumerate(file.message_type)
        }
        asked = [m for file in files for service in file.service for m in service.method]
        self._told_with_a_method = {m.input_type for m in asked} | {m.output_type for m in asked}

    def text(self) -> str:
        parts = [_HEAD, *self._contents()]
        for file in self._files:
            for number, service in enumerate(file.service):
                parts += self._service(file, number, service)
        parts.append("\n## Resources\n")
        for name, (file, number, message) in sorted(self._messages.items()):
            if name not in self._told_with_a_method and file.name != "inventory/v1/options.proto":
                parts.append(f"\n### {message.name}\n\n{self._comment(file, _MESSAGE, number)}\n")
                parts.append(self._fields(file, (_MESSAGE, number), message))
        parts.append("\n## Enums\n")
        enums = [(enum, file, number) for file in self._files for number, enum in enumerate(file.enum_type)]
        for enum, file, number in sorted(enums, key=lambda found: found[0].name):
            if file.name != "inventory/v1/options.proto":
                parts += self._enum(file, number, enum)
        return "".join(parts)

    def _contents(self) -> Iterator[str]:
        for file in self._files:
            for service in file.service:
                links = (f"[{method.name}](#{method.name.lower()})" for method in service.method)
                yield f"\n**{service.name}**: {', '.join(links)}\n"

    def _service(
        self, file: FileDescriptorProto, number: int, service: ServiceDescriptorProto
    ) -> Iterator[str]:
        yield f"\n## {service.name}\n\n{self._comment(file, _SERVICE, number)}\n"
        for index, method in enumerate(service.method):
            yield f"\n### {method.name}\n\n{_kind(method)}*Role: {_role(method)}.* "
            yield _with_errors_apart(self._comment(file, _SERVICE, number, _METHOD, index))
            for title, name in (("Request", method.input_type), ("Answer", method.output_type)):
                home, place, message = self._messages[name]
                if message.field:
                    yield f"\n{title} `{message.name}`:\n"
                    yield self._fields(home, (_MESSAGE, place), message)
                else:
                    yield f"\n{title} `{message.name}`: empty.\n"

    def _fields(self, file: FileDescriptorProto, path: tuple[int, ...], message: DescriptorProto) -> str:
        if not message.field:
            return "\nIt has no fields.\n"
        rows = ["\n| field | type | what |\n|---|---|---|\n"]
        for number, field in enumerate(message.field):
            words = [self._comments.get((file.name, (*path, _FIELD, number)), "")]
            rules = _rules(field)
            if rules:
                words.append(f"*{rules}*")
            rows.append(f"| `{field.name}` | {self._type(field, message)} | {_cell(' '.join(words))} |\n")
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                rows.append(f"\n`{message.name}.{nested.name}`: ")
                rows.append(self._comments.get((file.name, (*path, _NESTED, number)), "") + "\n")
                rows.append(self._fields(file, (*path, _NESTED, number), nested))
        return "".join(rows)

    def _enum(self, file: FileDescriptorProto, number: int, enum: EnumDescriptorProto) -> Iterator[str]:
        yield f"\n### {enum.name}\n\n{self._comment(file, _ENUM, number)}\n"
        yield "\n| value | number | what |\n|---|---|---|\n"
        prefix = re.sub(r"(?<=.)(?=[A-Z])", "_", enum.name).upper() + "_"
        for index, value in enumerate(enum.value):
            words = _cell(self._comment(file, _ENUM, number, _VALUE, index))
            yield f"| `{value.name.removeprefix(prefix)}` | {value.number} | {words} |\n"

    def _type(self, field: FieldDescriptorProto, message: DescriptorProto) -> str:
        name = _SCALARS.get(field.type, "")
        if not name:
            name = field.type_name.rpartition(".")[2]
            if field.type_name in self._messages or field.type == FieldDescriptorProto.TYPE_ENUM:
                name = f"[{name}](#{name.lower()})"
        if field.HasField("oneof_index") and not field.proto3_optional:
            return f"{name}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return f"repeated {name}" if field.label == FieldDescriptorProto.LABEL_REPEATED else name

    def _comment(self, file: FileDescriptorProto, *path: int) -> str:
        return self._comments.get((file.name, path), "")


def _kind(method: MethodDescriptorProto) -> str:
    kinds = {
        (True, False): "Client stream.",
        (False, True): "Server stream.",
        (True, True): "Streams both ways.",
    }
    kind = kinds.get((method.client_streaming, method.server_streaming))
    return f"*{kind}* " if kind else ""


def _role(method: MethodDescriptorProto) -> str:
    role = options_pb2.Role.Name(method.options.Extensions[options_pb2.role])
    return role.removeprefix("ROLE_").lower()


def _with_errors_apart(comment: str) -> str:
    """Give the reasons a paragraph of their own."""
    what, colon, reasons = comment.partition(" Errors: ")
    return f"{what}\n" + (f"\nErrors: {reasons}\n" if colon else "")


def _rules(field: FieldDescriptorProto) -> str:
    rules = field.options.Extensions[options_pb2.rules]
    words = ["required"] if rules.required else []
    if rules.format:
        words.append(_FORMATS[rules.format])
    if rules.bytes_max:
        words.append(f"at most {rules.bytes_max} bytes")
    return ", ".join(words)


def _cell(words: str) -> str:
    return words.replace("|", "\\|").strip()


def page() -> str:
    """Return the page's text."""
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "descriptors.binpb"
        subprocess.run(
            [
                sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", "--include_source_info",
                f"--descriptor_set_out={described}",
                *sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.glob("inventory/v1/*.proto")),
            ],
            check=True,
            cwd=PROTOS,
        )  # fmt: skip
        files = FileDescriptorSet.FromString(described.read_bytes()).file
    return _Page(sorted(files, key=lambda file: (file.name != _FIRST, file.name))).text()


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
