"""The command line as a whole: help, precedence of options, error lines, exit codes, what is imported."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from mdeas import MdeasError, __version__
from mdeas.cli import cli

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(cli.commands)


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"mdeas, version {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    command = cli.commands[name]
    assert command.help and command.short_help and len(command.short_help) < 58
    for parameter in command.params:
        assert parameter.param_type_name == "argument" or parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"mdeas {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mdeas.cli import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(out.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {"torch", "cv2", "numpy", "timm", "pyarrow", "joblib", "PIL"}


@pytest.mark.parametrize("module", ["composite", "mask", "stats", "verify", "repair", "rebuild", "preview"])
def test_compositing_runs_without_torch(module: str) -> None:
    code = f"import sys, mdeas.pipeline.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def imports(path: Path) -> set[str]:
    """Top-level names that a file imports; relative ones as ``.package``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(
                (node.module or "").split(".")[0]
                if not node.level
                else f".{'.' * node.level}{node.module or ''}"
            )
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline").rglob("*.py")), ids=lambda path: path.name)
def test_pipeline_layering(path: Path) -> None:
    found = imports(path)
    relative = {name.lstrip(".").split(".")[0] for name in found if name.startswith(".")}
    assert "click" not in found
    assert "commands" not in relative
    if path.name != "depth.py":
        assert "torch" not in found
        assert "models" not in relative


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=lambda path: path.name)
def test_only_the_command_line_knows_click(path: Path) -> None:
    assert "click" not in imports(path)


@pytest.mark.parametrize("path", sorted((ROOT / "scenes").glob("*.py")), ids=lambda path: path.name)
def test_scenes_need_no_other_package(path: Path) -> None:
    assert not imports(path) & {"click", "torch"}
    assert not [name for name in imports(path) if name.startswith("...") and name != "..."]  # MdeasError


