"""The SDK that an agency's own system imports: publish through the agency's desk, and read its inbox."""

from nrmbus.client.door import Door, DoorError
from nrmbus.client.original import verify_original

__all__ = ["Door", "DoorError", "verify_original"]
