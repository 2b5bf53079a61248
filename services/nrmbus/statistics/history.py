"""Every case folded from ``nrm.cases`` for the figures, and the place up to which it was read. Pure."""

from nrmbus.events.figures import Checkpoint
from nrmbus.events.model import Fact
from nrmbus.rules import Rules
from nrmbus.wire.history import Chain, HistoryFault, KeyOf, known_event, read
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, Registration


class Histories:
    """The facts of every case, in the order of registration. The same history gives the same facts."""

    def __init__(self, bus: str, partitions: int, registrar_key: KeyOf) -> None:
        """Begin before the first record of *bus*; *registrar_key* finds the registrar's key of a kid."""
        self._registrar_key = registrar_key
        self._chains = {number: Chain(bus, number) for number in range(partitions)}
        self.facts: dict[str, list[Fact]] = {}
        """Facts by case or incident."""
        self._reads_all = True
        self._profiles: set[tuple[str, str]] = set()
        """Name and digest of each profile by which the registrar judged an event."""

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return how far each partition was read, and the digest of its last registration."""
        return tuple(
            Checkpoint(partition=partition, size=chain.number, head=chain.digest)
            for partition, chain in sorted(self._chains.items())
        )

    def is_known_to(self, rules: Rules) -> bool:
        """Return whether this release knows every event, and *rules* every profile: else the figures would count too little."""
        return self._reads_all and all(rules.is_installed(name, digest) for name, digest in self._profiles)

    def take(self, record: Record, partition: int) -> None:
        """Verify the next record of *partition*, and keep its event; a record that is read twice counts once.

        Raises:
            HistoryFault: the record is not the next registration of the partition, or not the registrar's.
        """
        chain = self._chains[partition]
        found = read(record, Registration.parse, self._registrar_key)
        try:
            chain.check(found)
        except HistoryFault as fault:
            if fault.code != "duplicate":
                raise
            return
        found.check_commitments()
        registration = found.registration
        if registration.verdict == "registered":
            event = known_event(found.opened())
            self._profiles.add((registration.policy.name, registration.policy.digest))
            if event is None:
                self._reads_all = False
            else:
                told = found.told(Audience.parse).recipients
                fact = Fact.of(event, told, registration.time, registration.number, registration.policy.name)
                self.facts.setdefault(event.subject, []).append(fact)
        chain.take(found)
