#!/usr/bin/env python3
"""CPU time for an image of `wcat-explore eval` beside onnxruntime, of any ONNX files: the same random inputs, one thread.

benches/networks.py [--images N] [--repeats N] FILE...: interleaved repeats, medians; onnxruntime has the best of the batches
1, 8 and 64, its batch freed. Ours is the difference that N more images make, in user mode: the start of the program and the
pages of memory that images take are left out, decoding, checksum and loss are in. It uses the program of `cargo build --release` and the environment of `peers.py`.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import time

import peers
import numpy
import onnx
import onnxruntime

PROGRAM = peers.ROOT / "target/release/wcat-explore"
BATCHES = (1, 8, 64)


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


def own_seconds(path, data):
    """CPU seconds of a whole evaluation in user mode."""
    command = [PROGRAM, "eval", "--model", path, "--data", data, "--threads", "1", "--quiet"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"networks: {run.stderr}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def peer_seconds(session, name, images, batch):
    start = time.process_time()
    for at in range(0, len(images), batch):
        session.run(None, {name: images[at:at + batch]})
    return time.process_time() - start


def compare(path, count, repeats):
    """Prints a row of a table."""
    model, name, dims = freed(path)
    images = numpy.random.default_rng(0).standard_normal([2 * count, *dims]).astype(numpy.float32)
    files = {}
    for length in (count, 2 * count):
        files[length] = peers.PLACE / f"inputs{length}.npz"
        numpy.savez(files[length], x=images[:length], y=numpy.zeros(length, int))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    few = images[:max(BATCHES) * 4]
    trials = [(peer_seconds(session, name, few, batch), batch) for batch in BATCHES for _ in range(3)]
    best = min(trials)[1]
    own, peer = [], []
    for _ in range(repeats):
        own.append((own_seconds(path, files[2 * count]) - own_seconds(path, files[count])) / count)
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
