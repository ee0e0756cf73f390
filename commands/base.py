"""What every command shares: errors as one line, options with their defaults, reports as text or JSON."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import click

from .. import MdeasError

INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

Command = Callable[..., Any]


class Report(Protocol):
    """What every stage returns: a dataclass with a text for people."""

    def summary(self) -> str:
        """The text printed on stdout."""


class MdeasGroup(click.Group):
    """Turns everything a user can mend into one ``Error:`` line, at this one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the chain, not of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; exit code 1 for what can be mended, 130 when interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted: the same command goes on from here.", err=True)
            ctx.exit(INTERRUPTED)
        except (MdeasError, OSError) as error:
            if ctx.meta.get("mdeas.debug"):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise click.ClickException(explain(error)) from error


def explain(error: MdeasError | OSError) -> str:
    """One line: what happened, where, what to do."""
    if isinstance(error, MdeasError):
        return str(error)
    what, where = error.strerror or type(error).__name__, error.filename or "a file"
    advice = {
        errno.ENOSPC: "free some space and run the same command again",
        errno.EDQUOT: "free some space and run the same command again",
        errno.EFBIG: "free some space or raise the limit, and run the same command again",
        errno.EACCES: "check who may read and write there",
        errno.EROFS: "choose a folder that can be written",
        errno.ENOENT: "check the path",
        errno.EEXIST: "a file is where a folder should be: choose another path",
        errno.ENOTDIR: "a file is where a folder should be: choose another path",
        errno.EISDIR: "a folder is where a file should be: choose another path",
    }.get(error.errno or 0, "run with --debug to see where")
    return f"{what}; {where}; {advice}"


def read_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Puts the options of a TOML file, a table a command, between the environment and the defaults."""
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"not a TOML file; {path}; {error}") from error
    root = cast(click.Group, ctx.find_root().command)
    defaults: dict[str, dict[str, Any]] = {}
    for table, values in tables.items():
        command = root.commands.get(table)
        if command is None:
            known = ", ".join(f"[{name}]" for name in sorted(root.commands))
            raise click.ClickException(f"no such command: [{table}]; {path}; use one of {known}")
        if not isinstance(values, dict):
            raise click.ClickException(f"not a table: {table}; {path}; write [{table}], then its options")
        defaults[table] = _options_of(command, values, f"{path} [{table}]")
    mine: dict[str, Any] = defaults if ctx.command is root else defaults.get(ctx.info_name or "", {})
    ctx.default_map = {**(ctx.default_map or {}), **mine}


def _options_of(command: click.Command, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a table of the configuration file says, by the names of the command's parameters."""
    positive = {name.lstrip("-"): str(param.name) for param in command.params for name in param.opts}
    negative = {
        name.lstrip("-"): str(param.name) for param in command.params for name in param.secondary_opts
    }
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("_", "-")
        if name in negative and isinstance(value, bool):
            found[negative[name]] = not value
        elif name in positive:
            found[positive[name]] = _typed(value)
        else:
            raise click.ClickException(f"no such option: {key}; {where}; see mdeas {command.name} --help")
    return found


