"""Signatures of webhooks, judged by the libraries that receivers in JavaScript use."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node import installed
from nrmbus.client.webhook import WebhookRefused, verify_webhook
from nrmbus.desk.webhooks import signing
from nrmbus.desk.webhooks.signing import Secret

pytestmark = pytest.mark.oracle

Case = dict[str, Any]

HERE = Path(__file__).parent / "node_oracle"
BODY = '{"type":"referral.submitted","timestamp":"2026-03-02T05:00:00Z","data":{"id":"x","link":"/v1/inbox?after=0"}}'


def test_libraries_for_javascript_accept_our_signatures_and_no_altered_ones(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """`standardwebhooks` and `svix` verify `v1`, Node verifies `v1a`; each refuses another key, another body and another time."""
    kept = getattr(request.config, "cache", None)  # pytest may run without one
    home = installed(kept.mkdir("webhooks-oracle") if kept else tmp_path, HERE)
    now = datetime.now(UTC)
    cases = list[Case]()
    wanted = list[bool]()
    for judge, algorithm in (("standardwebhooks", "v1"), ("svix", "v1"), ("node", "v1a")):
        secret, other = (Secret.made(algorithm) for _ in range(2))  # type: ignore[arg-type]  # the pairs above
        headers = signing.headers_of("msg_1", BODY.encode(), now, [other, secret])
        good = {"judge": judge, "key": secret.shown, "body": BODY, "headers": headers}
        stale = headers | {"webhook-timestamp": str(int(now.timestamp()) - 1)}
        bad = {"key": Secret.made(secret.algorithm).shown}, {"body": BODY + " "}, {"headers": stale}
        cases += [good, *(good | each for each in bad)]
        wanted += [True, False, False, False]

    assert (by_node(home, cases) if home else by_python(cases)) == wanted


def by_node(home: Path, cases: Sequence[Case]) -> list[bool]:
    """Return the verdicts of the libraries for JavaScript, installed in *home*."""
    shutil.copy(HERE / "verify.mjs", home)  # Node looks for packages from where the program lies
    done = subprocess.run(
        ["node", "verify.mjs"],
        cwd=home,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: list[bool] = json.loads(done.stdout)
    return found


def by_python(cases: Sequence[Case]) -> list[bool]:
    """Return the verdicts of the SDK's verifier, where there is no Node, or no network for its packages."""
    found = []
    for case in cases:
        try:
            verify_webhook(case["headers"], case["body"].encode(), case["key"])
            found.append(True)
        except WebhookRefused:
            found.append(False)
    return found
