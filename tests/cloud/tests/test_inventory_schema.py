"""The schema of the inventory, against the shipped policy and against its parser's refusals."""

from __future__ import annotations

import copy
import json
import pathlib

import jsonschema
import pytest

SHARED = pathlib.Path(__file__).parents[3] / "shared"
INVENTORY = json.loads((SHARED / "policy.json").read_text())["inventory"]
SCHEMA = json.loads((SHARED / "inventory.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_shipped_inventory_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(INVENTORY)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("areas", "databases"), {}),
        (("areas", "database", "responsible", "backup"), ""),
        (("areas", "database", "responsible", "third"), "Squad Infra"),
        (("areas", "database", "resources", "rds-proxy"), ["x"]),
        (("areas", "attachments", "resources", "efs-file-system"), ["uploads"]),
        (("areas", "observability", "resources", "grafana-workspace"), ["ws-0123"]),
        (("areas", "observability", "resources", "url"), ["https://user:password@grafana.example.org"]),
        (("areas", "database", "resources", "rds-instance"), [""]),
        (("areas", "database", "resources", "rds-instance"), "moveongs-dev-db"),
        (("untracked",), ["snapshot"]),
        (("untracked",), ["rds:db:x"]),
    ],
    ids=str,
)
def test_what_the_parser_refuses_is_not_valid(place, value):
    wrong = copy.deepcopy(INVENTORY)
    inner = wrong
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert not VALIDATOR.is_valid(wrong)


@pytest.mark.parametrize("area", INVENTORY["areas"])
def test_no_area_can_be_left_out(area):
    wrong = copy.deepcopy(INVENTORY)
    del wrong["areas"][area]
    assert not VALIDATOR.is_valid(wrong)
