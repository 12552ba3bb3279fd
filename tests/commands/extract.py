"""Extracts the AWS CLI commands of messages and documentation, split into words as a shell passes them.

Messages are read from the string literals of the Rust sources, documentation from code blocks and inline code.
Placeholders that a message fills in at run time, or that a reader fills in, are replaced by examples (`EXAMPLES`).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]

# Default example. Ids have a minimum length of up to 32 characters.
EXAMPLE = "example0000000000000000000000000"
# The fields that Security Hub requires in a finding.
FINDING = {
    **dict.fromkeys(("SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "Title", "Description"), "x"),
    **dict.fromkeys(("CreatedAt", "UpdatedAt"), "2026-01-01T00:00:00Z"),
    "Resources": [{"Type": "Other", "Id": "x"}],
}
# Placeholders that need another example: a number, a document.
EXAMPLES = {
    "INICIO": "1764374400000",
    "LIMITE": "100",
    "CHAVE_ANTERIOR": EXAMPLE,
    "VERSAO_ANTERIOR": EXAMPLE,
    "VERSAO_ATUAL": EXAMPLE,
    "days": "30",
    "gib": "40",
    "double": "40",
    "iops": "3000",
    "lote": json.dumps([FINDING]),
    "pairs": "Key=Project,Value=moveongs",
    "field": "Name",
    "rule": '{"Rules":[]}',
    "tags": "Environment=dev,ManagedBy=terraform",
}

# Placeholders for parts of words, or for any number of words. Every text is tried.
FRAGMENTS = {
    "0": ["db-instance", "db-cluster"],
    "accounts": ["all", "111122223333 444455556666"],
    "cli": ["db-snapshot", "db-cluster-snapshot"],
    "database": ["db-instance", "db-cluster"],
    "db": ["db", "db-cluster"],
    "kind": ["instance", "cluster"],
    "invoke": ["aws lambda invoke --function-name x --payload fileb:///dev/stdin /dev/stdout --cli-read-timeout 910"],
    "region": ["", " --region sa-east-1"],
    "outage": ["", " --apply-immediately"],
    "names": ["", " --source-ids x"],
    "of": ["", "cluster-"],
    "more": [""],
    "deletion": [""],
    "services": ["api", "api worker"],
    "tag": ["ExpiresOn", "Hold", "rotation:in-use"],
}

# Placeholders filled by another literal of the same file: with options, or with the operation.
OPEN = ("change", "command", "operation")

# A command of a Rust file that others extend: `{name} --option`.
BUILT = re.compile(r'let (\w+) =\s*command!\(\s*"(aws [^"]*)"')
EXTENDS = re.compile(r"^\{(\w+)\}(?= --)")

PLACEHOLDER = re.compile(r"\{(\w*)(?::[^{}]*)?\}")
OPERATION = re.compile(
    r"(?:add|copy|create|delete|describe|get|list|modify|put|remove|start|tag|update)-[a-z-]+|wait [a-z]+-[a-z-]+"
)
FORMAT = re.compile(r"\{\{|\}\}|" + PLACEHOLDER.pattern)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# Matches `aws` only where a shell expects a command.
COMMAND = re.compile(r"(?:^|[\s;|&({`])aws (?=(?:--[a-z]|[a-z0-9-]+ +(?:[a-z{]|s3:)))")
# The tests at the end of a file, unless another file has them.
TESTS = re.compile(r"#\[cfg\(test\)\](?!\s*(?:mod|use) [^;{]+;)")
LITERAL = re.compile(r'r#"(?P<raw>.*?)"#|"(?P<text>(?:[^"\\]|\\.)*)"|//[^\n]*|\'(?:[^\'\\]|\\.)\'', re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command as the shell passes it, and its place in the repository."""

    place: str
    words: tuple[str, ...]
    """The arguments, without `aws`."""
    group: str = field(default="", compare=False)
    """At least one command of a group must be accepted, because it is unknown which literals belong together."""

    @property
    def is_elided(self) -> bool:
        """Returns true if the text omits options: it has an ellipsis, or only names the command."""
        return "…" in self.words or len(self.words) == 2

    def __str__(self) -> str:
        return f"{self.place}: aws {' '.join(self.words)}"