def _typed(value: Any) -> Any:
    """As one would type it, so that a value of the wrong type is refused as it is on the command line."""
    if isinstance(value, list):
        return [_typed(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def note_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Remembers ``--debug`` wherever it was given."""
    if value:
        ctx.meta["mdeas.debug"] = True


def option(*names: str, of: Any = None, **settings: Any) -> Callable[[Command], Command]:
    """A click option whose default is the field of the same name in the config class ``of``."""
    field = names[-1].split("/")[0].lstrip("-").replace("-", "_")
    if of is not None:
        settings.setdefault("default", getattr(of, field))
    settings.setdefault("show_default", True)
    return click.option(*names, **settings)


config_option = option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="TOML file with a table of options for each command.",
)
debug_option = option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    show_default=False,
    callback=note_debug,
    help="Show the traceback of an error.",
)


def command(name: str, brief: str) -> Callable[[Command], click.Command]:
    """A command whose function returns a report: text for people, or one JSON object with ``--json``."""

    def decorate(function: Command) -> click.Command:
        @functools.wraps(function)
        def run(as_json: bool, **options: Any) -> None:
            report = cast(Report, function(**options))
            values = dataclasses.asdict(report)  # type: ignore[call-overload]
            click.echo(json.dumps(values, default=str) if as_json else report.summary())
            if count := len(values.get("problems", ())):
                raise MdeasError(f"{count} {'problems' if count > 1 else 'problem'} found, listed above")

        json_option = option(
            "--json",
            "as_json",
            is_flag=True,
            show_default=False,
            help="Print one JSON object instead of text.",
        )
        return click.command(name, short_help=brief)(config_option(json_option(debug_option(run))))

    return decorate


def dataset_option(of: Any) -> Callable[[Command], Command]:
    """``--dataset``, the same everywhere."""
    return option("--dataset", of=of, type=FOLDER, help="The data set's folder.")


def foregrounds_option(
    of: Any, brief: str = "Folder of cut-outs with alpha."
) -> Callable[[Command], Command]:
    """``--fg``: the cut-outs that a data set is made of."""
    return option("--fg", of=of, type=FOLDER, show_default="data/fg, or the bundled pictures", help=brief)


def backgrounds_option(of: Any, brief: str = "Folder of background photos.") -> Callable[[Command], Command]:
    """``--bg``: the photos that a data set is made of."""
    return option("--bg", of=of, type=FOLDER, show_default="data/bg, or the bundled pictures", help=brief)


def threshold_option(of: Any) -> Callable[[Command], Command]:
    """``--mask-threshold``, the same everywhere."""
    return option(
        "--mask-threshold", of=of, type=click.IntRange(0, 254), help="Foreground where alpha is above this."
    )


def jobs_option(of: Any) -> Callable[[Command], Command]:
    """``--jobs``, the same everywhere; it never changes a byte of the result."""
    return option("--jobs", of=of, type=int, callback=check_jobs, help="Worker processes; -1 is one a core.")


def scheduler_option(of: Any) -> Callable[[Command], Command]:
    """``--scheduler``: the same work on a dask cluster, to the same bytes."""
    return option(
        "--scheduler",
        of=of,
        metavar="tcp://HOST:PORT",
        show_default="this machine",
        help="Work on this dask cluster.",
    )


def part_option(of: Any) -> Callable[[Command], Command]:
    """``--part``: a share of the work, for queues; ``mdeas merge`` ends it."""
    return option(
        "--part",
        of=of,
        metavar="I/N",
        callback=read_part,
        show_default="all",
        help="Only the I-th of N shares of the shards; `mdeas merge` when all are done.",
    )


def read_part(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """``3/8`` as ``(3, 8)``."""
    if text is None:
        return None
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise click.BadParameter(f"{text} is no part: use 1/8, 2/8 and so on up to 8/8")
    return int(number), int(parts)


def check_jobs(_ctx: click.Context, _param: click.Parameter, jobs: int) -> int:
    """A positive number, or -1."""
    if jobs < 1 and jobs != -1:
        raise click.BadParameter("use a number of processes from 1, or -1 for one a core")
    return jobs


class Commas(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``a,b`` as ``("a", "b")``; in a configuration file, a list of them too."""

    name = "words"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The words without the white space around them."""
        words = value.split(",") if isinstance(value, str) else value
        return tuple(word.strip() for word in words if word.strip())


def whole_numbers(_ctx: click.Context, _param: click.Parameter, words: tuple[str, ...]) -> tuple[int, ...]:
    """``("0", "1")`` as ``(0, 1)``."""
    if not words or not all(word.isdecimal() for word in words):
        raise click.BadParameter("use whole numbers with commas between them")
    return tuple(map(int, words))


class Several(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """One value of a type, or a tuple of them where there is a ``separator`` in between."""

    def __init__(self, kind: Any, separator: str = ",") -> None:
        self.kind, self.separator, self.name = kind, separator, kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A text as a value or a tuple; lists of a configuration file as tuples."""
        if isinstance(value, str):
            value = value.split(self.separator)
        if not isinstance(value, list | tuple):
            value = [value]
        values = tuple(self.kind.convert(one, param, ctx) for one in value)
        return values[0] if len(values) == 1 else values


def preset_option(presets: Mapping[str, Mapping[str, object]], brief: str) -> Callable[[Command], Command]:
    """``--preset``: options below those of the configuration file."""

    def read_preset(ctx: click.Context, _param: click.Parameter, name: str | None) -> None:
        if name is not None:
            ctx.default_map = {**presets[name], **(ctx.default_map or {})}

    return option(
        "--preset",
        type=click.Choice(list(presets)),
        is_eager=True,
        expose_value=False,
        callback=read_preset,
        help=brief,
    )


def licence_option(brief: str) -> Callable[[Command], Command]:
    """``--licence``: codes with commas between them."""
    return option(
        "--licence", default="", type=Commas(), metavar="cc0,by,...", show_default="any", help=brief
    )


def device_option(of: Any) -> Callable[[Command], Command]:
    """``--device``, the same everywhere."""
    return option("--device", of=of, metavar="auto|cpu|cuda|cuda:N|mps", help="Where the network runs.")
