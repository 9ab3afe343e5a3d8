"""The team's settings, table by table as in `.team/team.toml`, each with its default.

Durations are in seconds and sizes in bytes. `reading` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ...mail.directory import Subteam, channels_of
from ...mail.render import listed
from ...personas.spending.amount import Unit, amount
from ...personas.spending.prices import Price
from ..kinds import LaunchReason
from .console import ConsoleSettings
from .github import GithubSettings
from .notify import LoggingSettings, LogSettings, NotifySettings, OtelSettings
from .schedules import ScheduleSettings
from .supervision import DeploySettings, GateSettings, ReviewSettings, SupervisorSettings, Table
from .values import (
    Agents,
    Branch,
    Command,
    Commands,
    Crontab,
    EndpointUrl,
    Folder,
    Folders,
    Glob,
    HomePaths,
    JulesSource,
    Limit,
    MailType,
    Money,
    Name,
    Parallel,
    PresetName,
    RemoteName,
    RemoteUrl,
    Rolling,
    Rooted,
    Seconds,
    ServerUrl,
    Size,
    Spelled,
    Sprint,
    Variable,
    Within,
)  # fmt: skip
from .webhooks import WebhookSettings

_NEEDED = {  # what a kind of agent cannot do without, and an example of it
    "chat": ("base_url", 'base_url = "http://localhost:11434/v1"'),
    "acp": ("command", 'command = ["my-agent", "--acp"], or preset = "gemini"'),
    "command": ("command", 'command = ["my-agent"], or preset = "claude"'),
    "jules": ("source", 'source = "sources/github/OWNER/REPO"'),
    "replay": ("folder", 'folder = "patches"'),
}
_OF_JULES = {"source", "branch", "plan", "pull_request", "ask", "creates", "poll", "remote", "push", "url"}
_OF_ACP = {"mode", "startup"}
_OF_CHAT = {"base_url", "context", "commands", "tools", "turns"}
_OWN = {"acp": _OF_ACP, "chat": _OF_CHAT, "jules": _OF_JULES}  # what other kinds have no use for
_OF_PROGRAMS = {"command", "acp"}  # kinds of agent that are commands
_OF_TASKS = {str(LaunchReason.TASK), str(LaunchReason.RETRY)}


class TeamSettings(Table):
    """`[team]`: the base branch, the human's name, the default agent, and whether a sprint lands on its own.

    The `oracle` is the persona that is asked what runs end with, instead of the human. Of several agents the first that
    can plays, see `[route]`. `personas` are folders of other tools, whose files are read where they lie.
    """

    base: Branch = "main"
    human: Name = "you"
    oracle: Name | None = None
    agent: Agents = "shell"
    auto_land: bool = False
    personas: Folders = ()

    @property
    def agents(self) -> tuple[str, ...]:
        """The default agents in the order in which they are asked."""
        return (self.agent,) if isinstance(self.agent, str) else self.agent


class RouteSettings(Table):
    """`[route.NAME]`: the agents that are asked for some runs, in this order, the first that can plays.

    The rule is for runs that all its parts fit: `personas`, also groups as `@NAME`; `tasks` of dispatches, as patterns
    of their ids; `reasons`; and `budget_left`, once less than this share of the sprint's or the day's budget is left.
    """

    agent: Agents | None = None
    order: Literal["given", "cheapest"] = "given"
    personas: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    tasks: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    reasons: tuple[Literal["batch", "mail", "retry", "task"], ...] = ()
    budget_left: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _says(self) -> Self:
        if self.agent is None and self.order == "given":
            raise ValueError('says no agent: write agent = ["claude", "codex"], or order = "cheapest"')
        if self.tasks and self.reasons and not _OF_TASKS & {*self.reasons}:
            raise ValueError(f"never fits: tasks are of dispatches, whose reasons are {listed(sorted(_OF_TASKS))}")
        return self

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents that it names."""
        return (self.agent,) if isinstance(self.agent, str) else self.agent or ()


