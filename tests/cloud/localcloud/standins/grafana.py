"""Grafana: one organization, with the HTTP API of a version from 10 to 13.

`cloud.json` has `grafana_url` and `grafana_token`, the token of a service account with the role Admin.

Documented, in Grafana's HTTP API reference and the OpenAPI document `public/api-merged.json` of its repository (the
models Hit, Folder, DashboardFullWithMeta, LibraryElementSearchResult, ProvisionedAlertRule, AlertRuleGroup,
EmbeddedContactPoint, Route, MuteTimeInterval, NotificationTemplate, OrgUserDTO):

- `GET /api/health`, without a token.
- `GET /api/search?type&limit&page`: at most 5000 results a page, 1000 by default, ordered by title; folders, too.
- `GET`, `POST /api/folders`, `GET`, `DELETE /api/folders/{uid}?forceDeleteRules`: a folder with alert rules is
  deleted only with `forceDeleteRules=true`; `parentUid` only where folders nest (a toggle in 10, always since 11).
- `GET /api/dashboards/uid/{uid}`, `POST /api/dashboards/db`: ids and versions are the server's. Where folders do not
  nest, a title occurs once in a folder. In 12, a dashboard of the new schema answers 406 and names its place; in 13 it
  answers 200 with a model that has less, and `meta.apiVersion`.
- `GET /api/frontend/settings`: `namespace`.
- `GET`, `POST /apis/dashboard.grafana.app/{version}/namespaces/default/dashboards` and `GET` of one, since 12.
- `GET /api/library-elements?kind&perPage&page`.
- `GET`, `POST /api/v1/provisioning/alert-rules`, `GET`, `PUT
  /api/v1/provisioning/folder/{folderUid}/rule-groups/{group}`: the server sets folder and organization of the rules; a
  UID or a title in a folder occurs once; a group's interval is at least 10 seconds; `X-Disable-Provenance`. Before
  11.5.2 a group takes no rule with a UID that is not there (grafana/grafana#98283): 500.
- `GET /api/v1/provisioning/contact-points`, `policies`, `mute-timings`, `templates`: secure settings are `[REDACTED]`.
- `GET /api/org/users`.
- Answers 401, 403, 404, 409 and 412 with `message`.

Rules that are not paused are evaluated: `GET grafana` counts those that a call created (`evaluated`). Nothing else is
served: another call is 404 and is listed in `unknown`.

The service `grafana` has the actions METHOD /api/...; names in paths are `{uid}`, `{group}`. Routes below /_local:

- `GET grafana` -> the state: `version`, `folders`, `dashboards`, `library_elements`, `rule_groups`, `contact_points`,
  `policies`, `mute_timings`, `templates`, `users`, `evaluated`, `unknown`.
- `POST grafana/config` changes `version`, `nests` (whether folders nest, for version 10), `role` (`Admin`, `Editor`,
  `Viewer`), `page` (most results a page), `loses` (the name of a field that a saved dashboard loses),
  `hides_version`.
- `POST grafana/seed` `{"folders": [{uid, title, parentUid}], "dashboards": [{folderUid, dashboard | resource}],
  "library_elements": [...], "rule_groups": [...], "contact_points": [...], "policies": {...}, "mute_timings": [...],
  "templates": [...]}` adds objects, as people do; one with the same identity is replaced.
- `POST grafana/remove` `{"dashboard": UID}` or `{"folder": UID}`.
- `POST grafana/users` `{"users": [{login, email, name, role, isDisabled}]}` sets the organization's users.
- `DELETE grafana` restores the initial state: one folder, two dashboards, a library panel, a group of two rules, a
  contact point.
"""

from __future__ import annotations

import copy
import hmac
import itertools
import json
import re
import secrets
import time
from typing import Any
from urllib.parse import quote, unquote

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.web import Request, Servers, answer_json, guarded, is_text, only

