"""Settings every test relies on: one thread, one floating-point path, one random stream.

This file is read before any test module, hence before numpy and torch, which look at the
variables below only when they are first imported.
"""

from __future__ import annotations

import os

# research/determinism.md: with two threads small torch operations are a thousand times
# slower on a busy machine; with MKL free to choose, bits depend on memory alignment.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_CBWR"] = "AVX2,STRICT"

import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

# A shell without job control starts what it puts in the background deaf to SIGINT, and so would be
# every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What these modules assert is shown as in a test module.
for helper in (
    "campaign_fixture",
    "cli_fixture",
    "flow_fixture",
    "problem_file_fixture",
    "report_page",
):
    pytest.register_assert_rewrite(f"tests.{helper}")

# Both profiles say what they do about the database and the stream: left unsaid, Hypothesis
# decides by whether CI is set.  A draw may cost a whole flow, so no profile has a deadline.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow],
)
# pytest --hypothesis-profile=explore looks further, with fresh draws every time.
settings.register_profile(
    "explore",
    settings.get_profile("suite"),
    derandomize=False,
    max_examples=1_000,
    print_blob=True,
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--nightly"):
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="nightly: ten times as many draws"))


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """One thread in torch too, where a collected module has loaded it; never loads it itself."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
