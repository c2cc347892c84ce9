"""The kubelet's side of the device plugin protocol: k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/api.proto."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "v1beta1"


class Registration(Protocol):
    """What a device plugin says of itself: the fields of RegisterRequest."""

    version: str
    endpoint: str
    resource_name: str


# Message: its fields as (number, name, type); a * marks a repeated field. What the tests do not read is left out.
MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "Empty": [],
    "RegisterRequest": [(1, "version", "string"), (2, "endpoint", "string"), (3, "resource_name", "string")],
    "Device": [(1, "ID", "string"), (2, "health", "string")],
    "ListAndWatchResponse": [(1, "devices", "*Device")],
    "ContainerPreferredAllocationRequest": [
        (1, "available_deviceIDs", "*string"),
        (2, "must_include_deviceIDs", "*string"),
        (3, "allocation_size", "int32"),
    ],
    "PreferredAllocationRequest": [(1, "container_requests", "*ContainerPreferredAllocationRequest")],
    "ContainerPreferredAllocationResponse": [(1, "deviceIDs", "*string")],
    "PreferredAllocationResponse": [(1, "container_responses", "*ContainerPreferredAllocationResponse")],
    "ContainerAllocateRequest": [(1, "devices_ids", "*string")],
    "AllocateRequest": [(1, "container_requests", "*ContainerAllocateRequest")],
    "EnvEntry": [(1, "key", "string"), (2, "value", "string")],
    "ContainerAllocateResponse": [(1, "envs", "*EnvEntry")],
    "AllocateResponse": [(1, "container_responses", "*ContainerAllocateResponse")],
}


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="device_plugin.proto", package=PACKAGE, syntax="proto3")
    for message, fields in MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for number, name, kind in fields:
            field = descriptor.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
            scalar = {"string": field.TYPE_STRING, "int32": field.TYPE_INT32}.get(kind.lstrip("*"))
            field.type = scalar or field.TYPE_MESSAGE
            if scalar is None:
                field.type_name = f".{PACKAGE}.{kind.lstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


_CLASSES = _message_classes()


def message(kind: str, **fields: object) -> Any:
    """A message of the protocol, by its name in the proto file."""
    return _CLASSES[kind](**fields)


@contextmanager
def registrations(folder: Path) -> Iterator[queue.Queue[Registration]]:
    """Listens on the folder's kubelet.sock; every RegisterRequest arrives in the queue."""
    received: queue.Queue[Registration] = queue.Queue()

    def register(request: Any, _context: grpc.ServicerContext) -> Any:
        received.put(request)
        return message("Empty")

    handler: Any = grpc.unary_unary_rpc_method_handler(
        register, _CLASSES["RegisterRequest"].FromString, lambda response: response.SerializeToString()
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(f"{PACKAGE}.Registration", {"Register": handler}),)
    )
    server.add_insecure_port(f"unix:{folder / 'kubelet.sock'}")
    server.start()
    try:
        yield received
    finally:
        server.stop(grace=None)


def call(channel: grpc.Channel, method: str, request: Any, response: str) -> Any:
    """Calls a method of the device plugin that gives one answer."""
    stub: Any = channel.unary_unary(
        f"/{PACKAGE}.DevicePlugin/{method}",
        request_serializer=lambda outgoing: outgoing.SerializeToString(),
        response_deserializer=_CLASSES[response].FromString,
    )
    return stub(request, timeout=10)


def list_and_watch(channel: grpc.Channel) -> Iterator[dict[str, str]]:
    """The health of every device by its ID, each time that the plugin reports it."""
    stub: Any = channel.unary_stream(
        f"/{PACKAGE}.DevicePlugin/ListAndWatch",
        request_serializer=lambda outgoing: outgoing.SerializeToString(),
        response_deserializer=_CLASSES["ListAndWatchResponse"].FromString,
    )
    for update in stub(message("Empty"), timeout=30):
        yield {device.ID: device.health for device in update.devices}
