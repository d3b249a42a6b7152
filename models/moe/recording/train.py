#!/usr/bin/env python3
"""Trains a small MoE language model and records its routing of held-out text.

    python3 train.py --kind switch|qwen --corpus corpus.jsonl.xz --out DIR --minutes 7.5 [--smoke]

switch: 12 MoE layers of 128 experts, top-1, no shared expert; the probability, not normalised, multiplies the
        expert's output, as in Switch Transformers. Decoder-only (Qwen3MoeConfig), so not T5's encoder and decoder.
qwen:   24 MoE layers of 60 experts, top-4, a shared expert behind a sigmoid gate, weights not normalised, as in
        Qwen1.5-MoE-A2.7B (Qwen2MoeConfig).
Both are narrower than their namesakes by far. Nothing is dropped: an expert takes every token routed to it.

Corpus: of corpus.py. Tokenizer: byte-level BPE of 8192 tokens, trained on the train split. Loss: cross entropy plus,
of each layer, 0.01 E sum_e f_e P_e (Switch Transformers, eq. 4; f_e: share of the layer's choices, P_e: mean
probability). Router in float32, the rest in bfloat16 autocast. AdamW, gradients clipped at 1, the learning rate on a
cosine over the time that is there. The weights of the lowest validation loss are kept.

Into DIR: NAME.h5, the trace (record.py; one pass over windows of held-out documents, whose routing is that of decoding
them step by step, since attention is causal), and NAME.json, what card.py prints.
"""
import argparse
import json
import lzma
import math
import os
import random
import sys
import time
import traceback

START = time.time()
import numpy as np
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from record import Recorder, moe_layers

NAMES = {"switch": "switch-style-128", "qwen": "qwen-style-60"}
VOCABULARY, WINDOW, AUXILIARY = 8192, 512, 0.01
WEIGHT_BITS = {"switch": 7, "qwen": 4}  # mantissa bits of recorded gate weights: within 0.4 and 3 %
MOST_BYTES = 4_500_000  # of a trace before its ids are numbered anew; the repository takes 5,000,000


def say(*words):
    print(f"[{time.time() - START:6.1f} s]", *words, flush=True)


def configuration(kind, smoke):
    shared = dict(vocab_size=VOCABULARY, hidden_size=384, num_attention_heads=6, num_key_value_heads=6,
                  max_position_embeddings=1024, tie_word_embeddings=True, norm_topk_prob=False,
                  decoder_sparse_step=1, mlp_only_layers=[], use_cache=False, bos_token_id=0, eos_token_id=0,
                  pad_token_id=None)
    if kind == "switch":
        return transformers.Qwen3MoeConfig(**shared, num_hidden_layers=2 if smoke else 12, head_dim=64,
                                           num_experts=128, num_experts_per_tok=1, moe_intermediate_size=192,
                                           intermediate_size=1024)
    return transformers.Qwen2MoeConfig(**shared, num_hidden_layers=2 if smoke else 24, num_experts=60,
                                       num_experts_per_tok=4, moe_intermediate_size=128,
                                       shared_expert_intermediate_size=512, intermediate_size=1024)


# Experts. transformers' own forward loops over experts or keeps float32; this one sorts the choices by expert and
# multiplies each expert's block by its bfloat16 weights.

def padded_mm(x, weight, ends):
    """x [n, in] sorted by expert, weight [E, in, out], ends int32 [E] -> [n, out], with batched products of equal,
    padded size."""
    counts = torch.diff(ends, prepend=ends.new_zeros(1)).long()
    rows = torch.arange(len(x), device=x.device)
    expert = torch.searchsorted(ends.long(), rows, right=True)
    most = int(counts.max())
    place = expert * most + rows - (ends.long() - counts)[expert]
    padded = x.new_zeros(len(weight) * most, x.shape[1]).index_copy(0, place, x)
    return torch.bmm(padded.view(len(weight), most, -1), weight).flatten(0, 1).index_select(0, place)


def grouped_mm(x, weight, ends):
    return torch._grouped_mm(x, weight, offs=ends)


