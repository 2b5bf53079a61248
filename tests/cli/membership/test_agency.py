"""``nrmbus agency`` and ``nrmbus admitter``: from a request to a letter's key, and to an agency that left."""

import asyncio
import errno
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from brokers import Broker
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.membership import admitter, agency
from nrmbus.cli.membership import renewal as agency_renewal
from nrmbus.directory import commands, joining, renewal, requests
from nrmbus.directory.admission import Newcomer, admit, home_of, read_directory
from nrmbus.directory.admitters import Listing, propose
from nrmbus.directory.commands import read_file
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import body_of
from nrmbus.directory.errors import DirectoryError
from nrmbus.directory.operator import Admitter, Identity, Operator, operator_key
from nrmbus.directory.requests import Request
from nrmbus.host import supervisor
from nrmbus.wire import json
from nrmbus.wire.keys.keys import SigningKey
from nrmbus.wire.names import REGISTRAR, requests_of

A, B = "admitter-a", "admitter-b"


@pytest.fixture(name="bus")
def _bus(broker: Broker) -> BusFolder:
    folder = broker.fresh_bus(play=False)
    asyncio.run(admit(folder, {"ngo-a": Newcomer("ngo_outreach")}, BEFORE_ANY_TICK))
    return folder


class Typed:
    """The commands as they are typed, in this process; what each printed."""

    def __init__(self, bus: BusFolder, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.bus, self.file, self._capsys = bus, home / "request.json", capsys

    def __call__(self, command: str, *given: object, **options: object) -> str:
        """Run ``nrmbus agency COMMAND``."""
        if command not in ("list_", "show"):
            options["keys_unprotected"] = True  # as the test's bus has them
        getattr(agency, command)(*given, **options, data=self.bus.path)
        return self._capsys.readouterr().out

    def refused(self, command: str, *given: object, **options: object) -> str:
        """Return the sentence with which the command ends."""
        with pytest.raises(BusError) as caught:
            self(command, *given, **options)
        return str(caught.value)


@pytest.fixture(name="typed")
def _typed(bus: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(bus, tmp_path, capsys)


@pytest.mark.broker
def test_an_agency_joins_changes_its_keys_and_leaves(typed: Typed) -> None:
    """Two admitters sign each step; nobody seals to the agency before it has opened the challenge."""
    home, file = typed.bus.agency("ngo-b"), typed.file
    typed("request", "ngo-b", role="ngo_legal", out=file)
    assert not [seed for seed in home.keys.rglob("*.seed") if seed.read_bytes() in file.read_bytes()]
    assert "a second one does: nrmbus agency admit" in typed("admit", file, A)
    assert "admitter_twice" in typed.refused("admit", file, A)
    assert "admitter_key_missing" in typed.refused("admit", file, "nobody")
    assert "admitter_unnamed" in typed.refused("admit", file, None)
    assert "goes back to the agency" in typed("admit", file, B)
    assert Request.read(file).certificate is not None
    assert "agency_known" in typed.refused("admit", file, A)

    directory = asyncio.run(read_directory(typed.bus))
    assert directory.seal_to("ngo-b", wall_now()) is None
    assert not home.agency_json.exists()
    seed = typed.bus.keys / "operator.seed"
    seed.rename(seed.with_suffix(".away"))  # the agency is elsewhere
    assert "goes to the operator" in typed("check", "ngo-b", file)
    assert "not_operator" in typed.refused("head")
    seed.with_suffix(".away").rename(seed)
    assert "entered as confirmed" in typed("admit", file)
    assert "are valid: nrmbus up runs its desk here." in typed("check", "ngo-b")
    seed.rename(seed.with_suffix(".away"))
    assert f"are valid: nrmbus run ngo-b --data '{typed.bus.path}' runs its desk." in typed("check", "ngo-b")
    seed.with_suffix(".away").rename(seed)
    assert home.agency_json.exists()
    first = Identity.at(home.path, "ngo-b")
    sealed_to = asyncio.run(read_directory(typed.bus)).seal_to("ngo-b", wall_now())
    assert sealed_to is not None
    assert sealed_to.kid == first.sealing.kid

    typed("rotate", "ngo-b", overlap=2, out=file)
    for name in (A, B):
        typed("admit", file, name)
    assert "are valid" in typed("check", "ngo-b", file)
    second, directory = Identity.at(home.path, "ngo-b"), asyncio.run(read_directory(typed.bus))
    assert second.signing.kid != first.signing.kid
    assert directory.verify_key("ngo-b", second.signing.kid, wall_now()).kid == second.signing.kid
    assert directory.opens("ngo-b", first.sealing.kid, wall_now())
    assert first.sealing.kid in second.opening

    async def reached() -> None:
        async with door_of(typed.bus, "ngo-b"):
            pass

    for command, state in (("suspend", "suspended"), ("resume", "admitted"), ("retire", "retired")):
        typed(command, "ngo-b", **({} if command == "retire" else {"name": A}), out=file)
        for name in (A, B) if command == "retire" else (B,):
            typed("admit", file, name)
        assert asyncio.run(read_directory(typed.bus)).state("ngo-b", wall_now()) == state
        if state == "suspended":
            with pytest.raises(BusError, match="suspended or has left, so its desk does not run"):
                asyncio.run(reached())
    assert [line.split() for line in typed("list_").splitlines() if line.startswith("ngo-b")] == [
        ["ngo-b", "retired", "ngo_legal"]
    ]
    shown = typed("show", "ngo-b")
    assert [word for word in ("admitted", "rotated", "confirmed", "suspended", "retired") if word not in shown] == []


@pytest.mark.broker
def test_an_admitter_sees_the_agency_of_a_request(typed: Typed) -> None:
    """The admitter compares a fingerprint that the agency reads out, and sees its supervisor; a file with other keys is not signed."""
    asked = {"role": "ngo_legal", "supervisor": "ngo-zz", "out": typed.file}
    digits = typed("request", "ngo-b", **asked).strip().rpartition(": ")[2]
    before = typed.file.read_bytes()

    assert "request_other" in typed.refused("admit", typed.file, A, fingerprint=digits[:-1] + "x")
    assert typed.file.read_bytes() == before
    said = typed("admit", typed.file, A, fingerprint=digits.upper())
    assert digits in said
    assert "(admitted, ngo_legal, supervised by ngo-zz, who is not on this bus)" in said


@pytest.mark.slow
@pytest.mark.broker
def test_two_admitters_agree_on_who_admits(bus: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each admitter signs where their key is; the list holds when the operator has entered it, and a removed admitter is out."""
    leyla, file = Admitter("leyla", SigningKey.generate()), tmp_path / "file"
    here: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}

    def said(command: Callable[..., None], *given: object, **options: object) -> str:
        command(*given, **options, **here)
        return capsys.readouterr().out

    away = (bus.path / "admitters" / B).rename(tmp_path / B)
    assert "leyla is to admit. One admitter has signed" in said(admitter.add, "leyla", key=leyla.public.key, out=file)
    assert "One admitter has signed" in said(admitter.sign, file)
    with pytest.raises(BusError, match="admitter_key_missing"):
        admitter.sign(file, by=B, **here)
    away.rename(bus.path / "admitters" / B)
    entered = said(admitter.sign, file)
    assert f"Entered: there are 3 now: {A}, {B}, leyla." in entered
    assert "add a third" not in entered

    removed = said(admitter.remove, "leyla")
    assert f"leyla is to admit no more. Entered: there are 2 now: {A}, {B}." in removed
    assert "add a third: nrmbus admitter add" in removed
    with pytest.raises(BusError, match="admitter_unknown"):
        admitter.remove("leyla", **here)
    with pytest.raises(BusError, match="admitters_few"):
        admitter.remove(A, **here)

    # Two admitters who agree, and have their own program.
    directory = asyncio.run(read_directory(bus))
    made = propose(directory, added={"leyla": Admitter("leyla", SigningKey.generate()).public.key}).listed
    made = joining.changed(made, head=Admitter("rauf", SigningKey.generate()).public.key)
    for each in Admitter.here(bus.path):
        made = joining.admitted_by(made, each.key)
    Listing(listed=made).write(file)
    with pytest.raises(BusError, match="head_key_changed"):
        admitter.sign(file, **here)


@pytest.mark.slow
@pytest.mark.broker
def test_a_timer_does_what_up_does(typed: Typed) -> None:
    """Without a running `nrmbus up` the timer's command signs the head and answers the agencies' requests."""

    async def asks() -> None:
        asked = json.dumps(body_of(renewal.ask(typed.bus, "ngo-a")))
        async with clients.producer(typed.bus.bootstrap) as producer:
            await producer.send_and_wait(requests_of("ngo-a"), value=asked, partition=0)

    asyncio.run(asks())
    said = typed("head").splitlines()

    assert said[0].startswith("Signed: ")
    assert said[1:] == ["ngo-a has asked for another certificate, and has it."]
    assert len(typed("head").splitlines()) == 1


@pytest.mark.broker
def test_a_refusal_is_one_sentence_that_repeats_nothing(typed: Typed, tmp_path: Path) -> None:
    """A malformed file, an altered file, an impossible role or id, and an existing agency are refused."""
    odd = tmp_path / "odd.json"
    odd.write_text('{"form": "CANARY-7"}')
    typed("request", "ngo-c", role="ngo_legal", out=typed.file)
    body = typed.file.read_text().replace("ngo_legal", "vac")
    (tmp_path / "altered.json").write_text(body)
    said = [
        typed.refused("admit", odd, A),
        typed.refused("admit", tmp_path / "altered.json", A),
        typed.refused("admit", tmp_path / "nowhere.json", A),
        typed.refused("request", "ngo-d", role="CANARY-7", out=typed.file),
        typed.refused("request", "registrar", role="ngo_legal", out=typed.file),
        typed.refused("request", "everybody", role="ngo_legal", out=typed.file),
        typed.refused("rotate", "ngo-c", out=typed.file, overlap=1),
        typed.refused("show", "nobody"),
    ]

    codes = [
        "request_malformed",
        "request_invalid",
        "cannot be used",
        "no such role",
        "id_reserved",
        "id_reserved",
        "agency_unknown",
        "agency_unknown",
    ]
    assert [code for code, sentence in zip(codes, said, strict=True) if code not in sentence] == []
    assert not [sentence for sentence in said if "CANARY" in sentence or "\n" in sentence]


@pytest.mark.broker
def test_up_signs_how_far_the_directory_goes(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nrmbus up` signs every hour; after a failure it says so and tries again in a minute."""
    said: list[str] = []
    running = supervisor.Supervisor(bus, notify=said.append)
    before = asyncio.run(read_directory(bus))
    running._sign_head(0.0)
    after = asyncio.run(read_directory(bus))

    assert before.head is not None
    assert after.head is not None
    assert (after.head.number, after.head.time >= before.head.time) == (before.number, True)
    assert (running._head_due, said) == (3600.0, [])

    def fails(_folder: BusFolder) -> None:
        raise BusError("the broker does not answer")

    monkeypatch.setattr(supervisor, "sign_head", fails)
    running._sign_head(0.0)
    assert (running._head_due, len(said)) == (60.0, 1)


@pytest.mark.parametrize("group", [agency, admitter], ids=["agency", "admitter"])
def test_every_help_has_an_example(group: ModuleType) -> None:
    """The example can be typed as printed."""
    for command in group.app.registered_commands:
        name = command.name or command.callback.__name__.rstrip("_")
        shown = CliRunner().invoke(group.app, [name, "--help"], terminal_width=200).output

        assert f"Example: nrmbus {group.__name__.rpartition('.')[2]} {name}" in " ".join(shown.split())


def test_new_keys_of_a_test_agency_reach_the_canary(quiet: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given new keys of canary-a, when they are taken into use, then the canary begins again, and no other service."""
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: ended.append(pid))
    running = {name: {"pid": pid} for pid, name in enumerate(("canary", "registrar", "registrar.2", "ngo-a"), 1)}
    with quiet.held():
        write_json(quiet.run / "services.json", running)
        for who in ("canary-a", REGISTRAR):
            agency._taken_by(quiet, who)

    assert ended == [1, 2, 3]


def test_a_request_that_cannot_be_written_destroys_nothing(
    quiet: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more cases than a request takes, when an agency retires, then it is refused before the keys to its letters are destroyed."""
    cases, done = tmp_path / "cases.yaml", list[str]()
    cases.write_text(f"{'ab' * 16}: deleted\n")
    directory = read_file(quiet, quiet.path / "entries")

    async def known(_folder: BusFolder, _home: Path) -> Directory:
        return directory

    monkeypatch.setattr(commands, "read_as", known)
    monkeypatch.setattr(requests.Request, "largest", 100)
    monkeypatch.setattr(agency, "destroyed", lambda *_: done.append("destroyed"))
    with pytest.raises(BusError, match="request_large"):
        agency.retire("ngo-a", cases=cases, out=tmp_path / "file", data=quiet.path, keys_unprotected=True)
    assert (done, (tmp_path / "file").exists()) == ([], False)


def test_an_agency_stays_as_long_as_it_supervises_another(
    quiet: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a supervisor whose school is still on the bus, when it retires, then it is refused before any key is destroyed.

    No admitter signs such a request either. Once the school has left, its supervisor may.
    """
    cases, done = tmp_path / "cases.yaml", list[str]()
    cases.write_text(f"{'ab' * 16}: deleted\n")
    operator, directory = Operator(quiet.path), read_file(quiet, quiet.path / "entries")
    school = Identity.at(home_of(quiet, "school"), "school")
    directory.add(operator.entry(directory, school, "education", wall_now() - timedelta(hours=1), "ngo-a") or b"")
    leaving = {
        each: joining.asked_by(
            joining.repeated(directory, each, "retired", made=wall_now()),
            [Identity.at(home_of(quiet, each), each).signing],
        )
        for each in ("ngo-a", "school")
    }
    first, second = (Admitter.at(quiet.path, name) for name in (A, B))

    async def known(_folder: BusFolder, _home: Path) -> Directory:
        return directory

    monkeypatch.setattr(commands, "read_as", known)
    monkeypatch.setattr(agency, "read_as", known)
    monkeypatch.setattr(agency, "destroyed", lambda *_: done.append("destroyed"))
    with pytest.raises(BusError, match="supervises_others"):
        agency.retire("ngo-a", cases=cases, out=tmp_path / "file", data=quiet.path, keys_unprotected=True)
    assert (done, (tmp_path / "file").exists()) == ([], False)
    with pytest.raises(DirectoryError, match="supervises_others"):
        commands.sign(directory, Request(entry=leaving["ngo-a"]), first, wall_now())
    agency.list_(None, data=quiet.path)
    assert "education  supervised by ngo-a" in capsys.readouterr().out

    left = commands.sign(directory, Request(entry=leaving["school"]), first, wall_now())
    left = commands.sign(directory, left, second, wall_now())
    directory.add(operator.number(left.entry, directory))
    assert commands.sign(directory, Request(entry=leaving["ngo-a"]), first, wall_now()).entry.admitted


@pytest.fixture(name="signed")
def _signed(quiet: BusFolder, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Return a request of ngo-a with its first signature; the commands read the directory of `quiet`."""
    directory = read_file(quiet, quiet.path / "entries")

    async def known(_folder: BusFolder, _home: Path) -> Directory:
        return directory

    monkeypatch.setattr(commands, "read_as", known)
    asked = joining.repeated(directory, "ngo-a", "suspended", made=wall_now())
    return Request(entry=joining.admitted_by(asked, SigningKey.generate()))


@pytest.mark.parametrize(
    "command",
    [
        ("request", "ngo-a", "--role", "ngo_outreach"),
        ("rotate", "ngo-a"),
        ("lost", "ngo-a"),
        ("retire", "ngo-a", "--cases", "cases.yaml"),
        ("suspend", "ngo-a", "--directory", "bus/entries"),
        ("resume", "ngo-a", "--directory", "bus/entries"),
    ],
    ids=lambda each: each[0],
)
@pytest.mark.parametrize("is_request", [True, False])
def test_a_signed_request_is_not_written_over(
    quiet: BusFolder, signed: Request, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], *, is_request: bool
) -> None:
    """Given the default file with an admitter's signature, or with something else, when no other is named, then it stays, and no key is destroyed."""
    monkeypatch.chdir(quiet.path.parent)
    Path("cases.yaml").write_text(f"{'ab' * 16}: deleted\n")
    file, destroyed = Path("ngo-a.request.json"), list[str]()
    signed.write(file)
    if not is_request:
        file.write_text("mine")
    before = file.read_bytes()
    monkeypatch.setattr(agency, "destroyed", lambda *_: destroyed.append("destroyed"))

    done = CliRunner().invoke(agency.app, [*command, "--data", "bus", "--keys-unprotected"])
    assert "ngo-a.request.json is there already" in str(done.exception)
    assert "--out FILE" in str(done.exception)
    assert (file.read_bytes(), destroyed) == (before, [])


class Taken:
    """The operator's commands of `quiet` with the topic of the directory in memory, and a file that may take nothing."""

    def __init__(self, quiet: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus, self.topic = quiet, list(read_file(quiet, quiet.path / "entries").signed)
        self.is_full = True
        write = Request.write

        async def publish(_: BusFolder, records: list[bytes]) -> None:
            self.topic.append(records[0])

        async def read(_: BusFolder) -> Directory:
            return self.directory

        def written(file: Request, path: Path) -> None:
            if self.is_full:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            write(file, path)

        for module in (commands, agency_renewal):
            monkeypatch.setattr(module, "read_directory", read)
        monkeypatch.setattr(commands, "publish", publish)
        monkeypatch.setattr(topics, "apply", lambda *_, **__: None)
        monkeypatch.setattr(requests.Carried, "write", written)

    @property
    def directory(self) -> Directory:
        """The directory as the topic has it."""
        made = Directory(self.bus.settings.bus, operator_key(self.bus.path))
        for raw in self.topic:
            made.add(raw)
        return made

    def admitted(self, request: Request) -> Request:
        """Return *request* signed by both admitters."""
        for name in (A, B):
            request = commands.sign(self.directory, request, Admitter.at(self.bus.path, name), wall_now())
        return request

    def certificates(self, who: str) -> int:
        """How many valid certificates of *who* there are."""
        return Authority(self.bus).count(who, None, certificate.now())


@pytest.fixture(name="taken")
def _taken(quiet: BusFolder, monkeypatch: pytest.MonkeyPatch) -> Taken:
    return Taken(quiet, monkeypatch)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_entered(taken: Taken, tmp_path: Path) -> None:
    """Given a request and a renewal on a stick that takes nothing, then no entry is made and no certificate is issued."""
    given: dict[str, Any] = {"data": taken.bus.path, "keys_unprotected": True}
    asked, renewed = tmp_path / "asked", tmp_path / "renewed"
    request = taken.admitted(commands.ask_first(taken.bus, "ngo-b", "ngo_legal", None))
    write_json(asked, body_of(request))
    write_json(renewed, body_of(renewal.ask(taken.bus, "ngo-a")))

    with pytest.raises(BusError, match="name another"):
        agency.admit(asked, **given)
    with pytest.raises(BusError, match="name another"):
        agency.renew("ngo-a", renewed, **given)

    assert "ngo-b" not in taken.directory.entries
    assert (taken.certificates("ngo-a"), taken.certificates("ngo-b")) == (0, 0)


def test_a_request_that_was_entered_gets_the_certificate_that_it_was_cut_off_from(taken: Taken, tmp_path: Path) -> None:
    """Given a command that was killed between the entry and the file, when it is given again, then the file has a certificate.

    The agency is in the directory once, and gets no more certificates than others.
    """
    asked = tmp_path / "asked"
    request = taken.admitted(commands.ask_first(taken.bus, "ngo-b", "ngo_legal", None))
    taken.is_full = False
    request.write(asked)
    asyncio.run(commands.enter(taken.bus, request))
    number = taken.directory.number

    agency.admit(asked, data=taken.bus.path, keys_unprotected=True)
    assert Request.read(asked).certificate
    assert (taken.directory.number, taken.certificates("ngo-b")) == (number, 2)

    asyncio.run(commands.enter(taken.bus, request))
    with pytest.raises(DirectoryError, match="certificates_many"):
        asyncio.run(commands.enter(taken.bus, request))
    with pytest.raises(BusError, match="agency_known"):
        agency.admit(asked, data=taken.bus.path, keys_unprotected=True)


def test_a_request_that_nobody_needs_is_written_over(
    signed: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a default file that is unsigned, or is in the directory already, then the next request takes its place."""
    monkeypatch.chdir(tmp_path)
    file = Path("ngo-a.request.json")
    assert agency._file(signed, None) == file

    Request(entry=joining.changed(signed.entry, admitted=[])).write(file)
    assert agency._file(signed, None) == file
    Request(entry=joining.changed(signed.entry, step=signed.entry.step - 1)).write(file)
    assert agency._file(signed, None) == file
    signed.write(file)
    with pytest.raises(BusError, match="is there already"):
        agency._file(signed, None)
    assert agency._file(signed, file) == file, "somebody has named it"


def test_a_renewal_makes_no_keys(quiet: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a slip in the id, then the message names the agencies that are here, and no folder with keys is made."""
    monkeypatch.chdir(tmp_path)
    write_json(quiet.agency("ngo-a").agency_json, {})

    with pytest.raises(BusError, match="no keys of ngo-z; it has those of these agencies: ngo-a"):
        agency.renew("ngo-z", data=quiet.path, keys_unprotected=True)
    assert not quiet.agency("ngo-z").path.exists()
    assert not (tmp_path / "ngo-z.renewal.json").exists()


def test_a_rotation_without_overlap_is_not_requested(quiet: BusFolder) -> None:
    """The old keys would end before the first admitter signs, so nobody could ever admit the new ones."""
    typed = ["rotate", "ngo-a", "--overlap", "0", "--data", str(quiet.path)]
    done = CliRunner().invoke(agency.app, typed)
    assert (done.exit_code, "--overlap" in done.output) == (2, True)


def test_admitters_are_named_before_the_first_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each admitter makes a key before the bus exists; the first start founds the directory with these keys."""
    for name in ("leyla", "rauf"):
        admitter.add(name, data=tmp_path, keys_unprotected=True)

    said = capsys.readouterr().out.splitlines()
    assert ["the bus needs a second one" in line for line in said] == [True, False]
    assert ["add a third" in line for line in said] == [False, True], "one lost key of two is the end"
    assert not BusFolder(tmp_path).exists, "how many partitions it has, and by which rules, is for `nrmbus up` to say"

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "admitters").rglob("*.seed")} == {0o600}
    with pytest.raises(BusError, match="id_reserved"):
        admitter.add("Operator", data=tmp_path, keys_unprotected=True)
