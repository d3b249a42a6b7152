#!/usr/bin/env python3
"""What documents say of the project is so: documents_test.py commands|citation|rooms BUILD

commands  Each `./specmoe ...` and `specmoe-calibrate ...` in a .md file names a subcommand and options that exist, files
          that are there, and tests that are there. README names no option that no command has.
citation  CITATION.cff has the project's version and licence, and what Citation File Format 1.2.0 asks for.
rooms     Each room of CMakeLists.txt is described in the API reference.
"""
import functools
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAIN = {"train", "evaluate", "predict", "networks"}
FOLDERS = ("docs/", "models/", "platforms/", "scenarios/", "validation/")
errors = []


def check(holds, text):
    if not holds:
        errors.append(text)


@functools.cache
def help_of(*command):
    return subprocess.run([*command, "--help"], text=True, capture_output=True, check=True).stdout


def subcommands_of(*command):
    _, found, after = help_of(*command).partition("Subcommands:\n")
    return re.findall(r"^  ([\w-]+) ", after, re.M) if found else []


def options_of(*command):
    return set(re.findall(r"(?<![\w-])--[\w-]+", help_of(*command)))


def documents():
    skipped = {"build", "results", ".git", ".specmoe"}
    return [f for f in sorted(ROOT.rglob("*.md")) if not skipped & set(f.relative_to(ROOT).parts)]


def commands_in(text):
    """Of fenced blocks and of code in a line, as words."""
    text = text.replace("\\\n", " ")
    fenced = "".join(re.findall(r"^```.*\n((?s:.*?))^```$", text, re.M))
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*\n(?s:.*?)^```$", "", text, flags=re.M))
    for line in fenced.splitlines() + [each.replace("\\|", "|") for each in inline]:
        if re.match(r"(\S*/)?specmoe(-calibrate)? \S", line):
            yield shlex.split(line, comments=True)


def check_command(where, words, build):
    program = pathlib.Path(words[0]).name
    binary = build / ("validation/specmoe-calibrate" if program == "specmoe-calibrate" else "specmoe")
    rest = words[1:]
    if program == "specmoe" and rest[0] == "test":
        if "-R" in rest:
            name = rest[rest.index("-R") + 1]
            found = subprocess.run(["ctest", "--test-dir", build, "-N", "-R", name], text=True, capture_output=True,
                                   check=True).stdout
            check("Total Tests: 0" not in found or is_written(where, rf'TEST_CASE\("{name}.*'), f"{where}: no such tests")
        return
    if program == "specmoe" and rest[0] in ("docs", "mpi"):
        check(f"\n{rest[0]})\n" in (ROOT / "specmoe").read_text(), f"{where}: the launcher does not know {rest[0]}")
        if rest[0] == "docs":
            return
        rest, binary = rest[2:], build / "specmoe-mpi"
    elif program == "specmoe" and rest[0] in TRAIN:
        binary = build / "specmoe-train"
    # Without LibTorch, MPI or CUDA some are not built.
    if not binary.exists() or (program == "specmoe-calibrate" and rest[0] not in subcommands_of(binary)
                               and "Built without a CUDA compiler" in help_of(binary)):
        return
    command = [binary]
    if subcommands_of(*command):
        check(rest[0] in subcommands_of(*command) or rest[0].startswith("-"), f"{where}: no subcommand {rest[0]}")
    while rest and rest[0] in subcommands_of(*command):
        command.append(rest.pop(0))
    for word in rest:
        option = word.split("=")[0]
        check(not option.startswith("--") or option in options_of(*command), f"{where}: no option {option}")
        check(not word.startswith(FOLDERS) or (ROOT / word).exists() or is_written(where, f".*(file=|--out ){word}"),
              f"{where}: no file {word}")


def is_written(where, line):
    """Guides write files and tests of their own."""
    return re.search(rf"^{line}$", (ROOT / where.split(":")[0]).read_text(), re.M)


def check_commands(build):
    count = 0
    for document in documents():
        name = document.relative_to(ROOT)
        for words in commands_in(document.read_text()):
            check_command(f"{name}: {' '.join(words)}", words, build)
            count += 1
    check(count > 50, f"only {count} commands found")
    known = options_of(build / "specmoe")
    for subcommand in subcommands_of(build / "specmoe"):
        known |= options_of(build / "specmoe", subcommand)
        for below in subcommands_of(build / "specmoe", subcommand):
            known |= options_of(build / "specmoe", subcommand, below)
    for code in re.findall(r"`(--[^`\n]+)`", (ROOT / "README.md").read_text()):
        check(code.split()[0] in known, f"README.md: no option {code}")


def check_citation(_):
    version = re.search(r"^project\(specmoe VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.M).group(1)
    citation = dict(re.findall(r"^([a-z-]+): ?(.*)$", (ROOT / "CITATION.cff").read_text(), re.M))
    for key in ("cff-version", "message", "title", "authors", "abstract", "version", "date-released", "license"):
        check(key in citation, f"CITATION.cff: no {key}")
    check(citation.get("cff-version") == "1.2.0", "CITATION.cff: not of version 1.2.0")
    check(citation.get("version") == version, f"CITATION.cff: version is not {version}")
    check(re.fullmatch(r"\d{4}-\d\d-\d\d", citation.get("date-released", "")), "CITATION.cff: no date")
    licence = " ".join((ROOT / "LICENSE").read_text().split())
    check(citation.get("license") == "Apache-2.0" and licence.startswith("Apache License Version 2.0"),
          "CITATION.cff and LICENSE do not say the same")
    check(f"## {version}" in (ROOT / "CHANGELOG.md").read_text(), f"CHANGELOG.md: nothing of {version}")


def check_rooms(_):
    described = re.findall(r"^@dir (\S+)$", (ROOT / "docs/reference.dox").read_text(), re.M)
    rooms = re.findall(r"^ *specmoe_room\(\w+ PATH (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.M)
    check(len(rooms) > 10, "no rooms found")
    for room in rooms:
        check(room in described, f"docs/reference.dox: no @dir {room}")
    for folder in described:
        check((ROOT / folder).is_dir(), f"docs/reference.dox: no folder {folder}")


if __name__ == "__main__":
    {"commands": check_commands, "citation": check_citation, "rooms": check_rooms}[sys.argv[1]](
        pathlib.Path(sys.argv[2]).resolve())
    sys.exit("\n".join(errors) or None)
