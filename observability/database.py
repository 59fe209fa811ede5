"""Measures every statement that goes through Django's connections, by its verb and its first table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from observability.catalogue import OTHER
from observability.conf import conf
from observability.errors import CardinalityError
from observability.metrics import db_queries, db_query_duration
from observability.series import CounterChild, HistogramChild, tell
from observability.tally import current

NO_TABLE = "none"
_IS_LEFT_OUT = "_observability_is_left_out"
LONGEST_KEPT = 4_000
"""Characters of a statement that is remembered as it is; of longer ones only the beginning and the length are."""
_BEGINNING = 500
"""What differs later than that, at the same length, is mostly values: the columns before name the table."""
MOST_KEPT = 1_000
FARTHEST_READ = 20_000
"""Characters that are looked through for the table; a longer list of columns than that nobody writes."""

_OPERATIONS = {
    "SELECT": "select",
    "INSERT": "insert",
    "REPLACE": "insert",
    "UPDATE": "update",
    "DELETE": "delete",
    **dict.fromkeys(("CREATE", "ALTER", "DROP", "TRUNCATE"), "schema"),
    **dict.fromkeys(("BEGIN", "START", "SAVEPOINT", "COMMIT", "END", "ROLLBACK", "RELEASE", "SET"), "transaction"),
}
_MAIN_VERBS = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"}
_BEFORE_TABLE = {"SELECT": "FROM", "DELETE": "FROM", "INSERT": "INTO", "REPLACE": "INTO"}
_BESIDE_TABLE = {"ONLY", "LATERAL", "OR", "ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE", "LOW_PRIORITY"}
"""Words that may stand between the keyword and the table, in one database or another."""
_QUOTES = str.maketrans("", "", '"`[]')

_PART = r"""(?:"[^"]*"?|`[^`]*`?|\[[^\]]*\]?|[^\W\d][\w$]*)"""
_TOKEN = re.compile(
    rf"""'[^']*'? | --[^\n]* | /\*.*?(?:\*/|\Z) | (?P<parenthesis>[()]) | (?P<name>{_PART}(?:\s*\.\s*{_PART})*)""",
    re.VERBOSE | re.DOTALL,
)


class _Children(NamedTuple):
    """Where statements of one operation on one table are told."""

    duration: HistogramChild
    ok: CounterChild
    error: CounterChild


class _Tables:
    """The tables of the project's models: what else stands in a statement may be anybody's text."""

    def __init__(self) -> None:
        self._models: object = None
        self._names: dict[str, str] = {}

    def label(self, written: str) -> str:
        """As the model has it, for a name as it is written in SQL: quoted or bare, with a schema or without."""
        name = re.sub(r"\s", "", written).translate(_QUOTES)
        last = name.rpartition(".")[2]
        for spelling in (name, last, last.lower()):
            if spelling in self._names:
                return self._names[spelling]
        return OTHER

    def follow_models(self) -> None:
        """Django hands out the same list until a model is added, by a test or by an app that comes late."""
        if not apps.models_ready:
            return
        models = apps.get_models(include_auto_created=True)
        if models is not self._models:
            written = ("django_migrations", *(model._meta.db_table for model in models))  # noqa: SLF001 - Django's documented API
            self._names = {name: name for name in (table.translate(_QUOTES) for table in written)}
            self._models = models
            _known.clear()


_tables = _Tables()
_Key: TypeAlias = str | tuple[str, int]
_known: dict[_Key, _Children] = {}


def install() -> None:
    """Measure every connection made from now on, and those this thread has already. Again is the same as once."""
    connection_created.connect(_on_connection, dispatch_uid="observability.database")
    for connection in connections.all(initialized_only=True):
        measure(connection)


def measure(connection: BaseDatabaseWrapper) -> None:
    """Measure this connection, unless it is measured already, or left out here or by OBSERVABILITY_DATABASES."""
    wanted = conf.databases
    if getattr(connection, _IS_LEFT_OUT, False):
        return
    if (wanted is None or connection.alias in wanted) and _measured not in connection.execute_wrappers:
        # In front: whoever has put a wrapper there for a while takes the last one away.
        connection.execute_wrappers.insert(0, _measured)


def leave_out(connection: BaseDatabaseWrapper) -> None:
    """Never measure this connection, which is not connected yet: what reads the numbers must not move them."""
    setattr(connection, _IS_LEFT_OUT, True)


