"""Grafana's stand-in answers like the service.

Statuses, fields and limits are those of Grafana's HTTP API reference (docs/sources/developers/http_api in its
repository) and of its OpenAPI document, public/api-merged.json; the answer 406 is that of pkg/api/dashboard.go since
version 12.
"""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from conftest import http

PROVISIONING = "/api/v1/provisioning"
PLACE = "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards"


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "grafana")

    reset()
    yield
    reset()


def grafana(cloud, method, path, body=None, token=None):
    """Status and parsed body of a call."""
    bearer = f"Bearer {cloud.facts['grafana_token'] if token is None else token}"
    status, _, text = http(method, f"{cloud.facts['grafana_url']}{path}", body, authorization=bearer)
    return status, json.loads(text)


def message(answer):
    return answer[0], answer[1]["message"]


def rule(uid, title, **more):
    states = {"noDataState": "NoData", "execErrState": "Error", "for": "5m"}
    return {"uid": uid, "title": title, "condition": "A", "data": [{"refId": "A"}], **states, **more}


def group(title, folder, rules):
    return {"title": title, "folderUid": folder, "interval": 60, "rules": rules}


def test_health_needs_no_token_and_everything_else_does(cloud):
    assert grafana(cloud, "GET", "/api/health", token="")[1]["version"] == "12.1.0"
    cloud.admin("POST", "grafana/config", {"version": "10.4.3"})
    assert grafana(cloud, "GET", "/api/health", token="")[1]["version"] == "10.4.3"
    for path in ("/api/search?type=dash-db", f"{PROVISIONING}/policies"):
        assert message(grafana(cloud, "GET", path, token="glsa_x")) == (401, "Invalid API key")
    cloud.admin("POST", "grafana/config", {"role": "Viewer"})
    assert grafana(cloud, "GET", "/api/search?type=dash-db")[0] == 200
    assert grafana(cloud, "GET", f"{PROVISIONING}/contact-points")[0] == 403
    assert grafana(cloud, "POST", "/api/folders", {"uid": "x", "title": "x"})[0] == 403
    assert message(grafana(cloud, "GET", "/api/datasources")) == (404, "Not found")
    assert cloud.admin("GET", "grafana")["unknown"] == ["GET /api/datasources"]


def test_a_search_has_pages_of_one_type(cloud):
    more = [{"dashboard": {"uid": f"d{number}", "title": f"D {number}"}} for number in range(3)]
    cloud.admin("POST", "grafana/seed", {"dashboards": more})
    titles = []
    for page in (1, 2, 3, 4):
        status, hits = grafana(cloud, "GET", f"/api/search?type=dash-db&limit=2&page={page}")
        assert (status, {hit["type"] for hit in hits}) in ((200, {"dash-db"}), (200, set()))
        titles += [hit["title"] for hit in hits]
    assert titles == ["Banco de dados", "D 0", "D 1", "D 2", "Disponibilidade da API"]
    (folder,) = grafana(cloud, "GET", "/api/search?type=dash-folder")[1]
    assert (folder["uid"], folder["title"]) == ("moveongs", "MoveONgs")


def test_a_saved_dashboard_has_an_id_and_a_version_of_the_server(cloud):
    model = {"id": None, "uid": "new", "title": "New", "panels": [{"id": 1}]}
    save = {"dashboard": model, "folderUid": "moveongs", "overwrite": False}
    status, saved = grafana(cloud, "POST", "/api/dashboards/db", save)
    assert (status, saved["status"], saved["uid"], saved["version"]) == (200, "success", "new", 1)
    shown = grafana(cloud, "GET", "/api/dashboards/uid/new")[1]
    assert shown["dashboard"] == {**model, "id": saved["id"], "version": 1}
    assert (shown["meta"]["folderUid"], shown["meta"]["folderTitle"]) == ("moveongs", "MoveONgs")
    status, refused = grafana(cloud, "POST", "/api/dashboards/db", save)
    assert (status, refused["status"]) == (412, "name-exists")
    assert grafana(cloud, "POST", "/api/dashboards/db", {**save, "overwrite": True})[1]["version"] == 2
    for change, status in (({"title": ""}, 400), ({"uid": "a b"}, 400), ({"id": 77}, 404)):
        assert grafana(cloud, "POST", "/api/dashboards/db", {**save, "dashboard": {**model, **change}})[0] == status
    assert grafana(cloud, "POST", "/api/dashboards/db", {**save, "folderUid": "none"})[0] == 400
    assert message(grafana(cloud, "GET", "/api/dashboards/uid/none")) == (404, "Dashboard not found")


