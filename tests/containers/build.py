"""Building images as the documents say, behind whatever package index this machine has."""

import os
import shlex
import sys

from containers.engine import LABEL, ROOT, docker, succeed

BASE = os.environ.get("MILLSTREAM_TEST_BASE", "millstream-base:latest")
# The stand-in base bears this machine's certificates here.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Said to the build as a host to trust, and to be found nowhere in what it makes.
NOWHERE = "index-that-nobody-may-see.invalid"
PASSED_ON = {"index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout"}


def pip_settings() -> dict[str, str]:
    """What pip is told on this machine of where packages are, under the names that a build takes."""
    told: dict[str, str] = {}
    for line in succeed(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in PASSED_ON:
            told["PIP_" + option.upper().replace("-", "_")] = " ".join(shlex.split(value.replace("\\n", " ")))
    trusted = f"{told.get('PIP_TRUSTED_HOST', '')} {NOWHERE}".strip()
    return told | {"PIP_CERT": CERTIFICATES, "PIP_TRUSTED_HOST": trusted}


def make_image(name: str) -> str:
    """`make image`; gives the image's name with its tag."""
    arguments = ["--network", "host", "--force-rm", "--label", LABEL]
    for setting, value in pip_settings().items():
        arguments += ["--build-arg", f"{setting}={value}"]
    told = shlex.join(arguments).replace("$", "$$")  # make reads it first
    # make's own settings would have the build obey the options of the make that runs the tests.
    env = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    command = ["make", "image", f"IMAGE={name}", f"BASE={BASE}", f"BUILD_ARGS={told}"]
    succeed(*command, seconds=900, cwd=ROOT, env=env)
    return f"{name}:latest"


def example_image(name: str, millstream: str) -> str:
    """Build the image of examples/image."""
    given = ["--build-arg", f"MILLSTREAM={millstream}", "--force-rm", "--label", LABEL, "--tag", name]
    docker("build", *given, ROOT / "examples" / "image", seconds=300)
    return f"{name}:latest"


def remove(name: str) -> None:
    """Remove an image under all its tags."""
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", name).split()
    if tags:
        docker("rmi", "--force", *tags)
