#!/usr/bin/env python3
"""What the program is linked from: crates.py FOLDER, or crates.py --expression

Writes three files into FOLDER. `copyright` is what Debian wants to know. `third-party.txt` has, for each crate in the binary, its
licence and the texts that it came with, each different text once. `sbom.cdx.json` is the bill of materials, in CycloneDX 1.6.
With --expression the licences of all crates are printed instead, as one SPDX expression. The list is cargo's own: of the agent's
normal dependencies, without macros that only run while it is built.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AGENT = "scaidrive-siem"
# Files in which crates keep licences and notices, at their top or beside C sources that they bring along.
TEXT = re.compile(r"(un)?licen[sc]e|copying|copyright|notice", re.IGNORECASE)
STANDARD_LIBRARY = "The Rust standard library, by the Rust Project contributors: MIT OR Apache-2.0"


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def crates():
    """Cargo's description of those of others in the binary, by name and version; and the version of the agent."""
    tree = cargo("tree", "-p", AGENT, "--edges=normal,no-proc-macro", "--prefix=none", "--no-dedupe", "--format={p}")
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    described = json.loads(cargo("metadata", "--format-version=1"))["packages"]
    found = [crate for crate in described if (crate["name"], "v" + crate["version"]) in linked and crate["source"]]
    version = next(crate["version"] for crate in described if crate["name"] == AGENT)
    return sorted(found, key=lambda crate: (crate["name"], crate["version"])), version


def licence(crate):
    """Its SPDX expression; old crates write `/` for `OR`."""
    named = re.sub(r"\s*/\s*", " OR ", crate["license"] or "")
    if not named:
        sys.exit(f"{crate['name']} {crate['version']} does not say under which licence it is")
    return named


def texts(crate):
    folder = Path(crate["manifest_path"]).parent
    files = (file for file in folder.rglob("*") if file.is_file() and TEXT.match(file.name) and file.suffix in ("", ".txt", ".md"))
    return [file.read_text(errors="replace").strip() for file in sorted(files)]


def third_party(all_crates):
    """A list of crates, each with the numbers of its texts, and then the texts."""
    numbers, kept, lines = {}, [], []
    for crate in all_crates:
        own = []
        for text in texts(crate):
            digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
            if digest not in numbers:
                kept.append(text)
                numbers[digest] = len(kept)
            own.append(numbers[digest])
        by = ", ".join(crate["authors"]) or "its authors"
        lines.append(f"{crate['name']} {crate['version']}, by {by}: {licence(crate)}")
        lines.append("    texts " + ", ".join(map(str, sorted(set(own)))) if own else "    brings no text of its own")
    parts = ["What scaidrive-siem is linked from, and the texts that came with it.", "\n".join([STANDARD_LIBRARY, *lines])]
    parts += [f"{'=' * 30} text {number} {'=' * 30}\n\n{text}" for number, text in enumerate(kept, 1)]
    return "\n\n".join(parts) + "\n"


def copyright_file(all_crates):
    mit = (ROOT / "LICENSE-MIT").read_text()
    holder = re.search(r"^Copyright .*$", mit, re.MULTILINE).group(0)
    listed = "\n".join(f"  {crate['name']} {crate['version']}: {licence(crate)}" for crate in all_crates)
    return f"""scaidrive-siem

{holder}

Licensed under the MIT licence or the Apache License, Version 2.0, at your
choice. The text of the latter is in /usr/share/common-licenses/Apache-2.0; that
of the former is:

{mit.split(holder)[1].strip()}

The program is linked from the Rust standard library (MIT OR Apache-2.0) and
from these crates. Their copyright notices and licence texts are in
third-party.txt.gz beside this file.

{listed}
"""


def expression(all_crates):
    """All that must be kept to. A choice that holds what must be kept to anyway says nothing more."""
    terms = {term for crate in all_crates for term in licence(crate).split(" AND ")} | {"MIT OR Apache-2.0"}
    choices = {frozenset(term.split(" OR ")) for term in terms}
    musts = {one for choice in choices if len(choice) == 1 for one in choice}
    left = sorted({" OR ".join(sorted(choice)) for choice in choices if not choice & musts})
    return " AND ".join([*sorted(musts), *(f"({choice})" for choice in left)])


def bill_of_materials(all_crates, version):
    """Each crate with its licence and the checksum that it was fetched under. The time is the packages' own."""
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in locked}
    made = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)

    def component(crate):
        name = f"pkg:cargo/{crate['name']}@{crate['version'].replace('+', '%2B')}"
        return {
            "type": "library",
            "bom-ref": name,
            "name": crate["name"],
            "version": crate["version"],
            "hashes": [{"alg": "SHA-256", "content": checksums[crate["name"], crate["version"]]}],
            "licenses": [{"expression": licence(crate)}],
            "purl": name,
        }

    agent = {"type": "application", "bom-ref": AGENT, "name": AGENT, "version": version}
    agent["licenses"] = [{"expression": "MIT OR Apache-2.0"}]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": agent},
        "components": [component(crate) for crate in all_crates],
    }


def main():
    all_crates, version = crates()
    if "--expression" in sys.argv:
        print(expression(all_crates))
        return
    folder = Path(sys.argv[1])
    (folder / "copyright").write_text(copyright_file(all_crates))
    (folder / "third-party.txt").write_text(third_party(all_crates))
    (folder / "sbom.cdx.json").write_text(json.dumps(bill_of_materials(all_crates, version), indent=1) + "\n")


main()
