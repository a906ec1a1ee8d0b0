"""How the whole suite runs: Hypothesis profiles, samples or full counts, and the order of the tests."""

import os
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "sample",
    derandomize=True,  # the same examples on every machine: a failure can be seen again
    database=None,
    deadline=None,  # the machine is shared; time is measured by benchmarks
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", deadline=timedelta(seconds=10), max_examples=2_000)

# Cheap failures first: what starts processes runs after what does not.
_LATER = {"foreign": 1, "services": 2, "soak": 3}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long tests with their full counts")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if _is_soak(config) else "sample")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _is_soak(config):
        # A soak test that takes `full_count` runs as a sample; one that cannot be sampled is left out.
        left_out = [item for item in items if item.get_closest_marker("soak") and not _can_be_sampled(item)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: max((_LATER.get(mark.name, 0) for mark in item.iter_markers()), default=0))


@pytest.fixture(scope="session")
def full_count(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Choose between a sample's count and the full one: `full_count(10, 100)` is 100 in `make soak`."""
    soak = _is_soak(pytestconfig)
    return lambda sample, full: full if soak else sample


def _is_soak(config: pytest.Config) -> bool:
    return bool(config.getoption("--soak")) or os.environ.get("SEALWRIGHT_SOAK", "") not in {"", "0"}


def _can_be_sampled(item: pytest.Item) -> bool:
    names: Iterable[str] = getattr(item, "fixturenames", ())
    return "full_count" in names
