#!/usr/bin/env python3
"""Records which experts a Hugging Face MoE model routes its tokens to, into a "specmoe-trace" HDF5 file.

As a program (see --help):

    python3 record.py --model Qwen/Qwen1.5-MoE-A2.7B --texts prompts.txt --out trace.h5 --batch 8 --new-tokens 128

As a library:

    with Recorder(model, "trace.h5", hidden=True) as recorder:
        recorder.generate([[5, 8, 2], [7, 1]], new_tokens=128, labels=["chat", "code"])    # prefill, then decoding
        recorder.teacher_force([[5, 8, 2, 9, 4]], prompt_tokens=[2])                       # one pass over known tokens

The layout of the file stands at the top of models/moe/routing/routing_trace.hpp. A row is one token that the model
processed. Rows of a request are contiguous, in order of position: its prompt (prefill), then the tokens fed after it
(decode). Padding is dropped. The last generated token is never fed, so n generated tokens are n - 1 decode rows; what
follows an end-of-sequence token is dropped with it. Where attention is causal, teacher_force() over prompt and
continuation gives the rows of decoding step by step; record_test.py checks that.

How. A MoE layer is a module with a child `experts`. Where the experts are one module (transformers 5, and the fused
ones of 4), what they are called with is recorded: hidden states [row, width], chosen experts [row, rank] and gate
weights [row, rank] (or [row, expert]), exactly as the model applies them, whatever its router is like. Where they are
a plain list (transformers 4), the output of the child `gate` or `router` is read: chosen experts with their weights,
or logits alone, to which softmax, top-k and, unless norm_topk_prob is false, normalisation are applied.
Ranks are by descending weight. A token that a Switch router drops for its expert's capacity is -1.

Encoder-decoder models (Switch, NLLB-MoE): layers count the encoder's, then the decoder's. Prompt tokens go through
the encoder: they are the prefill rows, -1 in the decoder's layers. Tokens fed to the decoder, its start token first,
are the decode rows, -1 in the encoder's layers; n generated tokens are n of them.

Memory: the rows of one batch, and a chunk of the file. Needs numpy and h5py, and to record also torch (2.0 or later);
transformers for the program alone.
"""
import argparse
import json
import os
import sys

import h5py
import numpy as np

try:
    import torch
except ImportError:  # the writer works without
    torch = None


class RecordingError(Exception):
    """What the user can mend, in one line."""


