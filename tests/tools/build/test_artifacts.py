"""The artifacts for both processors run on Lambda, are small, and have nothing that only we need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.build.dependencies import GO_LICENCES, go_modules, shipped
from infra.build.interpreter import find
from infra.build.table import LIMIT_MEGABYTES, megabytes
from infra.build.wheels import GLIBC
from infra.template.intrinsics import load_yaml
from infra.template.reading import read_template
from tests.support.nested import ALARMS
from tests.support.stack import ROOT
from tests.tools.build import elf

pytestmark = pytest.mark.slow

AIMS = {"SharedLayer": 45, "EngineLayer": 55}

# The libraries in Lambda's image: glibc, the loader, and those of the compiler and zlib.
IN_THE_IMAGE = re.compile(r"(lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|z)|ld-linux-[\w-]+)\.so\.\d+")

ABI_TAG = re.compile(r"\.(cpython-\d+|abi3)[.-]")


def test_every_shared_library_is_for_lambda(artifacts: tuple[Path, str]) -> None:
    build, architecture = artifacts
    libraries = {path: elf.read(path) for path in build.rglob("*") if path.is_file() and elf.is_elf(path)}
    assert len(libraries) > 40
    assert {library.machine for library in libraries.values()} == {architecture}
    assert {path.name: it.glibc for path, it in libraries.items() if it.glibc > GLIBC} == {}
    # neonize needs this glibc. If it needs an older one, older images work too.
    assert max(library.glibc for library in libraries.values()) == GLIBC
    tags = {match[1] for path in libraries if (match := ABI_TAG.search(path.name))}
    assert tags == {"cpython-313", "abi3"}


def test_no_library_needs_a_trimmed_library(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    libraries = [path for path in build.rglob("*") if path.is_file() and elf.is_elf(path)]
    for layer in AIMS:
        own = [path for path in libraries if path.is_relative_to(build / layer)]
        known = {path.name for path in own}
        missing = {need for path in own for need in elf.read(path).needs if need not in known}
        assert {need for need in missing if not IN_THE_IMAGE.fullmatch(need)} == set()


def test_only_product_files_of_ours_are_shipped(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    names = {path.name for path in build.rglob("*")}
    assert not names & {"boto3", "botocore", "moto", "awslambdaric", "infra", "tests", "migrations"}
    assert not [path for path in build.rglob("*") if "sandbox" in path.name and "whatsapp" in str(path).lower()]
    for part in ("infra/sandbox", "infra/local", "infra/migrate", "infra/build"):
        ours = {path.read_bytes() for path in (ROOT / part).rglob("*.py") if path.stat().st_size}
        shipped = {path.read_bytes() for path in build.rglob("*.py") if path.stat().st_size}
        assert not ours & shipped, part
    for path in build.rglob("*"):
        if path.is_file():
            assert b"whatsapp_sandbox" not in path.read_bytes(), path


def test_the_shared_layer_ships_supabases_roots(artifacts: tuple[Path, str]) -> None:
    file = "whatsapp_pairing/runtime/supabase_roots.pem"
    shipped = artifacts[0] / "SharedLayer" / "python" / file
    assert shipped.read_bytes() == (ROOT / "layers" / "shared" / file).read_bytes()


def test_no_path_of_the_building_machine_is_shipped(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    for path in build.rglob("*.pyc"):
        assert str(build).encode() not in path.read_bytes(), path


def test_the_artifacts_can_be_deployed_for_their_processor_only(artifacts: tuple[Path, str]) -> None:
    build, architecture = artifacts
    parameter = load_yaml((build / "template.yaml").read_text())["Parameters"]["Architecture"]
    assert (parameter["Default"], parameter["AllowedValues"]) == (architecture, [architecture])


def test_a_build_has_every_function_and_the_nested_template(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    supplied = {"SupabaseUrl": "https://abcd.supabase.co", "AllowedOrigins": "https://app.example.com"}
    functions = read_template(build / "template.yaml", {}, supplied).functions
    assert set(functions) == set(read_template(ROOT / "template.yaml", {}, supplied).functions)
    assert {function.code for function in functions.values()} == set(build.glob("*Function"))
    nested = load_yaml((build / "template.yaml").read_text())["Resources"]["Alarms"]["Properties"]["TemplateURL"]
    written = (build / nested).read_text()
    assert load_yaml(written)["Resources"].keys() == load_yaml(ALARMS.read_text())["Resources"].keys()
    assert not re.search(r"[&*]\w", written), "CloudFormation takes no YAML aliases"


def test_a_function_ships_its_folder_only(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    for folder in build.glob("*Function"):
        snake = re.sub(r"(?<=.)(?=[A-Z])", "_", folder.name.removesuffix("Function")).lower()
        source = ROOT / "functions" / snake
        shipped = {path.relative_to(folder) for path in folder.rglob("*") if path.suffix != ".pyc"}
        assert {path for path in shipped if "__pycache__" not in path.parts} == {
            path.relative_to(source) for path in source.rglob("*") if "__pycache__" not in path.parts
        }


def test_each_artifact_is_below_its_size_limit(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    sizes = {layer: megabytes(build / layer) for layer in AIMS}
    assert {layer: size for layer, size in sizes.items() if size > AIMS[layer]} == {}
    largest = max(megabytes(folder) for folder in build.glob("*Function"))
    assert sum(sizes.values()) + largest < LIMIT_MEGABYTES


def test_each_layer_ships_its_licences(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    for layer in AIMS:
        for package in (build / layer / "python").glob("*.dist-info"):
            assert (package / "METADATA").is_file()


def test_everything_that_is_shipped_has_a_licence_and_a_weight(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    packages = shipped(build)
    assert all(one.licence and one.reason != "for " for one in packages)
    for layer, ours in (("shared", "whatsapp_pairing"), ("engine", "whatsapp_engine")):
        content = build / f"{layer.title()}Layer" / "python"
        counted = sum(one.megabytes for one in packages if one.layer == layer) + megabytes(content / ours)
        assert counted == pytest.approx(megabytes(content), abs=0.01)


def test_the_licence_of_every_go_module_is_known(artifacts: tuple[Path, str]) -> None:
    modules = [name for name, _ in go_modules(artifacts[0])]
    assert "go.mau.fi/whatsmeow" in modules
    assert set(modules) == set(GO_LICENCES)


@pytest.mark.skipif(find() is None, reason="no python3.13 on this machine to compile with (TARGET_PYTHON may name one)")
def test_every_module_is_compiled_without_a_source_check(artifacts: tuple[Path, str]) -> None:
    build, _ = artifacts
    for source in build.rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        # PEP 552: bit 0 says that the file has a hash, and bit 1 that Python checks it.
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00", source
