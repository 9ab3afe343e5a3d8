#!/bin/sh
# Makes the repository `orion`, with a team that reviews, decides and deploys. A script plays everybody: no model is
# asked. In its first attempt nova writes what cipher vetoes; a persona luna, if there is one, crashes.
set -e
git init --quiet --initial-branch=main orion
cd orion
mkdir -p .team/personas
cat > agent.sh <<'END'
case "$TEAM_PERSONA $1" in
"nova 1") echo 'rows = db.execute("SELECT * FROM users WHERE name = " + name)' > app.py ;;
nova*) echo 'rows = db.execute("SELECT * FROM users WHERE name = ?", [name])' > app.py ;;
echo*) echo 'def test_name(): pass' > test_app.py; echo '{"pass_rate": 0.95}' > "$TEAM_OUTPUT" ;;
pixel*) echo '{"score": 7.5}' > "$TEAM_OUTPUT" ;;
cipher*)
    if grep -q '" + ' app.py
    then echo '{"veto": true, "veto_reason": "SQL is put together from input"}' > "$TEAM_OUTPUT"
    else echo '{"veto": false}' > "$TEAM_OUTPUT"
    fi ;;
luna*) echo "cannot reach the model" >&2; exit 1 ;;
esac
END
for each in nova echo
do printf -- '---\nid: %s\n---\nWrite.\n' "$each" > ".team/personas/$each.md"
done
for each in cipher pixel
do printf -- '---\nid: %s\nscheduled: mail\n---\nReport.\n' "$each" > ".team/personas/$each.md"
done
printf -- '---\nid: flux\nscheduled: mail\npaths: []\n---\nDeploy.\n' > .team/personas/flux.md
cat > .team/team.toml <<'END'
[team]
agent = "script"

[agents.script]
command = ["sh", "agent.sh", "{attempt}"]

[sprint]
gather = "0s"
retry_backoff = "0s"

[supervisor]
name = "orion"

[teams.code]
members = ["nova"]
reviewers = ["cipher"]
channel = "review"

[teams.ux]
members = ["pixel"]
channel = "ux"

[teams.qa]
members = ["echo"]
channel = "qa"

[review.pixel]
before = ["cp", "app.py", "{out}/screen.txt"]    # stands for a program that takes a screenshot

[gates.security]
report = "cipher"
veto = true
says = "BLOCKED - Security issue"

[gates.ui]
report = "pixel"
key = "score"
threshold = 6
says = "BLOCKED - UI too poor"

[gates.tests]
report = "echo"
key = "pass_rate"
threshold = 0.8
says = "BLOCKED - Tests failing"

[deploy]
persona = "flux"
END
git add .
git commit --quiet --message "Begin"
