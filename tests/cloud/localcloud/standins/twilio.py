"""Twilio: one account and its auth tokens.

`cloud.json` has `twilio_url` (one address for api.twilio.com and accounts.twilio.com), `twilio_account_sid` and
`twilio_auth_token` (the first primary token). Every call needs HTTP basic authentication with the account's SID and its
primary or secondary token; a token is valid from the response that contains it until it is removed.

- `GET /2010-04-01/Accounts/{sid}.json`: the account, with its primary token.
- `POST /v1/AuthTokens/Secondary` creates the secondary token, `DELETE /v1/AuthTokens/Secondary` removes it.
- `POST /v1/AuthTokens/Promote` turns the secondary token into the primary; the former primary becomes invalid.

Documented ("REST API: Secondary Auth Token", "REST API: Auth Token", "REST API: Account", the error dictionary, and
public records of calls): statuses, fields and time formats of successful calls; tokens of 32 hexadecimal digits; 401
with 20003; 404 with 20404 when there is no token to promote; 429 with 20429 for a call without effect; no Retry-After.
Assumed: 404 with 20404 when there is no secondary token to delete; a suspended account can read itself and gets 403
with 20005 for all other calls. No source documents a second `POST Secondary`: the setting `second_secondary` selects an
error (409 with 20409) or the replacement of the token.

The service `twilio` has the actions `GET Accounts/{sid}`, `POST AuthTokens/Secondary`, `DELETE AuthTokens/Secondary`
and `POST AuthTokens/Promote`. The `code` of an `error` is Twilio's, in digits. Routes below /_local:

- `GET twilio` -> `{"primary", "secondary", "status", "most", "made", "requests": [{method, path, status, token}]}`: the
  maximum number of tokens valid at once, the number of secondary tokens created by calls, and all requests; `token` is
  the kind of the request's token on arrival (`primary`, `secondary` or null), not its value.
- `POST twilio/config` changes the given settings: `primary`, `secondary` (null: none), `status` (`active`, `suspended`)
  and `second_secondary` (`refuse`, `replace`).
- `DELETE twilio` restores the initial state.
"""

from __future__ import annotations

import base64
import email.utils
import hmac
import re
import secrets
import time
from typing import Any

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.web import Request, Servers, answer_json, guarded, only

TOKEN = re.compile(r"[0-9a-f]{32}")


class TwilioError(Exception):
    """An error response of Twilio."""

    def __init__(self, status: int, code: int, message: str):
        super().__init__(message)
        self.status = status
        self.code = code


