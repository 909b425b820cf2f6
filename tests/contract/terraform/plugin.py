"""A stand-in for Terraform's Google provider: the real schema, no cloud.

Terraform starts no provider but talks to this one (TF_REATTACH_PROVIDERS), so `validate`, `plan` and `apply` evaluate
every expression of the module. What only Google could know is invented, recognisably.

Messages: https://github.com/hashicorp/terraform/tree/main/docs/plugin-protocol, tfplugin6; only the fields used here.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SOURCE: Final = "registry.terraform.io/hashicorp/google"
UNKNOWN: Final = msgspec.msgpack.Ext(0, b"\0")
_NESTING: Final = {"single": 1, "list": 2, "set": 3, "map": 4}

# message -> field -> (number, type); `*` repeats. A map is a list of entries on the wire.
_MESSAGES: Final = {
    "Empty": {},
    "Value": {"msgpack": (1, "bytes"), "json": (2, "bytes")},
    "Attribute": {"name": (1, "string"), "type": (2, "bytes")}
    | {name: (number, "bool") for name, number in (("required", 4), ("optional", 5), ("computed", 6))},
    "NestedBlock": {
        "type_name": (1, "string"), "block": (2, "Block"), "nesting": (3, "int64"),
        "min_items": (4, "int64"), "max_items": (5, "int64"),
    },
    "Block": {"version": (1, "int64"), "attributes": (2, "*Attribute"), "block_types": (3, "*NestedBlock")},
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "Entry": {"key": (1, "string"), "value": (2, "Schema")},
    "Schemas": {"provider": (1, "Schema"), "resource_schemas": (2, "*Entry"), "data_source_schemas": (3, "*Entry")},
    "RawState": {"json": (1, "bytes")},
    "Upgrade": {"type_name": (1, "string"), "version": (2, "int64"), "raw_state": (3, "RawState")},
    "Read": {"type_name": (1, "string"), "value": (2, "Value")},
    "Change": {
        "type_name": (1, "string"), "prior": (2, "Value"), "wanted": (3, "Value"), "config": (4, "Value"),
    },
    "State": {"value": (1, "Value")},
    "Planned": {"value": (1, "Value"), "legacy_type_system": (5, "bool")},
    "Applied": {"value": (1, "Value"), "legacy_type_system": (4, "bool")},
}  # fmt: skip
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES, "bool": _FIELD.TYPE_BOOL, "int64": _FIELD.TYPE_INT64,
}  # fmt: skip

# What Google would answer, from what was asked for; anything else is named after itself.
_INVENTED: Final[dict[tuple[str, str], str]] = {
    ("google_project", "number"): "123456789012",
    ("google_project", "billing_account"): "AAAAAA-BBBBBB-CCCCCC",
    ("google_service_account", "email"): "{account_id}@my-project.iam.gserviceaccount.com",
    ("google_service_account", "member"): "serviceAccount:{account_id}@my-project.iam.gserviceaccount.com",
    ("google_service_account", "name"): "projects/my-project/serviceAccounts/{account_id}",
    ("google_cloud_run_v2_service", "uri"): "https://{name}.run.example",
    ("google_artifact_registry_repository", "name"): "{repository_id}",
    ("google_pubsub_topic", "id"): "projects/my-project/topics/{name}",
    ("google_project_iam_custom_role", "id"): "projects/my-project/roles/{role_id}",
}


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="stand_in.proto", package="stand_in", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            plain = kind.removeprefix("*")
            added.type = _SCALARS.get(plain, _FIELD.TYPE_MESSAGE)
            if plain not in _SCALARS:
                added.type_name = f".stand_in.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"stand_in.{name}"))
        for name in _MESSAGES
    }


_CLASSES: Final = _message_classes()


def message(name: str, /, **fields: Any) -> Any:
    return _CLASSES[name](**fields)


def _block(raw: dict[str, Any]) -> Any:
    return message(
        "Block",
        attributes=[
            message("Attribute", name=name, type=json.dumps(attribute["type"]).encode(), **_flags(attribute))
            for name, attribute in raw["attributes"].items()
        ],
        block_types=[
            message(
                "NestedBlock",
                type_name=name,
                block=_block(nested["block"]),
                nesting=_NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in raw.get("block_types", {}).items()
        ],
    )


def _flags(attribute: dict[str, Any]) -> dict[str, bool]:
    return {flag: True for flag in ("required", "optional", "computed") if attribute.get(flag)}


def _schema(raw: dict[str, Any]) -> Any:
    return message("Schema", version=raw["version"], block=_block(raw["block"]))


def _unpacked(value: Any) -> dict[str, Any] | None:
    return msgspec.msgpack.decode(value.msgpack) if value.msgpack else None


def _packed(value: Any) -> Any:
    return message("Value", msgpack=msgspec.msgpack.encode(value))


class StandIn:
    """The provider's side of the protocol; each method is one call, request to answer."""

    def __init__(self, document: dict[str, Any]) -> None:
        schemas = document["provider_schemas"][SOURCE]
        self._resources = schemas["resource_schemas"]
        self._data = schemas["data_source_schemas"]
        self._schemas = message(
            "Schemas",
            provider=_schema(schemas["provider"]),
            resource_schemas=[message("Entry", key=k, value=_schema(v)) for k, v in self._resources.items()],
            data_source_schemas=[message("Entry", key=k, value=_schema(v)) for k, v in self._data.items()],
        )

    def calls(self) -> dict[str, tuple[str, Callable[[Any], Any]]]:
        """Name of each call -> its request's message and its handler."""
        accept = ("Empty", lambda _: message("Empty"))
        return {
            "GetProviderSchema": ("Empty", lambda _: self._schemas),
            "ValidateProviderConfig": accept,
            "ValidateResourceConfig": accept,
            "ValidateDataResourceConfig": accept,
            "ConfigureProvider": accept,
            "StopProvider": accept,
            "UpgradeResourceState": ("Upgrade", lambda r: message("State", value={"json": r.raw_state.json})),
            "ReadResource": ("Read", lambda r: message("State", value=r.value)),
            "ReadDataSource": ("Read", self._read_data),
            "PlanResourceChange": ("Change", self._plan),
            "ApplyResourceChange": ("Change", self._apply),
        }

    def _read_data(self, request: Any) -> Any:
        attributes = self._data[request.type_name]["block"]["attributes"]
        state = dict(_unpacked(request.value) or {})
        for name in attributes:
            if state.get(name) is None:
                state[name] = _invented(request.type_name, name, attributes[name]["type"], state)
        return message("State", value=_packed(state))

    def _plan(self, request: Any) -> Any:
        wanted = _unpacked(request.wanted)
        if wanted is not None and _unpacked(request.prior) is None:
            for name, attribute in self._resources[request.type_name]["block"]["attributes"].items():
                if attribute.get("computed") and wanted.get(name) is None:
                    wanted[name] = UNKNOWN
        return message("Planned", value=_packed(wanted), legacy_type_system=True)

    def _apply(self, request: Any) -> Any:
        state = _unpacked(request.wanted)
        if state is not None:
            attributes = self._resources[request.type_name]["block"]["attributes"]
            for name in [name for name, value in state.items() if value == UNKNOWN]:
                state[name] = _invented(request.type_name, name, attributes[name]["type"], state)
        return message("Applied", value=_packed(state), legacy_type_system=True)


def _invented(type_name: str, attribute: str, kind: Any, state: dict[str, Any]) -> Any:
    if kind != "string":
        return False if kind == "bool" else 0 if kind == "number" else None
    return _INVENTED.get((type_name, attribute), f"{type_name}.{attribute}").format_map(state)


@contextmanager
def reattached(document: dict[str, Any], folder: Path) -> Iterator[dict[str, str]]:
    """Serves the stand-in; yields the variable that makes Terraform use it.

    Args:
        document: the schema, as `terraform providers schema -json` gives it.
        folder: for the socket; a short path.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            lambda request, _, answer=answer: answer(request),
            request_deserializer=_CLASSES[kind].FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        for name, (kind, answer) in StandIn(document).calls().items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers)])
    socket = folder / "provider.sock"
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    address = {"Network": "unix", "String": str(socket)}
    try:
        yield {
            "TF_REATTACH_PROVIDERS": json.dumps(
                {
                    SOURCE: {
                        "Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address,
                    }
                }
            )
        }  # fmt: skip
    finally:
        server.stop(grace=None).wait()