def choose_mm(device):
    """grouped_mm where it runs and agrees with padded_mm, forwards and backwards; else padded_mm."""
    try:
        torch.manual_seed(0)
        ends = torch.tensor([5, 5, 37, 64], dtype=torch.int32, device=device)
        results = []
        for mm in (padded_mm, grouped_mm):
            torch.manual_seed(1)
            x = torch.randn(64, 384, device=device).bfloat16().requires_grad_()
            weight = torch.randn(4, 256, 384, device=device).mul(0.05).bfloat16().requires_grad_()
            out = mm(x, weight.transpose(-2, -1), ends)
            (out.float() ** 2).sum().backward()
            results.append((out.detach(), x.grad, weight.grad))
        for a, b in zip(*results):
            if not torch.allclose(a.float(), b.float(), atol=0.05 * a.float().abs().max().item() + 1e-6):
                raise ValueError("grouped_mm differs from padded_mm")
        say("experts: torch._grouped_mm")
        return grouped_mm
    except Exception as error:
        say("experts: padded batches, since", type(error).__name__, str(error).split("\n")[0][:200])
        return padded_mm


def use_sorted_experts(experts, mm):
    """Replaces the forward of fused experts (gate_up_proj [E, 2 I, H], down_proj [E, H, I])."""
    count, width = experts.gate_up_proj.shape[0], experts.gate_up_proj.shape[2]
    assert experts.gate_up_proj.shape[1] == 2 * experts.down_proj.shape[2] and experts.down_proj.shape[1] == width

    def forward(hidden, chosen, weights):
        top_k = chosen.shape[-1]
        order = chosen.reshape(-1).argsort()
        ends = torch.zeros(count, dtype=torch.int64, device=hidden.device).scatter_add_(
            0, chosen.reshape(-1), torch.ones_like(chosen.reshape(-1))).cumsum(0).to(torch.int32)
        token = order // top_k
        with torch.autocast(hidden.device.type, enabled=False):
            x = hidden.bfloat16().index_select(0, token)
            gate, up = mm(x, experts.gate_up_proj.bfloat16().transpose(-2, -1), ends).chunk(2, dim=-1)
            out = mm((F.silu(gate) * up).contiguous(), experts.down_proj.bfloat16().transpose(-2, -1), ends)
            out = out.float() * weights.reshape(-1).index_select(0, order)[:, None].float()
        return torch.zeros_like(hidden).index_add(0, token, out.to(hidden.dtype))

    experts.forward = forward


class Balance:
    """Runs a layer's router in float32 and keeps its balancing loss and load of the last forward pass."""

    def __init__(self, block, experts, top_k):
        self.loss, self.load = None, None
        gate, inner = block.gate, block.gate.forward

        def forward(hidden, *rest, **more):
            with torch.autocast(hidden.device.type, enabled=False):
                hidden = hidden.float()
                out = inner(hidden, *rest, **more)
                if torch.is_grad_enabled():
                    logits = F.linear(hidden.reshape(-1, hidden.shape[-1]), gate.weight.float())
                    chosen = [t for t in out if not t.is_floating_point()] if isinstance(out, tuple) else []
                    chosen = chosen[0] if chosen else logits.topk(top_k, dim=-1).indices
                    load = torch.zeros(experts, device=hidden.device).scatter_add_(
                        0, chosen.reshape(-1), torch.ones(chosen.numel(), device=hidden.device))
                    self.load = load / chosen.numel()
                    self.loss = experts * (self.load * logits.softmax(-1).mean(0)).sum()
            return out

        gate.forward = forward


def build(kind, smoke, device):
    """The model, its Balance of each layer, and its MoE layers."""
    config = configuration(kind, smoke)
    model = transformers.AutoModelForCausalLM.from_config(config).float()
    blocks = [block for _, block in moe_layers(model)]
    with torch.no_grad():  # not left to the version of transformers
        for block in blocks:
            block.gate.weight.normal_(0, 0.05)
            block.experts.gate_up_proj.normal_(0, 0.02)
            block.experts.down_proj.normal_(0, 0.02)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            say("initialised anew:", name)
            torch.nn.init.normal_(parameter, 0, 0.02)
    model.to(device)
    mm = choose_mm(device)
    for block in blocks:
        use_sorted_experts(block.experts, mm)
    return model, [Balance(block, config.num_experts, config.num_experts_per_tok) for block in blocks], blocks


