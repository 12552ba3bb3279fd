"""The MoveONgs API, with the application's statuses, bodies and defects.

Routes: GET and HEAD /health, POST /auth/login and /auth/refresh, GET /auth/me, /beneficiaries, /attachments and
/attachments/{id}[?download=1].

`cloud.json` has `moveongs_url`, `moveongs_jwt_secret`, `moveongs_user` (`email`, `password`) and `moveongs_attachment`
(`id`, `checksum`). The application is one process, or the tasks of an ECS service (`ecs.py`), which take turns, each
with the JWT_SECRET that it started with. If a task has a DATABASE_URL, routes that read the database first open a
connection of `client` with it, verified against `rds_ca`, and refresh tokens are in the table `auth_refresh_tokens`. If
that database has a table `users` with a row for the e-mail address, compared in lower case, a login checks the password
against the row's bcrypt `password_hash` and rejects a user that is not `is_active`; all such users are administrators.
Any other login is checked against the configured user. If that database has a table `attachments`, its rows are the
attachments, and their `file_path` names an object of the local S3 or a file of `uploads`. The database holds no other
data of the application. Routes below /_local:

- `POST moveongs/config` changes the given settings: `jwt_secret` (with fewer than 32 characters the application does
  not start), `masking` (RESPONSE_MASKING_ENABLED), `down`, `mfa` (the user has a second factor), `attachment_missing`
  (the file is gone, its row exists), `attachment_broken` (500 for a row and its file), `attachment_answer` (what a
  download answers: `file`, the row as `json`, or `other` bytes), `uploads` (the files on the application's disk: base64
  by path), `rate_limit` (requests a minute, before --time-scale; 0: unlimited; requests of all paths and clients count,
  because the load balancer has one address), `user` (`email`, `password`), `service` (`cluster`, `service`: its running
  tasks answer, and `jwt_secret` is the default for tasks without one; null: one process). It answers the names of the
  changed settings.
- `GET moveongs/requests` -> `{"requests": [{method, path, status}]}`, without tokens, queries and bodies.
- `DELETE moveongs/requests` clears that list.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import json
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import bcrypt
import psycopg
from ministack.services import s3
from psycopg import sql
from psycopg.rows import dict_row

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.web import Request, Servers, answer_json, guarded, is_text, only


class HttpError(Exception):
    """An error response of the application."""

    def __init__(self, status: int, message: str, details: Any = None, headers: dict | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"message": message, **({"details": details} if details else {})}


@dataclasses.dataclass(frozen=True)
class Process:
    """The environment that a process of the application read when it started."""

    jwt_secret: str = dataclasses.field(repr=False)
    database_url: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class User:
    """The user of a session."""

    id: str
    name: str
    email: str
    role: str

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "roles": [{"slug": self.role, "projectId": None}],
            "permissions": [
                {"key": "beneficiaries:read", "resource": "beneficiaries", "action": "read", "scope": None},
                {"key": "attachments:read", "resource": "attachments", "action": "read", "scope": None},
            ],
        }


class MoveONgs:
    """The application under governance, limited to the routes that governance functions call."""

    TOKEN_SECONDS = 86_400
    REFRESH_SECONDS = 86_400
    REUSE_SECONDS = 300
    BENEFICIARIES = 30
    READERS = ("admin", "coordenacao", "tecnica", "educadora", "recepcao", "financeiro")
    READING = ("beneficiaries:read", "beneficiaries:read:own")
    TABLE = """
    CREATE TABLE IF NOT EXISTS auth_refresh_tokens (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid NOT NULL, token_hash text NOT NULL UNIQUE,
      expires_at timestamptz NOT NULL, revoked_at timestamptz, created_at timestamptz NOT NULL DEFAULT now())
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.settings: dict[str, Any] = {
            "jwt_secret": secrets.token_urlsafe(36),
            "masking": False,
            "down": False,
            "mfa": False,
            "attachment_missing": False,
            "attachment_broken": False,
            "attachment_answer": "file",
            "uploads": {},
            "rate_limit": 0,
            "user": {"email": "smoke@moveongs.local", "password": secrets.token_urlsafe(18)},
            "service": None,
        }
        self.requests: collections.deque[dict[str, Any]] = collections.deque(maxlen=10_000)
        # Start of the rate limit's current minute, and the number of requests in it.
        self._minute = (0.0, 0)
        # Times of expiry and use by the SHA-256 of the token, which the application stores. With a database, used
        # tokens only.
        self._refresh: dict[str, dict[str, float | None]] = {}
        # Two concurrent requests would both create the table, and the server would reject one.
        self._making = asyncio.Lock()
        self.attachment_id = "4f9c1f5e-5a49-4a5e-9c35-6f1d0d1f7a11"
        self._file = b"%PDF-1.4\n% an attachment of the local cloud\n%%EOF\n"
        self.checksum = hashlib.sha256(self._file).hexdigest()

    def _process(self) -> Process | None:
        """The process that serves the next request; None if none runs."""
        own, service = self.settings["jwt_secret"], self.settings["service"]
        if self.settings["down"]:
            return None
        if service is None:
            return Process(own) if len(own) >= 32 else None
        found = self.cloud.rollouts.next_environment(service["cluster"], service["service"])
        return None if found is None else Process(found.get("JWT_SECRET", own), found.get("DATABASE_URL"))

    async def handle(self, request: Request) -> Answer:
        trace = {"x-request-id": request.headers.get("x-request-id") or str(uuid.uuid4())}
        process = self._process()
        if process is None:
            # The load balancer's answer when no task is healthy.
            page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
            status, headers, body = 503, {"content-type": "text/html"}, page
        else:
            try:
                self._count()
                status, headers, body = await self._route(request, process)
            except HttpError as error:
                status, headers, body = answer_json(error.status, self._masked(error.body), error.headers)
            headers = {**headers, **trace}
        self.requests.append({"method": request.method, "path": request.path, "status": status})
        return status, headers, body

    def _count(self) -> None:
        """Counts a request; the application's error handler turns the 429 of the rate limit into 500."""
        most, (began, count) = self.settings["rate_limit"], self._minute
        length = 60 * self.cloud.time_scale
        if time.monotonic() - began >= length:
            began, count = time.monotonic(), 0
        self._minute = (began, count + 1)
        if most and count >= most:
            left = {"x-ratelimit-limit": f"{most}", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}
            raise HttpError(500, "Internal server error", headers={"retry-after": "60", **left})

    async def _route(self, request: Request, process: Process) -> Answer:
        at = f"{'GET' if request.method == 'HEAD' else request.method} {request.path}"
        if at == "GET /health":
            return answer_json(200, {"status": "ok"})
        routes = {
            "POST /auth/login": self.login,
            "POST /auth/refresh": self.refresh,
            "GET /auth/me": self.me,
            "GET /beneficiaries": self.beneficiaries,
        }
        if route := routes.get(at):
            status, value = await route(request, process)
            return answer_json(status, self._masked(value))
        if at == "GET /attachments":
            return await self.attachments(request, process)
        if found := re.fullmatch(r"GET /attachments/([^/]+)", at):
            return await self.attachment(request, process, found[1])
        message = f"Route {request.method}:{request.path} not found"
        return answer_json(404, {"message": message, "error": "Not Found", "statusCode": 404})

    def _masked(self, value: Any, key: str = "") -> Any:
        """Applies RESPONSE_MASKING_ENABLED, which masks every `token` and `secret` of an answer."""
        if not self.settings["masking"]:
            return value
        if isinstance(value, dict):
            return {name: self._masked(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._masked(each, key) for each in value]
        if isinstance(value, str) and re.search("token|secret", key, re.IGNORECASE):
            return "*" * max(len(value) - 4, 0) + value[-4:]
        return value

    def _json(self, request: Request) -> Any:
        # The application answers 500, not 400, to a body that it cannot parse.
        try:
            if request.media_type != "application/json":
                raise ValueError
            return json.loads(request.body)
        except ValueError:
            raise HttpError(500, "Internal server error") from None

    @contextlib.asynccontextmanager
    async def _database(self, process: Process) -> AsyncIterator[psycopg.AsyncConnection | None]:
        """A new connection, like the pool's when none is idle; None without a DATABASE_URL."""
        if process.database_url is None:
            yield None
            return
        try:
            database = await psycopg.AsyncConnection.connect(
                process.database_url,
                autocommit=True,
                sslmode="verify-full",
                sslrootcert=self.cloud.facts["rds_ca"],
                connect_timeout=10,
            )
            async with database:
                yield database
        except psycopg.Error:
            raise HttpError(500, "Internal server error") from None

    async def _table(self, database: psycopg.AsyncConnection) -> None:
        # IF NOT EXISTS still needs the CREATE privilege, which only the schema's owner has.
        async with self._making:
            found = await database.execute("SELECT to_regclass('auth_refresh_tokens')")
            if (await found.fetchone())[0] is None:
                await database.execute(self.TABLE)

    async def login(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        given = self._json(request)
        email, password = (given.get("email"), given.get("password")) if isinstance(given, dict) else (None, None)
        wrong = {}
        if not isinstance(email, str) or not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            wrong["email"] = ["Invalid email"]
        if not isinstance(password, str) or len(password) < 6:
            wrong["password"] = ["String must contain at least 6 character(s)"]
        if wrong:
            raise HttpError(400, "Invalid credentials", {"formErrors": [], "fieldErrors": wrong})
        async with self._database(process) as database:
            user = await self._logged_in(database, email, password)
            if user is None:
                raise HttpError(401, "Invalid credentials")
            if self.settings["mfa"]:
                return 202, {
                    "mfaRequired": True,
                    "challengeId": str(uuid.uuid4()),
                    "methods": ["totp"],
                    "expiresAt": _iso(time.time() + 300),
                }
            return 200, await self._session(process, database, user)

    async def _logged_in(self, database: psycopg.AsyncConnection | None, email: str, password: str) -> User | None:
        # The application stores addresses as entered and compares them in lower case.
        row = await self._row(database, "lower(email) = lower(%s)", email)
        if row is None:
            return self._configured() if self.settings["user"] == {"email": email, "password": password} else None
        if not row["is_active"]:
            return None
        right = await asyncio.to_thread(_is_password, password, row["password_hash"])
        return _user(row) if right else None

    async def _row(self, database: psycopg.AsyncConnection | None, where: str, value: str) -> dict[str, Any] | None:
        """The database's user that meets a condition."""
        if database is None:
            return None
        found = await database.execute("SELECT to_regclass('users')")
        if (await found.fetchone())[0] is None:
            return None
        asked = sql.SQL("SELECT id, name, email, password_hash, is_active FROM users WHERE {}")
        cursor = database.cursor(row_factory=dict_row)
        await cursor.execute(asked.format(sql.SQL(where)), [value])
        return await cursor.fetchone()

    async def refresh(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        given = self._json(request)
        token = given.get("refreshToken") if isinstance(given, dict) else None
        if not isinstance(token, str):
            raise HttpError(401, "Unauthorized")
        async with self._database(process) as database:
            now, known = time.time(), self._refresh.get(_digest(token))
            user: User | None = self._configured()
            if known and known["used"] is not None and now - known["used"] <= self.REUSE_SECONDS:
                raise HttpError(409, "Refresh token already rotated")
            if database is None:
                valid = known is not None and known["used"] is None and known["expires"] >= now
            else:
                user = await self._redeemed(database, token)
                valid = user is not None
            if not valid:
                raise HttpError(401, "Unauthorized")
            self._refresh[_digest(token)] = {"expires": now, "used": now}
            return 200, await self._session(process, database, user)

    async def _redeemed(self, database: psycopg.AsyncConnection, token: str) -> User | None:
        """Revokes a refresh token in the database and returns its user; None if the token is invalid."""
        await self._table(database)
        ended = await database.execute(
            "UPDATE auth_refresh_tokens SET revoked_at = now() "
            "WHERE token_hash = %s AND revoked_at IS NULL AND expires_at > now() RETURNING user_id",
            [_digest(token)],
        )
        redeemed = await ended.fetchone()
        if redeemed is None:
            return None
        row = await self._row(database, "id = %s", redeemed[0])
        return _user(row) if row else self._configured()

    async def _session(self, process: Process, database: psycopg.AsyncConnection | None, user: User) -> dict[str, Any]:
        now = time.time()
        refresh = secrets.token_urlsafe(48)
        if database is None:
            self._refresh[_digest(refresh)] = {"expires": now + self.REFRESH_SECONDS, "used": None}
        else:
            await self._table(database)
            await database.execute(
                "INSERT INTO auth_refresh_tokens (user_id, token_hash, expires_at) VALUES (%s, %s, to_timestamp(%s))",
                [user.id, _digest(refresh), now + self.REFRESH_SECONDS],
            )
        claims = {
            "sub": user.id,
            "email": user.email,
            "name": user.name,
            "roles": [user.role],
            "projectScopes": [],
            "permissions": [each["key"] for each in user.shown()["permissions"]],
            "iat": int(now),
            "exp": int(now) + self.TOKEN_SECONDS,
        }
        return {
            "token": jwt(claims, process.jwt_secret),
            "refreshToken": refresh,
            "refreshTokenExpiresAt": _iso(now + self.REFRESH_SECONDS),
            "user": user.shown(),
        }

    def _configured(self) -> User:
        email = self.settings["user"]["email"]
        return User("0b1f7f0e-6c3e-4b7e-8f0a-2f6c9d0e5a01", "Smoke", email, "leitura_externa")

    def _authenticated(self, request: Request, process: Process) -> dict[str, Any]:
        claims = jwt_claims(request.bearer or "", process.jwt_secret)
        if claims is None:
            raise HttpError(401, "Unauthorized")
        return claims

    async def me(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        claims = self._authenticated(request, process)
        user = self._configured()
        if set(claims) >= {"sub", "name", "email", "roles"}:
            user = User(claims["sub"], claims["name"], claims["email"], claims["roles"][0])
        return 200, {"user": user.shown()}

    async def beneficiaries(self, request: Request, process: Process) -> tuple[int, dict[str, Any]]:
        claims = self._authenticated(request, process)
        roles, permissions = (claims.get(name) or [] for name in ("roles", "permissions"))
        if not (any(role in roles for role in self.READERS) or any(each in permissions for each in self.READING)):
            raise HttpError(403, "Insufficient permissions")
        page, wrong = {}, {}
        for name, default, least in (("limit", 25, 1), ("offset", 0, 0)):
            given = request.query.get(name, str(default))
            if not re.fullmatch(r"-?\d{1,9}", given):
                wrong[name] = ["Expected number, received nan"]
            elif int(given) < least:
                wrong[name] = [f"Number must be greater than or equal to {least}"]
            else:
                page[name] = int(given)
        if wrong:
            raise HttpError(400, "Invalid query", {"formErrors": [], "fieldErrors": wrong})
        async with self._database(process):
            pass
        limit, offset = page["limit"], page["offset"]
        rows = [
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"beneficiary {number}")),
                "code": f"B{number:04d}",
                "fullName": f"Pessoa {number}",
                "birthDate": None,
                "cpf": None,
                "phone1": None,
                "createdAt": "2025-01-02T03:04:05.000Z",
                "updatedAt": "2025-01-02T03:04:05.000Z",
                "vulnerabilities": [],
            }
            for number in range(offset, min(offset + min(limit, 100), self.BENEFICIARIES))
        ]
        return 200, {"data": rows, "meta": {"limit": limit, "offset": offset, "count": len(rows)}}

    async def attachments(self, request: Request, process: Process) -> Answer:
        self._authenticated(request, process)
        owner = [request.query.get("ownerType", ""), request.query.get("ownerId", "")]
        if not all(owner):
            raise HttpError(400, "Invalid query")
        async with self._database(process) as database:
            rows = await self._attachments(database, "owner_type = %s AND owner_id::text = %s", owner)
        return answer_json(200, self._masked({"data": [_attachment(row) for row in rows or []]}))

    async def attachment(self, request: Request, process: Process, name: str) -> Answer:
        self._authenticated(request, process)
        if self.settings["attachment_broken"]:
            raise HttpError(500, "Internal server error")
        try:
            uuid.UUID(name)
        except ValueError:
            raise HttpError(400, "Invalid params") from None
        async with self._database(process) as database:
            rows = await self._attachments(database, "id::text = %s", [name])
        row = next(iter(rows or []), None)
        if row is None and name == self.attachment_id:
            row = self._own_attachment()
        if row is None:
            raise HttpError(404, "Attachment not found")
        shown = _attachment(row)
        if request.query.get("download") not in ("1", "true") or self.settings["attachment_answer"] == "json":
            return answer_json(200, self._masked({"attachment": shown}))
        if self.settings["attachment_answer"] == "other":
            content = b"other bytes"
        else:
            content = None if self.settings["attachment_missing"] else self._content(row["file_path"])
        if content is None:
            # ENOENT and NoSuchKey reach the client as this.
            raise HttpError(500, "Internal server error")
        headers = {
            "content-type": shown["mimeType"],
            "content-disposition": f'attachment; filename="{shown["fileName"]}"',
        }
        return 200, headers, content

    async def _attachments(
        self, database: psycopg.AsyncConnection | None, where: str, values: list[str]
    ) -> list[dict[str, Any]] | None:
        """The rows of the database that meet a condition; None without a database or the table."""
        if database is None:
            return None
        found = await database.execute("SELECT to_regclass('attachments')")
        if (await found.fetchone())[0] is None:
            return None
        cursor = database.cursor(row_factory=dict_row)
        try:
            await cursor.execute(
                sql.SQL("SELECT * FROM attachments WHERE {} ORDER BY id").format(sql.SQL(where)), values
            )
            return await cursor.fetchall()
        except psycopg.Error:
            raise HttpError(500, "Internal server error") from None

    def _content(self, path: str) -> bytes | None:
        """The bytes at a row's `file_path`; None if there are none."""
        if path == self._own_attachment()["file_path"]:
            return self._file
        if not path.startswith("s3://"):
            held = self.settings["uploads"].get(path)
            return None if held is None else base64.b64decode(held)
        bucket, _, key = path.removeprefix("s3://").partition("/")
        status, _, body = s3._dispatch("GET", bucket, key, {}, b"", {})[:3]
        return body if status == 200 else None

    def _own_attachment(self) -> dict[str, Any]:
        return {
            "id": self.attachment_id,
            "owner_type": "beneficiary",
            "owner_id": str(uuid.uuid5(uuid.NAMESPACE_OID, "beneficiary 0")),
            "file_path": f"s3://moveongs-local-attachments/{uuid.uuid5(uuid.NAMESPACE_OID, 'file')}.pdf",
            "file_name": "a.pdf",
            "mime_type": "application/pdf",
            "size_bytes": len(self._file),
            "checksum": self.checksum,
        }

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, self.settings)
        for name, value in fields.items():
            if name == "service":
                named = isinstance(value, dict) and set(value) == {"cluster", "service"}
                if value is not None and not (named and all(map(is_text, value.values()))):
                    raise AdminError("service: must be null, or have cluster and service, and nothing else")
                continue
            kind = type(self.settings[name])
            if type(value) is not kind:
                raise AdminError(f"{name}: must be a {kind.__name__}")
            if name == "attachment_answer" and value not in ("file", "json", "other"):
                raise AdminError("attachment_answer: must be file, json or other")
            if name == "user" and (set(value) != {"email", "password"} or not all(map(is_text, value.values()))):
                raise AdminError("user: must have email and password, and nothing else")
        self.settings.update(fields)
        if "rate_limit" in fields:
            self._minute = (time.monotonic(), 0)
        return {"set": sorted(fields)}

    async def list_requests(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"requests": list(self.requests)}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.requests)
        self.requests.clear()
        return {"removed": removed}


