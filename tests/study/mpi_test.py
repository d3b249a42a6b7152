"""specmoe-mpi on several ranks, and with one killed: mpi_test.py SPECMOE SPECMOE_MPI. Exit status 77 without mpirun."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

specmoe, specmoe_mpi = sys.argv[1:3]
if not shutil.which("mpirun"):
    print("SKIPPED: no mpirun")
    sys.exit(77)
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")

MODEL = """name: tiny
source: made up
hidden: 64
vocabulary: 256
tied_embeddings: true
format: bf16
decoder: {layers: 2, moe_layers: all}
attention: {heads: 1, kv_heads: 1, head_dim: 64}
experts: {routed: 8, top_k: 2, intermediate: 64, gated: false}
published: {total_billion: 0.00026, source: made up}
"""
STUDY = """name: s
scenario:
  name: base
  seed: 1
  platform: rtx4090
  model: tiny.yaml
  routing: {generate: {zipf: 1, reuse: 0.3, correlation: 0}}
  workload: {requests: 2, batch: 2, prompt_tokens: 2, output_tokens: 12, prefill: false}
  cache: {capacity: 50 %}
  strategies: [{name: LRU}, {name: gate, prefetch: {predictor: gate, accuracy: 0.9}}]
axes: {workload.batch: [1, 2]}
replications: 100
"""


def start(folder, out, study="study.yaml"):
    return subprocess.Popen(["mpirun", "--oversubscribe", "-n", "4", specmoe_mpi, study, "--out", out], cwd=folder,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def rank(number, job):
    """The process of a rank of a job: mpirun's child whose environment says so."""
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes()
            stat = (entry / "stat").read_text()
            if f"OMPI_COMM_WORLD_RANK={number}\0".encode() in environment and int(stat.rsplit(")", 1)[1].split()[1]) == job.pid:
                return int(entry.name)
        except (OSError, ValueError, IndexError):
            continue
    return None


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "tiny.yaml").write_text(MODEL)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "wrong.yaml").write_text(STUDY.replace("seed: 1", "seed: -1"))
    subprocess.run([specmoe, "study", "study.yaml", "--out", "here"], cwd=folder, check=True, capture_output=True)
    whole = (folder / "here/study.h5").read_bytes()
    records = (folder / "here/journal/study.journal").stat().st_size

    job = start(folder, "ranks")
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, err
    assert (folder / "ranks/study.h5").read_bytes() == whole, "four ranks: other bytes"

    job = start(folder, "killed")
    journal = folder / "killed/journal/study.journal"
    deadline = time.time() + 60
    while not (journal.exists() and journal.stat().st_size > records / 10):
        assert time.time() < deadline and job.poll() is None, "the job ended before a rank could be killed"
        time.sleep(0.005)
    os.kill(rank(2, job), signal.SIGKILL)
    out, err = job.communicate(timeout=120)
    assert job.returncode != 0, "mpirun took no notice of a killed rank"
    kept = journal.stat().st_size
    assert records / 10 < kept < records, (kept, records)
    job = start(folder, "killed")
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, err
    assert "runs are done already" in err, err
    assert (folder / "killed/study.h5").read_bytes() == whole, "after a kill: other bytes"
    assert journal.stat().st_size == records, "a run was simulated twice"

    # Once more, with nothing left to do; and where only rank 0 finds that it cannot go on.
    job = start(folder, "killed")
    job.communicate(timeout=60)
    assert job.returncode == 0
    (folder / "file").write_text("")
    job = start(folder, "file/out")
    out, err = job.communicate(timeout=60)
    assert job.returncode == 2, (job.returncode, err)

    job = start(folder, "wrong", "wrong.yaml")
    out, err = job.communicate(timeout=120)
    assert job.returncode == 2, (job.returncode, err)
    assert sum("wrong.yaml:" in line for line in err.splitlines()) == 1, err
    print(f"killed with {kept} of {records} bytes of results; nothing lost, nothing twice")
