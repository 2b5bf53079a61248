"""The profile that this release uses unless another one is named."""

from typing import Final

PROFILE: Final = "az@2022-04-29"