def read_corpus(path, smoke):
    """{split: [(domain, group, text)]}"""
    out = {"train": [], "validation": [], "heldout": []}
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            out[entry["split"]].append((entry["domain"], entry["group"], entry["text"]))
    if smoke:
        shuffled = random.Random(0)
        for part in out.values():
            shuffled.shuffle(part)
            del part[60:]
    return out


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def encode(tokenizer, documents):
    """[[token id]] of each document, its end-of-text (0) last."""
    return [encoding.ids + [0] for encoding in tokenizer.encode_batch([text for _, _, text in documents])]


def windows_of(rows, most):
    """int64 [n, WINDOW + 1] of a stream of documents, at most `most`, evenly spread; None if it is too short."""
    stream = np.concatenate([np.array(row, np.int64) for row in rows])
    count = (len(stream) - 1) // WINDOW
    if count < 1:
        return None
    every = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) * WINDOW
    return torch.from_numpy(stream[every[:, None] + np.arange(WINDOW + 1)])


def loss_of(model, windows):
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def mean_loss(model, windows, device, batch=16):
    """nats a token"""
    was = model.training
    model.eval()
    total = 0.0
    for part in windows.split(batch):
        with torch.autocast(device.type, torch.bfloat16):
            total += loss_of(model, part.to(device)).item() * len(part)
    model.train(was)
    return total / len(windows)


