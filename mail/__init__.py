"""The only shared state: event, log, mailbox, projections and the `team-mail` command."""
