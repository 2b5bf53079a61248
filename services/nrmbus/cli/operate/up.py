"""``nrmbus up``: a whole bus until Ctrl-C."""

import selectors
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.embedded.listeners import listening
from nrmbus.bus.embedded.node import Node
from nrmbus.bus.errors import KafkaFailed, NoBus
from nrmbus.bus.folder import POLICY, BusFolder, BusSettings, Listening
from nrmbus.bus.kafka.cluster import CLUSTER_SETTINGS, GUEST, guest_settings
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.strictness import MADE_AGAIN, is_strict, untrusted
from nrmbus.bus.replicas import PLACES
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.admitting import admitting, newcomers_of
from nrmbus.cli.membership.keys import Unprotected, unlock
from nrmbus.cli.operate.foreground import progress_bar, until_told, wait_until_ready
from nrmbus.cli.operate.rules import own_profile
from nrmbus.cli.operate.run import operators_own
from nrmbus.cli.options import PLAINTEXT, BusContext, checked_address
from nrmbus.environment import NOTIFY_SOCKET
from nrmbus.host.supervisor import Supervisor
from nrmbus.rules import Profile, load_profile, profile_names, profile_text
from nrmbus.rules.profile_files import bundled_names

app = Commands()

THREE: Final = (
    "Kafka runs as three brokers on this machine: any one of them may be away. This is for trying; it does not protect "
    "from losing the machine. For that give --bootstrap a cluster of three machines (deploy/README.md)."
)


@app.register(example="nrmbus up --data ./my-bus")
def up(  # noqa: PLR0913 - one each for what may be asked
    called: typer.Context,
    *,
    context: BusContext,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            help="Run a bus to try the pages: invented agencies, people and cases. It takes --data and --fork alone.",
        ),
    ] = False,
    play: Annotated[
        bool | None,
        typer.Option(
            "--play/--no-play",
            help="Make a bus for playing stories, whose clock the player moves. (default: --no-play for a new bus)",
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of partitions of a new bus; it cannot change later. (default: 1)"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="The dated policy profile of a new bus: its name, or a file of your own. (default: az@2022-04-29)",
        ),
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Use this Kafka cluster and start none; separate several addresses by commas."
        ),
    ] = None,
    tls: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --bootstrap: reach the cluster over TLS; DIR/ca.pem is the certificate of its authority.",
        ),
    ] = None,
    plaintext: Annotated[
        bool,
        typer.Option(
            "--plaintext", help="With --bootstrap: reach the cluster in plain text; no access rights are enforced."
        ),
    ] = False,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]",
            help="Serve other machines at this address too, which the bus keeps; give it again for another address, or none to serve this machine only. (PORT: 9093)",
        ),
    ] = None,
    forwarded: Annotated[
        bool,
        typer.Option(
            "--forwarded",
            help="With --listen: a router passes connections on to this machine, so listen on all of its addresses.",
        ),
    ] = False,
    brokers: Annotated[
        int | None,
        typer.Option(
            help="Number of brokers of a new bus's Kafka, 1 or 3, to try what happens while one is away; it cannot change later. (default: 1)"
        ),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Make a test hand-over between two test agencies every so many seconds, which the bus keeps; 0 makes none. (default: 60)",
        ),
    ] = None,
    without_auditor: Annotated[
        bool | None,
        typer.Option(
            "--without-auditor/--with-auditor",
            help="Run no auditor: one joins from a machine of her own, with keys that the operator never has. The bus keeps it. (default: with)",
        ),
    ] = None,
    replicas: Annotated[
        int,
        typer.Option(
            min=1,
            max=len(PLACES),
            help="Number of processes of registrar, timekeeper and auditor; all but one stand by. (default: 1)",
        ),
    ] = 1,
    agencies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Admit the new agencies of this YAML file."),
    ] = None,
    fork: Annotated[
        bool | None, typer.Option("--fork/--no-fork", help="Fork services from a warm process. (default: on Linux)")
    ] = None,
    keys_unprotected: Unprotected = False,
) -> None:
    """Run a bus on this machine until Ctrl-C: Kafka, registrar, timekeeper, auditor, canary, and a desk for each agency.

    The first start makes the bus and downloads Kafka. A service that ends is started again.
    """
    if example:
        from nrmbus.cli.operate.example import run_example  # noqa: PLC0415 - nrmbus run needs no player of stories

        see_that_nothing_else_is_asked(called)
        run_example(context.data, fork=fork)
        return
    folder = context.folder
    checked_address(bootstrap)
    profile = given_policy(policy) if policy is not None else None
    cluster = bootstrap or (folder.settings.bootstrap if folder.exists else None)
    known = folder.settings.brokers if folder.exists else 1
    see_that_it_fits(brokers, cluster)  # before anything is made
    listens = for_others(listen, forwarded=forwarded, cluster=cluster, brokers=brokers or known)
    is_tls = reached_by_tls(bootstrap, tls, plaintext=plaintext, is_new=not folder.exists)
    if tls:
        authority_in(tls)  # before a bus is made that keeps its cluster for good
    make = partial(
        made_with, folder, profile, play=play, partitions=partitions, bootstrap=bootstrap, tls=is_tls, brokers=brokers
    )
    with folder.held():  # before anything is written: a bus that runs here would move to what this start asks for
        present = make() if folder.exists else None
        operators_own(folder)
        is_play = present.play if present else bool(play)
        if canary and is_play:
            raise NoBus(
                "A bus for playing makes no test hand-overs, since its clock is moved by hand: leave --canary out."
            )
        rules = present.policy if present else profile.name if profile else POLICY
        newcomers = newcomers_of(agencies, rules) if agencies else {}
        unlock(folder, unprotected=keys_unprotected, play=is_play)
        settings = make()  # after all that can be refused: the settings of a new bus are fixed for good
        if listens is not None:
            folder.listen(listens)
        if not settings.play:
            folder.send_canary(canary)
        if without_auditor is not None:
            folder.audit(elsewhere=without_auditor)
        for warning in (() if settings.tls else (PLAINTEXT,)) + ((THREE,) if settings.brokers > 1 else ()):
            typer.echo(warning)
        if tls:  # not before: the authority's key may be made here
            for line in introduced(folder, tls):
                typer.echo(line)
        with (
            until_told(),
            admitting(agencies),
            progress_bar() as progress,
            Supervisor(folder, fork=fork, agencies=newcomers, replicas=replicas, notify=typer.echo, progress=progress),
        ):
            wait_until_ready(folder, typer.echo, progress, on_bus_ready=tell_service_manager)
            typer.echo(f"Bus {settings.bus} is up: folder {folder.path}, Kafka {folder.bootstrap}. Ctrl-C ends it.")
            if others := folder.listens.addresses:
                typer.echo(
                    f"Other machines reach Kafka at {', '.join(others)}, with a certificate of this bus only: "
                    "nrmbus invite FILE invites one. Doors and pages stay on this machine."
                )
            while True:
                signal.pause()


