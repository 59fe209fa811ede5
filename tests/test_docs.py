"""The documentation is complete and names nothing that does not exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.management import get_commands, load_command_class
from django.dispatch import Signal

import health
import health.signals
import observability
import ratelimit
from harvester.conf import HarvesterSettings
from harvester.config.env import VARIABLES
from harvester.models import SourceKind
from harvester.pipeline.run import STAGES
from health import Check, ComponentHealth, HealthCheckResponse
from health.conf import DEFAULT_CHECKS, HealthSettings
from health.conf import conf as health_conf
from health.gunicorn import DEFAULT_GRACE_SECONDS, DEFAULT_SECONDS
from health.gunicorn import VARIABLES as DRAIN_VARIABLES
from observability.catalogue import catalogue
from observability.conf import ObservabilitySettings
from observability.conf import conf as observability_conf
from observability.live import full_name
from observability.reference import as_data, load_catalogue
from observability.storage import VARIABLE as METRICS_FOLDER
from ratelimit import Decision, RateLimiter, Stats, VerifiedKey, signals
from ratelimit.conf import DEFAULT_TIERS, RateLimitSettings, conf
from ratelimit.gate import Passage
from tests.installation import Installation

HOUSE = Path(__file__).resolve().parent.parent
APPS = ("ratelimit", "observability", "health")
PAGES = sorted([*HOUSE.glob("*.md"), *(HOUSE / app / "README.md" for app in APPS), *(HOUSE / "docs").rglob("*.md")])
SETTINGS = (HOUSE / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
LIMITS = (HOUSE / "docs" / "reference" / "ratelimit.md").read_text(encoding="utf-8")
PROBES = (HOUSE / "docs" / "reference" / "health.md").read_text(encoding="utf-8")
METRICS = (HOUSE / "docs" / "reference" / "observability.md").read_text(encoding="utf-8")
METER = [path.read_text(encoding="utf-8") for path in (HOUSE / "observability").rglob("*.py")]
MAPPING = (HOUSE / "docs" / "reference" / "metrics-mapping.md").read_text(encoding="utf-8")
COMING = "comes with its stage"
PROBER = [path.read_text(encoding="utf-8") for path in (HOUSE / "health").rglob("*.py")]
LIMITER = [path.read_text(encoding="utf-8") for path in (HOUSE / "ratelimit").rglob("*.py")]
COMMANDS = (HOUSE / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
OWN_COMMANDS = {name: app for name, app in sorted(get_commands().items()) if app in {"harvester", *APPS}}
MAKEFILE = (HOUSE / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


def relative(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_is_documented_with_its_default(variable: object) -> None:
    row = next(line for line in SETTINGS.splitlines() if line.startswith(f"| `{variable.name}` |"))
    assert variable.help in row
    assert (f"`{variable.default}`" if variable.default else "not set") in row


def test_the_example_environment_lists_every_variable_and_no_other() -> None:
    listed = re.findall(r"^#?([A-Z_]+)=(.*)$", (HOUSE / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert dict(listed) == {variable.name: variable.default for variable in VARIABLES}


def test_every_product_setting_is_documented() -> None:
    names = [name for name, value in vars(HarvesterSettings).items() if isinstance(value, property)]
    assert [name for name in names if f"`HARVESTER_{name.upper()}`" not in SETTINGS] == []


def test_every_setting_of_the_limiter_is_documented_and_no_other() -> None:
    names = [
        f"RATELIMIT_{name.upper()}" for name, value in vars(RateLimitSettings).items() if isinstance(value, property)
    ]
    assert sorted(names) == sorted(re.findall(r"^\| `(RATELIMIT_\w+)` \|", LIMITS, flags=re.MULTILINE))


def test_every_setting_of_the_limiter_is_documented_with_its_default(settings: Any) -> None:
    """Those that follow another setting, or have a table of their own, in words."""
    for name in [name for name in dir(project) if name.startswith("RATELIMIT_")]:
        delattr(settings, name)
    in_words = {"RATELIMIT_TIERS", "RATELIMIT_CACHE", "RATELIMIT_SECRET"}
    documented = dict(re.findall(r"^\| `(RATELIMIT_\w+)` \| (.+?) \|", LIMITS, flags=re.MULTILINE))
    said = {name: default for name, default in documented.items() if name not in in_words}
    assert said == {name: written(getattr(conf, name.removeprefix("RATELIMIT_").lower())) for name in said}


def written(default: object) -> str:
    """As the table writes it: numbers bare, everything else as code, an empty text as a word."""
    if isinstance(default, int | float) and not isinstance(default, bool):
        return f"{default:,}".removesuffix(".0")
    if isinstance(default, str):
        return f"`{default}`" if default else "empty"
    return f"`{default}`" if isinstance(default, bool) else f"`{json.dumps(default)}`"


def test_every_system_check_of_the_limiter_is_documented_and_no_other() -> None:
    raised = {name for code in LIMITER for name in re.findall(r"\bratelimit\.[EIW][0-9]{3}\b", code)}
    assert sorted(raised) == re.findall(r"^\| `(ratelimit\.[EIW][0-9]{3})` \|", LIMITS, flags=re.MULTILINE)


def test_every_public_name_of_the_limiter_is_documented_and_no_other() -> None:
    rows = section("Without HTTP").partition("| name | what |")[2]
    named = {
        name for cells in re.findall(r"^\| .+ \|$", rows, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", cells)
    }
    attributes = {"reason", "name", "known", "None"}
    assert named - attributes == set(ratelimit.__all__)


@pytest.mark.parametrize("signal", [name for name, value in vars(signals).items() if isinstance(value, Signal)])
def test_every_signal_of_the_limiter_is_documented_with_its_arguments(signal: str) -> None:
    row = next(line for line in section("Signals").splitlines() if line.startswith(f"| `{signal}` |"))
    sent = arguments_sent(signal, LIMITER)
    assert sent
    assert sent <= set(re.findall(r"`(\w+)`", row.split(" | ")[1]))


def arguments_sent(signal: str, sources: list[str]) -> set[str | None]:
    return {
        argument.arg
        for code in sources
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"{signal}.send_robust"
        for argument in node.keywords
        if argument.arg != "sender"
    }


def test_what_the_limiter_can_do_is_documented() -> None:
    told = section("Without HTTP")
    methods = [name for name in vars(RateLimiter) if not name.startswith("_") and name != "after_fork"]
    assert [name for name in methods if f"`{name}(" not in told] == []
    facts = [*Stats._fields, *(name for name in dir(Decision) if not name.startswith("_"))]
    inner = {"count", "index", "arrival_us", "now_us"}
    assert [name for name in facts if name not in inner and f"`{name}`" not in told] == []


def test_what_views_find_is_documented() -> None:
    told = section("What views find")
    assert re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE) == [field.name for field in fields(Passage)]
    assert [field.name for field in fields(VerifiedKey) if f"`{field.name}`" not in told] == []


def section(title: str, page: str = LIMITS) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_limits_that_are_documented_are_the_default_ones() -> None:
    documented = re.findall(r"^\| `(\w+)` \| ([0-9,]+) a minute \|", LIMITS, flags=re.MULTILINE)
    assert {tier: {"limit": int(limit.replace(",", "")), "window_seconds": 60} for tier, limit in documented} == dict(
        DEFAULT_TIERS
    )


def test_every_setting_of_the_probes_is_documented_with_its_default_and_no_other(settings: Any) -> None:
    """Those that follow another setting, or have a table of their own, in words."""
    for name in [name for name in dir(project) if name.startswith("HEALTH_")]:
        delattr(settings, name)
    names = [f"HEALTH_{name.upper()}" for name, value in vars(HealthSettings).items() if isinstance(value, property)]
    told = section("Settings", PROBES)
    documented = dict(re.findall(r"^\| `(HEALTH_\w+)` \| (.+?) \|", told, flags=re.MULTILINE))
    assert sorted(names) == sorted(documented)
    said = {name: default for name, default in documented.items() if name not in {"HEALTH_CHECKS", "HEALTH_DISK_PATH"}}
    assert said == {name: written(getattr(health_conf, name.removeprefix("HEALTH_").lower())) for name in said}


def test_every_variable_of_the_drain_is_documented_with_its_default() -> None:
    told = section("Draining", PROBES)
    defaults = (DEFAULT_SECONDS, DEFAULT_GRACE_SECONDS)
    for name, default in zip(DRAIN_VARIABLES, defaults, strict=True):
        assert re.search(rf"^\| `{name}` \| `\w+` \| {default:g} \|", told, flags=re.MULTILINE)


def test_every_system_check_of_the_probes_is_documented_and_no_other() -> None:
    raised = {name for code in PROBER for name in re.findall(r"\bhealth\.[EIW][0-9]{3}\b", code)}
    assert sorted(raised) == re.findall(r"^\| `(health\.[EIW][0-9]{3})` \|", PROBES, flags=re.MULTILINE)


def test_every_public_name_and_field_of_the_probes_is_documented() -> None:
    told = section("In code", PROBES)
    assert [name for name in health.__all__ if f"`{name}" not in told] == []
    facts = [field.name for kind in (ComponentHealth, HealthCheckResponse) for field in fields(kind)]
    assert [name for name in facts if f"`{name}`" not in told] == []
    options = [field.name for field in fields(Check) if field.init and field.name != "name"]
    assert [name for name in options if f"`{name}`" not in section("Settings", PROBES)] == []


def test_every_component_is_documented_here_and_in_the_readme() -> None:
    readme = (HOUSE / "health" / "README.md").read_text(encoding="utf-8")
    own = {name for name in project.HEALTH_CHECKS if name not in DEFAULT_CHECKS}
    assert own
    told = section("Components", PROBES)
    assert [name for name in (*DEFAULT_CHECKS, "celery", *own) if f"| `{name}`" not in told] == []
    assert [name for name in (*DEFAULT_CHECKS, "celery") if f"| `{name}`" not in readme] == []


@pytest.mark.parametrize("signal", [name for name, value in vars(health.signals).items() if isinstance(value, Signal)])
def test_every_signal_of_the_probes_is_documented_with_its_arguments(signal: str) -> None:
    row = next(line for line in section("Signals", PROBES).splitlines() if line.startswith(f"| `{signal}` |"))
    sent = arguments_sent(signal, PROBER)
    assert sent
    assert sent <= set(re.findall(r"`(\w+)`", row.split(" | ")[1]))


def test_every_setting_of_the_metrics_is_documented_with_its_default_and_no_other(settings: Any) -> None:
    for name in [name for name in dir(project) if name.startswith("OBSERVABILITY_")]:
        delattr(settings, name)
    names = [name for name, value in vars(ObservabilitySettings).items() if isinstance(value, property)]
    told = section("Settings", METRICS)
    documented = dict(re.findall(r"^\| `(OBSERVABILITY_\w+)` \| (.+?) \|", told, flags=re.MULTILINE))
    defaults = {f"OBSERVABILITY_{name.upper()}": getattr(observability_conf, name) for name in names}
    networks = [str(network) for network in defaults["OBSERVABILITY_ALLOWED_NETWORKS"]]
    defaults |= {"OBSERVABILITY_ALLOWED_NETWORKS": networks}
    assert documented == {name: written(default) for name, default in defaults.items()} | {
        name: "`None`" for name, default in defaults.items() if default is None
    }
    assert f"| `{METRICS_FOLDER}` |" in section("Several processes", METRICS)


def test_every_system_check_of_the_metrics_is_documented_and_no_other() -> None:
    raised = {name for code in METER for name in re.findall(r"\bobservability\.[EIW][0-9]{3}\b", code)}
    assert sorted(raised) == re.findall(r"^\| `(observability\.[EIW][0-9]{3})` \|", METRICS, flags=re.MULTILINE)


def test_every_public_name_of_the_metrics_is_documented_and_no_other() -> None:
    table = section("In code", METRICS).partition("| name | what |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (.+?) \|", table, flags=re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert named == set(observability.__all__)


def test_every_field_of_the_catalogue_is_documented() -> None:
    load_catalogue()
    told, data = section("The catalogue as JSON", METRICS), as_data(catalogue())
    fields_of_all = {field for kind in ("metrics", "external") for field in data[kind][0]}
    assert [field for field in sorted(fields_of_all) if f'"{field}"' not in told] == []
    assert [field for field in data["metrics"][0]["labels"][0] if f"`{field}`" not in told] == []


def test_the_page_of_the_metrics_is_fresh(tmp_path: Path) -> None:
    """The declarations are its source; docs/reference/commands.md says how it is made anew."""
    page, appendix = "docs/reference/metrics.md", "docs/reference/metrics-mapping.md"
    here = Installation(tmp_path, f"sqlite:///{tmp_path}/none.sqlite3", {"ENVIRONMENT": "test"})
    done = here.manage("metrics", "--check", page, "--appendix", appendix, expect=None)
    assert done.returncode == 0, done.stderr


def mapped() -> dict[str, tuple[list[str], list[str], str]]:
    """Group and name in the report → what stands in its row: names here, labels here, why."""
    rows = re.findall(r"^\| ([\w ]+) \| `(\w+)` \| (.+?) \| (.*?) ?\|$", MAPPING, flags=re.MULTILINE)
    return {
        f"{group}: {name}": (
            [one for one in re.findall(r"`(\w+)`", here) if "_" in one and one not in {"cache_type", "cache_name"}],
            re.findall(r"^`(\w+)` of ", here),
            why,
        )
        for group, name, here, why in rows
    }


def test_every_name_of_the_report_is_mapped() -> None:
    assert len(mapped()) == len(re.findall(r"^\| [A-Z]", MAPPING, flags=re.MULTILINE)) == 35 + 13


@pytest.mark.parametrize("name", mapped())
def test_what_a_name_of_the_report_became_is_declared_or_comes_with_its_stage(name: str) -> None:
    load_catalogue()
    declared = {full_name(metric.name): metric.label_names for metric in catalogue()}
    metrics, labels, why = mapped()[name]
    assert metrics
    if COMING in why:
        assert [one for one in metrics if one in declared] == [], "it has come"
        return
    assert [one for one in metrics if one not in declared] == []
    assert [(one, label) for one in metrics for label in labels if label not in declared[one]] == []


def test_a_name_that_changed_says_why() -> None:
    """Having its group in front, which all have, is said above the table."""
    silent = [
        name
        for name, (metrics, labels, why) in mapped().items()
        if not labels and not why and not metrics[0].endswith(name.partition(": ")[2])
    ]
    assert silent == []


@pytest.mark.parametrize("name", OWN_COMMANDS)
def test_every_command_has_a_section(name: str) -> None:
    assert f"\n## {name}\n" in COMMANDS


@pytest.mark.parametrize("name", OWN_COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    parser = load_command_class(OWN_COMMANDS[name], name).create_parser("manage.py", name)
    everyday = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color",
                "--force-color", "--skip-checks"}  # fmt: skip
    parsers = [parser]
    for action in parser._actions:
        if isinstance(getattr(action, "choices", None), dict):
            parsers += action.choices.values()
    options = {option for one in parsers for option in one._option_string_actions if option.startswith("--")}
    assert [option for option in sorted(options - everyday) if option not in COMMANDS] == []


@pytest.mark.parametrize("kind", SourceKind.values)
def test_every_kind_of_source_is_documented(kind: str) -> None:
    assert f"| `{kind}` |" in COMMANDS


def test_the_stages_are_documented_in_order() -> None:
    assert f"--stage {'|'.join(STAGES)}" in COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_make_targets_exist(page: Path) -> None:
    named = re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(set(named) - TARGETS) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_paths_in_the_text_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:harvester|ratelimit|tests|docs|requirements)/[\w./-]+)`", page.read_text(encoding="utf-8")
    )
    assert [path for path in named if not (HOUSE / path).exists()] == []


def test_rooms_in_the_table_exist() -> None:
    """CONTRIBUTING's table names every file (`name.py`) and folder (`name/`) of the product, and no other."""
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    rooms = {room for cell, _ in rows for room in re.findall(r"`([^`]+)`", cell)}
    assert {room for room in rooms if not is_room(HOUSE / "harvester", room)} == set()
    here = (HOUSE / "harvester").glob("*")
    present = {f"{path.name}/" if path.is_dir() else path.name for path in here if path.name[0] not in "_."}
    assert present - rooms == {"apps.py", "migrations/"}, "Django's own places need no explanation, ours do"
    inside = [
        (folder, name)
        for cell, text in rows
        for folder in re.findall(r"`(\w+/)`", cell)
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", text)
    ]
    assert [pair for pair in inside if not is_room(HOUSE / "harvester" / pair[0], pair[1])] == []


def is_room(folder: Path, name: str) -> bool:
    place = folder / name
    return place.is_dir() if name.endswith("/") else place.is_file()


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_in_the_text_can_be_parsed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in re.findall(
        r"^    (?:\.venv/bin/)?python manage\.py (.+)$|^    \.venv/bin/python manage\.py (.+)$",
        text,
        flags=re.MULTILINE,
    ):
        written = next(part for part in line if part)
        if any(sign in written for sign in "[|") or "…" in written:
            continue  # a grammar, not a command
        name, *arguments = shlex.split(re.split("  #| > ", written)[0])
        if name in OWN_COMMANDS:
            load_command_class(OWN_COMMANDS[name], name).create_parser("manage.py", name).parse_args(arguments)


def test_every_make_target_for_people_says_what_it_does() -> None:
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)", MAKEFILE, flags=re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, flags=re.MULTILINE))
    assert phony == described


def test_the_changelog_knows_what_is_unreleased() -> None:
    assert "\n## Unreleased\n" in (HOUSE / "CHANGELOG.md").read_text(encoding="utf-8")
