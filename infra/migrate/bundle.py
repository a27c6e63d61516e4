"""A folder of files for products that apply migrations with a tool of their own: `python -m infra.migrate bundle DIR`.

The folder is a history: a file in it is never rewritten. The numbered files keep their names. whatsmeow's tables, each
function and our record are repeatable: each new text becomes a new file, whose version is later than all others.
`bundle.json` holds the version of each present text; `python -m infra.migrate snapshot` writes it.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from infra.migrate import engine_sql, functions, history, release
from infra.migrate.errors import BundleRefused
from infra.migrate.files import MIGRATIONS, Migration, checksum_of, read_migrations, read_text
from infra.migrate.supabase_history import RECORD

VERSIONS = Path(__file__).with_name("bundle.json")
ENGINE = "whatsapp_engine_tables"

_FORMAT = "%Y%m%d%H%M%S"
_FILE_NAME = re.compile(r"(?P<version>[0-9]+)_(?P<name>.+)\.sql")
_RECORD = """\
-- What the files before this one have made, for `python -m infra.migrate up`, `status` and `verify`.
DO $record$
BEGIN
  IF to_regclass('whatsapp_migrations.history') IS NULL THEN{create}  END IF;
END
$record$;

INSERT INTO whatsapp_migrations.history (version, name, checksum) VALUES
{migrations}
ON CONFLICT (version) DO NOTHING;
{functions}
INSERT INTO whatsapp_migrations.release (number) VALUES ('{release}')
ON CONFLICT (single) DO UPDATE SET number = excluded.number, recorded_at = now()
WHERE string_to_array(release.number, '.')::INTEGER[] < string_to_array(excluded.number, '.')::INTEGER[];
"""
_FUNCTIONS = """
INSERT INTO whatsapp_migrations.functions (name, checksum) VALUES
{rows}
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
WHERE functions.checksum <> excluded.checksum;
"""


@dataclass(frozen=True)
class Locked:
    """The version that a text has in every bundle."""

    version: str
    checksum: str


@dataclass(frozen=True)
class Written:
    """The names of the files that were written, and of those that were there already."""

    written: list[str]
    kept: list[str]


def write_bundle(target: Path, directory: Path = MIGRATIONS, versions: Path = VERSIONS) -> Written:
    """Write the files of this release that `target` lacks; change no file in it.

    Raises
    ------
    BundleRefused
        A file in `target` has another text than this release gives it, or another file has a version of ours. Nothing
        was written.
    """
    if target.exists() and not target.is_dir():
        raise BundleRefused(f"{target} is no folder")
    numbered = read_migrations(directory)
    bundle = _Bundle(target, _read_versions(versions), numbered)
    for migration in numbered:
        bundle.add(migration.version, migration.name, migration.text)
    for name, text in _repeatable(directory, numbered, bundle.texts(ENGINE)):
        bundle.add_repeatable(name, text)
    return bundle.write()


def write_versions(path: Path = VERSIONS) -> bool:
    """Give each new text a version that is later than all others; tell whether the file has changed."""
    before, numbered = _read_versions(path), read_migrations(MIGRATIONS)
    versions = dict(before)
    for name, text in _repeatable(MIGRATIONS, numbered, []):
        checksum = checksum_of(text)
        if name not in versions or versions[name].checksum != checksum:
            taken = (*(it.version for it in versions.values()), *(it.version for it in numbered))
            versions[name] = Locked(_after(taken), checksum)
    if versions == before:
        return False
    content = {name: asdict(locked) for name, locked in sorted(versions.items())}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return True


def record_file(numbered: Sequence[Migration], made: Sequence[functions.Function]) -> str:
    """Return the file that makes our record of all that a bundle holds, so that `up` finds nothing to do."""
    return _RECORD.format(
        create=textwrap.indent(textwrap.dedent(history.CREATE), "    "),
        migrations=_rows(*((it.version, it.name, it.checksum) for it in numbered)),
        functions=_FUNCTIONS.format(rows=_rows(*((it.name, it.checksum) for it in made))) if made else "",
        release=release.this_release(),
    )


def _repeatable(
    directory: Path, numbered: Sequence[Migration], engine_files: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each repeatable file, in the order in which they are applied."""
    engine = engine_sql.engine_file(engine_files)
    yield ENGINE, engine if engine is not None else engine_files[-1]
    made = functions.read_functions(directory)
    for function in made:
        yield f"whatsapp_{function.name}", function.text
    yield RECORD, record_file(numbered, made)


