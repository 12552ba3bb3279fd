"""Checks that AWS CLI versions 1 and 2 accept every command in messages and pages.

Operators have either version, and the two differ: version 1 rejects `--cli-binary-format`, and `--payload` takes text
in version 1 but base64 in version 2. `AWS_CLI_2` is the path of version 2; without it, its tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from extract import EXAMPLE, ROOT, Command, all_commands, in_markdown, in_rust, in_shell, words

HERE = Path(__file__).resolve().parent
VERSION_2 = os.environ.get("AWS_CLI_2")

# Files named in commands, in the forms of AWS's documentation.
FILES = {
    "plan.json": {
        "BackupPlanName": "daily",
        "Rules": [{"RuleName": "daily", "TargetBackupVaultName": "Default", "ScheduleExpression": "cron(0 5 * * ? *)"}],
    },
    "address.json": {"Version": "2012-10-17", "Statement": []},
    "deployer-policy.json": {"Version": "2012-10-17", "Statement": []},
    "pacote.yaml": {},
    "quem-assume.json": {"Version": "2012-10-17", "Statement": []},
    "policy.json": {"Version": "2012-10-17", "Statement": []},
    "lifecycle.json": {
        "Rules": [
            {
                "ID": "moveongs-governance",
                "Status": "Enabled",
                "Filter": {},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            }
        ]
    },
    "replication.json": {
        "Role": "arn:aws:iam::111122223333:role/r",
        "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::other"}}],
    },
    "logging.json": {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "s3/"}},
    "task.json": {"family": "api", "containerDefinitions": [{"name": "api", "image": "api:1"}]},
    "account.json": {"email": "smoke@example.org", "password": "x"},
    "valor.txt": {},
}

# The CLI's messages for missing options, which a command with an ellipsis may omit.
INCOMPLETE = ("arguments are required", "expected one argument", "expected at least one argument", "too few arguments")


def attempt(version: int, commands: list[Command], folder: Path) -> list[dict]:
    """Runs the commands in a folder that contains the files they name. Returns one result per command."""
    for name, content in FILES.items():
        (folder / name).write_text(json.dumps(content))
    for name in ("docs/observability", EXAMPLE):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("x")
    (folder / "stdin").write_text("{}")
    arguments = [
        [word.replace(":///dev/stdin", f"://{folder}/stdin") for word in command.words if word != "…"]
        for command in commands
    ]
    (folder / "commands.json").write_text(json.dumps(arguments))
    config = folder / "config"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "LC_ALL": "C.UTF-8",
        # A request that is sent after all fails: nothing listens here.
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "COMMANDS": str(folder / "commands.json"),
        "RESULTS": str(folder / "results.json"),
    }
    if version == 1:
        config.write_text("")
        program = [sys.executable, str(HERE / "cli.py")]
    else:
        config.write_text(f"[plugins]\ncli_legacy_plugin_path = {HERE}\ncommands = cli\n")
        environment["COMMANDS_PENDING"] = "1"
        program = [str(VERSION_2), "sts", "get-caller-identity"]
    ended = subprocess.run(
        program, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    results = json.loads((folder / "results.json").read_text())
    assert results["version"].startswith(f"{version}."), results["version"]
    return results["results"]


def refused(command: Command, result: dict) -> str | None:
    """Returns the CLI's reason for rejecting a command, or `None` if it accepts it."""
    if result["sent"] or result["code"] == 0:
        return None
    if command.is_elided and any(text in result["said"] for text in INCOMPLETE):
        return None
    # The usage text precedes the error in version 1 and follows it in version 2.
    lines = [
        line for line in result["said"].splitlines() if line and not line.startswith(("usage:", "To see", "  aws"))
    ]
    return " ".join(lines) or f"ended with {result['code']}"


def wrong(version: int, commands: list[Command], folder: Path) -> list[str]:
    """Returns the commands that the CLI rejects, with its messages."""
    reasons: dict[str, list[str]] = {}
    right = set()
    for command, result in zip(commands, attempt(version, commands, folder), strict=True):
        group = command.group or f"{command} {command.place}"
        reason = refused(command, result)
        if reason is None:
            right.add(group)
        else:
            reasons.setdefault(group, []).append(f"{command}\n    {reason}")
    return [text for group, texts in reasons.items() if group not in right for text in texts]


# A secret's value that is one line, as a page advises to store it.
RECIPE = re.compile(r"read -rs \w+; .*--secret-string file:///dev/stdin\b[^\n`]*")


