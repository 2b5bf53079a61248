"""A ledger that was put back from a copy goes on with a document where the bus stands; of ledgers in a file."""

import json
import shutil
from pathlib import Path

from agencies import SIGNAL
from desk.documents.test_sharing import PDF, announcing, content_of, uploaded
from desk.given import Read, desk_of
from nrmbus.wire.record import Record


async def test_a_copy_from_before_the_first_chunk_sends_the_rest_alone(tmp_path: Path) -> None:
    """The receipts tell it of the chunks that it does not know to have sent: none goes out twice."""
    sent, answers = list[Record](), list[Read]()
    (home := tmp_path / "home").mkdir()
    async with desk_of("ngo-a", home) as given:
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        await given.ask(**announcing(await uploaded(given)))
        registrar = given.registrar
    shutil.copytree(home, tmp_path / "copy")
    async with desk_of("ngo-a", home, registrar=registrar) as given:
        for _ in range(3):
            (record,) = await given.out()
            sent.append(record)
            answers.append(registrar.register(record, to="ngo-a"))
            await given.hear(answers[-1])
    async with desk_of("ngo-a", tmp_path / "copy", registrar=registrar) as given:
        for answer in answers:
            await given.hear(answer)
        while out := await given.out():
            for record in out:
                await given.hear(registrar.register(record, to="ngo-a"))
            sent += out
        left = await given.rows("documents")

        assert [json.loads(each.value or b"").get("index") for each in sent] == [None, 0, 1, 2]
        assert content_of(given, sent[1:], "special-unit") == PDF
        assert left == []
