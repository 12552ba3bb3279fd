"""GitHub: one repository, `moveongs/governance` by default, with the service's statuses, bodies and limits.

`cloud.json` has `github_url` and `github_token`. Issues: list (by label and state, in pages with a Link header),
open, read, change, comments. Files: the repository, branches (read, create, move), a file's contents (read, commit),
commits (list, read), commits (read, make) and trees (read, make) of git, pull requests (list, open). Secrets of
Actions, of the repository and of environments (`githubsecrets.py`): public key, write, read (without the value). Their
actions in the log are `GET /actions/secrets/public-key`, `PUT /actions/secrets/{name}`, `GET /actions/secrets/{name}`,
and the same with `/environments/secrets`. The effect `throttle` of a fault rule is the secondary rate limit. Routes
below /_local:

- `GET github/issues` -> `{"issues": [{number, title, body, state, state_reason, labels, comments}]}`, by number; a
  comment is its text.
- `POST github/issues` opens an issue on behalf of a person: `title`, and optionally `body`, `labels`, `state`.
- `DELETE github/issues` deletes all issues; their numbers are not reused.
- `GET github/repository` -> `{"default_branch", "branches": {name: {path: text}}, "pulls": [{number, title, body,
  state, merged, head, base}]}`, by number; head and base are branches.
- `POST github/pulls/merge` `{"number"}` merges an open pull request on behalf of a person; the head's files win.
- `DELETE github/repository` deletes branches, files and pull requests, and restores `main` with a README.md. Numbers
  are not reused.
- `GET github/secrets` -> `{"secrets": [{scope, name, value, created_at, updated_at}]}`, oldest first, with the plain
  value; the scope is `repository` or `environment:NAME`. No other route shows a value.
- `POST github/secrets` writes a secret on behalf of a person: `name`, `value`, and optionally `scope` (`repository`
  by default) and `updated_at`, in GitHub's format.
- `DELETE github/secrets` deletes all secrets.
- `POST github/secrets/keys` `{}` replaces the key pairs: a new `key_id`, and 422 for the former one.
- `POST github/config` changes the given settings: `repository` (owner/name), `issues` (false: disabled, 410),
  `may_write` (false: the token lacks the permission for issues, 403), `may_write_contents` (false: the permission for
  branches, files and pull requests), `may_write_secrets` (false: the permission for secrets), `may_label` (false:
  labels of new issues are silently dropped), `truncated` (true: listings of trees say that they are not whole),
  `environments` (names of the existing environments; `staging` and `production` by default), `lose_secret_writes`
  (true: a write of a secret succeeds without effect), `stale_keys` (replaces the key pairs before each of the next N
  writes of secrets), `remaining` (calls until the primary rate limit; -1: unlimited) and `reset_seconds` (from the
  first rejected call until the limit is lifted).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from localcloud.cloud import AdminError, Cloud
from localcloud.faults import Answer, Call, Rule
from localcloud.standins.githubsecrets import REPOSITORY, ActionsSecrets, Refused, checked_name
from localcloud.standins.web import Request, Servers, answer_json, guarded, is_text, only


class GitHubError(Exception):
    """An error response of GitHub."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None, headers: dict | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
        if errors:
            self.body["errors"] = errors


SECRETS = re.compile(r"/(?:actions|environments/(?P<environment>.+))/secrets/(?P<name>[^/]+)")


