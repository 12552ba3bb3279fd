"""An update of a running stack neither replaces nor removes a resource that operators or callers rely on.

CloudFormation replaces a resource if its logical id, its type or a property in its schema's `createOnlyProperties`
changes; cfn-lint ships the schemas. `bc640d8.json` has these values of a deployed version, as printed by
`python test_upgrade.py TEMPLATE`.
"""

from __future__ import annotations

import json
import pathlib
import sys

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from deployed import deployed

BEFORE = pathlib.Path(__file__).parent / "bc640d8.json"


def identity(resource: dict) -> dict:
    """A resource's type and the properties that CloudFormation cannot change in place."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    fixed = {}
    for pointer in schema.get("createOnlyProperties", []):
        value = resource.get("Properties", {})
        names = pointer.split("/")[2:]
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            fixed["/".join(names)] = value
    return {"type": resource["Type"], "fixed": fixed}


def replaced(before: dict, after: dict) -> list[str]:
    """The logical ids of resources that an update removes or replaces."""
    return sorted(name for name, was in before.items() if after.get(name) != was)


def identities(path: pathlib.Path | None = None) -> dict:
    return {name: identity(resource) for name, resource in (deployed(path) if path else deployed()).items()}


def test_an_update_from_bc640d8_replaces_nothing():
    before = json.loads(BEFORE.read_text())
    assert len(before) == 120
    assert replaced(before, identities()) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("JwtRotation", lambda all: all.pop("JwtRotation")),
        ("PagingTopic", lambda all: all["PagingTopic"]["fixed"].update(TopicName="another")),
        ("EvidenceBucket", lambda all: all["EvidenceBucket"].update(type="AWS::S3Express::DirectoryBucket")),
    ],
)
def test_a_new_id_name_or_type_counts_as_a_replacement(name, change):
    after = identities()
    change(after)
    assert replaced(json.loads(BEFORE.read_text()), after) == [name]


if __name__ == "__main__":
    json.dump(identities(pathlib.Path(sys.argv[1])), sys.stdout, indent=1, sort_keys=True)
