"""Whether this machine can make a sandbox, for the tests that need one."""

import pytest
from team_mail.mail.errors import UsageError
from team_mail.personas.agents.sandbox import check


def _reason() -> str:
    try:
        check(network=True)
        check(network=False)
    except UsageError as error:
        return str(error)
    return ""


REASON = _reason()
SANDBOXED = pytest.mark.skipif(bool(REASON), reason=f"no sandbox can be made here: {REASON}")
