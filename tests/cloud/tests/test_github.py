"""GitHub's stand-in answers like the service, and stores issues, files and pull requests."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.parse

import pytest
from conftest import http


@pytest.fixture(autouse=True)
def fresh(cloud):
    def reset():
        cloud.admin("DELETE", "faults")
        cloud.admin("DELETE", "github/issues")
        cloud.admin("DELETE", "github/repository")
        usual = {"repository": "moveongs/governance", "issues": True, "may_write": True, "may_label": True}
        cloud.admin("POST", "github/config", {**usual, "may_write_contents": True, "remaining": -1})

    reset()
    yield
    reset()


def github(cloud, method, path="", body=None, **headers):
    """Status, headers and parsed body of a call to the repository's issues; `path` may be a whole URL."""
    url = path if path.startswith("http") else f"{cloud.facts['github_url']}/repos/moveongs/governance/issues{path}"
    headers.setdefault("authorization", f"Bearer {cloud.facts['github_token']}")
    status, answered, text = http(method, url, body, **headers)
    return status, answered, json.loads(text) if text else None


def titles(issues):
    return [issue["title"] for issue in issues]


def test_github_opens_changes_and_closes_an_issue(cloud):
    status, _, issue = github(cloud, "POST", body={"title": "one", "body": "b", "labels": ["x", "y"]})
    assert (status, issue["state"], [label["name"] for label in issue["labels"]]) == (201, "open", ["x", "y"])
    path = f"/{issue['number']}"
    assert github(cloud, "POST", f"{path}/comments", {"body": "done"})[0] == 201
    change = {"state": "closed", "state_reason": "completed"}
    status, _, closed = github(cloud, "PATCH", path, change)
    assert (status, closed["state"], closed["state_reason"], closed["comments"]) == (200, "closed", "completed", 1)
    assert github(cloud, "GET", path)[2]["state"] == "closed"
    assert github(cloud, "GET", f"{path}/comments")[2][0]["body"] == "done"
    assert cloud.admin("GET", "github/issues")["issues"] == [
        {
            "number": issue["number"],
            "title": "one",
            "body": "b",
            "state": "closed",
            "state_reason": "completed",
            "labels": ["x", "y"],
            "comments": ["done"],
        }
    ]
    assert github(cloud, "GET", "/999999")[0] == 404


def test_github_lists_by_label_and_state_in_pages(cloud):
    for number in range(5):
        labels = ["ours"] if number != 2 else ["other"]
        state = "closed" if number == 3 else "open"
        cloud.admin("POST", "github/issues", {"title": str(number), "labels": labels, "state": state})
    assert titles(github(cloud, "GET")[2]) == ["4", "2", "1", "0"]
    assert titles(github(cloud, "GET", "?labels=ours&state=all&direction=asc")[2]) == ["0", "1", "3", "4"]
    assert titles(github(cloud, "GET", "?state=closed")[2]) == ["3"]
    assert github(cloud, "GET", "?state=odd")[0] == 422
    seen, url = [], "?labels=ours&state=all&direction=asc&per_page=3"
    while url:
        _, headers, page = github(cloud, "GET", url)
        seen += titles(page)
        links = [link.split("; ") for link in (headers["link"] or "").split(", ")]
        url = next((link[0].strip("<>") for link in links if link[-1] == 'rel="next"'), None)
    assert seen == ["0", "1", "3", "4"]


def test_github_refuses_as_the_real_one(cloud):
    def said(*arguments, **headers):
        status, _, body = github(cloud, *arguments, **headers)
        return status, body["message"]

    assert said("GET", authorization="Bearer wrong") == (401, "Bad credentials")
    assert said("GET", authorization="") == (401, "Requires authentication")
    assert said("GET", x_github_api_version="2000-01-01")[0] == 400
    assert said("GET", user_agent="")[0] == 403
    assert said("POST", "", {"title": " "}) == (422, "Validation Failed")
    assert said("POST", "", {"title": "x", "body": "b" * 65_537})[0] == 422
    assert said("POST", "", "{") == (400, "Problems parsing JSON")
    for config, method, status in (
        ({"repository": "moveongs/other"}, "GET", 404),
        ({"repository": "moveongs/governance", "issues": False}, "GET", 410),
        ({"issues": True, "may_write": False}, "POST", 403),
    ):
        cloud.admin("POST", "github/config", config)
        assert said(method, "", {"title": "x"} if method == "POST" else None)[0] == status
    cloud.admin("POST", "github/config", {"may_write": True, "may_label": False})
    # Without push access, GitHub accepts a new issue and silently drops its labels.
    assert github(cloud, "POST", "", {"title": "x", "labels": ["ours"]})[2]["labels"] == []


