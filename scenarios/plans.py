#!/usr/bin/env python3
"""Asks `specmoe plan` the questions below and writes scenarios/plans.md: python3 scenarios/plans.py [specmoe] > scenarios/plans.md"""
import json
import shlex
import subprocess
import sys

# Title, arguments, what people report.
QUESTIONS = [
    ("Qwen3-30B-A3B on an RTX 4090 with 64 GB",
     "--model qwen3-30b-a3b --platform rtx4090 --host-memory '64 GB'",
     "Nothing with this card and all experts on it was found. On an RTX 4080 of 16 GB, experts of 14 of 48 layers on the "
     "CPU: 68.7 tok/s, 63.2 after 4096 tokens (ik_llama.cpp discussion #357). On an RTX 2080 of 8 GB with `--n-cpu-moe 36`, Q4_K_M: 36.7 tok/s "
     "([llmfit #755](https://github.com/AlexsJones/llmfit/pull/755)); there three quarters of the experts are the CPU's."),
    ("Mixtral 8x7B on an RTX 3060 of 12 GB with 64 GB",
     "--model mixtral-8x7b --platform rtx3060_12gb --host-memory '64 GB'",
     "mixtral-offloading, experts in 2 to 3 bits fetched over the link, decodes 2 to 3 tok/s on this card's class "
     "(Eliseev & Mazur, [arXiv 2312.17238](https://arxiv.org/abs/2312.17238), table 2): it keeps two experts a layer, and "
     "computes none on the CPU."),
    ("DeepSeek-V3 on one RTX 4090 with 512 GB",
     "--model deepseek-v3 --platform rtx4090 --host-memory '512 GB' --set 'platform.memories.dram.read=307 GB/s' "
     "--set 'platform.memories.dram.write=307 GB/s' --set 'platform.devices.cpu.peak.bf16=2.2 TFLOP/s'",
     "KTransformers, Q4_K_M, 32 cores of a Xeon Gold 6454S with 8 channels of DDR5-4800 (307 GB/s): 8.7 tok/s on one "
     "socket, 12.4 to 13.5 on two; llama.cpp 4.5 ([tutorial](https://github.com/kvcache-ai/ktransformers/blob/"
     "034a116365d48481d1d23de3e3982a64a8d0a341/doc/en/DeepseekR1_V3_tutorial.md)). The platform's own host is a desktop "
     "with 62.8 GB/s; the changes make it that server's socket. Its CPU is taken to read experts at 0.61 of the memory's "
     "bandwidth; KTransformers reached 0.41 then (`./specmoe validate --published` fits it), and held no routed expert on "
     "the GPU.",
     "--set platform.devices.cpu.kernels.gemm.memory_efficiency=0.41"),
    ("gpt-oss-120b on an RTX 3090 with 64 GB",
     "--model gpt-oss-120b --platform rtx3090 --host-memory '64 GB'",
     "1.4 to 1.8 tok/s with `--n-cpu-moe 27` on an RTX 3090, EPYC 7343, 64 GB of DDR4-3200 "
     "([hardware-corner.net](https://www.hardware-corner.net/gpt-oss-offloading-moe-layers/)), where the experts of the CPU "
     "and the mapped file do not fit beside each other; 18 to 25.6 tok/s with all experts on a 14900K and 96 GB "
     "([a thread's copy](https://gokawiil.com/article/74814))."),
    ("Qwen3-235B-A22B on an H100 with 256 GB",
     "--model qwen3-235b-a22b --platform h100_sxm_80gb --host-memory '256 GB'", "Nothing with this machine was found."),
    ("gpt-oss-20b on a Jetson AGX Orin of 64 GB",
     "--model gpt-oss-20b --platform jetson_agx_orin_64gb", "Nothing with this machine was found."),
    ("Qwen3-30B-A3B on a Jetson AGX Orin of 64 GB with NVMe",
     "--model qwen3-30b-a3b --platform jetson_agx_orin_64gb", "Nothing with this machine was found."),
    ("gpt-oss-120b on a DGX Spark",
     "--model gpt-oss-120b --platform dgx_spark_gb10",
     "llama.cpp: 59.0 tok/s, 53.95 after 4096 tokens (ggml-org/llama.cpp, `benches/dgx-spark.md` @4c7e9893); vLLM 57.5 "
     "([kubis.ai](https://kubis.ai/blog/dgx_series/benchmarks/gpt-oss-120b-topology-benchmark))."),
    ("Mixtral 8x22B on one A100 of 80 GB",
     "--model mixtral-8x22b --platform a100_sxm_80gb", "Nothing with this machine was found."),
    ("GLM-4.5-Air on an RTX 5090 with 128 GB",
     "--model glm-4.5-air --platform rtx5090 --host-memory '128 GB'", "Nothing with this machine was found."),
]


def ask(specmoe, arguments):
    run = subprocess.run([specmoe, "plan", *shlex.split(arguments), "--format", "json"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return json.loads(run.stdout)


def main():
    specmoe = sys.argv[1] if len(sys.argv) > 1 else "./specmoe"
    print("# Ten questions\n\nWritten by `python3 scenarios/plans.py`, which asks `specmoe plan`. Answers of a simulator, "
          "beside what people report: read them as that. `--format text` says more: the memory bill, settings, flags of "
          "llama.cpp, KTransformers and vLLM.")
    for title, arguments, reported, *variant in QUESTIONS:
        print(f"\n## {title}\n\n`./specmoe plan {arguments}`\n")
        advice = ask(specmoe, arguments)
        print(f"**{advice['answer']}**\n")
        if advice["rows"]:
            print("| experts, rest | tok/s | TTFT s | GPU GB | host GB | where |\n|---|---|---|---|---|---|")
        for i, row in enumerate(advice["rows"]):
            star = "**" if i == advice["recommended"] else ""
            print(f"| {star}{row['experts']}, {row['rest']}{star} | {row['tokens_per_second']:.1f} | {row['ttft']:.1f} "
                  f"| {row['gpu_memory'] / 1e9:.1f} | {row['host_memory'] / 1e9:.1f} | {row['way']} |")
        if advice["rows"]:
            best = [f"{u['what']} {u['gain']:.2f}x" for u in advice["upgrades"][:3] if u["gain"] > 1.01]
            print(f"\nBusy longest: {advice['bottleneck']}. Would help: {', '.join(best) if best else 'nothing tried'}.", end="")
            for flags in advice["flags"]:
                if flags["tokens_per_second"] and advice["rows"][advice["recommended"]]["where"] != "gpu":
                    print(f" Divided as {flags['engine']} does: {flags['tokens_per_second']:.1f} tok/s.", end="")
            print()
        for note in advice["notes"]:
            print(f"\nNote: {note}.")
        print(f"\nReported: {reported}", end="")
        for more in variant:
            again = ask(specmoe, f"{arguments} {more}")
            print(f" With `{more}`: {again['rows'][again['recommended']]['tokens_per_second']:.1f} tok/s.", end="")
        print()


if __name__ == "__main__":
    main()
