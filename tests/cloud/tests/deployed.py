"""The template after SAM's transform, as CloudFormation receives it."""

from __future__ import annotations

import json
import pathlib

import boto3
from cfnlint.decode import decode
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

TEMPLATE = pathlib.Path(__file__).resolve().parents[3] / "template.yaml"


def deployed(path: pathlib.Path = TEMPLATE) -> dict:
    """The resources of a template after SAM's transform, by logical id."""
    template, _ = decode(str(path))
    template = json.loads(json.dumps(template))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/package"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/definition"
    values = {name: parameter.get("Default", "x") for name, parameter in template["Parameters"].items()}
    session = boto3.session.Session(region_name="us-east-1")
    return Translator({}, Parser(), None, session).translate(template, values)["Resources"]
