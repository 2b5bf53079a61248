"""Forms of the door's parameters: the fake desk, which has no FastAPI, asks the same ones."""

from typing import Final, Literal

from nrmbus.wire import ids

REF: Final = "^[0-9a-f]{32}$"
TYPE: Final = r"^[a-z][a-z_]{0,40}\.[a-z][a-z_]{0,40}$"
SOURCE: Final = r"^[a-z][a-z0-9-]{1,30}$"
LEDGER: Final = "^[0-9a-f]{16}$"
ACTOR: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
IDEMPOTENCY_KEY: Final = f'^("{ids.EVENT_ID.pattern}"|{ids.EVENT_ID.pattern})$'
"""Id of an event, with or without quotation marks."""
SPOKEN: Final = r"^[a-z][a-z_]{0,40}\.[a-z][a-z_]{0,40}:[1-9][0-9]{0,3}$"
MOST_SPOKEN: Final = 256
LONGEST_KIND: Final = 64
LONGEST_CASE: Final = 32
"""Characters of the cursor of the list of cases, which is a text."""

State = Literal["submitted", "accepted", "completed", "declined", "revoked", "expired"]
"""``PartState`` of the Rules, which a plain install of the fake desk cannot load; a test compares the two."""
Direction = Literal["sent", "received"]