class TraceWriter:
    """Writes a "specmoe-trace" request by request, compressed, a chunk of rows at a time.

    The file appears at close(); until then it is `file`.unfinished, which abandon() removes.
    weight_bits: mantissa bits that gate weights keep, of 23; 7 is bfloat16's precision and shrinks files.
    """
    CHUNK_BYTES = 400_000  # below HDF5's chunk cache of 1 MiB, so that readers unpack a chunk once

    def __init__(self, file, layers, experts, top_k, *, width=0, weight_bits=23, model="", source="", licence="",
                 recorder="models/moe/recording/record.py"):
        self.path, self.weight_bits, self.rows = str(file), weight_bits, 0
        self.file = h5py.File(self.path + ".unfinished", "w")
        self.requests, self.pending = [], []
        self.data = {}
        self._dataset("experts", np.int16, (layers, top_k))
        self._dataset("weights", np.float32, (layers, top_k))
        self._dataset("token_ids", np.int32, ())
        if width:
            self._dataset("hidden", np.float16, (layers, width))
        attributes = {"format": "specmoe-trace", "version": 1, "layers": layers, "experts": experts, "top_k": top_k,
                      "model": model, "source": source, "licence": licence, "recorder": recorder,
                      "created_by": "record.py"}
        for name, value in attributes.items():
            self.file.attrs[name] = value if isinstance(value, str) else np.int64(value)

    def _dataset(self, name, dtype, shape):
        row = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        rows = max(16, min(4096, self.CHUNK_BYTES // row))
        self.data[name] = self.file.create_dataset(name, (0, *shape), dtype, chunks=(rows, *shape),
                                                   maxshape=(None, *shape), compression="gzip",
                                                   compression_opts=9, shuffle=True)

    def add(self, experts, weights, token_ids, prompt_tokens, prefill_rows, label="", hidden=None):
        """One request: experts int16 [row, layer, rank], weights float32 of the same shape, token_ids int32 [row],
        hidden float16 [row, layer, width] if the file has them."""
        rows = len(token_ids)
        self.requests.append((self.rows, prompt_tokens, prefill_rows, rows - prefill_rows, label))
        self.rows += rows
        part = {"experts": experts, "weights": rounded(weights, self.weight_bits), "token_ids": token_ids}
        if "hidden" in self.data:
            part["hidden"] = hidden
        for name, values in part.items():
            expected = (rows, *self.data[name].shape[1:])
            if np.shape(values) != expected:
                raise ValueError(f"{name} has the shape {np.shape(values)}, expected {expected}")
        self.pending.append(part)
        if sum(len(p["token_ids"]) for p in self.pending) >= 4096:
            self._write()

    def _write(self):
        for name, data in self.data.items():
            values = [part[name] for part in self.pending]
            if values:
                first = len(data)
                data.resize(first + sum(map(len, values)), axis=0)
                data[first:] = np.concatenate(values)
        self.pending = []

    def size(self):
        """Bytes on disk so far, about: what is not yet written is taken to compress like the rest."""
        self.file.flush()
        stored = sum(data.id.get_storage_size() for data in self.data.values())
        written = len(self.data["token_ids"])
        return stored * self.rows / written if written else 0

    def close(self):
        self._write()
        columns = list(zip(*self.requests))
        if not self.rows:
            self.abandon()
            raise RecordingError(f"{self.path}: nothing was recorded")
        for name, values in zip(("first_token", "prompt_tokens", "prefill_rows", "decode_rows"), columns):
            self.file["requests/" + name] = np.array(values, np.int64)
        if any(columns[4]):
            self.file.create_dataset("requests/label", data=list(columns[4]), dtype=h5py.string_dtype())
        self.file.close()
        os.replace(self.path + ".unfinished", self.path)

    def abandon(self):
        self.file.close()
        os.remove(self.path + ".unfinished")


def rounded(weights, bits):
    """float32 with so many bits of mantissa, to nearest."""
    weights = np.ascontiguousarray(weights, np.float32)
    if bits >= 23:
        return weights
    drop = 23 - bits
    raw = weights.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (raw & np.uint32((0xFFFFFFFF << drop) & 0xFFFFFFFF)).view(np.float32)


def moe_layers(model):
    """[(name, module)] of the layers with experts, in the order in which the model holds them."""
    found = [(name, module) for name, module in model.named_modules()
             if isinstance(getattr(module, "experts", None), torch.nn.Module)]
    if not found:
        raise RecordingError(f"{type(model).__name__} is not a MoE model that can be recorded: "
                             "no module has a child named `experts`")
    return found


def expert_count(block, config):
    """Routed experts of a MoE layer."""
    for holder, names in ((block.experts, ("num_experts",)),
                          (config, ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"))):
        for name in names:
            if isinstance(getattr(holder, name, None), int):
                return getattr(holder, name)
    return len(block.experts)


def top_k_of(chosen, weights, experts):
    """Chosen experts and their weights, by descending weight: int64 [row, rank], -1 = not routed; float32 [row, rank].

    chosen: integers [..., rank], or one-hot [..., expert] of a top-1 router (all zero = dropped).
    weights: [..., rank] or [..., expert].
    """
    if chosen.shape[-1] == experts and weights.shape[-1] == 1 and experts > 1:  # one-hot
        chosen = chosen.reshape(-1, experts)
        dropped = ~chosen.bool().any(-1, keepdim=True)
        chosen = chosen.int().argmax(-1, keepdim=True).masked_fill(dropped, -1)
        weights = weights.reshape(-1, 1).float().masked_fill(dropped, 0)
        return chosen, weights
    chosen = chosen.reshape(-1, chosen.shape[-1]).long()
    weights = weights.reshape(-1, weights.shape[-1]).float()
    if weights.shape != chosen.shape:
        weights = weights.gather(-1, chosen.clamp(max=experts - 1))
    weights, order = weights.sort(dim=-1, descending=True, stable=True)
    chosen = chosen.gather(-1, order)
    return chosen.masked_fill(chosen >= experts, -1), weights  # above: marks of expert parallelism


def of_router(output, experts, top_k, normalise):
    """top_k_of() what a router returned: a tuple with chosen experts and weights, or logits [..., expert]."""
    tensors = [value for value in (output if isinstance(output, (tuple, list)) else (output,))
               if torch.is_tensor(value) and value.dim() > 1]
    chosen = next((value for value in tensors if not value.is_floating_point()), None)
    if chosen is not None:
        weights = [value for value in tensors if value.is_floating_point() and value.shape[:-1] == chosen.shape[:-1]]
        if weights:
            return top_k_of(chosen, min(weights, key=lambda value: value.shape[-1]), experts)
    logits = next((value for value in tensors if value.is_floating_point() and value.shape[-1] == experts), None)
    if logits is None:
        raise RecordingError("a router returned neither chosen experts with weights nor logits")
    weights, chosen = logits.float().softmax(-1).topk(top_k, dim=-1)
    return top_k_of(chosen, weights / weights.sum(-1, keepdim=True) if normalise else weights, experts)


class Recorder:
    """Records a model's routing into a trace; a context manager, whose end completes the file (an exception in it
    removes it). Call model.eval() first.

    hidden: also the hidden states that each router and its experts see, /hidden float16 [token, layer, width].
    weight_bits, model_name, source, licence, recorder: as TraceWriter's; source is where the texts are from.
    """

    def __init__(self, model, file, *, hidden=False, weight_bits=23, model_name="", source="", licence="",
                 recorder="models/moe/recording/record.py"):
        self.model, self.path, self.hidden = model, file, hidden
        self.about = {"weight_bits": weight_bits, "source": source, "licence": licence, "recorder": recorder,
                      "model": model_name or getattr(model.config, "_name_or_path", "") or model.config.model_type}
        self.two_towers = bool(getattr(model.config, "is_encoder_decoder", False))
        self.blocks = moe_layers(model)
        counts = {expert_count(block, model.config) for _, block in self.blocks}
        if len(counts) > 1:
            raise RecordingError(f"the layers have different numbers of experts: {sorted(counts)}")
        self.experts = counts.pop()
        self.in_encoder = [self.two_towers and "encoder" in name.split(".") for name, _ in self.blocks]
        self.calls = [[] for _ in self.blocks]  # by layer: (experts, weights, hidden or None) of each call, on the CPU
        self.writer, self.handles = None, []

    def __enter__(self):
        for layer, (_, block) in enumerate(self.blocks):
            if type(block.experts) in (torch.nn.ModuleList, torch.nn.ModuleDict):
                router = next((getattr(block, name) for name in ("gate", "router")
                               if isinstance(getattr(block, name, None), torch.nn.Module)), None)
                if router is None:
                    raise RecordingError(f"{self.blocks[layer][0]} has no child named `gate` or `router`")
                self.handles.append(router.register_forward_hook(self._after_router(layer, block)))
            else:
                self.handles.append(block.experts.register_forward_pre_hook(self._before_experts(layer),
                                                                            with_kwargs=True))
        return self

    def __exit__(self, error, *_):
        for handle in self.handles:
            handle.remove()
        if self.writer is None:
            if error is None:
                raise RecordingError(f"{self.path}: nothing was recorded")
        elif error is None:
            self.writer.close()
        else:
            self.writer.abandon()

    def _before_experts(self, layer):
        def hook(module, args, kwargs):
            tensors = [value for value in (*args, *kwargs.values()) if torch.is_tensor(value)]
            chosen = [value for value in tensors if not value.is_floating_point()]
            floats = [value for value in tensors if value.is_floating_point()]
            if len(chosen) != 1 or len(floats) != 2:
                raise RecordingError(f"{self.blocks[layer][0]}.experts takes {len(tensors)} tensors; expected hidden "
                                     "states, chosen experts and gate weights")
            self._keep(layer, *top_k_of(chosen[0], floats[1], self.experts), floats[0])
        return hook

    def _after_router(self, layer, block):
        config = self.model.config
        normalise = getattr(block, "norm_topk_prob", getattr(config, "norm_topk_prob", True))  # Mixtral: always
        top_k = getattr(block, "top_k", getattr(config, "num_experts_per_tok", 1))

        def hook(module, args, output):
            self._keep(layer, *of_router(output, self.experts, top_k, normalise), args[0])
        return hook

    def _keep(self, layer, chosen, weights, hidden):
        states = None
        if self.hidden:
            most = torch.finfo(torch.float16).max
            states = hidden.detach().reshape(-1, hidden.shape[-1]).clamp(-most, most).to(torch.float16).cpu().numpy()
        self.calls[layer].append((chosen.detach().to(torch.int16).cpu().numpy(),
                                  weights.detach().cpu().numpy().astype(np.float32), states))

    def generate(self, prompts, new_tokens, labels=None, **options):
        """Decodes greedily (options go to model.generate) from prompts [[token id]]. Returns [[generated token id]],
        the end-of-sequence token included."""
        for calls in self.calls:
            calls.clear()
        pad = self._token("pad_token_id") or 0
        ids, mask = self._padded(prompts, pad, left=not self.two_towers)
        with torch.no_grad():
            out = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens,
                                      **{"do_sample": False, "num_beams": 1, "use_cache": True, "pad_token_id": pad,
                                         **options})
        out = getattr(out, "sequences", out).cpu().numpy()
        ends = options.get("eos_token_id", getattr(self.model.generation_config, "eos_token_id", None))
        ends = [] if ends is None else np.atleast_1d(ends)
        made = out[:, 1 if self.two_towers else ids.shape[1]:]
        lengths = [next((i + 1 for i, token in enumerate(row) if token in ends), len(row)) for row in made]
        fed = out[:, :-1] if self.two_towers else made[:, :-1]  # [request, step] tokens fed one by one
        steps = [length if self.two_towers else length - 1 for length in lengths]

        def shaped(rows, layer):  # -> prompts [request, position, n], steps [request, step, n]
            count = 0 if self.two_towers and not self.in_encoder[layer] else ids.numel()
            later = 0 if self.in_encoder[layer] else fed.size
            if len(rows) != count + later:
                raise RecordingError(f"{self.blocks[layer][0]} saw {len(rows)} rows; expected {count + later}")
            batch = len(prompts)
            return (rows[:count].reshape(batch, -1, rows.shape[-1]) if count else None,
                    rows[count:].reshape(-1, batch, rows.shape[-1]).swapaxes(0, 1) if later else None)

        self._write(prompts, mask.bool().cpu().numpy(), [row[:n] for row, n in zip(fed, steps)], labels, shaped)
        return [row[:length].tolist() for row, length in zip(made, lengths)]

    def teacher_force(self, sequences, prompt_tokens, labels=None):
        """One pass over sequences [[token id]]; of each the first prompt_tokens [request] are prefill rows, the rest
        decode rows. In an encoder-decoder the rest is what the decoder has generated."""
        for calls in self.calls:
            calls.clear()
        prompts = [row[:count] for row, count in zip(sequences, prompt_tokens)]
        later = [row[count:] for row, count in zip(sequences, prompt_tokens)]
        inputs = {}
        if self.two_towers:
            start = self._token("decoder_start_token_id") or 0
            later = [[start, *row[:-1]] if row else [] for row in later]
            inputs["decoder_input_ids"], _ = self._padded([row or [start] for row in later], start)
        ids, mask = self._padded(prompts if self.two_towers else sequences, 0)
        body = self.model if self.two_towers else getattr(self.model, "base_model", self.model)
        with torch.no_grad():
            body(input_ids=ids, attention_mask=mask, use_cache=False, **inputs)
        mask, batch = mask.bool().cpu().numpy(), len(sequences)

        def shaped(rows, layer):
            decoder = self.two_towers and not self.in_encoder[layer]
            expected = inputs["decoder_input_ids"].numel() if decoder else ids.numel()
            if len(rows) != expected:
                raise RecordingError(f"{self.blocks[layer][0]} saw {len(rows)} rows; expected {expected}")
            rows = rows.reshape(batch, -1, rows.shape[-1])
            if self.two_towers:
                return (None, rows) if decoder else (rows, None)
            most = max(map(len, later))  # the tokens after each prompt, to the left
            after = np.zeros((batch, most, rows.shape[-1]), rows.dtype)
            for one, begin, tokens in zip(range(batch), prompt_tokens, later):
                after[one, :len(tokens)] = rows[one, begin:begin + len(tokens)]
            return rows, after

        if not self.two_towers:
            mask = np.arange(mask.shape[1]) < np.array(prompt_tokens)[:, None]
        self._write(prompts, mask, later, labels, shaped)

    def _token(self, name):
        """A token id that the model's configuration or that of its generation names, or None."""
        return getattr(self.model.config, name, getattr(getattr(self.model, "generation_config", None), name, None))

    def _padded(self, rows, pad, left=False):
        """[[token id]] -> ids and mask, int64 [row, longest]."""
        if not rows or not all(map(len, rows)):
            raise RecordingError("a request without tokens")
        longest, device = max(map(len, rows)), next(self.model.parameters()).device
        ids = torch.full((len(rows), longest), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            place = slice(longest - len(row), None) if left else slice(len(row))
            ids[i, place] = torch.as_tensor(row, dtype=torch.long)
            mask[i, place] = 1
        return ids.to(device), mask.to(device)

    def _write(self, prompts, mask, later, labels, shaped):
        """Puts the calls' rows together by request. mask [request, position]: the prompt's positions; later:
        [[token id]] of the decode rows; shaped(rows, layer): [row, n] -> by request, prompt and decode rows."""
        silent = [name for (name, _), calls in zip(self.blocks, self.calls) if not calls]
        if silent:
            raise RecordingError(f"{silent[0]} was never called through its module, so that its hook heard nothing")
        kinds = []  # chosen experts, weights, hidden states: [layer] of (prompt rows, decode rows)
        for kind in range(3 if self.hidden else 2):
            kinds.append([shaped(np.concatenate([call[kind] for call in calls]), layer)
                          for layer, calls in enumerate(self.calls)])
        sizes = {self.calls[layer][0][0].shape[1] for layer in range(len(self.blocks))}
        if len(sizes) > 1:
            raise RecordingError(f"the layers have different top-k: {sorted(sizes)}")
        if self.writer is None:
            width = self.calls[0][0][2].shape[1] if self.hidden else 0
            self.writer = TraceWriter(self.path, len(self.blocks), self.experts, sizes.pop(), width=width, **self.about)
        for calls in self.calls:
            calls.clear()
        for i, prompt in enumerate(prompts):
            rows = len(prompt) + len(later[i])
            out = []
            for layers, empty in zip(kinds, (-1, 0, 0)):
                some = next(part for layer in layers for part in layer if part is not None)
                values = np.full((rows, len(layers), some.shape[-1]), empty, some.dtype)
                for layer, (first, second) in enumerate(layers):
                    if first is not None:
                        values[:len(prompt), layer] = first[i][mask[i]]
                    if second is not None:
                        values[len(prompt):, layer] = second[i][:len(later[i])]
                out.append(values)
            tokens = np.array([*prompt, *later[i]], np.int32)
            self.writer.add(out[0], out[1], tokens, len(prompt), len(prompt), labels[i] if labels else "",
                            out[2] if self.hidden else None)


def read_texts(path):
    """[(text, label)]: a .txt has one a line; a .jsonl {"text" or "prompt": ..., "label": ... (optional)} a line."""
    out = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if path.endswith((".jsonl", ".json")):
                try:
                    entry = json.loads(line)
                    out.append((entry["text"] if "text" in entry else entry["prompt"], entry.get("label", "")))
                except (ValueError, KeyError, TypeError):
                    raise RecordingError(f'{path}:{number}: no JSON object with "text" or "prompt"') from None
            else:
                out.append((line.rstrip("\n"), ""))
    if not out:
        raise RecordingError(f"{path}: holds no text")
    return out


def record(arguments):
    import transformers
    texts = read_texts(arguments.texts)
    config = transformers.AutoConfig.from_pretrained(arguments.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    place = {"device_map": "auto"} if arguments.device == "auto" else {}
    model = kind.from_pretrained(arguments.model, dtype="auto", **place).eval()
    if not place:
        model.to(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    about = f"record.py, transformers {transformers.__version__}, torch {torch.__version__}"
    with Recorder(model, arguments.out, hidden=arguments.hidden, weight_bits=arguments.weight_bits,
                  model_name=arguments.model, source=arguments.source or os.path.basename(arguments.texts),
                  licence=arguments.licence, recorder=about) as recorder:
        for first in range(0, len(texts), arguments.batch):
            batch = texts[first:first + arguments.batch]
            most = arguments.prompt_tokens + (arguments.new_tokens if arguments.teacher_forced else 0)
            rows = [tokenizer(text, truncation=True, max_length=most)["input_ids"] for text, _ in batch]
            labels = [label for _, label in batch]
            if arguments.teacher_forced:
                recorder.teacher_force(rows, [max(1, min(len(row) // 4, arguments.prompt_tokens)) for row in rows],
                                       labels)
            else:
                recorder.generate(rows, arguments.new_tokens, labels)
            print(f"{first + len(batch)} of {len(texts)} requests, {recorder.writer.rows} tokens", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Records a Hugging Face MoE model's routing.")
    parser.add_argument("--model", required=True, help="folder or name on the Hugging Face hub")
    parser.add_argument("--texts", required=True, help=read_texts.__doc__)
    parser.add_argument("--out", required=True, help="the trace, .h5")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=512, help="a prompt is cut to so many (default 512)")
    parser.add_argument("--new-tokens", type=int, default=128, help="decoded a request (default 128)")
    parser.add_argument("--teacher-forced", action="store_true", help="one pass over the texts, cut to prompt and new "
                        "tokens; the first quarter counts as the prompt")
    parser.add_argument("--hidden", action="store_true", help="also the hidden states before each router")
    parser.add_argument("--weight-bits", type=int, default=23, help="mantissa bits of gate weights, 7 as bfloat16")
    parser.add_argument("--device", default="", help="cuda, cpu, auto (several devices); default: cuda if there is one")
    parser.add_argument("--source", default="", help="where the texts are from; stands in the trace")
    parser.add_argument("--licence", default="")
    arguments = parser.parse_args()
    try:
        if torch is None:
            raise RecordingError("torch is not installed")
        record(arguments)
    except (RecordingError, OSError, ImportError, ValueError) as error:
        print("record.py: " + str(error).strip().split("\n")[0], file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
