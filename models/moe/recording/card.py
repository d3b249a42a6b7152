#!/usr/bin/env python3
"""Prints the tables of models/moe/traces/README.md: card.py CORPUS.json NAME.json... (of corpus.py and train.py)."""
import json
import math
import sys


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def span(values, digits=2):
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}, mean {sum(values) / len(values):.{digits}f}"


corpus, *models = [json.load(open(path)) for path in sys.argv[1:]]

print("## The models\n")
rows = [
    ("parameters, active", lambda m: f"{m['parameters'] / 1e6:.0f} M, {m['active_parameters'] / 1e6:.0f} M"),
    ("MoE layers, experts, top-k", lambda m: "{num_hidden_layers}, {num_experts}, {num_experts_per_tok}".format(
        **m["shape"])),
    ("width, expert's width, shared expert's", lambda m: f"{m['shape']['hidden_size']}, "
     f"{m['shape']['moe_intermediate_size']}, {m['shared_intermediate_size'] or 'none'}"),
    ("tokens seen, epochs", lambda m: f"{m['training']['tokens_seen'] / 1e6:.0f} M, {m['training']['epochs']:.1f}"),
    ("steps, of them kept", lambda m: f"{m['training']['steps']}, {m['training']['best_step']}"),
    ("loss: train, validation, held out (nats a token)", lambda m: f"{m['train_loss']:.3f}, "
     f"{m['training']['validation_loss']:.3f}, {m['heldout_loss']:.3f}"),
    ("perplexity, held out", lambda m: f"{m['heldout_perplexity']:.1f}")]
rows += [(f"held-out loss, perplexity: {domain}", lambda m, d=domain:
          f"{m['heldout'][d]['loss']:.3f}, {m['heldout'][d]['perplexity']:.1f}") for domain in models[0]["heldout"]]
rows += [
    ("training, GPU", lambda m: f"{m['training']['seconds'] / 60:.1f} min, {m['gpu']}"),
    ("seed, torch, transformers", lambda m: "{}, {torch}, {transformers}".format(m["seed"], **m["versions"]))]
table(["", *(f"`{m['name']}`" for m in models)], [(name, *(of(m) for m in models)) for name, of in rows])

print("## The traces\n")
rows = [
    ("requests, tokens", lambda m: f"{m['routing']['requests']:,}, {m['routing']['tokens']:,}"),
    ("prefill, decode rows", lambda m: f"{m['routing']['prefill_rows']:,}, {m['routing']['decode_rows']:,}"),
    ("bytes", lambda m: f"{m['routing']['bytes']:,}"),
    ("mantissa bits of gate weights", lambda m: m["weight_mantissa_bits"]),
    ("entropy of load, bits of at most", lambda m: f"{span(m['routing']['entropy_bits'])} of "
     f"{math.log2(m['shape']['num_experts']):.2f}"),
    ("experts shared with the token before", lambda m: span(m["routing"]["overlap"], 3)),
    ("the same by chance", lambda m: span(m["routing"]["overlap_by_chance"], 3)),
    ("dropped tokens", lambda m: m["dropped_tokens"])]
table(["", *(f"`{m['name']}`" for m in models)], [(name, *(of(m) for m in models)) for name, of in rows])

print("## By layer: entropy of load (bits), experts shared with the token before\n")
layers = max(len(m["routing"]["entropy_bits"]) for m in models)
table(["layer", *(f"`{m['name']}`" for m in models)],
      [(layer, *(f"{m['routing']['entropy_bits'][layer]:.2f}, {m['routing']['overlap'][layer]:.3f}"
                 if layer < len(m["routing"]["overlap"]) else "" for m in models)) for layer in range(layers)])

print("## The text\n")
table(["domain", "train, validation, held out (MB)", "groups"],
      [(domain, ", ".join(f"{parts[p]['bytes'] / 1e6:.2f}" for p in ("train", "validation", "heldout")),
        ", ".join(str(parts[p]["groups"]) for p in ("train", "validation", "heldout")))
       for domain, parts in corpus["domains"].items()])
table(["package", "version", "domain", "licence", "MB at hand"],
      [(f"`{p['package']}`", p["version"], p["domain"], p["licence"], f"{p['bytes'] / 1e6:.2f}")
       for p in corpus["packages"]])
