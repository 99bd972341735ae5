#!/usr/bin/env python3
"""CPU seconds of this engine beside onnxruntime and OpenVINO in f32 and int8: the same network and images, one thread.

benches/peers.py [--images N] [--repeats N]: a stored 8-bit ResNet-20 on CIFAR-10's test images, interleaved repeats; prints
a table of docs/performance.md, and ends with 1 where an expectation fails. It makes its own environment of Python in
target/peers, and is skipped where PyPI or the data set is out of reach. `WCAT_ISA=avx2` is for this engine alone.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/peers"
PYTHON = PLACE / "bin/python"
PACKAGES = ["numpy", "onnx", "onnxruntime", "openvino", "safetensors"]
MODEL = ROOT / "results/models/cifar10-resnet20/cifar10_resnet20-0.1-wcat-8bit.safetensors"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
DATA = CACHE / "wcat-explore/cifar-10-batches-bin"
SHAPE = (3, 32, 32)
# those that each peer is tried with; the number of images is a multiple of all
BATCHES = (1, 4, 16, 80)
# images that the best batch is found on
FEW = 400
# training images that the ranges of int8 activations are learnt from
CALIBRATION = 480
# of batch norm
EPSILON = 1e-5
# how often less CPU than the best f32 peer, and most CPU in units of onnxruntime's int8
LEAST_GAIN = 2.2
MOST_INT8 = 1.05
INSTRUCTIONS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")


def skipped(why):
    print(f"peers: skipped: {why}")
    sys.exit(0)


def enter():
    """Goes on in the environment of the packages, made where it is missing."""
    if pathlib.Path(sys.prefix) == PLACE:
        return
    done = PLACE / "done"
    if not done.exists():
        try:
            venv.create(PLACE, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            skipped(f"no environment of Python in {PLACE}: {error}")
        install = [PYTHON, "-m", "pip", "install", "-q", "--retries", "1", "--timeout", "20", *PACKAGES]
        run = subprocess.run(install, capture_output=True, text=True)
        if run.returncode:
            skipped(f"pip cannot install {', '.join(PACKAGES)}: {run.stderr.strip().splitlines()[-1]}")
        done.touch()
    os.execv(PYTHON, [PYTHON, *sys.argv])


enter()

import numpy
import onnx
import onnxruntime
import openvino
import safetensors
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization


def read_model():
    """Tensors by name, and mean and standard deviation of the channels."""
    with safetensors.safe_open(MODEL, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(json.loads(file.metadata()["wcat-explore"])["model"])
    return tensors, about["normalization"]


def read_images(file, count, normalization):
    """The first images, normalised, and their labels."""
    records = numpy.fromfile(DATA / file, numpy.uint8).reshape(-1, 1 + 3 * 32 * 32)[:count]
    mean, std = (numpy.array(normalization[name], numpy.float32).reshape(3, 1, 1) for name in ("mean", "std"))
    pixels = records[:, 1:].reshape(-1, *SHAPE).astype(numpy.float32)
    return (pixels / numpy.float32(255) - mean) / std, records[:, 0]


class Graph:
    """An ONNX graph that grows node by node."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.constants = tensors, [], []

    def constant(self, value):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind, *inputs, **attributes):
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def weights(self, layer):
        """Code times step; a step is the range by 2^7."""
        codes = self.tensors[f"{layer}.weight.codes"].view(numpy.int8)
        return codes * (self.tensors[f"{layer}.range"] / numpy.float32(128))

    def convolution(self, x, layer, norm, stride):
        """3x3, with its batch norm folded in."""
        shift, mean, scale = (self.tensors[f"{norm}.{name}"] for name in ("bias", "running_mean", "weight"))
        scale = scale / numpy.sqrt(self.tensors[f"{norm}.running_var"].astype(numpy.float64) + EPSILON)
        weights = self.weights(layer).reshape(len(scale), -1, 3, 3) * scale.reshape(-1, 1, 1, 1)
        constants = [self.constant(value.astype(numpy.float32)) for value in (weights, shift - mean * scale)]
        return self.node("Conv", x, *constants, pads=[1] * 4, strides=[stride] * 2)

    def block(self, x, name, stride):
        y = self.node("Relu", self.convolution(x, f"{name}.conv1", f"{name}.bn1", stride))
        y = self.convolution(y, f"{name}.conv2", f"{name}.bn2", 1)
        if stride == 2:
            # every other pixel, and zeros around as many channels: start, end, axes, steps
            slices = [self.constant(numpy.array(pair)) for pair in ([0, 0], [32, 32], [2, 3], [2, 2])]
            channels = len(self.tensors[f"{name}.bn1.bias"]) // 4
            pads = self.constant(numpy.array([0, channels, 0, 0] * 2))
            x = self.node("Pad", self.node("Slice", x, *slices), pads)
        return self.node("Relu", self.node("Add", y, x))


