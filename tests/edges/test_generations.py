"""The tests of the edges: the log grows, is made again or is lost, and the database is set back: nothing is skipped.

In order, on one system whose parts run on all the while: each test leaves a log that is read and counted.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions
from support import log
from support.load import Load, audit, ballot_of, ballots
from support.polls import Made, accepted, counted, create, results, vote
from support.system import System
from support.waiting import until

from polling.core import positions
from polling.store.frontier import FrontierStore
from polling.store.rows import Generation
from polling.vote_log import Topics


def test_the_log_grows_under_load(own: System) -> None:
    """Two API processes change to the new topic, each in its own moment; voters change their minds meanwhile."""
    own.spawn("api", under="api-2")
    own.until_ready(["api-2"])
    plain, moving = create(own.client), create(own.client, one_vote_per="voter")
    with Load(own, plain) as load, Load(own, plain, door="api-2") as other, undecided(own, moving) as answered:
        load.until_more(60)
        said = own.command("topics", "grow", "--partitions", "8").stdout
        assert "votes.2 is generation 2 now, with 8 partitions." in said
        assert "`polling topics retire 1`" in said
        for api in ("api", "api-2"):
            until(lambda api=api: '"topic": "votes.2"' in own.log_of(api), f"{api} writes to it")  # type: ignore[misc]
        load.until_more(60)
        other.until_more(60)
        turns = len(answered)
        until(lambda: len(answered) > turns + 20, "voters changed their minds in the new topic")
    load.accepted[plain.id] |= other.accepted[plain.id]
    load.unknown += other.unknown
    audit(own, load)
    until(lambda: lag(own) == 0, "all is counted")
    last = newest_casts(own, moving)
    with own.database() as connection:
        rows = connection.execute(
            "SELECT ballot, option, rank FROM ballots JOIN polls ON number = poll WHERE id = %s", [moving.id]
        ).fetchall()
    assert {ballot.bytes: (rank, option) for ballot, option, rank in rows} == last  # type: ignore[attr-defined]
    generations = {positions.unpack(position)[0] for position, _ in last.values()}
    assert generations <= {1, 2}
    assert 2 in generations
    with Load(own, plain):
        refused = own.try_command("topics", "retire", "2")
    assert refused.returncode == 1
    assert "Generation 2 is the newest" in refused.stderr
    own.end("api-2")


def test_an_older_generation_is_retired_when_it_is_counted_and_quiet(own: System) -> None:
    early = own.try_command("topics", "retire", "1")
    assert early.returncode == 1
    assert "was written to in the last 60 s" in early.stderr
    own.kill("bridge")
    log.write(own.settings.kafka_broker, b"one that slept", topic="votes")
    lagging = own.try_command("topics", "retire", "1")
    assert "Generation 1 has 1 records that are not counted yet" in lagging.stderr
    own.spawn("bridge")
    until(lambda: lag(own) == 0, "it is counted")
    assert own.command("topics", "retire", "1", "--force").stdout == "Generation 1 is retired.\n"
    nobody = own.try_command("topics", "retire", "1")
    assert "There is no generation 1 that is read." in nobody.stderr
    own.command("recount", "--from-log")


def test_partitions_that_were_added_by_hand(own: System, admin: AdminClient) -> None:
    """The bridge stops rather than count what may be out of order, and goes on where it stood when it is told to. A
    poll that closes meanwhile is not final, and has all that was cast in time."""
    poll, closing = create(own.client), create(own.client)
    with Load(own, poll, closing, keyed_only=True) as load:
        load.until_more(60)
        admin.create_partitions([NewPartitions("votes.2", 11)])["votes.2"].result(30)
        until_said(own, "Topic votes.2 has 11 partitions, not 8")
        own.client.post(f"{closing.path}/close", **closing.admin).expect(200)
        load.until_more(60)
        assert results(own.client, closing)["final"] is False
        assert own.command("topics", "adopt", "votes.2").stdout == "votes.2 is generation 3 now, with 11 partitions.\n"
        load.until_more(60)
    audit(own, load, late=lambda late: late == closing)
    until(lambda: results(own.client, closing)["final"], "the closed poll is final")
    own.command("recount", "--from-log")


def test_postgresql_restored_from_an_older_backup(own: System) -> None:
    """What was counted since is counted again from the log, by parts that run on. Polls made since are lost: their
    votes die, and count for no other poll that gets their number."""
    postgres = own.servers.postgres
    assert postgres is not None
    backup = postgres.data.with_name("backup")
    old = create(own.client)
    with Load(own, old, keyed_only=True) as load:
        load.until_more(40)
    audit(own, load)
    postgres.stop()
    subprocess.run(["cp", "-a", postgres.data, backup], check=True, timeout=60)  # the files may be another user's
    postgres.start()
    until_works(own)
    lost = create(own.client)
    with Load(own, old, lost, keyed_only=True) as more:
        more.until_more(80)
    more.accepted[old.id] |= load.accepted[old.id]
    audit(own, more)
    postgres.stop()
    shutil.rmtree(postgres.data)
    backup.replace(postgres.data)
    postgres.start()
    until_works(own)
    young = create(own.client)
    assert number_of(own, young) <= number_of_ever(own), "polls made since are not there"
    accepted(own.client, young, "2")
    until(lambda: len(ballots(own, old)) == len(more.accepted[old.id]), "all is counted again")
    assert {ballot_of(vote_id): int(option) for vote_id, option in more.accepted[old.id].items()} == ballots(own, old)
    counted(own.client, young, 0, 1)
    until(lambda: lag(own) == 0, "all of the log is judged")
    dead = own.command("dead", "list", "--reason", "unknown_poll", "--limit", "10000").stdout
    assert sum(lost.id in line for line in dead.splitlines()) >= len(more.accepted[lost.id])
    assert "PostgreSQL holds less than it did" in own.log_of("bridge")
    own.command("recount")
    own.command("recount", "--from-log")


def test_the_topic_was_deleted_and_made_again(own: System, admin: AdminClient) -> None:
    """Nothing of the new one is read before somebody says that it is the log now; then all of it is."""
    kafka = Topics(own.settings.kafka_broker)
    poll = create(own.client)
    with Load(own, poll, keyed_only=True) as load:
        load.until_more(40)
    audit(own, load)
    admin.delete_topics(["votes.2"], operation_timeout=30)["votes.2"].result(30)
    until(lambda: works(lambda: kafka.create("votes.2", 4, 1, 1)), "the topic is made again")
    with Load(own, poll, keyed_only=True) as more:
        more.until_more(40)
        until_said(own, "Topic votes.2 is not the one that was counted so far")
        assert results(own.client, poll)["total_votes"] == load.total
        own.command("topics", "adopt", "votes.2")
        more.until_more(40)
    more.accepted[poll.id] |= load.accepted[poll.id]
    audit(own, more)
    short = own.try_command("recount", "--from-log", poll.id)
    assert short.returncode == 3
    assert "1 polls could not be recounted from the log, which is complete only since" in short.stdout
    younger = create(own.client)
    accepted(own.client, younger)
    counted(own.client, younger, 1, 0)
    assert "1 polls with 1 votes recounted" in own.command("recount", "--from-log", younger.id).stdout


def test_a_topic_that_the_database_does_not_know(own: System, admin: AdminClient) -> None:
    """As where the log grew after the backup that was restored."""
    assert Topics(own.settings.kafka_broker).create("votes.9", 2, 1, 1)
    until_said(own, "Kafka has a topic votes.9, which is no generation of the vote log")
    admin.delete_topics(["votes.9"], operation_timeout=30)["votes.9"].result(30)
    until(lambda: own.is_ready("bridge"), "the bridge is ready again")


def test_kafka_lost_its_data_while_postgresql_stayed(own: System) -> None:
    kafka, zookeeper = own.servers.kafka, own.servers.zookeeper
    assert kafka is not None
    assert zookeeper is not None
    poll = create(own.client)
    with Load(own, poll, keyed_only=True) as load:
        load.until_more(40)
    audit(own, load)
    kafka.kill()
    zookeeper.kill()
    for server in (kafka, zookeeper):
        shutil.rmtree(server.data)
    zookeeper.start()
    kafka.start()
    until_said(own, "Kafka has no topic votes.2")
    assert vote(own.client, poll).status == 503
    before = newest(own)
    own.command("topics", "create")
    grown = own.command("topics", "grow", "--partitions", "4").stdout
    assert f"is generation {before.number + 1} now, with 4 partitions." in grown
    refused = own.try_command("topics", "retire", str(before.number))
    assert "is not in Kafka as it was counted" in refused.stderr
    forced = own.command("topics", "retire", str(before.number), "--force").stdout
    assert f"What was not counted of generation {before.number} is unknown" in forced
    with Load(own, poll, keyed_only=True) as more:
        more.until_more(60)
    more.accepted[poll.id] |= load.accepted[poll.id]
    audit(own, more)
    until(lambda: own.is_ready("bridge"), "the bridge is ready again")
    assert own.try_command("recount", "--from-log", poll.id).returncode == 3


@contextmanager
def undecided(system: System, poll: Made) -> Iterator[list[str]]:
    """Voters who change their minds again and again, by either door; the ids of their answered votes."""
    answered: list[str] = []
    ended = threading.Event()

    def change_minds() -> None:
        with system.client_of("api") as one, system.client_of("api-2") as other:
            for turn, door in enumerate(itertools.cycle([one, other])):
                if ended.is_set():
                    break
                answered.append(accepted(door, poll, str(1 + turn // 5 % 2), f"voter {turn % 5}", **poll.admin))

    thread = threading.Thread(target=change_minds)
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join()


def newest_casts(system: System, poll: Made) -> dict[bytes, tuple[int, int]]:
    """By the log alone: of each ballot the greatest position, and the option that was cast there."""
    last: dict[bytes, tuple[int, int]] = {}
    for generation, topic in ((1, "votes"), (2, "votes.2")):
        for message in log.read_all(system.settings.kafka_broker, topic):
            fields = log.fields(message)
            if fields["poll"] == poll.id:
                position = positions.pack(generation, message.partition(), message.offset())
                ballot = bytes.fromhex(fields["ballot"])
                last[ballot] = max(last.get(ballot, (0, 0)), (position, int(fields["option"])))
    return last


def until_said(system: System, complaint: str) -> None:
    """Waits until the bridge gives this as its reason not to be ready."""
    with system.client_of("bridge") as bridge:
        until(lambda: complaint.encode() in (answer := bridge.get("/readyz")).body and answer.status == 503, complaint)


def until_works(system: System) -> None:
    """Waits until the door and the bridge have found the database again."""
    until(lambda: works(lambda: create(system.client)), "polls can be made")
    until(lambda: system.is_ready("bridge"), "the bridge is ready")


def works(attempt: Callable[[], object]) -> bool:
    try:
        return bool(attempt())
    except (AssertionError, KafkaException, psycopg.Error):
        return False


def newest(system: System) -> Generation:
    store = FrontierStore(system.settings.database_url)
    try:
        return store.generations()[-1]
    finally:
        store.close()


def lag(system: System) -> int:
    """Records of all generations that are not counted."""
    kafka, store = Topics(system.settings.kafka_broker), FrontierStore(system.settings.database_url)
    try:
        frontiers = store.frontiers()
        return sum(
            end - frontiers[one.number, partition]
            for one in store.generations()
            for partition, end in kafka.ends(one.topic, range(one.partitions)).items()
        )
    finally:
        store.close()


def number_of(system: System, poll: Made) -> int:
    with system.database() as connection:
        [(number,)] = connection.execute("SELECT number FROM polls WHERE id = %s", [poll.id]).fetchall()
    assert isinstance(number, int)
    return number


def number_of_ever(system: System) -> int:
    with system.database() as connection:
        [(number,)] = connection.execute("SELECT max(number) FROM polls").fetchall()
    assert isinstance(number, int)
    return number