REDACTED = "[REDACTED]"
UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
NAME = re.compile(r"[a-z0-9A-Z_.-]{1,253}")
GROUP = "dashboard.grafana.app"
# Settings that Grafana stores encrypted, of the kinds of contact points that tests use; from the notifiers' options.
SECURE = {
    "email": (),
    "slack": ("token", "url"),
    "webhook": ("password", "authorization_credentials"),
    "pagerduty": ("integrationKey",),
    "discord": ("url",),
}
RULE = {"uid", "title", "condition", "data", "noDataState", "execErrState", "for", "keep_firing_for", "annotations"}
RULE |= {"labels", "isPaused", "notification_settings", "record", "missingSeriesEvalsToResolve"}
# Set by the server.
PLACED = {"id", "orgID", "folderUID", "ruleGroup", "updated", "provenance"}
REQUIRED = ("title", "condition", "data", "noDataState", "execErrState", "for")
STATE = (
    "folders",
    "dashboards",
    "library_elements",
    "rule_groups",
    "contact_points",
    "policies",
    "mute_timings",
    "templates",
)


class GrafanaError(Exception):
    """An error response of Grafana."""

    def __init__(self, code: int, message: str, **more: Any):
        super().__init__(message)
        self.code = code
        self.body = {"message": message, **more}


