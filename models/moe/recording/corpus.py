#!/usr/bin/env python3
"""Makes a corpus of four clearly different domains out of Debian packages: corpus.py --work DIR --out corpus.jsonl.xz

Domains: prose, technical prose, scripture, code. Packages are fetched with `apt-get download` (Debian or Ubuntu, no
root needed) and unpacked with `dpkg-deb -x`; nothing is installed. Documents are cleaned to plain text, told apart by
their hash, thinned at random to at most --megabytes a domain, and split by GROUP (a source file; in scripture a book
of the bible) into train, validation and heldout, so that no text is on two sides.

Writes JSON lines, xz: {"domain", "split", "group", "text"}, and beside it OUT.json: each package's version and
licence, bytes and documents by domain and split. The text is for training alone; none of it is shipped.
"""
import argparse
import gzip
import hashlib
import html.parser
import json
import lzma
import os
import random
import re
import struct
import subprocess
import sys
import zlib

# domain: [(package, licence, what of it, at most MB of it)]; a "what" names a reader below and its path pattern.
SOURCES = {
    "prose": [
        ("anarchism", "GFDL-1.2+ or GPL-2+ (An Anarchist FAQ)", "html", r"/html/.*\.html$", 99),
        ("fortunes", "BSD-3-clause (collection of quotations)", "fortune",
         r"/fortunes/(wisdom|people|science|humorists|songs-poems|love|work|law|politics|education|startrek"
         r"|definitions|miscellaneous|platitudes|literature|art|medicine|kids|food)$", 2),
        ("dict-devil", "public domain (Ambrose Bierce)", "dict", r"\.dict\.dz$", 1),
    ],
    "technical": [
        ("linux-doc-6.1", "GPL-2", "plain", r"/Documentation/(?!.*translations).*\.rst(\.txt)?(\.gz)?$", 4),
        ("python3.11-doc", "PSF-2", "plain", r"/_sources/.*\.rst\.txt(\.gz)?$", 4),
        ("postgresql-doc-15", "PostgreSQL", "html", r"\.html$", 3),
        ("git-doc", "GPL-2", "plain", r"\.txt(\.gz)?$", 2),
        ("debian-handbook", "CC-BY-SA-3.0 or GPL-2+", "html", r"/en-US/.*\.html$", 2),
        ("debian-reference-en", "GPL-2+", "html", r"\.html$", 2),
    ],
    "scripture": [
        # one translation alone: another would put the held-out verses into training in other words
        ("sword-text-kjv", "public domain (King James Version)", "sword", r"\.bzz$", 99),
    ],
    "code": [
        ("libpython3.11-stdlib", "PSF-2 (Python)", "code",
         r"/python3\.11/(?!test|lib2to3/tests|pydoc_data|encodings).*\.py$", 4),
        ("libruby3.1", "Ruby or BSD-2-clause (Ruby)", "code", r"\.rb$", 3),
        ("libstdc++-12-dev", "GPL-3+ with GCC exception (C++)", "code",
         r"/include/c\+\+/12/.*(\.h|\.tcc|/[a-z_]+)$", 3),
        ("linux-headers-6.1.0-56-common", "GPL-2 (C)", "code", r"/include/.*\.h$", 3),
    ],
}
SHARES = {"heldout": 0.08, "validation": 0.04}  # of a domain's bytes; the rest is train
PIECE = 20_000  # characters: longer documents are cut at a paragraph, so that a batch sees many


