"""The frozen document of the door is the code's: a route that is added or changed is frozen in the same commit."""

import pytest

from nrmbus.published import openapi


@pytest.mark.thorough
def test_the_frozen_document_is_the_codes() -> None:
    """Whatever changes at the door shows in `schemas/openapi.yaml`: run `nrmbus schema freeze`."""
    assert list(openapi.differences()) == []
