#!/usr/bin/env python3
"""Tests of record.py.

record_test.py                  with torch and transformers: tiny random models of each architecture, on the CPU
record_test.py lists            with torch alone: models whose experts are plain lists, as in transformers 4
record_test.py writer SPECMOE   with numpy and h5py alone: what TraceWriter writes, `SPECMOE trace info` reads

Exit status 77, which ctest reports as skipped, where what is needed is not installed.
"""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
MODE = sys.argv[1] if len(sys.argv) > 1 else "models"
try:
    import h5py
    import numpy as np
    if MODE != "writer":
        import torch
        if "with_kwargs" not in torch.nn.Module.register_forward_pre_hook.__code__.co_varnames:
            raise ImportError("torch is older than 2.0")
    if MODE == "models":
        import transformers
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)
from record import Recorder, RecordingError, TraceWriter, moe_layers, rounded

PROMPTS = [[5, 9, 3, 7, 2], [11, 4, 8, 6, 3, 17, 21, 5, 9], [31, 2, 44, 18, 7, 60, 13]]


class Trace:
    """A whole trace in memory."""

    def __init__(self, path):
        with h5py.File(path) as file:
            self.attributes = dict(file.attrs)
            self.experts, self.weights, self.tokens = file["experts"][:], file["weights"][:], file["token_ids"][:]
            self.hidden = file["hidden"][:].astype(np.float32) if "hidden" in file else None
            requests = file["requests"]
            self.first, self.prompt, self.prefill, self.decode = (
                requests[name][:].tolist() for name in ("first_token", "prompt_tokens", "prefill_rows", "decode_rows"))
            self.labels = [t.decode() for t in requests["label"][:]] if "label" in requests else []

    def rows(self, request):
        return slice(self.first[request], self.first[request] + self.prefill[request] + self.decode[request])


def shared(**more):
    return dict(vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                max_position_embeddings=128, bos_token_id=0, eos_token_id=None, pad_token_id=None, **more)


def configurations():
    """name: (makes the configuration, MoE layers, experts, top-k, score, normalised)"""
    t = transformers
    deepseek = dict(moe_intermediate_size=16, intermediate_size=48, n_routed_experts=8, num_experts_per_tok=3,
                    n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1, kv_lora_rank=16,
                    qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8, head_dim=8)
    wide = {**shared(), "num_key_value_heads": 4}
    return {
        "mixtral": (lambda: t.MixtralConfig(**shared(intermediate_size=48, num_local_experts=8, num_experts_per_tok=2)),
                    3, 8, 2, "softmax", True),
        "qwen2": (lambda: t.Qwen2MoeConfig(**shared(num_experts=8, num_experts_per_tok=4, moe_intermediate_size=16,
                                            shared_expert_intermediate_size=32, intermediate_size=48)),
                  3, 8, 4, "softmax", False),
        "qwen3": (lambda: t.Qwen3MoeConfig(**shared(num_experts=16, num_experts_per_tok=2, moe_intermediate_size=16,
                                            head_dim=8, intermediate_size=48, mlp_only_layers=[1], norm_topk_prob=True)),
                  2, 16, 2, "softmax", True),
        "olmoe": (lambda: t.OlmoeConfig(**shared(num_experts=8, num_experts_per_tok=3, intermediate_size=16)),
                  3, 8, 3, "softmax", False),
        "deepseek-v2": (lambda: t.DeepseekV2Config(**wide, **deepseek, q_lora_rank=None, topk_method="greedy",
                                           norm_topk_prob=False, routed_scaling_factor=1.0),
                        2, 8, 3, "softmax", False),
        "deepseek-v3": (lambda: t.DeepseekV3Config(**wide, **deepseek, q_lora_rank=16, norm_topk_prob=True,
                                           routed_scaling_factor=1.0),
                        2, 8, 3, "sigmoid", True),
        "gpt-oss": (lambda: t.GptOssConfig(**shared(num_local_experts=8, num_experts_per_tok=2, intermediate_size=32,
                                            head_dim=8, sliding_window=16)),
                    3, 8, 2, "softmax", True),
        "switch": (lambda: t.SwitchTransformersConfig(
            vocab_size=97, d_model=32, d_kv=8, d_ff=48, num_layers=4, num_decoder_layers=4, num_heads=4, num_experts=8,
            num_sparse_encoder_layers=2, num_sparse_decoder_layers=2, expert_capacity=64, decoder_start_token_id=0,
            pad_token_id=0, eos_token_id=None), 4, 8, 1, "softmax", False),
    }


