"""Lists what is in the portable tree, as a CycloneDX document: sbom.py TREE VERSION ARCHITECTURE.

It has the Python packages with their versions and licenses, and the Debian packages that the interpreter and the
libraries come from. It has no date and no random number, so the same tree gives the same bytes.
"""  # noqa: INP001 - a script, not a package

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def main(tree: Path, version: str, architecture: str) -> None:
    agent = _component("application", "registry-agent", version, f"pkg:generic/registry-agent@{version}")
    agent["licenses"] = [{"license": {"id": "Apache-2.0"}}]
    components = sorted([*_python(tree), *_debian(tree, architecture)], key=lambda each: str(each["purl"]))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": agent},
        "components": components,
        "dependencies": [{"ref": agent["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]}],
    }
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


def _python(tree: Path) -> Iterator[Component]:
    for file in tree.glob("lib/python3*/*-packages/*.dist-info/METADATA"):
        said = HeaderParser().parsestr(file.read_text())
        name = said["Name"].lower().replace("_", "-")
        found = _component("library", name, said["Version"], f"pkg:pypi/{name}@{said['Version']}")
        if license_name := _license(said):
            found["licenses"] = [{"license": {"name": license_name}}]
        yield found


def _license(said: Message) -> str | None:
    """Return the license. The newer field is an expression. The older one may have the whole text."""
    lines = str(said["License-Expression"] or said["License"] or "").splitlines()
    classifiers = [line for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    named = classifiers[0].rpartition(" :: ")[2] if classifiers else None
    return lines[0] if len(lines) == 1 else named


def _debian(tree: Path, architecture: str) -> Iterator[Component]:
    distribution = platform.freedesktop_os_release()["ID"]
    show = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n"]
    names = sorted(path.name for path in tree.glob("share/doc/*"))
    for line in subprocess.run([*show, *names], capture_output=True, text=True, check=True).stdout.splitlines():
        name, version = line.split()
        purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        yield _component("library", name, version, purl)


def _component(kind: str, name: str, version: str, purl: str) -> Component:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
