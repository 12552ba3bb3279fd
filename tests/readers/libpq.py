"""Reader that passes the URL to libpq unchanged."""

import psycopg

from reading import serve


def connect(url: str, rootcert: str) -> psycopg.Connection:
    # Without a CA in the URL, libpq would not verify the server.
    if "sslrootcert=" not in url:
        raise AssertionError("the URL names no CA")
    return psycopg.connect(url)


serve(connect)