class Text(html.parser.HTMLParser):
    """Readable text of an HTML page: paragraphs, without scripts, heads and navigation."""
    SKIP = {"script", "style", "head", "nav"}
    BREAK = {"p", "div", "li", "h1", "h2", "h3", "h4", "h5", "tr", "br", "pre", "dt", "dd", "blockquote", "table"}

    def __init__(self):
        super().__init__()
        self.parts, self.skipping, self.verbatim = [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.skipping += tag in self.SKIP
        self.verbatim += tag == "pre"
        if tag in self.BREAK:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        self.skipping = max(0, self.skipping - (tag in self.SKIP))
        self.verbatim = max(0, self.verbatim - (tag == "pre"))
        if tag in self.BREAK:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.skipping:
            self.parts.append(data if self.verbatim else re.sub(r"\s+", " ", data))


def decoded(path):
    raw = gzip.open(path).read() if path.endswith((".gz", ".dz")) else open(path, "rb").read()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_html(path):
    page = Text()
    page.feed(decoded(path))
    yield os.path.basename(path), "".join(page.parts)


def read_plain(path):
    yield path.split("/usr/share/doc/")[-1], decoded(path)


def read_fortune(path):
    yield os.path.basename(path), decoded(path).replace("\n%\n", "\n\n")


def read_dict(path):
    """dictd: entries under each other; the heading is that of the database."""
    text = decoded(path)
    for number, start in enumerate(range(0, len(text), PIECE)):
        yield f"{os.path.basename(path)} {number}", text[start:start + PIECE]


def read_code(path):
    """A source file without the licence that it opens with: it would be the same in each."""
    lines = decoded(path).split("\n")
    head = 0
    while head < len(lines) and re.match(r"\s*(#(?!include|define|if|pragma)|//|/\*|\*|$)", lines[head]):
        head += 1
    if "opyright" in "\n".join(lines[:head]):
        lines = lines[head:]
    yield path.split("/usr/")[-1], "\n".join(lines)


def read_sword(path):
    """SWORD zText, a block a book: .?zs holds (offset, size, full size) of each compressed block, .?zv (block, start,
    size) of each verse, little endian. The group is the book."""
    index = path[:-1]
    raw, blocks, verses = open(path, "rb").read(), open(index + "s", "rb").read(), open(index + "v", "rb").read()
    books = {}
    for block, start, size in struct.iter_unpack("<IIH", verses):
        if size and 12 * block + 12 <= len(blocks):
            books.setdefault(block, []).append((start, size))
    for block, places in books.items():
        offset, size, _ = struct.unpack_from("<III", blocks, 12 * block)
        text = zlib.decompress(raw[offset:offset + size])
        lines, seen = [], set()
        for start, length in places:
            if start in seen:  # verses that share one entry
                continue
            seen.add(start)
            verse = text[start:start + length].decode("utf-8", "replace")
            verse = re.sub(r"<(note|title)\b.*?</\1>", " ", verse, flags=re.S)
            lines.append(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", verse)).strip())
        yield f"{os.path.basename(path)[:2]} book {block}", "\n".join(line for line in lines if line)


READERS = {"html": read_html, "plain": read_plain, "fortune": read_fortune, "dict": read_dict, "code": read_code,
           "sword": read_sword}


def fetch(package, work):
    """Unpacks the package under work, unless it is there. Returns (folder, version)."""
    folder = os.path.join(work, package)
    debs = lambda: [f for f in os.listdir(work) if f.startswith(package + "_") and f.endswith(".deb")]
    if not debs():
        subprocess.run(["apt-get", "download", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
    if not os.path.isdir(folder):
        subprocess.run(["dpkg-deb", "-x", os.path.join(work, debs()[0]), folder], check=True)
    version = subprocess.run(["dpkg-deb", "-f", os.path.join(work, debs()[0]), "Version"], check=True,
                             capture_output=True, text=True).stdout.strip()
    return folder, version


def clean(text):
    text = text.replace("\r", "").replace("\f", "\n").replace("\0", "")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


def pieces(text):
    """The text in parts of about PIECE characters, cut at line ends."""
    while len(text) > 1.5 * PIECE:
        cut = text.rfind("\n", PIECE // 2, PIECE) + 1 or PIECE
        yield text[:cut]
        text = text[cut:]
    yield text


def documents(package, reader, pattern, most, work, seen, shuffled):
    """[(group, text)] of a package, at most `most` bytes, thinned at random by file."""
    folder, version = fetch(package, work)
    paths = sorted(os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)
    paths = [path for path in paths if re.search(pattern, path) and os.path.isfile(path) and not os.path.islink(path)]
    shuffled.shuffle(paths)
    out, size = [], 0
    for path in paths:
        for group, text in READERS[reader](path):
            text = clean(text)
            key = hashlib.sha256(re.sub(r"\W+", "", text).lower().encode()).digest()
            if len(text) < 400 or key in seen or size > most:
                continue
            seen.add(key)
            out.append((group if reader == "sword" else f"{package} {group}", text))
            size += len(text.encode())
    if not out:
        sys.exit(f"corpus.py: {package}: no document found by {pattern}")
    return out, version


def split(groups, shuffled):
    """{group: split} from {group: bytes}: whole groups until each share is reached."""
    names, total, out = sorted(groups), sum(groups.values()), {}
    shuffled.shuffle(names)
    for part, share in SHARES.items():
        size = 0
        for name in names:
            # no group so large that it alone is more than twice the share
            if size < share * total and name not in out and groups[name] < 2 * share * total:
                out[name] = part
                size += groups[name]
    return {name: out.get(name, "train") for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", required=True, help="folder for packages, which are fetched if they are not there")
    parser.add_argument("--out", required=True, help="corpus.jsonl.xz")
    parser.add_argument("--megabytes", type=float, default=10, help="at most so many a domain (default 10)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.makedirs(arguments.work, exist_ok=True)
    shuffled = random.Random(arguments.seed)
    summary, lines = {"seed": arguments.seed, "packages": [], "domains": {}}, []
    for domain, sources in SOURCES.items():
        found, seen = [], set()
        for package, licence, reader, pattern, most in sources:
            texts, version = documents(package, reader, pattern, most * 10**6, arguments.work, seen, shuffled)
            size = sum(len(text.encode()) for _, text in texts)
            summary["packages"].append({"package": package, "version": version, "licence": licence, "domain": domain,
                                        "bytes": size, "documents": len(texts)})
            print(f"{domain:10} {package} {version}: {len(texts)} documents, {size / 1e6:.2f} MB", file=sys.stderr)
            found += texts
        keep = min(1.0, arguments.megabytes * 1e6 / sum(len(text.encode()) for _, text in found))
        groups = {}
        for group, text in found:
            groups[group] = groups.get(group, 0) + len(text.encode())
        kept = {group for group in sorted(groups) if shuffled.random() < keep}
        parts = split({group: size for group, size in groups.items() if group in kept}, shuffled)
        table = summary["domains"][domain] = {}
        for group, text in found:
            if group in parts:
                row = table.setdefault(parts[group], {"bytes": 0, "groups": set()})
                row["bytes"] += len(text.encode())
                row["groups"].add(group)
                lines += [json.dumps({"domain": domain, "split": parts[group], "group": group, "text": piece},
                                     ensure_ascii=False) for piece in pieces(text)]
        for row in table.values():
            row["groups"] = len(row["groups"])
    with lzma.open(arguments.out, "wt", encoding="utf-8", preset=6) as file:
        file.write("\n".join(lines) + "\n")
    with open(arguments.out + ".json", "w") as file:
        json.dump(summary, file, indent=1)
    print(json.dumps(summary["domains"]), f"{os.path.getsize(arguments.out) / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
