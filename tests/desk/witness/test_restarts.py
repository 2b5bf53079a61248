"""A witness that is killed anywhere, or whose ledger is put back from a backup, signs the same once, and nothing else."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from desk.witness.given import LOG, OWN, FakeAuditor, Killed, forked, witnessing
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.witness import cosignatures
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note


class TestKilled:
    async def test_between_storing_and_sending_it_sends_the_same_bytes_at_the_next_start(self, tmp_path: Path) -> None:
        """The bytes do not depend on the clock at the next start."""
        auditor, own = FakeAuditor(tmp_path / "auditor"), list[bytes]()
        topic = [auditor.grows(3)]
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.read()
            await here.witness.sign()
            (stored,) = await here.given.rows("witnessed")
        async with witnessing(tmp_path / "desk", topic, own) as here:
            here.given.clock.time = here.given.clock.time.replace(hour=23)
            await here.look()

            assert own == [stored.cosignature]

    async def test_after_sending_it_does_not_send_again(self, tmp_path: Path) -> None:
        """The ledger does not know that the broker has the record, but the desk's own topic shows it."""
        auditor, own = FakeAuditor(tmp_path / "auditor"), list[bytes]()
        topic = [auditor.grows(3)]

        async def publish(note: bytes) -> None:
            own.append(note)
            raise Killed

        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.read()
            await here.witness.sign()
            with pytest.raises(Killed):
                await here.witness.send(publish)
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look()

            assert here.sizes() == [3]

    @pytest.mark.parametrize("name", ["keep_checked", "keep_signed", "advance"])
    async def test_before_a_commit_nothing_is_left_and_nothing_is_sent(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The next start does all of the work, once."""
        auditor, own = FakeAuditor(tmp_path / "auditor"), list[bytes]()
        topic, real = [auditor.grows(3)], getattr(cosignatures, name)

        def killed(*given: Any, **more: Any) -> None:
            real(*given, **more)
            raise Killed

        async with witnessing(tmp_path / "desk", topic, own) as here:
            with monkeypatch.context() as patch:
                patch.setattr(cosignatures, name, killed)
                with pytest.raises(Killed):
                    await here.look()
            assert all(row.cosignature is None for row in await here.given.rows("witnessed"))
            assert own == []
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look()

            assert here.sizes() == [3]

    async def test_an_alarm_is_stored_with_its_task_and_its_evidence_or_not_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A desk killed in between finds the fork again."""
        real = open_task

        def killed(*given: Any, **more: Any) -> None:
            real(*given, **more)
            raise Killed

        async with witnessing(tmp_path / "desk", [], []) as here:
            fork = await forked(tmp_path, here)
            monkeypatch.setattr("nrmbus.desk.witness.cosignatures.open_task", killed)
            with pytest.raises(Killed):
                await here.look(fork.grows(8))
            assert (await here.given.rows("tasks"), await here.given.rows("witness_alarms")) == ([], [])
            monkeypatch.undo()
            await here.look()

            assert await here.alarms() == [(LOG, "consistency_invalid")]
            assert len(await here.given.rows("tasks")) == 1


class TestARestoredLedger:
    async def restored(self, tmp_path: Path, topic: list[bytes], own: list[bytes]) -> None:
        """Sign up to 3, copy the ledger, sign up to 7, and put the copy in its place."""
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look(auditor.grows(3))
        shutil.copytree(tmp_path / "desk", tmp_path / "backup")
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look(auditor.grows(7))
        shutil.rmtree(tmp_path / "desk")
        (tmp_path / "backup").rename(tmp_path / "desk")
        self.auditor = auditor

    async def test_it_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """The witness signs nothing twice, and counts the signatures in its own topic as signed."""
        topic, own = list[bytes](), list[bytes]()
        await self.restored(tmp_path, topic, own)
        async with witnessing(tmp_path / "desk", topic, own) as here:
            assert (await here.given.door.get("/health")).json()["witness"][LOG]["size"] == 7
            assert here.witness.next_offset(OWN) == len(own), "read once, not at every start"
            await here.look()
            assert here.sizes() == [3, 7]
            await here.look(self.auditor.grows(9))

            assert here.sizes() == [3, 7, 9]
            assert await here.alarms() == []

    @pytest.mark.parametrize(("size", "code"), [(6, None), (7, "root_differs"), (9, "gap")])
    async def test_it_does_not_sign_a_tree_that_contradicts_what_it_signed(
        self, size: int, code: str | None, tmp_path: Path
    ) -> None:
        """From the backup's position on, the topic shows another history: smaller, as large, or larger."""
        topic, own = list[bytes](), list[bytes]()
        await self.restored(tmp_path, topic, own)
        fork = FakeAuditor(tmp_path / "fork", forked_at=4)
        fork.grows(3)
        topic[1:] = [fork.grows(size)]
        async with witnessing(tmp_path / "desk", topic, own) as here:
            await here.look()

            assert here.sizes() == [3, 7]
            assert await here.alarms() == ([(LOG, code)] if code else [])
            if code is None:
                await here.look(fork.grows(7))
                assert (here.sizes(), await here.alarms()) == ([3, 7], [(LOG, "root_differs")])

    async def test_a_lost_ledger_learns_from_the_topics_alone(self, tmp_path: Path) -> None:
        """Every step is checked from the oldest on, and nothing is signed twice."""
        topic, own = list[bytes](), list[bytes]()
        await self.restored(tmp_path, topic, own)
        async with witnessing(tmp_path / "new", topic, own) as here:
            await here.look()
            await here.look(self.auditor.grows(9))

            assert here.sizes() == [3, 7, 9]
            assert await here.alarms() == []

    async def test_two_desks_on_copies_of_one_ledger_find_out(self, tmp_path: Path) -> None:
        """A signed tree in the agency's topic that contradicts this ledger is an alarm about the log."""
        own, fork = list[bytes](), FakeAuditor(tmp_path / "fork", forked_at=2)
        async with witnessing(tmp_path / "one", [fork.grows(5)], own) as here:
            await here.look()
        auditor = FakeAuditor(tmp_path / "auditor")
        topic = [auditor.grows(5), auditor.grows(7)]
        async with witnessing(tmp_path / "two", topic, own, recall=False) as here:
            await here.read()
            await here.recall()
            await here.look()

            assert here.sizes() == [5]
            assert await here.alarms() == [(LOG, "root_differs")]

    async def test_what_it_signed_and_this_ledger_never_saw_is_said(self, tmp_path: Path) -> None:
        """A tree between two checked ones shows that another desk of this agency was given another topic."""
        own, other = list[bytes](), FakeAuditor(tmp_path / "other")
        async with witnessing(tmp_path / "one", [other.grows(5)], own) as here:
            await here.look()
        auditor = FakeAuditor(tmp_path / "auditor")
        async with witnessing(tmp_path / "two", [auditor.grows(3), auditor.grows(7)], own, recall=False) as here:
            await here.read()
            await here.recall()
            await here.look()

            assert here.sizes() == [5]
            assert await here.alarms() == [(LOG, "gap")]

    async def test_what_stands_in_its_own_topic_and_it_never_signed_is_said(self, tmp_path: Path) -> None:
        """Somebody without the right writes there; the alarm accuses no log."""
        async with witnessing(tmp_path / "desk", [], [b"not a note"]) as here:
            await here.look(FakeAuditor(tmp_path / "auditor").grows(3))

            assert Checkpoint.parse(Note.parse(here.own[1]).text).size == 3
            assert await here.alarms() == [(None, "signature_invalid")]
            assert (await here.given.rows("witness_alarms"))[0].source == f"{OWN}/0"
