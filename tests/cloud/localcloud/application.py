"""A small database application: its schema and users, and a process that logs in repeatedly.

- `python -m localcloud.application prepare`, as the master user, creates the users that an application team creates
before the first rotation: an ordinary user that owns the schema of `tests/application/application.sql`, with rows up to
this moment, and a user that may only manage the former. Reads a JSON object on stdin: `{host, port, dbname, master:
{user, password}, user: {user, password}, admin: {user, password}}`, optionally with `seed_admin: {email, password}`: an
administrator in the table `users`, as the application's seed creates it. Can be repeated: existing objects stay, also a
seeded administrator's password.
- `python -m localcloud.application serve` reads `{endpoint, secret}` on stdin. Until the end of stdin it opens one new
connection after another, writes and reads: alternately with its initial `DATABASE_URL`, like a running task, and with
the current AWSCURRENT, like a starting task. Prints `{"logins": N, "failures": N, "errors": [...]}` after the first
connection and at the end.

Both verify the server's certificate against the file that PGSSLROOTCERT names.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import sys
import threading
import urllib.request

import bcrypt
import psycopg
from psycopg import sql

# The application's tables and some rows.
APPLICATION = pathlib.Path(__file__).resolve().parents[2] / "application/application.sql"

USERS = """
CREATE TABLE IF NOT EXISTS users (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text UNIQUE NOT NULL,
  password_hash text NOT NULL, is_active boolean DEFAULT true, created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now());
"""

# As in the application's seed.
BCRYPT_COST = 12


def prepare(wanted: dict) -> None:
    create(wanted)
    if wanted.get("seed_admin"):
        seed(wanted)


def create(wanted: dict) -> None:
    place = {key: wanted[key] for key in ("host", "port", "dbname")} | {"sslmode": "verify-full"}
    user, admin = wanted["user"], wanted["admin"]
    with psycopg.connect(**place, **wanted["master"]) as master:
        there = {row[0] for row in master.execute("SELECT rolname FROM pg_roles")}
        if user["user"] in there:
            return
        name, manager = sql.Identifier(user["user"]), sql.Identifier(admin["user"])
        master.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, user["password"]))
        attributes = "LOGIN CREATEROLE CONNECTION LIMIT 5"
        master.execute(sql.SQL(f"CREATE ROLE {{}} {attributes} PASSWORD {{}}").format(manager, admin["password"]))
        if master.info.server_version >= 160000:
            rights = "ADMIN TRUE, INHERIT FALSE, SET FALSE"
            master.execute(sql.SQL(f"GRANT {{}} TO {{}} WITH {rights}").format(name, manager))
        master.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
        database = sql.Identifier(wanted["dbname"])
        master.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
        master.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))
    with psycopg.connect(**place, **user) as owner:
        owner.execute("SELECT set_config('moveongs.today', now()::text, false)")
        # In a schema that the user can write to in every major version.
        owner.execute(APPLICATION.read_text())
        # The stand-in's account for smoke tests has no row in `users`.
        owner.execute("ALTER TABLE auth_refresh_tokens DROP CONSTRAINT auth_refresh_tokens_user_id_fkey")


def seed(wanted: dict) -> None:
    """Creates the administrator unless its e-mail exists; as master user: the owner's password may have changed."""
    place = {key: wanted[key] for key in ("host", "port", "dbname")} | {"sslmode": "verify-full"}
    admin, name = wanted["seed_admin"], sql.Identifier(wanted["user"]["user"])
    kept = bcrypt.hashpw(admin["password"].encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
    with psycopg.connect(**place, **wanted["master"]) as master:
        master.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
        master.execute(sql.SQL("SET LOCAL ROLE {}").format(name))
        # The table is missing if the database was prepared without an administrator.
        master.execute(USERS)
        master.execute(
            "INSERT INTO users (name, email, password_hash) VALUES ('Administrador', %s, %s) ON CONFLICT DO NOTHING",
            [admin["email"], kept],
        )
        master.execute("RESET ROLE")
        master.execute(sql.SQL("REVOKE {} FROM CURRENT_USER").format(name))


def current(endpoint: str, secret: str) -> str:
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "secretsmanager.GetSecretValue",
        "authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/secretsmanager/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    body = json.dumps({"SecretId": secret, "VersionStage": "AWSCURRENT"}).encode()
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, headers), timeout=30) as answer:
        return json.load(answer)["SecretString"]


def serve(wanted: dict, stop: threading.Event) -> dict:
    started_with = current(wanted["endpoint"], wanted["secret"])
    counts = {"logins": 0, "failures": 0, "errors": []}
    for starting in itertools.cycle((True, False)):
        if counts["logins"] + counts["failures"] == 1:
            print(json.dumps(counts), flush=True)
        if stop.is_set():
            return counts
        url = current(wanted["endpoint"], wanted["secret"]) if starting else started_with
        try:
            with psycopg.connect(url, sslmode="verify-full", connect_timeout=10) as database:
                database.execute("INSERT INTO beneficiaries (full_name) VALUES ('demo')")
                database.execute("SELECT count(*) FROM beneficiaries")
            counts["logins"] += 1
        except psycopg.Error as error:
            counts["failures"] += 1
            counts["errors"].append(str(error))


def main() -> None:
    if sys.argv[1] == "prepare":
        prepare(json.load(sys.stdin))
        return
    wanted = json.loads(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    print(json.dumps(serve(wanted, stop)))


if __name__ == "__main__":
    main()