class Twilio:
    """One account and its tokens."""

    def __init__(self) -> None:
        self.sid = f"AC{secrets.token_hex(16)}"
        self.first = secrets.token_hex(16)
        self._made_at = int(time.time())
        self._start()

    def _start(self) -> None:
        self.primary, self.secondary = self.first, None
        self.status, self.second_secondary = "active", "refuse"
        self.most, self.made = 1, 0
        self.requests: list[dict[str, Any]] = []

    def handle(self, request: Request) -> Answer:
        token = self._token(request)
        try:
            status, headers, body = self._route(request, token)
        except TwilioError as error:
            status, headers, body = _refusal(error.status, error.code, str(error))
        self.requests.append({"method": request.method, "path": request.path, "status": status, "token": token})
        return status, headers, body

    def _token(self, request: Request) -> str | None:
        """The kind of the request's token; None if it is invalid."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return None
        if scheme.lower() != "basic" or user != self.sid:
            return None
        for name, token in (("primary", self.primary), ("secondary", self.secondary)):
            if token and hmac.compare_digest(password.encode(), token.encode()):
                return name
        return None

    def _route(self, request: Request, token: str | None) -> Answer:
        if token is None:
            raise TwilioError(401, 20003, "Authenticate")
        routes = {
            f"GET /2010-04-01/Accounts/{self.sid}.json": self._account,
            "POST /v1/AuthTokens/Secondary": self._make,
            "DELETE /v1/AuthTokens/Secondary": self._delete,
            "POST /v1/AuthTokens/Promote": self._promote,
        }
        route = routes.get(f"{request.method} {request.path}")
        if route is None:
            raise _not_found(request.path)
        if self.status != "active" and route != self._account:
            raise TwilioError(403, 20005, "Account not active")
        return route()

    def _account(self) -> Answer:
        made = email.utils.formatdate(self._made_at)
        return answer_json(
            200,
            {
                "auth_token": self.primary,
                "date_created": made,
                "date_updated": made,
                "friendly_name": "moveongs",
                "owner_account_sid": self.sid,
                "sid": self.sid,
                "status": self.status,
                "subresource_uris": {"messages": f"/2010-04-01/Accounts/{self.sid}/Messages.json"},
                "type": "Full",
                "uri": f"/2010-04-01/Accounts/{self.sid}.json",
            },
        )

    def _shown(self, name: str, **token: str) -> dict[str, Any]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        url = f"https://accounts.twilio.com/v1/AuthTokens/{name}"
        return {"account_sid": self.sid, "date_created": now, "date_updated": now, **token, "url": url}

    def _make(self) -> Answer:
        if self.secondary and self.second_secondary == "refuse":
            raise TwilioError(409, 20409, "A secondary Auth Token already exists")
        self.secondary = secrets.token_hex(16)
        self.most, self.made = 2, self.made + 1
        return answer_json(201, self._shown("Secondary", secondary_auth_token=self.secondary))

    def _delete(self) -> Answer:
        if self.secondary is None:
            raise _not_found("/AuthTokens/Secondary")
        self.secondary = None
        return 204, {}, b""

    def _promote(self) -> Answer:
        if self.secondary is None:
            raise _not_found("/AuthTokens/Promote")
        self.primary, self.secondary = self.secondary, None
        return answer_json(200, self._shown("Promote", auth_token=self.primary))

    # Routes

    async def list_state(self, _: dict[str, Any]) -> dict[str, Any]:
        names = ("primary", "secondary", "status", "most", "made", "requests")
        return {name: getattr(self, name) for name in names}

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"primary", "secondary", "status", "second_secondary"})
        for name in {"primary", "secondary"} & fields.keys():
            token = fields[name]
            if not (isinstance(token, str) and TOKEN.fullmatch(token)) and (name, token) != ("secondary", None):
                raise AdminError(f"{name}: must be 32 hexadecimal digits")
        for name, known in (("status", ("active", "suspended")), ("second_secondary", ("refuse", "replace"))):
            if name in fields and fields[name] not in known:
                raise AdminError(f"{name}: must be one of {', '.join(known)}")
        for name, value in fields.items():
            setattr(self, name, value)
        self.most = max(self.most, 1 + (self.secondary is not None))
        return {"set": sorted(fields)}

    async def reset(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.requests)
        self._start()
        return {"removed": removed}


def _not_found(path: str) -> TwilioError:
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def _refusal(status: int, code: Any, message: str) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    headers = {"www-authenticate": 'Basic realm="Twilio API"'} if status == 401 else {}
    return answer_json(status, {"code": code, "message": message, "more_info": more, "status": status}, headers)


def _action(method: str, path: str) -> str:
    if re.fullmatch(r"/2010-04-01/Accounts/[^/]+\.json", path):
        return f"{method} Accounts/{{sid}}"
    found = re.fullmatch(r"/v1/(AuthTokens/(?:Secondary|Promote))", path)
    return f"{method} {found[1] if found else 'unknown'}"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        return _refusal(429, 20429, "Too Many Requests")
    return _refusal(rule.status, int(rule.code) if rule.code.isdigit() else rule.code, rule.message)


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    twilio = Twilio()
    cloud.route("GET", "twilio")(twilio.list_state)
    cloud.route("POST", "twilio/config")(twilio.configure)
    cloud.route("DELETE", "twilio")(twilio.reset)
    app = guarded(cloud, "twilio", twilio.handle, _action, _refuse)

    async def start() -> None:
        url = servers.listen(app, "twilio")
        cloud.facts.update(twilio_url=url, twilio_account_sid=twilio.sid, twilio_auth_token=twilio.first)

    cloud.on_start.append(start)
