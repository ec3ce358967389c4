"""Example problems: the rule is the one printed, files are reproducible, bad cases are one line."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from checks import cli, examples
from checks.given import Unavailable
from checks.problem_files import read_problem, select_model
from checks.problems import AttentionProblem, BadInput, constraints_of
from checks.separability import separability

REAL = [name for name in examples.NAMES if name != "random"]


@pytest.fixture
def no_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without scikit-learn."""
    for name in ("sklearn", "sklearn.datasets", "sklearn.linear_model"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(examples, "example", examples.example.__wrapped__)


# --- the problems ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", examples.NAMES)
def test_an_example_meets_the_assumptions_on_the_data(name: str) -> None:
    problem = examples.example(name).problem
    assert problem.optimal_lead > 0
    assert separability(constraints_of(problem), full=False).answer == "separable"
    assert set(problem.labels) == {-1.0, 1.0}, "both classes"
    assert problem.samples <= examples.MOST_SAMPLES
    assert problem.dim <= 64
    assert len(constraints_of(problem)) <= 200


@pytest.mark.parametrize("name", examples.NAMES)
def test_scores_are_exact(name: str) -> None:
    problem = examples.example(name).problem
    for tokens, label, scores in zip(problem.tokens, problem.labels, problem.scores, strict=True):
        for token, score in zip(tokens.tolist(), scores.tolist(), strict=True):
            products = zip(token, problem.head.tolist(), strict=True)
            exact = sum(Fraction(x) * Fraction(v) for x, v in products)
            assert Fraction(score) == int(label) * exact


@pytest.mark.parametrize("name", ["iris", "wine", "breast-cancer"])
def test_tokens_are_records_that_did_not_fit_the_head(name: str) -> None:
    """A second route from the raw table: which records, of which class, in which place."""
    from sklearn import datasets

    table = examples._TABLES[name]
    data, target = getattr(datasets, table.loader)(return_X_y=True)
    kept = [i for i in range(len(data)) if target[i] in (*table.plus, *table.minus)]
    fits, rest = kept[::2], kept[1::2]
    mean, deviation = np.mean(data[fits], axis=0), np.std(data[fits], axis=0)
    plus = [i for i in rest if target[i] in table.plus]
    minus = [i for i in rest if target[i] in table.minus]
    turn = [i for pair in zip(plus, minus, strict=False) for i in pair]
    problem = examples.example(name).problem
    for sample in range(problem.samples):
        query, *tokens = turn[5 * sample : 5 * sample + 5]
        assert problem.labels[sample] == (1.0 if target[query] in table.plus else -1.0)
        assert sorted(target[i] in table.plus for i in tokens) == [False, False, True, True]
        vectors = np.vstack([problem.queries[sample], problem.tokens[sample]])
        wanted = (data[[query, *tokens]] - mean) / deviation
        # Half a unit of the grid, and the rounding of the two routes.
        assert np.abs(vectors - wanted).max() <= 0.5 / examples.GRID + 1e-12


def test_digits_are_rows_of_images_with_the_mean_row_as_query() -> None:
    problem = examples.example("digits").problem
    assert problem.tokens.shape[1:] == (8, 8)
    means = problem.tokens.mean(axis=1)
    assert np.abs(problem.queries - means).max() <= 0.5 / examples.GRID
    # The corner pixel is blank in nearly every row: real images, in their own orientation.
    assert (problem.tokens[:, :, 0] == problem.tokens[0, 0, 0]).mean() > 0.5


@pytest.mark.parametrize("name", REAL)
def test_the_head_tells_the_classes_apart(name: str) -> None:
    """Better than chance on the queries, which did not fit it (a flipped sign would not be)."""
    problem = examples.example(name).problem
    if name == "digits":  # two samples: their scores, instead of their count
        assert (problem.labels * (problem.queries @ problem.head)).sum() > 0
    else:
        assert (problem.labels * (problem.queries @ problem.head) > 0).mean() >= 0.8


def test_an_unknown_example_is_named() -> None:
    with pytest.raises(ValueError, match="no example is called 'mnist'; there are iris, digits"):
        examples.example("mnist")


# --- how many samples --------------------------------------------------------------------------


def candidates(tokens: list[list[list[float]]], head: list[float]) -> AttentionProblem:
    n, d = len(tokens), len(head)
    return AttentionProblem.of(np.array(tokens), np.ones((n, d)), np.ones(n), np.array(head))


RIGHT, TIED = [[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, -1.0]]


def test_the_run_ends_at_the_first_failure() -> None:
    problem, why = examples.largest_separable(candidates([RIGHT, RIGHT, TIED, RIGHT], [1.0, 0.0]))
    assert (problem.samples, why) == (2, "with 3 a sample's optimal token is not unique")
    plain = candidates([RIGHT, RIGHT, RIGHT], [1.0, 0.0])
    problem, why = examples.largest_separable(plain)
    assert (problem.samples, why) == (3, "all 3 candidates are")
    # The same constraint row with either sign: no weights serve both.
    queries = plain.queries * np.array([[1.0], [1.0], [-1.0]])
    flipped = AttentionProblem.of(plain.tokens, queries, plain.labels, plain.head)
    problem, why = examples.largest_separable(flipped)
    assert (problem.samples, why) == (2, "3 are non-separable")


def test_data_of_which_nothing_can_be_used() -> None:
    with pytest.raises(BadInput, match="no sample can be used: with 1 a sample's optimal token"):
        examples.largest_separable(candidates([TIED], [1.0, 0.0]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 7))
def test_no_longer_run_would_do(seed: int, dim: int, count: int) -> None:
    """Prefix found is separable; one more sample breaks it, as an exact reference also says."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, (count, 2, dim)).astype(np.float64)
    x[:, 0, 0] = x[:, 1, 0] + 1  # the head reads coordinate 0: never tied
    z = rng.integers(-3, 4, (count, dim)).astype(np.float64)
    z[z == 0] = 1.0  # so that a single sample can always be separated
    head = np.eye(dim)[0]
    every = AttentionProblem.of(x, z, np.ones(count), head)
    problem, why = examples.largest_separable(every)
    rows = (x[:, 0] - x[:, 1]) * z
    assert _separates(rows[: problem.samples])
    if problem.samples < count:
        assert why == f"{problem.samples + 1} are non-separable"
        assert not _separates(rows[: problem.samples + 1])
    else:
        assert why == f"all {count} candidates are"


def _separates(rows: np.ndarray) -> bool:
    """An independent route: a linear programme with integer data (margins >= 1, or none)."""
    from scipy.optimize import linprog

    free = [(None, None)] * rows.shape[1]
    done = linprog(np.zeros(rows.shape[1]), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=free)
    assert done.status in (0, 2), "solved, or infeasible"
    return done.status == 0


# --- the command -------------------------------------------------------------------------------


def invoke(*arguments: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of the command in this process."""
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("name", examples.NAMES)
def test_the_file_reads_back_and_the_rule_is_printed(name: str, tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    status, out, err = invoke("example", name, str(file))
    assert (status, err) == (0, "")
    held = read_problem(file)
    problem = examples.example(name).problem
    assert held.problem.id == problem.id, "bit for bit"
    assert held.start is None
    assert held.ignored == ()
    assert select_model(held) == "diagonal"
    assert f"{name}: {problem.samples} samples, {problem.length} tokens" in out
    for line in examples.example(name).rule:
        assert line in out
    for key in ("optimal-unique: met", "separable: met", "realisable: met", "equal-scores: UNMET",
                "infimum-reached: of the trajectory", "UNMET entry by entry"):  # fmt: skip
        assert key in out


def test_the_same_file_from_a_fresh_process(tmp_path: Path) -> None:
    script = "import sys, checks.cli; sys.argv = ['marginflow', *sys.argv[1:]]; checks.cli.main()"
    paths = [tmp_path / "one.npz", tmp_path / "two.npz"]
    texts = []
    for path in paths:
        command = [sys.executable, "-c", script, "example", "wine", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        texts.append(done.stdout.replace(str(path), "FILE"))
    assert texts[0] == texts[1]
    assert read_problem(paths[0]).problem.id == read_problem(paths[1]).problem.id
    assert read_problem(paths[0]).problem.id == examples.example("wine").problem.id


@pytest.mark.usefixtures("no_sklearn")
@pytest.mark.parametrize("name", REAL)
def test_without_scikit_learn_one_line_says_what_to_install(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        examples.example(name)
    file = tmp_path / "p.npz"
    status, out, err = invoke("example", name, str(file))
    assert (status, out) == (2, "")
    assert err.splitlines() == [f"marginflow: {examples.MISSING}"]
    assert "pip install 'marginflow[examples]'" in err
    assert not file.exists()


@pytest.mark.usefixtures("no_sklearn")
def test_random_needs_no_scikit_learn(tmp_path: Path) -> None:
    assert invoke("example", "random", str(tmp_path / "p.npz"))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mnist", "p.npz"), "'mnist' is not one of"),
        (("random",), "Missing argument 'FILE'"),
        (("random", "nowhere/p.npz"), "cannot be written"),
        (("random", "."), "not a regular file"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = invoke("example", *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_the_choices_are_the_names() -> None:
    (name, _) = cli.example.params
    assert tuple(name.type.choices) == examples.NAMES


# --- what is printed of the assumptions --------------------------------------------------------


def fates(problem: AttentionProblem) -> dict[str, str]:
    return dict(examples._fates(problem))


def test_what_is_unmet_is_called_unmet() -> None:
    plain = candidates([RIGHT, RIGHT], [1.0, 0.0])
    assert fates(plain)["equal-scores"] == "met", "with two tokens there is one other"
    assert fates(plain)["aligned"].endswith("possible entry by entry"), "all parallel"
    assert fates(candidates([TIED], [1.0, 0.0]))["optimal-unique"].startswith("UNMET")
    wrong = AttentionProblem.of(
        plain.tokens, plain.queries, plain.labels, plain.head, plain.scores + 1
    )
    assert fates(wrong)["realisable"].startswith("UNMET")
    askew = candidates([RIGHT, [[1.0, 0.5], [0.0, 0.0]]], [1.0, 0.0])
    assert "UNMET entry by entry" in fates(askew)["aligned"]
    three = candidates([[[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]], [1.0, 0.0])
    assert "UNMET (scores of non-optimal tokens differ by up to 1)" in fates(three)["equal-scores"]
