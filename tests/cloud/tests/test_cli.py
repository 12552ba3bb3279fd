"""An operator's `aws` reaches the local cloud, and only it, with every service that messages and pages use."""

from __future__ import annotations

import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time

import boto3
import pytest

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE.parent / "commands"))

from extract import Command, all_commands  # noqa: E402


class Listener:
    """An HTTP server that records requests and answers 400."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.program: list[str] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                asked.append(f"{self.command} {self.headers.get('Authorization', '')}")
                self.send_response(400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_CONNECT = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


WARM = "import sys; from localcloud import warmcli; warmcli.start(*sys.argv[1:]); sys.stdin.read()"


@pytest.fixture(params=["cold", "warm"])
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A stand-in of the local cloud, for the CLI that loads for each command and for the one that stays loaded."""
    listener = Listener()
    listener.program = [sys.executable, str(HERE / "localcloud/cli.py"), listener.url]
    if request.param == "cold":
        yield listener
        listener.server.shutdown()
        return
    folder = str(tmp_path_factory.mktemp("warm"))
    server = [sys.executable, "-c", WARM, folder, listener.url]
    with subprocess.Popen(server, cwd=HERE, stdin=subprocess.PIPE):
        listener.program = [sys.executable, "-I", str(HERE / "localcloud/warmcli.py"), folder]
        while not os.path.exists(os.path.join(folder, "aws.sock")):
            time.sleep(0.01)
        yield listener
    listener.server.shutdown()


@pytest.fixture
def elsewhere():
    listener = Listener()
    yield listener
    listener.server.shutdown()


@pytest.fixture
def misled(elsewhere: Listener, tmp_path: pathlib.Path) -> dict[str, str]:
    """The environment of a developer who works with the real AWS: every variable points elsewhere."""
    config = tmp_path / "config"
    config.write_text(f"[default]\nendpoint_url = {elsewhere.url}\n[profile prod]\nregion = sa-east-1\n")
    credentials = tmp_path / "credentials"
    credentials.write_text("[prod]\naws_access_key_id = AKIAREALREALREALREAL\naws_secret_access_key = real\n")
    aliases = tmp_path / ".aws/cli/alias"
    aliases.parent.mkdir(parents=True)
    aliases.write_text(f"[toplevel]\nrds = !curl -s {elsewhere.url}\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_PROFILE": "prod",
        "AWS_DEFAULT_PROFILE": "prod",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_ENDPOINT_URL": elsewhere.url,
        "AWS_ENDPOINT_URL_RDS": elsewhere.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{elsewhere.url}/credentials",
        "HTTP_PROXY": elsewhere.url,
        "HTTPS_PROXY": elsewhere.url,
        "https_proxy": elsewhere.url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        "LC_ALL": "C.UTF-8",
    }


def aws(local: Listener, environment: dict[str, str], *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    program = [*local.program, *words]
    return subprocess.run(
        program,
        env=environment,
        cwd=environment["HOME"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def one_of_each_service() -> list[Command]:
    """One advised command of each service that needs no input file."""
    by_service: dict[str, Command] = {}
    for command in all_commands():
        is_whole = not command.is_elided and not any("file://" in word or "fileb://" in word for word in command.words)
        if is_whole and command.words[:2] != ("s3", "sync"):
            by_service.setdefault(command.words[0], command)
    return list(by_service.values())


def test_every_service_that_people_are_told_to_use_is_reached_here(
    local: Listener, elsewhere: Listener, misled: dict[str, str]
) -> None:
    commands = [command.words for command in one_of_each_service()]
    assert {"rds", "s3", "s3api", "secretsmanager", "stepfunctions"} <= {words[0] for words in commands}
    # Commands that the CLI once sent elsewhere, and one that prefixes the host with the account.
    commands += [("sqs", "list-queues"), ("s3control", "get-public-access-block", "--account-id", "111122223333")]
    for words in commands:
        if words[1] == "generate-db-auth-token":
            continue
        before = len(local.asked)
        ended = aws(local, misled, *words)
        assert len(local.asked) > before, f"{words}: {ended.stderr}"
    assert elsewhere.asked == []
    assert not any("AKIAREAL" in asked for asked in local.asked)


@pytest.mark.parametrize(
    "words",
    [
        ["--endpoint-url", "https://rds.us-east-1.amazonaws.com", "rds", "describe-db-instances"],
        ["rds", "describe-db-instances", "--endpoint-url=https://rds.us-east-1.amazonaws.com"],
        # The parser accepts an abbreviated option.
        ["rds", "describe-db-instances", "--endpoint", "https://rds.us-east-1.amazonaws.com"],
        ["rds", "describe-db-instances", "--endpoint-url", "ELSEWHERE"],
        ["--profile", "prod", "rds", "describe-db-instances"],
        ["s3", "ls", "--profile=prod"],
        ["s3", "ls", "--prof", "default"],
    ],
)
def test_another_endpoint_and_a_profile_are_refused(
    local: Listener, elsewhere: Listener, misled: dict[str, str], words: list[str]
) -> None:
    ended = aws(local, misled, *(word.replace("ELSEWHERE", elsewhere.url) for word in words))
    assert ended.returncode == 252, ended
    assert "speaks to the local cloud" in ended.stderr
    assert local.asked == elsewhere.asked == []


def test_the_endpoint_itself_may_be_named_and_keys_are_the_callers(local: Listener, misled: dict[str, str]) -> None:
    mine = {**misled, "AWS_ACCESS_KEY_ID": "AKIAMINE", "AWS_SECRET_ACCESS_KEY": "x"}
    aws(local, mine, "rds", "describe-db-instances", "--endpoint-url", f"{local.url}/")
    assert len(local.asked) == 1
    assert "Credential=AKIAMINE/" in local.asked[0]


def test_a_command_has_the_callers_folder_and_streams_and_gives_its_exit_code(
    local: Listener, misled: dict[str, str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "input.json").write_text('{"Limit": 7}')
    version = aws(local, misled, "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("aws-cli/1.")
    missing = aws(local, misled, "kms", "list-keys", "--cli-input-json", "file://absent.json")
    assert missing.returncode in (252, 255)
    assert "absent.json" in missing.stderr
    assert local.asked == []
    # The listener answers 400.
    listed = aws(local, misled, "kms", "list-keys", "--cli-input-json", "file://input.json")
    assert listed.returncode in (254, 255)
    assert len(local.asked) == 1
    aws(local, misled, "s3", "cp", "-", "s3://bucket/key", text="from standard input")
    assert local.asked[-1].startswith("PUT ")


def test_it_works_on_a_local_cloud(cloud, tmp_path: pathlib.Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": ""}
    program = [sys.executable, str(HERE / "localcloud/cli.py"), cloud.facts["endpoint"]]
    command = [*program, "sts", "get-caller-identity", "--query", "Account", "--output", "text"]
    assert subprocess.check_output(command, env=environment, text=True) == "000000000000\n"


@pytest.mark.parametrize("service", ["rds", "sqs", "s3", "secretsmanager", "stepfunctions", "cloudcontrol"])
def test_a_program_with_an_sdk_needs_only_the_environment(
    local: Listener, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    # The variables that `cargo xtask up` prints; its unit test checks that it unsets all other AWS variables.
    for name, value in {
        "AWS_ENDPOINT_URL": local.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    assert boto3.session.Session().client(service).meta.endpoint_url == local.url