def tiny(config):
    """A random model in float32, its routers spread so that no two experts are nearly as good."""
    torch.manual_seed(3)
    kind = (transformers.AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False)
            else transformers.AutoModelForCausalLM)
    model = kind.from_config(config).float().eval()
    model.generation_config.eos_token_id = None
    with torch.no_grad():
        for _, block in moe_layers(model):
            for name, parameter in router_of(block).named_parameters():
                parameter.normal_(0, 0.5 if "weight" in name else 0.1)
            for parameter in block.experts.parameters():
                parameter.normal_(0, 0.1)
    return model


def router_of(block):
    return block.router if hasattr(block, "router") else block.gate


def expected(block, hidden, top_k, score, normalised):
    """Chosen experts and weights from hidden states and the router's parameters alone, and the scores."""
    tensors = {name.split(".")[-1]: value.detach().float() for name, value in router_of(block).state_dict().items()}
    logits = torch.from_numpy(hidden) @ tensors["weight"].T + tensors.get("bias", 0)
    scores = logits.sigmoid() if score == "sigmoid" else logits.softmax(-1)
    choice = scores + tensors.get("e_score_correction_bias", 0)
    chosen = choice.topk(top_k, dim=-1).indices
    weights = scores.gather(-1, chosen)
    weights = weights / weights.sum(-1, keepdim=True) if normalised else weights
    order = weights.argsort(dim=-1, descending=True)
    return chosen.gather(-1, order).numpy(), weights.gather(-1, order).numpy(), scores.numpy()


class Temporary(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)


class Models(Temporary):
    def check(self, name):
        config, layers, experts, top_k, score, normalised = configurations()[name]
        model, towers = tiny(config()), name == "switch"
        with Recorder(model, self.path("all.h5"), hidden=True) as recorder:
            made = recorder.generate(PROMPTS, 6, labels=["a", "b", "c"])
        trace = Trace(self.path("all.h5"))
        steps = 6 if towers else 5  # the last generated token is never fed
        self.assertEqual([len(row) for row in made], [6, 6, 6])
        self.assertEqual((trace.prompt, trace.prefill, trace.decode), ([5, 9, 7], [5, 9, 7], [steps] * 3))
        self.assertEqual(trace.labels, ["a", "b", "c"])
        self.assertEqual(trace.experts.shape, (21 + 3 * steps, layers, top_k))
        self.assertEqual(trace.attributes["experts"], experts)
        for i, prompt in enumerate(PROMPTS):
            later = [0, *made[i][:5]] if towers else made[i][:5]
            self.assertEqual(trace.tokens[trace.rows(i)].tolist(), [*prompt, *later])

        # The experts of each layer and their weights follow from its hidden states and its router.
        for layer, (_, block) in enumerate(moe_layers(model)):
            routed = (trace.experts[:, layer] >= 0).all(-1)
            if towers:  # the encoder's layers route prompts, the decoder's what follows
                prompts = np.concatenate([np.arange(n) < p for n, p in zip(np.add(trace.prefill, trace.decode),
                                                                          trace.prefill)])
                self.assertEqual(routed.tolist(), (prompts if layer < 2 else ~prompts).tolist())
            else:
                self.assertTrue(routed.all())
            chosen, weights, scores = expected(block, trace.hidden[routed, layer], top_k, score, normalised)
            recorded = trace.experts[routed, layer]
            near = np.abs(np.sort(np.take_along_axis(scores, chosen, -1)) -
                          np.sort(np.take_along_axis(scores, recorded.astype(np.int64), -1))).max(-1) < 5e-3
            self.assertTrue(near.all())
            self.assertGreater((np.sort(chosen) == np.sort(recorded)).all(-1).mean(), 0.95)  # hidden is float16
            self.assertLess(np.abs(weights - trace.weights[routed, layer]).max(), 0.01)

        # A batch of different lengths routes as each request alone, and decoding as one pass over the same tokens.
        with Recorder(model, self.path("alone.h5")) as recorder:
            for prompt in PROMPTS:
                recorder.generate([prompt], 6)
        with Recorder(model, self.path("forced.h5")) as recorder:
            recorder.teacher_force([prompt + row[:steps] for prompt, row in zip(PROMPTS, made)],
                                   [len(prompt) for prompt in PROMPTS])
        for other in map(Trace, (self.path("alone.h5"), self.path("forced.h5"))):
            self.assertEqual((other.prefill, other.decode), (trace.prefill, trace.decode))
            self.assertEqual(other.tokens.tolist(), trace.tokens.tolist())
            self.assertEqual(other.experts.tolist(), trace.experts.tolist())
            self.assertLess(np.abs(other.weights - trace.weights).max(), 1e-3)