def see_that_nothing_else_is_asked(called: typer.Context) -> None:
    """Check that ``--example`` comes with no option that would make another bus.

    Raises:
        BadParameter: it does; the message names the option.
    """
    for name in called.params.keys() - {"example", "data", "fork"}:
        source = called.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--example makes a bus of its own: leave --{name.replace('_', '-')} out.")


def tell_service_manager() -> None:
    """Tell systemd, if it started this process with ``Type=notify``, that the bus's own services are ready (sd_notify(3))."""
    where = NOTIFY_SOCKET.get()
    if not where:
        return
    address = "\0" + where[1:] if where.startswith("@") else where
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told, suppress(OSError):
        told.connect(address)
        told.sendall(b"READY=1")


def see_that_it_fits(brokers: int | None, cluster: str | None) -> None:
    """Check the number of *brokers* that an option asks for.

    Raises:
        NoBus: there is no such number, or the bus uses a *cluster* with its own brokers.
    """
    if brokers is not None and cluster:
        raise NoBus("--brokers is for the bus's own Kafka; this bus uses a cluster, which has as many as it has.")
    if brokers not in (None, 1, 3):
        raise NoBus("--brokers takes 1 or 3: of two, neither could go on alone.")


def for_others(listen: list[str] | None, *, forwarded: bool, cluster: str | None, brokers: int = 1) -> Listening | None:
    """Return where the broker listens for other machines, as the options say, or None if they leave it as it was.

    Raises:
        NoBus: an address does not fit, or the bus uses a *cluster*, whose listeners are its administrators'.
    """
    if listen is None:
        if forwarded:
            raise NoBus("--forwarded says how --listen HOST[:PORT] is reached: give that too.")
        return None
    if cluster:
        raise NoBus(
            "--listen is for the bus's own Kafka; this bus uses a cluster, which other machines reach as it is."
        )
    return listening([] if listen == ["none"] else listen, forwarded=forwarded, brokers=brokers)


def reached_by_tls(bootstrap: str | None, tls: Path | None, *, plaintext: bool, is_new: bool) -> bool | None:
    """Return whether an existing cluster is reached over TLS, or None if no option says so.

    Raises:
        NoBus: the options contradict each other, or a new bus on an existing cluster has neither; the message names the options.
    """
    if bootstrap is None and (tls or plaintext):
        raise NoBus("Our own Kafka is always reached over TLS: --tls and --plaintext go with --bootstrap HOST:PORT.")
    if tls and plaintext:
        raise NoBus("A cluster is reached over TLS or in plain text: give --tls DIR or --plaintext.")
    if bootstrap and is_new and not (tls or plaintext):
        raise NoBus(
            f"Choose how {bootstrap} is reached: --tls DIR, where DIR/ca.pem certifies its brokers; "
            "or --plaintext, without access rights."
        )
    return True if tls else False if plaintext else None


