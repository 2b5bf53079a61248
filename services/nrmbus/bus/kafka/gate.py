"""The broker's rights and quotas, kept as they are declared: given to certificates that are good, taken from all others.

Kafka looks at them at each request, so that what is taken here ends on connections that are open, too. On a bus in
plain text the broker knows nobody, and there is nothing to keep.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from nrmbus.bus.errors import BusError, KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import client_metrics, quotas
from nrmbus.bus.kafka.clients import ANSWER_SECONDS, Administration
from nrmbus.bus.kafka.declarations import Declaration, load_declarations
from nrmbus.bus.kafka.entitlements import Entitlement, Kind, entitlements
from nrmbus.bus.pki.authority import OF_THE_OPERATOR, Authority
from nrmbus.bus.pki.certificate import now
from nrmbus.bus.private_files import locked
from nrmbus.wire.ids import AGENCY_ID

SERVICES_WITHOUT_QUOTA: Final = frozenset({"registrar", "timekeeper", "auditor", "statistics"})
"""The bus's own: all of its traffic is theirs."""
_ANY: Final = "*"
_OURS: Final = re.compile(rf"{AGENCY_ID.pattern}\.[1-9][0-9]*")
"""A principal as the mapping of subjects makes one of a certificate that the authority wrote."""
_KINDS: Final[tuple[Kind, ...]] = ("topic", "group", "transactional_id")


class Rule(NamedTuple):
    """One access rule as the broker has it: *principal* without Kafka's ``User:``."""

    principal: str
    permission: Literal["allow", "deny"]
    kind: str
    name: str
    operation: str
    pattern: str = "literal"
    host: str = "*"
    """Ours are all literal and from anywhere; a rule that was made by hand may be otherwise."""

    def __str__(self) -> str:
        other = "" if (self.pattern, self.host) == ("literal", _ANY) else f" ({self.pattern}, from {self.host})"
        return f"{self.principal} {self.permission} {self.operation} {self.kind} {self.name}{other}"


