"""Runs commands in one process of the AWS CLI, version 1 or 2, up to the request that each would send.

The CLI parses the command, loads its files and serialises the request. The request is then dropped, so nothing leaves
the machine. Version 1 is imported. Version 2 is a frozen program that cannot be imported; it loads this file as a
plugin (`cli_legacy_plugin_path`). Starting the CLI once per command would take minutes.

`COMMANDS` names a JSON file with a list of commands, each a list of words. The file named by `RESULTS` receives one
object per command.
"""

import contextlib
import io
import json
import os
import sys


class Dropped(Exception):
    """Stops a complete request before it is sent."""


def attempt(create, words, loader):
    sent = []

    def drop(request, **_):
        sent.append(request.url)
        raise Dropped("not sent")

    driver = create()
    # Share the loader: parsing the services' models dominates the run time.
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
    """Plugin entry point. Every driver calls it again."""
    if os.environ.pop("COMMANDS_PENDING", None):
        run()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
