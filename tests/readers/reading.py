"""Code shared by the Python readers: reading a secret as an application does, and the protocol on stdin and stdout.

A reader is a program that logs in with a secret as one kind of application does. Each line on stdin is
`{"secret": TEXT, "rootcert": PATH}`. The reader logs in with every credential that an application may use: the whole
text if it is a URL; otherwise the top-level `DATABASE_URL`, and `username`, `password`, `host`, `port`, `dbname`. The
answer is `{"logins": [{"session_user", "current_user"}]}` with one entry per credential, or `{"error": TEXT}`, which
contains no password.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

import psycopg

SCHEMES = ("postgres://", "postgresql://")
SQL = "SELECT session_user::text, current_user::text"


def serve(connect: Callable[[str, str], psycopg.Connection]) -> None:
    """Answers every line. `connect` logs in with a URL and the path of the CA."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"logins": list(logins(request["secret"], request["rootcert"], connect))}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {blanked(str(error), request['secret'])}"}
        print(json.dumps(answer), flush=True)


def logins(secret, rootcert, connect):
    if secret.startswith(SCHEMES):
        yield login(connect(secret, rootcert))
        return
    fields = json.loads(secret)
    if "host" in fields:
        yield login(
            psycopg.connect(
                user=fields["username"],
                password=fields["password"],
                host=fields["host"],
                port=fields["port"],
                dbname=fields["dbname"],
                sslmode="verify-full",
                sslrootcert=rootcert,
            )
        )
    if "DATABASE_URL" in fields:
        yield login(connect(fields["DATABASE_URL"], rootcert))


def login(connection):
    if not connection.pgconn.ssl_in_use:
        raise AssertionError("the connection is not encrypted")
    with connection:
        session_user, current_user = connection.execute(SQL).fetchone()
    return {"session_user": session_user, "current_user": current_user}


def blanked(error: str, secret: str) -> str:
    """Removes quoted parts of the secret from an error: libpq shows the part of a URL that it cannot decode."""
    _, server, message = error.partition("FATAL: ")
    if server:
        # The server never quotes a password, and a short password would blank out ordinary words.
        return server + message
    fields = {"DATABASE_URL": secret} if secret.startswith(SCHEMES) else json.loads(secret)
    userinfo = fields.get("DATABASE_URL", "").partition("://")[2].rpartition("@")[0]
    words = [userinfo, *re.split("[:/@?]", userinfo), fields.get("password", "")]
    for word in sorted(filter(None, words), key=len, reverse=True):
        error = error.replace(word, "[blanked]")
    return error
