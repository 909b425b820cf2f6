"""Makes provider_schema.json: what Terraform's Google provider takes, of the types that deploy/terraform uses.

The facts come from the provider's generated bindings, which name every argument with its type, and from their type
declarations, which say what is required. The form is that of `terraform providers schema -json`.

    pip download --no-deps --dest DIR cdktf-cdktf-provider-google==16.12.1
    python tests/contract/terraform/provider_schema.py DIR/*.whl
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
MODULE: Final = ROOT / "deploy" / "terraform"
TARGET: Final = Path(__file__).with_name("provider_schema.json")
SOURCE: Final = "registry.terraform.io/hashicorp/google"

_SCALARS: Final = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_VERSION: Final = re.compile(r"hashicorp/google provider version ([\d.]+)")
_USED: Final = re.compile(r'^(resource|data) "(google_\w+)"', re.MULTILINE)
# name: { value: how it is written out, isBlock, type, storageClassType }
_ARGUMENT: Final = re.compile(
    r"(\w+): \{\s+value: (?P<value>.+),\s+isBlock: (?P<block>\w+),\s+type: \"(?P<kind>\w+)\","
    r"\s+storageClassType: \"(?P<type>\w+)\","
)
_WRITER: Final = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_OWN: Final = re.compile(r"synthesizeHclAttributes\(\) \{(.*?)^    \}", re.MULTILINE | re.DOTALL)
_INTERFACE: Final = re.compile(r"^export interface (\w+) .*?\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_PROPERTY: Final = re.compile(r"^    readonly (\w+)(\??): ", re.MULTILINE)
_COMPUTED: Final = re.compile(r"^    get (\w+)\(\): ([\w.]+)(\[\])?", re.MULTILINE)
_ATTRIBUTE_OF: Final = re.compile(r"get (\w+)\(\) \{\s+return this\.get\w+Attribute\('(\w+)'\)")
_OBJECT_OF: Final = re.compile(r"this\._(\w+) = new [\w.]+\(this, \"(\w+)\"")


def used_types() -> dict[str, set[str]]:
    """Types by `resource` or `data`, from the module's files."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(MODULE.glob("*.tf")))
    found: dict[str, set[str]] = {"resource": set(), "data": set()}
    for kind, name in _USED.findall(text):
        found[kind].add(name)
    return found


class Bindings:
    """The bindings' package: the scripts and type declarations of some folders, and the provider's version."""

    def __init__(self, wheel: Path, folders: set[str]) -> None:
        with zipfile.ZipFile(wheel) as archive:
            packed = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
            metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
            self.provider_version = _VERSION.search(archive.read(metadata).decode())[1]
            wanted = {f"package/lib/{folder}/index.{kind}" for folder in folders for kind in ("js", "d.ts")}
            with tarfile.open(fileobj=io.BytesIO(archive.read(packed)), mode="r|gz") as files:
                self._texts = {
                    file.name: files.extractfile(file).read().decode()
                    for file in files
                    if file.name in wanted
                }

    def block(self, folder: str) -> dict[str, Any]:
        """The schema block of the class in a folder."""
        script = self._text(folder, "index.js")
        declared = self._text(folder, "index.d.ts")
        required = {
            interface[0].lower(): {name for name, optional in _PROPERTY.findall(interface[1]) if not optional}
            for interface in _INTERFACE.findall(declared)
        }
        writers = {name.lower(): body for name, body in _WRITER.findall(script)}
        own = _OWN.search(script)
        own_class = re.findall(
            r"^export declare class (\w+) extends cdktf\.Terraform", declared, re.MULTILINE
        )[-1]
        block = _block(own[1] if own else "", required[f"{own_class}config".lower()], writers, required)
        for name, kind in _computed(script, declared, own_class).items():
            if name not in block.get("block_types", {}):
                block["attributes"].setdefault(name, {"type": kind, "computed": True})
        block["attributes"].get("id", {})["computed"] = True  # given or not
        return block

    def _text(self, folder: str, name: str) -> str:
        return self._texts[f"package/lib/{folder}/{name}"]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _block(
    body: str, required: set[str], writers: dict[str, str], interfaces: dict[str, set[str]]
) -> dict[str, Any]:
    block: dict[str, Any] = {"attributes": {}, "block_types": {}}
    for match in _ARGUMENT.finditer(body):
        name, is_required = match[1], _camel(match[1]) in required
        nested = re.search(r"(\w+)ToHclTerraform", match["value"].replace("cdktf.", ""))
        if match["block"] == "false" or nested is None or nested[1].lower() not in writers:
            must = "required" if is_required else "optional"
            block["attributes"][name] = {"type": _type(match["kind"], match["type"]), must: True}
            continue
        key = nested[1].lower()
        single = "listMapperHcl" not in match["value"]
        block["block_types"][name] = {
            "nesting_mode": "single" if match["kind"] == "struct" else match["kind"],
            "block": _block(writers[key], interfaces.get(key, set()), writers, interfaces),
            **({"min_items": 1} if is_required else {}),
            **({"max_items": 1} if single and match["kind"] != "struct" else {}),
        }
    return {key: value for key, value in block.items() if value or key == "attributes"}


def _type(kind: str, storage: str) -> Any:
    if kind == "simple":
        return _SCALARS[storage]
    element = re.sub(r"(List|Map|Set)$", "", storage)
    return [kind, _SCALARS.get(element, "dynamic")]


def _computed(script: str, declared: str, own_class: str) -> dict[str, Any]:
    """Attributes that can be read: their types by Terraform's name."""
    script = script[script.index(f"class {own_class} extends") :]
    names = dict(_ATTRIBUTE_OF.findall(script)) | dict(_OBJECT_OF.findall(script))
    declared = declared[declared.index(f"class {own_class} extends") :]
    kinds = {
        "string": "string",
        "number": "number",
        "cdktf.IResolvable": "bool",
        "cdktf.StringMap": ["map", "string"],
    }
    return {
        names[getter]: ["list", "string"] if many and kind == "string" else kinds.get(kind, "dynamic")
        for getter, kind, many in _COMPUTED.findall(declared)
        if getter in names
    }


def _folder(kind: str, name: str) -> str:
    prefix = "data-google-" if kind == "data" else ""
    return prefix + name.removeprefix("google_").replace("_", "-")


def build(wheel: Path) -> dict[str, Any]:
    """The schema document of the used types."""
    folders = {(kind, name): _folder(kind, name) for kind, names in used_types().items() for name in names}
    bindings = Bindings(wheel, {*folders.values(), "provider"})
    schemas: dict[str, dict[str, Any]] = {"resource": {}, "data": {}}
    for (kind, name), folder in sorted(folders.items()):
        schemas[kind][name] = {"version": 0, "block": bindings.block(folder)}
    return {
        "format_version": "1.0",
        "provider_version": bindings.provider_version,
        "provider_schemas": {
            SOURCE: {
                "provider": {"version": 0, "block": bindings.block("provider")},
                "resource_schemas": schemas["resource"],
                "data_source_schemas": schemas["data"],
            }
        },
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(build(Path(sys.argv[1])), indent=1, sort_keys=True) + "\n", "utf-8")