def test_github_limits_the_rate(cloud):
    cloud.admin("POST", "github/config", {"remaining": 1, "reset_seconds": 30})
    assert github(cloud, "GET")[0] == 200
    status, headers, body = github(cloud, "GET")
    assert (status, headers["x-ratelimit-remaining"]) == (403, "0")
    assert 25 <= int(headers["x-ratelimit-reset"]) - time.time() <= 35
    assert "rate limit" in body["message"]
    cloud.admin("POST", "github/config", {"remaining": -1})
    rule = {"service": "github", "action": "POST /issues"}
    cloud.admin("POST", "faults", {**rule, "effect": "throttle", "seconds": 7})
    cloud.admin("POST", "faults", {**rule, "effect": "error", "status": 502, "code": "x", "nth": 2})
    status, headers, _ = github(cloud, "POST", "", {"title": "x"})
    assert (status, headers["retry-after"]) == (403, "7")
    assert github(cloud, "POST", "", {"title": "x"})[0] == 502
    assert github(cloud, "POST", "", {"title": "x"})[0] == 201
    called = [call["action"] for call in cloud.admin("GET", "calls")["calls"] if call["service"] == "github"]
    assert called[-3:] == ["POST /issues"] * 3


LOG, BRANCH = "docs/a b.md", "governance/log"


def files(cloud, method, path="", body=None):
    """Status and parsed body of a call to the repository."""
    url = f"{cloud.facts['github_url']}/repos/moveongs/governance{urllib.parse.quote(path, safe='/?&=')}"
    status, _, answer = github(cloud, method, url, body)
    return status, answer


def refusal(answered):
    """Status, message and errors of a refusal."""
    status, body = answered
    reasons = [error.get("message", error.get("field")) for error in body.get("errors", [])]
    return status, body["message"], *reasons


def committed(cloud, text, branch=BRANCH, **more):
    fields = {"message": "m", "content": base64.b64encode(text.encode()).decode(), "branch": branch}
    return files(cloud, "PUT", f"/contents/{LOG}", {**fields, **more})


def branched(cloud, branch=BRANCH):
    sha = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    return files(cloud, "POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": sha})


def proposed(cloud, **more):
    return files(cloud, "POST", "/pulls", {"title": "t", "body": "b", "head": BRANCH, "base": "main", **more})


