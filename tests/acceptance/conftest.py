"""One deployment for all tests of a module; every test here starts processes, so all are marked `services`."""

from collections.abc import Iterator

import pytest

from tests.acceptance.world import House, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/acceptance/" in item.path.as_posix():
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with serving(tmp_path_factory.mktemp("house") / "d") as made:
        yield made