def train(model, balances, ids, validation, device, until, batch, seed):
    """Until that time. Returns what the summary says of training."""
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    options = dict(lr=8e-4, betas=(0.9, 0.95), eps=1e-8)
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    try:
        optimizer = torch.optim.AdamW(groups, fused=device.type == "cuda", **options)
    except (RuntimeError, TypeError):
        optimizer = torch.optim.AdamW(groups, **options)
    generator = torch.Generator(device=device).manual_seed(seed)
    begin, step, tokens, best, best_at, kept = time.time(), 0, 0, math.inf, 0, None
    curve, last_print, last_check, printed_tokens, slowest_check = [], begin, begin, 0, 3.0
    budget = until - begin
    offsets = torch.arange(WINDOW + 1, device=device)
    model.train()

    def check():
        nonlocal best, best_at, kept, slowest_check
        at = time.time()
        value = mean_loss(model, validation, device)
        if value < best:
            best, best_at = value, step
            kept = {name: t.detach().clone() for name, t in model.state_dict().items()}
        slowest_check = max(slowest_check, time.time() - at)
        curve.append((round(time.time() - begin, 1), step, tokens, round(value, 4)))
        say(f"step {step}: validation loss {value:.4f}, best {best:.4f} at step {best_at}")

    while True:
        now = time.time()
        if now + slowest_check + 1 > until:
            break
        progress = (now - begin) / budget
        rate = 8e-4 * min(1, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        first = torch.randint(0, len(ids) - WINDOW - 1, (batch, 1), device=device, generator=generator)
        try:
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(model, ids[first + offsets].long())
            auxiliary = sum(balance.loss for balance in balances)
            (loss + AUXILIARY * auxiliary).backward()
        except torch.cuda.OutOfMemoryError:
            if batch <= 4:
                raise
            batch //= 2
            loss = auxiliary = None
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            say("out of memory; batch is now", batch)
            continue
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        tokens += batch * WINDOW
        if step in (1, 5, 20) or time.time() - last_print > 10:
            value, norm = loss.item(), norm.item()
            entropy = [-(b.load * b.load.clamp(min=1e-12).log2()).sum().item() for b in balances]
            speed = (tokens - printed_tokens) / (time.time() - last_print)
            say(f"step {step}: loss {value:.4f}, balance {auxiliary.item() / len(balances):.3f}, lr {rate:.1e}, "
                f"gradient {norm:.2f}, {speed:,.0f} tokens/s, entropy of load {min(entropy):.2f} to {max(entropy):.2f} "
                "bits")
            last_print, printed_tokens = time.time(), tokens
            if not math.isfinite(value):
                raise RuntimeError("the loss is not finite")
        if time.time() - last_check > max(15, budget / 20):
            check()
            last_check = time.time()
    check()
    if kept is not None:
        model.load_state_dict(kept)
    return {"steps": step, "batch_windows": batch, "window": WINDOW, "tokens_seen": tokens,
            "epochs": tokens / len(ids), "seconds": time.time() - begin, "best_step": best_at,
            "validation_loss": best, "validation_curve_s_step_tokens_loss": curve, "learning_rate": 8e-4}


def requests_of(rows, documents, shuffled):
    """[(domain, tokens, prompt tokens)]: windows of 256 to 512 tokens of held-out documents, a
    prompt of 32 to 128 of them; the domains take turns in random order, until one has no more."""
    by_domain = {}
    for tokens, (domain, _, _) in zip(rows, documents):
        first = 0
        while len(tokens) - first >= 256:
            length = shuffled.randint(256, 512)
            if len(tokens) - first >= length:
                by_domain.setdefault(domain, []).append(tokens[first:first + length])
            first += length
    for windows in by_domain.values():
        shuffled.shuffle(windows)
    out, domains = [], sorted(by_domain)
    for turn in range(min(map(len, by_domain.values()), default=0)):
        shuffled.shuffle(domains)
        out += [(domain, by_domain[domain][turn], shuffled.randint(32, 128)) for domain in domains]
    return out


def record_heldout(model, kind, requests, path, source, device):
    """Writes the trace; stops before it grows beyond MOST_BYTES. Returns the number of requests."""
    model.eval()
    done = 0
    about = f"train.py, transformers {transformers.__version__}, torch {torch.__version__}"
    with Recorder(model, path, weight_bits=WEIGHT_BITS[kind], model_name="specmoe/" + NAMES[kind], source=source,
                  licence="CC0-1.0", recorder=about) as recorder:
        while done < len(requests):
            batch = requests[done:done + 4]
            tokens = sum(len(row) for _, row, _ in batch)
            if done and recorder.writer.size() * (1 + tokens / recorder.writer.rows) > MOST_BYTES:
                break
            with torch.autocast(device.type, torch.bfloat16):
                recorder.teacher_force([row for _, row, _ in batch], [prompt for _, _, prompt in batch],
                                       [domain for domain, _, _ in batch])
            done += len(batch)
    return done


def number_anew(path):
    """Exchanges the trace's token ids by a permutation that nobody keeps: equal ids are equal tokens, and no more."""
    import h5py
    with h5py.File(path, "r+") as file:
        file["token_ids"][:] = np.random.default_rng().permutation(VOCABULARY).astype(np.int32)[file["token_ids"][:]]


def routing_summary(path, experts):
    """Of a trace: entropy of load (bits), overlap of consecutive tokens (share of top-k) and what chance would give,
    by layer."""
    import h5py
    with h5py.File(path) as file:
        chosen, first = file["experts"][:], file["requests/first_token"][:]
        prompt, decode = file["requests/prefill_rows"][:], file["requests/decode_rows"][:]
    rows, layers, top_k = chosen.shape
    follows = np.ones(rows, bool)
    follows[first] = False
    entropy, overlap, chance = [], [], []
    for layer in range(layers):
        load = np.bincount(chosen[:, layer].ravel(), minlength=experts) / (rows * top_k)
        entropy.append(float(-(load[load > 0] * np.log2(load[load > 0])).sum()))
        same = (chosen[1:, layer, :, None] == chosen[:-1, layer, None, :]).sum((1, 2)) / top_k
        overlap.append(float(same[follows[1:]].mean()))
        chance.append(float((load ** 2).sum() * top_k))
    return {"tokens": rows, "requests": len(first), "prefill_rows": int(prompt.sum()), "decode_rows": int(decode.sum()),
            "entropy_bits": entropy, "overlap": overlap, "overlap_by_chance": chance, "bytes": os.path.getsize(path)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kind", required=True, choices=NAMES)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=7.5, help="for the whole program")
    parser.add_argument("--batch", type=int, default=32, help="windows of 512 tokens")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="two layers, a little text, seconds: the way, no result")
    arguments = parser.parse_args()
    kind, smoke, name = arguments.kind, arguments.smoke, NAMES[arguments.kind]
    minutes = min(arguments.minutes, 0.5) if smoke else arguments.minutes
    os.makedirs(arguments.out, exist_ok=True)
    torch.manual_seed(arguments.seed)
    random.seed(arguments.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    say(f"{name} on {gpu}, torch {torch.__version__}, transformers {transformers.__version__}")

    corpus = read_corpus(arguments.corpus, smoke)
    tokenizer = make_tokenizer([text for _, _, text in corpus["train"]])
    rows = {part: encode(tokenizer, documents) for part, documents in corpus.items()}
    lengths = {part: sum(map(len, some)) for part, some in rows.items()}
    say("tokens:", lengths)
    order = list(range(len(rows["train"])))
    random.shuffle(order)
    stream = np.concatenate([np.array(rows["train"][i], np.int32) for i in order])
    ids = torch.from_numpy(stream).to(device)
    validation = windows_of(random.Random(arguments.seed).sample(rows["validation"], len(rows["validation"])),
                            8 if smoke else 96)

    model, balances, blocks = build(kind, smoke, device)
    config = model.config
    total = sum(p.numel() for p in model.parameters())
    routed = sum(p.numel() for block in blocks for p in block.experts.parameters())
    active = total - routed + routed * config.num_experts_per_tok // config.num_experts
    say(f"{total / 1e6:.1f} M parameters, {active / 1e6:.1f} M active")
    end = START + 60 * minutes
    reserve = (end - time.time()) * 0.4 if smoke else 55  # s, for held-out loss and recording
    trained = train(model, balances, ids, validation, device, end - reserve, 2 if smoke else arguments.batch,
                    arguments.seed)

    heldout, weighted, count = {}, 0.0, 0
    for domain in sorted({domain for domain, _, _ in corpus["heldout"]}):
        some = windows_of([row for row, (d, _, _) in zip(rows["heldout"], corpus["heldout"]) if d == domain],
                          2 if smoke else 192)
        if some is not None:
            heldout[domain] = {"loss": mean_loss(model, some, device), "tokens": some.shape[0] * WINDOW}
            heldout[domain]["perplexity"] = math.exp(heldout[domain]["loss"])
            weighted, count = weighted + heldout[domain]["loss"] * len(some), count + len(some)
            say(f"held-out loss, {domain}: {heldout[domain]['loss']:.4f}")
    training_windows = windows_of([stream], 8 if smoke else 96)
    summary = {
        "name": name, "kind": kind, "smoke": smoke, "parameters": total, "active_parameters": active,
        "shape": {key: getattr(config, key) for key in (
            "hidden_size", "num_hidden_layers", "num_attention_heads", "num_experts", "num_experts_per_tok",
            "moe_intermediate_size", "vocab_size")},
        "shared_intermediate_size": getattr(config, "shared_expert_intermediate_size", 0) if kind == "qwen" else 0,
        "corpus_tokens": lengths, "training": trained, "balancing": AUXILIARY, "dropped_tokens": "none",
        "train_loss": mean_loss(model, training_windows, device),
        "heldout_loss": weighted / count, "heldout_perplexity": math.exp(weighted / count), "heldout": heldout,
        "weight_mantissa_bits": WEIGHT_BITS[kind], "seed": arguments.seed, "gpu": gpu, "minutes": minutes,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                     "numpy": np.__version__}}
    write = lambda: json.dump(summary, open(os.path.join(arguments.out, name + ".json"), "w"), indent=1)
    write()  # so that it is there even if recording fails

    requests = requests_of(rows["heldout"], corpus["heldout"], random.Random(arguments.seed))
    requests = requests[:8] if smoke else requests
    path = os.path.join(arguments.out, name + ".h5")
    done = record_heldout(model, kind, requests, path, "held-out text of Debian packages; models/moe/traces/README.md",
                          device)
    number_anew(path)
    summary["routing"] = routing_summary(path, config.num_experts)
    summary["routing"]["requests_at_hand"] = len(requests)
    summary["total_seconds"] = time.time() - START
    write()
    routing = summary["routing"]
    say(f"{path}: {done} requests, {routing['tokens']} tokens, {routing['bytes']:,} bytes, entropy "
        f"{min(routing['entropy_bits']):.2f} to {max(routing['entropy_bits']):.2f} of "
        f"{math.log2(config.num_experts):.2f} bits, overlap {np.mean(routing['overlap']):.3f}, by chance "
        f"{np.mean(routing['overlap_by_chance']):.3f}")
    if routing["bytes"] >= 5_000_000:
        say("TOO LARGE for the repository")


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        say("failed")
        sys.exit(1)