def _on_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    measure(connection)


def _measured(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    children = _known.get(sql if len(sql) <= LONGEST_KEPT else _key(sql)) if type(sql) is str else None
    if children is None:
        children = _learn(sql)
    tally = current.get()
    if tally is not None:
        tally.queries += 1
    started = perf_counter()
    try:
        result = execute(sql, params, many, context)
    except BaseException:
        tell(children.duration, children.error, perf_counter() - started)
        raise
    tell(children.duration, children.ok, perf_counter() - started)
    return result


def _learn(sql: Any) -> _Children:
    _tables.follow_models()
    operation, written = classify(_text(sql))
    table = _tables.label(written) if written else NO_TABLE
    try:
        children = _bind(operation, table)
    except CardinalityError:  # no statement fails for its metric: strictness is for what code passes as a label
        children = _bind(operation, OTHER)
    if type(sql) is str:
        if len(_known) >= MOST_KEPT:
            _known.clear()
        _known[sql if len(sql) <= LONGEST_KEPT else _key(sql)] = children
    return children


def _key(long: str) -> _Key:
    return long[:_BEGINNING], len(long)


def _bind(operation: str, table: str) -> _Children:
    return _Children(
        db_query_duration.at(operation, table),
        db_queries.at(operation, table, "ok"),
        db_queries.at(operation, table, "error"),
    )


def _text(sql: Any) -> str:
    """Empty for what psycopg composes, which tells its text to a connection only."""
    if isinstance(sql, str):
        return sql[:FARTHEST_READ]
    return sql[:FARTHEST_READ].decode("latin-1") if isinstance(sql, bytes | bytearray) else ""


def classify(sql: str) -> tuple[str, str]:
    """The operation, and the first table of the statement's own level, as it is written there; empty: there is none.

    A table that is a query itself, as in ``SELECT COUNT(*) FROM (SELECT …)``, stands for the first table in it.
    """
    words = _words(sql)
    verb, level = _verb(words)
    operation = _OPERATIONS.get(verb, OTHER)
    if verb == "UPDATE":
        return operation, _table(words, level)
    if verb in _BEFORE_TABLE:
        keyword = _BEFORE_TABLE[verb]
        return operation, _table(words, level) if _reaches(words, keyword, level) else ""
    return operation, ""


class _Word(NamedTuple):
    text: str
    depth: int


def _words(sql: str) -> Iterator[_Word]:
    """Names, keywords and opening parentheses, each with how deep in parentheses it stands; no strings, no comments."""
    depth = 0
    for token in _TOKEN.finditer(sql):
        if name := token["name"]:
            yield _Word(name, depth)
        elif (parenthesis := token["parenthesis"]) == "(":
            yield _Word(parenthesis, depth)
            depth += 1
        elif parenthesis:
            depth -= 1


def _verb(words: Iterator[_Word]) -> tuple[str, int]:
    """The main verb, and at which depth it stands: a part of a UNION may be in parentheses."""
    for word in words:
        if word.text == "(":
            continue
        verb, level = word.text.upper(), word.depth
        if verb != "WITH":
            return verb, level
        return next((_Word(one.text.upper(), level) for one in words if _is_main_verb(one, level)), ("", 0))
    return "", 0


def _is_main_verb(word: _Word, level: int) -> bool:
    return word.depth == level and word.text.upper() in _MAIN_VERBS


def _reaches(words: Iterator[_Word], keyword: str, level: int) -> bool:
    """Go on to the word after the keyword. IS DISTINCT FROM is an operator."""
    before = ""
    for text, depth in words:
        if depth < level:
            return False
        if depth == level and text != "(":
            word = text.upper()
            if word == keyword and before != "DISTINCT":
                return True
            before = word
    return False


def _table(words: Iterator[_Word], level: int) -> str:
    for text, depth in words:
        if depth < level:
            return ""
        if text == "(":
            level = depth + 1
            continue
        word = text.upper()
        if word in ("SELECT", "WITH"):
            main = word if word == "SELECT" else _main_of(words, level)
            return _table(words, level) if main == "SELECT" and _reaches(words, "FROM", level) else ""
        if word not in _BESIDE_TABLE:
            return text
    return ""


def _main_of(words: Iterator[_Word], level: int) -> str:
    return next((word.text.upper() for word in words if _is_main_verb(word, level)), "")
