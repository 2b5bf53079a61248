"""The SDK that an agency's own system imports: publish through the agency's desk, and read its inbox."""

from nrmbus.client.door import Door, DoorError

__all__ = ["Door", "DoorError"]