def test_folders_nest_since_11_and_take_everything_with_them(cloud):
    cloud.admin("POST", "grafana/config", {"version": "10.4.3", "nests": False})
    child = {"uid": "child", "title": "Child", "parentUid": "moveongs"}
    assert "parentUid" not in grafana(cloud, "POST", "/api/folders", child)[1]
    assert grafana(cloud, "POST", "/api/folders", {"uid": "other", "title": "Child"})[0] == 409
    # The search has no parent; only the folder itself does.
    cloud.admin("POST", "grafana/config", {"version": "11.6.0"})
    grand = {"uid": "grand", "title": "Child", "parentUid": "child"}
    assert grafana(cloud, "POST", "/api/folders", grand)[1]["parentUid"] == "child"
    assert grafana(cloud, "POST", "/api/folders", grand)[0] == 409
    assert grafana(cloud, "POST", "/api/folders", {"uid": "x", "title": "x", "parentUid": "none"})[0] == 400
    put = grafana(cloud, "PUT", f"{PROVISIONING}/folder/grand/rule-groups/g", group("g", "grand", [rule("r", "r")]))
    assert put[0] == 200
    assert grafana(cloud, "DELETE", "/api/folders/child")[0] == 400
    assert grafana(cloud, "DELETE", "/api/folders/child?forceDeleteRules=true")[0] == 200
    assert grafana(cloud, "GET", "/api/folders/grand")[0] == 404
    assert [one["title"] for one in cloud.admin("GET", "grafana")["rule_groups"]] == ["api"]


def test_a_dashboard_of_the_new_schema_is_served_by_the_new_api_since_12(cloud):
    resource = {"apiVersion": "dashboard.grafana.app/v2beta1", "metadata": {"name": "new"}, "spec": {"title": "N"}}
    cloud.admin("POST", "grafana/seed", {"dashboards": [{"folderUid": "moveongs", "resource": resource}]})
    status, refused = grafana(cloud, "GET", "/api/dashboards/uid/new")
    assert (status, refused["message"]) == (406, f"dashboard api version not supported, use {PLACE}/new instead")
    status, shown = grafana(cloud, "GET", f"{PLACE}/new")
    assert (status, shown["kind"], shown["spec"]) == (200, "Dashboard", {"title": "N"})
    assert shown["metadata"]["annotations"]["grafana.app/folder"] == "moveongs"
    copy = {**resource, "metadata": {"name": "copy", "annotations": {"grafana.app/folder": "moveongs"}}}
    assert grafana(cloud, "POST", PLACE, copy)[0] == 201
    assert grafana(cloud, "POST", PLACE, copy)[0] == 409
    assert grafana(cloud, "GET", f"{PLACE}/none")[0] == 404
    cloud.admin("POST", "grafana/config", {"version": "11.6.0"})
    assert grafana(cloud, "GET", f"{PLACE}/new")[0] == 404


def test_a_group_of_rules_has_the_interval_and_the_server_the_place(cloud):
    rules = grafana(cloud, "GET", f"{PROVISIONING}/alert-rules")[1]
    assert [(one["folderUID"], one["ruleGroup"], "interval" in one) for one in rules] == [
        ("moveongs", "api", False)
    ] * 2
    shown = grafana(cloud, "GET", f"{PROVISIONING}/folder/moveongs/rule-groups/api")[1]
    assert (shown["interval"], [one["uid"] for one in shown["rules"]]) == (60, ["api-budget", "db-pool"])
    # A name may contain a slash.
    name = "a/b: ç"
    path = f"{PROVISIONING}/folder/moveongs/rule-groups/{quote(name, safe='')}"
    paused = rule("x", "X", isPaused=True)
    assert grafana(cloud, "PUT", path, group(name, "moveongs", [paused]))[0] == 200
    assert grafana(cloud, "GET", path)[1]["rules"][0]["ruleGroup"] == name
    assert cloud.admin("GET", "grafana")["evaluated"] == 0
    for change, status in (
        ({"interval": 7}, 400),
        ({"rules": [rule("db-pool", "Y")]}, 409),
        ({"rules": [rule("y", "DatabasePoolExhaustion")]}, 400),
        ({"rules": [{**rule("y", "Y"), "condition": ""}]}, 400),
        ({"rules": [{**rule("y", "Y"), "other": 1}]}, 400),
        ({"title": "other"}, 400),
    ):
        assert grafana(cloud, "PUT", path, {**group(name, "moveongs", []), **change})[0] == status, change
    assert grafana(cloud, "PUT", f"{PROVISIONING}/folder/none/rule-groups/g", group("g", "none", []))[0] == 404
    assert grafana(cloud, "PUT", path, group(name, "moveongs", [rule("z", "Z")]))[0] == 200
    assert cloud.admin("GET", "grafana")["evaluated"] == 1


