"""Reader that parses the URL by RFC 3986, with a parser that has no knowledge of PostgreSQL."""

from urllib.parse import unquote

import psycopg
from rfc3986 import uri_reference
from rfc3986.validators import Validator

from reading import serve

COMPONENTS = ("scheme", "userinfo", "host", "port", "path", "query", "fragment")
VALIDATOR = Validator().allow_schemes("postgres", "postgresql").check_validity_of(*COMPONENTS)


def connect(url: str, rootcert: str) -> psycopg.Connection:
    reference = uri_reference(url)
    VALIDATOR.require_presence_of("scheme", "userinfo", "host", "path").validate(reference)
    # The parser encodes characters that are invalid in a path or query, so a difference means a missing encoding.
    if reference.unsplit() != url:
        raise AssertionError("the URL is not encoded")
    parts = reference.authority_info()
    user, colon, password = parts["userinfo"].partition(":")
    if not colon or reference.fragment is not None:
        raise AssertionError("the URL has no password, or a fragment")
    return psycopg.connect(
        user=decoded(user),
        password=decoded(password),
        host=decoded(parts["host"]),
        port=parts["port"] or "5432",
        dbname=decoded(reference.path.removeprefix("/")),
        sslmode="verify-full",
        sslrootcert=rootcert,
    )


def decoded(part: str) -> str:
    return unquote(part, errors="strict")


serve(connect)