def test_every_package_folder_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "packages"
    ]
    tracked = subprocess.run(
        ["git", "ls-files", "*__init__.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    folders = {".".join(["mdeas", *Path(name).parent.parts]) for name in tracked}
    assert folders == set(listed)


def test_config_file_then_environment_then_command_line(tmp_path: Path) -> None:
    config = tmp_path / "mdeas.toml"
    config.write_text('[verify]\ndataset = "from-file"\n')

    def where(*arguments: str, env: dict[str, str] | None = None) -> str:
        result = CliRunner().invoke(cli, [*arguments], env=env)
        assert result.exit_code == 1
        return re.findall(r"from-\w+", result.output)[0]

    assert where("verify", "--config", str(config)) == "from-file"
    assert where("--config", str(config), "verify") == "from-file"
    env = {"MDEAS_VERIFY_DATASET": "from-environment"}
    assert where("--config", str(config), "verify", env=env) == "from-environment"
    assert where("--config", str(config), "verify", "--dataset", "from-line", env=env) == "from-line"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[verify]\ndatset = 'x'\n", "no such option: datset"),
        ("[veryfy]\ndataset = 'x'\n", "no such command: [veryfy]"),
        ("verify = 3\n", "not a table: verify"),
        ("[make-dataset]\nno-flips = 1\n", "no such option: no-flips"),
        ("[verify\n", "not a TOML file"),
    ],
)
def test_wrong_config_file(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "mdeas.toml"
    config.write_text(text)
    result = CliRunner().invoke(cli, ["verify", "--config", str(config)])
    assert result.exit_code == 1
    assert message in result.stderr and str(config) in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limit = 1.5", "'1.5' is not a valid integer"),
        ("size = true", "'true' is not a valid integer"),
        ("flips = 'maybe'", "'maybe' is not a valid boolean"),
        ("scale = [0.2, 0.5, 0.7]", "Takes 2 values but 3 were given"),
    ],
)
def test_wrong_values_in_a_config_file_are_2(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "mdeas.toml"
    config.write_text(f"[make-dataset]\n{text}\n")
    result = CliRunner().invoke(cli, ["make-dataset", "--config", str(config)])
    assert result.exit_code == 2
    assert message in result.stderr


def test_config_files_may_say_no_and_hold_lists(tmp_path: Path, assets_dir: Path) -> None:
    config, out = tmp_path / "mdeas.toml", tmp_path / "set"
    folders = f"fg = '{assets_dir / 'fg'}'\nbg = '{assets_dir / 'bg'}'\nout = '{out}'\n"
    config.write_text(
        f"[make-dataset]\n{folders}size = 32\njobs = 1\nlimit = 4\nno-flips = true\nscale = [0.5, 0.6]\n"
        f"[verify]\ndataset = 3\n[compare]\nmodels = ['nobody', 'mdeas']\nseeds = [0, 1]\n"
    )
    result = CliRunner().invoke(cli, ["--config", str(config), "make-dataset"])
    assert result.exit_code == 0, result.output
    options = json.loads((out / "dataset.json").read_text())["options"]
    assert (options["flips"], options["scale"]) == (False, [0.5, 0.6])
    result = CliRunner().invoke(cli, ["--config", str(config), "verify"])
    assert result.stderr.startswith("Error: no finished data set: 3;")
    result = CliRunner().invoke(cli, ["--config", str(config), "compare"])
    assert "no network is called 'nobody'" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["make-dataset", "--size", "0"],
        ["make-dataset", "--scale", "0.5"],
        ["stats", "--jobs", "0"],
        ["train", "--epochs", "none"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (
            MdeasError("no pictures; data/fg; put some there"),
            1,
            "Error: no pictures; data/fg; put some there",
        ),
        (
            OSError(28, "No space left on device", "data/x.zip"),
            1,
            "Error: No space left on device; data/x.zip; free",
        ),
        (
            FileExistsError(17, "File exists", "notes.txt"),
            1,
            "Error: File exists; notes.txt; a file is where a folder should be: choose another path",
        ),
        (KeyboardInterrupt(), 130, "Interrupted: the same command goes on from here."),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, line: str
) -> None:
    def stage(_config: object) -> None:
        raise raised

    monkeypatch.setattr("mdeas.pipeline.verify.verify_dataset", stage)
    result = CliRunner().invoke(cli, ["verify"])
    assert result.exit_code == code
    assert result.stderr.strip().startswith(line)
    assert len(result.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", "--debug", "--dataset", str(tmp_path / "none")])
    assert isinstance(result.exception, MdeasError)


def test_json_is_one_object(dataset_dir: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", "--dataset", str(dataset_dir), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problems"] == []


def test_licences_are_parted_by_commas(tmp_path: Path, assets_dir: Path) -> None:
    folders = ["--fg", str(assets_dir / "fg"), "--bg", str(assets_dir / "bg"), "--out", str(tmp_path / "set")]
    result = CliRunner().invoke(cli, ["make-dataset", *folders, "--licence", "by, cc0"])
    assert result.exit_code == 1
    assert "no cut-out under cc0, by" in result.stderr and "(4 no licence known)" in result.stderr
    result = CliRunner().invoke(cli, ["make-dataset", *folders, "--licence", "by,gpl"])
    assert "Error: unknown licence: --licence gpl; use some of cc0, pdm, by" in result.stderr
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("order", [("--preset", "--config"), ("--config", "--preset")])
def test_a_preset_is_below_the_file_and_the_command_line(
    tmp_path: Path, assets_dir: Path, order: tuple[str, str]
) -> None:
    config = tmp_path / "mdeas.toml"
    config.write_text("[make-dataset]\nplacements = 1\nquality = 55\n")
    values = {"--preset": "vathos", "--config": str(config)}
    shared = [word for name in order for word in (name, values[name])]
    out = tmp_path / "set"
    folders = ["--fg", str(assets_dir / "fg"), "--bg", str(assets_dir / "bg"), "--out", str(out)]
    result = CliRunner().invoke(cli, ["make-dataset", *shared, *folders, "--size", "64", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    options = json.loads((out / "dataset.json").read_text())["options"]
    assert (options["size"], options["quality"], options["placements"]) == (64, 55, 1)
    assert options["scale"] == [0.4, 0.545]
    assert options["mask_threshold"] == 0