def test_a_group_takes_new_uids_since_11_5_2_and_a_rule_is_made_alone_in_every_version(cloud):
    path = f"{PROVISIONING}/folder/moveongs/rule-groups/new"
    for version, status in (("10.4.3", 500), ("11.5.1", 500), ("11.5.2", 200), ("12.1.0", 200)):
        cloud.admin("DELETE", "grafana")
        cloud.admin("POST", "grafana/config", {"version": version})
        asked = group("new", "moveongs", [rule("n", "N", isPaused=True)])
        assert grafana(cloud, "PUT", path, asked)[0] == status, version
        alone = {**rule("m", "M", isPaused=True), "folderUID": "moveongs", "ruleGroup": "alone"}
        assert grafana(cloud, "POST", f"{PROVISIONING}/alert-rules", alone)[0] == 201
        assert grafana(cloud, "POST", f"{PROVISIONING}/alert-rules", alone)[0] == 409
        asked = group("alone", "moveongs", [rule("m", "M", isPaused=True)])
        assert grafana(cloud, "PUT", path.replace("/new", "/alone"), asked)[0] == 200, version
        assert cloud.admin("GET", "grafana")["evaluated"] == 0
    for change in ({"folderUID": ""}, {"ruleGroup": ""}, {"condition": ""}):
        assert grafana(cloud, "POST", f"{PROVISIONING}/alert-rules", {**alone, "uid": "o", **change})[0] == 400
    nowhere = {**alone, "uid": "o", "folderUID": "none"}
    assert grafana(cloud, "POST", f"{PROVISIONING}/alert-rules", nowhere)[0] == 404


def test_since_13_a_dashboard_of_the_new_schema_answers_with_its_version(cloud):
    resource = {"apiVersion": "dashboard.grafana.app/v2beta1", "metadata": {"name": "new"}, "spec": {"title": "N"}}
    cloud.admin("POST", "grafana/seed", {"dashboards": [{"folderUid": "moveongs", "resource": resource}]})
    assert grafana(cloud, "GET", "/api/frontend/settings")[1]["namespace"] == "default"
    cloud.admin("POST", "grafana/config", {"version": "13.0.0"})
    status, shown = grafana(cloud, "GET", "/api/dashboards/uid/new")
    assert (status, shown["meta"]["apiVersion"]) == (200, "v2beta1")
    assert grafana(cloud, "GET", f"{PLACE}/new")[1]["spec"] == {"title": "N"}


def test_secure_settings_are_redacted_and_lists_have_no_order(cloud):
    points = [
        {"uid": "h", "name": "hook", "type": "webhook", "settings": {"url": "https://h.example/x", "password": "p"}},
        {"uid": "s", "name": "slack", "type": "slack", "settings": {"recipient": "#x", "token": "t"}},
    ]
    names = [{"name": f"t{number}", "template": "x"} for number in range(5)]
    cloud.admin(
        "POST", "grafana/seed", {"contact_points": points, "templates": names, "policies": {"receiver": "hook"}}
    )
    shown = {one["name"]: one["settings"] for one in grafana(cloud, "GET", f"{PROVISIONING}/contact-points")[1]}
    assert shown["hook"] == {"url": "https://h.example/x", "password": "[REDACTED]"}
    assert (shown["slack"]["token"], shown["slack"]["recipient"]) == ("[REDACTED]", "#x")
    orders = {tuple(one["name"] for one in grafana(cloud, "GET", f"{PROVISIONING}/templates")[1]) for _ in range(20)}
    assert len(orders) > 1
    assert grafana(cloud, "GET", f"{PROVISIONING}/policies")[1]["receiver"] == "hook"
    elements = grafana(cloud, "GET", "/api/library-elements?kind=1&perPage=100&page=1")[1]["result"]
    assert (elements["totalCount"], elements["elements"][0]["uid"]) == (1, "cpu")
    assert grafana(cloud, "GET", "/api/library-elements?kind=1&perPage=100&page=2")[1]["result"]["elements"] == []


def test_users_are_those_that_a_test_sets(cloud):
    users = [{"login": "ana", "email": "ana@imm.local", "name": "Ana", "role": "Viewer", "isDisabled": True}]
    cloud.admin("POST", "grafana/users", {"users": users})
    (ana,) = grafana(cloud, "GET", "/api/org/users")[1]
    assert (ana["login"], ana["role"], ana["isDisabled"], ana["orgId"]) == ("ana", "Viewer", True, 1)


def test_faults_are_named_by_their_calls(cloud):
    cloud.admin("POST", "faults", {"service": "grafana", "action": "GET /api/folders/{uid}", "effect": "throttle"})
    assert message(grafana(cloud, "GET", "/api/folders/moveongs")) == (429, "Too many requests")
    assert grafana(cloud, "GET", "/api/folders/moveongs")[0] == 200
    cloud.admin("POST", "grafana/remove", {"dashboard": "banco"})
    assert grafana(cloud, "GET", "/api/dashboards/uid/banco")[0] == 404
