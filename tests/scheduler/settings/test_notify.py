"""`[notify.NAME]`: what is wrong with one is said with its line before anything starts."""

from __future__ import annotations

import pytest
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.settings.reading import read_settings

WEBHOOK = '[notify.ci]\nkind = "webhook"\nsecret_file = "s"\nurl = "{}"\n'


def read(folder, text):
    (folder / "team.toml").write_text(text)
    return read_settings(folder, {}).settings.notify


@pytest.mark.parametrize(
    "url",
    [
        "https://ci.example/hook?token=1", "http://localhost:8000/x", "http://127.0.0.1/x", "http://[::1]:1/",
        "https://1.1.1.1/x", "https://xn--bcher-kva.example/",
    ],
)  # fmt: skip
def test_https_or_this_machine_is_taken(tmp_path, url):
    assert read(tmp_path, WEBHOOK.format(url))["ci"].url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "must be a URL with a host"),
        ("ftp://ci.example/x", "must begin with https://"),
        ("http://10.0.0.1", "must begin with https://, or with http://localhost for this machine"),
        ("http://ci.example/x", "must begin with https://"),
        ("https://10.0.0.1/x", "must lead to a public address: 10.0.0.1 is no public address"),
        ("https://169.254.169.254/latest", "must lead to a public address"),
        ("https://[fd00::1]/x", "must lead to a public address"),
        ("https://[::ffff:192.168.0.1]/x", "must lead to a public address"),
        ("https://1.2.3/x", "names the host '1.2.3', which is neither a name nor an address"),
        ("https://ann:secret@ci.example/x", "must hold no user and password"),
        ("https://ci.example/x y", "without blanks, backslashes and #"),
        ("https://ci.example\\\\@10.0.0.1/", "without blanks, backslashes and #"),
        ("https://ci.example/#x", "without blanks, backslashes and #"),
        ("https://ci.example:0/", "must be a URL with a host"),
        ("https://ci.example:99999/", "must be a URL: Port out of range 0-65535"),
        ("https://" + "x" * 3_000, "must be a URL of at most 2000 characters"),
        ("https://", "must be a URL with a host"),
        ("https://bücher.example/", "without blanks, backslashes and #"),
    ],
)
def test_an_address_that_may_lead_elsewhere_is_refused_with_the_line(tmp_path, url, words):
    with pytest.raises(SettingsError) as error:
        read(tmp_path, WEBHOOK.format(url))
    assert str(error.value).startswith("team.toml:4: notify.ci.url ")
    assert words in str(error.value)
    assert "secret" not in str(error.value).replace("secret_file", "").replace("put a secret into", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[notify.ci]\nkind = "desktop"\non = ["patch.hled"]\n',
            "notify.ci.on[0] is 'patch.hled', and must be \"needs-me\" or a kind of event; did you mean patch.held?",
        ),
        (
            '[notify.ci]\nkind = "desktop"\non = ["notice.sent"]\n',
            "notify.ci.on[0] is 'notice.sent', and must be \"needs-me\" or a kind of event; did you mean mail.sent?",
        ),
        ('[notify.ci]\nkind = "desktop"\non = []\n', "team.toml:3: notify.ci.on "),
        ('[notify.ci]\non = ["needs-me"]\n', 'team.toml:1: notify.ci.kind is missing: write kind = "ntfy"'),
        (
            '[notify.ci]\nkind = "mail"\n',
            'team.toml:2: notify.ci.kind must be "webhook", "ntfy", "desktop" or "command"',
        ),
        (
            '[notify.ci]\nkind = "webhook"\nurl = "https://ci.example"\n',
            'team.toml:1: notify.ci says no secret_file, which kind "webhook" needs: write secret_file = ',
        ),
        (
            '[notify.ci]\nkind = "webhook"\nsecret_file = "s"\n',
            'team.toml:1: notify.ci says no url, which kind "webhook"',
        ),
        ('[notify.ci]\nkind = "command"\n', 'team.toml:1: notify.ci says no command, which kind "command" needs'),
        (
            '[notify.ci]\nkind = "desktop"\nurl = "https://ci.example"\n',
            'team.toml:1: notify.ci says url, which kind "desktop" has no use for; leave it out',
        ),
        ('[notify.ci]\nkind = "ntfy"\nurl = "https://ntfy.sh"\n', "team.toml:1: notify.ci says no topic"),
        ('[notify.ci]\nkind = "desktop"\nconsole = "file:///x"\n', "team.toml:3: notify.ci.console must be a URL with"),
        (
            '[notify.ci]\nkind = "desktop"\nsekret_file = "x"\n',
            "team.toml:3: notify.ci.sekret_file is not a setting; did",
        ),
        ("notify = 1\n", "team.toml:1: notify must be a table: write [notify.phone] above its settings"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_the_line(tmp_path, text, message):
    with pytest.raises(SettingsError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_a_secret_file_is_found_from_the_folder_of_the_team(tmp_path):
    assert read(tmp_path, WEBHOOK.format("https://ci.example"))["ci"].secret_file == str(tmp_path.parent / "s")
