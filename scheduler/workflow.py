"""The GitHub Actions workflow of a team, as text.

The log has to outlive the runner. A cache would be easier, but caches are evicted and cannot be written twice; a
branch loses nothing, keeps history, and is as private as the repository is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_TEXT = """\
# GitHub Actions: save as .github/workflows/team.yml on the default branch, together with .team/team.toml and
# .team/personas. The mail is kept on the branch team/mail: whoever can read the repository can read it.
name: team
on:
  schedule:
    - cron: @RHYTHM@  # UTC
  workflow_dispatch:
permissions:
  contents: write
concurrency:
  group: team-mail
  cancel-in-progress: false
jobs:
  sprint:
    runs-on: ubuntu-latest
    timeout-minutes: @MINUTES@
    defaults:
      run:
        shell: bash
    steps:
      - uses: actions/checkout@v4
        with:
          ref: @BASE@
          fetch-depth: 0
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install the team and its agent
        run: |
          pip install team-mail
          # and here the command that team.toml names
      - name: Bring back the mail and the branches of earlier sprints
        env:
          BASE: @BASE@
        run: |
          git switch -C "$BASE"
          git fetch origin '+refs/heads/team/sprint-*:refs/heads/team/sprint-*'
          if git ls-remote --exit-code origin refs/heads/team/mail >/dev/null; then
            git fetch origin '+refs/heads/team/mail:refs/remotes/origin/team/mail'
            mkdir -p .team/mail
            git archive refs/remotes/origin/team/mail | tar -x -C .team/mail
            team-mail verify
          fi
      - name: Sprint
@SECRETS@        run: scheduler sprint --json --quiet | tee "$RUNNER_TEMP/sprint.json"
      - name: Keep the mail
        if: always()
        env:
          GIT_AUTHOR_NAME: team-mail
          GIT_AUTHOR_EMAIL: team-mail@users.noreply.github.com
          GIT_COMMITTER_NAME: team-mail
          GIT_COMMITTER_EMAIL: team-mail@users.noreply.github.com
        run: |
          test -d .team/mail || exit 0
          export GIT_INDEX_FILE="$RUNNER_TEMP/mail.index"
          git --work-tree=.team/mail add --all --force .
          tree=$(git write-tree)
          parent=$(git rev-parse --quiet --verify refs/remotes/origin/team/mail || true)
          commit=$(git commit-tree "$tree" ${parent:+-p "$parent"} -m "Mail up to run $GITHUB_RUN_NUMBER")
          git push origin "$commit:refs/heads/team/mail"
      - name: Push what was woven
        if: always()
        run: |
          git for-each-ref --count=1 --format=x 'refs/heads/team/sprint-*' | grep -q x || exit 0
          git push origin 'refs/heads/team/sprint-*:refs/heads/team/sprint-*'"""


def workflow(rhythm: str, base: str, secrets: Sequence[str], minutes: int) -> str:
    """Write the workflow: when it starts, from which branch, with which secrets in the agents' environment."""
    passed = "".join(f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in secrets)
    told = {
        "@RHYTHM@": json.dumps(rhythm),
        "@MINUTES@": str(minutes),
        "@BASE@": json.dumps(base).replace("${{", "${{ '${{' }}"),
        "@SECRETS@": f"        env:\n{passed}" if passed else "",
    }
    text = _TEXT
    for mark, value in told.items():
        text = text.replace(mark, value)
    return text