class Unbalanced(Exception):
    """A quote or parenthesis has no end."""


def words(text: str) -> list[str]:
    """Returns the words of a shell text's first command: up to an operator, a comment, or the end of the line."""
    found: list[str] = []
    word: str | None = None
    at = 0
    skip_next = False

    def end() -> None:
        nonlocal word, skip_next
        if word is not None and not skip_next:
            # A reader fills in what is in capitals; `query` is an operation.
            found.append(EXAMPLES.get(word, word) if word.isupper() else word)
        if word is not None:
            skip_next = False
        word = None

    while at < len(text):
        char = text[at]
        if text.startswith("\\\n", at):
            end()
            at += 2
        elif char == "\\":
            word = (word or "") + text[at + 1 : at + 2]
            at += 2
        elif char == "'":
            close = text.find("'", at + 1)
            if close < 0:
                raise Unbalanced(text)
            word = (word or "") + text[at + 1 : close]
            at = close + 1
        elif char == '"':
            inside, at = quoted(text, at + 1)
            word = (word or "") + inside
        elif text.startswith("$(", at):
            at = substituted(text, at)
            word = (word or "") + EXAMPLE
        elif char == "$":
            variable = VARIABLE.match(text, at)
            word = (word or "") + (of_variable(variable) if variable else "$")
            at = variable.end() if variable else at + 1
        elif char in " \t":
            end()
            at += 1
        elif char == "#" and word is None:
            break
        elif char in "<>":
            # The shell consumes redirections: `2>&1`, `> file`.
            if word is not None and word.isdigit():
                word = None
            end()
            at += 2 if text[at + 1 : at + 2] in ("&", ">") else 1
            skip_next = True
        elif char in "\n;|&()":
            break
        else:
            word = (word or "") + char
            at += 1
    end()
    return found


def of_variable(match: re.Match[str]) -> str:
    return EXAMPLES.get(match[1] or match[2], EXAMPLE)


def quoted(text: str, at: int) -> tuple[str, int]:
    """Returns the content of the double quotes that begin before `at`, and the position after them."""
    inside = ""
    while at < len(text):
        if text[at] == '"':
            return inside, at + 1
        if text.startswith("$(", at):
            at = substituted(text, at)
            inside += EXAMPLE
        elif text[at] == "\\" and text[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            inside += text[at + 1]
            at += 2
        elif variable := VARIABLE.match(text, at):
            inside += of_variable(variable)
            at = variable.end()
        else:
            inside += text[at]
            at += 1
    raise Unbalanced(text)


def substituted(text: str, at: int) -> int:
    """Returns the position after the command substitution that begins at `at`."""
    at += 2
    depth = 1
    while at < len(text):
        if text[at] == "'":
            at = text.find("'", at + 1)
            if at < 0:
                raise Unbalanced(text)
        elif text[at] == '"':
            at = quoted(text, at + 1)[1] - 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise Unbalanced(text)


def in_shell(text: str, place: str, group: str = "") -> list[Command]:
    """Returns the commands of a shell text, including those inside command substitutions."""
    found = []
    for match in COMMAND.finditer(text):
        found.append(Command(place, tuple(words(text[match.end() :])), group))
    return found


def in_markdown(text: str, place: str) -> list[Command]:
    """Returns the commands in code blocks and inline code."""
    found = []
    fence: str | None = None
    block: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if fence is None and bare.startswith("```"):
            fence, block = bare[: len(bare) - len(bare.lstrip("`"))], []
            begins = number
        elif fence is not None and bare == fence:
            found += in_shell("\n".join(block), f"{place}:{begins}")
            fence = None
        elif fence is not None:
            block.append(re.sub(r"^\$ ", "", bare))
        else:
            # Tables escape pipes, even inside inline code.
            for code in re.findall(r"`([^`]+)`", line.replace("\\|", "|")):
                found += in_shell(code, f"{place}:{number}")
    return found


def literals(source: str) -> list[tuple[int, str]]:
    """Returns the string literals of Rust code outside its tests, with their line numbers."""
    source = TESTS.split(source)[0]
    found = []
    for match in LITERAL.finditer(source):
        text = match["raw"]
        if text is None and match["text"] is not None:
            text = re.sub(r"\\\n\s*", "", match["text"])
            text = re.sub(
                r"\\(.)",
                lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]),
                text,
            )
        if text is not None:
            found.append((source.count("\n", 0, match.start()) + 1, text))
    return found


