"""The campaign's store: one writer, whole parts or none, damage named, a full disk survived."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from checks.cli import main
from checks.parts import Measured, Part, Unit
from checks.store import NAME, Store, StoreDamaged, StoreFailed

UNIT = Unit("symbolic.kkt-l1", "quick", 0, "out")
PARTS = [Part(UNIT, "campaign", "diagonal", (3, 3, 4), first) for first in range(40)]


def measured(index: int) -> Measured:
    noise = random.Random(index).randbytes(600).hex()  # zlib finds little to squeeze
    return Measured(f'{{"part": {index}, "noise": "{noise}"}}', index / 7)


def filled(folder: Path) -> list[str]:
    """A closed store with every part, and the keys."""
    keys = [part.key({"source": "x"}) for part in PARTS]
    store = Store(folder, fresh=True)
    for index, (key, part) in enumerate(zip(keys, PARTS, strict=True)):
        store.put(key, part, measured(index), "x")
    store.close()
    return keys


def test_what_is_put_is_got_bit_for_bit(tmp_path: Path) -> None:
    keys = filled(tmp_path)
    assert len(set(keys)) == len(PARTS)
    store = Store(tmp_path, fresh=False)
    assert store.held() == set(keys)
    assert [store.get(key) for key in keys] == [measured(i) for i in range(len(keys))]
    with pytest.raises(KeyError):
        store.get("another")
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [NAME], "one file, to be copied"


def test_the_first_result_of_a_part_stays(tmp_path: Path) -> None:
    keys = filled(tmp_path)
    store = Store(tmp_path, fresh=False)
    store.put(keys[0], PARTS[0], measured(99), "x")
    assert store.get(keys[0]) == measured(0)
    store.put("failed", PARTS[0], Measured(None, 1.0, "error", "why"), "x")
    assert "failed" not in store.held(), "a failure is no result"
    store.close()


@pytest.mark.parametrize(
    "changed",
    [
        replace(PARTS[0], unit=replace(UNIT, seed=1)),
        replace(PARTS[0], unit=replace(UNIT, profile="full")),
        replace(PARTS[0], unit=replace(UNIT, device="cuda")),
        replace(PARTS[0], unit=replace(UNIT, claim="symbolic.kkt-l2")),
        replace(PARTS[0], shape=(3, 3, 5)),
        replace(PARTS[0], first=1),
        replace(PARTS[0], count=2),
        replace(PARTS[0], of="combined"),
        replace(PARTS[0], kind="search"),
    ],
)
def test_a_key_names_all_that_a_result_depends_on(changed: Part) -> None:
    code = {"source": "x", "numpy": "1"}
    assert changed.key(code) != PARTS[0].key(code)
    assert PARTS[0].key({**code, "numpy": "2"}) != PARTS[0].key(code)
    elsewhere = replace(PARTS[0], unit=replace(UNIT, directory="elsewhere"))
    assert elsewhere.key(code) == PARTS[0].key(code), "a run may be moved"


def test_one_process_writes(tmp_path: Path) -> None:
    store = Store(tmp_path, fresh=True)
    with pytest.raises(StoreFailed, match="in use by another marginflow"):
        Store(tmp_path, fresh=False)
    store.close()
    Store(tmp_path, fresh=False).close()


def readable(folder: Path) -> dict[str, Measured]:
    """All that a store gives; raises StoreDamaged."""
    store = Store(folder, fresh=False)
    try:
        return {key: store.get(key) for key in store.held()}
    finally:
        store.close()


def damage(folder: Path) -> str:
    """What is said of a damaged store; empty where it reads."""
    try:
        readable(folder)
    except StoreDamaged as error:
        return str(error)
    return ""


def test_a_flipped_byte_is_found_or_changes_nothing(tmp_path: Path) -> None:
    """At 60 places drawn by seed: never is another number read, nor a part lost in silence."""
    filled(tmp_path)
    path = tmp_path / NAME
    sound, whole = readable(tmp_path), path.read_bytes()
    draw = random.Random(8)
    found = 0
    for _ in range(60):
        place = draw.randrange(len(whole))
        flipped = whole[place] ^ draw.randrange(1, 256)
        path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        said = damage(tmp_path)
        found += bool(said)
        if said:
            assert str(path) in said
            assert len(said.splitlines()) == 1
        else:
            assert readable(tmp_path) == sound
    assert found >= 30, "most of the file is results"


@pytest.mark.parametrize("cut", [1, 100, 5_000, 20_000])
def test_a_store_cut_short_is_damaged_or_lacks_nothing(tmp_path: Path, cut: int) -> None:
    filled(tmp_path)
    path = tmp_path / NAME
    sound = readable(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    # The last bytes of the last page may be empty, and were empty before.
    assert "is damaged" in damage(tmp_path) or readable(tmp_path) == sound


def test_a_foreign_file_is_not_taken_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("this is a letter, and not a short one " * 40)
    with pytest.raises(StoreDamaged, match="is damaged"):
        readable(tmp_path)
    assert path.read_text().startswith("this is a letter")
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("create table mine (x)")
    other.close()
    with pytest.raises(StoreDamaged, match="not a campaign's"):
        readable(tmp_path)


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with sqlite3.connect(tmp_path / NAME) as db:
        db.execute("pragma user_version = 2")
    db.close()
    with pytest.raises(StoreDamaged, match="schema 2, not 1"):
        readable(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreFailed, match="cannot"):
            Store(tmp_path, fresh=True)
    finally:
        tmp_path.chmod(0o700)


# --- through the command line -------------------------------------------------------------------

_STORED = ("symbolic.softmax-jacobian", "symbolic.kkt-l1", "symbolic.kkt-l2")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three claims."""
    out = tmp_path_factory.mktemp("stored")
    done = CliRunner().invoke(main, ["verify", *_STORED, "--workers", "1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


def _halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _one_bit(path: Path) -> None:
    """In the last stored result, where only its digest can tell."""
    whole = bytearray(path.read_bytes())
    place = whole.rindex(b"symbolic.kkt-l2")
    whole[place] ^= 0x01
    path.write_bytes(bytes(whole))


def _letter(path: Path) -> None:
    path.write_text("this is a letter, and not a short one " * 40)


def _another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("create table mine (x)")
    other.close()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_halved, _one_bit, _letter, _another_database, _folder])
def test_resume_on_a_damaged_store_is_one_line_and_touches_nothing(
    damage: Callable[[Path], None], stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(stored, out)
    damage(out / NAME)
    before = _contents(out)
    arguments = ["verify", *_STORED, "--workers", "1", "--out", str(out)]
    done = CliRunner().invoke(main, [*arguments, "--resume"])
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("marginflow: ")
    assert str(out / NAME) in line
    assert _contents(out) == before
    if damage is not _folder:
        assert "is damaged" in line
        assert "without --resume" in line
        # And that advice is good.
        assert CliRunner().invoke(main, arguments).exit_code == 0


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