def test_a_secret_is_stored_as_it_was_pasted(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text('#!/bin/sh\ncat > "$STORED"\n')
    (tmp_path / "aws").chmod(0o755)
    values = ["postgresql://u:a%5Cb@h:5432/d", r"back\slash %s 'quotes' $HOME -n"]
    recipes = 0
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        page = path.read_text()
        for recipe in RECIPE.findall(page):
            recipes += 1
            for value in values:
                stored = tmp_path / "stored"
                environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STORED": str(stored)}
                subprocess.run(["bash", "-c", recipe], input=f"{value}\n", env=environment, text=True, check=True)
                assert stored.read_text() == value, f"{path}: {recipe}"
        # Pasted to standard input, a value keeps its line end, which only a document may have.
        for line in RECIPE.sub("", page).splitlines():
            assert "--secret-string file:///dev/stdin" not in line or "JSON" in line, f"{path}: {line}"
    assert recipes > 1


VERSIONS = [1, pytest.param(2, marks=pytest.mark.skipif(not VERSION_2, reason="AWS_CLI_2 is not set"))]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cli_accepts_every_command_of_messages_and_documentation(version: int, tmp_path: Path) -> None:
    # Equal commands at different places are tried once.
    commands = list({(command.words, command.group): command for command in all_commands()}.values())
    places = {command.place.split(":")[0] for command in commands}
    # Guards the extraction: every function with messages, and every page, has commands.
    assert len(commands) > 150, len(commands)
    for part in ("functions/backup-audit/src/rules/rds/command.rs", "shared/src/rotation/text.rs", "docs/backups.md"):
        assert part in places, places
    found = wrong(version, commands, tmp_path)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_command_is_refused(version: int, tmp_path: Path) -> None:
    controls = [
        "rds describe-db-instance",
        "rds describe-db-instances --db-instances x",
        "rds modify-db-instance --backup-retention-period 7",
        "rds modify-db-instance --db-instance-identifier x --backup-retention-period many",
        "s3api put-bucket-versioning --bucket b --versioning-configuration State=Enabled",
        "rds describe-db-instances --query 'DBInstances[0'",
        "backup create-backup-plan --backup-plan file://missing.json",
        "rds wait db-snapshot-there --db-snapshot-identifier x",
        "rds no-such-operation …",
    ]
    # Only the other version accepts these.
    controls.append(
        "lambda invoke --function-name f --cli-binary-format raw-in-base64-out /dev/stdout"
        if version == 1
        else "lambda invoke --function-name f --payload '{\"retire\":true}' /dev/stdout"
    )
    commands = [Command("control", tuple(words(control))) for control in controls]
    results = attempt(version, commands, tmp_path)
    taken = [str(command) for command, result in zip(commands, results, strict=True) if not refused(command, result)]
    assert not taken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("aws rds describe-db-instances --query 'a[].b' | jq . # text", ["rds describe-db-instances --query a[].b"]),
        ('x=$(aws ecs list-services --cluster "$C") && aws s3 ls s3://b/ > out', None),
        ("aws a b \\\n  --c 'd e'", ["a b --c d e"]),
        ("echo '{\"a\": 1}' | aws lambda invoke --payload fileb:///dev/stdin /dev/stdout", None),
        ('aws a b --c "$(aws d e --f "x y")" --g', [f"a b --c {EXAMPLE} --g", "d e --f x y"]),
        ("until aws rds wait x-y --z 1 2>&1; do sleep 1; done", ["rds wait x-y --z 1"]),
        ("the aws provider, arn:aws:s3:::b and aws-cli", []),
    ],
)
def test_commands_are_found_in_a_shell_text(text: str, expected: list[str] | None) -> None:
    found = [" ".join(command.words) for command in in_shell(text, "here")]
    if expected is None:
        assert found
    else:
        assert found == expected


def test_commands_are_found_in_a_page_and_in_a_rust_file() -> None:
    page = "| `aws rds start-db-instance --db-instance-identifier X \\| cat` |\n```sh\naws s3 ls s3://b/\n```\n"
    assert [command.words[1] for command in in_markdown(page, "page")] == ["start-db-instance", "ls"]
    source = """
        #[cfg(test)]
        mod tests;
        format!("`aws rds copy-db-snapshot --tags Key={1},Value={{x}}{region}`, {}", text)
        format!("aws rds modify-db-instance --db-instance-identifier {} {change}", name)
        modify("--multi-az")
        let list = command!("aws rds describe-db-snapshots")
        command!("{list} --snapshot-type manual", list)
        #[cfg(test)]
        "aws rds not-this"
    """
    found = [" ".join(command.words) for command in in_rust(source, "file.rs")]
    assert found == [
        f"rds copy-db-snapshot --tags Key={EXAMPLE},Value={{x}}",
        f"rds copy-db-snapshot --tags Key={EXAMPLE},Value={{x}} --region sa-east-1",
        f"rds modify-db-instance --db-instance-identifier {EXAMPLE} --multi-az",
        "rds describe-db-snapshots",
        "rds describe-db-snapshots --snapshot-type manual",
    ]
