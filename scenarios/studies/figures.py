#!/usr/bin/env python3
"""Draws the pictures of README from studies: python3 scenarios/studies/figures.py results scenarios/studies

Reads results/<study>/study.h5 with h5py and pandas alone, and writes <study>.svg for each study that is there.
Packages: python3-h5py python3-pandas python3-matplotlib.
"""
import sys
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pandas as pd

if __name__ == "__main__":
    matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# Okabe and Ito, which the colour-blind tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


def text(dataset):
    return dataset.asstr()[:]


def read_cells(file):
    """A row for each point and strategy: values of the axes, means over replications, their 95 % intervals."""
    with h5py.File(file) as h5:
        cells = pd.DataFrame({name: text(data) if data.dtype.kind == "O" else data[:] for name, data in h5["cells"].items()})
        points = pd.DataFrame({axis: text(h5["points/values"][axis]) for axis in text(h5["axes/name"])})
        for axis in list(points):
            points[axis + " (number)"] = h5["points/numbers"][axis][:]
        for name in ("label", "platform", "model"):
            points[name] = text(h5["points"][name])
        for name in ("batch", "price"):
            points[name] = h5["points"][name][:]
        runs = pd.DataFrame({name: h5["runs"][name][:] for name in ("point", "deduplicated")})
        runs["strategy"] = text(h5["runs/strategy"])
    means = runs.groupby(["point", "strategy"]).mean()
    return cells.join(points, on="point").join(means, on=["point", "strategy"])


def line(axes, rows, x, y, colour, label, style="o-"):
    rows = rows.sort_values(x)
    axes.plot(rows[x], rows[y], style, color=colour, label=label, markersize=3.5, linewidth=1.2)
    axes.fill_between(rows[x], rows[y + "_low"], rows[y + "_high"], color=colour, alpha=0.2, linewidth=0)


def bars(axes, rows, y, label_of, unit):
    strategies = list(dict.fromkeys(rows.strategy))
    names = list(dict.fromkeys(label_of(row) for row in rows.itertuples()))
    for s, strategy in enumerate(strategies):
        of = rows[rows.strategy == strategy]
        places = [names.index(label_of(row)) + (s - (len(strategies) - 1) / 2) * 0.8 / len(strategies) for row in of.itertuples()]
        errors = [of[y] - of[y + "_low"], of[y + "_high"] - of[y]]
        axes.barh(places, of[y], 0.8 / len(strategies), xerr=errors, color=COLOURS[s], label=strategy, error_kw={"linewidth": 0.8})
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(unit)


def seed_strategies(cells):
    figure, all_axes = plt.subplots(1, 4, figsize=(11, 3.2), sharey=True)
    for axes, platform in zip(all_axes, dict.fromkeys(cells.platform)):
        for s, strategy in enumerate(dict.fromkeys(cells.strategy)):
            rows = cells[(cells.platform == platform) & (cells.strategy == strategy) & cells.gain.notna()]
            if len(rows):
                line(axes, rows, "batch", "gain", COLOURS[s], strategy)
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
        axes.set_title(platform, fontsize=9)
        axes.set_xlabel("batch")
    all_axes[0].set_ylabel("decoding, of on-demand LRU's")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="lower center", ncol=5, fontsize=8, frameon=False)
    return figure


def seed_deduplication(cells):
    figure, axes = plt.subplots(figsize=(5, 3.2))
    for k, top_k in enumerate(("2", "4", "8", "16")):
        rows = cells[cells.top_k == top_k].groupby("batch").deduplicated
        axes.plot(rows.mean().index, rows.mean() * 100, "o-", color=COLOURS[k], label=f"top-{top_k}", markersize=3.5, linewidth=1.2)
        axes.fill_between(rows.mean().index, rows.min() * 100, rows.max() * 100, color=COLOURS[k], alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.set_xlabel("batch (band: localities, which do not differ)")
    axes.set_ylabel("accesses saved, %")
    axes.legend(fontsize=8, frameon=False)
    return figure


def predictors(cells):
    figure, all_axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    cells = cells[cells.strategy == "next-layer predictor"]
    for axes, platform in zip(all_axes, dict.fromkeys(cells.platform)):
        for s, share in enumerate(dict.fromkeys(cells["cache.capacity"])):
            rows = cells[(cells.platform == platform) & (cells["cache.capacity"] == share)]
            line(axes, rows, "accuracy (number)", "gain", COLOURS[s], f"cache of {share} of the experts")
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.set_title(platform, fontsize=9)
        axes.set_xlabel("share of experts named rightly")
    all_axes[0].set_ylabel("decoding, of on-demand LRU's")
    all_axes[0].legend(fontsize=8, frameon=False)
    return figure


def new_gpus(cells):
    figure, all_axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    for axes, capacity in zip(all_axes, ("25 %", "auto")):
        bars(axes, cells[cells["cache.capacity"] == capacity], "tokens_per_second", lambda row: row.machine, "decoded tokens a second")
        axes.set_title("cache of 25 % of the experts" if capacity == "25 %" else "all of the GPU's memory", fontsize=9)
    all_axes[0].legend(fontsize=8, frameon=False)
    return figure


def ssd(cells):
    figure, all_axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for axes, strategy in zip(all_axes, dict.fromkeys(cells.strategy)):
        for d, drive in enumerate(dict.fromkeys(cells.drive)):
            rows = cells[(cells.drive == drive) & (cells.strategy == strategy)].copy()
            rows["GB"] = [0 if memory == "none" else float(memory.split()[0]) for memory in rows["host memory"]]
            line(axes, rows, "GB", "tokens_per_second", COLOURS[d], drive)
        axes.set_title(strategy, fontsize=9)
        axes.set_xlabel("host memory as a cache, GB")
    all_axes[0].set_ylabel("decoded tokens a second")
    all_axes[0].legend(fontsize=8, frameon=False)
    return figure


def which_gpu(cells):
    figure, all_axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for axes, batch in zip(all_axes, (1, 16)):
        table = cells[cells.batch == batch].pivot(index="which model", columns="platform", values="tokens_per_second")
        table = table[list(dict.fromkeys(cells.platform))].reindex(dict.fromkeys(cells["which model"]))
        axes.imshow(table.rank(axis=1), cmap="Blues", vmin=-2, vmax=6, aspect="auto")
        for (i, j), value in np.ndenumerate(table.to_numpy()):
            axes.text(j, i, "cannot" if pd.isna(value) else (f"{value:.0f}" if value >= 100 else f"{value:.3g}"), ha="center", va="center", fontsize=8)
        axes.set_xticks(range(table.shape[1]), [name.replace("_", "\n", 1) for name in table.columns], fontsize=7)
        axes.set_yticks(range(len(table)), table.index, fontsize=8)
        axes.set_title(f"decoded tokens a second, batch {batch}", fontsize=9)
    return figure


def draw(cells, name):
    """The figure of a study, by its name."""
    figure = globals()[name.replace("-", "_")](cells)
    figure.tight_layout(rect=(0, 0.07 if name == "seed-strategies" else 0, 1, 1))
    return figure


NAMES = ("seed-strategies", "seed-deduplication", "predictors", "new-gpus", "ssd", "which-gpu")

if __name__ == "__main__":
    matplotlib.rcParams.update({"font.size": 8, "svg.hashsalt": "specmoe", "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False})
    results, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name in NAMES:
        if (results / name / "study.h5").exists():
            draw(read_cells(results / name / "study.h5"), name).savefig(out / f"{name}.svg", metadata={"Date": None}, facecolor="white")
            print(out / f"{name}.svg")
