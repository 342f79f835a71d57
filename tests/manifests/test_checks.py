"""What is built agrees with itself and with the code."""

import pytest

from manifests.checks import CHECKS, COMPLETE
from manifests.kustomizations import VARIANTS, built
from millstream.errors import ConfigurationError
from millstream.settings import load_settings


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_wrong(name: str, check: str) -> None:
    assert list(CHECKS[check](built(name))) == []


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if variant.complete])
@pytest.mark.parametrize("check", COMPLETE)
def test_nothing_is_wrong_with_what_can_be_applied(name: str, check: str) -> None:
    assert list(COMPLETE[check](built(name))) == []


def test_the_base_alone_has_no_tasks() -> None:
    assert list(COMPLETE["tasks"](built("base"))) == ["the runners have no tasks"]


def test_a_variable_that_kubernetes_sets_for_a_service_would_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MILLSTREAM_API_PORT", "tcp://10.0.0.1:8000")  # of a Service millstream-api
    with pytest.raises(ConfigurationError, match="MILLSTREAM_API_PORT"):
        load_settings()


def test_another_configuration_has_another_name_so_that_a_change_rolls_the_pods() -> None:
    names = [
        {each["metadata"]["name"] for each in built(name) if each["kind"] == "ConfigMap"} - {"redis-scripts"}
        for name in ("base", "dev", "a user's overlay")
    ]
    assert len(set.union(*names)) == sum(len(each) for each in names) == 6