class GitHub:
    """One repository with issues, files and secrets, behind GitHub's REST API, version 2022-11-28."""

    BODY = 65_536
    TITLE = 256
    DEFAULT = "main"

    def __init__(self) -> None:
        self.token = f"github_pat_{secrets.token_hex(11)}_{secrets.token_hex(29)}"
        self.url = ""
        self.settings: dict[str, Any] = {
            "repository": "moveongs/governance",
            "issues": True,
            "may_write": True,
            "may_write_contents": True,
            "may_write_secrets": True,
            "may_label": True,
            "truncated": False,
            "environments": ["staging", "production"],
            "lose_secret_writes": False,
            "stale_keys": 0,
            "remaining": -1,
            "reset_seconds": 3600,
        }
        self.issues: dict[int, dict[str, Any]] = {}
        self.secrets = ActionsSecrets()
        # The number of the newest issue or pull request, which share one sequence.
        self._last = 0
        self._clear()

    def _clear(self) -> None:
        # Each commit's files, and its parents.
        self.commits: dict[str, tuple[dict[str, str], list[str]]] = {}
        self.branches: dict[str, str] = {}
        self.pulls: dict[int, dict[str, Any]] = {}
        # Trees of git, by SHA; a listing is flat, as the recursive one of GitHub.
        self.trees: dict[str, dict[str, str]] = {}
        self._commit(self.DEFAULT, {"README.md": "# governance\n"}, [])

    def handle(self, request: Request) -> Answer:
        try:
            return self._route(request)
        except Refused as error:
            return answer_json(error.status, GitHubError(error.status, str(error)).body)
        except GitHubError as error:
            return answer_json(error.status, error.body, error.headers)

    def _route(self, request: Request) -> Answer:
        if not request.headers.get("user-agent"):
            raise GitHubError(403, "Request forbidden by administrative rules. Please make sure to have a User-Agent")
        if request.headers.get("x-github-api-version", "2022-11-28") != "2022-11-28":
            raise GitHubError(400, "X-GitHub-Api-Version is not a supported version")
        if not hmac.compare_digest((request.bearer or "").encode(), self.token.encode()):
            raise GitHubError(401, "Bad credentials" if request.bearer else "Requires authentication")
        if self.settings["remaining"] == 0:
            reset = int(time.time()) + self.settings["reset_seconds"]
            left = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
            raise GitHubError(403, "API rate limit exceeded for user ID 1.", headers=left)
        self.settings["remaining"] -= self.settings["remaining"] > 0
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", request.path)
        if not found or found[1].lower() != self.settings["repository"].lower():
            raise GitHubError(404, "Not Found")
        rest = found[2] or ""
        if found := SECRETS.fullmatch(rest):
            return self._route_secrets(request, found["environment"], found["name"])
        found = re.fullmatch(r"(/issues)(?:/(\d+)(/comments)?)?", rest)
        if not found:
            return self._route_files(request, rest)
        if not self.settings["issues"]:
            raise GitHubError(410, "Issues has been disabled in this repository.")
        if request.method != "GET" and not self.settings["may_write"]:
            raise GitHubError(403, "Resource not accessible by personal access token")
        if found[2] is None:
            routes = {"GET": self._list, "POST": self._open}
            return self._served(routes, request)
        issue = self.issues.get(int(found[2]))
        if issue is None:
            raise GitHubError(404, "Not Found")
        if found[3]:
            routes = {"GET": self._comments, "POST": self._comment}
        else:
            routes = {"GET": lambda _, issue: answer_json(200, self._shown(issue)), "PATCH": self._change}
        return self._served(routes, request, issue)

    def _route_secrets(self, request: Request, environment: str | None, name: str) -> Answer:
        if environment is not None and environment not in self.settings["environments"]:
            raise GitHubError(404, "Not Found")
        scope = REPOSITORY if environment is None else f"environment:{environment}"
        if request.method == "GET":
            status, value = self.secrets.public_key(scope) if name == "public-key" else self.secrets.read(scope, name)
        elif request.method == "PUT":
            if not self.settings["may_write_secrets"]:
                raise GitHubError(403, "Resource not accessible by personal access token")
            given = self._json(request)
            if self.settings["stale_keys"] > 0:
                self.settings["stale_keys"] -= 1
                self.secrets.replace_keys()
            status, value = self.secrets.write(scope, name, given, self.settings["lose_secret_writes"])
        else:
            raise GitHubError(404, "Not Found")
        return (status, {}, b"") if value is None else answer_json(status, value)

    def _route_files(self, request: Request, path: str) -> Answer:
        routes = {
            "": {"GET": self._describe},
            "/git/ref/heads/(.+)": {"GET": self._ref},
            "/git/refs": {"POST": self._add_ref},
            r"/compare/(.+)\.\.\.(.+)": {"GET": self._compare},
            "/git/refs/heads/(.+)": {"PATCH": self._move_ref},
            "/commits": {"GET": self._list_commits},
            "/commits/([0-9a-f]{40})": {"GET": self._one_commit},
            "/contents/(.+)": {"GET": self._file, "PUT": self._put_file},
            "/git/commits/([0-9a-f]{40})": {"GET": self._git_commit},
            "/git/commits": {"POST": self._add_git_commit},
            "/git/trees/([0-9a-f]{40})": {"GET": self._git_tree},
            "/git/trees": {"POST": self._add_git_tree},
            "/pulls": {"GET": self._list_pulls, "POST": self._open_pull},
        }
        for pattern, methods in routes.items():
            if found := re.fullmatch(pattern, path):
                if request.method != "GET" and not self.settings["may_write_contents"]:
                    raise GitHubError(403, "Resource not accessible by personal access token")
                return self._served(methods, request, *found.groups())
        raise GitHubError(404, "Not Found")

    @staticmethod
    def _served(routes: dict[str, Callable], request: Request, *rest) -> Answer:
        if request.method not in routes:
            raise GitHubError(404, "Not Found")
        return routes[request.method](request, *rest)

    @staticmethod
    def _json(request: Request) -> dict[str, Any]:
        try:
            given = json.loads(request.body)
        except ValueError:
            raise GitHubError(400, "Problems parsing JSON") from None
        if not isinstance(given, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return given

    def _list(self, request: Request) -> Answer:
        query = request.query
        state = query.get("state", "open")
        if state not in ("open", "closed", "all"):
            raise GitHubError(422, "Validation Failed", [{"resource": "Issue", "field": "state", "code": "invalid"}])
        labels = set(filter(None, query.get("labels", "").split(",")))
        found = [
            issue
            for issue in self.issues.values()
            if state in ("all", issue["state"]) and labels <= set(issue["labels"])
        ]
        if query.get("direction", "desc") == "desc":
            found.reverse()
        number = int(query["page"]) if query.get("page", "").isdigit() else 1
        size = min(int(query["per_page"]), 100) if query.get("per_page", "").isdigit() else 30
        pages = max(-(-len(found) // size), 1)
        links = [("prev", number - 1), ("next", number + 1), ("last", pages), ("first", 1)]
        there = [
            f'<{self.url}{request.path}?{urlencode({**query, "page": page})}>; rel="{name}"'
            for name, page in links
            if 1 <= page <= pages and page != number
        ]
        page = [self._shown(issue) for issue in found[(number - 1) * size : number * size]]
        return answer_json(200, page, {"link": ", ".join(there)} if there else {})

    def _open(self, request: Request) -> Answer:
        given = self._json(request)
        self._check(given, needs_title=True)
        labels = given.get("labels", []) if self.settings["may_label"] else []
        return answer_json(201, self._shown(self._add(given["title"], given.get("body"), labels)))

    def _add(self, title: str, body: str | None, labels: list[str], state: str = "open") -> dict[str, Any]:
        self._last += 1
        issue = {"number": self._last, "title": title, "body": body, "state": state, "state_reason": None}
        self.issues[self._last] = {**issue, "labels": list(labels), "comments": []}
        return self.issues[self._last]

    def _check(self, given: dict[str, Any], *, needs_title: bool) -> None:
        def wrong(field: str, code: str) -> GitHubError:
            return GitHubError(422, "Validation Failed", [{"resource": "Issue", "field": field, "code": code}])

        title = given.get("title")
        if (needs_title or "title" in given) and not (isinstance(title, str) and title.strip()):
            raise wrong("title", "missing_field")
        if len(title or "") > self.TITLE:
            raise wrong("title", "custom")
        if not isinstance(given.get("body"), str | None):
            raise GitHubError(422, "Invalid request.\n\nFor 'properties/body', it is not a string.")
        if len(given.get("body") or "") > self.BODY:
            raise wrong("body", "custom")
        if given.get("state", "open") not in ("open", "closed"):
            raise wrong("state", "invalid")
        if given.get("state_reason") not in (None, "completed", "not_planned", "duplicate", "reopened"):
            raise wrong("state_reason", "invalid")

    def _change(self, request: Request, issue: dict[str, Any]) -> Answer:
        given = self._json(request)
        self._check(given, needs_title=False)
        issue.update({key: given[key] for key in ("title", "body", "state", "state_reason", "labels") if key in given})
        return answer_json(200, self._shown(issue))

    def _comments(self, _: Request, issue: dict[str, Any]) -> Answer:
        return answer_json(200, [{"id": number, "body": text} for number, text in enumerate(issue["comments"])])

    def _comment(self, request: Request, issue: dict[str, Any]) -> Answer:
        text = self._json(request).get("body")
        if not isinstance(text, str) or not text.strip():
            code = [{"resource": "IssueComment", "field": "body", "code": "missing_field"}]
            raise GitHubError(422, "Validation Failed", code)
        issue["comments"].append(text)
        return answer_json(201, {"id": len(issue["comments"]) - 1, "body": text})

    def _shown(self, issue: dict[str, Any]) -> dict[str, Any]:
        number = issue["number"]
        return {
            **issue,
            "id": 1_000_000 + number,
            "node_id": f"I_{number}",
            "html_url": f"https://github.com/{self.settings['repository']}/issues/{number}",
            "user": {"login": "governance", "type": "User"},
            "labels": [{"name": name, "color": "ededed"} for name in issue["labels"]],
            "comments": len(issue["comments"]),
        }

    def _commit(self, branch: str, files: dict[str, str], parents: list[str]) -> str:
        sha = secrets.token_hex(20)
        self.commits[sha] = files, parents
        self.branches[branch] = sha
        return sha

    def _files(self, branch: str) -> dict[str, str]:
        return self.commits[self.branches[branch]][0]

    def _history(self, sha: str) -> set[str]:
        """The commit and its ancestors."""
        found, left = set(), [sha]
        while left:
            found.add(sha := left.pop())
            left += self.commits[sha][1]
        return found

    def _has_commits(self, pull: dict[str, Any]) -> bool:
        """Whether the head has commits that the base lacks."""
        return self.branches[pull["head"]] not in self._history(self.branches[pull["base"]])

    def _describe(self, _: Request) -> Answer:
        name = self.settings["repository"]
        return answer_json(200, {"full_name": name, "default_branch": self.DEFAULT, "private": True})

    def _shown_ref(self, status: int, branch: str) -> Answer:
        pointed = {"type": "commit", "sha": self.branches[branch]}
        return answer_json(status, {"ref": f"refs/heads/{branch}", "object": pointed})

    def _ref(self, _: Request, branch: str) -> Answer:
        if branch not in self.branches:
            raise GitHubError(404, "Not Found")
        return self._shown_ref(200, branch)

    def _compare(self, _: Request, base: str, head: str) -> Answer:
        """Compares two commits or branches; https://docs.github.com/en/rest/commits/commits#compare-two-commits."""
        base, head = (self.branches.get(name, name) for name in (base, head))
        if base not in self.commits or head not in self.commits:
            raise GitHubError(404, "Not Found")
        ahead, behind = (len(self._history(one) - self._history(other)) for one, other in ((head, base), (base, head)))
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        counts = {"ahead_by": ahead, "behind_by": behind, "total_commits": ahead, "commits": []}
        return answer_json(200, {"status": status.get((ahead > 0, behind > 0), "diverged"), **counts})

    def _shown_commit(self, sha: str) -> dict[str, Any]:
        """https://docs.github.com/en/rest/commits/commits#get-a-commit; GitHub signs no commit of a personal token."""
        unsigned = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
        parents = [{"sha": parent} for parent in self.commits[sha][1]]
        return {"sha": sha, "commit": {"message": "", "verification": unsigned}, "parents": parents}

    def _one_commit(self, _: Request, sha: str) -> Answer:
        if sha not in self.commits:
            raise GitHubError(422, f"No commit found for SHA: {sha}")
        return answer_json(200, self._shown_commit(sha))

    def _list_commits(self, request: Request) -> Answer:
        """The commits that changed a file, the newest first: of a branch without merges."""
        query = request.query
        if unknown := query.keys() - {"sha", "path", "per_page"}:
            raise GitHubError(422, f"not served: {sorted(unknown)}")
        ref, path = query.get("sha", self.DEFAULT), query.get("path")
        sha = self.branches.get(ref, ref)
        if sha not in self.commits:
            raise GitHubError(404, "Not Found")
        found = []
        while sha is not None:
            files, parents = self.commits[sha]
            parent = parents[0] if parents else None
            before = self.commits[parent][0] if parent else {}
            if path is None or files.get(path) != before.get(path):
                found.append(self._shown_commit(sha))
            sha = parent
        return answer_json(200, found[: int(query.get("per_page", 30))])

    def _texts(self, request: Request, *names: str) -> list[str]:
        given = self._json(request)
        for name in names:
            if not isinstance(given.get(name), str):
                raise GitHubError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        return [given[name] for name in names]

    def _add_ref(self, request: Request) -> Answer:
        ref, sha = self._texts(request, "ref", "sha")
        branch = ref.removeprefix("refs/heads/")
        if branch == ref:
            raise GitHubError(422, "Reference name must start with 'refs/heads/'")
        if branch in self.branches:
            raise GitHubError(422, "Reference already exists")
        if sha not in self.commits:
            raise GitHubError(422, "Object does not exist")
        self.branches[branch] = sha
        return self._shown_ref(201, branch)

    def _move_ref(self, request: Request, branch: str) -> Answer:
        (sha,) = self._texts(request, "sha")
        if branch not in self.branches:
            raise GitHubError(422, "Reference does not exist")
        if sha not in self.commits:
            raise GitHubError(422, "Object does not exist")
        if self.branches[branch] not in self._history(sha) and self._json(request).get("force") is not True:
            raise GitHubError(422, "Update is not a fast forward")
        self.branches[branch] = sha
        for pull in self.pulls.values():
            # GitHub closes a pull request that has no commits left.
            if pull["state"] == "open" and pull["head"] == branch and not self._has_commits(pull):
                pull["state"] = "closed"
        return self._shown_ref(200, branch)

    def _file(self, request: Request, path: str) -> Answer:
        ref = request.query.get("ref", self.DEFAULT)
        commit = self.commits.get(self.branches.get(ref, ref))
        if commit is None:
            raise GitHubError(404, f"No commit found for the ref {ref}")
        if path not in commit[0]:
            return self._folder(commit[0], path)
        content = base64.b64encode(commit[0][path].encode()).decode()
        lines = "".join(f"{content[at : at + 60]}\n" for at in range(0, len(content), 60))
        return answer_json(200, {**_blob(path, commit[0][path]), "encoding": "base64", "content": lines})

    @staticmethod
    def _folder(files: dict[str, str], path: str) -> Answer:
        """A folder's entries; https://docs.github.com/en/rest/repos/contents#get-repository-content."""
        below = {name.removeprefix(f"{path}/"): text for name, text in files.items() if name.startswith(f"{path}/")}
        if not below:
            raise GitHubError(404, "Not Found")
        plain = [_blob(f"{path}/{name}", text) for name, text in below.items() if "/" not in name]
        folders = sorted({name.partition("/")[0] for name in below if "/" in name})
        return answer_json(200, plain + [{"type": "dir", "path": f"{path}/{name}", "name": name} for name in folders])

    def _put_file(self, request: Request, path: str) -> Answer:
        message, content = self._texts(request, "message", "content")
        given = self._json(request)
        branch = given.get("branch", self.DEFAULT)
        if branch not in self.branches:
            raise GitHubError(404, f"Branch {branch} not found")
        try:
            text = base64.b64decode(content, validate=True).decode()
        except ValueError:
            raise GitHubError(422, "content is not valid Base64") from None
        files = self._files(branch)
        # GitHub ignores the sha of a file that does not exist.
        if path in files and "sha" not in given:
            raise GitHubError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if path in files and given["sha"] != _blob(path, files[path])["sha"]:
            raise GitHubError(409, f"{path} does not match {given['sha']}")
        sha = self._commit(branch, {**files, path: text}, [self.branches[branch]])
        made = {"content": _blob(path, text), "commit": {"sha": sha, "message": message}}
        return answer_json(200 if path in files else 201, made)

    # Git's database: https://docs.github.com/en/rest/git/commits, https://docs.github.com/en/rest/git/trees

    def _tree(self, files: dict[str, str]) -> str:
        sha = hashlib.sha1(json.dumps(sorted(files.items())).encode()).hexdigest()
        self.trees[sha] = files
        return sha

    def _git_commit(self, _: Request, sha: str) -> Answer:
        if sha not in self.commits:
            raise GitHubError(404, "Not Found")
        files, parents = self.commits[sha]
        tree = {"sha": self._tree(files)}
        return answer_json(200, {"sha": sha, "tree": tree, "parents": [{"sha": one} for one in parents]})

    def _git_tree(self, request: Request, sha: str) -> Answer:
        if sha not in self.trees:
            raise GitHubError(404, "Not Found")
        if not request.query.get("recursive"):
            raise GitHubError(422, "this stand-in lists trees recursively only")
        files = self.trees[sha]
        folders = {name.rpartition("/")[0] for name in files if "/" in name}
        entries = [{"path": name, "mode": "040000", "type": "tree", "sha": sha} for name in sorted(folders)]
        for name, text in sorted(files.items()):
            blob = _blob(name, text)
            entries.append({"path": name, "mode": "100644", "type": "blob", "sha": blob["sha"], "size": blob["size"]})
        return answer_json(200, {"sha": sha, "tree": entries, "truncated": self.settings["truncated"]})

    def _add_git_tree(self, request: Request) -> Answer:
        given = self._json(request)
        base = given.get("base_tree")
        if base is not None and base not in self.trees:
            raise GitHubError(422, "base_tree is not a valid tree oid")
        entries = given.get("tree")
        if not isinstance(entries, list) or not entries:
            raise GitHubError(422, "Invalid tree info")
        files = dict(self.trees.get(base, {}))
        for entry in entries:
            path = entry.get("path") if isinstance(entry, dict) else None
            is_known = is_text(path) and entry.keys() <= {"path", "mode", "type", "sha", "content"}
            if not is_known or (entry.get("mode"), entry.get("type")) != ("100644", "blob"):
                raise GitHubError(422, "tree.path, tree.mode or tree.type is invalid")
            # One of content and sha; a sha of null deletes the file.
            if isinstance(entry.get("content"), str) and "sha" not in entry:
                files[path] = entry["content"]
            elif "sha" in entry and entry["sha"] is None and "content" not in entry:
                if files.pop(path, None) is None:
                    raise GitHubError(422, "GitRPC::BadObjectState")
            else:
                raise GitHubError(422, "tree.sha is not a valid blob")
        return answer_json(201, {"sha": self._tree(files), "tree": []})

    def _add_git_commit(self, request: Request) -> Answer:
        message, tree = self._texts(request, "message", "tree")
        parents = self._json(request).get("parents", [])
        if tree not in self.trees:
            raise GitHubError(422, "Tree SHA does not exist")
        if any(parent not in self.commits for parent in parents):
            raise GitHubError(422, "Parent SHA does not exist or is not a commit object")
        sha = secrets.token_hex(20)
        self.commits[sha] = self.trees[tree], parents
        return answer_json(201, {"sha": sha, "message": message, "tree": {"sha": tree}})

    def _list_pulls(self, request: Request) -> Answer:
        query = request.query
        state, head = query.get("state", "open"), query.get("head", "")
        owner = self.settings["repository"].partition("/")[0]
        found = [
            self._shown_pull(pull)
            for pull in reversed(self.pulls.values())
            if state in ("all", pull["state"])
            and query.get("base", pull["base"]) == pull["base"]
            # GitHub ignores a head without its owner.
            and (":" not in head or head == f"{owner}:{pull['head']}")
        ]
        return answer_json(200, found[: int(query.get("per_page", 30))])

    def _open_pull(self, request: Request) -> Answer:
        def wrong(**error: str) -> GitHubError:
            return GitHubError(422, "Validation Failed", [{"resource": "PullRequest", **error}])

        given = self._json(request)
        self._check(given, needs_title=True)
        owner = self.settings["repository"].partition("/")[0]
        given["head"] = str(given.get("head", "")).removeprefix(f"{owner}:")
        for field in ("base", "head"):
            if given.get(field) not in self.branches:
                raise wrong(field=field, code="invalid")
        pull = {"number": self._last + 1, **{key: given.get(key) for key in ("title", "body", "head", "base")}}
        for other in self.pulls.values():
            if (other["state"], other["head"], other["base"]) == ("open", pull["head"], pull["base"]):
                raise wrong(code="custom", message=f"A pull request already exists for {owner}:{pull['head']}.")
        if not self._has_commits(pull):
            raise wrong(code="custom", message=f"No commits between {pull['base']} and {pull['head']}")
        self._last += 1
        self.pulls[self._last] = {**pull, "state": "open", "merged": False}
        return answer_json(201, self._shown_pull(self.pulls[self._last]))

    def _shown_pull(self, pull: dict[str, Any]) -> dict[str, Any]:
        name = self.settings["repository"]

        def side(branch: str) -> dict[str, Any]:
            label = f"{name.partition('/')[0]}:{branch}"
            return {"ref": branch, "label": label, "repo": {"full_name": name}}

        url = f"https://github.com/{name}/pull/{pull['number']}"
        return {**pull, "html_url": url, "head": side(pull["head"]), "base": side(pull["base"])}

    async def repository(self, _: dict[str, Any]) -> dict[str, Any]:
        branches = {branch: self._files(branch) for branch in self.branches}
        return {"default_branch": self.DEFAULT, "branches": branches, "pulls": list(self.pulls.values())}

    async def merge(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"number"})
        pull = self.pulls.get(fields.get("number"))
        if pull is None or pull["state"] != "open":
            raise AdminError("number: no open pull request")
        head, base = pull["head"], pull["base"]
        parents = [self.branches[base], self.branches[head]]
        # A head that has the base's newest commit is the result, with the files that it lacks.
        kept = {} if self.branches[base] in self._history(self.branches[head]) else self._files(base)
        self._commit(base, {**kept, **self._files(head)}, parents)
        pull.update(state="closed", merged=True)
        return {"merged": pull["number"]}

    async def forget_repository(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.pulls)
        self._clear()
        return {"removed": removed}

    async def list_issues(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"issues": list(self.issues.values())}

    async def put(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, {"title", "body", "labels", "state"})
        if not is_text(fields.get("title")):
            raise AdminError("title: must be a text")
        issue = self._add(fields["title"], fields.get("body"), fields.get("labels", []), fields.get("state", "open"))
        return {"number": issue["number"]}

    async def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        removed = len(self.issues)
        self.issues.clear()
        return {"removed": removed}

    async def configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, self.settings)
        for name, value in fields.items():
            kind = type(self.settings[name])
            if type(value) is not kind:
                raise AdminError(f"{name}: must be a {kind.__name__}")
        if not all(map(is_text, fields.get("environments", []))):
            raise AdminError("environments: must be a list of names")
        self.settings.update(fields)
        return {"set": sorted(fields)}

    async def list_secrets(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"secrets": self.secrets.shown()}

    async def put_secret(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = {"scope": REPOSITORY, **fields} if isinstance(fields, dict) else fields
        only(fields, {"scope", "name", "value", "updated_at"})
        if not all(is_text(fields.get(name)) for name in ("scope", "name", "value")):
            raise AdminError("scope, name and value must be texts")
        environments = [f"environment:{name}" for name in self.settings["environments"]]
        if fields["scope"] not in (REPOSITORY, *environments):
            raise AdminError("scope: must be repository or environment:NAME of one that is there")
        try:
            name = checked_name(fields["name"])
        except Refused as error:
            raise AdminError(f"name: {error}") from None
        at = fields.get("updated_at")
        if at is not None and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(at)):
            raise AdminError("updated_at: must be a time as 2026-01-02T03:04:05Z")
        self.secrets.put(fields["scope"], name, fields["value"], at)
        return {"scope": fields["scope"], "name": name}

    async def forget_secrets(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self.secrets.forget()}

    async def replace_keys(self, fields: dict[str, Any]) -> dict[str, Any]:
        only(fields, ())
        self.secrets.replace_keys()
        return {}


def _blob(path: str, text: str) -> dict[str, Any]:
    """A file as the contents API describes it; its sha is the blob's in git."""
    content = text.encode()
    sha = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {"type": "file", "path": path, "name": path.rpartition("/")[2], "size": len(content), "sha": sha}


def _action(method: str, path: str) -> str:
    found = re.fullmatch(
        r"/repos/[^/]+/[^/]+(/git/(?:refs?|commits|trees)|/commits|/contents|/pulls|/compare)?(/.*)?", path
    )
    if found and (found[1] or not found[2]):
        return f"{method} {found[1] or '/'}"
    found = re.fullmatch(r"/repos/[^/]+/[^/]+(/.+)", path)
    if found and (secret := SECRETS.fullmatch(found[1])):
        # Don't log parts of a path that the caller chose.
        name = "public-key" if secret["name"] == "public-key" else "{name}"
        return f"{method} /{'environments' if secret['environment'] else 'actions'}/secrets/{name}"
    found = re.fullmatch(r"/repos/[^/]+/[^/]+/issues(/\d+)?(/comments)?", path)
    if not found:
        return f"{method} unknown"
    return f"{method} /issues{'/{n}' if found[1] else ''}{found[2] or ''}"


def _refuse(_call: Call, rule: Rule, _headers: dict[str, str]) -> Answer:
    if rule.effect == "throttle":
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return answer_json(403, {"message": message}, {"retry-after": f"{rule.seconds:g}"})
    return answer_json(rule.status, {"message": rule.message})


def install(cloud: Cloud, servers: Servers) -> None:
    """Registers the routes, and starts the server with the cloud."""
    github = GitHub()
    cloud.route("GET", "github/issues")(github.list_issues)
    cloud.route("POST", "github/issues")(github.put)
    cloud.route("DELETE", "github/issues")(github.forget)
    cloud.route("GET", "github/repository")(github.repository)
    cloud.route("DELETE", "github/repository")(github.forget_repository)
    cloud.route("POST", "github/pulls/merge")(github.merge)
    cloud.route("GET", "github/secrets")(github.list_secrets)
    cloud.route("POST", "github/secrets")(github.put_secret)
    cloud.route("DELETE", "github/secrets")(github.forget_secrets)
    cloud.route("POST", "github/secrets/keys")(github.replace_keys)
    cloud.route("POST", "github/config")(github.configure)
    app = guarded(cloud, "github", github.handle, _action, _refuse)

    async def start() -> None:
        github.url = servers.listen(app, "github")
        cloud.facts.update(github_url=github.url, github_token=github.token)

    cloud.on_start.append(start)
