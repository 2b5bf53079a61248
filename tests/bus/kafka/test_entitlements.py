"""Rights follow from the topic files alone, name by name; quotas from theirs."""

from pathlib import Path

import pytest

from nrmbus.bus.errors import DeclarationError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.bus.kafka.entitlements import Entitlement, entitlements
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.kafka.quotas import load_quota, load_submissions
from nrmbus.bus.pki.authority import Authority
from nrmbus.registrar.owner import GROUP

EVERYBODY = ("registrar", "timekeeper", "auditor", "statistics", "ngo-a", "police")
LIMITS = "write_bytes_a_second: 1\nread_bytes_a_second: 1\nsubmissions_at_once: 1\nsubmissions_a_second: 1\n"


def of(who: str, *, play: bool = False, everybody: tuple[str, ...] = EVERYBODY) -> set[tuple[str, str, str]]:
    """Return the rights of *who* as the files declare them."""
    return {tuple(each[1:]) for each in entitlements(load_declarations(), everybody, 2, play=play) if each.who == who}  # type: ignore[misc]


def test_an_agency_may_do_these_things_and_no_other() -> None:
    """An agency has its own outbox, inbox and group and the public topics: no transactional id and no other agency's topic."""
    assert of("ngo-a") == {
        ("topic", "nrm.outbox.ngo-a", "write"),
        ("topic", "nrm.inbox.ngo-a", "read"),
        ("group", "ngo-a.desk", "read"),
        ("topic", "nrm.requests.ngo-a", "write"),
        ("topic", "nrm.witness.ngo-a", "write"),
        ("topic", "nrm.witness.ngo-a", "read"),
        ("topic", "nrm.directory", "read"),
        ("topic", "nrm.checkpoints", "read"),
        ("topic", "nrm.answers", "read"),
    }
    assert of("ngo-a", play=True) - of("ngo-a") == {("topic", "nrm.clock", "read")}


def test_the_timekeeper_sees_that_a_desk_is_connected_and_reads_nothing_of_its_inbox() -> None:
    """It may ask whether the group has a member and where the inbox ends, and neither join it nor read the inbox; nobody else may even ask."""
    found = {
        each for each in entitlements(load_declarations(), EVERYBODY, 2, play=False) if each.operation == "describe"
    }

    assert {each.who for each in found} == {"timekeeper"}
    assert {("group", "ngo-a.desk", "describe"), ("topic", "nrm.inbox.ngo-a", "describe")} <= of("timekeeper")
    assert {each.name for each in found if each.kind == "topic"} == {f"nrm.inbox.{each}" for each in EVERYBODY}
    assert not of("timekeeper") & {("group", "ngo-a.desk", "read"), ("topic", "nrm.inbox.ngo-a", "read")}


def test_only_the_registrar_makes_things_true() -> None:
    """Only the registrar writes the history and inboxes, and its group is the declared one; the auditor publishes under ids of its own."""
    found = entitlements(load_declarations(), EVERYBODY, 2, play=True)
    guarded = {
        each.who for each in found if each.operation == "write" and each.name.startswith(("nrm.cases", "nrm.inbox."))
    }
    assert guarded == {"registrar"}
    ids = {(each.who, each.name) for each in found if each.kind == "transactional_id"}
    shards = [(who, f"nrm-{who}-p{number}") for who in ("registrar", "auditor") for number in (0, 1)]
    assert ids == set(shards)
    assert Entitlement("registrar", "group", GROUP, "read") in found
    assert {each.who for each in found if each.name == "nrm.cases" and each.operation == "read"} == {
        "registrar", "timekeeper", "auditor", "statistics",
    }  # fmt: skip


def test_the_operator_and_strangers_have_no_entitlement() -> None:
    """The operator needs none, and a word of the files that nobody is called gives nothing to anybody."""
    everybody = (*EVERYBODY, "operator", "player")
    assert not of("operator", everybody=everybody)
    assert not of("player", play=True, everybody=everybody)
    assert of("auditor", everybody=("ngo-a",)) == set()


@pytest.mark.parametrize(
    "text",
    ["", "write_bytes_a_second: 1\n", LIMITS.replace("1", "0", 1), LIMITS.replace("1", "yes", 1), LIMITS.replace("1", "1.5", 1),
     LIMITS.partition("\n")[2], LIMITS + "more: 1\n", "- 1\n", "{"],
)  # fmt: skip
def test_a_quota_file_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    """A limit that is missing, unknown, or no number above 0."""
    (tmp_path / "quotas.yaml").write_text(text)
    for load in (load_quota, load_submissions):
        with pytest.raises(DeclarationError, match="submissions_at_once"):
            load(tmp_path / "quotas.yaml")


def test_a_quota_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Each limit under its own name."""
    (tmp_path / "quotas.yaml").write_text(LIMITS)
    assert load_quota(tmp_path / "quotas.yaml") == {"producer_byte_rate": 1.0, "consumer_byte_rate": 1.0}
    assert load_submissions(tmp_path / "quotas.yaml") == (1, 1)


def test_the_quota_lets_the_largest_record_through_at_once() -> None:
    """A submission of the greatest size is not made to wait."""
    assert load_quota()["producer_byte_rate"] > 4 * 384 * 1024


def test_broker_and_operator_need_no_rule(tmp_path: Path) -> None:
    """Broker and operator have certificates like others, and no topics: nobody is let to read or write any in their names."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    everybody = ("auditor", "broker", "ngo-a", "operator", "registrar")
    for who in everybody:
        Authority(folder).equip(who, tmp_path / who)
    wanted = Gate(folder)._wanted(None)

    assert {rule.principal for rule in wanted} == {"auditor.1", "ngo-a.1", "registrar.1"}
    assert not {rule for rule in wanted if rule.name.rpartition(".")[2] in ("broker", "operator")}