class _Bundle:
    """The files of a folder, and the files to be written into it."""

    def __init__(self, target: Path, locked: Mapping[str, Locked], numbered: Sequence[Migration]) -> None:
        self._target = target
        self._locked = locked
        self._there: dict[tuple[str, str], Path] = {}
        for path in sorted(target.glob("*.sql")) if target.is_dir() else ():
            if match := _FILE_NAME.fullmatch(path.name):
                self._there[match["version"], match["name"]] = path
        self._numbered = [migration.version for migration in numbered]
        self._planned: dict[str, str] = {}
        self._kept: list[str] = []

    def texts(self, name: str) -> list[str]:
        """Return the texts of a repeatable file that the folder holds, oldest first."""
        return [read_text(self._there[version, name]) for version in self._versions(name)]

    def add(self, version: str, name: str, text: str) -> None:
        """Plan a file, unless it is there already."""
        label = f"{version}_{name}.sql"
        for taken, other in self._there:
            if taken == version and other != name:
                raise BundleRefused(
                    f"{self._there[taken, other]} has the version of our {label}. If no database has applied it,"
                    " give it another version; else write the bundle into a folder of its own."
                )
        if (version, name) not in self._there:
            self._planned[label] = text
        elif read_text(self._there[version, name]) == text:
            self._kept.append(label)
        else:
            raise self._differs(label)

    def add_repeatable(self, name: str, text: str) -> None:
        """Plan a new file for this text, unless the newest file of this name in the folder has the text."""
        locked, there = self._locked.get(name), self._versions(name)
        locked_file = self._there.get((locked.version, name)) if locked else None
        if locked and locked_file and checksum_of(read_text(locked_file)) != locked.checksum:
            raise self._differs(locked_file.name)
        if there and read_text(self._there[there[-1], name]) == text:
            self._kept.append(f"{there[-1]}_{name}.sql")
            return
        version = locked.version if locked and locked.checksum == checksum_of(text) else ""
        if not version or (there and int(version) <= int(there[-1])):
            planned = (label.partition("_")[0] for label in self._planned)
            lock = (locked.version for locked in self._locked.values())
            there_now = (version for version, _ in self._there)
            version = _after((*self._numbered, *lock, *planned, *there_now), of_folder=True)
        self.add(version, name, text)

    def write(self) -> Written:
        """Write the planned files."""
        self._target.mkdir(parents=True, exist_ok=True)
        for label, text in self._planned.items():
            with (self._target / label).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        return Written(sorted(self._planned), sorted(self._kept))

    def _versions(self, name: str) -> list[str]:
        return sorted((version for version, other in self._there if other == name), key=int)

    def _differs(self, label: str) -> BundleRefused:
        return BundleRefused(
            f"{self._target / label} is there with another text than this release gives it, and a file that a database"
            " has applied must not change. If it was changed by hand, put the change into a file of your own and delete"
            " this one; then write the bundle again."
        )


def _after(versions: Iterable[str], *, of_folder: bool = False) -> str:
    """Return a version behind all of these: the next full minute, where the last one is a time.

    A version that only one folder has is no full minute, so no later release gives it to another text.
    """
    last = max(versions, key=int)
    try:
        time = datetime.strptime(last, _FORMAT)
    except ValueError:
        return str(int(last) + 1)
    if of_folder:
        time += timedelta(seconds=2 if time.second == 59 else 1)
    else:
        time = time.replace(second=0) + timedelta(minutes=1)
    return f"{time:{_FORMAT}}"


def _rows(*rows: tuple[str, ...]) -> str:
    return ",\n".join("  (" + ", ".join("'" + value.replace("'", "''") + "'" for value in row) + ")" for row in rows)


def _read_versions(path: Path) -> dict[str, Locked]:
    if not path.exists():
        return {}
    return {name: Locked(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}