def test_github_keeps_files_on_branches(cloud):
    assert files(cloud, "GET")[1]["default_branch"] == "main"
    assert refusal(files(cloud, "GET", f"/git/ref/heads/{BRANCH}")) == (404, "Not Found")
    assert refusal(committed(cloud, "x")) == (404, f"Branch {BRANCH} not found")
    assert branched(cloud)[0] == 201
    assert refusal(branched(cloud)) == (422, "Reference already exists")
    unknown = {"ref": "refs/heads/other", "sha": "0" * 40}
    assert refusal(files(cloud, "POST", "/git/refs", unknown)) == (422, "Object does not exist")
    assert files(cloud, "POST", "/git/refs", {**unknown, "ref": "other"})[0] == 422
    assert refusal(files(cloud, "GET", f"/contents/{LOG}?ref={BRANCH}")) == (404, "Not Found")
    assert files(cloud, "GET", f"/contents/{LOG}?ref=none")[0] == 404
    text = "ação\n" * 20
    status, made = committed(cloud, text)
    assert status == 201
    status, shown = files(cloud, "GET", f"/contents/{LOG}?ref={BRANCH}")
    assert (status, shown["type"], shown["encoding"]) == (200, "file", "base64")
    lines = shown["content"].splitlines()
    assert len(lines) > 2 and {len(line) for line in lines[:-1]} == {60}
    assert base64.b64decode(shown["content"]).decode() == text
    # Same hash as `git hash-object`.
    assert shown["sha"] == hashlib.sha1(f"blob {len(text.encode())}\0{text}".encode()).hexdigest()
    assert refusal(committed(cloud, "new")) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    assert refusal(committed(cloud, "new", sha="0" * 40)) == (409, f"{LOG} does not match {'0' * 40}")
    assert refusal(committed(cloud, "new", sha=shown["sha"], content="!")) == (422, "content is not valid Base64")
    assert committed(cloud, "new", sha=shown["sha"])[0] == 200
    # Commits of a file, and one by its SHA; a personal token's commits are not signed.
    newest, first = files(cloud, "GET", f"/commits?sha={BRANCH}&path={LOG}&per_page=30")[1]
    assert first["sha"] == made["commit"]["sha"] and newest["parents"] == [{"sha": first["sha"]}]
    assert files(cloud, "GET", f"/commits/{newest['sha']}") == (200, newest)
    assert newest["commit"]["verification"]["reason"] == "unsigned"
    assert files(cloud, "GET", f"/commits?sha={BRANCH}&path={LOG}&per_page=1")[1] == [newest]
    assert files(cloud, "GET", f"/commits?sha=main&path={LOG}")[1] == []
    assert files(cloud, "GET", f"/commits/{'0' * 40}")[0] == 422
    # A commit's SHA still reads the old file. A folder reads as a list without contents.
    assert files(cloud, "GET", f"/contents/{LOG}?ref={made['commit']['sha']}") == (200, shown)
    folder, _, name = LOG.rpartition("/")
    listed = files(cloud, "GET", f"/contents/{folder}?ref={BRANCH}")[1]
    assert [(entry["type"], entry["name"], "content" in entry) for entry in listed] == [("file", name, False)]
    assert refusal(files(cloud, "GET", f"/contents/{folder[:-1]}?ref={BRANCH}")) == (404, "Not Found")
    main = {"README.md": "# governance\n"}
    told = cloud.admin("GET", "github/repository")
    assert told == {"default_branch": "main", "branches": {"main": main, BRANCH: {**main, LOG: "new"}}, "pulls": []}
    start = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    for base, head, status in [("main", start, "identical"), ("main", BRANCH, "ahead"), (BRANCH, start, "behind")]:
        assert files(cloud, "GET", f"/compare/{base}...{head}?per_page=1&page=2")[1]["status"] == status
    assert refusal(files(cloud, "GET", f"/compare/main...{'0' * 40}")) == (404, "Not Found")
    path = f"/git/refs/heads/{BRANCH}"
    assert refusal(files(cloud, "PATCH", path, {"sha": start})) == (422, "Update is not a fast forward")
    assert files(cloud, "PATCH", path, {"sha": start, "force": True})[0] == 200
    assert cloud.admin("GET", "github/repository")["branches"][BRANCH] == main
    assert refusal(files(cloud, "PATCH", "/git/refs/heads/none", {"sha": start})) == (422, "Reference does not exist")
    committed(cloud, "by hand", "main")
    ahead = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    assert files(cloud, "PATCH", path, {"sha": ahead})[0] == 200


def test_github_makes_trees_and_commits_that_no_branch_has_until_it_moves(cloud):
    head = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    status, commit = files(cloud, "GET", f"/git/commits/{head}")
    base = commit["tree"]["sha"]
    assert (status, commit["parents"]) == (200, [])
    listing = files(cloud, "GET", f"/git/trees/{base}?recursive=1")[1]
    assert ([entry["path"] for entry in listing["tree"]], listing["truncated"]) == (["README.md"], False)
    # The SHA of a blob is git's.
    readme = b"# governance\n"
    assert listing["tree"][0]["sha"] == hashlib.sha1(b"blob %d\0" % len(readme) + readme).hexdigest()

    def entry(path, **more):
        return {"path": path, "mode": "100644", "type": "blob", **more}

    entries = [entry("docs/a.json", content="1"), entry("README.md", sha=None)]
    status, tree = files(cloud, "POST", "/git/trees", {"base_tree": base, "tree": entries})
    assert status == 201
    made = files(cloud, "POST", "/git/commits", {"message": "m", "tree": tree["sha"], "parents": [head]})
    assert made[0] == 201
    assert cloud.admin("GET", "github/repository")["branches"] == {"main": {"README.md": "# governance\n"}}
    assert files(cloud, "PATCH", "/git/refs/heads/main", {"sha": made[1]["sha"], "force": False})[0] == 200
    assert cloud.admin("GET", "github/repository")["branches"] == {"main": {"docs/a.json": "1"}}
    stale = files(cloud, "POST", "/git/commits", {"message": "m", "tree": tree["sha"], "parents": [head]})[1]["sha"]
    moved = files(cloud, "PATCH", "/git/refs/heads/main", {"sha": stale, "force": False})
    assert refusal(moved) == (422, "Update is not a fast forward")
    for body in (
        {"base_tree": base, "tree": []},
        {"base_tree": "0" * 40, "tree": entries},
        {"base_tree": base, "tree": [entry("none", sha=None)]},
        {"base_tree": base, "tree": [entry("x")]},
        {"base_tree": base, "tree": [{"path": "x", "content": "1"}]},
    ):
        assert files(cloud, "POST", "/git/trees", body)[0] == 422, body
    assert files(cloud, "POST", "/git/commits", {"message": "m", "tree": "0" * 40, "parents": []})[0] == 422
    assert files(cloud, "GET", f"/git/commits/{'0' * 40}")[0] == 404
    cloud.admin("POST", "github/config", {"truncated": True})
    assert files(cloud, "GET", f"/git/trees/{base}?recursive=1")[1]["truncated"] is True
    cloud.admin("POST", "github/config", {"truncated": False})


