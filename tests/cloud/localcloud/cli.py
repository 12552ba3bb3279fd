"""The AWS CLI for developers, confined to the local cloud: `.local/bin/aws`, which `cargo xtask up` writes.

The environment alone is not enough. Version 1 of the CLI ignores `AWS_ENDPOINT_URL` for some services (RDS and SQS), a
profile or a configuration file brings endpoints and credentials of its own, and an HTTP proxy takes requests elsewhere.
So profiles, files and proxies are hidden, every command gets the endpoint, a command that names another endpoint or a
profile is refused, and a request to any other host is refused before it is sent.

`python cli.py ENDPOINT WORD...`
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from awscli.clidriver import CLIDriver

# Variables that a caller may set. A real AWS key is useless here, and only its id leaves this process.
KEPT = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_DEFAULT_OUTPUT",
    "AWS_PAGER",
    "AWS_MAX_ATTEMPTS",
}
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


class OtherHost(Exception):
    """A request would leave the local cloud."""


def refuse(text: str) -> NoReturn:
    print(f"aws: {text}\nThis `aws` speaks to the local cloud of `cargo xtask up` only.", file=sys.stderr)
    sys.exit(252)


def put_out_of_sight(environment: dict[str, str] | os._Environ[str]) -> None:
    """Removes variables that send the CLI elsewhere, and adds those that it needs here."""
    for name in list(environment):
        if (name.startswith("AWS_") and name not in KEPT) or name.lower() in PROXIES:
            del environment[name]
    environment["AWS_CONFIG_FILE"] = os.devnull
    environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    environment.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    if "AWS_ACCESS_KEY_ID" not in environment:
        environment["AWS_ACCESS_KEY_ID"] = environment["AWS_SECRET_ACCESS_KEY"] = "test"


def create() -> CLIDriver:
    """The CLI without the user's aliases, which may run any program."""
    put_out_of_sight(os.environ)
    from awscli.alias import AliasLoader
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    driver.alias_loader = AliasLoader("")
    # Load it now: it reads the path of the CLI's data from the environment, where the package has put it.
    driver.session.get_component("data_loader")
    return driver


def run(driver: CLIDriver, endpoint: str, words: list[str]) -> int:
    """Runs one command. A driver cannot be reused: the handlers that this registers stay."""
    put_out_of_sight(os.environ)
    # For clients that a command makes without the option, as `cloudformation package` does for S3.
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    here = urlsplit(endpoint)

    def to_the_endpoint(parsed_args: argparse.Namespace, **_: Any) -> None:
        other = parsed_args.endpoint_url
        if other and urlsplit(other)[:2] != here[:2]:
            refuse(f"the endpoint {other} is refused")
        if parsed_args.profile:
            refuse("a profile is refused")
        parsed_args.endpoint_url = endpoint

    def nowhere_else(request: Any, **_: Any) -> None:
        url = urlsplit(request.url)
        if url.netloc.endswith(f".{here.netloc}"):
            # Some operations prefix the host with an account; such a name does not resolve.
            request.url = urlunsplit(url._replace(netloc=here.netloc))
        elif url[:2] != here[:2]:
            raise OtherHost(f"a request to {url.scheme}://{url.netloc} is refused")

    driver.session.register("top-level-args-parsed", to_the_endpoint)
    driver.session.register("before-send", nowhere_else)
    return driver.main(words)


if __name__ == "__main__":
    # The folder of this file, whose modules do not belong to the CLI.
    sys.path.pop(0)
    sys.exit(run(create(), sys.argv[1], sys.argv[2:]))
