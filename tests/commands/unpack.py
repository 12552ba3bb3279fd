"""`python unpack.py PACKAGE INTO`: extracts the AWS CLI 2 from the package in `requirements.txt` to `INTO/dist/aws`.

The Python package contains an npm package, which contains the zip archive of a Lambda layer. Examples and help topics
are skipped.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

LEFT_OUT = {"examples", "topics"}


def unpack(package: Path, into: Path) -> None:
    (archive,) = (package / "aws_cdk/asset_awscli_v2/_jsii").glob("*.tgz")
    with tarfile.open(archive) as npm:
        layer = npm.extractfile("package/lib/layer.zip")
        if layer is None:
            raise FileNotFoundError("layer.zip")
        content = io.BytesIO(layer.read())
    with zipfile.ZipFile(content) as layer_zip:
        for name in layer_zip.namelist():
            # awscli/v2/VERSION/dist/…
            parts = PurePosixPath(name).parts[3:]
            if not parts or parts[0] != "dist" or ".." in parts or name.endswith("/") or LEFT_OUT & {*parts[:3]}:
                continue
            path = into.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(layer_zip.read(name))
    (into / "dist/aws").chmod(0o755)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