class AgentSettings(Table):
    """`[agents.NAME]`: a command, one that speaks `acp`, a `chat` model, sessions of `jules`, patches, or a script.

    What the table leaves out of a command, its `preset` says, which the name of the table alone may choose. `model` is
    passed on as the preset says, and is the one whose price counts where the agent names none. With `mcp`, its preset
    gives it the tools of `team mcp`. `budget` is how much its
    runs may use in a day. Of kind `acp`, `mode` is asked for, and each step before the first prompt takes `startup`.
    In a `sandbox`, a command may write its workspace and what `home` names of the user's home folder.
    """

    kind: Literal["acp", "chat", "command", "jules", "replay", "scripted"] = "command"
    preset: PresetName | None = None
    command: Command | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    args: tuple[str, ...] = ()
    mcp: bool = False
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    timeout: Limit = 1_800.0
    idle: Limit | None = None
    grace: Seconds = 30.0
    kill_after: Seconds = 5.0
    bad_exit: Literal["failed", "ok"] = "failed"
    env: tuple[Variable, ...] = ()
    env_file: str | None = None
    max_output: Size = 10_000_000
    litter: tuple[Glob, ...] = ()
    folder: str | None = None
    max_parallel: Annotated[int, Field(ge=1, le=1000)] | None = None
    budget: Spelled | None = None
    sandbox: Literal["none", "bwrap"] = "none"
    home: HomePaths = ()
    network: Literal["on", "off"] = "on"
    mode: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    startup: Limit = 30.0
    source: JulesSource | None = None
    branch: Branch | None = None
    plan: Literal["auto", "human"] = "auto"
    pull_request: bool = False
    ask: Name | None = None
    creates: Annotated[int, Field(ge=1, le=100)] = 5
    poll: Limit = 10.0
    remote: Annotated[str, Field(min_length=1, max_length=2000)] = "origin"
    push: bool = False
    url: EndpointUrl | None = None
    base_url: ServerUrl | None = None
    context: Annotated[int, Field(ge=1_024, le=100_000_000)] | None = None
    commands: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = ()
    tools: Literal["auto", "calls", "blocks"] = "auto"
    turns: Annotated[int, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed, example = _NEEDED.get(self.kind, ("kind", ""))
        if getattr(self, needed) is None:
            raise ValueError(f'says no {needed}, which kind "{self.kind}" needs: write {example}')
        program = {"command", "preset"}
        fitting = {"command": program, "acp": program, "replay": {"folder"}}.get(self.kind, set[str]())
        for name in ("command", "folder", "preset"):
            if name not in fitting and getattr(self, name) is not None:
                raise ValueError(f'says {name}, which kind "{self.kind}" has no use for; leave it out')
        if self.kind == "chat" and self.model is None:
            raise ValueError('says no model, which kind "chat" needs: write model = "qwen3-coder"')
        for kind, own in _OWN.items():
            if self.kind != kind and (others := sorted(own & self.model_fields_set)):
                raise ValueError(f'says {others[0]}, which is for kind "{kind}"; leave it out')
        if self.sandbox != "none" and self.kind not in _OF_PROGRAMS:
            raise ValueError(f'says sandbox, which kind "{self.kind}" has no use for; leave it out')
        if self.network == "off" and self.sandbox == "none":
            raise ValueError('says network = "off", which only a sandbox can see to: write sandbox = "bwrap"')
        return self


class SprintSettings(Table):
    """`[sprint]`: mode, concurrency, schedule and limits. `max_wakes` 0 means three times the size of the roster.

    `wakes_not` are the types of mail that waits for its recipient's next run. In a `rolling` sprint nobody waits for
    the slowest run of a batch; patches wait for others for `gather` seconds at most. `red_base` says whether more is
    started although a gate fails on the base, so that it judges nothing. `foretell` says whether runs that change the
    same lines are told so while they go on, and whether the later one is to `yield`. `deliver` says when a persona that
    runs gets its mail, `questions` whether what the last message of a run asks becomes mail, and `resume` which runs go
    on with the session of an earlier one.
    """

    parallel: Parallel = "always"
    rolling: Rolling = "always"
    gather: Seconds = 2.0
    foretell: Literal["off", "tell", "yield"] = "tell"
    deliver: Literal["next", "running"] = "next"
    questions: bool = True
    resume: Literal["never", "mail", "always"] = "never"
    sequential_only: tuple[Sprint, ...] = ()
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    max_reviews: Annotated[int, Field(ge=1, le=1000)] = 6
    every: Limit | None = 900.0
    cron: Crontab | None = None
    fallback_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    deadline: Limit = 14_400.0
    pace: Seconds = 0.0
    retry_backoff: Seconds = 10.0
    max_wakes: Annotated[int, Field(ge=0)] = 0
    max_mails: Annotated[int, Field(ge=0)] = 100
    red_base: Literal["stop", "go on"] = "go on"
    wakes_not: tuple[MailType, ...] = ("fyi", "status", "progress", "result", "approve")


class SubteamSettings(Table):
    """`[teams.NAME]`: who works in a part of the team, who reviews their work, and the channel of both.

    Nobody is the only member and a reviewer, unless `self_review` says so.
    """

    members: tuple[Name, ...] = ()
    reviewers: tuple[Name, ...] = ()
    channel: Name | None = None
    self_review: bool = False

    @model_validator(mode="after")
    def _filled(self) -> Self:
        if not self.members:
            raise ValueError('has no members: write members = ["nova"]')
        if len({*self.members}) == 1 and self.members[0] in self.reviewers and not self.self_review:
            who = self.members[0]
            raise ValueError(
                f"has {who} as its only member, and {who} would review itself: name another "
                "reviewer, or write self_review = true"
            )
        return self


class ChannelSettings(Table):
    """`[channels.NAME]`: a group whose mail can be read again by all its members, also by those who came later."""

    members: tuple[Name, ...] = ()


class WorkspaceSettings(Table):
    """`[workspace]`: where private clones lie, outside of the checkout, and what is in one before its agent starts.

    `setup` are commands, of which `setup_inputs` names the files that they depend on. Every run and gate has `ports`
    ports of its own, from `port` on. With `sparse`, clones hold these folders of the repository alone. From `remote`
    hosts fetch the commits that they lack.
    """

    root: Rooted | None = None
    setup: Commands = ()
    setup_timeout: Limit = 600.0
    setup_inputs: tuple[Glob, ...] = ()
    copies: Annotated[tuple[Within, ...], Field(alias="copy")] = ()  # BaseModel has a method `copy`
    cache: Folders = ()
    sparse: tuple[Folder, ...] = ()
    remote: RemoteUrl | None = None
    port: Annotated[int, Field(ge=1024, le=65_000)] = 20_000
    ports: Annotated[int, Field(ge=1, le=1000)] = 10


class PriceSettings(Table):
    """`[prices.MODEL]`: US dollars for a million tokens; those from the cache cost as much as others by default."""

    input: Money
    output: Money
    cached: Money | None = None


class BudgetSettings(Table):
    """`[budget]`: how much a sprint, a day, a persona or a run may use; with `hard`, runs that go on are ended too."""

    sprint: Spelled | None = None
    day: Spelled | None = None
    persona: Spelled | None = None
    run: Spelled | None = None
    hard: bool = False

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if self.run and amount(self.run).unit == Unit.RUNS:
            raise ValueError(
                f'says run = "{self.run}", and one run cannot be counted in runs: write "$1" or "1M tokens"'
            )
        return self


class DispatchSettings(Table):
    """`[dispatch]`: folders outside of the repository that absolute paths in tasks may lead into.

    Tasks need a `repository`, unless that is false: then they work in empty folders, and nothing lands.
    """

    outside: tuple[Rooted, ...] = ()
    repository: bool = True


class WeaverSettings(Table):
    """`[weaver]`: whether commits that land are signed, by default as git's `commit.gpgSign` says.

    After each weave, the branch is pushed to the remote `push`.
    """

    sign: bool | None = None
    push: RemoteName | None = None


class WorkersSettings(Table):
    """`[workers]`: whether runs are offered to workers, on whatever host, and how soon it is told that nobody comes."""

    offer: bool = False
    patience: Limit = 30.0


class Settings(Table):
    """All settings of a team. They are valid without any `[agents]`, but then nobody can be launched."""

    team: TeamSettings = TeamSettings()
    agents: Mapping[Name, AgentSettings] = {}
    route: Mapping[Name, RouteSettings] = {}
    sprint: SprintSettings = SprintSettings()
    gates: Mapping[Name, GateSettings] = {}
    groups: Mapping[Name, tuple[Name, ...]] = {}
    teams: Mapping[Name, SubteamSettings] = {}
    channels: Mapping[Name, ChannelSettings] = {}
    supervisor: SupervisorSettings = SupervisorSettings()
    review: Mapping[Name, ReviewSettings] = {}
    deploy: DeploySettings = DeploySettings()
    schedules: Mapping[Name, ScheduleSettings] = {}
    workspace: WorkspaceSettings = WorkspaceSettings()
    dispatch: DispatchSettings = DispatchSettings()
    weaver: WeaverSettings = WeaverSettings()
    prices: Mapping[str, PriceSettings] = {}
    budget: BudgetSettings = BudgetSettings()
    notify: Mapping[Name, NotifySettings] = {}
    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    logging: LoggingSettings = LoggingSettings()
    otel: OtelSettings = OtelSettings()
    webhooks: WebhookSettings = WebhookSettings()
    github: GithubSettings = GithubSettings()
    workers: WorkersSettings = WorkersSettings()

    @property
    def players(self) -> dict[str, str]:
        """Which agent plays what is written for a preset, by preset; "" for the first of the team's default agents."""
        tables = {table.preset: name for name, table in reversed([*self.agents.items()]) if table.preset}
        first = self.agents.get(self.team.agents[0])
        return {**tables, **({first.preset: ""} if first and first.preset else {})}

    @property
    def subteams(self) -> dict[str, Subteam]:
        """The teams of `[teams]` as mail addresses them."""
        return {name: Subteam(each.members, each.reviewers, each.channel or "") for name, each in self.teams.items()}

    @property
    def channel_members(self) -> dict[str, tuple[str, ...]]:
        """The members of each channel: of `[channels]`, and of each team that names it."""
        return channels_of(self.subteams, {name: table.members for name, table in self.channels.items()})

    @property
    def addressed(self) -> dict[str, tuple[str, ...]]:
        """Whom `@NAME` means, by name: the members of a channel, else of a team or a group."""
        teams = {name: table.members for name, table in self.teams.items()}
        return {**self.groups, **teams, **self.channel_members}

    @property
    def reporters(self) -> dict[str, frozenset[str]]:
        """Who reports on what has landed, each with the members of the teams whose work it reviews."""
        reviewed: dict[str, set[str]] = {gate.report: set() for gate in self.gates.values() if gate.report}
        for team in self.teams.values():
            for reviewer in team.reviewers:
                reviewed.setdefault(reviewer, set()).update(team.members)
        return {name: frozenset(members) for name, members in reviewed.items()}

    @property
    def price_list(self) -> dict[str, Price]:
        """The user's own prices, by model."""
        return {name: Price(table.input, table.output, table.cached) for name, table in self.prices.items()}
