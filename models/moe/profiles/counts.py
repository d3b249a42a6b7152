#!/usr/bin/env python3
"""Writes the published expert counts of ../shared/data as what `specmoe trace fit` reads: counts.py DATA OUT."""
import gzip
import json
import os
import sys

data, out = sys.argv[1:]


def write(name, model, source, licence, fitted_on, experts, top_k, counts):
    with open(os.path.join(out, name + ".yaml"), "w") as file:
        file.write(f'model: {model}\nsource: "{source}"\nlicence: {licence}\nfitted_on: "{fitted_on}"\n')
        file.write(f"experts: {experts}\ntop_k: {top_k}\ncounts:\n")
        for layer in counts:  # [] where a layer was not counted
            file.write("  - [" + ", ".join(map(str, layer)) + "]\n")


def read(path):
    path = os.path.join(data, path)
    return json.load(gzip.open(path) if path.endswith(".gz") else open(path))


usage = read("switch-base-128-expert-counts/expert_statistics_3d.json")["expert_usage_by_layer"]
write("switch-base-128", "google/switch-base-128", "github.com/cyanmishra92/specMoE, expert_statistics_3d.json", "MIT",
      "206,866 tokens in each of the 6 encoder layers (cnn_dailymail, imdb, wikitext, squad); no decoder layer", 128, 1,
      [[usage[layer].get(str(e), 0) for e in range(128)] for layer in ("1", "3", "5", "7", "9", "11")] + [[]] * 6)

popularity = read("mixtral-expert-popularity/fiddler_expert_popularity_machine_learning_instruct.json")
write("mixtral-8x7b", "mistralai/Mixtral-8x7B-Instruct-v0.1",
      "github.com/efeslab/fiddler, benchmarks/results/popularity/mixtral_8x7b_instruct/expert_popularity_machine_"
      "learning.json at 5e5ed67", "Apache-2.0", "4,733 tokens of MMLU, machine learning", 8, 2,
      popularity["expert_popularity"])

domains = read("olmoe-mixtral-expert-counts/counts.json.gz")["OLMoE-1B-7B-0924"].values()
write("olmoe-1b-7b", "allenai/OLMoE-1B-7B-0924",
      "github.com/allenai/OLMoE, scripts/routing_output/olmoe at 357454f", "Apache-2.0",
      "1,249,723 tokens of arXiv, books, C4, GitHub, Wikipedia and Tulu, in layers 0, 7 and 15", 64, 8,
      [[sum(d["layer_expert_counts"][str(layer)][e] for d in domains) for e in range(64)] if layer in (0, 7, 15) else []
       for layer in range(16)])
