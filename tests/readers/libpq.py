"""The reader that gives a URL to libpq as it is."""

import psycopg

from reading import serve


def connect(url: str, rootcert: str) -> psycopg.Connection:
    # The URL names its own CA; without one, libpq would not verify the server.
    if "sslrootcert=" not in url:
        raise AssertionError("the URL names no CA")
    return psycopg.connect(url)


serve(connect)
