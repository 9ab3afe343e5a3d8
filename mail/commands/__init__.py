"""The command `team-mail`: options, output and the commands themselves."""
