"""Runs commands in one process of the AWS CLI, version 1 or 2, up to the request that each would send.

The CLI itself parses the command, loads its files and serialises the request; then the request is dropped, so nothing
leaves the machine. Version 1 is imported; version 2 comes as a frozen program without an import path, and takes this
file as a plugin (`cli_legacy_plugin_path`). Starting the CLI for each command would take minutes.

`COMMANDS` names a JSON file with a list of commands, each a list of words; `RESULTS` gets one object for each.
"""

import contextlib
import io
import json
import os
import sys


class Dropped(Exception):
    """The request was complete and is not sent."""


def attempt(create, words, loader):
    sent = []

    def drop(request, **_):
        sent.append(request.url)
        raise Dropped("not sent")

    driver = create()
    # Reading a service's model takes longer than all else.
    driver.session.register_component("data_loader", loader)
    driver.session.register("before-send", drop)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = driver.main(words)
        except SystemExit as end:
            code = end.code
    return {"sent": sent, "code": code, "said": said.getvalue()}


def run():
    from awscli import __version__
    from awscli.clidriver import create_clidriver

    with open(os.environ["COMMANDS"]) as commands:
        loader = create_clidriver().session.get_component("data_loader")
        results = [attempt(create_clidriver, words, loader) for words in json.load(commands)]
    with open(os.environ["RESULTS"], "w") as out:
        json.dump({"version": __version__, "results": results}, out)


def awscli_initialize(_):
    """The plugin's entry point, which each of the drivers calls again."""
    if os.environ.pop("COMMANDS_PENDING", None):
        run()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
