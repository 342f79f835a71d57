"""Every kustomization is built and is valid for three versions of Kubernetes."""

import functools

import kubernetes_validate  # type: ignore[import-untyped]
import orjson
import pytest
from kubernetes_validate import SchemaNotFoundError, ValidationError

from manifests.custom import API
from manifests.kustomizations import COMPONENTS, K8S, VARIANTS, built
from manifests.objects import of_kind, title

VERSIONS = ("1.32", "1.35", "1.37")


def test_every_folder_is_built() -> None:
    folders = {path.parent.relative_to(K8S) for path in K8S.rglob("kustomization.yaml")}
    seen = {K8S / variant.folder for variant in VARIANTS.values()}
    seen |= {K8S / "components" / name for variant in VARIANTS.values() for name in variant.components}
    assert {K8S / folder for folder in folders} == seen
    assert {path.name for path in (K8S / "components").iterdir()} == set(COMPONENTS)


@functools.cache
def _is_known(text: str, version: str) -> bool:
    """Validate an object, once: most are the same in many builds."""
    try:
        return bool(kubernetes_validate.validate(orjson.loads(text), version, strict=True) == version)
    except SchemaNotFoundError:
        return False


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_built_fits_the_schemas_and_unknown_kinds_are_known_to_us(name: str, version: str) -> None:
    for each in built(name):
        is_known = _is_known(orjson.dumps(each).decode(), version)
        assert is_known != (each["kind"] in API), f"{title(each)} is of an unknown kind"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_misspelt_field_is_not_valid(version: str) -> None:
    (wrong, *_) = of_kind(built("dev"), "Deployment")
    wrong["spec"]["revisionHistoryLimits"] = 5
    with pytest.raises(ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


@pytest.mark.parametrize("name", VARIANTS)
def test_all_is_in_one_namespace_and_labelled(name: str) -> None:
    for each in built(name):
        about = each["metadata"]
        assert each["kind"] == "Namespace" or about["namespace"] == "millstream", title(each)
        assert each["kind"] == "Secret" or about["labels"]["app.kubernetes.io/name"] == "millstream", title(
            each
        )


@pytest.mark.parametrize("name", VARIANTS)
def test_secrets_are_in_no_build_but_that_for_development(name: str) -> None:
    secrets = [each["metadata"]["name"] for each in of_kind(built(name), "Secret")]
    assert secrets == (["millstream-redis"] if name == "dev" else [])