class Grafana:
    """One organization."""

    def __init__(self) -> None:
        self.token = f"glsa_{secrets.token_urlsafe(24).replace('-', 'x').replace('_', 'y')}_{secrets.token_hex(4)}"
        self._start()

    def _start(self) -> None:
        self.settings: dict[str, Any] = {
            "version": "12.1.0",
            "nests": True,
            "role": "Admin",
            "page": 5000,
            "loses": "",
            "hides_version": False,
        }
        self._ids = itertools.count(1)
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.library_elements: dict[str, dict[str, Any]] = {}
        self.rule_groups: dict[tuple[str, str], dict[str, Any]] = {}
        self.contact_points: list[dict[str, Any]] = []
        self.policies: dict[str, Any] = {
            "receiver": "grafana-default-email",
            "group_by": ["grafana_folder", "alertname"],
        }
        self.mute_timings: list[dict[str, Any]] = []
        self.templates: list[dict[str, Any]] = []
        self.users: list[dict[str, Any]] = [{"login": "admin", "email": "admin@localhost", "name": "", "role": "Admin"}]
        self.evaluated, self.unknown = 0, []
        self._seed(INITIAL)

    # What people have made.

    def _seed(self, given: dict[str, Any]) -> None:
        for folder in given.get("folders", []):
            self.folders[folder["uid"]] = {"id": next(self._ids), "parentUid": "", **folder}
        for one in given.get("dashboards", []):
            kept = copy.deepcopy(one)
            model = kept.get("resource") or kept["dashboard"]
            uid = model["metadata"]["name"] if "resource" in kept else model["uid"]
            before = self.dashboards.get(uid, {"id": next(self._ids), "version": 0})
            self.dashboards[uid] = {"folderUid": "", **before, **kept, "version": before["version"] + 1}
        for element in given.get("library_elements", []):
            self.library_elements[element["uid"]] = {"id": next(self._ids), "version": 1, **copy.deepcopy(element)}
        for group in given.get("rule_groups", []):
            self.rule_groups[group["folderUid"], group["title"]] = copy.deepcopy(group)
        for point in given.get("contact_points", []):
            others = [other for other in self.contact_points if other["uid"] != point["uid"]]
            self.contact_points = [*others, copy.deepcopy(point)]
        for name in ("mute_timings", "templates"):
            for one in given.get(name, []):
                others = [other for other in getattr(self, name) if other["name"] != one["name"]]
                setattr(self, name, [*others, copy.deepcopy(one)])
        if "policies" in given:
            self.policies = copy.deepcopy(given["policies"])

    @property
    def major(self) -> int:
        return int(self.settings["version"].partition(".")[0])

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.settings["version"])[:3])

    @property
    def nests(self) -> bool:
        return self.major >= 11 or self.settings["nests"]

    # The API.

    def handle(self, request: Request) -> Answer:
        try:
            return self._route(request)
        except GrafanaError as error:
            return answer_json(error.code, error.body)

    def _route(self, request: Request) -> Answer:
        path = request.raw_path
        if (request.method, path) == ("GET", "/api/health"):
            health = {"database": "ok"}
            if not self.settings["hides_version"]:
                health |= {"version": self.settings["version"], "commit": "0"}
            return answer_json(200, health)
        if not hmac.compare_digest((request.bearer or "").encode(), self.token.encode()):
            raise GrafanaError(401, "Invalid API key", messageId="api-key.invalid", statusCode=401, traceID="")
        for method, pattern, least, serve in self._routes():
            if method == request.method and (found := re.fullmatch(pattern, path)):
                self._require(least)
                return serve(request, *map(unquote, found.groups()))
        self.unknown.append(f"{request.method} {path}")
        raise GrafanaError(404, "Not found")

    def _routes(self):
        word = r"([^/]+)"
        provisioning = "/api/v1/provisioning"
        yield "GET", "/api/search", "Viewer", self._search
        yield "GET", f"/api/folders/{word}", "Viewer", self._folder
        yield "POST", "/api/folders", "Editor", self._add_folder
        yield "DELETE", f"/api/folders/{word}", "Editor", self._delete_folder
        yield "GET", f"/api/dashboards/uid/{word}", "Viewer", self._dashboard
        yield "POST", "/api/dashboards/db", "Editor", self._save
        if self.major >= 12:
            place = rf"/apis/{GROUP}/(v2[a-z0-9]*)/namespaces/default/dashboards"
            yield "GET", f"{place}/{word}", "Viewer", self._resource
            yield "POST", place, "Editor", self._add_resource
        yield "GET", "/api/frontend/settings", "Viewer", lambda _: answer_json(200, {"namespace": "default"})
        yield "GET", "/api/library-elements", "Viewer", self._elements
        yield "GET", f"{provisioning}/alert-rules", "Admin", self._rules
        yield "POST", f"{provisioning}/alert-rules", "Admin", self._add_rule
        yield "GET", f"{provisioning}/folder/{word}/rule-groups/{word}", "Admin", self._group
        yield "PUT", f"{provisioning}/folder/{word}/rule-groups/{word}", "Admin", self._put_group
        yield "GET", f"{provisioning}/contact-points", "Admin", self._contact_points
        yield "GET", f"{provisioning}/policies", "Admin", lambda _: answer_json(200, self._provenanced(self.policies))
        yield "GET", f"{provisioning}/mute-timings", "Admin", lambda _: answer_json(200, self._all(self.mute_timings))
        yield "GET", f"{provisioning}/templates", "Admin", lambda _: answer_json(200, self._all(self.templates))
        yield "GET", "/api/org/users", "Admin", self._users

    def _require(self, least: str) -> None:
        roles = ("Viewer", "Editor", "Admin")
        if roles.index(self.settings["role"]) < roles.index(least):
            raise GrafanaError(403, "You'll need additional permissions to perform this action.", accessErrorId="ACE0")

    @staticmethod
    def _provenanced(one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "provenance": "", "version": secrets.token_hex(8)}

    def _all(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # The order of lists is not documented: never the same.
        shuffled = [self._provenanced(one) for one in objects]
        secrets.SystemRandom().shuffle(shuffled)
        return shuffled

    @staticmethod
    def _json(request: Request) -> dict[str, Any]:
        try:
            given = json.loads(request.body)
        except ValueError:
            raise GrafanaError(400, "bad request data") from None
        if not isinstance(given, dict):
            raise GrafanaError(400, "bad request data")
        return given

    def _search(self, request: Request) -> Answer:
        query = request.query
        unknown = query.keys() - {"type", "limit", "page"}
        if unknown or query.get("type") not in ("dash-db", "dash-folder"):
            raise GrafanaError(400, f"not served: {sorted(unknown)}")
        size = min(int(query.get("limit", 1000)), 5000, self.settings["page"])
        hits = []
        if query["type"] == "dash-folder":
            for uid, folder in self.folders.items():
                hits.append({"id": folder["id"], "uid": uid, "title": folder["title"], "type": "dash-folder"})
        else:
            for uid, one in self.dashboards.items():
                folder = self.folders.get(one["folderUid"])
                hit = {"id": one["id"], "uid": uid, "title": self._title(one), "type": "dash-db", "tags": []}
                place = {"folderUid": one["folderUid"], "folderTitle": folder["title"]} if folder else {}
                hits.append({**hit, "url": f"/d/{uid}/x", "isStarred": False, **place})
        hits.sort(key=lambda hit: (hit["title"], hit["uid"]))
        first = (int(query.get("page", 1)) - 1) * size
        return answer_json(200, hits[first : first + size])

    @staticmethod
    def _title(one: dict[str, Any]) -> str:
        return one["resource"]["spec"]["title"] if "resource" in one else one["dashboard"]["title"]

    def _folder(self, _: Request, uid: str) -> Answer:
        return answer_json(200, self._shown_folder(uid))

    def _shown_folder(self, uid: str) -> dict[str, Any]:
        if uid not in self.folders:
            raise GrafanaError(404, "folder not found", status="not-found")
        folder = self.folders[uid]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        shown = {
            "id": folder["id"],
            "uid": uid,
            "title": folder["title"],
            "url": f"/dashboards/f/{uid}/x",
            "hasAcl": False,
        }
        shown |= {"canSave": True, "canEdit": True, "canAdmin": True, "created": now, "updated": now, "version": 1}
        nested = {"parentUid": folder["parentUid"], "parents": []} if folder["parentUid"] else {}
        return {**shown, **nested}

    def _add_folder(self, request: Request) -> Answer:
        given = self._json(request)
        if unknown := given.keys() - {"uid", "title", "parentUid", "description"}:
            raise GrafanaError(400, f"unknown fields {sorted(unknown)}")
        uid, title, parent = given.get("uid"), given.get("title"), given.get("parentUid", "")
        if not is_text(title):
            raise GrafanaError(400, "folder title cannot be empty")
        if not (isinstance(uid, str) and UID.fullmatch(uid)):
            raise GrafanaError(400, "uid contains illegal characters or is too long")
        if uid in self.folders:
            raise GrafanaError(409, "a folder or dashboard in the general folder with the same uid already exists")
        parent = parent if self.nests else ""
        if parent and parent not in self.folders:
            raise GrafanaError(400, "parent folder not found")
        if not self.nests and title in (folder["title"] for folder in self.folders.values()):
            raise GrafanaError(409, "a folder with the same name already exists in the current location")
        self.folders[uid] = {"id": next(self._ids), "title": title, "parentUid": parent}
        return answer_json(200, self._shown_folder(uid))

    def _below(self, uid: str) -> set[str]:
        found, left = set(), [uid]
        while left:
            found.add(one := left.pop())
            left += [name for name, folder in self.folders.items() if folder["parentUid"] == one]
        return found

    def _delete_folder(self, request: Request, uid: str) -> Answer:
        shown = self._shown_folder(uid)
        gone = self._below(uid)
        if any(folder in gone for folder, _ in self.rule_groups) and request.query.get("forceDeleteRules") != "true":
            raise GrafanaError(400, "folder cannot be deleted: folder contains alert rules")
        self.rule_groups = {key: group for key, group in self.rule_groups.items() if key[0] not in gone}
        self.dashboards = {name: one for name, one in self.dashboards.items() if one["folderUid"] not in gone}
        for name in gone:
            del self.folders[name]
        return answer_json(200, {"message": "Folder deleted", "id": shown["id"], "title": shown["title"]})

    def _dashboard(self, _: Request, uid: str) -> Answer:
        if uid not in self.dashboards:
            raise GrafanaError(404, "Dashboard not found", status="not-found")
        one = self.dashboards[uid]
        if "resource" in one:
            version = one["resource"]["apiVersion"].removeprefix(f"{GROUP}/")
            if self.major >= 13:
                less = {"uid": uid, "title": self._title(one)}
                return answer_json(200, {"meta": {"type": "db", "apiVersion": version}, "dashboard": less})
            place = f"/apis/{GROUP}/{version}/namespaces/default/dashboards/{quote(uid)}"
            raise GrafanaError(406, f"dashboard api version not supported, use {place} instead")
        folder = self.folders.get(one["folderUid"])
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        meta = {"type": "db", "canSave": True, "slug": "x", "url": f"/d/{uid}/x", "created": now, "updated": now}
        meta |= {"version": one["version"], "isFolder": False, "provisioned": False}
        meta |= {
            "folderUid": one["folderUid"] if folder else "",
            "folderTitle": folder["title"] if folder else "General",
        }
        return answer_json(
            200, {"meta": meta, "dashboard": {**one["dashboard"], "id": one["id"], "version": one["version"]}}
        )

    def _save(self, request: Request) -> Answer:
        given = self._json(request)
        if unknown := given.keys() - {"dashboard", "folderUid", "folderId", "overwrite", "message"}:
            raise GrafanaError(400, f"unknown fields {sorted(unknown)}")
        model, folder = given.get("dashboard"), given.get("folderUid", "")
        if not isinstance(model, dict) or not is_text(model.get("title")):
            raise GrafanaError(400, "Dashboard title cannot be empty", status="empty-name")
        if folder and folder not in self.folders:
            raise GrafanaError(400, "folder not found")
        if model.get("id") is not None:
            raise GrafanaError(404, "Dashboard not found", status="not-found")
        uid = model.get("uid") or secrets.token_hex(7)
        if not UID.fullmatch(uid):
            raise GrafanaError(400, "uid contains illegal characters")
        if uid in self.dashboards and given.get("overwrite") is not True:
            raise GrafanaError(412, "A dashboard with the same uid already exists", status="name-exists")
        same = (self._title(one) for one in self.dashboards.values() if one["folderUid"] == folder)
        if not self.nests and model["title"] in same:
            raise GrafanaError(412, "A dashboard with the same name in the folder already exists", status="name-exists")
        kept = {name: value for name, value in model.items() if name not in ("id", "version", self.settings["loses"])}
        self._seed({"dashboards": [{"folderUid": folder, "dashboard": {**kept, "uid": uid}}]})
        made = self.dashboards[uid]
        shown = {"id": made["id"], "uid": uid, "url": f"/d/{uid}/x", "status": "success", "version": made["version"]}
        return answer_json(200, shown | {"slug": "x"})

    def _shown_resource(self, uid: str, version: str) -> dict[str, Any]:
        one = self.dashboards.get(uid)
        if one is None or "resource" not in one:
            raise GrafanaError(404, f'dashboards.{GROUP} "{uid}" not found')
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        annotations = {"grafana.app/createdBy": "user:1", "grafana.app/updatedTimestamp": now}
        if one["folderUid"]:
            annotations["grafana.app/folder"] = one["folderUid"]
        metadata = {"name": uid, "namespace": "default", "uid": secrets.token_hex(16), "generation": one["version"]}
        metadata |= {"resourceVersion": str(one["version"]), "creationTimestamp": now, "annotations": annotations}
        kind = {"kind": "Dashboard", "apiVersion": f"{GROUP}/{version}"}
        return {**kind, "metadata": metadata, "spec": one["resource"]["spec"], "status": {}}

    def _resource(self, _: Request, version: str, uid: str) -> Answer:
        return answer_json(200, self._shown_resource(uid, version))

    def _add_resource(self, request: Request, version: str) -> Answer:
        given = self._json(request)
        metadata = given.get("metadata", {})
        uid, folder = metadata.get("name"), metadata.get("annotations", {}).get("grafana.app/folder", "")
        if not (isinstance(uid, str) and NAME.fullmatch(uid)) or not isinstance(given.get("spec"), dict):
            raise GrafanaError(400, "metadata.name and spec are required")
        if given.get("apiVersion", f"{GROUP}/{version}") != f"{GROUP}/{version}":
            raise GrafanaError(400, "the API version in the data does not match the expected API version")
        if folder and folder not in self.folders:
            raise GrafanaError(404, "folder not found")
        if uid in self.dashboards:
            raise GrafanaError(409, f'dashboards.{GROUP} "{uid}" already exists')
        resource = {
            "kind": "Dashboard",
            "apiVersion": f"{GROUP}/{version}",
            "metadata": {"name": uid},
            "spec": given["spec"],
        }
        self._seed({"dashboards": [{"folderUid": folder, "resource": resource}]})
        return answer_json(201, self._shown_resource(uid, version))

    def _elements(self, request: Request) -> Answer:
        query = request.query
        size, page = min(int(query.get("perPage", 100)), self.settings["page"]), int(query.get("page", 1))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        elements = [
            {"orgId": 1, "folderId": 0, "meta": {"folderUid": one["folderUid"], "updated": now}, **one}
            for one in self.library_elements.values()
            if query.get("kind", str(one["kind"])) == str(one["kind"])
        ]
        elements.sort(key=lambda element: element["name"])
        shown = elements[(page - 1) * size : page * size]
        result = {"totalCount": len(elements), "page": page, "perPage": size, "elements": shown}
        return answer_json(200, {"result": result})

    def _shown_group(self, key: tuple[str, str]) -> dict[str, Any]:
        group = self.rule_groups[key]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        place = {"orgID": 1, "folderUID": key[0], "ruleGroup": key[1], "updated": now, "provenance": ""}
        rules = [{"id": number, **rule, **place} for number, rule in enumerate(group["rules"], 1)]
        return {"title": key[1], "folderUid": key[0], "interval": group["interval"], "rules": rules}

    def _rules(self, _: Request) -> Answer:
        return answer_json(200, [rule for key in self.rule_groups for rule in self._shown_group(key)["rules"]])

    def _group(self, _: Request, folder: str, group: str) -> Answer:
        if (folder, group) not in self.rule_groups:
            raise GrafanaError(404, "rule group not found")
        return answer_json(200, self._shown_group((folder, group)))

    def _put_group(self, request: Request, folder: str, group: str) -> Answer:
        given = self._json(request)
        if unknown := given.keys() - {"title", "folderUid", "interval", "rules"}:
            raise GrafanaError(400, f"unknown fields {sorted(unknown)}")
        if folder not in self.folders:
            raise GrafanaError(404, "folder does not exist")
        if given.get("title") != group or given.get("folderUid", folder) != folder:
            raise GrafanaError(400, "invalid rule group")
        interval = given.get("interval")
        if type(interval) is not int or interval < 10 or interval % 10:
            raise GrafanaError(400, "interval must be a multiple of 10 seconds")
        others = {key: one["rules"] for key, one in self.rule_groups.items() if key != (folder, group)}
        own = {rule["uid"] for rule in self.rule_groups.get((folder, group), {"rules": []})["rules"]}
        if self.version < (11, 5, 2) and any(rule.get("uid") not in own for rule in given.get("rules", [])):
            raise GrafanaError(500, "Internal Server Error")
        kept = []
        for rule in given.get("rules", []):
            kept.append(self._placed(rule, folder, {**others, (folder, group): kept}))
        self.rule_groups[folder, group] = {"folderUid": folder, "title": group, "interval": interval, "rules": kept}
        return answer_json(200, self._shown_group((folder, group)))

    def _placed(
        self, rule: dict[str, Any], folder: str, others: dict[tuple[str, str], list[dict[str, Any]]]
    ) -> dict[str, Any]:
        if unknown := rule.keys() - RULE - PLACED:
            raise GrafanaError(400, f"unknown fields of a rule: {sorted(unknown)}")
        if missing := [name for name in REQUIRED if not rule.get(name)]:
            raise GrafanaError(400, f"invalid alert rule: {missing}")
        taken = {one["uid"] for of in others.values() for one in of}
        if not UID.fullmatch(rule.get("uid", "")) or rule["uid"] in taken:
            raise GrafanaError(409, "alert rule UID is not valid or is taken")
        if rule["title"] in {one["title"] for key, of in others.items() if key[0] == folder for one in of}:
            raise GrafanaError(400, "a conflicting alert rule is found: rule title under the same folder is taken")
        self.evaluated += rule.get("isPaused") is not True
        return {"isPaused": False, **{name: value for name, value in rule.items() if name not in PLACED}}

    def _add_rule(self, request: Request) -> Answer:
        given = self._json(request)
        folder, group = given.get("folderUID"), given.get("ruleGroup")
        if not is_text(folder) or not is_text(group):
            raise GrafanaError(400, "invalid alert rule: folderUID and ruleGroup are required")
        if folder not in self.folders:
            raise GrafanaError(404, "folder does not exist")
        rule = self._placed(given, folder, {key: one["rules"] for key, one in self.rule_groups.items()})
        place = {"folderUid": folder, "title": group, "interval": 60, "rules": []}
        self.rule_groups.setdefault((folder, group), place)["rules"].append(rule)
        return answer_json(201, self._shown_group((folder, group))["rules"][-1])

    def _contact_points(self, _: Request) -> Answer:
        points = []
        for point in self.contact_points:
            secure = SECURE[point["type"]]
            settings = {name: REDACTED if name in secure else value for name, value in point["settings"].items()}
            points.append({**point, "settings": settings, "disableResolveMessage": False, "provenance": ""})
        secrets.SystemRandom().shuffle(points)
        return answer_json(200, points)

    def _users(self, _: Request) -> Answer:
        shown = {
            "orgId": 1,
            "avatarUrl": "",
            "lastSeenAt": "2026-01-01T00:00:00Z",
            "lastSeenAtAge": "1m",
            "isDisabled": False,
        }
        return answer_json(200, [{"userId": number, **shown, **user} for number, user in enumerate(self.users, 1)])

    # Routes

    async def state(self, _: dict[str, Any]) -> dict[str, Any]:
        lists = {name: getattr(self, name) for name in STATE}
        lists["rule_groups"] = list(self.rule_groups.values())
        more = {"version": self.settings["version"], "users": self.users}
        return {**lists, **more, "evaluated": self.evaluated, "unknown": self.unknown}

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, self.settings)
        for name, value in fields.items():
            if type(value) is not type(self.settings[name]):
                raise AdminError(f"{name}: must be a {type(self.settings[name]).__name__}")
        self.settings.update(fields)
        return {"set": sorted(fields)}

    async def seed(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, STATE)
        self._seed(fields)
        return {"set": sorted(fields)}

    async def remove(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"dashboard", "folder"})
        for name, objects in (("dashboard", self.dashboards), ("folder", self.folders)):
            if name in fields and objects.pop(fields[name], None) is None:
                raise AdminError(f"{name}: is not there")
        return {"removed": sorted(fields)}

    async def set_users(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"users"})
        for user in fields.get("users", []):
            only(user, {"login", "email", "name", "role", "isDisabled"})
        self.users = fields.get("users", [])
        return {"users": len(self.users)}

    async def reset(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.dashboards)
        self._start()
        return {"removed": removed}