class Gate:
    """The operator's access to rights and quotas at the broker of one bus; blocking, never in a service's data path."""

    def __init__(self, folder: BusFolder) -> None:
        self._folder = folder
        self._authority = Authority(folder)
        self._client: Administration | None = None  # one a call: the broker may be elsewhere, the certificate another
        self._kept = now()
        """When ended certificates were last looked for."""
        self._revoked = 0
        """How many revoked certificates the register had when the broker was last told."""
        self._without_rights = set[str]()
        """Who has a new certificate of which the broker was not told."""

    # -- for who uses it ---------------------------------------------------------------------------------------------

    def apply(self, declarations: Iterable[Declaration] | None = None) -> tuple[str, ...]:
        """Make the broker's rules and quotas equal to the declared ones, for every holder of a valid certificate.

        Rules and quotas that a foreign cluster has for others are left as they are, and returned as a sentence. They stop
        only a new bus: on a bus that has rights there, a stolen certificate would keep its rights.

        Raises:
            KafkaFailed: the broker does not answer, or does not do it; or a new bus comes to a foreign cluster with rules or
                quotas for others.
        """
        if not self._folder.settings.tls:
            return ()
        with self._alone():
            self._client, at = None, now()
            found, has = self._found(), asyncio.run(quotas.found(self._folder.as_operator))
            ours = {rule.principal for rule in found if _OURS.fullmatch(rule.principal)}
            # The rules of certificates that the register lacks are removed below, and nothing tells their numbers afterwards.
            if self._authority.is_restored:
                self._authority.number_above(ours)
            self._authority.take_off_again(ours, at)
            wanted = self._wanted(declarations)
            others = self._of_others({rule.principal for rule in found} | has.keys())
            if others and ours.isdisjoint(self._authority.issued):
                raise KafkaFailed(f"{others[0]} No right was set; a new bus may name another cluster with --bootstrap.")
            self._have(wanted, found)
            self._have_quotas(has, at)
            if not self._folder.settings.bootstrap:  # clients of a foreign cluster may report metrics
                asyncio.run(client_metrics.forget_at_once(self._folder.as_operator))
        return others

    def skip_numbers(self) -> None:
        """Have no certificate get the number of another that the broker has rules for and the register lacks.

        The register may have been restored from a backup, and two certificates of one number would share their rights.

        Raises:
            KafkaFailed: the broker does not answer.
        """
        if not self._folder.settings.tls:
            return
        with self._alone():
            self._client = None
            found = {rule.principal for rule in self._found()}
            self._authority.number_above(each for each in found if _OURS.fullmatch(each))

    def equip(self, homes: Mapping[str, Path]) -> frozenset[str]:
        """Give each id in *homes* a valid certificate in its folder on this machine; return the ids that got a new one.

        Their rights come with the next `apply`.

        Raises:
            BusError, OSError: an id is reserved, or its key or folder cannot be used. All others have their certificates.
        """
        equipped = set[str]()
        if (failed := self._equip(homes, equipped)) is not None:
            raise failed
        return frozenset(equipped)

    def _equip(self, homes: Mapping[str, Path], equipped: set[str]) -> BusError | OSError | None:
        """Add each id that got a new certificate to *equipped*; return the first error. One unusable key delays nobody else."""
        if not self._folder.settings.tls:
            return None
        suspended, failed = self._authority.suspended, None
        for who, home in homes.items():
            try:
                if who not in suspended and self._authority.equip(who, home):
                    equipped.add(who)
            except (BusError, OSError) as error:
                failed = failed or error
        return failed

    def keep(self, homes: Mapping[str, Path]) -> frozenset[str]:
        """Renew the certificates that are due in *homes*; take all rights from ended and revoked ones; return who got a new one.

        A service with a new certificate must reconnect before its old one ends; until then both are valid. A command that
        revoked certificates may have been cut before the broker heard of it, so this takes their rights as well.

        Raises:
            KafkaFailed: the broker does not answer; called again, it does what is left.
            BusError, OSError: a key or folder cannot be used, and no other id got a new certificate. If one did, the error
                comes with the next call: the certificate is still due then.
        """
        failed = self._equip(homes, self._without_rights)
        at, revoked = now(), self._authority.revoked
        if self._without_rights or revoked != self._revoked or self._authority.has_ended(self._kept, at):
            self.apply()
            self._kept, self._revoked = at, revoked
        renewed, self._without_rights = frozenset(self._without_rights), set()
        if failed is not None and not renewed:
            raise failed
        return renewed

    def check(self, declarations: Iterable[Declaration] | None = None) -> tuple[str, ...]:
        """Return a sentence for each difference between the broker's rules and quotas and the declared ones. Changes nothing.

        Raises:
            KafkaFailed: the broker does not answer.
        """
        if not self._folder.settings.tls:
            return ()
        self._client = None
        wanted, found = self._wanted(declarations), self._found()
        missing = [f"{rule} is declared, and not on the broker: nrmbus topics apply" for rule in sorted(wanted - found)]
        strays = [
            f"{rule} is on the broker, and not declared: {self._mend(rule.principal)}"
            for rule in sorted(found - wanted)
        ]
        due, has = self._quotas(now()), asyncio.run(quotas.found(self._folder.as_operator))
        wrong = [
            f"{principal} has another quota than is declared: {self._mend(principal)}"
            for principal in sorted(due.keys() | has.keys())
            if due.get(principal, {}) != has.get(principal, {})
        ]
        return (*missing, *strays, *wrong)

    @property
    def suspended(self) -> frozenset[str]:
        """Ids that the broker denies everything for now, since they are suspended or retired."""
        return self._authority.suspended if self._folder.settings.tls else frozenset()

    def suspend(self, who: str) -> None:
        """Deny *who* everything at the broker from now on, on open connections too. Idempotent.

        Raises:
            KafkaFailed: the broker does not answer; who is suspended is written down all the same, for the next `apply`.
        """
        self._authority.suspend(who)
        self._keep_denied()

    def admit_again(self, who: str) -> None:
        """Undo `suspend`: *who* has its rights again.

        Raises:
            KafkaFailed: the broker does not answer.
        """
        self._authority.suspend(who, suspended=False)
        self._keep_denied()

    def revoke(self, who: str) -> None:
        """End every certificate of *who*, on open connections too; a certificate that is issued later is valid.

        Raises:
            KafkaFailed: the broker does not answer.
        """
        self._authority.revoke(who)
        self.apply()

    # -- what is wanted ----------------------------------------------------------------------------------------------

    def _wanted(self, declarations: Iterable[Declaration] | None) -> frozenset[Rule]:
        settings, declared = self._folder.settings, load_declarations() if declarations is None else declarations
        # The operator's own ids need no rule and own no topic.
        standing = {who: each for who, each in self._authority.standing(now()).items() if who not in OF_THE_OPERATOR}
        due = entitlements(declared, standing, settings.partitions, play=settings.play)
        return rules(due, standing) | self._denied()

    def _denied(self) -> frozenset[Rule]:
        standing = self._authority.standing(now())
        return frozenset(
            Rule(one, "deny", kind, _ANY, "all")
            for who in self._authority.suspended
            for one in standing.get(who, ())
            for kind in _KINDS
        )

    def _quotas(self, at: datetime) -> dict[str, quotas.Quota]:
        quota, standing = quotas.load_quota(), self._authority.standing(at)
        agencies = standing.keys() - SERVICES_WITHOUT_QUOTA - OF_THE_OPERATOR
        return {principal: quota for who in agencies for principal in standing[who]}

    def _have_quotas(self, has: Mapping[str, quotas.Quota], at: datetime) -> None:
        due = self._quotas(at)
        changed = {
            each: due.get(each, {})
            for each in filter(self._is_ours, due.keys() | has.keys())
            if due.get(each, {}) != has.get(each, {})
        }
        asyncio.run(quotas.put(self._folder.as_operator, changed))

    def _is_ours(self, principal: str) -> bool:
        """Return whether rules and quotas of *principal* are the bus's to set; on the embedded broker all are."""
        return not self._folder.settings.bootstrap or _OURS.fullmatch(principal) is not None

    def _mend(self, principal: str) -> str:
        return "nrmbus topics apply" if self._is_ours(principal) else "it is another user's, and its owner removes it"

    def _of_others(self, principals: Iterable[str]) -> tuple[str, ...]:
        """Return a sentence if a foreign cluster has rules or quotas for other users; on the embedded broker stray ones are removed."""
        others = sorted(each for each in principals if not self._is_ours(each))
        return tuple(
            f"This cluster has access rules or quotas for others, {each} for one; they are left as they are. "
            "A bus has its cluster for itself: the cluster's administrator removes them."
            for each in others[:1]
        )

    # -- the broker --------------------------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        """Hold the lock for setting rights: a concurrent run that began before a certificate was issued would take its rights away."""
        return locked(self._folder.keys / "gate.lock")

    def _brokers(self) -> Administration:
        if self._client is None:
            self._client = Administration(self._folder.as_operator)
        return self._client

    def _keep_denied(self) -> None:
        if not self._folder.settings.tls:
            return
        with self._alone():
            self._client = None
            wanted, found = self._denied(), self._found()
            kept = frozenset(rule for rule in self._ours(found) if rule.permission != "deny")
            self._have(kept | wanted, found)

    def _ours(self, found: Iterable[Rule]) -> frozenset[Rule]:
        return frozenset(rule for rule in found if self._is_ours(rule.principal))

    def _have(self, wanted: frozenset[Rule], found: frozenset[Rule]) -> None:
        self._remove(self._ours(found) - wanted)  # first: a right that is to end does not wait for another to be given
        self._add(wanted - found)
        until = time.monotonic() + ANSWER_SECONDS
        # The controller has the rules at once, the broker a moment later.
        while self._ours(self._found()) != wanted:
            if time.monotonic() > until:
                raise KafkaFailed("The broker does not show the access rules that it was given: nrmbus topics check")
            time.sleep(0.02)

    def _found(self) -> frozenset[Rule]:
        from confluent_kafka import admin  # noqa: PLC0415 - see clients.admin

        any_: Any = None
        kind, pattern = admin.ResourceType.ANY, admin.ResourcePatternType.ANY
        operation, permission = admin.AclOperation.ANY, admin.AclPermissionType.ANY
        everything = admin.AclBindingFilter(kind, any_, pattern, any_, any_, operation, permission)
        return frozenset(map(_rule, self._brokers().answers(lambda client: [client.describe_acls(everything)])[0]))

    def _add(self, wanted: Iterable[Rule]) -> None:
        from confluent_kafka.admin import AclBinding  # noqa: PLC0415 - see clients.admin

        bindings = [AclBinding(*_binding(rule)) for rule in sorted(wanted)]
        if bindings:
            self._brokers().answers(lambda client: client.create_acls(bindings).values())

    def _remove(self, unwanted: Iterable[Rule]) -> None:
        from confluent_kafka.admin import AclBindingFilter  # noqa: PLC0415 - see clients.admin

        filters = [AclBindingFilter(*_binding(rule)) for rule in sorted(unwanted)]
        if filters:
            self._brokers().answers(lambda client: client.delete_acls(filters).values())


def rules(due: Iterable[Entitlement], standing: Mapping[str, tuple[str, ...]]) -> frozenset[Rule]:
    """Return the broker's rules for the rights *due*, for each principal in *standing*."""
    return frozenset(
        Rule(principal, "allow", each.kind, each.name, each.operation)
        for each in due
        for principal in standing.get(each.who, ())
    )


def _binding(rule: Rule) -> tuple[Any, ...]:
    from confluent_kafka import admin  # noqa: PLC0415 - see clients.admin

    return (
        admin.ResourceType[rule.kind.upper()],
        rule.name,
        admin.ResourcePatternType[rule.pattern.upper()],
        f"User:{rule.principal}",
        rule.host,
        admin.AclOperation[rule.operation.upper()],
        admin.AclPermissionType[rule.permission.upper()],
    )


def _rule(binding: Any) -> Rule:
    return Rule(
        binding.principal.removeprefix("User:"),
        binding.permission_type.name.lower(),
        binding.restype.name.lower(),
        binding.name,
        binding.operation.name.lower(),
        binding.resource_pattern_type.name.lower(),
        binding.host,
    )
