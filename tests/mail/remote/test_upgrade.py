"""A schema that an earlier version has made: what it says until it is brought up to date, and what it has then."""

from __future__ import annotations

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.log.event import Draft, serialise

from ...postgres import needs_postgres

pytestmark = needs_postgres
TS = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def first(schemas):
    """A server with a schema of version 1, in which a host leads, and a mail was sent."""
    from team_mail.mail.remote.schema import statements

    server = schemas()
    schema = server.address.schema

    def make(connection) -> None:
        with connection.transaction():
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
            connection.execute(f"DROP ROLE {schema}_member".encode())
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}_owner".encode())
            connection.execute(f"SET LOCAL ROLE {schema}_owner".encode())
            connection.execute(statements(schema, 1))
            connection.execute(f"INSERT INTO {schema}.state VALUES ('version', '1')".encode())
        connection.execute(f"SELECT {schema}.lead('a place', 'a host', false)".encode())
        middle = serialise(Draft("mail.sent", "ada", ("bob",), "before"), TS).middle.decode()
        connection.execute(f"SELECT {schema}.send(%s, 'a place')".encode(), [[middle]])

    server.run(make)
    return server


def test_a_schema_of_the_first_version_is_brought_up_to_date(first, tmp_path):
    """Its lines go on as they were; nobody leads just now, and who had led is told of no more than that."""
    from team_mail.mail.remote.postgres import PostgresLog
    from team_mail.mail.remote.schema import VERSION, state_of, upgrade

    log = PostgresLog(tmp_path / "mail", first)
    assert [event.subject for event in log.read()] == ["", "before"]
    assert state_of(first).version == 1
    for refused in (lambda: log.append([Draft("mail.sent", "ada")]), log.lead, log.presences):
        with pytest.raises(LogUnavailable, match="`team cluster upgrade`"):
            refused()
    assert upgrade(first) == (1, VERSION)
    lease = first.lease()
    assert (lease.place, lease.host, lease.epoch, lease.rest < 0) == ("a place", "a host", 1, True)
    assert state_of(first).leader == ""
    log.lead()
    log.append([Draft("run.started", "scheduler")])
    assert first.lease().epoch == 2
    assert [event.kind for event in log.read()] == ["log.opened", "mail.sent", "run.started"]
    assert not log.verify().corrupt
    with pytest.raises(LogUnavailable, match="no log of this version"):  # as a program of then would send
        first.run(lambda c: c.execute(f"SELECT {first.address.schema}.send(ARRAY['x'], 'a place')".encode()))


def test_a_login_that_may_make_no_roles_is_told_so(first, postgres):
    """The upgrade makes a role; nothing of it is done then."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.schema import upgrade, version_of

    schema = first.address.schema
    first.run(lambda c: c.execute(f"CREATE ROLE {schema}_plain LOGIN IN ROLE {schema}_owner".encode()))
    plain = Server(first.address._replace(url=postgres.url.replace("team@", f"{schema}_plain@", 1)))
    with pytest.raises(LogUnavailable, match="does not let this login do that"):
        upgrade(plain)
    plain.close()
    assert first.run(lambda c: version_of(c, schema)) == 1