def test_github_has_one_pull_request_of_a_branch_and_merges_it(cloud):
    branched(cloud)
    assert refusal(proposed(cloud)) == (422, "Validation Failed", f"No commits between main and {BRANCH}")
    assert refusal(proposed(cloud, head="none")) == (422, "Validation Failed", "head")
    assert refusal(proposed(cloud, base="none")) == (422, "Validation Failed", "base")
    committed(cloud, "new")
    status, pull = proposed(cloud)
    assert (status, pull["state"], pull["head"]["ref"]) == (201, "open", BRANCH)
    reason = f"A pull request already exists for moveongs:{BRANCH}."
    assert refusal(proposed(cloud)) == (422, "Validation Failed", reason)

    def listed(query=""):
        return [found["number"] for found in files(cloud, "GET", f"/pulls?base=main&state=open{query}")[1]]

    assert listed(f"&head=moveongs:{BRANCH}") == listed("&head=unowned") == [pull["number"]]
    assert listed("&head=moveongs:other") == listed(f"&head=other:{BRANCH}") == []
    assert cloud.admin("POST", "github/pulls/merge", {"number": pull["number"]}) == {"merged": pull["number"]}
    told = cloud.admin("GET", "github/repository")
    usual = {"number": pull["number"], "title": "t", "body": "b", "head": BRANCH, "base": "main"}
    assert told["pulls"] == [{**usual, "state": "closed", "merged": True}]
    assert told["branches"]["main"][LOG] == "new"
    assert refusal(proposed(cloud))[2] == f"No commits between main and {BRANCH}"
    assert listed() == []
    # A branch reset to its base has no commits left, so its pull request is closed.
    committed(cloud, "newer", sha=files(cloud, "GET", f"/contents/{LOG}")[1]["sha"])
    assert proposed(cloud)[1]["number"] > pull["number"]
    start = files(cloud, "GET", "/git/ref/heads/main")[1]["object"]["sha"]
    files(cloud, "PATCH", f"/git/refs/heads/{BRANCH}", {"sha": start, "force": True})
    assert listed() == []


def test_github_refuses_files_without_the_permission_and_names_the_calls(cloud):
    cloud.admin("POST", "github/config", {"may_write_contents": False})
    refused = (403, "Resource not accessible by personal access token")
    for answered in (branched(cloud), committed(cloud, "x", "main"), proposed(cloud)):
        assert refusal(answered) == refused
    assert files(cloud, "PATCH", f"/git/refs/heads/{BRANCH}", {})[0] == 403
    assert files(cloud, "GET", "/contents/README.md")[0] == files(cloud, "GET")[0] == 200
    assert github(cloud, "POST", "", {"title": "x"})[0] == 201
    cloud.admin("POST", "github/config", {"may_write_contents": True, "may_write": False})
    assert branched(cloud)[0] == 201
    assert files(cloud, "GET", "/branches")[0] == 404
    called = [call["action"] for call in cloud.admin("GET", "calls")["calls"] if call["service"] == "github"]
    branching = ["GET /git/ref", "POST /git/refs"]
    refused = [*branching, "PUT /contents", "POST /pulls", "PATCH /git/refs"]
    assert called[-11:] == [*refused, "GET /contents", "GET /", "POST /issues", *branching, "GET unknown"]


@pytest.mark.parametrize(
    ("route", "field", "body"),
    [
        ("github/config", "issue", {"issue": False}),
        ("github/config", "remaining", {"remaining": True}),
        ("github/issues", "title", {"title": ""}),
        ("github/pulls/merge", "number", {"number": 999_999}),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(cloud, route, field, body):
    with pytest.raises(AssertionError, match=rf'400 {{"error": "{field}: '):
        cloud.admin("POST", route, body)
