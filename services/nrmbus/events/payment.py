"""Payment: ordered, executed or failed; the one-time allowance once for each recognition. Law art. 17.2 [S15]."""

from typing import Annotated

from pydantic import Field

from nrmbus.events.codes import Payee, PaymentKind, Tariff
from nrmbus.events.model import Data, EventId, Frozen, Letter, Line, clear, sealed


class Amount(Frozen):
    """A sum of money; the value is text, since JSON's numbers are no decimals."""

    value: Annotated[
        str, Field(pattern=r"^(0|[1-9][0-9]{0,8})\.[0-9]{2}$", description="Decimal number with two places")
    ]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217")]


class PaymentOrderedLetter(Letter):
    """Where the money goes."""

    account: Annotated[Line | None, sealed("money", "DC3", "Account")] = None


class PaymentOrdered(Data):
    """The fund orders a payment. Law art. 17.2 [S15]."""

    type = "payment.ordered"
    letter = PaymentOrderedLetter

    kind: Annotated[PaymentKind, clear("What kind of payment")]
    tariff: Annotated[Tariff | None, clear("Tariff that the amount is from")] = None
    amount: Annotated[Amount, clear("How much")]
    payee: Annotated[Payee, clear("To whom")]
    decision: Annotated[
        EventId | None, clear("The decision on status that it rests on; left out: the one in effect")
    ] = None


class PaymentExecuted(Data):
    """The fund has paid [S15]."""

    type = "payment.executed"

    kind: Annotated[PaymentKind, clear("What kind of payment")]
    decision: Annotated[EventId | None, clear("The decision on status that the order rests on")] = None


class PaymentFailed(Data):
    """The payment came back; it may be ordered again [S15]."""

    type = "payment.failed"

    kind: Annotated[PaymentKind, clear("What kind of payment")]
    decision: Annotated[EventId | None, clear("The decision on status that the order rests on")] = None
