"""The files that people look for: license, changelog, policies, release workflow, image."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from harvester.version import VERSION
from tests.docs.manual import DOCS, IN_GITHUB, ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RELEASE = ROOT / "config" / "release.yml"
DOCKERFILE = ROOT / "config" / "Dockerfile"
CONTRIBUTING, SECURITY = IN_GITHUB

_ENTRY = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
_KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# --- changelog


def test_the_newest_entry_of_the_changelog_is_the_version() -> None:
    """Nothing is released that the changelog does not tell of."""
    newest = _ENTRY.findall((ROOT / "CHANGELOG.md").read_text())[0][0]
    assert newest == VERSION


def test_the_changelog_is_in_its_format() -> None:
    """As keepachangelog.com has it: versions and dates descend, the kinds of changes are known."""
    text = (ROOT / "CHANGELOG.md").read_text()
    entries = _ENTRY.findall(text)
    assert len(entries) == text.count("\n## ")
    assert entries == sorted(entries, key=lambda one: [*map(int, one[0].split("."))], reverse=True)
    assert [date for _, date in entries] == sorted((date for _, date in entries), reverse=True)
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= _KINDS


# --- license and package


def test_the_license_is_mit() -> None:
    """In the file and in the metadata."""
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License")
    assert "The harvester authors" in text
    assert PROJECT["license"] == "MIT"
    assert PROJECT["license-files"] == ["LICENSE"]


def test_a_release_has_the_license_and_the_manual(tmp_path: Path) -> None:
    """Also the wheel that is built from the source archive, as `python -m build` does."""
    source = _built(ROOT, "sdist", tmp_path)
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / source.name.removesuffix(".tar.gz")
    assert (unpacked / "LICENSE").is_file()
    for tree in ROOT, unpacked:
        with zipfile.ZipFile(_built(tree, "wheel", tmp_path)) as wheel:
            names = wheel.namelist()
        assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
        manual = {Path(name).name for name in names if name.startswith("harvester/manual/")}
        assert manual == {page.name for page in DOCS.glob("*.md")}, tree


def _built(tree: Path, kind: str, place: Path) -> Path:
    """A source archive or wheel of the source in `tree`, made in `place`."""
    pytest.importorskip("hatchling")
    code = f"from hatchling import build; import sys; print(build.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(place)]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    return place / done.stdout.strip()


def test_every_extra_is_in_the_manual() -> None:
    """A reader of the installation page knows what there is to install."""
    text = (DOCS / "install.md").read_text()
    for extra in PROJECT["optional-dependencies"]:
        assert f"| `{extra}` |" in text


def test_the_supported_versions_are_those_of_the_classifiers() -> None:
    """From the oldest that is required on."""
    minors = [int(one) for one in re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"


# --- contributing


def test_the_path_of_an_account_id_is_one_of_files_that_exist() -> None:
    """Each file of the table exists, and none is passed through twice."""
    text = CONTRIBUTING.read_text()
    path = re.findall(r"^\| \d+ \| `(harvester/[\w/]+\.py)`", text, re.MULTILINE)
    assert 15 <= len(path) <= 25
    assert len(set(path)) == len(path)
    for name in path:
        assert (ROOT / name).is_file(), name


def test_the_targets_that_contributors_are_told_of_exist() -> None:
    """Each `make` target of the manual is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*IN_GITHUB, *DOCS.glob("*.md")]
    named = {
        name for page in pages for name in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= targets


def test_the_security_policy_has_its_three_parts() -> None:
    """Reporting, what the program never does, and what is stable."""
    headings = re.findall(r"^## (.*)$", SECURITY.read_text(), re.MULTILINE)
    assert headings == ["Reporting a vulnerability", "What the program never does", "Compatibility"]


# --- release workflow


def test_the_release_workflow_fits_githubs_schema() -> None:
    """By the schema that check-jsonschema carries."""
    _run("check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(RELEASE))


def test_an_auditor_finds_nothing_in_the_release_workflow(tmp_path: Path) -> None:
    """zizmor, which looks for what attackers look for."""
    program = Path(sys.executable).parent / "zizmor"
    if not program.exists():
        pytest.skip("zizmor is not installed")
    place = tmp_path / ".github" / "workflows"
    place.mkdir(parents=True)
    (place / "release.yml").write_text(RELEASE.read_text())
    command = [
        str(program),
        "--offline",
        "--no-progress",
        "--format=json",
        "--persona=auditor",
        str(tmp_path),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(found.stdout) == [], found.stdout


def test_the_release_workflow_grants_as_little_as_it_can() -> None:
    """No permission by default, every action pinned with its version named, nothing stored, one publisher."""
    text = RELEASE.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    granted = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert granted == {
        "build": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "publish": {"id-token": "write"},
    }
    pins = re.findall(r"uses: (.*)", text)
    assert pins
    for pin in pins:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), pin
    assert "secrets." not in text


def test_the_inspection_of_a_release_accepts_what_is_built_and_nothing_else(tmp_path: Path) -> None:
    """The step's own script, on a wheel of this source; a foreign file in the wheel ends it."""
    script = next(
        step["run"]
        for step in yaml.safe_load(RELEASE.read_text())["jobs"]["build"]["steps"]
        if step.get("name") == "Inspect"
    )
    # What needs the network is left to the workflow: twine, and installing the dependencies.
    offline = "\n".join(
        line for line in script.splitlines() if not re.match(r"pipx|python -m venv|inspect|test \"\$\(", line)
    )
    (tmp_path / "dist").mkdir()
    for kind in "sdist", "wheel":
        _built(ROOT, kind, tmp_path / "dist")
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": f"v{VERSION}"}

    def inspected(**changed: str) -> int:
        command = ["bash", "-e", "-c", offline]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | changed, capture_output=True, check=False
        )
        return done.returncode

    assert inspected() == 0
    assert inspected(GITHUB_REF_NAME="v9.9.9") != 0
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tests/__init__.py", "")
    assert inspected() != 0


# --- Dockerfile: hadolint's rules, by hand


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_the_image_is_small_and_not_root() -> None:
    """A slim base with a version, a fixed UID that is not root, a volume, the program as entry point."""
    found = _instructions()
    bases = [value for name, value in found if name == "FROM"]
    assert len(bases) == 2
    assert all(re.match(r"python:3\.\d+-slim-\w+", base) for base in bases)
    last = dict(found)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"])
    assert last["VOLUME"] == last["WORKDIR"] == "/harvest"
    assert json.loads(last["ENTRYPOINT"]) == ["harvester"]
    names = [name for name, _ in found]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name == "RUN")


def test_the_dockerfile_follows_hadolints_rules() -> None:
    """Those that apply: DL3000, 3003, 3004, 3006, 3007, 3020, 3025, 3042, 4000, 4003, 4004, 4006."""
    found = _instructions()
    names = [name for name, _ in found]
    assert {"ADD", "MAINTAINER", "SHELL"}.isdisjoint(names)
    for name, value in found:
        if name == "FROM":
            assert ":" in value
            assert ":latest" not in value
        if name == "WORKDIR":
            assert value.startswith("/")
        if name in {"ENTRYPOINT", "CMD"}:
            assert isinstance(json.loads(value), list)
        if name == "RUN":
            assert not re.search(r"\b(cd|sudo|curl|wget)\b|\|", value)
            if "pip install" in value:
                assert "--no-cache-dir" in value
    assert names.count("CMD") == names.count("ENTRYPOINT") == 1


def test_what_the_image_is_built_from_exists() -> None:
    """Everything that is copied is in the clone, and not left out by .dockerignore."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, value in _instructions():
        if name == "COPY" and "--from" not in value:
            for source in value.split()[:-1]:
                assert (ROOT / source).exists()
                assert source in kept


def _run(module: str, *arguments: str) -> None:
    pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