def filled(text: str) -> list[str]:
    """Returns a literal with examples in its placeholders, except those in `OPEN`."""
    texts = [text]
    for name, fragments in FRAGMENTS.items():
        if f"{{{name}}}" in text:
            texts = [each.replace(f"{{{name}}}", fragment) for each in texts for fragment in fragments]

    def example(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        return match[0] if match[1] in OPEN else shlex.quote(EXAMPLES.get(match[1], EXAMPLE))

    # Without a placeholder or a doubled brace it is not a format string, and its braces are literal.
    is_format = "{{" in text or PLACEHOLDER.search(text)
    return [FORMAT.sub(example, each) for each in texts] if is_format else texts


def options_in(source: str) -> list[tuple[str, str]]:
    """Returns the options in a Rust file, each with the preceding operation."""
    found: list[tuple[str, str]] = []
    operation = ""
    for _, text in literals(source):
        operation = text if OPERATION.fullmatch(text) else operation
        if text.startswith("--"):
            found += [(operation, each) for each in filled(text)]
    return found


def callers(path: Path) -> list[str]:
    """Returns the sources of the files that use a file's helpers: those of its module if it is called `command.rs`."""
    if path.name != "command.rs":
        return []
    module = [*path.parent.glob("*.rs"), path.parent.with_suffix(".rs")]
    return [other.read_text() for other in sorted(module) if other != path and other.exists()]


def in_rust(source: str, place: str, callers: Sequence[str] = ()) -> list[Command]:
    """Returns the commands in the messages of a Rust file; `callers` pass options to its helpers."""
    all_literals = literals(source)
    operations = [each for _, text in all_literals if OPERATION.match(text) for each in filled(text)]
    options = [each for text in (source, *callers) for each in options_in(text)]
    built = dict(BUILT.findall(source))
    found: list[Command] = []
    for line, text in all_literals:
        text = EXTENDS.sub(lambda match: built.get(match[1], match[0]), text)
        if "aws " not in text and "{invoke}" not in text:
            continue
        here = f"{place}:{line}"
        for each in filled(text):
            # A message quotes a command in backticks and continues after it.
            for piece in each.split("`")[1::2] if "`" in each else [each]:
                if "{command}" in piece:
                    for operation in operations:
                        found += in_shell(piece.replace("{command}", operation), here, f"{place}: {operation}")
                elif "{operation}" in piece and "{change}" not in piece:
                    for operation in operations:
                        found += in_shell(piece.replace("{operation}", operation), here, f"{place}: {operation}")
                elif "{change}" in piece:
                    for operation, change in options:
                        whole = piece.replace("{operation}", operation).replace("{change}", change)
                        found += in_shell(whole, here, f"{place}: {change}")
                else:
                    found += in_shell(piece, here)
    return found


def all_commands() -> list[Command]:
    """Returns every command that the repository gives to people, once per place."""
    found: list[Command] = []
    for folder in ("functions", "shared", "tests/xtask"):
        for path in sorted((ROOT / folder).rglob("*.rs")):
            relative = path.relative_to(ROOT)
            if "tests" not in relative.parts[1:] and path.name != "tests.rs" and "src" in relative.parts:
                found += in_rust(path.read_text(), str(relative), callers(path))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").glob("*/README.md")]
    for path in sorted(pages):
        found += in_markdown(path.read_text(), str(path.relative_to(ROOT)))
    for path in sorted((ROOT / "docs").rglob("*.yml")):
        found += in_shell(path.read_text(), str(path.relative_to(ROOT)))
    return found
