"""Recount by somebody else's program: the standard library alone, no module of nrmbus, and the text in the file as its manual.

It reads a history that `nrmbus export --release` wrote, and a release, and says where the two differ. It counts the tables
of referrals, answers, times to answer, payments and other events, and the missed duties; duties that were met follow from
the Rules, which it does not have.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

Rows = dict[tuple[str, ...], int]

ANSWERS = {"accepted", "declined", "revoked", "expired"}
UNIT = "special_unit"
MEASURES = {
    "case.re_referred", "case.withdrawn", "case.follow_up_recorded", "consent.refused", "consent.withdrawn", "access.break_glass",
    "access.revoked", "identification.interview_held",
}  # fmt: skip


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of *value*, which has no floats and no names beyond ASCII."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def differences(history: bytes, release: dict[str, Any]) -> list[str]:
    """Return what is wrong with *release*, by the *history*; an empty list if nothing is."""
    lines = [json.loads(line) for line in history.splitlines()]
    body = b"".join(canonical(line) + b"\n" for line in lines[:-1])
    if lines[-1] != {"kind": "trailer", "lines": len(lines) - 1, "sha256": sha256(body).hexdigest()}:
        return ["the trailer does not fit"]
    registrations = [line for line in lines if line["kind"] == "registration"]
    if wrong := list(unchained(registrations, release)):
        return wrong
    roles = {}
    for line in lines:
        if line["kind"] == "directory":
            entry = json.loads(base64.b64decode(line["entry"]["payload"]))
            if "agency" in entry:
                roles[entry["agency"]] = entry["role"]
    counted = tables(registrations, roles, release["period"])
    return list(compared(counted, release))


def unchained(registrations: list[dict[str, Any]], release: dict[str, Any]) -> Iterator[str]:
    """Yield where the registrations are not those that *release* names."""
    last: dict[int, tuple[int, str]] = {}
    for line in registrations:
        leaf = line["leaf"]
        number, digest = last.get(leaf["partition"], (0, "0" * 64))
        if (leaf["number"], leaf["previous"]) != (number + 1, digest):
            yield f"number {leaf['number']} is out of the chain"
        if sha256(canonical(line["audience"])).hexdigest() != leaf["audience"]:
            yield f"the recipients of number {leaf['number']} are not those"
        if "envelope" in line:
            yield from unsigned(line["envelope"], leaf)
        last[leaf["partition"]] = leaf["number"], sha256(canonical(leaf)).hexdigest()
    for end in release["checkpoints"]:
        if last.get(end["partition"], (0, "0" * 64)) != (end["size"], end["head"]):
            yield f"the release does not count these registrations of partition {end['partition']}"


def unsigned(envelope: dict[str, Any], leaf: dict[str, Any]) -> Iterator[str]:
    """Yield whether an event is not the registered one: its data are hashed in what its sender signed."""
    material = base64.b64decode(envelope["headers"]["ce_dssematerial"])
    hashes = json.loads(base64.b64decode(json.loads(material)["payload"]))
    names = ("id", "source", "specversion", "type")
    core = [envelope["headers"][f"ce_{name}"] for name in names] + [envelope["headers"]["content-type"]]
    core += [envelope["headers"][f"ce_{name}"] for name in ("dataschema", "subject", "time")]
    digests = b"".join(sha256(each.encode()).digest() for each in (*core, envelope["value"]))
    is_signed = base64.b64encode(sha256(digests).digest()).decode() == hashes["core"]
    if sha256(material).hexdigest() != leaf["envelope"] or not is_signed:
        yield f"the event of number {leaf['number']} is not the registered one"


def tables(registrations: list[dict[str, Any]], roles: dict[str, str], period: str) -> dict[str, Rows]:
    """Return the counts of each table of events, without those below k put away."""
    events = [line for line in registrations if "envelope" in line]
    erased = {line["leaf"]["subject"] for line in events if kind(line) == "access.erasure_due"}
    found: dict[str, Counter[tuple[str, ...]]] = {
        name: Counter()
        for name in ("referrals_by_role", "answers_by_role", "answers_by_sender", "declined_by_reason", "paid_by_kind",
                     "paid_amount_by_kind", "measures_by_type", "clocks_by_rule", "granted_by_purpose_and_source")
    }  # fmt: skip
    minutes: dict[tuple[str, str], list[int]] = {}
    asked: dict[tuple[str, str], dict[str, Any]] = {}
    waiting: dict[tuple[str, str], set[str]] = {}
    gone: set[tuple[str, str]] = set()
    orders: dict[str, list[dict[str, Any]]] = {}
    for line in (line for line in events if line["leaf"]["subject"] not in erased):
        type_, data, about = (
            kind(line),
            json.loads(line["envelope"]["value"]),
            line["envelope"]["headers"].get("ce_referral", ""),
        )
        case = line["leaf"]["subject"]
        move(line, data, gone)
        counts = lies_in(line["leaf"]["time"], period)
        group, _, word = type_.partition(".")
        if type_ == "referral.submitted":
            asked[case, about], waiting[case, about] = line, set(data["to"])
            for agency in data["to"] if counts else ():
                add(found["referrals_by_role"], (role(roles, agency),))
        elif group == "referral" and word in ANSWERS:
            ended = ended_by(line, waiting[case, about], gone, roles)
            waiting[case, about] -= ended
            answer(line, asked[case, about], ended if counts else set(), data, found, minutes, roles)
        elif type_ == "payment.ordered":
            orders.setdefault(case, []).append(data | {"about": about})
        elif type_ in ("payment.executed", "payment.failed"):
            amount = taken_off(orders[case], data, about)
            if counts and type_ == "payment.executed":
                found["paid_by_kind"][data["kind"],] += 1
                found["paid_amount_by_kind"][data["kind"],] += amount
        elif type_ == "deadline.breached" and counts:
            found["clocks_by_rule"][data["rule"], "missed"] += 1
            found["clocks_by_rule"]["_T", "missed"] += 1
        elif type_ == "fund.compensation_granted" and counts:
            add(found["granted_by_purpose_and_source"], (data["purpose"], data["source"]))
        elif type_ in MEASURES and counts:
            found["measures_by_type"][type_,] += 1
    result: dict[str, Rows] = {name: dict(each) for name, each in found.items()}
    for dimension in ("role", "sender"):
        result[f"minutes_to_answer_by_{dimension}"] = {
            (key,): round(median(each)) for (of, key), each in minutes.items() if of == dimension
        }
    return result


def move(line: dict[str, Any], data: dict[str, Any], gone: set[tuple[str, str]]) -> None:
    """Keep in *gone* the agencies that have left a case: by deletion or the end of their access, until they have a part again."""
    case, source, type_ = line["leaf"]["subject"], line["leaf"]["source"], kind(line)
    if type_ == "consent.stop_confirmed" and data["answer"] == "deleted":
        gone.add((case, source))
    elif type_ == "access.revoked":
        gone.update((case, each) for each in data["receivers"])
    else:
        gone.difference_update((case, each) for each in (source, *data.get("to", ())))


def ended_by(line: dict[str, Any], waiting: set[str], gone: set[tuple[str, str]], roles: dict[str, str]) -> set[str]:
    """Return the receivers among those *waiting* for which *line* is the answer or the end; an expiry is none for a unit that is there."""
    word, case = kind(line).partition(".")[2], line["leaf"]["subject"]
    if word in ("accepted", "declined"):
        return {line["leaf"]["source"]}
    return {each for each in waiting if word == "revoked" or role(roles, each) != UNIT or (case, each) in gone}


def answer(
    line: dict[str, Any],
    question: dict[str, Any],
    ended: set[str],
    data: dict[str, Any],
    found: dict[str, Counter[tuple[str, ...]]],
    minutes: dict[tuple[str, str], list[int]],
    roles: dict[str, str],
) -> None:
    """Count the answer in *line* to the referral in *question* for the receivers whose wait is *ended* by it."""
    word = kind(line).partition(".")[2]
    sender = role(roles, question["leaf"]["source"])
    for agency in ended:
        add(found["answers_by_role"], (role(roles, agency), word))
        add(found["answers_by_sender"], (sender, word))
        if word == "declined":
            add(found["declined_by_reason"], (role(roles, agency), data["reason"]))
        if word in ("accepted", "declined"):
            taken = datetime.fromisoformat(line["leaf"]["time"]) - datetime.fromisoformat(question["leaf"]["time"])
            for key in (("role", role(roles, agency)), ("sender", sender), ("role", "_T"), ("sender", "_T")):
                minutes.setdefault(key, []).append(int(taken.total_seconds() // 60))


def taken_off(orders: list[dict[str, Any]], paid: dict[str, Any], about: str) -> int:
    """Take the order that *paid* is about off the open *orders*, and return its amount."""
    for each in reversed(orders):
        same = paid.get("decision", each.get("decision")) == each.get("decision", paid.get("decision"))
        if each["about"] == about if about else each["kind"] == paid["kind"] and same:
            orders.remove(each)
            return round(float(each["amount"]["value"]))
    return 0


def add(counter: Counter[tuple[str, ...]], keys: tuple[str, ...]) -> None:
    """Count an event in the row *keys*, and in each total above it."""
    rows: list[tuple[str, ...]] = [()]
    for key in keys:
        rows = [(*row, each) for row in rows for each in (key, "_T")]
    for row in rows:
        counter[row] += 1


def kind(line: dict[str, Any]) -> str:
    """Return the type of an event."""
    return str(line["envelope"]["headers"]["ce_type"]).removeprefix("nrm.")


def role(roles: dict[str, str], agency: str) -> str:
    """Return the role of *agency* as the tables have it."""
    found = roles.get(agency, "unknown")
    return "unknown" if found in ("auditor", "timekeeper", "registrar") else found


def lies_in(time: str, period: str) -> bool:
    """Return whether a registration at *time* lies in *period*, in Baku."""
    local = datetime.fromisoformat(time).astimezone(ZoneInfo("Asia/Baku"))
    year, _, quarter = period.partition("-Q")
    return local.year == int(year) and quarter in ("", str((local.month + 2) // 3))


def compared(counted: dict[str, Rows], release: dict[str, Any]) -> Iterator[str]:
    """Yield each published count that is not the counted one, and each small one that is published."""
    for table in release["tables"]:
        for row in table["rows"] if table["id"] in counted else ():
            keys = tuple(row["keys"])
            if table["id"] == "clocks_by_rule" and keys[1] != "missed":
                continue
            due = counted[table["id"]].get(keys, 0)
            if "count" in row and row["count"] != due:
                yield f"{table['id']} {' '.join(keys)}: {row['count']} is published, {due} were counted"
            if "count" in row and table["unit"] in ("events", "persons") and due < release["k"]:
                yield f"{table['id']} {' '.join(keys)}: published though it is below {release['k']}"