def _rule(uid: str, title: str, expression: str) -> dict[str, Any]:
    query = {"refId": "A", "queryType": "", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": "prometheus"}
    data = [{**query, "model": {"expr": expression, "refId": "A", "intervalMs": 1000, "maxDataPoints": 43200}}]
    labels = {"severity": "critical", "service": "moveongs-api"}
    states = {"noDataState": "NoData", "execErrState": "Error", "for": "10m", "isPaused": False}
    return {"uid": uid, "title": title, "condition": "A", "data": data, "labels": labels, "annotations": {}, **states}


INITIAL = {
    "folders": [{"uid": "moveongs", "title": "MoveONgs"}],
    "dashboards": [
        {
            "folderUid": "moveongs",
            "dashboard": {
                "uid": "api-disponibilidade",
                "title": "Disponibilidade da API",
                "schemaVersion": 39,
                "tags": ["moveongs"],
                "panels": [
                    {"id": 1, "type": "timeseries", "title": "5xx", "targets": [{"expr": "sum(rate(http[5m]))"}]}
                ],
            },
        },
        {"dashboard": {"uid": "banco", "title": "Banco de dados", "schemaVersion": 39, "panels": []}},
    ],
    "library_elements": [
        {"uid": "cpu", "name": "CPU", "kind": 1, "type": "stat", "folderUid": "moveongs", "model": {"type": "stat"}}
    ],
    "rule_groups": [
        {
            "folderUid": "moveongs",
            "title": "api",
            "interval": 60,
            "rules": [
                _rule("api-budget", "ApiAvailabilityBudgetBurn", "sum(rate(http_5xx[5m])) > 0.02"),
                _rule("db-pool", "DatabasePoolExhaustion", "avg(pool) > 0.8"),
            ],
        }
    ],
    "contact_points": [
        {"uid": "ops", "name": "ops", "type": "email", "settings": {"addresses": "ops@imm.local", "singleEmail": False}}
    ],
}


def _action(method: str, path: str) -> str:
    patterns = {
        r"/api/(search|health|folders|dashboards/db|frontend/settings|library-elements|org/users)": r"/api/\1",
        r"/api/folders/[^/]+": "/api/folders/{uid}",
        r"/api/dashboards/uid/[^/]+": "/api/dashboards/uid/{uid}",
        r"/apis/dashboard\.grafana\.app/[^/]+/namespaces/[^/]+/dashboards": "/apis/dashboards",
        r"/apis/dashboard\.grafana\.app/[^/]+/namespaces/[^/]+/dashboards/[^/]+": "/apis/dashboards/{uid}",
        r"(/api/v1/provisioning/(?:alert-rules|contact-points|policies|mute-timings|templates))": r"\1",
        r"/api/v1/provisioning/folder/[^/]+/rule-groups/.+": "/api/v1/provisioning/rule-groups/{group}",
    }
    for pattern, name in patterns.items():
        if found := re.fullmatch(pattern, path):
            return f"{method} {found.expand(name)}"
    return f"{method} unknown"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        return answer_json(429, {"message": "Too many requests"}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"message": rule.message})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    grafana = Grafana()
    cloud.route("GET", "grafana")(grafana.state)
    cloud.route("POST", "grafana/config")(grafana.configure)
    cloud.route("POST", "grafana/seed")(grafana.seed)
    cloud.route("POST", "grafana/remove")(grafana.remove)
    cloud.route("POST", "grafana/users")(grafana.set_users)
    cloud.route("DELETE", "grafana")(grafana.reset)
    app = guarded(cloud, "grafana", grafana.handle, _action, _refuse)

    async def start() -> None:
        cloud.facts.update(grafana_url=servers.listen(app, "grafana"), grafana_token=grafana.token)

    cloud.on_start.append(start)
