"""A desk as a witness signs each checked tree once, and reports refused trees."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, NOW, town
from desk.witness.given import LOG, FakeAuditor, Killed, forked, witnessing
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.desk.witness import follower as witnessing_module
from nrmbus.directory import Directory, LogIdentity
from nrmbus.wire.log.checkpoint import Policy, origin_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CHECKPOINTS

pytestmark = pytest.mark.usefixtures("kept")


class TestAnHonestLog:
    async def test_the_newest_tree_is_cosigned_and_counts_under_a_policy(self, tmp_path: Path) -> None:
        """The cosignature, added to the log's note, counts for a verifier."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            first = auditor.grows(3)
            await here.look(first)
            await here.look(auditor.grows(7))

            assert here.signed() == [(LOG, 3), (LOG, 7)]
            directory = town().directory
            (keys,) = directory.log_keys()
            note = Note.parse(first.partition(b"\n\n")[2]).signed(*Note.parse(here.own[0]).signatures)
            believed = Policy(keys.verifiers(LOG), directory.witnesses("shelter"), 1).believe(note.bytes())
            assert (believed.checkpoint.size, list(believed.witnesses)) == (
                3,
                [Note.parse(here.own[0]).signatures[0].name],
            )

    async def test_a_witness_that_joins_later_checks_every_step_and_signs_the_last(self, tmp_path: Path) -> None:
        """The new witness checks from the oldest record on, and signs only the newest tree."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [auditor.grows(size) for size in (3, 7, 9)], []) as here:
            await here.look()

            assert here.sizes() == [9]
            rows = await here.given.rows("witnessed")
            assert [(row.size, row.note is None) for row in rows] == [(3, True), (7, True), (9, False)]

    async def test_each_partition_has_its_own_log(self, tmp_path: Path) -> None:
        """An alarm about one log does not stop the signing of the other."""
        logs = [FakeAuditor(tmp_path / str(number), partition=number) for number in (0, 1)]
        other = origin_of(logs[1].log.origin.split("/")[1], 1)
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(*(each.grows(3) for each in logs))
            await here.look(FakeAuditor(tmp_path / "forked", forked_at=2).grows(3), logs[1].grows(5))

            assert here.signed() == [(LOG, 3), (other, 3), (other, 5)]
            assert await here.alarms() == [(LOG, "root_differs")]

    async def test_a_record_that_comes_again_is_signed_once(self, tmp_path: Path) -> None:
        """A repeated record is ignored, whether it is the last one, as after a cut of the auditor, or an older one."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            first, second = auditor.grows(3), auditor.grows(7)
            await here.look(first, first)
            await here.look(second, second, first)

            assert here.sizes() == [3, 7]
            assert await here.alarms() == []

    async def test_before_the_directory_names_a_log_its_checkpoints_wait(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Early checkpoints are neither lost nor an alarm: the auditor's entry may come a moment later."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            with monkeypatch.context() as before:
                before.setattr(Directory, "log_keys", lambda _: ())
                assert await here.witness.take(0, auditor.grows(3)) is False

            assert here.witness.next_offset(CHECKPOINTS) == 0
            assert await here.alarms() == []


class TestAnAlarm:
    async def test_a_fork_is_never_signed_and_said_everywhere(self, tmp_path: Path) -> None:
        """Task, health page and witness's page show the fork; the record is stored beside the tree that it contradicts."""
        async with witnessing(tmp_path / "desk", [], []) as here:
            fork = await forked(tmp_path, here)
            fork.published = 3
            offending = fork.grows(7)
            await here.look(offending)

            assert here.sizes() == [7]
            (task,) = (await here.given.door.get("/v1/tasks")).json()["tasks"]
            assert (task["kind"], task["code"], task["origin"], task["size"]) == (
                "witness_alarm",
                "root_differs",
                LOG,
                7,
            )
            assert (await here.given.door.get("/health")).json()["witness"] == {
                LOG: {"size": 7, "code": "root_differs"}
            }
            (log,) = (await here.given.door.get("/v1/witness")).json()["logs"]
            assert (log["origin"], log["size"], log["checked"], log["at"]) == (LOG, 7, 7, "2026-03-02T05:00:00Z")
            assert [(alarm["code"], alarm["record"]) for alarm in log["alarms"]] == [
                ("root_differs", f"{CHECKPOINTS}/2")
            ]
            (evidence,) = await here.given.rows("witness_alarms")
            assert evidence.record == offending
            assert evidence.held == here.topic[1].partition(b"\n\n")[2]
            assert CASE.encode() not in evidence.record + evidence.held

    async def test_after_a_fork_nothing_of_the_log_is_signed_until_a_person_acts(self, tmp_path: Path) -> None:
        """Even the true history is not signed, although it is checked; a restart changes nothing."""
        auditor = FakeAuditor(tmp_path / "auditor")
        topic, own = [auditor.grows(3)], list[bytes]()
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look()
            await here.look(FakeAuditor(tmp_path / "fork", forked_at=2).grows(5))
            await here.look(auditor.grows(7))
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look(auditor.grows(8))

            assert here.sizes() == [3]
            await here.person_acts()
            await here.look()
            assert here.sizes() == [3, 8]
            assert (await here.given.door.get("/health")).json()["witness"] == {LOG: {"size": 8, "code": None}}
            assert len(await here.given.rows("witness_alarms")) == 1, "what was wrong once stays on record"

    async def test_a_person_cannot_make_a_witness_sign_the_other_history(self, tmp_path: Path) -> None:
        """The signed tree stays signed: the fork raises an alarm again."""
        async with witnessing(tmp_path / "desk", [], []) as here:
            fork = await forked(tmp_path, here)
            await here.look(fork.grows(8, old=7))
            await here.person_acts()
            await here.look(fork.grows(9))

            assert here.sizes() == [7]
            assert await here.alarms() == [(LOG, "gap")]

    @pytest.mark.parametrize(("size", "code"), [(5, "tree_shrank"), (3, "tree_shrank")])
    async def test_a_cut_tail_is_noticed(self, size: int, code: str, tmp_path: Path) -> None:
        """A shrunken log is noticed also when it signs an earlier tree again, after a larger one."""
        auditor, cut = FakeAuditor(tmp_path / "auditor"), FakeAuditor(tmp_path / "cut")
        cut._time += 86_400
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(auditor.grows(3), auditor.grows(7))
            await here.look(cut.grows(size))

            assert here.sizes() == [7]
            assert await here.alarms() == [(LOG, code)]

    async def test_a_gap_is_noticed_and_what_comes_behind_it_is_no_news(self, tmp_path: Path) -> None:
        """A gap raises one alarm; the missing checkpoint, published again, closes the gap once a person has looked."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(auditor.grows(3))
            auditor.grows(5)
            await here.look(auditor.grows(7), auditor.grows(8))
            assert await here.alarms() == [(LOG, "gap")]

            await here.look(auditor.grows(9, old=3))
            assert here.sizes() == [3]
            await here.person_acts()
            await here.look()

            assert here.sizes() == [3, 9]

    async def test_a_fork_behind_a_gap_is_said_too(self, tmp_path: Path) -> None:
        """The health page shows the worse of two alarms."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(auditor.grows(3))
            auditor.grows(5)
            await here.look(auditor.grows(7), FakeAuditor(tmp_path / "fork", forked_at=2).grows(3))

            assert await here.alarms() == [(LOG, "gap"), (LOG, "root_differs")]
            assert (await here.given.door.get("/health")).json()["witness"][LOG]["code"] == "root_differs"

    async def test_a_topic_that_lost_its_beginning_is_not_trusted(self, tmp_path: Path) -> None:
        """On first use, a witness believes only the tree without leaves."""
        auditor = FakeAuditor(tmp_path / "auditor")
        auditor.grows(3)
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(auditor.grows(7))

            assert (here.sizes(), await here.alarms()) == ([], [(LOG, "gap")])

    @pytest.mark.parametrize("what", ["wrong key", "another bus", "not for playing"])
    async def test_what_no_log_of_this_bus_signed_stops_no_log(self, what: str, tmp_path: Path) -> None:
        """Otherwise anybody who writes to the topic could silence every witness; a person is told."""
        given = {"another bus": {"bus": "play-00000000000000ff"}, "not for playing": {"bus": "0123456789abcdef"}}
        stranger: dict[str, Any] = given.get(what, {"identity": LogIdentity.at(tmp_path / "stranger")})
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(auditor.grows(3))
            await here.look(FakeAuditor(tmp_path / "other", **stranger).grows(5), auditor.grows(7))

            code = "note_unsigned" if what == "wrong key" else "origin_differs"
            assert here.sizes() == [3, 7]
            assert await here.alarms() == [(None, code)]
            assert (await here.given.door.get("/health")).json()["witness"][CHECKPOINTS] == {"size": 0, "code": code}

    async def test_a_new_key_of_the_log_is_looked_up_before_it_is_called_unknown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The directory is read to its end first."""
        auditor = FakeAuditor(tmp_path / "auditor")
        keys, known = town().directory.log_keys(), list[Any]()
        monkeypatch.setattr(Directory, "log_keys", lambda _: tuple(known))

        async def catch_up() -> None:
            known.extend(keys)

        async with witnessing(tmp_path / "desk", [], []) as here:
            here.given.desk.seat.catch_up = catch_up
            await here.look(auditor.grows(3))

            assert (here.sizes(), await here.alarms()) == ([3], [])


class TestNotYet:
    async def test_a_desk_that_has_not_read_its_inbox_checks_and_does_not_sign(self, tmp_path: Path) -> None:
        """The desk signs once the inbox is read, though nothing else has come."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], []) as here:
            here.inbox_is_read = False
            await here.look(auditor.grows(3))
            assert (here.sizes(), here.witness.cosigns) == ([], False)
            here.inbox_is_read = True
            await here.look()

            assert (here.sizes(), here.witness.cosigns) == ([3], True)

    async def test_a_desk_that_has_not_read_its_own_topic_does_not_sign(self, tmp_path: Path) -> None:
        """The topic may have later signatures than the ledger."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", [], [], recall=False) as here:
            await here.look(auditor.grows(3))

            assert here.sizes() == []

    async def test_before_the_first_tick_of_a_bus_for_playing_nothing_is_signed(self, tmp_path: Path) -> None:
        """A cosignature has a time, and there is no time yet."""
        async with witnessing(tmp_path / "desk", [], []) as here:
            here.given.clock.time = BEFORE_ANY_TICK
            await here.look(FakeAuditor(tmp_path / "auditor").grows(3))
            assert here.sizes() == []
            here.given.clock.time = NOW
            await here.look()

            assert here.sizes() == [3]

    @pytest.mark.slow
    async def test_what_goes_wrong_on_the_way_is_tried_again_and_signs_nothing_meanwhile(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The desk's other work goes on meanwhile."""
        signs, tries = list[bool](), 0
        async with witnessing(tmp_path / "desk", [], []) as here:

            async def recall(_witness: object, _bootstrap: str) -> None:
                signs.append(here.witness.cosigns)
                await here.recall()

            async def follow(_witness: object, _bootstrap: str) -> None:
                nonlocal tries
                tries += 1
                signs.append(here.witness.cosigns)
                raise Killed if tries == 3 else OSError

            monkeypatch.setattr(witnessing_module, "_recall", recall)
            monkeypatch.setattr(witnessing_module, "_follow", follow)
            monkeypatch.setattr(witnessing_module, "AGAIN_SECONDS", 0.0)
            with pytest.raises(Killed):
                await witnessing_module.run(here.witness, "127.0.0.1:1")

        assert signs == [True, True, False, True, False, True]

    async def test_a_desk_whose_key_is_not_in_the_directory_is_no_witness(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A desk admitted by an earlier release checks, but does not sign."""
        entries = town().directory.entries
        earlier = entries | {"shelter": entries["shelter"].model_copy(update={"witness": None})}
        monkeypatch.setattr(Directory, "entries", property(lambda _: earlier))
        async with witnessing(tmp_path / "desk", [], []) as here:
            await here.look(FakeAuditor(tmp_path / "auditor").grows(3))

            assert (here.sizes(), here.witness.cosigns) == ([], False)
            (log,) = (await here.given.door.get("/v1/witness")).json()["logs"]
            assert (log["size"], log["root"], log["at"], log["checked"]) == (0, None, None, 3)
