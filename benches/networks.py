#!/usr/bin/env python3
"""CPU time for an image in a sweep of `wcat-explore` beside onnxruntime, of any ONNX files: the same random inputs, one thread.

benches/networks.py [--images N] [--repeats N] FILE...: interleaved repeats, medians; onnxruntime has the best of the batches
1, 8 and 64, its batch freed. Ours is what 20 more chips cost, faults at a bit error rate of 1 % and answers included: the start of
the program and the reading of images are left out. It uses the program of `cargo build --release` and the environment of
`peers.py`.
"""

import argparse
import pathlib
import resource
import shutil
import subprocess
import sys
import time

import peers
import numpy
import onnx
import onnxruntime

PROGRAM = peers.ROOT / "target/release/wcat-explore"
BATCHES = (1, 8, 64)
CHIPS = (4, 24)


def freed(path):
    """The network with any batch, its input's name, and the dimensions behind the batch."""
    model = onnx.load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for value in [*inputs, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.ClearField("value_info")
    dims = inputs[0].type.tensor_type.shape.dim[1:]
    return model.SerializeToString(), inputs[0].name, [dim.dim_value for dim in dims]


def own_seconds(*arguments):
    """CPU seconds of a whole command."""
    command = [PROGRAM, *arguments, "--threads", "1", "--quiet"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"networks: {run.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sweep_seconds(model, data, chips):
    """CPU seconds of a sweep that nothing is kept of."""
    out = peers.PLACE / "sweep"
    shutil.rmtree(out, ignore_errors=True)
    return own_seconds("sweep", "--model", model, "--data", data, "--metric", "agreement", "--bers", "0.01",
                       "--chips", str(chips), "--out", out)


def trial_seconds(model, data):
    """CPU seconds of a chip."""
    few, many = (sweep_seconds(model, data, chips) for chips in CHIPS)
    return (many - few) / (CHIPS[1] - CHIPS[0])


def peer_seconds(session, name, images, batch):
    start = time.process_time()
    for at in range(0, len(images), batch):
        session.run(None, {name: images[at:at + batch]})
    return time.process_time() - start


def compare(path, count, repeats):
    """Prints a row of a table."""
    model, name, dims = freed(path)
    images = numpy.random.default_rng(0).standard_normal([count, *dims]).astype(numpy.float32)
    data, quantised = peers.PLACE / "inputs.npz", peers.PLACE / "quantised.safetensors"
    numpy.savez(data, x=images)
    own_seconds("quantize", path, "--bits", "8", "--out", quantised, "--overwrite")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    trials = [(peer_seconds(session, name, images, batch), batch) for _ in range(3) for batch in BATCHES]
    best = min(trials)[1]
    own, peer = [], []
    for _ in range(repeats):
        own.append(trial_seconds(quantised, data) / count)
        peer.append(peer_seconds(session, name, images[:count], best) / count)
    middle = [1e6 * peers.statistics.median(seconds) for seconds in (own, peer)]
    ratio = peers.median_ratio(own, peer)
    print(f"| {path} | {middle[0]:.1f} | {middle[1]:.1f} | {best} | {ratio:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    asked = parser.parse_args()
    print("| network | microseconds an image | onnxruntime | at batch | ratio |\n|---|---|---|---|---|")
    for path in asked.files:
        compare(path, asked.images, asked.repeats)


if __name__ == "__main__":
    main()
