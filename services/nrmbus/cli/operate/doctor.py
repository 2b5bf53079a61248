"""``nrmbus doctor``: faults of a bus on this machine, each in one line with the command to mend it. Changes nothing."""

import asyncio
import json
import sys
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import typer
from aiokafka.errors import KafkaError

from nrmbus.bus.errors import BusError, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.cli.commands import Commands
from nrmbus.cli.health import ask_all
from nrmbus.cli.hosts import hosts_of
from nrmbus.cli.operate.broker_certificates import of_broker_certificates
from nrmbus.cli.operate.faults import Finding, of_hosts
from nrmbus.cli.operate.folder_faults import findings
from nrmbus.cli.operate.peers import brokers_of, peers_of
from nrmbus.cli.operate.service_faults import of_brokers, of_peers, of_restarts, of_services, of_stopped
from nrmbus.cli.operate.topic_faults import (
    TopicRead,
    of_admitters,
    of_clocks,
    of_left_keys,
    of_quarantine,
    of_sealing_keys,
    of_the_auditor,
    of_topics,
    read_topic,
)
from nrmbus.cli.operate.topics import owners
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.directory import DirectoryError
from nrmbus.directory.commands import reader_of

app = Commands()

HARMLESS: Final = frozenset({"keys_unprotected"})
"""Codes of notes with which nothing is wrong: a bus for playing has its keys open by intention."""

UNREACHED: Final = frozenset({"not_running", "keys_locked", "broker"})
"""Codes of findings with which the broker tells nothing."""


async def _of_the_services(folder: BusFolder, closed: Collection[str]) -> list[Finding]:
    return [
        *of_stopped(folder, closed),
        *of_restarts(folder, datetime.now(UTC)),
        *of_services(folder, await ask_all(folder)),
    ]


def _of_the_peers(folder: BusFolder) -> list[Finding]:
    if folder.is_joined or not folder.settings.tls:
        return []
    try:
        return [
            *of_brokers(*brokers_of(folder)),
            *of_broker_certificates(folder, datetime.now(UTC)),
            *of_peers(peers_of(folder), folder.agencies(), datetime.now(UTC)),
            *of_hosts(hosts_of(folder)),
        ]
    except BusError as error:
        return [Finding("peers_unknown", "The agencies on other machines were not looked at.", str(error),
                        f"nrmbus doctor --data '{folder.path}', while the bus runs and with the key file", serious=False)]  # fmt: skip


def _of_the_topics(folder: BusFolder) -> list[Finding]:
    if folder.is_joined:
        return []
    settings = folder.settings
    try:
        drift = topics.check(folder.as_operator, owners(folder), settings.partitions, play=settings.play)
        rights = Gate(folder).check()
    except (BusError, DirectoryError, KafkaError, OSError) as error:
        return [Finding("topics_unknown", "The broker's topics and rights were not looked at.", str(error) or type(error).__name__,
                        f"nrmbus topics check --data '{folder.path}'", serious=False)]  # fmt: skip
    return list(of_topics(drift, rights))


async def _of_the_broker(folder: BusFolder) -> tuple[list[Finding], TopicRead]:
    try:
        bootstrap = folder.bootstrap
    except BusError:
        return [Finding("not_running", "The bus does not run.", "Clocks, directory, desks and quarantine were not checked.",
                        f"nrmbus up --data '{folder.path}'", serious=False)], TopicRead()  # fmt: skip
    found: list[Finding] = []
    try:
        home = reader_of(folder)
        async with asyncio.timeout(20):
            topic, now = await read_topic(folder, folder.reach(home)), datetime.now(UTC)
        found = [
            *of_clocks(topic, now),
            *of_sealing_keys(folder, topic, now),
            *of_left_keys(folder, topic),
            *of_quarantine(topic, now),
            *of_admitters(topic),
            *of_the_auditor(topic, now),
        ]
    except DirectoryError as error:
        if error.code == "certificate_missing":
            found = [Finding("no_certificate", "No agency of this folder was admitted yet.", "Clocks and directory were not checked.",
                            "nrmbus agency check AGENCY FILE, with the file that comes back from the operator", serious=False)]  # fmt: skip
        else:
            found = [
                Finding(
                    "directory",
                    "The directory cannot be trusted.",
                    str(error),
                    "ask the operator before anything is sent.",
                )
            ]
    except KeysSealed as error:
        found = [Finding("keys_locked", "The broker was not asked: a connection needs a private key.", str(error),
                        f"nrmbus doctor --data '{folder.path}', with the key file or the passphrase", serious=False)]  # fmt: skip
    except (KafkaError, BusError, TimeoutError, OSError) as error:
        mend = f"nrmbus check --data '{folder.path}' says where the way ends; then look at {folder.logs}/"
        if folder.is_joined:
            mend = f"nrmbus check --data '{folder.path}' says where the way ends; ask the operator whether the bus runs, and whether the agency is suspended (nrmbus agency list); if the broker has moved, run nrmbus join with a newer invitation"
        found = [Finding("broker", f"The broker at {bootstrap} does not answer ({type(error).__name__}).",
                        "Nothing is sent or received.", mend)]  # fmt: skip
    else:
        return found, topic
    return found, TopicRead()


@app.register(example="nrmbus doctor --data ./my-bus")
def doctor(
    *,
    context: BusContext,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a bus on this machine, and name the command that mends it.

    It asks every desk and service of this machine, and at the operator looks at every agency elsewhere. It finds who is not
    ready, silent or behind, files open to others, unprotected keys, expiring sealing keys and certificates, wrong clocks,
    settings that nothing reads, a stale directory or checkpoint, a full disk, records in quarantine, and topics, rights
    and quotas that are not as declared. It changes nothing.
    Exit status: 1 if something is wrong; notes do not count.
    """
    folder = context.folder
    folder.settings  # noqa: B018 - raises where no bus was made
    found, topic = list[Finding](), TopicRead()
    try:
        of_the_broker, topic = asyncio.run(_of_the_broker(folder))
        found += [*of_the_broker, *asyncio.run(_of_the_services(folder, topic.closed))]
        codes = {each.code for each in of_the_broker}
        if codes.isdisjoint(UNREACHED):
            found += _of_the_peers(folder)
        if codes.isdisjoint({*UNREACHED, "directory"}):  # the directory says whose topics are due
            found += _of_the_topics(folder)
    except KeyboardInterrupt:
        found.append(
            Finding(
                "interrupted", "Not everything was looked at.", "It was interrupted.", "run it again", serious=False
            )
        )
    found = [*findings(folder, datetime.now(UTC), topic.closed), *found]
    if as_json:
        typer.echo(
            json.dumps({"well": not any(each.serious for each in found), "findings": [asdict(each) for each in found]})
        )
    else:
        for each in found:
            typer.echo(str(each))
        if all(each.code in HARMLESS and not each.serious for each in found):
            typer.echo(f"Nothing is wrong in {folder.path}.")
        elif not any(each.serious for each in found):
            typer.echo(f"No fault was found in {folder.path}, but see what the notes say.")
    sys.exit(any(each.serious for each in found))