def add_model_tests():
    for name in ("mixtral", "qwen2", "qwen3", "olmoe", "deepseek-v2", "deepseek-v3", "gpt-oss", "switch"):
        setattr(Models, "test_" + name.replace("-", "_"), lambda self, name=name: self.check(name))

    def test_dense(self):
        config = transformers.LlamaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
                                          intermediate_size=32)
        with self.assertRaisesRegex(RecordingError, "not a MoE model"):
            Recorder(transformers.AutoModelForCausalLM.from_config(config), self.path("x.h5"))

    Models.test_dense = test_dense


def list_model(style, experts=6, top_k=2, width=8):
    """A one-block model whose experts are a list, in three styles: its router returns logits, a tuple, or one-hot."""
    torch.manual_seed(1)

    class Gate(torch.nn.Linear):
        def forward(self, x):
            logits = super().forward(x)
            weights, chosen = logits.softmax(-1).topk(1 if style == "one-hot" else top_k, dim=-1)
            if style == "logits":
                return logits
            if style == "tuple":
                return chosen.flip(-1), weights.flip(-1)  # ascending: the recorder sorts
            hot = torch.nn.functional.one_hot(chosen[..., 0], experts)
            hot[..., 0, :] = 0  # a token that was dropped
            return hot, weights, logits

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = type("Config", (), {"model_type": "list", "num_experts": experts, "pad_token_id": None,
                                              "num_experts_per_tok": top_k, "norm_topk_prob": False})()
            self.embedding = torch.nn.Embedding(97, width)
            self.block = torch.nn.Module()
            self.block.gate = Gate(width, experts)
            self.block.experts = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(experts))

        def forward(self, input_ids, attention_mask, use_cache):
            self.block.gate(self.embedding(input_ids))

    return Model().eval()


class Lists(Temporary):
    def test_routers(self):
        for style in ("logits", "tuple", "one-hot"):
            model = list_model(style)
            with Recorder(model, self.path("t.h5"), hidden=True) as recorder:
                recorder.teacher_force(PROMPTS, [2, 3, 7])
            trace = Trace(self.path("t.h5"))
            self.assertEqual((trace.prefill, trace.decode), ([2, 3, 7], [3, 6, 0]))
            self.assertEqual(trace.tokens.tolist(), sum(PROMPTS, []))
            scores = model.block.gate.weight @ model.embedding(torch.from_numpy(trace.tokens).long()).T
            scores = (scores + model.block.gate.bias[:, None]).T.softmax(-1).detach()
            weights, chosen = scores.topk(1 if style == "one-hot" else 2, dim=-1)
            weights, chosen = weights.numpy(), chosen.numpy()
            if style == "one-hot":
                chosen[trace.first], weights[trace.first] = -1, 0
            self.assertEqual(trace.experts[:, 0].tolist(), chosen.tolist())
            self.assertLess(np.abs(trace.weights[:, 0] - weights).max(), 1e-6)

    def test_removed_after_an_error(self):
        with self.assertRaises(KeyError):
            with Recorder(list_model("logits"), self.path("t.h5")) as recorder:
                recorder.teacher_force(PROMPTS, [1, 1, 1])
                raise KeyError
        self.assertEqual(os.listdir(self.folder.name), [])


class Writer(Temporary):
    def test_read_by_specmoe(self):
        random = np.random.default_rng(1)
        writer = TraceWriter(self.path("t.h5"), 3, 8, 2, width=4, weight_bits=7, model="tiny", source="a test")
        for i in range(300):
            experts = np.argsort(random.random((20, 3, 8)), axis=-1)[..., :2].astype(np.int16)
            writer.add(experts, random.random((20, 3, 2), np.float32), np.arange(20, dtype=np.int32), 6, 6,
                       "even" if i % 2 == 0 else "odd", np.zeros((20, 3, 4), np.float16))
        self.assertGreater(writer.size(), 1000)
        writer.close()
        self.assertEqual(os.listdir(self.folder.name), ["t.h5"])
        trace = Trace(self.path("t.h5"))
        self.assertEqual(trace.experts.shape, (6000, 3, 2))
        self.assertEqual(trace.weights.tolist(), rounded(trace.weights, 7).tolist())
        out = subprocess.run([sys.argv[2], "trace", "info", self.path("t.h5")], capture_output=True, text=True)
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        for text in ("tiny", "300", "1800", "4200"):
            self.assertIn(text, out.stdout.replace(",", ""))

    def test_rounding(self):
        # 7 bits of mantissa: bfloat16
        self.assertEqual(rounded(np.float32([1.0, 1.00390625, 1.005, 0.1]), 7).tolist(),
                         [1.0, 1.0078125, 1.0078125, 0.10009765625])


if __name__ == "__main__":
    add_model_tests()
    case = {"models": Models, "lists": Lists, "writer": Writer}[MODE]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    sys.exit(not result.wasSuccessful())
