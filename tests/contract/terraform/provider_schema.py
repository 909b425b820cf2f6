"""Makes provider_schema.json: what Terraform's Google provider takes, of the types that deploy/terraform uses.

cd deploy/terraform && terraform init && terraform providers schema -json >/tmp/schema.json
terraform version -json | jq -r '.provider_selections[]'
python tests/contract/terraform/provider_schema.py /tmp/schema.json VERSION
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

MODULE: Final = Path(__file__).parents[3] / "deploy" / "terraform"
TARGET: Final = Path(__file__).with_name("provider_schema.json")
SOURCE: Final = "registry.terraform.io/hashicorp/google"
# What the stand-in of the provider reads; descriptions, for example, would be most of the file.
_OF_ATTRIBUTE: Final = ("type", "required", "optional", "computed")
_OF_BLOCK: Final = ("nesting_mode", "min_items", "max_items")


def _block(raw: dict[str, Any]) -> dict[str, Any]:
    attributes = {
        name: {key: attribute[key] for key in _OF_ATTRIBUTE if key in attribute}
        for name, attribute in raw.get("attributes", {}).items()
    }
    nested = {
        name: {key: block[key] for key in _OF_BLOCK if key in block} | {"block": _block(block["block"])}
        for name, block in raw.get("block_types", {}).items()
    }
    return {"attributes": attributes} | ({"block_types": nested} if nested else {})


def trimmed(document: dict[str, Any], provider_version: str) -> dict[str, Any]:
    """The document of `terraform providers schema -json`, but for what neither the module nor its tests need."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(MODULE.glob("*.tf")))
    schemas = document["provider_schemas"][SOURCE]
    kept = {"provider": {"version": 0, "block": _block(schemas["provider"]["block"])}}
    for kind, key in (("resource", "resource_schemas"), ("data", "data_source_schemas")):
        used = sorted(set(re.findall(rf'^{kind} "(google_\w+)"', text, re.MULTILINE)))
        kept[key] = {name: {"version": 0, "block": _block(schemas[key][name]["block"])} for name in used}
    return {
        "format_version": "1.0",
        "provider_version": provider_version,
        "provider_schemas": {SOURCE: kept},
    }


if __name__ == "__main__":
    made = trimmed(json.loads(Path(sys.argv[1]).read_text("utf-8")), sys.argv[2])
    TARGET.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")