def write_network(tensors, path):
    """ResNet-20 with the weights that the memory stores."""
    graph = Graph(tensors)
    x = graph.node("Relu", graph.convolution("images", "conv1", "bn1", 1))
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            x = graph.block(x, f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    weights, bias = graph.constant(graph.weights("linear").reshape(10, -1)), graph.constant(tensors["linear.bias"])
    x = graph.node("Gemm", x, weights, bias, transB=1)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *SHAPE])
    logits = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 10])
    whole = helper.make_graph(graph.nodes, "resnet20", [images], [logits], graph.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class Calibration(quantization.CalibrationDataReader):
    def __init__(self, images):
        self.batches = iter(numpy.split(images, len(images) // 16))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def write_quantized(path, images, quantized, vnni):
    """Static QDQ, a scale per channel; weights of 7 bits without VNNI, as onnxruntime advises: sums would saturate."""
    prepared = quantized.with_suffix(".prepared.onnx")
    quantization.quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared, quantized, Calibration(images), per_channel=True, reduce_range=not vnni,
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)


class Engine:
    """This program's, in a process of its own: the benchmark `evaluation` answers each line with a pass."""

    batch = "-"

    def __init__(self, arithmetic, images):
        path = PLACE / "images.f32"
        images.tofile(path)
        own = {"WCAT_MODEL": str(MODEL), "WCAT_IMAGES": str(path), "WCAT_ARITHMETIC": arithmetic}
        command = ["cargo", "bench", "--locked", "--quiet", "--bench", "evaluation"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **own}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, _images):
        """CPU seconds of a pass over the images that it was given at the start, and the logits."""
        print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("peers: the benchmark `evaluation` gave no answer")
        seconds, logits = json.loads(answer)
        return seconds, numpy.array(logits, numpy.float32).reshape(-1, 10)


class Peer:
    """Another engine, on one thread, at its best batch."""

    def __init__(self, compiled, path, images):
        trials = []
        for batch in BATCHES:
            self.batch, self.infer = batch, compiled(path, batch)
            self.measure(images)
            trials.append((self.measure(images)[0], batch))
        self.batch = min(trials)[1]
        self.infer = compiled(path, self.batch)

    def measure(self, images):
        """CPU seconds of a pass, and the logits."""
        wall, cpu = time.monotonic(), time.process_time()
        logits = [self.infer(images[at:at + self.batch]) for at in range(0, len(images), self.batch)]
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        if cpu > 1.05 * wall:
            sys.exit(f"peers: more than one thread: {cpu:.3f} CPU seconds in {wall:.3f}")
        return cpu, numpy.concatenate(logits)


def by_onnxruntime(path, _batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def by_openvino(path, batch):
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([batch, *SHAPE])
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]


def processor():
    """Its name, and the vector instructions that it has."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = f"{values['model name']}, family {values['cpu family']} model {values['model']}"
    return name, [known for known in INSTRUCTIONS if known in values["flags"].split()]


def median_ratio(over, under):
    return statistics.median(a / b for a, b in zip(over, under))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000, help=f"a multiple of {max(BATCHES)}")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    if asked.images % max(BATCHES) or not 0 < asked.images <= 10000:
        parser.error(f"--images: expected a multiple of {max(BATCHES)} up to 10000")
    if not (DATA / "test_batch.bin").exists():
        skipped(f"no CIFAR-10 in {DATA}")
    processor_name, instructions = processor()
    tensors, normalization = read_model()
    images, labels = read_images("test_batch.bin", asked.images, normalization)
    plain, quantized = PLACE / "resnet20.onnx", PLACE / "resnet20-int8.onnx"
    write_network(tensors, plain)
    training, _ = read_images("data_batch_1.bin", CALIBRATION, normalization)
    write_quantized(plain, training, quantized, any("vnni" in known for known in instructions))
    few = images[:FEW]
    engines = {
        "this engine, direct": Engine("direct", images),
        "this engine, Winograd": Engine("winograd", images),
        "onnxruntime f32": Peer(by_onnxruntime, plain, few),
        "OpenVINO f32": Peer(by_openvino, plain, few),
        "onnxruntime int8": Peer(by_onnxruntime, quantized, few),
        "OpenVINO int8": Peer(by_openvino, quantized, few),
    }
    logits = {name: engine.measure(images)[1] for name, engine in engines.items()}
    taken = {name: [] for name in engines}
    for _ in range(asked.repeats):
        for name, engine in engines.items():
            taken[name].append(engine.measure(images)[0])
    direct, winograd, *_ = engines
    print(f"{processor_name}; {' '.join(instructions)}; onnxruntime {onnxruntime.__version__}, OpenVINO "
          f"{openvino.__version__.split('-')[0]}; {asked.images} images, {asked.repeats} interleaved repeats\n")
    print("| engine | batch | CPU s, 10,000 images | times that of Winograd | accuracy, % "
          "| other answers than direct | largest difference of logits |")
    print("|---|---|---|---|---|---|---|")
    for name, engine in engines.items():
        seconds = statistics.median(taken[name]) * 10000 / asked.images
        ratio = median_ratio(taken[name], taken[winograd])
        answers = logits[name].argmax(1)
        other = (answers != logits[direct].argmax(1)).sum()
        difference = abs(logits[name] - logits[direct]).max(1) / abs(logits[direct]).max(1)
        print(f"| {name} | {engine.batch} | {seconds:.2f} | {ratio:.2f} | {100 * (answers == labels).mean():.2f} | {other} "
              f"| {difference.max():.1g} |")
    gain = min(median_ratio(taken[name], taken[winograd]) for name in ("onnxruntime f32", "OpenVINO f32"))
    int8 = median_ratio(taken[winograd], taken["onnxruntime int8"])
    print(f"\nWinograd takes {gain:.2f} times less than the best f32 peer (expected: at least {LEAST_GAIN}) and {int8:.2f} "
          f"times what onnxruntime takes in int8 (expected: at most {MOST_INT8}).")
    sys.exit(gain < LEAST_GAIN or int8 > MOST_INT8)


if __name__ == "__main__":
    main()