def _iso(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attachment(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the application shows it."""
    size, created = row.get("size_bytes"), row.get("created_at")
    return {
        "id": str(row["id"]),
        "ownerType": row.get("owner_type"),
        "ownerId": str(row.get("owner_id")),
        "filePath": row["file_path"],
        "fileName": row.get("file_name") or "a.pdf",
        "mimeType": row.get("mime_type") or "application/octet-stream",
        "sizeBytes": None if size is None else str(size),
        "checksum": row.get("checksum"),
        "uploadedBy": None,
        "createdAt": _iso(created.timestamp()) if created else "2025-01-02T03:04:05.000Z",
        "scanStatus": row.get("scan_status") or "skipped",
    }


def _user(row: dict[str, Any]) -> User:
    return User(str(row["id"]), row["name"], row["email"], "admin")


def _is_password(password: str, kept: str) -> bool:
    """Compares like the application's library: rejects hashes of other lengths, ignores bytes after the 72nd."""
    if len(kept) != 60:
        return False
    try:
        return bcrypt.checkpw(password.encode()[:72], kept.encode())
    except ValueError:
        raise HttpError(500, "Internal server error") from None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _signature(signed: str, secret: str) -> str:
    return _base64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def jwt(claims: dict[str, Any], secret: str) -> str:
    """An access token of the application (HS256)."""
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = ".".join(map(_base64url, parts))
    return f"{signed}.{_signature(signed, secret)}"


def jwt_claims(token: str, secret: str) -> dict[str, Any] | None:
    """The claims of an unexpired token signed with this secret; None for any other token."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed, secret).encode()):
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
        return claims if header["alg"] == "HS256" and claims["exp"] > time.time() else None
    except (ValueError, KeyError, TypeError):
        return None


def _action(method: str, path: str) -> str:
    path = re.sub(r"^/attachments/[^/]+$", "/attachments/{id}", path)
    known = (
        "/health",
        "/auth/login",
        "/auth/refresh",
        "/auth/me",
        "/beneficiaries",
        "/attachments",
        "/attachments/{id}",
    )
    return f"{method} {path if path in known else 'unknown'}"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        # The application answers 500 to a client over the rate limit.
        return answer_json(500, {"message": "Internal server error"}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"message": rule.message})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    moveongs = MoveONgs(cloud)
    cloud.route("POST", "moveongs/config")(moveongs.configure)
    cloud.route("GET", "moveongs/requests")(moveongs.list_requests)
    cloud.route("DELETE", "moveongs/requests")(moveongs.forget)
    app = guarded(cloud, "moveongs", moveongs.handle, _action, _refuse)

    async def start() -> None:
        cloud.facts.update(
            moveongs_url=servers.listen(app, "moveongs"),
            moveongs_jwt_secret=moveongs.settings["jwt_secret"],
            moveongs_user=moveongs.settings["user"],
            moveongs_attachment={"id": moveongs.attachment_id, "checksum": moveongs.checksum},
        )

    cloud.on_start.append(start)
