#!/usr/bin/env python3
"""Does what a guide says, in a copy of the checkout: guides_test.py GUIDE.md BUILD

  ```cpp file=PATH      is written there (also yaml, json)
  ```diff               is applied; @@ needs no numbers, nor the same indentation
  ```sh                 is run, and must end with 0; status=2: with 2
  ```sh gpu             needs a GPU, and is left out
  <!-- cuda: a b -->    these are read by the compiler, if CUDA's headers are there; nothing is compiled
  ```text               must be printed by the commands before it: its lines in this order, "..." for anything
  <!-- rooms: a b -->   of what a changed header is included by, only these are compiled, and linked with the tests; a file
                        instead of a folder is compiled and not linked
  <!-- tests: a b -->   tests that are compiled again, since they read files of the checkout

A copy would compile everything anew. So `./specmoe` is another one there: what the guide changed, and what includes it, is
compiled as the BUILD says and linked before the rooms' libraries of the BUILD. `./specmoe test -R NAME` runs one program
with the tests whose name has NAME in it.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHER = """#!/bin/sh
here=$(dirname -- "$0")/build/release
if [ "$1" != test ]; then exec "$here/specmoe" "$@"; fi
"$here/specmoe_tests" --test-case="*$3*" >"$here/log" 2>&1
status=$?
cat "$here/log"
grep -q 'test cases: *[1-9]' "$here/log" || exit 1
exit $status
"""


def fail(text):
    sys.exit(f"guides_test: {text}")


def run(command, folder, status=0, **more):
    done = subprocess.run(command, cwd=folder, shell=isinstance(command, str), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **more)
    if done.returncode != status:
        fail(f"status {done.returncode} instead of {status}: {command}\n{done.stdout}")
    return done.stdout


class Builder:
    """Compiles what changed in a copy, with the commands of a build of the original."""

    def __init__(self, build, copy):
        self.build, self.copy = build, copy
        self.out = copy / "build/release"
        self.entries = {}
        for entry in json.loads((build / "compile_commands.json").read_text()):
            file = pathlib.Path(entry["file"])
            if file.is_relative_to(ROOT) and not file.is_relative_to(build):
                self.entries[str(file.relative_to(ROOT))] = entry["command"]
        self.users = self.read_users()
        self.changed, self.rooms, self.tests = set(), (), set()

    def read_users(self):
        """header -> the sources whose objects include it"""
        users, source = {}, None
        for line in run(["ninja", "-t", "deps"], self.build).splitlines():
            if not line.startswith("    "):
                source = None
                continue
            path = os.path.normpath(self.build / line.strip())
            if not path.startswith(f"{ROOT}/"):
                continue
            path = os.path.relpath(path, ROOT)
            source = source or path
            users.setdefault(path, set()).add(source)
        return users

    def stale(self):
        files = {file for file in self.changed if file.endswith(".cpp") and "/cuda/" not in file} | self.tests
        for header in self.changed:
            files |= {f for f in self.users.get(header, ()) if f.endswith(".cpp") and not f.startswith("tests/")}
        if self.rooms:
            files = {f for f in files if f.startswith((*self.rooms, "tests/"))}
        return sorted(files)

    def command_for(self, file):
        """A file that is new is compiled like one beside it, or in the nearest folder above."""
        if file in self.entries:
            return self.entries[file]
        for folder in pathlib.Path(file).parents:
            for known, command in sorted(self.entries.items()):
                if pathlib.Path(known).is_relative_to(folder):
                    return command
        fail(f"no room for {file}")

    def compile(self, file):
        target = self.out / "objects" / (file + ".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = re.sub(r" -o \S+ -c \S+$", f" -o {target} -c {self.copy}/{file}", self.command_for(file))
        run(command.replace(f"-I{ROOT}", f"-I{self.copy}")
            .replace(f'SPECMOE_SOURCE_DIR=\\"{ROOT}', f'SPECMOE_SOURCE_DIR=\\"{self.copy}'), self.build)
        return file, str(target)

    def link(self, target, keep, objects):
        line = run(["ninja", "-t", "commands", target], self.build).splitlines()[-1]
        words = line.split(" && ")[1].split()
        out = words.index("-o") + 1
        words[out] = str(self.out / target)
        old = {self.object_of(file): path for file, path in objects.items()}
        first = next(i for i, word in enumerate(words) if word.endswith(".o"))
        words = [word for word in words if keep(word) and word not in old]
        words[first:first] = objects.values()
        run(" ".join(words), self.build)

    def object_of(self, file):
        found = re.search(r" -o (\S+) -c ", self.entries.get(file, ""))
        return found and found.group(1)

    def bring_up_to_date(self):
        files = self.stale()
        if not files:
            if not (self.out / "specmoe").exists():
                (self.out / "specmoe").symlink_to(self.build / "specmoe")
            return
        with ThreadPoolExecutor(2) as pool:
            objects = dict(pool.map(self.compile, files))
        tests = {file for file in files if file.startswith("tests/")}
        objects = {file: path for file, path in objects.items() if file not in self.rooms}
        rooms = {file: path for file, path in objects.items() if file not in tests}
        if tests:
            kept = [f"libspecmoe_{room.split('/')[-1]}.a" for room in self.rooms] + ["specmoe_tests.dir/main.cpp.o"]
            self.link("specmoe_tests", lambda word: not self.rooms or word.endswith(tuple(kept)) or
                      not re.search(r"specmoe_.*\.[ao]$", word), objects)
        if not self.rooms:
            (self.out / "specmoe").unlink(missing_ok=True)
            self.link("specmoe", lambda word: True, rooms)


def blocks(text):
    """(language, attributes, text) of each fenced block, and (name, words) of each directive, in order"""
    for found in re.finditer(r"^```(\w+)(.*)\n((?s:.*?))^```$|^<!-- (\w+): (.*) -->$", text, re.M):
        if found.group(4):
            yield found.group(4), found.group(5), ""
        else:
            yield found.group(1), found.group(2).strip(), found.group(3)


def apply(diff, folder):
    """Hunks are found by their lines, however far indented, of which there must be one place. Returns the files."""
    files, file = set(), None
    for part in re.split(r"^(?=--- |@@)", diff, flags=re.M):
        head, _, body = part.partition("\n")
        if head.startswith("--- "):
            file = re.fullmatch(r"\+\+\+ b/(\S+)\n", body).group(1)
            files.add(file)
        elif head:
            old = [line[1:].strip() for line in body.splitlines() if line[0] in " -"]
            new = [line[1:] for line in body.splitlines() if line[0] in " +"]
            text = (folder / file).read_text().splitlines()
            bare = [line.strip() for line in text]
            places = [i for i in range(len(bare)) if bare[i:i + len(old)] == old]
            if len(places) != 1:
                fail(f"{file} has {len(places)} places for\n{body}")
            text[places[0]:places[0] + len(old)] = new
            (folder / file).write_text("\n".join(text) + "\n")
    return files


def check_printed(expected, printed):
    lines = iter(printed.splitlines())
    for line in expected.splitlines():
        if line.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\s*")
        if not any(pattern.fullmatch(each) for each in lines):
            fail(f"not printed, or not in this order: {line}\nprinted:\n{printed}")


def follow(guide, build, copy):
    builder, printed, up_to_date, ran = Builder(build, copy), None, False, 0
    for kind, attributes, text in blocks(guide.read_text()):
        if kind == "rooms":
            builder.rooms = tuple(attributes.split())
        elif kind == "tests":
            builder.tests |= set(attributes.split())
            up_to_date = False
        elif kind == "cuda":
            nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
            headers = pathlib.Path(nvcc).resolve().parents[1] / "include"
            for file in attributes.split() if (headers / "cuda_runtime_api.h").exists() else ():
                run(["c++", "-std=c++20", "-fsyntax-only", "-Wall", f"-I{copy}", f"-I{headers}", file], copy)
        elif attributes.startswith("file="):
            path = attributes[5:]
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_text(text)
            builder.changed.add(path)
            up_to_date = False
        elif kind == "diff":
            builder.changed |= apply(text, copy)
            up_to_date = False
        elif kind == "sh" and attributes != "gpu":
            if not up_to_date:
                builder.bring_up_to_date()
                up_to_date = True
            status = int(attributes[7:]) if attributes.startswith("status=") else 0
            printed = run(["sh", "-ec", text], copy, status, env={**os.environ, "SPECMOE_HOME": str(copy)})
            ran += 1
        elif kind == "text":
            if printed is None:
                fail(f"no command before: {text}")
            check_printed(text, printed)
        elif kind != "sh":
            fail(f"{guide.name}: a block of {kind} that is neither written nor run:\n{text}")
    if not ran:
        fail(f"{guide.name} runs nothing")


def main(guide, build):
    guide, build = pathlib.Path(guide).resolve(), pathlib.Path(build).resolve()
    # The same place each time, so that ccache knows it.
    copy = build / "guides" / guide.stem
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=lambda folder, names: {".git", "build", "results", ".specmoe"} & set(names))
    (copy / "build/release/validation").mkdir(parents=True)
    (copy / "build/release/validation/specmoe-calibrate").symlink_to(build / "validation/specmoe-calibrate")
    (copy / "specmoe").write_text(LAUNCHER)
    follow(guide, build, copy)
    shutil.rmtree(copy)


if __name__ == "__main__":
    main(*sys.argv[1:])
