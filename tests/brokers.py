"""A running broker for tests, and buses on it, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from patience import PATIENCE, until
from trail import WATCH


class Broker:
    """A running broker, and buses on it, one after the other."""

    def __init__(self, kafka: EmbeddedKafka, home: Path) -> None:
        self.kafka = kafka
        self._home = home
        self._made = 0

    @property
    def bootstrap(self) -> str:
        """HOST:PORT for clients."""
        return self.kafka.bootstrap

    def fresh_bus(self, *, agencies: Sequence[str] = (), partitions: int = 1, play: bool = True) -> BusFolder:
        """A new bus on this broker, with its topics and none of those before it; the folder knows where the broker is.

        Stop the clients of the bus before it first: a consumer whose topic vanishes spins for ever.
        """
        self._made += 1
        WATCH.ends(self.bootstrap)
        self._empty()
        folder = BusFolder(self._home / f"bus-{self._made}")
        folder.create(play=play, partitions=partitions, bootstrap=self.bootstrap, tls=False)
        topics.apply(self.bootstrap, agencies, partitions, play=play)
        WATCH.begins(folder)
        return folder

    def _empty(self) -> None:
        admin = clients.admin(self.bootstrap)
        ours = [name for name in admin.list_topics(timeout=PATIENCE).topics if name.startswith("nrm.")]
        for future in admin.delete_topics(ours).values() if ours else ():
            future.result(PATIENCE)
        until(
            "the broker shows no topic that was deleted",
            lambda: not any(name in admin.list_topics(timeout=PATIENCE).topics for name in ours),
        )
        groups = [each.group_id for each in admin.list_consumer_groups().result(PATIENCE).valid]
        for future in admin.delete_consumer_groups(groups).values() if groups else ():
            error = future.exception(PATIENCE)
            # A group goes by itself with the last of its offsets. One with a stable member stays until that one's session
            # ends, since such a member never leaves; its offsets went with the topics.
            assert error is None or error.args[0].name() in {"GROUP_ID_NOT_FOUND", "NON_EMPTY_GROUP"}, error


@contextmanager
def running(home: Path) -> Iterator[Broker]:
    """A broker with its data below *home*, until the end of the block."""
    folder = BusFolder(home / "broker")
    folder.create(play=True, tls=False)
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        yield Broker(kafka, home)
    finally:
        kafka.stop()
