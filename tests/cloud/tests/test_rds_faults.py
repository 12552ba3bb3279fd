"""Fault switches of an instance's endpoint: refused, silent, downgraded and wrongly certified connections."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from conftest import wait_for
from databases import connect, fault, fault_state, listening


def test_refuse_closes_the_port_and_cuts_connections(cloud, shared, faulty):
    with contextlib.closing(connect(cloud, shared)) as db:
        fault(cloud, faulty, "refuse")
        with pytest.raises(psycopg.OperationalError):
            db.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(cloud, shared)
    fault(cloud, faulty, "none")
    connect(cloud, shared).close()


def test_blackhole_accepts_and_says_nothing(cloud, shared, faulty):
    with contextlib.closing(connect(cloud, shared)) as db:
        counted = fault(cloud, faulty, "blackhole")["connections"]
        assert listening(shared["Endpoint"]["Port"])
        wait_for(lambda: fault_state(cloud, faulty)["connections"] > counted, "the connection to be counted")
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(cloud, shared, connect_timeout=2)
        # An open connection stalls: the server answers the statement only after the fault ends.
        db.pgconn.send_query(b"SELECT 1")
        db.pgconn.flush()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(cloud, shared, connect_timeout=2)
        db.pgconn.consume_input()
        assert db.pgconn.is_busy()
        fault(cloud, faulty, "none")
        assert db.pgconn.get_result().get_value(0, 0) == b"1"


def test_downgrade_is_seen_by_who_wants_tls(cloud, shared, faulty):
    seen = fault(cloud, faulty, "downgrade")["plaintext_startups"]
    with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
        connect(cloud, shared)
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen
    with pytest.raises(psycopg.OperationalError, match="closed"):
        connect(cloud, shared, sslmode="prefer")
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1


@pytest.mark.parametrize("mode", ["none", "blackhole", "downgrade", "untrusted-ca", "wrong-name"])
def test_who_goes_on_in_plaintext_is_counted_in_every_mode_and_for_good(cloud, shared, faulty, mode):
    seen = fault(cloud, faulty, mode)["plaintext_startups"]
    with pytest.raises(psycopg.OperationalError):
        connect(cloud, shared, sslmode="disable", connect_timeout=2)
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1
    assert fault(cloud, faulty, "none")["plaintext_startups"] == seen + 1
    connect(cloud, shared).close()
    assert fault_state(cloud, faulty)["plaintext_startups"] == seen + 1


@pytest.mark.parametrize(
    ("mode", "complaint", "weaker"),
    [("untrusted-ca", "certificate verify failed", "require"), ("wrong-name", "does not match host", "verify-ca")],
)
def test_a_wrong_certificate_is_seen_by_who_verifies(cloud, shared, faulty, mode, complaint, weaker):
    assert fault(cloud, faulty, mode)["mode"] == mode
    with pytest.raises(psycopg.OperationalError, match=complaint):
        connect(cloud, shared)
    root = "/nonexistent" if weaker == "require" else cloud.facts["rds_ca"]
    connect(cloud, shared, sslmode=weaker, sslrootcert=root).close()
    fault(cloud, faulty, "none")
    connect(cloud, shared).close()


def test_fault_switches_refuse_what_they_do_not_know(cloud, shared):
    with pytest.raises(AssertionError, match="no instance"):
        fault(cloud, "absent", "none")
    with pytest.raises(AssertionError, match="mode is one of"):
        fault(cloud, shared["DBInstanceIdentifier"], "odd")
