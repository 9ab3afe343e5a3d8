"""The shape of the code, read from its source: who may import whom, where a third party lives, how long things are."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from team_mail.mail.kinds import LogKind, MailKind
from team_mail.personas.kinds import OutcomeStatus
from team_mail.scheduler.kinds import (
    DispatchStatus,
    Kind,
    LaunchReason,
    Mode,
    ModeRequest,
    PatchStatus,
    PhaseKind,
    RunStatus,
    SprintOutcome,
    TaskStatus,
)

ROOT = Path(__file__).parent.parent
FOLDERS = ("mail", "personas", "scheduler", "team")  # each may import those before it
MOST_MODULES, LONGEST = 15, 400
# Which packages each package imports, within its folder. Folders that come earlier in FOLDERS need no arrow, and a
# module that stands in a folder itself, such as scheduler/context.py, is a package of its own here.
ARROWS = {
    "mail": {"mail.archive", "mail.log", "mail.query", "mail.remote", "mail.text"},
    "mail.archive": {"mail", "mail.log"},
    "mail.check": {"mail", "mail.log", "mail.text"},
    "mail.commands": {"mail", "mail.archive", "mail.check", "mail.log", "mail.query", "mail.text"},
    "mail.log": {"mail", "mail.check"},
    "mail.query": {"mail", "mail.log"},
    "mail.remote": {"mail", "mail.log"},
    "personas": {"personas.capture", "personas.foreign", "personas.running", "personas.setup", "personas.spending"},
    "personas.acp": {
        "personas",
        "personas.agents",
        "personas.agents.presets",
        "personas.running",
        "personas.streams",
    },
    "personas.agents": {
        "personas",
        "personas.agents.presets",
        "personas.running",
        "personas.setup",
        "personas.spending",
        "personas.streams",
    },
    "personas.agents.presets": {"personas"},
    "personas.capture": {"personas", "personas.agents.presets", "personas.keeping"},
    "personas.chat": {
        "personas",
        "personas.agents",
        "personas.keeping",
        "personas.running",
        "personas.streams",
        "personas.web",
    },
    "personas.foreign": {"personas"},
    "personas.jules": {"personas", "personas.agents", "personas.running", "personas.streams", "personas.web"},
    "personas.running": {"personas", "personas.keeping", "personas.spending"},
    "personas.setup": {"personas", "personas.agents", "personas.running"},
    "personas.streams": {"personas", "personas.keeping", "personas.spending"},
    "personas.web": {"personas"},
    "personas.spending": {"personas.keeping"},  # which figures are believed: its small process imports nothing of ours
    "scheduler.answers": {"scheduler.context", "scheduler.kinds", "scheduler.settings", "scheduler.state"},
    "scheduler.approval": {"scheduler.kinds"},
    "scheduler.claims": {
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.payload",
        "scheduler.planner",
        "scheduler.sessions",
        "scheduler.state",
        "scheduler.tasks",
    },
    "scheduler.context": {
        "scheduler.approval",
        "scheduler.claims",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.limits",
        "scheduler.liveness",
        "scheduler.routes",
        "scheduler.sessions",
        "scheduler.settings",
        "scheduler.state",
    },
    "scheduler.dispatch": {
        "scheduler.claims",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.hosts",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.leader",
        "scheduler.limits",
        "scheduler.payload",
        "scheduler.planner",
        "scheduler.progress",
        "scheduler.runs",
        "scheduler.sessions",
        "scheduler.setup",
        "scheduler.state",
        "scheduler.tasks",
        "scheduler.weaver",
    },
    "scheduler.estimate": {"scheduler.runs", "scheduler.state"},
    "scheduler.foretell": {"scheduler.context", "scheduler.kinds", "scheduler.state", "scheduler.weaver"},
    "scheduler.forge": {
        "scheduler.claims",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.leader",
        "scheduler.settings",
        "scheduler.state",
    },
    "scheduler.hosts": {
        "scheduler.answers",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.limits",
        "scheduler.payload",
        "scheduler.progress",
        "scheduler.runs",
        "scheduler.settings",
        "scheduler.state",
        "scheduler.weaver",
    },
    "scheduler.landing": {
        "scheduler.claims",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.given",
        "scheduler.kinds",
        "scheduler.meaning",
        "scheduler.progress",
        "scheduler.setup",
        "scheduler.state",
        "scheduler.weaver",
    },
    "scheduler.leader": {"scheduler.context", "scheduler.errors"},
    "scheduler.limits": {"scheduler.kinds", "scheduler.state"},
    "scheduler.liveness": {"scheduler.state"},
    "scheduler.meaning": {"scheduler.weaver"},
    "scheduler.moments": {
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.limits",
        "scheduler.state",
        "scheduler.weaver",
    },
    "scheduler.needs": {"scheduler.kinds"},
    "scheduler.notify": {
        "scheduler.claims",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.leader",
        "scheduler.liveness",
        "scheduler.needs",
        "scheduler.overview",
        "scheduler.settings",
        "scheduler.state",
    },
    "scheduler.overview": {
        "scheduler.claims",
        "scheduler.sessions",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.forge",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.leader",
        "scheduler.limits",
        "scheduler.liveness",
        "scheduler.moments",
        "scheduler.needs",
        "scheduler.payload",
        "scheduler.sprint",
        "scheduler.state",
        "scheduler.tasks",
    },
    "scheduler.planner": {
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.problems",
        "scheduler.state",
        "scheduler.tasks",
    },
    "scheduler.problems": {"scheduler.errors"},
    "scheduler.runs": {
        "scheduler.answers",
        "scheduler.claims",
        "scheduler.context",
        "scheduler.foretell",
        "scheduler.kinds",
        "scheduler.leader",
        "scheduler.limits",
        "scheduler.payload",
        "scheduler.progress",
        "scheduler.setup",
        "scheduler.state",
        "scheduler.weaver",
    },
    "scheduler.sessions": {"scheduler.errors", "scheduler.kinds", "scheduler.state"},
    "scheduler.routes": {"scheduler.limits", "scheduler.settings"},
    "scheduler.schedules": {
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.leader",
        "scheduler.liveness",
        "scheduler.progress",
        "scheduler.settings",
        "scheduler.state",
    },
    "scheduler.settings": {"scheduler.errors", "scheduler.kinds", "scheduler.problems"},
    "scheduler.setup": {"scheduler.context"},
    "scheduler.sprint": {
        "scheduler.approval",
        "scheduler.claims",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.estimate",
        "scheduler.foretell",
        "scheduler.forge",
        "scheduler.hosts",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.leader",
        "scheduler.limits",
        "scheduler.liveness",
        "scheduler.moments",
        "scheduler.progress",
        "scheduler.runs",
        "scheduler.schedules",
        "scheduler.settings",
        "scheduler.setup",
        "scheduler.state",
        "scheduler.weaver",
    },
    "scheduler.state": {"scheduler.errors", "scheduler.kinds", "scheduler.needs"},
    "scheduler.supervisor": {
        "scheduler.leader",
        "scheduler.context",
        "scheduler.errors",
        "scheduler.kinds",
        "scheduler.landing",
        "scheduler.progress",
        "scheduler.runs",
        "scheduler.settings",
        "scheduler.sprint",
        "scheduler.state",
    },
    "scheduler.tasks": {"scheduler.errors", "scheduler.problems"},
    "scheduler.traces": {
        "scheduler.context",
        "scheduler.kinds",
        "scheduler.leader",
        "scheduler.notify",
        "scheduler.state",
    },
    "scheduler.weaver": {"scheduler.weaver.objects"},
    "team.api": {
        "team.checks",
        "team.cleaning",
        "team.dispatcher",
        "team.doctor",
        "team.hooks",
        "team.init",
        "team.install",
        "team.interrupts",
        "team.open",
        "team.place",
        "team.templates",
        "team.trial",
        "team.work",
    },
    "team.api.outside": {"team.open", "team.place"},
    "team.checks": {"team.place"},
    "team.cleaning": {"team.dispatcher"},
    "team.commands": {
        "team.api",
        "team.api.outside",
        "team.commands.common",
        "team.commands.outside",
        "team.commands.work",
        "team.console",
        "team.console.access",
        "team.console.common",
        "team.demo",
        "team.diagnostics",
        "team.home",
        "team.hooks",
        "team.mcp",
        "team.session",
        "team.show",
        "team.show.charts",
    },
    "team.commands.outside": {
        "team.api",
        "team.api.outside",
        "team.commands.common",
        "team.session",
        "team.show",
        "team.show.outside",
    },
    "team.commands.work": {
        "team.api",
        "team.commands.common",
        "team.home",
        "team.hooks",
        "team.session",
        "team.show",
        "team.webhooks",
    },
    "team.console": {
        "team.console.access",
        "team.console.api",
        "team.console.api.outside",
        "team.console.api.work",
        "team.console.common",
        "team.console.guard",
        "team.console.live",
        "team.console.pages",
        "team.session",
    },
    "team.console.api": {
        "team.api",
        "team.console.access",
        "team.console.common",
        "team.console.live",
        "team.console.wire",
        "team.work",
    },
    "team.console.api.outside": {"team.api.outside", "team.console.api", "team.console.common", "team.webhooks"},
    "team.console.api.work": {"team.api", "team.console.api", "team.console.common"},
    "team.console.common": {"team.console.access"},
    "team.console.guard": {"team.console.access", "team.console.common", "team.console.pages"},
    "team.console.live": {"team.api", "team.console.common", "team.console.wire", "team.dispatcher"},
    "team.console.pages": {"team.console.common", "team.console.pages.pictures"},
    "team.dispatcher": {"team.checks", "team.open", "team.pending", "team.session"},
    "team.doctor": {"team.checks", "team.init", "team.open", "team.place"},
    "team.init": {"team.blocks", "team.hooks"},
    "team.mcp": {
        "team.console",
        "team.console.access",
        "team.console.common",
        "team.console.guard",
        "team.session",
    },
    "team.open": {"team.place"},
    "team.session": {"team.home", "team.open"},
    "team.show": {
        "team.api",
        "team.api.outside",
        "team.dispatcher",
        "team.init",
        "team.show.charts",
        "team.templates",
    },
    "team.show.outside": {"team.api.outside", "team.show"},
    "team.trial": {"team.open", "team.place"},
    "team.webhooks": {"team.api", "team.api.outside"},
    "team.work": {"team.dispatcher"},
}
ENGINE_WITHOUT = {"typer", "rich", "vl_convert"}  # a face's affairs
DOORS = ("", *FOLDERS)
COMMANDS = re.compile(r"mail\.commands\.\w+|team\.commands(\.\w+)+")
HOMES = {
    "anyio": re.compile(r"team\.mcp\.server"),
    "acp": re.compile(r"personas\.acp\.(session|client)"),
    "apscheduler": re.compile(r"scheduler\.sprint\.daemon"),
    "duckdb": re.compile(r"mail\.query\.(query|copies)"),
    "ibis": re.compile(r"mail\.query\.(projections\w*|compile|table)|scheduler\.state\.projections"),
    "jinja2": re.compile(r"personas\.template|team\.console\.pages\.page"),
    "mcp": re.compile(r"team\.mcp\.server"),
    "procrastinate": re.compile(r"scheduler\.hosts\.queue"),
    "psycopg": re.compile(r"mail\.remote\.connection"),
    "psutil": re.compile(r"personas\.running\.sweep"),
    "pydantic": re.compile(
        r"personas\.acp\.session|scheduler\.(settings\.\w+|hosts\.handed|web\.urls|tasks\.\w+|planner\.roadmap\w*)"
        r"|team\.console\.((api(\.\w+)?|common)\.\w+|openapi)|team\.mcp\.server"
    ),
    "rich": re.compile(r"mail\.render|team\.show\.live"),
    "segno": re.compile(r"team\.console\.common\.terminal"),
    "starlette": re.compile(r"team\.console(\.\w+)+|team\.mcp\.http"),
    "typer": COMMANDS,
    "uuid_utils": re.compile(r"mail\.log\.event"),
    "uvicorn": re.compile(r"team\.console\.(server|connection)|team\.mcp\.http"),
    "vl_convert": re.compile(r"team\.show\.charts\.chart"),
    "watchfiles": re.compile(r"mail\.log\.follow"),
    "yaml": re.compile(r"personas\.frontmatter"),
}
MADE_IN_OPEN = {"EventLog", "FileBlobs", "FileProjections", "Mailbox", "PostgresBlobs", "PostgresLog"}
MOVES = "mail.remote.migrate:"  # takes a log from one place to another, and so makes both
KNOW_POSTGRES = {  # beside mail.remote itself
    "mail.open",
    "team.api.outside.cluster",  # the command
    "team.commands.entry",  # keeps what libpq was given from other processes
}
NOWHERE = re.compile(r"(?!)")
# Imports that wait until a function is called. Commands and front doors may have any: they load what is asked for.
LAZY = {
    "mail.check.unread": {
        "directory",
        "kinds",
        "log.event",
        "event",
        "lookup",
        "marks",
        "message",
    },  # nor a check without news
    "mail.home": {"disk", "errors"},  # as above
    "mail.log.log": {
        "cursor",
        "follow",
        "lookup",
        "reading",
        "recovery",
        "snapshot",
        "verify",
    },  # a send needs none of them
    "mail.mailbox": {"export"},  # nor the email package
    "mail.remote.local": {"connection"},  # only who makes a database there needs what connects
    "mail.remote.postgres": {"reading"},  # only a follower
    "mail.open": {
        "connection",
        "place",
        "postgres",
        "copies",
    },  # a log in files needs no server; nor does a send wait for the database, unless it seals a segment
    "mail.query.rows": {"query"},  # nor the database
    "mail.simple": {"table"},  # only a notebook asks through Ibis
    "mail.log.writer": {"recovery", "verify"},  # only after a crash
    "personas.acp.play": {"turns"},  # the agent starts while the SDK is loaded
    "personas.roster": {"mapping", "reading"},  # a team of its own files needs no other tool's
    "personas.running.postbox": {"cli", "frontmatter", "render"},  # the first command of a run waits for neither
    "personas.running.request": {"cli"},  # nor does its mail process, until a command needs Typer
    "personas.prompt": {"template"},  # an idle tick writes no prompt, and need not wait for Jinja2
    "team.console.api.outside.commands": {"webhooks"},  # the server starts without what it may be asked for
    "team.console.api.outside.forge": {"forge"},  # as above
    "team.console.api.outside.query": {"query"},  # as above
    "team.console.api.outside.measures": {"metrics"},  # as above
    "team.console.api.sprints": {"deploy"},  # as above
    "team.console.api.views": {"tasks"},  # as above
    "team.console.pages.page": {"filters"},  # only pages need them
    "team.hooks.seat": {"claims", "errors", "process"},  # a hook without mail reads no claims
    "team.hooks.show": {"mail", "cursor", "unread", "open", "output", "escape"},  # nor anything else
    "team.mcp.serve": {"http"},  # a client on standard input does not wait for the server
    "team.api.sprints": {
        "continuous",
        "daemon",
        "exporter",
        "notifier",
        "watch",
    },  # only a team that is led needs APScheduler and HTTP
}


@dataclass(frozen=True)
class Import:
    """One import statement's one name: `target` is dotted from the package's root, or a third party's name."""

    module: str
    line: int
    target: str
    own: bool
    relative: bool
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, ast.Module]:
    """Parse every module of the package, by dotted name; a package's own module bears the package's name."""
    files = [ROOT / "__init__.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
    return {name_of(path): ast.parse(path.read_text(), str(path)) for path in files}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def path_of(module: str) -> Path:
    folder = ROOT.joinpath(*module.split(".")) if module else ROOT
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def imports() -> tuple[Import, ...]:
    """Find every import of the package, those for types only and those within functions included."""
    return tuple(imported for module, tree in modules().items() for imported in imports_in(module, tree, lazy=False))


def imports_in(module: str, tree: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield absolute(module, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield absolute(module, node.lineno, node.module or "", lazy)
        elif isinstance(node, ast.ImportFrom):
            for target in relative(module, node):
                yield Import(module, node.lineno, target, own=True, relative=True, lazy=lazy)
        within = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports_in(module, node, lazy=within)


def absolute(module: str, line: int, name: str, lazy: bool) -> Import:
    top, _, rest = name.partition(".")
    own = top == "team_mail"
    return Import(module, line, rest if own else top, own=own, relative=False, lazy=lazy)


def relative(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """Resolve `from .a import b` to the module `a.b` if there is one, else to `a`."""
    package = module.split(".") if path_of(module).name == "__init__.py" else module.split(".")[:-1]
    above = package[: len(package) + 1 - node.level]
    base = [part for part in (*above, *(node.module or "").split(".")) if part]
    for alias in node.names:
        longer = ".".join([*base, alias.name])
        yield longer if longer in modules() else ".".join(base)


def functions() -> list[tuple[str, int]]:
    """List every function with its length in lines, from `def` or its first decorator to its end."""
    return [
        (
            f"{module}.{node.name}",
            (node.end_lineno or 0) + 1 - min([node.lineno, *(d.lineno for d in node.decorator_list)]),
        )
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Go through a module's public functions and classes, and the public methods of those."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def test_every_module_is_read():
    """The rules below would hold of nothing if nothing were found."""
    assert {"", "mail", "mail.log.log", "mail.log.event", "personas", "scheduler", "team"} <= modules().keys()
    assert ("mail.log.log", "mail.log.event") in {(i.module, i.target) for i in imports()}
    assert ("mail.log.event", "uuid_utils") in {(i.module, i.target) for i in imports()}


def test_imports_point_one_way():
    """`mail` knows nobody, `personas` knows mail, and so on: never back, not even for a type."""
    back = [
        str(imported)
        for imported in imports()
        if imported.own
        and imported.module
        and FOLDERS.index(imported.target.split(".")[0] or FOLDERS[-1]) > FOLDERS.index(imported.module.split(".")[0])
    ]
    assert not back


def package_of(module: str) -> str:
    """The package of a module; a module that stands in scheduler/ or team/ itself counts as one."""
    if path_of(module).name == "__init__.py":
        return module
    package = module.rpartition(".")[0]
    return module if package in {"scheduler", "team"} else package


def arrows() -> dict[str, set[str]]:
    """For every package, the packages of its own folder that its modules import."""
    table: dict[str, set[str]] = {package_of(module): set() for module in modules() if module not in DOORS}
    for each in imports():
        if not each.own or not each.module or each.module in DOORS or each.target in DOORS:
            continue
        source, target = package_of(each.module), package_of(each.target)
        if source != target and source.split(".")[0] == target.split(".")[0]:
            table[source].add(target)
    return table


def test_packages_import_what_the_table_of_arrows_says():
    """A new arrow between packages is a decision, so it is written down here; an old one that is gone, too."""
    table = arrows()
    for package, targets in sorted(table.items()):
        print(f"{package:24} -> {', '.join(sorted(targets)) or '-'}")
    assert {package: targets for package, targets in table.items() if targets} == {
        package: targets for package, targets in ARROWS.items() if targets
    }


def test_packages_of_the_engine_do_not_import_each_other_in_a_circle():
    """In scheduler/ and team/ an arrow never comes back, by whatever way."""
    graph = {name: targets for name, targets in arrows().items() if name.startswith(("scheduler", "team"))}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as knot:
        pytest.fail(f"these packages import each other: {' <- '.join(knot.args[1])}")


def test_the_engine_has_no_face():
    """What people see lives in team/: the engine imports no library for it and prints nothing."""
    engine = [name for name in modules() if name.startswith("scheduler")]
    faces = [str(each) for each in imports() if each.module in engine and each.target in ENGINE_WITHOUT]
    prints = [
        f"{module}:{node.lineno}"
        for module in engine
        for node in ast.walk(modules()[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert faces + prints == []


def test_packages_are_small():
    """Nobody looks for a module among more than fifteen."""
    sizes = Counter(name.rpartition(".")[0] for name in modules() if path_of(name).name != "__init__.py")
    print(", ".join(f"{name or 'team_mail'} {size}" for name, size in sorted(sizes.items())))
    assert {name: size for name, size in sizes.items() if size > MOST_MODULES} == {}


def test_loading_the_public_dispatcher_loads_no_face():
    """A program that dispatches tasks pays for no command line, no table and no chart."""
    code = "import sys, team_mail; team_mail.ParallelDispatcher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    faces = [name for name in loaded if name.startswith(("team_mail.team.commands", "team_mail.team.show"))]
    assert "team_mail.team.dispatcher" in loaded
    assert faces + sorted({name.split(".")[0] for name in loaded} & ENGINE_WITHOUT) == []


def test_no_module_imports_a_package_init():
    """The packages' own modules name the public API for users; inside, everybody goes to the module itself."""
    assert not [str(imported) for imported in imports() if imported.own and imported.target in DOORS]


def test_imports_within_the_package_are_relative():
    """An import is true to its path, so the code does not care what the package is called."""
    assert not [str(imported) for imported in imports() if imported.own and not imported.relative]


def test_commands_print_by_one_function():
    """It escapes what agents chose; `typer.echo` and `print` do not."""
    commands = [*(ROOT / "mail" / "commands").glob("*.py"), *(ROOT / "team" / "commands").glob("*.py")]
    direct = {file.name for file in commands if re.search(r"typer\.echo\(|(?<!\w)print\(", file.read_text())}
    assert direct == set()


def test_no_cycles():
    """No module needs itself on the way round, be it for types or within a function."""
    graph = {
        name: {imported.target for imported in imports() if imported.own and imported.module == name}
        for name in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as knot:
        pytest.fail(f"these import each other: {' <- '.join(knot.args[1])}")


def test_logs_blobs_and_mailboxes_are_made_in_one_place():
    """Who opens a team asks mail/open.py, so that another kind of log needs a change in one module alone."""
    makers = [
        f"{module}:{node.lineno} calls {node.func.id}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE_IN_OPEN
    ]
    assert {maker.split()[-1] for maker in makers if maker.startswith("mail.open:")} == MADE_IN_OPEN
    assert [maker for maker in makers if not maker.startswith(("mail.open:", MOVES))] == []


def test_few_know_of_postgresql():
    """Whoever opens a team asks for its log; that it may be on a server is nobody's business but theirs."""
    known = {each.module for each in imports() if each.own and each.target.startswith("mail.remote")}
    assert {module for module in known if not module.startswith("mail.remote")} == KNOW_POSTGRES


def test_lazy_imports_are_listed():
    """An import within a function hides what a module needs, so each one has its reason in `LAZY`."""
    unnamed = [
        str(imported)
        for imported in imports()
        if imported.own
        and imported.lazy
        and imported.module not in DOORS
        and not COMMANDS.fullmatch(imported.module)
        and imported.target.split(".")[-1] not in LAZY.get(imported.module, set())
    ]
    assert not unnamed


def test_each_third_party_is_imported_in_one_place():
    """Each third-party name has its one home, and one without a home is refused: the way in is `HOMES`."""
    strangers = [
        str(imported)
        for imported in imports()
        if not imported.own
        and imported.target not in sys.stdlib_module_names
        and not HOMES.get(imported.target, NOWHERE).fullmatch(imported.module)
    ]
    assert not strangers


STATUSES = frozenset(
    str(member)
    for words in (
        OutcomeStatus,
        LaunchReason,
        Mode,
        ModeRequest,
        PhaseKind,
        RunStatus,
        PatchStatus,
        TaskStatus,
        DispatchStatus,
        SprintOutcome,
    )
    for member in words
)
KINDS = frozenset(str(kind) for kinds in (LogKind, MailKind, Kind) for kind in kinds)
FIELDS = {"status", "outcome", "reason", "kind", "mode"}
NAMES = {"error", "mail", "partial", "success", "task", "timeout"}  # words that are the names of fields, too
ENDS = {"Exit", "SystemExit", "exit"}  # what is called with an exit code
# They run in a process that imports nothing of the package.
OWN_WORDS = {
    "mail.commands.entry",
    "personas.acp.calls",  # those of the protocol
    "personas.acp.client",
    "personas.acp.figures",
    "personas.acp.told",
    "personas.acp.turns",
    "personas.keeping.events",
    "personas.keeping.keeper",
    "team.console.api.overview",
}


def constants(*nodes: ast.AST | None) -> Iterator[ast.Constant]:
    """Those of the nodes that are a literal word of a status."""
    yield from (node for node in nodes if isinstance(node, ast.Constant) and node.value in STATUSES)


def is_field(node: ast.AST | None) -> bool:
    """Tell whether an expression reads or names a status: `x.status`, `status`, or the key "status"."""
    name = {ast.Attribute: "attr", ast.Name: "id", ast.Constant: "value", ast.keyword: "arg"}.get(type(node), "")
    return getattr(node, name, None) in FIELDS


def spelled_in(node: ast.AST) -> Iterator[ast.Constant]:
    """The literal statuses of one node, where they cannot be anything else."""
    match node:
        case ast.Compare(left=left, comparators=others) if any(map(is_field, (left, *others))):
            yield from constants(*(part for side in (left, *others) for part in ast.walk(side)))
        case ast.keyword(value=value) if is_field(node):
            yield from constants(value)
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=value) if is_field(target):
            yield from constants(value)
        case ast.BoolOp(values=[first, *others]) if is_field(first):
            yield from constants(*others)
        case ast.Return(value=value):
            yield from constants(value)
        case ast.Dict(keys=keys, values=values):
            yield from constants(*(value for key, value in zip(keys, values, strict=True) if is_field(key)))
            if all(isinstance(value, ast.Constant) for value in values):  # a table by status, not a document
                yield from (key for key in constants(*keys) if key.value not in NAMES)
        case ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.List(elts=parts):
            words = [*constants(*parts)]
            yield from words if len(words) > 1 and 2 * len(words) >= len(parts) else []
        case ast.Call(func=ast.Attribute(attr="get"), args=[word, *_]):
            yield from (key for key in constants(word) if key.value not in NAMES)
        case _:
            return


def is_code(node: ast.AST | None) -> bool:
    """Tell whether an expression is a literal number other than 0."""
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value != 0


def codes(tree: ast.Module) -> Iterator[ast.AST]:
    """The exit codes that a module writes as numbers."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[code, *_]) if name in ENDS:
                yield from [node] if is_code(code) else []
            case (
                ast.Assign(targets=[ast.Name(id="exit_code")], value=code)
                | ast.AnnAssign(target=ast.Name(id="exit_code"), value=code)
            ):
                yield from [node] if is_code(code) else []
            case _:
                pass


def spelled(tree: ast.Module) -> Iterator[ast.Constant]:
    """The string constants of a module that spell an event kind, or a status where one is read, set or looked up."""
    literals = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript) and is_literal(node.value)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in KINDS:
            yield node
        if node not in literals:  # the words that a user may write as the value of a setting
            yield from spelled_in(node)


def is_literal(node: ast.AST) -> bool:
    """Tell whether a node is the name of `typing.Literal`."""
    return isinstance(node, ast.Name) and node.id == "Literal"


@pytest.mark.parametrize(
    "code",
    [
        'COLORS = {"lost": "red", "sent": "blue"}',
        'FIRST = ("running", "failed", "timeout")',
        'if x.status in {"ok", "done"}: pass',
        'metrics.runs.get("lost", 0)',
        'def f():\n    return "stopped"',
        'document = {"status": "failure", "error": error}',
        'Launch(reason="retry")',
        'outcome = metrics.outcome or "open"',
        'mode = "sequential"',
        'Draft("run.lost")',
    ],
)
def test_a_literal_status_is_seen_wherever_it_stands(code):
    """The rule below reads more than comparisons."""
    assert [*spelled(ast.parse(code))]


@pytest.mark.parametrize("code", ["raise typer.Exit(4)", "sys.exit(1)", "class E:\n    exit_code = 130"])
def test_a_literal_exit_code_is_seen(code):
    """The rule below reads numbers, too."""
    assert [*codes(ast.parse(code))]


def test_kinds_statuses_and_exit_codes_are_spelled_in_one_place():
    """Whoever looks for an event kind, a status or an exit code finds its only spelling in the modules called kinds."""
    strings = {
        f"{module}:{node.lineno} {node.value}"
        for module, tree in modules().items()
        if module.rpartition(".")[2] != "kinds" and module not in OWN_WORDS
        for node in spelled(tree)
    }
    numbers = {
        f"{module}:{node.lineno}"
        for module, tree in modules().items()
        if module != "team.demo.agent"  # plays a foreign program, which crashes
        for node in codes(tree)
    }
    assert sorted(strings | numbers) == []


def test_modules_are_short():
    """A module holds one noun, and nobody scrolls through more than 400 lines for it."""
    lengths = {module or "team_mail": len(path_of(module).read_text().splitlines()) for module in modules()}
    print(
        f"{len(lengths)} modules, median {statistics.median(lengths.values()):g} lines, longest {max(lengths.values())}"
    )
    assert not {module: lines for module, lines in lengths.items() if lines > LONGEST}


def test_functions_are_short():
    """Half of them have at most 8 lines, and of twenty at most one more than 35."""
    longest = sorted(functions(), key=lambda function: function[1])
    lengths = [lines for _, lines in longest]
    median, late = statistics.median(lengths), statistics.quantiles(lengths, n=20)[-1]
    print(f"{len(lengths)} functions, median {median:g} lines, 95th percentile {late:g}, longest {longest[-5:]}")
    assert median <= 8
    assert late <= 35


def test_what_is_public_is_documented():
    """Modules, public classes, functions and methods say what they are."""
    silent = [module or "team_mail" for module, tree in modules().items() if not ast.get_docstring(tree)]
    for module, tree in modules().items():
        silent += [f"{module}.{name}" for name, node in public(tree) if not ast.get_docstring(node)]
    assert not silent


DATABASE = {"ibis", "pandas", "pyarrow", "duckdb"}


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("mail.log.log", DATABASE | {"pydantic", "rich", "typer"}),  # a send
        ("mail.mailbox", DATABASE | {"pydantic", "rich", "typer"}),
        ("team.api.weaving", DATABASE | {"pydantic", "rich", "typer", "yaml", "jinja2"}),  # it needs no team
        ("team.api.plans", DATABASE | {"rich", "typer", "jinja2", "altair"}),
    ],
)
def test_a_module_loads_no_library_that_it_does_not_need(module, slow):
    """In a fresh process, it passes by every library that would make it slow."""
    code = f"import sys, team_mail.{module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "team_mail" in loaded
    assert not slow & set(loaded)


def test_no_id_of_one_length_is_written_into_the_code():
    """A repository may have ids of 40 digits or of 64: the id of nothing has as many zeros as any other."""
    zeros = re.compile(r"0{40}|[\"']0[\"'] \* (?:40|64)")
    texts = {name: path_of(name).read_text() for name in modules()}
    assert [name for name, text in texts.items() if zeros.search(text)] == []