def authority_in(tls: Path) -> bytes:
    """Return the certificate of the brokers' authority, *tls*/ca.pem.

    Raises:
        NoBus: there is none that can be read.
    """
    try:
        return (tls / "ca.pem").read_bytes()
    except OSError as error:
        raise NoBus(
            f"{tls / 'ca.pem'} cannot be read ({error.strerror}): put the certificate of the brokers' authority there"
        ) from None


def introduced(folder: BusFolder, tls: Path) -> tuple[str, ...]:
    """Have the bus trust the brokers that *tls*/ca.pem certifies; return the settings that the cluster needs, in lines.

    Raises:
        BusError: there is no such certificate, or this Python does not trust it.
    """
    ca = authority_in(tls)
    authority = Authority(folder)
    authority.trust_brokers_of(ca)
    distrusted = untrusted(ca)
    if distrusted and is_strict():
        raise NoBus(f"This Python does not trust {tls / 'ca.pem'}, since {distrusted}: {MADE_AGAIN}.")
    warned = (
        [f"Machines with Python 3.13 or newer will not trust {tls / 'ca.pem'}, since {distrusted}: {MADE_AGAIN}."]
        if distrusted
        else []
    )
    listener, rights = guest_settings(folder.settings.bus, authority.path)
    return (
        *warned,
        f"The cluster lets this bus in when {folder.settings.bootstrap} is its listener {GUEST.upper()}, which is SSL and, on each broker, set to",
        *(f"  {key}={value}" for key, value in listener.items()),
        "and when, on each broker and controller, with the cluster's own brokers added to super.users, it is set to",
        *(f"  {key}={value}" for key, value in rights.items()),
        "Before this command is given again, which makes topics, the whole cluster is set to",
        *(f"  {key}={value}" for key, value in CLUSTER_SETTINGS.items()),
    )


def given_policy(given: str) -> Profile:
    """Return the profile called *given*, or the profile in the file *given*, for a bus that keeps the profile for good.

    Raises:
        NoBus: there is neither, or the file has a mistake; the message names the remedy.
    """
    if given in profile_names():
        return load_profile(given)
    if not Path(given).is_file():
        raise NoBus(f"There is no such policy profile or file: nrmbus up --policy {' or '.join(profile_names())}")
    return own_profile(Path(given))


def made_with(folder: BusFolder, profile: Profile | None, **more: Any) -> BusSettings:
    """Make a bus in *folder* that begins under *profile*, or return the present one; *more* as for `BusFolder.create`.

    A profile that is none of the release is kept in the folder, and its digest in the settings for good.
    """
    if profile is None:
        return folder.create(**more)
    is_own = profile.name not in bundled_names()
    if is_own and not folder.exists:
        folder.keep_profile(profile.name, profile_text(profile.name))
    return folder.create(policy=profile.name, policy_digest=profile.digest if is_own else None, **more)


def run_broker(folder: BusFolder) -> None:
    """Run the embedded broker of the bus in *folder* in the foreground until a signal ends it.

    Raises:
        KafkaFailed: it has ended; of three, a second one has.
    """
    kafka = EmbeddedKafka(folder)
    with until_told(), progress_bar() as progress:
        kafka.fetch(progress)
        try:
            typer.echo(f"Kafka {kafka.start()} is up. Ctrl-C ends it.")
            watch(kafka.nodes, folder.logs)
        finally:
            kafka.stop()


def watch(nodes: Sequence[Node], logs: Path) -> NoReturn:
    """Wait for the ends of *nodes*, whose logs are in *logs*; print a sentence if a broker ends and the others go on.

    Raises:
        KafkaFailed: the remaining brokers cannot go on.
    """
    with selectors.DefaultSelector() as selector:
        ended = [node for node in nodes if not node.runs]  # while the others were waited for
        for node in nodes:
            if node not in ended:
                selector.register(node.ended, selectors.EVENT_READ, node)
        while True:
            what = ". ".join(f"Kafka's process {each.name} has ended: read {logs / each.name}.log" for each in ended)
            if len(selector.get_map()) <= len(nodes) // 2:
                raise KafkaFailed(what)
            if what:
                typer.echo(f"{what}. The others go on.")
            ended = []
            for key, _ in selector.select():
                selector.unregister(key.fileobj)
                ended.append(key.data)
